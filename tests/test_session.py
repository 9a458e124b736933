"""Sending: retries, limits, encodings and errors, over real sockets."""

from __future__ import annotations

import gc
import gzip
import logging
import pickle
import random
import socket
import threading
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import brotli
import pandas as pd
import pytest
import requests
import responses
from attrs import evolve
from support.bench import ASK, NOW, Bench, MakeBench
from support.canary import KEY
from support.fake import Clock
from support.wire import Response, Wire, cut, hang, http, reset

import trayport
from trayport import (
    APIError,
    BadRequest,
    CircuitOpen,
    Config,
    ConnectionFailed,
    DecodeError,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    RateLimited,
    ServerError,
    TimedOut,
    TransportError,
    TrayportWarning,
)
from trayport._parallel import Cancelled, CancelToken, deadline_after
from trayport.endpoints import REFERENCE, TRADES, Request
from trayport.transport import Session

LIST = Request(REFERENCE["instruments"])


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


def test_csv_is_said_to_be_liked_where_it_was_planned(bench: MakeBench) -> None:
    made = bench(http(200, b"dealDate,price\r\n"))
    made.send(evolve(ASK, csv=True))

    assert "Accept: text/csv" in made.wire.heads[0].splitlines()


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


# What packs no smaller comes in several pieces, and that its checksum is wrong shows only at the end.
SPOILED = gzip.compress(random.Random(7).randbytes(1 << 20))[:-8] + bytes(8)


