"""Looking names up: how often the API is asked, and what is known without asking."""

from __future__ import annotations

import datetime
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trayport import (
    AmbiguousContract,
    ConnectionFailed,
    Contract,
    ContractError,
    DecodeError,
    Front,
    Instrument,
    Market,
    NotFound,
    QueryError,
    TrayportWarning,
    UnknownContract,
)
from trayport.endpoints import Request
from trayport.refdata import Cache, Catalogue
from trayport.sandbox import Sandbox
from trayport.sandbox.server import KEY, REFERENCE

AT = datetime.date(2024, 1, 15)
HOUR = 3600.0


class Desk:
    """A catalogue whose look-ups go straight into a sandbox, on a clock that is turned by hand."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.now = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC).timestamp()
        self.sent: list[str] = []
        self.trouble: Callable[[Request], bytes] | None = None
        self.catalogue = self.open()

    def open(self, **settings: Any) -> Catalogue:
        """Another process's catalogue on the same cache."""
        cache = Cache(self.folder, clock=lambda: self.now)
        return Catalogue(self.send, cache, "https://reference.example", clock=lambda: self.now, **settings)

    def send(self, request: Request, stop: threading.Event | None = None) -> bytes:
        self.sent.append(str(request))
        if self.trouble:
            return self.trouble(request)
        query = "&".join(f"{name}={value}" for name, value in request.params)
        status, body = self.sandbox.answer(f"{REFERENCE}{request.path}?{query}", KEY)
        if status != 200:
            raise NotFound(request.endpoint.name, status)
        return body

    def sends(self, act: Callable[[], object]) -> list[str]:
        """What is sent while something is done."""
        before = len(self.sent)
        act()
        return self.sent[before:]


@pytest.fixture
def desk(sandbox: Sandbox, tmp_path: Path) -> Desk:
    return Desk(sandbox, tmp_path)


def test_the_first_look_asks_for_lists_and_items_and_the_second_for_nothing(desk: Desk) -> None:
    first = desk.sends(lambda: desk.catalogue.resolve("TTF Apr-24", AT))

    assert ["/instruments", "/markets", "/markets/10000065/sequences"] == first[:3]
    assert {f"/sequences/{number}/sequenceItems?startDate=2023-01-01T00:00:00Z&count=1000" for number in (
        10000302, 10000305, 10000306, 10000307, 10000309)} == set(first[3:])  # fmt: skip
    assert [] == desk.sends(lambda: desk.catalogue.resolve("TTF May-24", AT))


def test_another_process_resolves_without_a_request(desk: Desk) -> None:
    contract = desk.catalogue.resolve("TTF Apr-24", AT)
    desk.trouble = lambda request: pytest.fail(f"asked for {request}")

    assert contract == desk.open().resolve("TTF Apr-24", AT)
    assert contract.name == desk.open().complete(Contract(Market(10000065), 10000305, 244)).name


def test_a_step_back_in_time_asks_for_the_items_again_and_a_short_one_does_not(desk: Desk) -> None:
    desk.catalogue.resolve("TTF Apr-24", AT)

    assert [] == desk.sends(lambda: desk.catalogue.resolve("TTF Mar-23", AT))
    sent = desk.sends(lambda: desk.catalogue.resolve("TTF Apr-20", AT))
    assert 5 == sum("startDate=2019-01-01" in text for text in sent)
    assert [] == desk.sends(lambda: desk.catalogue.resolve("TTF Jan-20", AT))


def test_many_names_are_looked_up_from_the_earliest_on(desk: Desk) -> None:
    names = [f"TTF {month}" for month in ("Jun-24", "Jan-22", "Mar-19", "M+1")]
    desk.catalogue.resolve("TTF Jun-24", AT)

    sent = desk.sends(lambda: desk.catalogue.contracts(names, AT))
    assert 5 == sum("startDate=2018-01-01" in text for text in sent)
    assert [] == desk.sends(lambda: desk.catalogue.contracts(names, AT))


