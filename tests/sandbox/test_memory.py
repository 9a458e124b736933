"""Answers that a sandbox remembers: as many as it has room for, long ones once all of them was made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from support.listener import BODY, error_response, run_listener, url

from trayport.sandbox.fault_injection import Fault, struck
from trayport.sandbox.listener import HttpRequest, HttpResponse
from trayport.sandbox.memory import Memory

BESIDES = 1100
"""What an answer weighs beside its body, if its key is a number."""


def test_a_memory_gives_back_what_it_keeps() -> None:
    memory, answer = Memory(100_000), HttpResponse(200, b"[]")

    assert memory.keep("a", answer) is answer
    assert memory.get("a") is answer
    assert memory.get("b") is None
    other = memory.keep("a", HttpResponse(200, b"[1]"))
    assert memory.get("a") is other
    assert 1 == len(memory)


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    memory = Memory(9000)
    for key in "abcd":
        memory.keep(key, HttpResponse(200, bytes(1000)))
    memory.get("a")
    memory.keep("e", HttpResponse(200, bytes(1000)))

    assert [True, False, True, True, True] == [memory.get(key) is not None for key in "abcde"]


def test_packed_forms_count_and_push_others_out() -> None:
    memory = Memory(300_000)
    first, last = (memory.keep(key, HttpResponse(200, BODY)) for key in ("first", "last"))
    before = memory.held
    packed = last.packed("br")
    assert len(packed) == memory.held - before
    last.packed("br")
    assert len(packed) == memory.held - before

    for number in range(40):
        memory.keep(number, HttpResponse(200, bytes(6000)))
    assert (None, None) == (memory.get("first"), memory.get("last"))
    held = memory.held
    first.packed("gzip")  # forgotten, though somebody may still send it
    assert held == memory.held


def test_an_answer_that_was_replaced_does_not_come_back_by_growing() -> None:
    memory = Memory(300_000)
    old, new = (memory.keep("a", HttpResponse(200, BODY)) for _ in range(2))
    held = memory.held
    old.packed("gzip")

    assert (held, new) == (memory.held, memory.get("a"))


def test_an_answer_that_grows_too_large_is_forgotten() -> None:
    memory = Memory(2 * len(BODY) + 3000)
    answer = memory.keep("a", HttpResponse(200, BODY))
    assert memory.get("a") is answer

    answer.packed("gzip")
    assert memory.get("a") is None
    assert 0 == memory.held


def test_an_answer_of_more_than_half_and_a_struck_one_are_not_kept() -> None:
    memory = Memory(20_000)
    memory.keep("large", HttpResponse(200, bytes(10_000)))
    memory.keep("fits", HttpResponse(200, bytes(8_900)))
    memory.keep("struck", struck(Fault(clock=1), lambda: HttpResponse(200, b"[]"), error_response))

    assert [False, True, False] == [memory.get(key) is not None for key in ("large", "fits", "struck")]


def test_a_memory_of_nothing_keeps_nothing() -> None:
    memory = Memory(0)
    memory.keep("a", HttpResponse(200, b""))
    assert b"[]" == b"".join(memory.keep("b", HttpResponse(200, iter([b"[", b"]"]))).pieces)

    assert (0, 0) == (len(memory), memory.held)


@pytest.mark.parametrize("most", [-1, 1.5, True, None])
def test_a_memory_has_a_size(most: Any) -> None:
    with pytest.raises(ValueError, match=f"most={most!r} is not a number of bytes; 0 keeps nothing"):
        Memory(most)


def test_a_long_answer_is_kept_once_all_of_it_was_made() -> None:
    memory = Memory(1_000_000)
    sent = memory.keep("a", HttpResponse(203, iter([b"[1", b"]"]), "text/csv", (("X", "1"),)))
    pieces = iter(sent.pieces)

    assert b"[1" == next(pieces)
    assert memory.get("a") is None
    assert 2 == memory.held
    assert [b"]"] == list(pieces)
    kept = memory.get("a")
    assert kept is not None
    assert (203, b"[1]", "text/csv", (("X", "1"),)) == (kept.status, kept.body, kept.kind, kept.headers)


def test_a_long_answer_that_is_not_wanted_to_its_end_is_not_kept() -> None:
    memory = Memory(1_000_000)
    closed = []

    def pieces() -> Iterator[bytes]:
        try:
            yield b"["
            yield b"]"
        finally:
            closed.append(True)

    passing: Any = iter(memory.keep("a", HttpResponse(200, pieces())).pieces)
    next(passing)
    passing.close()

    assert (None, 0, [True]) == (memory.get("a"), memory.held, closed)


def test_a_long_answer_that_fails_is_not_kept() -> None:
    memory = Memory(1_000_000)

    def pieces() -> Iterator[bytes]:
        yield b"["
        raise KeyError("trade")

    with pytest.raises(KeyError):
        list(memory.keep("a", HttpResponse(200, pieces())).pieces)
    assert (None, 0) == (memory.get("a"), memory.held)


def test_a_long_answer_that_is_too_long_passes_and_nothing_is_held_of_it() -> None:
    memory = Memory(100_000)
    other = memory.keep("other", HttpResponse(200, bytes(10_000)))
    before, held = memory.held, []
    for _ in memory.keep("a", HttpResponse(200, iter([bytes(1000)] * 200))).pieces:
        held.append(memory.held - before)

    assert 50_000 == max(held)
    assert 0 == held[-1] == memory.held - before
    assert memory.get("a") is None
    assert memory.get("other") is other


def test_long_answers_at_once_hold_no_more_than_the_memory_together() -> None:
    memory = Memory(100_000)
    passing = [iter(memory.keep(key, HttpResponse(200, iter([bytes(5900)] * 4))).pieces) for key in range(5)]
    held = [memory.held for _ in range(4) for pieces in passing if next(pieces)]

    assert 90_000 < max(held) <= 100_000
    assert 5 == sum(next(pieces, None) is None for pieces in passing)
    assert (4, 4 * (4 * 5900 + BESIDES)) == (len(memory), memory.held)


@given(
    acts=st.lists(
        st.tuples(st.sampled_from(["keep", "get", "pack", "pieces"]), st.integers(0, 5), st.integers(0, 3000)),
        max_size=30,
    )
)
def test_a_memory_never_holds_too_much_and_counts_what_it_holds(acts: list[tuple[str, int, int]]) -> None:
    memory = Memory(10_000)
    for act, key, size in acts:
        answer = memory.get(key)
        if act == "keep":
            memory.keep(key, HttpResponse(200, bytes(size)))
        elif act == "pieces":
            list(memory.keep(key, HttpResponse(200, iter([bytes(size // 2)] * 2))).pieces)
        elif act == "pack" and answer is not None:
            answer.packed("gzip")
        kept = [answer for answer in map(memory.get, range(6)) if answer is not None]

        assert memory.held <= 10_000
        assert len(kept) == len(memory)
        assert sum(answer.size + BESIDES for answer in kept) == memory.held


@pytest.mark.usefixtures("_hasty")
def test_threads_at_once_leave_the_count_right() -> None:
    memory = Memory(50_000)

    def use(first: int) -> None:
        for number in range(first, first + 300):
            answer = memory.keep(number % 7, HttpResponse(200, bytes(number)))
            answer.packed("deflate")
            list(memory.keep(number % 5, HttpResponse(200, iter([bytes(100)] * 3))).pieces)

    threads = [threading.Thread(target=use, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [answer for answer in map(memory.get, range(7)) if answer is not None]

    assert sum(answer.size + BESIDES for answer in kept) == memory.held


def test_a_long_answer_is_sent_in_pieces_once_and_from_memory_from_then_on() -> None:
    memory = Memory(10_000_000)
    made = []

    def answer(heard: HttpRequest) -> HttpResponse:
        def pieces() -> Iterator[bytes]:
            made.append(heard.target)
            yield from (BODY, BODY)

        return memory.get(heard.target) or memory.keep(heard.target, HttpResponse(200, pieces()))

    with run_listener(answer) as listener:
        bodies = [requests.get(url(listener, "/a"), timeout=10) for _ in range(3)]

    assert [BODY * 2] * 3 == [got.content for got in bodies]
    assert [True, False, False] == ["Transfer-Encoding" in got.headers for got in bodies]
    assert ["/a"] == made
