"""Every query over a failing connection: retries change no data, and missing pieces are named and resumed."""

from __future__ import annotations

import itertools
import json
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from _pytest.mark import ParameterSet
from attrs import field, frozen
from support.relay import (
    Fault,
    Relay,
    Reply,
    Rule,
    connection_reset,
    corrupt_gzip,
    cut_in_chunks,
    cut_short,
    delayed,
    is_request,
    status,
    truncated_gzip,
    unchanged,
    with_body,
)

from conftest import MakeClient
from trayport import (
    Client,
    Config,
    DecodeError,
    Front,
    IntradayNotAllowed,
    PartialDataError,
    ServerError,
)
from trayport.endpoints import Request
from trayport.sandbox import Sandbox

TTF, MAY, EUA = "TTF Hi Cal 51.6* Apr-24", "TTF Hi Cal 51.6* May-24", "EUA* Dec-24"
SPREAD = "TTF Hi Cal 51.6* Apr-24/May-24"
ALL = "all contracts"
FRONT = "TTF Hi Cal 51.6* front 2 of 10000306"
COUNTS = "counts"

RETRYING: dict[str, Any] = {"attempts": 5, "backoff_cap": 0.01, "timeout": (1, 0.3)}
"""Settings of a client that retries soon."""


@frozen
class Piece:
    """An expected request: the ends of its window and its contracts, as in ``Failure``."""

    start: str
    end: str
    contracts: tuple[str, ...]


@frozen
class QueryCase:
    """A query of two to four requests, and these requests by the limits of the guide."""

    method: str
    args: dict[str, Any]
    edges: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    more: tuple[Piece, ...] = ()
    settings: dict[str, Any] = field(factory=dict)

    def run(self, face: Any) -> Any:
        """Return the result of a client, or of its ``plan`` or ``stream``."""
        return getattr(face, self.method)(**self.args)

    @property
    def pieces(self) -> list[Piece]:
        """The requests by window, and within each by group of contracts."""
        ends = [pd.Timestamp(edge, tz="UTC").isoformat() for edge in self.edges]
        windows = list(itertools.pairwise(ends))
        return [*(Piece(*window, group) for window in windows for group in self.groups), *self.more]

    def without(self, whole: pd.DataFrame, number: int) -> pd.DataFrame:
        """Return the rows of the whole result that do not belong to a piece."""
        piece = self.pieces[number]
        times, start, end = whole.index, pd.Timestamp(piece.start), pd.Timestamp(piece.end)
        if piece.contracts == (COUNTS,):
            return whole
        if self.method in ("last_trade", "snapshots"):
            inside = whole["contract"].notna()
        elif self.method in ("top_of_book", "order_book"):
            inside = pd.Series((times > start) & (times <= end), whole.index)
        else:
            inside = pd.Series((times >= start) & (times < end), whole.index)
        if piece.contracts not in ((ALL,), (FRONT,)):
            inside &= whole["contract"].isin(piece.contracts)
        assert inside.any(), "a piece without rows tests nothing"
        return whole[~inside]


_CANDLES = QueryCase(
    "ohlcv",
    {"contract": [TTF, EUA], "start": "2018-07-02", "end": "2024-03-04", "interval": "7d", "fields": ["vwap"]},
    ("2018-07-02", "2023-07-03", "2024-03-04"),
    ((TTF,), (EUA,)),
)
_DAY_BEFORE_SEAM = "2024-01-29T12:00"
"""End of 119 intervals of 12 hours after 2023-12-01: the next request begins one interval earlier, within 60 days."""