class TestReading:
    """An answer that is read while it comes."""

    def test_it_is_handed_over_in_pieces_before_all_of_it_is_there(self, bench: MakeBench) -> None:
        seen = threading.Event()

        def halting(connection: socket.socket, head: str) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1,")
            assert seen.wait(5)
            connection.sendall(b"22]")

        def read(pieces: Iterable[bytes]) -> list[bytes]:
            return [seen.set() or piece for piece in pieces]

        assert [b"[1,", b"22]"] == bench(halting).session.send(ASK, read=read)

    @pytest.mark.parametrize(
        "trouble",
        [cut(), http(200, SPOILED, Content_Encoding="gzip")],
        ids=["cut", "corrupt"],
    )
    def test_what_was_made_of_a_part_is_dropped_when_the_rest_does_not_come(
        self, bench: MakeBench, trouble: Response
    ) -> None:
        made = bench(trouble, http(200, b"[12345]"))
        read: list[bytes] = []

        assert b"[12345]" == made.session.send(ASK, read=lambda pieces: b"".join(tee(pieces, read)))
        assert len(read) > 1

    def test_what_cannot_be_read_may_be_the_lines_fault_and_is_asked_for_again(self, bench: MakeBench) -> None:
        made = bench(http(200, gzip.compress(b"[x]" * 9)[:-8] + bytes(8), Content_Encoding="gzip"), http(200, b"[1]"))

        def read(pieces: Iterable[bytes]) -> bytes:
            first = next(iter(pieces))
            if b"x" in first:
                raise DecodeError("trades", "$", "no JSON")
            return first

        assert b"[1]" == made.session.send(ASK, read=read)
        assert [(200, None), (None, "ConnectionFailed")] == [
            (event.status, event.error) for event in reversed(made.events)
        ]

    def test_what_cannot_be_read_is_raised_once_it_is_there_and_its_connection_is_kept(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[" + b" " * 3_000_000 + b"]"), http(200, b"[1]"))

        def read(pieces: Iterable[bytes]) -> None:
            next(iter(pieces))
            raise DecodeError("trades", "$", "no JSON")

        with pytest.raises(DecodeError, match="no JSON") as caught:
            made.session.send(ASK, read=read)
        made.send()

        assert [(3_000_002, None), (3, None)] == [(event.bytes_decoded, event.error) for event in made.events]
        assert (2, 1) == (len(made.wire.heads), made.wire.connections)
        told = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)]
        assert not [each for each in told if KEY in repr({**each, "caught": None, "self": None, "made": None})]
        assert not [each for each in held(told[-1]["pieces"]) if isinstance(each, requests.PreparedRequest)]

    def test_the_time_that_it_takes_to_read_is_not_the_answers(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[1]"))

        def read(pieces: Iterable[bytes]) -> None:
            for _ in pieces:
                made.clock.now += 5.0

        made.session.send(ASK, read=read)

        assert [0.0] == [event.elapsed for event in made.events]


def held(root: object) -> list[object]:
    """All that can be reached from it, but for modules and classes, and what these know."""
    seen: dict[int, object] = {}
    left = [root]
    while left:
        each = left.pop()
        if id(each) not in seen and not isinstance(each, ModuleType | type | FunctionType | FrameType):
            seen[id(each)] = each
            left += gc.get_referents(each)
    return list(seen.values())


def tee(pieces: Iterable[bytes], seen: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        seen.append(piece)
        yield piece


def chunked(rest: bytes) -> Response:
    """Begins an answer in chunks, goes on with ``rest``, and hangs up."""

    def answer(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n" + rest)
        connection.close()

    return answer


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(http(503), id="503"),
        pytest.param(http(429), id="429"),
        pytest.param(reset, id="reset"),
        pytest.param(cut(), id="cut"),
        pytest.param(chunked(b""), id="cut-between-chunks"),
        pytest.param(chunked(b"what?\r\n"), id="no-chunk"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="no-http"),
        pytest.param(http(200, b"not brotli at all", Content_Encoding="br"), id="corrupt"),
        pytest.param(http(200, b"not gzip at all", Content_Encoding="gzip"), id="corrupt-gzip"),
        pytest.param(http(200, gzip.compress(b"[1]")[:-8] + bytes(8), Content_Encoding="gzip"), id="wrong-checksum"),
        pytest.param(http(200, b"\xff\xff\xff", Content_Encoding="deflate"), id="corrupt-deflate"),
        pytest.param(http(200, brotli.compress(b"[1]")[:1], Content_Encoding="br"), id="cut-to-nothing"),
        pytest.param(http(200, b""), id="empty"),
        *(pytest.param(http(status), id=str(status)) for status in (408, 425, 500, 502, 504)),
        pytest.param(hang(1.0), id="slow"),
    ],
)
def test_what_fails_once_is_asked_again_and_then_right(bench: MakeBench, trouble: Response) -> None:
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
        (http(401, b'{"message":"Forbidden key"}'), NotAllowed, "Forbidden key; check the key"),
        (http(404, b"nothing here"), NotFound, "nothing here; check the id"),
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
    bench: MakeBench, trouble: Response, error: type[ConnectionFailed]
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


@pytest.mark.parametrize("seconds, attempts", [("7", 2), ("3600", 1)], ids=["and-try-again", "and-give-up"])
def test_after_a_429_all_who_use_the_key_go_half_as_fast(bench: MakeBench, seconds: str, attempts: int) -> None:
    made = bench(http(429, b"", Retry_After=seconds), http(), limiter="memory")
    with suppress(RateLimited):
        made.send()
    standing = made.session.status().limiter

    assert ("memory", attempts, 0.5) == (standing.kind, standing.used, standing.share)


@pytest.mark.parametrize(
    "answers, share", [((http(403), http()), 0.5), ((http(403),), 1.0)], ids=["cured-by-waiting", "no-right"]
)
def test_a_403_slows_only_if_waiting_showed_that_it_was_throttling(
    bench: MakeBench, answers: tuple[Response, ...], share: float
) -> None:
    made = bench(*answers, limiter="memory")
    with suppress(NotAllowed), warnings.catch_warnings():
        warnings.simplefilter("ignore", TrayportWarning)
        made.send()

    assert share == made.session.status().limiter.share


def test_a_question_needs_no_slot_of_a_bulk_load(bench: MakeBench) -> None:
    loading, done = threading.Event(), threading.Event()

    def slow(connection: Any, head: str) -> None:
        loading.set()
        done.wait(10)
        connection.sendall(http())

    made = bench(slow, http(200, b"[1]"), workers=1)
    load = threading.Thread(target=made.session.send, args=(ASK,), kwargs={"bulk": True})
    load.start()
    loading.wait(10)
    answer = made.send()
    done.set()
    load.join()

    assert b"[1]" == answer


def test_a_429_for_longer_than_the_budget_tells_how_long(bench: MakeBench) -> None:
    with pytest.raises(RateLimited) as caught:
        bench(http(429, b"", Retry_After="3600")).send()

    assert 3600.0 == caught.value.retry_after


def test_a_retry_after_date_leaves_the_number_open(bench: MakeBench) -> None:
    with pytest.raises(RateLimited) as caught:
        bench(http(429, b"", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT")).send()

    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "said",
    ["", "soon", "-5", "1e400", "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000],
    ids=lambda said: said[:20],
)
def test_an_odd_retry_after_is_no_reason_to_fail_or_to_wait_for_long(bench: MakeBench, status: int, said: str) -> None:
    made = bench(http(status, b"", Retry_After=said), http(200, b"[1]"))

    assert b"[1]" == made.send()
    assert 0 <= sum(made.waits) <= 1


@pytest.mark.parametrize("status, error", [(429, RateLimited), (503, ServerError)])
def test_a_retry_after_of_ages_ends_it_at_once(bench: MakeBench, status: int, error: type[APIError]) -> None:
    made = bench(http(status, b"", Retry_After="9" * 20))
    with pytest.raises(error):
        made.send()

    assert [] == made.waits


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
    assert KEY not in str(caught.value).lower()


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 999)[:20]], ids=["corrupt", "cut"])
@pytest.mark.parametrize("status, error", [(400, BadRequest), (401, NotAllowed), (404, NotFound)])
def test_a_refusal_whose_reason_cannot_be_read_is_one_all_the_same(
    bench: MakeBench, status: int, error: type[APIError], body: bytes
) -> None:
    made = bench(http(status, body, Content_Encoding="gzip"))
    with pytest.raises(error):
        made.send()

    assert 1 == len(made.wire.heads)


