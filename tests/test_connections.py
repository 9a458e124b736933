"""Connections: kept, replaced, bounded in time, shared by threads and processes, and closed."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.bench import ASK, MakeBench
from support.canary import KEY
from support.programs import environment, printed
from support.relay import Relay, delayed
from support.wire import Wire, hang, http

from conftest import MakeClient
from trayport import (
    CircuitOpen,
    Client,
    Config,
    ConnectionFailed,
    TimedOut,
    TransportError,
    TrayportWarning,
)
from trayport.endpoints import REFERENCE, Request
from trayport.sandbox import Fault, Sandbox
from trayport.transport import Session

TTF = "TTF Apr-24"


def becomes_true(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Return True if the condition becomes true within some seconds."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return true


def client_threads() -> list[str]:
    """Return the names of the threads of clients."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("trayport_")]


# --- kept --------------------------------------------------------------------------------------------------------


def test_98_of_100_requests_use_a_kept_connection(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox:
        client = make_client(sandbox)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: client.session.send(Request(REFERENCE["markets"])), range(501)))
        opened, requests = sandbox.connections[0], len(sandbox.asked)

    assert requests > 500
    assert opened <= client.config.workers
    assert 1 - opened / requests >= 0.98


def test_connections_that_the_server_closed_are_replaced_without_an_error(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b"[1]"), workers=4)
    barrier = threading.Barrier(4)

    def respond_together(connection: socket.socket, head: str) -> None:
        barrier.wait(10)
        connection.sendall(http(200, b"[1]"))

    bench.wire.responses.appendleft(respond_together)
    bench.wire.responses.extendleft([respond_together] * 3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: bench.send(), range(4)))
    assert 4 == bench.wire.connections
    for connection in list(bench.wire._open):
        connection.shutdown(socket.SHUT_RDWR)
    time.sleep(0.05)

    with ThreadPoolExecutor(4) as pool:
        assert [b"[1]"] * 4 == list(pool.map(lambda _: bench.send(), range(4)))
    assert ([], 8) == (bench.clock.waits, len(bench.wire.heads))


def test_connection_that_closes_during_a_request_costs_one_attempt(make_bench: MakeBench) -> None:
    def hang_up(connection: socket.socket, head: str) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    bench = make_bench(http(200, b"[1]"), hang_up, http(200, b"[2]"))

    assert [b"[1]", b"[2]"] == [bench.send(), bench.send()]
    assert (2, 3) == (bench.wire.connections, len(bench.wire.heads))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows the timers of sockets in /proc")
def test_idle_connection_has_tcp_keep_alive(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b"[1]"))
    bench.send()
    port = f":{int(bench.wire.url.rpartition(':')[2]):04X}"

    def timers() -> list[str]:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = [line for line in lines if line[3] == "01"]  # others belong to earlier users of the port
        return [line[5][:2] for line in established if line[2].endswith(port)]

    assert becomes_true(lambda: timers() == ["02"])  # keep-alive


# --- bounded in time ---------------------------------------------------------------------------------------------


def test_read_timeout_is_set(make_bench: MakeBench) -> None:
    bench = make_bench(hang(30), attempts=1, timeout=(5, 0.2))
    started = time.monotonic()
    with pytest.raises(TimedOut):
        bench.send()

    assert time.monotonic() - started < 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems exceed the backlog")
def test_connect_timeout_is_set() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        address = full.getsockname()
        for _ in range(4):  # they are not accepted, and the backlog has room for one
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(address)
        url = f"http://127.0.0.1:{address[1]}"
        config = Config(KEY, analytics_url=url, reference_url=url, limiter="off", attempts=1, timeout=(0.2, 60))
        started = time.monotonic()
        with pytest.raises(TimedOut, match="timed out"):
            Session(config).send(ASK)

        assert time.monotonic() - started < 40


def test_default_timeouts_are_positive() -> None:
    assert all(seconds > 0 for seconds in Config().timeout)


