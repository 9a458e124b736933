"""Observing: request ids, events for hooks, log lines, and the status of a client."""

from __future__ import annotations

import gzip
import logging
import pickle
import re
import shlex
import socket
import time
from pathlib import Path

import pytest
from support.bench import ASK, Bench, MakeBench
from support.canary import KEY
from support.relay import Relay, with_body
from support.wire import Response, Wire, cut, hang, http, reset

import trayport as tp
from conftest import MakeClient
from trayport import Client, Config, ConfigError, DecodeError, RequestEvent, ServerError, TimedOut
from trayport._parallel import Cancelled, CancelToken, Deadline
from trayport.config import Rate
from trayport.endpoints import REFERENCE, TRADES, Request
from trayport.errors import CircuitOpen, TransportError
from trayport.sandbox import Sandbox
from trayport.status import Counts, LimitStatus, Pool, Status

pytestmark = pytest.mark.filterwarnings("ignore:.*(left alone|to try again):trayport.TrayportWarning")

LIST = Request(REFERENCE["instruments"])
ONE_DAY = ("TTF Apr-24", "2024-02-05", "2024-02-06")


def ids(wire: Wire) -> list[str]:
    """Return the ``X-Request-ID`` of each request that the server received."""
    return re.findall(r"(?m)^X-Request-ID: (.*?)\r?$", "\n".join(wire.heads))


class TestIds:
    """Request ids."""

    def test_every_attempt_sends_an_id_of_its_own(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), reset, http(200, b"[]"))
        bench.send()

        request = ids(bench.wire)[0].removesuffix("-1")
        assert (
            [f"{request}-1", f"{request}-2", f"{request}-3"] == ids(bench.wire) == [event.id for event in bench.events]
        )

    def test_no_two_requests_have_the_same_id(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(200, b"[]"))
        for _ in range(50):
            bench.send()

        assert 50 == len(set(ids(bench.wire)))
        assert all(re.fullmatch("[0-9a-f]{16}-1", name) for name in ids(bench.wire))

    @pytest.mark.parametrize(
        "trouble, kind",
        [
            pytest.param(http(400, b"no"), tp.BadRequest, id="status"),
            pytest.param(reset, tp.ConnectionFailed, id="reset"),
            pytest.param(hang(2.0), TimedOut, id="timeout"),
            pytest.param(http(200, b"[" + b" " * 9000), TransportError, id="too-large"),
            pytest.param(http(403), tp.NotAllowed, id="forbidden"),
        ],
    )
    def test_error_has_the_id_of_the_last_attempt_also_when_pickled(
        self, make_bench: MakeBench, trouble: Response, kind: type[tp.TransportError | tp.APIError]
    ) -> None:
        bench = make_bench(trouble, attempts=2, timeout=(5, 0.5), max_body=8000)
        with pytest.raises(kind) as caught:
            bench.send()

        assert ids(bench.wire)[-1] == caught.value.request_id
        assert str(caught.value).endswith(f"(X-Request-ID {ids(bench.wire)[-1]})")
        copied = pickle.loads(pickle.dumps(caught.value))
        assert (str(caught.value), repr(caught.value)) == (str(copied), repr(copied))

    def test_error_of_a_closed_client_has_the_id_of_the_last_attempt(self, make_bench: MakeBench) -> None:
        def close_client(connection: socket.socket, head: str) -> None:
            bench.session.close()
            time.sleep(2)

        bench = make_bench(close_client, attempts=2)
        with pytest.raises(TransportError, match="the client was closed") as caught:
            bench.send()

        assert ids(bench.wire) == [caught.value.request_id]

    def test_request_that_ends_before_its_permit_has_no_id(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(200, b"[]"), limiter="memory", per_second=1)
        bench.session.wait = lambda cancel, seconds: bench.session.close()
        bench.send()
        with pytest.raises(TransportError, match="the client was closed") as caught:
            bench.send()

        assert ("", 0, 1) == (caught.value.request_id, caught.value.attempts, len(bench.wire.heads))

    def test_request_that_was_not_sent_has_no_id(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), attempts=1)
        fail(bench, 5)
        with pytest.raises(CircuitOpen) as caught:
            bench.session.raise_if_open(ASK)

        assert "" == caught.value.request_id
        assert "X-Request-ID" not in str(caught.value)

    def test_decode_error_has_the_id_of_its_request(self, make_client: MakeClient, sandbox: Sandbox) -> None:
        events: list[RequestEvent] = []
        with Relay(sandbox) as relay:
            relay.rule = lambda line, count: with_body(b'[{"price":"x"}]') if line.startswith("/api/trades") else None
            client = make_client(analytics_url=relay.url, hooks=[events.append])
            with pytest.raises(DecodeError) as caught:
                client.trades(*ONE_DAY)

        assert [f"{caught.value.request_id}-1"] == [event.id for event in events if event.endpoint == "trades"]
        assert f"(X-Request-ID {caught.value.request_id})" in str(caught.value)

    def test_decode_error_of_reference_data_has_the_id_of_its_request(self, tmp_path: Path) -> None:
        with Wire(http(200, b"<html>log in</html>")) as wire:
            config = Config(KEY, reference_url=wire.url, analytics_url=wire.url, limiter="off", cache_dir=tmp_path)
            with Client(config=config) as client, pytest.raises(DecodeError, match="HTML page") as caught:
                client.markets()

        assert ids(wire) == [f"{caught.value.request_id}-1"]


