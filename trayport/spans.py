"""Sets of half-open windows: which stretches of time are covered, and which are missing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

import pandas as pd
from attrs import frozen

from ._time import Window

__all__ = ["Spans"]

_SECOND = 10**9  # in ns


@frozen(repr=False)
class Spans:
    """A set of moments, held as disjoint half-open windows in ascending order, in whole seconds.

    Windows that overlap or touch are one. Iterating yields the windows; ``len`` is their number.

    >>> day = Window(pd.Timestamp("2024-02-05", tz="UTC"), pd.Timestamp("2024-02-06", tz="UTC"))
    >>> morning = Window(day.start, day.start + pd.Timedelta(hours=12))
    >>> Spans.of([morning]).gaps(day)
    <Spans 2024-02-05 12:00:00 to 2024-02-06>
    """

    _edges: tuple[int, ...] = ()
    """Starts and ends in turn, strictly ascending, in seconds since 1970."""

    @classmethod
    def of(cls, windows: Iterable[Window]) -> Spans:
        """Return the union of windows in any order; empty ones add nothing.

        Parameters
        ----------
        windows : iterable of Window
            In whole seconds.

        Raises
        ------
        ValueError
            A window starts or ends within a second.
        """
        edges: list[int] = []
        for start, end in sorted((_seconds(window.start), _seconds(window.end)) for window in windows):
            if edges and start <= edges[-1]:
                edges[-1] = max(edges[-1], end)
            elif start < end:
                edges += [start, end]
        return cls(tuple(edges))

    def union(self, other: Spans) -> Spans:
        """Return the moments that are in either set."""
        return self._combine(other, lambda ours, theirs: ours or theirs)

    def intersection(self, other: Spans) -> Spans:
        """Return the moments that are in both sets."""
        return self._combine(other, lambda ours, theirs: ours and theirs)

    def difference(self, other: Spans) -> Spans:
        """Return the moments that are in this set and not in the other."""
        return self._combine(other, lambda ours, theirs: ours and not theirs)

    def gaps(self, window: Window) -> Spans:
        """Return the moments of a window that are not in this set."""
        return Spans.of([window]).difference(self)

    def contains(self, moment: pd.Timestamp) -> bool:
        """Return True if a moment is in the set; the end of a window is not."""
        return self._is_inside(moment.value // _SECOND)

    @property
    def length(self) -> pd.Timedelta:
        """Total length of the windows."""
        return pd.Timedelta(seconds=sum(self._edges[1::2]) - sum(self._edges[::2]))

    def __iter__(self) -> Iterator[Window]:
        edges = [pd.Timestamp(edge * _SECOND, tz="UTC") for edge in self._edges]
        return (Window(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))

    def __len__(self) -> int:
        return len(self._edges) // 2

    def __repr__(self) -> str:
        return f"<Spans {', '.join(map(str, self)) or 'of nothing'}>"

    def _combine(self, other: Spans, keep: Callable[[bool, bool], bool]) -> Spans:
        """Return the moments that ``keep`` returns True for, given whether each set contains them."""
        edges: list[int] = []
        # Whether a moment is kept can change only at an edge of either set.
        for edge in sorted({*self._edges, *other._edges}):
            if keep(self._is_inside(edge), other._is_inside(edge)) is not bool(len(edges) % 2):
                edges.append(edge)
        return Spans(tuple(edges))

    def _is_inside(self, second: int) -> bool:
        # The number of edges up to a moment is odd inside a window: an end no longer belongs to it.
        return bisect_right(self._edges, second) % 2 == 1


def _seconds(moment: pd.Timestamp) -> int:
    seconds, rest = divmod(moment.value, _SECOND)
    if rest:
        raise ValueError(f"{moment.isoformat()} is not a whole second")
    return seconds
