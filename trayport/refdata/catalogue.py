"""Instruments, markets, sequences and their items: names to ids and back.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import re
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from .._parallel import CancelToken, for_each_parallel
from ..contracts import (
    Candidate,
    Contract,
    Front,
    Instrument,
    Listing,
    Market,
    Product,
    ProductLike,
    Readings,
    SequenceItem,
    Specification,
    as_int,
    choose,
    name_of,
    normalize_name,
    readings,
    typed_id_hint,
)
from ..endpoints import REFERENCE, Request
from ..errors import (
    AmbiguousContract,
    BadRequest,
    ContractError,
    DecodeError,
    NotFound,
    QueryError,
    TrayportError,
    TrayportWarning,
    UnknownContract,
)
from ..wire import (
    ProductDetail,
    ProductEntry,
    SequenceEntry,
    new_request_id,
    parse_json,
    sequence_item_params,
    structure,
)
from .cache import Cache
from .products import Products
from .store import Store

__all__ = ["Catalogue"]

T = TypeVar("T")

Send = Callable[[Request, CancelToken | None, str], bytes]
"""Sends a request, which the token cancels, under the given request id; returns the body."""

# Seconds: an unknown name is looked up again in new data if the cached data are older.
_UNKNOWN_RETRY_AGE = 3_600.0
# The guide gives `count` a default of 100 and no maximum (guide p. 36). A response may be capped, so the next page is
# requested until one is shorter than any cap would make it.
_PAGE_SIZE = 1000
_DEFAULT_PAGE_SIZE = 100
# The first date from which items are fetched; else from the year before, so that each step back needs no new requests.
_FIRST_DAY = datetime.date(2000, 1, 1)


@frozen
class Items:
    """The cached items of a sequence: every item whose delivery ends after ``since``."""

    since: datetime.date
    items: tuple[SequenceItem, ...]


@define(eq=False)
class Catalogue:
    """Looks names up in reference data, which ``send`` fetches and ``cache`` keeps."""

    send: Send
    cache: Cache
    namespace: str
    aliases: dict[str, str] = field(factory=dict)
    workers: int = 8
    clock: Callable[[], float] = time.time
    _store: Store = field(init=False, repr=False)
    _products: Products | None = field(default=None, init=False, repr=False)
    _absent: dict[tuple[int, int], float] = field(factory=dict, init=False, repr=False)
    """Sequence and item ids that the API does not have, and the time of its response."""

    @_store.default
    def _make_store(self) -> Store:
        return Store(self.cache, self.namespace, self.clock)

    def refresh(self) -> None:
        """Delete all reference data, on disk too."""
        self._store.clear()
        self._absent.clear()
        self.close()

    def close(self) -> None:
        """Close the cache's connection; the next look-up connects again."""
        self.cache.close()

    def products(self) -> Products:
        """Return the index of all instruments and markets."""
        instruments = self._get("instruments", Request(REFERENCE["instruments"]), list[ProductEntry])
        markets = self._get("markets", Request(REFERENCE["markets"]), list[ProductEntry])
        index = self._products
        if index is None or index.source[0] is not instruments or index.source[1] is not markets:
            index = self._products = Products.build(instruments, markets, self.aliases)
        return index

    def product(self, like: ProductLike) -> Product:
        """Return a product with its name, given by name or by id."""
        if not isinstance(like, str | Instrument | Market):
            raise ContractError(f"product {like!r} is neither a name, an Instrument nor a Market", typed_id_hint(like))
        return self._retry_unknown(lambda: self._find_product(like))

    def _find_product(self, like: ProductLike) -> Product:
        products = self.products()
        product = products.find(like) if isinstance(like, str) else products.by_id(like)
        if product is None:
            name, near = (like, products.nearest(like)) if isinstance(like, str) else (like.label, ())
            raise UnknownContract(name, near)
        return product

    def specification(self, like: ProductLike) -> Specification:
        """Return the currencies and units of a product."""
        product = self.product(like)
        request = Request(REFERENCE[product.kind], ids=(product.id,))
        detail = self._get(f"{product.kind}/{product.id}", request, ProductDetail)
        return detail.trading_specifications or Specification()

    def sequences(self, product: Product) -> Sequence[SequenceEntry]:
        """Return the sequences of a product."""
        request = Request(REFERENCE[f"{product.kind} sequences"], ids=(product.id,))
        return self._get(f"{product.kind}/{product.id}/sequences", request, list[SequenceEntry])

    def listings(self, product: Product, since: datetime.date | None) -> Sequence[Listing]:
        """Return a product's sequences with every item that delivers after ``since``; after today for None."""
        needed = since or self._today()
        entries = self.sequences(product)
        found = [self._store.peek(_items_name(entry.id), _reaches(needed)) for entry in entries]
        missing = [entry for entry, listing in zip(entries, found, strict=True) if listing is None]
        if missing:
            # In parallel, since these requests are most of the time of a product's first look-up.
            for_each_parallel(lambda entry, cancel: self._listing(entry, needed, cancel), missing, self.workers)
            found = [self._listing(entry, needed) for entry in entries]
        return found

    def _listing(self, entry: SequenceEntry, needed: datetime.date, cancel: CancelToken | None = None) -> Listing:
        """Return a sequence with every item that delivers after ``needed``."""
        since = min(datetime.date(max(needed.year - 1, _FIRST_DAY.year), 1, 1), needed)

        def fetch() -> dict[str, Any]:
            return {"since": since.isoformat(), "items": self._fetch_items(entry.id, since, None, cancel)}

        def parse(document: Any) -> Listing:
            items = structure(document, Items, "sequence items")
            return Listing(entry.id, entry.name, items.since, items.items)

        return self._store.get(_items_name(entry.id), fetch, parse, _reaches(needed))

    def items(self, sequence: str | int, start: datetime.date | None, count: int) -> Sequence[SequenceItem]:
        """Return the first ``count`` items from the one that is in delivery on ``start``, as the API lists them."""
        entry = self._find_sequence(sequence)
        return self._store.get(
            f"{_items_name(entry.id)}?{start or self._today()}&{count}",
            lambda: self._fetch_items(entry.id, start, count),
            lambda document: structure(document, list[SequenceItem], "sequence items"),
        )

    def _fetch_items(
        self, sequence_id: int, start: datetime.date | None, count: int | None, cancel: CancelToken | None = None
    ) -> list[Any]:
        """Return the items from ``start`` on as the API sends them: the first ``count``, or all."""
        found: dict[int, Any] = {}
        size, page_start = min(count or _PAGE_SIZE, _PAGE_SIZE), start
        while True:
            params = sequence_item_params(page_start, size)
            try:
                page = self._fetch(Request(REFERENCE["sequence items"], params, ids=(sequence_id,)), cancel)
            except BadRequest:  # the guide names no maximum of `count`, but its default must be allowed
                if size <= _DEFAULT_PAGE_SIZE:
                    raise
                size = _DEFAULT_PAGE_SIZE
                continue
            items = structure(page, list[SequenceItem], "sequence items")
            new = {item.id: raw for item, raw in zip(items, page, strict=True) if item.id not in found}
            found |= new
            if (count and len(found) >= count) or len(page) < min(size, _DEFAULT_PAGE_SIZE):
                return list(found.values())[:count]
            # The next page begins at the latest start, since an item that delivers for longer may be listed later.
            starts = [item.period_start for item in items if item.period_start]
            if not new or not starts:
                problem = f"the API may have more items of sequence {sequence_id} than the {len(found)} that it lists"
                warnings.warn(TrayportWarning(problem, "a name that is not found may exist"), stacklevel=2)
                return list(found.values())[:count]
            page_start = max(starts).date()

    def _find_sequence(self, sequence: str | int) -> SequenceEntry:
        """Return a sequence by its id, by product and name (``"TTF Months"``), or by the name of a cached one."""
        sequence_id = _sequence_id(sequence)
        if sequence_id is not None:
            return SequenceEntry(sequence_id, str(sequence_id))
        if not isinstance(sequence, str) or not sequence.strip():
            raise QueryError(f"sequence {sequence!r} is neither an id nor a name")
        words = sequence.split()
        for cut in range(len(words) - 1, 0, -1):
            product = self.products().find_exact(" ".join(words[:cut]))
            if product and (found := _sequence_named(" ".join(words[cut:]), self.sequences(product))):
                return found
        cached = self._store.cached("/sequences", lambda each: structure(each, list[SequenceEntry], "sequences"))
        if found := _sequence_named(sequence, list({entry.id: entry for each in cached for entry in each}.values())):
            return found
        raise QueryError(
            f"no sequence is known as {sequence!r}",
            "give its id, or a product before its name as in 'TTF Months'; trayport.sequences('TTF') lists a product's",
        )

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.clock(), datetime.UTC).date()

    def resolve(self, name: str, at: datetime.date) -> Contract:
        """Return the contract of this name; ``M+1`` and the like count from ``at``."""
        return self._resolve(readings(name, at), None)

    def resolve_all(self, contracts: Sequence[str | Contract], at: datetime.date) -> list[Contract]:
        """Return contracts, given by name or by ids, with their names; each contract comes once."""
        given = [readings(each, at) if isinstance(each, str) else each for each in contracts]
        # One date for all names, so that no sequence is fetched again for a later name.
        since = min((each.since for each in given if isinstance(each, Readings) and each.since), default=None)
        found = [self._resolve(each, since) if isinstance(each, Readings) else self.complete(each) for each in given]
        return list(dict.fromkeys(found))

    def _resolve(self, name: Readings, since: datetime.date | None) -> Contract:
        return self._retry_unknown(lambda: self._look_up(name, since))

    def _look_up(self, name: Readings, since: datetime.date | None) -> Contract:
        """Find the products and the listings of a name's readings, and choose the one contract."""
        products = self.products()
        found = products.match(name)
        is_dated = bool(found) and found[0][0] in name.dated
        near: tuple[str, ...] = ()
        # Look for the vendor's own names of periods in current items first: past items take further requests.
        for start in [since] if is_dated or not found else [None, _FIRST_DAY]:
            candidates = []
            for reading, product in found:
                first = min((day for day in (reading.since, start) if day), default=None)
                listings = self.listings(product, first) if reading.terms else ()
                candidates.append(Candidate(reading, product, listings))
            try:
                return choose(name, candidates)
            except UnknownContract as error:
                near = error.near
        if not is_dated and name.dated:
            reading = name.dated[0]
            near = tuple(f"{product} {reading.periods}" for product in products.nearest(reading.product)) or near
        raise UnknownContract(name.name, near or (() if is_dated else products.nearest(name.text)))

    def complete(self, contract: Contract, since: datetime.date | None = None) -> Contract:
        """Return a contract, given by its ids, with its name and its delivery.

        ``since`` is a date before the contract's delivery, which saves requests if it is near.

        Raises ``ContractError`` if the sequence is not one of the product's, or an item not one of the sequence's.
        """
        return self._retry_unknown(lambda: self._complete(contract, since))

    def _complete(self, contract: Contract, since: datetime.date | None) -> Contract:
        product = self._find_product(contract.product)
        start = since or self._today()
        listings = self.listings(product, start)
        listing = next((listing for listing in listings if listing.sequence_id == contract.sequence_id), None)
        if listing is not None:
            ids = [contract.item_id, *([contract.second_item_id] if contract.second_item_id else [])]
            items = [listing.item(item_id) or self._unlisted_item(listing, item_id) for item_id in ids]
            first = min([start, *(item.period_start.date() for item in items if item and item.period_start)])
            if any(each.since > first for each in listings) or any(listing.item(item_id) is None for item_id in ids):
                # All sequences, since another one may have had an item of the same name.
                listings = self.listings(product, first)
        return name_of(evolve(contract, product=product), listings)

    def _unlisted_item(self, listing: Listing, item_id: int) -> SequenceItem | None:
        """Return an item that the listing does not contain; None if the API does not have it."""
        key = listing.sequence_id, item_id
        asked_at = self._absent.get(key)
        if asked_at is not None and 0 <= self.clock() - asked_at < _UNKNOWN_RETRY_AGE:
            return None
        name = _items_name(listing.sequence_id)
        try:
            item = self._get(f"{name}/{item_id}", Request(REFERENCE["sequence item"], ids=key), SequenceItem)
        except NotFound:
            self._absent[key] = self.clock()
            return None
        if item.period_start is None or item.period_start.date() >= listing.since:
            self._store.invalidate(name)  # the API has listed it since the listing was fetched
        return item

    def resolve_front(self, front: Front, at: datetime.date) -> Front:
        """Return ``front`` with its product and the id of its sequence, if that sequence has tradable items."""
        product = self.product(front.product)
        entries = self.sequences(product)
        wanted = _sequence_id(front.sequence)
        by_id = next((entry for entry in entries if entry.id == wanted), None)
        entry = by_id if wanted is not None else _sequence_named(str(front.sequence), entries)
        if entry is None:
            known = ", ".join(f"{entry.id} ({entry.name})" for entry in entries) or "none"
            raise ContractError(f"{product.label} has no sequence {front.sequence!r}", f"choose from {known}")
        # The listings of all sequences, since the names of the items in responses need them.
        items = next(listing for listing in self.listings(product, at) if listing.sequence_id == entry.id).items
        if items and all(item.trading_end is None for item in items):
            later = (item for item in items if item.period_start and item.period_start.date() > at)
            raise ContractError(
                f"Front needs items with an end of trading, and those of {entry.name} have none",
                f"name the contracts instead, such as '{product.label} {next(later, items[-1]).label}'",
            )
        deliveries = ((item.period_start, item.period_end) for item in items)
        if any(start and end and end - start < datetime.timedelta(days=28) for start, end in deliveries):
            problem = (
                f"{front.label}: the tradable items are determined at the start of each calendar month, and these "
                "expire within it, so there will be gaps"
            )
            warnings.warn(TrayportWarning(problem, "name the contracts instead"), stacklevel=2)
        return evolve(front, product=product, sequence=entry.id)

    def _retry_unknown(self, look_up: Callable[[], T]) -> T:
        """Return the result of ``look_up``; if a name is unknown in old data, look it up again in new ones."""
        try:
            return look_up()
        except UnknownContract:
            if not self._store.expire(_UNKNOWN_RETRY_AGE):
                raise
        try:
            return look_up()
        except TrayportError as error:
            if not isinstance(error, UnknownContract):
                # A misspelt name must not make cached data unusable while the API fails.
                self._store.undo_expire()
            raise

    def _get(self, name: str, request: Request, kind: type[T]) -> T:
        endpoint = request.endpoint.name
        return self._store.get(
            name, lambda: self._fetch(request, None), lambda document: structure(document, kind, endpoint)
        )

    def _fetch(self, request: Request, cancel: CancelToken | None) -> Any:
        """Return the JSON document of a response."""
        request_id = new_request_id()
        try:
            return parse_json(self.send(request, cancel, request_id), request.endpoint.name)
        except DecodeError as error:
            error.request_id = request_id
            raise


