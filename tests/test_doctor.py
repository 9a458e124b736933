"""``doctor``: each thing that may be broken is broken for real, and has one line with one remedy."""

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
from support.tls import certified, needs_openssl, served
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

posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX' own")
not_root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write anywhere")
NOON = datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)
NOBODY = "https://127.0.0.1:9"

Settings = dict[str, Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that nothing has been kept in yet, with nothing that says whom to trust."""
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA",
                 "WIN_PD_OVERRIDE_APPDATA", "HOME"):  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@contextmanager
def simulated(*, rights: Rights | None = None, faults: Any = (), **more: Any) -> Iterator[Sandbox]:
    """A sandbox that knows the tests' key."""
    with Sandbox(key=KEY, keys={KEY: rights or Rights()}, limits=False, faults=faults, **more) as sandbox:
        yield sandbox


def look(settings: Settings, **more: Any) -> dict[str, Check]:
    """What a client with these settings is told, by the names of the checks; each of them is told once."""
    hooks = more.pop("hooks", ())
    with Client(config=Config(**{"limiter": "memory", **settings, **more}), hooks=hooks) as client:
        found = client.doctor().checks
    assert len(found) == len({check.name for check in found})
    assert all(check.remedy for check in found if check.verdict in ("warning", "failure"))
    return {check.name: check for check in found}


def far(url: str = NOBODY, **more: Any) -> Settings:
    return {"api_key": KEY, "analytics_url": url, "reference_url": url, **more}


def failing(found: dict[str, Check]) -> list[str]:
    return [name for name, check in found.items() if check.verdict == "failure"]


def told(found: dict[str, Check], name: str) -> tuple[str, str, str]:
    return found[name].verdict, found[name].finding, found[name].remedy


def failed_lines(printed: str) -> list[str]:
    """Return the names of the failed checks in what the command printed."""
    return [line[6:19].strip() for line in printed.splitlines() if line.startswith("FAIL")]


class TestHealth:
    """When all is well."""

    def test_a_healthy_sandbox_gives_no_warning(self, home: Path) -> None:
        with simulated() as sandbox:
            found = look(dict(sandbox.settings), limiter="file")

        assert {"ok", "note"} == {check.verdict for check in found.values()}
        assert list(NAMES) == list(found)

    def test_six_requests_are_made_and_each_takes_a_permit(self, home: Path) -> None:
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

    def test_the_flat_function_looks_at_the_default_client(self) -> None:
        with sandboxed() as sandbox:
            diagnosis = tp.doctor()

            assert 6 == sandbox.answered
        assert (True, "note") == (isinstance(diagnosis, Diagnosis), diagnosis.worst)

    def test_it_prints_a_line_a_check_below_each_other_in_ascii(self) -> None:
        with sandboxed():
            diagnosis = tp.doctor()
        lines = str(diagnosis).splitlines()

        assert (repr(diagnosis), len(diagnosis.checks)) == (str(diagnosis), len(lines))
        assert list(map(str, diagnosis.checks)) == lines
        assert {True} == {bool(re.match(r"(ok  |note|WARN|FAIL)  [\w ]{13}  \S", line)) for line in lines}
        assert str(diagnosis).isascii()

    def test_it_lives_at_the_clients_time(self) -> None:
        with sandboxed(now=datetime.datetime(2024, 2, 7, 12, 30, tzinfo=datetime.UTC), intraday=True) as sandbox:
            found = {check.name: check for check in tp.doctor().checks}
            asked = {request.path: dict(request.params) for request in sandbox.asked}

        assert ("ok", "ok") == (found["clock"].verdict, found["intraday"].verdict)
        assert "2024-02-07T12:30:00Z" == asked["/trades/activity"]["until"]
        assert "2024-02-07T00:00:00Z" == asked["/orders/book/top"]["until"]

    def test_in_the_first_minute_of_a_day_today_cannot_be_looked_at(self) -> None:
        with sandboxed(now=datetime.datetime(2024, 2, 7, 0, 0, 30, tzinfo=datetime.UTC)):
            found = {check.name: check for check in tp.doctor().checks}

        assert ("note", "not checked: the day has just begun; try again in a minute", "") == told(found, "intraday")

    def test_the_versions_are_told(self) -> None:
        found = look(far())

        assert f"trayport {tp.__version__}, Python " in found["versions"].finding
        assert f"pandas {pd.__version__}" in found["versions"].finding
        assert "brotli" in found["versions"].finding


class TestSettings:
    """Settings and key."""

    def test_without_a_key_it_says_how_to_give_one_and_looks_whether_there_is_a_way(self, home: Path) -> None:
        with simulated() as sandbox:
            found = look({name: value for name, value in sandbox.settings.items() if name != "api_key"})

            assert 2 == sandbox.answered
        assert ["key"] == failing(found)
        assert ("ok", "ok") == (found["reference API"].verdict, found["analytics API"].verdict)
        assert ("ok", "not checked: see key") == (found["clock"].verdict, found["limit"].finding)
        assert ("failure", "no API key") == told(found, "key")[:2]
        assert "TRAYPORT_API_KEY" in found["key"].remedy
        assert "not checked: see key" == found["access"].finding
        assert list(NAMES) == [*list(found)[:4], "limit folder", *list(found)[4:]]  # which this limiter needs none of

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
    def test_what_can_be_no_key_is_said_so_without_it(self, sandbox: Sandbox, key: str, finding: str) -> None:
        found = look(dict(sandbox.settings), api_key=key)

        assert ["key", "access"] == failing(found)
        assert finding == found["key"].finding

    def test_a_setting_out_of_its_bounds_is_told_with_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAYPORT_PER_SECOND", "99")
        monkeypatch.setenv("TRAYPORT_API_KEY", KEY)
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ["settings"] == failing(found)
        assert "per_second=99" in found["settings"].finding
        assert "correct it in TRAYPORT_PER_SECOND" == found["settings"].remedy
        assert "not checked: see settings" == found["order books"].finding

    def test_a_key_that_cannot_be_one_is_a_line_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAYPORT_API_KEY", "Bearer hush-hush-hush")
        with Client() as client:
            diagnosis = client.doctor()
        found = {check.name: check for check in diagnosis.checks}

        assert ["key"] == failing(found)
        assert "correct it in TRAYPORT_API_KEY" == found["key"].remedy
        assert "hush" not in repr(diagnosis)

    def test_a_settings_file_that_is_not_toml_is_named(self, home: Path) -> None:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text("per_second is 3", encoding="utf-8")
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ["settings"] == failing(found)
        assert f"{settings_file()} is not TOML" in found["settings"].finding

    def test_a_settings_file_that_plays_no_part_may_be_anything(self, home: Path) -> None:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text("per_second is 3", encoding="utf-8")
        found = look(far())

        assert "from code, or the keyring" == found["key"].finding

    @posix
    def test_a_key_that_others_can_read_comes_with_the_command(self, home: Path) -> None:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text('api_key = "hush-hush-hush"', encoding="utf-8")
        settings_file().chmod(0o644)
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}
        settings_file().unlink()

        assert ["settings"] == failing(found)
        assert f"run: chmod 600 {settings_file()}" == found["settings"].remedy

    def test_a_misspelt_variable_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAYPORT_PER_SECND", "3")
        with Client() as client:
            found = {check.name: check for check in client.doctor().checks}

        assert ("warning", "the environment variable TRAYPORT_PER_SECND is no setting",
                "did you mean TRAYPORT_PER_SECOND?") == told(found, "settings")  # fmt: skip

    def test_a_locked_keyring_is_a_warning_with_a_remedy(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
                "unlock the keyring, or give the key in TRAYPORT_API_KEY") == told(found, "settings")  # fmt: skip

    def test_a_closed_client_is_told_so(self) -> None:
        client = Client(config=Config(KEY))
        client.close()
        found = {check.name: check for check in client.doctor().checks}

        assert ("failure", "this client is closed", "make a new one") == told(found, "settings")

    @pytest.mark.parametrize("where", ["variable", "file", "settings"])
    def test_it_says_where_the_key_is(self, home: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
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
        found = look(far(api_key=text))

        assert ("ok", expected, "") == told(found, "key")


class TestFolders:
    """What is written to."""

    @posix
    @pytest.mark.parametrize("name", ["cache", "limit folder", "settings"])
    def test_one_that_is_open_to_others_comes_with_the_command(self, home: Path, name: str) -> None:
        folder = {
            "cache": home / "c" / "refdata-1",
            "limit folder": limits_folder(),
            "settings": settings_file().parent,
        }
        folder[name].mkdir(parents=True)
        folder[name].chmod(0o777)
        found = look(far(cache_dir=home / "c", limiter="file"))

        assert ("warning", f"run: chmod 700 {folder[name]}") == (found[name].verdict, found[name].remedy)
        others = [each for each in folder if found[each].verdict == "warning"]
        assert [name] == others

    def test_one_that_cannot_be_made_says_what_follows(self, home: Path) -> None:
        (home / "file").write_text("in the way", encoding="utf-8")
        found = look(far(cache_dir=home / "file"))

        assert "warning" == found["cache"].verdict
        assert f"{home / 'file' / 'refdata-1'} cannot be created: " in found["cache"].finding
        assert "TRAYPORT_CACHE_DIR" in found["cache"].remedy

    @posix
    @not_root
    def test_one_that_is_read_only_says_so(self, home: Path) -> None:
        (home / "c" / "refdata-1").mkdir(parents=True)
        (home / "c" / "refdata-1").chmod(0o500)
        found = look(far(cache_dir=home / "c"))

        assert "refdata-1 cannot be written to: Permission denied" in found["cache"].finding

    @posix
    @pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root can give a folder away")
    def test_one_of_another_user_is_not_used(self, home: Path) -> None:
        (home / "c" / "refdata-1").mkdir(parents=True)
        os.chown(home / "c" / "refdata-1", 12345, 12345)
        found = look(far(cache_dir=home / "c"))

        assert ("warning", f"{home / 'c' / 'refdata-1'} belongs to another user") == told(found, "cache")[:2]

    def test_nothing_is_left_in_them(self, home: Path) -> None:
        (home / "c" / "refdata-1").mkdir(parents=True, mode=0o700)
        found = look(far(cache_dir=home / "c"))

        assert "ok" == found["cache"].verdict
        assert [] == list((home / "c" / "refdata-1").iterdir())


class TestLimit:
    """Who shares it."""

    def test_one_that_cannot_be_shared_says_why(self, home: Path, sandbox: Sandbox) -> None:
        limits_folder().parent.mkdir(parents=True)
        limits_folder().write_text("in the way", encoding="utf-8")
        found = look(dict(sandbox.settings), limiter="file")

        assert ["warning"] * 2 == [found[name].verdict for name in ("limit folder", "limit")]
        assert f"this process has half of it for itself: {limits_folder()} cannot be used: " in found["limit"].finding
        assert str(limits_folder()) in found["limit"].remedy

    def test_the_second_look_still_knows_why(self, home: Path, sandbox: Sandbox) -> None:
        limits_folder().parent.mkdir(parents=True)
        limits_folder().write_text("in the way", encoding="utf-8")
        with Client(config=Config(**sandbox.settings)) as client:  # type: ignore[arg-type]
            first, second = ({check.name: check for check in client.doctor().checks} for _ in range(2))

        assert told(first, "limit") == told(second, "limit")

    def test_without_redis_behind_its_url_it_says_so(self) -> None:
        found = look(far(api_key="hush-hush-redis"), limiter="redis://:hush-hush@127.0.0.1:9/0")

        assert "warning" == found["limit"].verdict
        assert "start Redis there" in found["limit"].remedy
        assert "hush" not in found["limit"].finding

    def test_after_a_refusal_it_is_slowed(self, home: Path) -> None:
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
    def test_what_shares_nothing_is_a_note(self, sandbox: Sandbox, limiter: str, finding: str) -> None:
        found = look(dict(sandbox.settings), limiter=limiter)

        assert ("note", True) == (found["limit"].verdict, found["limit"].finding.startswith(finding))


class TestWay:
    """The way to the hosts."""

    def test_a_name_that_is_not_found(self) -> None:
        found = look(far("https://no-such-host.invalid"))

        assert ["reference API", "analytics API"] == failing(found)
        assert ("the name was not found: no-such-host.invalid has no address here",
                "check its spelling, the network and the VPN") == told(found, "analytics API")[1:]  # fmt: skip
        assert "not checked: no response has the server's time" == found["clock"].finding
        assert "not checked: see analytics API" == found["intraday"].finding

    def test_a_port_that_nobody_listens_at(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        found = look(far(f"https://127.0.0.1:{port}"))

        assert f"127.0.0.1 refused the connection at port {port}" in found["reference API"].finding
        assert "check reference_url, the network, the VPN and the proxy" == found["reference API"].remedy

    def test_one_api_alone_can_be_away(self) -> None:
        with simulated() as sandbox:
            found = look(dict(sandbox.settings), reference_url=NOBODY)

        assert ["reference API"] == failing(found)
        assert ("ok", "ok") == (found["access"].verdict, found["own trades"].verdict)
        assert "not checked: see reference API" == found["order books"].finding

    def test_a_server_that_says_nothing_is_not_waited_for_long(self) -> None:
        with Wire(hang(30)) as wire:
            began = time.monotonic()
            found = look(far(wire.url), timeout=(1.0, 0.3))
            took = time.monotonic() - began

            assert 2 == len(wire.heads)
        assert ["reference API", "analytics API"] == failing(found)
        assert took < 5

    def test_all_of_it_comes_to_an_end_where_there_is_no_leave_to_ask(self) -> None:
        with simulated() as sandbox, Client(config=Config(**sandbox.settings, limiter="memory")) as client:  # type: ignore[arg-type]
            client.session.rate_limiter.pause(60.0)
            began = time.monotonic()
            found = {check.name: check for check in examine(client, patience=0.5)}
            took = time.monotonic() - began

            assert 0 == sandbox.answered
        assert ["reference API", "analytics API"] == failing(found)
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
    def test_what_is_no_answer_is_asked_once_and_named(self, fault: Fault, finding: str) -> None:
        with simulated(faults=[fault]) as sandbox:
            found = look(dict(sandbox.settings))

            assert 2 == sandbox.answered
        assert ["reference API", "analytics API"] == failing(found)
        assert finding in found["reference API"].finding

    def test_a_429_is_not_waited_for(self) -> None:
        fault = Fault(path="*", times=None, status=429, headers={"Retry-After": "60"})
        with simulated(faults=[fault]) as sandbox:
            began = time.monotonic()
            found = look(dict(sandbox.settings))
            took = time.monotonic() - began

            assert 2 == sandbox.answered
        assert (["warning"] * 2, True) == (
            [found[f"{api} API"].verdict for api in ("reference", "analytics")],
            took < 5,
        )

    def test_a_proxy_that_wants_a_login_is_shown_without_its_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Wire(http(407, b"", Proxy_Authenticate="Basic")) as wire:
            monkeypatch.setenv("HTTPS_PROXY", wire.url.replace("//", "//me:hush-hush@"))
            found = look(far("https://no-such-host.invalid"))

            assert 2 == len(wire.heads)
            where = wire.url.replace("//", "//***@")
        assert f"{where} for both APIs, from the environment" == found["proxy"].finding
        assert "the proxy requires a login" in found["analytics API"].finding
        assert found["analytics API"].remedy.startswith("give it as HTTPS_PROXY=")
        assert "hush" not in str(found)

    def test_a_proxy_for_one_api_alone_is_said_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "a.invalid")
        found = look(far("https://a.invalid"), reference_url="https://b.invalid")

        assert "http://127.0.0.1:9 for the reference API, none for the analytics API" in found["proxy"].finding

    def test_a_proxy_that_cannot_be_one_is_a_failure_without_a_word_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://me:hush#hush@127.0.0.1:9")
        found = look(far("https://no-such-host.invalid"))

        assert ["proxy"] == failing(found)
        assert "hush" not in str(found)
        assert "not checked: see proxy" == found["analytics API"].finding

    @pytest.mark.parametrize("how", ["setting", "environment"])
    def test_a_bundle_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str) -> None:
        missing = tmp_path / "missing.pem"
        if how == "environment":
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(missing))
        found = look(far(**({"ca_bundle": missing} if how == "setting" else {})))

        assert ["certificates"] == failing(found)
        assert "missing.pem" in found["certificates"].finding

    @needs_openssl
    def test_an_unknown_certificate_and_then_a_known_one(self, tmp_path: Path) -> None:
        mine, other = certified(tmp_path / "mine"), certified(tmp_path / "other")
        with served(mine) as (port, tries):
            unknown = look(far(f"https://127.0.0.1:{port}", ca_bundle=other))
            assert 2 == len(tries)
            known = look(far(f"https://127.0.0.1:{port}", ca_bundle=mine))

        assert "the server's certificate is not trusted on this machine" in unknown["analytics API"].finding
        assert "set Config.ca_bundle or REQUESTS_CA_BUNDLE" in unknown["analytics API"].remedy
        assert f"those in {mine} (ca_bundle)" == known["certificates"].finding
        assert "ok" == known["analytics API"].verdict

    def test_the_systems_own_store_is_named(self) -> None:
        assert "(truststore)" in look(far())["certificates"].finding

    def test_without_truststore_it_is_certifis_list(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "truststore", None)

        assert look(far())["certificates"].finding.startswith("those of certifi, ")


