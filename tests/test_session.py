"""Sending: retries, limits, encodings and errors, over real sockets."""

from __future__ import annotations

import gzip
import logging
import pickle
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import brotli
import pandas as pd
import pytest
import responses
from support.fake import Clock
from support.wire import Answer, Wire, cut, hang, http, reset

import trayport
from trayport import (
    APIError,
    BadRequest,
    CircuitOpen,
    Config,
    ConnectionFailed,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    RateLimited,
    RequestEvent,
    ServerError,
    TimedOut,
    TrayportWarning,
)
from trayport._parallel import Stopped
from trayport.endpoints import REFERENCE, TRADES, Request
from trayport.transport import Session

KEY = "canary-7d2f"
ASK = Request(TRADES, (("from", "2023-01-01T00:00:00Z"), ("sequenceItemId", "1"), ("sequenceItemId", "2")))
LIST = Request(REFERENCE["instruments"])
NOW = pd.Timestamp("2026-11-20T10:00", tz="UTC")


class Bench:
    """A session against a wire, on a clock that takes no time."""

    def __init__(self, wire: Wire, **settings: Any) -> None:
        self.wire, self.clock = wire, Clock()
        self.events: list[RequestEvent] = []
        config = Config(KEY, analytics_url=f"{wire.url}/api", reference_url=wire.url, **settings)
        self.session = Session(config, [self.events.append], now=lambda: NOW, clock=self.clock, wait=self.clock.wait)

    def send(self, request: Request = ASK) -> bytes:
        return self.session.send(request)

    @property
    def waits(self) -> list[float]:
        return [round(seconds, 3) for seconds in self.clock.waits]


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench() -> Iterator[MakeBench]:
    with ExitStack() as stack:

        def make(*answers: Answer, **settings: Any) -> Bench:
            made = Bench(stack.enter_context(Wire(*answers)), **{"limiter": "off", **settings})
            stack.callback(made.session.close)
            return made

        yield make


def test_a_request_carries_the_key_and_says_what_it_takes(bench: MakeBench) -> None:
    made = bench(http(200, b'[{"a":1}]'))

    assert b'[{"a":1}]' == made.send()
    first, *headers = made.wire.heads[0].splitlines()
    assert "GET /api/trades?from=2023-01-01T00%3A00%3A00Z&sequenceItemId=1&sequenceItemId=2 HTTP/1.1" == first
    assert {
        f"X-API-KEY: {KEY}",
        "Accept: application/json",
        "Accept-Encoding: br, gzip, deflate",
        f"User-Agent: trayport/{trayport.__version__} ",
    } <= {header if not header.startswith("User-Agent") else header.partition("python")[0] for header in headers}


def test_reference_data_are_asked_of_their_own_host(bench: MakeBench) -> None:
    made = bench(http())
    made.send(LIST)

    assert made.wire.heads[0].startswith("GET /instruments HTTP/1.1")