def test_sequences_of_more_items_than_an_answer_holds_are_asked_for_page_by_page(desk: Desk) -> None:
    sent = desk.sends(lambda: desk.catalogue.resolve("Germany Baseload 2016-05-04", AT))
    pages = [text for text in sent if "/10000100/" in text]

    assert len(pages) > 3
    assert "/sequences/10000100/sequenceItems?startDate=2015-01-01T00:00:00Z&count=1000" == pages[0]
    listing = desk.catalogue.listings(desk.catalogue.product("Germany Baseload"), datetime.date(2016, 1, 1))[0]
    days = [item.period_start for item in listing.items]
    assert days == sorted(set(days))
    assert 4300 < len(days)


def test_after_a_day_everything_is_asked_for_anew(desk: Desk) -> None:
    first = desk.sends(lambda: desk.catalogue.resolve("TTF Apr-24", AT))
    desk.now += 24 * HOUR - 1
    assert [] == desk.sends(lambda: desk.catalogue.resolve("TTF Apr-24", AT))

    desk.now += 2
    assert sorted(first) == sorted(desk.sends(lambda: desk.catalogue.resolve("TTF Apr-24", AT)))


def test_a_clock_set_back_does_not_keep_old_data_for_ever(desk: Desk) -> None:
    desk.catalogue.resolve("TTF Apr-24", AT)
    desk.now -= 1000 * HOUR

    assert "/instruments" in desk.sends(lambda: desk.catalogue.resolve("TTF Apr-24", AT))


def test_an_unknown_name_is_worth_a_new_look_once_the_catalogue_is_an_hour_old(desk: Desk) -> None:
    def look() -> None:
        with pytest.raises(UnknownContract):
            desk.catalogue.resolve("TTF Apr-44", AT)

    desk.catalogue.resolve("TTF Apr-24", AT)
    assert [] == desk.sends(look)

    desk.now += HOUR + 1
    assert "/instruments" in desk.sends(look)
    assert [] == desk.sends(look)


def test_an_unknown_product_is_worth_a_new_look_too(desk: Desk) -> None:
    desk.catalogue.products()
    desk.now += HOUR + 1
    with pytest.raises(UnknownContract, match="'Nowhere'"):
        desk.catalogue.product("Nowhere")

    assert 4 == len(desk.sent)


def test_refreshing_forgets_everything_on_disk_too(desk: Desk) -> None:
    desk.catalogue.resolve("TTF Apr-24", AT)
    desk.catalogue.refresh()

    assert "/instruments" in desk.sends(lambda: desk.open().resolve("TTF Apr-24", AT))


def test_old_data_keep_answering_while_the_api_does_not(desk: Desk) -> None:
    desk.catalogue.product("TTF")
    desk.now += 48 * HOUR

    def fail(request: Request) -> bytes:
        raise ConnectionFailed(request.endpoint.name, 5, "refused")

    desk.trouble = fail
    with pytest.warns(TrayportWarning, match="cannot be renewed now .*; going on with the old ones"):
        assert Market(10000065) == desk.open().product("TTF")


def test_without_old_data_the_error_comes_through(desk: Desk) -> None:
    def fail(request: Request) -> bytes:
        raise ConnectionFailed(request.endpoint.name, 5, "refused")

    desk.trouble = fail
    with pytest.raises(ConnectionFailed):
        desk.catalogue.product("TTF")


@pytest.mark.parametrize("body", [b"[", b'{"title":"no"}', b'[{"id":"x"}]'])
def test_an_answer_that_cannot_be_read_is_an_error_and_is_not_kept(desk: Desk, body: bytes) -> None:
    desk.trouble = lambda request: body
    with pytest.raises(DecodeError):
        desk.catalogue.products()

    desk.trouble = None
    assert desk.catalogue.product("TTF")


