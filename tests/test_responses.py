"""Responses: bodies that are read while they arrive, and errors from statuses, without the key."""

from __future__ import annotations

import gc
import gzip
import random
import re
import socket
import threading
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType, FunctionType, ModuleType

import brotli
import pandas as pd
import pytest
import requests
from support.bench import ASK, MakeBench
from support.canary import KEY
from support.wire import Response, cut, http

from conftest import MakeClient
from trayport import (
    APIError,
    BadRequest,
    DecodeError,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    PartialDataError,
    RateLimited,
    ServerError,
    TransportError,
)
from trayport.endpoints import TRADES, Request
from trayport.sandbox import Sandbox

TTF = "TTF Apr-24"


@pytest.mark.parametrize(
    "name, compress",
    [("br", brotli.compress), ("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_every_encoding_is_decoded(make_bench: MakeBench, name: str, compress: Callable[[bytes], bytes]) -> None:
    body = b'[{"tradeId":"%d"}]' % 1 * 5000

    assert body == make_bench(http(200, compress(body), Content_Encoding=name)).send()


# Random bytes do not compress, so that they arrive in several pieces; the wrong checksum shows only at the end.
CORRUPT = gzip.compress(random.Random(7).randbytes(1 << 20))[:-8] + bytes(8)


class TestReading:
    """A body that is read while it arrives."""

    def test_pieces_are_read_before_the_whole_body_has_arrived(self, make_bench: MakeBench) -> None:
        seen = threading.Event()

        def respond_in_two_parts(connection: socket.socket, head: str) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1,")
            assert seen.wait(5)
            connection.sendall(b"22]")

        def read(pieces: Iterable[bytes]) -> list[bytes]:
            return [seen.set() or piece for piece in pieces]

        assert [b"[1,", b"22]"] == make_bench(respond_in_two_parts).session.send(ASK, read=read)

    @pytest.mark.parametrize(
        "trouble",
        [cut(), http(200, CORRUPT, Content_Encoding="gzip")],
        ids=["cut", "corrupt"],
    )
    def test_result_of_an_incomplete_body_is_dropped(self, make_bench: MakeBench, trouble: Response) -> None:
        bench = make_bench(trouble, http(200, b"[12345]"))
        read: list[bytes] = []

        assert b"[12345]" == bench.session.send(ASK, read=lambda pieces: b"".join(tee(pieces, read)))
        assert len(read) > 1

    def test_unreadable_body_that_is_corrupt_is_requested_again(self, make_bench: MakeBench) -> None:
        bench = make_bench(
            http(200, gzip.compress(b"[x]" * 9)[:-8] + bytes(8), Content_Encoding="gzip"), http(200, b"[1]")
        )

        def read(pieces: Iterable[bytes]) -> bytes:
            first = next(iter(pieces))
            if b"x" in first:
                raise DecodeError("trades", "$", "no JSON")
            return first

        assert b"[1]" == bench.session.send(ASK, read=read)
        assert [(200, None), (None, "ConnectionFailed")] == [
            (event.status, event.error) for event in reversed(bench.events)
        ]

    def test_error_of_the_reader_is_raised_after_the_whole_body_and_the_connection_is_kept(
        self, make_bench: MakeBench
    ) -> None:
        bench = make_bench(http(200, b"[" + b" " * 3_000_000 + b"]"), http(200, b"[1]"))

        def read(pieces: Iterable[bytes]) -> None:
            next(iter(pieces))
            raise DecodeError("trades", "$", "no JSON")

        with pytest.raises(DecodeError, match="no JSON") as caught:
            bench.session.send(ASK, read=read)
        bench.send()

        assert [(3_000_002, None), (3, None)] == [(event.bytes_decoded, event.error) for event in bench.events]
        assert (2, 1) == (len(bench.wire.heads), bench.wire.connections)
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)]
        assert not [each for each in frames if KEY in repr({**each, "caught": None, "self": None, "bench": None})]
        assert not [each for each in reachable_from(frames[-1]["pieces"]) if isinstance(each, requests.PreparedRequest)]

    def test_elapsed_time_excludes_the_time_of_the_reader(self, make_bench: MakeBench) -> None:
        bench = make_bench(http(200, b"[1]"))

        def read(pieces: Iterable[bytes]) -> None:
            for _ in pieces:
                bench.clock.now += 5.0

        bench.session.send(ASK, read=read)

        assert [0.0] == [event.elapsed for event in bench.events]


def reachable_from(root: object) -> list[object]:
    """Return all objects that are reachable from an object, except through modules, classes, functions and frames."""
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


@pytest.mark.parametrize(
    "response, error, text",
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
def test_status_becomes_an_error_with_the_message_of_the_server(
    make_bench: MakeBench, response: bytes, error: type[APIError], text: str
) -> None:
    bench = make_bench(response)
    with pytest.raises(error) as caught:
        bench.send()

    assert text in str(caught.value)
    assert ("trades", 1) == (caught.value.endpoint, len(bench.events))


@pytest.mark.parametrize(
    "until, error",
    [("2026-11-20T00:00:01Z", IntradayNotAllowed), ("2026-11-20T00:00:00Z", NotAllowed), (None, NotAllowed)],
)
def test_401_means_intraday_if_the_request_reached_into_today(
    make_bench: MakeBench, until: str | None, error: type[NotAllowed]
) -> None:
    reach = None if until is None else pd.Timestamp(until)
    with pytest.raises(NotAllowed) as caught:
        make_bench(http(401)).send(Request(TRADES, until=reach))

    assert error is type(caught.value)


def test_redirect_is_not_followed_and_only_its_host_is_named(make_bench: MakeBench) -> None:
    bench = make_bench(http(302, b"", Location=f"https://evil.example/steal?key={KEY}"))
    with pytest.raises(APIError, match="redirects to evil.example, which is not followed") as caught:
        bench.send()

    assert (1, 302) == (bench.wire.connections, caught.value.status)
    assert KEY not in str(caught.value).lower()


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
def test_redirect_to_any_location_is_an_error(make_bench: MakeBench, status: int, location: bytes | None) -> None:
    header = b"" if location is None else b"\r\nLocation: " + location
    bench = make_bench(http(status, b"").replace(b" X", b" X" + header))
    with pytest.raises(APIError, match="redirects to .* not followed") as caught:
        bench.send()

    assert (status, 1) == (caught.value.status, len(bench.wire.heads))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 999)[:20]], ids=["corrupt", "cut"])