# --- bounded in size ---------------------------------------------------------------------------------------------


# --- shared ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{"limiter": "off"}, {"limiter": "memory", "per_second": 400, "per_minute": 9000}],
    ids=["off", "limits"],
)
def test_a_hundred_threads_query_at_once(make_client: MakeClient, settings: dict[str, Any]) -> None:
    with Sandbox(limits=False) as sandbox:
        client = make_client(sandbox, **settings)
        minutes = pd.date_range("2024-02-05T08:00", periods=100, freq="1min")
        moments = [f"{minute:%Y-%m-%dT%H:%M}" for minute in minutes]
        expected = [client.last_trade(TTF, at=moment) for moment in moments[::20]]
        start = threading.Barrier(100)

        def ask(moment: str) -> pd.DataFrame:
            start.wait(30)
            return client.last_trade(TTF, at=moment)

        with ThreadPoolExecutor(100) as pool:
            frames = list(pool.map(ask, moments))

        assert 100 == len(frames)
        for one, other in zip(expected, frames[::20], strict=True):
            pd.testing.assert_frame_equal(one, other)
        assert sandbox.connections[0] <= client.config.workers + 1


METHODS = [method for method in ("spawn", "forkserver", "fork") if method in multiprocessing.get_all_start_methods()]


def test_query_is_mapped_over_processes_of_every_start_method(
    sandbox: Sandbox, cache_dir: Path, tmp_path: Path
) -> None:
    script = (
        "import multiprocessing, trayport as tp\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "names = ['TTF Apr-24', 'EUA Dec-24', 'TTF May-24']\n"
        "if __name__ == '__main__':\n"
        "    here = [tp.last_trade(name)['price'].tolist() for name in names]\n"
        f"    for method in {METHODS!r}:\n"
        "        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:\n"
        "            print(here == [frame['price'].tolist() for frame in pool.map(tp.last_trade, names)], here)\n"
    )

    lines = printed(script, tmp_path, environment(sandbox, cache_dir, limiter="off")).splitlines()
    assert [True] * len(METHODS) == [line.startswith("True [[") for line in lines]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_fork_during_queries_harms_neither_process(sandbox: Sandbox, cache_dir: Path, tmp_path: Path) -> None:
    # In a process of its own, since coverage may hold a lock at the fork, which the child would wait for forever.
    script = (
        "import os, trayport as tp\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def ask():\n"
        "    return len(tp.trades('TTF Apr-24', '2023-12-01', '2024-02-10'))\n"
        "whole = ask()\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    in_flight = [pool.submit(ask) for _ in range(12)]\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if ask() == whole else 1)\n"
        "    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "    print(ended, {whole} == {each.result() for each in in_flight})\n"
    )

    assert "0 True\n" == printed(script, tmp_path, environment(sandbox, cache_dir, limiter="off"))


# --- ended -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "with"])
def test_closed_client_leaves_no_thread_and_no_socket(how: str, cache_dir: Path) -> None:
    with Sandbox(limits=False) as sandbox:
        config = Config(**sandbox.settings, limiter="off", cache_dir=cache_dir)  # type: ignore[arg-type]
        client = Client(config=config)
        if how == "with":
            with client:
                client.trades(TTF, "2023-06-01", "2024-02-10")
                assert sandbox.connections[1] > 0
        else:
            client.trades(TTF, "2023-06-01", "2024-02-10")
            client.close()

        assert becomes_true(lambda: sandbox.connections[1] == 0)
        assert [] == client_threads()