CASES = {
    "trades": QueryCase(
        "trades",
        {"contract": [TTF, EUA], "start": "2023-03-10", "end": "2023-04-12"},
        ("2023-03-10", "2023-04-11", "2023-04-12"),
        ((TTF,), (EUA,)),
    ),
    "trades-verified": QueryCase(
        "trades",
        # The counts begin on 2023-04-10, so that they need one request instead of five.
        {"contract": [TTF, MAY], "start": "2023-03-10", "end": "2023-04-12", "verify": True},
        ("2023-03-10", "2023-04-11", "2023-04-12"),
        ((TTF, MAY),),
        (Piece("2023-04-10T00:00:00+00:00", "2023-04-12T00:00:00+00:00", (COUNTS,)),),
    ),
    "trades-of-a-front": QueryCase(
        "trades",
        {"contract": Front("TTF", "Quarters", 2), "start": "2022-12-30", "end": "2023-01-03"},
        ("2022-12-30", "2023-01-01", "2023-01-03"),
        ((FRONT,),),
    ),
    "trades-with-own": QueryCase(
        "trades",
        {
            "contract": [TTF, EUA],
            "start": "2022-03-01T00:00Z",
            "end": "2022-04-06T00:00Z",
            "include_private": True,
            "routes": ["all"],
            "deduplicate": False,
        },
        ("2022-03-01", "2022-04-02", "2022-04-06"),
        ((TTF,), (EUA,)),
        settings={"tz": "Europe/Amsterdam"},
    ),
    "private-trades": QueryCase(
        "private_trades",
        # The sandbox's market opens at 07:00 on 2010-01-04; it needs seconds for 32 days of all trades after that.
        {"start": "2009-12-03T08:00", "end": "2010-01-04T09:00"},
        ("2009-12-03T08:00", "2010-01-04T08:00", "2010-01-04T09:00"),
        ((ALL,),),
    ),
    "private-trades-of-contracts": QueryCase(
        "private_trades",
        {"start": "2024-01-03", "end": "2024-02-08", "contract": [TTF, EUA]},
        ("2024-01-03", "2024-02-04", "2024-02-08"),
        ((TTF,), (EUA,)),
    ),
    "ohlcv": _CANDLES,
    "ohlcv-as-csv": QueryCase(
        _CANDLES.method, _CANDLES.args, _CANDLES.edges, _CANDLES.groups, settings={"wire_format": "csv"}
    ),
    "last-trade": QueryCase(
        "last_trade",
        {"contract": [TTF, MAY, EUA], "at": "2024-02-05T16:30"},
        ("2024-02-05T16:30", "2024-02-05T16:30"),
        ((TTF,), (MAY,), (EUA,)),
    ),
    "activity": QueryCase(
        "activity",
        {"start": "2023-12-25", "end": "2024-01-03", "fields": ["delete_count"]},
        ("2023-12-25", "2024-01-01", "2024-01-03"),
        ((ALL,),),
    ),
    "top-of-book": QueryCase(
        "top_of_book",
        {"contract": [TTF, EUA], "start": "2023-12-01", "end": "2024-02-05", "interval": "12h", "routes": ["all"]},
        ("2023-12-01", _DAY_BEFORE_SEAM, "2024-02-05"),
        ((TTF,), (EUA,)),
    ),
    "order-book": QueryCase(
        "order_book",
        {"contract": [TTF, EUA], "start": "2023-12-01", "end": "2024-02-05", "interval": "12h", "depth": 2},
        ("2023-12-01", _DAY_BEFORE_SEAM, "2024-02-05"),
        ((TTF,), (EUA,)),
    ),
    "snapshots": QueryCase(
        "snapshots",
        {"contract": [TTF, EUA, SPREAD, MAY], "at": "2024-02-05T16:00"},
        ("2024-02-05T16:00", "2024-02-05T16:00"),
        ((TTF, MAY), (EUA,), (SPREAD,)),
    ),
}

FAULTS: dict[str, Fault] = {
    "reset": connection_reset,
    "cut": cut_short,
    "cut-in-chunks": cut_in_chunks,
    "503": status(503),
    "429": status(429, Retry_After="0"),
    "slow": delayed(0.45),
    "corrupt-gzip": corrupt_gzip,
    "cut-gzip": truncated_gzip,
}

STREAMS = [name for name, case in CASES.items() if not case.args.get("verify")]
"""A verified query has no stream."""