@pytest.mark.parametrize("status, error", [(400, BadRequest), (401, NotAllowed), (404, NotFound)])
def test_refusal_with_an_unreadable_body_is_an_error_of_its_status(
    make_bench: MakeBench, status: int, error: type[APIError], body: bytes
) -> None:
    bench = make_bench(http(status, body, Content_Encoding="gzip"))
    with pytest.raises(error):
        bench.send()

    assert 1 == len(bench.wire.heads)


@pytest.mark.parametrize("header", ["1e400", "nan", "-5", "soon", "9" * 5000])
def test_retry_after_that_is_no_number_of_seconds_is_none(make_bench: MakeBench, header: str) -> None:
    with pytest.raises(RateLimited) as caught:
        make_bench(http(429, b"", Retry_After=header), attempts=1).send()

    assert None is caught.value.retry_after


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
        " " * (2**16 - 6) + "%s",  # the key spans the end of the bytes that are read
        # The detail is cut after 300 characters; the cut must not leave a part of the key.
        " " * 290 + "x" * 290 + "%s",
    ],
)  # fmt: skip
def test_error_shows_no_key_that_the_server_repeats(make_bench: MakeBench, body: str) -> None:
    with pytest.raises(BadRequest) as caught:
        make_bench(http(400, body.replace("%s", KEY).encode())).send()

    assert KEY[:6] not in f"{caught.value} {caught.value!r}".lower()