@pytest.mark.parametrize("said", ["1e400", "nan", "-5", "soon", "9" * 5000])
def test_a_wait_that_is_no_number_of_seconds_is_not_told(bench: MakeBench, said: str) -> None:
    with pytest.raises(RateLimited) as caught:
        bench(http(429, b"", Retry_After=said), attempts=1).send()

    assert None is caught.value.retry_after


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        pytest.param(None, id="absent"),
        pytest.param(b"", id="empty"),
        pytest.param(b"http://[::1", id="no-url"),
        pytest.param(b"/elsewhere", id="path"),
        pytest.param(f"/elsewhere?key={KEY}".encode(), id="path-with-the-key"),
        pytest.param(f"https://user:{KEY}@{KEY.upper()}.example/{KEY}".encode(), id="host-with-the-key"),
        pytest.param(b"http://\xff\xfe.example/\xe9", id="not-ascii"),
    ],
)
def test_a_redirect_is_an_error_wherever_it_leads(bench: MakeBench, status: int, location: bytes | None) -> None:
    header = b"" if location is None else b"\r\nLocation: " + location
    made = bench(http(status, b"").replace(b" X", b" X" + header))
    with pytest.raises(APIError, match="redirects to .* not followed") as caught:
        made.send()

    assert (status, 1) == (caught.value.status, len(made.wire.heads))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(http(503), id="503"),
        pytest.param(http(429), id="429"),
        pytest.param(reset, id="reset"),
        pytest.param(cut(), id="cut"),
        pytest.param(hang(0.5), id="slow"),
    ],
)
def test_every_attempt_takes_a_permit(bench: MakeBench, trouble: Response) -> None:
    made = bench(trouble, trouble, http(), limiter="memory", timeout=(0.5, 0.1))
    made.send()

    assert 3 == made.session.status().limiter.used


@pytest.mark.parametrize("limiter", ["memory", "off"])
def test_a_stop_before_the_beginning_sends_nothing_and_takes_no_permit(bench: MakeBench, limiter: str) -> None:
    made, stop = bench(http(), limiter=limiter, per_minute=3), CancelToken()
    stop.set()
    for _ in range(3):
        with pytest.raises(Cancelled):
            made.session.send(ASK, stop)
    for _ in range(3):
        made.send()

    assert ([], 3) == (made.waits, len(made.wire.heads))


