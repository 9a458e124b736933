"""ConcurrencyLimit: so many requests at once, and room for a question beside a bulk load."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from trayport._parallel import Cancelled
from trayport.limits import ConcurrencyLimit


def has_room(limit: ConcurrencyLimit, bulk: bool) -> bool:
    """Is there a slot at once?"""
    stop = threading.Event()
    stop.set()
    try:
        with limit.slot(bulk, stop):
            return True
    except Cancelled:
        return False


@pytest.mark.parametrize(
    "held, for_a_question, for_a_load",
    [
        pytest.param([False, False], True, True, id="one-is-free"),
        pytest.param([False, False, False], False, False, id="questions-hold-all"),
        pytest.param([True, True, True], True, False, id="a-load-holds-all"),
        pytest.param([False, False, True], True, False, id="a-load-holds-one"),
        pytest.param([True, True, True, False], False, False, id="the-room-beside-it-is-taken"),
    ],
)
def test_there_is_room_for_one_question_beside_a_load(held: list[bool], for_a_question: bool, for_a_load: bool) -> None:
    limit = ConcurrencyLimit(3)
    with ExitStack() as stack:
        for bulk in held:
            stack.enter_context(limit.slot(bulk, threading.Event()))

        assert (for_a_question, for_a_load) == (has_room(limit, False), has_room(limit, True))
    assert (True, True) == (has_room(limit, False), has_room(limit, True))


def test_a_slot_that_is_given_back_goes_to_one_who_waits() -> None:
    limit, got = ConcurrencyLimit(1), threading.Event()

    def wait() -> None:
        with limit.slot(True, threading.Event()):
            got.set()

    with limit.slot(True, threading.Event()):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.05)
        assert not got.is_set()
    waiting.join(5)

    assert got.is_set()
