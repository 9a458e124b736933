"""Instruments, markets, sequences and their items: names to ids and back."""

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
    Contract,
    Front,
    Instrument,
    Listing,
    Market,
    Product,
    ProductLike,
    SequenceItem,
    Specification,
    as_int,
    normalize_name,
    typed_id_hint,
)
from ..contracts.symbology import earliest, name_of, resolve
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
from ..hooks import new_id
from ..wire import ProductDetail, ProductEntry, SequenceEntry, parse_json, sequence_item_params, structure
from .cache import Cache
from .products import Products
from .store import Store

__all__ = ["Catalogue"]

T = TypeVar("T")

Send = Callable[[Request, CancelToken | None, str], bytes]
"""Sends a request, which an event stops, under the name that errors are to tell."""

# An unknown name is worth a new look once what is known is an hour old.
_RECENT = 3_600.0
# The guide gives `count` a default of 100 and no bound (p. 36). What may have been capped is asked on, until an answer
# is shorter than any cap would make it.
_PAGE = 1000
_DEFAULT_COUNT = 100
# Where a search back in time begins to be fetched: the year before, so that a walk does not ask for every step of it.
_EARLIEST_YEAR = 2000


@frozen
class Items:
    """The cached items of a sequence: every item whose delivery ends after ``since``."""

    since: datetime.date
    items: tuple[SequenceItem, ...]


