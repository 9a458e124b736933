"""Times of callers: read as UTC in whole seconds, or refused with an example."""

from __future__ import annotations

import datetime
import zoneinfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport._time import Window, instant, iso, short, utc_now
from trayport.errors import QueryError
from trayport.queries import QueryContext

NOW = pd.Timestamp("2026-11-20T10:11:12.5", tz="UTC")


@pytest.mark.parametrize(
    "when, expected",
    [
        ("2024-01-31", "2024-01-30T23:00:00Z"),
        ("2024-01", "2023-12-31T23:00:00Z"),
        ("2024-07-31T09", "2024-07-31T07:00:00Z"),
        ("2024-01-31T09:30", "2024-01-31T08:30:00Z"),
        ("2024-01-31 09:30:15", "2024-01-31T08:30:15Z"),
        ("2024-01-31T09:30:15.000", "2024-01-31T08:30:15Z"),
        ("2024-01-31T09:30Z", "2024-01-31T09:30:00Z"),
        ("2024-01-31T09:30+0200", "2024-01-31T07:30:00Z"),
        ("2024-10-27T02:30:00+01:00", "2024-10-27T01:30:00Z"),
        (datetime.date(2024, 1, 31), "2024-01-30T23:00:00Z"),
        (datetime.datetime(2024, 1, 31, 9, 30), "2024-01-31T08:30:00Z"),  # noqa: DTZ001  naive on purpose
        (datetime.datetime(2024, 1, 31, 9, 30, tzinfo=datetime.UTC), "2024-01-31T09:30:00Z"),
        (pd.Timestamp("2024-01-31 09:30", tz="US/Eastern"), "2024-01-31T14:30:00Z"),
        (pd.Timestamp("2024-01-31 09:30"), "2024-01-31T08:30:00Z"),
    ],
)
def test_time_is_read_in_the_given_zone_unless_it_has_one(when: object, expected: str) -> None:
    assert expected == iso(instant(when, "Europe/Amsterdam"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "when",
    ["01/02/2024", "now", "today", "20240131", "2024", "31 Jan 2024", "2024-1-31", "2024-01-31T9:30", "", "2024W05"],
)
def test_text_that_is_not_iso_8601_is_refused_with_an_example(when: str) -> None:
    with pytest.raises(QueryError, match=r"write ISO 8601, such as '2024-01-31'"):
        instant(when, "UTC")


@pytest.mark.parametrize("when", [20240131, 1.7e9, None, True, pd.NaT, ["2024-01-31"]])
def test_other_types_are_refused_with_the_name_of_the_argument(when: object) -> None:
    with pytest.raises(QueryError, match="start .* is not a time"):
        instant(when, "UTC", "start")  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["2024-01-31T09:30:00.5", pd.Timestamp("2024-01-31 09:30:00.000000001")])
def test_fractions_of_a_second_are_refused_and_not_rounded(when: object) -> None:
    with pytest.raises(QueryError, match="not a whole second.*floor"):
        instant(when, "UTC")  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["20240131", 20240131])
def test_date_without_dashes_is_refused_with_dashes_in_the_example(when: object) -> None:
    with pytest.raises(QueryError, match="such as '2024-01-31', "):
        instant(when, "UTC")  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["2024-02-31", "2024-13-01", "2024-01-31T24:00", "9999-01-01", "1000-01-01"])
def test_moment_that_does_not_exist_is_refused(when: str) -> None:
    with pytest.raises(QueryError, match="does not exist between the years 1678 and 2261"):
        instant(when, "UTC")


@pytest.mark.parametrize("when", ["2024-03-31T02:30", "2024-10-27T02:30"], ids=["skipped", "twice"])
def test_local_time_that_the_clocks_skip_or_repeat_is_refused(when: str) -> None:
    with pytest.raises(QueryError, match="with its offset"):
        instant(when, "Europe/Amsterdam")


@pytest.mark.parametrize(
    "when, tz, expected",
    [
        ("2023-04-28", "Africa/Cairo", "2023-04-27T22:00:00Z"),  # midnight is skipped
        (datetime.date(2023, 4, 28), "Africa/Cairo", "2023-04-27T22:00:00Z"),
        ("2023-11-05", "America/Havana", "2023-11-05T04:00:00Z"),  # midnight is repeated
    ],
)
def test_date_alone_is_its_first_instant_also_where_midnight_is_skipped_or_repeated(
    when: object, tz: str, expected: str
) -> None:
    assert expected == iso(instant(when, tz))  # type: ignore[arg-type]


