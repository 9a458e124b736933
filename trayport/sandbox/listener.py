"""An HTTP/1.1 server on a loopback port: persistent connections, compression, chunked bodies, and faults on the wire.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing, suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from .. import _redact
from .compression import choose_encoding, choose_encoding_of, compress, compress_pieces, corrupt
from .payload import problem

if TYPE_CHECKING:
    from .fault_injection import Fault

logger = _redact.logger(__name__)

# A head and a body up to this size leave in one packet or a few; a larger body is not copied behind its head.
_LARGEST_COPIED = 1 << 17
_LONGEST_LINE = 1 << 16
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
# Seconds for which unread bytes of a client are discarded before its connection is closed.
_DRAIN_SECONDS = 1.0
# SO_LINGER with a timeout of 0, so that closing resets the connection; Windows uses two short integers.
_RESET_ON_CLOSE = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)


@frozen
class HttpRequest:
    """A request: the method and the target of its first line, and its headers by lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]


@define(eq=False)
class HttpResponse:
    """A response: status, body with its content type, additional headers, and a fault to inject while it is sent.

    A long body may be an iterable of pieces, which are made while they are sent, once.
    """

    status: int
    body: bytes | Iterable[bytes] = field(repr=False)
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    """They replace the listener's own headers of the same name, such as ``Date``."""
    fault: Fault | None = None

    @property
    def whole(self) -> bytes:
        """The whole body; pieces are consumed and joined."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    @property
    def pieces(self) -> Iterable[bytes]:
        """The body as an iterable of pieces, one for a whole body."""
        return (self.body,) if isinstance(self.body, bytes) else self.body


def refusal(status: int, title: str, **more: Any) -> HttpResponse:
    """Return the response to a request that breaks a rule, as problem details (RFC 9457)."""
    return HttpResponse(status, problem(status, title, **more), "application/problem+json")


class Listener(ThreadingHTTPServer):
    """A threading HTTP server that keeps track of its open connections.

    Parameters
    ----------
    port : int
        The port to listen on; 0 for any free one.
    respond : callable
        Returns the response to a request.
    common_headers : callable, default dict
        Returns the headers of every response; a response's own headers of the same name replace them.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    # On Windows this option would let two servers listen on one port.
    allow_reuse_address = os.name != "nt"
    allow_reuse_port = False

    def __init__(
        self,
        port: int,
        respond: Callable[[HttpRequest], HttpResponse],
        common_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.respond = respond
        self.common_headers = common_headers
        self.accepted = 0
        self._open: set[Any] = set()
        self._closing = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def open(self) -> int:
        """Number of connections that are open now."""
        return len(self._open)

    def server_bind(self) -> None:
        """Bind without looking up the computer's host name, which takes seconds where there is no network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a new connection, and serve it."""
        self.accepted += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log errors of the sandbox; a client that closes its connection is normal."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("the sandbox failed")

    def pause(self, seconds: float) -> None:
        """Wait; closing the server ends the wait."""
        if seconds:
            self._closing.wait(seconds)

    def close_connections(self) -> None:
        """Close every open connection."""
        self._closing.set()
        for request in list(self._open):
            with suppress(OSError):  # wakes the thread that reads from the socket, which then closes it
                request.shutdown(socket.SHUT_RDWR)


class _BodyFailed(Exception):
    """Making a long body failed after its head was sent."""


class _Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    server: Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    has_unread = False
    """True if the client may have sent bytes that were not read."""

    def handle_one_request(self) -> None:
        """Read one request of any method and send its response."""
        self.raw_requestline = self.rfile.readline(_LONGEST_LINE + 1)
        if not self.raw_requestline:
            self.close_connection = True
        elif len(self.raw_requestline) > _LONGEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.parse_request():
            headers: dict[str, str] = {}
            for name, value in self.headers.items():
                before = f"{headers[name.lower()]}, " if name.lower() in headers else ""
                headers[name.lower()] = before + value.strip()
            if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                self.close_connection = self.has_unread = True  # the request has a body, which is not read
            request = HttpRequest(self.command, self.path, headers)
            self._send(self.server.respond(request), headers.get("accept-encoding"))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send an error that the base class found, as problem details like all others."""
        self.close_connection = self.has_unread = True
        # The request's own Accept-Encoding may not have been read.
        self._send(refusal(int(code), HTTPStatus(code).phrase), "identity")

    def _send(self, response: HttpResponse, accepted: str | None) -> None:
        fault = response.fault
        if fault is not None:
            self.server.pause(fault.delay)
        try:
            if fault is not None and fault.reset:
                self._reset()
            elif fault is not None and fault.alters_body:
                self._send_with_fault(response, fault, accepted)
            elif isinstance(response.body, bytes):
                encoding = choose_encoding_of(response.body, accepted)
                body = compress(response.body, encoding)
                head = self._head(response, encoding, length=len(body))
                self._write(head, body if self._has_body(response) else b"")
            else:
                self._send_pieces(response, response.body, accepted)
        except _BodyFailed:
            logger.exception("the sandbox failed in the middle of %s", self.path)
            self.close_connection = True
            if not self._supports_chunks:  # closing normally would look like the end of the body
                self._reset()

    def _send_pieces(self, response: HttpResponse, body: Iterable[bytes], accepted: str | None) -> None:
        """Send a long body while it is made: in chunks, or for HTTP/1.0 until the connection is closed."""
        self.close_connection |= not self._supports_chunks
        encoding = choose_encoding(accepted)
        with closing(_guarded(body)) as pieces:
            self.wfile.write(self._head(response, encoding))
            if not self._has_body(response):
                return
            for piece in compress_pieces(pieces, encoding):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._supports_chunks else piece)
            if self._supports_chunks:
                self.wfile.write(b"0\r\n\r\n")

    def _send_with_fault(self, response: HttpResponse, fault: Fault, accepted: str | None) -> None:
        """Send a whole body with a fault in it: stalled, cut, corrupt, or with a wrong length."""
        body = b"".join(_guarded(response.pieces))
        encoding = choose_encoding(accepted) or "br" if fault.corrupt else choose_encoding_of(body, accepted)
        body = compress(body, encoding)
        if fault.corrupt and encoding:
            body = corrupt(body, encoding)
        head = self._head(response, encoding, length=max(0, len(body) + (fault.length or 0)))
        share = 1.0 if fault.cut is None else fault.cut
        sent = body[: int(len(body) * share)] if self._has_body(response) else b""
        half = len(sent) // 2
        self._write(head, sent[:half])
        self.server.pause(fault.stall)
        self.wfile.write(sent[half:])
        # The head does not announce that the connection is closed, as with a real failure.
        self.close_connection |= fault.cut is not None or fault.length is not None

    def _head(self, response: HttpResponse, encoding: str | None, length: int | None = None) -> bytes:
        """Return the status line and the headers; without a length the body is chunked or ends with the connection."""
        own = {
            "Server": "trayport-sandbox",
            "Date": http_date(int(time.time())),
            "Content-Type": f"{response.kind}; charset=utf-8",
        }
        if length is not None and response.status not in BODILESS:
            own["Content-Length"] = str(length)
        elif length is None and self._supports_chunks:
            own["Transfer-Encoding"] = "chunked"
        if encoding:
            own["Content-Encoding"] = encoding
        if self.close_connection:
            own["Connection"] = "close"
        own.update(self.server.common_headers())
        if response.headers:
            given = {name.lower() for name, _ in response.headers}
            own = {name: value for name, value in own.items() if name.lower() not in given}
        fields = "".join(f"{name}: {value}\r\n" for name, value in (*own.items(), *response.headers))
        return f"HTTP/1.1 {response.status} {_PHRASES.get(response.status, '')}\r\n{fields}\r\n".encode("latin-1")

    @property
    def _supports_chunks(self) -> bool:
        return self.request_version >= "HTTP/1.1"

    def _has_body(self, response: HttpResponse) -> bool:
        return self.command != "HEAD" and response.status not in BODILESS

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) < _LARGEST_COPIED:
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            self.wfile.write(body)

    def _reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.connection.close()

    def finish(self) -> None:
        """Discard unread bytes before the connection is closed.

        Closing a socket with unread bytes sends a reset, and the client would lose the response.
        """
        super().finish()
        if not self.has_unread:
            return
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_SECONDS)
            end = time.monotonic() + _DRAIN_SECONDS
            while self.connection.recv(_LONGEST_LINE) and time.monotonic() < end:
                pass

    def log_message(self, format: str, *args: Any) -> None:
        """Write no access log: the requests are in ``Sandbox.asked``."""


@lru_cache(maxsize=2)
def http_date(seconds: int) -> str:
    """Return a Unix time as a ``Date`` header."""
    return formatdate(seconds, usegmt=True)


def _guarded(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    """Yield the pieces; an error in making one becomes _BodyFailed, which differs from an error in sending it."""
    try:
        yield from pieces
    except Exception as error:
        raise _BodyFailed from error
