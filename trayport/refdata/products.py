"""The index of products: exact names, aliases, unique prefixes, and a search for what is only half known."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field, frozen

from ..contracts import Instrument, Market, Product, normalize_name
from ..errors import AmbiguousContract, ContractError
from ..wire import ProductEntry

__all__ = ["ALIASES", "Products"]

# What traders say for what the catalogue calls otherwise. Names, not ids: those come from the catalogue alone.
ALIASES: Mapping[str, str] = {
    "TTF": "TTF Hi Cal 51.6*",
    "DE Base": "Germany Baseload*",
    "FR Base": "France Baseload*",
}


_BUILT_IN = {normalize_name(name): target for name, target in ALIASES.items()}


@frozen
class _Entry:
    """A product under one of its names, for a search by words."""

    product: Product
    name: str
    length: int


@define(eq=False)
class _Shelf:
    """What the catalogue lists of one kind, by id and by name. Products are made of it one by one, when asked for."""

    kind: type[Instrument] | type[Market]
    by_id: dict[int, ProductEntry]
    by_name: dict[str, ProductEntry]
    namesakes: dict[str, list[ProductEntry]]
    """All that share a name, for the names that are shared."""

    @classmethod
    def of(cls, kind: type[Instrument] | type[Market], entries: Sequence[ProductEntry]) -> _Shelf:
        """A product without a name can be had by its id alone."""
        by_name: dict[str, ProductEntry] = {}
        namesakes: dict[str, list[ProductEntry]] = {}
        for entry in entries:
            name = normalize_name(_plain(kind, entry.name))
            if name and by_name.setdefault(name, entry) is not entry:
                namesakes.setdefault(name, [by_name[name]]).append(entry)
        return cls(kind, {entry.id: entry for entry in entries}, by_name, namesakes)

    def called(self, name: str) -> list[ProductEntry]:
        """Whatever has this name."""
        return self.namesakes.get(name) or [self.by_name[name]] if name in self.by_name else []


@define(eq=False)
class Products:
    """Products by name. A market comes before an instrument of the same name."""

    source: tuple[Sequence[ProductEntry], Sequence[ProductEntry]]
    """The lists of instruments and markets that it was made from."""
    _shelves: dict[str, _Shelf]
    _aliases: dict[str, str]
    _sorted: list[str] | None = field(default=None, init=False, repr=False)
    _words: dict[str, list[_Entry]] | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(
        cls, instruments: Sequence[ProductEntry], markets: Sequence[ProductEntry], aliases: Mapping[str, str]
    ) -> Products:
        """The index of these lists; a caller's alias wins over everything, a built-in one only over prefixes."""
        return cls(
            (instruments, markets),
            {"market": _Shelf.of(Market, markets), "instrument": _Shelf.of(Instrument, instruments)},
            {_kind(normalize_name(name))[1]: target for name, target in aliases.items()},
        )

    def __iter__(self) -> Iterator[Product]:
        for shelf in self._shelves.values():
            for entry in shelf.by_id.values():
                yield self._product(shelf, entry)

    def by_id(self, product: Product) -> Product | None:
        """The product of the same kind and id, with its name."""
        return self._with_id(product.kind, product.id)

    def exactly(self, text: str) -> Product | None:
        """The product that goes by just this name, id or alias.

        A star behind it or ``market:`` before it asks for the market, ``instrument:`` for the instrument; behind
        either an id will do. Raises ``AmbiguousContract`` where several share the name, and ``ContractError`` for
        an alias that points nowhere.
        """
        kind, wanted = _kind(normalize_name(text))
        if wanted not in self._aliases:
            return self._plainly(text)
        target = self._aliases[wanted]
        found = self._plainly(target, kind) or self._beginning(target, kind)
        if found is None:
            raise ContractError(f"the alias {wanted!r} stands for {target!r}, and no product is called so")
        return found

    def find(self, text: str) -> Product | None:
        """As ``exactly``, or the only product whose name begins so; ``AmbiguousContract`` lists the nearest first."""
        return self.exactly(text) or self._beginning(text)

    def _plainly(self, text: str, kind: str | None = None) -> Product | None:
        """By name, id or built-in alias; ``kind`` overrules what the text says of it."""
        own_kind, wanted = _kind(normalize_name(text))
        kind = kind or own_kind
        if kind and wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
            return self._with_id(kind, int(wanted))
        called = self._called(wanted)
        if not called and wanted in _BUILT_IN:
            return self._plainly(_BUILT_IN[wanted], kind)
        return self._only(text, _of_kind(called, kind))

    def _beginning(self, text: str, kind: str | None = None) -> Product | None:
        """The only product whose name begins so."""
        own_kind, wanted = _kind(normalize_name(text))
        found: list[Product] = []
        names = self._names()
        for position in range(bisect_left(names, wanted) if wanted else len(names), len(names)):
            name = names[position]
            if not name.startswith(wanted):
                break
            found += _of_kind(self._called(name), kind or own_kind)
        found.sort(key=lambda product: (len(product.name or ""), product.name or "", product.id))
        return self._only(text, found)

    def _called(self, name: str) -> list[Product]:
        return [self._product(shelf, entry) for shelf in self._shelves.values() for entry in shelf.called(name)]

    def _with_id(self, kind: str, number: int) -> Product | None:
        shelf = self._shelves[kind]
        entry = shelf.by_id.get(number)
        return self._product(shelf, entry) if entry else None

    def _product(self, shelf: _Shelf, entry: ProductEntry) -> Product:
        name = _plain(shelf.kind, entry.name)
        return shelf.kind(entry.id, name or None, spelling=self._spelling(shelf, entry.id, name) if name else None)

    def _spelling(self, shelf: _Shelf, number: int, name: str) -> str | None:
        """What makes a canonical name exact: an instrument's that a market has too, or one that leads elsewhere."""
        kind, known = shelf.kind.kind, normalize_name(name)
        if known in shelf.namesakes or known in self._aliases or _reads_otherwise(known, kind):
            return f"{kind}:{number}"
        return f"instrument:{name}" if kind == "instrument" and known in self._shelves["market"].by_name else None

    def _names(self) -> list[str]:
        """All names in alphabetical order."""
        if self._sorted is None:
            self._sorted = sorted({name for shelf in self._shelves.values() for name in shelf.by_name})
        return self._sorted

    def search(self, text: str, limit: int) -> list[tuple[float, Product]]:
        """The products nearest to ``text`` with a score up to 1, best first.

        Each word of ``text`` is looked for among the words of a name or an alias: as it is, as the beginning of
        one, inside one, or misspelt. The shorter of two names that fit alike comes first, then a market.
        """
        kind, wanted = _kind(normalize_name(text))
        words = wanted.split()
        scores: dict[_Entry, float] = defaultdict(float)
        for word in words:
            for entry, fit in self._fits(word).items():
                scores[entry] += fit / len(words)
        best: dict[Product, float] = {}
        for entry, score in scores.items():
            # Words that were not asked for cost a little.
            weighed = score * (0.7 + 0.3 * min(1.0, len(words) / entry.length))
            best[entry.product] = max(weighed, best.get(entry.product, 0.0))
        found = [(round(score, 3), product) for product, score in best.items() if kind in (None, product.kind)]
        found.sort(key=lambda pair: (-pair[0], len(pair[1].name or ""), pair[1].kind != "market", pair[1].id))
        return found[:limit]

    def _only(self, text: str, found: Sequence[Product]) -> Product | None:
        if len(found) <= 1:
            return found[0] if found else None
        raise AmbiguousContract(text, tuple(product.label for product in found))

    def _fits(self, word: str) -> dict[_Entry, float]:
        """How well the best word of each entry fits ``word``."""
        vocabulary = self._vocabulary()
        fits = {known: _fit(word, known) for known in vocabulary if word in known}
        if not fits:
            fits = {
                known: 0.6 * difflib.SequenceMatcher(None, word, known).ratio()
                for known in difflib.get_close_matches(word, vocabulary, n=8, cutoff=0.6)
            }
        best: dict[_Entry, float] = {}
        for known, fit in fits.items():
            for entry in vocabulary[known]:
                best[entry] = max(fit, best.get(entry, 0.0))
        return best

    def _behind(self, alias: str) -> Product | None:
        try:
            return self.exactly(alias)
        except ContractError:  # an alias that points nowhere is told to whoever uses it
            return None

    def _vocabulary(self) -> dict[str, list[_Entry]]:
        """Every word of a name or an alias, with what it is a word of."""
        if self._words is None:
            named = [(name, product) for name in self._names() for product in self._called(name)]
            called = [(alias, found) for alias in (*_BUILT_IN, *self._aliases) if (found := self._behind(alias))]
            words: dict[str, list[_Entry]] = defaultdict(list)
            for name, product in (*named, *called):
                parts = set(name.replace("/", " ").split())
                entry = _Entry(product, name, len(parts))
                for part in parts:
                    words[part].append(entry)
            self._words = dict(words)
        return self._words


def _plain(kind: type[Instrument] | type[Market], name: str) -> str:
    """A name as it is listed, without what surrounds it: a market's without its star."""
    return name.rstrip("* ") if kind is Market else name.strip()


def _kind(text: str) -> tuple[str | None, str]:
    """What a name says of its kind, and the name without it."""
    for kind in ("market", "instrument"):
        if text.startswith(f"{kind}:"):
            return kind, text.removeprefix(f"{kind}:").rstrip("* ").lstrip()
    if text.endswith("*"):
        return "market", text.rstrip("* ")
    return None, text


def _reads_otherwise(name: str, kind: str) -> bool:
    """Would a product's own name be taken for a way of writing another's?"""
    return _kind(name) != (None, name) or (kind == "market" and name.isdigit())


def _of_kind(products: Sequence[Product], kind: str | None) -> list[Product]:
    """Those of this kind; of any kind, the markets if there are some."""
    if kind is not None:
        return [product for product in products if product.kind == kind]
    return [product for product in products if product.kind == "market"] or list(products)


def _fit(word: str, known: str) -> float:
    if word == known:
        return 1.0
    return 0.8 if known.startswith(word) else 0.6
