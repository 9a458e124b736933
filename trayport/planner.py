"""Plans: the requests of a query, as windows × groups of contracts. Pure: nothing is sent.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import pandas as pd
from attrs import field, frozen

from ._time import Window
from .config import Rate
from .contracts import Contract, Front, Product
from .endpoints import ACTIVITY, Request
from .errors import QueryError
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

__all__ = ["COUNT_FIELDS", "Piece", "Plan", "plan"]


@frozen
class Piece:
    """One planned request, with the window and the contracts whose rows it returns."""

    request: Request
    window: Window
    product: Product | None
    """None for a request for all contracts."""
    contracts: tuple[Contract, ...]
    """Empty where only the response names them: for a ``Front``, and for all contracts."""
    names: tuple[str, ...]
    """The contracts as text, for people."""
    verifies: bool = False
    """True for a request for the counts that the rows of other pieces are compared with."""

    @property
    def label(self) -> str:
        """The contracts in a few words."""
        first, *others = self.names
        return f"{first} and {len(others)} more" if len(others) > 1 else ", ".join(self.names)

    @property
    def needs_contract_column(self) -> bool:
        """True if each row of the response has to name its contract: if there may be several."""
        return len(self.contracts) != 1 and self.request.endpoint.per_contract


class Runner(Protocol):
    """A client that can send the requests of a plan."""

    def run(self, plan: Plan) -> pd.DataFrame:
        """Return the rows of all pieces of ``plan`` as one frame."""
        ...


@frozen(repr=False)
class Plan:
    """The requests that a query will make; each counts once, however often it is retried.

    ``len(plan)`` is the number of requests. Reference look-ups happen while planning and are not included.

    Attributes
    ----------
    query : Query
        The planned query, with contracts in place of their names.
    pieces : tuple of Piece
        The requests with their windows and contracts, by window, then by group of contracts.
    rates : tuple of Rate, default ()
        The rate limits that ``seconds`` is computed with.
    runner : callable, default None
        Sends the requests for ``run``; set by the client that makes the plan.
    """

    query: Query
    pieces: tuple[Piece, ...]
    rates: tuple[Rate, ...] = field(default=())
    _runner: Runner | None = field(default=None, eq=False)

    def run(self) -> pd.DataFrame:
        """Make the requests of this plan and return the frame that the planned query returns.

        The client that made the plan sends them, with its current settings. For a plan that was pickled, it is the
        default client of the process that unpickles it.

        Returns
        -------
        DataFrame
            The frame of the planned query, such as ``trades``.

        Raises
        ------
        QueryError
            No client made this plan.
        PartialDataError, TrayportError
            As for the planned query.

        Examples
        --------
        >>> import trayport as tp
        >>> plan = tp.plan.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        >>> plan.run().equals(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))
        True
        """
        if self._runner is None:
            raise QueryError("this plan was made without a client", "make it with Client.plan or trayport.plan")
        return self._runner.run(self)

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests, by window, then by group of contracts."""
        return tuple(piece.request for piece in self.pieces)

    @property
    def seconds(self) -> float:
        """Minimum seconds from the first request to the last, within the rate limits and without other users."""
        return max(((len(self) - 1) // rate.count * rate.seconds for rate in self.rates if len(self)), default=0.0)

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        count = "1 request" if len(self) == 1 else f"{len(self)} requests"
        why = f"at least {self.seconds:g} s at the limit" if self.pieces else f"the window {self.query.window} is empty"
        lines = [
            f"  {number:>4}  {piece.window}  {piece.label}{'  as CSV' if piece.request.csv else ''}"
            for number, piece in enumerate(self.pieces, 1)
            if len(self) <= _SHOWN or not _SHOWN // 2 < number <= len(self) - _SHOWN // 2
        ]
        if len(self) > _SHOWN:
            lines.insert(_SHOWN // 2, f"   ...  ({len(self) - _SHOWN} more)")
        return "\n".join([f"Plan: {self.query.endpoint.name}, {count}, {why}", *lines])


_SHOWN = 20  # lines: a plan of thousands of requests still fits on a screen


def plan(
    query: Query,
    contracts: Sequence[Contract] | Front,
    windows: Iterable[Window],
    rates: tuple[Rate, ...] = (),
    *,
    csv: bool = False,
) -> Plan:
    """Return the requests of a query.

    Single periods of one product and sequence share requests, up to the endpoint's limit; a spread or a range is a
    request of its own. Pieces are in the order of the windows, then of the first contract of each group; requests for
    counts come last.

    Parameters
    ----------
    query : Query
        Endpoint, interval, options and columns.
    contracts : sequence of Contract, or Front
        The resolved contracts of the query; empty for all contracts.
    windows : iterable of Window
        The windows to request: the query's own, or the parts of it that are missing. An empty one needs no request.
    rates : tuple of Rate, default ()
        The rate limits, for ``Plan.seconds``.
    csv : bool, default False
        Whether to request CSV where it can hold the response.
    """
    endpoint, windows = query.endpoint, tuple(windows)
    parts: Iterable[Window] = windows
    if isinstance(contracts, Front):
        if isinstance(contracts.product, str):
            raise TypeError(f"{contracts} has to be resolved before it is planned")
        params = front_params(contracts.product, contracts.sequence, contracts.count)
        subjects = [_subject(query, params, (contracts.label,), csv, contracts.product)]
        if not endpoint.is_instant:
            parts = itertools.chain.from_iterable(map(_months, windows))
    elif contracts:
        subjects = [
            _subject(query, contract_params(*group), tuple(each.label for each in group), csv, group[0].product, group)
            for group in _groups(contracts, endpoint.batch)
        ]
    else:
        subjects = [_subject(query, (), ("all contracts",), csv)]
    times = [each for part in parts for each in _cut(query, part)]
    pieces = [subject.piece(query, each) for each in times for subject in subjects]
    return Plan(query, (*pieces, *(_counts(query, windows) if query.verify else ())), rates)


def _groups(contracts: Sequence[Contract], batch: int) -> list[tuple[Contract, ...]]:
    """Return the contracts that share a request, each contract once, in the order of the first of each group."""
    families: dict[object, list[Contract]] = {}
    for contract in dict.fromkeys(contracts):
        single = contract.kind == "single"
        families.setdefault((contract.product, contract.sequence_id) if single else contract, []).append(contract)
    return [
        tuple(family[first : first + batch]) for family in families.values() for first in range(0, len(family), batch)
    ]


@frozen
class _Times:
    """The times of a request, which are the same for all contracts."""

    window: Window
    """The rows that it returns."""
    until: pd.Timestamp
    """The end that it gives, which may be later."""
    params: Params


@frozen
class _Subject:
    """The contracts of a request and its parameters beside the times, which are the same for every window."""

    params: Params
    names: tuple[str, ...]
    csv: bool
    product: Product | None
    contracts: tuple[Contract, ...]

    def piece(self, query: Query, times: _Times, *, verifies: bool = False) -> Piece:
        """Return the request for these contracts at these times."""
        # Without an end, a refusal is not reported as a missing entitlement to data of today.
        until = None if query.endpoint.intraday_for_all else times.until
        request = Request(query.endpoint, times.params + self.params, until=until, csv=self.csv)
        return Piece(request, times.window, self.product, self.contracts, self.names, verifies)


def _subject(
    query: Query,
    params: Params,
    names: tuple[str, ...],
    csv: bool,
    product: Product | None = None,
    contracts: tuple[Contract, ...] = (),
) -> _Subject:
    """Return a request's contracts with all parameters, given those that name the contracts."""
    endpoint, interval = query.endpoint, query.interval
    names_contract = len(contracts) != 1 and endpoint.per_contract
    private = endpoint.columns_of("private") if query.include_private else ()
    nested = names_contract or any("." in column.wire for column in private)
    # With routes the server adds the column `route` by itself (guide p. 31).
    columns = [column for column in query.fields if not (column.name == "route" and query.routes)]
    params = (
        *(interval_params(interval.count, interval.unit) if interval else ()),
        *params,
        *option_params(
            depth=query.depth,
            max_spread=query.max_spread,
            include_private=query.include_private and "include_private" in endpoint.options,
            include_empty=query.include_empty,
            routes=query.routes,
            deduplicate=query.deduplicate if query.routes and "deduplicate" in endpoint.options else None,
        ),
        *field_params(
            (*endpoint.default_fields, *(column.field_name for column in columns)),
            contract=names_contract and not endpoint.list_field,  # snapshots always have it
        ),
    )
    return _Subject(params, names, csv and endpoint.is_flat and not nested, product, contracts)


def _cut(query: Query, window: Window) -> Iterator[_Times]:
    """Yield the times of consecutive requests that together cover a window, each within the limits of one request."""
    endpoint, interval = query.endpoint, query.interval
    if endpoint.is_instant:
        yield _Times(window, window.end, instant_params(query.at))
        return
    # A point is stamped with the end of its interval. Whether a request includes the point at its own end is not
    # documented, so that each request for points but the last ends one interval later.
    beyond = interval.length if interval and endpoint.windows == "points" else pd.Timedelta(0)
    start = window.start
    while start < window.end:
        end = min(_reach(query, start), window.end)
        until = end + beyond if end < window.end else end
        yield _Times(Window(start, end), until, window_params(start, until))
        start = end


def _reach(query: Query, start: pd.Timestamp) -> pd.Timestamp:
    """Return the latest end of a part that begins at ``start``, in elapsed time."""
    endpoint, interval = query.endpoint, query.interval
    span = (endpoint.coarse_span if interval and interval.is_coarse else None) or endpoint.span
    if span is None:
        return query.window.end
    if interval is None:
        return start + span
    count = interval.count_within(span, start)
    if endpoint.points is not None:  # one interval less, since the request ends one later
        count = max(1, min(count, endpoint.points) - 1)
    return interval.shift(start, count)


def _months(window: Window) -> Iterator[Window]:
    """Yield the parts of a window between 00:00 UTC of each month's first."""
    firsts = pd.date_range(window.start, window.end, freq="MS", normalize=True)
    edges = [window.start, *(first for first in firsts if window.start < first < window.end), window.end]
    return (Window(start, end) for start, end in itertools.pairwise(edges) if start < end)


COUNT_FIELDS = (ACTIVITY.column("delete_count"),)
"""The optional columns of the requests for counts: a deleted trade is counted, but no longer returned."""


def _counts(query: Query, windows: Iterable[Window]) -> Iterator[Piece]:
    """Yield the requests for the counts that trades are compared with: of whole minutes, from the first counts on."""
    counts = Query(ACTIVITY, (), query.window, query.tz, COUNT_FIELDS, routes=query.routes)
    subject = _subject(counts, (), ("counts",), csv=False)
    for window in windows:
        start, end = window.start.ceil(ACTIVITY.grain), window.end.floor(ACTIVITY.grain)
        start = max(start, ACTIVITY.since or start)
        for times in _cut(counts, Window(start, max(start, end))):
            yield subject.piece(counts, times, verifies=True)
