"""What happens when pieces fail: nothing that arrived is lost, and nothing is asked twice."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.relay import Relay, Rule
from support.wire import Wire, hang, http

import trayport as tp
from conftest import MakeClient
from trayport import (
    CircuitOpen,
    Client,
    Config,
    ConfigError,
    ConnectionFailed,
    Interrupted,
    NotAllowed,
    PartialDataError,
    ServerError,
    TrayportError,
    TrayportWarning,
)
from trayport.sandbox import Fault, Sandbox

QUESTION: dict[str, Any] = {"contract": ["TTF Apr-24", "EUA Dec-24"], "start": "2023-11-01", "end": "2024-03-01"}

# Two requests, so that a partial result consists of the one frame that arrived.
HALF: dict[str, Any] = {"contract": "TTF Apr-24", "start": "2023-11-01", "end": "2023-12-20"}

# Two responses, the first of about 95,000 rows: 100,000 points is the most that one request may ask for.
BOOKS: dict[str, Any] = {
    "contract": "TTF Apr-24", "start": "2024-02-05T06:00", "end": "2024-02-06T09:47", "interval": "1s", "depth": 1,
}  # fmt: skip


@pytest.fixture
def relay(sandbox: Sandbox) -> Iterator[Relay]:
    with Relay(sandbox) as made:
        yield made


@pytest.fixture
def weak_client(relay: Relay, make_client: MakeClient, sandbox: Sandbox, cache_dir: Path) -> Client:
    """A client of the relay that tries everything once."""
    config = {"analytics_url": relay.url, "attempts": 1, "workers": 4}
    return make_client(sandbox, **config)


def breaks(*dates: str, status: int = 503) -> Rule:
    """Requests whose window starts on these dates fail."""
    return lambda line, count: http(status) if any(f"from={date}" in line for date in dates) else None


def test_what_fails_does_not_take_the_others_with_it(relay: Relay, weak_client: Client, client: Client) -> None:
    whole = client.trades(**QUESTION)
    relay.rule = breaks("2023-12-03")
    with pytest.raises(PartialDataError, match="2 requests failed for good") as caught:
        weak_client.trades(**QUESTION)

    partial = caught.value
    assert 8 == len(relay.trades())
    assert [("2023-12-03", "2024-01-04")] * 2 == [
        (f"{each.start:%Y-%m-%d}", f"{each.end:%Y-%m-%d}") for each in partial.failures
    ]
    assert [("TTF Hi Cal 51.6* Apr-24",), ("EUA* Dec-24",)] == [each.contracts for each in partial.failures]
    assert [ServerError, ServerError] == [type(each.error) for each in partial.failures]
    expected = whole[(whole.index < "2023-12-03") | (whole.index >= "2024-01-04")]
    pd.testing.assert_frame_equal(expected, partial.frame, check_flags=False)
    assert partial.frame.attrs["trayport"]["complete"] is False
    assert 2 == len(partial.frame.attrs["trayport"]["missing"])


def test_resuming_asks_for_what_is_missing_and_gives_the_whole_frame(
    relay: Relay, weak_client: Client, client: Client
) -> None:
    relay.rule = breaks("2023-12-03", "2024-02-05")
    with pytest.raises(PartialDataError) as caught:
        weak_client.trades(**QUESTION)

    relay.rule = breaks("2024-02-05")
    relay.asked.clear()
    with pytest.raises(PartialDataError) as again:
        caught.value.resume()
    assert (4, 2) == (len(relay.trades()), len(again.value.failures))

    relay.rule = breaks()
    relay.asked.clear()
    frame = again.value.resume()
    assert 2 == len(relay.trades())
    pd.testing.assert_frame_equal(client.trades(**QUESTION), frame)
    assert client.trades(**QUESTION).attrs == frame.attrs


def test_when_all_fail_the_frame_is_empty_and_resuming_still_works(
    relay: Relay, weak_client: Client, client: Client
) -> None:
    relay.rule = lambda line, count: http(500)
    with pytest.raises(PartialDataError) as caught:
        weak_client.trades("TTF Apr-24", "2023-12-01", "2024-02-01")

    assert (0, 2, "string") == (
        len(caught.value.frame),
        len(caught.value.failures),
        caught.value.frame["contract"].dtype,
    )
    relay.rule = breaks()
    pd.testing.assert_frame_equal(client.trades("TTF Apr-24", "2023-12-01", "2024-02-01"), caught.value.resume())


def test_a_question_of_one_request_raises_its_own_error(relay: Relay, weak_client: Client) -> None:
    relay.rule = breaks("2024-02-05")
    with pytest.raises(ServerError):
        weak_client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    with pytest.raises(ServerError):
        next(weak_client.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))


def test_an_answer_that_cannot_be_read_is_a_failure_like_others(relay: Relay, weak_client: Client) -> None:
    relay.rule = lambda line, count: http(200, b'{"oops":1}') if "from=2023-12-03" in line else None
    with pytest.raises(PartialDataError, match="cannot read the response at \\$"):
        weak_client.trades(**QUESTION)


@pytest.mark.parametrize("body", [b"no such key as %s", b"<html>%s</html>", b'[{"%s":', b'{"key":"%s"}'])
def test_an_answer_that_repeats_the_key_is_shown_without_it(relay: Relay, weak_client: Client, body: bytes) -> None:
    key = weak_client.config.require_key().reveal()
    relay.rule = lambda line, count: http(200, body % key.encode()) if "/trades" in line else None
    with pytest.raises(tp.DecodeError) as caught:
        weak_client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

    assert key not in f"{caught.value} {caught.value!r}"
    assert (b"html" in body) == ("HTML page" in str(caught.value))


def row(time: int, **more: Any) -> bytes:
    """An answer of one trade."""
    cells = {"tradeId": "x", "venueCode": "ICE", "price": 1, "quantity": 1, "aggressorBuy": True}
    return json.dumps([{"dealDate": time, **cells, **more}]).encode()


@pytest.mark.parametrize(
    "body, match",
    [
        (row(1), r"at \$\[0\].dealDate: 1970-01-01 .* is outside of the request for 2024-02-05"),
        (row(1707177601000000000), "is outside of the request"),
        (row(-(2**63)), "is outside of the request"),  # which numpy takes for "not a time"
    ],
)
def test_a_trade_that_was_not_asked_for_is_an_error(relay: Relay, weak_client: Client, body: bytes, match: str) -> None:
    relay.rule = lambda line, count: http(200, body) if "/trades" in line else None
    with pytest.raises(tp.DecodeError, match=match):
        weak_client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")


def test_a_contract_that_was_not_asked_for_is_an_error(relay: Relay, weak_client: Client) -> None:
    contract = {"contractType": "SinglePeriod", "sequenceId": 10000305, "sequenceItemId": 999}
    body = row(1707123601000000000, contract=contract)
    relay.rule = lambda line, count: http(200, body) if "/trades" in line else None
    with pytest.raises(tp.DecodeError, match=r"at \$\[0\].contract: .*999.* was not requested"):
        weak_client.trades(["TTF Apr-24", "TTF May-24"], "2024-02-05", "2024-02-06")


def test_a_key_that_is_refused_is_not_tried_on_every_piece(relay: Relay, weak_client: Client) -> None:
    relay.rule = lambda line, count: http(401) if "/trades" in line else None
    with pytest.raises(PartialDataError) as caught:
        weak_client.trades("TTF Apr-24", "2015-01-01", "2024-02-01")

    assert len(relay.trades()) < 12
    assert 104 == len(caught.value.failures)
    assert {NotAllowed} == {type(each.error) for each in caught.value.failures}


def test_a_product_that_the_key_may_not_see_is_asked_for_once_and_the_others_still_arrive(
    relay: Relay, weak_client: Client, client: Client
) -> None:
    relay.rule = lambda line, count: http(403) if "marketId=10000065" in line else None
    with pytest.raises(PartialDataError, match="403") as caught:
        weak_client.trades(["TTF Apr-24", "EUA Dec-24"], "2020-01-01", "2024-02-01")

    assert {("TTF Hi Cal 51.6* Apr-24",)} == {each.contracts for each in caught.value.failures}
    assert sum("marketId=10000065" in line for line in relay.trades()) < 12
    pd.testing.assert_frame_equal(
        client.trades("EUA Dec-24", "2020-01-01", "2024-02-01"), caught.value.frame, check_flags=False
    )


@pytest.mark.parametrize("question", [QUESTION, HALF], ids=["several-frames", "one-frame"])
def test_edits_of_a_partial_frame_do_not_show_up_in_the_resumed_frame(
    question: dict[str, Any], relay: Relay, weak_client: Client, client: Client
) -> None:
    relay.rule = breaks("2023-12-03")
    with pytest.raises(PartialDataError) as caught:
        weak_client.trades(**question)
    caught.value.frame["price"] *= 0
    del caught.value.frame["venue_code"]
    relay.rule = breaks()

    pd.testing.assert_frame_equal(client.trades(**question), caught.value.resume())


def test_resuming_takes_what_has_been_configured_meanwhile(relay: Relay, weak_client: Client, client: Client) -> None:
    relay.rule = lambda line, count: http(401)
    with default(weak_client), pytest.raises(PartialDataError) as caught:
        tp.trades(**QUESTION)
    relay.rule = breaks()
    relay.asked.clear()
    with default(client):
        frame = caught.value.resume()

    assert [] == relay.trades()
    pd.testing.assert_frame_equal(client.trades(**QUESTION), frame)


class TestAnApiThatKeepsFailing:
    """It is left alone, and what was not asked for says so."""

    @pytest.fixture
    def impatient(self, relay: Relay, make_client: MakeClient, sandbox: Sandbox) -> Client:
        """A client that waits for nothing, and has found the API failing."""
        made = make_client(sandbox, analytics_url=relay.url, attempts=1, workers=2, retry_budget=0.1, progress=False)
        relay.rule = lambda line, count: http(503)
        opened = pytest.warns(TrayportWarning, match="503 Service Unavailable; the API keeps failing")
        with opened as told, pytest.raises(PartialDataError) as caught:
            made.trades("TTF Apr-24", "2015-01-01", "2024-02-01")
        assert (1, 104) == (len(told), len(caught.value.failures))
        assert {ServerError, CircuitOpen} == {type(each.error) for each in caught.value.failures}
        assert len(relay.trades()) <= 5 + 1
        self.partial = caught.value
        relay.rule = breaks()
        relay.asked.clear()
        return made

    def test_a_question_of_several_requests_says_so_for_each(self, impatient: Client, relay: Relay) -> None:
        for ask in (
            self.partial.resume,
            lambda: impatient.trades(**QUESTION),
            lambda: next(impatient.stream.trades(**QUESTION)),
        ):
            with pytest.raises(PartialDataError, match="trades: 503 .*ask again in") as caught:
                ask()
            assert {CircuitOpen} == {type(each.error) for each in caught.value.failures}
        assert [] == relay.trades()

    def test_a_question_of_one_request_says_so_itself(self, impatient: Client, relay: Relay) -> None:
        with pytest.raises(CircuitOpen, match="503 Service Unavailable") as caught:
            impatient.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

        assert 0 < caught.value.retry_in <= 30
        assert [] == relay.trades()


def test_a_missing_key_is_said_before_anything_is_sent(make_client: MakeClient, sandbox: Sandbox) -> None:
    client = make_client(sandbox)
    client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    keyless = make_client(sandbox, api_key=None)
    for ask in (keyless.trades, lambda *args: next(keyless.stream.trades(*args))):
        with pytest.raises(ConfigError, match="no API key"):
            ask("TTF Apr-24", "2024-01-01", "2024-03-01")


def test_an_error_travels_and_resumes_on_the_default_client(relay: Relay, weak_client: Client, client: Client) -> None:
    relay.rule = breaks("2023-12-03")
    with pytest.raises(PartialDataError) as caught:
        weak_client.trades(**QUESTION)
    sent = pickle.dumps(caught.value)
    assert weak_client.config.require_key().reveal().encode() not in sent

    arrived = pickle.loads(sent)
    assert str(caught.value) == str(arrived)
    with default(client):
        pd.testing.assert_frame_equal(client.trades(**QUESTION), arrived.resume())


@contextmanager
def default(client: Client) -> Iterator[None]:
    """The default client with another's settings, for a while."""
    from trayport.api import DEFAULT

    with DEFAULT.temporarily_configured():
        tp.configure(config=client.config)
        yield


