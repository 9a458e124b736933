"""Which failures are tried again, and after how long."""

from __future__ import annotations

import email.utils
import time

import pytest

from trayport import (
    APIError,
    BadRequest,
    Config,
    ConnectionFailed,
    DecodeError,
    RateLimited,
    ServerError,
    TrayportError,
)
from trayport.transport.retries import Trial, asked_wait, policy


def trial(**settings: float) -> Trial:
    """A trial whose jitter always takes the whole bound."""
    config = Config(**settings)  # type: ignore[arg-type]
    return Trial(policy(config, jitter=lambda: 1.0), config.retry_budget, config.backoff_cap)


def waits(error: TrayportError, header: str | None = None, **settings: float) -> list[float]:
    """Every wait until the error is final."""
    attempts, found = trial(**settings), []
    while (seconds := attempts.wait_after(error, header)) is not None:
        found.append(seconds)
    return found


BROKEN = ConnectionFailed("trades", 1)


def test_waits_double_until_the_last_attempt() -> None:
    assert [1.0, 2.0, 4.0, 8.0] == waits(BROKEN)


def test_waits_are_capped() -> None:
    assert [1.0, 2.0, 3.0, 3.0] == waits(BROKEN, backoff_cap=3.0)


def test_the_waiting_in_all_has_a_budget() -> None:
    assert [1.0, 2.0] == waits(BROKEN, retry_budget=6.0)


@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_the_number_of_attempts_is_a_setting(attempts: int) -> None:
    assert attempts - 1 == len(waits(BROKEN, attempts=attempts))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_may_pass_are_tried_again(status: int) -> None:
    error = {429: RateLimited, 408: APIError, 425: APIError}.get(status, ServerError)("trades", status)

    assert 4 == len(waits(error))


@pytest.mark.parametrize(
    "error",
    [BadRequest("trades", 400), APIError("trades", 404), APIError("trades", 302), ServerError("trades", 501),
     DecodeError("trades", "$", "?"), TrayportError("?")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_the_others_are_final_at_once(error: TrayportError) -> None:
    assert [] == waits(error)


def test_a_403_is_given_three_growing_waits() -> None:
    assert [15.0, 30.0, 30.0] == waits(RateLimited("trades", 403))


@pytest.mark.parametrize("header, seconds", [("7", 7.0), (" 45 ", 45.0)])
def test_what_the_server_asks_for_is_kept_to_even_beyond_our_own_cap(header: str, seconds: float) -> None:
    assert seconds == trial().wait_after(RateLimited("trades", 429), header)


def test_a_date_in_retry_after_is_understood() -> None:
    header = email.utils.formatdate(time.time() + 20, usegmt=True)

    assert 15 < (trial().wait_after(RateLimited("trades", 429), header) or 0) <= 20


def test_a_wait_beyond_the_budget_ends_it() -> None:
    assert trial().wait_after(RateLimited("trades", 429), "3600") is None


@pytest.mark.parametrize("header", [None, "soon", ""])
def test_a_header_that_says_nothing_leaves_it_to_us(header: str | None) -> None:
    assert asked_wait(policy(Config()), header) is None
    assert 1.0 == trial().wait_after(RateLimited("trades", 429), header)


def test_jitter_takes_anything_up_to_the_bound() -> None:
    spread = {round(trial_.wait_after(BROKEN, None) or 0, 3) for trial_ in (
        Trial(policy(Config()), 180.0, 30.0) for _ in range(20)
    )}  # fmt: skip

    assert len(spread) > 5
    assert max(spread) <= 1.0


def test_waiting_for_the_probe_costs_time_but_no_attempt() -> None:
    attempts = trial(retry_budget=5.0)

    assert [True, True, False] == [attempts.wait_for_probe(2.0) for _ in range(3)]
    assert 1.0 == attempts.wait_after(BROKEN, None)
