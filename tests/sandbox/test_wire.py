"""The HTTP server of the sandbox alone: requests, and whole and long responses."""

from __future__ import annotations

import datetime
import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from itertools import repeat

import brotli
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from support.listener import RawConnection, run_listener, url

from trayport.sandbox.compression import gather
from trayport.sandbox.listener import HttpRequest, HttpResponse, Listener

LONG = b"".join(b"%d," % number for number in range(100_000))
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "br": brotli.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "identity": bytes,
}


class StubServer:
    """A server with the response of a test, which records requests."""

    def __init__(self) -> None:
        self.answer = HttpResponse(200, b"[]")
        self.received: list[HttpRequest] = []

    def __call__(self, received: HttpRequest) -> HttpResponse:
        self.received.append(received)
        return self.answer


@pytest.fixture(scope="module")
def server() -> StubServer:
    return StubServer()


@pytest.fixture(scope="module")
def listener(server: StubServer) -> Iterator[Listener]:
    with run_listener(server) as listener:
        yield listener


@pytest.fixture
def line(listener: Listener) -> Iterator[RawConnection]:
    with RawConnection(listener) as line:
        yield line


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "BREW", "get"])
def test_method_target_and_headers_are_passed_on(server: StubServer, line: RawConnection, method: str) -> None:
    server.answer = HttpResponse(200, b"[1]")
    line.send(f"{method} /api/trades?a=%20b&a=c HTTP/1.1", "X-API-Key:  k ", "ACCEPT: text/csv", "accept: */*")
    status, _ = line.head()

    assert (
        HttpRequest(method, "/api/trades?a=%20b&a=c", {"x-api-key": "k", "accept": "text/csv, */*"})
        == server.received[-1]
    )
    assert 200 == status


def test_response_to_head_has_no_body_and_the_connection_stays_open(server: StubServer, line: RawConnection) -> None:
    for server.answer, field in (
        (HttpResponse(200, b"[12]"), "Content-Length"),
        (HttpResponse(200, iter([LONG])), "Transfer-Encoding"),
    ):
        line.send("HEAD / HTTP/1.1", "Accept-Encoding: identity")
        assert {"Content-Length": "4", "Transfer-Encoding": "chunked"}[field] == line.head()[1][field]

    server.answer = HttpResponse(200, b"[34]")
    assert b"[34]" == line.request("GET / HTTP/1.1", "Accept-Encoding: identity")[2]


@pytest.mark.parametrize("status", [204, 304])
def test_response_of_a_bodiless_status_has_no_body(server: StubServer, line: RawConnection, status: int) -> None:
    server.answer = HttpResponse(status, b"[12]")
    line.send()
    got, fields = line.head()
    server.answer = HttpResponse(200, b"[34]")

    assert status == got
    assert not {"Content-Length", "Transfer-Encoding"} & set(fields)
    assert 200 == line.request("GET / HTTP/1.1", "Accept-Encoding: identity")[0]


def test_date_is_the_current_time_unless_the_response_has_one(server: StubServer, line: RawConnection) -> None:
    server.answer = HttpResponse(200, b"[]")
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    date = parsedate_to_datetime(line.request()[1]["Date"])
    assert before <= date <= datetime.datetime.now(datetime.UTC)

    server.answer = HttpResponse(200, b"[]", headers=(("date", "Tue, 06 Feb 2024 12:00:00 GMT"), ("X-Trace", "1")))
    fields = line.request()[1]

    assert ("Tue, 06 Feb 2024 12:00:00 GMT", "1") == (fields["date"], fields["X-Trace"])
    assert "Date" not in fields


def test_content_type_may_be_a_header_of_the_response(server: StubServer, line: RawConnection) -> None:
    server.answer = HttpResponse(200, b"x", "text/csv")
    assert "text/csv; charset=utf-8" == line.request()[1]["Content-Type"]

    server.answer = HttpResponse(200, b"x", "text/csv", headers=(("Content-Type", "text/plain"),))
    assert "text/plain" == line.request()[1]["Content-Type"]


