"""The rate limiter of one process: no window overruns, threads are served in order, single requests go first."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.fake import Clock

from trayport import Config
from trayport._parallel import Cancelled
from trayport.config import Rate
from trayport.limits import MemoryStore, RateLimiter, RateState, limiter_of
from trayport.status import LimitStatus

T = TypeVar("T")

RATES = Config().rates


def permit_times(rates: tuple[Rate, ...], count: int, work: list[float] | None = None) -> list[float]:
    """Return the times of permits for one thread that works in between, on a clock that takes no real time."""
    clock = Clock()
    limiter, stop, times = RateLimiter(clock=clock), threading.Event(), []
    for number in range(count):
        limiter.acquire(rates, stop, clock.wait)
        times.append(clock.now)
        clock.now += work[number % len(work)] if work else 0.0
    return times


def shortest(times: list[float], rate: Rate) -> float:
    """Return the shortest time that held more permits than the rate allows; infinity if there was none."""
    return min(
        (later - earlier for earlier, later in zip(times, times[rate.count :], strict=False)), default=float("inf")
    )


def start_in_order(limiter: RateLimiter, threads: list[threading.Thread]) -> None:
    """Start each thread when the one before it is in the queue."""
    for number, thread in enumerate(threads, 1):
        thread.start()
        while limiter.status(RATES).waiting < number:
            time.sleep(0.001)


@given(
    st.tuples(st.integers(1, 8), st.integers(1, 480)),
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=20),
)
def test_no_window_holds_more_permits_than_its_rate_allows(limits: tuple[int, int], work: list[float]) -> None:
    rates = Config(per_second=limits[0], per_minute=limits[1]).rates
    times = permit_times(rates, 40, work)

    for rate in rates:
        assert shortest(times, rate) >= rate.seconds


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(1, 40)), min_size=1, max_size=6))
@example([(0.0, 150), (20.0, 150), (30.0, 150)])  # more than a minute allows
def test_crowds_at_any_times_stay_within_every_window(crowds: list[tuple[float, int]]) -> None:
    clock, stop, times = Clock(), threading.Event(), list[float]()
    limiter, arrival = RateLimiter(clock=clock), clock.now
    for gap, count in crowds:
        arrival += gap
        clock.now = max(clock.now, arrival)
        for _ in range(count):
            limiter.acquire(RATES, stop, clock.wait)
            times.append(clock.now)

    assert (Rate(6, 1.0), Rate(360, 60.0)) == RATES[1:]
    assert all(shortest(times, rate) >= rate.seconds for rate in RATES)


def test_a_thread_that_never_works_uses_nearly_all_of_the_limit() -> None:
    times = permit_times(RATES, 361)

    assert 60.0 <= times[-1] - times[0] <= 60.0 * 1.03


def test_the_first_permits_come_at_once() -> None:
    assert [1000.0] * 3 == permit_times(RATES, 3)


def test_without_rates_there_is_no_waiting() -> None:
    assert 0.0 == RateLimiter().acquire((), threading.Event())


def test_a_pause_delays_every_permit() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    limiter.pause(12.0)
    limiter.pause(3.0)

    assert 12.0 == limiter.acquire(RATES, threading.Event(), clock.wait)


def test_a_pause_delays_threads_that_wait_already_and_those_at_other_rates() -> None:
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
def test_permits_at_one_rate_count_at_another(rates: tuple[Rate, ...]) -> None:
    clock, stop = Clock(), threading.Event()
    limiter = RateLimiter(clock=clock)

    assert [0.0] * 5 == [limiter.acquire(each, stop, clock.wait) for each in (FEW, MANY, MANY, MANY, MANY)]
    assert limiter.acquire(rates, stop, clock.wait) >= 10.0


@given(st.lists(st.sampled_from([(1, 360), (2, 20), (6, 360), (8, 480)]), min_size=1, max_size=40))
@example([(1, 360)] * 25 + [(2, 20)] * 3)  # the first has no window of a minute
def test_clients_that_share_a_limiter_keep_their_own_rates_over_all_permits(turns: list[tuple[int, int]]) -> None:
    clock, stop, times = Clock(), threading.Event(), list[float]()
    limiter = RateLimiter(clock=clock)
    for per_second, per_minute in turns:
        rates = Config(per_second=per_second, per_minute=per_minute).rates
        limiter.acquire(rates, stop, clock.wait)
        times.append(clock.now)

        for rate in rates:
            recent = [moment for moment in times if moment > clock.now - rate.seconds]
            assert len(recent) <= rate.count


@pytest.mark.parametrize("taken", [0, 3], ids=["before-it-asks", "while-it-waits"])
def test_a_cancelled_thread_takes_no_permit_and_lets_the_next_one_pass(taken: int) -> None:
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


def test_a_thread_in_the_queue_can_be_cancelled() -> None:
    limiter, stop, first, rates = RateLimiter(), threading.Event(), threading.Event(), (Rate(1, 600.0),)
    limiter.acquire(rates, threading.Event())
    front = threading.Thread(target=give_up, args=(limiter, first, rates))
    start_in_order(limiter, [front])
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        limiter.acquire(rates, stop)
    took = time.monotonic() - began
    first.set()
    front.join()

    assert took < 60.0  # far below the 600 s until the next permit


def give_up(limiter: RateLimiter, stop: threading.Event, rates: tuple[Rate, ...]) -> None:
    """Wait for a permit until ``stop`` is set."""
    with suppress(Cancelled):
        limiter.acquire(rates, stop)


def waits_by_order(bulk: list[bool]) -> list[float]:
    """Return the seconds that threads wait which come in this order; True for a bulk request.

    The first thread waits at the front until all are in the queue, and a permit comes every 50 ms.
    """
    clock, stop, all_here, rates = Clock(), threading.Event(), threading.Event(), (Rate(1, 0.05),)
    limiter, waits = RateLimiter(clock=clock), [0.0] * len(bulk)
    limiter.acquire(rates, stop)

    def wait(stop: threading.Event, seconds: float) -> None:
        all_here.wait()
        clock.wait(stop, seconds)

    def acquire(number: int) -> None:
        waits[number] = limiter.acquire(rates, stop, wait, bulk=bulk[number])

    threads = [threading.Thread(target=acquire, args=(number,)) for number in range(len(bulk))]
    start_in_order(limiter, threads)
    all_here.set()
    for thread in threads:
        thread.join()
    return waits


def test_threads_are_served_in_the_order_in_which_they_came() -> None:
    waits = waits_by_order([False] * 7)

    assert sorted(waits) == waits
    assert 7 == len(set(waits))


def test_threads_together_stay_within_the_windows_and_use_them() -> None:
    clock, rates = Clock(), (Rate(3, 0.1), Rate(30, 1.0))
    store = MemoryStore(clock=clock)
    limiter, stop, end = RateLimiter(clock, store), threading.Event(), clock.now + 2.0

    def load() -> None:
        while clock.now < end:
            limiter.acquire(rates, stop, clock.wait)

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [moment / 1000 for moment in store.state.permits]

    assert shortest(times, Rate(3, 0.1)) > 0.1
    assert 40 < len(times) <= 70


def test_clients_of_one_key_share_one_limiter_and_others_have_their_own() -> None:
    one, same, other = limiter_of(Config("a")), limiter_of(Config("a", per_second=2)), limiter_of(Config("b"))

    assert one is same
    assert one is not other


def test_clients_one_after_another_share_it_too() -> None:
    clock = Clock()
    for _ in range(9):
        limiter_of(Config("one-after-another"), clock).acquire(RATES, threading.Event(), clock.wait)

    assert clock.now - 1000.0 >= 1.0


def test_without_a_limit_no_limiter_is_shared() -> None:
    here = {"analytics_url": "http://127.0.0.1:1", "reference_url": "http://127.0.0.1:1"}
    off = Config("a", limiter="off", **here)  # type: ignore[arg-type]

    assert limiter_of(off) is not limiter_of(off)


@pytest.mark.parametrize("rates", [RATES, ()], ids=["limited", "not-limited"])
def test_requests_of_the_last_minute_are_counted(rates: tuple[Rate, ...]) -> None:
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
    """Single requests go before bulk requests, but not for ever."""

    @staticmethod
    def order(bulk: list[bool]) -> list[bool]:
        """Return the order in which requests behind a first single one are served; True for a bulk request."""
        waits = waits_by_order([False, *bulk])[1:]
        return [kind for _, kind in sorted(zip(waits, bulk, strict=True))]

    def test_a_single_request_goes_first(self) -> None:
        assert [False, True, True, True] == self.order([True, True, True, False])

    def test_after_five_single_requests_a_bulk_request_goes_first(self) -> None:
        # The first of the five is the one that waited at the front.
        assert [False] * 4 + [True, False, False, False] == self.order([True, *[False] * 7])

    def test_a_single_request_passes_a_bulk_request_that_sleeps_at_the_front(self) -> None:
        clock, stop = Clock(), threading.Event()
        limiter = RateLimiter(clock)
        for _ in range(3):
            limiter.acquire(RATES, stop, clock.wait)
        order: list[str] = []

        def wait(stop: threading.Event, seconds: float) -> None:
            clock.wait(stop, seconds)
            if not order:
                order.append("single")
                limiter.acquire(RATES, stop, clock.wait)

        limiter.acquire(RATES, stop, wait, bulk=True)
        order.append("bulk")

        assert ["single", "bulk"] == order
        assert 0.59 < clock.now - 1000.0 < 0.7  # the permit at half a second was for the single request


def test_a_permit_that_is_used_late_counts_from_then() -> None:
    clock, stop = Clock(), threading.Event()

    class BusyStore(MemoryStore):
        """A store after whose first permit the thread waits 0.2 s for a processor."""

        def transact(self, fn: Callable[[RateState, int], T]) -> T:
            result = super().transact(fn)
            if result == 0 and len(self.state.permits) == 1:
                clock.now += 0.2
            return result

    limiter = RateLimiter(clock, BusyStore(clock=clock))
    times = []
    for _ in range(4):
        limiter.acquire(RATES, stop, clock.wait)
        times.append(clock.now)

    assert shortest(times, RATES[0]) > 0.5


class TestStatus:
    """The status of the rate limit."""

    def test_a_new_limiter(self) -> None:
        assert LimitStatus("memory", RATES, 0, 1.0, None, 0) == RateLimiter().status(RATES)

    def test_a_limiter_that_was_used_and_slowed_down(self) -> None:
        clock, stop = Clock(), threading.Event()
        limiter = RateLimiter(clock=clock)
        for _ in range(7):
            limiter.acquire(RATES, stop, clock.wait)
        limiter.slow_down()
        before = datetime.datetime.now(datetime.UTC)
        status = limiter.status(RATES)
        after = datetime.datetime.now(datetime.UTC)

        assert (7, 0.5, True, 0) == (status.used, status.share, status.slowed, status.waiting)
        assert (Rate(3, 1.0), Rate(6, 2.0), Rate(360, 120.0)) == status.rates
        assert status.slowed_until is not None
        assert 78 < (status.slowed_until - after).total_seconds()
        assert (status.slowed_until - before).total_seconds() < 82
        clock.now += 81
        assert (1.0, None) == ((now := limiter.status(RATES)).share, now.slowed_until)

    def test_waiting_threads_are_counted(self) -> None:
        limiter, stop, rates = RateLimiter(), threading.Event(), (Rate(1, 600.0),)
        limiter.acquire(rates, stop)
        threads = [threading.Thread(target=give_up, args=(limiter, stop, rates)) for _ in range(3)]
        start_in_order(limiter, threads)
        waiting = limiter.status(RATES).waiting
        stop.set()
        for thread in threads:
            thread.join()

        assert (3, 0) == (waiting, limiter.status(RATES).waiting)

    def test_without_limits_it_is_off(self) -> None:
        assert LimitStatus("off", (), 0, 1.0, None, 0) == RateLimiter().status(())


@pytest.mark.parametrize("limiter, kind", [("file", "file"), ("memory", "memory")])
def test_the_state_is_kept_where_the_settings_require(limiter: str, kind: str) -> None:
    assert kind == limiter_of(Config(f"kept-in-{limiter}", limiter=limiter)).status(RATES).kind


def test_times_of_a_test_clock_are_kept_in_memory() -> None:
    assert "memory" == limiter_of(Config("a"), Clock()).status(RATES).kind
