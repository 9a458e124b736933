"""``Config.deadline``: the time limit of a whole query."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from support.bench import ASK, MakeBench
from support.fake import Clock
from support.wire import hang, http

from conftest import MakeClient
from trayport import Config, PartialDataError, TimedOut, TrayportWarning
from trayport._parallel import CancelToken, Deadline, deadline_after
from trayport.sandbox import Fault, Sandbox

TTF = "TTF Apr-24"


def test_no_time_passes_while_it_is_paused() -> None:
    clock = Clock()
    deadline = Deadline(10.0, clock)
    clock.now += 4
    deadline.pause()
    clock.now += 100
    assert 6.0 == deadline.left
    deadline.resume()
    clock.now += 5
    assert 1.0 == deadline.left
    clock.now += 5
    assert 0.0 == deadline.left


def test_outer_deadline_stays_in_force() -> None:
    with deadline_after(None):
        assert float("inf") == CancelToken().left
    with deadline_after(50.0), deadline_after(5000.0):
        assert 0 < CancelToken().left <= 50.0
    assert float("inf") == CancelToken().left


def test_wait_beyond_the_deadline_is_not_started(make_bench: MakeBench) -> None:
    bench = make_bench(http(503, b"busy", Retry_After="60"))
    with pytest.raises(TimedOut) as caught:
        bench.session.send(ASK, CancelToken(Deadline(30.0, bench.clock)))

    assert "the 30 seconds for the whole query (Config.deadline) leave no time for another attempt in 60" in str(
        caught.value
    )
    assert "last error: trades: 503 Service Unavailable: busy" in str(caught.value)
    assert ([], 1) == (bench.clock.waits, len(bench.wire.heads))


def test_waits_count_and_the_error_has_the_last_cause(make_bench: MakeBench) -> None:
    bench = make_bench(*[http(503, Retry_After="20")] * 2, hang(30), timeout=(50, 50))
    deadline = Deadline(40.5, bench.clock)

    def close_late(connection: socket.socket, head: str) -> None:
        bench.clock.now += 1
        connection.close()

    bench.wire.responses[-1] = close_late
    with (
        pytest.warns(TrayportWarning),
        pytest.raises(TimedOut, match="after 3 attempts: .*have passed; last error: .*503"),
    ):
        bench.session.send(ASK, CancelToken(deadline))

    assert [20.0, 20.0] == bench.clock.waits


def test_request_in_flight_is_ended(make_bench: MakeBench) -> None:
    bench = make_bench(hang(30))
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"after 1 attempt: the 0.3 seconds for the whole query \(Config.deadline\)"):
        bench.session.send(ASK, CancelToken(Deadline(0.3)))

    assert time.monotonic() - started < 20


def test_slow_body_is_ended(make_bench: MakeBench) -> None:
    def drip(connection: socket.socket, head: str) -> None:
        connection.sendall(http(200, b"", length=10_000_000))
        with suppress(OSError):
            for _ in range(1000):
                connection.sendall(b" ")
                time.sleep(0.02)

    bench = make_bench(drip)
    started = time.monotonic()
    with pytest.raises(TimedOut, match="Config.deadline"):
        bench.session.send(ASK, CancelToken(Deadline(0.3)))

    assert time.monotonic() - started < 20


def test_result_is_partial_after_the_deadline_and_can_be_resumed(make_client: MakeClient) -> None:
    query = (TTF, "2023-06-01", "2024-02-10")
    late = Fault(path="/trades", skip=8 + 2, times=1, delay=30.0)
    with Sandbox(limits=False, faults=[late]) as sandbox:
        calm = make_client(sandbox, workers=1)
        hasty = make_client(sandbox, workers=1, deadline=4.0)
        assert 8 == len(hasty.plan.trades(*query))
        whole = calm.trades(*query)
        started = time.monotonic()
        with pytest.raises(PartialDataError, match=r"the 4 seconds for the whole query \(Config.deadline\)") as caught:
            hasty.trades(*query)

        assert time.monotonic() - started < 25
        assert {TimedOut} == {type(each.error) for each in caught.value.failures}
        assert 6 == len(caught.value.failures)
        assert len(caught.value.frame) > 0
        pd.testing.assert_frame_equal(whole, caught.value.resume())


def test_query_of_one_request_raises_timed_out(make_client: MakeClient) -> None:
    with Sandbox(limits=False, faults=[Fault(path="/trades", times=None, delay=30.0)]) as sandbox:
        client = make_client(sandbox, deadline=0.5)
        client.resolve(TTF)
        with pytest.raises(TimedOut, match="trades: the server did not respond in time.*Config.deadline"):
            client.trades(TTF, "2024-02-05", "2024-02-06")


@pytest.mark.parametrize("path", ["/markets", "/sequences/*"])
def test_look_ups_of_names_count(make_client: MakeClient, tmp_path: Path, path: str) -> None:
    with Sandbox(limits=False, faults=[Fault(path=path, times=None, delay=30.0)]) as sandbox:
        client = make_client(sandbox, deadline=1.0, cache_dir=tmp_path)
        started = time.monotonic()
        with pytest.raises(TimedOut, match="the 1 seconds for the whole query"):
            client.trades(TTF, "2024-02-05", "2024-02-06")
        assert time.monotonic() - started < 25
        assert [] == [asked.path for asked in sandbox.asked if asked.api == "/api"]


def test_wait_for_a_permit_counts(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox:
        make_client(sandbox).resolve(TTF)
        client = make_client(sandbox, limiter="memory", deadline=1.0)
        client.resolve(TTF)
        client.session.rate_limiter.pause(60.0)
        with pytest.raises(TimedOut, match="Config.deadline"):
            client.trades(TTF, "2024-02-05", "2024-02-06")


def test_time_of_the_reader_of_a_stream_does_not_count(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox:
        make_client(sandbox).trades(TTF, "2023-11-01", "2024-02-10")
        pieces = make_client(sandbox, workers=1, deadline=3.0).stream.trades(TTF, "2023-11-01", "2024-02-10")
        taken = [next(pieces)]
        time.sleep(3.2)

        assert 4 == len([*taken, *pieces])


def test_stream_ends_at_the_late_piece(make_client: MakeClient) -> None:
    with Sandbox(limits=False, faults=[Fault(path="/trades", skip=3 + 1, times=1, delay=30.0)]) as sandbox:
        make_client(sandbox).trades(TTF, "2023-12-01", "2024-02-10")
        client = make_client(sandbox, workers=1, deadline=4.0)
        pieces = client.stream.trades(TTF, "2023-12-01", "2024-02-10")
        first = next(pieces)
        with pytest.raises(PartialDataError, match="Config.deadline") as caught:
            next(pieces)

        rest = list(caught.value.resume())
        assert (True, 2) == (len(first) > 0, len(rest))


def test_default_is_no_deadline() -> None:
    assert None is Config().deadline
