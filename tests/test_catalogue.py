"""Looking names up: how often the API is asked, and what is known without asking."""

from __future__ import annotations

import datetime
import itertools
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trayport import (
    AmbiguousContract,
    APIError,
    BadRequest,
    ConnectionFailed,
    Contract,
    ContractError,
    DecodeError,
    Front,
    Instrument,
    Market,
    NotAllowed,
    NotFound,
    QueryError,
    ServerError,
    TrayportWarning,
    UnknownContract,
)
from trayport.endpoints import Request
from trayport.refdata import Cache, Catalogue
from trayport.sandbox import Sandbox
from trayport.sandbox.listener import HttpRequest
from trayport.sandbox.server import REFERENCE

AT = datetime.date(2024, 1, 15)
HOUR = 3600.0


@lru_cache(maxsize=4)
def few(body: bytes) -> bytes:
    """The products that the tests name and some more, out of 14,000, which cost each test 0.2 s to index."""
    named = ("TTF", "NBP", "PEG", "THE", "Germany", "France", "EUA", "EEX")
    return json.dumps([product for product in json.loads(body) if product["name"].startswith(named)]).encode()


class Desk:
    """A catalogue whose look-ups go straight into a sandbox, on a clock that is turned by hand."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.now = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC).timestamp()
        self.sent: list[str] = []
        self.trouble: Callable[[Request], bytes] | None = None
        self.catalogue = self.open()

    def open(self, namespace: str = "https://reference.example", **settings: Any) -> Catalogue:
        """Another process's catalogue on the same cache."""
        cache = Cache(self.folder, clock=lambda: self.now)
        return Catalogue(self.send, cache, namespace, clock=lambda: self.now, **settings)

    def send(self, request: Request, stop: threading.Event | None, request_id: str) -> bytes:
        self.sent.append(str(request))
        if self.trouble:
            return self.trouble(request)
        query = "&".join(f"{name}={value}" for name, value in request.params)
        headers = {"x-api-key": self.sandbox.key}
        answer = self.sandbox.respond(HttpRequest("GET", f"{REFERENCE}{request.path}?{query}", headers))
        if answer.status != 200:
            raise NotFound(request.endpoint.name, answer.status)
        assert isinstance(answer.body, bytes)
        return few(answer.body) if request.path in ("/instruments", "/markets") else answer.body

    def sends(self, act: Callable[[], object]) -> list[str]:
        """What is sent while something is done."""
        before = len(self.sent)
        act()
        return self.sent[before:]


@pytest.fixture
def desk(sandbox: Sandbox, tmp_path: Path) -> Desk:
    return Desk(sandbox, tmp_path)


