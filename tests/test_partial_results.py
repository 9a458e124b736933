"""Queries of which requests fail: no row that arrived is lost, and no request is made twice."""

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
from support.relay import Relay, Reply, Rule
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
from trayport.api import DEFAULT
from trayport.sandbox import Sandbox

QUERY: dict[str, Any] = {"contract": ["TTF Apr-24", "NBP Sum-24"], "start": "2023-11-01", "end": "2024-03-01"}
"""Eight requests: four windows for each of two products."""

TWO_REQUESTS: dict[str, Any] = {"contract": "TTF Apr-24", "start": "2023-11-01", "end": "2023-12-20"}
"""With one of them failed, the partial result is the one frame that arrived."""

BOOKS: dict[str, Any] = {
    "contract": "TTF Apr-24", "start": "2024-02-05T06:00", "end": "2024-02-06T09:47", "interval": "1s", "depth": 1,
}  # fmt: skip
"""Two requests, the first of about 95,000 rows: 100,000 points is the most that one request may ask for."""

posix = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")

Replies = dict[tuple[str, str], Reply]


@pytest.fixture(scope="module")
def replies() -> Replies:
    """Return the responses of the sandbox, which the relays of this module share."""
    return {}


@pytest.fixture
def relay(sandbox: Sandbox, replies: Replies) -> Iterator[Relay]:
    with Relay(sandbox, replies) as made:
        yield made


@pytest.fixture
def one_attempt(relay: Relay, make_client: MakeClient, sandbox: Sandbox) -> Client:
    """Return a client of the relay that makes one attempt at each request."""
    return make_client(sandbox, analytics_url=relay.url, attempts=1, workers=4)


@pytest.fixture(scope="module")
def client(sandbox: Sandbox, replies: Replies, cache_dir: Path) -> Iterator[Client]:
    """Start a client without failures, for the expected frames."""
    with Relay(sandbox, replies) as relay:
        settings = {**sandbox.settings, "analytics_url": relay.url}
        with Client(config=Config(limiter="off", cache_dir=cache_dir, **settings)) as made:
            yield made


@contextmanager
def default_client_like(client: Client) -> Iterator[None]:
    """Configure the default client as another one."""
    with DEFAULT.temporarily_configured():
        tp.configure(config=client.config)
        yield


def fails(*dates: str, status: int = 503) -> Rule:
    """Return a rule by which requests fail if their window starts on one of these dates."""
    return lambda line, count: http(status) if any(f"from={date}" in line for date in dates) else None


def windows(error: PartialDataError) -> list[tuple[str, str]]:
    return [(f"{each.start:%Y-%m-%d}", f"{each.end:%Y-%m-%d}") for each in error.failures]


def test_failed_requests_leave_the_rows_of_all_others(relay: Relay, one_attempt: Client, client: Client) -> None:
    whole = client.trades(**QUERY)
    relay.rule = fails("2023-12-03")
    with pytest.raises(PartialDataError, match="2 requests failed for good") as caught:
        one_attempt.trades(**QUERY)

    partial = caught.value
    assert 8 == len(relay.trades())
    assert [("2023-12-03", "2024-01-04")] * 2 == windows(partial)
    assert [("TTF Hi Cal 51.6* Apr-24",), ("NBP Sum-24",)] == [each.contracts for each in partial.failures]
    assert [ServerError, ServerError] == [type(each.error) for each in partial.failures]
    expected = whole[(whole.index < "2023-12-03") | (whole.index >= "2024-01-04")]
    pd.testing.assert_frame_equal(expected, partial.frame, check_flags=False)
    assert partial.frame.attrs["trayport"]["complete"] is False
    assert [
        {"start": "2023-12-03T00:00:00+00:00", "end": "2024-01-04T00:00:00+00:00", "contract": [name]}
        for name in ("TTF Hi Cal 51.6* Apr-24", "NBP Sum-24")
    ] == partial.frame.attrs["trayport"]["missing"]


