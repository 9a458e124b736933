"""Helpers for users' own tests: flat functions on a sandbox, and the fixture."""

from __future__ import annotations

import datetime
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pandas as pd
import pytest

import trayport as tp
from trayport import Config
from trayport.api import DEFAULT
from trayport.sandbox import Sandbox, Switches
from trayport.testing import sandboxed

ROOT = Path(__file__).parent.parent
DAY = ("TTF Apr-24", "2024-02-05", "2024-02-06")


def test_flat_functions_use_a_new_sandbox_within_the_block() -> None:
    with sandboxed() as sandbox:
        frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        asked = [request.path for request in sandbox.asked]

    assert len(frame) > 100
    assert ("/trades", 1) == (asked[-1], asked.count("/trades"))


def test_configuration_is_restored_after_the_block() -> None:
    with DEFAULT.temporarily_configured():
        tp.configure(api_key="mine", tz="Europe/Paris")
        with sandboxed(tz="Europe/London"):
            assert "Europe/London" == DEFAULT.config.tz
        assert ("mine", "Europe/Paris") == (DEFAULT.config.require_key().reveal(), DEFAULT.config.tz)


def test_configuration_is_restored_after_an_exception() -> None:
    with DEFAULT.temporarily_configured():
        tp.configure(tz="Europe/Paris")
        with pytest.raises(ZeroDivisionError), sandboxed():
            _ = 1 / 0
        assert "Europe/Paris" == DEFAULT.config.tz


def test_blocks_may_be_nested() -> None:
    with sandboxed() as outer, sandboxed() as inner:
        tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

        assert ([], True) == (outer.asked, len(inner.asked) > 0)


def test_settings_are_passed_to_the_client() -> None:
    with sandboxed(aliases={"Gas": "TTF Hi Cal 51.6*"}):
        assert "TTF Hi Cal 51.6* Apr-24" == tp.resolve("Gas Apr-24").name


def test_unknown_setting_is_refused() -> None:
    with pytest.raises(tp.ConfigError, match="'timezone'"), sandboxed(timezone="UTC"):
        pass  # pragma: no cover


def test_module_is_an_attribute_of_the_package() -> None:
    assert sandboxed is tp.testing.sandboxed


def test_arguments_are_passed_to_the_sandbox() -> None:
    with sandboxed(seed=7, tz="Europe/Paris") as seven, sandboxed(until="inclusive", volume=3) as three:
        assert ("exclusive", "inclusive") == (seven.switches.until, three.switches.until)
        assert len(tp.trades(*DAY)) > 1000


def test_intraday_client_has_an_entitled_key() -> None:
    now = datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)
    with sandboxed(intraday=True, now=now):
        assert pd.Timestamp("2024-02-07T10:59", tz="UTC") < tp.trades("TTF Apr-24", "2024-02-07").index[-1]
    with sandboxed(intraday=True, key="sandbox-key", now=now), pytest.raises(tp.IntradayNotAllowed):
        tp.trades("TTF Apr-24", "2024-02-07")


