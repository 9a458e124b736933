"""What a client shows of its work: events, names of requests, log lines, and how it stands."""

from __future__ import annotations

import gzip
import logging
import pickle
import re
import shlex
import socket
import threading
from pathlib import Path

import pytest
from support.bench import ASK, Bench, MakeBench
from support.canary import KEY
from support.relay import Relay, with_body
from support.wire import Response, Wire, hang, http, reset

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
    """What the server was told as X-Request-ID."""
    return re.findall(r"(?m)^X-Request-ID: (.*?)\r?$", "\n".join(wire.heads))


class TestIds:
    """The names of requests and attempts."""

    def test_every_attempt_tells_the_server_a_name_of_its_own(self, bench: MakeBench) -> None:
        made = bench(http(503), reset, http(200, b"[]"))
        made.send()

        request = ids(made.wire)[0].removesuffix("-1")
        assert [f"{request}-1", f"{request}-2", f"{request}-3"] == ids(made.wire) == [event.id for event in made.events]

    def test_no_two_requests_have_the_same_name(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[]"))
        for _ in range(50):
            made.send()

        assert 50 == len(set(ids(made.wire)))
        assert all(re.fullmatch("[0-9a-f]{16}-1", name) for name in ids(made.wire))

    @pytest.mark.parametrize(
        "trouble, kind",
        [
            pytest.param(http(400, b"no"), tp.BadRequest, id="an answer that is none"),
            pytest.param(reset, tp.ConnectionFailed, id="no answer"),
            pytest.param(hang(0.5), TimedOut, id="too late"),
            pytest.param(http(200, b"[" + b" " * 9000), TransportError, id="too large"),
            pytest.param(http(403), tp.NotAllowed, id="forbidden"),
        ],
    )
    def test_an_error_tells_the_name_of_the_last_attempt_and_keeps_it_when_it_travels(
        self, bench: MakeBench, trouble: Response, kind: type[tp.TransportError | tp.APIError]
    ) -> None:
        made = bench(trouble, attempts=2, timeout=(1, 0.1), max_body=8000)
        with pytest.raises(kind) as caught:
            made.send()

        assert ids(made.wire)[-1] == caught.value.request_id
        assert str(caught.value).endswith(f"(X-Request-ID {ids(made.wire)[-1]})")
        travelled = pickle.loads(pickle.dumps(caught.value))
        assert (str(caught.value), repr(caught.value)) == (str(travelled), repr(travelled))

    def test_an_end_of_patience_tells_the_last_attempt_that_was_made(self, bench: MakeBench) -> None:
        made = bench(hang(5), attempts=2)
        threading.Timer(0.2, made.session.close).start()
        with pytest.raises(TransportError, match="the client was closed") as caught:
            made.send()

        assert ids(made.wire) == [caught.value.request_id]

    def test_who_ends_while_it_waits_for_leave_has_sent_nothing(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[]"), limiter="memory", per_second=1)
        made.session.wait = lambda stop, seconds: made.session.close()
        made.send()
        with pytest.raises(TransportError, match="the client was closed") as caught:
            made.send()

        assert ("", 0, 1) == (caught.value.request_id, caught.value.attempts, len(made.wire.heads))

    def test_what_was_not_sent_has_no_name(self, bench: MakeBench) -> None:
        made = bench(http(503), attempts=1)
        fail(made, 5)
        with pytest.raises(CircuitOpen) as caught:
            made.session.raise_if_open(ASK)

        assert "" == caught.value.request_id
        assert "X-Request-ID" not in str(caught.value)

    def test_an_answer_that_cannot_be_read_tells_whose_it_is(self, make_client: MakeClient, sandbox: Sandbox) -> None:
        events: list[RequestEvent] = []
        with Relay(sandbox) as relay:
            relay.rule = lambda line, count: with_body(b'[{"price":"x"}]') if line.startswith("/api/trades") else None
            client = make_client(analytics_url=relay.url, hooks=[events.append])
            with pytest.raises(DecodeError) as caught:
                client.trades(*ONE_DAY)

        assert [f"{caught.value.request_id}-1"] == [event.id for event in events if event.endpoint == "trades"]
        assert f"(X-Request-ID {caught.value.request_id})" in str(caught.value)

    def test_reference_data_that_cannot_be_read_tell_whose_answer_they_are(self, tmp_path: Path) -> None:
        with Wire(http(200, b"<html>log in</html>")) as wire:
            config = Config(KEY, reference_url=wire.url, analytics_url=wire.url, limiter="off", cache_dir=tmp_path)
            with Client(config=config) as client, pytest.raises(DecodeError, match="HTML page") as caught:
                client.markets()

        assert ids(wire) == [f"{caught.value.request_id}-1"]


class TestEvents:
    """What a hook learns beside the names; ``test_session`` has the rest."""

    def test_a_retry_says_what_went_wrong_before(self, bench: MakeBench) -> None:
        made = bench(http(503), reset, http(429), http(200, b"[]"))
        made.send()

        assert [None, "ServerError 503", "ConnectionFailed", "RateLimited 429"] == [
            event.retry_reason for event in made.events
        ]

    def test_bytes_are_counted_on_the_wire_and_unpacked(self, bench: MakeBench) -> None:
        body = b"[" + b" " * 5000 + b"]"
        packed = gzip.compress(body)
        made = bench(http(200, packed, Content_Encoding="gzip"), http(200, body))
        made.send()
        made.send()

        assert [(len(packed), 5002), (5002, 5002)] == [
            (event.bytes_received, event.bytes_decoded) for event in made.events
        ]

    def test_an_attempt_that_nobody_waits_for_any_more_is_told_too(self, bench: MakeBench) -> None:
        made = bench(hang(5))
        with pytest.raises(TimedOut) as caught:
            made.session.send(ASK, CancelToken(Deadline(0.3)))

        assert ids(made.wire) == [caught.value.request_id] == [event.id for event in made.events]
        assert [("TimedOut", None, 0)] == [(event.error, event.status, event.bytes_received) for event in made.events]
        assert Counts(requests=1, attempts=1, failed=1) == made.session.status().counts

    def test_an_answer_that_is_given_up_half_way_is_told_too(self, bench: MakeBench) -> None:
        stop = CancelToken()

        def slowly(connection: socket.socket, head: str) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
            stop.set()
            connection.sendall(b" " * 50)

        made = bench(slowly)
        with pytest.raises(Cancelled):
            made.session.send(ASK, stop)

        assert [(ids(made.wire)[0], "TransportError")] == [(event.id, event.error) for event in made.events]

    def test_both_apis_are_told_apart(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[]"))
        made.send()
        made.send(LIST)

        assert [("trades", "analytics"), ("instruments", "reference")] == [
            (event.endpoint, event.api) for event in made.events
        ]

    def test_they_tell_when_an_api_is_left_alone_and_when_no_longer(self, bench: MakeBench) -> None:
        made = bench(*[http(503)] * 6, http(200, b"[]"), attempts=1)
        fail(made, 5)
        made.clock.now += 30
        fail(made, 1)
        made.clock.now += 30
        made.send()

        assert ["closed"] * 4 + ["open", "open", "closed"] == [event.breaker for event in made.events]

    def test_an_event_is_a_line_that_a_program_can_take_apart(self, bench: MakeBench) -> None:
        made = bench(http(503), http(200, b"[]"))
        made.send()

        assert {
            "id": made.events[1].id, "endpoint": "trades", "api": "analytics", "attempt": "2", "waited": "0.000",
            "elapsed": "0.000", "status": "200", "bytes_received": "2", "bytes_decoded": "2", "error": "-",
            "retry_reason": "ServerError 503", "breaker": "closed",
        } == dict(pair.split("=", 1) for pair in shlex.split(str(made.events[1])))  # fmt: skip


def test_each_attempt_is_one_log_line_and_a_failed_one_is_seen_at_info(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trayport")
    made = bench(http(503), http(200, b"[]"))
    made.send()

    assert [(logging.INFO, str(made.events[0])), (logging.DEBUG, str(made.events[1]))] == [
        (record.levelno, record.getMessage()) for record in caplog.records if record.name.startswith("trayport")
    ]


class TestStatus:
    """How a client stands."""

    def test_of_one_that_has_asked_nothing_nothing_is_sent(self, sandbox: Sandbox, make_client: MakeClient) -> None:
        before = len(sandbox.asked)
        status = make_client(workers=3).status()

        assert before == len(sandbox.asked)
        assert (Counts(), Pool(open=0, kept=3, made=0)) == (status.counts, status.pool)
        assert {"analytics": "closed", "reference": "closed"} == status.breakers

    def test_it_counts_requests_attempts_failures_and_retries(self, bench: MakeBench) -> None:
        made = bench(http(503), http(200, b"[]"), http(400), attempts=2)
        made.send()
        with pytest.raises(tp.BadRequest):
            made.send()

        assert Counts(requests=2, attempts=3, failed=2, retries=1) == made.session.status().counts

    def test_it_tells_what_is_under_way_and_which_connections_there_are(self, bench: MakeBench) -> None:
        made = bench(hang(0.5), http(200, b"[]"), workers=2, attempts=2, timeout=(1, 0.4))
        seen: list[Status] = []
        threading.Timer(0.25, lambda: seen.append(made.session.status())).start()
        made.send()

        assert (1, 1) == (seen[0].counts.under_way, seen[0].pool.open)
        assert (0, Pool(open=1, kept=2, made=len(made.wire.heads))) == (
            made.session.status().counts.under_way,
            made.session.status().pool,
        )

    def test_connections_that_are_kept_are_made_once(self, make_client: MakeClient) -> None:
        client = make_client(workers=4)
        for _ in range(20):
            client.trades(*ONE_DAY)

        assert client.status().counts.attempts >= 20
        assert client.status().pool.made <= 2  # one to each API

    def test_it_tells_that_an_api_is_left_alone_and_that_one_may_try_again(self, bench: MakeBench) -> None:
        made = bench(http(503), attempts=1)
        fail(made, 5)
        assert {"analytics": "open", "reference": "closed"} == made.session.status().breakers

        made.clock.now += 30
        assert {"analytics": "half-open", "reference": "closed"} == made.session.status().breakers

    def test_it_tells_the_limit_and_that_a_refusal_slows_it(self, bench: MakeBench) -> None:
        made = bench(http(429), http(200, b"[]"), limiter="memory", per_minute=300)
        assert (Rate(3, 0.5), Rate(6, 1.0), Rate(300, 60.0)) == made.session.status().limiter.rates

        made.send()
        limiter = made.session.status().limiter
        assert ("memory", 2, 0.5, True) == (limiter.kind, limiter.used, limiter.share, limiter.slowed)

    def test_it_reads_well(self) -> None:
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

    def test_without_a_key_it_says_how_to_give_one(self) -> None:
        with pytest.raises(ConfigError, match="no API key"):
            Client(config=Config()).status()

    def test_the_key_is_not_in_it(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[]"), limiter="memory")
        made.send()

        assert (
            KEY
            not in f"{made.session.status()!r} {made.session.status().limiter!r} {made.events[0]!r} {made.events[0]}"
        )


def fail(made: Bench, times: int) -> None:
    """So many different requests that fail."""
    for number in range(times):
        with pytest.raises(ServerError):
            made.send(Request(TRADES, (("from", f"2023-01-{number + 1:02}T00:00:00Z"),)))