class TestClock:
    """The Date header, against this machine's clock."""

    def dated(self, seconds: float) -> Callable[[socket.socket, str], None]:
        """Answers with a clock that is ahead by so many seconds."""

        def answer(connection: socket.socket, head: str) -> None:
            connection.sendall(http(Date=email.utils.formatdate(time.time() + seconds, usegmt=True)))

        return answer

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
    def test_it_is_wrong_from_five_seconds_on(self, ahead: int, verdict: str, finding: str) -> None:
        with Wire(self.dated(ahead)) as wire:
            found = look(far(wire.url))

        assert verdict == found["clock"].verdict
        assert re.match(finding, found["clock"].finding)
        assert ("set the clock" in found["clock"].remedy) == (verdict == "failure")

    @pytest.mark.parametrize("header", [{}, {"Date": "today"}], ids=["none", "nonsense"])
    def test_without_a_date_it_is_not_checked(self, header: dict[str, str]) -> None:
        with Wire(http(**header)) as wire:
            found = look(far(wire.url))

        assert ("note", "not checked: no response has the server's time", "") == told(found, "clock")

    def test_a_slow_answer_is_no_proof(self) -> None:
        def slowly(connection: socket.socket, head: str) -> None:
            said = http(Date=email.utils.formatdate(time.time() - 4.5, usegmt=True))
            time.sleep(1.5)
            connection.sendall(said)

        with Wire(slowly) as wire:
            found = look(far(wire.url))

        assert "ok" == found["clock"].verdict

    def test_what_is_today_is_the_servers_to_say(self) -> None:
        with simulated(faults=[Fault(path="/markets", clock=-2 * 86_400)]) as sandbox:
            look(dict(sandbox.settings))
            asked = {request.path: dict(request.params) for request in sandbox.asked}

        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
        assert f"{then:%Y-%m-%d}" == asked["/orders/book/top"]["until"][:10]


