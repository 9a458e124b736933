"""Documents agree with the code: their code and settings work, every function has an example, links lead to files."""

from __future__ import annotations

import datetime
import inspect
import os
import re
from pathlib import Path

import pytest
from attrs import fields

import trayport
from trayport import Config, api
from trayport.config import settings_file
from trayport.testing import sandboxed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language in the README."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_code_in_the_readme_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sandboxed():
        exec(compile(code, "README.md", "exec"), {})


def test_settings_file_in_the_readme_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(blocks("toml")[0], encoding="utf-8")
    path.chmod(0o600)
    try:
        config = Config.load(profile="night")
    finally:
        path.unlink()

    assert ("Europe/Amsterdam", 2, {"Power": "Germany Baseload*"}) == (config.tz, config.per_second, config.aliases)


def test_readme_begins_with_the_two_commands_for_posix_and_windows() -> None:
    assert [
        "python3 -m venv .venv && .venv/bin/pip install '.[plots]' && .venv/bin/trayport demo\n",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest\n",
    ] == blocks("sh")
    assert [
        r"py -3 -m venv .venv; .venv\Scripts\python -m pip install '.[plots]'; .venv\Scripts\trayport demo" + "\n",
        r"py -3 -m venv .venv; .venv\Scripts\python -m pip install -e '.[dev]'; .venv\Scripts\pytest" + "\n",
    ] == blocks("powershell")
    assert README.index("```sh") < README.index("```powershell") < README.index("```python")


def test_readme_has_the_disclaimer() -> None:
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


def test_changelog_has_the_current_version_and_falling_dates() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    dates = [datetime.date.fromisoformat(date) for _, date in versions]

    assert trayport.__version__ == versions[0][0]
    assert dates == sorted(dates, reverse=True)
    assert "## [Unreleased]" in CHANGELOG


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "README.md" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK) or os.name != "posix"


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings in a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_to_files_and_headings(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.read_text(encoding="utf-8"))
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links
        for target in [(document.parent / path) if path else document]
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]

    assert [] == broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_in_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    variables = {f"TRAYPORT_{attribute.name.upper()}" for attribute in fields(Config)}
    unknown = [
        *(name for name in re.findall(r"\btp\.(\w+)", text) if not hasattr(trayport, name)),
        *(name for name in re.findall(r"\bConfig\.(\w+)", text) if not hasattr(Config, name)),
        *set(re.findall(r"\bTRAYPORT_[A-Z_]+\b", text)) - variables - {"TRAYPORT_API_KEY_FILE", "TRAYPORT_PROFILE"},
    ]

    assert [] == unknown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_pages_of_the_guide_are_linked_to_its_description(document: Path) -> None:
    mentions = r"(?<!\")guide,? p+\. ?\d+\b(?!\]\((?:docs/)?sources\.md\))"  # but for the example in quotes

    assert [] == re.findall(mentions, document.read_text(encoding="utf-8"))
