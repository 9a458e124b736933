"""The calls of a client that need reference data only: lists of names, and names to ids and back."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import venues
from .._time import instant
from ..contracts import Contract, ProductLike, Specification, as_int
from ..decoding import STRING
from ..errors import QueryError
from ..queries import QueryContext
from ..typing import When
from .labels import label

if TYPE_CHECKING:
    from ..refdata import Catalogue

__all__ = ["References"]


class References(ABC):
    """The reference calls of a client that has a catalogue."""

    @property
    @abstractmethod
    def catalogue(self) -> Catalogue:
        """The catalogue of reference data."""

    @abstractmethod
    def _context(self) -> QueryContext:
        """Return the time zone and the present time of a call."""

    def instruments(self) -> pd.DataFrame:
        """Return every instrument: each venue's listing of a product.

        Returns
        -------
        DataFrame
            One row per instrument, indexed by ``instrument_id`` (int64). Column: ``name`` (string).

        Raises
        ------
        TrayportError
            The instruments are not cached and the request for them failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.instruments().loc[10002806, "name"]
        'TTF Hi Cal 51.6 EEX'
        """
        return self._products("instrument")

    def markets(self) -> pd.DataFrame:
        """Return every market: a product over all venues.

        Returns
        -------
        DataFrame
            One row per market, indexed by ``market_id`` (int64). Column: ``name`` (string), without the star of Joule.

        Raises
        ------
        TrayportError
            The markets are not cached and the request for them failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.markets().loc[10000065, "name"]
        'TTF Hi Cal 51.6'
        """
        return self._products("market")

    def _products(self, kind: str) -> pd.DataFrame:
        products = [product for product in self.catalogue.products() if product.kind == kind]
        index = pd.Index([product.id for product in products], dtype="int64", name=f"{kind}_id")
        return pd.DataFrame({"name": _strings([product.name for product in products])}, index=index)

    def search(self, text: str, *, limit: int = 20) -> pd.DataFrame:
        """Return the products whose names are nearest to a text.

        Parameters
        ----------
        text : str
            Words of a name or an alias, in any order; a part of a word or a misspelt word is enough.
        limit : int, default 20
            Maximum number of products.

        Returns
        -------
        DataFrame
            At most ``limit`` rows, nearest first. Columns: ``kind`` (string, "market" or "instrument"), ``id``
            (int64), ``name`` (string, the canonical name), ``score`` (float64, at most 1).

        Raises
        ------
        QueryError
            The text is empty, or ``limit`` is not a whole number from 1 up.
        TrayportError
            The products are not cached and the requests for them failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.search("ttf eex", limit=1)["name"].tolist()
        ['TTF Hi Cal 51.6 EEX']
        """
        if not isinstance(text, str) or not text.strip():
            raise QueryError(f"search text {text!r} is empty or not a string", "give a part of a name, such as 'TTF'")
        found = self.catalogue.products().search(text, _count("limit", limit))
        return pd.DataFrame(
            {
                "kind": _strings([product.kind for _, product in found]),
                "id": pd.array([product.id for _, product in found], dtype="int64"),
                "name": _strings([product.label for _, product in found]),
                "score": pd.array([score for score, _ in found], dtype="float64"),
            }
        )

    def sequences(self, product: ProductLike) -> pd.DataFrame:
        """Return the sequences of delivery periods of a product, such as its months.

        Parameters
        ----------
        product : str, Market or Instrument
            The product, by name or by id.

        Returns
        -------
        DataFrame
            One row per sequence, indexed by ``sequence_id`` (int64). Columns: ``name``, ``display_name`` (string).

        Raises
        ------
        UnknownContract
            There is no such product; with the nearest names.
        AmbiguousContract
            The name has several meanings; with an exact name for each.
        TrayportError
            A request for reference data failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.sequences("TTF")["name"].tolist()
        ['Gas - NG Prompt', 'Gas - NG Months', 'Gas - NG Quarters', 'Gas - NG Sum/Win Seasons', 'Gas - NG Years']
        """
        catalogue = self.catalogue
        entries = catalogue.sequences(catalogue.product(product))
        index = pd.Index([entry.id for entry in entries], dtype="int64", name="sequence_id")
        return pd.DataFrame(
            {
                "name": _strings([entry.name for entry in entries]),
                "display_name": _strings([entry.display_name for entry in entries]),
            },
            index=index,
        )

    def sequence_items(self, sequence: str | int, *, start: When | None = None, count: int = 100) -> pd.DataFrame:
        """Return the delivery periods of a sequence, from the one in delivery on ``start``.

        Parameters
        ----------
        sequence : str or int
            An id, or a product and the sequence's name or last word, as in ``"TTF Months"``. A name alone, as in
            ``"Gas - NG Months"``, works once its product's sequences are cached, because the API lists sequences by
            product only.
        start : str, date, datetime, Timestamp or None, default None
            The periods end on this UTC day or later. None is today; an expired period needs an earlier date.
        count : int, default 100
            Maximum number of periods.

        Returns
        -------
        DataFrame
            At most ``count`` rows in order of delivery, indexed by ``sequence_item_id`` (int64). Columns: ``name``
            (string), ``period_start``, ``period_end``, ``trading_start``, ``trading_end`` (``datetime64[ns, tz]``;
            NaT where the API gives none, as for rolling periods and emissions).

        Raises
        ------
        QueryError
            The sequence is not known, or ``count`` is not a whole number from 1 up.
        NotFound
            There is no sequence with this id.
        TrayportError
            A request for reference data failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.sequence_items("TTF Months", start="2024-02-05", count=3)["name"].tolist()
        ['Feb-24', 'Mar-24', 'Apr-24']
        """
        since = None if start is None else instant(start, self._context().tz, "start").date()
        items = self.catalogue.items(sequence, since, _count("count", count))
        index = pd.Index([item.id for item in items], dtype="int64", name="sequence_item_id")
        times = ("period_start", "period_end", "trading_start", "trading_end")
        columns: dict[str, Any] = {"name": _strings([item.name for item in items])}
        columns |= {name: _times([getattr(item, name) for item in items], self._context().tz) for name in times}
        return pd.DataFrame(columns, index=index)

    def specification(self, product: ProductLike) -> Specification:
        """Return the currencies and units of a product.

        Parameters
        ----------
        product : str, Market or Instrument
            The product, by name or by id.

        Returns
        -------
        Specification
            With the API's own spellings; None for each that the API does not give.

        Raises
        ------
        UnknownContract
            There is no such product; with the nearest names.
        AmbiguousContract
            The name has several meanings; with an exact name for each.
        TrayportError
            A request for reference data failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.specification("TTF").quantity_unit
        'MW'
        """
        return self.catalogue.specification(product)

    def venues(self, *, active: bool | None = None) -> pd.DataFrame:
        """Return the venues that the API's guide lists, without a request.

        Parameters
        ----------
        active : bool or None, default None
            True for the active venues, False for the others, None for all.

        Returns
        -------
        DataFrame
            One row per venue, indexed by ``venue_code`` (string). Columns: ``name`` (string), ``venue_id`` (int64),
            ``active`` (bool), ``kind`` (string, "broker" or "exchange"), ``levels`` (string, "levels" if public
            orders are summed by price, "orders" if each order is a row), ``separate_private_feed`` (bool, True if
            own trades come twice), ``orders_from`` (``datetime64[ns]``, the first UTC day of public orders; NaT if
            the guide gives none).

        Raises
        ------
        QueryError
            ``active`` has another value.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.venues(active=True).loc["EEX7", "levels"]
        'levels'
        """
        if active is not None and not isinstance(active, bool):
            raise QueryError(f"active={active!r} is none of True, False and None")
        listed = venues.select(active)
        return pd.DataFrame(
            {
                "name": _strings([venue.name for venue in listed]),
                "venue_id": pd.array([venue.id for venue in listed], dtype="int64"),
                "active": [venue.active for venue in listed],
                "kind": _strings([venue.kind for venue in listed]),
                "levels": _strings([venue.levels for venue in listed]),
                "separate_private_feed": [venue.separate_private_feed for venue in listed],
                "orders_from": pd.Series([venue.orders_from for venue in listed], dtype="datetime64[ns]").to_numpy(),
            },
            index=pd.Index(_strings([venue.code for venue in listed]), name="venue_code"),
        )

    def resolve(self, name: str, *, at: When | None = None) -> Contract:
        """Return the contract of a name, with its ids, its canonical name and its delivery.

        Parameters
        ----------
        name : str
            A product and a period, as in ``"TTF Apr-24"``; with two periods a spread (``"TTF Apr-24/May-24"``) or a
            range (``"TTF Apr-24..Jun-24"``). The product is a name, an alias or a prefix of one name only; a star
            after it means the market, ``instrument:`` before it the instrument. Spellings of periods: ``Apr-24``,
            ``Apr 2024``, ``2024-04``; ``Q4-24``, ``Q424``; ``Win-25``, ``Summer 26``; ``Cal-26``, ``2026``; ``GY25``;
            ``Week 12-24``; ``2024-01-15``, ``Mon 15-Jan-24``; ``DA``, ``WD``, ``W/END``, ``BOW``, ``BOM``; relative to
            ``at``: ``D+1``, ``W+1``, ``M+1``, ``Q+2``, ``S+1``, ``Y+1``.
        at : str, date, datetime, Timestamp or None, default None
            The UTC day from which ``M+1`` and the like count; None is today.

        Returns
        -------
        Contract
            With ``name``, ``period_start`` and ``period_end``.

        Raises
        ------
        UnknownContract
            There is no such contract; with the nearest names.
        AmbiguousContract
            The name has several meanings; with an exact name for each.
        ContractError
            The name has no period, or its two periods make no contract.
        TrayportError
            A request for reference data failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.resolve("TTF 2024-04").name
        'TTF Hi Cal 51.6* Apr-24'
        """
        if not isinstance(name, str) or not name.strip():
            raise QueryError(f"name {name!r} is empty or not a string", "write it like 'TTF Apr-24'")
        day = self._context().now.date() if at is None else instant(at, self._context().tz, "at").date()
        return self.catalogue.resolve(name, day)

    def label(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with a first column ``contract``: the canonical names of the contracts in its id columns.

        Parameters
        ----------
        frame : DataFrame
            With the columns ``instrument_id`` or ``market_id`` (the instrument counts if a row has both),
            ``sequence_id`` and ``sequence_item_id``, and, for spreads and ranges, ``second_sequence_item_id`` and
            ``contract_type``. The result of ``activity`` has them.

        Returns
        -------
        DataFrame
            A copy of ``frame``, with ``contract`` (string) first. Contracts that the reference data do not contain
            have an empty name, with one ``TrayportWarning``.

        Raises
        ------
        QueryError
            The id columns are missing.
        TrayportError
            A request for reference data failed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.label(tp.activity("2024-02-05", "2024-02-06"))["contract"].iloc[0]
        'EUA ICE ENDEX Dec-24'
        """
        return label(frame, self.catalogue)

    def refresh(self) -> None:
        """Delete the cached reference data, also on disk; the next look-up requests them again.

        Raises
        ------
        ConfigError
            The settings cannot be read.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.refresh()
        """
        self.catalogue.refresh()


def _strings(values: Iterable[str | None]) -> pd.api.extensions.ExtensionArray:
    return pd.array(list(values), dtype=STRING)


def _times(values: Sequence[datetime.datetime | None], tz: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.Series(list(values), dtype="datetime64[ns, UTC]")).tz_convert(tz)


def _count(name: str, value: object) -> int:
    number = as_int(value)
    if type(number) is not int or number < 1:
        raise QueryError(f"{name}={value!r} must be a whole number from 1 up")
    return number