# --- invalid HTTP ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said, status",
    [
        pytest.param(b"garbage\r\n", 400, id="garbage"),
        pytest.param(b"GET / HTTP/one\r\n", 400, id="version-in-words"),
        pytest.param(b"GET / HTTP/2.0\r\n", 505, id="version-2"),
        pytest.param(b"GET /a b c HTTP/1.1\r\n", 400, id="too-many-words"),
        pytest.param(b"GET /" + b"x" * 70_000, 414, id="a-target-without-end"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200, 431, id="too-many-headers"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000, 431, id="a-header-without-end"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n", 400, id="tls"),
    ],
)
def test_invalid_http_is_refused_and_the_connection_is_closed(
    line: RawConnection, caplog: pytest.LogCaptureFixture, said: bytes, status: int
) -> None:
    line.socket.sendall(said)
    got, fields = line.head()

    assert (status, "application/problem+json; charset=utf-8", "close") == (
        got,
        fields["Content-Type"],
        fields["Connection"],
    )
    assert int(fields["Content-Length"]) == len(line.rest())
    assert [] == caplog.records


@given(said=st.binary(max_size=200) | st.text("GET /:\r\n1.HTP", max_size=60).map(str.encode))
def test_connection_ends_after_any_input(server: StubServer, listener: Listener, said: bytes) -> None:
    server.answer = HttpResponse(200, b"[]")
    with RawConnection(listener) as line:
        line.socket.sendall(said)
        line.socket.shutdown(1)  # no further bytes are sent

        line.rest()  # otherwise this call times out


def test_response_arrives_although_the_body_of_the_request_is_not_read(server: StubServer, line: RawConnection) -> None:
    server.answer = HttpResponse(405, b"no")
    size = 16_000_000

    assert 405 == line.request("POST / HTTP/1.1", f"Content-Length: {size}", body=bytes(size))[0]


def sandbox_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("trayport.sandbox")]


