"""The index of products: exact names, aliases, unique prefixes, and a search for what is only half known."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field, frozen

from ..contracts import Instrument, Market, Product
from ..contracts.listing import normal
from ..errors import AmbiguousContract
from .models import Entry

__all__ = ["ALIASES", "Products"]

# What traders say for what the catalogue calls otherwise. Names, not ids: those come from the catalogue alone.
ALIASES: Mapping[str, str] = {
    "TTF": "TTF Hi Cal 51.6*",
    "DE Base": "Germany Baseload*",
    "FR Base": "France Baseload*",
}


@frozen
class _Entry:
    """A product under one of its names, for a search by words."""

    product: Product
    name: str
    length: int


@define(eq=False)
class Products:
    """Products by name. A market comes before an instrument of the same name."""

    source: tuple[Sequence[Entry], Sequence[Entry]]
    """The lists of instruments and markets that it was made from."""
    _by_name: dict[str, list[Product]]
    _by_id: dict[tuple[str, int], Product]
    _aliases: dict[str, str]
    _sorted: list[str] = field(init=False, repr=False)
    _words: dict[str, list[_Entry]] | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._sorted = sorted(self._by_name)

    @classmethod
    def of(cls, instruments: Sequence[Entry], markets: Sequence[Entry], aliases: Mapping[str, str]) -> Products:
        """The index of these lists, with the caller's aliases before the built-in ones."""
        products: list[Product] = [Market(entry.id, _starless(entry.name)) for entry in markets]
        products += [Instrument(entry.id, entry.name) for entry in instruments]
        by_name: dict[str, list[Product]] = defaultdict(list)
        for product in products:
            by_name[normal(product.name or "")].append(product)
        return cls(
            (instruments, markets),
            dict(by_name),
            {(product.kind, product.id): product for product in products},
            {normal(name): target for name, target in {**ALIASES, **aliases}.items()},
        )

    def __iter__(self) -> Iterator[Product]:
        return iter(self._by_id.values())

    def by_id(self, product: Product) -> Product | None:
        """The product of the same kind and id, with its name."""
        return self._by_id.get((product.kind, product.id))

    def find(self, text: str) -> Product | None:
        """The product that ``text`` names: exactly, by alias, or as the only one that begins so.

        A star behind it or ``market:`` before it asks for the market, ``instrument:`` for the instrument; behind
        either an id will do. Raises ``AmbiguousContract`` with the candidates, nearest first.
        """
        kind, wanted = _kind(normal(text))
        if not wanted:
            return None
        if kind and wanted.isdigit():
            return self._by_id.get((kind, int(wanted)))
        exact = _of_kind(self._by_name.get(wanted, ()), kind)
        if not exact and wanted in self._aliases:
            target_kind, target = _kind(normal(self._aliases[wanted]))
            exact = _of_kind(self._by_name.get(target, ()), kind or target_kind)
        return self._only(text, exact) or self._only(text, self._beginning(wanted, kind))

    def search(self, text: str, limit: int) -> list[tuple[float, Product]]:
        """The products nearest to ``text`` with a score up to 1, best first.

        Each word of ``text`` is looked for among the words of a name or an alias: as it is, as the beginning of
        one, inside one, or misspelt. The shorter of two names that fit alike comes first, then a market.
        """
        kind, wanted = _kind(normal(text))
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
        names = [product.label for product in found]
        # Two listings may share a name to the letter: then only the id tells them apart.
        exact = [
            product.label if names.count(product.label) == 1 else f"{product.kind}:{product.id}" for product in found
        ]
        raise AmbiguousContract(text, tuple(exact))

    def _beginning(self, wanted: str, kind: str | None) -> list[Product]:
        """The products whose name begins so, shortest first; of a market and its namesake the market alone."""
        found: list[Product] = []
        for position in range(bisect_left(self._sorted, wanted), len(self._sorted)):
            name = self._sorted[position]
            if not name.startswith(wanted):
                break
            found += _of_kind(self._by_name[name], kind)
        return sorted(found, key=lambda product: (len(product.name or ""), product.name or "", product.id))

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

    def _vocabulary(self) -> dict[str, list[_Entry]]:
        """Every word of a name or an alias, with what it is a word of."""
        if self._words is None:
            named = [(name, product) for name, products in self._by_name.items() for product in products]
            called = [(alias, found) for alias in self._aliases if (found := self.find(alias))]
            words: dict[str, list[_Entry]] = defaultdict(list)
            for name, product in (*named, *called):
                parts = set(name.replace("/", " ").split())
                entry = _Entry(product, name, len(parts))
                for part in parts:
                    words[part].append(entry)
            self._words = dict(words)
        return self._words


def _starless(name: str) -> str:
    return name.rstrip("* ")


def _kind(text: str) -> tuple[str | None, str]:
    """What a name says of its kind, and the name without it."""
    for kind in ("market", "instrument"):
        if text.startswith(f"{kind}:"):
            return kind, text.removeprefix(f"{kind}:").rstrip("* ").lstrip()
    if text.endswith("*"):
        return "market", text.rstrip("* ")
    return None, text


def _of_kind(products: Sequence[Product], kind: str | None) -> list[Product]:
    """Those of this kind; of any kind, the markets if there are some."""
    if kind is not None:
        return [product for product in products if product.kind == kind]
    return [product for product in products if product.kind == "market"] or list(products)


def _fit(word: str, known: str) -> float:
    if word == known:
        return 1.0
    return 0.8 if known.startswith(word) else 0.6
