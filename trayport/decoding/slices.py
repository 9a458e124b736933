"""A long JSON array, read a slice of whole elements at a time, so that memory and other threads see little of it."""

from __future__ import annotations

import codecs
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from attrs import define, field

__all__ = ["SIZE", "Text", "pieces_of"]

SIZE = 1 << 19
"""Bytes of a slice: with fewer the work around each shows, with more so does the memory of what it becomes."""

# Arrow, which packs the cells, lets go of the interpreter so often and for so short that a thread which waits for it
# neither gets it nor comes to demand it (130 ms were measured); so each slice leaves it the time to wake up.
_MOMENT = 1e-6

# One slice of all answers at a time: the interpreter reads no two at once anyway, and what becomes of one takes several
# times its bytes.
_turn = threading.Lock()


def _begin_anew() -> None:
    """In a forked child: whose turn it was at the fork, there is no such thread."""
    global _turn
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)

_OPENING = re.compile(rb'\s*+\[\s*+\{\s*+("[^"\\]++")\s*+:')


def pieces_of(payload: bytes, size: int) -> Iterator[memoryview]:
    """A whole answer as if it came in pieces of ``size`` bytes."""
    view = memoryview(payload)
    return (view[at : at + size] for at in range(0, len(view), size))


@define(eq=False)
class Text:
    """A JSON text that comes in pieces, of which no more is held than the slice that is read.

    A cut is guessed where an element seems to begin with the same key as the first, and proved by reading: only between
    two elements of the array can it be cut so that what stands before, closed by a bracket, is JSON. Where that fails,
    more is read at once; a text that is no array of objects is one slice.
    """

    pieces: Iterator[bytes | memoryview]
    size: int = SIZE
    held: bytearray = field(factory=bytearray, init=False)
    """What is left to read; after a cut, the comma at its front is a bracket."""
    gone: int = field(default=0, init=False)
    """How many bytes stood before it."""
    _ended: bool = field(default=False, init=False)
    _border: re.Pattern[bytes] | None = field(default=None, init=False)

    @classmethod
    def of(cls, pieces: Iterable[bytes | memoryview], size: int = SIZE) -> Text:
        """The text in ``pieces``, cut into slices of about ``size`` bytes."""
        return cls(iter(pieces), max(size, 1))

    def each(self, read: Callable[[bytes], None]) -> None:
        """Have ``read`` read each slice, a JSON text of its own, in order.

        ``read`` raises msgspec's errors: that of a wrong type is raised at once, that of a broken text as soon as no
        other cut can explain it.
        """
        self._fill(len(codecs.BOM_UTF8))
        self._drop(len(codecs.BOM_UTF8) if self.held.startswith(codecs.BOM_UTF8) else 0)
        least = self.size
        while True:
            self._fill(2 * least)
            cut = self._cut(least)
            if cut is None and self._ended:
                break
            if cut is None or not self._is_read(cut, read):
                least *= 2
                continue
            if threading.active_count() > 1:
                time.sleep(_MOMENT)
            self._drop(cut)
            self.held[:1] = b"["
            least = self.size
        with _turn:
            read(bytes(self.held))

    def _fill(self, size: int) -> None:
        """Hold so many bytes, or all that are left."""
        while len(self.held) < size and not self._ended:
            piece = next(self.pieces, None)
            self._ended = piece is None
            self.held += piece or b""

    def _drop(self, count: int) -> None:
        del self.held[:count]
        self.gone += count

    def _cut(self, least: int) -> int | None:
        """Where the first comma stands, from ``least`` on, that seems to be between two elements."""
        if self._border is None:
            opening = _OPENING.match(self.held)
            if opening is None:
                return None
            self._border = re.compile(rb"\}\s*+(,)\s*+\{\s*+" + re.escape(opening[1]) + rb"\s*+:")
        border = self._border.search(self.held, least)
        return border.start(1) if border else None

    def _is_read(self, cut: int, read: Callable[[bytes], None]) -> bool:
        """Have what is before the comma read, closed by a bracket; False if that is no JSON."""
        import msgspec

        with memoryview(self.held) as view:
            closed = b"".join((view[:cut], b"]"))
        try:
            with _turn:
                read(closed)
        except msgspec.ValidationError:  # it comes of the bytes before the bracket
            raise
        except msgspec.DecodeError:
            return False
        return True
