"""The circuit breaker: alone, and within a session."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.bench import ASK, Bench, MakeBench
from support.fake import Clock
from support.wire import Response, hang, http, reset

from trayport import BadRequest, CircuitOpen, ConnectionFailed, ServerError, TimedOut, TrayportWarning
from trayport._parallel import Cancelled
from trayport.endpoints import REFERENCE, TRADES, Request
from trayport.transport.retries import Breaker

LIST = Request(REFERENCE["instruments"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=3, cooldown=30.0, clock=clock)


def fail(breaker: Breaker, *keys: str) -> None:
    for key in keys:
        breaker.record_failure(key)


def test_opens_when_different_requests_failed_in_a_row(breaker: Breaker) -> None:
    fail(breaker, "a", "b")
    assert (False, 0.0) == ((breaker.retry_in() > 0), breaker.admit())

    fail(breaker, "c")
    assert (True, 30.0) == ((breaker.retry_in() > 0), breaker.admit())


def test_one_request_that_always_fails_cannot_open_it(breaker: Breaker) -> None:
    fail(breaker, *["a"] * 50)

    assert breaker.retry_in() == 0


def test_success_resets_the_count(breaker: Breaker) -> None:
    fail(breaker, "a", "b")
    breaker.record_success()
    fail(breaker, "c", "d")

    assert breaker.retry_in() == 0


def test_one_request_is_the_probe_after_the_cooldown_and_the_others_wait(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 29
    assert 1.0 == breaker.admit()

    clock.now += 1
    assert (0.0, 30.0) == (breaker.admit(), breaker.admit())


def test_half_open_from_the_end_of_the_cooldown_until_the_result_of_the_probe(breaker: Breaker, clock: Clock) -> None:
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


def test_successful_probe_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    breaker.record_success()

    assert (0.0, 0.0) == (breaker.admit(), breaker.admit())


def test_failed_probe_opens_it_for_another_cooldown(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    clock.now += 5
    fail(breaker, "a")

    assert 30.0 == breaker.retry_in()


def test_abandoned_probe_admits_one_other_request(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    breaker.record_abandoned()

    assert (0.0, 30.0) == (breaker.admit(), breaker.admit())


def test_abandoning_another_request_admits_none(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    breaker.record_abandoned()  # admitted while the breaker was closed, and cancelled since
    assert 30.0 == breaker.retry_in()

    clock.now += 30
    with ThreadPoolExecutor(1) as another:
        another.submit(breaker.admit).result()
    breaker.record_abandoned()
    assert 30.0 == breaker.retry_in()


def test_abandoned_request_is_no_failure(breaker: Breaker) -> None:
    fail(breaker, "a", "b")
    breaker.record_abandoned()

    assert (False, 0.0) == ((breaker.retry_in() > 0), breaker.admit())


def test_failures_before_a_successful_probe_do_not_count(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, "a", "b", "c")
    clock.now += 30
    breaker.admit()
    breaker.record_success()
    fail(breaker, "d", "e")

    assert breaker.retry_in() == 0


class TestWithinSession:
    """Requests of a session whose API keeps failing."""

    def open(self, bench: Bench) -> None:
        """Send different requests until the breaker opens, which warns."""
        for number in range(4):
            with pytest.raises(ServerError):
                bench.send(Request(TRADES, (("n", str(number)),)))
        with pytest.warns(TrayportWarning, match="left alone for 30 seconds"), pytest.raises(ServerError):
            bench.send(Request(TRADES, (("n", "4"),)))

    def test_open_breaker_refuses_queries_to_its_api(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(500, b""), attempts=1)
        self.open(bench)

        with pytest.raises(CircuitOpen) as caught:
            bench.session.raise_if_open(ASK)
        assert 30.0 == caught.value.retry_in
        bench.session.raise_if_open(LIST)  # the other API has a breaker of its own

    @pytest.mark.parametrize("trouble", [reset, hang(0.5), http(502)], ids=["connection", "timeout", "5xx"])
    def test_every_kind_of_failure_counts(self, make_bench: MakeBench, trouble: Response) -> None:
        bench = make_bench(trouble, attempts=1, timeout=(1, 0.05))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrayportWarning)
            for number in range(5):
                bench.session.raise_if_open(ASK)
                with pytest.raises((ConnectionFailed, TimedOut, ServerError)):
                    bench.send(Request(TRADES, (("n", str(number)),)))

        with pytest.raises(CircuitOpen):
            bench.session.raise_if_open(ASK)

    def test_running_request_waits_for_the_probe(self, make_bench: MakeBench) -> None:
        bench = make_bench(*[http(500, b"")] * 5, http(200, b"[7]"), attempts=1)
        self.open(bench)

        assert b"[7]" == bench.send()
        assert 30.0 == sum(bench.waits)
        bench.session.raise_if_open(ASK)

    def test_wait_for_the_probe_ends_with_the_budget(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(500, b""), attempts=1, retry_budget=10.0)
        self.open(bench)

        with pytest.raises(CircuitOpen, match="ask again in"):
            bench.send()
        assert 5 == len(bench.wire.heads)

    def test_request_that_always_fails_does_not_open_it(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(500, b""), attempts=7, backoff_cap=1.0)
        for _ in range(2):
            with pytest.raises(ServerError):
                bench.send()

        bench.session.raise_if_open(ASK)

    def test_cancelled_probe_admits_the_next_request(self, make_bench: MakeBench) -> None:
        bench = make_bench(*[http(500, b"")] * 5, http(200, b"[7]"), attempts=1, limiter="memory")
        self.open(bench)
        bench.clock.now += 30
        bench.session.rate_limiter.pause(5.0)
        bench.session.wait = lambda cancel, seconds: cancel.set()
        with pytest.raises(Cancelled):
            bench.send()

        bench.session.raise_if_open(ASK)
        bench.session.wait = bench.clock.wait
        assert b"[7]" == bench.send()

    def test_4xx_is_no_failure(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(400, b""), attempts=1)
        for number in range(10):
            with pytest.raises(BadRequest):
                bench.send(Request(TRADES, (("n", str(number)),)))

        bench.session.raise_if_open(ASK)
