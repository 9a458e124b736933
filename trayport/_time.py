"""Times as callers write them, read as UTC timestamps in whole seconds or refused; and windows of them."""

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
"""Returns the present in UTC; tests pass one that they set."""

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
    """Return the present in UTC."""
    return pd.Timestamp.now("UTC").as_unit("ns")


def instant(when: When, tz: str, name: str = "time", *, days_in: str | None = None) -> pd.Timestamp:
    """Return a caller's time as a UTC timestamp in whole seconds.

    Parameters
    ----------
    when : str, date, datetime or Timestamp
        Text is ISO 8601.
    tz : str
        The zone of naive times.
    name : str, default "time"
        The argument's name, for errors.
    days_in : str, optional
        The zone of dates without a time, if it is not ``tz``. Such a date is its first instant there.

    Raises
    ------
    QueryError
        ``when`` is not a time; it has a fraction of a second, which the API does not take; or the clocks of its zone
        skip or repeat it.

    Examples
    --------
    >>> instant("2024-03-31T09:30", "Europe/Amsterdam")
    Timestamp('2024-03-31 07:30:00+0000', tz='UTC')
    """
    stamp = _timestamp(when, name)
    if stamp.nanosecond or stamp.microsecond:
        raise QueryError(
            f"{name} {when!r} is not a whole second, the smallest unit of the API",
            "leave the fraction out, such as with Timestamp.floor('s')",
        )
    try:
        return _localize(stamp, (days_in or tz) if _is_date(when) else tz, when, name).tz_convert("UTC")
    except pd.errors.OutOfBoundsDatetime:
        raise _nonexistent_error(when, name) from None


def _timestamp(when: When, name: str) -> pd.Timestamp:
    # NaT passes isinstance as a datetime.
    is_time = isinstance(when, str | datetime.date) and not pd.isna(when)
    if not is_time or (isinstance(when, str) and not _ISO_8601.fullmatch(when)):
        digits = _DIGITS.fullmatch(str(when))
        example = "-".join(digits.groups()) if digits else "2024-01-31"
        raise QueryError(
            f"{name} {when!r} is not a time",
            f"write ISO 8601, such as {example!r}, '2024-01-31T09:30' or '2024-01-31T09:30:00+01:00', or pass a date, "
            "a datetime or a Timestamp",
        )
    try:
        return pd.Timestamp(when).as_unit("ns")
    except ValueError:  # the 31st of February, or a year beyond 64-bit nanoseconds
        raise _nonexistent_error(when, name) from None


def _nonexistent_error(when: When, name: str) -> QueryError:
    return QueryError(f"{name} {when!r} does not exist between the years 1678 and 2261")


def _localize(stamp: pd.Timestamp, tz: str, when: When, name: str) -> pd.Timestamp:
    if stamp.tz is not None:
        if isinstance(when, datetime.datetime) and not isinstance(when, pd.Timestamp):
            there_and_back = when.astimezone(datetime.UTC).astimezone(when.tzinfo)
            if there_and_back.replace(tzinfo=None) != when.replace(tzinfo=None):
                raise _ambiguous_error(when, name, str(when.tzinfo))
        return stamp
    if _is_date(when):
        # The first instant of that day, also where the clocks skip midnight or repeat it.
        return stamp.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
    # NaT for both cases, since their exceptions differ between versions of pandas.
    local = stamp.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
    if not isinstance(local, pd.Timestamp):
        raise _ambiguous_error(when, name, tz)
    return local


def _is_date(when: When) -> bool:
    if isinstance(when, str):
        return len(when) <= len("2024-01-31")
    return not isinstance(when, datetime.datetime)


def _ambiguous_error(when: When, name: str, tz: str) -> QueryError:
    return QueryError(
        f"{name} {when!r} does not exist or exists twice in {tz}, where the clocks change",
        "write it with its offset, such as '2024-10-27T02:30:00+02:00'",
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
    def is_empty(self) -> bool:
        """True if the window contains no moment."""
        return bool(self.start == self.end)

    def __str__(self) -> str:
        return f"{short(self.start)} to {short(self.end)}"


def iso(moment: pd.Timestamp) -> str:
    """Return a UTC timestamp as ISO 8601 text in whole seconds.

    >>> iso(pd.Timestamp("2024-01-31 09:30", tz="UTC"))
    '2024-01-31T09:30:00Z'
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def short(moment: pd.Timestamp) -> str:
    """Return a timestamp as text for people: only the date, if it is midnight.

    >>> short(pd.Timestamp("2024-01-31", tz="UTC"))
    '2024-01-31'
    """
    midnight = moment == moment.normalize()
    return moment.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")
