"""Fault injection: selection of requests, and effects that clients observe."""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from support.listener import BODY, RawConnection, error_response, run_listener, url

from trayport.sandbox.fault_injection import Fault, Script, inject, read_faults
from trayport.sandbox.listener import HttpRequest, HttpResponse, Listener

PLAIN = "Accept-Encoding: identity"


class FaultyServer:
    """A server that injects the fault of a test into every response."""

    def __init__(self) -> None:
        self.fault = Fault(delay=0.001)
        self.body: bytes = BODY
        self.in_pieces = False
        self.regular_responses = 0
        self.url = ""
        self.listener: Listener

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return inject(self.fault, self.regular, error_response)

    def regular(self) -> HttpResponse:
        self.regular_responses += 1
        half = len(self.body) // 2
        body = iter([self.body[:half], self.body[half:]]) if self.in_pieces else self.body
        return HttpResponse(200, body, headers=(("X-Trace", "1"), ("Retry-After", "1")))

    def get(self, **options: Any) -> requests.Response:
        return requests.get(self.url, **{"timeout": 10, **options})


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    affected = FaultyServer()
    with run_listener(affected) as affected.listener:
        affected.url = url(affected.listener)
        yield affected


@pytest.fixture(params=[False, True], ids=["whole", "in-pieces"])
def any_server(request: pytest.FixtureRequest, server: FaultyServer) -> FaultyServer:
    """A server with regular responses as a whole, or in pieces."""
    server.in_pieces = request.param
    return server


