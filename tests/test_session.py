"""Session: headers, retries, permits, connections and single attempts, over real sockets."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import brotli
import pytest
import responses
from attrs import evolve
from support.bench import ASK, NOW, MakeBench
from support.canary import KEY
from support.fake import Clock
from support.wire import Response, Wire, cut, hang, http, reset

import trayport
from trayport import (
    APIError,
    Config,
    ConnectionFailed,
    NotAllowed,
    RateLimited,
    ServerError,
    TimedOut,
    TransportError,
    TrayportWarning,
)
from trayport._parallel import Cancelled, CancelToken, deadline_after
from trayport.endpoints import REFERENCE, Request
from trayport.transport import Session

LIST = Request(REFERENCE["instruments"])


def test_request_has_the_key_the_accepted_format_and_the_encodings(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b'[{"a":1}]'))

    assert b'[{"a":1}]' == bench.send()
    first, *headers = bench.wire.heads[0].splitlines()
    assert "GET /api/trades?from=2023-01-01T00%3A00%3A00Z&sequenceItemId=1&sequenceItemId=2 HTTP/1.1" == first
    assert {
        f"X-API-KEY: {KEY}",
        "Accept: application/json",
        "Accept-Encoding: br, gzip, deflate",
        f"User-Agent: trayport/{trayport.__version__} ",
    } <= {header if not header.startswith("User-Agent") else header.partition("python")[0] for header in headers}


def test_csv_is_accepted_if_it_was_planned(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b"dealDate,price\r\n"))
    bench.send(evolve(ASK, csv=True))

    assert "Accept: text/csv" in bench.wire.heads[0].splitlines()


def test_reference_data_are_requested_from_their_own_host(make_bench: MakeBench) -> None:
    bench = make_bench(http())
    bench.send(LIST)

    assert bench.wire.heads[0].startswith("GET /instruments HTTP/1.1")


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
        pytest.param(hang(2.0), id="slow"),
    ],
)
def test_request_that_fails_once_is_retried(make_bench: MakeBench, trouble: Response) -> None:
    bench = make_bench(trouble, http(200, b"[1]"), timeout=(5, 0.5))

    assert b"[1]" == bench.send()
    assert [1, 2] == [event.attempt for event in bench.events]


def test_last_attempt_raises_its_error(make_bench: MakeBench) -> None:
    bench = make_bench(http(503, b"busy"), attempts=3)
    with pytest.raises(ServerError, match="busy"):
        bench.send()

    assert (3, 2) == (len(bench.wire.heads), len(bench.waits))


@pytest.mark.parametrize(
    "trouble, error", [(reset, ConnectionFailed), (cut(), ConnectionFailed), (hang(2.0), TimedOut)]
)
def test_error_without_a_response_has_the_number_of_attempts(
    make_bench: MakeBench, trouble: Response, error: type[ConnectionFailed]
) -> None:
    bench = make_bench(trouble, attempts=2, timeout=(5, 0.5))
    with pytest.raises(error, match="after 2 attempts") as caught:
        bench.send()

    assert 2 == caught.value.attempts


def test_refused_connection_is_a_failed_connection(make_bench: MakeBench) -> None:
    bench = make_bench(http(), attempts=1)
    bench.wire.__exit__(None, None, None)
    with pytest.raises(ConnectionFailed, match="refused"):
        bench.send()


def test_host_without_an_address_is_a_failed_connection() -> None:
    config = Config(KEY, analytics_url="https://no-such-host.invalid", attempts=1)
    with pytest.raises(ConnectionFailed):
        Session(config).send(ASK)


def test_retry_after_pauses_all_users_of_the_key(make_bench: MakeBench) -> None:
    bench = make_bench(http(429, b"", Retry_After="7"), http(), limiter="memory")
    bench.send()

    assert 7.0 == bench.waits[0]
    assert 7.0 <= bench.session.clock() - 1000.0


@pytest.mark.parametrize("seconds, attempts", [("7", 2), ("3600", 1)], ids=["retried", "given-up"])
def test_429_halves_the_rate_limit_of_all_users_of_the_key(make_bench: MakeBench, seconds: str, attempts: int) -> None:
    bench = make_bench(http(429, b"", Retry_After=seconds), http(), limiter="memory")
    with suppress(RateLimited):
        bench.send()
    limit = bench.session.status().limiter

    assert ("memory", attempts, 0.5) == (limit.kind, limit.used, limit.share)


@pytest.mark.parametrize(
    "answers, share", [((http(403), http()), 0.5), ((http(403),), 1.0)], ids=["cured-by-waiting", "not-entitled"]
)
def test_403_slows_down_only_if_waiting_cured_it(
    make_bench: MakeBench, answers: tuple[Response, ...], share: float
) -> None:
    bench = make_bench(*answers, limiter="memory")
    with suppress(NotAllowed), warnings.catch_warnings():
        warnings.simplefilter("ignore", TrayportWarning)
        bench.send()

    assert share == bench.session.status().limiter.share


def test_single_query_needs_no_slot_of_a_bulk_load(make_bench: MakeBench) -> None:
    loading, done = threading.Event(), threading.Event()

    def slow(connection: Any, head: str) -> None:
        loading.set()
        done.wait(10)
        connection.sendall(http())

    bench = make_bench(slow, http(200, b"[1]"), workers=1)
    load = threading.Thread(target=bench.session.send, args=(ASK,), kwargs={"bulk": True})
    load.start()
    loading.wait(10)
    body = bench.send()
    done.set()
    load.join()

    assert b"[1]" == body


def test_429_beyond_the_budget_has_its_retry_after_in_seconds(make_bench: MakeBench) -> None:
    with pytest.raises(RateLimited) as caught:
        make_bench(http(429, b"", Retry_After="3600")).send()

    assert 3600.0 == caught.value.retry_after


def test_retry_after_with_a_date_has_no_seconds(make_bench: MakeBench) -> None:
    with pytest.raises(RateLimited) as caught:
        make_bench(http(429, b"", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT")).send()

    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "header",
    ["", "soon", "-5", "1e400", "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000],
    ids=lambda header: header[:20],
)
def test_invalid_retry_after_is_ignored(make_bench: MakeBench, status: int, header: str) -> None:
    bench = make_bench(http(status, b"", Retry_After=header), http(200, b"[1]"))

    assert b"[1]" == bench.send()
    assert 0 <= sum(bench.waits) <= 1


@pytest.mark.parametrize("status, error", [(429, RateLimited), (503, ServerError)])
def test_very_long_retry_after_raises_at_once(make_bench: MakeBench, status: int, error: type[APIError]) -> None:
    bench = make_bench(http(status, b"", Retry_After="9" * 20))
    with pytest.raises(error):
        bench.send()

    assert [] == bench.waits


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(http(503), id="503"),
        pytest.param(http(429), id="429"),
        pytest.param(reset, id="reset"),
        pytest.param(cut(), id="cut"),
        pytest.param(hang(2.0), id="slow"),
    ],
)
def test_every_attempt_takes_a_permit(make_bench: MakeBench, trouble: Response) -> None:
    bench = make_bench(trouble, trouble, http(), limiter="memory", timeout=(5, 0.5))
    bench.send()

    assert 3 == bench.session.status().limiter.used


@pytest.mark.parametrize("limiter", ["memory", "off"])
def test_cancelled_request_is_not_sent_and_takes_no_permit(make_bench: MakeBench, limiter: str) -> None:
    bench, cancel = make_bench(http(), limiter=limiter, per_minute=3), CancelToken()
    cancel.set()
    for _ in range(3):
        with pytest.raises(Cancelled):
            bench.session.send(ASK, cancel)
    for _ in range(3):
        bench.send()

    assert ([], 3) == (bench.waits, len(bench.wire.heads))


def test_close_ends_the_wait_for_a_retry(make_bench: MakeBench) -> None:
    bench = make_bench(http(503), http(200, b"[1]"))
    bench.session.wait = lambda cancel, seconds: bench.session.close()
    with pytest.raises(TransportError, match="after 1 attempt: the client was closed") as caught:
        bench.send()

    assert (False, 1) == (caught.value.transient, len(bench.wire.heads))


def test_connection_is_kept_for_further_requests(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b"[]"))
    for _ in range(20):
        bench.send()

    assert 1 == bench.wire.connections


def test_number_of_connections_is_at_most_the_number_of_workers(make_bench: MakeBench) -> None:
    def slow(connection: Any, head: str) -> None:
        time.sleep(0.02)
        connection.sendall(http())

    bench = make_bench(slow, workers=3)
    threads = [threading.Thread(target=bench.send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (12, True) == (len(bench.wire.heads), bench.wire.connections <= 3)


def test_connection_that_the_server_closed_is_replaced(make_bench: MakeBench) -> None:
    def respond_and_close(connection: Any, head: str) -> None:
        connection.sendall(http(200, b"[1]"))
        connection.close()

    bench = make_bench(respond_and_close, http(200, b"[2]"))

    assert [b"[1]", b"[2]"] == [bench.send(), bench.send()]


def test_no_cookie_is_kept_or_sent(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b"[]", Set_Cookie="session=1; Path=/"))
    bench.send()
    bench.send()

    assert "Cookie" not in bench.wire.heads[1]


@pytest.mark.parametrize(
    "variables, name", [(["NETRC"], ""), (["HOME", "USERPROFILE"], ".netrc")], ids=["variable", "home"]
)
def test_no_password_is_read_from_netrc(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: list[str], name: str
) -> None:
    netrc = tmp_path / (name or "netrc")
    netrc.write_text("machine 127.0.0.1 login user password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    for variable in variables:
        monkeypatch.setenv(variable, str(tmp_path if name else netrc))
    bench = make_bench(http())
    bench.send()

    assert "Authorization" not in bench.wire.heads[0]


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://[::1"])
def test_no_proxy_is_used_for_a_sandbox_on_this_machine(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)

    assert b"[]" == make_bench(http()).send()


def test_proxy_is_used_for_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(http(502, b"")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectionFailed):
            Session(Config(KEY, attempts=1)).send(ASK)

        assert proxy.heads[0].startswith("CONNECT analytics.trayport.com:443")
        assert KEY not in proxy.heads[0]


def test_cancelling_ends_a_wait_at_once() -> None:
    with Wire(http(503)) as wire:
        config = Config(KEY, analytics_url=wire.url, reference_url=wire.url, limiter="off", backoff_cap=30.0)
        session, cancel = Session(config), CancelToken()
        threading.Timer(0.2, cancel.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            session.send(ASK, cancel)

        assert time.monotonic() - started < 20


@responses.activate
def test_retries_work_with_the_library_responses() -> None:
    """The library replaces the adapter of requests; it receives one request for each attempt."""
    for status in (503, 200):
        responses.get("https://analytics.trayport.com/api/trades", status=status, body=b"[]")
    clock = Clock()
    session = Session(Config(KEY), clock=clock, wait=clock.wait)

    assert (b"[]", 2) == (session.send(ASK), len(responses.calls))
    assert KEY == responses.calls[0].request.headers["X-API-KEY"]


class TestSendOnce:
    """``Session.send_once``: a single attempt."""

    def test_result_has_the_body_the_date_and_the_time_to_the_headers(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(200, b"[1]", Date="Wed, 07 Feb 2024 12:00:00 GMT"))
        result = bench.session.send_once(ASK)

        assert (200, b"[1]", None) == (result.status, result.body, result.error)
        assert ("Wed, 07 Feb 2024 12:00:00 GMT", NOW) == (result.date, result.received_at)
        assert 0 < result.seconds_to_headers < 5

    @pytest.mark.parametrize("status", [403, 429, 500, 503])
    def test_error_is_returned_and_not_retried(self, make_bench: MakeBench, status: int) -> None:
        bench = make_bench(http(status, b"{}", Retry_After="9"), http())
        result = bench.session.send_once(ASK)

        assert (1, [], status) == (len(bench.wire.heads), bench.waits, result.status)
        assert f"{bench.events[0].id}" == (result.error.request_id if result.error else "")
        assert f"X-Request-ID: {bench.events[0].id}" in bench.wire.heads[0]

    def test_missing_response_is_returned_as_an_error(self, make_bench: MakeBench) -> None:
        bench = make_bench(reset)
        result = bench.session.send_once(ASK)

        assert (None, ConnectionFailed, None) == (result.status, type(result.error), result.received_at)
        assert 1 == bench.wire.connections

    def test_attempt_takes_a_permit_and_a_429_halves_the_rate_limit(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(429, b""), limiter="memory")
        bench.session.send_once(ASK)
        limit = bench.session.status().limiter

        assert (1, 0.5) == (limit.used, limit.share)

    def test_open_breaker_lets_it_pass_and_a_response_closes_the_breaker(self, make_bench: MakeBench) -> None:
        bench = make_bench(http())
        breaker = bench.session.breakers["analytics"]
        for number in range(breaker.threshold):
            breaker.record_failure(number, "503")
        assert breaker.retry_in() > 0
        bench.session.send_once(ASK)

        assert breaker.retry_in() == 0

    def test_timeout_is_returned_when_the_deadline_passes(self, make_bench: MakeBench) -> None:
        bench = make_bench(hang(10))
        with deadline_after(0.2):
            result = bench.session.send_once(ASK)

        assert TimedOut is type(result.error)

    def test_cancelled_attempt_raises(self, make_bench: MakeBench) -> None:
        bench, cancel = make_bench(http()), CancelToken()
        cancel.set()
        with pytest.raises(Cancelled):
            bench.session.send_once(ASK, cancel)

        assert [] == bench.wire.heads
