"""What a client answers from reference data: the lists, and the verbs that turn names into ids and back."""

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
    """The reference calls, for a client that has a catalogue."""

    @property
    @abstractmethod
    def catalogue(self) -> Catalogue:
        """What looks names up."""

    @abstractmethod
    def _context(self) -> QueryContext:
        """The zone and the present moment that times are read against."""

    def instruments(self) -> pd.DataFrame:
        """Every instrument that the API lists.

        Returns
        -------
        DataFrame (instruments × 1), indexed by ``instrument_id`` (int64): ``name`` (string).

        Raises ``TrayportError`` if they are not known yet and the API cannot be asked.

        >>> import trayport as tp
        >>> tp.instruments().loc[10002806, "name"]
        'TTF Hi Cal 51.6 EEX'
        """
        return self._products("instrument")

    def markets(self) -> pd.DataFrame:
        """Every market: all venues' instruments of a product together.

        Returns
        -------
        DataFrame (markets × 1), indexed by ``market_id`` (int64): ``name`` (string), without Joule's star.

        Raises as ``instruments``.

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
        """The products whose names are nearest to ``text``; half a word or a misspelt one will do.

        Returns
        -------
        DataFrame (at most ``limit`` × 4), nearest first: ``kind`` (string, "market" or "instrument"), ``id``
        (int64), ``name`` (string, as every other function takes it), ``score`` (float64, 1 at best).

        Raises ``QueryError`` for an empty text.

        >>> import trayport as tp
        >>> tp.search("ttf eex", limit=1)["name"].tolist()
        ['TTF Hi Cal 51.6 EEX']
        """
        if not isinstance(text, str) or not text.strip():
            raise QueryError(f"search text {text!r} is empty: give a part of a name, such as 'TTF'")
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
        """The sequences of delivery periods that a product can be traded on.

        Returns
        -------
        DataFrame (sequences × 2), indexed by ``sequence_id`` (int64): ``name``, ``display_name`` (string).

        Raises ``UnknownContract`` with the nearest names, ``AmbiguousContract`` with the candidates.

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
        """The delivery periods of a sequence, from the one that is being delivered on ``start``.

        Parameters
        ----------
        sequence
            Its id, or a product and the sequence's name or last word: ``"TTF Months"``. The name alone,
            ``"Gas - NG Months"``, will do once its product has been looked at: the API lists no sequences but
            those of a product.
        start
            Periods that end on this UTC day or later; today unless given. An expired one needs it.
        count
            At most so many.

        Returns
        -------
        DataFrame (items × 5), indexed by ``sequence_item_id`` (int64), in order of delivery: ``name`` (string),
        ``period_start``, ``period_end``, ``trading_start``, ``trading_end`` (``datetime64[ns, tz]``; NaT where
        the API gives none, as for rolling periods and emissions).

        Raises ``QueryError`` for a sequence that is not known, ``NotFound`` for an id that does not exist.

        >>> import trayport as tp
        >>> tp.sequence_items("TTF Months", start="2024-02-05", count=3)["name"].tolist()
        ['Feb-24', 'Mar-24', 'Apr-24']
        """
        since = None if start is None else instant(start, self._context().tz, "start").date()
        items = self.catalogue.items(sequence, since, _count("count", count))
        index = pd.Index([item.id for item in items], dtype="int64", name="sequence_item_id")
        times = ("period_start", "period_end", "trading_start", "trading_end")
        columns: dict[str, Any] = {"name": _strings([item.name for item in items])}
        columns |= {name: _moments([getattr(item, name) for item in items], self._context().tz) for name in times}
        return pd.DataFrame(columns, index=index)

    def specification(self, product: ProductLike) -> Specification:
        """The currencies and units of a product's prices and quantities, as the API spells them; None for unknown ones.

        Raises as ``sequences``.

        >>> import trayport as tp
        >>> tp.specification("TTF").quantity_unit
        'MW'
        """
        return self.catalogue.specification(product)

    def venues(self, *, active: bool | None = None) -> pd.DataFrame:
        """The venues that the API's guide lists; makes no request.

        Parameters
        ----------
        active
            Only the active ones, only the others, or (None) all.

        Returns
        -------
        DataFrame (venues × 7), indexed by ``venue_code`` (string): ``name`` (string), ``venue_id`` (int64),
        ``active`` (bool), ``kind`` (string: "broker" or "exchange"), ``levels`` (string: "levels" where public
        orders are summed by price, "orders" where they come singly), ``separate_private_feed`` (bool: own trades
        come twice), ``orders_from`` (``datetime64[ns]``, a UTC day; NaT where the guide names no date).

        Raises ``QueryError`` for an ``active`` that is none of the three.

        >>> import trayport as tp
        >>> tp.venues(active=True).loc["EEX7", "levels"]
        'levels'
        """
        if active is not None and not isinstance(active, bool):
            raise QueryError(f"active={active!r} must be True, False or None")
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
        """The contract that a name means, with its ids, its canonical name and its delivery.

        Parameters
        ----------
        name
            A product and a period, as in ``"TTF Apr-24"``; with two periods a spread (``"TTF Apr-24/May-24"``)
            or a range (``"TTF Apr-24..Jun-24"``). The product is a name, an alias or the beginning of one name
            only; a star behind it means the market, ``instrument:`` before it the instrument. Periods are spelled
            as in ``Apr-24``, ``Apr 2024``, ``2024-04``; ``Q4-24``, ``Q424``; ``Win-25``, ``Summer 26``; ``Cal-26``,
            ``2026``; ``GY25``; ``Week 12-24``; ``2024-01-15``, ``Mon 15-Jan-24``; ``DA``, ``WD``, ``W/END``,
            ``BOW``, ``BOM``; or counted from a day: ``D+1``, ``W+1``, ``M+1``, ``Q+2``, ``S+1``, ``Y+1``.
        at
            The day from which ``M+1`` and its like count; today unless given.

        Raises ``UnknownContract`` with the nearest names, ``AmbiguousContract`` with the candidates.

        >>> import trayport as tp
        >>> tp.resolve("TTF 2024-04").name
        'TTF Hi Cal 51.6* Apr-24'
        """
        if not isinstance(name, str) or not name.strip():
            raise QueryError(f"name {name!r} is empty or no text: write it like 'TTF Apr-24'")
        day = self._context().now.date() if at is None else instant(at, self._context().tz, "at").date()
        return self.catalogue.resolve(name, day)

    def label(self, frame: pd.DataFrame) -> pd.DataFrame:
        """``frame`` with a first column ``contract``: the canonical names of what its id columns mean.

        Takes the columns ``instrument_id`` or ``market_id`` (the instrument, where a row has both),
        ``sequence_id``, ``sequence_item_id`` and, if there are any, ``second_sequence_item_id`` and
        ``contract_type``. Ids that the reference data do not know are left empty, with one ``TrayportWarning``.

        Raises ``QueryError`` if the id columns are missing.

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


def _moments(values: Sequence[datetime.datetime | None], tz: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.Series(list(values), dtype="datetime64[ns, UTC]")).tz_convert(tz)


def _count(name: str, value: object) -> int:
    number = as_int(value)
    if type(number) is not int or number < 1:
        raise QueryError(f"{name}={value!r} must be a whole number from 1 up")
    return number