def test_failures_have_their_times_as_timestamps_and_print_them_in_iso_8601(relay: Relay, one_attempt: Client) -> None:
    relay.rule = fails("2023-12-03")
    with pytest.raises(PartialDataError) as caught:
        one_attempt.trades(**TWO_REQUESTS)
    (failure,) = caught.value.failures

    assert pd.Timestamp("2023-12-03", tz="UTC") == failure.start
    assert pd.Timestamp("2023-12-20", tz="UTC") == failure.end
    assert f"{failure}".startswith(
        "TTF Hi Cal 51.6* Apr-24, 2023-12-03T00:00:00+00:00 to 2023-12-20T00:00:00+00:00: trades: 503"
    )


def test_resuming_requests_the_missing_pieces_and_returns_the_whole_frame(
    relay: Relay, one_attempt: Client, client: Client
) -> None:
    relay.rule = fails("2023-12-03", "2024-02-05")
    with pytest.raises(PartialDataError) as caught:
        one_attempt.trades(**QUERY)

    relay.rule = fails("2024-02-05")
    relay.lines.clear()
    with pytest.raises(PartialDataError) as again:
        caught.value.resume()
    assert (4, 2) == (len(relay.trades()), len(again.value.failures))

    relay.rule = fails()
    relay.lines.clear()
    frame = again.value.resume()
    assert 2 == len(relay.trades())
    expected = client.trades(**QUERY)
    pd.testing.assert_frame_equal(expected, frame)
    assert expected.attrs == frame.attrs


def test_an_empty_partial_result_can_be_resumed(relay: Relay, one_attempt: Client, client: Client) -> None:
    relay.rule = lambda line, count: http(500)
    with pytest.raises(PartialDataError) as caught:
        one_attempt.trades(**TWO_REQUESTS)

    frame = caught.value.frame
    assert (0, 2, "string") == (len(frame), len(caught.value.failures), frame["contract"].dtype)
    relay.rule = fails()
    pd.testing.assert_frame_equal(client.trades(**TWO_REQUESTS), caught.value.resume())


def test_a_query_of_one_request_raises_its_own_error(relay: Relay, one_attempt: Client) -> None:
    relay.rule = fails("2024-02-05")
    with pytest.raises(ServerError):
        one_attempt.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    with pytest.raises(ServerError):
        next(one_attempt.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))


def test_a_response_that_cannot_be_decoded_is_a_failure_of_its_piece(relay: Relay, one_attempt: Client) -> None:
    relay.rule = lambda line, count: http(200, b'{"oops":1}') if "from=2023-12-03" in line else None
    with pytest.raises(PartialDataError, match="cannot read the response at \\$"):
        one_attempt.trades(**QUERY)


@pytest.mark.parametrize("body", [b"no such key as %s", b"<html>%s</html>", b'[{"%s":', b'{"key":"%s"}'])
def test_a_response_that_contains_the_key_is_quoted_without_it(relay: Relay, one_attempt: Client, body: bytes) -> None:
    key = one_attempt.config.require_key().reveal()
    relay.rule = lambda line, count: http(200, body % key.encode()) if "/trades" in line else None
    with pytest.raises(tp.DecodeError) as caught:
        one_attempt.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

    assert key not in f"{caught.value} {caught.value!r}"
    assert (b"html" in body) == ("HTML page" in str(caught.value))


def response(time: int, **more: Any) -> bytes:
    """Return a response of one trade."""
    cells = {"tradeId": "x", "venueCode": "ICE", "price": 1, "quantity": 1, "aggressorBuy": True}
    return json.dumps([{"dealDate": time, **cells, **more}]).encode()


