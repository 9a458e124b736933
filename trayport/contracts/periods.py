"""Delivery periods: their usual spellings, their dates, and their order."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from functools import cache, lru_cache, total_ordering
from typing import Literal, TypeAlias

from attrs import frozen

from ..errors import ContractError

__all__ = ["Period"]

Tenor: TypeAlias = Literal["prompt", "day", "weekend", "week", "month", "quarter", "season", "year", "gas_year"]

# Not strftime's names, which depend on the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Names and other spellings of rolling periods: their dates depend on the day of trading.
_ROLLING = {
    "WD": ("WITHINDAY",),
    "DA": ("DAYAHEAD",),
    "BOW": ("BALWEEK", "BALANCEOFWEEK", "RESTOFWEEK"),
    "W/END": ("WE", "WEND", "WKEND", "WEEKEND", "W/E"),
    "WDNW": ("WORKINGDAYSNEXTWEEK",),
    "BOM": ("BALMO", "BALMONTH", "BALANCEOFMONTH", "RESTOFMONTH"),
    "Saturday": ("SAT",),
    "Sunday": ("SUN",),
    "Monday": ("MON",),
    "Tuesday": ("TUE",),
    "Wednesday": ("WED",),
    "Thursday": ("THU",),
    "Friday": ("FRI",),
}
_ROLLING_NAMES = {spelling: name for name, others in _ROLLING.items() for spelling in (name.upper(), *others)}

_EXAMPLES = (
    "write it like 'Apr-23' 'Q4-24' 'Win-25' 'Cal-26' 'GY25' 'Week 12-24' '2024-01-15' 'DA' 'BOM' or, counted from a "
    "date, 'D+1' 'W+1' 'M+1' 'Q+2' 'S+1' 'Y+1'"
)


@total_ordering
@frozen(order=False)
class Period:
    """A delivery period in calendar days; the time of day at which delivery begins is in the reference data.

    Parameters
    ----------
    tenor : str
        ``"prompt"`` for a rolling period such as DA, or ``"day"``, ``"weekend"``, ``"week"``, ``"month"``,
        ``"quarter"``, ``"season"``, ``"year"``, ``"gas_year"``.
    start, end : date, optional
        The first day, and the day after the last. A rolling period has none.
    label : str, optional
        The name of a rolling period.

    >>> Period.parse("Q4 2024")
    Period('Q4-24')
    >>> Period.parse("Winter 25").start, Period.parse("Winter 25").end
    (datetime.date(2025, 10, 1), datetime.date(2026, 4, 1))
    >>> Period.parse("Dec-25").next()
    Period('Jan-26')
    """

    tenor: Tenor
    start: datetime.date | None = None
    end: datetime.date | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str, *, at: datetime.date | None = None) -> Period:
        """Return the period of a name.

        Parameters
        ----------
        text : str
            The name, in any case, with a dash, a space or nothing between its parts. Years are from 2000 to 2099,
            because a canonical name has only their last two digits.
        at : date, optional
            The day from which ``M+1`` and the like count.

        Returns
        -------
        Period
            The delivery period.

        Raises
        ------
        ContractError
            The text is not the name of a period, or counts from a day that is not given.
        """
        if not isinstance(text, str):
            raise ContractError(f"{text!r} is not a delivery period", _EXAMPLES)
        words = " ".join(text.split())
        if relative := _RELATIVE.fullmatch(words):
            if at is None:
                raise ContractError(
                    f"{text!r} counts from a date", "give `at`, or a period with dates such as 'Apr-23'"
                )
            return _nth_after(relative["unit"].upper(), int(relative["n"]), at)
        period = _read(words)
        if period is None:
            raise ContractError(f"{text!r} is not a delivery period", _EXAMPLES)
        return period

    @property
    def name(self) -> str:
        """The canonical spelling: ``Apr-23``, ``Q4-24``, ``Win-25``, ``Cal-26``, ``DA``."""
        if self.start is None:
            return str(self.label)
        return _NAMES[self.tenor](self.start)

    def next(self) -> Period:
        """Return the next period of the same tenor.

        Returns
        -------
        Period
            The one that begins at the end of this one.

        Raises
        ------
        ContractError
            The period is a rolling one.
        """
        if self.end is None:
            raise ContractError(f"{self.name} is a rolling period, which has no next one")
        # From a weekend's end to the next weekend's start are five days.
        return _CONTAINING[self.tenor](self.end + datetime.timedelta(days=5 if self.tenor == "weekend" else 0))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Period({self.name!r})"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Period):
            return NotImplemented
        return self._sort_key() < other._sort_key()

    def _sort_key(self) -> tuple[datetime.date, datetime.date, str]:
        """Return a sort key: rolling periods first, then by delivery."""
        never = datetime.date.min
        return self.start or never, self.end or never, self.name


# --- the period of each tenor that contains a day ----------------------------------------------------------


def _add_months(day: datetime.date, months: int) -> datetime.date:
    """Return the first day of the month that is ``months`` after the month of ``day``."""
    count = day.year * 12 + day.month - 1 + months
    return datetime.date(count // 12, count % 12 + 1, 1)


def _make_months(tenor: Tenor, months: int, first: int = 1) -> Callable[[datetime.date], Period]:
    """Return a function that makes periods of ``months`` whole months, the first of a year in month ``first``."""

    def make(day: datetime.date) -> Period:
        start = _add_months(day, -((day.month - first) % months))
        return Period(tenor, start, _add_months(start, months))

    return make


def _make_days(tenor: Tenor, weekday: int | None, length: int) -> Callable[[datetime.date], Period]:
    """Return a function that makes periods of ``length`` days, which begin on ``weekday`` (0 is Monday) or any day."""

    def make(day: datetime.date) -> Period:
        start = day if weekday is None else day - datetime.timedelta((day.weekday() - weekday) % 7)
        return Period(tenor, start, start + datetime.timedelta(length))

    return make


_CONTAINING: dict[str, Callable[[datetime.date], Period]] = {
    "day": _make_days("day", None, 1),
    "weekend": _make_days("weekend", 5, 2),
    "week": _make_days("week", 0, 7),
    "month": _make_months("month", 1),
    "quarter": _make_months("quarter", 3),
    "season": _make_months("season", 6, first=4),
    "year": _make_months("year", 12),
    "gas_year": _make_months("gas_year", 12, first=10),
}


def _season_name(start: datetime.date) -> str:
    return f"{'Sum' if start.month == 4 else 'Win'}-{start:%y}"


def _month_name(start: datetime.date) -> str:
    return f"{_MONTHS[start.month - 1]}-{start:%y}"


def _week_name(start: datetime.date) -> str:
    year, week, _ = start.isocalendar()
    return f"Week {week}-{year % 100:02d}"


_NAMES: dict[str, Callable[[datetime.date], str]] = {
    "day": lambda start: start.isoformat(),
    "weekend": lambda start: f"W/END {start.isoformat()}",
    "week": _week_name,
    "month": _month_name,
    "quarter": lambda start: f"Q{(start.month + 2) // 3}-{start:%y}",
    "season": _season_name,
    "year": lambda start: f"Cal-{start:%y}",
    "gas_year": lambda start: f"GY{start:%y}",
}


# --- spellings ---------------------------------------------------------------------------------------------

_CENTURY = range(2000, 2100)
_YEAR = r"(?P<year>\d{4}|\d{2})"
_GAP = r"[ '’-]?"
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:(?P<weekday>mon|tue|wed|thu|fri|sat|sun)[a-z]* )"

_WEEKEND = r"(?:w/?end|w/?e|wkend|weekend) "

_RELATIVE = re.compile(r"(?P<unit>[DWMQSY]|Cal)\+(?P<n>\d{1,3})", re.IGNORECASE | re.ASCII)

_SPELLED: tuple[tuple[Tenor, str], ...] = (
    ("month", _MONTH + _GAP + _YEAR),
    ("month", r"(?P<year>\d{4})-(?P<number>\d{2})"),
    ("quarter", r"q(?P<number>[1-4])" + _GAP + _YEAR),
    ("quarter", r"(?P<year>\d{4})[ -]?q(?P<number>[1-4])"),
    ("season", r"(?P<season>win(?:ter)?|sum(?:mer)?)" + _GAP + _YEAR),
    ("season", r"(?P<season>win(?:ter)?)" + _GAP + _YEAR + r"/(?P<until>\d{4}|\d{2})"),
    ("gas_year", r"(?:gy|gas ?year)" + _GAP + _YEAR),
    ("year", r"(?:cal|y)" + _GAP + _YEAR),
    ("year", r"(?P<year>20\d{2})"),
    ("week", r"(?:week|wk)" + _GAP + r"(?P<number>\d{1,2})[ -]" + _YEAR),
    ("day", _WEEKDAY + r"?(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})"),
    ("day", _WEEKDAY + r"?(?P<day>\d{1,2})[ -]" + _MONTH + r"[ -]" + _YEAR),
    # All-numeric, as some feeds write it; the weekday shows which number is the month.
    ("day", _WEEKDAY + r"(?P<day>\d{1,2})/(?P<number>\d{2})/" + _YEAR),
    ("weekend", _WEEKEND + r"(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})"),
    ("weekend", _WEEKEND + r"(?P<day>\d{1,2})[ -]" + _MONTH + r"[ -]" + _YEAR),
)


@cache
def _grammar() -> tuple[tuple[Tenor, re.Pattern[str]], ...]:
    """Return the patterns, compiled at the first use: it takes 6 ms, too long for an import."""
    return tuple((tenor, re.compile(pattern, re.IGNORECASE | re.ASCII)) for tenor, pattern in _SPELLED)


@lru_cache(maxsize=8192)
def _read(words: str) -> Period | None:
    """Return the period of a text with single spaces; None if no pattern fits."""
    if label := _ROLLING_NAMES.get(re.sub("[ -]", "", words).upper()):
        return Period("prompt", label=label)
    for tenor, pattern in _grammar():
        if match := pattern.fullmatch(words):
            return _dated(tenor, {name: text for name, text in match.groupdict().items() if text})
    return None


def _dated(tenor: str, groups: dict[str, str]) -> Period | None:
    """Return the period of a pattern's groups; None if there is no such date."""
    year = int(groups["year"]) + (2000 if len(groups["year"]) == 2 else 0)
    if year not in _CENTURY or int(groups.get("until", year + 1)) % 100 != (year + 1) % 100:
        return None
    try:
        day = _FIRST_DAY[tenor](year, groups)
    except ValueError:  # such as 31 February, month 13 or week 54
        return None
    weekday = groups.get("weekday", "").title()
    if weekday and weekday != _DAYS[day.weekday()]:
        return None
    period = _CONTAINING[tenor](day)
    return period if period.start == day else None


