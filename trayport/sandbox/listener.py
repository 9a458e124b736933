"""The sandbox's ear: HTTP/1.1 on a loopback port, with connections that are kept, and the encodings."""

from __future__ import annotations

import gzip
import os
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from .. import _redact
from .payload import problem

if TYPE_CHECKING:
    from .fault_injection import Fault

logger = _redact.logger(__name__)

# Nothing is gained by squeezing less than a packet.
_WORTH_SQUEEZING = 1000
# So many bytes of a long answer are squeezed and sent together.
_WORTH_SENDING = 1 << 17
_LONGEST_LINE = 1 << 16
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_ENCODINGS = ("br", "gzip", "deflate", "identity")
# Seconds that a client has to finish what nobody reads.
_PATIENCE = 1.0
# Windows has two short numbers in it.
_LINGER = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)


@frozen
class HttpRequest:
    """What a client asks: the method and the target of its first line, and its headers by lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]


@define(eq=False)
class HttpResponse:
    """What goes back: a status, a body with what it is written in, headers of its own, and what befalls it.

    A long body may come in pieces, which are made while it is sent, once.
    """

    status: int
    body: bytes | Iterable[bytes] = field(repr=False)
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    """They stand for the listener's own of the same name, such as ``Date``."""
    fault: Fault | None = None
    grown: Callable[[HttpResponse], None] | None = field(default=None, init=False, repr=False)
    """Told whenever the answer remembers one more packed form of its body."""
    _forms: dict[str, bytes] = field(factory=dict, init=False, repr=False)

    @property
    def whole(self) -> bytes:
        """All of the body; one in pieces is made for it."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    @property
    def pieces(self) -> Iterable[bytes]:
        """The body, however it comes."""
        return (self.body,) if isinstance(self.body, bytes) else self.body

    @property
    def size(self) -> int:
        """The bytes of a whole body and of its packed forms."""
        return len(self.whole) + sum(map(len, list(self._forms.values())))

    def packed(self, encoding: str | None) -> bytes:
        """A whole body in an encoding, worked out once."""
        if encoding is None:
            return self.whole
        if encoding not in self._forms:
            self._forms[encoding] = _packed(self.whole, encoding)
            if self.grown is not None:
                self.grown(self)
        return self._forms[encoding]


def refusal(status: int, title: str, **more: Any) -> HttpResponse:
    """The answer to a request that breaks a rule, as problem details."""
    return HttpResponse(status, problem(status, title, **more), "application/problem+json")


class Listener(ThreadingHTTPServer):
    """A threading server that forgets no connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    # On Windows the option would let two servers share a port.
    allow_reuse_address = os.name != "nt"
    allow_reuse_port = False

    def __init__(
        self, port: int, answer: Callable[[HttpRequest], HttpResponse], usual: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        self.answer = answer
        self.usual = usual
        """The headers that every answer has, unless it says otherwise."""
        self.accepted = 0
        self._open: set[Any] = set()
        self._ended = threading.Event()
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
        if not isinstance(sys.exception(), OSError):
            logger.exception("the sandbox failed")

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        if seconds:
            self._ended.wait(seconds)

    def hang_up(self) -> None:
        """End every connection that is kept open."""
        self._ended.set()
        for request in list(self._open):
            with suppress(OSError):  # wakes the thread that reads from it, which then lets go of it itself
                request.shutdown(socket.SHUT_RDWR)


class _Unmade(Exception):
    """Whoever makes a long body failed in the middle of it."""


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1: connections are kept, answers leave in one packet where they fit."""

    server: Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    unread = False
    """May there be something from the client that nobody reads?"""

    def handle_one_request(self) -> None:
        """One request, whatever its method, and its answer."""
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
                self.close_connection = self.unread = True  # a body follows
            self._send(
                self.server.answer(HttpRequest(self.command, self.path, headers)), headers.get("accept-encoding")
            )

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request, in the words of the others."""
        self.close_connection = self.unread = True
        self._send(refusal(int(code), HTTPStatus(code).phrase), "identity")  # what it accepts may not have been read

    def _send(self, answer: HttpResponse, accepted: str | None) -> None:
        fault = answer.fault
        if fault is not None:
            self.server.pause(fault.delay)
        try:
            if fault is not None and fault.reset:
                self._reset()
            elif fault is not None and fault.spoils_body:
                self._send_spoilt(answer, fault, accepted)
            elif isinstance(answer.body, bytes):
                self._send_whole(answer, accepted)
            else:
                self._send_pieces(answer, answer.body, accepted)
        except _Unmade:
            logger.exception("the sandbox failed in the middle of %s", self.path)
            self.close_connection = True
            if not self._knows_chunks:  # the end of the connection would be taken for the end of the body
                self._reset()

    def _send_whole(self, answer: HttpResponse, accepted: str | None) -> None:
        encoding = _encoding_of(answer.whole, accepted)
        packed = answer.packed(encoding)
        self._write(self._head(answer, encoding, length=len(packed)), packed if self._has_body(answer) else b"")

    def _send_pieces(self, answer: HttpResponse, body: Iterable[bytes], accepted: str | None) -> None:
        """A long body while it is made: in chunks, or until the connection ends for those who know none."""
        self.close_connection |= not self._knows_chunks
        encoding = _encoding(accepted)
        with closing(_made(body)) as made:
            self.wfile.write(self._head(answer, encoding))
            if not self._has_body(answer):
                return
            for piece in _packed_pieces(made, encoding):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._knows_chunks else piece)
            if self._knows_chunks:
                self.wfile.write(b"0\r\n\r\n")

    def _send_spoilt(self, answer: HttpResponse, fault: Fault, accepted: str | None) -> None:
        """An answer with what befalls its body on the line, for which there has to be all of it."""
        whole = evolve(answer, body=b"".join(_made(answer.pieces)))
        encoding = _encoding(accepted) or "br" if fault.corrupt else _encoding_of(whole.whole, accepted)
        packed = whole.packed(encoding)
        if fault.corrupt and encoding:
            packed = _spoilt(packed, encoding)
        head = self._head(whole, encoding, length=max(0, len(packed) + (fault.length or 0)))
        share = 1.0 if fault.cut is None else fault.cut
        sent = packed[: int(len(packed) * share)] if self._has_body(whole) else b""
        half = len(sent) // 2
        self._write(head, sent[:half])
        self.server.pause(fault.stall)
        self.wfile.write(sent[half:])
        # Without a word in the head: whoever announces it does not lie.
        self.close_connection |= fault.cut is not None or fault.length is not None

    def _head(self, answer: HttpResponse, encoding: str | None, length: int | None = None) -> bytes:
        """The first line and the headers; a body without a length comes in chunks, or ends with the connection."""
        own = {
            "Server": "trayport-sandbox",
            "Date": dated(int(time.time())),
            "Content-Type": f"{answer.kind}; charset=utf-8",
        }
        if length is not None and answer.status not in BODILESS:
            own["Content-Length"] = str(length)
        elif length is None and self._knows_chunks:
            own["Transfer-Encoding"] = "chunked"
        if encoding:
            own["Content-Encoding"] = encoding
        if self.close_connection:
            own["Connection"] = "close"
        own.update(self.server.usual())
        if answer.headers:
            given = {name.lower() for name, _ in answer.headers}
            own = {name: value for name, value in own.items() if name.lower() not in given}
        fields = "".join(f"{name}: {value}\r\n" for name, value in (*own.items(), *answer.headers))
        return f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, '')}\r\n{fields}\r\n".encode("latin-1")

    @property
    def _knows_chunks(self) -> bool:
        return self.request_version >= "HTTP/1.1"

    def _has_body(self, answer: HttpResponse) -> bool:
        return self.command != "HEAD" and answer.status not in BODILESS

    def _write(self, head: bytes, body: bytes) -> None:
        """Both in one packet where they fit."""
        if len(body) < _WORTH_SENDING:
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection as a machine does that knows nothing of it."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.connection.close()

    def finish(self) -> None:
        """Let what is unread pass: closing before it has would reset the connection, and take the answer with it."""
        super().finish()
        if not self.unread:
            return
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_PATIENCE)
            end = time.monotonic() + _PATIENCE
            while self.connection.recv(_LONGEST_LINE) and time.monotonic() < end:
                pass

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what was asked is in ``Sandbox.asked``."""


@lru_cache(maxsize=2)
def dated(seconds: int) -> str:
    """A time as a Date header tells it."""
    return formatdate(seconds, usegmt=True)


def _made(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The pieces; an error in making one is told apart from errors in sending it."""
    try:
        yield from pieces
    except Exception as error:
        raise _Unmade from error