@pytest.mark.parametrize(
    "name, squeeze",
    [("br", brotli.compress), ("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_every_encoding_is_decoded(bench: MakeBench, name: str, squeeze: Callable[[bytes], bytes]) -> None:
    body = b'[{"tradeId":"%d"}]' % 1 * 5000

    assert body == bench(http(200, squeeze(body), Content_Encoding=name)).send()


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(http(503), id="503"),
        pytest.param(http(429), id="429"),
        pytest.param(reset, id="reset"),
        pytest.param(cut(), id="cut"),
        pytest.param(http(200, b"not brotli at all", Content_Encoding="br"), id="corrupt"),
        pytest.param(http(200, brotli.compress(b"[1]")[:1], Content_Encoding="br"), id="cut-to-nothing"),
        pytest.param(http(200, b""), id="empty"),
        pytest.param(http(408), id="408"),
        pytest.param(hang(1.0), id="slow"),
    ],
)
def test_what_fails_once_is_asked_again_and_then_right(bench: MakeBench, trouble: Answer) -> None:
    made = bench(trouble, http(200, b"[1]"), timeout=(0.5, 0.3))

    assert b"[1]" == made.send()
    assert [1, 2] == [event.attempt for event in made.events]


@pytest.mark.parametrize(
    "answer, error, text",
    [
        (
            http(400, b'{"title":"T","status":400,"errors":{"until":["Maximum query range is 32 days."]}}'),
            BadRequest,
            "trades: 400 Bad Request: until: Maximum query range is 32 days.",
        ),
        (http(400, b'{"title":"One or more"}'), BadRequest, "One or more"),
        (http(401, b'{"message":"Forbidden key"}'), NotAllowed, "Forbidden key. Check the key"),
        (http(404, b"nothing here"), NotFound, "nothing here. There is no such id for this key"),
        (http(404, b"<html><body>404</body></html>"), NotFound, "an HTML page instead of an answer"),
        (http(410, b'["gone"]'), APIError, "410 Gone: ['gone']"),
        (http(501, b""), ServerError, "501 Not Implemented"),
        (http(204, b""), APIError, "204 No Content"),
        (http(599, b'{"errors":{"a":"b"}}'), ServerError, "599: a: b"),
    ],
)
def test_a_status_becomes_an_error_that_says_what_the_server_said(
    bench: MakeBench, answer: bytes, error: type[APIError], text: str
) -> None:
    made = bench(answer)
    with pytest.raises(error) as caught:
        made.send()

    assert text in str(caught.value)
    assert ("trades", 1) == (caught.value.endpoint, len(made.events))


def test_attempts_come_to_an_end_with_the_error_of_the_last(bench: MakeBench) -> None:
    made = bench(http(503, b"busy"), attempts=3)
    with pytest.raises(ServerError, match="busy"):
        made.send()

    assert (3, 2) == (len(made.wire.heads), len(made.waits))


@pytest.mark.parametrize(
    "trouble, error", [(reset, ConnectionFailed), (cut(), ConnectionFailed), (hang(1.0), TimedOut)]
)
def test_no_answer_is_an_error_with_the_number_of_attempts(
    bench: MakeBench, trouble: Answer, error: type[ConnectionFailed]
) -> None:
    made = bench(trouble, attempts=2, timeout=(0.3, 0.2))
    with pytest.raises(error, match="after 2 attempts") as caught:
        made.send()

    assert 2 == caught.value.attempts


def test_nobody_listening_is_a_failed_connection(bench: MakeBench) -> None:
    made = bench(http(), attempts=1)
    made.wire.__exit__(None, None, None)
    with pytest.raises(ConnectionFailed, match="refused"):
        made.send()


def test_a_host_without_an_address_is_a_failed_connection() -> None:
    config = Config(KEY, analytics_url="https://no-such-host.invalid", attempts=1)
    with pytest.raises(ConnectionFailed):
        Session(config).send(ASK)


def test_retry_after_is_kept_to_and_holds_all_back(bench: MakeBench) -> None:
    made = bench(http(429, b"", Retry_After="7"), http(), limiter="memory")
    made.send()

    assert 7.0 == made.waits[0]
    assert 7.0 <= made.session.clock() - 1000.0


def test_a_429_for_longer_than_the_budget_tells_how_long(bench: MakeBench) -> None:
    with pytest.raises(RateLimited) as caught:
        bench(http(429, b"", Retry_After="3600")).send()

    assert 3600.0 == caught.value.retry_after


def test_a_retry_after_date_leaves_the_number_open(bench: MakeBench) -> None:
    with pytest.raises(RateLimited) as caught:
        bench(http(429, b"", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT")).send()

    assert caught.value.retry_after is None


def test_a_403_is_waited_out_three_times_and_then_taken_for_what_it_says(bench: MakeBench) -> None:
    made = bench(http(403, b"no"))
    with pytest.warns(TrayportWarning) as told, pytest.raises(NotAllowed, match="no; waiting did not help"):
        made.send()

    assert "403 Forbidden: no" in str(told[0].message)
    assert ["15", "30", "30"] == [str(each.message).split()[-5] for each in told]
    assert [15.0, 30.0, 30.0] == made.waits


def test_a_403_that_clears_was_throttling(bench: MakeBench) -> None:
    made = bench(http(403), http(200, b"[]"))
    with pytest.warns(TrayportWarning, match="403 Forbidden"):
        assert b"[]" == made.send()


@pytest.mark.parametrize(
    "until, error",
    [("2026-11-20T00:00:01Z", IntradayNotAllowed), ("2026-11-20T00:00:00Z", NotAllowed), (None, NotAllowed)],
)
def test_a_401_means_intraday_where_the_request_reached_into_today(
    bench: MakeBench, until: str | None, error: type[NotAllowed]
) -> None:
    reach = None if until is None else pd.Timestamp(until)
    with pytest.raises(NotAllowed) as caught:
        bench(http(401)).send(Request(TRADES, until=reach))

    assert error is type(caught.value)


def test_redirects_are_not_followed_and_only_their_host_is_named(bench: MakeBench) -> None:
    made = bench(http(302, b"", Location=f"https://evil.example/steal?key={KEY}"))
    with pytest.raises(APIError, match="redirects to evil.example, which is not followed") as caught:
        made.send()

    assert (1, 302) == (made.wire.connections, caught.value.status)
    assert KEY not in str(caught.value)


def test_every_attempt_takes_a_permit(bench: MakeBench) -> None:
    made = bench(*[http(503)] * 4, http(), limiter="memory", per_second=1)
    made.send()

    assert 5 == len(made.wire.heads)
    assert made.clock.now - 1000.0 >= 4.0
    assert sum(event.waited > 0 for event in made.events) >= 1


def test_connections_are_kept(bench: MakeBench) -> None:
    made = bench(http(200, b"[]"))
    for _ in range(20):
        made.send()

    assert 1 == made.wire.connections


def test_no_more_connections_are_opened_than_there_are_workers(bench: MakeBench) -> None:
    def slow(connection: Any, head: str) -> None:
        time.sleep(0.02)
        connection.sendall(http())

    made = bench(slow, workers=3)
    threads = [threading.Thread(target=made.send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (12, True) == (len(made.wire.heads), made.wire.connections <= 3)


def test_a_stale_connection_is_replaced_without_an_error(bench: MakeBench) -> None:
    def answer_and_hang_up(connection: Any, head: str) -> None:
        connection.sendall(http(200, b"[1]"))
        connection.close()

    made = bench(answer_and_hang_up, http(200, b"[2]"))

    assert [b"[1]", b"[2]"] == [made.send(), made.send()]


def test_cookies_are_neither_kept_nor_sent(bench: MakeBench) -> None:
    made = bench(http(200, b"[]", Set_Cookie="session=1; Path=/"))
    made.send()
    made.send()

    assert "Cookie" not in made.wire.heads[1]


def test_no_password_is_taken_from_netrc(bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    made = bench(http())
    made.send()

    assert "Authorization" not in made.wire.heads[0]


def test_a_sandbox_on_this_machine_is_reached_past_a_proxy(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert b"[]" == bench(http()).send()


def test_a_proxy_is_used_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(http(407, b"")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectionFailed):
            Session(Config(KEY, attempts=1)).send(ASK)

        assert proxy.heads[0].startswith("CONNECT analytics.trayport.com:443")
        assert KEY not in proxy.heads[0]


class TestBreaker:
    """The breaker within a session."""

    def test_an_api_that_keeps_failing_is_left_alone(self, bench: MakeBench) -> None:
        made = bench(http(500, b""), attempts=1)
        for number in range(5):
            with pytest.raises(ServerError):
                made.send(Request(TRADES, (("n", str(number)),)))

        with pytest.raises(CircuitOpen) as caught:
            made.session.ready(ASK)
        assert 30.0 == caught.value.retry_in
        made.session.ready(LIST)  # the other API is another matter

    def test_a_request_under_way_waits_for_the_probe(self, bench: MakeBench) -> None:
        made = bench(*[http(500, b"")] * 5, http(200, b"[7]"), attempts=1)
        for number in range(5):
            with pytest.raises(ServerError):
                made.send(Request(TRADES, (("n", str(number)),)))

        assert b"[7]" == made.send()
        assert 30.0 == sum(made.waits)
        made.session.ready(ASK)

    def test_it_gives_up_when_its_budget_is_spent(self, bench: MakeBench) -> None:
        made = bench(http(500, b""), attempts=1, retry_budget=10.0)
        for number in range(5):
            with pytest.raises(ServerError):
                made.send(Request(TRADES, (("n", str(number)),)))

        with pytest.raises(CircuitOpen, match="ask again in"):
            made.send()
        assert 5 == len(made.wire.heads)

    def test_refusals_are_answers(self, bench: MakeBench) -> None:
        made = bench(http(400, b""), attempts=1)
        for number in range(10):
            with pytest.raises(BadRequest):
                made.send(Request(TRADES, (("n", str(number)),)))

        made.session.ready(ASK)


def test_stopping_ends_a_wait_at_once() -> None:
    with Wire(http(503)) as wire:
        config = Config(KEY, analytics_url=wire.url, reference_url=wire.url, limiter="off", backoff_cap=30.0)
        session, stop = Session(config), threading.Event()
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            session.send(ASK, stop)

        assert time.monotonic() - began < 5.0


class TestObserving:
    """What hooks, logs and errors show, and what they do not."""

    def test_a_hook_sees_every_attempt(self, bench: MakeBench) -> None:
        made = bench(http(503, b""), http(200, b"[12345]"))
        made.send()

        assert [("trades", 1, 503, 0, "ServerError"), ("trades", 2, 200, 7, None)] == [
            (event.endpoint, event.attempt, event.status, event.bytes, event.error) for event in made.events
        ]
        assert all(event.elapsed >= 0 and event.waited == 0 for event in made.events)

    def test_a_hook_that_fails_is_logged_and_changes_nothing(
        self, bench: MakeBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        made = bench(http(200, b"[]"))
        made.session.hooks = [lambda event: 1 / 0]

        assert b"[]" == made.send()
        assert "failed" in caplog.text

    def test_the_key_is_in_no_log_line_no_error_and_no_traceback(
        self, bench: MakeBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        echo = http(400, f'{{"title":"bad key {KEY}"}}'.encode())
        caught: list[BaseException] = []
        for trouble in (echo, reset, cut(), http(200, b"x", Content_Encoding="br"), http(503, KEY.encode())):
            made = bench(trouble, attempts=1)
            with pytest.raises(trayport.TrayportError) as raised:
                made.send()
            caught.append(raised.value)

        for error in caught:
            assert error.__cause__ is None
            assert error.__context__ is None
            assert KEY not in f"{error} {error!r} {pickle.dumps(error)!r}"
        assert "trades attempt 1" in caplog.text
        assert KEY not in caplog.text


@responses.activate
def test_the_loop_works_under_responses_too() -> None:
    """A test double that replaces requests' adapter is still asked once an attempt."""
    for status in (503, 200):
        responses.get("https://analytics.trayport.com/api/trades", status=status, body=b"[]")
    clock = Clock()
    session = Session(Config(KEY), clock=clock, wait=clock.wait)

    assert (b"[]", 2) == (session.send(ASK), len(responses.calls))
    assert KEY == responses.calls[0].request.headers["X-API-KEY"]