def test_close_ends_requests_that_wait_for_a_response(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox, Relay(sandbox) as relay:
        first = "from=2023-06-01"
        relay.rule = lambda line, count: delayed(60.0) if "/trades" in line and first not in line else None
        client = make_client(sandbox, analytics_url=relay.url)
        pieces = client.stream.trades(TTF, "2023-06-01", "2024-02-10")
        next(pieces)
        assert becomes_true(lambda: len(relay.trades()) > 2)
        pieces.close()
        client.close()

        assert becomes_true(lambda: client_threads() == [])


def test_query_in_flight_raises_when_its_client_is_closed(make_client: MakeClient) -> None:
    with Sandbox(limits=False, faults=[Fault(path="/trades", times=None, delay=60.0)]) as sandbox:
        client = make_client(sandbox)
        client.resolve(TTF)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(client.trades, TTF, "2024-02-05", "2024-02-06")
            assert becomes_true(lambda: client_threads() != [])
            time.sleep(0.2)
            client.close()
            with pytest.raises(TransportError, match="the client was closed") as caught:
                running.result(10)

        assert caught.value.transient is False


def test_query_that_waits_for_a_retry_raises_when_its_client_is_closed(make_client: MakeClient) -> None:
    fault = Fault(path="/trades", times=None, status=503, headers={"Retry-After": "9"})
    with Sandbox(limits=False, faults=[fault]) as sandbox:
        client = make_client(sandbox)
        client.resolve(TTF)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(client.trades, TTF, "2024-02-05", "2024-02-06")
            assert becomes_true(lambda: any(each.fault for each in sandbox.asked))
            time.sleep(0.1)
            client.close()
            with pytest.raises(TransportError, match="after 1 attempt: the client was closed"):
                running.result(5)


# --- the breaker, from outside -----------------------------------------------------------------------------------


def fail_often(client: Client) -> None:
    """Send different requests until the breaker opens."""
    for day in range(1, 6):
        with pytest.warns(TrayportWarning) if day == 5 else nullcontext(), pytest.raises(ConnectionFailed):
            client.trades(TTF, f"2024-02-{day:02d}", f"2024-02-{day + 1:02d}")


def test_open_breaker_refuses_new_queries_with_the_seconds_left(make_client: MakeClient) -> None:
    with Sandbox(limits=False, faults=[Fault(path="/trades", times=5, reset=True)]) as sandbox:
        client = make_client(sandbox, attempts=1)
        client.resolve(TTF)
        fail_often(client)
        before = sandbox.answered
        with pytest.raises(CircuitOpen, match="ask again in") as caught:
            client.trades(TTF, "2024-02-05", "2024-02-06")

        assert 0 < caught.value.retry_in <= 30
        assert before == sandbox.answered


@pytest.mark.parametrize("old", [False, True], ids=["fresh", "old"])
def test_cached_names_are_used_while_the_breaker_of_the_reference_api_is_open(
    make_client: MakeClient, tmp_path: Path, old: bool
) -> None:
    with Sandbox(limits=False) as sandbox:
        names = make_client(sandbox, cache_dir=tmp_path)
        expected = names.resolve(TTF)
        breaker = names.session.breakers["reference"]
        for number in range(breaker.threshold):
            breaker.record_failure(number, "503")
        assert breaker.retry_in() > 0
        before = sandbox.answered
        if old:
            names.catalogue._store.expire(0.0)
        warned = pytest.warns(TrayportWarning, match="cannot be renewed now .*so stale ones are used")
        with warned if old else nullcontext():
            assert expected == names.resolve(TTF)

        assert before == sandbox.answered
        frame = names.trades(TTF, "2024-02-05", "2024-02-06")  # the other API has a breaker of its own
        assert len(frame) > 0


WITHOUT_BROTLI = """
import sys
sys.modules["brotli"] = sys.modules["brotlicffi"] = None
import trayport as tp
print(len(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")))
"""


def test_gzip_is_accepted_first_without_brotli(sandbox: Sandbox, tmp_path: Path) -> None:
    with Wire(http(200, gzip.compress(b"[]"), Content_Encoding="gzip")) as wire:
        settings = environment(sandbox, tmp_path, analytics_url=wire.url, limiter="off")

        assert "0\n" == printed(WITHOUT_BROTLI, tmp_path, settings)
        assert "Accept-Encoding: gzip, deflate\r\n" in f"{wire.heads[0]}\r\n"