def _day_of(year: int, groups: dict[str, str]) -> datetime.date:
    return datetime.date(year, _month_number(groups), int(groups.get("day", 1)))


def _month_number(groups: dict[str, str]) -> int:
    if "month" in groups:
        return _MONTHS.index(groups["month"][:3].title()) + 1
    return int(groups["number"])


_FIRST_DAY: dict[str, Callable[[int, dict[str, str]], datetime.date]] = {
    "day": _day_of,
    "weekend": _day_of,
    "week": lambda year, groups: datetime.date.fromisocalendar(year, int(groups["number"]), 1),
    "month": _day_of,
    "quarter": lambda year, groups: datetime.date(year, 3 * int(groups["number"]) - 2, 1),
    "season": lambda year, groups: datetime.date(year, 4 if groups["season"][0] in "sS" else 10, 1),
    "year": lambda year, _: datetime.date(year, 1, 1),
    "gas_year": lambda year, _: datetime.date(year, 10, 1),
}

_UNITS = {"D": "day", "W": "week", "M": "month", "Q": "quarter", "S": "season", "Y": "year", "CAL": "year"}


def _nth_after(unit: str, n: int, at: datetime.date) -> Period:
    """Return the n-th period after the one that contains ``at``, as for ``M+1``."""
    period = _CONTAINING[_UNITS[unit]](at)
    for _ in range(n):
        period = period.next()
        if period.start and period.start.year not in _CENTURY:
            raise ContractError(f"{unit}+{n} from {at} is after 2099")
    return period
