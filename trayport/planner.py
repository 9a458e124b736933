"""From a question to the list of requests that answers it: windows × groups of contracts. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pandas as pd
from attrs import evolve, field, frozen

from ._time import Window
from .config import Rate
from .contracts import Contract, Front, Product
from .endpoints import ACTIVITY, Endpoint, Request
from .queries import Query
from .wire import (
    Params,
    contract_params,
    field_params,
    front_params,
    instant_params,
    interval_params,
    option_params,
    window_params,
)

__all__ = ["COUNTED", "Piece", "Plan", "plan"]


@frozen
class Piece:
    """One planned request, with the window whose rows it answers for and the contracts that it asks for."""

    request: Request
    window: Window
    product: Product | None
    """None where all that was traded is asked for."""
    contracts: tuple[Contract, ...]
    """None of them where only the answer says which it is about: for a ``Front``, and for all that was traded."""
    names: tuple[str, ...]
    verifies: bool = False
    """Does it count what others ask for?"""

    @property
    def label(self) -> str:
        """What it asks for, in a few words."""
        first, *others = self.names
        return f"{first} and {len(others)} more" if len(others) > 1 else ", ".join(self.names)

    @property
    def needs_contract_column(self) -> bool:
        """Does the answer say of each row which contract it is? With one contract there is no need."""
        return len(self.contracts) != 1 and self.request.endpoint.per_contract


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
        if len(self) <= _SHOWN:
            return "\n".join([head, *self._lines(0, len(self))])
        more = f"   ...  ({len(self) - _SHOWN} more)"
        half = _SHOWN // 2
        return "\n".join([head, *self._lines(0, half), more, *self._lines(len(self) - half, len(self))])

    def _lines(self, first: int, end: int) -> Iterator[str]:
        for number, piece in enumerate(self.pieces[first:end], first + 1):
            yield f"  {number:>4}  {piece.window}  {piece.label}{'  as CSV' if piece.request.csv else ''}"


_SHOWN = 20  # a plan of thousands still prints on one screen


def plan(
    query: Query, contracts: Sequence[Contract] | Front, rates: tuple[Rate, ...] = (), *, csv: bool = False
) -> Plan:
    """The requests for ``query``, whose names have become ``contracts``; as CSV, where that can say it.

    Singles of one product and sequence share requests, as many as the endpoint takes; a spread or a range is
    a request of its own. Pieces come by window, then by group in the order of the contracts, and what verifies them
    last. An empty window makes no request.
    """
    if isinstance(contracts, Front):
        windows = [query.window] if query.endpoint.instant else list(_months(query.window))
        subjects = [_front(query, contracts, csv)]
    else:
        windows = [query.window]
        subjects = _subjects(query, contracts, csv)
    asks = [ask for window in windows for ask in _cut(query, window)]
    pieces = [_piece(query.endpoint, ask, subject) for ask in asks for subject in subjects]
    checks = _checks(query) if query.verify else ()
    return Plan(query, (*pieces, *checks), rates)


# --- which contracts -------------------------------------------------------------------------------------------


def _groups(contracts: Sequence[Contract], batch: int) -> list[tuple[Contract, ...]]:
    """The contracts that share a request, each once, in the order of the first of each group."""
    families: dict[object, list[Contract]] = {}
    for contract in dict.fromkeys(contracts):
        single = contract.kind == "single"
        families.setdefault((contract.product, contract.sequence_id) if single else contract, []).append(contract)
    return [
        tuple(family[first : first + batch]) for family in families.values() for first in range(0, len(family), batch)
    ]


# --- which windows ---------------------------------------------------------------------------------------------


@frozen
class _Ask:
    """The window whose rows a request answers for, how far it reaches to get them all, and how that is said."""

    window: Window
    until: pd.Timestamp
    times: Params


def _cut(query: Query, window: Window) -> Iterator[_Ask]:
    """``window`` in consecutive pieces, none longer than one request may ask for, in elapsed time."""
    if query.endpoint.instant:
        yield _Ask(window, window.end, instant_params(query.at))
        return
    start = window.start
    while start < window.end:
        end = min(_reach(query, start), window.end)
        until = _beyond_seam(query, end) if end < window.end else end
        yield _Ask(Window(start, end), until, window_params(start, until))
        start = end


def _beyond_seam(query: Query, end: pd.Timestamp) -> pd.Timestamp:
    # A point on a seam is the end of its interval: whether a server shows it when the next begins is not known.
    if query.endpoint.windows == "points" and query.interval is not None:
        return end + query.interval.length
    return end


def _reach(query: Query, start: pd.Timestamp) -> pd.Timestamp:
    """The latest end of a piece that begins at ``start``."""
    endpoint, interval = query.endpoint, query.interval
    span = (endpoint.coarse_span if interval and interval.coarse else None) or endpoint.span
    if span is None:
        return query.window.end
    if interval is None:
        return start + span
    count = interval.within(span, start)
    if endpoint.points is not None:  # one interval less, since a seam asks one further
        count = max(1, min(count, endpoint.points) - 1)
    return interval.after(start, count)


def _months(window: Window) -> Iterator[Window]:
    """``window`` cut at 00:00 UTC of each month's first."""
    firsts = pd.date_range(window.start, window.end, freq="MS", normalize=True)
    edges = [window.start, *(first for first in firsts if window.start < first < window.end), window.end]
    for start, end in itertools.pairwise(edges):
        if start < end:
            yield Window(start, end)


