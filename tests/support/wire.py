"""A server that does to a connection what HTTP libraries do not: it cuts, resets, hangs and lies."""

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
"""What a request gets: these bytes, or whatever is done to its connection; the request's head is handed over too."""


def http(status: int = 200, body: bytes = b"[]", *, length: int | None = None, **headers: str) -> bytes:
    """An answer as bytes; underscores in header names stand for dashes."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def cut(body: bytes = b'[{"dealDate":1,') -> Response:
    """Promises more than it sends, and hangs up."""
    return lambda connection, head: _say_and_close(connection, http(200, body, length=len(body) + 100))


def reset(connection: socket.socket, head: str) -> None:
    """Ends the connection with a reset instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang(seconds: float) -> Response:
    """Says nothing for a while."""
    return lambda connection, head: time.sleep(seconds)


def _say_and_close(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer)
    connection.close()


class Wire:
    """Answers each request with the next of ``answers``; the last one for ever."""

    def __init__(self, *answers: Response) -> None:
        self.responses = deque(answers)
        self.heads: list[str] = []
        """Each request's first line and headers."""
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
        with suppress(OSError):  # wakes the thread that waits for the next connection, where that is possible
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
                self._answer(connection, head.decode())
        except OSError:
            return

    def _answer(self, connection: socket.socket, head: str) -> None:
        with self._lock:
            self.heads.append(head)
            answer = self.responses.popleft() if len(self.responses) > 1 else self.responses[0]
        if isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            answer(connection, head)
