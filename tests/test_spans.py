"""Sets of windows, against sets of seconds."""

from __future__ import annotations

import itertools
import pickle

import pandas as pd
import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from trayport._time import Window
from trayport.spans import Spans

EPOCH = pd.Timestamp("2024-02-05", tz="UTC")


def at(second: int) -> pd.Timestamp:
    return EPOCH + pd.Timedelta(seconds=second)


def window(start: int, end: int) -> Window:
    return Window(at(start), at(end))


def seconds(windows: Spans | list[Window]) -> set[int]:
    """Return the seconds that windows contain, each counted by itself."""
    return {
        second
        for each in windows
        for second in range(
            round((each.start - EPOCH).total_seconds()), round((each.end - EPOCH).total_seconds())
        )
    }  # fmt: skip


# Small numbers, so that windows touch, overlap and enclose one another often.
windows = st.builds(lambda edges: window(*sorted(edges)), st.tuples(st.integers(-9, 30), st.integers(-9, 30)))
lists = st.lists(windows, max_size=8)
spans = lists.map(Spans.of)


@given(lists)
def test_windows_in_any_order_are_joined(given_windows: list[Window]) -> None:
    joined = Spans.of(given_windows)

    assert seconds(given_windows) == seconds(joined)
    assert joined == Spans.of(reversed(given_windows)) == Spans.of(joined)


@given(lists, lists)
def test_sets_behave_as_sets_of_seconds(ours: list[Window], theirs: list[Window]) -> None:
    one, other = Spans.of(ours), Spans.of(theirs)

    assert seconds(ours) | seconds(theirs) == seconds(one.union(other))
    assert seconds(ours) & seconds(theirs) == seconds(one.intersection(other))
    assert seconds(ours) - seconds(theirs) == seconds(one.difference(other))


@given(spans, spans)
def test_results_are_disjoint_ascending_and_not_empty(one: Spans, other: Spans) -> None:
    for result in (one, one.union(other), one.intersection(other), one.difference(other)):
        listed = list(result)

        assert all(each.start < each.end for each in listed)
        assert all(each.end < later.start for each, later in itertools.pairwise(listed))
        assert len(listed) == len(result)
        assert bool(listed) == bool(result)


@given(spans, windows)
def test_gaps_and_covered_parts_make_up_the_window(covered: Spans, whole: Window) -> None:
    gaps = covered.gaps(whole)

    assert seconds([whole]) - seconds(covered) == seconds(gaps)
    assert Spans.of([whole]) == gaps.union(covered.intersection(Spans.of([whole])))


@given(spans)
def test_length_is_the_number_of_seconds(result: Spans) -> None:
    assert pd.Timedelta(seconds=len(seconds(result))) == result.length


@given(spans, st.integers(-12, 33))
def test_set_contains_the_moments_of_its_seconds(result: Spans, second: int) -> None:
    inside = second in seconds(result)

    assert inside is result.contains(at(second))
    assert inside is result.contains(at(second) + pd.Timedelta(nanoseconds=999_999_999))


@given(spans, spans)
def test_sets_of_the_same_moments_are_equal(one: Spans, other: Spans) -> None:
    assert (seconds(one) == seconds(other)) is (one == other)
    assert one != other or hash(one) == hash(other)
    assert one == pickle.loads(pickle.dumps(one))


def test_windows_come_back_as_utc_nanoseconds() -> None:
    [back] = Spans.of([window(0, 1)])

    assert window(0, 1) == back
    assert ("ns", "UTC") == (back.start.unit, str(back.start.tz))


def test_windows_of_centuries_are_exact() -> None:
    longest = Window(pd.Timestamp("1800-01-01", tz="UTC"), pd.Timestamp("2050-01-01", tz="UTC"))

    assert [longest] == list(Spans.of([longest]))
    assert longest.end - longest.start == Spans.of([longest]).length


def test_fraction_of_a_second_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2024-02-05T00:00:00\.500000\+00:00 is not a whole second"):
        Spans.of([Window(at(0), at(0) + pd.Timedelta(milliseconds=500))])


def test_nothing_is_empty() -> None:
    nothing = Spans.of([window(3, 3)])

    assert Spans() == nothing
    assert (0, pd.Timedelta(0), False) == (len(nothing), nothing.length, bool(nothing))
    assert "<Spans of nothing>" == repr(nothing)


def test_sets_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Spans()._edges = (1, 2)  # type: ignore[misc]


def test_set_prints_its_windows() -> None:
    assert "<Spans 2024-02-05 to 2024-02-05 00:00:05, 2024-02-06 to 2024-02-07>" == repr(
        Spans.of([window(86_400, 172_800), window(0, 5)])
    )
