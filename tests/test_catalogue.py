"""Look-ups of names: which requests they make, and which they save."""

from __future__ import annotations

import datetime
import itertools
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
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
    """Return the products that the tests name and some more: to index all 14,000 takes each test 0.2 s."""
    named = ("TTF", "NBP", "PEG", "THE", "Germany", "France", "EUA", "EEX")
    return json.dumps([product for product in json.loads(body) if product["name"].startswith(named)]).encode()


class Harness:
    """A catalogue that calls a sandbox directly, with a clock that the test sets."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.now = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC).timestamp()
        self.sent: list[str] = []
        self.fault: Callable[[Request], bytes] | None = None
        self.opened: list[Catalogue] = []
        self.catalogue = self.open()

    def open(self, namespace: str = "https://reference.example", **settings: Any) -> Catalogue:
        """Return the catalogue of another process with the same cache."""
        cache = Cache(self.folder, clock=lambda: self.now)
        made = Catalogue(self.send, cache, namespace, clock=lambda: self.now, **settings)
        self.opened.append(made)
        return made

    def close(self) -> None:
        """Close all catalogues."""
        for catalogue in self.opened:
            catalogue.close()

    def send(self, request: Request, stop: threading.Event | None, request_id: str) -> bytes:
        self.sent.append(str(request))
        if self.fault:
            return self.fault(request)
        query = "&".join(f"{name}={value}" for name, value in request.params)
        headers = {"x-api-key": self.sandbox.key}
        answer = self.sandbox.respond(HttpRequest("GET", f"{REFERENCE}{request.path}?{query}", headers))
        if answer.status != 200:
            raise NotFound(request.endpoint.name, answer.status)
        assert isinstance(answer.body, bytes)
        return few(answer.body) if request.path in ("/instruments", "/markets") else answer.body

    def sends(self, act: Callable[[], object]) -> list[str]:
        """Return the requests that a function makes."""
        before = len(self.sent)
        act()
        return self.sent[before:]


@pytest.fixture
def harness(sandbox: Sandbox, tmp_path: Path) -> Iterator[Harness]:
    with closing(Harness(sandbox, tmp_path)) as harness:
        yield harness


@pytest.fixture(scope="module")
def known(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a harness that keeps the look-ups of all tests; its clock is fixed and its API never fails."""
    with closing(Harness(sandbox, tmp_path_factory.mktemp("known"))) as harness:
        yield harness


def test_first_look_up_requests_lists_and_items_and_the_second_nothing(harness: Harness) -> None:
    first = harness.sends(lambda: harness.catalogue.resolve("TTF Apr-24", AT))

    assert ["/instruments", "/markets", "/markets/10000065/sequences"] == first[:3]
    assert {f"/sequences/{number}/sequenceItems?startDate=2023-01-01T00:00:00Z&count=1000" for number in (
        10000302, 10000305, 10000306, 10000307, 10000309)} == set(first[3:])  # fmt: skip
    assert [] == harness.sends(lambda: harness.catalogue.resolve("TTF May-24", AT))


def test_other_process_resolves_without_a_request(harness: Harness) -> None:
    contract = harness.catalogue.resolve("TTF Apr-24", AT)
    harness.fault = lambda request: pytest.fail(f"asked for {request}")

    assert contract == harness.open().resolve("TTF Apr-24", AT)
    assert contract.name == harness.open().complete(Contract(Market(10000065), 10000305, 244)).name


def test_items_are_requested_again_for_a_much_earlier_date_only(harness: Harness) -> None:
    harness.catalogue.resolve("TTF Apr-24", AT)

    assert [] == harness.sends(lambda: harness.catalogue.resolve("TTF Mar-23", AT))
    sent = harness.sends(lambda: harness.catalogue.resolve("TTF Apr-20", AT))
    assert 5 == sum("startDate=2019-01-01" in text for text in sent)
    assert [] == harness.sends(lambda: harness.catalogue.resolve("TTF Jan-20", AT))