def each_piece(names: Iterable[str]) -> list[ParameterSet]:
    """Return parameters for each piece of these queries."""
    return [
        pytest.param(name, number, id=f"{name}-{number}") for name in names for number in range(len(CASES[name].pieces))
    ]


every_case = pytest.mark.parametrize("name", CASES)


@frozen
class Expected:
    """Results of a query without faults."""

    whole: pd.DataFrame
    pieces: list[pd.DataFrame]
    """The frames of its stream; empty for a verified query."""
    requests: tuple[Request, ...]


Memory = dict[tuple[str, str], Reply]
ClientAt = Callable[..., Client]


@pytest.fixture(scope="module")
def memory() -> Memory:
    """Responses of the sandbox, which all relays share."""
    return {}


@pytest.fixture(scope="module")
def client_at(sandbox: Sandbox, cache_dir: Path) -> Iterator[ClientAt]:
    """Clients by URL and settings, each made once, so that names are looked up once."""
    clients: dict[tuple[Any, ...], Client] = {}
    with ExitStack() as stack:

        def client(url: str, **settings: Any) -> Client:
            key = (url, *sorted(settings.items()))
            if key not in clients:
                given = {**sandbox.settings, "analytics_url": url, "limiter": "off", "cache_dir": cache_dir, **settings}
                clients[key] = stack.enter_context(Client(config=Config(**given)))
            for breaker in clients[key].session.breakers.values():
                breaker.record_success()  # failures of other tests do not count
            return clients[key]

        yield client


@pytest.fixture(scope="module")
def expected_of(sandbox: Sandbox, memory: Memory, client_at: ClientAt) -> Iterator[Callable[[str], Expected]]:
    """Results without faults: the frame from the sandbox, the pieces from a relay; each query runs once."""
    known: dict[str, Expected] = {}
    with Relay(sandbox, memory) as calm:

        def expect(name: str) -> Expected:
            if name not in known:
                case = CASES[name]
                whole = case.run(client_at(sandbox.analytics_url, **case.settings))
                client = client_at(calm.url, **case.settings)
                assert_same(whole, case.run(client))
                pieces = list(case.run(client.stream)) if name in STREAMS else []
                known[name] = Expected(whole, pieces, case.run(client.plan).requests)
            return known[name]

        yield expect


@pytest.fixture(scope="module")
def line(sandbox: Sandbox, memory: Memory) -> Iterator[Relay]:
    with Relay(sandbox, memory) as relay:
        yield relay


@pytest.fixture
def relay(line: Relay) -> Iterator[Relay]:
    """A relay without faults and without recorded requests."""
    line.rule = unchanged
    line.lines.clear()
    yield line
    wait_for_threads()


@pytest.fixture
def client_of(relay: Relay, client_at: ClientAt) -> Callable[..., Client]:
    """Clients of the relay for a query."""
    return lambda name, **settings: client_at(relay.url, **CASES[name].settings, **settings)


def wait_for_threads() -> None:
    """Wait for the requests that a failed stream still has in flight."""
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("trayport_") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def assert_same(expected: pd.DataFrame, actual: pd.DataFrame) -> None:
    """Assert that two frames have the same data and the same attrs."""
    pd.testing.assert_frame_equal(expected, actual, check_exact=True)
    assert expected.attrs == actual.attrs


def once(fault: Fault) -> Rule:
    """Return a rule: the first attempt at each request meets the fault."""
    return lambda line, count: fault if count == 1 else None


def always(fault: Fault, *requests: Request) -> Rule:
    """Return a rule: all attempts at these requests meet the fault."""
    return lambda line, count: fault if any(is_request(line, request) for request in requests) else None


# --- failing once ------------------------------------------------------------------------------------------------


@every_case
def test_query_is_split_by_the_limits_of_the_guide(name: str, expected_of: Callable[[str], Expected]) -> None:
    assert len(CASES[name].pieces) == len(expected_of(name).requests)
    assert len(CASES[name].pieces) in (2, 3, 4)  # five failures at once would open the breaker for half a minute


