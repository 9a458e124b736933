"""A listener of the sandbox with a handler of the test, and a raw connection to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trayport.sandbox import error_responses
from trayport.sandbox.listener import HttpRequest, HttpResponse, Listener
from trayport.sandbox.switches import Switches

BODY = b"[" + b",".join(b'{"tradeId":"%d"}' % number for number in range(2000)) + b"]"
"""A body that is long enough to be compressed."""


def error_response(status: int) -> HttpResponse:
    """Return the sandbox's error response for a status."""
    return error_responses.with_status(status, Switches())


@contextmanager
def run_listener(answer: Callable[[HttpRequest], HttpResponse]) -> Iterator[Listener]:
    """Run a listener with a handler."""
    listener = Listener(0, answer)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield listener
    finally:
        listener.shutdown()
        thread.join()
        listener.close_connections()
        listener.server_close()


def url(listener: Listener, path: str = "/") -> str:
    """Return the URL of a path."""
    return f"http://127.0.0.1:{listener.server_address[1]}{path}"


class RawConnection:
    """A connection on which a test writes the bytes."""

    def __init__(self, listener: Listener) -> None:
        self.socket = socket.create_connection(("127.0.0.1", listener.server_address[1]), timeout=10)
        self._received = b""

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, first: str = "GET / HTTP/1.1", *headers: str, body: bytes = b"") -> None:
        """Send a request."""
        self.socket.sendall("\r\n".join([first, *headers, "", ""]).encode() + body)

    def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next response; no header is repeated."""
        first, *lines = self._until(b"\r\n\r\n").decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        assert len(lines) == len(fields)
        return int(first.split()[1]), fields

    def chunk(self) -> bytes:
        """Return the next chunk of the body; empty at its end."""
        length = int(self._until(b"\r\n"), 16)
        return self.read(length + 2)[:-2]

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        while len(self._received) < count:
            self._more()
        found, self._received = self._received[:count], self._received[count:]
        return found

    def rest(self) -> bytes:
        """Return all bytes until the connection is closed."""
        while more := self.socket.recv(65536):
            self._received += more
        return self._received

    def request(
        self, first: str = "GET / HTTP/1.1", *headers: str, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request, and return its response with a Content-Length."""
        self.send(first, *headers, body=body)
        status, fields = self.head()
        return status, fields, self.read(int(fields["Content-Length"]))

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._more()
        found, _, self._received = self._received.partition(end)
        return found

    def _more(self) -> None:
        more: Any = self.socket.recv(65536)
        assert more, f"the server closed the connection after {self._received[-200:]!r}"
        self._received += more
