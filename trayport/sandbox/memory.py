"""Answers that were given before, up to so many bytes of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from functools import partial

from attrs import evolve, frozen

from .listener import HttpResponse

# A short answer weighs little more than what keeps it.
_BESIDES = 1000


@frozen
class _Kept:
    answer: HttpResponse
    weight: int


class Memory:
    """Keeps answers by key, at most ``most`` bytes of them; the least recently used are forgotten first.

    What is counted is their bodies, their bodies' packed forms, their keys, and a little for each. An answer that
    weighs more than half of ``most`` is not kept.
    """

    def __init__(self, most: int) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ValueError(f"most={most!r} is not a number of bytes; 0 keeps nothing, 64 << 20 keeps 64 MiB")
        self._most = most
        self._held = 0
        self._passing = 0
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held(self) -> int:
        """The bytes that it holds, with those of long answers that are still being sent."""
        return self._held

    def get(self, key: Hashable) -> HttpResponse | None:
        """The answer that was kept for a key, if it still is."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept.answer

    def keep(self, key: Hashable, answer: HttpResponse) -> HttpResponse:
        """Keep an answer; what is returned is to be sent, since one in pieces is kept once all of it was made."""
        if answer.fault is not None:
            return answer
        if not isinstance(answer.body, bytes):
            return evolve(answer, body=self._watched(key, answer, answer.body))
        answer.grown = partial(self._weigh, key)
        with self._lock:
            self._put(key, answer)
        return answer

    def _watched(self, key: Hashable, answer: HttpResponse, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces; they are held while they pass, as long as they may become an answer that is kept."""
        body: list[bytes] = []
        held = True
        try:
            for piece in pieces:
                if held:
                    held = self._hold(len(piece), sum(map(len, body)))
                    if held:
                        body.append(piece)
                    else:
                        self._let_pass(body)
                yield piece
            if held:
                whole = evolve(answer, body=b"".join(body))
                self._let_pass(body)
                self.keep(key, whole)
        finally:
            self._let_pass(body)

    def _hold(self, more: int, already: int) -> bool:
        """Take note of more bytes of an answer in the making, if there is room for them."""
        with self._lock:
            fits = already + more <= self._most // 2 and self._makes_room(more)
            if fits:
                self._held += more
                self._passing += more
        return fits

    def _let_pass(self, body: list[bytes]) -> None:
        size = sum(map(len, body))
        with self._lock:
            self._held -= size
            self._passing -= size
        body.clear()

    def _weigh(self, key: Hashable, answer: HttpResponse) -> None:
        """An answer has grown; it may have been forgotten since."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.answer is answer:
                self._put(key, answer)

    def _put(self, key: Hashable, answer: HttpResponse) -> None:
        if key in self._kept:
            self._held -= self._kept.pop(key).weight
        weight = answer.size + _size(key) + _BESIDES
        if weight <= self._most // 2 and self._makes_room(weight):
            self._kept[key] = _Kept(answer, weight)
            self._held += weight

    def _makes_room(self, size: int) -> bool:
        """Forget what was not used for longest, unless that would not do."""
        if self._passing + size > self._most:
            return False
        while self._held + size > self._most:
            _, forgotten = self._kept.popitem(last=False)
            self._held -= forgotten.weight
        return True


def _size(key: object) -> int:
    """How many bytes a key takes, about."""
    if isinstance(key, tuple):
        return 56 + sum(8 + _size(part) for part in key)
    return 50 + len(key) if isinstance(key, str) else 100
