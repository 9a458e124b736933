"""A 403 means a missing entitlement or throttling; the use of the key in the last minute decides which is likelier."""

from __future__ import annotations

import threading

import pytest
from support.bench import Bench, MakeBench
from support.wire import http

from trayport import NotAllowed, TrayportWarning
from trayport.endpoints import OHLCV, TRADES, Endpoint, Request
from trayport.transport import Session


def use_key(bench: Bench, permits: int = 40) -> Bench:
    """Take permits, by default more than a tenth of the rate limit per minute."""
    for _ in range(permits):
        bench.session.rate_limiter.acquire((), threading.Event())
    return bench


def test_hardly_used_key_is_not_entitled_after_one_wait(make_bench: MakeBench) -> None:
    bench = make_bench(http(403, b"no"))
    with (
        pytest.warns(TrayportWarning, match="waiting 15 seconds") as told,
        pytest.raises(NotAllowed, match="403 Forbidden: no; the key is not entitled to this: it was hardly used"),
    ):
        bench.send()

    assert ([15.0], 2, 1) == (bench.waits, len(bench.wire.heads), len(told))


def test_missing_entitlement_is_remembered_by_endpoint_and_product(make_bench: MakeBench) -> None:
    bench = make_bench(http(403, b"no"), http(403, b"no"), http(200, b"[1]"))

    def of(endpoint: Endpoint, market: int, day: int) -> Request:
        return Request(endpoint, (("from", f"2023-01-{day:02d}T00:00:00Z"), ("marketId", str(market))))

    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        bench.send(of(TRADES, 1, 1))
    with pytest.raises(NotAllowed, match="no; the key is not entitled to this.*not sent again.*a new Client"):
        bench.send(of(TRADES, 1, 2))
    assert 2 == len(bench.wire.heads)

    assert b"[1]" == bench.send(of(TRADES, 2, 1)) == bench.send(of(OHLCV, 1, 1))
    again = Session(bench.session.config, clock=bench.clock, wait=bench.clock.wait)
    assert b"[1]" == again.send(of(TRADES, 1, 1))
    again.close()


def test_request_without_own_trades_needs_another_entitlement(make_bench: MakeBench) -> None:
    bench = make_bench(http(403), http(403), http(200, b"[1]"))
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        bench.send(Request(TRADES, (("marketId", "1"), ("includePrivate", "true"))))

    assert b"[1]" == bench.send(Request(TRADES, (("marketId", "1"),)))


def test_used_key_is_retried_three_times_and_the_reason_stays_open(make_bench: MakeBench) -> None:
    bench = use_key(make_bench(http(403, b"no")))
    both = "no; waiting did not help: the key is not entitled to this, or it is throttled for longer"
    with pytest.warns(TrayportWarning) as told, pytest.raises(NotAllowed, match=both):
        bench.send()

    assert "403 Forbidden: no" in str(told[0].message)
    assert ["15", "30", "30"] == [str(each.message).split()[-5] for each in told]
    assert [15.0, 30.0, 30.0] == bench.waits


def test_refusal_of_a_used_key_is_not_remembered(make_bench: MakeBench) -> None:
    bench = use_key(make_bench(*[http(403)] * 4, http(200, b"[1]")))
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        bench.send()

    assert b"[1]" == bench.send()


@pytest.mark.parametrize("permits, waits", [(34, [15.0]), (36, [15.0, 30.0, 30.0])])
def test_key_is_hardly_used_below_a_tenth_of_the_limit(make_bench: MakeBench, permits: int, waits: list[float]) -> None:
    bench = use_key(make_bench(http(403)), permits)
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        bench.send()

    assert waits == bench.waits


def test_permits_older_than_a_minute_do_not_count(make_bench: MakeBench) -> None:
    bench = use_key(make_bench(http(403)))
    bench.clock.now += 61
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        bench.send()

    assert [15.0] == bench.waits


def test_403_with_retry_after_means_throttling(make_bench: MakeBench) -> None:
    bench = make_bench(http(403, b"", Retry_After="7"), http(403, b"", Retry_After="20"), http(200, b"[1]"))
    with pytest.warns(TrayportWarning, match="waiting 20 seconds"):
        assert b"[1]" == bench.send()

    assert [7.0, 20.0] == bench.waits


def test_403_that_a_wait_cures_means_throttling(make_bench: MakeBench) -> None:
    bench = make_bench(http(403), http(200, b"[]"))
    with pytest.warns(TrayportWarning, match="403 Forbidden"):
        assert b"[]" == bench.send()


def test_reason_stays_open_without_a_second_attempt(make_bench: MakeBench) -> None:
    bench = make_bench(http(403), attempts=1)
    for _ in range(2):
        with pytest.raises(NotAllowed, match="is not entitled to this, or it is throttled"):
            bench.send()

    assert 2 == len(bench.wire.heads)
