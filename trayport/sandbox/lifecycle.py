"""Lifecycle of a trade: amended, deleted or broken, derived from the 64 bits of the trade.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import numpy as np

from . import hashing
from .calendar import HOUR_MS, NS_PER_MS, NS_PER_SECOND
from .hashing import Bools, Hashes, Integers

# One trade in 200 is deleted later, one in 50 is amended, and one spread in 20 is broken up.
_DELETED = 200
_AMENDED = 50
_BROKEN = 20
# Until a trade is amended, its quantity is too large by this factor.
WRONG_QUANTITY_FACTOR = 10
# One trade in 50 is the key owner's own; one in 3 is also on the second route.
_OWN = 50
_SECOND_ROUTE = 3


def is_deleted(chance: Hashes) -> Bools:
    """Return True for each trade that is deleted later."""
    return hashing.one_in(chance, 41, _DELETED)


def is_amended(chance: Hashes) -> Bools:
    """Return True for each trade that is amended later, once."""
    return hashing.one_in(chance, 43, _AMENDED)


def is_broken(chance: Hashes) -> Bools:
    """Return True for each trade that, if it is of a spread, is broken up later into two new trades (guide p. 33)."""
    return hashing.one_in(chance, 45, _BROKEN)


def is_own(chance: Hashes) -> Bools:
    """Return True for each own trade of the key's owner."""
    return hashing.one_in(chance, 21, _OWN)


def is_on_second_route(chance: Hashes) -> Bools:
    """Return True for each trade that is on both routes."""
    return hashing.one_in(chance, 22, _SECOND_ROUTE)


def is_buy(chance: Hashes) -> Bools:
    """Return True for each trade whose aggressor bought."""
    return (chance & np.uint64(1)).astype(bool)


AMENDMENT, DELETION = 44, 46


def delay(chance: Hashes, event: int) -> Integers:
    """Return the nanoseconds after which a trade is amended (1 to 61 minutes) or deleted (1 to 181 minutes)."""
    hours = 1 if event == AMENDMENT else 3
    later: Integers = (hashing.rehash(chance, event) % np.uint64(hours * HOUR_MS * NS_PER_MS)).astype(np.int64)
    return 60 * NS_PER_SECOND + later // NS_PER_MS * NS_PER_MS