def test_closing_ends_a_request_that_waits_to_be_tried_again(bench: MakeBench) -> None:
    made = bench(http(503), http(200, b"[1]"))
    made.session.wait = lambda stop, seconds: made.session.close()
    with pytest.raises(TransportError, match="after 1 attempt: the client was closed") as caught:
        made.send()

    assert (False, 1) == (caught.value.transient, len(made.wire.heads))


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


@pytest.mark.parametrize(
    "variables, name", [(["NETRC"], ""), (["HOME", "USERPROFILE"], ".netrc")], ids=["told", "home"]
)
def test_no_password_is_taken_from_netrc(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: list[str], name: str
) -> None:
    netrc = tmp_path / (name or "netrc")
    netrc.write_text("machine 127.0.0.1 login user password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    for variable in variables:
        monkeypatch.setenv(variable, str(tmp_path if name else netrc))
    made = bench(http())
    made.send()

    assert "Authorization" not in made.wire.heads[0]


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://[::1"])
def test_a_sandbox_on_this_machine_is_reached_past_a_proxy(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)

    assert b"[]" == bench(http()).send()


def test_a_proxy_is_used_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(http(502, b"")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectionFailed):
            Session(Config(KEY, attempts=1)).send(ASK)

        assert proxy.heads[0].startswith("CONNECT analytics.trayport.com:443")
        assert KEY not in proxy.heads[0]


class TestBreaker:
    """The breaker within a session."""

    def open(self, made: Bench) -> None:
        """Fail with as many different requests as it takes; the last is told of."""
        for number in range(4):
            with pytest.raises(ServerError):
                made.send(Request(TRADES, (("n", str(number)),)))
        with pytest.warns(TrayportWarning, match="left alone for 30 seconds"), pytest.raises(ServerError):
            made.send(Request(TRADES, (("n", "4"),)))

    def test_an_api_that_keeps_failing_is_left_alone(self, bench: MakeBench) -> None:
        made = bench(http(500, b""), attempts=1)
        self.open(made)

        with pytest.raises(CircuitOpen) as caught:
            made.session.raise_if_open(ASK)
        assert 30.0 == caught.value.retry_in
        made.session.raise_if_open(LIST)  # the other API is another matter

    @pytest.mark.parametrize("trouble", [reset, hang(0.5), http(502)], ids=["connection", "timeout", "5xx"])
    def test_every_kind_of_failure_counts(self, bench: MakeBench, trouble: Response) -> None:
        made = bench(trouble, attempts=1, timeout=(1, 0.05))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrayportWarning)
            for number in range(5):
                made.session.raise_if_open(ASK)
                with pytest.raises((ConnectionFailed, TimedOut, ServerError)):
                    made.send(Request(TRADES, (("n", str(number)),)))

        with pytest.raises(CircuitOpen):
            made.session.raise_if_open(ASK)

    def test_a_request_under_way_waits_for_the_probe(self, bench: MakeBench) -> None:
        made = bench(*[http(500, b"")] * 5, http(200, b"[7]"), attempts=1)
        self.open(made)

        assert b"[7]" == made.send()
        assert 30.0 == sum(made.waits)
        made.session.raise_if_open(ASK)

    def test_it_gives_up_when_its_budget_is_spent(self, bench: MakeBench) -> None:
        made = bench(http(500, b""), attempts=1, retry_budget=10.0)
        self.open(made)

        with pytest.raises(CircuitOpen, match="ask again in"):
            made.send()
        assert 5 == len(made.wire.heads)

    def test_a_request_that_always_fails_is_no_reason_to_leave_the_api_alone(self, bench: MakeBench) -> None:
        made = bench(http(500, b""), attempts=7, backoff_cap=1.0)
        for _ in range(2):
            with pytest.raises(ServerError):
                made.send()

        made.session.raise_if_open(ASK)

    def test_a_probe_that_is_stopped_lets_the_next_request_try(self, bench: MakeBench) -> None:
        made = bench(*[http(500, b"")] * 5, http(200, b"[7]"), attempts=1, limiter="memory")
        self.open(made)
        made.clock.now += 30
        made.session.rate_limiter.pause(5.0)
        made.session.wait = lambda stop, seconds: stop.set()
        with pytest.raises(Cancelled):
            made.send()

        made.session.raise_if_open(ASK)
        made.session.wait = made.clock.wait
        assert b"[7]" == made.send()

    def test_refusals_are_answers(self, bench: MakeBench) -> None:
        made = bench(http(400, b""), attempts=1)
        for number in range(10):
            with pytest.raises(BadRequest):
                made.send(Request(TRADES, (("n", str(number)),)))

        made.session.raise_if_open(ASK)