@pytest.fixture(scope="module")
def known(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """One that goes on knowing what any test looked up; its clock stands, and nobody troubles it."""
    return Desk(sandbox, tmp_path_factory.mktemp("known"))


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

    sent = desk.sends(lambda: desk.catalogue.resolve_all(names, AT))
    assert 5 == sum("startDate=2018-01-01" in text for text in sent)
    assert [] == desk.sends(lambda: desk.catalogue.resolve_all(names, AT))


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
    with pytest.warns(TrayportWarning, match="cannot be renewed now .*, so stale ones are used"):
        assert Market(10000065) == desk.open().product("TTF")


def test_a_right_that_was_lost_is_told_however_much_is_known(desk: Desk) -> None:
    desk.catalogue.resolve("TTF Apr-24", AT)
    desk.now += 25 * HOUR

    def refuse(request: Request) -> bytes:
        raise NotAllowed(request.endpoint.name, 401)

    desk.trouble = refuse
    for catalogue in (desk.catalogue, desk.open()):
        with pytest.raises(NotAllowed):
            catalogue.resolve("TTF Apr-24", AT)


@pytest.mark.filterwarnings("ignore::trayport.TrayportWarning")
@pytest.mark.parametrize("error", [ServerError, NotAllowed])
@pytest.mark.parametrize("typo", ["TTF Apr-44", "Nowhere Apr-24", "TTF Next Hour"])
def test_a_typo_while_the_api_is_down_costs_nothing_of_what_is_known(
    desk: Desk, typo: str, error: type[APIError]
) -> None:
    desk.catalogue.resolve("TTF Apr-24", AT)
    desk.now += 2 * HOUR

    def fail(request: Request) -> bytes:
        raise error(request.endpoint.name, 503)

    desk.trouble = fail
    with pytest.raises((UnknownContract, error)):
        desk.catalogue.resolve(typo, AT)

    for catalogue in (desk.catalogue, desk.open()):
        assert "TTF Hi Cal 51.6* May-24" == catalogue.resolve("TTF May-24", AT).name


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

    assert "/instruments" in desk.sends(lambda: desk.open("https://other.example").product("TTF"))


def test_two_keys_on_one_folder_learn_nothing_from_each_other(desk: Desk) -> None:
    desk.catalogue.resolve("TTF Apr-24", AT)
    other = desk.open(namespace="https://reference.example other-key")

    def look() -> None:
        with pytest.raises(QueryError, match="no sequence is known"):
            other.items("Gas - NG Months", None, 1)
        other.resolve("TTF Apr-24", AT)

    first = set(desk.sent)
    assert first == set(desk.sends(look))


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


class TestNewlyListed:
    """A month that the API lists after we have looked: Dec-29, on the first of December 2026."""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[Desk]:
        with Sandbox(limits=False) as sandbox:
            desk = Desk(sandbox, tmp_path)
            self.turn(desk, "2026-11-30T23:30")
            yield desk

    @staticmethod
    def turn(desk: Desk, text: str) -> None:
        """The desk's clock and the sandbox's."""
        desk.sandbox.now = datetime.datetime.fromisoformat(f"{text}+00:00")
        desk.now = desk.sandbox.now.timestamp()

    @pytest.mark.parametrize("later", ["2026-12-01T00:10", "2026-12-01T20:00"])
    @pytest.mark.parametrize(
        "contract, name",
        [
            (Contract(Market(10000065), 10000305, 312), "Dec-29"),
            (Contract(Market(10000065), 10000305, 300, 312, "spread"), "Dec-28/Dec-29"),
            (Contract(Market(10000065), 10000305, 312, 300, "spread"), "Dec-29/Dec-28"),
        ],
    )
    def test_its_ids_are_named_at_once(self, desk: Desk, later: str, contract: Contract, name: str) -> None:
        desk.catalogue.complete(Contract(Market(10000065), 10000305, 311))
        other = desk.open()
        other.resolve("TTF Nov-29", AT)
        self.turn(desk, later)

        for catalogue in (desk.catalogue, other):
            assert f"TTF Hi Cal 51.6* {name}" == catalogue.complete(contract).name
        assert 312 == desk.catalogue.resolve("TTF Dec-29", AT).item_id

    def test_its_name_is_found_once_what_is_known_is_older_than_an_hour(self, desk: Desk) -> None:
        desk.catalogue.resolve("TTF Nov-29", AT)
        self.turn(desk, "2026-12-01T00:10")
        with pytest.raises(UnknownContract, match=r"TTF Hi Cal 51.6\* Nov-29"):
            desk.catalogue.resolve("TTF Dec-29", AT)

        self.turn(desk, "2026-12-01T00:31")
        for catalogue in (desk.catalogue, desk.open()):
            assert "TTF Hi Cal 51.6* Dec-29" == catalogue.resolve("TTF Dec-29", AT).name

    def test_another_process_that_finds_an_old_catalogue_on_disk_finds_its_name_too(self, desk: Desk) -> None:
        desk.catalogue.resolve("TTF Nov-29", AT)
        self.turn(desk, "2026-12-01T20:00")

        assert "TTF Hi Cal 51.6* Dec-29" == desk.open().resolve("TTF Dec-29", AT).name

    def test_ids_that_came_too_early_are_asked_for_again_after_an_hour(self, desk: Desk) -> None:
        def look() -> None:
            with pytest.raises(ContractError, match="sequence 10000305 .* has no item 312"):
                desk.catalogue.complete(contract)

        contract = Contract(Market(10000065), 10000305, 312)
        assert "/sequences/10000305/sequenceItems/312" in desk.sends(look)
        assert [] == desk.sends(look)

        self.turn(desk, "2026-12-01T00:31")
        assert "TTF Hi Cal 51.6* Dec-29" == desk.catalogue.complete(contract).name


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
            (Contract(Market(10000065), 10000105, 80), ContractError, r"TTF Hi Cal 51.6\* has no sequence 10000105"),
            (Contract(Market(10000065), 10000305, 99999), ContractError, "sequence 10000305 .* has no item 99999"),
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
            contract.name for contract in desk.catalogue.resolve_all(asked, AT)
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
    def test_the_canonical_name_of_every_kind_reads_back(self, known: Desk, name: str) -> None:
        contract = known.catalogue.resolve(name, AT)

        assert contract == known.catalogue.resolve(contract.label, AT)


class TestFronts:
    """Fronts, made exact."""

    @pytest.mark.parametrize("sequence", ["Months", "months", "Gas - NG Months", 10000305])
    def test_a_sequence_is_an_id_a_name_or_a_last_word(self, known: Desk, sequence: str | int) -> None:
        front = known.catalogue.resolve_front(Front("TTF", sequence, 12), AT)

        assert Front(Market(10000065), 10000305, 12) == front

    @pytest.mark.parametrize("sequence", [np.int64(10000305), "Gas - NG Months [10000305]", " 10000305 "])
    def test_a_sequence_may_be_as_a_frame_or_an_error_spells_it(self, known: Desk, sequence: Any) -> None:
        front = known.catalogue.resolve_front(Front("TTF", sequence, np.int64(12)), AT)

        assert Front(Market(10000065), 10000305, 12) == front

    def test_a_sequence_that_the_product_has_not_is_refused_with_those_that_it_has(self, known: Desk) -> None:
        with pytest.raises(ContractError, match=r"no sequence 'Days'; it has 10000302 \(Gas - NG Prompt\)"):
            known.catalogue.resolve_front(Front("TTF", "Days", 3), AT)

    @pytest.mark.parametrize("product, sequence, name", [("TTF", "Prompt", "WD"), ("EUA", "EUA", "Dec-24")])
    def test_items_without_an_end_of_trading_make_no_front(
        self, known: Desk, product: str, sequence: str, name: str
    ) -> None:
        with pytest.raises(ContractError, match="Front needs items with an end of trading"):
            known.catalogue.resolve_front(Front(product, sequence, 3), AT)


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

    def test_a_name_that_another_process_met_will_do(self, desk: Desk) -> None:
        desk.catalogue.sequences(desk.catalogue.product("TTF"))
        desk.now += 30 * 24 * HOUR

        for sequence in ("Months", "Gas - NG Months", "gas - ng  months"):
            assert ["Dec-26"] == [item.name for item in desk.open().items(sequence, datetime.date(2026, 12, 5), 1)]

    @pytest.mark.parametrize(
        "sequence",
        [10000305, "10000305", " 10000305 ", "Gas - NG Months [10000305]", np.int64(10000305), np.uint32(10000305)],
    )
    def test_an_id_in_any_dress_needs_no_look_at_a_product(self, desk: Desk, sequence: Any) -> None:
        assert ["/sequences/10000305/sequenceItems?count=2"] == desk.sends(
            lambda: desk.catalogue.items(sequence, None, 2)
        )

    def test_a_last_word_that_two_sequences_share_is_ambiguous(self, desk: Desk) -> None:
        for product in ("TTF", "Germany Baseload"):
            desk.catalogue.sequences(desk.catalogue.product(product))
        with pytest.raises(AmbiguousContract) as caught:
            desk.catalogue.items("Months", None, 1)

        assert ("Gas - NG Months [10000305]", "Euro - Euro Months [10000104]") == caught.value.candidates
        assert [["Nov-26"]] * 2 == [
            [item.name for item in desk.catalogue.items(candidate, None, 1)] for candidate in caught.value.candidates
        ]

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


class River:
    """A reference API with one market and two sequences, which lists ``items`` as its limits let it."""

    def __init__(self, items: list[dict[str, Any]], cap: int, most: int = 10**6) -> None:
        self.items, self.cap, self.most = items, cap, most
        self.heeds_dates, self.page_order = True, 1
        self.sent: list[str] = []

    def __call__(self, request: Request, stop: threading.Event | None, request_id: str) -> bytes:
        self.sent.append(str(request))
        assert len(self.sent) < 100, "asked for ever"
        if request.path.endswith("sequenceItems"):
            return json.dumps(self.page(dict(request.params)) if "/7/" in request.path else []).encode()
        if "/sequenceItems/" in request.path:
            return json.dumps(next(item for item in self.items if item["id"] == request.ids[1])).encode()
        return json.dumps(
            {
                "/instruments": [],
                "/markets": [{"id": 1, "name": "Rhine"}],
                "/markets/1/sequences": [{"id": 7, "name": "Upper Days"}, {"id": 8, "name": "Lower Days"}],
            }[request.path]
        ).encode()

    def page(self, params: dict[str, str]) -> list[dict[str, Any]]:
        if int(params["count"]) > self.most:
            raise BadRequest("sequence items", 400, f"count: at most {self.most}")
        found = [
            item for item in self.items if not self.heeds_dates or item.get("periodEnd", "9") > params["startDate"]
        ]
        return found[: min(self.cap, int(params["count"]))][:: self.page_order]


def long_and_short(count: int, key: str) -> list[dict[str, Any]]:
    """Items that begin one a day, and deliver for one day, two weeks, five or eleven days."""
    first = datetime.date(2024, 1, 1)
    lengths = itertools.cycle((1, 14, 5, 11))
    items = [
        {
            "id": number,
            "name": f"Item {number}",
            "periodStart": f"{first + datetime.timedelta(number)}T00:00:00Z",
            "periodEnd": f"{first + datetime.timedelta(number + length)}T00:00:00Z",
            "tradingEnd": "2024-01-01T00:00:00Z",
        }
        for number, length in zip(range(1, count + 1), lengths, strict=False)
    ]
    return sorted(items, key=lambda item: (item[key], item["id"]))


def test_a_rolling_item_that_is_listed_later_is_named_at_once(tmp_path: Path) -> None:
    river = River([{"id": 1, "name": "DA"}], 100)
    catalogue = Catalogue(river, Cache(tmp_path), "https://reference.example")
    catalogue.resolve("Rhine DA", AT)
    river.items.append({"id": 2, "name": "WD"})

    assert "Rhine* WD" == catalogue.complete(Contract(Market(1), 7, 2)).name


class TestPages:
    """More items than an answer holds."""

    SINCE = datetime.date(2023, 6, 1)

    def open(self, river: River, folder: Path) -> Catalogue:
        return Catalogue(river, Cache(folder), "https://reference.example")

    @pytest.mark.parametrize("key", ["periodStart", "periodEnd"])
    @pytest.mark.parametrize("count", [0, 100, 450])
    @pytest.mark.parametrize(
        "cap, most",
        [(100, 10**6), (130, 10**6), (1000, 10**6), (10**6, 100), (10**6, 999)],
        ids=["capped-at-100", "at-130", "at-1000", "more-than-100-refused", "more-than-999-refused"],
    )
    def test_every_item_is_found_once_and_in_order(
        self, tmp_path: Path, cap: int, most: int, count: int, key: str
    ) -> None:
        river = River(long_and_short(count, key), cap, most)
        catalogue = self.open(river, tmp_path)
        listing, _ = catalogue.listings(catalogue.product("Rhine"), self.SINCE)
        expected = [item["id"] for item in river.items]

        assert expected == [item.id for item in listing.items]
        assert len(river.sent) == len(set(river.sent))
        for wanted in (3, 100, 250):
            assert expected[:wanted] == [item.id for item in catalogue.items(7, self.SINCE, wanted)]

    def test_pages_may_come_newest_first(self, tmp_path: Path) -> None:
        river = River(long_and_short(450, "periodStart"), 100)
        river.page_order = -1
        listing, _ = self.open(river, tmp_path).listings(Market(1, "Rhine"), self.SINCE)

        assert {item["id"] for item in river.items} == {item.id for item in listing.items}

    def test_a_count_of_a_thousand_is_enough_for_a_server_that_keeps_to_it(self, tmp_path: Path) -> None:
        river = River(long_and_short(2300, "periodStart"), 1000)
        catalogue = self.open(river, tmp_path)

        assert 2300 == len(catalogue.items(7, self.SINCE, 5000))
        assert {"1000"} == {text.rpartition("count=")[2] for text in river.sent}
        assert 5 > len(river.sent)

    def test_a_server_that_refuses_even_its_default_is_not_asked_for_ever(self, tmp_path: Path) -> None:
        river = River(long_and_short(10, "periodStart"), 100, most=50)
        with pytest.raises(BadRequest):
            self.open(river, tmp_path).items(7, self.SINCE, 200)

        assert 2 == len(river.sent)

    @pytest.mark.parametrize("trouble", ["no-dates", "dates-not-heeded", "all-at-once"])
    def test_where_nothing_can_be_asked_on_it_is_told_once(self, tmp_path: Path, trouble: str) -> None:
        river = River(long_and_short(150, "periodStart"), 100)
        river.heeds_dates = trouble != "dates-not-heeded"
        for item in river.items:
            if trouble == "no-dates":
                del item["periodStart"], item["periodEnd"]
            elif trouble == "all-at-once":
                item["periodStart"], item["periodEnd"] = "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"
        catalogue = self.open(river, tmp_path)
        with pytest.warns(TrayportWarning, match="may have more items of sequence 7 than the 100") as told:
            listing, _ = catalogue.listings(catalogue.product("Rhine"), self.SINCE)

        assert (1, 100) == (len(told), len(listing.items))

    @pytest.mark.parametrize("start", [{}, {"periodStart": None}, {"periodStart": "9999-12-31T00:00:00Z"}])
    def test_a_last_item_without_a_start_is_no_reason_to_doubt_a_short_answer(
        self, tmp_path: Path, start: dict[str, Any]
    ) -> None:
        river = River([*long_and_short(20, "periodStart"), {"id": 99, "name": "Rolling", **start}], 100)

        assert 99 == self.open(river, tmp_path).items(7, self.SINCE, 100)[-1].id

    def test_a_last_word_that_a_product_has_twice_is_ambiguous_and_each_candidate_is_exact(
        self, tmp_path: Path
    ) -> None:
        catalogue = self.open(River(long_and_short(20, "periodStart"), 100), tmp_path)
        for look in (
            lambda: catalogue.items("Rhine Days", self.SINCE, 1),
            lambda: catalogue.resolve_front(Front("Rhine", "Days", 1), self.SINCE),
        ):
            with pytest.raises(AmbiguousContract) as caught:
                look()

            assert ("Upper Days [7]", "Lower Days [8]") == caught.value.candidates
        assert [1] == [item.id for item in catalogue.items("Upper Days [7]", self.SINCE, 1)]
        assert 8 == catalogue.resolve_front(Front("Rhine", caught.value.candidates[1], 1), self.SINCE).sequence


def test_a_product_is_a_name_or_a_typed_id(desk: Desk) -> None:
    assert "TTF Hi Cal 51.6*" == desk.catalogue.product(Market(10000065)).label
    with pytest.raises(ContractError, match=r"write Market\(10000065\) or Instrument\(10000065\)"):
        desk.catalogue.product(10000065)  # type: ignore[arg-type]


def test_specifications_are_kept_too(desk: Desk) -> None:
    assert "MW" == desk.catalogue.specification("TTF").quantity_unit
    assert [] == desk.sends(lambda: desk.open().specification("TTF"))


def test_aliases_are_the_callers(desk: Desk) -> None:
    catalogue = desk.open(aliases={"Carbon": "EUA*", "My Gas": "instrument:TTF Hi Cal 51.6", "Dead": "Nothing like it"})

    assert Market(10000016) == catalogue.product("carbon")
    assert "EUA* Dec-24" == catalogue.resolve("CARBON  Dec-24", AT).name
    assert "instrument:TTF Hi Cal 51.6 Apr-24" == catalogue.resolve("my gas Apr-24", AT).name
    with pytest.raises(ContractError, match="the alias 'dead' is for 'Nothing like it'"):
        catalogue.resolve("Dead Apr-24", AT)
    with pytest.raises(UnknownContract, match="EUA"):  # and nobody else hears of it
        catalogue.product("Carbin")


def test_nothing_is_warned_of_in_the_ordinary_course(desk: Desk) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        desk.catalogue.resolve_all(["TTF Apr-24", "EUA Dec-24"], AT)
