"""What is written for people is true: the README's code runs, its commands are CI's, the examples and notebooks run."""

from __future__ import annotations

import datetime
import inspect
import os
import re
from pathlib import Path

import pytest

import trayport
from trayport import Config, api
from trayport.config import settings_file
from trayport.testing import sandboxed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_every_piece_of_python_in_the_readme_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sandboxed():
        exec(compile(code, "README.md", "exec"), {})


def test_the_settings_file_in_the_readme_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(blocks("toml")[0], encoding="utf-8")
    path.chmod(0o600)
    try:
        config = Config.load(profile="night")
    finally:
        path.unlink()

    assert ("Europe/Amsterdam", 2, {"Power": "Germany Baseload*"}) == (config.tz, config.per_second, config.aliases)


def test_the_readme_begins_with_the_two_commands_and_their_windows_twins() -> None:
    assert [
        "python3 -m venv .venv && .venv/bin/pip install '.[plots]' && .venv/bin/trayport demo\n",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest\n",
    ] == blocks("sh")
    assert [
        r"py -3 -m venv .venv; .venv\Scripts\python -m pip install '.[plots]'; .venv\Scripts\trayport demo" + "\n",
        r"py -3 -m venv .venv; .venv\Scripts\python -m pip install -e '.[dev]'; .venv\Scripts\pytest" + "\n",
    ] == blocks("powershell")
    assert README.index("```sh") < README.index("```powershell") < README.index("```python")


def test_the_readme_says_whose_client_this_is_not() -> None:
    assert "not made, endorsed or supported by Trayport" in README


def test_every_public_function_has_an_example() -> None:
    functions = {
        "configure",
        "metrics",
        "plan",
        "sandbox",
        "save",
        "stream",
        "to_arrow",
        "to_polars",
        *(name for name, value in vars(api).items() if inspect.ismethod(value)),
    }
    scripts = {path.stem for path in (ROOT / "examples").glob("*.py")}

    assert functions - {"trades"} | {"first_trades"} == scripts


def test_the_changelog_ends_with_this_version_and_dates_fall() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    dates = [datetime.date.fromisoformat(date) for _, date in versions]

    assert trayport.__version__ == versions[0][0]
    assert dates == sorted(dates, reverse=True)
    assert "## [Unreleased]" in CHANGELOG


def test_ci_takes_the_commands_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "README.md" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK) or os.name != "posix"
