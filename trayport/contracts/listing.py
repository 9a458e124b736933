"""A sequence with its items, found by name and by delivery period."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from attrs import field, frozen

from ..errors import ContractError
from .periods import Period

__all__ = ["Listing", "SequenceItem", "normalize_name"]

_K = TypeVar("_K")


def normalize_name(text: str) -> str:
    """``text`` as names are compared: case and the width of spaces make no difference."""
    return " ".join(text.split()).casefold()


@frozen
class SequenceItem:
    """One delivery period of a sequence, as the Reference Data API gives it.

    Trading dates are None for items that roll, and for emissions (guide p. 29).
    """

    id: int
    name: str
    period_start: datetime.datetime | None = None
    period_end: datetime.datetime | None = None
    trading_start: datetime.datetime | None = None
    trading_end: datetime.datetime | None = None

    @property
    def period(self) -> Period | None:
        """The delivery period that its name spells; None where the name is none of the usual spellings."""
        try:
            return Period.parse(self.name)
        except ContractError:
            return None

    @property
    def rolls(self) -> bool:
        """Does it deliver on other days every day? Its name spells no days of its own then."""
        return self.period is None or self.period.start is None

    @property
    def label(self) -> str:
        """The one spelling of its period that this package writes; the vendor's own name where there is none."""
        period = self.period
        return period.name if period else self.name or str(self.id)


def _day(moment: datetime.datetime) -> datetime.date:
    """The nearest midnight's date: gas days begin in the morning, British ones on the evening before."""
    return (moment + datetime.timedelta(hours=12)).date()


@frozen
class Listing:
    """The items of one sequence whose delivery ends after ``since``, in order of delivery."""

    sequence_id: int
    name: str
    since: datetime.date
    items: tuple[SequenceItem, ...]
    _by_id: dict[int, SequenceItem] = field(init=False, repr=False, eq=False)
    _by_name: dict[str, tuple[SequenceItem, ...]] = field(init=False, repr=False, eq=False)
    _by_delivery: dict[tuple[datetime.date, datetime.date], tuple[SequenceItem, ...]] = field(
        init=False, repr=False, eq=False
    )

    @_by_id.default
    def _index_ids(self) -> dict[int, SequenceItem]:
        return {item.id: item for item in self.items}

    @_by_name.default
    def _index_names(self) -> dict[str, tuple[SequenceItem, ...]]:
        return _grouped(
            (name, item) for item in self.items for name in {normalize_name(item.name), normalize_name(item.label)}
        )

    @_by_delivery.default
    def _index_deliveries(self) -> dict[tuple[datetime.date, datetime.date], tuple[SequenceItem, ...]]:
        # A rolling item has no end of trading (guide p. 29): the days that it delivers today say nothing of the
        # trades that it has seen, so it is found by its name only.
        return _grouped(
            ((_day(item.period_start), _day(item.period_end)), item)
            for item in self.items
            if item.period_start is not None and item.period_end is not None and item.trading_end is not None
        )

    def item(self, item_id: int) -> SequenceItem | None:
        """The item with this id."""
        return self._by_id.get(item_id)

    def named(self, text: str, period: Period | None) -> tuple[SequenceItem, ...]:
        """The items that go by this name, or by the one that this package writes for ``period``."""
        found = self._by_name.get(normalize_name(text))
        if found is None and period is not None:
            found = self._by_name.get(normalize_name(period.name))
        return found or ()

    def delivering(self, period: Period | None) -> tuple[SequenceItem, ...]:
        """The items that deliver in exactly this period."""
        if period is None or period.start is None or period.end is None:
            return ()
        return self._by_delivery.get((period.start, period.end), ())


def _grouped(pairs: Iterable[tuple[_K, SequenceItem]]) -> dict[_K, tuple[SequenceItem, ...]]:
    groups: dict[_K, list[SequenceItem]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return {key: tuple(items) for key, items in groups.items()}