@define(eq=False)
class Catalogue:
    """Looks names up, in reference data that are fetched by ``send`` and kept by ``cache``."""

    send: Send
    cache: Cache
    place: str
    aliases: dict[str, str] = field(factory=dict)
    workers: int = 8
    clock: Callable[[], float] = time.time
    _store: Store = field(init=False, repr=False)
    _products: Products | None = field(default=None, init=False, repr=False)
    _absent: dict[tuple[int, int], float] = field(factory=dict, init=False, repr=False)
    """Items that the API did not know, and when it said so."""

    def __attrs_post_init__(self) -> None:
        self._store = Store(self.cache, self.place, self.clock)

    def refresh(self) -> None:
        """Forget everything, on disk too."""
        self._store.clear()
        self._absent.clear()
        self.close()

    def close(self) -> None:
        """Close the cache's connection; the next look-up connects again."""
        self.cache.close()

    # --- products --------------------------------------------------------------------------------------------

    def products(self) -> Products:
        """Every instrument and market, by name and by id."""
        instruments = self._load("instruments", Request(REFERENCE["instruments"]), list[ProductEntry])
        markets = self._load("markets", Request(REFERENCE["markets"]), list[ProductEntry])
        index = self._products
        if index is None or index.source[0] is not instruments or index.source[1] is not markets:
            index = self._products = Products.of(instruments, markets, self.aliases)
        return index

    def exactly(self, text: str) -> Product | None:
        """The product of this name, id or alias; None if there is none."""
        return self.products().exactly(text)

    def find(self, text: str) -> Product | None:
        """The product of this name, id, alias or unique prefix; None if there is none."""
        return self.products().find(text)

    def near(self, text: str) -> tuple[str, ...]:
        """The canonical names of the products nearest to ``text``."""
        return tuple(product.label for _, product in self.products().search(text, 3))

    def product(self, like: ProductLike) -> Product:
        """The product that a caller means, with its name."""
        if not isinstance(like, str | Instrument | Market):
            raise ContractError(f"product {like!r} is neither a name, an Instrument nor a Market{typed_id_hint(like)}")
        return self._recent(lambda: self._known_product(like))

    def _known_product(self, like: ProductLike) -> Product:
        product = self.find(like) if isinstance(like, str) else self.products().by_id(like)
        if product is None:
            raise UnknownContract(like, self.near(like)) if isinstance(like, str) else UnknownContract(like.label)
        return product

    def specification(self, like: ProductLike) -> Specification:
        """The currencies and units of a product."""
        product = self.product(like)
        request = Request(REFERENCE[product.kind], ids=(product.id,))
        return (
            self._load(f"{product.kind}/{product.id}", request, ProductDetail).trading_specifications or Specification()
        )

    # --- sequences and their items ---------------------------------------------------------------------------

    def sequences(self, product: Product) -> Sequence[SequenceEntry]:
        """The sequences that a product can be traded on."""
        request = Request(REFERENCE[f"{product.kind} sequences"], ids=(product.id,))
        return self._load(f"{product.kind}/{product.id}/sequences", request, list[SequenceEntry])

    def listings(self, product: Product, since: datetime.date | None) -> Sequence[Listing]:
        """The product's sequences with every item that delivers after ``since``; from today for None."""
        needed = since or self._today()
        entries = self.sequences(product)
        missing = [entry for entry in entries if not self._store.serves(_items(entry.id), _since(needed))]
        # Side by side, as fast as the limits allow: that is what the first look at a product takes its time for.
        for_each_parallel(lambda entry, stop: self._listing(entry, needed, stop), missing, self.workers)
        return [self._listing(entry, needed) for entry in entries]

    def _listing(self, entry: SequenceEntry, needed: datetime.date, stop: CancelToken | None = None) -> Listing:
        """One sequence with every item that delivers after ``needed``, and often some more."""
        since = min(datetime.date(max(needed.year - 1, _EARLIEST_YEAR), 1, 1), needed)

        def fetch() -> dict[str, Any]:
            return {"since": since.isoformat(), "items": self._pages(entry.id, since, None, stop)}

        def listed(document: Any) -> Listing:
            items = structure(document, Items, "sequence items")
            return Listing(entry.id, entry.name, items.since, items.items)

        return self._store.load(_items(entry.id), fetch, listed, _since(needed))

    def items(self, sequence: str | int, start: datetime.date | None, count: int) -> Sequence[SequenceItem]:
        """The first ``count`` items from the one that is being delivered on ``start``, as the API lists them."""
        entry = self._entry(sequence)
        return self._store.load(
            f"{_items(entry.id)}?{start or self._today()}&{count}",
            lambda: self._pages(entry.id, start, count),
            lambda document: structure(document, list[SequenceItem], "sequence items"),
        )

    def _pages(
        self, sequence_id: int, start: datetime.date | None, count: int | None, stop: CancelToken | None = None
    ) -> list[Any]:
        """The items from ``start`` on, as sent: so many, or all."""
        found: dict[int, Any] = {}
        size, cursor = min(count or _PAGE, _PAGE), start
        while True:
            try:
                page = self._page(sequence_id, cursor, size, stop)
            except BadRequest:  # the guide names no bound for `count`, but its default has to be allowed
                if size <= _DEFAULT_COUNT:
                    raise
                size = _DEFAULT_COUNT
                continue
            items = structure(page, list[SequenceItem], "sequence items")
            new = {item.id: raw for item, raw in zip(items, page, strict=True) if item.id not in found}
            found |= new
            if (count and len(found) >= count) or len(page) < min(size, _DEFAULT_COUNT):
                return list(found.values())[:count]
            # The latest start, so that nothing is passed over if some deliver for longer than others.
            starts = [item.period_start for item in items if item.period_start]
            if not new or not starts:
                self._warn_of_cap(sequence_id, len(found))
                return list(found.values())[:count]
            cursor = max(starts).date()

    def _page(self, sequence_id: int, start: datetime.date | None, size: int, stop: CancelToken | None) -> Any:
        request = Request(REFERENCE["sequence items"], sequence_item_params(start, size), ids=(sequence_id,))
        return self._document(request, stop)

    def _warn_of_cap(self, sequence_id: int, count: int) -> None:
        warnings.warn(
            f"the API may list more than the {count} items of sequence {sequence_id} that it gives; "
            "a name that is not found among them may exist",
            TrayportWarning,
            stacklevel=2,
        )

    def _entry(self, sequence: str | int) -> SequenceEntry:
        """A sequence by its id, by a product and a name (``"TTF Months"``), or by a name that has been met."""
        number = _id_in(sequence)
        if number is not None:
            return SequenceEntry(number, str(number))
        if not isinstance(sequence, str) or not sequence.strip():
            raise QueryError(f"sequence {sequence!r} is neither an id nor a name")
        met = self._store.met("/sequences", lambda document: structure(document, list[SequenceEntry], "sequences"))
        known = {entry.id: entry for entries in met for entry in entries}
        found = self._called_with_product(sequence.split()) or _called(sequence, list(known.values()))
        if found is None:
            raise QueryError(
                f"no sequence is known as {sequence!r}: give its id, or a product before its name as in 'TTF Months'; "
                "trayport.sequences('TTF') lists a product's"
            )
        return found

    def _called_with_product(self, words: list[str]) -> SequenceEntry | None:
        for cut in range(len(words) - 1, 0, -1):
            product = self.exactly(" ".join(words[:cut]))
            if product and (found := _called(" ".join(words[cut:]), self.sequences(product))):
                return found
        return None

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
        return self._recent(lambda: self._completed(contract, since))

    def _completed(self, contract: Contract, since: datetime.date | None) -> Contract:
        product = self._known_product(contract.product)
        listings = self.listings(product, since)
        own = next((listing for listing in listings if listing.sequence_id == contract.sequence_id), None)
        if own is not None:
            ids = [contract.item_id, *([contract.second_item_id] if contract.second_item_id else [])]
            starts = [item.period_start for item_id in ids if (item := self._item(own, item_id)) and item.period_start]
            # All of the product's sequences from then on: one of them may have an item of the same name.
            listings = self.listings(product, min([*(start.date() for start in starts), since or self._today()]))
        return name_of(evolve(contract, product=product), listings)

    def _item(self, listing: Listing, item_id: int) -> SequenceItem | None:
        """An item, whether the listing has it or not; None if there is none of this id."""
        if item := listing.item(item_id):
            return item
        item = self._unlisted(listing.sequence_id, item_id)
        if item and (item.period_start is None or item.period_start.date() >= listing.since):
            self._store.forget(_items(listing.sequence_id))  # it was listed after we looked
        return item

    def _unlisted(self, sequence_id: int, item_id: int) -> SequenceItem | None:
        """An item by its id alone; None if the API knows none."""
        said = self._absent.get((sequence_id, item_id))
        if said is not None and 0 <= self.clock() - said < _RECENT:
            return None
        request = Request(REFERENCE["sequence item"], ids=(sequence_id, item_id))
        try:
            return self._load(f"{_items(sequence_id)}/{item_id}", request, SequenceItem)
        except NotFound:
            self._absent[sequence_id, item_id] = self.clock()
            return None

    def front(self, front: Front, at: datetime.date) -> Front:
        """``front`` with its product and its sequence by id, if that sequence has tradable items at all."""
        product = self.product(front.product)
        entries = self.sequences(product)
        number = _id_in(front.sequence)
        if number is not None:
            entry = next((entry for entry in entries if entry.id == number), None)
        else:
            entry = _called(str(front.sequence), entries)
        if entry is None:
            known = ", ".join(f"{entry.id} ({entry.name})" for entry in entries) or "none"
            raise ContractError(f"{product.label} has no sequence {front.sequence!r}; it has {known}")
        # All of them, since the items of the answers will be named by them.
        listing = next(listing for listing in self.listings(product, at) if listing.sequence_id == entry.id)
        if listing.items and all(item.trading_end is None for item in listing.items):
            raise ContractError(
                f"Front needs items with an end of trading, which {entry.name} has not (guide p. 29): "
                f"name the contracts instead, such as '{product.label} {_soonest(listing, at).label}'"
            )
        if any(_is_short(item) for item in listing.items):
            warnings.warn(
                f"{front.label}: what is tradable is looked at once a calendar month, at its start, and these "
                "contracts are over before the month is: there will be gaps. Name the contracts instead",
                TrayportWarning,
                stacklevel=2,
            )
        return evolve(front, product=product, sequence=entry.id)

    # --- looking ---------------------------------------------------------------------------------------------

    def _recent(self, look: Callable[[], T]) -> T:
        """``look``, and once more with new data where an unknown name met old ones."""
        try:
            return look()
        except UnknownContract:
            if not self._store.renew(_RECENT):
                raise
        try:
            return look()
        except UnknownContract:
            raise
        except TrayportError:  # a misspelt name is no reason to lose what is known
            self._store.relent()
            raise

    def _load(self, name: str, request: Request, kind: type[T]) -> T:
        endpoint = request.endpoint.name
        return self._store.load(
            name, lambda: self._document(request, None), lambda document: structure(document, kind, endpoint)
        )

    def _document(self, request: Request, stop: CancelToken | None) -> Any:
        """An answer's JSON document, as it came."""
        request_id = new_id()
        try:
            return parse_json(self.send(request, stop, request_id), request.endpoint.name)
        except DecodeError as error:
            error.request_id = request_id
            raise


