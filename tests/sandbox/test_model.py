"""The simulated market: reproducible, and with the properties of a market.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import TTF, send
from support.profiles import examples

from trayport.sandbox import Sandbox, calendar, hashing, lifecycle, universe, venue_books
from trayport.sandbox.deliveries import Delivery
from trayport.sandbox.model import VERSION, SimulatedContract, SimulatedMarket, Trades
from trayport.sandbox.universe import SEQUENCES, Item, Product

PINNED = Path(__file__).parents[1] / "data" / "model_checksums.json"
DAY_NS = 86_400 * 10**9
END = 2**62


def instrument(number: int) -> Product:
    return universe.products()["instrument", number]


def item(sequence: int, number: int) -> Item:
    found = universe.item(SEQUENCES[sequence], number)
    assert found is not None
    return found


def day(text: str) -> int:
    return calendar.day_number(datetime.date.fromisoformat(text))


GAS_MONTHS, APRIL = 10000305, 244
TTF_ICE, TTF_EEX, TTF_OTC, EUA = (instrument(number) for number in (10002228, 10002806, 10002096, 10003007))
# product, sequence, items, kind, first day, the day after the last
SAMPLES: dict[str, tuple[Product, int, tuple[int, ...], str, str, str]] = {
    "ttf-ice-month": (TTF_ICE, GAS_MONTHS, (APRIL,), "single", "2024-01-02", "2024-02-02"),
    "ttf-eex-month-over-the-move": (TTF_EEX, GAS_MONTHS, (222,), "single", "2022-03-28", "2022-04-11"),
    "ttf-brokers-spread": (TTF_OTC, GAS_MONTHS, (APRIL, 245), "spread", "2024-01-02", "2024-02-02"),
    "ttf-ice-range": (TTF_ICE, GAS_MONTHS, (APRIL, 246), "range", "2024-01-02", "2024-03-02"),
    "ttf-day-ahead": (TTF_ICE, 10000302, (2,), "single", "2024-03-25", "2024-04-05"),
    "eua": (EUA, 10000400, (710,), "single", "2022-08-01", "2022-08-20"),
    "german-year": (instrument(10641710), 10000106, (22,), "single", "2024-06-01", "2024-07-01"),
    "nbp-season": (instrument(10002071), 10000307, (42,), "single", "2024-06-01", "2024-07-01"),
    "peg-quarter": (instrument(10642951), 10000306, (84,), "single", "2024-06-01", "2024-07-01"),
    "german-day": (instrument(10001126), 10000100, (7800,), "single", "2024-02-20", "2024-03-10"),
}


def months(
    product: Product, numbers: tuple[int, ...], start: str, end: str, *, kind: str = "single", seed: int = 1
) -> Trades:
    """Return the trades of gas months."""
    return traded(product, GAS_MONTHS, numbers, kind, day(start), day(end), seed)


def traded(
    product: Product, sequence: int, numbers: tuple[int, ...], kind: str, first: int, last: int, seed: int = 1
) -> Trades:
    """Return the trades in their final state."""
    items = tuple(item(sequence, number) for number in numbers)
    delivery = Delivery(SEQUENCES[sequence], items, kind)  # type: ignore[arg-type]
    return SimulatedMarket(seed).trades([SimulatedContract(product, delivery)], first, last).known(END)


def trades(name: str, seed: int = 1) -> Trades:
    product, sequence, numbers, kind, start, end = SAMPLES[name]
    return traded(product, sequence, numbers, kind, day(start), day(end), seed)


def checksum(made: Trades) -> str:
    text = repr(
        (made.time.tolist(), made.price.tolist(), made.quantity.tolist(), made.venue, made.id, made.chance.tolist())
    )
    return hashlib.sha256(text.encode()).hexdigest()


HOUR = {**TTF, "from": "2024-02-05T15", "until": "2024-02-05T16", "interval": 5, "intervalUnit": "minute"}
DAY = {"from": "2024-02-05", "until": "2024-02-06"}
ANSWERS: dict[str, dict[str, Any]] = {
    "/trades": {**TTF, **DAY, "routes": "all", "optionalFields": "contract", "includePrivate": "true"},
    "/trades/private": {**DAY, "routes": "all"},
    "/trades/ohlcv": {**HOUR, "optionalFields": "vwap,openTimestamp,closeTimestamp", "includeEmptyBuckets": "true"},
    "/trades/last": {**TTF, "at": "2024-02-05T12:00", "optionalFields": "contract"},
    "/trades/activity": {**DAY, "routes": "all", "optionalFields": "marketId,updateCount,deleteCount"},
    "/orders/book/top": {**HOUR, "optionalFields": "venueCode,route"},
    "/orders/book": {**HOUR, "depth": 50, "optionalFields": "venueCode,route", "includePrivate": "true"},
    "/snapshots": {**TTF, "sequenceItemId": "244,250,300", "at": "2024-02-05T12:00"},
}


def expected_checksums(sandbox: Sandbox) -> dict[str, Any]:
    """Return the stored checksums; a change of the model needs a new VERSION and new checksums."""
    answers = {path: send(sandbox, f"/api{path}", asked).content for path, asked in ANSWERS.items()}
    return {
        "version": VERSION,
        **{name: checksum(trades(name)) for name in SAMPLES},
        **{path: hashlib.sha256(body).hexdigest() for path, body in answers.items()},
    }


def test_trades_of_a_version_never_change(sandbox: Sandbox) -> None:
    assert json.loads(PINNED.read_text(encoding="utf-8")) == expected_checksums(sandbox)


def test_another_process_makes_the_same_trades() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import sandbox.test_model as t; "
        "print(t.checksum(t.trades('ttf-brokers-spread')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parents[1])], capture_output=True, text=True
    )

    assert checksum(trades("ttf-brokers-spread")) == done.stdout.strip(), done.stderr


def test_another_seed_makes_other_trades() -> None:
    assert checksum(trades("eua", 1)) != checksum(trades("eua", 2))


@examples(30)
@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from(["ttf-ice-month", "ttf-brokers-spread", "eua"]))
def test_trades_of_a_window_are_part_of_a_wider_one(one: int, other: int, name: str) -> None:
    product, sequence, numbers, kind, start, _ = SAMPLES[name]
    first, last = sorted([day(start) + one, day(start) + other])
    wide = traded(product, sequence, numbers, kind, day(start), day(start) + 31)
    narrow = traded(product, sequence, numbers, kind, first, last)

    assert checksum(wide.between(first * DAY_NS, last * DAY_NS)) == checksum(narrow)


def test_day_of_all_contracts_is_that_day_of_each_contract() -> None:
    number = day("2024-02-05")
    everything = SimulatedMarket(1).day(number)
    among = SimulatedMarket(1).priced(everything.contracts, everything.inserted)
    broken = {place for place, leg in zip(among.place.tolist(), among.leg.tolist(), strict=True) if leg}
    for place in {*range(0, len(among.contracts), 25), *broken}:
        alone = SimulatedMarket(1).trades([among.contracts[place]], number, number + 1)

        assert checksum(alone) == checksum(among.take(among.place == place))
    assert len(among.known(END)) < len(among) < 1.02 * len(among.known(END))
    assert broken


def test_there_are_no_trades_before_2010() -> None:
    assert (
        0
        == len(SimulatedMarket(1).day(day("2009-12-31")).contracts)
        < len(SimulatedMarket(1).day(day("2010-01-04")).contracts)
    )


def test_about_one_trade_in_two_hundred_is_deleted() -> None:
    inserted = SimulatedMarket(1).day(day("2024-02-05")).inserted

    assert 0.002 < lifecycle.is_deleted(inserted.chance).mean() < 0.01


@pytest.mark.parametrize("name", SAMPLES)
def test_trades_are_sorted_on_ticks_and_lots_within_trading_hours(name: str) -> None:
    made = trades(name)
    terms = venue_books.terms(SAMPLES[name][0].family)

    assert len(made) > 10
    assert (np.diff(made.time) >= 0).all()
    assert (made.price % terms.ticks[made.venue_number] == 0).all()
    assert (made.quantity % terms.lots[made.venue_number] == 0).all()
    assert (made.quantity > 0).all()
    days = made.time // DAY_NS
    assert (calendar.is_open(days) == 1).all()
    hours = (made.time % DAY_NS) / 3.6e12
    assert 6 <= hours.min() <= hours.max() < 17.5
    assert len(set(zip(made.venue, made.id, strict=True))) == len(made)


def test_there_are_no_trades_before_listing_or_after_expiry() -> None:
    made = months(TTF_ICE, (APRIL,), "2020-01-01", "2025-01-01")
    dates = [calendar.date_of(int(number)) for number in (made.time // DAY_NS)[[0, -1]]]

    april = item(GAS_MONTHS, APRIL)
    assert april.first is not None
    assert april.first <= dates[0]
    assert dates[1] <= april.last == datetime.date(2024, 3, 28)


def test_nearest_contracts_have_most_trades() -> None:
    counts = [len(months(TTF_ICE, (APRIL + ahead,), "2024-03-01", "2024-03-28")) for ahead in (0, 1, 3, 12, 30)]

    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 50 * max(1, counts[-1])


@pytest.mark.parametrize(
    "date, low, high", [("2020-05-26", 2, 9), ("2021-12-21", 80, 200), ("2022-08-26", 180, 400), ("2024-02-22", 15, 35)]
)
def test_prices_show_the_crisis(date: str, low: float, high: float) -> None:
    front = 232 + 12 * (int(date[:4]) - 2023) + int(date[5:7]) - 4 + 1
    made = traded(TTF_ICE, GAS_MONTHS, (front,), "single", day(date), day(date) + 1)

    assert low * 1000 < made.price.mean() < high * 1000


def test_value_of_a_spread_is_the_difference_of_its_legs() -> None:
    days = "2024-01-02", "2024-02-02"
    prices = [months(TTF_ICE, (leg,), *days).price.mean() for leg in (APRIL, 247)]
    spread = months(TTF_ICE, (APRIL, 247), *days, kind="spread").price.mean()

    assert abs(spread - (prices[0] - prices[1])) < 400


@pytest.mark.parametrize(
    "product, grain, code", [(TTF_ICE, 10**6, "ICE"), (TTF_EEX, 1, "EEX7"), (instrument(10009113), 10**3, "NDAQ")]
)
def test_each_venue_has_its_own_clock_resolution(product: Product, grain: int, code: str) -> None:
    made = months(product, (APRIL,), "2024-01-02", "2024-03-20")

    assert {code} == set(made.venue)
    assert (made.time % grain == 0).all()
    assert not (made.time % (grain * 1000) == 0).all()


def test_brokers_report_some_trades_in_whole_seconds() -> None:
    made = months(TTF_OTC, (APRIL,), "2024-01-02", "2024-03-20")
    whole = (made.time % 10**9 == 0).mean()

    assert 0.05 < whole < 0.2
    assert len(set(made.venue)) > 4


def test_several_trades_may_have_the_same_time() -> None:
    assert 10 < (np.diff(trades("ttf-ice-month").time) == 0).sum()


def test_exchange_has_a_new_code_from_spring_2022() -> None:
    made = trades("ttf-eex-month-over-the-move")
    codes = dict.fromkeys(zip((made.time // DAY_NS).tolist(), made.venue, strict=True))

    assert {"EEX"} == {code for date, code in codes if date < day("2022-04-04")}
    assert {"EEX7"} == {code for date, code in codes if date >= day("2022-04-04")}
    assert any(trade_id.startswith("Eurex T7/") and trade_id.endswith(" Public") for trade_id in made.id)


class TestHashing:
    """Hashes as pseudo-random numbers."""

    def test_bits_of_a_number_do_not_depend_on_other_numbers(self) -> None:
        alone, among = hashing.hash64(7, np.array([5])), hashing.hash64(7, np.arange(100))

        assert alone[0] == among[5]

    def test_bits_equal_the_published_ones(self) -> None:
        # The finaliser of SplitMix64 from state 0, as published with the generator.
        assert [16294208416658607535, 7960286522194355700] == hashing.hash64(0, np.arange(2)).tolist()

    def test_numbers_are_uniform(self) -> None:
        counts = np.bincount(hashing.uniform_below(hashing.hash64(3, np.arange(100_000)), 10))

        assert (abs(counts - 10_000) < 500).all()

    def test_noise_has_no_jumps_and_stays_in_bounds(self) -> None:
        line = hashing.noise(9, np.arange(0, 10**8, 1000), ((10**7, 1000), (10**6, 300)))

        assert abs(line).max() <= 1300
        assert abs(np.diff(line)).max() < 5

    def test_keys_of_different_parts_differ(self) -> None:
        assert hashing.key("ab", "c") != hashing.key("a", "bc")


class TestCalendar:
    """Weekdays, holidays and the change of clocks."""

    @pytest.mark.parametrize(
        "date", ["2024-02-10", "2024-02-11", "2024-03-29", "2024-04-01", "2024-12-25", "2025-01-01"]
    )
    def test_weekends_and_holidays_are_closed(self, date: str) -> None:
        assert [False] == calendar.is_open(np.array([day(date)])).tolist()

    @pytest.mark.parametrize("date", ["2024-02-09", "2024-03-28", "2024-04-02", "2024-12-24"])
    def test_working_days_are_open(self, date: str) -> None:
        assert [True] == calendar.is_open(np.array([day(date)])).tolist()

    @pytest.mark.parametrize(
        "date, hour", [("2024-03-28", 7), ("2024-04-02", 6), ("2024-10-25", 6), ("2024-10-28", 7), ("2031-03-31", 6)]
    )
    def test_trading_begins_at_eight_in_amsterdam(self, date: str, hour: int) -> None:
        start = calendar.session_start(np.array([day(date)]))[0]

        assert hour == start % calendar.DAY_MS // calendar.HOUR_MS

    def test_no_days(self) -> None:
        nothing = np.zeros(0, dtype=np.int64)

        assert (0, 0) == (len(calendar.is_open(nothing)), len(calendar.session_start(nothing)))


class TestNumbering:
    """Items against the publicly known ids."""

    @pytest.mark.parametrize(
        "sequence, number, name",
        [
            (10000305, 202, "Oct-20"), (10000305, 217, "Jan-22"), (10000305, 232, "Apr-23"), (10000305, 237, "Sep-23"),
            (10000305, 276, "Dec-26"), (10000104, 211, "Jul-21"), (10000104, 217, "Jan-22"), (10000105, 73, "Q122"),
            (10000106, 10, "Cal-13"), (10000106, 19, "Cal-22"), (10000400, 670, "Dec-22"), (10000400, 710, "Dec-23"),
            (10000400, 830, "Dec-26"), (10000302, 1, "WD"), (10000302, 2, "DA"), (10000302, 35, "BOM"),
            (10000100, 7010, "Sat 01/01/22"), (10000102, 1045, "Week 01-22"), (10000305, 73, "Jan-10"),
        ],
    )  # fmt: skip
    def test_id_is_the_published_period(self, sequence: int, number: int, name: str) -> None:
        assert name == item(sequence, number).name

    @pytest.mark.parametrize("sequence, number", [(10000400, 711), (10000302, 40), (10000305, 0)])
    def test_unused_ids_have_no_item(self, sequence: int, number: int) -> None:
        assert universe.item(SEQUENCES[sequence], number) is None

    @pytest.mark.parametrize("sequence", [10000305, 10000306, 10000307, 10000309])
    def test_ids_after_the_last_year_have_no_item(self, sequence: int) -> None:
        assert universe.item(SEQUENCES[sequence], 99_999) is None

    def test_first_tradable_month_is_that_of_the_guide(self) -> None:
        # guide p. 25: on 15 August it is September.
        today = datetime.date(2023, 8, 15)
        months = [each for each in universe.items(10000305, today) if each.last and each.last >= today]

        assert "Sep-23" == months[0].name

    def test_periods_are_those_that_the_client_parses_from_the_names(self) -> None:
        from trayport import Period

        for sequence in SEQUENCES.values():
            for each in universe.items(sequence.id, datetime.date(2024, 2, 5))[-40:]:
                period = Period.parse(each.name)
                rolling = sequence.tenor == "prompt"
                assert rolling == (period.start is None)
                assert rolling or (each.start, each.end) == (period.start, period.end)

    @pytest.mark.parametrize(
        "date", ["2024-02-05", "2024-02-09", "2024-02-10", "2024-02-28", "2024-02-29", "2024-12-31"]
    )
    @pytest.mark.parametrize("name", universe.PROMPT.values())
    def test_rolling_item_delivers_soon_for_at_least_a_day(self, date: str, name: str) -> None:
        today = datetime.date.fromisoformat(date)
        start, end = universe.delivery(name, today)

        assert today <= start < end <= today + datetime.timedelta(days=40) or name in ("BOM", "BOW")
        assert start < end

    def test_there_are_14_000_invented_instruments(self) -> None:
        names = [product.name for product in universe.products().values() if product.kind == "instrument"]

        assert 14_000 + 65 == len(names) == len(set(names))
