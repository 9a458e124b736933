"""The limits: never more than allowed in any window, first come first served."""

from __future__ import annotations

import datetime
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.fake import Clock

from trayport import Config
from trayport._parallel import Cancelled
from trayport.config import Rate
from trayport.limits import MemoryStore, RateLimiter, limiter_of
from trayport.status import LimitStatus

RATES = Config().rates


def stamps(rates: tuple[Rate, ...], count: int, work: list[float] | None = None) -> list[float]:
    """When so many permits are given to one thread that works in between, on a clock that takes no time."""
    clock = Clock()
    limiter, stop, taken = RateLimiter(clock=clock), threading.Event(), []
    for number in range(count):
        limiter.acquire(rates, stop, clock.wait)
        taken.append(clock.now)
        clock.now += work[number % len(work)] if work else 0.0
    return taken


def worst(taken: list[float], rate: Rate) -> float:
    """The shortest time in which more permits than allowed were given; infinite if never so many."""
    return min(
        (later - earlier for earlier, later in zip(taken, taken[rate.count :], strict=False)), default=float("inf")
    )


def start_in_turn(limiter: RateLimiter, threads: list[threading.Thread]) -> None:
    """Each as soon as the one before it stands in the queue."""
    for place, thread in enumerate(threads, 1):
        thread.start()
        while len(limiter._queue) < place:
            time.sleep(0.001)


@given(
    st.tuples(st.integers(1, 8), st.integers(1, 480)),
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=20),
)
def test_no_window_ever_holds_more_than_its_rate_allows(limits: tuple[int, int], work: list[float]) -> None:
    rates = Config(per_second=limits[0], per_minute=limits[1]).rates
    taken = stamps(rates, 40, work)

    for rate in rates:
        assert worst(taken, rate) >= rate.seconds


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(1, 150)), min_size=1, max_size=8))
def test_crowds_that_come_whenever_they_like_stay_within_every_window(crowds: list[tuple[float, int]]) -> None:
    clock, stop, taken = Clock(), threading.Event(), list[float]()
    limiter, arrival = RateLimiter(clock=clock), clock.now
    for gap, count in crowds:
        arrival += gap
        clock.now = max(clock.now, arrival)
        for _ in range(count):
            limiter.acquire(RATES, stop, clock.wait)
            taken.append(clock.now)

    assert (Rate(6, 1.0), Rate(360, 60.0)) == RATES[1:]
    assert all(worst(taken, rate) >= rate.seconds for rate in RATES)


def test_a_thread_that_never_works_uses_nearly_all_of_the_limit() -> None:
    taken = stamps(RATES, 361)

    assert 60.0 <= taken[-1] - taken[0] <= 60.0 * 1.03


def test_the_first_permits_come_at_once() -> None:
    assert [1000.0] * 3 == stamps(RATES, 3)


def test_no_rates_mean_no_waiting() -> None:
    assert 0.0 == RateLimiter().acquire((), threading.Event())


def test_a_pause_holds_everybody_back() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    limiter.pause(12.0)
    limiter.pause(3.0)

    assert 12.0 == limiter.acquire(RATES, threading.Event(), clock.wait)


def test_a_pause_holds_back_those_who_wait_already_and_those_at_other_rates() -> None:
    clock, stop = Clock(), threading.Event()
    limiter, slow, fast = RateLimiter(clock=clock), (Rate(1, 5.0),), (Rate(100, 1.0),)
    limiter.acquire(slow, stop, clock.wait)

    def wait(stop: threading.Event, seconds: float) -> None:
        if not clock.waits:
            limiter.pause(40.0)
        clock.wait(stop, seconds)

    assert 40.0 == limiter.acquire(slow, stop, wait)
    limiter.pause(7.0)
    assert 7.0 == limiter.acquire(fast, stop, clock.wait)


FEW, MANY = (Rate(2, 10.0),), (Rate(5, 10.0),)


@pytest.mark.parametrize("rates", [FEW, MANY], ids=["few", "many"])
def test_permits_taken_at_one_rate_count_at_another(rates: tuple[Rate, ...]) -> None:
    clock, stop = Clock(), threading.Event()
    limiter = RateLimiter(clock=clock)

    assert [0.0] * 5 == [limiter.acquire(each, stop, clock.wait) for each in (FEW, MANY, MANY, MANY, MANY)]
    assert limiter.acquire(rates, stop, clock.wait) >= 10.0