# --- pieces ----------------------------------------------------------------------------------------------------


@frozen
class _Subject:
    """What a request is about, and all that it says beside its times: the same in every window."""

    names: tuple[str, ...]
    params: Params
    csv: bool
    product: Product | None = None
    contracts: tuple[Contract, ...] = ()
    verifies: bool = False


def _piece(endpoint: Endpoint, ask: _Ask, subject: _Subject) -> Piece:
    # What anybody may see is no reason to speak of rights.
    until = None if endpoint.intraday_for_all else ask.until
    request = Request(endpoint, ask.times + subject.params, until=until, csv=subject.csv)
    return Piece(request, ask.window, subject.product, subject.contracts, subject.names, subject.verifies)


def _subjects(query: Query, contracts: Sequence[Contract], csv: bool) -> list[_Subject]:
    if not contracts:
        return [_subject(query, ("all contracts",), (), csv, tell_apart=query.endpoint.per_contract)]
    return [_several(query, group, csv) for group in _groups(contracts, query.endpoint.batch)]


def _several(query: Query, group: tuple[Contract, ...], csv: bool) -> _Subject:
    names = tuple(contract.label for contract in group)
    subject = _subject(query, names, contract_params(*group), csv, tell_apart=len(group) > 1)
    return evolve(subject, product=group[0].product, contracts=group)


def _front(query: Query, front: Front, csv: bool) -> _Subject:
    product = front.product
    if isinstance(product, str):
        raise TypeError(f"{front} is to be resolved before it is planned")
    named = front_params(product, front.sequence, front.count)
    return evolve(_subject(query, (front.label,), named, csv, tell_apart=True), product=product)


def _subject(query: Query, names: tuple[str, ...], named: Params, csv: bool, *, tell_apart: bool) -> _Subject:
    endpoint = query.endpoint
    interval = query.interval
    width = () if interval is None else interval_params(interval.count, interval.unit)
    params = (*width, *named, *_options(query), *_fields(query, tell_apart=tell_apart))
    nested = tell_apart or (query.include_private and any("." in column.wire for column in endpoint.of("private")))
    return _Subject(names, params, csv and endpoint.flat and not nested)


COUNTED = (ACTIVITY.column("delete_count"),)
"""What is asked of counts beside what they always say: a deleted trade is counted, and no longer shown."""


def _checks(query: Query) -> Iterator[Piece]:
    """The requests for counts that ``query`` can be compared with: whole minutes, from the day that they begin."""
    start, end = query.window.start.ceil(ACTIVITY.grain), query.window.end.floor(ACTIVITY.grain)
    start = max(start, ACTIVITY.since or start)
    counts = Query(ACTIVITY, (), Window(start, max(start, end)), query.tz, COUNTED, routes=query.routes)
    subject = evolve(_subject(counts, ("counts",), (), False, tell_apart=False), verifies=True)
    return (_piece(ACTIVITY, ask, subject) for ask in _cut(counts, counts.window))


# --- what a request says ---------------------------------------------------------------------------------------


def _options(query: Query) -> Params:
    """What differs from the API's own defaults."""
    known = query.endpoint.options
    return option_params(
        depth=query.depth,
        max_spread=query.max_spread,
        include_private=query.include_private and "include_private" in known,
        include_empty=query.include_empty,
        routes=query.routes,
        deduplicate=query.deduplicate if query.routes and "deduplicate" in known else None,
    )


def _fields(query: Query, *, tell_apart: bool) -> Params:
    # With routes the server adds the column `route` by itself (guide p. 31).
    columns = [column for column in query.fields if not (column.name == "route" and query.routes)]
    # Snapshots say of themselves which contract they are of.
    contract = tell_apart and not query.endpoint.list_field
    return field_params((*query.endpoint.always_asked, *(column.asked_as for column in columns)), contract=contract)
