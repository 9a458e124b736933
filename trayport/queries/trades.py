"""Queries of trades: each trade, candles, the last trade, and counts.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from .._time import Window, iso
from ..contracts import ContractLike
from ..endpoints import ACTIVITY, LAST_TRADE, OHLCV, PRIVATE_TRADES, TRADES
from ..errors import QueryError
from ..typing import Interval, When
from .intervals import Interval as Width
from .intervals import candle_interval
from .query import Query, QueryMethods, T_co

__all__ = ["TradeQueries"]


class TradeQueries(QueryMethods[T_co]):
    """The queries of trades."""

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
        """Return every trade of one or several contracts, without deleted ones.

        A window of more than 32 days (guide p. 12), or more than 50 contracts, takes several requests.

        Parameters
        ----------
        contract : str, Contract, Front, or iterable of str and Contract
            A name such as ``"TTF Apr-24"``, in any spelling that ``resolve`` reads, a ``Contract``, several of
            either, or a ``Front``. A spread (``"TTF Apr-24/May-24"``) or a range (``"TTF Apr-24..Jun-24"``) is one
            contract. A relative name (``"TTF M+1"``) is counted from the UTC date of ``start`` and is one contract
            for the whole window; a ``Front`` is another contract each month.
        start : str, date, datetime or Timestamp
            Start of the half-open window ``[start, end)``, in whole seconds. A naive time is read in ``Config.tz``; a
            date alone is its first instant there.
        end : str, date, datetime, Timestamp or None, default None
            End of the window, itself excluded. None is the end of the data: 00:00 UTC of today, or now with
            ``Config.intraday``. If it equals ``start``, the frame is empty and nothing is requested.
        include_private : bool, default False
            Whether to mark own trades and append the columns of their parties. Venues with a separate private feed
            have each own trade twice, once as a ``public_copy``: leave one of the two out of sums.
        routes : iterable of str or int, default ()
            Names or ids of routes, or ``"all"``; by default the route with the lowest id. Appends the column
            ``route``.
        deduplicate : bool, default True
            Whether a trade on several routes is one row; with False it is one row per route.
        fields : iterable of str, default ()
            Columns to append: ``from_broken_spread``, ``initiator_owned_spread``, ``aggressor_owned_spread``,
            ``aggressor_sleeve``, ``initiator_sleeve``, ``route``, ``route_id``.
        verify : bool, default False
            Whether to compare the trades with the counts of ``activity``, from 2023-04-10 on. The contracts that
            differ are in ``attrs["trayport"]["verified"]``, with a ``TrayportWarning``. Not for a ``Front``, and with
            ``routes`` only together with ``deduplicate=False``, since counts are per route.

        Returns
        -------
        DataFrame
            One row per trade, indexed by ``timestamp`` (``datetime64[ns, tz]``), ascending; trades of one instant are
            in the order of the contracts as given, then in that of the response. Columns: ``contract`` (string, the
            canonical name, as in ``resolve("TTF Apr-24").name``), ``trade_id`` and ``venue_code`` (string), ``price``
            in the price currency and ``quantity`` in the quantity unit of the product (float64; see
            ``specification``), ``aggressor_buy`` (boolean), and the appended ones. Contract, venue and trade id
            together identify a trade. Without trades there are no rows, but the same columns.
            ``attrs["trayport"]`` holds the query, and whether the frame is complete.

        Raises
        ------
        QueryError, ContractError
            An argument is not valid; nothing was sent.
        PartialDataError
            Some of several requests failed; the error holds the rows that arrived, and ``resume()`` requests the
            missing ones.
        TrayportError
            The only request of a query failed.

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
        return self._ask(
            Query.of(
                context,
                TRADES,
                contract,
                context.window(start, end),
                fields,
                routes=routes,
                include_private=include_private,
                deduplicate=deduplicate,
                verify=verify,
            )
        )

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
        """Return the trades of your own company, of all contracts or of some, those of today included.

        A window of more than 32 days (guide p. 21) takes several requests.

        Parameters
        ----------
        start : str, date, datetime or Timestamp
            As for ``trades``.
        end : str, date, datetime, Timestamp or None, default None
            As for ``trades``, but None is now: own trades are available at once, to every key (guide p. 22).
        contract : str, Contract, iterable of these, or None, default None
            As for ``trades``, but not a ``Front``; each contract is a request. None is all contracts.
        routes : iterable of str or int, default ()
            As for ``trades``.
        deduplicate : bool, default True
            As for ``trades``.
        fields : iterable of str, default ()
            As for ``trades``.

        Returns
        -------
        DataFrame
            As for ``trades(..., include_private=True)``, and ``last_updated`` (``datetime64[ns, tz]``);
            ``is_private`` is always true. With ``contract=None`` each contract has the name of its instrument, and
            trades of one instant are in the order of the response.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As for ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.private_trades("2024-02-05", "2024-02-06", contract="TTF Apr-24")
        >>> bool(frame["is_private"].all())
        True
        """
        context = evolve(self._context(), intraday=True)
        return self._ask(
            Query.of(
                context,
                PRIVATE_TRADES,
                contract,
                context.window(start, end),
                fields,
                routes=routes,
                include_private=True,
                deduplicate=deduplicate,
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
        """Return candles: the open, high, low, close and volume of each interval.

        A window of more than 92 days, or 1827 for intervals of a day or longer (guide p. 16), takes several requests.

        Parameters
        ----------
        contract : str, Contract, or iterable of these
            As for ``trades``, but not a ``Front``; each contract is a request.
        start : str, date, datetime or Timestamp
            Start of the half-open window ``[start, end)``, on the UTC grid of the interval: multiples of minutes and
            hours, midnights, Mondays (``"7d"``), firsts of months (``"1mo"``). For ``"1d"``, ``"7d"`` and ``"1mo"`` a
            date alone is that day in UTC, for others in ``Config.tz``.
        end : str, date, datetime, Timestamp or None, default None
            End of the window, on the same grid. None is the end of the last whole candle.
        interval : str, default "1d"
            ``"1min"``, ``"5min"``, ``"15min"``, ``"30min"``, ``"1h"``, ``"4h"``, ``"1d"``, ``"7d"`` or ``"1mo"``
            (guide p. 16).
        include_empty : bool, default False
            Whether to return candles without a trade, with prices of NaN and a volume of 0.
        fields : iterable of str, default ()
            Columns to append: ``vwap``, ``open_timestamp``, ``close_timestamp``.

        Returns
        -------
        DataFrame
            One row per candle, indexed by ``timestamp``, its left edge (``datetime64[ns, tz]``), ascending, then in
            the order of the contracts as given. Columns: ``contract`` (string), ``to_timestamp``
            (``datetime64[ns, tz]``, the right edge, itself excluded), ``open``, ``high``, ``low`` and ``close`` in the
            price currency and ``volume`` in the quantity unit of the product (float64), and the appended ones.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As for ``trades``. A ``QueryError`` for a time that is not on the grid gives the nearest that are.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.ohlcv("TTF Apr-24", "2024-02-05", "2024-02-10")
        >>> frame.index.strftime("%a").tolist()
        ['Mon', 'Tue', 'Wed', 'Thu', 'Fri']
        """
        context, width = self._context(), candle_interval(interval)
        window = context.window(
            start,
            end,
            days_in="UTC" if width.is_coarse else None,
            round_end=lambda _, latest: width.floor(latest),
        )
        _check_grid(window, width)
        query = Query.of(context, OHLCV, contract, window, fields, interval=width, include_empty=include_empty)
        return self._ask(query)

    def last_trade(self, contract: ContractLike, *, at: When | None = None) -> T_co:
        """Return the last trade strictly before a moment, if it is not older than a year.

        Parameters
        ----------
        contract : str, Contract, or iterable of these
            As for ``trades``, but not a ``Front``; each contract is a request.
        at : str, date, datetime, Timestamp or None, default None
            A whole minute. None is the end of the data: 00:00 UTC of today, or now if the key is entitled to data of
            today (guide p. 19).

        Returns
        -------
        DataFrame
            At most one row per contract, indexed by ``timestamp``, the time of the trade (``datetime64[ns, tz]``),
            ascending. Columns: ``contract`` (string) and ``price`` in the price currency of the product (float64). A
            contract without a trade has no row.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As for ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.last_trade("TTF Apr-24", at="2024-02-05T16:30").index.strftime("%Y-%m-%d").tolist()
        ['2024-02-05']
        """
        return self._ask(Query.at_instant(self._context(), LAST_TRADE, contract, at))

    def activity(
        self, start: When, end: When | None = None, *, routes: Iterable[str | int] = (), fields: Iterable[str] = ()
    ) -> T_co:
        """Return the number of trades of every contract that was traded.

        A window of more than 7 days takes several requests (guide p. 19). Their counts are added up.

        Parameters
        ----------
        start : str, date, datetime or Timestamp
            Start of the half-open window ``[start, end)``, a whole minute, from 2023-04-10 on (guide p. 19).
        end : str, date, datetime, Timestamp or None, default None
            End of the window, a whole minute. None is the end of the data, as for ``trades``.
        routes : iterable of str or int, default ()
            As for ``trades``, with one row per route.
        fields : iterable of str, default ()
            Columns to append: ``update_count``, ``delete_count``, ``route_id``.

        Returns
        -------
        DataFrame
            One row per contract of an instrument, with a RangeIndex, in descending order of ``count``. Columns:
            ``market_id``, ``instrument_id``, ``sequence_id``, ``sequence_item_id`` and ``second_sequence_item_id``
            (Int64), ``contract_type`` (string), ``count`` of inserted trades, those deleted later included (int64),
            ``route`` (string), and the appended ones. ``label`` adds the names of the contracts.

        Raises
        ------
        QueryError, PartialDataError, TrayportError
            As for ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.activity("2024-02-05", "2024-02-06")
        >>> bool(frame["count"].is_monotonic_decreasing)
        True
        """
        context, grain = self._context(), ACTIVITY.grain
        window = context.window(start, end, round_end=lambda _, latest: latest.floor(grain))
        for name, moment in (("start", window.start), ("end", window.end)):
            if moment != moment.floor(grain):
                raise QueryError(
                    f"{name} {iso(moment)} is not a whole minute, the smallest unit of activity",
                    f"give a whole one, such as {iso(moment.floor(grain))}",
                )
        if ACTIVITY.since is not None and window.start < ACTIVITY.since:
            raise QueryError(
                f"start {iso(window.start)} is before the first counts", f"start at {iso(ACTIVITY.since)} or later"
            )
        return self._ask(Query.of(context, ACTIVITY, None, window, fields, routes=routes))


def _check_grid(window: Window, interval: Width) -> None:
    """Raise ``QueryError`` if a window does not start and end with a candle."""
    for name, moment in (("start", window.start), ("end", window.end)):
        floor = interval.floor(moment)
        if floor != moment:
            raise QueryError(
                f"{name} {iso(moment)} is not on the UTC grid of {interval} candles",
                f"use {iso(floor)} or {iso(interval.shift(floor, 1))}, the nearest that are",
            )