def test_flat_functions_use_the_sandboxs_time() -> None:
    with sandboxed(now=datetime.datetime(2024, 2, 7, 12)) as sandbox:  # noqa: DTZ001
        assert datetime.date(2024, 2, 6) == tp.trades("TTF Apr-24", "2024-02-05").index[-1].date()
        sandbox.now = datetime.datetime(2024, 2, 9, 0, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
        assert datetime.date(2024, 2, 7) == tp.trades("TTF Apr-24", "2024-02-05").index[-1].date()
        sandbox.now = None
        assert datetime.date(2024, 3, 1) < tp.trades("TTF Apr-24", "2024-02-26").index[-1].date()
    with sandboxed():
        assert datetime.date(2024, 3, 1) < tp.trades("TTF Apr-24", "2024-02-26").index[-1].date()


def test_two_sandboxes_are_independent() -> None:
    with sandboxed() as first:
        first_trades = tp.trades(*DAY)
        with sandboxed(seed=2) as second:
            assert first.url != second.url
            assert not first_trades.equals(tp.trades(*DAY))


def test_sandbox_alone_does_not_change_the_flat_functions() -> None:
    with DEFAULT.temporarily_configured():
        tp.configure(api_key="mine")
        with Sandbox():
            assert "mine" == DEFAULT.config.require_key().reveal()


def test_block_leaves_no_cache_and_no_server() -> None:
    with sandboxed() as sandbox, tp.Client(config=DEFAULT.config) as client:
        tp.trades(*DAY)
        folder, url = DEFAULT.config.cache_dir, sandbox.analytics_url
        assert folder is not None
        assert [] != list(folder.iterdir())

    assert not folder.exists()
    with pytest.raises(tp.QueryError, match="closed"):
        client.trades(*DAY)
    with (
        tp.Client(config=Config("k", analytics_url=url, reference_url=url, attempts=1)) as late,
        pytest.raises(tp.ConnectionFailed),
    ):
        late.instruments()


def test_settings_and_arguments_of_the_sandbox_are_given_together() -> None:
    with sandboxed(tz="Europe/Amsterdam", until="inclusive", seed=2, key="sandbox-basic"):
        assert "Europe/Amsterdam" == DEFAULT.config.tz
        assert "Europe/Amsterdam" == str(tp.trades(*DAY).index.tz)
        with pytest.raises(tp.NotFound):  # that key is not entitled to EUA
            tp.trades("EUA Dec-24", *DAY[1:])


@pytest.mark.parametrize(
    "given, limiter",
    [({}, "off"), ({"limits": True}, "memory"), ({"limits": True, "limiter": "off"}, "off")],
)
def test_client_limits_its_rate_only_if_the_sandbox_does(given: dict[str, Any], limiter: str) -> None:
    with sandboxed(**given):
        assert limiter == DEFAULT.config.limiter


def test_unknown_name_is_refused_with_all_known_names() -> None:
    with pytest.raises(tp.ConfigError, match="'sed' is no setting of Config") as refused, sandboxed(sed=2):
        pass  # pragma: no cover

    assert [] == [name for name in ("aliases", "seed", "until", "late") if name not in str(refused.value)]


@pytest.mark.parametrize("given", [{"until": "maybe"}, {"volume": 0}, {"key": "mine"}, {"per_second": 0}])
def test_invalid_value_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be|is none of"), sandboxed(**given):
        pass  # pragma: no cover


def test_no_name_is_a_setting_of_the_client_and_an_argument_of_the_sandbox() -> None:
    settings = {field.name for field in attrs.fields(Config)}
    switches = {field.name for field in attrs.fields(Switches)}
    arguments = set(inspect.signature(Sandbox).parameters)

    assert (set(), set(), set()) == (settings & switches, settings & arguments, switches & arguments)


def test_package_is_imported_at_first_use() -> None:
    script = """
import sys
import trayport as tp
assert "trayport.sandbox" not in sys.modules
first = tp.sandbox
import trayport.sandbox as room
from trayport.sandbox import Sandbox
print(room is first, tp.sandbox.Sandbox is Sandbox, callable(room))
"""
    assert "True True False\n" == run_script(script)


SUITE = """
import trayport as tp

def report():
    return len(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))

def test_report_has_every_trade(trayport_sandbox):
    tp.configure(tz="Europe/Amsterdam")
    assert report() > 100
    assert ["/trades"] == [one.path for one in trayport_sandbox.asked if one.api == "/api"]
    assert [] == trayport_sandbox.violations

def test_each_test_has_a_new_sandbox(trayport_sandbox):
    assert [] == trayport_sandbox.asked
    assert "UTC" == str(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06").index.tz)

def test_without_the_fixture_there_is_no_key():
    try:
        report()
    except tp.ConfigError as error:
        assert "no API key" in str(error)
    else:
        raise AssertionError
"""


class TestFixture:
    """Tests of ``trayport_sandbox``."""

    @pytest.mark.parametrize(
        "conftest",
        [
            pytest.param("from trayport.testing import trayport_sandbox", id="imported"),
            pytest.param('pytest_plugins = ["trayport.testing"]', id="plugin"),
        ],
    )
    def test_users_tests_run_with_the_fixture(self, conftest: str, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
        (tmp_path / "test_report.py").write_text(SUITE, encoding="utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers"]
        done = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=120
        )

        assert "3 passed" in done.stdout, done.stdout + done.stderr
        assert 0 == done.returncode

    def test_pytest_lists_the_fixture(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "pytest", "--fixtures", "-p", "trayport.testing", "-p", "no:cacheprovider"]
        done = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=120
        )

        summary = "Sandbox to which the flat functions send their requests during the test."
        assert re.search(f"trayport_sandbox -- .+testing.py:\\d+\n +{summary}", done.stdout)

    def test_only_the_fixture_needs_pytest(self) -> None:
        script = """
import sys
sys.modules["pytest"] = None
import inspect, trayport.testing
print("trayport_sandbox" in dict(inspect.getmembers(trayport.testing)))
with trayport.testing.sandboxed() as sandbox:
    print(sandbox.asked)
try:
    from trayport.testing import trayport_sandbox
except ImportError as error:
    print("trayport_sandbox" in str(error))
"""
        assert "False\n[]\nTrue\n" == run_script(script)

    def test_context_manager_does_not_import_pytest(self) -> None:
        script = "import sys, trayport as tp\nwith tp.testing.sandboxed(): print('pytest' in sys.modules)"

        assert "False\n" == run_script(script)

    def test_unknown_attribute_raises_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'sandboxes'"):
            _ = tp.testing.sandboxes  # type: ignore[attr-defined]


def run_script(script: str) -> str:
    """Return the output of a program."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment without settings of the package, with the variables that a process needs."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "COMSPEC", "PATHEXT")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {**found, "HOME": str(home), "USERPROFILE": str(home), "APPDATA": str(home), "LOCALAPPDATA": str(home)}