def _soonest(listing: Listing, at: datetime.date) -> SequenceItem:
    """The first item that begins to deliver after ``at``; the last one if none does."""
    later = (item for item in listing.items if item.period_start and item.period_start.date() > at)
    return next(later, listing.items[-1])


def _is_short(item: SequenceItem) -> bool:
    """Is it over before a month is?"""
    start, end = item.period_start, item.period_end
    return start is not None and end is not None and end - start < datetime.timedelta(days=28)


def _items(sequence_id: int) -> str:
    return f"items/{sequence_id}"


def _since(needed: datetime.date) -> Callable[[Listing], bool]:
    return lambda listing: listing.since <= needed


_ID = re.compile(r"(?:.*\[)?(?P<id>[0-9]{1,18})\]?", re.ASCII)


def _id_in(sequence: object) -> int | None:
    """The id that is meant: a number, digits, or a name with its id behind it, ``"Gas - NG Months [10000305]"``."""
    number = as_int(sequence)
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    match = _ID.fullmatch(sequence.strip()) if isinstance(sequence, str) else None
    return int(match["id"]) if match else None


def _called(text: str, entries: Sequence[SequenceEntry]) -> SequenceEntry | None:
    """The sequence of this name, display name, or last word that no other has."""
    wanted = normalize_name(text)
    exact = [
        entry
        for entry in entries
        if wanted in (normalize_name(entry.name), normalize_name(entry.display_name or entry.name))
    ]
    last = [entry for entry in entries if normalize_name(entry.name).split()[-1:] == [wanted]]
    found = exact or last
    if len(found) > 1:
        raise AmbiguousContract(text, tuple(f"{entry.name} [{entry.id}]" for entry in found))
    return found[0] if found else None
