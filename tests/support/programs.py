"""Scripts that tests run in other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from trayport.sandbox import Sandbox


def environment(sandbox: Sandbox, cache: Path, **settings: str) -> dict[str, str]:
    """Return an environment with the settings of a sandbox."""
    given = {**sandbox.settings, "cache_dir": str(cache), **settings}
    return {**os.environ, **{f"TRAYPORT_{name.upper()}": value for name, value in given.items()}}


def printed(script: str, folder: Path, environment: dict[str, str]) -> str:
    """Return the output of a script, which is run from a file since processes that it spawns import it again."""
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=600, env=environment)
    assert 0 == done.returncode, done.stderr
    return done.stdout