def test_datetime_that_its_own_zone_skips_is_refused() -> None:
    skipped = datetime.datetime(2024, 3, 31, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Amsterdam"))
    with pytest.raises(QueryError, match="does not exist or exists twice in Europe/Amsterdam"):
        instant(skipped, "UTC")

    assert "2024-03-31T01:30:00Z" == iso(instant(skipped.replace(hour=3), "UTC"))


@pytest.mark.parametrize(
    "when, tz", [("1677-09-21T00:12:44", "Asia/Tokyo"), ("2262-04-11T23:47:16", "America/New_York")]
)
def test_time_beyond_64_bit_nanoseconds_is_refused(when: str, tz: str) -> None:
    with pytest.raises(QueryError, match="between the years 1678 and 2261"):
        instant(when, tz)


@given(st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2100, 1, 1)))  # noqa: DTZ001
def test_iso_text_is_read_as_the_same_moment(moment: datetime.datetime) -> None:
    read = instant(moment.replace(microsecond=0), "UTC")

    assert read == instant(iso(read), "Europe/London")


def window(start: str, end: str | None, *, tz: str = "UTC", intraday: bool = False) -> Window:
    return QueryContext(tz, NOW, intraday).window(start, end)


@pytest.mark.parametrize(
    "intraday, end", [(False, "2026-11-20T00:00:00Z"), (True, "2026-11-20T10:11:12Z")], ids=["midnight", "now"]
)
def test_window_without_an_end_ends_with_the_data(intraday: bool, end: str) -> None:
    assert end == iso(window("2026-11-01", None, intraday=intraday).end)


def test_start_after_the_data_is_an_empty_window() -> None:
    assert window("2027-01-01", None).is_empty is True


def test_end_before_the_start_is_refused() -> None:
    with pytest.raises(QueryError, match=r"end '2024-01-01' is before start '2024-01-02'"):
        window("2024-01-02", "2024-01-01")


def test_end_in_today_needs_intraday_entitlement() -> None:
    with pytest.raises(QueryError, match=r"later than 2026-11-20T00:00:00Z.*leave `end` out.*intraday=True"):
        window("2026-11-01", "2026-11-20T00:00:01")


def test_local_midnight_east_of_greenwich_is_before_today_in_utc() -> None:
    assert "2026-11-19T23:00:00Z" == iso(window("2026-11-01", "2026-11-20", tz="Europe/Amsterdam").end)


def test_end_may_be_in_the_future_with_intraday_entitlement() -> None:
    assert "2026-11-21T00:00:00Z" == iso(window("2026-11-01", "2026-11-21", intraday=True).end)


def test_only_an_end_that_is_not_given_is_rounded() -> None:
    def hours(end: str | None) -> Window:
        context = QueryContext("UTC", NOW, intraday=True)
        return context.window("2026-11-01", end, round_end=lambda _, latest: latest.floor("h"))

    assert "2026-11-20T10:00:00Z" == iso(hours(None).end)
    assert "2026-11-19T10:30:00Z" == iso(hours("2026-11-19T10:30").end)


def test_dates_may_be_in_another_zone_than_times() -> None:
    context = QueryContext("Europe/Amsterdam", NOW, intraday=False)
    read = context.window("2024-06-01", "2024-06-02T00:00", days_in="UTC")

    assert ("2024-06-01T00:00:00Z", "2024-06-01T22:00:00Z") == (iso(read.start), iso(read.end))


def test_window_cannot_end_before_its_start() -> None:
    with pytest.raises(QueryError, match="before it starts"):
        Window(NOW, NOW - pd.Timedelta(seconds=1))


def test_midnight_is_printed_as_a_date() -> None:
    assert "2024-01-31 to 2024-02-01 09:30:00" == str(window("2024-01-31", "2024-02-01T09:30"))
    assert "2024-01-31" == short(pd.Timestamp("2024-01-31", tz="UTC"))


def test_present_is_in_utc_and_nanoseconds() -> None:
    assert ("UTC", "ns") == (str(utc_now().tz), utc_now().unit)