def damage_temporary_files() -> None:
    """Cut all temporary files without a name to nothing, as a failing disk would."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if f"{descriptor.readlink()}".startswith(tempfile.gettempdir()) and not descriptor.stat().st_nlink:
                os.truncate(descriptor, 0)


class TestStreams:
    """A stream that breaks off."""

    def test_the_error_comes_in_the_place_of_the_piece_and_resumes_from_there(
        self, relay: Relay, weak_client: Client, client: Client
    ) -> None:
        relay.rule = breaks("2024-01-04")
        stream = weak_client.stream.trades(**QUESTION)
        before = list(itertools.islice(stream, 4))
        with pytest.raises(PartialDataError) as caught:
            next(stream)

        assert 0 == len(caught.value.frame)
        assert [("2024-01-04", "TTF Hi Cal 51.6* Apr-24")] == [
            (f"{each.start:%Y-%m-%d}", each.contracts[0]) for each in caught.value.failures
        ]
        relay.rule = breaks()
        after = list(caught.value.resume())
        assert (4, 4) == (len(before), len(after))
        pd.testing.assert_frame_equal(pd.concat(list(client.stream.trades(**QUESTION))), pd.concat([*before, *after]))

    def test_no_more_pieces_are_fetched_than_there_are_workers(self, relay: Relay, weak_client: Client) -> None:
        stream = weak_client.stream.trades("TTF Apr-24", "2022-01-01", "2024-03-01")
        next(stream)
        time.sleep(0.5)

        assert len(relay.trades()) <= 1 + 4
        stream.close()  # type: ignore[attr-defined]

    @pytest.fixture
    def in_order(self, make_client: MakeClient) -> Iterator[Client]:
        """A client of a sandbox whose rows come by time: others come in one frame."""
        with Sandbox(limits=False) as sandbox:
            yield make_client(sandbox, workers=64)  # with so many, all but 250 kB of a response waits on disk

    def test_a_long_answer_comes_in_several_frames_cut_between_two_times(self, in_order: Client) -> None:
        frames = list(in_order.stream.order_book(**BOOKS))

        assert 2 == len(in_order.plan.order_book(**BOOKS)) < len(frames)
        assert all(before.index[-1] < after.index[0] for before, after in itertools.pairwise(frames))
        assert max(map(len, frames)) < 2**17
        pd.testing.assert_frame_equal(in_order.order_book(**BOOKS), pd.concat(frames))

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are found in /proc")
    def test_a_stream_that_fails_within_a_long_response_resumes_after_the_last_frame(self, in_order: Client) -> None:
        stream = in_order.stream.order_book(**BOOKS)
        before = [next(stream)]
        damage_temporary_files()
        with pytest.raises(PartialDataError, match="shorter than what was written") as caught:
            before.extend(stream)
        rest = list(caught.value.resume())

        whole = in_order.order_book(**BOOKS)
        pd.testing.assert_frame_equal(whole, pd.concat(before + rest))

    def test_a_stream_that_is_dropped_leaves_no_thread_behind(self, relay: Relay, weak_client: Client) -> None:
        stream = weak_client.stream.trades("TTF Apr-24", "2022-01-01", "2024-03-01")
        next(stream)
        del stream
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(t.name.startswith("trayport_") for t in threading.enumerate()):
            time.sleep(0.02)

        assert [] == [t.name for t in threading.enumerate() if t.name.startswith("trayport_")]

    def test_a_wrong_question_is_refused_at_once_and_a_right_one_asks_when_taken(
        self, client: Client, asked: Callable[[], list[Any]]
    ) -> None:
        with pytest.raises(TrayportError):
            client.stream.trades("nonsense", "2024-01-01", "2024-01-02")
        client.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

        assert [] == asked()


INTERRUPT = """
import sys, pandas as pd, trayport as tp
from trayport.sandbox import Sandbox

