"""Sliding windows: the next moment at which the rates allow a permit. Moments are whole milliseconds.

pyrate-limiter keeps the windows; this module is imported on first use, because the import takes 80 ms.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

from pyrate_limiter import AbstractBucket, RateItem
from pyrate_limiter import Rate as Window

from ..config import Rate

__all__ = ["next_moment"]

# Windows are widened by this share, 8 ms for half a second, because a thread may use its permit a little late.
_GUARD = 0.016
# Minimum distance of two permits while the shortest window is full, as a share of their even distance. Without it,
# bursts stay bursts, and if the first of three bursts reaches the server late, more than eight requests arrive in one
# second. A larger share would pass the delay of one thread on to the next.
_SPREAD = 0.5
# The shortest window counts as full until this multiple of its length has passed.
_FULL_UNTIL = 1.08


class PermitLog(AbstractBucket):
    """A list of permits as a bucket of pyrate-limiter.

    A subclass of ``AbstractBucket`` is the documented way to give pyrate-limiter other storage. Its ``InMemoryBucket``
    is filled only by ``put``, which takes 1.6 ms for the 360 permits of a minute, and refuses permits that clients with
    higher rates took. With this class a decision takes 0.03 ms.
    """

    is_async = False

    def __init__(self, rates: list[Window], permits: list[int]) -> None:
        super().__init__()
        self.rates = rates
        self.permits = permits

    def put(self, item: RateItem) -> bool:
        """Add a permit unless a window is full; ``failing_rate`` is the rate of that window."""
        self.failing_rate = next((rate for rate in self.rates if self._is_full(rate, item.timestamp)), None)
        if self.failing_rate is None:
            self.permits.append(item.timestamp)
        return self.failing_rate is None

    def _is_full(self, rate: Window, moment: int) -> bool:
        return len(self.permits) >= rate.limit and self.permits[-rate.limit] >= moment - rate.interval

    def peek(self, index: int) -> RateItem | None:
        """Return a permit, counted from the newest."""
        return RateItem("", self.permits[-1 - index]) if index < len(self.permits) else None

    def count(self) -> int:
        """Return the number of permits."""
        return len(self.permits)

    def leak(self, current_timestamp: int | None = None) -> int:
        """Keep every permit: ``RateState`` deletes them, because clients with other rates may still count them."""
        return 0

    def flush(self) -> None:
        """Delete all permits."""
        self.failing_rate = None
        self.permits.clear()


def next_moment(rates: tuple[Rate, ...], permits: list[int], earliest: int, share: float = 1.0, ahead: int = 0) -> int:
    """Return the first moment from ``earliest`` on at which the rates allow a permit.

    Parameters
    ----------
    rates : tuple of Rate
        Shortest window first.
    permits : list of int
        Moments of earlier permits, oldest first.
    earliest : int
        The first moment that is allowed.
    share : float, default 1.0
        Slow-down. Below 1, permits come one by one at this share of the slowest rate.
    ahead : int, default 0
        Number of permits that others take first.
    """
    log, moment = PermitLog(_widened(rates), list(permits)), earliest
    for _ in range(ahead + 1):
        if log.permits:
            moment = max(moment, log.permits[-1] + _distance(rates, log.permits, moment, share))
        item = RateItem("", moment)
        while not log.put(item):
            # The type of `waiting` allows for asynchronous buckets, too.
            item.timestamp += max(1, cast(int, log.waiting(item)))
        moment = item.timestamp
    return moment


@lru_cache(maxsize=64)
def _widened(rates: tuple[Rate, ...]) -> list[Window]:
    # The shortest window is rounded up to whole milliseconds, and the others grow in proportion: pyrate-limiter refuses
    # a longer window that allows more per second than a shorter one.
    factor = math.ceil(rates[0].seconds * 1000 * (1 + _GUARD)) / rates[0].seconds
    return [Window(rate.count, math.ceil(rate.seconds * factor)) for rate in rates]


def _distance(rates: tuple[Rate, ...], permits: list[int], moment: int, share: float) -> int:
    """Return the minimum distance from the last permit in milliseconds."""
    if share < 1:
        return math.ceil(max(rate.seconds / rate.count for rate in rates) * 1000 / share)
    count, width = rates[0].count, rates[0].seconds * 1000
    is_full = len(permits) >= count and moment - permits[-count] < _FULL_UNTIL * width
    return int(_SPREAD * width / count) if is_full else 0
