"""Slices of a long JSON array, decoded while it arrives, with little memory and short pauses of other threads."""

from __future__ import annotations

import codecs
import os
import re
import threading
import time
from collections.abc import Callable, Iterator

from attrs import define, field

__all__ = ["SLICE_SIZE", "JsonSlicer"]

SLICE_SIZE = 1 << 19
"""Slice size in bytes. Smaller slices add per-slice overhead, larger ones raise peak memory."""

# Seconds to pause after each slice. While Arrow packs cells it releases the interpreter lock so briefly that a waiting
# thread neither gets the lock nor requests it (130 ms were measured); the pause gives that thread the time to wake up.
_PAUSE = 1e-6

# One slice of all responses at a time: the interpreter cannot decode two at once, and a decoded slice takes several
# times its bytes.
_decoding = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where the thread that held it does not exist."""
    global _decoding
    _decoding = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

_OPENING = re.compile(rb'\s*+\[\s*+\{\s*+("[^"\\]++")\s*+:')


@define(eq=False)
class JsonSlicer:
    """Cuts a JSON text that arrives in pieces into slices, and buffers little more than the current slice.

    A cut is guessed where an element seems to begin with the same key as the first one, and proved by decoding: a text
    that ends before a comma and is closed by a bracket is only JSON if the comma is between two elements of the array.
    If decoding fails, the slice is extended. A text that is not an array of objects is one slice.
    """

    pieces: Iterator[bytes | memoryview]
    size: int = SLICE_SIZE
    buffer: bytearray = field(factory=bytearray, init=False)
    """The text that is not decoded yet; after a cut, a bracket replaces the comma at its beginning."""
    offset: int = field(default=0, init=False)
    """The number of bytes before the buffer."""
    _exhausted: bool = field(default=False, init=False)
    _border: re.Pattern[bytes] | None = field(default=None, init=False)

    def feed_to(self, read: Callable[[bytes], None]) -> None:
        """Call ``read`` with each slice, a complete JSON text, in order.

        ``read`` may raise the errors of msgspec: a wrong type is raised at once, malformed JSON as soon as no other
        cut can explain it.
        """
        self._fill(len(codecs.BOM_UTF8))
        self._drop(len(codecs.BOM_UTF8) if self.buffer.startswith(codecs.BOM_UTF8) else 0)
        minimum = self.size
        while True:
            self._fill(2 * minimum)
            cut = self._find_cut(minimum)
            if cut is None and self._exhausted:
                break
            if cut is None or not self._try(cut, read):
                minimum *= 2
                continue
            if threading.active_count() > 1:
                time.sleep(_PAUSE)
            self._drop(cut)
            self.buffer[:1] = b"["
            minimum = self.size
        with _decoding:
            read(bytes(self.buffer))

    def _fill(self, size: int) -> None:
        """Buffer at least ``size`` bytes, or all that are left."""
        while len(self.buffer) < size and not self._exhausted:
            piece = next(self.pieces, None)
            self._exhausted = piece is None
            self.buffer += piece or b""

    def _drop(self, count: int) -> None:
        del self.buffer[:count]
        self.offset += count

    def _find_cut(self, minimum: int) -> int | None:
        """Return the position of the first comma from ``minimum`` on that seems to be between two elements."""
        if self._border is None:
            opening = _OPENING.match(self.buffer)
            if opening is None:
                return None
            self._border = re.compile(rb"\}\s*+(,)\s*+\{\s*+" + re.escape(opening[1]) + rb"\s*+:")
        border = self._border.search(self.buffer, minimum)
        return border.start(1) if border else None

    def _try(self, cut: int, read: Callable[[bytes], None]) -> bool:
        """Call ``read`` with the text before the comma, closed by a bracket; return False if it is not JSON."""
        import msgspec

        with memoryview(self.buffer) as view:
            closed = b"".join((view[:cut], b"]"))
        try:
            with _decoding:
                read(closed)
        except msgspec.ValidationError:  # the bytes before the bracket cause it, so that no longer slice mends it
            raise
        except msgspec.DecodeError:
            return False
        return True
