"""Retries: failures that are retried, and the waits between attempts."""

from __future__ import annotations

import email.utils
import math
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.bench import ASK

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
from trayport.transport.retries import Call, RetryPolicy, parse_retry_after


def make_call(**settings: float) -> Call:
    """Return a call whose jitter is always the upper bound."""
    config = Config(**settings)  # type: ignore[arg-type]
    return Call(ASK, config, policy=RetryPolicy.of(config, jitter=lambda: 1.0))


def waits(error: TrayportError, header: str | None = None, **settings: float) -> list[float]:
    """Return all waits until the error is final."""
    attempts, found = make_call(**settings), []
    while (seconds := attempts.wait_before_retry(error, header)) is not None:
        found.append(seconds)
    return found


def short(header: str | None) -> str:
    """Return the beginning of a header as the id of a test."""
    return str(header)[:24]


BROKEN = ConnectionFailed("trades", 1)


def test_waits_double_until_the_last_attempt() -> None:
    assert [1.0, 2.0, 4.0, 8.0] == waits(BROKEN)


def test_waits_are_capped() -> None:
    assert [1.0, 2.0, 3.0, 3.0] == waits(BROKEN, backoff_cap=3.0)


def test_sum_of_waits_is_bounded_by_the_budget() -> None:
    assert [1.0, 2.0] == waits(BROKEN, retry_budget=6.0)


@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_number_of_attempts_is_a_setting(attempts: int) -> None:
    assert attempts - 1 == len(waits(BROKEN, attempts=attempts))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_transient_statuses_are_retried(status: int) -> None:
    error = {429: RateLimited, 408: APIError, 425: APIError}.get(status, ServerError)("trades", status)

    assert 4 == len(waits(error))


@pytest.mark.parametrize(
    "error",
    [BadRequest("trades", 400), APIError("trades", 404), APIError("trades", 302), ServerError("trades", 501),
     DecodeError("trades", "$", "?"), TrayportError("?")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_other_errors_are_final_at_once(error: TrayportError) -> None:
    assert [] == waits(error)


def test_403_is_retried_after_three_growing_waits() -> None:
    assert [15.0, 30.0, 30.0] == waits(RateLimited("trades", 403))


@pytest.mark.parametrize("used, waits", [(0.0, [15.0]), (0.099, [15.0]), (0.1, [15.0, 30.0, 30.0])])
def test_403_of_a_hardly_used_key_is_retried_once(used: float, waits: list[float]) -> None:
    attempts, found = Call(ASK, Config(), key_usage=lambda: used), []
    while (seconds := attempts.wait_before_retry(RateLimited("trades", 403), None)) is not None:
        found.append(seconds)

    assert (waits, used < 0.1) == (found, attempts.is_not_entitled)


def test_usage_at_the_first_403_decides_since_waiting_empties_the_last_minute() -> None:
    shares = iter([0.5, 0.0, 0.0, 0.0])
    attempts = Call(ASK, Config(), key_usage=lambda: next(shares))

    assert [15.0, 30.0, 30.0, None] == [attempts.wait_before_retry(RateLimited("trades", 403), None) for _ in range(4)]
    assert attempts.is_not_entitled is False


@pytest.mark.parametrize("status", [s for s in range(400, 500) if s not in (403, 408, 425, 429)])
def test_no_other_4xx_is_retried(status: int) -> None:
    assert [] == waits(APIError("trades", status))


@pytest.mark.parametrize("header, seconds", [("7", 7.0), (" 45 ", 45.0)])
def test_retry_after_is_kept_also_above_the_cap(header: str, seconds: float) -> None:
    assert seconds == make_call().wait_before_retry(RateLimited("trades", 429), header)


def test_date_in_retry_after_is_parsed() -> None:
    header = email.utils.formatdate(time.time() + 20, usegmt=True)

    assert 15 < (make_call().wait_before_retry(RateLimited("trades", 429), header) or 0) <= 20


@pytest.mark.parametrize("header", ["3600", "9" * 20, "9" * 4000, "Fri, 31 Dec 9999 23:59:59 GMT"], ids=short)
def test_wait_beyond_the_budget_is_final(header: str) -> None:
    assert make_call().wait_before_retry(RateLimited("trades", 429), header) is None


@pytest.mark.parametrize(
    "header",
    [None, "soon", "", "-5", "1.5", "1e400", "nan", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000],
    ids=short,
)
def test_invalid_retry_after_gives_the_default_wait(header: str | None) -> None:
    assert parse_retry_after(RetryPolicy.of(Config()), header) is None
    assert 1.0 == make_call().wait_before_retry(RateLimited("trades", 429), header)


@pytest.mark.parametrize("header", ["0", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_retry_after_in_the_past_gives_the_default_wait(header: str) -> None:
    assert 1.0 == make_call().wait_before_retry(RateLimited("trades", 429), header)


@given(
    st.text(max_size=40) | st.from_regex(r"(Mon, )?\d{1,3} (Jan|Feb) \d{1,6} [\d:]{0,12} ?[+-]?\w{0,8}", fullmatch=True)
)
@example("Fri, 31 Dec 2100 23:59:59 +" + "9" * 400)
def test_every_header_gives_none_or_a_finite_wait(header: str) -> None:
    asked = parse_retry_after(RetryPolicy.of(Config()), header)

    assert asked is None or 0 <= asked < math.inf


def test_jitter_varies_up_to_the_bound() -> None:
    spread = {round(call.wait_before_retry(BROKEN, None) or 0, 3) for call in (
        Call(ASK, Config()) for _ in range(20)
    )}  # fmt: skip

    assert len(spread) > 5
    assert max(spread) <= 1.0


def test_wait_for_the_probe_takes_from_the_budget_but_is_no_attempt() -> None:
    attempts = make_call(retry_budget=5.0)

    assert [True, True, False] == [attempts.take_from_budget(2.0) for _ in range(3)]
    assert 1.0 == attempts.wait_before_retry(BROKEN, None)