def test_a_kept_document_of_another_shape_is_asked_for_again(desk: Desk) -> None:
    cache = Cache(desk.folder, clock=lambda: desk.now)
    cache.set("https://reference.example/instruments", {"not": "a list"})
    cache.set("https://reference.example/items/10000305", {"since": "soon"})

    assert "TTF Hi Cal 51.6* Apr-24" == desk.catalogue.resolve("TTF Apr-24", AT).name


def test_what_one_api_says_is_not_believed_of_another(desk: Desk) -> None:
    desk.catalogue.product("TTF")
    other = Catalogue(
        desk.send, Cache(desk.folder, clock=lambda: desk.now), "https://other.example", clock=lambda: desk.now
    )

    assert "/instruments" in desk.sends(lambda: other.product("TTF"))


def test_threads_that_look_at_once_ask_once(desk: Desk) -> None:
    together = threading.Barrier(8)

    def look() -> None:
        together.wait()
        desk.catalogue.resolve("TTF Apr-24", AT)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(desk.sent) == len(set(desk.sent)) == 8


class TestContracts:
    """Contracts by ids, checked and named."""

    def test_ids_are_named_and_expired_ones_too(self, desk: Desk) -> None:
        for item, name in ((277, "Jan-27"), (244, "Apr-24"), (73, "Jan-10")):
            contract = desk.catalogue.complete(Contract(Market(10000065), 10000305, item))

            assert f"TTF Hi Cal 51.6* {name}" == contract.name

    def test_a_spread_by_ids_is_named(self, desk: Desk) -> None:
        spread = Contract(Instrument(10002806), 10000305, 245, 244, "spread")

        assert "TTF Hi Cal 51.6 EEX May-24/Apr-24" == desk.catalogue.complete(spread).name

    @pytest.mark.parametrize(
        "contract, error, match",
        [
            (Contract(Market(5), 10000305, 244), UnknownContract, "market:5"),
            (Contract(Instrument(10000065), 10000305, 244), UnknownContract, "instrument:10000065"),
            (Contract(Market(10000065), 10000105, 80), ContractError, "is none of TTF Hi Cal 51.6\\*'s"),
            (Contract(Market(10000065), 10000305, 99999), ContractError, "item 99999 is none of sequence 10000305"),
        ],
    )
    def test_ids_that_do_not_belong_together_are_refused(
        self, desk: Desk, contract: Contract, error: type[Exception], match: str
    ) -> None:
        with pytest.raises(error, match=match):
            desk.catalogue.complete(contract)

    def test_names_and_ids_of_one_contract_are_one(self, desk: Desk) -> None:
        asked = ["TTF Apr-24", Contract(Market(10000065), 10000305, 244), "TTF Hi Cal 51.6* 2024-04", "TTF May-24"]

        assert ["TTF Hi Cal 51.6* Apr-24", "TTF Hi Cal 51.6* May-24"] == [
            contract.name for contract in desk.catalogue.contracts(asked, AT)
        ]

    @pytest.mark.parametrize(
        "name",
        [
            "TTF Q2-24",
            "NBP Win-24",
            "PEG Cal-25",
            "THE DA",
            "Germany Baseload 2024-03-05",
            "Germany Baseload Week 12-24",
            "Germany Baseload W/END 2024-03-09",
            "Germany Peaks Jan-25",
            "France Baseload Q1-25",
            "EUA Dec-24",
            "TTF Hi Cal 51.6 EEX Apr-24/May-24",
            "Germany Baseload Q1-25..Q4-25",
            "instrument:10002806 Apr-24",
        ],
    )
    def test_the_canonical_name_of_every_kind_reads_back(self, desk: Desk, name: str) -> None:
        contract = desk.catalogue.resolve(name, AT)

        assert contract == desk.catalogue.resolve(contract.label, AT)


