"""A query as a value, and the checks of its arguments.

The server ignores parameters that it does not know (guide p. 37), so that mistakes have to be found here. Page numbers
refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import pandas as pd
from attrs import Attribute, field, frozen

from .._time import Window, instant, iso
from ..contracts import Contract, ContractLike, Front, as_int
from ..endpoints import Column, Endpoint
from ..errors import ContractError, QueryError
from ..typing import When
from .intervals import Interval

__all__ = ["Query", "QueryContext", "QueryMethods", "T_co"]

T_co = TypeVar("T_co", covariant=True)


@frozen
class QueryContext:
    """The settings that the arguments of a query are read with."""

    tz: str
    """The zone of naive times."""
    now: pd.Timestamp
    """The present, in UTC."""
    intraday: bool
    """True if the key is entitled to data of today."""

    @property
    def latest(self) -> pd.Timestamp:
        """The end of the data: now, or 00:00 UTC of today without the entitlement to today."""
        return self.now.floor("s" if self.intraday else "D")

    def window(
        self,
        start: When,
        end: When | None,
        *,
        days_in: str | None = None,
        round_end: Callable[[pd.Timestamp, pd.Timestamp], pd.Timestamp] | None = None,
    ) -> Window:
        """Return the window of a query.

        Parameters
        ----------
        start, end : str, date, datetime or Timestamp
            The window is half-open. For the end, None is the end of the data; if that is before ``start``, the window
            is empty.
        days_in : str, optional
            The zone of dates without a time, if it is not ``tz``.
        round_end : callable, optional
            Returns the end of a window without one, given its start and the end of the data.

        Raises
        ------
        QueryError
            A time cannot be read, or ``end`` is before ``start`` or later than the data.
        """
        first = instant(start, self.tz, "start", days_in=days_in)
        if end is None:
            last = self.latest if round_end is None or self.latest < first else round_end(first, self.latest)
            return Window(first, max(first, last))
        last = instant(end, self.tz, "end", days_in=days_in)
        if last < first:
            raise QueryError(f"end {end!r} is before start {start!r}", "give the earlier one as start")
        if last > self.latest and not self.intraday:
            raise self._beyond_data_error("end", end, "leave `end` out to get all data")
        return Window(first, last)

    def minute(self, at: When, endpoint: Endpoint) -> pd.Timestamp:
        """Return a moment as a whole minute, or raise ``QueryError`` if it is none or later than the data."""
        moment = instant(at, self.tz, "at")
        if moment != moment.floor(endpoint.grain):
            raise QueryError(
                f"at {at!r} is not a whole minute, the smallest unit of {endpoint.name}",
                f"give a whole one, such as {iso(moment.floor(endpoint.grain))}",
            )
        if moment > self.latest and not self.intraday:
            raise self._beyond_data_error("at", at, "give an earlier time")
        return moment

    def _beyond_data_error(self, name: str, given: When, remedy: str) -> QueryError:
        return QueryError(
            f"{name} {given!r} is later than {iso(self.latest)}, the end of the data without intraday entitlement",
            f"{remedy}, or set Config.intraday=True (TRAYPORT_INTRADAY) if your key is entitled to data of today",
        )


def _check_flag(_: object, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise QueryError(f"{attribute.name}={value!r} must be True or False")


def _flag(default: bool = False) -> bool:
    checked: bool = field(default=default, validator=_check_flag)
    return checked


@frozen
class Query:
    """A checked query: an endpoint, the contracts as given, the window, the columns and the options.

    A query at one instant has an empty window there.
    """

    endpoint: Endpoint
    contracts: tuple[str | Contract, ...] | Front
    """Empty for all contracts."""
    window: Window
    tz: str
    """The zone of the frame's index."""
    fields: tuple[Column, ...] = ()
    """The optional columns."""
    at: pd.Timestamp | None = None
    """None if the server is to choose the instant."""
    interval: Interval | None = None
    depth: int | None = field(default=None, converter=as_int)
    max_spread: float | None = field(default=None)
    include_private: bool = _flag()
    include_empty: bool = _flag()
    routes: tuple[str, ...] = field(default=())
    deduplicate: bool = _flag(default=True)
    verify: bool = _flag()

    @classmethod
    def of(
        cls,
        context: QueryContext,
        endpoint: Endpoint,
        contract: ContractLike | None,
        window: Window,
        fields: Iterable[str] = (),
        *,
        routes: Iterable[str | int] = (),
        **options: Any,
    ) -> Query:
        """Return the query for the arguments of a query method.

        Parameters
        ----------
        context : QueryContext
            Supplies the zone.
        endpoint : Endpoint
            The path, with its optional columns and its limits.
        contract : str, Contract, Front, iterable of str and Contract, or None
            None is for all contracts, at endpoints that need none.
        window : Window
            The checked window.
        fields : iterable of str, default ()
            Names of optional columns, ours or the API's.
        routes : iterable of str or int, default ()
            Names or ids of routes, or "all".
        **options
            Further fields of ``Query``.

        Raises
        ------
        QueryError, ContractError
            An argument is not valid.
        """
        every = contract is None and not endpoint.needs_contract
        names = _routes(routes)
        return cls(
            endpoint,
            () if every else _contracts(contract, endpoint),
            window,
            context.tz,
            _columns(fields, endpoint, with_route=bool(names)),
            routes=names,
            **options,
        )

    @classmethod
    def at_instant(cls, context: QueryContext, endpoint: Endpoint, contract: ContractLike, at: When | None) -> Query:
        """Return a query at a whole minute; None leaves the choice to the server, which takes the end of the data."""
        minute = None if at is None else context.minute(at, endpoint)
        moment = context.latest.floor(endpoint.grain) if minute is None else minute
        return cls.of(context, endpoint, contract, Window(moment, moment), at=minute)

    @depth.validator
    def _check_depth(self, _: object, depth: object) -> None:
        if "depth" in self.endpoint.options and (type(depth) is not int or depth < 1):
            raise QueryError(f"depth={depth!r} must be a whole number from 1 up")

    @max_spread.validator
    def _check_max_spread(self, _: object, percent: object) -> None:
        if percent is None:
            return
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent < float("inf"):
            raise QueryError(f"max_spread={percent!r} must be a positive number, in per cent, or None for no limit")

    def __attrs_post_init__(self) -> None:
        if self.verify and isinstance(self.contracts, Front):
            raise QueryError(
                "verify=True needs to know the contracts, but only the response names those of a Front",
                "name the contracts instead of the Front",
            )
        if self.verify and self.routes and self.deduplicate:
            raise QueryError(
                "verify=True with routes cannot compare deduplicated trades, since activity counts each route",
                "add deduplicate=False",
            )

    def describe(self) -> dict[str, Any]:
        """Return the arguments as plain JSON values, for ``frame.attrs``."""
        contracts = (self.contracts,) if isinstance(self.contracts, Front) else self.contracts
        return {
            "query": self.endpoint.name,
            "contract": [each if isinstance(each, str) else each.label for each in contracts],
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            **{name: _plain(getattr(self, name)) for name in self.endpoint.options},
            "fields": [column.name for column in self.fields],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, Interval):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


