"""Every question, signed and documented once: its shape is checked and its times are read here.

Names stay names until a client resolves them. What a question answers with is left open: a frame, a plan or
a stream of frames, by the class that asks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import pandas as pd

from .._time import Window, iso, window
from ..contracts import ContractLike
from ..endpoints import (
    ACTIVITY,
    LAST_TRADE,
    OHLCV,
    ORDER_BOOK,
    PRIVATE_TRADES,
    SNAPSHOTS,
    TOP_OF_BOOK,
    TRADES,
    Endpoint,
)
from ..errors import QueryError
from ..typing import Interval, When
from . import checks
from .intervals import Interval as Width
from .intervals import candle, step
from .query import Query, QueryContext

__all__ = ["QUERIES", "Queries"]

T_co = TypeVar("T_co", covariant=True)


class Queries(ABC, Generic[T_co]):
    """The questions; ``T_co`` is what they answer with."""

    @abstractmethod
    def _context(self) -> QueryContext:
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
        verify: bool = False,
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
        verify
            Ask for the counts of ``activity`` too, from 2023-04-10 on, and compare: ``attrs["trayport"]["verified"]``
            lists the contracts that differ, and a ``TrayportWarning`` says so. Not for a ``Front``, and not with
            deduplicated ``routes``, which are counted one by one there.

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
        context = self._context()
        asked = window(start, end, tz=context.tz, known=context.known, beyond=context.intraday)
        query = _query(
            context,
            TRADES,
            checks.contracts(contract, TRADES),
            asked,
            fields,
            routes=routes,
            include_private=checks.flag("include_private", include_private),
            deduplicate=checks.flag("deduplicate", deduplicate),
            verify=checks.flag("verify", verify),
        )
        return self._ask(checks.verifiable(query))

    def private_trades(
        self,
        start: When,
        end: When | None = None,
        *,
        contract: ContractLike | None = None,
        routes: Iterable[str | int] = (),
        deduplicate: bool = True,
        fields: Iterable[str] = (),
    ) -> T_co:
        """Your own company's trades, of all contracts or of some, today's too.

        Parameters
        ----------
        start, end
            As for ``trades``, but ``end=None`` is now: own trades are there at once, with any key (guide p. 22).
        contract
            As for ``trades``, without ``Front``, each asked for by itself; None for all that was traded.
        routes, deduplicate, fields
            As for ``trades``.

        Returns
        -------
        DataFrame, as ``trades(..., include_private=True)`` gives it, and ``last_updated``
        (``datetime64[ns, tz]``); ``is_private`` is true throughout. With ``contract=None`` the rows are named by
        their instruments, and trades of one instant are in the order that they came in.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.private_trades("2024-02-05", "2024-02-06", contract="TTF Apr-24")
        >>> bool(frame["is_private"].all())
        True
        """
        context = self._context()
        return self._ask(
            _query(
                context,
                PRIVATE_TRADES,
                () if contract is None else checks.contracts(contract, PRIVATE_TRADES),
                window(start, end, tz=context.tz, known=context.now.floor("s"), beyond=True),
                fields,
                routes=routes,
                include_private=True,
                deduplicate=checks.flag("deduplicate", deduplicate),
            )
        )

    def ohlcv(
        self,
        contract: ContractLike,
        start: When,
        end: When | None = None,
        interval: Interval = "1d",
        *,
        include_empty: bool = False,
        fields: Iterable[str] = (),
    ) -> T_co:
        """Candles: the open, high, low, close and volume of each interval.

        Parameters
        ----------
        contract
            As for ``trades``, without ``Front``; each contract is asked for by itself.
        start, end
            Half-open, ``[start, end)``, on the grid of the interval in UTC: multiples of minutes and hours, midnights,
            Mondays (``"7d"``), firsts of months. For ``"1d"``, ``"7d"`` and ``"1mo"`` a date alone is that UTC day.
            ``end=None`` is the end of the last candle that there are data for.
        interval
            ``"1min"``, ``"5min"``, ``"15min"``, ``"30min"``, ``"1h"``, ``"4h"``, ``"1d"``, ``"7d"`` or ``"1mo"``
            (guide p. 16).
        include_empty
            Candles without a trade too: their prices are NaN, and their volume is 0, however the server says so.
        fields
            Columns to append: ``vwap``, ``open_timestamp``, ``close_timestamp``.

        Returns
        -------
        DataFrame (candles × 7 and what was appended), indexed by ``timestamp``, the candle's left edge
        (``datetime64[ns, tz]``), ascending, then in the order of the contracts as asked. ``contract`` (string),
        ``to_timestamp`` (``datetime64[ns, tz]``, the right edge, itself left out), ``open``, ``high``, ``low``,
        ``close`` in the product's price currency, ``volume`` in its quantity unit (float64).

        Windows longer than 92 days, 1827 from a day up (guide p. 16), are cut into several requests.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As ``trades``; an end that is off the grid is a ``QueryError`` with the nearest that are on it.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.ohlcv("TTF Apr-24", "2024-02-05", "2024-02-10")
        >>> frame.index.strftime("%a").tolist()
        ['Mon', 'Tue', 'Wed', 'Thu', 'Fri']
        """
        context, width = self._context(), candle(interval)
        asked = window(
            start,
            end,
            tz=context.tz,
            known=context.known,
            beyond=context.intraday,
            days_in="UTC" if width.is_coarse else None,
            cut=lambda first, known: width.floor(known),
        )
        return self._ask(
            _query(
                context,
                OHLCV,
                checks.contracts(contract, OHLCV),
                checks.on_grid(asked, width),
                fields,
                interval=width,
                include_empty=checks.flag("include_empty", include_empty),
            )
        )

    def last_trade(self, contract: ContractLike, *, at: When | None = None) -> T_co:
        """The last trade strictly before a moment, if it is no older than a year.

        Parameters
        ----------
        contract
            As for ``trades``, without ``Front``; each contract is asked for by itself.
        at
            A whole minute; None for the last moment that there are data for: 00:00 UTC of today, or now with the
            right to it (guide p. 19).

        Returns
        -------
        DataFrame (at most one row a contract × 2), indexed by ``timestamp``, when it was dealt
        (``datetime64[ns, tz]``), ascending: ``contract`` (string), ``price`` in the product's price currency
        (float64). A contract without a trade has no row.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.last_trade("TTF Apr-24", at="2024-02-05T16:30").index.strftime("%Y-%m-%d").tolist()
        ['2024-02-05']
        """
        return self._ask(_instant(self._context(), LAST_TRADE, contract, at))

    def activity(
        self, start: When, end: When | None = None, *, routes: Iterable[str | int] = (), fields: Iterable[str] = ()
    ) -> T_co:
        """What was traded at all, and how often: a count for each contract of each instrument.

        Parameters
        ----------
        start, end
            Half-open, ``[start, end)``, on whole minutes, from 2023-04-10 on (guide p. 19); ``end=None`` as for
            ``trades``.
        routes
            As for ``trades``; a row for each route.
        fields
            Columns to append: ``update_count``, ``delete_count``, ``route_id``.

        Returns
        -------
        DataFrame (contracts × 8 and what was appended), with a RangeIndex, the largest count first: ``market_id``,
        ``instrument_id``, ``sequence_id``, ``sequence_item_id``, ``second_sequence_item_id`` (Int64),
        ``contract_type`` (string), ``count`` of trades inserted, those deleted later too (int64), ``route``
        (string). ``label`` adds the names. Windows longer than 7 days are cut, and their counts added up.

        Raises
        ------
        QueryError, PartialDataError, TrayportError
            As ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.activity("2024-02-05", "2024-02-06")
        >>> bool(frame["count"].is_monotonic_decreasing)
        True
        """
        context = self._context()
        asked = window(
            start,
            end,
            tz=context.tz,
            known=context.known,
            beyond=context.intraday,
            cut=lambda first, known: known.floor(ACTIVITY.grain),
        )
        return self._ask(_query(context, ACTIVITY, (), checks.on_grain(asked, ACTIVITY), fields, routes=routes))

    def top_of_book(
        self,
        contract: ContractLike,
        start: When,
        end: When | None = None,
        interval: Interval = "1min",
        *,
        include_empty: bool = False,
        routes: Iterable[str | int] = (),
        deduplicate: bool = True,
        fields: Iterable[str] = (),
    ) -> T_co:
        """The best bid and ask at the end of each interval.

        Parameters
        ----------
        contract
            As for ``trades``, without ``Front``; each contract is asked for by itself.
        start, end
            Rows lie in ``(start, end]``: each point is the end of an interval that begins at ``start`` or one later.
            ``end=None`` is the last whole interval that there are data for.
        interval
            Any whole number of seconds, minutes or hours: ``"15s"``, ``"1min"``, ``"2h"`` (guide p. 6).
        include_empty
            Points without any order too.
        routes, deduplicate
            As for ``trades``.
        fields
            Columns to append: ``bid_venue_code``, ``ask_venue_code``, ``route``, ``route_id``.

        Returns
        -------
        DataFrame (points × 5 and what was appended), indexed by ``timestamp`` (``datetime64[ns, tz]``), ascending,
        then in the order of the contracts as asked: ``contract`` (string), ``bid_price``, ``bid_quantity``,
        ``ask_price``, ``ask_quantity`` (float64; NaN where a side is empty).

        Windows longer than 60 days or 99 999 points are cut into several requests (guide p. 6). There are orders of
        brokers from the end of January 2020, of exchanges from later dates: see ``venues``.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As ``trades``; a window before any venue's orders is a ``QueryError``, and one before some venues'
            costs a ``TrayportWarning``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.top_of_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T09:05")
        >>> bool((frame["bid_price"] <= frame["ask_price"]).all())
        True
        """
        context, width = self._context(), step(interval)
        return self._ask(
            _query(
                context,
                TOP_OF_BOOK,
                checks.contracts(contract, TOP_OF_BOOK),
                _points(context, start, end, width),
                fields,
                interval=width,
                include_empty=checks.flag("include_empty", include_empty),
                routes=routes,
                deduplicate=checks.flag("deduplicate", deduplicate),
            )
        )

    def order_book(
        self,
        contract: ContractLike,
        start: When,
        end: When | None = None,
        interval: Interval = "1min",
        *,
        depth: int = 10,
        max_spread: float | None = None,
        include_private: bool = False,
        include_empty: bool = False,
        routes: Iterable[str | int] = (),
        deduplicate: bool = True,
        fields: Iterable[str] = (),
    ) -> T_co:
        """The orders on both sides at the end of each interval, a row an order.

        Parameters
        ----------
        contract, start, end, interval, routes, deduplicate
            As for ``top_of_book``.
        depth
            At most so many orders a side; a large number for all.
        max_spread
            Only orders within so many per cent of the best price of their side.
        include_private
            Mark your own orders and append what is known of them.
        include_empty
            Asks for points without any order too; they have no row here.
        fields
            Columns to append: ``venue_code``, ``route``, ``route_id``.

        Returns
        -------
        DataFrame (orders × 5 and what was appended), indexed by ``timestamp`` (``datetime64[ns, tz]``), ascending,
        then in the order of the contracts as asked: ``contract``, ``side`` ("bid" or "ask", string), ``level``
        (int64, 1 is the best), ``price``, ``quantity`` (float64). A day of one contract's minutes may be ten thousand
        rows: ``stream`` gives longer windows piece by piece.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As ``top_of_book``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.order_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T09:01", depth=2)
        >>> int(frame["level"].max())
        2
        """
        context, width = self._context(), step(interval)
        return self._ask(
            _query(
                context,
                ORDER_BOOK,
                checks.contracts(contract, ORDER_BOOK),
                _points(context, start, end, width),
                fields,
                interval=width,
                depth=checks.number("depth", depth),
                max_spread=checks.percent("max_spread", max_spread),
                include_private=checks.flag("include_private", include_private),
                include_empty=checks.flag("include_empty", include_empty),
                routes=routes,
                deduplicate=checks.flag("deduplicate", deduplicate),
            )
        )

    def snapshots(self, contract: ContractLike, *, at: When | None = None) -> T_co:
        """The best bid and ask, and the last trade before, at one moment.

        Parameters
        ----------
        contract
            As for ``trades``, ``Front`` too; up to 50 of one product and sequence share a request (guide p. 24).
        at
            A whole minute. Without intraday rights it has to be given: the server's own default is 00:00 UTC, when
            the books of exchanges are empty.

        Returns
        -------
        DataFrame (contracts × 7), indexed by ``timestamp``, which is ``at`` (``datetime64[ns, tz]``), in the order of
        the contracts as asked: ``contract`` (string), ``bid_price``, ``bid_quantity``, ``ask_price``,
        ``ask_quantity``, ``last_price`` (float64), ``last_timestamp`` (``datetime64[ns, tz]``). A contract without
        orders or trades has a row with empty cells.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.snapshots(["TTF Apr-24", "TTF May-24"], at="2024-02-05T16:00")["contract"].tolist()
        ['TTF Hi Cal 51.6* Apr-24', 'TTF Hi Cal 51.6* May-24']
        """
        context = self._context()
        if at is None and not context.intraday:
            raise QueryError(
                "at is needed without intraday rights, since the server would take 00:00 UTC, when the books of "
                f"exchanges are empty: give one, such as at={iso(_last_afternoon(context.now))!r}"
            )
        return self._ask(_instant(context, SNAPSHOTS, contract, at))


QUERIES = tuple(name for name in vars(Queries) if not name.startswith("_"))
"""The names of all queries, in the order of their documentation."""

# --- how they are read ---------------------------------------------------------------------------------------------


def _query(
    context: QueryContext,
    endpoint: Endpoint,
    contracts: Any,
    window: Window,
    fields: Iterable[str],
    *,
    routes: Iterable[str | int] = (),
    **options: Any,
) -> Query:
    chosen = checks.routes(routes)
    # With routes the server adds the column `route` by itself (guide p. 31).
    columns = checks.fields(fields, endpoint, with_route=bool(chosen))
    return Query(endpoint, contracts, window, context.tz, columns, routes=chosen, **options)


def _points(context: QueryContext, start: When, end: When | None, width: Width) -> Window:
    return checks.within_orders(
        window(
            start,
            end,
            tz=context.tz,
            known=context.known,
            beyond=context.intraday,
            cut=lambda first, known: known - (known - first) % width.length,
        )
    )


def _instant(context: QueryContext, endpoint: Endpoint, contract: ContractLike, at: When | None) -> Query:
    asked = checks.moment(at, endpoint, context)
    moment = context.known.floor(endpoint.grain) if asked is None else asked
    return _query(context, endpoint, checks.contracts(contract, endpoint), Window(moment, moment), (), at=asked)


def _last_afternoon(now: pd.Timestamp) -> pd.Timestamp:
    """The last weekday's 16:00 UTC before today."""
    return (now.normalize() - pd.offsets.BDay(1)) + pd.Timedelta(hours=16)