def test_stopping_ends_a_wait_at_once() -> None:
    with Wire(http(503)) as wire:
        config = Config(KEY, analytics_url=wire.url, reference_url=wire.url, limiter="off", backoff_cap=30.0)
        session, stop = Session(config), CancelToken()
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            session.send(ASK, stop)

        assert time.monotonic() - began < 5.0


class TestObserving:
    """What hooks, logs and errors show, and what they do not."""

    def test_a_hook_sees_every_attempt(self, bench: MakeBench) -> None:
        made = bench(http(503, b""), http(200, b"[12345]"))
        made.send()

        assert [("trades", 1, 503, 0, "ServerError"), ("trades", 2, 200, 7, None)] == [
            (event.endpoint, event.attempt, event.status, event.bytes_decoded, event.error) for event in made.events
        ]
        assert all(event.elapsed >= 0 and event.waited == 0 for event in made.events)

    @pytest.mark.parametrize(
        "trouble, status, count, error",
        [
            pytest.param(http(429, b"slower"), 429, 6, "RateLimited", id="429"),
            pytest.param(
                http(503, gzip.compress(b"x" * 99), Content_Encoding="gzip"), 503, 99, "ServerError", id="503"
            ),
            pytest.param(reset, None, 0, "ConnectionFailed", id="reset"),
            pytest.param(cut(), None, 0, "ConnectionFailed", id="cut"),
            pytest.param(hang(0.5), None, 0, "TimedOut", id="slow"),
        ],
    )
    def test_a_hook_sees_how_an_attempt_failed(
        self, bench: MakeBench, trouble: Response, status: int | None, count: int, error: str
    ) -> None:
        made = bench(trouble, http(), timeout=(0.5, 0.1))
        made.send()

        event = made.events[0]
        assert (1, status, count, error) == (event.attempt, event.status, event.bytes_decoded, event.error)

    def test_a_hook_sees_how_long_it_took_to_get_leave_and_to_get_an_answer(self, bench: MakeBench) -> None:
        def slow(connection: socket.socket, head: str) -> None:
            made.clock.now += 2.5
            connection.sendall(http())

        made = bench(slow, limiter="memory")
        made.session.rate_limiter.pause(4.0)
        made.send()

        assert [(4.0, 2.5)] == [(event.waited, event.elapsed) for event in made.events]

    def test_a_hook_sees_neither_the_key_nor_headers_nor_what_was_asked(self, bench: MakeBench) -> None:
        made = bench(http(503, f"X-API-KEY: {KEY}".encode()), reset, http(200, KEY.encode(), Set_Cookie=KEY))
        made.send()

        shown = repr(made.events)
        assert 3 == shown.count("RequestEvent")
        assert [] == [word for word in (KEY, "X-API-KEY", "Cookie", "sequenceItemId", "2023-01-01") if word in shown]

    def test_a_hook_that_fails_keeps_neither_retries_nor_other_hooks_from_their_work(self, bench: MakeBench) -> None:
        made = bench(http(503), http(200, b"[1]"))
        made.session.hooks = [lambda event: 1 / 0, made.events.append]

        assert b"[1]" == made.send()
        assert [503, 200] == [event.status for event in made.events]

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
        assert "endpoint=trades api=analytics attempt=1" in caplog.text
        assert KEY not in caplog.text

    @pytest.mark.parametrize(
        "body",
        [
            '{"detail":"no such key as %s"}',
            '{"message":"%s"}',
            '{"errors":{"%s":["%s"]}}',
            '["%s"]',
            "<html><body>%s</body></html>",
            "no such key as %s",
            '{"title":"canary\\u002d' + KEY[7:] + '"}',
            " " * (2**16 - 6) + "%s",  # cut in two where no more is read
            # An answer of hundreds of letters is shown by its beginning; half a key must not be its end.
            " " * 290 + "x" * 290 + "%s",
        ],
    )  # fmt: skip
    def test_a_refusal_that_repeats_the_key_is_shown_without_it(self, bench: MakeBench, body: str) -> None:
        with pytest.raises(BadRequest) as caught:
            bench(http(400, body.replace("%s", KEY).encode())).send()

        assert KEY[:6] not in f"{caught.value} {caught.value!r}".lower()


