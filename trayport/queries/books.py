"""Queries of orders: the top of the book, the whole book, and snapshots.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import pandas as pd

from .._time import Window, iso
from ..contracts import ContractLike
from ..endpoints import ORDER_BOOK, SNAPSHOTS, TOP_OF_BOOK
from ..errors import QueryError, TrayportWarning
from ..typing import Interval, When
from ..venues import VENUES
from .intervals import Interval as Step
from .intervals import book_interval
from .query import Query, QueryContext, QueryMethods, T_co

__all__ = ["BookQueries"]


class BookQueries(QueryMethods[T_co]):
    """The queries of orders."""

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
        """Return the best bid and ask at the end of each interval.

        A window of more than 60 days, or 99,999 points, takes several requests (guide p. 6). Orders of brokers begin
        at the end of January 2020, those of exchanges later: see ``venues``.

        Parameters
        ----------
        contract : str, Contract, or iterable of these
            As for ``trades``, but not a ``Front``; each contract is a request.
        start : str, date, datetime or Timestamp
            Start of the first interval. Each row is stamped with the end of its interval, so that all rows are in
            ``(start, end]``.
        end : str, date, datetime, Timestamp or None, default None
            End of the last interval. None is the end of the last whole interval in the data.
        interval : str, default "1min"
            A whole number of seconds, minutes or hours: ``"15s"``, ``"1min"``, ``"2h"`` (guide p. 6).
        include_empty : bool, default False
            Whether to return points without any order.
        routes : iterable of str or int, default ()
            As for ``trades``.
        deduplicate : bool, default True
            As for ``trades``.
        fields : iterable of str, default ()
            Columns to append: ``bid_venue_code``, ``ask_venue_code``, ``route``, ``route_id``.

        Returns
        -------
        DataFrame
            One row per point, indexed by ``timestamp`` (``datetime64[ns, tz]``), ascending, then in the order of the
            contracts as given. Columns: ``contract`` (string), ``bid_price``, ``bid_quantity``, ``ask_price`` and
            ``ask_quantity`` (float64; NaN for an empty side), and the appended ones.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As for ``trades``. A window before the orders of all venues is a ``QueryError``; one before those of some
            gives a ``TrayportWarning``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.top_of_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T09:05")
        >>> bool((frame["bid_price"] <= frame["ask_price"]).all())
        True
        """
        context, step = self._context(), book_interval(interval)
        return self._ask(
            Query.of(
                context,
                TOP_OF_BOOK,
                contract,
                _points(context, start, end, step),
                fields,
                interval=step,
                include_empty=include_empty,
                routes=routes,
                deduplicate=deduplicate,
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
        """Return the orders on both sides at the end of each interval.

        A day of one contract in steps of a minute may have ten thousand rows: ``stream`` returns long windows in
        parts. Windows take requests as for ``top_of_book``.

        Parameters
        ----------
        contract : str, Contract, or iterable of these
            As for ``top_of_book``.
        start : str, date, datetime or Timestamp
            As for ``top_of_book``.
        end : str, date, datetime, Timestamp or None, default None
            As for ``top_of_book``.
        interval : str, default "1min"
            As for ``top_of_book``.
        depth : int, default 10
            Maximum number of orders on each side; a large number returns all.
        max_spread : float or None, default None
            Maximum distance of an order from the best price of its side, in per cent; None is no limit.
        include_private : bool, default False
            Whether to mark own orders and append the columns that only they have.
        include_empty : bool, default False
            Whether to request points without any order, too; they have no row.
        routes : iterable of str or int, default ()
            As for ``trades``.
        deduplicate : bool, default True
            As for ``trades``.
        fields : iterable of str, default ()
            Columns to append: ``venue_code``, ``route``, ``route_id``.

        Returns
        -------
        DataFrame
            One row per order, indexed by ``timestamp`` (``datetime64[ns, tz]``), ascending, then in the order of the
            contracts as given. Columns: ``contract`` (string), ``side`` (string, "bid" or "ask"), ``level`` (int64, 1
            is the best), ``price``, ``quantity`` (float64), and the appended ones.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As for ``top_of_book``.

        Examples
        --------
        >>> import trayport as tp
        >>> frame = tp.order_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T09:01", depth=2)
        >>> int(frame["level"].max())
        2
        """
        context, step = self._context(), book_interval(interval)
        return self._ask(
            Query.of(
                context,
                ORDER_BOOK,
                contract,
                _points(context, start, end, step),
                fields,
                interval=step,
                depth=depth,
                max_spread=max_spread,
                include_private=include_private,
                include_empty=include_empty,
                routes=routes,
                deduplicate=deduplicate,
            )
        )

    def snapshots(self, contract: ContractLike, *, at: When | None = None) -> T_co:
        """Return the best bid and ask at one moment, and the last trade before it.

        Up to 50 contracts of one product and sequence share a request (guide p. 24).

        Parameters
        ----------
        contract : str, Contract, Front, or iterable of str and Contract
            As for ``trades``.
        at : str, date, datetime, Timestamp or None, default None
            A whole minute. Required without ``Config.intraday``, since the server's default is then 00:00 UTC, when
            the books of exchanges are empty; otherwise None is now.

        Returns
        -------
        DataFrame
            One row per contract, in the order given, indexed by ``timestamp``, which is ``at``
            (``datetime64[ns, tz]``). Columns: ``contract`` (string), ``bid_price``, ``bid_quantity``, ``ask_price``,
            ``ask_quantity`` and ``last_price`` (float64), ``last_timestamp`` (``datetime64[ns, tz]``). A contract
            without orders or trades has a row of empty cells.

        Raises
        ------
        QueryError, ContractError, PartialDataError, TrayportError
            As for ``trades``.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.snapshots(["TTF Apr-24", "TTF May-24"], at="2024-02-05T16:00")["contract"].tolist()
        ['TTF Hi Cal 51.6* Apr-24', 'TTF Hi Cal 51.6* May-24']
        """
        context = self._context()
        if at is None and not context.intraday:
            last_weekday = context.now.normalize() - pd.offsets.BDay(1)
            raise QueryError(
                "snapshots need `at` without intraday entitlement: the server would take 00:00 UTC, when the books of "
                "exchanges are empty",
                f"give a time, such as at={iso(last_weekday + pd.Timedelta(hours=16))!r}",
            )
        return self._ask(Query.at_instant(context, SNAPSHOTS, contract, at))


def _points(context: QueryContext, start: When, end: When | None, step: Step) -> Window:
    """Return the window of a book, with a warning if it begins before the orders of some venues."""
    window = context.window(
        start, end, round_end=lambda first, latest: latest - (latest - first) % step.length
    )  # fmt: skip
    begins = {code: pd.Timestamp(venue.orders_from, tz="UTC") for code, venue in VENUES.items() if venue.orders_from}
    first = min(begins.values())
    if window.end <= first and not window.is_empty:
        raise QueryError(f"the window {window} ends before the first orders", f"start at {iso(first)} or later")
    late = sorted(code for code, since in begins.items() if since > window.start)
    if late and not window.is_empty:
        problem = f"orders of {', '.join(late)} begin after {iso(window.start)} and are missing until then"
        warnings.warn(TrayportWarning(problem, "see trayport.venues() for the dates"), stacklevel=3)
    return window
