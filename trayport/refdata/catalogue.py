"""Instruments, markets, sequences and their items: names to ids and back, from memory, disk or the API."""

from __future__ import annotations

import datetime
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from ..contracts import Contract, Front, Instrument, Listing, Market, Product, ProductLike, SequenceItem
from ..contracts.listing import normal
from ..contracts.symbology import earliest, name_of, resolve
from ..endpoints import REFERENCE, Request
from ..errors import (
    AmbiguousContract,
    ContractError,
    DecodeError,
    NotFound,
    QueryError,
    TrayportError,
    TrayportWarning,
    UnknownContract,
)
from .cache import Cache, Kept
from .models import Detail, Entry, Items, SequenceEntry, Specification, parse, read
from .products import Products

__all__ = ["Catalogue"]

T = TypeVar("T")

Send = Callable[[Request], bytes]

# Names change rarely; a day is what users' own scripts keep them for. An unknown name is worth a new look once
# the catalogue is an hour old.
_FRESH = 86_400.0
_RECENT = 3_600.0
# The guide gives `count` a default of 100 and no bound. An answer of 100 or more may have been capped, so it is
# continued until one brings nothing new.
_PAGE = 1000
_DEFAULT_COUNT = 100


@frozen
class _Loaded:
    """A parsed document in memory, and when it was fetched."""

    value: Any
    stored: float


