"""The index of products: exact names, aliases, unique prefixes, and a search by words."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field, frozen

from ..contracts import Instrument, Market, Product, Reading, Readings, normalize_name
from ..errors import AmbiguousContract, ContractError
from ..wire import ProductEntry

__all__ = ["ALIASES", "Products"]

# Traders' names for products that the catalogue names differently. Names, not ids: ids come from the catalogue only.
ALIASES: Mapping[str, str] = {
    "TTF": "TTF Hi Cal 51.6*",
    "DE Base": "Germany Baseload*",
    "FR Base": "France Baseload*",
}


_BUILT_IN = {normalize_name(name): target for name, target in ALIASES.items()}


@frozen
class _SearchEntry:
    """A product under one of its names, and that name's number of words."""

    product: Product
    name: str
    length: int


@define(eq=False)
class _KindIndex:
    """The instruments or the markets, by id and by name. A product is made when it is first looked up."""

    kind: type[Instrument] | type[Market]
    by_id: dict[int, ProductEntry]
    by_name: dict[str, ProductEntry]
    duplicates: dict[str, list[ProductEntry]]
    """All products of a name that several have."""
    made: dict[int, Product] = field(factory=dict, init=False)

    @classmethod
    def build(cls, kind: type[Instrument] | type[Market], entries: Sequence[ProductEntry]) -> _KindIndex:
        by_name: dict[str, ProductEntry] = {}
        duplicates: dict[str, list[ProductEntry]] = {}
        for entry in entries:
            name = normalize_name(_plain_name(kind, entry.name))
            # A product without a name is found by its id only.
            if name and by_name.setdefault(name, entry) is not entry:
                duplicates.setdefault(name, [by_name[name]]).append(entry)
        return cls(kind, {entry.id: entry for entry in entries}, by_name, duplicates)

    def named(self, name: str) -> list[ProductEntry]:
        """Return all products of this name."""
        return self.duplicates.get(name) or [self.by_name[name]] if name in self.by_name else []