# --- effects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 429, 503, 599])
def test_status_has_the_apis_own_body_and_no_regular_response_is_made(server: FaultyServer, status: int) -> None:
    server.fault = Fault(status=status)
    answer = server.get()

    assert (status, "application/problem+json; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert status == answer.json()["status"]
    assert 0 == server.regular_responses


def test_status_below_400_alone_has_no_body(server: FaultyServer) -> None:
    server.fault = Fault(status=202)
    assert (202, b"") == (server.get().status_code, server.get().content)

    server.fault = Fault(status=204)
    assert (204, b"") == (server.get().status_code, server.get().content)


def test_headers_are_added_and_replace_headers_of_the_same_name(any_server: FaultyServer) -> None:
    any_server.fault = Fault(headers={"retry-after": "30", "Content-Type": "text/plain"})
    answer = any_server.get()

    assert ("30", "1", "text/plain") == tuple(
        answer.headers[name] for name in ("Retry-After", "X-Trace", "Content-Type")
    )
    assert BODY == answer.content
    assert any_server.in_pieces == ("Transfer-Encoding" in answer.headers)


def test_headers_may_be_combined_with_a_status(server: FaultyServer) -> None:
    server.fault = Fault(status=429, headers={"Retry-After": "30"})

    assert (429, "30") == (server.get().status_code, server.get().headers["Retry-After"])


@pytest.mark.parametrize("status", [None, 500])
def test_body_replaces_the_regular_one(server: FaultyServer, status: int | None) -> None:
    server.fault = Fault(body='[{"price":1e', status=status)
    answer = server.get()

    assert (status or 200, '[{"price":1e') == (answer.status_code, answer.text)
    assert "application/json; charset=utf-8" == answer.headers["Content-Type"]
    assert 0 == server.regular_responses


@pytest.mark.parametrize("status", [None, 502])
def test_gateway_page_replaces_the_regular_body(server: FaultyServer, status: int | None) -> None:
    server.fault = Fault(html=True, status=status)
    answer = server.get()

    assert (status or 200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert "<h1>502 Bad Gateway</h1>" in answer.text or status is None
    assert answer.text.startswith("<html>")
    assert 0 == server.regular_responses


def test_redirect_has_a_location(server: FaultyServer) -> None:
    server.fault = Fault(redirect="/login?next=1")
    answer = server.get(allow_redirects=False)

    assert (302, "/login?next=1", b"") == (answer.status_code, answer.headers["Location"], answer.content)
    with pytest.raises(requests.TooManyRedirects):
        server.get()


def test_delay_comes_before_the_first_byte(server: FaultyServer) -> None:
    server.fault = Fault(delay=0.3)
    began = time.monotonic()
    with RawConnection(server.listener) as line:
        line.send()
        line.read(1)
        assert 0.25 < time.monotonic() - began
    server.fault = Fault(delay=60)
    with pytest.raises(requests.ReadTimeout):
        server.get(timeout=(10, 0.1))


def test_stall_comes_in_the_middle_of_the_body(any_server: FaultyServer) -> None:
    any_server.fault = Fault(stall=60)
    with RawConnection(any_server.listener) as line:
        line.send("GET / HTTP/1.1", PLAIN)
        assert str(len(BODY)) == line.head()[1]["Content-Length"]
        assert BODY[: len(BODY) // 2] == line.read(len(BODY) // 2)
        line.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            line.read(1)
    any_server.fault = Fault(stall=0.1)
    assert BODY == any_server.get().content


def test_stall_causes_a_read_timeout(server: FaultyServer) -> None:
    server.fault = Fault(stall=60)
    answer = server.get(timeout=1, stream=True)

    with pytest.raises(requests.ConnectionError, match="timed out"):
        answer.content.decode()


def test_reset_closes_the_connection_and_no_regular_response_is_made(server: FaultyServer) -> None:
    server.fault = Fault(reset=True)
    with RawConnection(server.listener) as line:
        line.send()
        with pytest.raises(ConnectionResetError):
            line.rest()
    with pytest.raises(requests.ConnectionError):
        server.get()
    assert 0 == server.regular_responses


@pytest.mark.parametrize("cut", [0, 0.25, 0.999])
def test_cut_body_is_shorter_than_its_length(any_server: FaultyServer, cut: float) -> None:
    any_server.fault = Fault(cut=cut)
    with RawConnection(any_server.listener) as line:
        line.send("GET / HTTP/1.1", PLAIN)
        _, fields = line.head()
        assert (str(len(BODY)), None) == (fields["Content-Length"], fields.get("Connection"))
        assert BODY[: int(len(BODY) * cut)] == line.rest()
    with pytest.raises(ChunkedEncodingError):
        any_server.get()


def test_cut_after_the_whole_body_closes_the_connection_without_a_header(server: FaultyServer) -> None:
    server.fault = Fault(cut=1)
    with RawConnection(server.listener) as line:
        _, fields, body = line.request("GET / HTTP/1.1", PLAIN)
        assert (BODY, None) == (body, fields.get("Connection"))
        assert b"" == line.rest()
    assert BODY == server.get().content


@pytest.mark.parametrize("accepted", [None, "br", "gzip", "deflate", "identity", "gzip, br;q=0.5"])
@pytest.mark.parametrize("body", [b"", b"[]", b"[1,2,3]", BODY], ids=len)
def test_corrupt_body_cannot_be_decoded(any_server: FaultyServer, accepted: str | None, body: bytes) -> None:
    any_server.fault, any_server.body = Fault(corrupt=True), body
    for _ in range(2):  # the whole body was sent, so the connection stays open
        with pytest.raises(ContentDecodingError):
            any_server.get(headers={"Accept-Encoding": accepted})


@given(body=st.binary(max_size=3000) | st.binary(max_size=20).map(lambda part: part * 500))
@pytest.mark.parametrize("encoding", ["br", "gzip", "deflate"])
def test_connection_works_after_any_corrupt_body(encoding: str, body: bytes) -> None:
    fault = Fault(corrupt=True)
    unpack: Callable[[bytes], bytes] = {
        "br": lambda packed: brotli.Decompressor().process(packed),
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
    }[encoding]
    with RawConnection(SPOILING.listener) as line:
        SPOILING.fault, SPOILING.body = fault, body
        _, fields, packed = line.request("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")
        assert encoding == fields["Content-Encoding"]
        with pytest.raises((brotli.error, zlib.error, OSError)):
            unpack(packed)
        assert packed == line.request("GET / HTTP/1.1", f"Accept-Encoding: {encoding}")[2]


SPOILING = FaultyServer()


@pytest.fixture(scope="module", autouse=True)
def _spoiling() -> Iterator[None]:
    with run_listener(SPOILING) as SPOILING.listener:
        yield


@pytest.mark.parametrize("length", [7, -7])
def test_length_is_wrong_by_the_given_number_of_bytes(any_server: FaultyServer, length: int) -> None:
    any_server.fault = Fault(length=length)
    with RawConnection(any_server.listener) as line:
        line.send("GET / HTTP/1.1", PLAIN)
        assert str(len(BODY) + length) == line.head()[1]["Content-Length"]
        assert BODY == line.rest()
    if length > 0:
        with pytest.raises(ChunkedEncodingError):
            any_server.get()
    else:
        assert BODY[:length] == any_server.get(headers={"Accept-Encoding": "identity"}).content


def test_length_is_never_negative(server: FaultyServer) -> None:
    server.fault, server.body = Fault(length=-7), b"[]"

    with RawConnection(server.listener) as line:
        line.send("GET / HTTP/1.1", PLAIN)
        assert "0" == line.head()[1]["Content-Length"]
        assert b"[]" == line.rest()


def test_response_with_a_clock_jump_is_sent_unchanged(any_server: FaultyServer) -> None:
    any_server.fault = Fault(clock=3600)

    assert (BODY, 1) == (any_server.get().content, any_server.regular_responses)


def test_response_names_its_fault_and_the_regular_one_is_unchanged() -> None:
    regular, fault = HttpResponse(200, b"[]"), Fault(headers={"X-Trace": "1"}, clock=5)
    answer = inject(fault, lambda: regular, error_response)

    assert (fault, (("X-Trace", "1"),)) == (answer.fault, answer.headers)
    assert (None, ()) == (regular.fault, regular.headers)
    assert 0 == inject(Fault(reset=True), lambda: regular, error_response).status


def test_closing_does_not_wait_for_a_fault() -> None:
    before, regular_responses = set(threading.enumerate()), threading.Event()

    def answer(request: HttpRequest) -> HttpResponse:
        regular_responses.set()
        return inject(Fault(delay=3600), lambda: HttpResponse(200, b""), error_response)

    with run_listener(answer) as listener, RawConnection(listener) as line:
        line.send()
        assert regular_responses.wait(10)
        threads = set(threading.enumerate()) - before
    for thread in threads:
        thread.join(5)

    assert 2 == len(threads)  # the thread of the listener, and the thread of the connection
    assert [] == [thread for thread in threads if thread.is_alive()]


def test_failing_body_with_a_fault_sends_no_response(server: FaultyServer, caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Iterator[bytes]:
        yield b"["
        raise OSError("no more")  # also an error that a connection might raise

    server.regular = lambda: HttpResponse(200, failing())  # type: ignore[method-assign]
    server.fault = Fault(stall=1)
    with pytest.raises(requests.ConnectionError):
        server.get()
    assert "OSError: no more" in caplog.text


# --- selection of requests -------------------------------------------------------------------------------------------


def affected_requests(script: Script, count: int, path: str = "/trades") -> list[int]:
    """Return the numbers of the affected requests among ``count``."""
    return [number for number in range(count) if script.next_fault(path)]


@pytest.mark.parametrize(
    "select, affected",
    [
        ({}, [0]),
        ({"skip": 3}, [3]),
        ({"times": 3}, [0, 1, 2]),
        ({"times": None}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"skip": 2, "times": 2}, [2, 3]),
        ({"skip": 6, "times": None}, [6, 7]),
    ],
)
def test_skip_and_times_select_requests(select: dict[str, Any], affected: list[int]) -> None:
    assert affected == affected_requests(Script([Fault(status=503, **select)]), 8)


@pytest.mark.parametrize(
    "pattern, paths",
    [
        ("*", {"/trades", "/trades/last", "/Trades", "/orders/book", "/orders/book/top", ""}),
        ("/trades", {"/trades"}),
        ("/trades*", {"/trades", "/trades/last"}),
        ("/orders/*", {"/orders/book", "/orders/book/top"}),
        ("/[oT]*", {"/Trades", "/orders/book", "/orders/book/top"}),
    ],
)
def test_pattern_of_paths_is_case_sensitive(pattern: str, paths: set[str]) -> None:
    script = Script([Fault(path=pattern, times=None, status=503)])
    known = ("/trades", "/trades/last", "/Trades", "/orders/book", "/orders/book/top", "")

    assert paths == {path for path in known if script.next_fault(path)}


def test_only_matching_requests_are_counted() -> None:
    script = Script([Fault(path="/trades", skip=1, status=503)])

    assert [False, False, False, True] == [
        script.next_fault(path) is not None for path in ("/trades", "/orders/book", "/snapshots", "/trades")
    ]


def test_first_fault_applies_and_the_next_one_keeps_its_times() -> None:
    faults = [Fault(status=503, times=2), Fault(reset=True), Fault(path="/trades", skip=2, times=None, status=500)]
    script = Script(faults)

    assert [0, 0, 1, 2, 2] == [faults.index(script.next_fault("/trades") or faults[0]) for _ in range(5)]
    assert script.next_fault("/orders/book") is None


# Fixed expectation: these faults affect these requests on every computer and in every version.
RARE = {0: [8, 30, 37], 1: [7]}


def test_probability_selects_the_same_requests_everywhere() -> None:
    faults = {seed: Fault(status=503, times=None, probability=0.1, seed=seed) for seed in (0, 1)}
    found = {seed: affected_requests(Script([fault]), 40) for seed, fault in faults.items()}

    assert RARE == found


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.9])
def test_probability_is_the_share_of_affected_requests(probability: float) -> None:
    share = len(affected_requests(Script([Fault(status=503, times=None, probability=probability)]), 4000)) / 4000

    assert probability == pytest.approx(share, abs=0.03)


def test_fault_with_a_probability_affects_at_most_times_requests() -> None:
    script = Script([Fault(status=503, times=3, skip=10, probability=0.5)])
    affected = affected_requests(script, 1000)

    assert 3 == len(affected)
    assert 10 <= affected[0] < affected[-1] < 100


def test_faults_with_one_seed_select_different_requests() -> None:
    rare = Fault(status=503, times=None, probability=0.2)
    script = Script([rare, Fault(status=500, times=None, probability=0.2)])
    met = [script.next_fault("/trades") for _ in range(1000)]

    assert 100 < sum(fault is not None and fault.status == 500 for fault in met) < 250


@given(
    selects=st.lists(
        st.fixed_dictionaries(
            {"skip": st.integers(0, 4), "times": st.none() | st.integers(1, 4), "path": st.sampled_from(["*", "/a"])}
        ),
        max_size=4,
    ),
    paths=st.lists(st.sampled_from(["/a", "/b"]), max_size=20),
)
def test_faults_apply_in_their_order_up_to_their_times(selects: list[dict[str, Any]], paths: list[str]) -> None:
    faults = [Fault(status=500 + number, **select) for number, select in enumerate(selects)]
    script, left = Script(faults), [fault.times for fault in faults]
    for number, path in enumerate(paths):
        expected = None
        for index, fault in enumerate(faults):
            matching = [one for one in paths[:number] if fault.path in ("*", one)]
            if fault.path in ("*", path) and len(matching) >= fault.skip and left[index] != 0:
                left[index] = None if left[index] is None else left[index] - 1
                expected = fault
                break

        assert expected is script.next_fault(path)


@pytest.mark.usefixtures("_hasty")
def test_counts_are_exact_with_several_threads() -> None:
    script, found = Script([Fault(status=503, skip=50, times=100, probability=0.99)]), []

    def count_faults() -> None:
        found.extend(script.next_fault("/trades") for _ in range(500))

    threads = [threading.Thread(target=count_faults) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 100 == sum(fault is not None for fault in found)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value",
    [
        ("path", "trades"), ("path", ""), ("path", 5),
        ("skip", -1), ("skip", 1.0), ("skip", True),
        ("times", 0), ("times", -1), ("times", 1.5), ("times", "1"),
        ("probability", 0), ("probability", 1.01), ("probability", float("nan")), ("probability", "0.5"),
        ("seed", 0.5), ("seed", None),
        ("status", 199), ("status", 600), ("status", "503"), ("status", True),
        ("headers", {"Retry After": "1"}), ("headers", {"X": "1\r\nY: 2"}), ("headers", {"X": 1}), ("headers", "X"),
        ("headers", {"content-length": "5"}), ("headers", {"X": "\u20ac"}), ("headers", {"Content-Encoding": "br"}),
        ("body", b"[]"), ("body", 1),
        ("html", 1), ("html", "yes"),
        ("delay", -0.1), ("delay", float("inf")), ("delay", float("nan")), ("delay", 86_401), ("delay", True),
        ("stall", -1), ("stall", "2"),
        ("reset", 1),
        ("cut", -0.1), ("cut", 1.1), ("cut", True), ("cut", float("nan")),
        ("corrupt", "brotli"),
        ("length", 0), ("length", 1.5), ("length", False),
        ("redirect", ""), ("redirect", "/a\r\nX: y"), ("redirect", 302),
        ("clock", float("inf")), ("clock", "1h"), ("clock", 1e12),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_with_the_rule(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"such as|True or False|means all requests") as refused:
        Fault(**{"status": 503, name: value})

    assert str(refused.value).startswith(f"{name}={value!r} is not ")


@pytest.mark.parametrize("name", ["skip", "times", "seed", "probability", "path"])
def test_fault_without_effect_is_refused(name: str) -> None:
    usual: dict[str, Any] = {"skip": 1, "times": 2, "seed": 3, "probability": 0.5, "path": "/trades"}
    with pytest.raises(ValueError, match="has no effect; give it one of status, headers, body,"):
        Fault(**{name: usual[name]}, delay=0, headers={}, html=False)


@pytest.mark.parametrize(
    "effects, others",
    [
        ({"reset": True}, "status headers body html stall cut corrupt length redirect"),
        ({"redirect": "/login"}, "status body html stall cut corrupt length reset"),
        ({"status": 204}, "body html stall cut corrupt length reset redirect"),
        ({"body": "[]"}, "html reset redirect"),
        ({"cut": 0}, "corrupt length reset redirect"),
        ({"corrupt": True}, "length cut reset redirect"),
    ],
)
def test_effects_that_exclude_each_other_are_refused(effects: dict[str, Any], others: str) -> None:
    values: dict[str, Any] = {
        "status": 503, "headers": {"X": "1"}, "body": "[]", "html": True, "delay": 1, "stall": 1, "reset": True,
        "cut": 0.5, "corrupt": True, "length": 1, "redirect": "/", "clock": 1,
    }  # fmt: skip
    refused = []
    for name in values.keys() - effects.keys():
        try:
            Fault(**effects, **{name: values[name]})
        except ValueError as error:
            refused += [name] * ("exclude each other" in str(error))

    assert sorted(others.split()) == sorted(refused)


def test_fault_copies_its_headers() -> None:
    headers = {"X": "1"}
    fault = Fault(headers=headers)
    headers["Y"] = "2"

    assert {"X": "1"} == fault.headers
    assert fault == Fault(headers={"X": "1"})
    assert 1 == len({fault, Fault(headers={"X": "1"})})


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", ["", "\ufeff"], ids=["plain", "as-notepad-writes"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_file_has_a_table_for_each_fault(tmp_path: Path, begin: str, end: str) -> None:
    lines = [
        "# Mondays",
        "[[fault]]",
        'path = "/trades"',
        "skip = 2",
        "status = 503",
        'headers = { Retry-After = "30" }',
        "[[fault]]",
        "times = inf",
        "probability = 0.5",
        "delay = 2",
        'body = "ü"',
    ]
    file = tmp_path / "faults.toml"
    file.write_bytes((begin + end.join(lines)).encode())

    assert (
        Fault(path="/trades", skip=2, status=503, headers={"Retry-After": "30"}),
        Fault(times=None, probability=0.5, delay=2.0, body="ü"),
    ) == read_faults(file)
    assert read_faults(str(file)) == read_faults(file)


def test_file_without_tables_has_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text("# none today\n")

    assert () == read_faults(file)


GOOD = "[[fault]]\nstatus = 503\n"


@pytest.mark.parametrize(
    "text, complaint",
    [
        (GOOD + "[[fault]]\nstauts = 503", ", fault 2: a fault has no field 'stauts'; did you mean 'status'?"),
        (GOOD + "colour = 1", ", fault 1: a fault has no field 'colour'; choose from path, skip, times,"),
        (GOOD * 2 + "[[fault]]\ncut = 2", ", fault 3: cut=2 is not a share of the body from 0 to 1, such as 0.5"),
        ("[[fault]]", ", fault 1: the fault has no effect; give it one of status,"),
        (GOOD + "reset = true", ", fault 1: reset and status exclude each other: there is no response then; write two"),
        (GOOD + "times = -inf", ", fault 1: times=-inf is not a whole number from 1; None, or inf in a file,"),
        (GOOD + "skip = 2024-01-01", ", fault 1: skip=datetime.date(2024, 1, 1) is not a whole number"),
        ("[[faults]]\nstatus = 503", " may contain only tables that begin with [[fault]]"),
        ("[fault]\nstatus = 503", " may contain only tables that begin with [[fault]]"),
        ("fault = [1]", " may contain only tables that begin with [[fault]]"),
        ("status = 503\n" + GOOD, " may contain only tables that begin with [[fault]]"),
        ("[[fault]\nstatus", " is no TOML in UTF-8: "),
        ('[[fault]]\nbody = "\xe4"', " is no TOML in UTF-8: "),
    ],
)
def test_invalid_file_is_refused_with_name_table_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "faults.toml"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ValueError) as refused:  # noqa: PT011  the message is compared below
        read_faults(file)
    assert str(refused.value).startswith(f"{file}{complaint}")


def test_missing_file_raises_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_faults(tmp_path / "none.toml")
