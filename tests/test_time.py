"""Reading times: whole seconds of UTC, or a refusal that says what to write."""

from __future__ import annotations

import datetime
import zoneinfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport._time import Window, instant, iso, short, utc_now, window
from trayport.errors import QueryError

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
        (datetime.datetime(2024, 1, 31, 9, 30), "2024-01-31T08:30:00Z"),  # noqa: DTZ001  a naive one is the point
        (datetime.datetime(2024, 1, 31, 9, 30, tzinfo=datetime.UTC), "2024-01-31T09:30:00Z"),
        (pd.Timestamp("2024-01-31 09:30", tz="US/Eastern"), "2024-01-31T14:30:00Z"),
        (pd.Timestamp("2024-01-31 09:30"), "2024-01-31T08:30:00Z"),
    ],
)
def test_a_time_is_read_in_the_given_zone_unless_it_has_one(when: object, expected: str) -> None:
    assert expected == iso(instant(when, "Europe/Amsterdam"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "when",
    ["01/02/2024", "now", "today", "20240131", "2024", "31 Jan 2024", "2024-1-31", "2024-01-31T9:30", "", "2024W05"],
)
def test_text_that_is_not_iso_8601_is_refused_with_an_example(when: str) -> None:
    with pytest.raises(QueryError, match=r"write ISO 8601, such as '2024-01-31'"):
        instant(when, "UTC")


@pytest.mark.parametrize("when", [20240131, 1.7e9, None, True, pd.NaT, ["2024-01-31"]])
def test_anything_else_is_refused_by_its_name(when: object) -> None:
    with pytest.raises(QueryError, match="start .* is not a time"):
        instant(when, "UTC", "start")  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["2024-01-31T09:30:00.5", pd.Timestamp("2024-01-31 09:30:00.000000001")])
def test_fractions_of_a_second_are_refused_not_rounded(when: object) -> None:
    with pytest.raises(QueryError, match="not a whole second.*floor"):
        instant(when, "UTC")  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["20240131", 20240131])
def test_a_date_without_dashes_is_refused_with_them(when: object) -> None:
    with pytest.raises(QueryError, match="such as '2024-01-31', "):
        instant(when, "UTC")  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["2024-02-31", "2024-13-01", "2024-01-31T24:00", "9999-01-01", "1000-01-01"])
def test_a_moment_that_does_not_exist_is_refused(when: str) -> None:
    with pytest.raises(QueryError, match="is no moment that exists"):
        instant(when, "UTC")


@pytest.mark.parametrize("when", ["2024-03-31T02:30", "2024-10-27T02:30"], ids=["skipped", "twice"])
def test_a_local_time_that_the_clocks_skip_or_repeat_is_refused(when: str) -> None:
    with pytest.raises(QueryError, match="with its offset"):
        instant(when, "Europe/Amsterdam")


@pytest.mark.parametrize(
    "when, tz, expected",
    [
        ("2023-04-28", "Africa/Cairo", "2023-04-27T22:00:00Z"),  # midnight was skipped
        (datetime.date(2023, 4, 28), "Africa/Cairo", "2023-04-27T22:00:00Z"),
        ("2023-11-05", "America/Havana", "2023-11-05T04:00:00Z"),  # midnight came twice
    ],
)
def test_a_date_alone_is_its_first_instant_whatever_the_clocks_do_at_midnight(
    when: object, tz: str, expected: str
) -> None:
    assert expected == iso(instant(when, tz))  # type: ignore[arg-type]


def test_a_datetime_that_its_own_zone_skips_is_refused() -> None:
    skipped = datetime.datetime(2024, 3, 31, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Amsterdam"))
    with pytest.raises(QueryError, match="does not exist or exists twice in Europe/Amsterdam"):
        instant(skipped, "UTC")

    assert "2024-03-31T01:30:00Z" == iso(instant(skipped.replace(hour=3), "UTC"))


@pytest.mark.parametrize(
    "when, tz", [("1677-09-21T00:12:44", "Asia/Tokyo"), ("2262-04-11T23:47:16", "America/New_York")]
)
def test_a_time_at_the_very_edge_of_what_can_be_counted_is_refused(when: str, tz: str) -> None:
    with pytest.raises(QueryError, match="between the years 1678 and 2261"):
        instant(when, tz)


@given(st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2100, 1, 1)))  # noqa: DTZ001
def test_what_goes_on_the_wire_reads_back_as_the_same_moment(moment: datetime.datetime) -> None:
    read = instant(moment.replace(microsecond=0), "UTC")

    assert read == instant(iso(read), "Europe/London")


def ask(start: str, end: str | None, *, tz: str = "UTC", intraday: bool = False) -> Window:
    known = NOW.floor("s") if intraday else NOW.floor("D")
    return window(start, end, tz=tz, known=known, beyond=intraday)


@pytest.mark.parametrize(
    "intraday, end", [(False, "2026-11-20T00:00:00Z"), (True, "2026-11-20T10:11:12Z")], ids=["midnight", "now"]
)
def test_no_end_is_the_last_moment_that_there_are_data_for(intraday: bool, end: str) -> None:
    assert end == iso(ask("2026-11-01", None, intraday=intraday).end)


def test_a_start_beyond_all_data_makes_an_empty_window() -> None:
    assert ask("2027-01-01", None).empty is True


def test_an_end_before_the_start_is_refused_with_both() -> None:
    with pytest.raises(QueryError, match=r"end '2024-01-01' lies before start '2024-01-02'"):
        ask("2024-01-02", "2024-01-01")


def test_an_end_in_today_needs_intraday_rights() -> None:
    with pytest.raises(QueryError, match=r"later than 2026-11-20T00:00:00Z.*leave `end` out.*intraday=True"):
        ask("2026-11-01", "2026-11-20T00:00:01")


def test_todays_local_midnight_is_no_end_in_today_east_of_greenwich() -> None:
    assert "2026-11-19T23:00:00Z" == iso(ask("2026-11-01", "2026-11-20", tz="Europe/Amsterdam").end)


def test_with_intraday_rights_an_end_may_lie_ahead() -> None:
    assert "2026-11-21T00:00:00Z" == iso(ask("2026-11-01", "2026-11-21", intraday=True).end)


def test_no_end_is_made_whole_and_an_end_that_is_given_is_not() -> None:
    def hours(end: str | None) -> Window:
        return window("2026-11-01", end, tz="UTC", known=NOW, cut=lambda first, known: known.floor("h"))

    assert "2026-11-20T10:00:00Z" == iso(hours(None).end)
    assert "2026-11-19T10:30:00Z" == iso(hours("2026-11-19T10:30").end)


def test_dates_may_be_days_of_another_zone_than_times() -> None:
    read = window("2024-06-01", "2024-06-02T00:00", tz="Europe/Amsterdam", known=NOW, days_in="UTC")

    assert ("2024-06-01T00:00:00Z", "2024-06-01T22:00:00Z") == (iso(read.start), iso(read.end))


def test_a_window_cannot_run_backwards() -> None:
    with pytest.raises(QueryError, match="before it starts"):
        Window(NOW, NOW - pd.Timedelta(seconds=1))


def test_people_read_dates_where_it_is_midnight() -> None:
    assert "2024-01-31 to 2024-02-01 09:30:00" == str(ask("2024-01-31", "2024-02-01T09:30"))
    assert "2024-01-31" == short(pd.Timestamp("2024-01-31", tz="UTC"))


def test_the_present_is_in_utc_and_nanoseconds() -> None:
    assert ("UTC", "ns") == (str(utc_now().tz), utc_now().unit)
