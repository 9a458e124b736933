"""The limit of requests in flight, with one more slot for a single request beside a bulk load."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from trayport._parallel import Cancelled
from trayport.limits import ConcurrencyLimit


def has_slot(limit: ConcurrencyLimit, bulk: bool) -> bool:
    """Return True if there is a slot at once."""
    stop = threading.Event()
    stop.set()
    try:
        with limit.slot(bulk, stop):
            return True
    except Cancelled:
        return False


@pytest.mark.parametrize(
    "taken, for_single, for_bulk",
    [
        pytest.param([False, False], True, True, id="one-is-free"),
        pytest.param([False, False, False], False, False, id="single-requests-hold-all"),
        pytest.param([True, True, True], True, False, id="a-load-holds-all"),
        pytest.param([False, False, True], True, False, id="a-load-holds-one"),
        pytest.param([True, True, True, False], False, False, id="the-slot-beside-it-is-taken"),
    ],
)
def test_there_is_a_slot_for_one_single_request_beside_a_load(
    taken: list[bool], for_single: bool, for_bulk: bool
) -> None:
    limit = ConcurrencyLimit(3)
    with ExitStack() as stack:
        for bulk in taken:
            stack.enter_context(limit.slot(bulk, threading.Event()))

        assert (for_single, for_bulk) == (has_slot(limit, False), has_slot(limit, True))
    assert (True, True) == (has_slot(limit, False), has_slot(limit, True))


def test_a_slot_that_becomes_free_goes_to_a_waiting_thread() -> None:
    limit, got = ConcurrencyLimit(1), threading.Event()

    def wait() -> None:
        with limit.slot(True, threading.Event()):
            got.set()

    with limit.slot(True, threading.Event()):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.05)
        assert not got.is_set()
    waiting.join(60)

    assert got.is_set()
