"""Programs that tests start in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from trayport.sandbox import Sandbox


def environment(sandbox: Sandbox, cache: Path, **settings: str) -> dict[str, str]:
    """What leads a process to a sandbox."""
    given = {**sandbox.settings, "cache_dir": str(cache), **settings}
    return {**os.environ, **{f"TRAYPORT_{name.upper()}": value for name, value in given.items()}}


def printed(script: str, folder: Path, environment: dict[str, str]) -> str:
    """What a script says; it lies in a file, since processes that it spawns read it again."""
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=600, env=environment)
    assert 0 == done.returncode, done.stderr
    return done.stdout