def test_many_names_are_looked_up_from_the_earliest_delivery(harness: Harness) -> None:
    names = [f"TTF {month}" for month in ("Jun-24", "Jan-22", "Mar-19", "M+1")]
    harness.catalogue.resolve("TTF Jun-24", AT)

    sent = harness.sends(lambda: harness.catalogue.resolve_all(names, AT))
    assert 5 == sum("startDate=2018-01-01" in text for text in sent)
    assert [] == harness.sends(lambda: harness.catalogue.resolve_all(names, AT))


def test_long_sequence_is_requested_page_by_page(harness: Harness) -> None:
    sent = harness.sends(lambda: harness.catalogue.resolve("Germany Baseload 2016-05-04", AT))
    pages = [text for text in sent if "/10000100/" in text]

    assert len(pages) > 3
    assert "/sequences/10000100/sequenceItems?startDate=2015-01-01T00:00:00Z&count=1000" == pages[0]
    listing = harness.catalogue.listings(harness.catalogue.product("Germany Baseload"), datetime.date(2016, 1, 1))[0]
    days = [item.period_start for item in listing.items]
    assert days == sorted(set(days))
    assert 4300 < len(days)


def test_everything_is_requested_again_after_a_day(harness: Harness) -> None:
    first = harness.sends(lambda: harness.catalogue.resolve("TTF Apr-24", AT))
    harness.now += 24 * HOUR - 1
    assert [] == harness.sends(lambda: harness.catalogue.resolve("TTF Apr-24", AT))

    harness.now += 2
    assert sorted(first) == sorted(harness.sends(lambda: harness.catalogue.resolve("TTF Apr-24", AT)))


def test_data_are_requested_again_after_the_clock_is_set_back(harness: Harness) -> None:
    harness.catalogue.resolve("TTF Apr-24", AT)
    harness.now -= 1000 * HOUR

    assert "/instruments" in harness.sends(lambda: harness.catalogue.resolve("TTF Apr-24", AT))


def test_unknown_name_is_looked_up_in_new_data_if_the_cached_are_an_hour_old(harness: Harness) -> None:
    def look_up() -> None:
        with pytest.raises(UnknownContract):
            harness.catalogue.resolve("TTF Apr-44", AT)

    harness.catalogue.resolve("TTF Apr-24", AT)
    assert [] == harness.sends(look_up)

    harness.now += HOUR + 1
    assert "/instruments" in harness.sends(look_up)
    assert [] == harness.sends(look_up)


def test_unknown_product_is_looked_up_in_new_data_if_the_cached_are_an_hour_old(harness: Harness) -> None:
    harness.catalogue.products()
    harness.now += HOUR + 1
    with pytest.raises(UnknownContract, match="'Nowhere'"):
        harness.catalogue.product("Nowhere")

    assert 4 == len(harness.sent)


def test_refresh_deletes_everything_on_disk_too(harness: Harness) -> None:
    harness.catalogue.resolve("TTF Apr-24", AT)
    harness.catalogue.refresh()

    assert "/instruments" in harness.sends(lambda: harness.open().resolve("TTF Apr-24", AT))


def test_stale_data_are_used_while_the_api_fails(harness: Harness) -> None:
    harness.catalogue.product("TTF")
    harness.now += 48 * HOUR

    def fail(request: Request) -> bytes:
        raise ConnectionFailed(request.endpoint.name, 5, "refused")

    harness.fault = fail
    with pytest.warns(TrayportWarning, match="cannot be renewed now .*, so stale ones are used"):
        assert Market(10000065) == harness.open().product("TTF")


def test_lost_entitlement_is_an_error_even_with_cached_data(harness: Harness) -> None:
    harness.catalogue.resolve("TTF Apr-24", AT)
    harness.now += 25 * HOUR

    def refuse(request: Request) -> bytes:
        raise NotAllowed(request.endpoint.name, 401)

    harness.fault = refuse
    for catalogue in (harness.catalogue, harness.open()):
        with pytest.raises(NotAllowed):
            catalogue.resolve("TTF Apr-24", AT)


