"""The API key of the tests, and a watch on the run: it fails if the key appears in output, logs, warnings or files."""

from __future__ import annotations

import base64
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

KEY = "canary-5e1f8b!c0ffee/9d3a"
"""The key: similar to no word, and spelled differently in a URL."""

_SPELLINGS = tuple({KEY, quote(KEY, safe=""), quote(KEY), base64.b64encode(KEY.encode()).decode().rstrip("=")})
_BYTES = tuple(spelling.lower().encode() for spelling in _SPELLINGS)
# Loggers that are watched at the level DEBUG.
_LOUD = ("trayport", "urllib3", "requests")


class Watch(logging.Handler):
    """Handler that looks for the key and records the places where it was found."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.found: list[str] = []

    def look(self, where: str, content: object) -> None:
        """Look into a text or into bytes."""
        data = content if isinstance(content, bytes) else str(content).encode("utf-8", "replace")
        if any(spelling in data.lower() for spelling in _BYTES) and where not in self.found:
            self.found.append(where)

    def emit(self, record: logging.LogRecord) -> None:
        """Look into a record, formatted and with all of its attributes."""
        self.look(f"a record of the logger {record.name}", f"{self.format(record)} {record.__dict__}")

    def look_into(self, folder: Path) -> None:
        """Look into every file of a folder, and into its name."""
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.look(f"the file {path}", path.name.encode() + b"\n" + path.read_bytes())


_watch = Watch()


def pytest_configure() -> None:
    """Start the watch."""
    logging.getLogger().addHandler(_watch)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG)


def pytest_unconfigure() -> None:
    logging.getLogger().removeHandler(_watch)


@pytest.fixture(scope="session", autouse=True)
def _watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Watch output that is not in the report of a test: text that the test captured, and output of programs."""
    with pytest.MonkeyPatch.context() as patch:
        captured, communicated = pytest.CaptureFixture.readouterr, subprocess.Popen.communicate

        def readouterr(self: Any) -> Any:
            read = captured(self)
            _watch.look("what a test captured", "\n".join(map(str, read)))
            return read

        def communicate(self: Any, *args: Any, **more: Any) -> Any:
            output = communicated(self, *args, **more)
            for each in output:
                _watch.look(f"what {self.args} printed", each or "")
            return output

        patch.setattr(pytest.CaptureFixture, "readouterr", readouterr)
        patch.setattr(subprocess.Popen, "communicate", communicate)
        yield
    _watch.look_into(tmp_path_factory.getbasetemp())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Look into the output of a test."""
    for title, text in report.sections:
        _watch.look(f"{title} of {report.nodeid}", text)


def pytest_warning_recorded(warning_message: Any, nodeid: str) -> None:
    """Look into a warning."""
    _watch.look(f"a warning in {nodeid}", warning_message.message)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the findings of a worker process of pytest-xdist."""
    _watch.found += [where for where in getattr(node, "workeroutput", {}).get("leaks", ()) if where not in _watch.found]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if the key was found."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker's exit status is not that of the run
        output["leaks"] = _watch.found
    if _watch.found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the places where the key was found."""
    if _watch.found:
        terminalreporter.section("the key got out", red=True)
        for where in _watch.found:
            terminalreporter.line(where)