class TestEvents:
    """Fields of events."""

    def test_retry_has_the_error_of_the_attempt_before(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), reset, http(429), http(200, b"[]"))
        bench.send()

        assert [None, "ServerError 503", "ConnectionFailed", "RateLimited 429"] == [
            event.retry_reason for event in bench.events
        ]

    def test_bytes_are_counted_on_the_wire_and_decompressed(self, make_bench: MakeBench) -> None:
        body = b"[" + b" " * 5000 + b"]"
        compressed = gzip.compress(body)
        bench = make_bench(http(200, compressed, Content_Encoding="gzip"), http(200, body))
        bench.send()
        bench.send()

        assert [(len(compressed), 5002), (5002, 5002)] == [
            (event.bytes_received, event.bytes_decoded) for event in bench.events
        ]

    def test_attempt_that_the_deadline_ends_is_an_event(self, make_bench: MakeBench) -> None:
        bench = make_bench(hang(5))
        with pytest.raises(TimedOut) as caught:
            bench.session.send(ASK, CancelToken(Deadline(0.3)))

        assert ids(bench.wire) == [caught.value.request_id] == [event.id for event in bench.events]
        assert [("TimedOut", None, 0)] == [(event.error, event.status, event.bytes_received) for event in bench.events]
        assert Counts(requests=1, attempts=1, failed=1) == bench.session.status().counts

    def test_attempt_that_is_cancelled_within_the_body_is_an_event(self, make_bench: MakeBench) -> None:
        cancel = CancelToken()

        def cancel_within_body(connection: socket.socket, head: str) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
            cancel.set()
            connection.sendall(b" " * 50)

        bench = make_bench(cancel_within_body)
        with pytest.raises(Cancelled):
            bench.session.send(ASK, cancel)

        assert [(ids(bench.wire)[0], "TransportError")] == [(event.id, event.error) for event in bench.events]

    def test_event_has_the_name_of_the_api(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(200, b"[]"))
        bench.send()
        bench.send(LIST)

        assert [("trades", "analytics"), ("instruments", "reference")] == [
            (event.endpoint, event.api) for event in bench.events
        ]

    def test_event_has_the_state_of_the_breaker(self, make_bench: MakeBench) -> None:
        bench = make_bench(*[http(503)] * 6, http(200, b"[]"), attempts=1)
        fail(bench, 5)
        bench.clock.now += 30
        fail(bench, 1)
        bench.clock.now += 30
        bench.send()

        assert ["closed"] * 4 + ["open", "open", "closed"] == [event.breaker for event in bench.events]

    def test_text_of_an_event_can_be_parsed(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), http(200, b"[]"))
        bench.send()

        assert {
            "id": bench.events[1].id, "endpoint": "trades", "api": "analytics", "attempt": "2", "waited": "0.000",
            "elapsed": "0.000", "status": "200", "bytes_received": "2", "bytes_decoded": "2", "error": "-",
            "retry_reason": "ServerError 503", "breaker": "closed",
        } == dict(pair.split("=", 1) for pair in shlex.split(str(bench.events[1])))  # fmt: skip


