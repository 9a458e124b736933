"""Delivery periods: their spellings, their dates, and their order."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport import ContractError, Period

AT = datetime.date(2023, 6, 15)


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


SPELLINGS = {
    "Apr-23": ["Apr-23", "Apr 2023", "2023-04", "April 23", "APR23", "apr 23", "April-2023", "  Apr   2023 ", "Apr'23"],
    "Q4-24": ["Q4-24", "Q424", "Q4 2024", "2024-Q4", "q4 24", "2024 Q4", "Q4'24"],
    "Win-25": ["Win-25", "Winter 25", "Win 25", "win25", "WINTER 2025", "Winter 25/26", "Win-2025/26"],
    "Sum-26": ["Sum-26", "Summer 26", "Sum 2026", "summer26"],
    "Cal-26": ["Cal-26", "2026", "Y-26", "Cal 26", "CAL26", "cal-2026", "Y26"],
    "GY25": ["GY25", "GY-25", "GY 2025", "Gas Year 25"],
    "DA": ["DA", "da", "Day Ahead", "day-ahead"],
    "WD": ["WD", "Within Day", "within-day"],
    "W/END": ["W/END", "WE", "Weekend", "wkend", "WEND"],
    "BOW": ["BOW", "Balance of Week"],
    "BOM": ["BOM", "BalMo", "balance of month", "bal-month"],
    "Week 12-24": ["Week 12-24", "wk 12-24", "Week 12 2024", "Wk12-24"],
    "2024-01-15": ["2024-01-15", "Mon 15-Jan-24", "15-Jan-24", "15 Jan 2024", "Monday 2024-01-15", "Mon 15/01/24"],
    "W/END 2024-01-20": ["W/END 2024-01-20", "Weekend 20-Jan-24", "WE 20-Jan-24"],
    "Dec-26": ["Dec-26"],
}


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in SPELLINGS.items() for text in texts])
def test_every_usual_spelling_means_the_same_period(name: str, text: str) -> None:
    assert name == Period.parse(text).name


@pytest.mark.parametrize(
    "text, start, end",
    [
        ("Apr-23", "2023-04-01", "2023-05-01"),
        ("Dec-23", "2023-12-01", "2024-01-01"),
        ("Q4-24", "2024-10-01", "2025-01-01"),
        ("Win-25", "2025-10-01", "2026-04-01"),
        ("Sum-26", "2026-04-01", "2026-10-01"),
        ("Cal-26", "2026-01-01", "2027-01-01"),
        ("GY25", "2025-10-01", "2026-10-01"),
        ("Week 1-25", "2024-12-30", "2025-01-06"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("W/END 2024-01-20", "2024-01-20", "2024-01-22"),
    ],
)
def test_period_has_its_first_day_and_the_day_after_its_last(text: str, start: str, end: str) -> None:
    period = Period.parse(text)

    assert (day(start), day(end)) == (period.start, period.end)


@pytest.mark.parametrize(
    "text, name",
    [
        ("M+1", "Jul-23"),
        ("m+0", "Jun-23"),
        ("M+7", "Jan-24"),
        ("Q+2", "Q4-23"),
        ("S+1", "Win-23"),
        ("Y+1", "Cal-24"),
        ("D+1", "2023-06-16"),
        ("W+1", "Week 25-23"),
        ("Cal+1", "Cal-24"),
    ],
)
def test_relative_periods_count_from_a_date(text: str, name: str) -> None:
    assert name == Period.parse(text, at=AT).name


def test_relative_period_without_a_date_is_refused() -> None:
    with pytest.raises(ContractError, match=r"'M\+1' counts from a date"):
        Period.parse("M+1")


@pytest.mark.parametrize(
    "text",
    ["", "foo", "Q5-24", "Apr", "1999", "Apr-1", "12-24", "0-6", "51.6", "2024-02-31", "2024-13", "Week 54-24",
     "Tue 15-Jan-24", "18/03/21", "21-Aug", "W/END 2024-01-19", "M+1x",
     "Winter 24/26", "Summer 24/25"],
)  # fmt: skip
def test_unknown_spelling_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ContractError, match="write it like 'Apr-23'"):
        Period.parse(text)


@pytest.mark.parametrize(
    "text", ["Apr 1924", "Apr 2124", "Cal 9999", "Win 1999", "9999-12-31", "Week 52-9999", "GY 2100"]
)
def test_year_of_another_century_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="is not a delivery period"):
        Period.parse(text)


def test_relative_period_after_2099_is_refused() -> None:
    with pytest.raises(ContractError, match="is after 2099"):
        Period.parse("Y+999", at=AT)


@pytest.mark.parametrize("value", [2024, None, ["Apr-24"], datetime.date(2024, 4, 1)])
def test_value_that_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(ContractError, match="is not a delivery period"):
        Period.parse(value)  # type: ignore[arg-type]


def test_rolling_period_has_a_label_and_no_dates() -> None:
    period = Period.parse("DA")

    assert ("DA", None, None) == (period.label, period.start, period.end)
    with pytest.raises(ContractError, match="is a rolling period"):
        period.next()


@pytest.mark.parametrize(
    "text, following",
    [
        ("Dec-25", "Jan-26"),
        ("Q4-24", "Q1-25"),
        ("Win-25", "Sum-26"),
        ("Cal-26", "Cal-27"),
        ("GY25", "GY26"),
        ("Week 52-24", "Week 1-25"),
        ("W/END 2024-01-20", "W/END 2024-01-27"),
        ("2024-02-28", "2024-02-29"),
    ],
)
def test_next_is_the_following_period_of_the_same_tenor(text: str, following: str) -> None:
    assert following == Period.parse(text).next().name


def test_periods_sort_by_delivery_with_rolling_ones_first() -> None:
    texts = ["Cal-24", "Jan-24", "Feb-24", "DA", "Q4-23", "2024-01-01"]

    assert ["DA", "Q4-23", "2024-01-01", "Jan-24", "Cal-24", "Feb-24"] == [
        period.name for period in sorted(map(Period.parse, texts))
    ]


def test_period_is_compared_with_periods_only() -> None:
    with pytest.raises(TypeError):
        _ = Period.parse("DA") < "DA"  # type: ignore[operator]


def test_period_prints_as_its_name() -> None:
    assert ("Apr-23", "Period('Apr-23')") == (str(Period.parse("2023-04")), repr(Period.parse("2023-04")))


TENORS = ["month", "quarter", "season", "year", "gas_year", "week", "day", "weekend"]


@given(st.dates(day("2002-01-08"), day("2090-01-01")), st.sampled_from(TENORS))
def test_name_reads_back_as_its_period_and_periods_are_adjacent(date: datetime.date, tenor: str) -> None:
    from trayport.contracts.periods import _CONTAINING

    period = _CONTAINING[tenor](date)

    assert period == Period.parse(period.name)
    assert period.end is not None
    assert tenor == "weekend" or period.end == period.next().start
    assert period < period.next()
    assert tenor == "weekend" or (period.start is not None and period.start <= date < period.end)
