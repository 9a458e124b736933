"""Responses of the API: a body that is checked while it arrives, or an error."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pandas as pd
import requests
import urllib3
from attrs import define, field
from urllib3.exceptions import ProtocolError

from .._parallel import CancelToken, raise_if_cancelled
from ..config import Secret
from ..endpoints import Request
from ..errors import (
    APIError,
    BadRequest,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    RateLimited,
    ServerError,
    TransportError,
)
from ..wire import entitlement_params, error_detail
from .retries import AttemptResult, Call

__all__ = ["MAX_DETAIL", "entitlement_of", "read_response", "without_key"]

# Bytes to decompress at a time; for larger pieces the system has to clear new memory each time.
_CHUNK = 1 << 18
# JSON of empty books compresses about 100 times. A much higher ratio marks a body that was made to fill the memory.
_MAX_RATIO = 200
# A body below ``max_body`` / 16 may have any ratio.
_ANY_RATIO_BELOW = 16

MAX_DETAIL = 300
"""Characters of the server's own words in an error."""
_MAX_ERROR_BODY = 1 << 16

_ERRORS: dict[int, type[APIError]] = {400: BadRequest, 401: NotAllowed, 404: NotFound}


class TooLarge(Exception):
    """A body that exceeds ``Config.max_body`` or the compression ratio."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.remedy = remedy


@define(eq=False)
class Body:
    """Iterator over the pieces of a body, each decompressed as soon as it arrives.

    Iterating raises ``TooLarge`` as soon as a limit is exceeded, ``Cancelled`` when ``cancel`` is set, and urllib3's
    errors if the body is cut or corrupt. If the iteration ends, the body arrived whole.
    """

    raw: Any
    """urllib3's response. That of requests is not kept, since it holds the request and so the key."""
    is_framed: bool
    """True if the headers show where the body ends; otherwise it ends with the connection, perhaps too early."""
    csv: bool
    max_size: int
    cancel: CancelToken
    clock: Callable[[], float]
    size: int = field(default=0, init=False)
    """Number of bytes so far, decompressed."""
    seconds: float = field(default=0.0, init=False)
    """Time spent on waiting for the pieces and decompressing them."""
    error: Exception | None = field(default=None, init=False)
    """The exception that ended the iteration early."""
    _is_complete: bool = field(default=False, init=False)
    _first: bytes = field(default=b"", init=False)
    _last: bytes = field(default=b"", init=False)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._next():
            yield piece

    def drain(self) -> None:
        """Read the rest: only at its end is it known whether the body is intact."""
        while self._next():
            pass

    def _next(self) -> bytes:
        if self._is_complete:
            return b""
        started = self.clock()
        try:
            # Returns as soon as there are any bytes, so that ``cancel`` is checked often.
            piece: bytes = self.raw.read1(_CHUNK, decode_content=True)
            if not piece:
                self._check_end()
                self._is_complete = True
                return b""
            raise_if_cancelled(self.cancel)
            self.size += len(piece)
            self._check_size()
            self._first = self._first or piece.lstrip()[:1]
            self._last = piece[-1:] if self.csv else piece.rstrip()[-1:] or self._last
            return piece
        except Exception as error:
            self.error = error
            raise
        finally:
            self.seconds += self.clock() - started

    def _check_size(self) -> None:
        size, received, limit = self.size, self.raw.tell(), self.max_size
        ratio = size / max(received, 1)
        if size <= limit and (size <= limit // _ANY_RATIO_BELOW or ratio <= _MAX_RATIO):
            return
        enough = 2 ** (size * _ANY_RATIO_BELOW - 1).bit_length()  # a round number that lets a body of this size pass
        raise TooLarge(
            f"the body decompresses to more than {size:,} bytes, {ratio:,.0f} times the {received:,} bytes received; "
            f"max_body={limit:,} is the limit in bytes, and bodies of {limit // _ANY_RATIO_BELOW:,} bytes and more may "
            f"have at most {_MAX_RATIO} times the size received",
            f"request less at once, or raise the limit: trayport.configure(max_body={enough:_})",
        )

    def _check_end(self) -> None:
        # urllib3 takes an incomplete compressed body for a complete one. Decoders of several encodings in a row are
        # not checked. Brotli's decoder has ``is_finished``, the others have ``eof``.
        decoder: Any = getattr(getattr(self.raw, "_decoder", None), "_obj", None)
        finished = decoder.is_finished() if hasattr(decoder, "is_finished") else getattr(decoder, "eof", True)
        if not finished:
            raise ProtocolError("the compressed body is incomplete")
        if not self.size:  # no body of the API is empty; a compressed one that was cut at the beginning looks so
            raise ProtocolError("the body is empty")
        ends = (self._first, self._last)
        closed = self._last == b"\n" if self.csv else ends in ((b"[", b"]"), (b"{", b"}"))
        if not self.is_framed and not closed:
            raise ProtocolError("the body is incomplete")


def read_response(
    call: Call, response: requests.Response, key: Secret, today: pd.Timestamp, clock: Callable[[], float]
) -> AttemptResult:
    """Return the result of an attempt from its response; raise if the body does not arrive whole."""
    if response.raw.closed:  # an adapter of the user's has read the body, such as to record it
        response.raw = urllib3.HTTPResponse(io.BytesIO(response.content), preload_content=False)
    raw: Any = response.raw
    headers, status = response.headers, response.status_code
    if status != 200:
        error, text = _read_error(call.request, response, key, today)
        return AttemptResult(status, text, error, headers.get("Retry-After"), raw.tell(), len(text))
    is_framed = "Content-Length" in headers or "chunked" in headers.get("Transfer-Encoding", "").lower()
    body = Body(raw, is_framed, call.request.csv, call.config.max_body, call.cancel, clock)
    started = clock()
    value, decode_error = None, None
    try:
        value = call.read(body)
    except Exception as caught:
        # Without the frame of this function and those above, which hold the request and so the key.
        decode_error = caught.with_traceback(caught.__traceback__ and caught.__traceback__.tb_next)
    if body.error is None:
        with suppress(Exception):  # it is ``body.error``
            body.drain()
    if isinstance(body.error, TooLarge):
        too_large = TransportError(call.endpoint, call.attempts, str(body.error), remedy=body.error.remedy)
        return AttemptResult(200, error=too_large, bytes_received=raw.tell())
    if body.error is not None:
        raise body.error
    return AttemptResult(
        200,
        value,
        bytes_received=raw.tell(),
        bytes_decoded=body.size,
        decode_error=decode_error,
        decode_seconds=clock() - started - body.seconds,
    )


def _read_error(
    request: Request, response: requests.Response, key: Secret, today: pd.Timestamp
) -> tuple[APIError, bytes]:
    """Return the error for a status other than 200, without the key, and the beginning of the body."""
    try:
        body = bytes(response.raw.read(_MAX_ERROR_BODY, decode_content=True))
    except urllib3.exceptions.HTTPError:
        body = b""  # the status is enough
    # The key is removed twice, since a key that JSON spells with escapes shows only after parsing.
    text = body[: _MAX_ERROR_BODY - len(key.reveal())].decode("utf-8", "replace")
    detail = without_key(error_detail(without_key(text, key)), key)[:MAX_DETAIL]
    name, status = request.endpoint.name, response.status_code
    if status in (301, 302, 303, 307, 308):
        host = without_key(_host(response.headers.get("Location", "")), key)
        detail = f"redirects to {host}, which is not followed: the key would be sent there"
        return APIError(name, status, detail), body
    if status == 401 and request.until is not None and request.until > today:
        return IntradayNotAllowed(name, status, detail), body
    if status in (403, 429):
        return RateLimited(name, status, detail, retry_after=_seconds(response.headers.get("Retry-After"))), body
    kind = _ERRORS.get(status, ServerError if status >= 500 else APIError)
    return kind(name, status, detail), body


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header) if header else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _host(location: str) -> str:
    try:
        return urllib3.util.parse_url(location).host or "nowhere"
    except (ValueError, urllib3.exceptions.HTTPError):
        return "a place that is no URL"


def entitlement_of(request: Request) -> tuple[object, ...]:
    """Return the entitlement that a request needs: the endpoint, the product, and the parameters that need one."""
    return request.endpoint.name, request.ids, entitlement_params(request.params)


def without_key(text: str, key: Secret) -> str:
    """Return a text with the key replaced by ``***``, in upper or lower case."""
    return re.sub(re.escape(key.reveal()), "***", text, flags=re.IGNORECASE)