@pytest.mark.filterwarnings("ignore::trayport.TrayportWarning")
@pytest.mark.parametrize("error", [ServerError, NotAllowed])
@pytest.mark.parametrize("typo", ["TTF Apr-44", "Nowhere Apr-24", "TTF Next Hour"])
def test_misspelt_name_while_the_api_fails_keeps_cached_data_usable(
    harness: Harness, typo: str, error: type[APIError]
) -> None:
    harness.catalogue.resolve("TTF Apr-24", AT)
    harness.now += 2 * HOUR

    def fail(request: Request) -> bytes:
        raise error(request.endpoint.name, 503)

    harness.fault = fail
    with pytest.raises((UnknownContract, error)):
        harness.catalogue.resolve(typo, AT)

    for catalogue in (harness.catalogue, harness.open()):
        assert "TTF Hi Cal 51.6* May-24" == catalogue.resolve("TTF May-24", AT).name


def test_error_is_raised_if_there_are_no_cached_data(harness: Harness) -> None:
    def fail(request: Request) -> bytes:
        raise ConnectionFailed(request.endpoint.name, 5, "refused")

    harness.fault = fail
    with pytest.raises(ConnectionFailed):
        harness.catalogue.product("TTF")


@pytest.mark.parametrize("body", [b"[", b'{"title":"no"}', b'[{"id":"x"}]'])
def test_unreadable_response_is_an_error_and_is_not_cached(harness: Harness, body: bytes) -> None:
    harness.fault = lambda request: body
    with pytest.raises(DecodeError):
        harness.catalogue.products()

    harness.fault = None
    assert harness.catalogue.product("TTF")


def test_cached_document_of_another_shape_is_requested_again(harness: Harness) -> None:
    cache = Cache(harness.folder, clock=lambda: harness.now)
    cache.set("https://reference.example/instruments", {"not": "a list"})
    cache.set("https://reference.example/items/10000305", {"since": "soon"})

    assert "TTF Hi Cal 51.6* Apr-24" == harness.catalogue.resolve("TTF Apr-24", AT).name


def test_data_of_one_api_are_not_used_for_another(harness: Harness) -> None:
    harness.catalogue.product("TTF")

    assert "/instruments" in harness.sends(lambda: harness.open("https://other.example").product("TTF"))


def test_two_keys_on_one_folder_share_no_data(harness: Harness) -> None:
    harness.catalogue.resolve("TTF Apr-24", AT)
    other = harness.open(namespace="https://reference.example other-key")

    def look_up() -> None:
        with pytest.raises(QueryError, match="no sequence is known"):
            other.items("Gas - NG Months", None, 1)
        other.resolve("TTF Apr-24", AT)

    first = set(harness.sent)
    assert first == set(harness.sends(look_up))