@given(st.lists(st.sampled_from([(1, 360), (2, 20), (6, 360), (8, 480)]), min_size=1, max_size=40))
@example([(1, 360)] * 25 + [(2, 20)] * 3)  # the first keeps no minute of its own
def test_clients_that_share_a_gate_each_keep_to_their_own_rates_over_all_permits(turns: list[tuple[int, int]]) -> None:
    clock, stop, taken = Clock(), threading.Event(), list[float]()
    limiter = RateLimiter(clock=clock)
    for per_second, per_minute in turns:
        rates = Config(per_second=per_second, per_minute=per_minute).rates
        limiter.acquire(rates, stop, clock.wait)
        taken.append(clock.now)

        for rate in rates:
            recent = [moment for moment in taken if moment > clock.now - rate.seconds]
            assert len(recent) <= rate.count


@pytest.mark.parametrize("taken", [0, 3], ids=["before-it-asks", "while-it-waits"])
def test_who_gives_up_takes_no_permit_and_lets_the_next_one_pass(taken: int) -> None:
    clock, stop, rates = Clock(), threading.Event(), (Rate(3, 1.0),)
    limiter = RateLimiter(clock=clock)

    def permits(count: int) -> list[float]:
        return [limiter.acquire(rates, threading.Event(), clock.wait) for _ in range(count)]

    permits(taken)
    if not taken:
        stop.set()
    with pytest.raises(Cancelled):
        limiter.acquire(rates, stop, lambda stop, seconds: stop.set())
    clock.now += 1.1 if taken else 0.0

    assert [0.0, 0.0, 0.0] == permits(3)


def test_a_thread_in_the_queue_can_be_stopped_too() -> None:
    limiter, stop, rates = RateLimiter(), threading.Event(), (Rate(1, 3.0),)
    limiter.acquire(rates, threading.Event())
    head = threading.Thread(target=limiter.acquire, args=(rates, threading.Event()), daemon=True)
    head.start()
    time.sleep(0.05)
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        limiter.acquire(rates, stop)

    assert time.monotonic() - began < 1.0


def test_threads_are_served_in_the_order_in_which_they_came() -> None:
    limiter, served, rates = RateLimiter(), list[int](), (Rate(1, 0.05),)
    limiter.acquire(rates, threading.Event())
    block = (Rate(1, 0.4),)  # keeps the first at the head until all are there

    def ask(me: int) -> None:
        limiter.acquire(rates if me else block, threading.Event())
        served.append(me)

    threads = [threading.Thread(target=ask, args=(me,)) for me in range(6)]
    start_in_turn(limiter, threads)
    for thread in threads:
        thread.join()

    assert [0, 1, 2, 3, 4, 5] == served


def test_threads_together_stay_within_the_windows_and_use_them() -> None:
    limiter, stop, rates = RateLimiter(), threading.Event(), (Rate(3, 0.1), Rate(30, 1.0))
    taken: list[float] = []
    end = time.monotonic() + 2.0

    def ask() -> None:
        while time.monotonic() < end:
            limiter.acquire(rates, stop)
            taken.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken.sort()
    # Judged after the call returns, so a thread that was slow to say so may make a window look a little shorter.
    assert worst(taken, Rate(3, 0.1)) > 0.09
    assert 40 < len(taken) <= 70


def test_clients_of_one_key_share_one_gate_and_others_have_their_own() -> None:
    one, same, other = limiter_of(Config("a")), limiter_of(Config("a", per_second=2)), limiter_of(Config("b"))

    assert one is same
    assert one is not other


def test_clients_that_follow_each_other_share_it_too() -> None:
    clock = Clock()
    for _ in range(9):
        limiter_of(Config("one-after-another"), clock).acquire(RATES, threading.Event(), clock.wait)

    assert clock.now - 1000.0 >= 1.0


def test_switched_off_there_is_no_gate_to_share() -> None:
    here = {"analytics_url": "http://127.0.0.1:1", "reference_url": "http://127.0.0.1:1"}
    off = Config("a", limiter="off", **here)  # type: ignore[arg-type]

    assert limiter_of(off) is not limiter_of(off)


@pytest.mark.parametrize("rates", [RATES, ()], ids=["limited", "not-limited"])
def test_it_tells_how_much_of_the_last_minute_was_used(rates: tuple[Rate, ...]) -> None:
    clock, stop = Clock(), threading.Event()
    limiter = RateLimiter(clock=clock)
    for _ in range(20):
        limiter.acquire(rates, stop, clock.wait)
    assert 20 == limiter.used()

    clock.now += 50
    limiter.acquire(rates, stop, clock.wait)
    clock.now += 10
    assert 1 == limiter.used()
    clock.now += 60
    assert 0 == limiter.used()


