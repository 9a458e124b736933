"""A 403 is a right that the key lacks, or throttling; how much the key was used tells which is likelier."""

from __future__ import annotations

import threading

import pytest
from support.bench import Bench, MakeBench
from support.wire import http

from trayport import NotAllowed, TrayportWarning
from trayport.endpoints import OHLCV, TRADES, Endpoint, Request
from trayport.transport import Session


def busy(made: Bench, permits: int = 40) -> Bench:
    """The same with a key that was used for more than a tenth of its minute."""
    for _ in range(permits):
        made.session.rate_limiter.acquire((), threading.Event())
    return made


def test_of_a_key_that_was_hardly_used_it_is_believed_after_one_wait(bench: MakeBench) -> None:
    made = bench(http(403, b"no"))
    with (
        pytest.warns(TrayportWarning, match="waiting 15 seconds") as told,
        pytest.raises(NotAllowed, match="403 Forbidden: no; the key is not entitled to this: it was hardly used"),
    ):
        made.send()

    assert ([15.0], 2, 1) == (made.waits, len(made.wire.heads), len(told))


def test_it_is_remembered_for_the_endpoint_and_the_product(bench: MakeBench) -> None:
    made = bench(http(403, b"no"), http(403, b"no"), http(200, b"[1]"))

    def of(endpoint: Endpoint, market: int, day: int) -> Request:
        return Request(endpoint, (("from", f"2023-01-{day:02d}T00:00:00Z"), ("marketId", str(market))))

    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        made.send(of(TRADES, 1, 1))
    with pytest.raises(NotAllowed, match="no; the key is not entitled to this.*not sent again.*a new Client"):
        made.send(of(TRADES, 1, 2))
    assert 2 == len(made.wire.heads)

    assert b"[1]" == made.send(of(TRADES, 2, 1)) == made.send(of(OHLCV, 1, 1))
    again = Session(made.session.config, clock=made.clock, wait=made.clock.wait)
    assert b"[1]" == again.send(of(TRADES, 1, 1))
    again.close()


def test_what_was_refused_with_own_trades_may_be_allowed_without(bench: MakeBench) -> None:
    made = bench(http(403), http(403), http(200, b"[1]"))
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        made.send(Request(TRADES, (("marketId", "1"), ("includePrivate", "true"))))

    assert b"[1]" == made.send(Request(TRADES, (("marketId", "1"),)))


def test_under_load_it_is_waited_out_three_times_and_then_may_be_either(bench: MakeBench) -> None:
    made = busy(bench(http(403, b"no")))
    both = "no; waiting did not help: the key is not entitled to this, or it is throttled for longer"
    with pytest.warns(TrayportWarning) as told, pytest.raises(NotAllowed, match=both):
        made.send()

    assert "403 Forbidden: no" in str(told[0].message)
    assert ["15", "30", "30"] == [str(each.message).split()[-5] for each in told]
    assert [15.0, 30.0, 30.0] == made.waits


def test_under_load_it_is_not_remembered(bench: MakeBench) -> None:
    made = busy(bench(*[http(403)] * 4, http(200, b"[1]")))
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        made.send()

    assert b"[1]" == made.send()


@pytest.mark.parametrize("permits, waits", [(34, [15.0]), (36, [15.0, 30.0, 30.0])])
def test_a_tenth_of_the_minute_is_where_load_begins(bench: MakeBench, permits: int, waits: list[float]) -> None:
    made = busy(bench(http(403)), permits)
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        made.send()

    assert waits == made.waits


def test_what_was_used_more_than_a_minute_ago_is_no_load(bench: MakeBench) -> None:
    made = busy(bench(http(403)))
    made.clock.now += 61
    with pytest.warns(TrayportWarning), pytest.raises(NotAllowed):
        made.send()

    assert [15.0] == made.waits


def test_one_that_says_when_to_come_back_throttles(bench: MakeBench) -> None:
    made = bench(http(403, b"", Retry_After="7"), http(403, b"", Retry_After="20"), http(200, b"[1]"))
    with pytest.warns(TrayportWarning, match="waiting 20 seconds"):
        assert b"[1]" == made.send()

    assert [7.0, 20.0] == made.waits


def test_one_that_clears_was_throttling(bench: MakeBench) -> None:
    made = bench(http(403), http(200, b"[]"))
    with pytest.warns(TrayportWarning, match="403 Forbidden"):
        assert b"[]" == made.send()


def test_without_a_second_attempt_it_may_be_either(bench: MakeBench) -> None:
    made = bench(http(403), attempts=1)
    for _ in range(2):
        with pytest.raises(NotAllowed, match="is not entitled to this, or it is throttled"):
            made.send()

    assert 2 == len(made.wire.heads)
