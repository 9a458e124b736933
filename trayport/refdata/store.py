"""Documents of the Reference Data API: from memory, else from disk, else from the API, and once a day at most."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from attrs import define, field, frozen

from .._parallel import acquired
from ..errors import DecodeError, TrayportError, TrayportWarning
from .cache import Cache, CacheEntry

__all__ = ["Store"]

T = TypeVar("T")

# Names change rarely; a day is what users' own scripts keep them for.
_FRESH = 86_400.0
# After how long a failed renewal is tried again.
_AGAIN = 3_600.0


@frozen
class _Loaded:
    """A parsed document in memory, and when it was fetched."""

    value: Any
    stored: float


@define(eq=False)
class Store:
    """Parsed documents by name, shared with other processes by ``cache``; threads that ask at once fetch once."""

    cache: Cache
    place: str
    """The URL of the API: what one says is not true of another."""
    clock: Callable[[], float] = time.time
    _memory: dict[str, _Loaded] = field(factory=dict, init=False, repr=False)
    _locks: dict[str, threading.Lock] = field(factory=dict, init=False, repr=False)
    _not_before: float = field(default=float("-inf"), init=False)

    def load(
        self,
        name: str,
        fetch: Callable[[], Any],
        parse: Callable[[Any], T],
        fits: Callable[[T], bool] = lambda value: True,
    ) -> T:
        """The document ``name``, parsed; fetched where it is not known, too old, or does not fit.

        An old one that fits goes on answering, with a ``TrayportWarning``, while the API does not.
        """
        loaded = self._memory.get(name)
        if not self._serves(loaded, fits):
            with acquired(self._locks.setdefault(name, threading.Lock())):
                loaded = self._memory.get(name)
                if not self._serves(loaded, fits):
                    loaded = self._memory[name] = self._from_disk_or_api(name, fetch, parse, fits)
        value: T = loaded.value  # type: ignore[union-attr]  # it serves, so it is
        return value

    def serves(self, name: str, fits: Callable[[Any], bool]) -> bool:
        """Is the document in memory, recent, and fitting?"""
        return self._serves(self._memory.get(name), fits)

    def renew(self, age: float) -> bool:
        """Fetch what is older than ``age`` seconds before it is used again; is anything in memory so old?"""
        self._not_before = max(self._not_before, self.clock() - age)
        return any(not self._is_fresh(loaded.stored) for loaded in list(self._memory.values()))

    def relent(self) -> None:
        """Take back ``renew``: what was good enough before it is so again."""
        self._not_before = float("-inf")

    def met(self, ending: str, parse: Callable[[Any], T]) -> Iterator[T]:
        """Every document whose name ends so, in memory or on disk, whatever its age."""
        known = {name: loaded.value for name, loaded in list(self._memory.items()) if name.endswith(ending)}
        yield from known.values()
        for shelf in self.cache.names():
            name = shelf.removeprefix(f"{self.place}/")
            if name != shelf and name.endswith(ending) and name not in known:
                kept = self.cache.get(shelf)
                if kept is not None and (value := _readable(kept, parse)) is not None:
                    yield value

    def forget(self, name: str) -> None:
        """Forget one document, on disk too."""
        self._memory.pop(name, None)
        self.cache.delete(self._shelf(name))

    def clear(self) -> None:
        """Forget every document, on disk too."""
        self._memory.clear()
        self.cache.clear()

    def _serves(self, loaded: _Loaded | None, fits: Callable[[T], bool]) -> bool:
        return loaded is not None and self._is_fresh(loaded.stored) and fits(loaded.value)

    def _from_disk_or_api(
        self, name: str, fetch: Callable[[], Any], parse: Callable[[Any], T], fits: Callable[[T], bool]
    ) -> _Loaded:
        kept = self.cache.get(self._shelf(name))
        old = _readable(kept, parse) if kept is not None else None
        usable = old is not None and fits(old)
        if kept is not None and usable and self._is_fresh(kept.stored_at):
            return _Loaded(old, kept.stored_at)
        try:
            document = fetch()
        except TrayportError as error:
            if not (usable and error.transient):
                raise
            return self._going_on(old, error)
        value = parse(document)
        return _Loaded(value, self.cache.set(self._shelf(name), document).stored_at)

    def _going_on(self, old: Any, error: TrayportError) -> _Loaded:
        warnings.warn(
            f"reference data cannot be renewed now ({error}); going on with the old ones", TrayportWarning, stacklevel=2
        )
        return _Loaded(old, max(self._not_before, self.clock() - _FRESH + _AGAIN))

    def _is_fresh(self, stored: float) -> bool:
        # A clock that was set back is no reason to keep something for ever, nor to fetch it for ever.
        now = self.clock()
        return max(min(self._not_before, now), now - _FRESH) <= stored <= now

    def _shelf(self, name: str) -> str:
        return f"{self.place}/{name}"


def _readable(kept: CacheEntry, parse: Callable[[Any], T]) -> T | None:
    """A kept document, parsed; None for damage that is JSON still, or another version's layout."""
    try:
        return parse(kept.document)
    except DecodeError:
        return None