class TestPriorities:
    """Questions go before bulk loads, but not for ever."""

    @staticmethod
    def served(waiting: list[bool], rates: tuple[Rate, ...] = (Rate(1, 0.05),)) -> list[bool]:
        """The order in which threads that wait in this order are served; True for a bulk load."""
        limiter, stop, done = RateLimiter(), threading.Event(), list[bool]()
        limiter.acquire(rates, stop)
        block = (Rate(1, 0.4),)  # keeps the first at the head until all are there
        threads = [threading.Thread(target=limiter.acquire, args=(block, stop))]

        def ask(bulk: bool) -> None:
            limiter.acquire(rates, stop, bulk=bulk)
            done.append(bulk)

        threads += [threading.Thread(target=ask, args=(bulk,)) for bulk in waiting]
        start_in_turn(limiter, threads)
        for thread in threads:
            thread.join()
        return done

    def test_a_question_goes_first(self) -> None:
        assert [False, True, True, True] == self.served([True, True, True, False])

    def test_after_five_in_a_row_one_goes_to_the_bulk_load(self) -> None:
        # The first of the five is the one that kept the head.
        assert [False] * 4 + [True, False, False, False] == self.served([True, *[False] * 7])

    def test_a_bulk_load_that_sleeps_at_the_head_lets_a_question_pass(self) -> None:
        clock, stop = Clock(), threading.Event()
        limiter = RateLimiter(clock)
        for _ in range(3):
            limiter.acquire(RATES, stop, clock.wait)
        order: list[str] = []

        def wait(stop: threading.Event, seconds: float) -> None:
            clock.wait(stop, seconds)
            if not order:
                order.append("question")
                limiter.acquire(RATES, stop, clock.wait)

        limiter.acquire(RATES, stop, wait, bulk=True)
        order.append("bulk")

        assert ["question", "bulk"] == order
        assert 0.59 < clock.now - 1000.0 < 0.7  # the one at half a second was the question's


def test_a_permit_that_was_in_hand_late_counts_from_then() -> None:
    class Busy(MemoryStore):
        """Where the thread that takes a permit is kept from using it."""

        def transact(self, fn: Any) -> Any:
            answer = super().transact(fn)
            if answer == 0 and len(self.state.permits) == 1:
                clock.now += 0.2
            return answer

    clock, stop = Clock(), threading.Event()
    limiter = RateLimiter(clock, Busy(clock=clock))
    moments = []
    for _ in range(4):
        limiter.acquire(RATES, stop, clock.wait)
        moments.append(clock.now)

    assert worst(moments, RATES[0]) > 0.5


class TestStanding:
    """What a limiter says of itself."""

    def test_a_fresh_one(self) -> None:
        assert LimitStatus("memory", RATES, 0, 1.0, None, 0) == RateLimiter().status(RATES)

    def test_one_that_was_used_and_slowed(self) -> None:
        clock, stop = Clock(), threading.Event()
        limiter = RateLimiter(clock=clock)
        for _ in range(7):
            limiter.acquire(RATES, stop, clock.wait)
        limiter.slow_down()
        standing = limiter.status(RATES)

        assert (7, 0.5, True, 0) == (standing.used, standing.share, standing.slowed, standing.waiting)
        assert (Rate(3, 1.0), Rate(6, 2.0), Rate(360, 120.0)) == standing.rates
        assert standing.slowed_until is not None
        assert 78 < (standing.slowed_until - datetime.datetime.now(datetime.UTC)).total_seconds() < 82
        clock.now += 81
        assert (1.0, None) == ((now := limiter.status(RATES)).share, now.slowed_until)

    def test_those_who_wait_are_counted(self) -> None:
        limiter, stop = RateLimiter(), threading.Event()
        limiter.acquire((Rate(1, 60.0),), stop)
        threads = [threading.Thread(target=self.give_up, args=(limiter, stop)) for _ in range(3)]
        start_in_turn(limiter, threads)
        waiting = limiter.status(RATES).waiting
        stop.set()
        for thread in threads:
            thread.join()

        assert (3, 0) == (waiting, limiter.status(RATES).waiting)

    @staticmethod
    def give_up(limiter: RateLimiter, stop: threading.Event) -> None:
        with suppress(Cancelled):
            limiter.acquire((Rate(1, 60.0),), stop)

    def test_without_limits_it_says_so(self) -> None:
        assert LimitStatus("off", (), 0, 1.0, None, 0) == RateLimiter().status(())


@pytest.mark.parametrize("limiter, kind", [("file", "file"), ("memory", "memory")])
def test_a_gate_is_kept_where_the_settings_say(limiter: str, kind: str) -> None:
    assert kind == limiter_of(Config(f"kept-in-{limiter}", limiter=limiter)).status(RATES).kind


def test_stamps_of_a_clock_that_a_test_turns_go_nowhere_else() -> None:
    assert "memory" == limiter_of(Config("a"), Clock()).status(RATES).kind