@define(eq=False)
class Catalogue:
    """Looks names up. Everything is fetched once a day at most, and shared with other processes by ``cache``."""

    send: Send
    cache: Cache
    place: str
    """The URL of the Reference Data API: what one says is not true of another."""
    aliases: dict[str, str] = field(factory=dict)
    workers: int = 8
    clock: Callable[[], float] = time.time
    _memory: dict[str, _Loaded] = field(factory=dict, init=False, repr=False)
    _locks: dict[str, threading.Lock] = field(factory=dict, init=False, repr=False)

    # --- products --------------------------------------------------------------------------------------------

    def products(self) -> Products:
        """Every instrument and market, by name and by id."""
        instruments = self._load("instruments", Request(REFERENCE["instruments"]), list[Entry])
        markets = self._load("markets", Request(REFERENCE["markets"]), list[Entry])
        found = self._memory.get("products")
        if found is None or not _same(found.value.source, (instruments, markets)):
            index = Products.of(instruments, markets, self.aliases)
            found = self._memory["products"] = _Loaded(index, self.clock())
        products: Products = found.value
        return products

    def find(self, text: str) -> Product | None:
        """The product of this name, alias or unique prefix; None if there is none."""
        return self.products().find(text)

    def near(self, text: str) -> tuple[str, ...]:
        """The canonical names of the products nearest to ``text``."""
        return tuple(product.label for _, product in self.products().search(text, 3))

    def product(self, like: ProductLike) -> Product:
        """The product that a caller means, with its name."""
        if isinstance(like, Instrument | Market):
            found = self.products().by_id(like)
            if found is None:
                raise UnknownContract(like.label)
            return found
        if not isinstance(like, str):
            raise ContractError(
                f"product {like!r} is neither a name nor a typed id: write Market({like!r}) or Instrument({like!r})"
            )
        return self._recent(lambda: self._known_product(like))

    def _known_product(self, text: str) -> Product:
        product = self.find(text)
        if product is None:
            raise UnknownContract(text, self.near(text))
        return product

    def specification(self, like: ProductLike) -> Specification:
        """The currencies and units of a product."""
        product = self.product(like)
        request = Request(REFERENCE[product.kind], ids=(product.id,))
        return self._load(f"{product.kind}/{product.id}", request, Detail).trading_specifications or Specification()

    # --- sequences and their items -----------------------------------------------------------------------------

    def sequences(self, product: Product) -> Sequence[SequenceEntry]:
        """The sequences that a product can be traded on."""
        request = Request(REFERENCE[f"{product.kind} sequences"], ids=(product.id,))
        return self._load(f"{product.kind}/{product.id}/sequences", request, list[SequenceEntry])

    def listings(self, product: Product, since: datetime.date | None) -> Sequence[Listing]:
        """The product's sequences with every item that delivers after ``since``; from today for None."""
        needed = since or self._today()
        entries = self.sequences(product)
        missing = [entry for entry in entries if not self._covered(entry.id, needed)]
        if len(missing) > 1:  # the first look at a product: side by side, as fast as the limits allow
            with ThreadPoolExecutor(min(self.workers, len(missing))) as pool:
                list(pool.map(lambda entry: self.listing(entry, needed), missing))
        return [self.listing(entry, needed) for entry in entries]

    def listing(self, entry: SequenceEntry, needed: datetime.date) -> Listing:
        """One sequence with every item that delivers after ``needed``, and often some more."""
        covered = self._covered(entry.id, needed)
        if covered is not None:
            return covered
        name = _items_name(entry.id)
        with self._lock(name):
            covered = self._covered(entry.id, needed)
            if covered is None:
                kept = self._kept_items(name, needed) or self._fetch_items(entry.id, name, needed)
                items = read(kept.document, Items, "sequence items")
                covered = Listing(entry.id, entry.name, items.since, items.items)
                self._memory[name] = _Loaded(covered, kept.stored)
            return covered

    def items(self, sequence: str | int, since: datetime.date | None, count: int) -> Sequence[SequenceItem]:
        """The first ``count`` items of a sequence whose delivery ends after ``since``, or after today."""
        needed = since or self._today()
        listing = self.listing(self._entry(sequence), needed)
        midnight = datetime.datetime.combine(needed, datetime.time(), datetime.UTC)
        late = [item for item in listing.items if item.period_end is None or item.period_end > midnight]
        return late[:count]

    def _entry(self, sequence: str | int) -> SequenceEntry:
        """A sequence by id, by a full name that has been met, or by a product and a name: ``"TTF Months"``."""
        if isinstance(sequence, int) and not isinstance(sequence, bool):
            return next(
                (entry for entry in self._met() if entry.id == sequence), SequenceEntry(sequence, str(sequence))
            )
        if not isinstance(sequence, str) or not sequence.strip():
            raise QueryError(f"sequence {sequence!r} is neither an id nor a name")
        if sequence.strip().isdigit():
            return self._entry(int(sequence))
        found = _called(sequence, self._met()) or self._called_with_product(sequence.split())
        if found is None:
            raise QueryError(
                f"no sequence is known as {sequence!r}: give its id, or a product before its name as in 'TTF Months'; "
                "trayport.sequences('TTF') lists a product's"
            )
        return found

    def _called_with_product(self, words: list[str]) -> SequenceEntry | None:
        for cut in range(len(words) - 1, 0, -1):
            try:
                product = self.find(" ".join(words[:cut]))
            except AmbiguousContract:
                continue
            if product and (found := _called(" ".join(words[cut:]), self.sequences(product))):
                return found
        return None

    def _met(self) -> list[SequenceEntry]:
        """Every sequence of the products that this process has looked at."""
        lists = [loaded.value for name, loaded in self._memory.items() if name.endswith("/sequences")]
        return list({entry.id: entry for entries in lists for entry in entries}.values())

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.clock(), datetime.UTC).date()

    # --- contracts -------------------------------------------------------------------------------------------

    def contracts(self, asked: Sequence[str | Contract], at: datetime.date) -> list[Contract]:
        """What a caller asked for, resolved and named; a contract spelled twice comes once."""
        since = earliest((each for each in asked if isinstance(each, str)), at)
        found = [self.resolve(each, at, since) if isinstance(each, str) else self.complete(each) for each in asked]
        return list(dict.fromkeys(found))

    def resolve(self, name: str, at: datetime.date, since: datetime.date | None = None) -> Contract:
        """The contract of this name; ``M+1`` and its like count from ``at``."""
        return self._recent(lambda: resolve(name, self, at, since))

    def complete(self, contract: Contract, since: datetime.date | None = None) -> Contract:
        """A contract given by its ids, checked and named.

        Raises ``ContractError`` if its sequence is none of the product's, or an item none of the sequence's.
        """
        product = self.product(contract.product)
        listings = self.listings(product, since)
        own = next((listing for listing in listings if listing.sequence_id == contract.sequence_id), None)
        if own is not None:
            ids = [contract.item_id, *([contract.second_item_id] if contract.second_item_id else [])]
            expired = [item_id for item_id in ids if own.item(item_id) is None]
            starts = [start for item_id in expired if (start := self._delivery(own.sequence_id, item_id))]
            if starts:
                listings = self.listings(product, min(starts))
        return name_of(evolve(contract, product=product), listings)

    def front(self, front: Front, at: datetime.date) -> Front:
        """``front`` with its product and its sequence by id, if that sequence has tradable items at all."""
        product = self.product(front.product)
        entries = self.sequences(product)
        if isinstance(front.sequence, int):
            entry = next((entry for entry in entries if entry.id == front.sequence), None)
        else:
            entry = _called(front.sequence, entries)
        if entry is None:
            known = ", ".join(f"{entry.id} ({entry.name})" for entry in entries) or "none"
            raise ContractError(f"{product.label} has no sequence {front.sequence!r}; it has {known}")
        listing = self.listing(entry, at)
        if listing.items and all(item.trading_end is None for item in listing.items):
            raise ContractError(
                f"Front needs items with an end of trading, which {entry.name} has not (guide p. 29): "
                f"name the contracts instead, such as '{product.label} {listing.items[0].label}'"
            )
        return evolve(front, product=product, sequence=entry.id)

    def _delivery(self, sequence_id: int, item_id: int) -> datetime.date | None:
        """When an item that is no longer listed begins to deliver; None if there is no such item."""
        request = Request(REFERENCE["sequence item"], ids=(sequence_id, item_id))
        try:
            item = self._load(f"items/{sequence_id}/{item_id}", request, SequenceItem)
        except NotFound:
            return None
        return item.period_start.date() if item.period_start else None

    # --- memory, disk, API -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Forget everything, on disk too."""
        self._memory.clear()
        self.cache.clear()

    def _recent(self, look: Callable[[], T]) -> T:
        """``look``, and once more with a new catalogue where an unknown name met an old one."""
        try:
            return look()
        except UnknownContract:
            if not self._forget_older_than(_RECENT):
                raise
            return look()

    def _forget_older_than(self, seconds: float) -> bool:
        now = self.clock()
        old = [name for name, loaded in list(self._memory.items()) if not 0 <= now - loaded.stored <= seconds]
        for name in old:
            self._memory.pop(name, None)
            self.cache.drop(self._shelf(name))
        return bool(old)

    def _load(self, name: str, request: Request, kind: type[T]) -> T:
        """A document as a ``kind``: from memory, else from disk, else from the API."""
        loaded = self._memory.get(name)
        if loaded is not None and self._is_fresh(loaded.stored):
            value: T = loaded.value
            return value
        with self._lock(name):
            loaded = self._memory.get(name)
            if loaded is None or not self._is_fresh(loaded.stored):
                loaded = self._memory[name] = self._from_disk_or_api(name, request, kind)
            fetched: T = loaded.value
            return fetched

    def _from_disk_or_api(self, name: str, request: Request, kind: type[T]) -> _Loaded:
        shelf = self._shelf(name)
        kept = self.cache.get(shelf)
        if kept is not None and self._is_fresh(kept.stored):
            try:
                return _Loaded(read(kept.document, kind, request.endpoint.name), kept.stored)
            except DecodeError:
                self.cache.drop(shelf)  # another layout, or damage that is JSON still: ask again
        try:
            document = parse(self.send(request), request.endpoint.name)
        except TrayportError as error:
            if kept is None or not error.transient:
                raise
            return self._stale(read(kept.document, kind, request.endpoint.name), error)
        value = read(document, kind, request.endpoint.name)
        return _Loaded(value, self.cache.set(shelf, document).stored)

    def _stale(self, value: Any, error: TrayportError) -> _Loaded:
        warnings.warn(
            f"reference data are more than a day old and cannot be fetched now ({error}); going on with the old ones",
            TrayportWarning,
            stacklevel=2,
        )
        return _Loaded(value, self.clock())

    def _covered(self, sequence_id: int, needed: datetime.date) -> Listing | None:
        loaded = self._memory.get(_items_name(sequence_id))
        if loaded is None or not self._is_fresh(loaded.stored) or loaded.value.since > needed:
            return None
        listing: Listing = loaded.value
        return listing

    def _kept_items(self, name: str, needed: datetime.date) -> Kept | None:
        kept = self.cache.get(self._shelf(name))
        if kept is None or not self._is_fresh(kept.stored):
            return None
        try:
            since = datetime.date.fromisoformat(kept.document["since"])
        except (KeyError, TypeError, ValueError):
            return None
        return kept if since <= needed else None

    def _fetch_items(self, sequence_id: int, name: str, needed: datetime.date) -> Kept:
        # From the year before, so that a walk back in time does not ask anew for every step of it.
        since = datetime.date(max(needed.year - 1, 2000), 1, 1)
        since = min(since, needed)
        document = {"since": since.isoformat(), "items": self._pages(sequence_id, since)}
        return self.cache.set(self._shelf(name), document)

    def _pages(self, sequence_id: int, since: datetime.date) -> list[Any]:
        found: dict[Any, Any] = {}
        cursor: datetime.date | None = since
        while cursor is not None:
            params = (("startDate", cursor.isoformat()), ("count", str(_PAGE)))
            request = Request(REFERENCE["sequence items"], params, ids=(sequence_id,))
            page = parse(self.send(request), request.endpoint.name)
            items = read(page, list[SequenceItem], request.endpoint.name)
            new = {item.id: raw for item, raw in zip(items, page, strict=True) if item.id not in found}
            found |= new
            ends = [item.period_end for item in items if item.period_end]
            more = new and ends and len(items) >= _DEFAULT_COUNT
            cursor = max(ends).date() if more else None
        return list(found.values())

    def _is_fresh(self, stored: float) -> bool:
        return 0 <= self.clock() - stored <= _FRESH  # a clock set back is no reason to keep something for ever

    def _shelf(self, name: str) -> str:
        return f"{self.place}/{name}"

    def _lock(self, name: str) -> threading.Lock:
        return self._locks.setdefault(name, threading.Lock())


def _same(ours: Sequence[object], theirs: Sequence[object]) -> bool:
    return all(one is other for one, other in zip(ours, theirs, strict=True))


def _items_name(sequence_id: int) -> str:
    return f"items/{sequence_id}"


def _called(text: str, entries: Sequence[SequenceEntry]) -> SequenceEntry | None:
    """The sequence of this name, display name, or last word that no other has."""
    wanted = normal(text)
    exact = [entry for entry in entries if wanted in (normal(entry.name), normal(entry.display_name or ""))]
    last = [entry for entry in entries if normal(entry.name).split()[-1:] == [wanted]]
    found = exact or last
    if len(found) > 1:
        raise AmbiguousContract(text, tuple(f"{entry.name} [{entry.id}]" for entry in found))
    return found[0] if found else None
