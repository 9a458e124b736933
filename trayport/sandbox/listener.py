"""The sandbox's ear: HTTP/1.1 on a loopback port, with connections that are kept, and the encodings."""

from __future__ import annotations

import gzip
import os
import re
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from attrs import frozen

from .parameters import Refused
from .wire import document

# Nothing is gained by squeezing less than a packet.
_WORTH_SQUEEZING = 1000


@frozen
class Answer:
    """What goes back: a status, and a body with what it is written in."""

    status: int
    body: bytes
    kind: str = "application/json"


def refusal(refused: Refused) -> Answer:
    """The answer to a request that breaks a rule."""
    return Answer(refused.status, document(refused.body), "application/problem+json")


class Listener(ThreadingHTTPServer):
    """A threading server that forgets no connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    # On Windows the option would let two servers share a port.
    allow_reuse_address = os.name != "nt"
    allow_reuse_port = False

    def __init__(self, port: int, answer: Callable[[str, str | None, str | None], Answer]) -> None:
        self.answer = answer
        self.accepted = 0
        self._open: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def server_bind(self) -> None:
        """Without the look-up of this machine's own name, which can take seconds where there is no network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def hang_up(self) -> None:
        """End every connection that is kept open."""
        for request in list(self._open):
            with suppress(OSError):  # wakes the thread that reads from it, which then lets go of it itself
                request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1: connections are kept, answers leave in one packet where they fit."""

    server: Listener
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The only method that the APIs know."""
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body follows, which nobody reads
        self._send(self.server.answer(self.path, self.headers.get("X-API-KEY"), self.headers.get("Accept")))

    def _refuse(self) -> None:
        self.close_connection = True
        self._send(refusal(Refused(405, "Method Not Allowed")), Allow="GET")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request, in the words of the others."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:  # a method that it has never heard of
            code = HTTPStatus.METHOD_NOT_ALLOWED
        self.headers = getattr(self, "headers", Message())
        self._send(refusal(Refused(int(code), HTTPStatus(code).phrase)))

    def _send(self, answer: Answer, **headers: str) -> None:
        encoding, packed = _squeezed(answer.body, self.headers.get("Accept-Encoding"))
        self.send_response(answer.status)
        self.send_header("Content-Type", f"{answer.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(packed)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(packed)
        self.wfile.flush()

    def version_string(self) -> str:
        """What the Server header says."""
        return "trayport-sandbox"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what was asked is in ``Sandbox.asked``."""


def _squeezed(body: bytes, accepted: str | None) -> tuple[str | None, bytes]:
    """The body in the encoding that the client likes best; Brotli if it does not say (guide p. 38)."""
    if len(body) < _WORTH_SQUEEZING and accepted is not None:
        return None, body
    for offer in ["br"] if accepted is None else liked(accepted):
        if offer == "identity":
            return None, body
        if offer == "br":
            import brotli

            return "br", brotli.compress(body, quality=1)
        if offer == "gzip":
            return "gzip", gzip.compress(body, 1, mtime=0)
        if offer == "deflate":
            return "deflate", zlib.compress(body, 1)
    return None, body


def liked(accepted: str) -> list[str]:
    """The names in a header that states likings, best first, without those that it forbids."""
    offers = []
    for part in accepted.lower().split(","):
        name, _, options = part.partition(";")
        quality = re.search(r"q=([0-9.]+)", options)
        try:
            offers.append((float(quality[1]) if quality else 1.0, name.strip()))
        except ValueError:
            continue
    return [name for quality, name in sorted(offers, key=lambda offer: -offer[0]) if quality > 0]
