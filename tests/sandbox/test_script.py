"""A sandbox with injected faults, for plain requests and for a client."""

from __future__ import annotations

import datetime
import email.utils
from typing import Any

import pandas as pd
import pytest
import requests
from support.api import TRADES, send

from conftest import MakeClient
from trayport import APIError, DecodeError, NotAllowed, ServerError, TrayportWarning
from trayport.sandbox import Sandbox
from trayport.sandbox.fault_injection import Fault

TTF = ("TTF Apr-24", "2024-02-05", "2024-02-07")
# Each fault ends, so that a client that retries succeeds.
PASSING = {
    "503": Fault(path="/trades", status=503, times=2),
    "429": Fault(path="/trades", status=429, headers={"Retry-After": "0"}, times=2),
    "reset": Fault(path="/trades", reset=True, times=2),
    "cut": Fault(path="/trades", cut=0.5, times=2),
    "corrupt": Fault(path="/trades", corrupt=True, times=2),
    "too-long": Fault(path="/trades", length=10, times=2),
    "stall": Fault(path="/trades", stall=30, times=1),
    "half-of-all": Fault(probability=0.5, seed=7, status=502, times=None),
}
PATIENT: dict[str, Any] = {"attempts": 8, "backoff_cap": 0.01, "timeout": (1, 0.5)}


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    import trayport as tp
    from trayport.testing import sandboxed

    with sandboxed():
        return tp.trades(*TTF)


@pytest.mark.parametrize("name", PASSING)
def test_client_succeeds_after_transient_failures(make_client: MakeClient, expected: pd.DataFrame, name: str) -> None:
    with Sandbox(limits=False, faults=[PASSING[name]]) as sandbox:
        frame = make_client(sandbox, **PATIENT).trades(*TTF)

        pd.testing.assert_frame_equal(expected, frame)
        assert any(asked.fault for asked in sandbox.asked)


@pytest.mark.parametrize(
    "fault, error",
    [
        (Fault(path="/trades", status=500, times=None), ServerError),
        (Fault(path="/trades", status=401, times=None), NotAllowed),
        (Fault(path="/trades", redirect="https://example.com/login", times=None), APIError),
        (Fault(path="/trades", html=True, times=None), DecodeError),
        (Fault(path="/trades", body="[{", times=None), DecodeError),
    ],
)
def test_client_raises_permanent_failures(make_client: MakeClient, fault: Fault, error: type[Exception]) -> None:
    with Sandbox(limits=False, faults=[fault]) as sandbox:
        with pytest.raises(error) as caught:
            make_client(sandbox, **PATIENT | {"attempts": 2}).trades(*TTF)

        assert sandbox.key not in str(caught.value)


def test_missing_entitlement_is_accepted_after_one_wait_and_remembered(make_client: MakeClient) -> None:
    with Sandbox(limits=False, key="sandbox-basic") as sandbox:
        client, waits = make_client(sandbox), list[float]()
        client.session.wait = lambda stop, seconds: waits.append(seconds)
        question = ("TTF Apr-24", "2024-02-05", "2024-02-06", "1h")
        with pytest.warns(TrayportWarning, match="403 Forbidden.*waiting 15 seconds"), pytest.raises(NotAllowed):
            client.top_of_book(*question)
        with pytest.raises(NotAllowed, match="it was hardly used, and waiting did not help.*not sent again"):
            client.top_of_book("TTF May-24", *question[1:])

        assert [15.0] == waits
        assert 2 == sum(asked.path == "/orders/book/top" for asked in sandbox.asked)
        assert len(client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")) > 0


def test_throttling_with_403_is_waited_out(make_client: MakeClient) -> None:
    faults = [Fault(path="/trades", status=403, skip=40, times=3)]
    with Sandbox(limits=False, faults=faults) as sandbox:
        client, waits = make_client(sandbox, workers=1), list[float]()
        client.session.wait = lambda stop, seconds: waits.append(seconds)
        whole = make_client().trades("TTF Apr-24", "2024-02-07", "2024-02-08")
        for _ in range(40):
            client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        with pytest.warns(TrayportWarning):
            frame = client.trades("TTF Apr-24", "2024-02-07", "2024-02-08")

        pd.testing.assert_frame_equal(whole, frame)
        assert [15.0, 30.0, 30.0] == waits


def test_body_of_an_injected_status_depends_on_the_switch() -> None:
    with Sandbox(limits=False, refusals="message", faults=[Fault(status=429), Fault(status=503)]) as sandbox:
        said = [send(sandbox) for _ in range(3)]

        assert [429, 503, 200] == [each.status_code for each in said]
        assert {"message": "Too Many Requests"} == said[0].json()
        assert "Service Unavailable" == said[1].json()["title"]
        assert [True, True, False] == [asked.fault for asked in sandbox.asked]


def test_clock_jumps_at_a_request() -> None:
    now = datetime.datetime(2024, 2, 5, 23, 59, tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now, faults=[Fault(path="/trades", skip=1, clock=120)]) as sandbox:
        said = [send(sandbox) for _ in range(3)]

        assert [401, 200, 200] == [each.status_code for each in said]
        dates = [email.utils.parsedate_to_datetime(each.headers["Date"]) for each in said]
        assert [now, *[now + datetime.timedelta(minutes=2)] * 2] == dates


def test_broken_rules_of_regular_responses_only_are_recorded() -> None:
    faults = [Fault(path="/trades", status=503), Fault(path="/trades", delay=0.01)]
    with Sandbox(limits=False, faults=faults) as sandbox:
        for _ in range(2):
            send(sandbox, params={**TRADES, "snapshotDate": "2024-02-05"})

        assert [(), ("snapshotdate: unknown parameter, ignored",)] == [asked.broken for asked in sandbox.asked]


def test_reset_is_recorded_without_a_status() -> None:
    with Sandbox(limits=False, faults=[Fault(reset=True)]) as sandbox:
        with pytest.raises(requests.ConnectionError):
            send(sandbox)

        assert [0] == [asked.status for asked in sandbox.asked]
