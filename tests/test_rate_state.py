"""The state of a rate limit: many processes share one key, on a clock that takes no real time."""

from __future__ import annotations

import heapq
import json
import random
from itertools import pairwise

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
    """Processes that ask again and again: each returns when it may, a little late, and uses its permit at once.

    Names that begin with b are bulk loads, all others send single requests.
    """

    late: int = 1
    seed: int = 0
    state: RateState = field(factory=RateState)
    permits: list[tuple[int, str, int]] = field(factory=list)
    """Each permit: its moment, its owner, and the milliseconds that the owner waited."""
    _random: random.Random = field(init=False)
    _turns: list[tuple[int, int, str]] = field(factory=list)
    _since: dict[str, int] = field(factory=dict)
    _count: int = 0

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def add(self, owner: str, at: int) -> None:
        self._count += 1
        heapq.heappush(self._turns, (at, self._count, owner))

    def run(self, until: int, *, once: tuple[str, ...] = (), dead: dict[str, int] | None = None) -> None:
        """Run until a moment.

        Owners in ``once`` leave after their first permit, and those in ``dead`` never return after their moment.
        """
        while self._turns and self._turns[0][0] < until:
            now, _, owner = heapq.heappop(self._turns)
            if dead and now >= dead.get(owner, until):
                continue
            since = self._since.setdefault(owner, now)
            delay = self.state.take(owner, owner.startswith("b"), RATES, now)
            if delay == 0:
                self.permits.append((now, owner, now - since))
                del self._since[owner]
                if owner in once:
                    continue
            self.add(owner, now + delay + self._random.randint(0, self.late))

    @property
    def moments(self) -> list[int]:
        return [moment for moment, _, _ in self.permits]

    def count(self, owner: str) -> int:
        return sum(each == owner for _, each, _ in self.permits)


def is_within(moments: list[int], rates: tuple[Rate, ...] = RATES) -> bool:
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
def test_no_window_overruns_when_processes_are_late_or_die(
    processes: int, late: int, seed: int, deaths: list[int]
) -> None:
    crowd = Crowd(late, seed)
    names = [f"{'bq'[number % 2]}{number}" for number in range(processes)]
    for number, name in enumerate(names):
        crowd.add(name, number * 7)
    crowd.run(20_000, dead=dict(zip(names, deaths, strict=False)))

    assert is_within(crowd.moments)


@given(
    st.integers(4, 8),
    st.sampled_from([0, 1, 5, 30]),
    st.integers(0, 9999),
    st.lists(st.integers(0, 20_000), max_size=3),
)
def test_dead_processes_do_not_block_the_others(processes: int, late: int, seed: int, deaths: list[int]) -> None:
    crowd = Crowd(late, seed)
    names = [f"b{number}" for number in range(processes)]
    for name in names:
        crowd.add(name, 0)
    crowd.run(20_000, dead=dict(zip(names, deaths, strict=False)))

    assert max(two - one for one, two in pairwise(crowd.moments)) < 2000


@pytest.mark.parametrize("processes", [1, 2, 3, 8, 32])
def test_nearly_all_of_the_limit_is_used_and_shared_fairly(processes: int) -> None:
    crowd = Crowd()
    for number in range(processes):
        crowd.add(f"b{number}", number)
    crowd.run(61_000)

    counts = [crowd.count(f"b{number}") for number in range(processes)]
    assert len(crowd.permits) >= 0.97 * 366
    assert max(counts) - min(counts) <= 3
    assert max(waited for _, _, waited in crowd.permits) <= (processes + 2) * 1000 / 6 + 520


def test_three_permits_come_at_once_and_later_ones_are_spread() -> None:
    crowd = Crowd(late=0)
    crowd.add("b", 0)
    crowd.run(20_000)

    assert [0, 0, 0] == crowd.moments[:3]
    later = [two - one for one, two in zip(crowd.moments[20:], crowd.moments[21:], strict=False)]
    assert min(later) >= 80


@pytest.mark.parametrize("seed", range(20))
def test_a_single_request_waits_at_most_a_second_behind_bulk_loads(seed: int) -> None:
    crowd = Crowd(seed=seed)
    for number in range(8):
        crowd.add(f"b{number}", 0)
    crowd.add("single", 5000 + seed * 37)
    crowd.run(10_000, once=("single",))

    assert [True] == [waited <= 1000 for _, owner, waited in crowd.permits if owner == "single"]


