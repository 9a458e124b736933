"""Documents and their age: what is fetched, what goes on answering, and what threads and places share."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import pytest
from support.fake import Clock

from trayport import (
    BadRequest,
    CircuitOpen,
    ConnectionFailed,
    DecodeError,
    NotAllowed,
    NotFound,
    RateLimited,
    ServerError,
    TimedOut,
    TrayportWarning,
)
from trayport.refdata.cache import Cache
from trayport.refdata.store import Store
from trayport.wire import structure

HOUR = 3600.0
DAY = 24 * HOUR


class Source:
    """A document that is another one at each fetch: [1], then [2]; or an error."""

    def __init__(self) -> None:
        self.count = 0
        self.error: BaseException | None = None

    def __call__(self) -> list[int]:
        self.count += 1
        if self.error:
            raise self.error
        return [self.count]


def numbers(document: object) -> list[int]:
    return structure(document, list[int], "numbers")


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Cache:
    return Cache(tmp_path, clock)


@pytest.fixture
def store(cache: Cache, clock: Clock) -> Store:
    return Store(cache, "https://reference.example key", clock)


@pytest.fixture
def source() -> Source:
    return Source()


def of_another_process(store: Store) -> Store:
    return Store(store.cache, store.namespace, store.clock)


@pytest.mark.parametrize("age, expected", [(0.0, [1]), (DAY, [1]), (DAY + 1, [2]), (-1.0, [2]), (-1000 * DAY, [2])])
@pytest.mark.parametrize("known", ["in-memory", "on-disk"])
def test_a_document_is_good_for_a_day_and_one_from_the_future_is_not(
    store: Store, source: Source, clock: Clock, known: str, age: float, expected: list[int]
) -> None:
    store.get("list", source, numbers)
    clock.now += age
    asked = store if known == "in-memory" else of_another_process(store)

    assert expected == asked.get("list", source, numbers)
    assert expected == of_another_process(store).get("list", source, numbers)
    assert expected == [source.count]


@pytest.mark.parametrize(
    "error",
    [
        ServerError("markets", 503),
        RateLimited("markets", 429),
        ConnectionFailed("markets", 5),
        TimedOut("markets", 5),
        CircuitOpen("markets", 0, retry_in=30.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_old_document_goes_on_answering_while_the_api_does_not_with_one_warning(
    store: Store, source: Source, clock: Clock, error: Exception
) -> None:
    store.get("list", source, numbers)
    clock.now += 2 * DAY
    source.error = error
    with pytest.warns(TrayportWarning, match="so stale ones are used") as told:
        found = [store.get("list", source, numbers) for _ in range(3)]

    assert ([[1]] * 3, 1) == (found, len(told))
    source.error = None
    assert [3] == of_another_process(store).get("list", source, numbers)


@pytest.mark.parametrize(
    "error",
    [
        NotAllowed("markets", 401),
        NotFound("markets", 404),
        BadRequest("markets", 400),
        DecodeError("markets", "$", "no JSON"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_final_error_is_told_and_the_old_document_is_still_there(
    store: Store, source: Source, clock: Clock, error: Exception
) -> None:
    store.get("list", source, numbers)
    clock.now += 2 * DAY
    source.error = error
    with pytest.raises(type(error)):
        store.get("list", source, numbers)

    source.error = ServerError("markets", 503)
    with pytest.warns(TrayportWarning):
        assert [1] == store.get("list", source, numbers)


def test_an_answer_that_cannot_be_read_does_not_take_the_place_of_the_old_one(store: Store, clock: Clock) -> None:
    store.get("list", lambda: [1], numbers)
    clock.now += 2 * DAY
    with pytest.raises(DecodeError):
        store.get("list", lambda: {"title": "maintenance"}, numbers)

    kept = store.cache.get(f"{store.namespace}/list")
    assert kept is not None
    assert [1] == kept.document


def test_a_document_that_does_not_fit_is_no_answer_while_the_api_fails(store: Store, source: Source) -> None:
    store.get("list", source, numbers)
    source.error = ServerError("markets", 503)
    with pytest.raises(ServerError):
        store.get("list", source, numbers, lambda value: value > [1])

    source.error = None
    assert [3] == store.get("list", source, numbers, lambda value: value > [1])
    assert [3] == store.get("list", source, numbers)


def test_threads_that_ask_at_once_fetch_once_and_share_what_came(store: Store) -> None:
    together, fetched, found = threading.Barrier(8), list[int](), list[list[int]]()

    def fetch() -> list[int]:
        fetched.append(1)
        threading.Event().wait(0.1)  # long enough for all to have asked
        return [1]

    def look() -> None:
        together.wait(10)
        found.append(store.get("list", fetch, numbers))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (1, 8, 1) == (len(fetched), len(found), len({id(value) for value in found}))


def test_two_documents_are_fetched_at_the_same_time(store: Store) -> None:
    both = threading.Barrier(2)

    def fetch() -> list[int]:
        both.wait(10)  # breaks if one has to wait for the other
        return [1]

    other = threading.Thread(target=lambda: store.get("other", fetch, numbers))
    other.start()

    assert [1] == store.get("list", fetch, numbers)
    other.join(10)


@pytest.mark.parametrize("error", [ServerError("markets", 503), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_fetch_that_fails_leaves_the_next_one_free(store: Store, source: Source, error: BaseException) -> None:
    source.error = error
    with pytest.raises(type(error)):
        store.get("list", source, numbers)

    source.error = None
    found: list[list[int]] = []
    thread = threading.Thread(target=lambda: found.append(store.get("list", source, numbers)), daemon=True)
    thread.start()
    thread.join(5)
    assert [[2]] == found


class TestExpire:
    """Fetching anew what is older than a given age, once."""

    def test_only_what_is_older_is_fetched_and_only_once(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("old", source, numbers)
        clock.now += HOUR
        store.get("young", source, numbers)
        clock.now += 1

        assert store.expire(HOUR)
        assert [[3], [2], [3]] == [store.get(name, source, numbers) for name in ("old", "young", "old")]
        assert not store.expire(HOUR)

    def test_there_is_nothing_to_renew_where_nothing_is_known(self, store: Store) -> None:
        assert not store.expire(0.0)

    def test_what_another_process_kept_is_renewed_too(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 2 * HOUR
        other = of_another_process(store)
        other.expire(HOUR)

        assert [2] == other.get("list", source, numbers)

    def test_a_milder_wish_does_not_take_back_a_stricter_one(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 600
        store.expire(60)
        store.expire(HOUR)

        assert [2] == store.get("list", source, numbers)

    def test_a_clock_that_is_set_back_is_no_reason_to_fetch_for_ever(
        self, store: Store, source: Source, clock: Clock
    ) -> None:
        clock.now += 1000 * DAY
        store.expire(HOUR)
        clock.now -= 1000 * DAY

        assert [[1]] * 3 == [store.get("list", source, numbers) for _ in range(3)]

    def test_what_could_not_be_renewed_is_tried_again_in_an_hour(
        self, store: Store, source: Source, clock: Clock
    ) -> None:
        store.get("list", source, numbers)
        clock.now += DAY + 1
        source.error = ConnectionFailed("markets", 5)
        with pytest.warns(TrayportWarning):
            store.get("list", source, numbers)
        source.error = None
        ages = [0.0, HOUR - 1, 2.0]

        assert [[1], [1], [3]] == [self.after(age, store, source, clock) for age in ages]

    @staticmethod
    def after(seconds: float, store: Store, source: Source, clock: Clock) -> list[int]:
        clock.now += seconds
        return store.get("list", source, numbers)

    def test_a_wish_that_is_taken_back_leaves_all_as_it_was(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 2 * HOUR
        store.expire(HOUR)
        store.undo_expire()

        assert [1] == store.get("list", source, numbers)

    def test_an_old_document_survives_a_renewal_that_fails(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 2 * HOUR
        source.error = ConnectionFailed("markets", 5)
        store.expire(HOUR)
        with pytest.warns(TrayportWarning) as told:
            assert [1] == store.get("list", source, numbers)

        assert 1 == len(told)
        assert ([1], 2) == (of_another_process(store).get("list", source, numbers), source.count)


OTHERS = ["https://reference.example other-key", "https://other.example key", "https://reference.example"]


@pytest.mark.parametrize("place", OTHERS)
def test_two_keys_or_apis_on_one_folder_do_not_see_each_others_documents(
    store: Store, source: Source, place: str
) -> None:
    other = Store(store.cache, place, store.clock)
    store.get("1/sequences", source, numbers)

    assert [] == list(other.cached("/sequences", numbers))
    assert [2] == other.get("1/sequences", source, numbers)
    assert [[1]] == list(of_another_process(store).cached("/sequences", numbers))
    other.invalidate("1/sequences")
    assert [1] == of_another_process(store).get("1/sequences", source, numbers)


def test_all_that_was_ever_met_is_told_once_whatever_its_age(store: Store, source: Source, clock: Clock) -> None:
    for name in ("1/sequences", "2/sequences", "items/7"):
        store.get(name, source, numbers)
    store.cache.set(f"{store.namespace}/3/sequences", {"another": "layout"})
    clock.now += 30 * DAY
    other = of_another_process(store)
    other.get("1/sequences", source, numbers)

    assert [[4], [2]] == list(other.cached("/sequences", numbers))


def test_forgetting_reaches_the_disk(store: Store, source: Source) -> None:
    for name in ("a", "b"):
        store.get(name, source, numbers)
    store.invalidate("a")
    assert [3] == of_another_process(store).get("a", source, numbers)

    store.clear()
    assert [4] == of_another_process(store).get("b", source, numbers)
    assert [5] == store.get("a", source, numbers)


def test_a_cache_that_fails_leaves_the_documents_of_this_process(tmp_path: Path, clock: Clock, source: Source) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    store = Store(Cache(tmp_path / "file", clock), "https://reference.example", clock)
    with pytest.warns(TrayportWarning, match="cannot be used"):
        store.get("list", source, numbers)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [1] == store.get("list", source, numbers)
