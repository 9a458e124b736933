"""From names to contracts, with a dict for a catalogue."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import pytest

from trayport import AmbiguousContract, Contract, ContractError, Instrument, Market, UnknownContract
from trayport.contracts import Listing, Product, SequenceItem
from trayport.contracts.listing import normalize_name
from trayport.contracts.symbology import earliest, name_of, resolve

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
    # Named as nobody spells a period, and delivered from six in the morning: found by its delivery.
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


class Book:
    """Looks names up in a dict, and notes from when items were asked for."""

    def __init__(self, *listings: Listing) -> None:
        self.all = listings or (MONTHS, QUARTERS, PROMPT, BOM, DAYS)
        self.since: list[datetime.date | None] = []
        market = Market(10000065, "TTF Hi Cal 51.6")
        self.names: dict[str, Product] = {
            "ttf": market,
            "ttf hi cal 51.6*": market,
            "uk 1+2": Instrument(10000071, "UK 1+2"),
            "bare": Instrument(5, "Bare"),
        }

    def exactly(self, text: str) -> Product | None:
        return self.names.get(normalize_name(text))

    def find(self, text: str) -> Product | None:
        if normalize_name(text) == "germany":
            raise AmbiguousContract(text, ("Germany Baseload*", "Germany Peaks*"))
        beginning = [product for name, product in self.names.items() if name.startswith(normalize_name(text))]
        return self.exactly(text) or (beginning[0] if len(set(beginning)) == 1 else None)

    def near(self, text: str) -> tuple[str, ...]:
        return ("TTF Hi Cal 51.6*",)

    def listings(self, product: Product, since: datetime.date | None) -> Sequence[Listing]:
        self.since.append(since)
        return [] if product.id == 5 else self.all


def find(name: str) -> Contract:
    return resolve(name, Book(), AT)


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
def test_a_name_finds_its_contract_and_the_canonical_name_finds_it_again(
    name: str, canonical: str, ids: tuple[int, int, int | None]
) -> None:
    contract = find(name)

    assert (f"TTF Hi Cal 51.6* {canonical}", ids) == (
        contract.name,
        (contract.sequence_id, contract.item_id, contract.second_item_id),
    )
    assert contract == find(str(contract.name))
    assert contract.name == name_of(contract, Book().all).name


def test_a_product_whose_name_ends_in_digits_keeps_them() -> None:
    assert "UK 1+2 Jun-23" == find("UK 1+2 Jun 23").name


def test_an_item_that_nobody_would_spell_so_is_found_by_its_delivery() -> None:
    assert (7, "TTF Hi Cal 51.6* Delivery 6/5") == (find("TTF 2023-05-06").item_id, find("TTF 2023-05-06").name)


def test_a_rolling_item_is_not_found_by_what_it_delivers_today() -> None:
    with pytest.raises(UnknownContract):
        resolve("TTF 2023-05-06", Book(PROMPT), AT)


def test_a_name_wins_over_a_delivery_in_another_sequence() -> None:
    # "Next Month" delivers in June today, and so does Jun-23; who says Jun-23 means the latter, every day.
    rolling = Listing(1, "Prompt", LONG_AGO, (item(9, "Next Month", "2023-06-01", "2023-07-01"),))

    assert (10000305, "TTF Hi Cal 51.6* Jun-23") == (
        resolve("TTF Jun-23", Book(MONTHS, rolling), AT).sequence_id,
        resolve("TTF Jun-23", Book(MONTHS, rolling), AT).name,
    )


def test_an_exact_product_wins_over_the_beginning_of_another() -> None:
    class Blocks(Book):
        def __init__(self) -> None:
            super().__init__(MONTHS, DAYS)
            self.names = {
                "rhine block 5": Instrument(8, "Rhine Block 5"),
                "rhine block 55": Instrument(9, "Rhine Block 55"),
            }

    contract = resolve("Rhine Block 5 May-23", Blocks(), AT)

    assert (Instrument(8), "Rhine Block 5 May-23") == (contract.product, contract.name)
    assert contract == resolve(contract.label, Blocks(), AT)


def test_of_two_exact_products_the_longer_name_wins_if_it_has_the_period() -> None:
    class Both(Book):
        def __init__(self, *listings: Listing) -> None:
            super().__init__(*listings)
            self.names = {"rhine": Instrument(7, "Rhine"), "rhine 6": Instrument(8, "Rhine 6")}

    assert Instrument(8) == resolve("Rhine 6 May-23", Both(MONTHS, DAYS), AT).product
    assert Instrument(7) == resolve("Rhine 6 May-23", Both(DAYS), AT).product


def test_a_reversed_range_is_refused_with_the_right_order() -> None:
    with pytest.raises(ContractError, match=r"write 'TTF Hi Cal 51.6\* Apr-23\.\.Jun-23'"):
        find("TTF Jun-23..Apr-23")


def test_delivery_comes_with_the_contract() -> None:
    contract = find("TTF Apr-23/Jun-23")

    assert ("2023-04-01", "2023-05-01") == tuple(
        moment.date().isoformat() for moment in (contract.period_start, contract.period_end) if moment
    )
    assert "2023-07-01" == str(find("TTF Apr-23..Jun-23").period_end)[:10]


def test_a_name_that_two_sequences_share_lists_both_and_each_is_exact() -> None:
    with pytest.raises(AmbiguousContract) as caught:
        find("TTF BOM")

    assert ("TTF Hi Cal 51.6* BOM [10000302]", "TTF Hi Cal 51.6* BOM [10000301]") == caught.value.candidates
    assert [35, 1] == [find(name).item_id for name in caught.value.candidates]
    assert "TTF Hi Cal 51.6* BOM [10000301]" == find("TTF BOM [10000301]").name


def test_an_ambiguous_product_lists_whole_names() -> None:
    with pytest.raises(AmbiguousContract, match="write one of them") as caught:
        find("Germany Apr-23/May-23")

    assert ("Germany Baseload* Apr-23/May-23", "Germany Peaks* Apr-23/May-23") == caught.value.candidates


@pytest.mark.parametrize(
    "name, near",
    [
        ("TTF Apr-33", "TTF Hi Cal 51.6* Jul-23"),
        ("TTF Q3-23", "TTF Hi Cal 51.6* Q4-23"),
        ("TTF Aprl-23", "TTF Hi Cal 51.6* Apr-23"),
        ("TTF BOW", "TTF Hi Cal 51.6* BOM"),
        ("TFT Apr-23", "TTF Hi Cal 51.6* Apr-23"),
        ("TTF EEX Apr-23/May-23", "TTF Hi Cal 51.6* Apr-23/May-23"),
        ("nonsense", "TTF Hi Cal 51.6*"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownContract) as caught:
        find(name)

    assert name == caught.value.name
    assert near in caught.value.near


def test_a_product_alone_asks_for_a_period() -> None:
    with pytest.raises(ContractError, match="without a delivery period"):
        find("TTF")


def test_a_period_alone_asks_for_a_product() -> None:
    with pytest.raises(ContractError, match="without a product; write it like 'TTF Apr-23'"):
        find("Apr-23")


@pytest.mark.parametrize(
    "joint, remedy", [("/", "ask for the two and take the difference"), ("..", "ask for each of its periods")]
)
@pytest.mark.parametrize("second, rule", [("Q4-23", "must belong to one sequence"), ("EUA Dec-23", "of one product")])
def test_periods_of_two_sequences_or_products_make_no_contract(joint: str, remedy: str, second: str, rule: str) -> None:
    with pytest.raises(ContractError, match=f"{rule}.*{remedy}"):
        find(f"TTF Apr-23{joint}{second}")


def test_rolling_periods_are_joined_in_any_order_since_it_changes_with_the_day() -> None:
    contracts = [find(name) for name in ("TTF BOM..DA [10000302]", "TTF DA..BOM [10000302]", "TTF W/END/DA")]

    assert [(35, 2), (2, 35), (4, 2)] == [(contract.item_id, contract.second_item_id) for contract in contracts]
    assert {None} == {contract.period_start for contract in contracts}


def test_the_product_may_stand_before_both_periods() -> None:
    assert find("TTF Apr-23/May-23") == find("TTF Apr-23/ttf May-23") == find("TTF Apr-23 x TTF May-23")


def test_a_product_without_sequences_has_no_contracts() -> None:
    with pytest.raises(UnknownContract):
        find("Bare Apr-23")


def test_items_are_asked_for_from_the_first_delivery_on() -> None:
    book = Book()
    resolve("TTF Jun-23/Apr-23", book, AT)
    resolve("TTF Jun-23", book, AT, since=datetime.date(2020, 1, 1))
    resolve("TTF DA", book, AT)

    assert [datetime.date(2023, 4, 1), datetime.date(2020, 1, 1), None] == book.since


def test_the_first_delivery_of_many_names_is_known_before_any_look_up() -> None:
    names = ["TTF Jun-23", "EUA Dec-26", "TTF Feb-19/Mar-19", "TTF DA", "TTF M+1"]

    assert datetime.date(2019, 2, 1) == earliest(names, AT)
    assert earliest(["TTF DA", "nonsense"], AT) is None


def test_ids_of_a_foreign_sequence_are_refused_with_the_products_own() -> None:
    with pytest.raises(ContractError, match=r"sequence 10000105 is none of market:10000065's; it has 10000305 \(Gas"):
        name_of(Contract(Market(10000065), 10000105, 80), Book().all)


def test_ids_of_a_foreign_item_are_refused_with_the_call_that_lists_them() -> None:
    with pytest.raises(ContractError, match=r"item 999 is none of sequence 10000305 .*sequence_items\(10000305"):
        name_of(Contract(Market(10000065), 10000305, 999), Book().all)
