"""The watch for the key: a run of tests fails wherever the key leaks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import canary

LEAKS = {
    "Captured stdout call of test_leak.py::test_print": "def test_print(): print(KEY)",
    "Captured stderr call of test_leak.py::test_error_stream":
    "def test_error_stream():\n    import sys\n    sys.stderr.write(KEY)",
    "what a test captured": "def test_read_back(capsys):\n    print(KEY)\n    capsys.readouterr()",
    "a record of the logger some.other":
    "def test_log():\n    import logging\n    logging.getLogger('some.other').warning('it is %s', KEY)",
    "Captured stdout call of test_leak.py::test_quoted":
    "def test_quoted():\n    from urllib.parse import quote\n    print(quote(KEY, safe=''))",
    "/leaked": "def test_file(tmp_path): (tmp_path / 'leaked').write_bytes(b'\\0' + KEY.encode())",
    "a warning in test_leak.py::test_warning": "def test_warning():\n    import warnings\n    warnings.warn(KEY)",
    "printed": "def test_program():\n    import subprocess, sys\n"
    "    subprocess.run([sys.executable, '-c', 'print(input())'], input=KEY, text=True, capture_output=True)",
}  # fmt: skip
"""Where a leaked key is found, and a test that leaks it there."""


def run_with_canary(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """Return the exit code and the output of a run of ``source`` that is watched for the key."""
    (folder / "test_leak.py").write_text(f"from support.canary import KEY\n{source}\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = "-m pytest -q -p support.canary -p no:cacheprovider --import-mode=importlib -c pytest.ini --basetemp=out"
    # Plugins of other packages only take time to load.
    bare = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = subprocess.Popen(
        [sys.executable, *command.split(), *options, "test_leak.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(canary.__file__).parent.parent), **bare},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, process.stdout as output:  # `communicate` is watched
        printed = output.read()
    shutil.rmtree(folder)  # this run must not find the keys that were leaked on purpose
    return process.returncode, printed


def test_run_without_a_leak_passes(tmp_path: Path) -> None:
    code, printed = run_with_canary(tmp_path, "def test(): assert KEY")

    assert (0, False) == (code, "the key got out" in printed), printed


@pytest.mark.parametrize("options", [(), ("-p", "xdist.plugin", "-n", "1")], ids=["one-process", "worker"])
def test_run_fails_wherever_a_key_leaks(options: tuple[str, ...], tmp_path: Path) -> None:
    code, printed = run_with_canary(tmp_path, "\n".join(LEAKS.values()), *options)

    assert 1 == code, printed
    assert f"{len(LEAKS)} passed" in printed
    found = printed.partition("the key got out")[2]
    assert [] == [where for where in LEAKS if where not in found], printed
