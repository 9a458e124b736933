"""Documents by name: when one is fetched, when a stale one is used, and which are shared by threads and processes."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
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
    """Returns another document at each fetch, [1] and then [2], or raises ``error``."""

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
def cache(tmp_path: Path, clock: Clock) -> Iterator[Cache]:
    with closing(Cache(tmp_path, clock)) as cache:
        yield cache


@pytest.fixture
def store(cache: Cache, clock: Clock) -> Store:
    return Store(cache, "https://reference.example key", clock)


@pytest.fixture
def source() -> Source:
    return Source()


def in_another_process(store: Store) -> Store:
    return Store(store.cache, store.namespace, store.clock)


@pytest.mark.parametrize("age, expected", [(0.0, [1]), (DAY, [1]), (DAY + 1, [2]), (-1.0, [2]), (-1000 * DAY, [2])])
@pytest.mark.parametrize("known", ["in-memory", "on-disk"])
def test_document_is_fresh_for_a_day_and_stale_if_from_the_future(
    store: Store, source: Source, clock: Clock, known: str, age: float, expected: list[int]
) -> None:
    store.get("list", source, numbers)
    clock.now += age
    asked = store if known == "in-memory" else in_another_process(store)

    assert expected == asked.get("list", source, numbers)
    assert expected == in_another_process(store).get("list", source, numbers)
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
def test_stale_document_is_used_with_one_warning_while_the_api_fails(
    store: Store, source: Source, clock: Clock, error: Exception
) -> None:
    store.get("list", source, numbers)
    clock.now += 2 * DAY
    source.error = error
    with pytest.warns(TrayportWarning, match="so stale ones are used") as warned:
        found = [store.get("list", source, numbers) for _ in range(3)]

    assert ([[1]] * 3, 1) == (found, len(warned))
    source.error = None
    assert [3] == in_another_process(store).get("list", source, numbers)


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
def test_permanent_error_is_raised_and_the_stale_document_stays(
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


def test_unreadable_response_does_not_replace_the_stale_document(store: Store, clock: Clock) -> None:
    store.get("list", lambda: [1], numbers)
    clock.now += 2 * DAY
    with pytest.raises(DecodeError):
        store.get("list", lambda: {"title": "maintenance"}, numbers)

    entry = store.cache.get(f"{store.namespace}/list")
    assert entry is not None
    assert [1] == entry.document


def test_insufficient_document_is_not_used_while_the_api_fails(store: Store, source: Source) -> None:
    store.get("list", source, numbers)
    source.error = ServerError("markets", 503)
    with pytest.raises(ServerError):
        store.get("list", source, numbers, lambda value: value > [1])

    source.error = None
    assert [3] == store.get("list", source, numbers, lambda value: value > [1])
    assert [3] == store.get("list", source, numbers)


def test_threads_that_ask_at_once_fetch_once_and_share_the_document(store: Store) -> None:
    barrier, fetched, found = threading.Barrier(8), list[int](), list[list[int]]()

    def fetch() -> list[int]:
        fetched.append(1)
        threading.Event().wait(0.1)  # so that all threads ask before it returns
        return [1]

    def ask() -> None:
        barrier.wait(10)
        found.append(store.get("list", fetch, numbers))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (1, 8, 1) == (len(fetched), len(found), len({id(value) for value in found}))


def test_two_documents_are_fetched_in_parallel(store: Store) -> None:
    both = threading.Barrier(2)

    def fetch() -> list[int]:
        both.wait(10)  # raises if one waits for the other
        return [1]

    other = threading.Thread(target=lambda: store.get("other", fetch, numbers))
    other.start()

    assert [1] == store.get("list", fetch, numbers)
    other.join(10)


@pytest.mark.parametrize("error", [ServerError("markets", 503), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_failed_fetch_does_not_block_the_next_one(store: Store, source: Source, error: BaseException) -> None:
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
    """Documents older than a given age are fetched again, once."""

    def test_only_older_documents_are_fetched_and_only_once(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("old", source, numbers)
        clock.now += HOUR
        store.get("young", source, numbers)
        clock.now += 1

        assert store.expire(HOUR)
        assert [[3], [2], [3]] == [store.get(name, source, numbers) for name in ("old", "young", "old")]
        assert not store.expire(HOUR)

    def test_empty_store_has_nothing_to_expire(self, store: Store) -> None:
        assert not store.expire(0.0)

    def test_document_in_another_process_expires_too(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 2 * HOUR
        other = in_another_process(store)
        other.expire(HOUR)

        assert [2] == other.get("list", source, numbers)

    def test_greater_age_does_not_undo_a_smaller_one(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 600
        store.expire(60)
        store.expire(HOUR)

        assert [2] == store.get("list", source, numbers)

    def test_clock_that_is_set_back_does_not_cause_endless_fetches(
        self, store: Store, source: Source, clock: Clock
    ) -> None:
        clock.now += 1000 * DAY
        store.expire(HOUR)
        clock.now -= 1000 * DAY

        assert [[1]] * 3 == [store.get("list", source, numbers) for _ in range(3)]

    def test_failed_renewal_is_repeated_after_an_hour(self, store: Store, source: Source, clock: Clock) -> None:
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

    def test_undo_expire_makes_documents_fresh_again(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 2 * HOUR
        store.expire(HOUR)
        store.undo_expire()

        assert [1] == store.get("list", source, numbers)

    def test_stale_document_survives_a_failed_renewal(self, store: Store, source: Source, clock: Clock) -> None:
        store.get("list", source, numbers)
        clock.now += 2 * HOUR
        source.error = ConnectionFailed("markets", 5)
        store.expire(HOUR)
        with pytest.warns(TrayportWarning) as warned:
            assert [1] == store.get("list", source, numbers)

        assert 1 == len(warned)
        assert ([1], 2) == (in_another_process(store).get("list", source, numbers), source.count)


OTHER_NAMESPACES = ["https://reference.example other-key", "https://other.example key", "https://reference.example"]


@pytest.mark.parametrize("namespace", OTHER_NAMESPACES)
def test_keys_and_apis_on_one_folder_do_not_share_documents(store: Store, source: Source, namespace: str) -> None:
    other = Store(store.cache, namespace, store.clock)
    store.get("1/sequences", source, numbers)

    assert [] == list(other.cached("/sequences", numbers))
    assert [2] == other.get("1/sequences", source, numbers)
    assert [[1]] == list(in_another_process(store).cached("/sequences", numbers))
    other.invalidate("1/sequences")
    assert [1] == in_another_process(store).get("1/sequences", source, numbers)


def test_cached_documents_are_listed_once_and_at_any_age(store: Store, source: Source, clock: Clock) -> None:
    for name in ("1/sequences", "2/sequences", "items/7"):
        store.get(name, source, numbers)
    store.cache.set(f"{store.namespace}/3/sequences", {"another": "layout"})
    clock.now += 30 * DAY
    other = in_another_process(store)
    other.get("1/sequences", source, numbers)

    assert [[4], [2]] == list(other.cached("/sequences", numbers))


def test_invalidated_document_is_deleted_from_disk(store: Store, source: Source) -> None:
    for name in ("a", "b"):
        store.get(name, source, numbers)
    store.invalidate("a")
    assert [3] == in_another_process(store).get("a", source, numbers)

    store.clear()
    assert [4] == in_another_process(store).get("b", source, numbers)
    assert [5] == store.get("a", source, numbers)


def test_documents_stay_in_memory_if_the_cache_fails(tmp_path: Path, clock: Clock, source: Source) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    store = Store(Cache(tmp_path / "file", clock), "https://reference.example", clock)
    with pytest.warns(TrayportWarning, match="cannot be used"):
        store.get("list", source, numbers)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [1] == store.get("list", source, numbers)