def test_each_attempt_is_one_log_line_and_a_failed_one_has_the_level_info(
    make_bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trayport")
    bench = make_bench(http(503), http(200, b"[]"))
    bench.send()

    assert [(logging.INFO, str(bench.events[0])), (logging.DEBUG, str(bench.events[1]))] == [
        (record.levelno, record.getMessage()) for record in caplog.records if record.name.startswith("trayport")
    ]


class TestStatus:
    """``Client.status``."""

    def test_status_before_the_first_query_sends_nothing(self, sandbox: Sandbox, make_client: MakeClient) -> None:
        before = len(sandbox.asked)
        status = make_client(workers=3).status()

        assert before == len(sandbox.asked)
        assert (Counts(), Pool(open=0, kept=3, made=0)) == (status.counts, status.pool)
        assert {"analytics": "closed", "reference": "closed"} == status.breakers

    def test_counts_requests_attempts_failures_and_retries(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), http(200, b"[]"), http(400), attempts=2)
        bench.send()
        with pytest.raises(tp.BadRequest):
            bench.send()

        assert Counts(requests=2, attempts=3, failed=2, retries=1) == bench.session.status().counts

    def test_counts_requests_in_flight_and_connections(self, make_bench: MakeBench) -> None:
        seen: list[Status] = []

        def record_status(connection: socket.socket, head: str) -> None:
            seen.append(bench.session.status())
            time.sleep(2)

        bench = make_bench(record_status, http(200, b"[]"), workers=2, attempts=2, timeout=(5, 0.5))
        bench.send()

        assert (1, 1) == (seen[0].counts.under_way, seen[0].pool.open)
        assert (0, Pool(open=1, kept=2, made=len(bench.wire.heads))) == (
            bench.session.status().counts.under_way,
            bench.session.status().pool,
        )

    def test_kept_connections_are_opened_once(self, make_client: MakeClient) -> None:
        client = make_client(workers=4)
        client.resolve("TTF Apr-24")
        before = client.status().pool.made
        for _ in range(20):
            client.trades(*ONE_DAY)

        assert client.status().counts.attempts >= 20
        assert client.status().pool.made <= before + 1  # one for the Analytics API

    def test_has_the_state_of_the_breakers(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), attempts=1)
        fail(bench, 5)
        assert {"analytics": "open", "reference": "closed"} == bench.session.status().breakers

        bench.clock.now += 30
        assert {"analytics": "half-open", "reference": "closed"} == bench.session.status().breakers

    def test_has_the_rate_limit_and_its_slow_down(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(429), http(200, b"[]"), limiter="memory", per_minute=300)
        assert (Rate(3, 0.5), Rate(6, 1.0), Rate(300, 60.0)) == bench.session.status().limiter.rates

        bench.send()
        limiter = bench.session.status().limiter
        assert ("memory", 2, 0.5, True) == (limiter.kind, limiter.used, limiter.share, limiter.slowed)

    def test_prints_four_lines(self) -> None:
        status = Status(
            LimitStatus("file", (Rate(3, 1.0), Rate(360, 120.0)), 12, 0.5, None, 2),
            {"analytics": "open", "reference": "closed"},
            Pool(3, 8, 4),
            Counts(120, 1, 125, 6, 5),
        )

        assert (
            "limiter    file: 3 in 1 s, 360 in 120 s; slowed to 50%; 12 used in the last minute, 2 waiting\n"
            "breakers   analytics open, reference closed\n"
            "pool       3 of 8 connections open, 4 made\n"
            "requests   120, 1 in flight; 125 attempts, 6 failed, 5 retries" == repr(status)
        )

    def test_without_a_key_it_raises(self) -> None:
        with pytest.raises(ConfigError, match="no API key"):
            Client(config=Config()).status()

    def test_does_not_show_the_key(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(200, b"[]"), limiter="memory")
        bench.send()

        status, event = bench.session.status(), bench.events[0]
        assert KEY not in f"{status!r} {status.limiter!r} {event!r} {event}"


