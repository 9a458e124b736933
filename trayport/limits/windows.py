"""When rates leave room for one more permit: pyrate-limiter's sliding windows over a log of those given.

Moments are whole milliseconds, as pyrate-limiter counts them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from ..config import Rate

if TYPE_CHECKING:
    from pyrate_limiter import Rate as Window
    from pyrate_limiter import RateItem

__all__ = ["due"]

# Windows are taken wider than they are by this share, 8 ms in half a second: so late a thread may be to use its permit.
_GUARD = 0.016
# Of the even distance of permits, kept while the narrowest window is full or was a moment ago. Bursts would stay bursts
# for ever, and three of them whose first comes late to the server are more than eight in a second there. A wider
# distance would hand the lateness of one thread on to the next.
_SPREAD = 0.5
_A_MOMENT_AGO = 1.08


def due(rates: tuple[Rate, ...], given: list[RateItem], earliest: int, share: float = 1.0, ahead: int = 0) -> int:
    """The first moment from ``earliest`` on with room for a permit, after those ``given`` and ``ahead`` others.

    ``rates`` are the narrowest first. With a ``share`` below 1 permits come one by one, that much slower than the
    slowest of the rates.
    """
    # The bucket alone: pyrate-limiter's Limiter would start a thread. Imported only where it is needed.
    from pyrate_limiter import InMemoryBucket, RateItem

    known, moment = len(given), earliest
    bucket = InMemoryBucket(_widened(rates))
    bucket.items = given
    try:
        for _ in range(ahead + 1):
            if given:
                moment = max(moment, given[-1].timestamp + _distance(rates, given, moment, share))
            item = RateItem("", moment)
            while not bucket.put(item):
                # Typed for asynchronous buckets too, which this one is not.
                item.timestamp += max(1, cast(int, bucket.waiting(item)))
            moment = item.timestamp
        return moment
    finally:
        del given[known:]


@lru_cache(maxsize=64)
def _widened(rates: tuple[Rate, ...]) -> list[Window]:
    from pyrate_limiter import Rate as Window

    # The narrowest in whole milliseconds, and the others in proportion, since none may allow more than it does.
    factor = math.ceil(rates[0].seconds * 1000 * (1 + _GUARD)) / rates[0].seconds
    return [Window(rate.count, math.ceil(rate.seconds * factor)) for rate in rates]


def _distance(rates: tuple[Rate, ...], given: list[RateItem], moment: int, share: float) -> int:
    """Milliseconds to keep from the last permit."""
    if share < 1:
        return math.ceil(max(rate.seconds / rate.count for rate in rates) * 1000 / share)
    count, width = rates[0].count, rates[0].seconds * 1000
    busy = len(given) >= count and moment - given[-count].timestamp < _A_MOMENT_AGO * width
    return int(_SPREAD * width / count) if busy else 0