@every_case
@pytest.mark.parametrize("fault", FAULTS)
def test_retried_request_changes_no_data(
    name: str,
    fault: str,
    relay: Relay,
    client_of: Callable[..., Client],
    expected_of: Callable[[str], Expected],
) -> None:
    expected = expected_of(name)
    relay.rule = once(FAULTS[fault])
    actual = CASES[name].run(client_of(name, **RETRYING))

    assert_same(expected.whole, actual)
    attempts = Counter(relay.lines)
    assert len(expected.requests) == len(attempts)
    assert min(attempts.values()) >= 2


# --- failing for good --------------------------------------------------------------------------------------------


def failures(error: PartialDataError) -> list[Piece]:
    return [Piece(each.start.isoformat(), each.end.isoformat(), each.contracts) for each in error.failures]


@pytest.mark.parametrize("name, number", each_piece(CASES))
def test_piece_that_always_fails_is_named_and_resumed(
    name: str,
    number: int,
    relay: Relay,
    client_of: Callable[..., Client],
    expected_of: Callable[[str], Expected],
) -> None:
    case, expected = CASES[name], expected_of(name)
    missing = expected.requests[number]
    relay.rule = always(status(503), missing)
    with pytest.raises(PartialDataError, match="1 request failed for good") as caught:
        case.run(client_of(name, attempts=2, backoff_cap=0.01))
    partial = caught.value

    assert [case.pieces[number]] == failures(partial)
    assert [ServerError] == [type(each.error) for each in partial.failures]
    # Rows of activity do not show their window; but of two pieces, one is left.
    is_activity = case.method == "activity"
    rest = expected.pieces[1 - number] if is_activity else case.without(expected.whole, number)
    pd.testing.assert_frame_equal(rest, partial.frame, check_exact=True)
    assert partial.frame.attrs["trayport"]["complete"] is False
    assert [list(case.pieces[number].contracts)] == [
        each["contract"] for each in partial.frame.attrs["trayport"]["missing"]
    ]

    relay.rule = unchanged
    relay.lines.clear()
    assert_same(expected.whole, partial.resume())
    assert [True] == [is_request(line, missing) for line in relay.lines]


@every_case
def test_frame_is_empty_if_every_piece_fails_and_is_resumed(
    name: str, relay: Relay, client_of: Callable[..., Client], expected_of: Callable[[str], Expected]
) -> None:
    case, expected = CASES[name], expected_of(name)
    relay.rule = lambda line, count: status(503)
    with pytest.raises(PartialDataError) as caught:
        case.run(client_of(name, attempts=1))

    assert case.pieces == failures(caught.value)
    assert (0, expected.whole.dtypes.to_dict()) == (len(caught.value.frame), caught.value.frame.dtypes.to_dict())
    relay.rule = unchanged
    assert_same(expected.whole, caught.value.resume())


SINGLE: dict[str, tuple[str, dict[str, Any]]] = {
    "trades": ("trades", {"contract": TTF, "start": "2023-03-10", "end": "2023-03-11"}),
    "private_trades": ("private_trades", {"start": "2009-12-04", "end": "2009-12-05"}),
    "private_trades_of": ("private_trades", {"start": "2024-01-03", "end": "2024-01-04", "contract": TTF}),
    "ohlcv": ("ohlcv", {"contract": TTF, "start": "2024-01-03", "end": "2024-01-04"}),
    "last_trade": ("last_trade", {"contract": TTF, "at": "2024-02-05T16:30"}),
    "activity": ("activity", {"start": "2023-12-25", "end": "2023-12-26"}),
    "top_of_book": ("top_of_book", {"contract": TTF, "start": "2024-01-03", "end": "2024-01-04", "interval": "12h"}),
    "order_book": ("order_book", {"contract": TTF, "start": "2024-01-03", "end": "2024-01-04", "interval": "12h"}),
    "snapshots": ("snapshots", {"contract": [TTF, MAY], "at": "2024-02-05T16:00"}),
}
"""Queries of one request."""


