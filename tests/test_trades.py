"""Trades from end to end: complete, exact, in order, and described in their ``attrs``.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import trayport as tp
from conftest import MakeClient
from trayport import Client, Contract, ContractError, Front, Instrument, Market, QueryError, UnknownContract
from trayport.sandbox import Sandbox, model
from trayport.sandbox import universe as lists
from trayport.sandbox.deliveries import Delivery

Asked = Callable[[], list[Any]]

DTYPES = {
    "contract": "string",
    "trade_id": "string",
    "venue_code": "string",
    "price": "float64",
    "quantity": "float64",
    "aggressor_buy": "boolean",
}


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_a_window_of_eight_requests_has_every_row_once(client: Client, asked: Asked) -> None:
    frame = client.trades("TTF Apr-24", "2023-06-01", "2024-02-10")

    assert 8 == len(asked())
    assert DTYPES == dtypes(frame)
    assert "datetime64[ns, UTC]" == str(frame.index.dtype)
    assert frame.index.is_monotonic_increasing
    assert not frame.reset_index().duplicated(["contract", "venue_code", "trade_id"]).any()
    assert ["TTF Hi Cal 51.6* Apr-24"] == frame["contract"].unique().tolist()

    # The model returns the expected rows directly, without the server and the client.
    sequence = lists.SEQUENCES[10000305]
    item = lists.item(sequence, 244)
    assert item is not None
    delivery = Delivery(sequence, (item,), "single")
    first, last = (int(pd.Timestamp(day).timestamp()) // 86_400 for day in ("2023-06-01", "2024-02-10"))
    members = [model.SimulatedContract(member, delivery) for member in lists.members(10000065)]
    traded = model.SimulatedMarket(1).trades(members, first, last).known(2**62)
    assert traded.time.tolist() == pd.DatetimeIndex(frame.index).asi8.tolist()
    assert int(traded.price.sum()) == round(frame["price"].sum() * 1000)


def test_seventy_five_contracts_over_sixty_days_are_four_requests(client: Client, asked: Asked) -> None:
    names = [f"PEG {month}" for month in pd.period_range("2021-01", "2027-03", freq="M").strftime("%Y-%m")]
    frame = client.trades(names, "2023-06-01", "2023-07-31")

    assert (75, 4) == (len(names), len(asked()))
    assert all(("optionalFields", "contract") in request.params for request in asked())
    assert 30 < frame["contract"].nunique()
    assert 4 == frame.attrs["trayport"]["requests"]
    separate = pd.concat([client.trades(some, "2023-06-01", "2023-07-31") for some in (names[:33], names[33:])])
    assert rows(separate) == rows(frame)


def test_each_product_and_sequence_has_requests_of_its_own(client: Client, asked: Asked) -> None:
    names = ["TTF Aug-23", "EUA Dec-23", "TTF Sep-23", "TTF Q4-23", "Germany Baseload Cal-24", "TTF Aug-23/Sep-23"]
    frame = client.trades(names, "2023-06-05", "2023-06-09")

    assert 5 == len(asked())
    assert {"TTF Hi Cal 51.6* Aug-23", "EUA* Dec-23", "TTF Hi Cal 51.6* Sep-23", "TTF Hi Cal 51.6* Q4-23",
            "Germany Baseload* Cal-24", "TTF Hi Cal 51.6* Aug-23/Sep-23"} == set(frame["contract"])  # fmt: skip


def test_several_contracts_have_the_rows_of_each_alone(client: Client) -> None:
    names = ["TTF Aug-23", "TTF Sep-23", "NBP Win-23", "TTF Aug-23/Sep-23", "Germany Baseload Q4-23..Q1-24"]
    together = client.trades(names, "2023-06-05", "2023-07-20")
    alone = pd.concat([client.trades(name, "2023-06-05", "2023-07-20") for name in names])

    for name in together["contract"].unique():
        # Trades of one time have no order.
        one, other = (
            frame[frame["contract"] == name].reset_index().sort_values(["timestamp", "venue_code", "trade_id"])
            for frame in (together, alone)
        )
        pd.testing.assert_frame_equal(one, other.set_index(one.index))
    assert len(together) == len(alone)


def test_a_market_is_the_union_of_its_instruments(client: Client) -> None:
    market = client.trades("TTF* Apr-24", "2024-02-05", "2024-02-07")
    names = [product.name for product in lists.members(10000065) if product.name != "TTF Hi Cal 51.6"]
    parts = [
        client.trades(f"instrument:{name} Apr-24", "2024-02-05", "2024-02-07") for name in ["TTF Hi Cal 51.6", *names]
    ]

    assert sorted(market["trade_id"]) == sorted(pd.concat(parts)["trade_id"])


def test_trades_of_one_time_are_in_the_order_of_the_contracts(client: Client) -> None:
    names = ["TTF Jul-23", "TTF Aug-23", "TTF Sep-23"]
    for order in (names, names[::-1]):
        frame = client.trades(order, "2023-06-05", "2023-06-10")
        rank = pd.Series(frame["contract"].map({f"TTF Hi Cal 51.6* {name[4:]}": n for n, name in enumerate(order)}))
        ties = frame.index.duplicated(keep=False)

        assert ties.sum() > 10
        assert all(group.is_monotonic_increasing for _, group in rank[ties].groupby(level=0))


def test_a_front_changes_with_the_month(client: Client, asked: Asked) -> None:
    frame = client.trades(Front("TTF", "Months", 2), "2023-05-20", "2023-07-10")
    months = frame.groupby(pd.DatetimeIndex(frame.index).strftime("%m"))["contract"].unique().map(sorted).to_dict()

    assert 3 == len(asked())
    assert {
        "05": ["TTF Hi Cal 51.6* Jul-23", "TTF Hi Cal 51.6* Jun-23"],
        "06": ["TTF Hi Cal 51.6* Aug-23", "TTF Hi Cal 51.6* Jul-23"],
        "07": ["TTF Hi Cal 51.6* Aug-23", "TTF Hi Cal 51.6* Sep-23"],
    } == months
    assert ["TTF Hi Cal 51.6* front 2 of 10000305"] == frame.attrs["trayport"]["contract"]


def test_a_front_of_quarters_has_the_number_of_contracts_in_the_guide(client: Client) -> None:
    # guide p. 29: of the 50 requested contracts 45 exist, from Q4-23 to Q4-34.
    product = client.catalogue.product(Instrument(10001126))
    quarters = [item for item in lists.items(10000105, pd.Timestamp("2023-08-12").date())
                if item.first and item.last and item.first <= pd.Timestamp("2023-08-12").date()
                and item.last >= pd.Timestamp("2023-08-10").date()]  # fmt: skip

    assert (45, "Q423", "Q434") == (len(quarters), quarters[0].name, quarters[-1].name)
    frame = client.trades(Front(product, "Quarters", 50), "2023-08-10", "2023-08-12")
    assert set(frame["contract"]) <= {f"{product.label} {item.name[:2]}-{item.name[2:]}" for item in quarters}


@pytest.mark.parametrize(
    "contract",
    ["TTF DA", "TTF Win-24", "Germany Baseload 2024-02-08", "EUA Dec-24", "NBP Cal-25", "Germany Baseload Week 7-24"],
)
def test_every_kind_of_period_trades(client: Client, contract: str) -> None:
    assert len(client.trades(contract, "2024-02-05", "2024-02-08")) > 0


def test_naive_times_and_the_index_are_in_the_zone_of_the_settings(make_client: MakeClient) -> None:
    amsterdam = make_client(tz="Europe/Amsterdam").trades("TTF May-24", "2024-03-28", "2024-04-03")
    utc = make_client().trades("TTF May-24", "2024-03-27T23:00", "2024-04-02T22:00")

    assert "datetime64[ns, Europe/Amsterdam]" == str(amsterdam.index.dtype)
    pd.testing.assert_frame_equal(utc, amsterdam.tz_convert("UTC"))


def test_windows_before_and_after_the_life_of_a_contract_are_requested_too(client: Client, asked: Asked) -> None:
    before, after = (client.trades("TTF Apr-24", f"{year}-01-01", f"{year}-03-01") for year in (2012, 2025))

    assert (0, 0, 4) == (len(before), len(after), len(asked()))


def test_a_window_without_trades_gives_an_empty_frame_of_the_same_columns(client: Client, asked: Asked) -> None:
    weekend = client.trades("TTF Apr-24", "2024-02-10", "2024-02-12")
    nothing = client.trades("TTF Apr-24", "2024-02-10", "2024-02-10")
    traded = client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

    assert (1, 0) == (weekend.attrs["trayport"]["requests"], nothing.attrs["trayport"]["requests"])
    for frame in (weekend, nothing):
        assert (0, DTYPES) == (len(frame), dtypes(frame))
        assert traded.index.dtype == frame.index.dtype
        assert frame.attrs["trayport"]["complete"] is True
    assert 2 == len(asked())


def test_a_start_after_all_data_makes_no_request(client: Client, asked: Asked) -> None:
    assert 0 == len(client.trades("TTF Apr-24", "2100-01-01"))
    assert [] == asked()


def test_a_frame_has_its_query_in_attrs(client: Client) -> None:
    frame = client.trades(["TTF Apr-24", "TTF 2024-05"], "2024-02-05", "2024-02-06", fields=["route"])

    assert {
        "query": "trades",
        "contract": ["TTF Hi Cal 51.6* Apr-24", "TTF Hi Cal 51.6* May-24"],
        "start": "2024-02-05T00:00:00+00:00",
        "end": "2024-02-06T00:00:00+00:00",
        "include_private": False,
        "routes": [],
        "deduplicate": True,
        "verify": False,
        "fields": ["route"],
        "requests": 1,
        "complete": True,
        "version": tp.__version__,
    } == frame.attrs["trayport"]
    assert frame.attrs == json.loads(json.dumps(frame.attrs))


def test_a_frame_survives_parquet_pickle_and_concat(client: Client, tmp_path: Path) -> None:
    frame = client.trades("TTF Apr-24", "2024-02-05", "2024-02-06", include_private=True, fields=["route_id"])
    frame.to_parquet(tmp_path / "trades.parquet")
    read = pd.read_parquet(tmp_path / "trades.parquet")

    # pandas 2 reads text in another storage of the same dtype.
    assert dtypes(frame) == dtypes(read)
    pd.testing.assert_frame_equal(frame, read.astype(frame.dtypes.to_dict()))
    assert frame.attrs == read.attrs == pickle.loads(pickle.dumps(frame)).attrs
    both = pd.concat([frame, frame])
    assert (2 * len(frame), dtypes(frame)) == (len(both), dtypes(both))
    assert frame.attrs == both.attrs


def test_own_trades_and_their_public_copies_are_marked(client: Client) -> None:
    public = client.trades("TTF Apr-24", "2024-02-05", "2024-02-10")
    private = client.trades("TTF Apr-24", "2024-02-05", "2024-02-10", include_private=True)

    assert private["is_private"].sum() > 5
    assert 0 < private["public_copy"].sum() <= private["is_private"].sum()
    assert len(public) == len(private[~private["public_copy"]])
    assert round(public["quantity"].sum(), 3) == round(private.loc[~private["public_copy"], "quantity"].sum(), 3)
    own = private[private["is_private"]]
    assert {123, 0} == set(own["aggressor_company_id"]) | set(own["initiator_company_id"])


def test_routes_add_a_column_and_duplicates_only_without_deduplication(client: Client) -> None:
    window = "2024-02-05", "2024-02-06"
    plain = client.trades("TTF Apr-24", *window)
    every = client.trades("TTF Apr-24", *window, routes="all")
    doubled = client.trades("TTF Apr-24", *window, routes="all", deduplicate=False, fields=["route_id"])
    desk = client.trades("TTF Apr-24", *window, routes=[904])

    assert ([*DTYPES, "route"], [*DTYPES, "route", "route_id"]) == (list(every), list(doubled))
    assert (len(plain), {"House"}) == (len(every), set(every["route"]))
    assert len(doubled) == len(plain) + len(desk)
    assert {"Desk"} == set(desk["route"])


@pytest.mark.parametrize(
    "contract, error, match",
    [
        ("TTF Apr-44", UnknownContract, "nearest are 'TTF Hi Cal 51.6"),
        ("TFT Apr-24", UnknownContract, "nearest are 'TTF Hi Cal 51.6"),
        ("TTF Apr-24/Q4-24", ContractError, "must belong to one sequence"),
        (Contract(Market(10000065), 10000105, 80), ContractError, "has no sequence 10000105"),
        (Contract(Market(10000065), 10000305, 99999), ContractError, "has no item 99999"),
        (["TTF Apr-24", "TTF"], ContractError, "without a delivery period"),
        (Front("TTF", "Prompt", 3), ContractError, "end of trading"),
        (Front("TTF", "Hours", 3), ContractError, "has no sequence 'Hours'"),
    ],
)
@pytest.mark.parametrize("face", ["trades", "plan", "stream"])
def test_a_wrong_contract_is_refused_before_a_request(
    client: Client, asked: Asked, face: str, contract: Any, error: type[Exception], match: str
) -> None:
    ask = client.trades if face == "trades" else getattr(client, face).trades
    with pytest.raises(error, match=match):
        ask(contract, "2024-02-05", "2024-02-06")

    assert [] == asked()


def test_an_end_in_today_needs_intraday_rights(make_client: MakeClient) -> None:
    now = pd.Timestamp("2024-02-07T12:00", tz="UTC")
    with Sandbox(limits=False, key="sandbox-intraday", now=now.to_pydatetime()) as sandbox:
        without = make_client(sandbox, clock=lambda: now)
        with pytest.raises(QueryError, match="2024-02-07T00:00:00Z, the end of the data"):
            without.trades("TTF Apr-24", "2024-02-06", "2024-02-07T11:00")
        frame = make_client(sandbox, clock=lambda: now, intraday=True).trades("TTF Apr-24", "2024-02-07")

        assert "2024-02-07T12:00:00+00:00" == frame.attrs["trayport"]["end"]
        assert 0 < len(frame) == len(frame[:"2024-02-07T12:00"])
        assert 0 == len(without.trades("TTF Apr-24", "2024-02-07"))


def test_exactly_the_planned_requests_are_made(client: Client, asked: Asked) -> None:
    query: dict[str, Any] = {"contract": ["TTF Apr-24", "NBP Sum-24"], "start": "2024-01-01", "end": "2024-03-01"}
    plan = client.plan.trades(**query)

    assert (4, []) == (len(plan), asked())
    client.trades(**query)
    assert sorted(dict(request.params)["from"] for request in plan.requests) == sorted(
        dict(request.params)["from"] for request in asked()
    )


def test_a_stream_yields_the_same_rows_in_pieces(client: Client) -> None:
    query: dict[str, Any] = {"contract": ["TTF Apr-24", "TTF May-24"], "start": "2023-12-01", "end": "2024-03-01"}
    pieces = list(client.stream.trades(**query))
    whole = client.trades(**query)

    assert len(client.plan.trades(**query)) == len(pieces) == 3
    pd.testing.assert_frame_equal(whole, pd.concat(pieces))
    assert ["2023-12-01", "2024-01-02", "2024-02-03"] == [piece.attrs["trayport"]["start"][:10] for piece in pieces]
    assert [(1, True)] * 3 == [
        (piece.attrs["trayport"]["requests"], piece.attrs["trayport"]["complete"]) for piece in pieces
    ]
    assert whole.attrs["trayport"]["contract"] == pieces[0].attrs["trayport"]["contract"]


def test_the_server_ignores_no_parameter(client: Client, asked: Asked) -> None:
    client.trades(
        "TTF Apr-24/May-24", "2024-02-05", "2024-02-06", include_private=True, routes="all", fields=["route_id"]
    )
    client.trades(Front("TTF", "Months", 3), "2024-02-05", "2024-02-06")

    assert [frozenset()] * 2 == [request.ignored for request in asked()]


# --- seams; test_completeness tries random splits ------------------------------------------------------------


@pytest.fixture(scope="module", params=["inclusive", "exclusive"])
def until(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["sorted", "shuffled"])
def switched_client(request: pytest.FixtureRequest, until: Any, cache_dir: Path) -> Any:
    with Sandbox(limits=False, until=until, order=request.param) as sandbox:
        config = tp.Config(limiter="off", cache_dir=cache_dir, **sandbox.settings)  # type: ignore[arg-type]
        with Client(config=config) as client:
            yield client


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(frame.reset_index().itertuples(index=False, name=None))


def test_a_trade_on_a_seam_is_returned_once_by_both_kinds_of_servers(switched_client: Client) -> None:
    frame = switched_client.trades("TTF Apr-24", "2024-01-22", "2024-02-02")
    times = pd.DatetimeIndex(frame.index)
    whole_seconds = times[times == times.floor("s")]
    assert len(whole_seconds) > 20

    for time in whole_seconds[::10]:
        before = switched_client.trades("TTF Apr-24", "2024-01-22", time)
        after = switched_client.trades("TTF Apr-24", time, "2024-02-02")
        assert len(frame) == len(before) + len(after)
        assert after.index[0] == time


def test_a_frame_can_be_written_as_feather(client: Client) -> None:
    buffer = BytesIO()
    client.trades("TTF Apr-24", "2024-02-05", "2024-02-06").reset_index().to_feather(buffer)

    assert buffer.tell() > 1000