class QueryMethods(ABC, Generic[T_co]):
    """Base class of the queries; a subclass returns frames, plans or streams for checked ones."""

    @abstractmethod
    def _context(self) -> QueryContext:
        """Return the settings that arguments are read with."""

    @abstractmethod
    def _ask(self, query: Query) -> T_co:
        """Return the result of a checked query."""


# --- arguments -------------------------------------------------------------------------------------------------------


def _contracts(given: object, endpoint: Endpoint) -> tuple[str | Contract, ...] | Front:
    if isinstance(given, Front):
        if endpoint.batch == 1:
            raise QueryError(
                f"{endpoint.name} takes one contract per request, and a Front is several", "name the contracts"
            )
        if given.count > endpoint.batch:
            raise QueryError(
                f"Front count {given.count} is more than {endpoint.batch}, the limit of one request",
                "name the contracts instead, of which there may be any number",
            )
        return given
    if isinstance(given, Mapping | pd.DataFrame | bytes):
        raise ContractError(f"contract is a {type(given).__name__}", "give a name, a Contract, or a list of them")
    several = (given,) if isinstance(given, Contract) else _as_tuple(given)
    if not several:
        raise QueryError("contract is empty", "give at least one, such as 'TTF Apr-24'")
    for each in several:
        if isinstance(as_int(each), int):
            raise ContractError(
                f"contract {each!r} is a bare id",
                "give a name, such as 'TTF Apr-24', or typed ids, as in Contract(Market(10000065), 10000305, 232)",
            )
        if not isinstance(each, Contract) and not (isinstance(each, str) and each.strip()):
            raise ContractError(f"contract {each!r} is neither a name, such as 'TTF Apr-24', nor a Contract")
    return several


def _columns(names: Iterable[str], endpoint: Endpoint, *, with_route: bool) -> tuple[Column, ...]:
    """Return the optional columns that are named, by our name or the API's, in the order of the table."""
    optional = endpoint.columns_of("optional")
    wanted = {"route"} if with_route else set()
    for name in _as_tuple(names):
        found = [column for column in endpoint.columns if name in (column.name, column.wire, column.field_name)]
        if not found and name == "contract" and endpoint.per_contract:
            continue  # a column that frames always have
        if not found or found[0].group == "private":
            known = [column.name for column in optional]
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}? Choose" if close else "choose"
            raise QueryError(f"{endpoint.name} has no field {name!r}", f"{hint} from {', '.join(known)}")
        wanted |= {column.name for column in found}
    return tuple(column for column in optional if column.name in wanted)


def _routes(given: Iterable[str | int]) -> tuple[str, ...]:
    routes = tuple(as_int(route) for route in _as_tuple(given))
    for route in routes:
        is_name = isinstance(route, str) and route.strip() and "," not in route
        is_id = isinstance(route, int) and not isinstance(route, bool) and route > 0
        if not is_name and not is_id:
            raise QueryError(f"route {route!r} is neither the name nor the id of a route, nor 'all'")
    names = tuple(dict.fromkeys(str(route).strip() for route in routes))
    if len(names) > 1 and "all" in (name.lower() for name in names):
        raise QueryError(f"routes {names!r} contain 'all' and others", "give routes='all' alone, or only the others")
    return names


def _as_tuple(values: object) -> tuple[Any, ...]:
    """Return the members of an iterable, which may be an iterator; text is one member."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return (values,)
    return tuple(values)