def test_threads_that_look_up_at_once_request_once(harness: Harness) -> None:
    barrier = threading.Barrier(8)

    def look_up() -> None:
        barrier.wait()
        harness.catalogue.resolve("TTF Apr-24", AT)

    threads = [threading.Thread(target=look_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(harness.sent) == len(set(harness.sent)) == 8


class TestNewlyListed:
    """A month that the API lists after its sequence was cached: Dec-29, on 2026-12-01."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        with Sandbox(limits=False) as sandbox, closing(Harness(sandbox, tmp_path)) as harness:
            self.set_clocks(harness, "2026-11-30T23:30")
            yield harness

    @staticmethod
    def set_clocks(harness: Harness, text: str) -> None:
        """Set the clocks of the catalogue and of the sandbox."""
        harness.sandbox.now = datetime.datetime.fromisoformat(f"{text}+00:00")
        harness.now = harness.sandbox.now.timestamp()

    @pytest.mark.parametrize("later", ["2026-12-01T00:10", "2026-12-01T20:00"])
    @pytest.mark.parametrize(
        "contract, name",
        [
            (Contract(Market(10000065), 10000305, 312), "Dec-29"),
            (Contract(Market(10000065), 10000305, 300, 312, "spread"), "Dec-28/Dec-29"),
            (Contract(Market(10000065), 10000305, 312, 300, "spread"), "Dec-29/Dec-28"),
        ],
    )
    def test_ids_are_named_at_once(self, harness: Harness, later: str, contract: Contract, name: str) -> None:
        harness.catalogue.complete(Contract(Market(10000065), 10000305, 311))
        other = harness.open()
        other.resolve("TTF Nov-29", AT)
        self.set_clocks(harness, later)

        for catalogue in (harness.catalogue, other):
            assert f"TTF Hi Cal 51.6* {name}" == catalogue.complete(contract).name
        assert 312 == harness.catalogue.resolve("TTF Dec-29", AT).item_id

    def test_name_is_found_once_the_cached_data_are_older_than_an_hour(self, harness: Harness) -> None:
        harness.catalogue.resolve("TTF Nov-29", AT)
        self.set_clocks(harness, "2026-12-01T00:10")
        with pytest.raises(UnknownContract, match=r"TTF Hi Cal 51.6\* Nov-29"):
            harness.catalogue.resolve("TTF Dec-29", AT)

        self.set_clocks(harness, "2026-12-01T00:31")
        for catalogue in (harness.catalogue, harness.open()):
            assert "TTF Hi Cal 51.6* Dec-29" == catalogue.resolve("TTF Dec-29", AT).name

    def test_name_is_found_by_another_process_with_old_cached_data(self, harness: Harness) -> None:
        harness.catalogue.resolve("TTF Nov-29", AT)
        self.set_clocks(harness, "2026-12-01T20:00")

        assert "TTF Hi Cal 51.6* Dec-29" == harness.open().resolve("TTF Dec-29", AT).name

    def test_ids_that_the_api_did_not_have_are_requested_again_after_an_hour(self, harness: Harness) -> None:
        def look_up() -> None:
            with pytest.raises(ContractError, match="sequence 10000305 .* has no item 312"):
                harness.catalogue.complete(contract)

        contract = Contract(Market(10000065), 10000305, 312)
        assert "/sequences/10000305/sequenceItems/312" in harness.sends(look_up)
        assert [] == harness.sends(look_up)

        self.set_clocks(harness, "2026-12-01T00:31")
        assert "TTF Hi Cal 51.6* Dec-29" == harness.catalogue.complete(contract).name


class TestContracts:
    """Contracts that are given by ids are checked and named."""

    def test_ids_of_expired_contracts_are_named_too(self, harness: Harness) -> None:
        for item, name in ((277, "Jan-27"), (244, "Apr-24"), (73, "Jan-10")):
            contract = harness.catalogue.complete(Contract(Market(10000065), 10000305, item))

            assert f"TTF Hi Cal 51.6* {name}" == contract.name

    def test_spread_by_ids_is_named(self, harness: Harness) -> None:
        spread = Contract(Instrument(10002806), 10000305, 245, 244, "spread")

        assert "TTF Hi Cal 51.6 EEX May-24/Apr-24" == harness.catalogue.complete(spread).name

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
        self, harness: Harness, contract: Contract, error: type[Exception], match: str
    ) -> None:
        with pytest.raises(error, match=match):
            harness.catalogue.complete(contract)

    def test_names_and_ids_of_one_contract_give_one_contract(self, harness: Harness) -> None:
        asked = ["TTF Apr-24", Contract(Market(10000065), 10000305, 244), "TTF Hi Cal 51.6* 2024-04", "TTF May-24"]

        assert ["TTF Hi Cal 51.6* Apr-24", "TTF Hi Cal 51.6* May-24"] == [
            contract.name for contract in harness.catalogue.resolve_all(asked, AT)
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
    def test_canonical_name_of_every_kind_reads_back(self, known: Harness, name: str) -> None:
        contract = known.catalogue.resolve(name, AT)

        assert contract == known.catalogue.resolve(contract.label, AT)


class TestFronts:
    """Fronts get the ids of their product and sequence."""

    @pytest.mark.parametrize("sequence", ["Months", "months", "Gas - NG Months", 10000305])
    def test_sequence_is_an_id_a_name_or_a_last_word(self, known: Harness, sequence: str | int) -> None:
        front = known.catalogue.resolve_front(Front("TTF", sequence, 12), AT)

        assert Front(Market(10000065), 10000305, 12) == front

    @pytest.mark.parametrize("sequence", [np.int64(10000305), "Gas - NG Months [10000305]", " 10000305 "])
    def test_sequence_may_be_spelled_as_in_a_frame_or_an_error(self, known: Harness, sequence: Any) -> None:
        front = known.catalogue.resolve_front(Front("TTF", sequence, np.int64(12)), AT)

        assert Front(Market(10000065), 10000305, 12) == front

    def test_unknown_sequence_is_refused_with_the_products_own(self, known: Harness) -> None:
        with pytest.raises(ContractError, match=r"no sequence 'Days'; choose from 10000302 \(Gas - NG Prompt\)"):
            known.catalogue.resolve_front(Front("TTF", "Days", 3), AT)

    @pytest.mark.parametrize("product, sequence, name", [("TTF", "Prompt", "WD"), ("EUA", "EUA", "Dec-24")])
    def test_items_without_an_end_of_trading_are_refused(
        self, known: Harness, product: str, sequence: str, name: str
    ) -> None:
        with pytest.raises(ContractError, match="Front needs items with an end of trading"):
            known.catalogue.resolve_front(Front(product, sequence, 3), AT)


class TestSequences:
    """Sequences are found by name and by id."""

    @pytest.mark.parametrize("sequence", ["TTF Months", "TTF Gas - NG Months", 10000305, "10000305", "NBP months"])
    def test_items_are_listed_from_the_one_in_delivery(self, harness: Harness, sequence: str | int) -> None:
        items = harness.catalogue.items(sequence, None, 3)

        assert ["Nov-26", "Dec-26", "Jan-27"] == [item.name for item in items]

    def test_name_alone_is_found_once_its_products_sequences_are_cached(self, harness: Harness) -> None:
        with pytest.raises(QueryError, match="no sequence is known as 'Months'.*'TTF Months'"):
            harness.catalogue.items("Months", None, 3)

        harness.catalogue.sequences(harness.catalogue.product("TTF"))
        assert ["Nov-26"] == [item.name for item in harness.catalogue.items("Months", None, 1)]
        assert ["Nov-26"] == [item.name for item in harness.catalogue.items("gas - ng months", None, 1)]

    def test_name_that_another_process_cached_is_found(self, harness: Harness) -> None:
        harness.catalogue.sequences(harness.catalogue.product("TTF"))
        harness.now += 30 * 24 * HOUR

        for sequence in ("Months", "Gas - NG Months", "gas - ng  months"):
            assert ["Dec-26"] == [item.name for item in harness.open().items(sequence, datetime.date(2026, 12, 5), 1)]

    @pytest.mark.parametrize(
        "sequence",
        [10000305, "10000305", " 10000305 ", "Gas - NG Months [10000305]", np.int64(10000305), np.uint32(10000305)],
    )
    def test_id_in_any_spelling_needs_no_request_for_a_product(self, harness: Harness, sequence: Any) -> None:
        assert ["/sequences/10000305/sequenceItems?count=2"] == harness.sends(
            lambda: harness.catalogue.items(sequence, None, 2)
        )

    def test_last_word_of_two_sequences_is_ambiguous(self, harness: Harness) -> None:
        for product in ("TTF", "Germany Baseload"):
            harness.catalogue.sequences(harness.catalogue.product(product))
        with pytest.raises(AmbiguousContract) as caught:
            harness.catalogue.items("Months", None, 1)

        assert ("Gas - NG Months [10000305]", "Euro - Euro Months [10000104]") == caught.value.candidates
        assert [["Nov-26"]] * 2 == [
            [item.name for item in harness.catalogue.items(candidate, None, 1)] for candidate in caught.value.candidates
        ]

    def test_expired_items_are_listed_from_a_date(self, harness: Harness) -> None:
        items = harness.catalogue.items(10000305, datetime.date(2010, 1, 15), 2)

        assert ["Jan-10", "Feb-10"] == [item.name for item in items]

    @pytest.mark.parametrize("sequence", ["", None, True, 1.5, "Nowhere Months"])
    def test_value_that_is_not_a_sequence_is_refused(self, harness: Harness, sequence: Any) -> None:
        with pytest.raises(QueryError, match="sequence"):
            harness.catalogue.items(sequence, None, 1)

    def test_unknown_id_is_the_error_of_the_api(self, harness: Harness) -> None:
        with pytest.raises(NotFound):
            harness.catalogue.items(999, None, 1)


class ReferenceAPI:
    """A Reference Data API with one market and two sequences, and with limits for the list of ``items``."""

    def __init__(self, items: list[dict[str, Any]], cap: int, most: int = 10**6) -> None:
        self.items, self.cap, self.maximum = items, cap, most
        self.uses_dates, self.page_order = True, 1
        self.sent: list[str] = []

    def __call__(self, request: Request, stop: threading.Event | None, request_id: str) -> bytes:
        self.sent.append(str(request))
        assert len(self.sent) < 100, "endless requests"
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
        if int(params["count"]) > self.maximum:
            raise BadRequest("sequence items", 400, f"count: at most {self.maximum}")
        found = [item for item in self.items if not self.uses_dates or item.get("periodEnd", "9") > params["startDate"]]
        return found[: min(self.cap, int(params["count"]))][:: self.page_order]


def long_and_short(count: int, key: str) -> list[dict[str, Any]]:
    """Return items that begin on consecutive days, and deliver for 1, 14, 5 or 11 days."""
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


def test_rolling_item_that_is_listed_later_is_named_at_once(tmp_path: Path) -> None:
    api = ReferenceAPI([{"id": 1, "name": "DA"}], 100)
    catalogue = Catalogue(api, Cache(tmp_path), "https://reference.example")
    catalogue.resolve("Rhine DA", AT)
    api.items.append({"id": 2, "name": "WD"})

    assert "Rhine* WD" == catalogue.complete(Contract(Market(1), 7, 2)).name


class TestPages:
    """Sequences with more items than a response has."""

    SINCE = datetime.date(2023, 6, 1)

    def open(self, api: ReferenceAPI, folder: Path) -> Catalogue:
        return Catalogue(api, Cache(folder), "https://reference.example")

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
        api = ReferenceAPI(long_and_short(count, key), cap, most)
        catalogue = self.open(api, tmp_path)
        listing, _ = catalogue.listings(catalogue.product("Rhine"), self.SINCE)
        expected = [item["id"] for item in api.items]

        assert expected == [item.id for item in listing.items]
        assert len(api.sent) == len(set(api.sent))
        for wanted in (3, 100, 250):
            assert expected[:wanted] == [item.id for item in catalogue.items(7, self.SINCE, wanted)]

    def test_pages_may_come_newest_first(self, tmp_path: Path) -> None:
        api = ReferenceAPI(long_and_short(450, "periodStart"), 100)
        api.page_order = -1
        listing, _ = self.open(api, tmp_path).listings(Market(1, "Rhine"), self.SINCE)

        assert {item["id"] for item in api.items} == {item.id for item in listing.items}

    def test_pages_have_a_thousand_items_if_the_server_allows_it(self, tmp_path: Path) -> None:
        api = ReferenceAPI(long_and_short(2300, "periodStart"), 1000)
        catalogue = self.open(api, tmp_path)

        assert 2300 == len(catalogue.items(7, self.SINCE, 5000))
        assert {"1000"} == {text.rpartition("count=")[2] for text in api.sent}
        assert 5 > len(api.sent)

    def test_server_that_refuses_its_default_count_is_not_asked_endlessly(self, tmp_path: Path) -> None:
        api = ReferenceAPI(long_and_short(10, "periodStart"), 100, most=50)
        with pytest.raises(BadRequest):
            self.open(api, tmp_path).items(7, self.SINCE, 200)

        assert 2 == len(api.sent)

    @pytest.mark.parametrize("problem", ["no-dates", "dates-not-used", "all-at-once"])
    def test_incomplete_list_is_reported_once(self, tmp_path: Path, problem: str) -> None:
        api = ReferenceAPI(long_and_short(150, "periodStart"), 100)
        api.uses_dates = problem != "dates-not-used"
        for item in api.items:
            if problem == "no-dates":
                del item["periodStart"], item["periodEnd"]
            elif problem == "all-at-once":
                item["periodStart"], item["periodEnd"] = "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"
        catalogue = self.open(api, tmp_path)
        with pytest.warns(TrayportWarning, match="may have more items of sequence 7 than the 100") as warned:
            listing, _ = catalogue.listings(catalogue.product("Rhine"), self.SINCE)

        assert (1, 100) == (len(warned), len(listing.items))

    @pytest.mark.parametrize("start", [{}, {"periodStart": None}, {"periodStart": "9999-12-31T00:00:00Z"}])
    def test_short_page_is_the_last_even_if_an_item_has_no_start(self, tmp_path: Path, start: dict[str, Any]) -> None:
        api = ReferenceAPI([*long_and_short(20, "periodStart"), {"id": 99, "name": "Rolling", **start}], 100)

        assert 99 == self.open(api, tmp_path).items(7, self.SINCE, 100)[-1].id

    def test_last_word_of_two_sequences_of_a_product_is_ambiguous_and_candidates_are_exact(
        self, tmp_path: Path
    ) -> None:
        catalogue = self.open(ReferenceAPI(long_and_short(20, "periodStart"), 100), tmp_path)
        for look in (
            lambda: catalogue.items("Rhine Days", self.SINCE, 1),
            lambda: catalogue.resolve_front(Front("Rhine", "Days", 1), self.SINCE),
        ):
            with pytest.raises(AmbiguousContract) as caught:
                look()

            assert ("Upper Days [7]", "Lower Days [8]") == caught.value.candidates
        assert [1] == [item.id for item in catalogue.items("Upper Days [7]", self.SINCE, 1)]
        assert 8 == catalogue.resolve_front(Front("Rhine", caught.value.candidates[1], 1), self.SINCE).sequence


def test_product_is_a_name_or_a_typed_id(harness: Harness) -> None:
    assert "TTF Hi Cal 51.6*" == harness.catalogue.product(Market(10000065)).label
    with pytest.raises(ContractError, match=r"write Market\(10000065\) or Instrument\(10000065\)"):
        harness.catalogue.product(10000065)  # type: ignore[arg-type]


def test_specifications_are_cached_too(harness: Harness) -> None:
    assert "MW" == harness.catalogue.specification("TTF").quantity_unit
    assert [] == harness.sends(lambda: harness.open().specification("TTF"))


def test_aliases_are_those_of_the_catalogue(harness: Harness) -> None:
    catalogue = harness.open(
        aliases={"Carbon": "EUA*", "My Gas": "instrument:TTF Hi Cal 51.6", "Dead": "Nothing like it"}
    )

    assert Market(10000016) == catalogue.product("carbon")
    assert "EUA* Dec-24" == catalogue.resolve("CARBON  Dec-24", AT).name
    assert "instrument:TTF Hi Cal 51.6 Apr-24" == catalogue.resolve("my gas Apr-24", AT).name
    with pytest.raises(ContractError, match="the alias 'dead' is for 'Nothing like it'"):
        catalogue.resolve("Dead Apr-24", AT)
    with pytest.raises(UnknownContract, match="EUA"):  # without the alias of the other catalogue
        catalogue.product("Carbin")


def test_ordinary_look_up_causes_no_warning(harness: Harness) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        harness.catalogue.resolve_all(["TTF Apr-24", "EUA Dec-24"], AT)