@pytest.mark.parametrize(
    "body, match",
    [
        (response(1), r"at \$\[0\].dealDate: 1970-01-01 .* is outside of the request for 2024-02-05"),
        (response(1707177601000000000), "is outside of the request"),
        (response(-(2**63)), "is outside of the request"),  # numpy reads this number as "not a time"
    ],
)
def test_a_trade_outside_of_the_window_is_an_error(relay: Relay, one_attempt: Client, body: bytes, match: str) -> None:
    relay.rule = lambda line, count: http(200, body) if "/trades" in line else None
    with pytest.raises(tp.DecodeError, match=match):
        one_attempt.trades("TTF Apr-24", "2024-02-05", "2024-02-06")


def test_a_contract_that_was_not_requested_is_an_error(relay: Relay, one_attempt: Client) -> None:
    contract = {"contractType": "SinglePeriod", "sequenceId": 10000305, "sequenceItemId": 999}
    body = response(1707123601000000000, contract=contract)
    relay.rule = lambda line, count: http(200, body) if "/trades" in line else None
    with pytest.raises(tp.DecodeError, match=r"at \$\[0\].contract: .*999.* was not requested"):
        one_attempt.trades(["TTF Apr-24", "TTF May-24"], "2024-02-05", "2024-02-06")


def test_a_key_that_is_refused_is_not_tried_on_every_piece(relay: Relay, one_attempt: Client) -> None:
    relay.rule = lambda line, count: http(401) if "/trades" in line else None
    with pytest.raises(PartialDataError) as caught:
        one_attempt.trades("TTF Apr-24", "2015-01-01", "2024-02-01")

    assert len(relay.trades()) < 12
    assert 104 == len(caught.value.failures)
    assert {NotAllowed} == {type(each.error) for each in caught.value.failures}


def test_a_product_without_entitlement_is_requested_once_and_the_others_arrive(
    relay: Relay, one_attempt: Client, client: Client
) -> None:
    window = "2022-06-01", "2024-02-01"
    relay.rule = lambda line, count: http(403) if "marketId=10000065" in line else None
    with pytest.raises(PartialDataError, match="403") as caught:
        one_attempt.trades(["TTF Apr-24", "NBP Sum-24"], *window)

    assert {("TTF Hi Cal 51.6* Apr-24",)} == {each.contracts for each in caught.value.failures}
    assert 20 == len(caught.value.failures)
    assert sum("marketId=10000065" in line for line in relay.trades()) < 12
    expected = client.trades("NBP Sum-24", *window)
    assert len(expected) > 100
    pd.testing.assert_frame_equal(expected, caught.value.frame, check_flags=False)


@pytest.mark.parametrize("query", [QUERY, TWO_REQUESTS], ids=["several-frames", "one-frame"])
def test_edits_of_a_partial_frame_do_not_show_up_in_the_resumed_frame(
    query: dict[str, Any], relay: Relay, one_attempt: Client, client: Client
) -> None:
    relay.rule = fails("2023-12-03")
    with pytest.raises(PartialDataError) as caught:
        one_attempt.trades(**query)
    caught.value.frame["price"] *= 0
    del caught.value.frame["venue_code"]
    relay.rule = fails()

    pd.testing.assert_frame_equal(client.trades(**query), caught.value.resume())


def test_resuming_uses_the_present_configuration(relay: Relay, one_attempt: Client, client: Client) -> None:
    relay.rule = lambda line, count: http(401)
    with default_client_like(one_attempt), pytest.raises(PartialDataError) as caught:
        tp.trades(**QUERY)
    relay.rule = fails()
    relay.lines.clear()
    with default_client_like(client):
        frame = caught.value.resume()

    assert [] == relay.trades()
    pd.testing.assert_frame_equal(client.trades(**QUERY), frame)


