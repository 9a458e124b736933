"""Names become contracts, with a reference API of a few sequences."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from trayport import AmbiguousContract, Contract, ContractError, Instrument, Market, UnknownContract
from trayport.contracts import Listing, SequenceItem, name_of, readings
from trayport.endpoints import Request
from trayport.refdata import Cache, Catalogue

AT = datetime.date(2023, 5, 5)
LONG_AGO = datetime.date(2000, 1, 1)


def item(number: int, name: str, start: str | None = None, end: str | None = None) -> SequenceItem:
    dates = [None if text is None else datetime.datetime.fromisoformat(f"{text}+00:00") for text in (start, end)]
    return SequenceItem(number, name, *dates)


MONTHS = Listing(
    10000305,
    "Gas - NG Months",
    LONG_AGO,
    tuple(
        item(231 + month, f"{name}-23", f"2023-{month + 3:02d}-01", f"2023-{month + 4:02d}-01")
        for month, name in enumerate(["Apr", "May", "Jun", "Jul"], 1)
    ),
)
QUARTERS = Listing(
    10000306,
    "Gas - NG Quarters",
    LONG_AGO,
    (item(80, "Q423", "2023-10-01", "2024-01-01"), item(81, "Q124", "2024-01-01", "2024-04-01")),
)
PROMPT = Listing(
    10000302,
    "Gas - NG Prompt",
    LONG_AGO,
    (
        item(2, "DA", "2023-05-06", "2023-05-07"),
        item(4, "W/END", "2023-05-06", "2023-05-08"),
        item(35, "BOM", "2023-05-07", "2023-06-01"),
        item(36, "Next Hour"),
    ),
)
BOM = Listing(10000301, "Gas - NG BOM", LONG_AGO, (item(1, "BOM"),))
DAYS = Listing(
    10000100,
    "Gas Days",
    LONG_AGO,
    # A name of the vendor's own, and delivery from 06:00: found by its delivery.
    (
        SequenceItem(
            7,
            "Delivery 6/5",
            datetime.datetime(2023, 5, 6, 4, tzinfo=datetime.UTC),
            datetime.datetime(2023, 5, 7, 4, tzinfo=datetime.UTC),
            trading_end=datetime.datetime(2023, 5, 5, tzinfo=datetime.UTC),
        ),
    ),
)


ALL = (MONTHS, QUARTERS, PROMPT, BOM, DAYS)
INSTRUMENTS = {"UK 1+2": 10000071, "Bare": 5}
MARKETS = {"TTF Hi Cal 51.6": 10000065, "Germany Baseload": 10, "Germany Peaks": 11}


class ReferenceAPI:
    """A Reference Data API with these products and, for each of them but "Bare", these sequences."""

    def __init__(self, listings: Sequence[Listing], instruments: dict[str, int], markets: dict[str, int]) -> None:
        self.listings = {listing.sequence_id: listing for listing in listings}
        self.products = {"/instruments": instruments, "/markets": markets}

    def __call__(self, request: Request, cancel: object, request_id: str) -> bytes:
        return json.dumps(self.document(request)).encode()

    def document(self, request: Request) -> list[dict[str, Any]]:
        if request.path in self.products:
            return [{"id": number, "name": name} for name, number in self.products[request.path].items()]
        if request.path.endswith("/sequences"):
            listings = [] if request.ids == (INSTRUMENTS["Bare"],) else self.listings.values()
            return [{"id": listing.sequence_id, "name": listing.name} for listing in listings]
        return [
            {
                "id": item.id,
                "name": item.name,
                "periodStart": item.period_start and item.period_start.isoformat(),
                "periodEnd": item.period_end and item.period_end.isoformat(),
                "tradingEnd": item.trading_end and item.trading_end.isoformat(),
            }
            for item in self.listings[request.ids[0]].items
        ]


MakeCatalogue = Callable[..., Catalogue]


@pytest.fixture(scope="module")
def make_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeCatalogue]:
    with ExitStack() as stack:

        def make(
            *listings: Listing, instruments: dict[str, int] = INSTRUMENTS, markets: dict[str, int] = MARKETS
        ) -> Catalogue:
            api = ReferenceAPI(listings, instruments, markets)
            made = Catalogue(api, Cache(tmp_path_factory.mktemp("cache")), "https://reference.example")
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="module")
def find(make_catalogue: MakeCatalogue) -> Callable[[str], Contract]:
    """Return a function that resolves a name among all listings."""
    catalogue = make_catalogue(*ALL)
    return lambda name: catalogue.resolve(name, AT)


@pytest.mark.parametrize(
    "name, canonical, ids",
    [
        ("TTF Apr-23", "Apr-23", (10000305, 232, None)),
        ("ttf  2023-04", "Apr-23", (10000305, 232, None)),
        ("TTF Hi Cal 51.6* April 23", "Apr-23", (10000305, 232, None)),
        ("TTF M+1", "Jun-23", (10000305, 234, None)),
        ("TTF Q423", "Q4-23", (10000306, 80, None)),
        ("TTF Q4 2023", "Q4-23", (10000306, 80, None)),
        ("TTF DA", "DA", (10000302, 2, None)),
        ("TTF Day Ahead", "DA", (10000302, 2, None)),
        ("TTF W/END", "W/END", (10000302, 4, None)),
        ("TTF Apr-23/May-23", "Apr-23/May-23", (10000305, 232, 233)),
        ("TTF Apr-23 x May-23", "Apr-23/May-23", (10000305, 232, 233)),
        ("TTF Apr-23 / May-23", "Apr-23/May-23", (10000305, 232, 233)),
        ("TTF M+0/M+1", "May-23/Jun-23", (10000305, 233, 234)),
        ("TTF Q4-23..Q1-24", "Q4-23..Q1-24", (10000306, 80, 81)),
        ("TTF DA/W/END", "DA/W/END", (10000302, 2, 4)),
        ("TTF W/END/DA", "W/END/DA", (10000302, 4, 2)),
        ("TTF next hour", "Next Hour", (10000302, 36, None)),
        ("TTF Next Hour/DA", "Next Hour/DA", (10000302, 36, 2)),
    ],
)
def test_name_and_its_canonical_name_find_the_same_contract(
    find: Callable[[str], Contract], name: str, canonical: str, ids: tuple[int, int, int | None]
) -> None:
    contract = find(name)

    assert (f"TTF Hi Cal 51.6* {canonical}", ids) == (
        contract.name,
        (contract.sequence_id, contract.item_id, contract.second_item_id),
    )
    assert contract == find(str(contract.name))
    assert contract.name == name_of(contract, ALL).name


def test_product_whose_name_ends_in_digits_is_found(find: Callable[[str], Contract]) -> None:
    assert "UK 1+2 Jun-23" == find("UK 1+2 Jun 23").name


def test_item_with_a_name_of_the_vendors_own_is_found_by_its_delivery(find: Callable[[str], Contract]) -> None:
    assert (7, "TTF Hi Cal 51.6* Delivery 6/5") == (find("TTF 2023-05-06").item_id, find("TTF 2023-05-06").name)


def test_rolling_item_is_not_found_by_its_present_delivery(make_catalogue: MakeCatalogue) -> None:
    with pytest.raises(UnknownContract):
        make_catalogue(PROMPT).resolve("TTF 2023-05-06", AT)


@pytest.mark.parametrize(
    "start",
    [
        "2023-05-06T00:00",  # midnight
        "2023-05-06T04:00",  # a gas day, 06:00 in Amsterdam
        "2023-05-05T22:00",  # a British day of power, 23:00 in London on the evening before
        "2023-05-05T15:00",  # a Japanese day of power, midnight in Tokyo
        "2023-05-05T12:00",
        "2023-05-06T11:59",
    ],
)
def test_delivery_day_begins_at_the_nearest_midnight(make_catalogue: MakeCatalogue, start: str) -> None:
    moment = datetime.datetime.fromisoformat(f"{start}+00:00")
    day = SequenceItem(
        7, "Delivery 6/5", moment, moment + datetime.timedelta(days=1), trading_end=moment - datetime.timedelta(days=1)
    )
    catalogue = make_catalogue(Listing(1, "Days", LONG_AGO, (day,)))

    assert 7 == catalogue.resolve("TTF 2023-05-06", AT).item_id
    for other in ("TTF 2023-05-05", "TTF 2023-05-07"):
        with pytest.raises(UnknownContract):
            catalogue.resolve(other, AT)


def test_item_with_the_name_precedes_one_with_the_delivery(make_catalogue: MakeCatalogue) -> None:
    # "Next Month" delivers in June now, but "Jun-23" means the month of that name on every day.
    rolling = Listing(1, "Prompt", LONG_AGO, (item(9, "Next Month", "2023-06-01", "2023-07-01"),))

    contract = make_catalogue(MONTHS, rolling).resolve("TTF Jun-23", AT)

    assert (10000305, "TTF Hi Cal 51.6* Jun-23") == (contract.sequence_id, contract.name)


def test_exact_product_name_precedes_the_prefix_of_another(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue(MONTHS, DAYS, instruments={"Rhine Block 5": 8, "Rhine Block 55": 9})
    contract = catalogue.resolve("Rhine Block 5 May-23", AT)

    assert (Instrument(8), "Rhine Block 5 May-23") == (contract.product, contract.name)
    assert contract == catalogue.resolve(contract.label, AT)


def test_longer_of_two_exact_product_names_comes_first_if_it_has_the_period(make_catalogue: MakeCatalogue) -> None:
    both = {"Rhine": 7, "Rhine 6": 8}

    assert Instrument(8) == make_catalogue(MONTHS, DAYS, instruments=both).resolve("Rhine 6 May-23", AT).product
    assert Instrument(7) == make_catalogue(DAYS, instruments=both).resolve("Rhine 6 May-23", AT).product


def test_reversed_range_is_refused_with_the_right_order(find: Callable[[str], Contract]) -> None:
    with pytest.raises(ContractError, match=r"write 'TTF Hi Cal 51.6\* Apr-23\.\.Jun-23'"):
        find("TTF Jun-23..Apr-23")


def test_contract_has_its_delivery(find: Callable[[str], Contract]) -> None:
    contract = find("TTF Apr-23/Jun-23")

    assert ("2023-04-01", "2023-05-01") == tuple(
        moment.date().isoformat() for moment in (contract.period_start, contract.period_end) if moment
    )
    assert "2023-07-01" == str(find("TTF Apr-23..Jun-23").period_end)[:10]


def test_name_in_two_sequences_is_ambiguous_and_each_candidate_is_exact(find: Callable[[str], Contract]) -> None:
    with pytest.raises(AmbiguousContract) as caught:
        find("TTF BOM")

    assert ("TTF Hi Cal 51.6* BOM [10000302]", "TTF Hi Cal 51.6* BOM [10000301]") == caught.value.candidates
    assert [35, 1] == [find(name).item_id for name in caught.value.candidates]
    assert "TTF Hi Cal 51.6* BOM [10000301]" == find("TTF BOM [10000301]").name


def test_candidates_of_an_ambiguous_product_have_the_periods(find: Callable[[str], Contract]) -> None:
    with pytest.raises(AmbiguousContract, match="write one of them") as caught:
        find("Germany Apr-23/May-23")

    assert ("Germany Peaks* Apr-23/May-23", "Germany Baseload* Apr-23/May-23") == caught.value.candidates


@pytest.mark.parametrize(
    "name, near",
    [
        ("TTF Apr-33", "TTF Hi Cal 51.6* Jul-23"),
        ("TTF Q3-23", "TTF Hi Cal 51.6* Q4-23"),
        ("TTF Aprl-23", "TTF Hi Cal 51.6* Apr-23"),
        ("TTF BOW", "TTF Hi Cal 51.6* BOM"),
        ("TFT Apr-23", "TTF Hi Cal 51.6* Apr-23"),
        ("TTF EEX Apr-23/May-23", "TTF Hi Cal 51.6* Apr-23/May-23"),
        ("TFT", "TTF Hi Cal 51.6*"),
    ],
)
def test_unknown_name_comes_with_the_nearest_names(find: Callable[[str], Contract], name: str, near: str) -> None:
    with pytest.raises(UnknownContract) as caught:
        find(name)

    assert name == caught.value.name
    assert near in caught.value.near


def test_product_without_a_period_is_refused(find: Callable[[str], Contract]) -> None:
    with pytest.raises(ContractError, match="without a delivery period"):
        find("TTF")


def test_period_without_a_product_is_refused(find: Callable[[str], Contract]) -> None:
    with pytest.raises(ContractError, match="without a product; write it like 'TTF Apr-23'"):
        find("Apr-23")


@pytest.mark.parametrize(
    "joint, remedy", [("/", "ask for the two and take the difference"), ("..", "ask for each of its periods")]
)
@pytest.mark.parametrize("second, rule", [("Q4-23", "must belong to one sequence"), ("EUA Dec-23", "of one product")])
def test_periods_of_two_sequences_or_products_are_refused(
    find: Callable[[str], Contract], joint: str, remedy: str, second: str, rule: str
) -> None:
    with pytest.raises(ContractError, match=f"{rule}.*{remedy}"):
        find(f"TTF Apr-23{joint}{second}")


def test_rolling_periods_are_joined_in_any_order(find: Callable[[str], Contract]) -> None:
    # Their order changes with the day.
    contracts = [find(name) for name in ("TTF BOM..DA [10000302]", "TTF DA..BOM [10000302]", "TTF W/END/DA")]

    assert [(35, 2), (2, 35), (4, 2)] == [(contract.item_id, contract.second_item_id) for contract in contracts]
    assert {None} == {contract.period_start for contract in contracts}


def test_product_may_come_before_both_periods(find: Callable[[str], Contract]) -> None:
    assert find("TTF Apr-23/May-23") == find("TTF Apr-23/ttf May-23") == find("TTF Apr-23 x TTF May-23")


def test_product_without_sequences_has_no_contracts(find: Callable[[str], Contract]) -> None:
    with pytest.raises(UnknownContract):
        find("Bare Apr-23")


@pytest.mark.parametrize(
    "name, since",
    [
        ("TTF Jun-23/Apr-23", "2023-04-01"),
        ("TTF Jun-23", "2023-06-01"),
        ("EUA Dec-26", "2026-12-01"),
        ("TTF Feb-19/Mar-19", "2019-02-01"),
        ("TTF M+1", "2023-06-01"),
        ("TTF DA", None),
        ("nonsense", None),
    ],
)
def test_first_delivery_of_a_name_is_known_before_any_look_up(name: str, since: str | None) -> None:
    assert (since and datetime.date.fromisoformat(since)) == readings(name, AT).since


def test_ids_of_another_products_sequence_are_refused_with_the_products_own() -> None:
    with pytest.raises(ContractError, match=r"market:10000065 has no sequence 10000105; choose from 10000305 \(Gas"):
        name_of(Contract(Market(10000065), 10000105, 80), ALL)


def test_ids_of_another_sequences_item_are_refused_with_the_call_that_lists_them() -> None:
    with pytest.raises(ContractError, match=r"sequence 10000305 .* has no item 999; .*sequence_items\(10000305"):
        name_of(Contract(Market(10000065), 10000305, 999), ALL)