class TestRights:
    """What the key may see."""

    def test_a_key_that_is_not_accepted_is_asked_with_twice_and_no_more(self) -> None:
        with simulated() as sandbox:
            found = look(dict(sandbox.settings), api_key="hush-hush-hush")

            assert 2 == sandbox.answered
        assert ["access"] == failing(found)
        assert "neither API accepts the key (401)" == found["access"].finding
        assert "not checked: see access" == found["intraday"].finding

    def test_a_403_to_everything_may_be_either(self) -> None:
        with simulated(faults=[Fault(path="*", times=None, status=403)]) as sandbox:
            found = look(dict(sandbox.settings))

            assert 2 == sandbox.answered
        assert ["access"] == failing(found)
        assert "or it is throttled" in found["access"].finding

    def test_missing_rights_are_notes_that_say_whom_to_ask(self) -> None:
        with simulated(rights=Rights(private=False, books=False)) as sandbox:
            began = time.monotonic()
            found = look(dict(sandbox.settings))
            took = time.monotonic() - began

        for name in ("own trades", "order books"):
            assert found[name].finding.startswith("the key is not entitled to them")
            assert ("note", "ask Trayport for them") == (found[name].verdict, found[name].remedy)
        assert [] == failing(found)
        assert took < 5  # a 403 is not waited for

    @pytest.mark.parametrize(
        "right, wanted, verdict, finding",
        [
            (True, True, "ok", "the key is entitled to today, and Config.intraday is True"),
            (True, False, "note", "the key is entitled to today"),
            (False, True, "warning", "the key is not entitled to today, but Config.intraday is True"),
            (False, False, "note", "the key is not entitled to today: data end at 00:00 UTC"),
        ],
    )
    def test_the_right_to_today_is_held_against_the_settings(
        self, right: bool, wanted: bool, verdict: str, finding: str
    ) -> None:
        with simulated(rights=Rights(intraday=right), now=NOON) as sandbox:
            config = Config(**sandbox.settings, intraday=wanted, limiter="off")  # type: ignore[arg-type]
            with Client(config=config, clock=lambda: pd.Timestamp(NOON)) as client:
                found = {check.name: check for check in client.doctor().checks}

        assert (verdict, finding) == told(found, "intraday")[:2]
        assert bool(found["intraday"].remedy) == (not (right and wanted))

    def test_a_product_that_the_key_may_not_see_says_nothing_of_books(self) -> None:
        with simulated(rights=Rights(outside=frozenset({"TTF Hi Cal 51.6"}))) as sandbox:
            found = look(dict(sandbox.settings))

        assert "note" == found["order books"].verdict
        assert found["order books"].finding.startswith("not checked: ")

    @pytest.mark.parametrize("body", ["[]", '{"a": 1}', "[1]"])
    def test_reference_data_that_make_no_sense_are_a_line(self, body: str) -> None:
        with simulated(faults=[Fault(path="/markets", body=body)]) as sandbox:
            found = look(dict(sandbox.settings))

        assert found["order books"].finding.startswith("not checked: ")