class TestAnApiThatKeepsFailing:
    """The circuit breaker opens, and no more requests are made."""

    @pytest.fixture
    def open_circuit(self, relay: Relay, make_client: MakeClient, sandbox: Sandbox) -> Client:
        """Return a client with a retry budget of 0.1 s and an open breaker."""
        made = make_client(sandbox, analytics_url=relay.url, attempts=1, workers=2, retry_budget=0.1, progress=False)
        relay.rule = lambda line, count: http(503)
        opened = pytest.warns(TrayportWarning, match="503 Service Unavailable; the API keeps failing")
        with opened as warnings, pytest.raises(PartialDataError) as caught:
            made.trades("TTF Apr-24", "2015-01-01", "2024-02-01")
        assert (1, 104) == (len(warnings), len(caught.value.failures))
        assert {ServerError, CircuitOpen} == {type(each.error) for each in caught.value.failures}
        assert len(relay.trades()) <= 5 + 1
        self.partial = caught.value
        relay.rule = fails()
        relay.lines.clear()
        return made

    def test_each_piece_of_a_query_reports_it(self, open_circuit: Client, relay: Relay) -> None:
        for ask in (
            self.partial.resume,
            lambda: open_circuit.trades(**QUERY),
            lambda: next(open_circuit.stream.trades(**QUERY)),
        ):
            with pytest.raises(PartialDataError, match="trades: 503 .*ask again in") as caught:
                ask()
            assert {CircuitOpen} == {type(each.error) for each in caught.value.failures}
        assert [] == relay.trades()

    def test_a_query_of_one_request_raises_it(self, open_circuit: Client, relay: Relay) -> None:
        with pytest.raises(CircuitOpen, match="503 Service Unavailable") as caught:
            open_circuit.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

        assert 0 < caught.value.retry_in <= 30
        assert [] == relay.trades()


def test_a_missing_key_is_reported_before_a_request(make_client: MakeClient, sandbox: Sandbox) -> None:
    make_client(sandbox).resolve("TTF Apr-24")
    without_key = make_client(sandbox, api_key=None)
    for ask in (without_key.trades, lambda *args: next(without_key.stream.trades(*args))):
        with pytest.raises(ConfigError, match="no API key"):
            ask("TTF Apr-24", "2024-01-01", "2024-03-01")


def test_a_pickled_error_resumes_on_the_default_client(relay: Relay, one_attempt: Client, client: Client) -> None:
    relay.rule = fails("2023-12-03")
    with pytest.raises(PartialDataError) as caught:
        one_attempt.trades(**QUERY)
    pickled = pickle.dumps(caught.value)
    assert one_attempt.config.require_key().reveal().encode() not in pickled

    unpickled = pickle.loads(pickled)
    assert str(caught.value) == str(unpickled)
    with default_client_like(client):
        pd.testing.assert_frame_equal(client.trades(**QUERY), unpickled.resume())