@pytest.mark.parametrize("name", SINGLE)
def test_query_of_one_request_raises_its_own_error(name: str, relay: Relay, client_at: ClientAt) -> None:
    method, args = SINGLE[name]
    client = client_at(relay.url, attempts=1)
    relay.rule = lambda line, count: status(503)
    with pytest.raises(ServerError, match=rf"^{method}: 503 Service Unavailable \(X-Request-ID [0-9a-f]+-1\)$"):
        getattr(client, method)(**args)
    with pytest.raises(ServerError, match=rf"^{method}: 503 Service Unavailable \(X-Request-ID [0-9a-f]+-1\)$"):
        next(getattr(client.stream, method)(**args))

    assert 2 == len(relay.lines)


# --- streams -----------------------------------------------------------------------------------------------------


def join(case: QueryCase, pieces: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the frame of all pieces, sorted by time and then by the order of the contracts in the query."""
    joined = pd.concat(pieces)
    if case.method == "activity":
        counts = ["count", "delete_count"]
        ids = [column for column in joined if column not in counts]
        return joined.groupby(ids, dropna=False)[counts].sum()
    contracts = case.args.get("contract")
    ranks = joined["contract"].map(contracts.index if isinstance(contracts, list) else lambda name: 0)
    return joined.iloc[np.lexsort((ranks.to_numpy(), pd.DatetimeIndex(joined.index).asi8))]


@pytest.mark.parametrize("name, number", each_piece(STREAMS))
def test_stream_ends_at_the_failed_piece_and_resumes_from_it(
    name: str,
    number: int,
    relay: Relay,
    client_of: Callable[..., Client],
    expected_of: Callable[[str], Expected],
) -> None:
    case, expected = CASES[name], expected_of(name)
    relay.rule = always(status(503), expected.requests[number])
    stream = case.run(client_of(name, attempts=2, backoff_cap=0.01).stream)
    delivered = list(itertools.islice(stream, number))
    with pytest.raises(PartialDataError) as caught:
        next(stream)

    assert [case.pieces[number]] == failures(caught.value)
    assert (0, list(expected.whole.columns)) == (len(caught.value.frame), list(caught.value.frame.columns))
    wait_for_threads()
    relay.rule = unchanged
    relay.lines.clear()
    resumed = list(caught.value.resume())
    assert len(expected.pieces) == len(delivered) + len(resumed)
    for piece, frame in zip(expected.pieces, [*delivered, *resumed], strict=True):
        assert_same(piece, frame)
    left = expected.requests[number:]
    assert [1] * len(left) == [sum(is_request(line, request) for line in relay.lines) for request in left]
    assert len(left) == len(relay.lines)


@pytest.mark.parametrize("name", STREAMS)
def test_pieces_of_a_stream_make_the_whole_frame(name: str, expected_of: Callable[[str], Expected]) -> None:
    case, expected = CASES[name], expected_of(name)
    whole = join(case, [expected.whole]) if case.method == "activity" else expected.whole
    pd.testing.assert_frame_equal(whole, join(case, expected.pieces), check_exact=True)


# --- the breaker -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("number", [0, 6, 12])
def test_other_pieces_arrive_if_one_always_fails(number: int, workers: int, relay: Relay, client_at: ClientAt) -> None:
    client = client_at(relay.sandbox.analytics_url)
    arguments: dict[str, Any] = {"contract": TTF, "start": "2022-01-31", "end": "2024-02-05", "interval": "12h"}
    plan = client.plan.top_of_book(**arguments)
    assert 13 == len(plan)
    retrying = client_at(relay.url, attempts=7, backoff_cap=0.01, workers=workers)
    relay.rule = always(status(503), plan.requests[number])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the breaker must not open
        with pytest.raises(PartialDataError) as caught:
            retrying.top_of_book(**arguments)

    assert [ServerError] == [type(each.error) for each in caught.value.failures]
    assert 12 + 7 == len(relay.lines)
    relay.rule = unchanged
    assert_same(client.top_of_book(**arguments), caught.value.resume())


# --- today -------------------------------------------------------------------------------------------------------

NOW = pd.Timestamp("2024-02-06T15:00", tz="UTC")


@pytest.fixture(scope="module")
def without_today() -> Iterator[Sandbox]:
    """A sandbox whose key is not entitled to the current day."""
    with Sandbox(limits=False, now=NOW.to_pydatetime()) as sandbox:
        yield sandbox


@pytest.fixture
def intraday_client(without_today: Sandbox, make_client: MakeClient) -> Client:
    """A client whose settings claim the entitlement to the current day."""
    return make_client(without_today, intraday=True, clock=lambda: NOW)


TODAY: list[tuple[str, dict[str, Any]]] = [
    ("trades", {"contract": TTF, "start": "2024-02-06"}),
    ("trades", {"contract": TTF, "start": "2024-02-05", "end": "2024-02-06T00:00:01"}),
    ("ohlcv", {"contract": TTF, "start": "2024-02-05", "interval": "1h"}),
    ("top_of_book", {"contract": TTF, "start": "2024-02-05", "interval": "1h"}),
    ("order_book", {"contract": TTF, "start": "2024-02-06", "interval": "1h"}),
    ("activity", {"start": "2024-02-05", "end": "2024-02-06T12:00"}),
    ("snapshots", {"contract": TTF, "at": "2024-02-06T12:00"}),
    ("last_trade", {"contract": TTF, "at": "2024-02-06T12:00"}),
]


@pytest.mark.parametrize("method, args", TODAY)
def test_refusal_of_today_has_a_remedy(method: str, args: dict[str, Any], intraday_client: Client) -> None:
    with pytest.raises(IntradayNotAllowed, match="reached into today.*end it at 00:00 UTC of today") as caught:
        getattr(intraday_client, method)(**args)

    assert (method, 401) == (caught.value.endpoint, caught.value.status)


@pytest.mark.parametrize(
    "method, args",
    [
        ("trades", {"contract": TTF, "start": "2024-01-04", "end": "2024-02-06T12:00"}),
        ("activity", {"start": "2024-01-30", "end": "2024-02-06T12:00"}),
    ],
)
def test_pieces_before_today_arrive(method: str, args: dict[str, Any], intraday_client: Client) -> None:
    with pytest.raises(PartialDataError, match="reached into today") as caught:
        getattr(intraday_client, method)(**args)

    assert [IntradayNotAllowed] == [type(each.error) for each in caught.value.failures]
    assert len(caught.value.frame) > 0


def test_own_trades_of_today_need_no_entitlement(intraday_client: Client) -> None:
    frame = intraday_client.private_trades("2024-02-06", contract=TTF)

    assert len(frame) > 0
    assert frame.index.min() >= NOW.normalize()


# --- rows outside of the request ----------------------------------------------------------------------------------


def nanoseconds(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").value


def rows(*objects: dict[str, Any]) -> bytes:
    return json.dumps(objects).encode()


def trade(time: str) -> dict[str, Any]:
    cells = {"tradeId": "x", "venueCode": "ICE", "price": 1, "quantity": 1, "aggressorBuy": True}
    return {"dealDate": nanoseconds(time), **cells}


def candle(time: str) -> dict[str, Any]:
    end = nanoseconds(time) + 86400 * 10**9
    return {
        "fromTimestamp": nanoseconds(time),
        "toTimestamp": end,
        **dict.fromkeys(["open", "high", "low", "close"], 1),
    }


def point(time: str) -> dict[str, Any]:
    return {"timestamp": nanoseconds(time), "bidPrice": 1, "bidQuantity": 1, "askPrice": 2, "askQuantity": 1}


def book(time: str) -> dict[str, Any]:
    order = {"price": 1, "quantity": 1}
    return {"timestamp": nanoseconds(time), "bids": [order, order], "asks": [order]}


def snapshot(time: str, *objects: dict[str, Any]) -> bytes:
    return json.dumps({"timestamp": nanoseconds(time), "snapshots": objects}).encode()


APR = {"contractType": "SinglePeriod", "marketId": 10000065, "sequenceId": 10000305, "sequenceItemId": 244}
OUTSIDE: dict[str, tuple[str, bytes, str]] = {
    "a trade before": ("private_trades_of", rows(trade("2024-01-02T23:59:59")), "$[0].dealDate"),
    "a trade after": (
        "private_trades_of",
        rows(trade("2024-01-03T12:00"), trade("2024-01-04T12:00")),
        "$[1].dealDate",
    ),
    "a candle before": ("ohlcv", rows({**candle("2024-01-02"), "volume": 1}), "$[0].fromTimestamp"),
    "a candle after": (
        "ohlcv",
        rows({**candle("2024-01-03"), "volume": 1}, {**candle("2024-01-05"), "volume": 1}),
        "$[1].fromTimestamp",
    ),
    "a last trade at the moment": ("last_trade", rows(trade("2024-02-05T16:30")), "$[0].dealDate"),
    "a last trade after it": ("last_trade", rows(trade("2024-02-05T16:31")), "$[0].dealDate"),
    "a last trade of long ago": ("last_trade", rows(trade("2023-02-01T16:31")), "$[0].dealDate"),
    "a point before": ("top_of_book", rows(point("2024-01-02T12:00")), "$[0].timestamp"),
    "a point after": ("top_of_book", rows(point("2024-01-03T12:00"), point("2024-01-04T12:00")), "$[1].timestamp"),
    "a book before": ("order_book", rows(book("2024-01-02T12:00")), "$[0].timestamp"),
    "a book after": ("order_book", rows(book("2024-01-03T12:00"), book("2024-01-04T12:00")), "$[1].timestamp"),
    "a snapshot of another minute": (
        "snapshots",
        snapshot("2024-02-05T16:01", {"contract": APR, "bestOrders": None, "lastTrade": None}),
        "$.timestamp",
    ),
    "a snapshot of another minute, of nothing": ("snapshots", snapshot("2024-02-05T16:01"), "$.timestamp"),
}
"""For a query of one request: a response with a row that was not requested, and the place of that row."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_row_outside_of_the_request_is_an_error_with_its_place(name: str, relay: Relay, client_at: ClientAt) -> None:
    single, body, path = OUTSIDE[name]
    method, args = SINGLE[single]
    relay.rule = lambda line, count: with_body(body)
    with pytest.raises(DecodeError, match="is outside of the request") as caught:
        getattr(client_at(relay.url), method)(**args)

    assert (method, path) == (caught.value.endpoint, caught.value.path)
    assert 1 == len(relay.lines)  # not retried, since the response would be the same


@pytest.mark.parametrize(
    "method, point",
    [
        pytest.param(
            "top_of_book",
            b'{"timestamp":%d,"bidPrice":1,"bidQuantity":1,"askPrice":2,"askQuantity":1}',
            id="top_of_book",
        ),
        pytest.param(
            "order_book",
            b'{"timestamp":%d,"bids":[],"asks":[]}',
            id="order_book",
        ),
    ],
)
def test_response_with_the_maximum_number_of_points_is_an_error(
    method: str, point: bytes, relay: Relay, client_at: ClientAt
) -> None:
    first = nanoseconds("2024-02-05T00:00:01")
    body = b"[" + b",".join(point % (first + second * 10**9) for second in range(100_000)) + b"]"
    relay.rule = lambda line, count: with_body(body)
    client = client_at(relay.url)
    with pytest.raises(DecodeError, match="100000 points are the most that a response has") as caught:
        getattr(client, method)(TTF, "2024-02-05", "2024-02-06T03:46:38", "1s", include_empty=True)

    assert (method, "$") == (caught.value.endpoint, caught.value.path)