@define(eq=False)
class Products:
    """Products by name. A market comes before an instrument of the same name."""

    source: tuple[Sequence[ProductEntry], Sequence[ProductEntry]]
    """The lists of instruments and markets that the index was made from."""
    _kinds: dict[str, _KindIndex]
    _aliases: dict[str, str]
    _sorted_names: list[str] | None = field(default=None, init=False, repr=False)
    _words: dict[str, list[_SearchEntry]] | None = field(default=None, init=False, repr=False)

    @classmethod
    def build(
        cls, instruments: Sequence[ProductEntry], markets: Sequence[ProductEntry], aliases: Mapping[str, str]
    ) -> Products:
        """Return the index of these lists; a user's alias precedes every name, a built-in one only prefixes."""
        return cls(
            (instruments, markets),
            {"market": _KindIndex.build(Market, markets), "instrument": _KindIndex.build(Instrument, instruments)},
            {_split_kind(normalize_name(name))[1]: target for name, target in aliases.items()},
        )

    def __iter__(self) -> Iterator[Product]:
        for index in self._kinds.values():
            for entry in index.by_id.values():
                yield self._product(index, entry)

    def by_id(self, product: Product) -> Product | None:
        """Return the product of the same kind and id, with its name; None if there is none."""
        return self._by_number(product.kind, product.id)

    def find_exact(self, text: str) -> Product | None:
        """Return the product with exactly this name, id or alias; None if there is none.

        A star after the name or ``market:`` before it means the market, ``instrument:`` before it the instrument;
        both prefixes also take an id. Raises ``AmbiguousContract`` if several products have the name, and
        ``ContractError`` for an alias of a product that does not exist.
        """
        kind, wanted = _split_kind(normalize_name(text))
        if wanted not in self._aliases:
            return self._by_name(text)
        target = self._aliases[wanted]
        found = self._by_name(target, kind) or self._by_prefix(target, kind)
        if found is None:
            raise ContractError(f"the alias {wanted!r} is for {target!r}, and there is no such product")
        return found

    def find(self, text: str) -> Product | None:
        """As ``find_exact``, else the only product whose name begins with ``text``.

        Raises ``AmbiguousContract`` with all of them, shortest name first, if there are several.
        """
        return self.find_exact(text) or self._by_prefix(text)

    def match(self, readings: Readings) -> list[tuple[Reading, Product]]:
        """Return the readings of a name whose product exists, with the product, the preferred one first.

        An exact name in any reading precedes a prefix in another, and the longer of two exact names comes first. If
        none is followed by periods of a known spelling, the readings with the vendor's names of periods are used.
        """
        for find, ordered in ((self.find_exact, readings.dated[::-1]), (self.find, readings.dated)):
            found, ambiguous = [], None
            for reading in ordered:
                try:
                    product = find(reading.product)
                except AmbiguousContract as error:
                    candidates = tuple(f"{candidate} {reading.periods}" for candidate in error.candidates)
                    ambiguous = ambiguous or AmbiguousContract(f"{reading.product} {reading.periods}", candidates)
                    continue
                if product is not None:
                    found.append((reading, product))
            if found:
                return found
            if ambiguous is not None:
                raise ambiguous
        literal = list(readings.literal)
        for text in dict.fromkeys(reading.product for reading in literal):
            try:
                product = self.find(text)
            except AmbiguousContract:
                continue
            if product is not None:
                return [(reading, product) for reading in literal if reading.product == text]
        return []

    def nearest(self, text: str) -> tuple[str, ...]:
        """Return the canonical names of the three products nearest to ``text``."""
        return tuple(product.label for _, product in self.search(text, 3))

    def _by_name(self, text: str, kind: str | None = None) -> Product | None:
        """Return the product with this name, id or built-in alias; ``kind`` overrules the kind that the text names."""
        own_kind, wanted = _split_kind(normalize_name(text))
        kind = kind or own_kind
        if kind and wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
            return self._by_number(kind, int(wanted))
        named = self._all_named(wanted)
        if not named and wanted in _BUILT_IN:
            return self._by_name(_BUILT_IN[wanted], kind)
        return _only_one(text, _of_kind(named, kind))

    def _by_prefix(self, text: str, kind: str | None = None) -> Product | None:
        """Return the only product whose name begins with ``text``."""
        own_kind, wanted = _split_kind(normalize_name(text))
        found: list[Product] = []
        names = self._names()
        for position in range(bisect_left(names, wanted) if wanted else len(names), len(names)):
            name = names[position]
            if not name.startswith(wanted):
                break
            found += _of_kind(self._all_named(name), kind or own_kind)
        found.sort(key=lambda product: (len(product.name or ""), product.name or "", product.id))
        return _only_one(text, found)

    def _all_named(self, name: str) -> list[Product]:
        return [self._product(index, entry) for index in self._kinds.values() for entry in index.named(name)]

    def _by_number(self, kind: str, number: int) -> Product | None:
        index = self._kinds[kind]
        entry = index.by_id.get(number)
        return self._product(index, entry) if entry else None

    def _product(self, index: _KindIndex, entry: ProductEntry) -> Product:
        product = index.made.get(entry.id)
        if product is None:
            name = _plain_name(index.kind, entry.name)
            exact_name = self._exact_name(index, entry.id, name) if name else None
            product = index.made[entry.id] = index.kind(entry.id, name or None, exact_name=exact_name)
        return product

    def _exact_name(self, index: _KindIndex, number: int, name: str) -> str | None:
        """Return the name that finds a product whose own name finds another one; None if its own will do."""
        kind, known = index.kind.kind, normalize_name(name)
        # Such as a market that is named "2024" or "instrument:5".
        is_misread = _split_kind(known) != (None, known) or (kind == "market" and known.isdigit())
        if is_misread or known in index.duplicates or known in self._aliases:
            return f"{kind}:{number}"
        return f"instrument:{name}" if kind == "instrument" and known in self._kinds["market"].by_name else None

    def _names(self) -> list[str]:
        """All names in alphabetical order."""
        if self._sorted_names is None:
            self._sorted_names = sorted({name for index in self._kinds.values() for name in index.by_name})
        return self._sorted_names

    # --- search ----------------------------------------------------------------------------------------------

    def search(self, text: str, limit: int) -> list[tuple[float, Product]]:
        """Return the products nearest to ``text``, each with a score from 0 to 1, best first.

        Each word of ``text`` is compared with the words of names and aliases: equal, a prefix, a part, or misspelt. Of
        two names with one score the shorter one comes first, then the market.
        """
        kind, wanted = _split_kind(normalize_name(text))
        words = wanted.split()
        scores: dict[_SearchEntry, float] = defaultdict(float)
        for word in words:
            for entry, score in self._scores(word).items():
                scores[entry] += score / len(words)
        best: dict[Product, float] = {}
        for entry, score in scores.items():
            # A name with more words than the text loses up to 30 %.
            weighted = score * (0.7 + 0.3 * min(1.0, len(words) / entry.length))
            best[entry.product] = max(weighted, best.get(entry.product, 0.0))
        found = [(round(score, 3), product) for product, score in best.items() if kind in (None, product.kind)]
        found.sort(key=lambda pair: (-pair[0], len(pair[1].name or ""), pair[1].kind != "market", pair[1].id))
        return found[:limit]

    def _scores(self, word: str) -> dict[_SearchEntry, float]:
        """Return the score of each entry's best word."""
        vocabulary = self._vocabulary()
        scores = {known: _score(word, known) for known in vocabulary if word in known}
        if not scores:
            scores = {
                known: 0.6 * difflib.SequenceMatcher(None, word, known).ratio()
                for known in difflib.get_close_matches(word, vocabulary, n=8, cutoff=0.6)
            }
        best: dict[_SearchEntry, float] = {}
        for known, score in scores.items():
            for entry in vocabulary[known]:
                best[entry] = max(score, best.get(entry, 0.0))
        return best

    def _vocabulary(self) -> dict[str, list[_SearchEntry]]:
        """Return every word of a name or an alias, with the entries that contain it."""
        if self._words is None:
            named = [(name, product) for name in self._names() for product in self._all_named(name)]
            aliased = [(alias, self._alias_target(alias)) for alias in (*_BUILT_IN, *self._aliases)]
            words: dict[str, list[_SearchEntry]] = defaultdict(list)
            for name, product in (*named, *aliased):
                if product is None:
                    continue
                parts = set(name.replace("/", " ").split())
                entry = _SearchEntry(product, name, len(parts))
                for part in parts:
                    words[part].append(entry)
            self._words = dict(words)
        return self._words

    def _alias_target(self, alias: str) -> Product | None:
        try:
            return self.find_exact(alias)
        except ContractError:  # raised again where the alias is used
            return None


def _plain_name(kind: type[Instrument] | type[Market], name: str) -> str:
    """Return a listed name without spaces around it, and a market's without its star."""
    return name.rstrip("* ") if kind is Market else name.strip()


def _split_kind(text: str) -> tuple[str | None, str]:
    """Return the kind that a name states, if any, and the name without it."""
    for kind in ("market", "instrument"):
        if text.startswith(f"{kind}:"):
            return kind, text.removeprefix(f"{kind}:").rstrip("* ").lstrip()
    if text.endswith("*"):
        return "market", text.rstrip("* ")
    return None, text


def _of_kind(products: Sequence[Product], kind: str | None) -> list[Product]:
    """Return the products of this kind; without a kind the markets, or all if there are none."""
    if kind is not None:
        return [product for product in products if product.kind == kind]
    return [product for product in products if product.kind == "market"] or list(products)


def _only_one(text: str, found: Sequence[Product]) -> Product | None:
    if len(found) <= 1:
        return found[0] if found else None
    raise AmbiguousContract(text, tuple(product.label for product in found))


def _score(word: str, known: str) -> float:
    if word == known:
        return 1.0
    return 0.8 if known.startswith(word) else 0.6
