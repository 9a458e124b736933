"""The breaker: closed, open, half-open."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.fake import Clock

from trayport.transport.breaker import Breaker


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=3, cooldown=30.0, clock=clock)


def fail(breaker: Breaker, *keys: str) -> None:
    for key in keys:
        breaker.record_failure(key)


def test_it_opens_when_so_many_different_requests_failed_in_a_row(breaker: Breaker) -> None:
    fail(breaker, "a", "b")
    assert (False, 0.0) == (breaker.is_open, breaker.admit())

    fail(breaker, "c")
    assert (True, 30.0) == (breaker.is_open, breaker.admit())


def test_one_request_that_always_fails_cannot_open_it(breaker: Breaker) -> None:
    fail(breaker, *["a"] * 50)

    assert breaker.is_open is False


def test_a_success_between_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, "a", "b")
    breaker.record_success()
    fail(breaker, "c", "d")

    assert breaker.is_open is False


def test_after_the_cooldown_one_request_may_try_and_the_others_wait_for_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 29
    assert 1.0 == breaker.admit()

    clock.now += 1
    assert (0.0, 30.0) == (breaker.admit(), breaker.admit())


def test_it_is_half_open_from_the_end_of_the_cooldown_until_the_probe_is_back(breaker: Breaker, clock: Clock) -> None:
    seen = [breaker.state]
    fail(breaker, "a", "b", "c")
    seen.append(breaker.state)
    clock.now += 30
    seen.append(breaker.state)
    breaker.admit()
    seen.append(breaker.state)
    fail(breaker, "a")
    seen.append(breaker.state)
    clock.now += 30
    breaker.admit()
    breaker.record_success()

    assert ["closed", "open", "half-open", "half-open", "open", "closed"] == [*seen, breaker.state]


def test_a_probe_that_succeeds_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    breaker.record_success()

    assert (0.0, 0.0) == (breaker.admit(), breaker.admit())


def test_a_probe_that_fails_opens_it_for_another_cooldown(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    clock.now += 5
    fail(breaker, "a")

    assert 30.0 == breaker.retry_in()


def test_a_probe_that_gave_up_leaves_the_try_to_one_other(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    breaker.record_abandoned()

    assert (0.0, 30.0) == (breaker.admit(), breaker.admit())


def test_only_the_probe_can_leave_its_try_to_others(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    breaker.record_abandoned()  # let through while it was closed, and stopped since
    assert 30.0 == breaker.retry_in()

    clock.now += 30
    with ThreadPoolExecutor(1) as another:
        another.submit(breaker.admit).result()
    breaker.record_abandoned()
    assert 30.0 == breaker.retry_in()


def test_giving_up_is_no_failure(breaker: Breaker) -> None:
    fail(breaker, "a", "b")
    breaker.record_abandoned()

    assert (False, 0.0) == (breaker.is_open, breaker.admit())


def test_the_failures_before_a_success_are_forgotten_with_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    breaker.record_success()
    fail(breaker, "d", "e")

    assert breaker.is_open is False
