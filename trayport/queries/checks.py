"""Shapes: the server ignores what it does not know (guide p. 37), so a slip has to be caught here."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from .._time import Window, instant, iso
from ..contracts import Contract, ContractLike, Front, as_int
from ..endpoints import Column, Endpoint
from ..errors import ContractError, QueryError, TrayportWarning
from ..typing import When
from ..venues import VENUES
from .intervals import Interval
from .query import Query, QueryContext


def contracts(asked: ContractLike, endpoint: Endpoint) -> tuple[str | Contract, ...] | Front:
    if isinstance(asked, Front):
        if endpoint.batch == 1:
            raise QueryError(f"{endpoint.name} takes one contract a request, and so no Front: name the contracts")
        if asked.count > endpoint.batch:
            raise QueryError(
                f"Front count {asked.count} is more than {endpoint.batch}, the most that one request may ask "
                "for: name the contracts instead, as many as you like"
            )
        return asked
    if isinstance(asked, Mapping | pd.DataFrame | bytes):
        raise ContractError(f"contract is a {type(asked).__name__}: give a name, a Contract, or a list of them")
    several = (asked,) if isinstance(asked, str | Contract) else listed(asked)
    if not several:
        raise QueryError("contract is empty: name at least one, such as 'TTF Apr-24'")
    return tuple(_contract(each) for each in several)


def _contract(each: object) -> str | Contract:
    if isinstance(each, Contract) or (isinstance(each, str) and each.strip()):
        return each
    if isinstance(as_int(each), int):
        raise ContractError(
            f"contract {each!r} is a bare id: name the contract, as in 'TTF Apr-24', or give its typed ids, as in "
            "Contract(Market(10000065), 10000305, 232)"
        )
    raise ContractError(f"contract {each!r} is neither a name, such as 'TTF Apr-24', nor a Contract")


def listed(values: object) -> tuple[Any, ...]:
    """Whatever can be walked, walked once; a word on its own is a list of one."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return (values,)
    return tuple(values)


def fields(asked: Iterable[str], endpoint: Endpoint, *, with_route: bool) -> tuple[Column, ...]:
    """The columns to append, in the table's order, from their names or the wire's."""
    optional = endpoint.of("optional")
    wanted = {"route"} if with_route else set()
    for name in listed(asked):
        meant = [column for column in endpoint.columns if name in (column.name, column.wire, column.asked_as)]
        if not meant and name == "contract" and endpoint.per_contract:
            continue
        if not meant or meant[0].group == "private":
            raise QueryError(_unknown_field(name, endpoint, optional))
        wanted |= {column.name for column in meant}
    return tuple(column for column in optional if column.name in wanted)


def _unknown_field(name: object, endpoint: Endpoint, optional: Sequence[Column]) -> str:
    names = [column.name for column in optional]
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    return f"{endpoint.name} has no field {name!r};{hint} it has {', '.join(names) or 'none'}"


def routes(asked: Iterable[str | int]) -> tuple[str, ...]:
    routes = tuple(as_int(route) for route in listed(asked))
    for route in routes:
        good = (isinstance(route, str) and route.strip() and "," not in route) or (
            isinstance(route, int) and not isinstance(route, bool) and route > 0
        )
        if not good:
            raise QueryError(f"route {route!r} is neither the name nor the id of a route, nor 'all'")
    names = tuple(dict.fromkeys(str(route).strip() for route in routes))
    if len(names) > 1 and "all" in (name.lower() for name in names):
        raise QueryError(f"routes {names!r}: 'all' stands alone; leave the others out")
    return names


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise QueryError(f"{name}={value!r} must be True or False")
    return value


def verifiable(query: Query) -> Query:
    """``query``, if the counts of activity can be compared with its answer, or it does not ask for that."""
    if query.verify and isinstance(query.contracts, Front):
        raise QueryError(
            "verify=True needs to know which contracts are asked for, and of a Front only the answer says it: name them"
        )
    if query.verify and query.routes and query.deduplicate:
        raise QueryError(
            "verify=True with routes needs deduplicate=False: activity counts a trade on each of its routes"
        )
    return query


def number(name: str, value: object) -> int:
    """A whole number from 1 up."""
    found = as_int(value)
    if type(found) is not int or found < 1:
        raise QueryError(f"{name}={value!r} must be a whole number from 1 up")
    return found


def percent(name: str, value: object) -> float | None:
    """A positive number, or None for no bound."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise QueryError(f"{name}={value!r} must be a positive number of per cent, or None for no bound")
    return value


# --- times -----------------------------------------------------------------------------------------------------


def on_grid(window: Window, interval: Interval) -> Window:
    """``window``, if it begins and ends with a candle."""
    for name, moment in (("start", window.start), ("end", window.end)):
        floor = interval.floor(moment)
        if floor != moment:
            raise QueryError(
                f"{name} {iso(moment)} is not on the grid of {interval} candles, which is UTC's: the nearest points "
                f"are {iso(floor)} and {iso(interval.shift(floor, 1))}"
            )
    return window


def on_grain(window: Window, endpoint: Endpoint) -> Window:
    """``window``, if it begins and ends with a whole minute, and not before there are data."""
    for name, moment in (("start", window.start), ("end", window.end)):
        if moment != moment.floor(endpoint.grain):
            raise QueryError(f"{name} {iso(moment)} is not a whole minute, the finest that {endpoint.name} takes")
    if endpoint.since is not None and window.start < endpoint.since:
        raise QueryError(f"start {iso(window.start)} lies before {iso(endpoint.since)}, where {endpoint.name} begins")
    return window


def moment(at: When | None, endpoint: Endpoint, context: QueryContext) -> pd.Timestamp | None:
    """The whole minute that is asked for; None lets the server choose."""
    if at is None:
        return None
    read = instant(at, context.tz, "at")
    if read != read.floor(endpoint.grain):
        raise QueryError(f"at {at!r} is not a whole minute, the finest that {endpoint.name} takes")
    if read > context.known and not context.intraday:
        raise QueryError(
            f"at {at!r} is later than {iso(context.known)}, where data end without intraday rights: ask for an earlier "
            "one, or set Config.intraday=True (TRAYPORT_INTRADAY) if your key may see today"
        )
    return read


def within_orders(window: Window) -> Window:
    """``window``, if any venue's orders go back so far; with a warning for those whose orders do not."""
    known = {code: pd.Timestamp(venue.orders_from, tz="UTC") for code, venue in VENUES.items() if venue.orders_from}
    first = min(known.values())
    if window.end <= first and not window.empty:
        raise QueryError(f"the window {window} ends before {iso(first)}, from which on there are orders (guide p. 32)")
    late = [code for code, since in known.items() if since > window.start]
    if late and not window.empty:
        warnings.warn(
            f"the books of {', '.join(sorted(late))} begin only after {iso(window.start)} (guide p. 32): until then "
            "theirs are missing; trayport.venues() has the dates",
            TrayportWarning,
            stacklevel=4,
        )
    return window
