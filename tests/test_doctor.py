"""Doctor: each possible fault is caused for real, and has one line with one remedy."""

from __future__ import annotations

import datetime
import email.utils
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.canary import KEY
from support.tls import make_certificate, needs_openssl, serve_tls
from support.wire import Wire, hang, http

import trayport as tp
from trayport import Check, Client, Config, Diagnosis
from trayport.api import DEFAULT
from trayport.cli import main
from trayport.config import settings_file
from trayport.diagnosis import examine
from trayport.diagnosis.checks import NAMES
from trayport.limits import limits_folder
from trayport.sandbox import Fault, Rights, Sandbox
from trayport.testing import sandboxed

posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX has file modes")
not_root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root can write to every folder")
NOON = datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)
CLOSED_PORT = "https://127.0.0.1:9"

Settings = dict[str, Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder."""
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA",
                 "WIN_PD_OVERRIDE_APPDATA", "HOME"):  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@contextmanager
def simulated(*, rights: Rights | None = None, faults: Any = (), **more: Any) -> Iterator[Sandbox]:
    """Yield a sandbox that accepts the key of the tests."""
    with Sandbox(key=KEY, keys={KEY: rights or Rights()}, limits=False, faults=faults, **more) as sandbox:
        yield sandbox


def examined(settings: Settings, **more: Any) -> dict[str, Check]:
    """Return the results for a client with these settings by name; no name occurs twice."""
    hooks = more.pop("hooks", ())
    with Client(config=Config(**{"limiter": "memory", **settings, **more}), hooks=hooks) as client:
        found = client.doctor().checks
    assert len(found) == len({check.name for check in found})
    assert all(check.remedy for check in found if check.verdict in ("warning", "failure"))
    return {check.name: check for check in found}


def settings_at(url: str = CLOSED_PORT, **more: Any) -> Settings:
    return {"api_key": KEY, "analytics_url": url, "reference_url": url, **more}


def failed(found: dict[str, Check]) -> list[str]:
    return [name for name, check in found.items() if check.verdict == "failure"]


def result_of(found: dict[str, Check], name: str) -> tuple[str, str, str]:
    return found[name].verdict, found[name].finding, found[name].remedy


def failed_lines(printed: str) -> list[str]:
    """Return the names of the failed checks in the printed lines."""
    return [line[6:19].strip() for line in printed.splitlines() if line.startswith("FAIL")]


class TestWithoutFaults:
    """Results without a fault."""

    def test_healthy_sandbox_has_no_warning(self, home: Path) -> None:
        with simulated() as sandbox:
            found = examined(dict(sandbox.settings), limiter="file")

        assert {"ok", "note"} == {check.verdict for check in found.values()}
        assert list(NAMES) == list(found)

    def test_six_requests_are_sent_and_each_takes_a_permit(self, home: Path) -> None:
        events: list[tp.RequestEvent] = []
        with simulated() as sandbox, Client(config=Config(**sandbox.settings, limiter="memory")) as client:  # type: ignore[arg-type]
            client.hooks = (events.append,)
            client.doctor()
            used = client.status().limiter.used

            paths = [request.path for request in sandbox.asked]
            assert [] == [each for each in sandbox.violations if each.asked.path != "/trades/activity"]
        assert [
            "/markets", "/trades/private", "/trades/activity", "/markets/10000065/sequences",
            "/sequences/10000305/sequenceItems", "/orders/book/top",
        ] == paths  # fmt: skip
        assert (6, 6) == (used, len(events))

    def test_flat_function_examines_the_default_client(self) -> None:
        with sandboxed() as sandbox:
            diagnosis = tp.doctor()

            assert 6 == sandbox.answered
        assert (True, "note") == (isinstance(diagnosis, Diagnosis), diagnosis.worst)

    def test_diagnosis_is_printed_as_one_ascii_line_for_each_check(self) -> None:
        with sandboxed():
            diagnosis = tp.doctor()
        lines = str(diagnosis).splitlines()

        assert (repr(diagnosis), len(diagnosis.checks)) == (str(diagnosis), len(lines))
        assert list(map(str, diagnosis.checks)) == lines
        assert {True} == {bool(re.match(r"(ok  |note|WARN|FAIL)  [\w ]{13}  \S", line)) for line in lines}
        assert str(diagnosis).isascii()

    def test_requests_use_the_clock_of_the_client(self) -> None:
        with sandboxed(now=datetime.datetime(2024, 2, 7, 12, 30, tzinfo=datetime.UTC), intraday=True) as sandbox:
            found = {check.name: check for check in tp.doctor().checks}
            asked = {request.path: dict(request.params) for request in sandbox.asked}

        assert ("ok", "ok") == (found["clock"].verdict, found["intraday"].verdict)
        assert "2024-02-07T12:30:00Z" == asked["/trades/activity"]["until"]
        assert "2024-02-07T00:00:00Z" == asked["/orders/book/top"]["until"]

    def test_intraday_is_not_checked_in_the_first_minute_of_a_day(self) -> None:
        with sandboxed(now=datetime.datetime(2024, 2, 7, 0, 0, 30, tzinfo=datetime.UTC)):
            found = {check.name: check for check in tp.doctor().checks}

        assert ("note", "not checked: the day has just begun; try again in a minute", "") == result_of(
            found, "intraday"
        )

    def test_versions_are_listed(self) -> None:
        found = examined(settings_at())

        assert f"trayport {tp.__version__}, Python " in found["versions"].finding
        assert f"pandas {pd.__version__}" in found["versions"].finding
        assert "brotli" in found["versions"].finding


class TestSettings:
    """Checks of the settings and of the key."""

    def test_without_a_key_the_apis_and_the_clock_are_still_checked(self, home: Path) -> None:
        with simulated() as sandbox:
            found = examined({name: value for name, value in sandbox.settings.items() if name != "api_key"})

            assert 2 == sandbox.answered
        assert ["key"] == failed(found)
        assert ("ok", "ok") == (found["reference API"].verdict, found["analytics API"].verdict)
        assert ("ok", "not checked: see key") == (found["clock"].verdict, found["limit"].finding)
        assert ("failure", "no API key") == result_of(found, "key")[:2]
        assert "TRAYPORT_API_KEY" in found["key"].remedy
        assert "not checked: see key" == found["access"].finding
        assert list(NAMES) == [*list(found)[:4], "limit folder", *list(found)[4:]]  # this limiter has no folder

    @pytest.mark.parametrize(
        "key, finding",
        [
            ("'hush-hush-hush'", "from code, or the keyring; it is in quotes"),
            ("your-key-here", "from code, or the keyring; it is a placeholder"),
            ("YOUR_API_KEY", "from code, or the keyring; it is a placeholder"),
            ("...", "from code, or the keyring; it is a placeholder"),
            ("<key>", "from code, or the keyring; it is a placeholder"),
        ],
    )
    def test_quoted_or_placeholder_key_is_a_failure_and_not_shown(
        self, sandbox: Sandbox, key: str, finding: str
    ) -> None:
        found = examined(dict(sandbox.settings), api_key=key)

        assert ["key", "access"] == failed(found)
        assert finding == found["key"].finding

    def test_setting_out_of_bounds_is_named_with_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAYPORT_PER_SECOND", "99")
        monkeypatch.setenv("TRAYPORT_API_KEY", KEY)
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ["settings"] == failed(found)
        assert "per_second=99" in found["settings"].finding
        assert "correct it in TRAYPORT_PER_SECOND" == found["settings"].remedy
        assert "not checked: see settings" == found["order books"].finding

    def test_unusable_key_is_a_failure_of_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAYPORT_API_KEY", "Bearer hush-hush-hush")
        with Client() as client:
            diagnosis = client.doctor()
        found = {check.name: check for check in diagnosis.checks}

        assert ["key"] == failed(found)
        assert "correct it in TRAYPORT_API_KEY" == found["key"].remedy
        assert "hush" not in repr(diagnosis)

    def test_settings_file_that_is_not_toml_is_named(self, home: Path) -> None:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text("per_second is 3", encoding="utf-8")
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ["settings"] == failed(found)
        assert f"{settings_file()} is not TOML" in found["settings"].finding

    def test_settings_file_is_not_read_for_a_given_config(self, home: Path) -> None:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text("per_second is 3", encoding="utf-8")
        found = examined(settings_at())

        assert "from code, or the keyring" == found["key"].finding

    @posix
    def test_remedy_for_a_readable_key_is_the_command(self, home: Path) -> None:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text('api_key = "hush-hush-hush"', encoding="utf-8")
        settings_file().chmod(0o644)
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}
        settings_file().unlink()

        assert ["settings"] == failed(found)
        assert f"run: chmod 600 {settings_file()}" == found["settings"].remedy

    def test_misspelt_variable_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAYPORT_PER_SECND", "3")
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ("warning", "the environment variable TRAYPORT_PER_SECND is no setting",
                "did you mean TRAYPORT_PER_SECOND?") == result_of(found, "settings")  # fmt: skip

    def test_locked_keyring_is_a_warning_with_a_remedy(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        keyring = pytest.importorskip("keyring")

        class Locked(importlib.import_module("keyring.backends.null").Keyring):  # type: ignore[misc]
            """A real backend that cannot be unlocked."""

            def get_password(self, service: str, username: str) -> str | None:
                raise keyring.errors.KeyringLocked("dismissed")

        Locked.__module__ = "keyring.backends.Windows"  # one that is asked in a job, too
        monkeypatch.setattr("keyring.core._keyring_backend", Locked())
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ("warning", "the system's keyring could not be asked for a key (KeyringLocked), and is left out",
                "unlock the keyring, or give the key in TRAYPORT_API_KEY") == result_of(found, "settings")  # fmt: skip

    def test_closed_client_is_a_failure(self) -> None:
        client = Client(config=Config(KEY))
        client.close()
        found = {check.name: check for check in client.doctor().checks}

        assert ("failure", "this client is closed", "make a new one") == result_of(found, "settings")

    @pytest.mark.parametrize("where", ["variable", "file", "settings"])
    def test_source_of_the_key_is_named(self, home: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        text = "hush-hush-hush"
        if where == "variable":
            monkeypatch.setenv("TRAYPORT_API_KEY", text)
            expected = "from TRAYPORT_API_KEY"
        elif where == "file":
            monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(home / "key"))
            (home / "key").write_text(f"{text}\n", encoding="utf-8")
            (home / "key").chmod(0o600)
            expected = f"from {home / 'key'}, which TRAYPORT_API_KEY_FILE names"
        else:
            settings_file().parent.mkdir(parents=True, exist_ok=True)
            settings_file().write_text(f'[profiles.desk]\napi_key = "{text}"\n', encoding="utf-8")
            settings_file().chmod(0o600)
            expected = "from the settings file, profile desk"
        found = examined(settings_at(api_key=text))

        assert ("ok", expected, "") == result_of(found, "key")


class TestFolders:
    """Checks of the folders that are written to."""

    @posix
    @pytest.mark.parametrize("name", ["cache", "limit folder", "settings"])
    def test_remedy_for_a_folder_that_is_open_to_others_is_the_command(self, home: Path, name: str) -> None:
        folder = {
            "cache": home / "c" / "refdata-1",
            "limit folder": limits_folder(),
            "settings": settings_file().parent,
        }
        folder[name].mkdir(parents=True)
        folder[name].chmod(0o777)
        found = examined(settings_at(cache_dir=home / "c", limiter="file"))

        assert ("warning", f"run: chmod 700 {folder[name]}") == (found[name].verdict, found[name].remedy)
        others = [each for each in folder if found[each].verdict == "warning"]
        assert [name] == others

    def test_folder_that_cannot_be_created_is_a_warning(self, home: Path) -> None:
        (home / "file").write_text("in the way", encoding="utf-8")
        found = examined(settings_at(cache_dir=home / "file"))

        assert "warning" == found["cache"].verdict
        assert f"{home / 'file' / 'refdata-1'} cannot be created: " in found["cache"].finding
        assert "TRAYPORT_CACHE_DIR" in found["cache"].remedy

    @posix
    @not_root
    def test_read_only_folder_is_a_warning(self, home: Path) -> None:
        (home / "c" / "refdata-1").mkdir(parents=True)
        (home / "c" / "refdata-1").chmod(0o500)
        found = examined(settings_at(cache_dir=home / "c"))

        assert "refdata-1 cannot be written to: Permission denied" in found["cache"].finding

    @posix
    @pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root can change the owner of a folder")
    def test_folder_of_another_user_is_a_warning(self, home: Path) -> None:
        (home / "c" / "refdata-1").mkdir(parents=True)
        os.chown(home / "c" / "refdata-1", 12345, 12345)
        found = examined(settings_at(cache_dir=home / "c"))

        assert ("warning", f"{home / 'c' / 'refdata-1'} belongs to another user") == result_of(found, "cache")[:2]

    def test_check_leaves_no_file_behind(self, home: Path) -> None:
        (home / "c" / "refdata-1").mkdir(parents=True, mode=0o700)
        found = examined(settings_at(cache_dir=home / "c"))

        assert "ok" == found["cache"].verdict
        assert [] == list((home / "c" / "refdata-1").iterdir())


class TestLimit:
    """Check of the rate limit."""

    def test_limit_that_cannot_be_shared_has_the_reason(self, home: Path, sandbox: Sandbox) -> None:
        limits_folder().parent.mkdir(parents=True)
        limits_folder().write_text("in the way", encoding="utf-8")
        found = examined(dict(sandbox.settings), limiter="file")

        assert ["warning"] * 2 == [found[name].verdict for name in ("limit folder", "limit")]
        assert f"this process has half of it for itself: {limits_folder()} cannot be used: " in found["limit"].finding
        assert str(limits_folder()) in found["limit"].remedy

    def test_second_examination_has_the_same_reason(self, home: Path, sandbox: Sandbox) -> None:
        limits_folder().parent.mkdir(parents=True)
        limits_folder().write_text("in the way", encoding="utf-8")
        with Client(config=Config(**sandbox.settings)) as client:  # type: ignore[arg-type]
            first, second = ({check.name: check for check in client.doctor().checks} for _ in range(2))

        assert result_of(first, "limit") == result_of(second, "limit")

    def test_unreachable_redis_is_a_warning(self) -> None:
        found = examined(settings_at(api_key="hush-hush-redis"), limiter="redis://:hush-hush@127.0.0.1:9/0")

        assert "warning" == found["limit"].verdict
        assert "start Redis there" in found["limit"].remedy
        assert "hush" not in found["limit"].finding

    def test_limit_is_slowed_after_a_refusal(self, home: Path) -> None:
        with simulated(faults=[Fault(path="/trades", status=429, headers={"Retry-After": "1"})]) as sandbox:
            settings = Config(**sandbox.settings, limiter="memory")  # type: ignore[arg-type]
            with Client(config=settings) as client:
                client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
                found = {check.name: check for check in client.doctor().checks}

        assert "warning" == found["limit"].verdict
        assert re.fullmatch(r"slowed to 50% until \d\d:\d\d:\d\d UTC: the API refused requests", found["limit"].finding)

    @pytest.mark.parametrize(
        "limiter, finding", [("off", "none, which only a sandbox allows"), ("memory", "of this process alone")]
    )
    def test_limit_that_is_not_shared_on_purpose_is_a_note(self, sandbox: Sandbox, limiter: str, finding: str) -> None:
        found = examined(dict(sandbox.settings), limiter=limiter)

        assert ("note", True) == (found["limit"].verdict, found["limit"].finding.startswith(finding))


class TestNetwork:
    """Checks of the APIs, the proxy and the certificates."""

    def test_unknown_host_is_named(self) -> None:
        found = examined(settings_at("https://no-such-host.invalid"))

        assert ["reference API", "analytics API"] == failed(found)
        assert ("the name was not found: no-such-host.invalid has no address here",
                "check its spelling, the network and the VPN") == result_of(found, "analytics API")[1:]  # fmt: skip
        assert "not checked: no response has the server's time" == found["clock"].finding
        assert "not checked: see analytics API" == found["intraday"].finding

    def test_refused_connection_is_named_with_its_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        found = examined(settings_at(f"https://127.0.0.1:{port}"))

        assert f"127.0.0.1 refused the connection at port {port}" in found["reference API"].finding
        assert "check reference_url, the network, the VPN and the proxy" == found["reference API"].remedy

    def test_one_api_can_be_down_alone(self) -> None:
        with simulated() as sandbox:
            found = examined(dict(sandbox.settings), reference_url=CLOSED_PORT)

        assert ["reference API"] == failed(found)
        assert ("ok", "ok") == (found["access"].verdict, found["own trades"].verdict)
        assert "not checked: see reference API" == found["order books"].finding

    def test_silent_server_costs_little_time(self) -> None:
        with Wire(hang(30)) as wire:
            began = time.monotonic()
            found = examined(settings_at(wire.url), timeout=(1.0, 0.3))
            took = time.monotonic() - began

            assert 2 == len(wire.heads)
        assert ["reference API", "analytics API"] == failed(found)
        assert took < 5

    def test_examination_ends_without_a_permit_of_the_rate_limit(self) -> None:
        with simulated() as sandbox, Client(config=Config(**sandbox.settings, limiter="memory")) as client:  # type: ignore[arg-type]
            client.session.rate_limiter.pause(60.0)
            began = time.monotonic()
            found = {check.name: check for check in examine(client, patience=0.5)}
            took = time.monotonic() - began

            assert 0 == sandbox.answered
        assert ["reference API", "analytics API"] == failed(found)
        assert "no response, or no permit of the rate limit, within 0.5 s in all" in found["analytics API"].finding
        assert took < 5

    @pytest.mark.parametrize(
        "fault, finding",
        [
            (Fault(path="*", times=None, status=503), "responds with 503 Service Unavailable"),
            (Fault(path="*", times=None, html=True), "responds with a page instead of data"),
            (Fault(path="*", times=None, status=404), "responds with 404 Not Found"),
            (Fault(path="*", times=None, redirect="https://login.example/a"), "redirects to login.example"),
            (Fault(path="*", times=None, reset=True), "127.0.0.1"),
        ],
        ids=["503", "page", "404", "redirect", "reset"],
    )
    def test_unusable_response_is_requested_once_and_named(self, fault: Fault, finding: str) -> None:
        with simulated(faults=[fault]) as sandbox:
            found = examined(dict(sandbox.settings))

            assert 2 == sandbox.answered
        assert ["reference API", "analytics API"] == failed(found)
        assert finding in found["reference API"].finding

    def test_429_is_not_retried(self) -> None:
        fault = Fault(path="*", times=None, status=429, headers={"Retry-After": "60"})
        with simulated(faults=[fault]) as sandbox:
            began = time.monotonic()
            found = examined(dict(sandbox.settings))
            took = time.monotonic() - began

            assert 2 == sandbox.answered
        assert (["warning"] * 2, True) == (
            [found[f"{api} API"].verdict for api in ("reference", "analytics")],
            took < 5,
        )

    def test_proxy_that_requires_a_login_is_shown_without_its_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Wire(http(407, b"", Proxy_Authenticate="Basic")) as wire:
            monkeypatch.setenv("HTTPS_PROXY", wire.url.replace("//", "//me:hush-hush@"))
            found = examined(settings_at("https://no-such-host.invalid"))

            assert 2 == len(wire.heads)
            where = wire.url.replace("//", "//***@")
        assert f"{where} for both APIs, from the environment" == found["proxy"].finding
        assert "the proxy requires a login" in found["analytics API"].finding
        assert found["analytics API"].remedy.startswith("give it as HTTPS_PROXY=")
        assert "hush" not in str(found)

    def test_proxy_for_one_api_alone_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "a.invalid")
        found = examined(settings_at("https://a.invalid"), reference_url="https://b.invalid")

        assert "http://127.0.0.1:9 for the reference API, none for the analytics API" in found["proxy"].finding

    def test_unusable_proxy_is_a_failure_and_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://me:hush#hush@127.0.0.1:9")
        found = examined(settings_at("https://no-such-host.invalid"))

        assert ["proxy"] == failed(found)
        assert "hush" not in str(found)
        assert "not checked: see proxy" == found["analytics API"].finding

    @pytest.mark.parametrize("how", ["setting", "environment"])
    def test_missing_bundle_is_a_failure(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str) -> None:
        missing = tmp_path / "missing.pem"
        if how == "environment":
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(missing))
        found = examined(settings_at(**({"ca_bundle": missing} if how == "setting" else {})))

        assert ["certificates"] == failed(found)
        assert "missing.pem" in found["certificates"].finding

    @needs_openssl
    def test_unknown_certificate_is_a_failure_and_a_known_one_is_not(self, tmp_path: Path) -> None:
        mine, other = make_certificate(tmp_path / "mine"), make_certificate(tmp_path / "other")
        with serve_tls(mine) as (port, tries):
            unknown = examined(settings_at(f"https://127.0.0.1:{port}", ca_bundle=other))
            assert 2 == len(tries)
            known = examined(settings_at(f"https://127.0.0.1:{port}", ca_bundle=mine))

        assert "the server's certificate is not trusted on this machine" in unknown["analytics API"].finding
        assert "set Config.ca_bundle or REQUESTS_CA_BUNDLE" in unknown["analytics API"].remedy
        assert f"those in {mine} (ca_bundle)" == known["certificates"].finding
        assert "ok" == known["analytics API"].verdict

    def test_store_of_the_operating_system_is_named(self) -> None:
        assert "(truststore)" in examined(settings_at())["certificates"].finding

    def test_certifi_is_named_without_truststore(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "truststore", None)

        assert examined(settings_at())["certificates"].finding.startswith("those of certifi, ")


class TestClock:
    """Check of the clock, by the Date header of the responses."""

    def dated(self, seconds: float) -> Callable[[socket.socket, str], None]:
        """Return a responder whose clock is ahead by the given number of seconds."""

        def respond(connection: socket.socket, head: str) -> None:
            connection.sendall(http(Date=email.utils.formatdate(time.time() + seconds, usegmt=True)))

        return respond

    @pytest.mark.parametrize(
        "ahead, verdict, finding",
        [
            (0, "ok", "equal to the server's within"),
            (3, "ok", "equal to the server's within"),
            (-3, "ok", "equal to the server's within"),
            (3600, "failure", "60 min behind the server's"),
            (-3600, "failure", "60 min ahead of the server's"),
            (20, "failure", "(19|20|21) s behind the server's"),
            (864_000, "failure", "10 days behind the server's"),
        ],
    )
    def test_clock_fails_with_an_error_of_more_than_five_seconds(self, ahead: int, verdict: str, finding: str) -> None:
        with Wire(self.dated(ahead)) as wire:
            found = examined(settings_at(wire.url))

        assert verdict == found["clock"].verdict
        assert re.match(finding, found["clock"].finding)
        assert ("set the clock" in found["clock"].remedy) == (verdict == "failure")

    @pytest.mark.parametrize("header", [{}, {"Date": "today"}], ids=["none", "nonsense"])
    def test_clock_is_not_checked_without_a_date_header(self, header: dict[str, str]) -> None:
        with Wire(http(**header)) as wire:
            found = examined(settings_at(wire.url))

        assert ("note", "not checked: no response has the server's time", "") == result_of(found, "clock")

    def test_slow_response_does_not_prove_a_wrong_clock(self) -> None:
        def respond_slowly(connection: socket.socket, head: str) -> None:
            response = http(Date=email.utils.formatdate(time.time() - 4.5, usegmt=True))
            time.sleep(1.5)
            connection.sendall(response)

        with Wire(respond_slowly) as wire:
            found = examined(settings_at(wire.url))

        assert "ok" == found["clock"].verdict

    def test_today_is_the_day_of_the_server(self) -> None:
        with simulated(faults=[Fault(path="/markets", clock=-2 * 86_400)]) as sandbox:
            examined(dict(sandbox.settings))
            asked = {request.path: dict(request.params) for request in sandbox.asked}

        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
        assert f"{then:%Y-%m-%d}" == asked["/orders/book/top"]["until"][:10]


class TestEntitlements:
    """Checks of the entitlements."""

    def test_refused_key_is_sent_once_to_each_api(self) -> None:
        with simulated() as sandbox:
            found = examined(dict(sandbox.settings), api_key="hush-hush-hush")

            assert 2 == sandbox.answered
        assert ["access"] == failed(found)
        assert "neither API accepts the key (401)" == found["access"].finding
        assert "not checked: see access" == found["intraday"].finding

    def test_403_from_both_apis_is_ambiguous(self) -> None:
        with simulated(faults=[Fault(path="*", times=None, status=403)]) as sandbox:
            found = examined(dict(sandbox.settings))

            assert 2 == sandbox.answered
        assert ["access"] == failed(found)
        assert "or it is throttled" in found["access"].finding

    def test_missing_entitlements_are_notes(self) -> None:
        with simulated(rights=Rights(private=False, books=False)) as sandbox:
            began = time.monotonic()
            found = examined(dict(sandbox.settings))
            took = time.monotonic() - began

        for name in ("own trades", "order books"):
            assert found[name].finding.startswith("the key is not entitled to them")
            assert ("note", "ask Trayport for them") == (found[name].verdict, found[name].remedy)
        assert [] == failed(found)
        assert took < 5  # seconds; a 403 is not retried after a wait

    @pytest.mark.parametrize(
        "right, wanted, verdict, finding",
        [
            (True, True, "ok", "the key is entitled to today, and Config.intraday is True"),
            (True, False, "note", "the key is entitled to today"),
            (False, True, "warning", "the key is not entitled to today, but Config.intraday is True"),
            (False, False, "note", "the key is not entitled to today: data end at 00:00 UTC"),
        ],
    )
    def test_intraday_entitlement_is_compared_with_the_setting(
        self, right: bool, wanted: bool, verdict: str, finding: str
    ) -> None:
        with simulated(rights=Rights(intraday=right), now=NOON) as sandbox:
            config = Config(**sandbox.settings, intraday=wanted, limiter="off")  # type: ignore[arg-type]
            with Client(config=config, clock=lambda: pd.Timestamp(NOON)) as client:
                found = {check.name: check for check in client.doctor().checks}

        assert (verdict, finding) == result_of(found, "intraday")[:2]
        assert bool(found["intraday"].remedy) == (not (right and wanted))

    def test_order_books_are_not_checked_for_a_product_without_entitlement(self) -> None:
        with simulated(rights=Rights(outside=frozenset({"TTF Hi Cal 51.6"}))) as sandbox:
            found = examined(dict(sandbox.settings))

        assert "note" == found["order books"].verdict
        assert found["order books"].finding.startswith("not checked: ")

    @pytest.mark.parametrize("body", ["[]", '{"a": 1}', "[1]"])
    def test_order_books_are_not_checked_with_invalid_reference_data(self, body: str) -> None:
        with simulated(faults=[Fault(path="/markets", body=body)]) as sandbox:
            found = examined(dict(sandbox.settings))

        assert found["order books"].finding.startswith("not checked: ")


class TestCommand:
    """The command ``trayport doctor``."""

    def environment(self, **settings: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAYPORT_")}
        return {**kept, **{f"TRAYPORT_{name.upper()}": value for name, value in settings.items()}}

    @pytest.mark.parametrize(
        "change, code, first",
        [({}, 0, None), ({"per_second": "0"}, 2, "settings")],
        ids=["healthy", "setting"],
    )
    def test_first_failure_decides_the_exit_code_of_the_program(
        self, home: Path, sandbox: Sandbox, change: dict[str, str], code: int, first: str | None
    ) -> None:
        environment = self.environment(**{**sandbox.settings, **change})
        command = [sys.executable, "-m", "trayport", "doctor"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

        assert (code, [first] if first else []) == (done.returncode, failed_lines(done.stdout)[:1]), done.stdout
        assert "" == done.stderr

    @pytest.mark.parametrize(
        "change, code, first",
        [
            ({"api_key": None}, 2, "key"),
            ({"api_key": "hush-hush-hush"}, 5, "access"),
            ({"reference_url": CLOSED_PORT}, 1, "reference API"),
            ({"reference_url": CLOSED_PORT, "api_key": '"hush-hush-hush"'}, 2, "key"),
            ({"ca_bundle": "/no/such.pem"}, 2, "certificates"),
        ],
        ids=["no-key", "refused", "away", "quotes", "bundle"],
    )
    def test_first_failure_decides_the_exit_code(
        self, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], change: dict[str, Any], code: int, first: str
    ) -> None:
        with DEFAULT.temporarily_configured():
            tp.configure(config=Config(**{**sandbox.settings, "limiter": "memory", **change}))
            returned = main(["doctor"])

        printed = capsys.readouterr()
        assert (code, [first]) == (returned, failed_lines(printed.out)[:1]), printed.out
        assert "" == printed.err
        assert "hush-hush-hush" not in printed.out

    def test_lines_are_printed_at_once(self, home: Path) -> None:
        with Wire(hang(30)) as wire:
            settings = {"api_key": "hush-hush-hush", "analytics_url": wire.url, "reference_url": wire.url}
            environment = self.environment(**settings, timeout="5,5")
            command = [sys.executable, "-m", "trayport", "doctor"]
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
                assert running.stdout is not None
                for line in running.stdout:
                    if line[6:].startswith("limit  "):
                        break
                came_early = running.poll() is None
                running.terminate()

        assert came_early

    @posix
    def test_ctrl_c_ends_the_command_at_once(self, home: Path) -> None:
        with Wire(hang(30)) as wire:
            settings = {"api_key": "hush-hush-hush", "analytics_url": wire.url, "reference_url": wire.url}
            environment = self.environment(**settings)
            command = [sys.executable, "-m", "trayport", "doctor"]
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
                while not wire.heads and running.poll() is None:
                    time.sleep(0.05)
                began = time.monotonic()
                running.send_signal(signal.SIGINT)
                _, printed = running.communicate(timeout=20)
                took = time.monotonic() - began

        assert (1, b"trayport: interrupted\n") == (running.returncode, printed)
        assert took < 4

    def test_help_lists_the_exit_codes(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["doctor", "--help"])

        text = " ".join(capsys.readouterr().out.split())
        assert "0 no failure; 1 an API cannot be reached" in text
        assert "5 the key is not accepted" in text


def test_control_characters_of_a_server_are_not_printed() -> None:
    check = Check("access", "failure", "\x1b[2J a\nb", "c\r\nd")

    assert "FAIL  access         [2J a b -> c d" == str(check)


def test_documentation_lists_every_check() -> None:
    page = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")
    listed = page.partition("## Checks")[2].partition("## In scripts")[0]

    assert [] == [name for name in NAMES if name not in listed]
