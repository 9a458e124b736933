"""A server between a client and a sandbox; a rule changes the responses."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import requests
from attrs import frozen

from trayport.endpoints import Request
from trayport.sandbox import Sandbox

from .wire import Response, Wire, http, reset


@frozen
class Reply:
    """A response of the sandbox."""

    status: int
    body: bytes
    kind: str

    def http(self, body: bytes | None = None, **headers: str) -> bytes:
        """Return its bytes, with another body if one is given."""
        return http(self.status, self.body if body is None else body, length=None, Content_Type=self.kind, **headers)


Fault: TypeAlias = bytes | Callable[[Reply], Response]
"""The bytes of a response, or a function that changes the response of the sandbox."""
Rule: TypeAlias = Callable[[str, int], Fault | None]
"""Called with the path of a request and the number of its attempt; returns a fault, or None for no change."""


def unchanged(line: str, count: int) -> None:
    """Leave every response unchanged."""


class Relay:
    """Forwards requests to a sandbox, and its responses to the client.

    Responses are kept in ``memory``, which several relays may share, so that a test waits for its fault and not for
    the sandbox.
    """

    def __init__(self, sandbox: Sandbox, memory: dict[tuple[str, str], Reply] | None = None) -> None:
        self.sandbox = sandbox
        self.rule: Rule = unchanged
        self.lines: list[str] = []
        """The path of each request, with its parameters."""
        self._memory = {} if memory is None else memory
        self._lock = threading.Lock()
        self._wire = Wire(self._answer)

    @property
    def url(self) -> str:
        """Base URL of the Analytics API."""
        return f"{self._wire.url}/api"

    def trades(self) -> list[str]:
        """Return the requests for trades."""
        return [line for line in self.lines if line.startswith("/api/trades")]

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.__exit__(kind, error, trace)

    def _answer(self, connection: socket.socket, head: str) -> None:
        first, *headers = head.split("\r\n")
        line = first.split()[1]
        accept = next(header.partition(": ")[2] for header in headers if header.lower().startswith("accept: "))
        with self._lock:
            self.lines.append(line)
            fault = self.rule(line, self.lines.count(line))
        response = fault if isinstance(fault, bytes) else self._apply(fault, line, accept)
        if isinstance(response, bytes):
            connection.sendall(response)
        else:
            response(connection, head)

    def _apply(self, fault: Callable[[Reply], Response] | None, line: str, accept: str) -> Response:
        reply = self._reply(line, accept)
        return reply.http() if fault is None else fault(reply)

    def _reply(self, line: str, accept: str) -> Reply:
        reply = self._memory.get((line, accept))
        if reply is None:
            headers = {"X-API-KEY": self.sandbox.key, "Accept": accept, "Accept-Encoding": "identity"}
            response = requests.get(self.sandbox.url + line, headers=headers, timeout=60)
            kind = response.headers["Content-Type"]
            reply = self._memory[line, accept] = Reply(response.status_code, response.content, kind)
        return reply


def is_request(line: str, request: Request) -> bool:
    """Return True if a line is the path of a request."""
    parts = urlsplit(line)
    return f"/api{request.path}" == parts.path and list(request.params) == parse_qsl(parts.query)


# --- faults ------------------------------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Fault:
    """Respond with another status and an empty body."""
    return lambda reply: http(code, b"", length=None, **headers)


def with_body(body: bytes) -> Fault:
    """Respond with another body."""
    return lambda reply: reply.http(body)


def connection_reset(reply: Reply) -> Response:
    """Reset the connection."""
    return reset


def cut_short(reply: Reply) -> Response:
    """Send half of a body with the Content-Length of the whole."""
    whole = reply.http()
    return _send_and_close(whole[: len(whole) - len(reply.body) // 2 - 1])


def cut_in_chunks(reply: Reply) -> Response:
    """Send half of a body in chunks, and close the connection before the next chunk."""
    half = reply.body[: len(reply.body) // 2]
    head = f"HTTP/1.1 {reply.status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return _send_and_close(head + f"{len(half):x}\r\n".encode() + half + b"\r\n" * bool(half))


def delayed(seconds: float) -> Fault:
    """Respond after some seconds."""

    def fault(reply: Reply) -> Response:
        def respond(connection: socket.socket, head: str) -> None:
            time.sleep(seconds)
            connection.sendall(reply.http())

        return respond

    return fault


def corrupt_gzip(reply: Reply) -> Response:
    """Respond with gzip whose checksum has a wrong bit."""
    compressed = bytearray(gzip.compress(reply.body, 1, mtime=0))
    compressed[-6] ^= 1  # in the checksum, so that the error shows only at the end
    return reply.http(bytes(compressed), Content_Encoding="gzip")


def truncated_gzip(reply: Reply) -> Response:
    """Respond with a whole body of incomplete gzip, which decompresses to some whole rows of CSV."""
    compressor = zlib.compressobj(wbits=31)
    end = reply.body.rfind(b"\r\n", 0, len(reply.body) // 2) + 2
    compressed = compressor.compress(reply.body[: max(end, 2)]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return reply.http(compressed, Content_Encoding="gzip")


def _send_and_close(data: bytes) -> Response:
    def respond(connection: socket.socket, head: str) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    return respond