# --- encodings -------------------------------------------------------------------------------------------------------


def _packed(body: bytes, encoding: str) -> bytes:
    if encoding == "br":
        import brotli

        packed: bytes = brotli.compress(body, quality=1)
        return packed
    return gzip.compress(body, 1, mtime=0) if encoding == "gzip" else zlib.compress(body, 1)


def _packed_pieces(pieces: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """The pieces in an encoding, each of which can be unpacked as soon as it is there."""
    pack, end = _packer(encoding)
    for piece in gathered(pieces, _WORTH_SENDING):
        if packed := pack(piece):
            yield packed
    if rest := end():
        yield rest


def _packer(encoding: str | None) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """What packs a piece, and what ends the last one."""
    if encoding is None:
        return bytes, bytes
    if encoding == "br":
        import brotli

        compressor = brotli.Compressor(quality=1, lgwin=18)  # a window that many at once have room for
        return lambda piece: compressor.process(piece) + compressor.flush(), compressor.finish
    squeezer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    return lambda piece: squeezer.compress(piece) + squeezer.flush(zlib.Z_SYNC_FLUSH), squeezer.flush


def gathered(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in larger pieces: the first as it comes, and every other but the last of at least ``size``."""
    waiting: list[bytes] = []
    least, held = 1, 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece)
        if held >= least:
            yield b"".join(waiting)
            waiting, held, least = [], 0, size
    if held:
        yield b"".join(waiting)


def _spoilt(packed: bytes, encoding: str) -> bytes:
    """A packed body that nobody can unpack, which shows as late as it can."""
    spoilt = bytearray(packed)
    if encoding != "br":
        # Both end with a checksum, which gzip's length follows.
        spoilt[-5 if encoding == "gzip" else -1] ^= 0xFF
        return bytes(spoilt)
    # Brotli has none: not every wrong byte shows, and some only look like the end of a body that was cut.
    import brotli

    for place in (len(packed) // 2, len(packed) // 4, 1):
        spoilt = bytearray(packed)
        spoilt[place : place + 8] = b"\xff" * len(spoilt[place : place + 8])
        with suppress(brotli.error):
            brotli.Decompressor().process(bytes(spoilt))
            continue
        return bytes(spoilt)
    return b"\x11" + packed[1:]  # no stream begins with it (RFC 7932, 9.1)


def _encoding_of(body: bytes, accepted: str | None) -> str | None:
    """The encoding of a whole body."""
    return None if accepted is not None and len(body) < _WORTH_SQUEEZING else _encoding(accepted)


@lru_cache(maxsize=64)
def _encoding(accepted: str | None) -> str | None:
    """The encoding that the client likes best, None for none; Brotli if it does not say (guide p. 38)."""
    offers = ["br"] if accepted is None else liked(accepted)
    best = next((offer for offer in offers if offer in _ENCODINGS), "identity")
    return None if best == "identity" else best


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
