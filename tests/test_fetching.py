"""The outcomes of the pieces of a plan, with functions in place of requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from trayport import Client, ConfigError, IntradayNotAllowed, NotAllowed, Plan, ServerError
from trayport.errors import APIError
from trayport.fetching import Outcome, in_order, outcomes
from trayport.planner import Piece

TTF, EUA = "TTF Hi Cal 51.6* Apr-24", "EUA* Dec-24"


@pytest.fixture(scope="module")
def plan(client: Client) -> Plan:
    """Forty pieces: twenty windows for each of two products."""
    made = client.plan.trades(["TTF Apr-24", "EUA Dec-24"], "2022-06-01", "2024-02-15")
    assert 40 == len(made)
    return made


class Recorder:
    """A fetch function that records the names of the pieces it is called with."""

    def __init__(self, act: Callable[[Piece], str] = lambda piece: piece.label) -> None:
        self.act = act
        self.names: list[str] = []

    def __call__(self, piece: Piece, cancel: threading.Event) -> str:
        self.names.append(piece.label)
        return self.act(piece)


def refuse(piece: Piece, name: str, error: APIError) -> str:
    if piece.label == name:
        raise error
    time.sleep(0.02)  # so that the refusal arrives first
    return name


def test_every_piece_has_one_outcome(plan: Plan) -> None:
    found = list(outcomes(plan, Recorder(), workers=4))

    assert list(range(40)) == sorted(outcome.number for outcome in found)
    assert all(outcome.piece is plan.pieces[outcome.number] for outcome in found)
    assert all(outcome.get() == outcome.piece.label for outcome in found)


def test_outcomes_come_in_the_order_of_arrival(plan: Plan) -> None:
    first = threading.Event()

    def fetch(piece: Piece, cancel: threading.Event) -> None:
        if piece is plan.pieces[0]:
            first.wait(10)

    arriving = outcomes(plan, fetch, workers=2, numbers=[0, 1])
    assert 1 == next(arriving).number
    first.set()
    assert [0] == [outcome.number for outcome in arriving]


def test_only_the_wanted_pieces_are_fetched(plan: Plan) -> None:
    fetch = Recorder()

    assert {3, 7} == {outcome.number for outcome in outcomes(plan, fetch, workers=4, numbers=[3, 7])}
    assert 2 == len(fetch.names)
    assert [] == list(outcomes(plan, fetch, workers=4, numbers=[]))


def test_an_error_is_the_outcome_of_its_piece_alone(plan: Plan) -> None:
    fetch = Recorder(lambda piece: refuse(piece, TTF, ServerError("trades", 503)))
    found = list(outcomes(plan, fetch, workers=4))

    assert 40 == len(fetch.names)
    assert {TTF: {ServerError}, EUA: {type(None)}} == errors_by_contract(found)
    with pytest.raises(ServerError, match="503"):
        next(outcome for outcome in found if outcome.piece.label == TTF).get()


@pytest.mark.parametrize(
    "error, spared",
    [
        pytest.param(NotAllowed("trades", 401), {TTF, EUA}, id="a-401-spares-other-products-too"),
        pytest.param(NotAllowed("trades", 403), {TTF}, id="a-403-spares-its-own-product"),
        pytest.param(IntradayNotAllowed("trades", 401), set(), id="intraday-entitlement-spares-no-other-piece"),
    ],
)
def test_pieces_that_would_be_refused_too_are_not_requested(plan: Plan, error: APIError, spared: set[str]) -> None:
    fetch = Recorder(lambda piece: refuse(piece, TTF, error))
    found = list(outcomes(plan, fetch, workers=2))

    assert list(range(40)) == sorted(outcome.number for outcome in found)
    for name in (TTF, EUA):
        assert (fetch.names.count(name) < 10) == (name in spared)
    assert {type(error)} == errors_by_contract(found)[TTF]
    assert (EUA in spared) == (type(error) in errors_by_contract(found)[EUA])


def errors_by_contract(found: list[Outcome[str]]) -> dict[str, set[type]]:
    return {name: {type(each.error) for each in found if each.piece.label == name} for name in (TTF, EUA)}


def test_a_missing_setting_ends_all_pieces(plan: Plan) -> None:
    def fetch(piece: Piece, cancel: threading.Event) -> None:
        raise ConfigError("no key")

    for found in (outcomes(plan, fetch, workers=2), in_order(plan, fetch, workers=2)):
        with pytest.raises(ConfigError, match="no key"):
            list(found)


def test_closing_the_iterator_cancels_the_rest(plan: Plan) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    def fetch(piece: Piece, cancel: threading.Event) -> None:
        if piece is not plan.pieces[0]:
            begun.set()
            if cancel.wait(10):
                cancelled.set()

    for found in (outcomes(plan, fetch, workers=2), in_order(plan, fetch, workers=2)):
        next(found)
        assert begun.wait(10)
        found.close()
        assert cancelled.wait(10)
        begun.clear()
        cancelled.clear()


def test_ordered_outcomes_come_in_the_order_of_the_plan_and_few_are_fetched_ahead(plan: Plan) -> None:
    fetch = Recorder()
    found = in_order(plan, fetch, workers=3, first=30)
    assert 30 == next(found).number
    time.sleep(0.1)
    assert 3 >= len(fetch.names)

    assert list(range(31, 40)) == [outcome.number for outcome in found]
    assert [] == list(in_order(plan, fetch, workers=3, first=40))
