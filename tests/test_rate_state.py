"""Whose turn it is, and when: many holders of one key on a clock that takes no time."""

from __future__ import annotations

import heapq
import json
import random

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from support.profiles import examples

from trayport import Config
from trayport.config import Rate
from trayport.limits.state import MAX_SINGLES_IN_A_ROW, RateState
from trayport.limits.windows import next_moment

RATES = Config().rates


@define
class Crowd:
    """Holders who ask again and again: each comes back when it was told to, a little late, and uses what it gets."""

    late: int = 1
    seed: int = 0
    state: RateState = field(factory=RateState)
    got: list[tuple[int, str, int]] = field(factory=list)
    """Every permit: its moment, whose it is, and how long it was waited for."""
    _dice: random.Random = field(init=False)
    _turns: list[tuple[int, int, str]] = field(factory=list)
    _since: dict[str, int] = field(factory=dict)
    _count: int = 0

    def __attrs_post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def comes(self, who: str, at: int) -> None:
        self._count += 1
        heapq.heappush(self._turns, (at, self._count, who))

    def run(self, until: int, *, once: tuple[str, ...] = (), dead: dict[str, int] | None = None) -> None:
        """Up to a moment; names that begin with b are bulk loads, and who is ``dead`` never comes back."""
        while self._turns and self._turns[0][0] < until:
            now, _, who = heapq.heappop(self._turns)
            if dead and now >= dead.get(who, until):
                continue
            since = self._since.setdefault(who, now)
            delay = self.state.take(who, who.startswith("b"), RATES, now)
            if delay == 0:
                self.got.append((now, who, now - since))
                del self._since[who]
                if who in once:
                    continue
            self.comes(who, now + delay + self._dice.randint(0, self.late))

    @property
    def moments(self) -> list[int]:
        return [moment for moment, _, _ in self.got]

    def count(self, who: str) -> int:
        return sum(name == who for _, name, _ in self.got)


def stays_within(moments: list[int], rates: tuple[Rate, ...] = RATES) -> bool:
    return all(
        later - earlier > rate.seconds * 1000
        for rate in rates
        for earlier, later in zip(moments, moments[rate.count :], strict=False)
    )


@examples(25)
@given(
    st.integers(1, 8),
    st.sampled_from([0, 1, 5, 30, 120]),
    st.integers(0, 9999),
    st.lists(st.integers(0, 20_000), max_size=3),
)
def test_whoever_comes_however_late_and_whoever_dies_no_window_is_ever_overrun(
    holders: int, late: int, seed: int, deaths: list[int]
) -> None:
    crowd = Crowd(late, seed)
    names = [f"{'bq'[number % 2]}{number}" for number in range(holders)]
    for number, name in enumerate(names):
        crowd.comes(name, number * 7)
    crowd.run(20_000, dead=dict(zip(names, deaths, strict=False)))

    assert stays_within(crowd.moments)


@pytest.mark.parametrize("holders", [1, 2, 3, 8, 32])
def test_nearly_all_of_the_limit_is_used_and_shared_fairly(holders: int) -> None:
    crowd = Crowd()
    for number in range(holders):
        crowd.comes(f"b{number}", number)
    crowd.run(61_000)

    counts = [crowd.count(f"b{number}") for number in range(holders)]
    assert len(crowd.got) >= 0.97 * 366
    assert max(counts) - min(counts) <= 3
    assert max(waited for _, _, waited in crowd.got) <= (holders + 2) * 1000 / 6 + 520


def test_three_come_at_once_and_a_load_is_spread_afterwards() -> None:
    crowd = Crowd(late=0)
    crowd.comes("b", 0)
    crowd.run(20_000)

    assert [0, 0, 0] == crowd.moments[:3]
    later = [two - one for one, two in zip(crowd.moments[20:], crowd.moments[21:], strict=False)]
    assert min(later) >= 80


@pytest.mark.parametrize("seed", range(20))
def test_a_question_waits_at_most_a_second_behind_bulk_loads(seed: int) -> None:
    crowd = Crowd(seed=seed)
    for number in range(8):
        crowd.comes(f"b{number}", 0)
    crowd.comes("question", 5000 + seed * 37)
    crowd.run(10_000, once=("question",))

    assert [True] == [waited <= 1000 for _, who, waited in crowd.got if who == "question"]