class TestCommand:
    """``trayport doctor``"""

    def environment(self, **settings: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAYPORT_")}
        return {**kept, **{f"TRAYPORT_{name.upper()}": value for name, value in settings.items()}}

    @pytest.mark.parametrize(
        "change, code, first",
        [({}, 0, None), ({"per_second": "0"}, 2, "settings")],
        ids=["healthy", "setting"],
    )
    def test_exit_code_of_a_program_is_decided_by_the_first_failure(
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
            ({"reference_url": NOBODY}, 1, "reference API"),
            ({"reference_url": NOBODY, "api_key": '"hush-hush-hush"'}, 2, "key"),
            ({"ca_bundle": "/no/such.pem"}, 2, "certificates"),
        ],
        ids=["no-key", "refused", "away", "quotes", "bundle"],
    )
    def test_exit_code_is_decided_by_the_first_failure(
        self, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], change: dict[str, Any], code: int, first: str
    ) -> None:
        with DEFAULT.temporarily_configured():
            tp.configure(config=Config(**{**sandbox.settings, "limiter": "memory", **change}))
            returned = main(["doctor"])

        printed = capsys.readouterr()
        assert (code, [first]) == (returned, failed_lines(printed.out)[:1]), printed.out
        assert "" == printed.err
        assert "hush-hush-hush" not in printed.out

    def test_lines_are_printed_as_soon_as_they_are_known(self, home: Path) -> None:
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
    def test_ctrl_c_ends_it_at_once(self, home: Path) -> None:
        with Wire(hang(30)) as wire:
            settings = {"api_key": "hush-hush-hush", "analytics_url": wire.url, "reference_url": wire.url}
            environment = self.environment(**settings)
            command = [sys.executable, "-m", "trayport", "doctor"]
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
                while not wire.heads and running.poll() is None:
                    time.sleep(0.05)
                began = time.monotonic()
                running.send_signal(signal.SIGINT)
                _, said = running.communicate(timeout=20)
                took = time.monotonic() - began

        assert (1, b"trayport: interrupted\n") == (running.returncode, said)
        assert took < 4

    def test_its_help_tells_the_exit_codes(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["doctor", "--help"])

        text = " ".join(capsys.readouterr().out.split())
        assert "0 no failure; 1 an API cannot be reached" in text
        assert "5 the key is not accepted" in text


def test_what_a_server_says_moves_no_cursor_and_keeps_to_its_line() -> None:
    check = Check("access", "failure", "\x1b[2J a\nb", "c\r\nd")

    assert "FAIL  access         [2J a b -> c d" == str(check)


def test_its_page_names_every_check() -> None:
    page = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")
    listed = page.partition("## Checks")[2].partition("## In scripts")[0]

    assert [] == [name for name in NAMES if name not in listed]