def test_a_bulk_load_goes_on_slowly_behind_endless_single_requests() -> None:
    crowd = Crowd()
    for owner in ("q1", "q2", "b"):
        crowd.add(owner, 0)
    crowd.run(60_000)

    share = crowd.count("b") / len(crowd.permits)
    assert 0.9 / (MAX_SINGLES_IN_A_ROW + 1) < share <= 1.1 / (MAX_SINGLES_IN_A_ROW + 1)


def test_a_single_request_takes_over_the_ticket_of_its_process() -> None:
    state = RateState()
    for _ in range(3):
        state.take("other", True, RATES, 0)
    for owner in ("other", "mine"):
        state.take(owner, True, RATES, 0)
    state.take("mine", False, RATES, 100)

    assert (1, 0) == (state.take("other", True, RATES, 509) and 1, state.take("mine", False, RATES, 509))


def test_a_late_process_is_passed_and_keeps_its_place() -> None:
    state, rates = RateState(), (Rate(1, 0.5),)
    state.take("x", True, rates, 0)
    for owner in ("late", "next", "last"):
        state.take(owner, True, rates, 1)

    assert 0 == state.take("next", True, rates, 1100)
    assert 0 < state.take("late", True, rates, 1101) < 510 < state.take("last", True, rates, 1102)


def test_the_second_process_replaces_a_first_that_is_late() -> None:
    state, rates = RateState(), (Rate(1, 0.5),)
    state.take("x", True, rates, 0)
    first, second, third = (state.take(owner, True, rates, 1) for owner in ("first", "second", "third"))

    assert first < second < first + 20 < third
    assert 0 == state.take("second", True, rates, 1 + second)
    assert 0 < state.take("first", True, rates, 2 + second) < 510


def test_a_ticket_whose_owner_never_returns_is_deleted() -> None:
    state = RateState()
    for owner in "aaab":
        state.take(owner, True, RATES, 0)
    state.take("c", True, RATES, 11_000)

    assert {} == state.tickets


class TestRefusals:
    """A refusal slows all users of the key, and the speed recovers step by step."""

    def test_a_refusal_halves_the_speed_which_recovers_in_four_steps(self) -> None:
        state = RateState()
        state.slow_down(1000)

        assert [0.5, 0.5, 0.625, 0.75, 0.875, 1.0] == [
            state.share(1000 + seconds * 1000) for seconds in (0, 19, 20, 40, 60, 80)
        ]
        assert 81_000 == state.slowed_until

    def test_refusals_at_once_count_as_one_and_a_later_one_halves_again(self) -> None:
        state = RateState()
        for moment in (0, 100, 4000, 30_000):
            state.slow_down(moment)

        assert 0.625 / 2 == state.share(30_000)

    def test_the_speed_never_falls_below_an_eighth(self) -> None:
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

    def test_a_load_goes_on_at_half_the_speed(self) -> None:
        crowd = Crowd()
        crowd.add("b", 0)
        crowd.run(10_000)
        before = len(crowd.permits)
        crowd.state.slow_down(10_000)
        crowd.run(30_000)

        assert 57 <= len(crowd.permits) - before <= 61
        assert is_within(crowd.moments)


def test_a_short_window_is_rounded_up_to_whole_milliseconds() -> None:
    rates, state = (Rate(3, 0.1), Rate(30, 1.0)), RateState()
    for _ in range(3):
        state.take("a", False, rates, 0)

    assert 102 < next_moment(rates, state.permits, 0) <= 104


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abc"), st.booleans()), max_size=30), st.booleans())
def test_a_state_is_unchanged_after_writing_and_reading(turns: list[tuple[int, str, bool]], slow: bool) -> None:
    state, now = RateState(), 0
    for gap, owner, bulk in turns:
        now += gap
        state.take(owner, bulk, RATES, now)
    if slow:
        state.slow_down(now)
    again, more = RateState.from_json(state.to_json(now=now))

    assert ({"now": now}, state.to_json()) == (more, again.to_json())


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no rate-limit state"):
        RateState.from_json(text)