def damage_temporary_files() -> None:
    """Cut all temporary files without a name to nothing, as a failing disk would."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if f"{descriptor.readlink()}".startswith(tempfile.gettempdir()) and not descriptor.stat().st_nlink:
                os.truncate(descriptor, 0)


@pytest.fixture(scope="module")
def books(cache_dir: Path) -> Iterator[tuple[Client, pd.DataFrame]]:
    """Start a client of a sandbox that sorts rows by time, which others send in one frame, and the whole frame."""
    with Sandbox(limits=False) as sandbox, Relay(sandbox) as relay:
        # With 64 workers, all but 250 kB of a response waits on disk.
        settings = {**sandbox.settings, "analytics_url": relay.url, "workers": 64}
        with Client(config=Config(limiter="off", cache_dir=cache_dir, **settings)) as client:
            yield client, client.order_book(**BOOKS)


class TestStreams:
    """Streams, and those that fail."""

    def test_the_error_takes_the_place_of_the_piece_and_resumes_from_there(
        self, relay: Relay, one_attempt: Client, client: Client
    ) -> None:
        relay.rule = fails("2024-01-04")
        stream = one_attempt.stream.trades(**QUERY)
        before = list(itertools.islice(stream, 4))
        with pytest.raises(PartialDataError) as caught:
            next(stream)

        assert 0 == len(caught.value.frame)
        assert [("2024-01-04", "2024-02-05")] == windows(caught.value)
        assert [("TTF Hi Cal 51.6* Apr-24",)] == [each.contracts for each in caught.value.failures]
        relay.rule = fails()
        after = list(caught.value.resume())
        assert (4, 4) == (len(before), len(after))
        pd.testing.assert_frame_equal(pd.concat(list(client.stream.trades(**QUERY))), pd.concat([*before, *after]))

    def test_at_most_one_piece_per_worker_is_fetched_ahead(self, relay: Relay, one_attempt: Client) -> None:
        relay.rule = lambda line, count: http(200, b"[]")
        stream = one_attempt.stream.trades("TTF Apr-24", "2022-01-01", "2024-03-01")
        next(stream)
        time.sleep(0.5)

        assert len(relay.trades()) <= 1 + 4
        stream.close()  # type: ignore[attr-defined]

    def test_a_long_response_comes_in_several_frames_cut_between_two_times(
        self, books: tuple[Client, pd.DataFrame]
    ) -> None:
        client, whole = books
        frames = list(client.stream.order_book(**BOOKS))

        assert 2 == len(client.plan.order_book(**BOOKS)) < len(frames)
        assert all(before.index[-1] < after.index[0] for before, after in itertools.pairwise(frames))
        assert max(map(len, frames)) < 2**17
        pd.testing.assert_frame_equal(whole, pd.concat(frames))

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are found in /proc")
    def test_a_stream_that_fails_within_a_long_response_resumes_after_the_last_frame(
        self, books: tuple[Client, pd.DataFrame]
    ) -> None:
        client, whole = books
        stream = client.stream.order_book(**BOOKS)
        before = [next(stream)]
        damage_temporary_files()
        with pytest.raises(PartialDataError, match="the file is shorter") as caught:
            before.extend(stream)
        rest = list(caught.value.resume())

        pd.testing.assert_frame_equal(whole, pd.concat(before + rest))

    def test_a_dropped_stream_leaves_no_thread_behind(self, relay: Relay, one_attempt: Client) -> None:
        relay.rule = lambda line, count: http(200, b"[]")
        stream = one_attempt.stream.trades("TTF Apr-24", "2022-01-01", "2024-03-01")
        next(stream)
        del stream
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(t.name.startswith("trayport_") for t in threading.enumerate()):
            time.sleep(0.02)

        assert [] == [t.name for t in threading.enumerate() if t.name.startswith("trayport_")]

    def test_a_wrong_query_is_refused_at_once_and_a_right_one_sends_nothing_before_it_is_read(
        self, relay: Relay, one_attempt: Client
    ) -> None:
        with pytest.raises(TrayportError):
            one_attempt.stream.trades("nonsense", "2024-01-01", "2024-01-02")
        one_attempt.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

        assert [] == relay.lines


INTERRUPT = """
import sys, pandas as pd, trayport as tp
analytics_url, reference_url, cache_dir, key = sys.argv[1:]
config = tp.Config(key, analytics_url=analytics_url, reference_url=reference_url, limiter="off",
                   cache_dir=cache_dir, workers=2, progress=False)
client = tp.Client(config=config)
for mode in map(str.strip, sys.stdin):
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


