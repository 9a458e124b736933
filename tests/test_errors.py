"""Errors and warnings as values: their text is the problem and the remedy, and they survive a pickle."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pandas as pd
import pytest

import trayport.errors
from trayport.errors import (
    AmbiguousContract,
    APIError,
    BadRequest,
    CircuitOpen,
    ConfigError,
    ConnectionFailed,
    ContractError,
    DecodeError,
    Failure,
    Interrupted,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    PartialDataError,
    QueryError,
    RateLimited,
    ServerError,
    TimedOut,
    TransportError,
    TrayportError,
    TrayportWarning,
    UnknownContract,
)


def resume() -> str:
    """Return a result; at module level, since a function is pickled by its name."""
    return "the whole frame"


START, END = pd.Timestamp("2024-02-05", tz="UTC"), pd.Timestamp("2024-02-06", tz="UTC")
FAILURE = Failure(START, END, ("TTF Apr-24",), ServerError("trades", 503))
EVERY = [
    TrayportError("it is broken", "mend it"),
    ConfigError("it is broken", "mend it"),
    QueryError("it is broken", "mend it"),
    ContractError("it is broken", "mend it"),
    UnknownContract("TFT", ("TTF",)),
    AmbiguousContract("Base", ("Germany Baseload*", "France Baseload*")),
    TransportError("trades", 1, "reset", "a1-1", remedy="mend it"),
    ConnectionFailed("trades", 2, "reset", "a1-2", remedy="mend it"),
    TimedOut("trades", 0, "silence", remedy="mend it"),
    CircuitOpen("trades", 0, "503 Service Unavailable", retry_in=12.4),
    APIError("trades", 302, "redirects to a login", remedy="mend it"),
    BadRequest("trades", 400, "until is wrong", "a1-1", remedy="mend it"),
    NotAllowed("trades", 401),
    IntradayNotAllowed("trades", 401),
    NotFound("trades", 404),
    RateLimited("trades", 429, retry_after=3.0),
    ServerError("trades", 503, "busy", "a1-1", remedy="mend it"),
    DecodeError("trades", "$[3].price", "is no number", "a1", remedy="mend it"),
    PartialDataError(pd.DataFrame({"price": [1.0]}), (FAILURE,), resume),
    Interrupted(pd.DataFrame({"price": [1.0]}), (FAILURE,), resume),
    TrayportWarning("it is broken", "mend it"),
]
each_error = pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)


def test_the_table_above_has_every_public_error() -> None:
    public = {name for name in trayport.errors.__all__ if name != "Failure"}

    assert public == {type(error).__name__ for error in EVERY}


@each_error
def test_text_is_the_problem_and_the_remedy(error: Any) -> None:
    request_id = getattr(error, "request_id", "")
    ending = f" (X-Request-ID {request_id})" if request_id else ""

    assert error.remedy
    assert f"{error.problem}; {error.remedy}{ending}" == str(error)


@each_error
def test_pickle_and_copy_keep_text_and_fields(error: Any) -> None:
    error.add_note("seen in a worker")
    for travelled in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(error), str(error), repr(error), error.remedy) == (
            type(travelled),
            str(travelled),
            repr(travelled),
            travelled.remedy,
        )
        assert error != travelled  # as all exceptions, they are compared by identity


def test_pickle_keeps_the_id_that_was_set_after_the_error_was_made() -> None:
    error = DecodeError("trades", "$", "no JSON")
    error.request_id = "a1"

    assert "a1" == pickle.loads(pickle.dumps(error)).request_id


@pytest.mark.parametrize(
    "error, text",
    [
        (TrayportError(), ""),
        (QueryError("it is broken"), "it is broken"),
        (TransportError("trades", 1), "trades: no response after 1 attempt"),
        (ConnectionFailed("trades", 5, "reset", "a1-5"),
         "trades: the connection failed after 5 attempts: reset (X-Request-ID a1-5)"),
        (ServerError("trades", 503, "busy", "a1-1"), "trades: 503 Service Unavailable: busy (X-Request-ID a1-1)"),
        (APIError("trades", 599), "trades: 599"),
        (NotAllowed("trades", 401, remedy=None), "trades: 401 Unauthorized"),
    ],
)  # fmt: skip
def test_text_without_a_remedy_is_the_problem_alone(error: TrayportError, text: str) -> None:
    assert error.remedy is None
    assert text == str(error)


@pytest.mark.parametrize(
    "error, transient",
    [
        (ConnectionFailed("trades", 1), True), (TimedOut("trades", 1), True), (CircuitOpen("trades", 1), True),
        (RateLimited("trades", 429), True), (ServerError("trades", 503), True), (TransportError("trades", 1), False),
        (BadRequest("trades", 400), False), (NotAllowed("trades", 401), False), (NotFound("trades", 404), False),
        (DecodeError("trades", "$", "no JSON"), False), (ConfigError("it is broken"), False),
    ],
)  # fmt: skip
def test_only_errors_that_may_pass_are_transient(error: TrayportError, transient: bool) -> None:
    assert transient is error.transient


@pytest.mark.parametrize(
    "near, remedy",
    [((), "find the name with trayport.search"), (("TTF Hi Cal 51.6*", "THE"), "'TTF Hi Cal 51.6*', 'THE'")],
    ids=["none-near", "some-near"],
)
def test_remedy_of_an_unknown_name_is_the_nearest_names_or_the_search(near: tuple[str, ...], remedy: str) -> None:
    assert remedy in str(UnknownContract("TFT", near).remedy)


@pytest.mark.parametrize("seconds, text", [(0.2, "1 second"), (12.4, "12 seconds")])
def test_remedy_of_an_open_circuit_is_the_time_to_wait(seconds: float, text: str) -> None:
    assert f"ask again in {text}" == CircuitOpen("trades", 1, retry_in=seconds).remedy


def test_a_long_list_of_candidates_is_cut() -> None:
    candidates = tuple(f"Product {number}" for number in range(20))

    assert "'Product 7' and 12 more" in str(AmbiguousContract("Product", candidates))
