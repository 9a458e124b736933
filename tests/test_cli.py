"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import trayport
from trayport import NotAllowed, PartialDataError, QueryError, TrayportError, UnknownContract
from trayport.cli import exit_code, main
from trayport.cli.demo import daily_vwap
from trayport.sandbox import Sandbox


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (0, f"trayport {trayport.__version__}\n") == (ended.value.code, capsys.readouterr().out)


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    assert 0 == ended.value.code
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in ["sandbox", "demo"])


@pytest.mark.parametrize("arguments", [["fly"], ["sandbox", "--port", "http"]])
def test_a_wrong_command_is_refused_with_the_right_ones(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert 2 == ended.value.code
    assert "usage: trayport" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    assert f"usage: trayport {command}" in capsys.readouterr().out


class TestDemo:
    """``trayport demo``"""

    @pytest.fixture
    def output(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        assert 0 == main(["demo"])
        return capsys.readouterr().out

    def test_it_shows_the_plan_the_frame_the_prices_and_a_chart(self, output: str, tmp_path: Path) -> None:
        assert "Plan: trades, 2 requests" in output
        assert "2024-01-08 to 2024-02-09  TTF Hi Cal 51.6* Apr-24 and 2 more" in output
        assert all(name in output for name in ("venue_code", "aggressor_buy", "trade_id"))
        assert re.search(r"2024-01-08 +\d\d\.\d+ +\d\d\.\d+ +\d\d\.\d+", output)
        chart = tmp_path / "trayport-demo.png"
        assert f"Chart: {chart}" in output
        assert chart.read_bytes().startswith(b"\x89PNG")

    def test_it_speaks_plain_ascii_as_old_consoles_do(self, output: str) -> None:
        assert output.isascii()

    def test_without_matplotlib_a_sentence_stands_for_the_chart(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in list(sys.modules):
            if name.partition(".")[0] == "matplotlib":
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "matplotlib", None)

        assert 0 == main(["demo"])
        assert "No chart: charts need matplotlib: pip install 'trayport[plots]'." in capsys.readouterr().out
        assert [] == list(tmp_path.iterdir())

    def test_a_folder_that_cannot_be_written_costs_only_the_chart(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "trayport-demo.png").mkdir()

        assert 0 == main(["demo"])
        assert "cannot be written" in capsys.readouterr().out

    def test_the_daily_price_is_weighted_by_quantity(self, client: Any) -> None:
        frame = client.trades(["TTF Apr-24", "TTF May-24"], "2024-02-05", "2024-02-07")
        table = daily_vwap(frame)
        one = frame[(frame["contract"] == "TTF Hi Cal 51.6* May-24") & (frame.index < "2024-02-06")]

        assert (["2024-02-05", "2024-02-06"], ["TTF Hi Cal 51.6* Apr-24", "TTF Hi Cal 51.6* May-24"]) == (
            table.index.tolist(),
            table.columns.tolist(),
        )
        expected = (one["price"] * one["quantity"]).sum() / one["quantity"].sum()
        assert expected == pytest.approx(table.loc["2024-02-05", "TTF Hi Cal 51.6* May-24"])


class TestSandbox:
    """``trayport sandbox``"""

    @pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
    def test_its_lines_lead_to_it_and_ctrl_c_ends_it(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "trayport", "sandbox", "--port", "0", "--no-limits"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            while "tp.trades" not in lines[-1]:
                lines.append(process.stdout.readline())
            text = "".join(lines)
            variables = dict(re.findall(r"export (\w+)=(\S+)", text))
            script = re.search(r"Python\n(.*)", text, re.DOTALL)
            assert script is not None
            python = "\n".join(line.removeprefix("  ") for line in script[1].splitlines())
            by_configure = run(python.replace("tp.trades", "print(len(tp.trades").rstrip() + "))", {})
            question = "import trayport as tp; print(len(tp.trades('TTF Apr-24', '2024-02-05', '2024-02-07')))"
            by_environment = run(question, {**variables, "XDG_CACHE_HOME": str(tmp_path)})
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()

        assert {"TRAYPORT_API_KEY", "TRAYPORT_ANALYTICS_URL", "TRAYPORT_REFERENCE_URL"} == set(variables)
        assert [f'$env:{name} = "{value}"' in text for name, value in variables.items()] == [True] * 3
        assert int(by_configure) == int(by_environment) > 100
        assert (0, True) == (process.returncode, "Good-bye" in rest)
        assert text.isascii()

    def test_a_port_that_is_taken_is_refused_with_the_way_out(
        self, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        port = sandbox.url.rpartition(":")[2]

        assert 2 == main(["sandbox", "--port", port])
        assert f"cannot listen on port {port}" in (said := capsys.readouterr().err)
        assert "--port 0 takes any free one" in said

    def test_a_port_that_cannot_be_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert 2 == main(["sandbox", "--port", "99999"])
        assert "cannot listen on port 99999" in capsys.readouterr().err


def run(script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )
    assert "" == done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "error, code",
    [
        (QueryError("no"), 2),
        (UnknownContract("TFT"), 2),
        (NotAllowed("trades", 401), 5),
        (PartialDataError(pd.DataFrame(), (), print), 3),
        (TrayportError("no"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: TrayportError, code: int) -> None:
    assert code == exit_code(error)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_ctrl_c_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trayport", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert ("trayport: interrupted", 1) == (said.strip().splitlines()[-1][:21], process.returncode)
    assert "Traceback" not in said


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run([sys.executable, "-m", "trayport", "--version"], capture_output=True, text=True, check=True)

    assert f"trayport {trayport.__version__}" == done.stdout.strip()


@pytest.mark.skipif(os.name != "posix", reason="there is no head on Windows")
def test_a_reader_that_has_seen_enough_is_no_crash(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m trayport demo | head -1'
    began = time.monotonic()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)

    assert ("", True) == (done.stderr, time.monotonic() - began < 60)
