"""Runs of whole programs: examples, notebooks, benchmarks and a type checker."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_every_example_runs(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")

    assert len(capsys.readouterr().out.splitlines()) > 3


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
# The messages of a stopping kernel differ between its versions.
@pytest.mark.filterwarnings("ignore")
def test_every_notebook_runs_and_prints_its_saved_output(path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    saved = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    NotebookClient(fresh, timeout=120).execute()

    def texts(notebook: nbformat.NotebookNode) -> list[str]:
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        # The first time on a machine, matplotlib reports there that it builds its cache.
        shown = [output for output in outputs if output.get("name") != "stderr"]
        plain = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in shown]
        return [text for text in plain if "Figure" not in text and "int64" not in text]

    assert len(texts(saved)) > 5
    # Other versions of pandas print the same frames differently.
    assert texts(saved) == texts(fresh) or not pd.__version__.startswith("3.")


@pytest.mark.parametrize("module, word", [("benchmarks", "x pandas alone"), ("benchmarks.limiter", "longest wait")])
def test_the_benchmarks_run(module: str, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert 0 == done.returncode, done.stderr
    assert word in done.stdout


NOTEBOOK = """
import tempfile, trayport as tp
from trayport.sandbox import Fault, Sandbox
slowly = Fault(path="/trades", times=None, delay=0.15)
with Sandbox(limits=False, faults=[slowly]) as sandbox, tempfile.TemporaryDirectory() as folder:
    tp.configure(cache_dir=folder, limiter="off", workers=2, **sandbox.settings)
    rows = len(tp.trades("TTF Apr-24", "2022-10-01", "2024-02-01"))
"""


@pytest.mark.filterwarnings("ignore")  # the kernel's own farewell differs between its versions
def test_a_bar_is_shown_in_a_notebook_unasked() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(notebook, timeout=120).execute()
    [cell] = notebook.cells

    assert "/16" in "".join(output["text"] for output in cell.outputs if output.get("name") == "stderr")


def test_type_checkers_know_the_package_and_the_context_manager(tmp_path: Path) -> None:
    script = """
import trayport as tp
import trayport.sandbox as room
from trayport.sandbox import Asked, Sandbox
from trayport.testing import sandboxed

def paths(one: Sandbox, other: room.Sandbox) -> list[Asked]:
    return one.asked + other.asked

with room.Sandbox() as one, tp.sandbox.Sandbox() as other, sandboxed(seed=2) as third:
    reveal_type(third)
    paths(one, other) + third.asked
"""
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )

    assert 'script.py:11: note: Revealed type is "trayport.sandbox.server.Sandbox"' in done.stdout
    assert "Success: no issues found" in done.stdout