@responses.activate
def test_the_loop_works_under_responses_too() -> None:
    """A test double that replaces requests' adapter is still asked once an attempt."""
    for status in (503, 200):
        responses.get("https://analytics.trayport.com/api/trades", status=status, body=b"[]")
    clock = Clock()
    session = Session(Config(KEY), clock=clock, wait=clock.wait)

    assert (b"[]", 2) == (session.send(ASK), len(responses.calls))
    assert KEY == responses.calls[0].request.headers["X-API-KEY"]


class TestProbes:
    """One attempt, for a look at how things stand."""

    def test_it_answers_with_the_body_and_what_the_head_says_of_the_time(self, bench: MakeBench) -> None:
        made = bench(http(200, b"[1]", Date="Wed, 07 Feb 2024 12:00:00 GMT"))
        answer = made.session.send_once(ASK)

        assert (200, b"[1]", None) == (answer.status, answer.body, answer.error)
        assert ("Wed, 07 Feb 2024 12:00:00 GMT", NOW) == (answer.date, answer.received_at)
        assert 0 < answer.seconds_to_headers < 5

    @pytest.mark.parametrize("status", [403, 429, 500, 503])
    def test_what_is_asked_again_otherwise_is_an_answer_here(self, bench: MakeBench, status: int) -> None:
        made = bench(http(status, b"{}", Retry_After="9"), http())
        answer = made.session.send_once(ASK)

        assert (1, [], status) == (len(made.wire.heads), made.waits, answer.status)
        assert f"{made.events[0].id}" == (answer.error.request_id if answer.error else "")
        assert f"X-Request-ID: {made.events[0].id}" in made.wire.heads[0]

    def test_no_answer_is_one_too(self, bench: MakeBench) -> None:
        made = bench(reset)
        answer = made.session.send_once(ASK)

        assert (None, ConnectionFailed, None) == (answer.status, type(answer.error), answer.received_at)
        assert 1 == made.wire.connections

    def test_it_takes_a_permit_and_a_429_slows_all_who_use_the_key(self, bench: MakeBench) -> None:
        made = bench(http(429, b""), limiter="memory")
        made.session.send_once(ASK)
        standing = made.session.status().limiter

        assert (1, 0.5) == (standing.used, standing.share)

    def test_an_api_that_is_left_alone_is_asked_and_its_answer_ends_that(self, bench: MakeBench) -> None:
        made = bench(http())
        breaker = made.session.breakers["analytics"]
        for number in range(breaker.threshold):
            breaker.record_failure(number, "503")
        assert breaker.is_open
        made.session.send_once(ASK)

        assert not breaker.is_open

    def test_the_end_of_the_deadline_is_an_answer(self, bench: MakeBench) -> None:
        made = bench(hang(10))
        with deadline_after(0.2):
            answer = made.session.send_once(ASK)

        assert TimedOut is type(answer.error)

    def test_who_gives_up_is_not_answered(self, bench: MakeBench) -> None:
        made, stop = bench(http()), CancelToken()
        stop.set()
        with pytest.raises(Cancelled):
            made.session.send_once(ASK, stop)

        assert [] == made.wire.heads
