"""From a question to the list of requests that answers it: windows × groups of contracts. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pandas as pd
from attrs import field, frozen

from ._time import Window, wire
from .config import Rate
from .contracts import Contract, Front, Product
from .endpoints import Endpoint, Request
from .queries import Query

__all__ = ["Piece", "Plan", "plan"]


@frozen
class Piece:
    """One planned request, with the window whose rows it answers for and the contracts that it asks for."""

    request: Request
    window: Window
    product: Product
    contracts: tuple[Contract, ...]
    """None of them for a ``Front``: which items it means, the answer says."""
    names: tuple[str, ...]

    @property
    def label(self) -> str:
        """What it asks for, in a few words."""
        first, *others = self.names
        return f"{first} and {len(others)} more" if len(others) > 1 else ", ".join(self.names)

    @property
    def tells_apart(self) -> bool:
        """Does the answer say of each row which contract it is? With one contract there is no need."""
        return len(self.contracts) != 1


@frozen(repr=False)
class Plan:
    """The requests that a question will make: each is counted once, whatever its attempts.

    ``len(plan)`` is their number, ``plan.requests`` the requests, and ``plan.seconds`` the least time that the
    limits allow for them. Reference look-ups happen while planning and are not in it.
    """

    query: Query
    pieces: tuple[Piece, ...]
    rates: tuple[Rate, ...] = field(default=())

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests, by window, then by group of contracts."""
        return tuple(piece.request for piece in self.pieces)

    @property
    def seconds(self) -> float:
        """Seconds from the first request to the last, at the limit and with nobody else using the key."""
        return max(((len(self) - 1) // rate.count * rate.seconds for rate in self.rates if len(self)), default=0.0)

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        count = "1 request" if len(self) == 1 else f"{len(self)} requests"
        why = f"at least {self.seconds:g} s at the limit" if self.pieces else f"the window {self.query.window} is empty"
        head = f"Plan: {self.query.endpoint.name}, {count}, {why}"
        shown = [f"  {number:>4}  {piece.window}  {piece.label}" for number, piece in enumerate(self.pieces, 1)]
        if len(shown) > _SHOWN:
            shown[_SHOWN // 2 : -_SHOWN // 2] = [f"   ...  ({len(shown) - _SHOWN} more)"]
        return "\n".join([head, *shown])


_SHOWN = 20  # a plan of thousands still prints on one screen


def plan(query: Query, contracts: Sequence[Contract] | Front, rates: tuple[Rate, ...] = ()) -> Plan:
    """The requests for ``query``, whose names have become ``contracts``.

    Singles of one product and sequence share requests, as many as the endpoint takes; a spread or a range is
    a request of its own. Pieces come by window, then by group in the order of the contracts. An empty window
    makes no request.
    """
    if isinstance(contracts, Front):
        pieces = tuple(_front(query, contracts))
    else:
        groups = _groups(contracts, query.endpoint.batch)
        pieces = tuple(
            _piece(query, window, group) for window in _cut(query.window, query.endpoint) for group in groups
        )
    return Plan(query, pieces, rates)


def _groups(contracts: Sequence[Contract], batch: int) -> list[tuple[Contract, ...]]:
    """The contracts that share a request, each once, in the order of the first of each group."""
    families: dict[object, list[Contract]] = {}
    for contract in dict.fromkeys(contracts):
        single = contract.kind == "single"
        families.setdefault((contract.product, contract.sequence_id) if single else contract, []).append(contract)
    return [
        tuple(family[first : first + batch]) for family in families.values() for first in range(0, len(family), batch)
    ]


def _cut(window: Window, endpoint: Endpoint) -> Iterator[Window]:
    """``window`` in consecutive pieces, none longer than one request may ask for, in elapsed time."""
    if endpoint.span is None:
        yield window
        return
    start = window.start
    while start < window.end:
        end = min(start + endpoint.span, window.end)
        yield Window(start, end)
        start = end


def _front(query: Query, front: Front) -> Iterator[Piece]:
    for month in _months(query.window):
        for window in _cut(month, query.endpoint):
            yield _front_piece(query, window, front)


def _months(window: Window) -> Iterator[Window]:
    """``window`` cut at 00:00 UTC of each month's first."""
    firsts = pd.date_range(window.start, window.end, freq="MS", normalize=True)
    edges = [window.start, *(first for first in firsts if window.start < first < window.end), window.end]
    for start, end in itertools.pairwise(edges):
        if start < end:
            yield Window(start, end)


def _piece(query: Query, window: Window, group: tuple[Contract, ...]) -> Piece:
    first = group[0]
    # The parameters of one contract, with the item's repeated for each of the others.
    named = [
        pair
        for name, value in first.params()
        for pair in (
            [(name, str(contract.item_id)) for contract in group] if name == "sequenceItemId" else [(name, value)]
        )
    ]
    names = tuple(contract.label for contract in group)
    return Piece(_request(query, window, named, tell_apart=len(group) > 1), window, first.product, group, names)


def _front_piece(query: Query, window: Window, front: Front) -> Piece:
    product = front.product
    if isinstance(product, str):
        raise TypeError(f"{front} is to be resolved before it is planned")
    named = [
        (product.parameter, str(product.id)),
        ("sequenceId", str(front.sequence)),
        ("tradingItems", str(front.count)),
        ("contractType", "SinglePeriod"),
    ]
    return Piece(_request(query, window, named, tell_apart=True), window, product, (), (front.label,))


def _request(query: Query, window: Window, named: list[tuple[str, str]], *, tell_apart: bool) -> Request:
    params = [("from", wire(window.start)), ("until", wire(window.end)), *named]
    if query.include_private:
        params.append(("includePrivate", "true"))
    if query.routes:
        params += [("routes", route) for route in query.routes]
        params.append(("deduplicateRoutes", str(query.deduplicate).lower()))
    # With routes the server adds the column `route` by itself (guide p. 31).
    asked = [column.wire for column in query.fields if not (column.name == "route" and query.routes)]
    params += [("optionalFields", name) for name in (*asked, *(["contract"] if tell_apart else []))]
    return Request(query.endpoint, tuple(params), until=window.end)
