"""Every question over a line that fails: what is tried again changes nothing, and what is missing is named."""

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

PATIENT: dict[str, Any] = {"attempts": 5, "backoff_cap": 0.01, "timeout": (1, 0.3)}
"""The settings of a client that tries again, and soon."""


@frozen
class Piece:
    """A request that is expected: the ends of its window and its contracts, as failures tell them."""

    start: str
    end: str
    contracts: tuple[str, ...]


@frozen
class Question:
    """A question of two to four requests, and which they are by the guide's limits."""

    method: str
    args: dict[str, Any]
    edges: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    more: tuple[Piece, ...] = ()
    settings: dict[str, Any] = field(factory=dict)

    def of(self, asked: Any) -> Any:
        """What a client, its plans or its streams answer."""
        return getattr(asked, self.method)(**self.args)

    @property
    def pieces(self) -> list[Piece]:
        """By window, then by group of contracts."""
        ends = [pd.Timestamp(edge, tz="UTC").isoformat() for edge in self.edges]
        windows = list(itertools.pairwise(ends))
        return [*(Piece(*window, group) for window in windows for group in self.groups), *self.more]

    def without(self, whole: pd.DataFrame, number: int) -> pd.DataFrame:
        """The rows of the whole answer that are not of this piece."""
        piece = self.pieces[number]
        moments, start, end = whole.index, pd.Timestamp(piece.start), pd.Timestamp(piece.end)
        if piece.contracts == (COUNTS,):
            return whole
        if self.method in ("last_trade", "snapshots"):
            inside = whole["contract"].notna()
        elif self.method in ("top_of_book", "order_book"):
            inside = pd.Series((moments > start) & (moments <= end), whole.index)
        else:
            inside = pd.Series((moments >= start) & (moments < end), whole.index)
        if piece.contracts not in ((ALL,), (FRONT,)):
            inside &= whole["contract"].isin(piece.contracts)
        assert inside.any(), "a piece without rows shows nothing"
        return whole[~inside]


_CANDLES = Question(
    "ohlcv",
    {"contract": [TTF, EUA], "start": "2018-07-02", "end": "2024-03-04", "interval": "7d", "fields": ["vwap"]},
    ("2018-07-02", "2023-07-03", "2024-03-04"),
    ((TTF,), (EUA,)),
)
_DAY_BEFORE_SEAM = "2024-01-29T12:00"
"""Where 119 points of 12 hours after 2023-12-01 end: a seam asks one further, and 60 days are the most."""