@posix
def test_ctrl_c_keeps_the_partial_result_which_can_be_resumed(
    relay: Relay, client: Client, sandbox: Sandbox, cache_dir: Path
) -> None:
    client.resolve("TTF Apr-24")  # the program finds its names in the cache
    waiting, interrupted = threading.Event(), threading.Event()

    def hang_until_interrupted(reply: Reply) -> bytes:
        waiting.set()
        interrupted.wait(30)
        return http(500)

    def stall(line: str, count: int) -> Callable[[Reply], bytes] | None:
        late = any(f"from={day}" in line for day in ("2024-01-04", "2024-02-05", "2024-02-28"))
        return hang_until_interrupted if late and not interrupted.is_set() else None

    # Two pieces arrive, and the others hang.
    relay.rule = stall
    arguments = [relay.url, sandbox.reference_url, str(cache_dir), sandbox.key]
    command = [sys.executable, "-c", INTERRUPT, *arguments]
    outputs = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for mode in ("all", "one", "stream"):
            waiting.clear()
            interrupted.clear()
            process.stdin.write(f"{mode}\n")
            process.stdin.flush()
            assert waiting.wait(30)
            time.sleep(1.0)  # for the two pieces that arrive
            process.send_signal(signal.SIGINT)
            failure = process.stdout.readline().strip()
            interrupted.set()
            outputs[mode] = [failure, process.stdout.readline().strip()]
        process.stdin.close()

    assert {
        "all": ["Interrupted True 2 interrupted before it arrived", "0 True"],
        "one": ["Interrupted False 1 interrupted before it arrived", "0 True"],
        "stream": ["Interrupted False 2 interrupted before it arrived", "2 True"],
    } == outputs


LOOK_UP = """
import sys, trayport as tp
config = tp.Config("key", analytics_url=sys.argv[1], reference_url=sys.argv[1], limiter="off", cache_dir=sys.argv[2])
try:
    tp.Client(config=config).resolve("TTF Apr-24")
except KeyboardInterrupt as error:
    print(type(error).__name__, flush=True)
"""


@posix
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
            process.kill()  # Python would wait for the thread whose server does not respond


def test_an_interruption_is_a_keyboard_interrupt_and_no_trayport_error() -> None:
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, TrayportError)


def late(seconds: float) -> Callable[[Any, str], None]:
    """Return an empty response that takes the given time."""

    def respond(connection: Any, head: str) -> None:
        time.sleep(seconds)
        connection.sendall(http(200, b"[]"))

    return respond


def test_a_progress_bar_shows_the_last_piece_of_several_requests(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with Wire(late(0.15)) as wire:  # the bar appears after 0.5 s
        made = make_client(analytics_url=wire.url, progress=True, workers=2)
        made.trades("TTF Apr-24", "2022-10-01", "2024-02-01")
    text = capsys.readouterr().err

    assert "trades:" in text
    assert "/16" in text
    assert "TTF Hi Cal 51.6* Apr-24, 2024-01-24 to 2024-02-01" in text


@pytest.mark.parametrize("progress", ["auto", False])
def test_no_progress_bar_is_shown_without_a_terminal(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str], progress: Any
) -> None:
    with Wire(late(0.15)) as wire:
        made = make_client(analytics_url=wire.url, progress=progress, workers=1)
        made.trades("TTF Apr-24", "2023-10-01", "2024-02-01")

    assert "" == capsys.readouterr().err


def test_without_a_server_the_connection_of_each_piece_fails(make_client: MakeClient) -> None:
    made = make_client(analytics_url="http://127.0.0.1:9", attempts=1)
    with pytest.raises(PartialDataError) as caught:
        made.trades("TTF Apr-24", "2023-10-01", "2024-02-01")

    assert ConnectionFailed in {type(each.error) for each in caught.value.failures}


def test_several_pieces_are_requested_at_the_same_time(make_client: MakeClient) -> None:
    in_flight, highest, lock = 0, 0, threading.Lock()

    def count(connection: Any, head: str) -> None:
        nonlocal in_flight, highest
        with lock:
            in_flight += 1
            highest = max(highest, in_flight)
        time.sleep(0.1)
        with lock:
            in_flight -= 1
        connection.sendall(http(200, b"[]"))

    with Wire(count) as wire:
        make_client(analytics_url=wire.url, workers=5).trades("TTF Apr-24", "2022-01-01", "2024-02-01")

    assert 5 == highest