def fail(bench: Bench, times: int) -> None:
    """Send different requests that fail."""
    for number in range(times):
        with pytest.raises(ServerError):
            bench.send(Request(TRADES, (("from", f"2023-01-{number + 1:02}T00:00:00Z"),)))


class TestHooks:
    """Calls of hooks, and the absence of the key."""

    def test_hook_is_called_for_every_attempt(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503, b""), http(200, b"[12345]"))
        bench.send()

        assert [("trades", 1, 503, 0, "ServerError"), ("trades", 2, 200, 7, None)] == [
            (event.endpoint, event.attempt, event.status, event.bytes_decoded, event.error) for event in bench.events
        ]
        assert all(event.elapsed >= 0 and event.waited == 0 for event in bench.events)

    @pytest.mark.parametrize(
        "trouble, status, count, error",
        [
            pytest.param(http(429, b"slower"), 429, 6, "RateLimited", id="429"),
            pytest.param(
                http(503, gzip.compress(b"x" * 99), Content_Encoding="gzip"), 503, 99, "ServerError", id="503"
            ),
            pytest.param(reset, None, 0, "ConnectionFailed", id="reset"),
            pytest.param(cut(), None, 0, "ConnectionFailed", id="cut"),
            pytest.param(hang(2.0), None, 0, "TimedOut", id="slow"),
        ],
    )
    def test_event_of_a_failed_attempt(
        self, make_bench: MakeBench, trouble: Response, status: int | None, count: int, error: str
    ) -> None:
        bench = make_bench(trouble, http(), timeout=(5, 0.5))
        bench.send()

        event = bench.events[0]
        assert (1, status, count, error) == (event.attempt, event.status, event.bytes_decoded, event.error)

    def test_event_has_the_wait_for_the_permit_and_the_time_of_the_response(self, make_bench: MakeBench) -> None:
        def slow(connection: socket.socket, head: str) -> None:
            bench.clock.now += 2.5
            connection.sendall(http())

        bench = make_bench(slow, limiter="memory")
        bench.session.rate_limiter.pause(4.0)
        bench.send()

        assert [(4.0, 2.5)] == [(event.waited, event.elapsed) for event in bench.events]

    def test_event_shows_no_key_no_header_and_no_parameter(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503, f"X-API-KEY: {KEY}".encode()), reset, http(200, KEY.encode(), Set_Cookie=KEY))
        bench.send()

        shown = repr(bench.events)
        assert 3 == shown.count("RequestEvent")
        assert [] == [word for word in (KEY, "X-API-KEY", "Cookie", "sequenceItemId", "2023-01-01") if word in shown]

    def test_failing_hook_stops_neither_retries_nor_other_hooks(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(503), http(200, b"[1]"))
        bench.session.hooks = [lambda event: 1 / 0, bench.events.append]

        assert b"[1]" == bench.send()
        assert [503, 200] == [event.status for event in bench.events]

    def test_failing_hook_is_logged(self, make_bench: MakeBench, caplog: pytest.LogCaptureFixture) -> None:
        bench = make_bench(http(200, b"[]"))
        bench.session.hooks = [lambda event: 1 / 0]

        assert b"[]" == bench.send()
        assert "failed" in caplog.text

    def test_key_is_in_no_log_line_no_error_and_no_traceback(
        self, make_bench: MakeBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        echo = http(400, f'{{"title":"bad key {KEY}"}}'.encode())
        caught: list[BaseException] = []
        for trouble in (echo, reset, cut(), http(200, b"x", Content_Encoding="br"), http(503, KEY.encode())):
            bench = make_bench(trouble, attempts=1)
            with pytest.raises(tp.TrayportError) as raised:
                bench.send()
            caught.append(raised.value)

        for error in caught:
            assert error.__cause__ is None
            assert error.__context__ is None
            assert KEY not in f"{error} {error!r} {pickle.dumps(error)!r}"
        assert "endpoint=trades api=analytics attempt=1" in caplog.text
        assert KEY not in caplog.text
