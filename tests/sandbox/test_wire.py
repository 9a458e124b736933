"""The sandbox's ear by itself: what it hears, and how whole and long answers go over the line."""

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


class Ear:
    """Answers with what a test lays down, and notes what it hears."""

    def __init__(self) -> None:
        self.answer = HttpResponse(200, b"[]")
        self.heard: list[HttpRequest] = []

    def __call__(self, heard: HttpRequest) -> HttpResponse:
        self.heard.append(heard)
        return self.answer


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear()


@pytest.fixture(scope="module")
def listener(ear: Ear) -> Iterator[Listener]:
    with run_listener(ear) as listener:
        yield listener


@pytest.fixture
def line(listener: Listener) -> Iterator[RawConnection]:
    with RawConnection(listener) as line:
        yield line


# --- what is heard -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "BREW", "get"])
def test_every_method_is_handed_over_with_its_target_and_headers(ear: Ear, line: RawConnection, method: str) -> None:
    ear.answer = HttpResponse(200, b"[1]")
    line.send(f"{method} /api/trades?a=%20b&a=c HTTP/1.1", "X-API-Key:  k ", "ACCEPT: text/csv", "accept: */*")
    status, _ = line.head()

    assert HttpRequest(method, "/api/trades?a=%20b&a=c", {"x-api-key": "k", "accept": "text/csv, */*"}) == ear.heard[-1]
    assert 200 == status


def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(ear: Ear, line: RawConnection) -> None:
    for ear.answer, field in (
        (HttpResponse(200, b"[12]"), "Content-Length"),
        (HttpResponse(200, iter([LONG])), "Transfer-Encoding"),
    ):
        line.send("HEAD / HTTP/1.1", "Accept-Encoding: identity")
        assert {"Content-Length": "4", "Transfer-Encoding": "chunked"}[field] == line.head()[1][field]

    ear.answer = HttpResponse(200, b"[34]")
    assert b"[34]" == line.request("GET / HTTP/1.1", "Accept-Encoding: identity")[2]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_by_its_status_has_none(ear: Ear, line: RawConnection, status: int) -> None:
    ear.answer = HttpResponse(status, b"[12]")
    line.send()
    got, fields = line.head()
    ear.answer = HttpResponse(200, b"[34]")

    assert status == got
    assert not {"Content-Length", "Transfer-Encoding"} & set(fields)
    assert 200 == line.request("GET / HTTP/1.1", "Accept-Encoding: identity")[0]


def test_the_date_is_the_machines_unless_the_answer_has_one(ear: Ear, line: RawConnection) -> None:
    ear.answer = HttpResponse(200, b"[]")
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    date = parsedate_to_datetime(line.request()[1]["Date"])
    assert before <= date <= datetime.datetime.now(datetime.UTC)

    ear.answer = HttpResponse(200, b"[]", headers=(("date", "Tue, 06 Feb 2024 12:00:00 GMT"), ("X-Trace", "1")))
    fields = line.request()[1]

    assert ("Tue, 06 Feb 2024 12:00:00 GMT", "1") == (fields["date"], fields["X-Trace"])
    assert "Date" not in fields


def test_the_kind_of_an_answer_may_be_told_by_its_own_headers(ear: Ear, line: RawConnection) -> None:
    ear.answer = HttpResponse(200, b"x", "text/csv")
    assert "text/csv; charset=utf-8" == line.request()[1]["Content-Type"]

    ear.answer = HttpResponse(200, b"x", "text/csv", headers=(("Content-Type", "text/plain"),))
    assert "text/plain" == line.request()[1]["Content-Type"]