QUESTIONS = {
    "trades": Question(
        "trades",
        {"contract": [TTF, EUA], "start": "2023-03-10", "end": "2023-04-12"},
        ("2023-03-10", "2023-04-11", "2023-04-12"),
        ((TTF,), (EUA,)),
    ),
    "trades-verified": Question(
        "trades",
        # Counts begin on 2023-04-10, so that there is one request for them and not five.
        {"contract": [TTF, MAY], "start": "2023-03-10", "end": "2023-04-12", "verify": True},
        ("2023-03-10", "2023-04-11", "2023-04-12"),
        ((TTF, MAY),),
        (Piece("2023-04-10T00:00:00+00:00", "2023-04-12T00:00:00+00:00", (COUNTS,)),),
    ),
    "trades-of-a-front": Question(
        "trades",
        {"contract": Front("TTF", "Quarters", 2), "start": "2022-12-30", "end": "2023-01-03"},
        ("2022-12-30", "2023-01-01", "2023-01-03"),
        ((FRONT,),),
    ),
    "trades-with-own": Question(
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
    "private-trades": Question(
        "private_trades",
        # The sandbox's market opens at 07:00 on 2010-01-04: 32 days of all that is traded later take it seconds.
        {"start": "2009-12-03T08:00", "end": "2010-01-04T09:00"},
        ("2009-12-03T08:00", "2010-01-04T08:00", "2010-01-04T09:00"),
        ((ALL,),),
    ),
    "private-trades-of-contracts": Question(
        "private_trades",
        {"start": "2024-01-03", "end": "2024-02-08", "contract": [TTF, EUA]},
        ("2024-01-03", "2024-02-04", "2024-02-08"),
        ((TTF,), (EUA,)),
    ),
    "ohlcv": _CANDLES,
    "ohlcv-as-csv": Question(
        _CANDLES.method, _CANDLES.args, _CANDLES.edges, _CANDLES.groups, settings={"wire_format": "csv"}
    ),
    "last-trade": Question(
        "last_trade",
        {"contract": [TTF, MAY, EUA], "at": "2024-02-05T16:30"},
        ("2024-02-05T16:30", "2024-02-05T16:30"),
        ((TTF,), (MAY,), (EUA,)),
    ),
    "activity": Question(
        "activity",
        {"start": "2023-12-25", "end": "2024-01-03", "fields": ["delete_count"]},
        ("2023-12-25", "2024-01-01", "2024-01-03"),
        ((ALL,),),
    ),
    "top-of-book": Question(
        "top_of_book",
        {"contract": [TTF, EUA], "start": "2023-12-01", "end": "2024-02-05", "interval": "12h", "routes": ["all"]},
        ("2023-12-01", _DAY_BEFORE_SEAM, "2024-02-05"),
        ((TTF,), (EUA,)),
    ),
    "order-book": Question(
        "order_book",
        {"contract": [TTF, EUA], "start": "2023-12-01", "end": "2024-02-05", "interval": "12h", "depth": 2},
        ("2023-12-01", _DAY_BEFORE_SEAM, "2024-02-05"),
        ((TTF,), (EUA,)),
    ),
    "snapshots": Question(
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

STREAMS = [name for name, question in QUESTIONS.items() if not question.args.get("verify")]
"""What is verified is no stream."""


def numbered(names: Iterable[str]) -> list[ParameterSet]:
    """Each piece of these questions."""
    return [
        pytest.param(name, number, id=f"{name}-{number}")
        for name in names
        for number in range(len(QUESTIONS[name].pieces))
    ]


every_question = pytest.mark.parametrize("name", QUESTIONS)


@frozen
class Undisturbed:
    """What a question answers where nothing fails."""

    whole: pd.DataFrame
    pieces: list[pd.DataFrame]
    """None of them for what is no stream."""
    requests: tuple[Request, ...]


Memory = dict[tuple[str, str], Reply]
KeptClient = Callable[..., Client]


@pytest.fixture(scope="module")
def memory() -> Memory:
    """What the sandbox has said to the relays."""
    return {}


@pytest.fixture(scope="module")
def kept(sandbox: Sandbox, cache_dir: Path) -> Iterator[KeptClient]:
    """Clients at a URL, each made once, since one that has looked names up has not to do so again."""
    made: dict[tuple[Any, ...], Client] = {}
    with ExitStack() as stack:

        def client(url: str, **settings: Any) -> Client:
            key = (url, *sorted(settings.items()))
            if key not in made:
                given = {**sandbox.settings, "analytics_url": url, "limiter": "off", "cache_dir": cache_dir, **settings}
                made[key] = stack.enter_context(Client(config=Config(**given)))
            for breaker in made[key].session.breakers.values():
                breaker.record_success()  # forget the failures of other tests
            return made[key]

        yield client


@pytest.fixture(scope="module")
def undisturbed(sandbox: Sandbox, memory: Memory, kept: KeptClient) -> Iterator[Callable[[str], Undisturbed]]:
    """Asks the sandbox itself for a frame, and a relay without faults for its pieces; each question once."""
    found: dict[str, Undisturbed] = {}
    with Relay(sandbox, memory) as calm:

        def ask(name: str) -> Undisturbed:
            if name not in found:
                question = QUESTIONS[name]
                whole = question.of(kept(sandbox.analytics_url, **question.settings))
                client = kept(calm.url, **question.settings)
                same(whole, question.of(client))
                pieces = list(question.of(client.stream)) if name in STREAMS else []
                found[name] = Undisturbed(whole, pieces, question.of(client.plan).requests)
            return found[name]

        yield ask


@pytest.fixture(scope="module")
def line(sandbox: Sandbox, memory: Memory) -> Iterator[Relay]:
    with Relay(sandbox, memory) as relay:
        yield relay


@pytest.fixture
def relay(line: Relay) -> Iterator[Relay]:
    """The relay that a test has to itself."""
    line.rule = unchanged
    line.lines.clear()
    yield line
    quiet()


@pytest.fixture
def client_of(relay: Relay, kept: KeptClient) -> Callable[..., Client]:
    """Clients of the relay for a question."""
    return lambda name, **settings: kept(relay.url, **QUESTIONS[name].settings, **settings)


def quiet() -> None:
    """Waits for the requests that a broken stream still has under way."""
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("trayport_") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def same(expected: pd.DataFrame, actual: pd.DataFrame) -> None:
    """Is it the same frame, and does it say the same of itself?"""
    pd.testing.assert_frame_equal(expected, actual, check_exact=True)
    assert expected.attrs == actual.attrs


def once(fault: Fault) -> Rule:
    """Every request meets the fault when it is first asked."""
    return lambda line, count: fault if count == 1 else None


def always(fault: Fault, *requests: Request) -> Rule:
    """These requests meet the fault however often they are asked."""
    return lambda line, count: fault if any(is_request(line, request) for request in requests) else None


# --- failing once ------------------------------------------------------------------------------------------------


@every_question
def test_a_question_is_cut_where_the_guide_says(name: str, undisturbed: Callable[[str], Undisturbed]) -> None:
    assert len(QUESTIONS[name].pieces) == len(undisturbed(name).requests)
    assert len(QUESTIONS[name].pieces) in (2, 3, 4)  # with five at once, the breaker would take its half minute


@every_question
@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_once_leaves_no_trace(
    name: str,
    fault: str,
    relay: Relay,
    client_of: Callable[..., Client],
    undisturbed: Callable[[str], Undisturbed],
) -> None:
    expected = undisturbed(name)
    relay.rule = once(FAULTS[fault])
    actual = QUESTIONS[name].of(client_of(name, **PATIENT))

    same(expected.whole, actual)
    asked = Counter(relay.lines)
    assert len(expected.requests) == len(asked)
    assert min(asked.values()) >= 2


# --- failing for good --------------------------------------------------------------------------------------------


def failures(error: PartialDataError) -> list[Piece]:
    return [Piece(each.start.isoformat(), each.end.isoformat(), each.contracts) for each in error.failures]


@pytest.mark.parametrize("name, number", numbered(QUESTIONS))
def test_a_piece_that_always_fails_is_named_and_resumed(
    name: str,
    number: int,
    relay: Relay,
    client_of: Callable[..., Client],
    undisturbed: Callable[[str], Undisturbed],
) -> None:
    question, expected = QUESTIONS[name], undisturbed(name)
    lost = expected.requests[number]
    relay.rule = always(status(503), lost)
    with pytest.raises(PartialDataError, match="1 request failed for good") as caught:
        question.of(client_of(name, attempts=2, backoff_cap=0.01))
    partial = caught.value

    assert [question.pieces[number]] == failures(partial)
    assert [ServerError] == [type(each.error) for each in partial.failures]
    # Of activity no row says which window it is of; but two pieces leave one.
    counted = question.method == "activity"
    rest = expected.pieces[1 - number] if counted else question.without(expected.whole, number)
    pd.testing.assert_frame_equal(rest, partial.frame, check_exact=True)
    assert partial.frame.attrs["trayport"]["complete"] is False
    assert [list(question.pieces[number].contracts)] == [
        each["contract"] for each in partial.frame.attrs["trayport"]["missing"]
    ]

    relay.rule = unchanged
    relay.lines.clear()
    same(expected.whole, partial.resume())
    assert [True] == [is_request(line, lost) for line in relay.lines]


@every_question
def test_when_every_piece_fails_the_frame_is_empty_and_is_resumed(
    name: str, relay: Relay, client_of: Callable[..., Client], undisturbed: Callable[[str], Undisturbed]
) -> None:
    question, expected = QUESTIONS[name], undisturbed(name)
    relay.rule = lambda line, count: status(503)
    with pytest.raises(PartialDataError) as caught:
        question.of(client_of(name, attempts=1))

    assert question.pieces == failures(caught.value)
    assert (0, expected.whole.dtypes.to_dict()) == (len(caught.value.frame), caught.value.frame.dtypes.to_dict())
    relay.rule = unchanged
    same(expected.whole, caught.value.resume())


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
"""Questions of one request."""


@pytest.mark.parametrize("name", SINGLE)
def test_a_question_of_one_request_raises_its_own_error(name: str, relay: Relay, kept: KeptClient) -> None:
    method, args = SINGLE[name]
    client = kept(relay.url, attempts=1)
    relay.rule = lambda line, count: status(503)
    with pytest.raises(ServerError, match=rf"^{method}: 503 Service Unavailable \(X-Request-ID [0-9a-f]+-1\)$"):
        getattr(client, method)(**args)
    with pytest.raises(ServerError, match=rf"^{method}: 503 Service Unavailable \(X-Request-ID [0-9a-f]+-1\)$"):
        next(getattr(client.stream, method)(**args))

    assert 2 == len(relay.lines)


# --- streams -----------------------------------------------------------------------------------------------------


def put_together(question: Question, pieces: list[pd.DataFrame]) -> pd.DataFrame:
    """The frame that pieces are of, as its reader would make it: by time, then by contract as asked."""
    joined = pd.concat(pieces)
    if question.method == "activity":
        counts = ["count", "delete_count"]
        ids = [column for column in joined if column not in counts]
        return joined.groupby(ids, dropna=False)[counts].sum()
    asked = question.args.get("contract")
    ranks = joined["contract"].map(asked.index if isinstance(asked, list) else lambda name: 0)
    return joined.iloc[np.lexsort((ranks.to_numpy(), pd.DatetimeIndex(joined.index).asi8))]


@pytest.mark.parametrize("name, number", numbered(STREAMS))
def test_a_stream_breaks_off_at_the_piece_that_fails_and_goes_on_from_it(
    name: str,
    number: int,
    relay: Relay,
    client_of: Callable[..., Client],
    undisturbed: Callable[[str], Undisturbed],
) -> None:
    question, expected = QUESTIONS[name], undisturbed(name)
    relay.rule = always(status(503), expected.requests[number])
    stream = question.of(client_of(name, attempts=2, backoff_cap=0.01).stream)
    delivered = list(itertools.islice(stream, number))
    with pytest.raises(PartialDataError) as caught:
        next(stream)

    assert [question.pieces[number]] == failures(caught.value)
    assert (0, list(expected.whole.columns)) == (len(caught.value.frame), list(caught.value.frame.columns))
    quiet()
    relay.rule = unchanged
    relay.lines.clear()
    resumed = list(caught.value.resume())
    assert len(expected.pieces) == len(delivered) + len(resumed)
    for piece, frame in zip(expected.pieces, [*delivered, *resumed], strict=True):
        same(piece, frame)
    left = expected.requests[number:]
    assert [1] * len(left) == [sum(is_request(line, request) for line in relay.lines) for request in left]
    assert len(left) == len(relay.lines)


@pytest.mark.parametrize("name", STREAMS)
def test_the_pieces_of_a_stream_are_the_whole_frame(name: str, undisturbed: Callable[[str], Undisturbed]) -> None:
    question, expected = QUESTIONS[name], undisturbed(name)
    whole = put_together(question, [expected.whole]) if question.method == "activity" else expected.whole
    pd.testing.assert_frame_equal(whole, put_together(question, expected.pieces), check_exact=True)


# --- the breaker -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("number", [0, 6, 12])
def test_one_piece_that_always_fails_does_not_keep_the_others_from_arriving(
    number: int, workers: int, relay: Relay, kept: KeptClient
) -> None:
    client = kept(relay.sandbox.analytics_url)
    question: dict[str, Any] = {"contract": TTF, "start": "2022-01-31", "end": "2024-02-05", "interval": "12h"}
    lost = client.plan.top_of_book(**question)
    assert 13 == len(lost)
    patient = kept(relay.url, attempts=7, backoff_cap=0.01, workers=workers)
    relay.rule = always(status(503), lost.requests[number])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of the API's being left alone
        with pytest.raises(PartialDataError) as caught:
            patient.top_of_book(**question)

    assert [ServerError] == [type(each.error) for each in caught.value.failures]
    assert 12 + 7 == len(relay.lines)
    relay.rule = unchanged
    same(client.top_of_book(**question), caught.value.resume())


# --- today -------------------------------------------------------------------------------------------------------

NOW = pd.Timestamp("2024-02-06T15:00", tz="UTC")


@pytest.fixture(scope="module")
def closed_today() -> Iterator[Sandbox]:
    """A sandbox whose key may not see today."""
    with Sandbox(limits=False, now=NOW.to_pydatetime()) as sandbox:
        yield sandbox


@pytest.fixture
def hopeful(closed_today: Sandbox, make_client: MakeClient) -> Client:
    """A client that takes its key to see today."""
    return make_client(closed_today, intraday=True, clock=lambda: NOW)


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
def test_a_refusal_of_today_says_what_to_do(method: str, args: dict[str, Any], hopeful: Client) -> None:
    with pytest.raises(IntradayNotAllowed, match="reached into today.*end it at 00:00 UTC of today") as caught:
        getattr(hopeful, method)(**args)

    assert (method, 401) == (caught.value.endpoint, caught.value.status)


@pytest.mark.parametrize(
    "method, args",
    [
        ("trades", {"contract": TTF, "start": "2024-01-04", "end": "2024-02-06T12:00"}),
        ("activity", {"start": "2024-01-30", "end": "2024-02-06T12:00"}),
    ],
)
def test_what_ends_before_today_arrives_all_the_same(method: str, args: dict[str, Any], hopeful: Client) -> None:
    with pytest.raises(PartialDataError, match="reached into today") as caught:
        getattr(hopeful, method)(**args)

    assert [IntradayNotAllowed] == [type(each.error) for each in caught.value.failures]
    assert len(caught.value.frame) > 0


def test_own_trades_of_today_are_there_without_the_right_to_it(hopeful: Client) -> None:
    frame = hopeful.private_trades("2024-02-06", contract=TTF)

    assert len(frame) > 0
    assert frame.index.min() >= NOW.normalize()


# --- answers to something else -----------------------------------------------------------------------------------


def nanoseconds(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").value


def rows(*found: dict[str, Any]) -> bytes:
    return json.dumps(found).encode()


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


def snapshot(time: str, *found: dict[str, Any]) -> bytes:
    return json.dumps({"timestamp": nanoseconds(time), "snapshots": found}).encode()


APR = {"contractType": "SinglePeriod", "marketId": 10000065, "sequenceId": 10000305, "sequenceItemId": 244}
STRAYS: dict[str, tuple[str, bytes, str]] = {
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
"""For a question of one request, an answer to another, and the place of what was not asked for."""


@pytest.mark.parametrize("name", STRAYS)
def test_an_answer_to_another_question_is_an_error_with_its_place(name: str, relay: Relay, kept: KeptClient) -> None:
    question, body, path = STRAYS[name]
    method, args = SINGLE[question]
    relay.rule = lambda line, count: with_body(body)
    with pytest.raises(DecodeError, match="is outside of the request") as caught:
        getattr(kept(relay.url), method)(**args)

    assert (method, path) == (caught.value.endpoint, caught.value.path)
    assert 1 == len(relay.lines)  # asking again would bring the same


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
def test_an_answer_as_full_as_answers_get_may_be_cut_and_is_an_error(
    method: str, point: bytes, relay: Relay, kept: KeptClient
) -> None:
    first = nanoseconds("2024-02-05T00:00:01")
    body = b"[" + b",".join(point % (first + second * 10**9) for second in range(100_000)) + b"]"
    relay.rule = lambda line, count: with_body(body)
    client = kept(relay.url)
    with pytest.raises(DecodeError, match="100000 points are the maximum") as caught:
        getattr(client, method)(TTF, "2024-02-05", "2024-02-06T03:46:38", "1s", include_empty=True)

    assert (method, "$") == (caught.value.endpoint, caught.value.path)
