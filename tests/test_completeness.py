"""Results of random queries: no row is missing, doubled or out of order, whichever way a server reads the guide."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from support.api import DOCUMENT, get_json
from support.profiles import examples
from support.relay import Relay, Reply, Rule

from trayport import Client, Config, Front, TrayportWarning
from trayport.endpoints import ACTIVITY, OHLCV, ORDER_BOOK, PRIVATE_TRADES, TOP_OF_BOOK, TRADES, Endpoint
from trayport.sandbox import Asked, Sandbox
from trayport.wire import contract_params

Options = dict[str, Any]
Drawn = st.SearchStrategy[Any]

POOL = [
    "TTF Apr-24",
    "TTF May-24",
    "EUA Dec-24",
    "TTF Hi Cal 51.6 EEX Apr-24",
    "TTF Apr-24/May-24",
    "NBP Sum-24",
    "Germany Baseload Mar-24..May-24",
    "Germany Baseload Q2-24",
    "TTF Jun-24",
]
"""Markets and an instrument; singles, a spread and a range; of several products and sequences."""

PATHS = {
    "trades": "/trades",
    "private_trades": "/trades/private",
    "ohlcv": "/trades/ohlcv",
    "activity": "/trades/activity",
    "top_of_book": "/orders/book/top",
    "order_book": "/orders/book",
}

SECOND, MINUTE, HOUR, DAY = (pd.Timedelta(1, unit) for unit in ("s", "min", "h", "D"))


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


# --- servers and clients -------------------------------------------------------------------------------------


class Servers:
    """Sandboxes with every combination of switches and one seed, and their clients, which share reference data."""

    def __init__(self, stack: ExitStack, cache_dir: Path) -> None:
        self._stack, self._cache_dir = stack, cache_dir
        self._sandboxes: dict[tuple[str, str, str], Sandbox] = {}
        self._clients: dict[tuple[str, str], Client] = {}
        self.expected: dict[str, Counter[Any]] = {}
        """The numbers of rows of wide windows, which several tests compare with."""

    def sandbox(self, until: Any = "exclusive", order: Any = "sorted", books: Any = "end") -> Sandbox:
        switches = until, order, books
        if switches not in self._sandboxes:
            made = Sandbox(limits=False, until=until, order=order, books=books)
            self._sandboxes[switches] = self._stack.enter_context(made)
        return self._sandboxes[switches]

    def client(self, sandbox: Sandbox, wire_format: Any = "json") -> Client:
        if (sandbox.url, wire_format) not in self._clients:
            self._clients[sandbox.url, wire_format] = self.client_of(sandbox.analytics_url, wire_format=wire_format)
        return self._clients[sandbox.url, wire_format]

    def client_of(self, analytics_url: str, **settings: Any) -> Client:
        # All look up names in the first sandbox, since each URL has a cache of its own.
        names = self.sandbox()
        config = Config(
            names.key,
            analytics_url=analytics_url,
            reference_url=names.reference_url,
            limiter="off",
            progress=False,
            cache_dir=self._cache_dir,
            **settings,
        )
        return self._stack.enter_context(Client(config=config))

    @cached_property
    def seconds_of_trades(self) -> list[pd.Timestamp]:
        """Whole seconds at which a contract of the pool was traded."""
        frame = self.client(self.sandbox()).trades(POOL, "2023-12-20", "2024-01-10")
        times = pd.DatetimeIndex(frame.index)
        return sorted(set(times[times == times.floor("s")]))[::9]

    @property
    def asked(self) -> list[Asked]:
        """All requests to any of the sandboxes."""
        return [request for sandbox in self._sandboxes.values() for request in sandbox.asked]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, tmp_path_factory.mktemp("cache"))


ORDERS = st.sampled_from(["sorted", "shuffled"])
FORMATS = st.sampled_from(["json", "csv"])


# --- rows ----------------------------------------------------------------------------------------------------


def ask(face: Any, query: str, options: Options, start: pd.Timestamp, end: pd.Timestamp) -> Any:
    return getattr(face, query)(start=start, end=end, **options)


def rows(frames: Sequence[pd.DataFrame]) -> list[tuple[Hashable, ...]]:
    """Return the rows of frames with their times; counts of one contract in several frames are added up."""
    first = frames[0]
    if isinstance(first.index, pd.RangeIndex):
        counts = [name for name in first.columns if first[name].dtype == "int64"]
        ids = [name for name in first.columns if name not in counts]
        whole = pd.concat(frames).groupby(ids, dropna=False, sort=False, as_index=False)[counts].sum()
        return _tuples(whole[list(first.columns)])
    return [row for frame in frames for row in _tuples(frame.reset_index())]


def _tuples(frame: pd.DataFrame) -> list[tuple[Hashable, ...]]:
    cells = frame.astype(object)
    # CSV does not distinguish an empty text from a missing one.
    return list(cells.where(cells.notna() & (cells != ""), None).itertuples(index=False, name=None))


NO_DIFFERENCE: tuple[list[Any], list[Any]] = ([], [])


def differences(expected: Iterable[Hashable], actual: Iterable[Hashable]) -> tuple[list[Any], list[Any]]:
    """Return the missing and the surplus rows, in any order."""
    missing = Counter(expected) - Counter(actual)
    surplus = Counter(actual) - Counter(expected)
    return list(missing.elements()), list(surplus.elements())


# --- any split equals the whole ------------------------------------------------------------------------------


@frozen
class Case:
    """Options of a query, and times at which its window may be split."""

    options: Options
    edges: tuple[pd.Timestamp, ...]


def fields(endpoint: Endpoint) -> Drawn:
    names = [column.name for column in endpoint.columns_of("optional")]
    return st.lists(st.sampled_from(names), max_size=3, unique=True)


NAMES = st.lists(st.sampled_from(POOL), min_size=1, max_size=4, unique=True)
ROUTED = {"routes": st.sampled_from([(), "all", ("Desk",)]), "deduplicate": st.booleans()}
TRADES_OPTIONS = st.fixed_dictionaries(
    {"contract": NAMES, "include_private": st.booleans(), "fields": fields(TRADES), **ROUTED}
)
PRIVATE_OPTIONS = st.fixed_dictionaries({"contract": NAMES, "fields": fields(PRIVATE_TRADES), **ROUTED})
TOP_OPTIONS = st.fixed_dictionaries(
    {"contract": NAMES, "include_empty": st.booleans(), "fields": fields(TOP_OF_BOOK), **ROUTED}
)
BOOK_OPTIONS = st.fixed_dictionaries(
    {
        "contract": NAMES,
        "depth": st.integers(1, 12),
        "max_spread": st.none() | st.floats(0.01, 5).map(lambda percent: round(percent, 2)),
        "include_private": st.booleans(),
        "include_empty": st.booleans(),
        "fields": fields(ORDER_BOOK),
        **ROUTED,
    }
)
CANDLE_OPTIONS = st.fixed_dictionaries({"contract": NAMES, "include_empty": st.booleans(), "fields": fields(OHLCV)})
ACTIVITY_OPTIONS = st.fixed_dictionaries({"routes": ROUTED["routes"], "fields": fields(ACTIVITY)})

STEPS = {"1s": SECOND, "15s": 15 * SECOND, "1min": MINUTE, "7min": 7 * MINUTE, "1h": HOUR, "12h": 12 * HOUR}
CANDLES = {"1min": MINUTE, "5min": 5 * MINUTE, "15min": 15 * MINUTE, "30min": 30 * MINUTE, "1h": HOUR, "4h": 4 * HOUR,
           "1d": DAY, "7d": 7 * DAY}  # fmt: skip


@st.composite
def anywhere(draw: st.DrawFn, options: Drawn, seconds_of_trades: Sequence[pd.Timestamp]) -> Case:
    """Draw edges on any second; many on the second of a trade, where the server's reading of ``until`` matters."""
    loose = st.integers(0, 75 * 86_400).map(lambda second: utc("2023-12-20") + second * SECOND)
    edges = draw(st.lists(st.sampled_from(seconds_of_trades) | loose, min_size=2, max_size=6))
    return Case(draw(options), tuple(sorted(edges)))


