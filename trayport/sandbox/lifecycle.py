"""What becomes of a trade: drawn from the bits that it was given when it was made."""

from __future__ import annotations

import numpy as np

from . import hashing
from .calendar import HOUR_MS, NS_PER_MS, NS_PER_SECOND
from .hashing import Bools, Hashes, Integers

# One trade in so many was deleted later, one in so many was changed, and one spread in so many was broken up.
_DELETED = 200
_AMENDED = 50
_BROKEN = 20
# A slip that is put right later: so many times the quantity.
SLIP = 10
# Of so many trades, one is the key owner's own; one in three is on the second route, too.
_OWN = 50
_SECOND_ROUTE = 3


def is_deleted(chance: Hashes) -> Bools:
    """Which trades were deleted after they were inserted."""
    return hashing.one_in(chance, 41, _DELETED)


def is_amended(chance: Hashes) -> Bools:
    """Which trades were changed, once, after they were inserted."""
    return hashing.one_in(chance, 43, _AMENDED)


def is_broken(chance: Hashes) -> Bools:
    """Which trades, if they are of spreads, were broken up later; their legs are new trades (guide p. 33)."""
    return hashing.one_in(chance, 45, _BROKEN)


def is_own(chance: Hashes) -> Bools:
    """Which trades are the key owner's."""
    return hashing.one_in(chance, 21, _OWN)


def is_on_second_route(chance: Hashes) -> Bools:
    """Which trades are on both routes."""
    return hashing.one_in(chance, 22, _SECOND_ROUTE)


def is_buy(chance: Hashes) -> Bools:
    """Which trades an aggressor bought."""
    return (chance & np.uint64(1)).astype(bool)


AMENDMENT, DELETION = 44, 46


def delay(chance: Hashes, what: int) -> Integers:
    """How long after it was made a trade is changed or deleted, if it ever is: a few minutes to hours."""
    hours = 1 if what == AMENDMENT else 3
    later: Integers = (hashing.rehash(chance, what) % np.uint64(hours * HOUR_MS * NS_PER_MS)).astype(np.int64)
    return 60 * NS_PER_SECOND + later // NS_PER_MS * NS_PER_MS