# --- what is no HTTP -----------------------------------------------------------------------------------------


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
def test_what_is_no_http_is_refused_at_once_and_the_connection_ends(
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
def test_whatever_is_said_the_connection_comes_to_an_end(ear: Ear, listener: Listener, said: bytes) -> None:
    ear.answer = HttpResponse(200, b"[]")
    with RawConnection(listener) as line:
        line.socket.sendall(said)
        line.socket.shutdown(1)  # nothing more is said

        line.rest()  # or it times out


def test_an_answer_arrives_although_nobody_reads_the_body_of_its_request(ear: Ear, line: RawConnection) -> None:
    ear.answer = HttpResponse(405, b"no")
    size = 16_000_000

    assert 405 == line.request("POST / HTTP/1.1", f"Content-Length: {size}", body=bytes(size))[0]


def said_by_the_sandbox(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("trayport.sandbox")]


def test_an_error_in_answering_is_logged_and_ends_only_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    def answer(heard: HttpRequest) -> HttpResponse:
        return HttpResponse(200, b"%d" % (1 // int(heard.target[1:])))

    with run_listener(answer) as listener:
        with pytest.raises(requests.ConnectionError):
            requests.get(url(listener, "/0"), timeout=10)
        assert "1" == requests.get(url(listener, "/1"), timeout=10).text

    assert ["the sandbox failed"] == said_by_the_sandbox(caplog)
    assert "ZeroDivisionError" in caplog.text


# --- whole answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", UNPACK)
def test_a_response_may_be_sent_several_times(ear: Ear, line: RawConnection, encoding: str) -> None:
    ear.answer = HttpResponse(200, LONG)
    bodies = [line.request("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")[2] for _ in range(2)]

    assert [LONG, LONG] == [UNPACK[encoding](body) for body in bodies]


def test_a_large_answer_reaches_many_connections_whole(ear: Ear, listener: Listener) -> None:
    ear.answer = HttpResponse(200, LONG * 4)
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


# --- long answers --------------------------------------------------------------------------------------------


@given(
    pieces=st.lists(
        st.binary(max_size=50) | st.integers(0, 400_000).map(lambda size: bytes(range(256)) * (size // 256))
    ),
    encoding=st.sampled_from(sorted(UNPACK)),
)
def test_a_long_answer_is_what_its_pieces_are(ear: Ear, listener: Listener, pieces: list[bytes], encoding: str) -> None:
    with RawConnection(listener) as line:
        for _ in range(2):  # the second shows that the first came to its end
            ear.answer = HttpResponse(200, iter(pieces))
            line.send("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")
            _, fields = line.head()
            body = b"".join(iter(line.chunk, b""))

            assert b"".join(pieces) == UNPACK[encoding](body)
            assert ("chunked", None) == (fields["Transfer-Encoding"], fields.get("Content-Length"))
            assert encoding == fields.get("Content-Encoding", "identity")


def test_a_long_answer_is_brotli_unasked_and_requests_reads_it(
    ear: Ear, line: RawConnection, listener: Listener
) -> None:
    ear.answer = HttpResponse(200, iter([LONG, LONG]))
    line.send()
    assert "br" == line.head()[1]["Content-Encoding"]
    assert LONG * 2 == brotli.decompress(b"".join(iter(line.chunk, b"")))

    ear.answer = HttpResponse(200, iter([LONG, LONG]))
    assert LONG * 2 == requests.get(url(listener), timeout=10).content


@given(pieces=st.lists(st.binary(max_size=10)), size=st.integers(1, 20))
def test_gathered_pieces_are_the_same_bytes_the_first_at_once_and_no_other_too_small(
    pieces: list[bytes], size: int
) -> None:
    found = list(gather(pieces, size))

    assert b"".join(pieces) == b"".join(found)
    assert next(filter(None, pieces), None) == next(iter(found), None)
    assert all(size <= len(piece) < size + 10 for piece in found[1:-1])
    assert all(found)


@pytest.mark.parametrize("encoding", UNPACK)
def test_the_first_bytes_leave_before_the_others_are_made(ear: Ear, line: RawConnection, encoding: str) -> None:
    seen = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        yield b"second" if seen.wait(10) else b"nobody saw the first"

    ear.answer = HttpResponse(200, pieces())
    line.send("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")
    line.head()
    first = line.chunk()
    seen.set()

    assert b"first" == begun(encoding, first)
    assert b"firstsecond" == UNPACK[encoding](first + b"".join(iter(line.chunk, b"")))


def begun(encoding: str, packed: bytes) -> bytes:
    """What can be unpacked of the beginning of a body."""
    if encoding == "br":
        unpacked: bytes = brotli.Decompressor().process(packed)
        return unpacked
    return packed if encoding == "identity" else zlib.decompressobj(47).decompress(packed)


def test_a_long_answer_is_made_no_faster_than_it_is_read(ear: Ear, line: RawConnection) -> None:
    made = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield bytes(1 << 20)

    ear.answer = HttpResponse(200, pieces())
    line.send("GET / HTTP/1.1", "Accept-Encoding: identity")
    line.head()
    before = -1
    while before < len(made):  # until the line is full
        before = len(made)
        time.sleep(0.2)

    assert 0 < len(made) < 100


def test_who_hangs_up_in_the_middle_closes_what_makes_the_answer(ear: Ear, listener: Listener) -> None:
    closed = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            yield from repeat(LONG)
        finally:
            closed.set()

    ear.answer = HttpResponse(200, pieces())
    with RawConnection(listener) as line:
        line.send()
        line.head()
        assert line.chunk()
        assert not closed.is_set()

    assert closed.wait(10)


def failing() -> Iterator[bytes]:
    yield LONG
    raise OSError("no more")  # even one that a line might have had


def test_an_answer_that_cannot_be_finished_is_cut_and_logged(
    ear: Ear, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    ear.answer = HttpResponse(200, failing())

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url(listener, "/here"), timeout=10)
    assert ["the sandbox failed in the middle of /here"] == said_by_the_sandbox(caplog)
    assert "OSError: no more" in caplog.text


@pytest.mark.parametrize("encoding", UNPACK)
def test_who_knows_no_chunks_gets_none_and_the_connection_ends(ear: Ear, line: RawConnection, encoding: str) -> None:
    ear.answer = HttpResponse(200, iter([b"1", LONG, LONG]))
    line.send("GET / HTTP/1.0", "Connection: keep-alive", f"Accept-Encoding: {encoding}")
    _, fields = line.head()

    assert "close" == fields["Connection"]
    assert not {"Transfer-Encoding", "Content-Length"} & set(fields)
    assert b"1" + LONG * 2 == UNPACK[encoding](line.rest())


def test_who_knows_no_chunks_can_tell_a_cut_answer_from_a_whole_one(ear: Ear, line: RawConnection) -> None:
    ear.answer = HttpResponse(200, failing())
    line.send("GET / HTTP/1.0")

    with pytest.raises(ConnectionError):
        line.rest()


def test_closing_ends_long_answers_and_leaves_no_thread_behind() -> None:
    def pieces() -> Iterator[bytes]:
        yield from repeat(LONG)

    before = set(threading.enumerate())
    with run_listener(lambda heard: HttpResponse(200, pieces())) as listener, RawConnection(listener) as line:
        line.send()
        line.head()
        threads = set(threading.enumerate()) - before
    for thread in threads:
        thread.join(5)

    assert [] == [thread for thread in threads if thread.is_alive()]
    assert 0 == listener.open


def test_open_and_accepted_count_connections(ear: Ear) -> None:
    ear.answer = HttpResponse(200, iter([b"[]"]))
    with run_listener(ear) as listener:
        with RawConnection(listener) as one, RawConnection(listener) as other:
            one.send()
            one.head()
            ear.answer = HttpResponse(200, b"[]")
            other.request()
            assert (2, 2) == (listener.accepted, listener.open)
        end = time.monotonic() + 10
        while listener.open and time.monotonic() < end:
            time.sleep(0.01)

        assert (2, 0) == (listener.accepted, listener.open)