@st.composite
def of_all_contracts(draw: st.DrawFn) -> Case:
    """Draw a query for own trades of all contracts; a short window, since each contract is looked up by its ids."""
    begin = draw(st.integers(0, 48)) * 3600
    seconds = draw(st.lists(st.integers(begin, begin + 4 * 3600), min_size=3, max_size=4))
    return Case({}, tuple(utc("2024-02-05") + second * SECOND for second in sorted(seconds)))


@st.composite
def on_steps(draw: st.DrawFn, options: Drawn, most: int) -> Case:
    """Draw edges at multiples of an interval from any second on, mostly in business hours."""
    interval = draw(st.sampled_from(sorted(STEPS)))
    hour, second = draw(st.integers(6, 17)), draw(st.sampled_from([0, 1, 17, 59, 3599]))
    start = utc("2024-02-05") + draw(st.integers(0, 20)) * DAY + hour * HOUR + second * SECOND
    counts = [0, *draw(st.lists(st.integers(0, most), min_size=2, max_size=4))]
    return Case({**draw(options), "interval": interval}, tuple(start + n * STEPS[interval] for n in sorted(counts)))


@st.composite
def on_the_grid(draw: st.DrawFn) -> Case:
    """Draw edges on the grid of candles, months included."""
    interval = draw(st.sampled_from([*CANDLES, "1mo"]))
    counts = sorted(draw(st.lists(st.integers(0, 150), min_size=3, max_size=5)))
    if interval == "1mo":
        edges = [utc("2021-11-01") + pd.DateOffset(months=count // 4) for count in counts]
    else:
        start = utc("2021-03-01") if CANDLES[interval] >= DAY else utc("2024-02-05T04:00")  # both of them Mondays
        edges = [start + count * CANDLES[interval] for count in counts]
    return Case({**draw(CANDLE_OPTIONS), "interval": interval}, tuple(edges))


@st.composite
def on_minutes(draw: st.DrawFn) -> Case:
    """Draw edges at whole minutes, within a few hours: the sandbox takes long to count all trades of a week."""
    reach = draw(st.sampled_from([3, 36, 200])) * 60
    minutes = draw(st.lists(st.integers(0, reach), min_size=3, max_size=4))
    return Case(draw(ACTIVITY_OPTIONS), tuple(utc("2024-02-05T08:00") + n * MINUTE for n in sorted(minutes)))


def cases(query: str, seconds_of_trades: Sequence[pd.Timestamp]) -> Drawn:
    return {
        "trades": anywhere(TRADES_OPTIONS, seconds_of_trades),
        "private_trades": anywhere(PRIVATE_OPTIONS, seconds_of_trades) | of_all_contracts(),
        "ohlcv": on_the_grid(),
        "activity": on_minutes(),
        "top_of_book": on_steps(TOP_OPTIONS, 200),
        "order_book": on_steps(BOOK_OPTIONS, 25),
    }[query]


# Counts have no times: a trade on a seam that the server counts on both sides looks like two trades.
QUERIES_AND_UNTIL = [
    *((query, "exclusive") for query in PATHS),
    *((query, "inclusive") for query in PATHS if query != "activity"),
]


@pytest.mark.parametrize("until", ["exclusive", "inclusive"])
@examples(24)
@given(data=st.data())
def test_any_split_of_a_window_of_trades_gives_the_same_rows(servers: Servers, until: str, data: st.DataObject) -> None:
    """Trades have most examples, since they are the most frequent query."""
    check_that_any_split_gives_the_same_rows(servers, "trades", until, data)


@pytest.mark.parametrize("query, until", [pair for pair in QUERIES_AND_UNTIL if pair[0] != "trades"])
@examples(8)
@given(data=st.data())
def test_any_split_of_a_window_gives_the_same_rows(
    servers: Servers, query: str, until: str, data: st.DataObject
) -> None:
    check_that_any_split_gives_the_same_rows(servers, query, until, data)


def check_that_any_split_gives_the_same_rows(servers: Servers, query: str, until: str, data: st.DataObject) -> None:
    case = data.draw(cases(query, servers.seconds_of_trades))
    client = servers.client(servers.sandbox(until, data.draw(ORDERS)), data.draw(FORMATS))
    whole = ask(client, query, case.options, case.edges[0], case.edges[-1])
    parts = [ask(client, query, case.options, *pair) for pair in itertools.pairwise(case.edges)]

    assert NO_DIFFERENCE == differences(rows([whole]), rows(parts))
    assert whole.index.is_monotonic_increasing
    # A server with the usual reading of the guide, and JSON, give the same rows again.
    plain = ask(servers.client(servers.sandbox()), query, case.options, case.edges[0], case.edges[-1])
    assert NO_DIFFERENCE == differences(rows([plain]), rows([whole]))
    pd.testing.assert_index_equal(plain.index, whole.index)


# --- wider than one request may ask for ----------------------------------------------------------------------

# The wire names of the columns, written down again, so that a mistake in the table of the package fails a test.
ON_THE_WIRE = {
    "trades": {
        "timestamp": "dealDate",
        "trade_id": "tradeId",
        "venue_code": "venueCode",
        "price": "price",
        "quantity": "quantity",
        "aggressor_buy": "aggressorBuy",
    },
    "ohlcv": {
        "timestamp": "fromTimestamp",
        "to_timestamp": "toTimestamp",
        **{name: name for name in ("open", "high", "low", "close", "volume")},
    },
    "activity": {
        "market_id": "marketId",
        "instrument_id": "instrumentId",
        "sequence_id": "sequenceId",
        "sequence_item_id": "sequenceItemId",
        "second_sequence_item_id": "secondSequenceItemId",
        "contract_type": "contractType",
        "count": "count",
    },
    "top_of_book": {
        "timestamp": "timestamp",
        "bid_price": "bidPrice",
        "bid_quantity": "bidQuantity",
        "ask_price": "askPrice",
        "ask_quantity": "askQuantity",
    },
    "order_book": {name: name for name in ("timestamp", "side", "level", "price", "quantity")},
}
ON_THE_WIRE["private_trades"] = ON_THE_WIRE["trades"]


@frozen
class Wide:
    """A window that is wider than one request may ask for, and narrower windows with the same rows."""

    query: str
    options: Options
    first: str
    step: Any
    """The unit of the shift of the start, and of the width."""
    width: int
    narrow: int
    wire: dict[str, Any]
    """The parameters of the same query in a plain request."""

    def __str__(self) -> str:
        return "-".join([self.query, *map(str, self.options.values())]).replace(" ", "")

    def at(self, start: pd.Timestamp, count: int) -> pd.Timestamp:
        return start + count * self.step if isinstance(self.step, pd.Timedelta) else start + self.step(count)

    def windows(self, shift: int) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
        start = self.at(utc(self.first), shift)
        counts = [*range(0, self.width, self.narrow), self.width]
        return list(itertools.pairwise(self.at(start, count) for count in counts))


def months(count: int) -> pd.DateOffset:
    return pd.DateOffset(months=count)


def candles(count: int, unit: str) -> dict[str, Any]:
    return {"interval": count, "intervalUnit": unit}


WIDE = [
    Wide("trades", {"contract": "EUA Dec-30"}, "2024-01-03", 3571 * SECOND, 1700, 300, {}),
    Wide("trades", {"contract": "TTF Hi Cal 51.6 EEX Apr-24"}, "2023-11-02", 3571 * SECOND, 1700, 300, {}),
    Wide("private_trades", {"contract": "TTF Apr-24"}, "2023-11-02", 3571 * SECOND, 1700, 300, {}),
    Wide("ohlcv", {"contract": "NBP Sum-24", "interval": "1d"}, "2018-01-01", DAY, 2400, 301, candles(1, "day")),
    Wide("ohlcv", {"contract": "NBP Sum-24", "interval": "7d"}, "2018-01-01", 7 * DAY, 330, 50, candles(7, "day")),
    Wide("ohlcv", {"contract": "NBP Sum-24", "interval": "1mo"}, "2018-01-01", months, 75, 7, candles(1, "month")),
    Wide("ohlcv", {"contract": "NBP Sum-24", "interval": "1h"}, "2023-06-01", HOUR, 4500, 901, candles(1, "hour")),
    Wide("ohlcv", {"contract": "TTF Apr-24", "interval": "4h"}, "2023-06-01", 4 * HOUR, 1150, 99, candles(4, "hour")),
    Wide("activity", {}, "2024-01-25T07:00", 61 * MINUTE, 215, 40, {"optionalFields": "marketId"}),
    Wide("top_of_book", {"contract": "TTF Apr-24", "interval": "12h"}, "2023-10-02T09:30", 12 * HOUR, 260, 33,
         candles(12, "hour")),
    Wide("order_book", {"contract": "TTF Apr-24", "interval": "12h", "depth": 3}, "2023-10-02T09:30", 12 * HOUR, 260,
         33, {**candles(12, "hour"), "depth": 3}),
    Wide("order_book", {"contract": "EUA Dec-24", "interval": "130h"}, "2023-10-02T09:30", 130 * HOUR, 26, 5,
         candles(130, "hour")),
]  # fmt: skip


# Points of one second: here the maximum number of points limits a window. Its seam is at 08:46:39 on a Monday; nearly
# all of the window is on Sunday, so that it has few rows.
FINE = Wide(
    "top_of_book",
    {"contract": "EUA Dec-30", "interval": "1s"},
    "2024-02-04T05:00",
    SECOND,
    105_000,
    30_001,
    candles(1, "second"),
)


def served(servers: Servers, wide: Wide, windows: Iterable[tuple[pd.Timestamp, pd.Timestamp]]) -> list[dict[str, Any]]:
    """Return the rows of the API's responses to plain requests."""
    named = {}
    if "contract" in wide.options:
        named = dict(contract_params(servers.client(servers.sandbox()).resolve(wide.options["contract"])))
    found = []
    for start, end in windows:
        window = {"from": f"{start:%Y-%m-%dT%H:%M:%SZ}", "until": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        found += get_json(servers.sandbox(), PATHS[wide.query], {**window, **named, **wide.wire})
    if wide.query != "order_book":
        return found
    return [
        {"timestamp": point["timestamp"], "side": side.removesuffix("s"), "level": level, **order}
        for point in found
        for side in ("bids", "asks")
        for level, order in enumerate(point[side], 1)
    ]


def row_numbers(found: Iterable[Mapping[str, Any]], query: str) -> Counter[tuple[Any, ...]]:
    """Return the number of each row; of activity, the count of each contract."""
    numbers: Counter[tuple[Any, ...]] = Counter()
    for row in found:
        *ids, last = (row[name] for name in ON_THE_WIRE[query].values())
        numbers[(*ids,) if query == "activity" else (*ids, last)] += last if query == "activity" else 1
    return numbers


def as_served(frame: pd.DataFrame, query: str) -> list[dict[str, Any]]:
    """Return the rows of a frame in the form of the API."""
    cells = frame.reset_index()
    for name in cells.columns:
        if str(cells[name].dtype).startswith("datetime64"):
            cells[name] = pd.DatetimeIndex(cells[name]).asi8
    cells = cells.astype(object)
    cells = cells.where(cells.notna(), None).rename(columns=ON_THE_WIRE[query])
    return [dict(zip(cells.columns, row, strict=True)) for row in cells.itertuples(index=False, name=None)]


@pytest.mark.parametrize("wide", WIDE, ids=str)
@examples(3)
@given(data=st.data())
def test_a_window_of_several_requests_has_the_rows_of_narrower_windows(
    servers: Servers, wide: Wide, data: st.DataObject
) -> None:
    until = data.draw(st.sampled_from([until for query, until in QUERIES_AND_UNTIL if query == wide.query]))
    client = servers.client(servers.sandbox(until, data.draw(ORDERS)), data.draw(FORMATS))
    windows = wide.windows(data.draw(st.integers(0, 30)))
    window = windows[0][0], windows[-1][1]

    assert len(ask(client.plan, wide.query, wide.options, *window)) > 1
    expected = row_numbers(served(servers, wide, windows), wide.query)
    assert len(expected) > 20
    whole = ask(client, wide.query, wide.options, *window)
    assert expected == row_numbers(as_served(whole, wide.query), wide.query)
    assert len(whole) == len(expected)  # also of counts: each contract has one row
    pieces = list(ask(client.stream, wide.query, wide.options, *window))
    assert NO_DIFFERENCE == differences(rows([whole]), rows(pieces))


@pytest.mark.parametrize("until", ["exclusive", "inclusive"])
@pytest.mark.parametrize("books", ["start", "between", "end"])
@pytest.mark.parametrize(
    "wide", [FINE, *(wide for wide in WIDE if wide.query in ("top_of_book", "order_book"))], ids=str
)
def test_seams_of_a_book_are_complete_with_every_time_stamp_of_its_points(
    servers: Servers, wide: Wide, books: str, until: str
) -> None:
    windows = wide.windows(1)
    end = windows[-1][1]
    if str(wide) not in servers.expected:
        servers.expected[str(wide)] = row_numbers(served(servers, wide, windows), wide.query)
    expected = servers.expected[str(wide)]
    if books != "end" and until == "exclusive":
        # Such a server has no point at the end of a request, and no request reaches beyond the end.
        expected = Counter({row: count for row, count in expected.items() if row[0] != end.value})
    client = servers.client(servers.sandbox(until, "sorted", books))
    frame = ask(client, wide.query, wide.options, windows[0][0], end)

    assert expected == row_numbers(as_served(frame, wide.query), wide.query)


# --- plans are true, and requests keep the rules -------------------------------------------------------------

FRONTS = st.builds(Front, st.just("TTF"), st.just("Months"), st.integers(1, 5)) | st.builds(
    Front, st.just("Germany Baseload"), st.just("Quarters"), st.integers(1, 50)
)
MINUTES = st.integers(0, 90 * 1440).map(lambda minute: utc("2023-12-01") + minute * MINUTE)


@st.composite
def long_window(draw: st.DrawFn, options: Drawn, longest: int, grain: pd.Timedelta) -> Options:
    """Draw a window of at most ``longest`` grains, which may be empty."""
    start = utc("2023-10-01") + draw(st.integers(0, 40 * DAY // grain)) * grain
    return {**draw(options), "start": start, "end": start + draw(st.integers(0, longest)) * grain}


@st.composite
def books(draw: st.DrawFn, options: Drawn, most: int) -> Options:
    """Draw points up to months apart, so that windows are split between any two of them."""
    interval, step = draw(st.sampled_from([*STEPS.items(), ("100h", 100 * HOUR), ("720h", 720 * HOUR)]))
    count = draw(st.integers(0, min(most, 200 * DAY // step)))
    start = utc("2023-06-05") + draw(st.integers(0, 86_400)) * SECOND
    return {**draw(options), "interval": interval, "start": start, "end": start + count * step}


RANDOM_QUERIES: dict[str, Drawn] = {
    "trades": long_window(TRADES_OPTIONS, 70 * 86_400, SECOND),
    "trades of a front": long_window(
        st.fixed_dictionaries({"contract": FRONTS, "include_private": st.booleans(), "fields": fields(TRADES)}),
        70 * 86_400,
        SECOND,
    ),
    "trades verified": long_window(
        st.fixed_dictionaries({"contract": NAMES, "verify": st.just(True)}), 12 * 86_400, SECOND
    ),
    "private_trades": long_window(PRIVATE_OPTIONS, 70 * 86_400, SECOND),
    "private_trades of all": of_all_contracts().map(lambda case: {"start": case.edges[0], "end": case.edges[-1]}),
    "ohlcv": long_window(
        CANDLE_OPTIONS.flatmap(lambda options: st.sampled_from(["1h", "4h"]).map(lambda i: {**options, "interval": i})),
        150,
        DAY,
    ),
    "ohlcv by the week": on_the_grid().map(
        lambda case: {**case.options, "start": case.edges[0], "end": case.edges[-1]}
    ),
    "last_trade": st.fixed_dictionaries({"contract": NAMES, "at": MINUTES | st.none()}),
    "activity": long_window(ACTIVITY_OPTIONS, 10 * 1440, MINUTE),
    "top_of_book": books(TOP_OPTIONS, 300),
    "order_book": books(BOOK_OPTIONS, 40),
    "snapshots": st.fixed_dictionaries({"contract": NAMES | FRONTS, "at": MINUTES}),
}


@pytest.mark.filterwarnings("ignore:nothing was verified")
@pytest.mark.parametrize("query", RANDOM_QUERIES)
@examples(8)
@given(data=st.data())
def test_the_server_receives_the_requests_of_the_plan_which_break_no_rule(
    servers: Servers, query: str, data: st.DataObject
) -> None:
    name = query.split()[0]
    options = data.draw(RANDOM_QUERIES[query])
    # A server that counts a trade on a seam twice would make it a difference.
    untils = ["exclusive"] if "verify" in options else ["exclusive", "inclusive"]
    sandbox = servers.sandbox(data.draw(st.sampled_from(untils)), data.draw(ORDERS))
    client = servers.client(sandbox, data.draw(FORMATS))
    plan = getattr(client.plan, name)(**options)
    before = len(sandbox.asked)
    frame = getattr(client, name)(**options)
    asked = [request for request in sandbox.asked[before:] if request.api == "/api"]

    assert len(plan) == len(asked) == frame.attrs["trayport"]["requests"]
    assert NO_DIFFERENCE == differences(
        [(request.path, request.params) for request in plan.requests],
        [(request.path, request.params) for request in asked],
    )
    assert [] == [violation for request in asked for violation in violations(request)]


@pytest.fixture(autouse=True, scope="module")
def _no_request_of_this_module_breaks_a_rule(servers: Servers) -> Iterator[None]:
    yield
    assert [] == [violation for request in set(servers.asked) for violation in violations(request)]


PREFIXES = {"/api": DOCUMENT["servers"][0]["url"], "/reference": "https://referencedata.trayport.com"}
TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?")


def violations(request: Asked) -> list[str]:
    """Return the rules of the API's document that a request breaks; the document is independent of the client."""
    found = [f"{request.path}: status {request.status}"] if request.status != 200 else []
    found += [f"{request.path}: {name} was ignored" for name in request.ignored]
    known = next((document for pattern, document in _paths(request.api) if pattern.fullmatch(request.path)), None)
    if known is None:
        return [*found, f"{request.path}: no such path"]
    sent: dict[str, list[str]] = {}
    for name, text in request.params:
        sent.setdefault(name, []).extend(text.split(","))
    for name, texts in sent.items():
        if name not in known:
            found.append(f"{request.path}: no parameter {name}")
            continue
        found += [f"{request.path}: {name}={texts}: {why}" for why in _broken(known[name]["schema"], name, texts)]
    needed = {name for name, parameter in known.items() if parameter.get("required") and parameter["in"] == "query"}
    return found + [f"{request.path}: {name} is missing" for name in sorted(needed - set(sent))]


@cache
def _paths(api: str) -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    found = []
    for path, document in DOCUMENT["paths"].items():
        url = document.get("servers", DOCUMENT["servers"])[0]["url"]
        if url == PREFIXES[api]:
            parameters = [_resolved(parameter) for parameter in document["get"].get("parameters", [])]
            pattern = re.compile(re.sub(r"\{\w+\}", r"\\d+", path))
            found.append((pattern, {parameter["name"]: parameter for parameter in parameters}))
    return found


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    found: dict[str, Any] = DOCUMENT
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _broken(schema: dict[str, Any], name: str, texts: list[str]) -> list[str]:
    schema = _resolved(schema)
    if schema["type"] == "array":
        value: Any = [_read(_resolved(schema["items"])["type"], text) for text in texts]
    else:
        value = _read(schema["type"], texts[0])
        if len(texts) > 1:
            return ["given more than once"]
    if name in ("from", "until", "at", "startDate") and not TIME.fullmatch(texts[0]):
        return ["no time"]
    return [error.message for error in _validator(json.dumps(schema)).iter_errors(value)]


@cache
def _validator(schema: str) -> OAS31Validator:
    return OAS31Validator({**json.loads(schema), "components": DOCUMENT["components"]})


def _read(kind: str | list[str], text: str) -> Any:
    """Return text converted to one of the types, or unchanged if it fits none of them."""
    kinds = [kind] if isinstance(kind, str) else kind
    if "boolean" in kinds:
        return {"true": True, "false": False}.get(text, text)
    for number, make in (("integer", int), ("number", float)):
        if number in kinds and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
            return make(text)
    return text


@pytest.mark.parametrize(
    "path, extra, complaint",
    [
        ("/trades", {"includePrivat": "true"}, "no parameter includePrivat"),
        ("/trades", {"contractType": "Outright"}, "'Outright' is not one of"),
        ("/trades", {"tradingItems": "51"}, "51 is greater than the maximum of 50"),
        ("/trades", {"optionalFields": "contract,venue"}, "'venue' is not one of"),
        ("/trades", {"includePrivate": "yes"}, "is not of type 'boolean'"),
        ("/trades", {"until": "2024-02-05T09:00:00.5Z"}, "no time"),
        ("/trades/ohlcv", {"interval": "2", "intervalUnit": "hour"}, "2 is not one of"),
        ("/orders/book", {"interval": "0", "intervalUnit": "second"}, "0 is less than the minimum of 1"),
        ("/orders/book", {"interval": "1"}, "intervalUnit is missing"),
        ("/trades/nothing", {}, "no such path"),
    ],
)
def test_every_broken_rule_is_found(path: str, extra: dict[str, str], complaint: str) -> None:
    sound = {"from": "2024-02-05", "until": "2024-02-06", "marketId": "10000065", "sequenceId": "10000305",
             "sequenceItemId": "244", "contractType": "SinglePeriod"}  # fmt: skip
    (violation,) = violations(Asked("/api", path, tuple({**sound, **extra}.items()), 200))

    assert complaint in violation
    assert [] == violations(Asked("/api", "/trades", tuple(sound.items()), 200))


# --- verified ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start, end", [("2023-03-01", "2023-03-08"), ("2024-02-05T09:00:01", "2024-02-05T09:00:59")])
def test_a_window_without_counts_is_not_verified_which_a_warning_reports(client: Client, start: str, end: str) -> None:
    with pytest.warns(TrayportWarning, match="nothing was verified: activity counts whole minutes from 2023-04-10"):
        frame = client.trades("TTF Apr-24", start, end, verify=True)

    assert {"windows": [], "differences": []} == frame.attrs["trayport"]["verified"]


@st.composite
def verifiable(draw: st.DrawFn) -> Options:
    """Draw some days of some contracts, from the month in which counts begin."""
    names = draw(st.lists(st.sampled_from([*POOL, "TTF Dec-23", "EUA* Dec-23"]), min_size=1, max_size=4, unique=True))
    first = draw(st.sampled_from(["2023-04-08", "2023-11-27", "2024-02-05"]))
    start = utc(first) + draw(st.integers(0, 3 * 86_400)) * SECOND
    end = start + draw(st.integers(4 * 86_400, 8 * 86_400)) * SECOND
    return {"contract": names, "start": start, "end": end, "include_private": draw(st.booleans())}


@examples(15)
@given(options=verifiable(), wire_format=FORMATS)
def test_complete_trades_agree_with_the_counts(servers: Servers, options: Options, wire_format: str) -> None:
    client = servers.client(servers.sandbox(), wire_format)
    plain = client.trades(**options)
    frame = client.trades(**options, verify=True)
    found = frame.attrs["trayport"]["verified"]

    assert [] == found["differences"]
    starts, ends = zip(*found["windows"], strict=True)
    edges = max(options["start"].ceil("min"), utc("2023-04-10")), options["end"].floor("min")
    assert edges == (pd.Timestamp(starts[0]), pd.Timestamp(ends[-1]))
    assert starts[1:] == ends[:-1]
    pd.testing.assert_frame_equal(plain, frame)


@pytest.fixture(scope="module")
def relayed(servers: Servers) -> Iterator[tuple[Relay, Client]]:
    """Start a relay and a client of it."""
    with Relay(servers.sandbox()) as relay:
        yield relay, servers.client_of(relay.url)


def withholding(venue: str, trade_id: str) -> Rule:
    """Return a rule that removes one trade from all responses."""

    def without(reply: Reply) -> bytes:
        rows = [row for row in json.loads(reply.body) if (row["venueCode"], row["tradeId"]) != (venue, trade_id)]
        return reply.http(json.dumps(rows).encode())

    return lambda line, count: without if line.startswith("/api/trades?") else None


@examples(10)
@given(options=verifiable(), place=st.integers(0, 10**6))
def test_verify_finds_a_missing_trade(
    servers: Servers, relayed: tuple[Relay, Client], options: Options, place: int
) -> None:
    """A trade of an instrument is one of its market, too, and may be missing from both."""
    relay, behind = relayed
    client = servers.client(servers.sandbox())
    whole = client.trades(**options)
    frame = whole[~whole["is_private"] & ~whole["public_copy"]] if "is_private" in whole else whole
    counted = frame[(frame.index >= max(options["start"].ceil("min"), utc("2023-04-10")))
                    & (frame.index < options["end"].floor("min"))]  # fmt: skip
    if counted.empty:
        return
    victim = counted.iloc[place % len(counted)]
    relay.rule = withholding(victim["venue_code"], victim["trade_id"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = behind.trades(**options, verify=True).attrs["trayport"]["verified"]

    missing = (counted["venue_code"] == victim["venue_code"]) & (counted["trade_id"] == victim["trade_id"])
    (start, end), = [(start, end) for start, end in found["windows"]
                     if pd.Timestamp(start) <= victim.name < pd.Timestamp(end)]  # fmt: skip
    inside = (whole.index >= pd.Timestamp(start)) & (whole.index < pd.Timestamp(end))
    found_trades = whole[inside & ~whole["public_copy"].to_numpy()] if "public_copy" in whole else whole[inside]
    names = [client.resolve(name).name for name in options["contract"]]
    expected = [
        {"start": start, "end": end, "contract": name, "trades": number - 1, "activity": number}
        for name in names
        if (number := int((found_trades["contract"] == name).sum())) and (counted["contract"][missing] == name).any()
    ]
    assert expected == found["differences"]
    assert [TrayportWarning] == [warning.category for warning in caught]
    assert f"the first for {expected[0]['contract']} from {start}" in str(caught[0].message)


# --- order ---------------------------------------------------------------------------------------------------

MIXED = st.permutations(["TTF Apr-24", "EUA Dec-24", "TTF May-24", "NBP Sum-24", "TTF Apr-24/May-24", "TTF Jun-24"])


@pytest.mark.parametrize(
    "query, options, start, end",
    [
        ("trades", {}, "2024-02-05", "2024-02-16"),
        ("private_trades", {}, "2024-01-12", "2024-02-16"),
        ("ohlcv", {"interval": "1h"}, "2024-02-05", "2024-02-07"),
        ("ohlcv", {"interval": "1d", "include_empty": True}, "2018-01-01", "2024-02-05"),
        ("top_of_book", {"interval": "1h"}, "2024-02-05", "2024-02-07"),
        ("order_book", {"interval": "1h", "depth": 3}, "2024-02-05T06:00", "2024-02-05T18:00"),
    ],
)
@examples(4)
@given(names=MIXED, count=st.integers(2, 6), until=st.sampled_from(["exclusive", "inclusive"]), order=ORDERS)
def test_rows_of_one_time_are_in_the_order_of_the_contracts(
    servers: Servers,
    query: str,
    options: Options,
    start: str,
    end: str,
    names: list[str],
    count: int,
    until: str,
    order: str,
) -> None:
    client = servers.client(servers.sandbox(until, order))
    asked = [client.resolve(name).name for name in names[:count]]
    frame = getattr(client, query)(contract=names[:count], start=start, end=end, **options)
    places = list(zip(frame.index, frame["contract"].map(asked.index), strict=True))

    assert sorted(places) == places
    assert len({place for _, place in places}) > 1
    if query == "order_book":
        assert {("ask", 1), ("bid", 1)} < set(zip(frame["side"], frame["level"], strict=True))
        within = [frame.index, frame["contract"], frame["side"]]
        assert (frame["level"] == frame.groupby(within, sort=False).cumcount() + 1).all()


@examples(6)
@given(names=MIXED, count=st.integers(2, 6), at=MINUTES)
def test_snapshots_are_in_the_order_of_the_contracts(
    servers: Servers, names: list[str], count: int, at: pd.Timestamp
) -> None:
    client = servers.client(servers.sandbox("inclusive", "shuffled"))
    frame = client.snapshots(names[:count], at=at)

    assert [client.resolve(name).name for name in names[:count]] == frame["contract"].tolist()
    assert [at] * count == frame.index.tolist()