def _items_name(sequence_id: int) -> str:
    return f"items/{sequence_id}"


def _reaches(needed: datetime.date) -> Callable[[Listing], bool]:
    return lambda listing: listing.since <= needed


_SEQUENCE_ID = re.compile(r"(?:.*\[)?(?P<id>[0-9]{1,18})\]?", re.ASCII)


def _sequence_id(sequence: object) -> int | None:
    """Return the id in a number, in digits, or after a name as in ``"Gas - NG Months [10000305]"``."""
    number = as_int(sequence)
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    match = _SEQUENCE_ID.fullmatch(sequence.strip()) if isinstance(sequence, str) else None
    return int(match["id"]) if match else None


def _sequence_named(text: str, entries: Sequence[SequenceEntry]) -> SequenceEntry | None:
    """Return the sequence with this name, display name, or last word; the last word must be unique."""
    wanted = normalize_name(text)
    names = [(entry, normalize_name(entry.name), normalize_name(entry.display_name or "")) for entry in entries]
    found = [entry for entry, *each in names if wanted in each]
    found = found or [entry for entry, name, _ in names if name.split()[-1:] == [wanted]]
    if len(found) > 1:
        raise AmbiguousContract(text, tuple(f"{entry.name} [{entry.id}]" for entry in found))
    return found[0] if found else None
