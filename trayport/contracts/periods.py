"""Delivery periods: every usual spelling of one, when it delivers, and what follows it."""

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

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Rolling items have no dates of their own: what "DA" delivers depends on the day that it trades.
_PROMPT = {
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
_PROMPT_NAMES = {spelling: name for name, others in _PROMPT.items() for spelling in (name.upper(), *others)}

SPELLINGS = (
    "'Apr-23' 'Q4-24' 'Win-25' 'Cal-26' 'GY25' 'Week 12-24' '2024-01-15' 'DA' 'BOM' or, counted from a date, "
    "'D+1' 'W+1' 'M+1' 'Q+2' 'S+1' 'Y+1'"
)


@total_ordering
@frozen(order=False)
class Period:
    """A delivery period: its tenor, its first day, and the day after its last.

    Days are calendar days; when in the day delivery begins is the product's own affair and stands in the
    reference data. A rolling period, such as ``DA``, has a ``label`` and no days.

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
        """The period that ``text`` names; ``M+1`` and its like count from ``at``.

        Case, and whether a dash, a space or nothing stands between the parts, make no difference; a year of
        two digits is of this century, as every year has to be: its last two digits are all that a name shows.
        Raises ``ContractError`` for what no grammar reads.
        """
        if not isinstance(text, str):
            raise ContractError(f"{text!r} is no delivery period; write it like {SPELLINGS}")
        words = " ".join(text.split())
        if relative := _RELATIVE.fullmatch(words):
            if at is None:
                raise ContractError(f"{text!r} counts from a date: give `at`, or a period of its own such as 'Apr-23'")
            return _counted(relative["unit"].upper(), int(relative["n"]), at)
        period = _read(words)
        if period is None:
            raise ContractError(f"{text!r} is no delivery period; write it like {SPELLINGS}")
        return period

    @property
    def name(self) -> str:
        """The one spelling that this package writes: ``Apr-23``, ``Q4-24``, ``Win-25``, ``Cal-26``, ``DA``."""
        if self.start is None:
            return str(self.label)
        return _NAMES[self.tenor](self.start)

    def next(self) -> Period:
        """The period of the same tenor that follows this one; a rolling period has none."""
        if self.end is None:
            raise ContractError(f"{self.name} rolls with the calendar, so nothing follows it")
        # A weekend is followed by the next one, not by the day after it.
        return _MAKE[self.tenor](self.end + datetime.timedelta(days=5 if self.tenor == "weekend" else 0))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Period({self.name!r})"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Period):
            return NotImplemented
        return self._order() < other._order()

    def _order(self) -> tuple[datetime.date, datetime.date, str]:
        """Rolling ones first, then by delivery."""
        never = datetime.date.min
        return self.start or never, self.end or never, self.name


# --- what each tenor delivers, from any day inside it ------------------------------------------------------


def _months_on(day: datetime.date, months: int) -> datetime.date:
    """The first of the month ``months`` after the one that ``day`` is in."""
    count = day.year * 12 + day.month - 1 + months
    return datetime.date(count // 12, count % 12 + 1, 1)


def _block(tenor: Tenor, months: int, first: int = 1) -> Callable[[datetime.date], Period]:
    """A maker of periods of so many whole months, counted from the month ``first`` of the year."""

    def make(day: datetime.date) -> Period:
        start = _months_on(day, -((day.month - first) % months))
        return Period(tenor, start, _months_on(start, months))

    return make


def _days(tenor: Tenor, weekday: int | None, length: int) -> Callable[[datetime.date], Period]:
    """A maker of periods of so many days, from the ``weekday`` at or before a day where there is one."""

    def make(day: datetime.date) -> Period:
        start = day if weekday is None else day - datetime.timedelta((day.weekday() - weekday) % 7)
        return Period(tenor, start, start + datetime.timedelta(length))

    return make


_MAKE: dict[str, Callable[[datetime.date], Period]] = {
    "day": _days("day", None, 1),
    "weekend": _days("weekend", 5, 2),
    "week": _days("week", 0, 7),
    "month": _block("month", 1),
    "quarter": _block("quarter", 3),
    "season": _block("season", 6, first=4),
    "year": _block("year", 12),
    "gas_year": _block("gas_year", 12, first=10),
}


def _season(start: datetime.date) -> str:
    return f"{'Sum' if start.month == 4 else 'Win'}-{start:%y}"


def _month(start: datetime.date) -> str:
    return f"{_MONTHS[start.month - 1]}-{start:%y}"  # not %b, which follows the locale


def _week(start: datetime.date) -> str:
    year, week, _ = start.isocalendar()
    return f"Week {week}-{year % 100:02d}"


_NAMES: dict[str, Callable[[datetime.date], str]] = {
    "day": lambda start: start.isoformat(),
    "weekend": lambda start: f"W/END {start.isoformat()}",
    "week": _week,
    "month": _month,
    "quarter": lambda start: f"Q{(start.month + 2) // 3}-{start:%y}",
    "season": _season,
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
    # All-numeric, as feeds write it: the weekday is what makes sure which number is the month.
    ("day", _WEEKDAY + r"(?P<day>\d{1,2})/(?P<number>\d{2})/" + _YEAR),
    ("weekend", _WEEKEND + r"(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})"),
    ("weekend", _WEEKEND + r"(?P<day>\d{1,2})[ -]" + _MONTH + r"[ -]" + _YEAR),
)


@cache
def _grammar() -> tuple[tuple[Tenor, re.Pattern[str]], ...]:
    """The patterns, compiled when the first name is read."""
    return tuple((tenor, re.compile(pattern, re.IGNORECASE | re.ASCII)) for tenor, pattern in _SPELLED)


@lru_cache(maxsize=8192)
def _read(words: str) -> Period | None:
    """The period that stands in ``words``, whose spaces are single; None where no grammar fits."""
    if label := _PROMPT_NAMES.get(re.sub("[ -]", "", words).upper()):
        return Period("prompt", label=label)
    for tenor, pattern in _grammar():
        if match := pattern.fullmatch(words):
            return _period(tenor, {name: text for name, text in match.groupdict().items() if text})
    return None


def _period(tenor: str, facts: dict[str, str]) -> Period | None:
    year = int(facts["year"]) + (2000 if len(facts["year"]) == 2 else 0)
    if year not in _CENTURY or int(facts.get("until", year + 1)) % 100 != (year + 1) % 100:
        return None
    try:
        day = _FIRST_DAY[tenor](year, facts)
    except ValueError:  # the 31st of February, month 13, week 54
        return None
    weekday = facts.get("weekday", "").title()
    if weekday and weekday != _DAYS[day.weekday()]:
        return None
    period = _MAKE[tenor](day)
    return period if period.start == day else None


def _day_of(year: int, facts: dict[str, str]) -> datetime.date:
    return datetime.date(year, _month_of(facts), int(facts.get("day", 1)))


def _month_of(facts: dict[str, str]) -> int:
    if "month" in facts:
        return _MONTHS.index(facts["month"][:3].title()) + 1
    return int(facts["number"])


_FIRST_DAY: dict[str, Callable[[int, dict[str, str]], datetime.date]] = {
    "day": _day_of,
    "weekend": _day_of,
    "week": lambda year, facts: datetime.date.fromisocalendar(year, int(facts["number"]), 1),
    "month": _day_of,
    "quarter": lambda year, facts: datetime.date(year, 3 * int(facts["number"]) - 2, 1),
    "season": lambda year, facts: datetime.date(year, 4 if facts["season"][0] in "sS" else 10, 1),
    "year": lambda year, _: datetime.date(year, 1, 1),
    "gas_year": lambda year, _: datetime.date(year, 10, 1),
}

_UNITS = {"D": "day", "W": "week", "M": "month", "Q": "quarter", "S": "season", "Y": "year", "CAL": "year"}


def _counted(unit: str, n: int, at: datetime.date) -> Period:
    """``M+1`` and its like: the n-th period after the one that holds the day ``at``."""
    period = _MAKE[_UNITS[unit]](at)
    for _ in range(n):
        period = period.next()
        if period.start and period.start.year not in _CENTURY:
            raise ContractError(f"{unit}+{n} from {at} lies beyond this century")
    return period