def test_a_bulk_load_goes_on_slowly_behind_questions_without_end() -> None:
    crowd = Crowd()
    for who in ("q1", "q2", "b"):
        crowd.comes(who, 0)
    crowd.run(60_000)

    share = crowd.count("b") / len(crowd.got)
    assert 0.9 / (MAX_SINGLES_IN_A_ROW + 1) < share <= 1.1 / (MAX_SINGLES_IN_A_ROW + 1)


def test_a_question_takes_over_the_ticket_of_its_process() -> None:
    state = RateState()
    for _ in range(3):
        state.take("other", True, RATES, 0)
    for who in ("other", "mine"):
        state.take(who, True, RATES, 0)
    state.take("mine", False, RATES, 100)

    assert (1, 0) == (state.take("other", True, RATES, 509) and 1, state.take("mine", False, RATES, 509))


def test_who_is_late_is_passed_over_and_keeps_its_place() -> None:
    state, rates = RateState(), (Rate(1, 0.5),)
    state.take("x", True, rates, 0)
    for who in ("late", "next", "last"):
        state.take(who, True, rates, 1)

    assert 0 == state.take("next", True, rates, 1100)
    assert 0 < state.take("late", True, rates, 1101) < 510 < state.take("last", True, rates, 1102)


def test_the_second_stands_in_for_a_first_that_is_late() -> None:
    state, rates = RateState(), (Rate(1, 0.5),)
    state.take("x", True, rates, 0)
    first, second, third = (state.take(who, True, rates, 1) for who in ("first", "second", "third"))

    assert first < second < first + 20 < third
    assert 0 == state.take("second", True, rates, 1 + second)
    assert 0 < state.take("first", True, rates, 2 + second) < 510


def test_a_ticket_that_nobody_comes_back_for_is_forgotten() -> None:
    state = RateState()
    for who in "aaab":
        state.take(who, True, RATES, 0)
    state.take("c", True, RATES, 11_000)

    assert {} == state.tickets


class TestRefusals:
    """A refusal slows everybody, and is forgotten step by step."""

    def test_one_halves_the_rate_and_it_recovers_in_four_steps(self) -> None:
        state = RateState()
        state.slow_down(1000)

        assert [0.5, 0.5, 0.625, 0.75, 0.875, 1.0] == [
            state.share(1000 + seconds * 1000) for seconds in (0, 19, 20, 40, 60, 80)
        ]
        assert 81_000 == state.slowed_until

    def test_several_at_once_count_as_one_and_another_one_halves_again(self) -> None:
        state = RateState()
        for moment in (0, 100, 4000, 30_000):
            state.slow_down(moment)

        assert 0.625 / 2 == state.share(30_000)

    def test_it_never_comes_to_a_halt(self) -> None:
        state = RateState()
        for number in range(20):
            state.slow_down(number * 6000)

        assert 1 / 8 == state.share(19 * 6000)

    @pytest.mark.parametrize("pause_first", [True, False])
    def test_the_recovery_begins_after_the_pause(self, pause_first: bool) -> None:
        state = RateState()
        for pause in (pause_first, not pause_first):
            state.pause(60_000, 0) if pause else state.slow_down(0)

        assert (0.5, 0.625) == (state.share(60_000), state.share(80_000))

    def test_a_load_goes_on_at_half_the_rate(self) -> None:
        crowd = Crowd()
        crowd.comes("b", 0)
        crowd.run(10_000)
        before = len(crowd.got)
        crowd.state.slow_down(10_000)
        crowd.run(30_000)

        assert 57 <= len(crowd.got) - before <= 61
        assert stays_within(crowd.moments)


def test_rates_of_a_narrow_window_are_kept_in_whole_milliseconds() -> None:
    rates, state = (Rate(3, 0.1), Rate(30, 1.0)), RateState()
    for _ in range(3):
        state.take("a", False, rates, 0)

    assert 102 < next_moment(rates, state.permits, 0) <= 104


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abc"), st.booleans()), max_size=30), st.booleans())
def test_it_is_the_same_after_it_was_written_and_read(turns: list[tuple[int, str, bool]], slow: bool) -> None:
    state, now = RateState(), 0
    for gap, who, bulk in turns:
        now += gap
        state.take(who, bulk, RATES, now)
    if slow:
        state.slow_down(now)
    again, more = RateState.from_json(state.to_json(now=now))

    assert ({"now": now}, state.to_json()) == (more, again.to_json())


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_what_is_no_rate_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no rate-limit state"):
        RateState.from_json(text)
