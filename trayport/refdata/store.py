"""Documents of the Reference Data API: from memory, else from the cache on disk, else from the API."""

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

# Names change rarely; users' own scripts keep them for a day.
_TTL = 86_400.0
# Seconds until a failed renewal of a stale document is repeated.
_RETRY_AFTER = 3_600.0


@frozen
class _Document:
    """A parsed document in memory, and the time at which it was stored."""

    value: Any
    stored_at: float


@define(eq=False)
class Store:
    """Parsed documents by name.

    Other processes share the documents through ``cache``. Threads that ask for a document at once fetch it once.
    ``namespace`` is the API's URL and a digest of the key: the documents of one are not valid for another.
    """

    cache: Cache
    namespace: str
    clock: Callable[[], float] = time.time
    _memory: dict[str, _Document] = field(factory=dict, init=False, repr=False)
    _locks: dict[str, threading.Lock] = field(factory=dict, init=False, repr=False)
    _valid_from: float = field(default=float("-inf"), init=False)
    """Documents that were stored before this time are stale at any age."""

    def get(
        self,
        name: str,
        fetch: Callable[[], Any],
        parse: Callable[[Any], T],
        is_sufficient: Callable[[T], bool] = lambda value: True,
    ) -> T:
        """Return the document of this name, parsed; fetch it if it is unknown, stale or not sufficient.

        While the API fails, a stale document that is sufficient is returned with a ``TrayportWarning``.
        """
        value = self.peek(name, is_sufficient)
        if value is None:
            with acquired(self._locks.setdefault(name, threading.Lock())):
                value = self.peek(name, is_sufficient)
                if value is None:
                    document = self._memory[name] = self._load(name, fetch, parse, is_sufficient)
                    value = document.value
        found: T = value
        return found

    def peek(self, name: str, is_sufficient: Callable[[Any], bool] = lambda value: True) -> Any:
        """Return the document of this name if it is in memory, fresh and sufficient; else None."""
        document = self._memory.get(name)
        if document is not None and self._is_fresh(document.stored_at) and is_sufficient(document.value):
            return document.value
        return None

    def expire(self, age: float) -> bool:
        """Make documents stale that are older than ``age`` seconds; return True if there is one in memory."""
        self._valid_from = max(self._valid_from, self.clock() - age)
        return any(not self._is_fresh(document.stored_at) for document in list(self._memory.values()))

    def undo_expire(self) -> None:
        """Make the documents fresh again that ``expire`` made stale."""
        self._valid_from = float("-inf")

    def cached(self, suffix: str, parse: Callable[[Any], T]) -> Iterator[T]:
        """Yield every document whose name ends with ``suffix``, from memory and disk, stale or not."""
        known = {name: document.value for name, document in list(self._memory.items()) if name.endswith(suffix)}
        yield from known.values()
        for key in self.cache.names():
            name = key.removeprefix(f"{self.namespace}/")
            if name != key and name.endswith(suffix) and name not in known:
                entry = self.cache.get(key)
                if entry is not None and (value := _parsed(entry, parse)) is not None:
                    yield value

    def invalidate(self, name: str) -> None:
        """Delete one document, on disk too."""
        self._memory.pop(name, None)
        self.cache.delete(self._key(name))

    def clear(self) -> None:
        """Delete all documents, on disk too."""
        self._memory.clear()
        self.cache.clear()

    def _load(
        self, name: str, fetch: Callable[[], Any], parse: Callable[[Any], T], is_sufficient: Callable[[T], bool]
    ) -> _Document:
        """Return the document from the disk or from the API."""
        entry = self.cache.get(self._key(name))
        old = _parsed(entry, parse) if entry is not None else None
        is_usable = old is not None and is_sufficient(old)
        if entry is not None and is_usable and self._is_fresh(entry.stored_at):
            return _Document(old, entry.stored_at)
        try:
            raw = fetch()
        except TrayportError as error:
            if not (is_usable and error.transient):
                raise
            warning = TrayportWarning(f"reference data cannot be renewed now ({error}), so stale ones are used")
            warnings.warn(warning, stacklevel=2)
            return _Document(old, max(self._valid_from, self.clock() - _TTL + _RETRY_AFTER))
        value = parse(raw)
        return _Document(value, self.cache.set(self._key(name), raw).stored_at)

    def _is_fresh(self, stored_at: float) -> bool:
        # A document from the future means that the clock was set back: it is stale, or it would never expire. The
        # limit is capped at now, or a document fetched now would be stale until the clock catches up.
        now = self.clock()
        return max(min(self._valid_from, now), now - _TTL) <= stored_at <= now

    def _key(self, name: str) -> str:
        return f"{self.namespace}/{name}"


def _parsed(entry: CacheEntry, parse: Callable[[Any], T]) -> T | None:
    """Return a cached document, parsed; None if it is valid JSON of another shape."""
    try:
        return parse(entry.document)
    except DecodeError:
        return None