class TestFronts:
    """Fronts, made exact."""

    @pytest.mark.parametrize("sequence", ["Months", "months", "Gas - NG Months", 10000305])
    def test_a_sequence_is_an_id_a_name_or_a_last_word(self, desk: Desk, sequence: str | int) -> None:
        front = desk.catalogue.front(Front("TTF", sequence, 12), AT)

        assert Front(Market(10000065), 10000305, 12) == front

    def test_a_sequence_that_the_product_has_not_is_refused_with_those_that_it_has(self, desk: Desk) -> None:
        with pytest.raises(ContractError, match=r"no sequence 'Days'; it has 10000302 \(Gas - NG Prompt\)"):
            desk.catalogue.front(Front("TTF", "Days", 3), AT)

    @pytest.mark.parametrize("product, sequence, name", [("TTF", "Prompt", "WD"), ("EUA", "EUA", "Dec-24")])
    def test_items_without_an_end_of_trading_make_no_front(
        self, desk: Desk, product: str, sequence: str, name: str
    ) -> None:
        with pytest.raises(ContractError, match="Front needs items with an end of trading"):
            desk.catalogue.front(Front(product, sequence, 3), AT)


class TestSequences:
    """Sequences by name and by id."""

    @pytest.mark.parametrize("sequence", ["TTF Months", "TTF Gas - NG Months", 10000305, "10000305", "NBP months"])
    def test_items_are_listed_from_the_one_being_delivered(self, desk: Desk, sequence: str | int) -> None:
        items = desk.catalogue.items(sequence, None, 3)

        assert ["Nov-26", "Dec-26", "Jan-27"] == [item.name for item in items]

    def test_a_name_alone_will_do_once_its_product_was_looked_at(self, desk: Desk) -> None:
        with pytest.raises(QueryError, match="no sequence is known as 'Months'.*'TTF Months'"):
            desk.catalogue.items("Months", None, 3)

        desk.catalogue.sequences(desk.catalogue.product("TTF"))
        assert ["Nov-26"] == [item.name for item in desk.catalogue.items("Months", None, 1)]
        assert ["Nov-26"] == [item.name for item in desk.catalogue.items("gas - ng months", None, 1)]

    def test_a_last_word_that_two_sequences_share_is_ambiguous(self, desk: Desk) -> None:
        for product in ("TTF", "Germany Baseload"):
            desk.catalogue.sequences(desk.catalogue.product(product))
        with pytest.raises(AmbiguousContract) as caught:
            desk.catalogue.items("Months", None, 1)

        assert ("Gas - NG Months [10000305]", "Euro - Euro Months [10000104]") == caught.value.candidates

    def test_expired_items_are_listed_from_a_date_on(self, desk: Desk) -> None:
        items = desk.catalogue.items(10000305, datetime.date(2010, 1, 15), 2)

        assert ["Jan-10", "Feb-10"] == [item.name for item in items]

    @pytest.mark.parametrize("sequence", ["", None, True, 1.5, "Nowhere Months"])
    def test_what_is_no_sequence_is_refused(self, desk: Desk, sequence: Any) -> None:
        with pytest.raises(QueryError, match="sequence"):
            desk.catalogue.items(sequence, None, 1)

    def test_an_id_that_the_api_does_not_know_is_its_own_answer(self, desk: Desk) -> None:
        with pytest.raises(NotFound):
            desk.catalogue.items(999, None, 1)


def test_a_product_is_a_name_or_a_typed_id(desk: Desk) -> None:
    assert "TTF Hi Cal 51.6*" == desk.catalogue.product(Market(10000065)).label
    with pytest.raises(ContractError, match=r"write Market\(10000065\) or Instrument\(10000065\)"):
        desk.catalogue.product(10000065)  # type: ignore[arg-type]


def test_specifications_are_kept_too(desk: Desk) -> None:
    assert "MW" == desk.catalogue.specification("TTF").quantity_unit
    assert [] == desk.sends(lambda: desk.open().specification("TTF"))


def test_aliases_are_the_callers(desk: Desk) -> None:
    assert Market(10000016) == desk.open(aliases={"Carbon": "EUA"}).product("carbon")


def test_nothing_is_warned_of_in_the_ordinary_course(desk: Desk) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        desk.catalogue.contracts(["TTF Apr-24", "EUA Dec-24"], AT)
