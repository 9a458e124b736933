"""A scripted server: it sends given bytes, or cuts, resets and delays its responses."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

Response = bytes | Callable[[socket.socket, str], None]
"""The bytes of a response, or a function that is called with the connection and the head of the request."""


def http(status: int = 200, body: bytes = b"[]", *, length: int | None = None, **headers: str) -> bytes:
    """Return the bytes of a response; underscores in the names of headers become dashes."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def cut(body: bytes = b'[{"dealDate":1,') -> Response:
    """Return a response that is shorter than its Content-Length."""
    return lambda connection, head: _send_and_close(connection, http(200, body, length=len(body) + 100))


def reset(connection: socket.socket, head: str) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang(seconds: float) -> Response:
    """Return a response that is delayed for some seconds and never comes."""
    return lambda connection, head: time.sleep(seconds)


def _send_and_close(connection: socket.socket, response: bytes) -> None:
    connection.sendall(response)
    connection.close()


class Wire:
    """A server that sends the next of its responses to each request, and then always the last one."""

    def __init__(self, *responses: Response) -> None:
        self.responses = deque(responses)
        self.heads: list[str] = []
        """The first line and the headers of each request."""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # wakes the thread that waits for the next connection, on systems that allow it
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        waiting = b""
        try:
            while True:
                while b"\r\n\r\n" not in waiting:
                    more = connection.recv(65536)
                    if not more:
                        return
                    waiting += more
                head, _, waiting = waiting.partition(b"\r\n\r\n")
                self._respond(connection, head.decode())
        except OSError:
            return

    def _respond(self, connection: socket.socket, head: str) -> None:
        with self._lock:
            self.heads.append(head)
            response = self.responses.popleft() if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, bytes):
            connection.sendall(response)
        else:
            response(connection, head)
