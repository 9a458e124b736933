"""The body of an answer: unpacked as it comes, no larger than it may be, and whole when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import requests
from attrs import define, field
from urllib3.exceptions import ProtocolError

from .._parallel import raise_if_cancelled

__all__ = ["Body", "TooLarge", "is_framed"]

# What urllib3 unpacks at once; of larger pieces each needs memory that the system has to clear first.
_CHUNK = 1 << 18
# JSON of nothing but empty books packs a hundred times; what packs more is made to fill memory.
_RATIO = 200
_SMALL = 16
"""The part of ``max_body`` that any answer may have, however it was packed."""


class TooLarge(Exception):
    """An answer that is not taken; its text says how large it is."""


@define(eq=False)
class Body:
    """The pieces of a body, unpacked, each as soon as it is there.

    Iterating raises ``TooLarge`` as soon as it is, ``Cancelled`` when ``stop`` is set, and urllib3's errors if it was
    cut or spoiled on its way: what ends has come whole.
    """

    raw: Any
    """urllib3's response; of requests' nothing is kept, since that holds the request, and that the key."""
    framed: bool
    """Does HTTP itself say where the answer ends? Without, the end of the connection does, and may come too early."""
    csv: bool
    most: int
    stop: threading.Event
    clock: Callable[[], float]
    size: int = field(default=0, init=False)
    """How many bytes there were so far."""
    seconds: float = field(default=0.0, init=False)
    """How long it took to wait for them, and to unpack them."""
    fault: Exception | None = field(default=None, init=False)
    """What kept the rest from coming."""
    _ended: bool = field(default=False, init=False)
    _first: bytes = field(default=b"", init=False)
    _last: bytes = field(default=b"", init=False)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._next():
            yield piece

    def drain(self) -> None:
        """Take what is left: only then is it known whether all of it was sound."""
        while self._next():
            pass

    def _next(self) -> bytes:
        began = self.clock()
        try:
            return b"" if self._ended else self._taken()
        except Exception as error:
            self.fault = error
            raise
        finally:
            self.seconds += self.clock() - began

    def _taken(self) -> bytes:
        raw = self.raw
        piece: bytes = raw.read1(_CHUNK, decode_content=True)  # as much as there is, so that `stop` is heard
        if not piece:
            self._check_end(raw)
            self._ended = True
            return b""
        raise_if_cancelled(self.stop)
        self.size += len(piece)
        _refuse_large(self.size, raw.tell(), self.most)
        self._first = self._first or piece.lstrip()[:1]
        self._last = piece[-1:] if self.csv else piece.rstrip()[-1:] or self._last
        return piece

    def _check_end(self, raw: Any) -> None:
        if _unfinished(raw):  # urllib3 takes what it could unpack for all
            raise ProtocolError("the answer's encoding breaks off")
        if not self.size:  # no answer is empty; an encoded one that was cut to nothing looks so
            raise ProtocolError("the answer was empty")
        if not self.framed and not self._is_closed():
            raise ProtocolError("the answer breaks off")

    def _is_closed(self) -> bool:
        """Does a list, an object or a line that was begun come to its end?"""
        if self.csv:
            return self._last == b"\n"
        return (self._first, self._last) in ((b"[", b"]"), (b"{", b"}"))


def _refuse_large(size: int, came: int, most: int) -> None:
    ratio = size / max(came, 1)
    if size <= most and (size <= most // _SMALL or ratio <= _RATIO):
        return
    raise TooLarge(
        f"it unpacks to more than {size:,} bytes, {ratio:,.0f} times the {came:,} that came, and max_body={most:,} is "
        f"the most that is taken, from {most // _SMALL:,} on no more than {_RATIO} times what came; ask for less at "
        f"once, or raise it, as in trayport.configure(max_body={_enough(size)})"
    )


def _enough(size: int) -> str:
    """A round number that lets a body of this size pass, whatever it was packed to."""
    return f"{2 ** (size * _SMALL - 1).bit_length():_}"


def _unfinished(raw: Any) -> bool:
    """Is the end of a compressed answer missing? Decoders of several encodings in a row are not looked into."""
    decoder: Any = getattr(getattr(raw, "_decoder", None), "_obj", None)
    if hasattr(decoder, "is_finished"):  # Brotli's
        return not decoder.is_finished()
    return not getattr(decoder, "eof", True)


def is_framed(response: requests.Response) -> bool:
    """Does HTTP itself say where the answer ends?"""
    return "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
