"""Every question, signed and documented once: its shape is checked and its times are read here.

Names stay names until a client resolves them. What a question answers with is left open: a frame, a plan or
a stream of frames, by the class that asks.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pandas as pd
from attrs import field, frozen

from ._time import Window, window
from .contracts import Contract, ContractLike, Front
from .contracts.contract import whole
from .endpoints import TRADES, Column, Endpoint
from .errors import ContractError, QueryError
from .typing import When

__all__ = ["Queries", "Query", "Scene"]

T_co = TypeVar("T_co", covariant=True)


@frozen
class Scene:
    """What a question is read against: the zone of naive times, the present, and the right to see today."""

    tz: str
    now: pd.Timestamp
    intraday: bool


@frozen
class Query:
    """One question, checked: what is asked of which contracts, when, and with which columns."""

    endpoint: Endpoint
    contracts: tuple[str | Contract, ...] | Front
    window: Window
    tz: str
    fields: tuple[Column, ...] = ()
    include_private: bool = False
    routes: tuple[str, ...] = field(default=())
    deduplicate: bool = True

    def describe(self) -> dict[str, Any]:
        """What was asked, in plain JSON values."""
        several = (self.contracts,) if isinstance(self.contracts, Front) else self.contracts
        return {
            "question": self.endpoint.name,
            "contract": [_label(contract) for contract in several],
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "include_private": self.include_private,
            "routes": list(self.routes),
            "deduplicate": self.deduplicate,
            "fields": [column.name for column in self.fields],
        }


def _label(contract: str | Contract | Front) -> str:
    return contract if isinstance(contract, str) else contract.label


class Queries(ABC, Generic[T_co]):
    """The questions; ``T_co`` is what they answer with."""

    @abstractmethod
    def _scene(self) -> Scene:
        """What the question is read against."""

    @abstractmethod
    def _ask(self, query: Query) -> T_co:
        """Answer a checked question."""

    def trades(
        self,
        contract: ContractLike,
        start: When,
        end: When | None = None,
        *,
        include_private: bool = False,
        routes: Iterable[str | int] = (),
        deduplicate: bool = True,
        fields: Iterable[str] = (),
    ) -> T_co:
        """Every trade of one or several contracts, deleted trades left out.

        Parameters
        ----------
        contract
            A name such as ``"TTF Apr-24"``, in any spelling that ``resolve`` reads, a ``Contract``, several of
            either, or a ``Front``. Spreads (``"TTF Apr-24/May-24"``) and ranges (``"TTF Apr-24..Jun-24"``) count as
            one contract each. ``"TTF M+1"`` is one contract too, counted from the UTC date of ``start``; what
            rolls from month to month is a ``Front``.
        start, end
            Half-open, ``[start, end)``, on whole seconds; naive times are read in ``Config.tz``, and a date
            alone is its first instant there. ``end=None`` is the last moment that there are data for: 00:00
            UTC of today, or now with ``Config.intraday``. With ``end`` at ``start`` the answer is empty.
        include_private
            Mark your own trades and append what is known of their parties. On venues with a separate
            private feed each comes twice, once as a ``public_copy``: keep one of the two when adding up.
        routes
            Names or ids of routes, or ``"all"``; the route with the lowest id alone unless given. Appends
            the column ``route``.
        deduplicate
            With several routes, one copy of each trade; False gives one a route.
        fields
            Columns to append: ``from_broken_spread``, ``initiator_owned_spread``, ``aggressor_owned_spread``,
            ``aggressor_sleeve``, ``initiator_sleeve``, ``route``, ``route_id``.

        Returns
        -------
        DataFrame (trades × 6 and what was appended), indexed by ``timestamp``, ``datetime64[ns, tz]``,
        ascending; trades of one instant in the order of the contracts as asked, then as answered.
        ``contract`` (string, the canonical name, as in ``resolve("TTF Apr-24").name``), ``trade_id`` and
        ``venue_code`` (string), ``price`` in the product's price currency and
        ``quantity`` in its quantity unit (float64; see ``specification``), ``aggressor_buy`` (boolean). A
        trade is identified by contract, venue and trade id together. No trade: the same columns, no rows.
        ``attrs["trayport"]`` says what was asked and that it is complete.

        Longer windows than 32 days (guide p. 12) and more than 50 contracts are cut into several requests.

        Raises
        ------
        QueryError, ContractError
            The question cannot be asked as it stands; nothing was sent.
        PartialDataError
            Some of several requests failed for good; it holds what arrived and can ``resume()``.
        TrayportError
            A question of a single request raises its own error.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-07")
        >>> frame.dtypes.astype(str).to_dict()
        {'contract': 'string', 'trade_id': 'string', 'venue_code': 'string', 'price': 'float64',
         'quantity': 'float64', 'aggressor_buy': 'boolean'}
        >>> frame["contract"].unique().tolist()
        ['TTF Hi Cal 51.6* Apr-24']
        """
        scene = self._scene()
        chosen = _routes(routes)
        return self._ask(
            Query(
                TRADES,
                _contracts(contract, TRADES),
                window(start, end, tz=scene.tz, now=scene.now, intraday=scene.intraday),
                scene.tz,
                fields=_fields(fields, TRADES, with_route=bool(chosen)),
                include_private=_flag("include_private", include_private),
                routes=chosen,
                deduplicate=_flag("deduplicate", deduplicate),
            )
        )


# --- shapes: the server ignores what it does not know, so a slip has to be caught here (guide p. 37) -----------


def _contracts(asked: ContractLike, endpoint: Endpoint) -> tuple[str | Contract, ...] | Front:
    if isinstance(asked, Front):
        if asked.count > endpoint.batch:
            raise QueryError(
                f"Front count {asked.count} is more than {endpoint.batch}, the most that one request may ask "
                "for: name the contracts instead, as many as you like"
            )
        return asked
    if isinstance(asked, Mapping | pd.DataFrame | bytes):
        raise ContractError(f"contract is a {type(asked).__name__}: give a name, a Contract, or a list of them")
    several = (asked,) if isinstance(asked, str | Contract) else _listed(asked)
    if not several:
        raise QueryError("contract is empty: name at least one, such as 'TTF Apr-24'")
    return tuple(_contract(each) for each in several)


def _contract(each: object) -> str | Contract:
    if isinstance(each, Contract) or (isinstance(each, str) and each.strip()):
        return each
    if isinstance(whole(each), int):
        raise ContractError(
            f"contract {each!r} is a bare id: name the contract, as in 'TTF Apr-24', or give its typed ids, as in "
            "Contract(Market(10000065), 10000305, 232)"
        )
    raise ContractError(f"contract {each!r} is neither a name, such as 'TTF Apr-24', nor a Contract")


def _listed(values: object) -> tuple[Any, ...]:
    """Whatever can be walked, walked once; a word on its own is a list of one."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return (values,)
    return tuple(values)


def _fields(asked: Iterable[str], endpoint: Endpoint, *, with_route: bool) -> tuple[Column, ...]:
    """The columns to append, in the table's order, from their names or the wire's."""
    optional = endpoint.of("optional")
    known = {name: column for column in endpoint.columns for name in (column.name, column.wire)}
    wanted = {"route"} if with_route else set()
    for name in _listed(asked):
        column = known.get(name) if isinstance(name, str) else None
        if column is None and name == "contract":
            continue
        if column is None or column.group == "private":
            raise QueryError(_unknown_field(name, endpoint, optional))
        wanted.add(column.name)
    return tuple(column for column in optional if column.name in wanted)


def _unknown_field(name: object, endpoint: Endpoint, optional: Sequence[Column]) -> str:
    names = [column.name for column in optional]
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    return f"{endpoint.name} has no field {name!r};{hint} it has {', '.join(names)}"


def _routes(asked: Iterable[str | int]) -> tuple[str, ...]:
    routes = tuple(whole(route) for route in _listed(asked))
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


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise QueryError(f"{name}={value!r} must be True or False")
    return value