def test_error_of_the_server_is_logged_and_closes_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    def answer(received: HttpRequest) -> HttpResponse:
        return HttpResponse(200, b"%d" % (1 // int(received.target[1:])))

    with run_listener(answer) as listener:
        with pytest.raises(requests.ConnectionError):
            requests.get(url(listener, "/0"), timeout=10)
        assert "1" == requests.get(url(listener, "/1"), timeout=10).text

    assert ["the sandbox failed"] == sandbox_messages(caplog)
    assert "ZeroDivisionError" in caplog.text


# --- whole responses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", UNPACK)
def test_response_may_be_sent_several_times(server: StubServer, line: RawConnection, encoding: str) -> None:
    server.answer = HttpResponse(200, LONG)
    bodies = [line.request("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")[2] for _ in range(2)]

    assert [LONG, LONG] == [UNPACK[encoding](body) for body in bodies]


def test_large_response_reaches_many_connections(server: StubServer, listener: Listener) -> None:
    server.answer = HttpResponse(200, LONG * 4)
    found: list[bool] = []

    def ask() -> None:
        with RawConnection(listener) as line:
            found.append(LONG * 4 == line.request("GET / HTTP/1.1", "Accept-Encoding: identity")[2])

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [True] * 16 == found


# --- long responses --------------------------------------------------------------------------------------------------


@given(
    pieces=st.lists(
        st.binary(max_size=50) | st.integers(0, 400_000).map(lambda size: bytes(range(256)) * (size // 256))
    ),
    encoding=st.sampled_from(sorted(UNPACK)),
)
def test_long_response_is_the_sum_of_its_pieces(
    server: StubServer, listener: Listener, pieces: list[bytes], encoding: str
) -> None:
    with RawConnection(listener) as line:
        for _ in range(2):  # the second request shows that the first response is complete
            server.answer = HttpResponse(200, iter(pieces))
            line.send("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")
            _, fields = line.head()
            body = b"".join(iter(line.chunk, b""))

            assert b"".join(pieces) == UNPACK[encoding](body)
            assert ("chunked", None) == (fields["Transfer-Encoding"], fields.get("Content-Length"))
            assert encoding == fields.get("Content-Encoding", "identity")


def test_long_response_is_brotli_by_default(server: StubServer, line: RawConnection, listener: Listener) -> None:
    server.answer = HttpResponse(200, iter([LONG, LONG]))
    line.send()
    assert "br" == line.head()[1]["Content-Encoding"]
    assert LONG * 2 == brotli.decompress(b"".join(iter(line.chunk, b"")))

    server.answer = HttpResponse(200, iter([LONG, LONG]))
    assert LONG * 2 == requests.get(url(listener), timeout=10).content


@given(pieces=st.lists(st.binary(max_size=10)), size=st.integers(1, 20))
def test_gathered_pieces_have_the_same_bytes_and_a_minimum_size(pieces: list[bytes], size: int) -> None:
    found = list(gather(pieces, size))

    assert b"".join(pieces) == b"".join(found)
    assert next(filter(None, pieces), None) == next(iter(found), None)
    assert all(size <= len(piece) < size + 10 for piece in found[1:-1])
    assert all(found)


@pytest.mark.parametrize("encoding", UNPACK)
def test_first_piece_is_sent_before_the_others_are_made(server: StubServer, line: RawConnection, encoding: str) -> None:
    seen = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        yield b"second" if seen.wait(10) else b"nobody saw the first"

    server.answer = HttpResponse(200, pieces())
    line.send("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")
    line.head()
    first = line.chunk()
    seen.set()

    assert b"first" == decode_beginning(encoding, first)
    assert b"firstsecond" == UNPACK[encoding](first + b"".join(iter(line.chunk, b"")))


def decode_beginning(encoding: str, packed: bytes) -> bytes:
    """Return the bytes that can be decoded from the beginning of a body."""
    if encoding == "br":
        unpacked: bytes = brotli.Decompressor().process(packed)
        return unpacked
    return packed if encoding == "identity" else zlib.decompressobj(47).decompress(packed)


def test_long_response_is_made_at_the_speed_of_the_reader(server: StubServer, line: RawConnection) -> None:
    made = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield bytes(1 << 20)

    server.answer = HttpResponse(200, pieces())
    line.send("GET / HTTP/1.1", "Accept-Encoding: identity")
    line.head()
    before = -1
    while before < len(made):  # until the socket buffers are full
        before = len(made)
        time.sleep(0.2)

    assert 0 < len(made) < 100


def test_client_that_closes_its_connection_ends_the_response(server: StubServer, listener: Listener) -> None:
    closed = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            yield from repeat(LONG)
        finally:
            closed.set()

    server.answer = HttpResponse(200, pieces())
    with RawConnection(listener) as line:
        line.send()
        line.head()
        assert line.chunk()
        assert not closed.is_set()

    assert closed.wait(10)


def failing() -> Iterator[bytes]:
    yield LONG
    raise OSError("no more")  # also an error that a connection might raise


def test_response_that_fails_is_cut_and_logged(
    server: StubServer, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = HttpResponse(200, failing())

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url(listener, "/here"), timeout=10)
    assert ["the sandbox failed in the middle of /here"] == sandbox_messages(caplog)
    assert "OSError: no more" in caplog.text


@pytest.mark.parametrize("encoding", UNPACK)
def test_http_1_0_client_receives_no_chunks(server: StubServer, line: RawConnection, encoding: str) -> None:
    server.answer = HttpResponse(200, iter([b"1", LONG, LONG]))
    line.send("GET / HTTP/1.0", "Connection: keep-alive", f"Accept-Encoding: {encoding}")
    _, fields = line.head()

    assert "close" == fields["Connection"]
    assert not {"Transfer-Encoding", "Content-Length"} & set(fields)
    assert b"1" + LONG * 2 == UNPACK[encoding](line.rest())


def test_http_1_0_client_can_detect_a_cut_response(server: StubServer, line: RawConnection) -> None:
    server.answer = HttpResponse(200, failing())
    line.send("GET / HTTP/1.0")

    with pytest.raises(ConnectionError):
        line.rest()


def test_closing_ends_long_responses_and_threads() -> None:
    def pieces() -> Iterator[bytes]:
        yield from repeat(LONG)

    before = set(threading.enumerate())
    with run_listener(lambda received: HttpResponse(200, pieces())) as listener, RawConnection(listener) as line:
        line.send()
        line.head()
        threads = set(threading.enumerate()) - before
    for thread in threads:
        thread.join(5)

    assert [] == [thread for thread in threads if thread.is_alive()]
    assert 0 == listener.open


def test_open_and_accepted_count_connections(server: StubServer) -> None:
    server.answer = HttpResponse(200, iter([b"[]"]))
    with run_listener(server) as listener:
        with RawConnection(listener) as one, RawConnection(listener) as other:
            one.send()
            one.head()
            server.answer = HttpResponse(200, b"[]")
            other.request()
            assert (2, 2) == (listener.accepted, listener.open)
        end = time.monotonic() + 10
        while listener.open and time.monotonic() < end:
            time.sleep(0.01)

        assert (2, 0) == (listener.accepted, listener.open)
