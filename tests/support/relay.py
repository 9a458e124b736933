"""A server between a client and a sandbox, that does to the answers what a rule says."""

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
    """What the sandbox said."""

    status: int
    body: bytes
    kind: str

    def http(self, body: bytes | None = None, **headers: str) -> bytes:
        """The bytes of it, with another body if one is given."""
        return http(self.status, self.body if body is None else body, length=None, Content_Type=self.kind, **headers)


Fault: TypeAlias = bytes | Callable[[Reply], Response]
"""What is said instead of an answer, or what makes something else of one."""
Rule: TypeAlias = Callable[[str, int], Fault | None]
"""What is done to the answer to this line, asked for the so many-th time; None to hand it on as it is."""


def unchanged(line: str, count: int) -> None:
    """Every answer is handed on."""


class Relay:
    """Hands requests on to a sandbox, and its answers back.

    An answer that was once given is remembered in ``memory``, which relays may share: what a test waits for is then
    the fault that it is about, and never the sandbox.
    """

    def __init__(self, sandbox: Sandbox, memory: dict[tuple[str, str], Reply] | None = None) -> None:
        self.sandbox = sandbox
        self.rule: Rule = unchanged
        self.lines: list[str] = []
        """Each request's path with its parameters."""
        self._memory = {} if memory is None else memory
        self._lock = threading.Lock()
        self._wire = Wire(self._answer)

    @property
    def url(self) -> str:
        """The base of its Analytics API."""
        return f"{self._wire.url}/api"

    def trades(self) -> list[str]:
        """The requests for trades."""
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
        answer = fault if isinstance(fault, bytes) else self._made(fault, line, accept)
        if isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            answer(connection, head)

    def _made(self, fault: Callable[[Reply], Response] | None, line: str, accept: str) -> Response:
        reply = self._reply(line, accept)
        return reply.http() if fault is None else fault(reply)

    def _reply(self, line: str, accept: str) -> Reply:
        found = self._memory.get((line, accept))
        if found is None:
            headers = {"X-API-KEY": self.sandbox.key, "Accept": accept, "Accept-Encoding": "identity"}
            got = requests.get(self.sandbox.url + line, headers=headers, timeout=60)
            found = self._memory[line, accept] = Reply(got.status_code, got.content, got.headers["Content-Type"])
        return found


def is_request(line: str, request: Request) -> bool:
    """Is ``line`` what ``request`` asks?"""
    parts = urlsplit(line)
    return f"/api{request.path}" == parts.path and list(request.params) == parse_qsl(parts.query)


# --- faults ------------------------------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Fault:
    """Another status, and no answer."""
    return lambda reply: http(code, b"", length=None, **headers)


def with_body(body: bytes) -> Fault:
    """Something else."""
    return lambda reply: reply.http(body)


def connection_reset(reply: Reply) -> Response:
    """A reset instead of an answer."""
    return reset


def cut_short(reply: Reply) -> Response:
    """Half of an answer that says how long it is."""
    whole = reply.http()
    return _then_hang_up(whole[: len(whole) - len(reply.body) // 2 - 1])


def cut_in_chunks(reply: Reply) -> Response:
    """Half of an answer in chunks, and the connection ends where the next one is due."""
    half = reply.body[: len(reply.body) // 2]
    head = f"HTTP/1.1 {reply.status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return _then_hang_up(head + f"{len(half):x}\r\n".encode() + half + b"\r\n" * bool(half))


def delayed(seconds: float) -> Fault:
    """The answer, later."""

    def answer(reply: Reply) -> Response:
        def late(connection: socket.socket, head: str) -> None:
            time.sleep(seconds)
            connection.sendall(reply.http())

        return late

    return answer


def corrupt_gzip(reply: Reply) -> Response:
    """The answer packed with gzip, with a bit of it turned over."""
    packed = bytearray(gzip.compress(reply.body, 1, mtime=0))
    packed[-6] ^= 1  # of the checksum, so that all of it is unpacked before it shows
    return reply.http(bytes(packed), Content_Encoding="gzip")


def truncated_gzip(reply: Reply) -> Response:
    """What can be unpacked is whole rows of CSV, but not all; and the line itself is in order."""
    packer = zlib.compressobj(wbits=31)
    end = reply.body.rfind(b"\r\n", 0, len(reply.body) // 2) + 2
    packed = packer.compress(reply.body[: max(end, 2)]) + packer.flush(zlib.Z_SYNC_FLUSH)
    return reply.http(packed, Content_Encoding="gzip")


def _then_hang_up(said: bytes) -> Response:
    def answer(connection: socket.socket, head: str) -> None:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    return answer
