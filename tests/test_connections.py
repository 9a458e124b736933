"""Connections: kept, replaced, bounded in time and in size, shared by threads, left alone by forks, and ended."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import re
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import brotli
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
    PartialDataError,
    TimedOut,
    TransportError,
    TrayportWarning,
)
from trayport.endpoints import TRADES, Request
from trayport.sandbox import Fault, Sandbox
from trayport.transport import Session

TTF = "TTF Apr-24"


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Does it come true, if one waits?"""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return true


def threads() -> list[str]:
    """The threads of ours, but for the sandbox's."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("trayport_")]


# --- kept --------------------------------------------------------------------------------------------------------


def test_at_least_98_of_100_requests_go_over_a_connection_that_is_there(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox:
        client = make_client(sandbox)
        client.resolve(TTF)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda minute: client.last_trade(TTF, at=f"2024-02-05T{minute:%H:%M}"), MINUTES))
        opened, requests = sandbox.connections[0], len(sandbox.asked)

    assert requests > 500
    assert opened <= client.config.workers
    assert 1 - opened / requests >= 0.98


MINUTES = pd.date_range("2024-02-05T08:00", periods=500, freq="1min")


def test_what_the_server_hung_up_on_meanwhile_is_replaced_without_an_error(bench: MakeBench) -> None:
    made = bench(http(200, b"[1]"), workers=4)
    barrier = threading.Barrier(4)

    def together(connection: socket.socket, head: str) -> None:
        barrier.wait(10)
        connection.sendall(http(200, b"[1]"))

    made.wire.responses.appendleft(together)
    made.wire.responses.extendleft([together] * 3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: made.send(), range(4)))
    assert 4 == made.wire.connections
    for connection in list(made.wire._open):
        connection.shutdown(socket.SHUT_RDWR)
    time.sleep(0.05)

    with ThreadPoolExecutor(4) as pool:
        assert [b"[1]"] * 4 == list(pool.map(lambda _: made.send(), range(4)))
    assert ([], 8) == (made.clock.waits, len(made.wire.heads))


def test_one_that_ends_just_when_it_is_used_is_replaced_by_another_attempt(bench: MakeBench) -> None:
    def hang_up(connection: socket.socket, head: str) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    made = bench(http(200, b"[1]"), hang_up, http(200, b"[2]"))

    assert [b"[1]", b"[2]"] == [made.send(), made.send()]
    assert (2, 3) == (made.wire.connections, len(made.wire.heads))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells in /proc which timers a socket has")
def test_an_idle_connection_is_looked_after_by_the_system(bench: MakeBench) -> None:
    made = bench(http(200, b"[1]"))
    made.send()
    port = f":{int(made.wire.url.rpartition(':')[2]):04X}"

    def timers() -> list[str]:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = [line for line in lines if line[3] == "01"]  # others are left over from earlier users of the port
        return [line[5][:2] for line in established if line[2].endswith(port)]

    assert soon(lambda: timers() == ["02"])  # keep-alive


# --- bounded in time ---------------------------------------------------------------------------------------------


def test_a_read_timeout_is_always_set(bench: MakeBench) -> None:
    made = bench(hang(30), attempts=1, timeout=(5, 0.2))
    began = time.monotonic()
    with pytest.raises(TimedOut):
        made.send()

    assert time.monotonic() - began < 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others take more connections than they are told")
def test_a_connect_timeout_is_always_set() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        address = full.getsockname()
        for _ in range(4):  # nobody accepts them, and there is room for one
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(address)
        url = f"http://127.0.0.1:{address[1]}"
        config = Config(KEY, analytics_url=url, reference_url=url, limiter="off", attempts=1, timeout=(0.2, 60))
        began = time.monotonic()
        with pytest.raises(TimedOut, match="timed out"):
            Session(config).send(ASK)

        assert time.monotonic() - began < 10


def test_no_timeout_can_be_left_out() -> None:
    assert all(seconds > 0 for seconds in Config().timeout)


# --- bounded in size ---------------------------------------------------------------------------------------------


class TestSize:
    """``Config.max_body``: what an answer may be, once it is unpacked."""

    def bomb(self, encoding: str, size: int) -> bytes:
        """So many bytes of JSON, packed to very few."""
        body = b"[" + b" " * (size - 2) + b"]"
        pack = {"br": partial(brotli.compress, quality=5), "gzip": gzip.compress, "deflate": zlib.compress}
        return http(200, pack.get(encoding, bytes)(body), Content_Encoding=encoding)

    @pytest.mark.parametrize("encoding", ["br", "gzip", "deflate", "identity"])
    def test_more_than_that_is_refused_with_its_figure_and_how_to_raise_it(
        self, bench: MakeBench, encoding: str
    ) -> None:
        made = bench(self.bomb(encoding, 3_000_000), max_body=100_000)
        with pytest.raises(TransportError) as caught:
            made.send()

        said = str(caught.value)
        assert (TransportError, 1) == (type(caught.value), len(made.wire.heads))  # it would be as large again
        assert "max_body=100,000 is the limit in bytes" in said
        assert "times the" in said
        for _ in range(5):  # who does as it says, arrives
            raised = int(re.findall(r"max_body=([\d_]+)", said)[-1].replace("_", ""))
            more = bench(self.bomb(encoding, 3_000_000), max_body=raised)
            try:
                assert 3_000_000 == len(more.send())
                break
            except TransportError as error:
                said = str(error)
        else:
            raise AssertionError(said)

    @pytest.mark.parametrize("encoding", ["br", "gzip", "deflate"])
    def test_no_more_is_unpacked_than_tells_that_it_is_too_much(self, bench: MakeBench, encoding: str) -> None:
        made = bench(self.bomb(encoding, 200_000_000), max_body=1_000_000)
        with pytest.raises(TransportError, match="the body decompresses to more than") as caught:
            made.send()

        figure = int(str(caught.value).partition("more than ")[2].partition(" bytes")[0].replace(",", ""))
        assert figure <= 1_000_000 + 2**20

    def test_what_packs_too_well_is_refused_from_a_sixteenth_on(self, bench: MakeBench) -> None:
        large, small = self.bomb("br", 200_000), self.bomb("br", 50_000)
        made = bench(large, max_body=1_600_000)
        with pytest.raises(TransportError, match="bytes received.*of 100,000 bytes and more .* at most 200 times"):
            made.send()
        fine = bench(small, max_body=1_600_000)

        assert 50_000 == len(fine.send())

    def test_an_answer_of_the_usual_kind_may_fill_it(self, bench: MakeBench) -> None:
        row = b'{"tradeId":"%d","price":%d.%d,"quantity":%d}'
        body = b"[" + b",".join(row % (i, i % 83, i * 7919 % 1000, i % 7) for i in range(20_000)) + b"]"
        made = bench(http(200, brotli.compress(body, quality=5), Content_Encoding="br"), max_body=len(body))
        assert body == made.send()

        less = bench(http(200, brotli.compress(body, quality=5), Content_Encoding="br"), max_body=len(body) - 1)
        with pytest.raises(TransportError, match="max_body"):
            less.send()

    def test_an_error_is_read_no_further_than_it_is_shown(self, bench: MakeBench) -> None:
        made = bench(self.bomb("gzip", 100_000_000).replace(b"200 X", b"400 X"), max_body=1_000)
        with pytest.raises(Exception, match="400 Bad Request"):
            made.send()

    def test_a_piece_that_is_too_large_is_named_and_the_others_arrive(self, make_client: MakeClient) -> None:
        question = (TTF, "2023-06-01", "2024-02-10")
        with Sandbox(limits=False) as sandbox:
            sizes: list[int] = []
            make_client(sandbox, hooks=[lambda event: sizes.append(event.bytes_decoded)], workers=1).trades(*question)
            most = sorted(sizes[-8:])[-1] - 1
            with pytest.raises(PartialDataError, match=f"max_body={most:,}") as caught:
                make_client(sandbox, max_body=most).trades(*question)

            assert 1 == len(caught.value.failures)
            assert len(caught.value.frame) > 0


@pytest.mark.parametrize(
    "body, csv",
    [(b'[{"a":1},', False), (b'[{"a":1}', False), (b"dealDate,price\r\n1,2", True)],
    ids=["json", "json-before-its-bracket", "csv"],
)
def test_an_answer_without_a_length_that_breaks_off_is_asked_again(bench: MakeBench, body: bytes, csv: bool) -> None:
    def unframed(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        connection.close()

    def whole(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + (b"a\r\n" if csv else b"[1] "))
        connection.close()

    made = bench(unframed, whole)
    made.send(Request(TRADES, csv=csv))

    assert 2 == len(made.wire.heads)


# --- shared ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{"limiter": "off"}, {"limiter": "memory", "per_second": 400, "per_minute": 9000}],
    ids=["off", "limits"],
)
def test_a_hundred_questions_at_once_from_a_hundred_threads(make_client: MakeClient, settings: dict[str, Any]) -> None:
    with Sandbox(limits=False) as sandbox:
        client = make_client(sandbox, **settings)
        moments = [f"2024-02-05T{minute:%H:%M}" for minute in MINUTES[:100]]
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


METHODS = [method for method in ("fork", "spawn", "forkserver") if method in multiprocessing.get_all_start_methods()]


@pytest.mark.parametrize("method", METHODS)
def test_a_question_is_mapped_over_processes(method: str, sandbox: Sandbox, cache_dir: Path, tmp_path: Path) -> None:
    script = (
        "import multiprocessing, trayport as tp\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "names = ['TTF Apr-24', 'EUA Dec-24', 'TTF May-24']\n"
        "if __name__ == '__main__':\n"
        "    here = [tp.last_trade(name)['price'].tolist() for name in names]\n"
        f"    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({method!r})) as pool:\n"
        "        print(here == [frame['price'].tolist() for frame in pool.map(tp.last_trade, names)], here)\n"
    )

    assert printed(script, tmp_path, environment(sandbox, cache_dir, limiter="off")).startswith("True [[")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_fork_in_the_middle_of_questions_harms_neither_side(
    sandbox: Sandbox, cache_dir: Path, tmp_path: Path
) -> None:
    # In a process of its own: what measures coverage holds a lock now and then, which a fork would never see freed.
    script = (
        "import os, trayport as tp\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def ask():\n"
        "    return len(tp.trades('TTF Apr-24', '2023-12-01', '2024-02-10'))\n"
        "whole = ask()\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    under_way = [pool.submit(ask) for _ in range(12)]\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if ask() == whole else 1)\n"
        "    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "    print(ended, {whole} == {each.result() for each in under_way})\n"
    )

    assert "0 True\n" == printed(script, tmp_path, environment(sandbox, cache_dir, limiter="off"))


# --- ended -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "with"])
def test_the_end_of_a_client_leaves_no_thread_and_no_socket(how: str, cache_dir: Path) -> None:
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

        assert soon(lambda: sandbox.connections[1] == 0)
        assert [] == threads()


def test_the_end_of_a_client_ends_what_waits_for_an_answer(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox, Relay(sandbox) as relay:
        first = "from=2023-06-01"
        relay.rule = lambda line, count: delayed(60.0) if "/trades" in line and first not in line else None
        client = make_client(sandbox, analytics_url=relay.url)
        pieces = client.stream.trades(TTF, "2023-06-01", "2024-02-10")
        next(pieces)
        assert soon(lambda: len(relay.trades()) > 2)
        pieces.close()
        client.close()

        assert soon(lambda: threads() == [])


def test_a_question_that_is_under_way_when_its_client_is_closed_says_so(make_client: MakeClient) -> None:
    with Sandbox(limits=False, faults=[Fault(path="/trades", times=None, delay=60.0)]) as sandbox:
        client = make_client(sandbox)
        client.resolve(TTF)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.trades, TTF, "2024-02-05", "2024-02-06")
            assert soon(lambda: threads() != [])
            time.sleep(0.2)
            client.close()
            with pytest.raises(TransportError, match="the client was closed") as caught:
                asked.result(10)

        assert caught.value.transient is False


def test_one_that_waits_to_ask_again_says_so_too(make_client: MakeClient) -> None:
    fault = Fault(path="/trades", times=None, status=503, headers={"Retry-After": "9"})
    with Sandbox(limits=False, faults=[fault]) as sandbox:
        client = make_client(sandbox)
        client.resolve(TTF)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.trades, TTF, "2024-02-05", "2024-02-06")
            assert soon(lambda: any(each.fault for each in sandbox.asked))
            time.sleep(0.1)
            client.close()
            with pytest.raises(TransportError, match="after 1 attempt: the client was closed"):
                asked.result(5)


# --- the breaker, from outside -----------------------------------------------------------------------------------


def fail_often(client: Client) -> None:
    """As many different requests as it takes."""
    for day in range(1, 6):
        with pytest.warns(TrayportWarning) if day == 5 else nullcontext(), pytest.raises(ConnectionFailed):
            client.trades(TTF, f"2024-02-{day:02d}", f"2024-02-{day + 1:02d}")


def test_while_an_api_is_left_alone_new_questions_are_told_when_to_ask_again(make_client: MakeClient) -> None:
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
def test_while_it_is_left_alone_what_is_known_of_names_keeps_answering(
    make_client: MakeClient, tmp_path: Path, old: bool
) -> None:
    with Sandbox(limits=False) as sandbox:
        names = make_client(sandbox, cache_dir=tmp_path)
        expected = names.resolve(TTF)
        breaker = names.session.breakers["reference"]
        for number in range(breaker.threshold):
            breaker.record_failure(number, "503")
        assert breaker.is_open
        before = sandbox.answered
        if old:
            names.catalogue._store.expire(0.0)
        told = pytest.warns(TrayportWarning, match="cannot be renewed now .*going on with the old ones")
        with told if old else nullcontext():
            assert expected == names.resolve(TTF)

        assert before == sandbox.answered
        frame = names.trades(TTF, "2024-02-05", "2024-02-06")  # the other API is another matter
        assert len(frame) > 0


WITHOUT_BROTLI = """
import sys
sys.modules["brotli"] = sys.modules["brotlicffi"] = None
import trayport as tp
print(len(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")))
"""


def test_without_a_decoder_for_brotli_gzip_is_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    with Wire(http(200, gzip.compress(b"[]"), Content_Encoding="gzip")) as wire:
        settings = environment(sandbox, tmp_path, analytics_url=wire.url, limiter="off")

        assert "0\n" == printed(WITHOUT_BROTLI, tmp_path, settings)
        assert "Accept-Encoding: gzip, deflate\r\n" in f"{wire.heads[0]}\r\n"