with Sandbox(limits=False) as sandbox:
    url, cache, mode = sys.argv[1:]
    config = tp.Config(analytics_url=url, reference_url=sandbox.reference_url, api_key=sandbox.key, limiter="off",
                       cache_dir=cache, workers=2, progress=False)
    client = tp.Client(config=config)
    taken = []
    ask = client.trades if mode != "stream" else lambda *args: [taken.append(f) for f in client.stream.trades(*args)]
    start = "2023-11-01" if mode != "one" else "2024-02-28"
    try:
        ask("TTF Apr-24", start, "2024-03-01")
    except KeyboardInterrupt as error:
        print(type(error).__name__, len(error.frame) > 0, len(error.failures), error.failures[0].error, flush=True)
        resumed = error.resume()
        whole = pd.concat([*taken, *resumed]) if mode == "stream" else resumed
        print(len(taken), whole.equals(client.trades("TTF Apr-24", start, "2024-03-01")), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
@pytest.mark.parametrize(
    "mode, expected",
    [
        ("all", ["Interrupted True 2 interrupted before it arrived", "0 True"]),
        ("one", ["Interrupted False 1 interrupted before it arrived", "0 True"]),
        ("stream", ["Interrupted False 2 interrupted before it arrived", "2 True"]),
    ],
)
def test_ctrl_c_keeps_what_arrived_and_can_be_resumed(
    relay: Relay, cache_dir: Path, mode: str, expected: list[str]
) -> None:
    waiting = threading.Event()

    def stall(line: str, count: int) -> bytes | None:
        late = any(f"from={day}" in line for day in ("2024-01-04", "2024-02-05", "2024-02-28"))
        if late and not waiting.is_set():
            waiting.set()
            time.sleep(1.0)
            return http(500)
        return None

    # Two pieces arrive, and the third hangs; the fourth is not asked for while the lock of the rule is held.
    relay.rule = stall
    command = [sys.executable, "-c", INTERRUPT, relay.url, str(cache_dir), mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert waiting.wait(30)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert expected == output.splitlines()


LOOK_UP = """
import sys, trayport as tp
config = tp.Config("key", analytics_url=sys.argv[1], reference_url=sys.argv[1], limiter="off", cache_dir=sys.argv[2])
try:
    tp.Client(config=config).resolve("TTF Apr-24")
except KeyboardInterrupt as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_ctrl_c_ends_a_look_up_at_once(tmp_path: Path) -> None:
    with Wire(hang(30)) as wire:
        command = [sys.executable, "-c", LOOK_UP, wire.url, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 20
            while not wire.heads and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            assert "KeyboardInterrupt\n" == process.stdout.readline()
            assert time.monotonic() < deadline
            process.kill()  # at its end, Python waits for the thread that the server keeps waiting


def test_an_interruption_is_no_error_of_ours() -> None:
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, TrayportError)


def test_a_bar_is_shown_for_several_requests_and_says_what_came(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    # Long enough that the bar, which waits half a second before it shows, is seen.
    with Sandbox(limits=False, faults=[Fault(path="/trades", times=None, delay=0.15)]) as slow:
        make_client(slow, progress=True, workers=2).trades("TTF Apr-24", "2022-10-01", "2024-02-01")
    text = capsys.readouterr().err

    assert "trades:" in text
    assert "/16" in text
    assert "TTF Hi Cal 51.6* Apr-24, 2024-01-24 to 2024-02-01" in text


@pytest.mark.parametrize("progress", ["auto", False])
def test_no_bar_is_shown_where_nobody_looks(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str], progress: Any
) -> None:
    make_client(progress=progress).trades("TTF Apr-24", "2023-10-01", "2024-02-01")

    assert "" == capsys.readouterr().err


def test_a_dead_host_is_a_failed_connection_for_each_piece(make_client: MakeClient, cache_dir: Path) -> None:
    dead = make_client(analytics_url="http://127.0.0.1:9", attempts=1)
    with pytest.raises(PartialDataError) as caught:
        dead.trades("TTF Apr-24", "2023-10-01", "2024-02-01")

    kinds = {type(each.error) for each in caught.value.failures}
    assert ConnectionFailed in kinds


def test_pieces_are_asked_side_by_side(sandbox: Sandbox, cache_dir: Path) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def slow(connection: Any, head: str) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.1)
        with lock:
            under_way -= 1
        connection.sendall(http(200, b"[]"))

    with Wire(slow) as wire:
        config = Config(
            **{**sandbox.settings, "analytics_url": wire.url}, limiter="off", cache_dir=cache_dir, workers=5
        )
        with Client(config=config) as client:
            client.trades("TTF Apr-24", "2022-01-01", "2024-02-01")

    assert 5 == most