class TestSize:
    """``Config.max_body``: the limit of a decompressed body."""

    def bomb(self, encoding: str, size: int) -> bytes:
        """Return a response with JSON of this size, compressed to very few bytes."""
        body = b"[" + b" " * (size - 2) + b"]"
        compress = {"br": partial(brotli.compress, quality=5), "gzip": gzip.compress, "deflate": zlib.compress}
        return http(200, compress.get(encoding, bytes)(body), Content_Encoding=encoding)

    @pytest.mark.parametrize("encoding", ["br", "gzip", "deflate", "identity"])
    def test_larger_body_is_refused_with_its_size_and_a_remedy(self, make_bench: MakeBench, encoding: str) -> None:
        bench = make_bench(self.bomb(encoding, 3_000_000), max_body=100_000)
        with pytest.raises(TransportError) as caught:
            bench.send()

        text = str(caught.value)
        assert (TransportError, 1) == (
            type(caught.value),
            len(bench.wire.heads),
        )  # not retried: it would be as large again
        assert "max_body=100,000 is the limit in bytes" in text
        assert "times the" in text
        for _ in range(5):  # following the remedy leads to the data
            raised = int(re.findall(r"max_body=([\d_]+)", text)[-1].replace("_", ""))
            more = make_bench(self.bomb(encoding, 3_000_000), max_body=raised)
            try:
                assert 3_000_000 == len(more.send())
                break
            except TransportError as error:
                text = str(error)
        else:
            raise AssertionError(text)

    @pytest.mark.parametrize("encoding", ["br", "gzip", "deflate"])
    def test_decompression_stops_at_the_limit(self, make_bench: MakeBench, encoding: str) -> None:
        bench = make_bench(self.bomb(encoding, 20_000_000), max_body=1_000_000)
        with pytest.raises(TransportError, match="the body decompresses to more than") as caught:
            bench.send()

        figure = int(str(caught.value).partition("more than ")[2].partition(" bytes")[0].replace(",", ""))
        assert figure <= 1_000_000 + 2**20

    def test_high_compression_ratio_is_refused_from_a_sixteenth_of_the_limit(self, make_bench: MakeBench) -> None:
        large, small = self.bomb("br", 200_000), self.bomb("br", 50_000)
        bench = make_bench(large, max_body=1_600_000)
        with pytest.raises(TransportError, match="bytes received.*of 100,000 bytes and more .* at most 200 times"):
            bench.send()
        fine = make_bench(small, max_body=1_600_000)

        assert 50_000 == len(fine.send())

    def test_body_of_the_usual_ratio_may_be_as_large_as_the_limit(self, make_bench: MakeBench) -> None:
        row = b'{"tradeId":"%d","price":%d.%d,"quantity":%d}'
        body = b"[" + b",".join(row % (i, i % 83, i * 7919 % 1000, i % 7) for i in range(20_000)) + b"]"
        bench = make_bench(http(200, brotli.compress(body, quality=5), Content_Encoding="br"), max_body=len(body))
        assert body == bench.send()

        less = make_bench(http(200, brotli.compress(body, quality=5), Content_Encoding="br"), max_body=len(body) - 1)
        with pytest.raises(TransportError, match="max_body"):
            less.send()

    def test_body_of_an_error_is_read_in_part(self, make_bench: MakeBench) -> None:
        bench = make_bench(self.bomb("gzip", 20_000_000).replace(b"200 X", b"400 X"), max_body=1_000)
        with pytest.raises(Exception, match="400 Bad Request"):
            bench.send()

    def test_too_large_piece_is_named_and_the_others_arrive(self, make_client: MakeClient) -> None:
        query = (TTF, "2023-06-01", "2024-02-10")
        with Sandbox(limits=False) as sandbox:
            sizes: list[int] = []
            make_client(sandbox, hooks=[lambda event: sizes.append(event.bytes_decoded)], workers=1).trades(*query)
            most = sorted(sizes[-8:])[-1] - 1
            with pytest.raises(PartialDataError, match=f"max_body={most:,}") as caught:
                make_client(sandbox, max_body=most).trades(*query)

            assert 1 == len(caught.value.failures)
            assert len(caught.value.frame) > 0


@pytest.mark.parametrize(
    "body, csv",
    [(b'[{"a":1},', False), (b'[{"a":1}', False), (b"dealDate,price\r\n1,2", True)],
    ids=["json", "json-before-its-bracket", "csv"],
)
def test_incomplete_body_without_a_length_is_requested_again(make_bench: MakeBench, body: bytes, csv: bool) -> None:
    def respond_in_part(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        connection.close()

    def respond_whole(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + (b"a\r\n" if csv else b"[1] "))
        connection.close()

    bench = make_bench(respond_in_part, respond_whole)
    bench.send(Request(TRADES, csv=csv))

    assert 2 == len(bench.wire.heads)
