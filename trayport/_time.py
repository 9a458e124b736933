"""The only place that reads a time: what a caller gives becomes whole UTC seconds, or is refused."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import TypeAlias

import pandas as pd
from attrs import field, frozen

from .errors import QueryError
from .typing import When

Clock: TypeAlias = Callable[[], pd.Timestamp]
"""Answers the present moment in UTC; a test hands over one that stands still."""

SECOND = pd.Timedelta(seconds=1)

_ISO_8601 = re.compile(
    r"""
    \d{4}-\d{2}                                         # a month
    (?: -\d{2}                                          # a day
        (?: [T ]\d{2}                                   # an hour
            (?: :\d{2} (?: :\d{2} (?: \.\d{1,9} )? )? )?
            \s? (?: Z | [+-]\d{2} (?: :?\d{2} )? )?
        )?
    )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)

_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)


def utc_now() -> pd.Timestamp:
    """The present moment in UTC."""
    return pd.Timestamp.now("UTC").as_unit("ns")


def instant(when: When, tz: str, name: str = "time", *, days_in: str | None = None) -> pd.Timestamp:
    """``when`` as a UTC timestamp in whole seconds; a naive one is read in ``tz``, a date alone in ``days_in``.

    Raises ``QueryError``, with ``name`` in its text, for anything that is not ISO 8601 text, a date, a
    datetime or a Timestamp, for fractions of a second (the API takes none, and rounding would be silent),
    and for a local time that the clocks skip or show twice.

    >>> instant("2024-03-31T09:30", "Europe/Amsterdam")
    Timestamp('2024-03-31 07:30:00+0000', tz='UTC')
    """
    read = _timestamp(when, name)
    if read.nanosecond or read.microsecond:
        raise QueryError(
            f"{name} {when!r} is not a whole second, the finest that the API takes: leave the fraction out, as "
            "Timestamp.floor('s') does"
        )
    try:
        return _localized(read, (days_in or tz) if _is_date(when) else tz, when, name).tz_convert("UTC")
    except pd.errors.OutOfBoundsDatetime:
        raise _no_moment(when, name) from None


def _timestamp(when: When, name: str) -> pd.Timestamp:
    # NaT is a datetime to isinstance, and no moment to anybody else.
    known = isinstance(when, str | datetime.date) and not pd.isna(when)
    if not known or (isinstance(when, str) and not _ISO_8601.fullmatch(when)):
        digits = _DIGITS.fullmatch(str(when))
        meant = f"{'-'.join(digits.groups())}" if digits else "2024-01-31"
        raise QueryError(
            f"{name} {when!r} is not a time: write ISO 8601, such as {meant!r}, '2024-01-31T09:30' or "
            "'2024-01-31T09:30:00+01:00', or pass a date, a datetime or a Timestamp"
        )
    try:
        return pd.Timestamp(when).as_unit("ns")
    except ValueError:  # the 31st of February; a year beyond 64-bit nanoseconds
        raise _no_moment(when, name) from None


def _no_moment(when: When, name: str) -> QueryError:
    return QueryError(f"{name} {when!r} is no moment that exists between the years 1678 and 2261")


def _localized(read: pd.Timestamp, tz: str, when: When, name: str) -> pd.Timestamp:
    if read.tz is not None:
        if isinstance(when, datetime.datetime) and not isinstance(when, pd.Timestamp):
            there_and_back = when.astimezone(datetime.UTC).astimezone(when.tzinfo)
            if there_and_back.replace(tzinfo=None) != when.replace(tzinfo=None):
                raise _no_such_clock(when, name, str(when.tzinfo))
        return read
    if _is_date(when):
        # That day's first instant, also where the clocks skip midnight or show it twice.
        return read.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
    # As NaT, since the exceptions for both cases differ between versions of pandas.
    local = read.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
    if not isinstance(local, pd.Timestamp):
        raise _no_such_clock(when, name, tz)
    return local


def _is_date(when: When) -> bool:
    if isinstance(when, str):
        return len(when) <= len("2024-01-31")
    return not isinstance(when, datetime.datetime)


def _no_such_clock(when: When, name: str, tz: str) -> QueryError:
    return QueryError(
        f"{name} {when!r} does not exist or exists twice in {tz}, where the clocks change: "
        "write it with its offset, such as '2024-10-27T02:30:00+02:00'"
    )


@frozen
class Window:
    """A half-open stretch of time, ``[start, end)``, in whole UTC seconds."""

    start: pd.Timestamp
    end: pd.Timestamp = field()

    @end.validator
    def _not_before_start(self, _: object, end: pd.Timestamp) -> None:
        if end < self.start:
            raise QueryError(f"the window ends at {iso(end)}, before it starts at {iso(self.start)}")

    @property
    def empty(self) -> bool:
        """Does it hold no moment at all?"""
        return bool(self.start == self.end)

    def __str__(self) -> str:
        return f"{short(self.start)} to {short(self.end)}"


def window(
    start: When,
    end: When | None,
    *,
    tz: str,
    known: pd.Timestamp,
    beyond: bool = False,
    days_in: str | None = None,
    cut: Callable[[pd.Timestamp, pd.Timestamp], pd.Timestamp] | None = None,
) -> Window:
    """The window that a caller asks for.

    ``end=None`` is ``known``, the last moment that there are data for, made whole by ``cut(start, known)``. It may
    lie before ``start``, which makes the window empty; an explicit end there is a ``QueryError``, and so is one later
    than ``known`` unless ``beyond`` allows it.
    """
    first = instant(start, tz, "start", days_in=days_in)
    if end is None:
        last = known if cut is None or known < first else cut(first, known)
        return Window(first, max(first, last))
    last = instant(end, tz, "end", days_in=days_in)
    if last < first:
        raise QueryError(f"end {end!r} lies before start {start!r}; the window is [start, end)")
    if last > known and not beyond:
        raise QueryError(
            f"end {end!r} is later than {iso(known)}, where data end without intraday rights: leave `end` "
            "out to get all there is, or set Config.intraday=True (TRAYPORT_INTRADAY) if your key may see today"
        )
    return Window(first, last)


def iso(moment: pd.Timestamp) -> str:
    """Return a UTC timestamp as ISO 8601 text in whole seconds.

    >>> iso(pd.Timestamp("2024-01-31 09:30", tz="UTC"))
    '2024-01-31T09:30:00Z'
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def short(moment: pd.Timestamp) -> str:
    """``moment`` for people: the date alone where it is a midnight.

    >>> short(pd.Timestamp("2024-01-31", tz="UTC"))
    '2024-01-31'
    """
    midnight = moment == moment.normalize()
    return moment.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")
