"""Parts that the stages share: environments, the sandbox's process, the search for the key, and the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field
from support.canary import KEY, Watch

HERE = Path(__file__).parent


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a user with an empty home in ``folder``, with settings as TRAYPORT_* variables."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("TRAYPORT_", "XDG_", "AIRFLOW", "SPARK")) and not name.lower().endswith("_proxy")
    }
    home = folder / "home"
    home.mkdir(exist_ok=True)
    keyring = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    given = {f"TRAYPORT_{name.upper()}": text for name, text in settings.items()}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(HERE.parent), **keyring, **given}


@define
class Server:
    """A sandbox in a process of its own."""

    process: subprocess.Popen[str]
    settings: dict[str, Any]
    """The settings that connect a client to it, the key included."""
    counts: dict[str, Any] = field(factory=dict)
    """Counts of requests, statuses, violations and connections, once it has ended."""

    @property
    def violations(self) -> list[str]:
        """The violations of the API's rules, once it has ended."""
        return [name for name in self.counts if name.startswith("violation")]

    def interrupt(self, seconds: float) -> None:
        """Close the sandbox for some seconds, so that connections are refused."""
        assert self.process.stdin
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()


@contextmanager
def served(folder: Path, name: str, **options: Any) -> Iterator[Server]:
    """Run a sandbox until the block ends; its log is ``NAME.log`` in the folder."""
    command = [sys.executable, str(HERE / "server.py"), json.dumps(options)]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(folder)
        )
        try:
            assert process.stdout
            server = Server(process, {"api_key": KEY, **json.loads(process.stdout.readline())})
            yield server
            server.counts.update(json.loads(process.communicate(timeout=60)[0]))
        finally:
            process.kill()
            process.wait()


@define
class Verdict:
    """The checks of a stage: each is printed, and one that fails makes the stage fail at its end."""

    failed: int = 0

    def check(self, passed: bool, sentence: str) -> None:
        """Print a check with its result."""
        self.failed += not passed
        print(f"{'ok  ' if passed else 'FAIL'}  {sentence}", flush=True)

    def check_key(self, folder: Path) -> None:
        """Search all files of a folder for the key: logs, outputs, caches, databases."""
        watch = Watch()
        watch.look_into(folder)
        files = sum(path.is_file() for path in folder.rglob("*"))
        self.check(not watch.found, f"the key is in none of {files} files; found in: {watch.found or 'none'}")

    def close(self) -> None:
        """Exit with status 1 if a check failed."""
        if self.failed:
            sys.exit(f"{self.failed} checks failed")
