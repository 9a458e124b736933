"""``trayport sandbox``: output at the start and at the end, and options."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import requests

from trayport.cli import main
from trayport.sandbox import Sandbox, Switches
from trayport.sandbox.keys import KEYS
from trayport.sandbox.page import describe_rights


@contextmanager
def run_sandbox(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the output at the start, and the process."""
    command = [sys.executable, "-m", "trayport", "sandbox", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        text = ""
        while "print(tp" not in text and (line := process.stdout.readline()):
            text += line
        try:
            yield text, process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that are printed after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert 0 == process.returncode
    return rest.strip().splitlines()


def test_printed_lines_connect_python_and_shells_to_the_server(tmp_path: Path) -> None:
    unhurried = {"TRAYPORT_LIMITER": "off"}
    with run_sandbox("--no-limits") as (text, _):
        by_configure = run(
            section(text, "Python") + "\nprint(len(tp.trades('TTF Apr-24', '2024-02-05', '2024-02-07')))", unhurried
        )
        variables = dict(re.findall(r"^export (\w+)=(\S+)$", section(text, "bash"), re.MULTILINE))
        question = "import trayport as tp; print(len(tp.trades('TTF Apr-24', '2024-02-05', '2024-02-07')))"
        by_environment = run(question, {**variables, **unhurried, "XDG_CACHE_HOME": str(tmp_path)})

    assert {"TRAYPORT_API_KEY", "TRAYPORT_ANALYTICS_URL", "TRAYPORT_REFERENCE_URL"} == set(variables)
    assert [f'$env:{name} = "{value}"' for name, value in variables.items()] == section(text, "PowerShell").splitlines()
    assert "TTF Hi Cal 51.6* Apr-24" in by_configure
    assert int(by_configure.split()[-1]) == int(by_environment) > 100
    assert text.isascii()


@pytest.mark.skipif(os.name != "posix" or shutil.which("curl") is None, reason="needs bash and curl")
@pytest.mark.parametrize(
    "options", [[], ["--now", "2019-06-06T12:00+02:00", "--key", "sandbox-basic"], ["--now", "2010-01-01"]],
    ids=["as-it-is", "years-ago", "before-there-was-any"],
)  # fmt: skip
def test_printed_lines_for_curl_and_bash_work_unchanged(options: list[str], tmp_path: Path) -> None:
    with run_sandbox(*options) as (text, _):
        answer = shell(section(text, "curl"), tmp_path)
        questions = f'{sys.executable} -m trayport plan trades "TTF M+1" 2009-02-05 2009-02-06'
        planned = shell(f"{section(text, 'bash')}\n{questions}", tmp_path)

    assert "tradeId,venueCode,dealDate,price,quantity,aggressorBuy" == answer.splitlines()[0]
    assert (len(answer.splitlines()) > 10) is (options[-1:] != ["2010-01-01"])
    assert "Plan: trades" in planned


@pytest.mark.parametrize("now", ["2010-01-01", "2024-02-29", "2089-12-31T23:59:59Z"])
def test_lines_are_printed_for_any_time_of_the_clock(now: str) -> None:
    with run_sandbox("--now", now) as (text, _):
        assert 'print(tp.trades("TTF ' in section(text, "Python")


def test_keys_are_printed_with_their_entitlements() -> None:
    with run_sandbox("--key", "sandbox-intraday") as (text, _):
        pass

    assert "the lines below use sandbox-intraday" in text
    assert all(f"{name:<16}  entitled to {describe_rights(rights)}" in text for name, rights in KEYS.items())
    assert {"sandbox-intraday"} == set(re.findall(r"(?:KEY: |api_key=\"|API_KEY=|API_KEY = \")([\w-]+)", text))


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_ctrl_c_stops_the_server_and_prints_broken_rules() -> None:
    with run_sandbox("--no-limits") as (text, process):
        url = re.findall(r"http://\S+/api$", text, re.MULTILINE)[0]
        for path in ["/trades"] * 4 + ["/trade"] * 3 + ["/%1b[31m%C3%A9"] * 2 + ["/x"]:
            requests.get(url + path, headers={"X-API-KEY": "sandbox-key"})
        output = stop(process)

    assert [
        "Answered 10 requests; 10 rules broken.",
        "       4 x  /trades: from: The from field is required.; until: The until field is required.",
        "       3 x  /trade: the path /api/trade is not there",
        r"       2 x  /\x1b[31m\xe9: the path /api/\x1b[31m\xe9 is not there",
    ] == output


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_summary_of_long_requests_is_short() -> None:
    with run_sandbox() as (text, process):
        url = re.findall(r"http://\S+/api$", text, re.MULTILINE)[0]
        requests.get(f"{url}/{'x' * 50_000}", headers={"X-API-KEY": "sandbox-key"})
        output = stop(process)

    assert "Answered 1 request; 1 rule broken." == output[0]
    assert (2, True) == (len(output), len(output[1]) < 200)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_summary_without_requests() -> None:
    with run_sandbox() as (_, process):
        assert ["Answered 0 requests; 0 rules broken."] == stop(process)


def test_every_option_reaches_the_server() -> None:
    others = {field.name: field.metadata["others"][0] for field in attrs.fields(Switches)}
    switches = [f"--{name.replace('_', '-')}={position}" for name, position in others.items()]
    with run_sandbox(
        "--seed=4", "--volume=2", "--no-limits", "--now=2024-02-07T13:00+01:00", "--key=sandbox-basic", *switches
    ) as (text, _):
        page = requests.get(re.findall(r"http://\S+/$", text, re.MULTILINE)[0]).text

    assert "seed 4, volume 2, model" in page
    assert "2024-02-07 12:00:00 UTC, is fixed" in page
    assert "<dt>Limits</dt><dd>off</dd>" in page
    assert "<code>sandbox-basic</code> <em>in settings</em>" in page
    assert [] == [
        name
        for name, position in others.items()
        if f"<code>{name}</code></td><td><b>{position}</b> <em>not the default</em>" not in page
    ]


def test_faults_are_read_from_a_file(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\npath = "/trades"\nstatus = 503\n', encoding="utf-8")
    with run_sandbox("--faults", str(script)) as (text, _):
        url = re.findall(r"http://\S+/api$", text, re.MULTILINE)[0]
        answers = [requests.get(f"{url}/trades", headers={"X-API-KEY": "sandbox-key"}) for _ in range(2)]

    assert [503, 400] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("content", ["[[fault]\n", "[[fault]]\nsattus = 503\n", "[[fault]]\nstatus = 9000\n"])
def test_invalid_file_of_faults_is_refused(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(content, encoding="utf-8")

    assert 2 == main(["sandbox", "--port", "0", "--faults", str(script)])
    assert f"trayport: --faults: {script}" in capsys.readouterr().err


def test_missing_file_of_faults_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["sandbox", "--port", "0", "--faults", "nowhere.toml"])
    assert (
        "trayport: --faults nowhere.toml: No such file or directory; give a TOML file with [[fault]] tables\n"
        == capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "option, output",
    [
        ("--until=maybe", "argument --until: invalid choice: 'maybe' (choose from"),
        ("--throttling=500", "argument --throttling: invalid choice: 500 (choose from"),
        ("--seed=one", "argument --seed: 'one' must be a whole number, such as 1"),
        ("--now=noon", "argument --now: 'noon' must be a time in ISO 8601, such as 2024-02-07T12:00"),
        ("--now=0001-01-01T00:00+05:00", "must be a time in ISO 8601"),
        ("--key=mine", "argument --key: invalid choice: 'mine' (choose from"),
        ("--intraday", "unrecognized arguments: --intraday"),
    ],
)
def test_wrong_value_is_refused_with_the_allowed_ones(
    option: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sandbox", "--port", "0", option])

    assert 2 == stop.value.code
    assert output in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, output",
    [
        ("--volume=0", "trayport: volume=0 must be a whole number from 1 on\n"),
        ("--now=2009-12-31", "trayport: now=2009-12-31 00:00:00+00:00 must lie in the years 2010 to 2089\n"),
        ("--late=-1", "trayport: late=-1 must be a whole number from 0 to 10000\n"),
    ],
)
def test_value_out_of_bounds_is_refused(option: str, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["sandbox", "--port", "0", option])
    assert output == capsys.readouterr().err


def test_help_describes_every_switch(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sandbox", "--help"])
    text = " ".join(capsys.readouterr().out.split())

    assert text.isascii()
    for field in attrs.fields(Switches):
        text_ = field.metadata["help"].replace("`", "").removesuffix(".")
        assert re.search(rf"--{field.name.replace('_', '-')} \S+ {re.escape(text_)} \(default: {field.default}\)", text)


def test_port_in_use_is_refused_with_a_remedy(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    port = sandbox.url.rpartition(":")[2]

    assert 2 == main(["sandbox", "--port", port])
    assert f"cannot listen on port {port}" in (output := capsys.readouterr().err)
    assert "--port 0 takes any free port" in output


def test_invalid_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["sandbox", "--port", "99999"])
    assert "cannot listen on port 99999" in capsys.readouterr().err


def section(text: str, name: str) -> str:
    """Return the text below a heading of the output."""
    found = re.search(rf"^--- {name} ---\n(.*?)(?=\n\n---|\n*\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def shell(lines: str, home: Path) -> str:
    """Return the output of some lines in bash, with an empty home directory."""
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=60, env=environment)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def run(script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )
    assert "" == done.stderr
    return done.stdout
