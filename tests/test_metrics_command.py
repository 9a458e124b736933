"""``trayport metrics``: the rate limit and the counts of several processes, on one page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support import canary
from support.metrics import LABELS, Page, read, summed

from trayport.cli import main
from trayport.sandbox import Sandbox

SCRIPT = """
import trayport as tp
from trayport.metrics import Prometheus
tp.configure(hooks=[Prometheus(tp.status)])
tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
print(tp.status().counts.attempts)
"""


class TestCommand:
    """``trayport metrics``."""

    @pytest.fixture
    def env(self, sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
        """The environment of processes that share a rate limit and a folder for their counts."""
        (tmp_path / "counts").mkdir()
        folders = ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "WIN_PD_OVERRIDE_LOCAL_APPDATA")
        return {
            **os.environ,
            **dict.fromkeys(folders, str(tmp_path)),
            **{f"TRAYPORT_{name.upper()}": value for name, value in sandbox.settings.items()},
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts"),
        }

    @contextmanager
    def serving(self, env: Mapping[str, str], *options: str) -> Iterator[tuple[str, list[str], Any]]:
        """Run the command; yield its URL, its first lines and its process."""
        command = [sys.executable, "-m", "trayport", "metrics", "--port", "0", *options]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(env)
        ) as process:
            assert process.stderr is not None
            lines = [process.stderr.readline().rstrip() for _ in range(3)]
            try:
                yield lines[0].split()[3].rstrip("."), lines, process
            finally:
                process.kill()

    def scrape(self, url: str) -> Page:
        response = requests.get(url, timeout=60)
        assert 200 == response.status_code
        assert canary.KEY not in response.text
        return read(response.text)

    def query_in_processes(self, env: Mapping[str, str], processes: int) -> list[int]:
        """Run a query in several processes at once; return the number of attempts of each."""
        started = [
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=dict(env),
            )
            for _ in range(processes)
        ]
        outputs = [process.communicate(timeout=300) for process in started]
        assert [""] * processes == [errors for _, errors in outputs]
        return [int(out) for out, _ in outputs]

    def test_page_has_the_shared_rate_limit_and_the_sum_of_all_processes_until_ctrl_c(
        self, env: dict[str, str]
    ) -> None:
        with self.serving(env, "--address", "localhost") as (url, lines, process):
            before = self.scrape(url)
            attempts = self.query_in_processes(env, 2)
            page = self.scrape(url)
            if os.name == "posix":  # on Windows, no signal is a Ctrl-C
                process.send_signal(signal.SIGINT)
                assert ("", "") == process.communicate(timeout=60)
                assert 0 == process.returncode

        assert url.startswith(("http://127.0.0.1:", "http://[::1]:"))
        assert re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):\d+/metrics", url)
        assert f"  counts  the sum of all processes in {env['PROMETHEUS_MULTIPROC_DIR']}" == lines[2]
        assert [0, 0] == [before["trayport_limiter_used_permits", ()], summed(before, "trayport_requests_total")]
        assert min(attempts) > 0
        assert sum(attempts) == summed(page, "trayport_requests_total")
        assert sum(attempts) == summed(page, "trayport_request_duration_seconds_count")
        assert 2 == summed(page, "trayport_requests_total", endpoint="trades", status="200")
        assert 0 == page["trayport_analytics_breaker_state", ()]
        assert [sum(attempts), 360, 1] == [
            page[f"trayport_limiter_{name}", ()] for name in ("used_permits", "permits_per_minute", "shared")
        ]
        assert LABELS == {label for _, labels in page for label, _ in labels}

    def test_page_has_the_rate_limit_alone_without_a_folder(self, env: dict[str, str]) -> None:
        del env["PROMETHEUS_MULTIPROC_DIR"]
        with self.serving(env) as (url, lines, _):
            page = self.scrape(url)

        assert {"trayport_limiter"} == {"_".join(name.split("_")[:2]) for name, _ in page}
        assert lines[1].startswith("  limit   file: 3 in 0.5 s")
        assert lines[2].startswith("  counts  none: set PROMETHEUS_MULTIPROC_DIR to a folder")
        assert url.startswith("http://127.0.0.1:")

    def test_page_has_the_counts_alone_without_a_key_and_the_folder_may_be_created_later(
        self, env: dict[str, str]
    ) -> None:
        folder = Path(env["PROMETHEUS_MULTIPROC_DIR"])
        folder.rmdir()
        without_key = {name: value for name, value in env.items() if name != "TRAYPORT_API_KEY"}
        with self.serving(without_key) as (url, lines, _):
            before = self.scrape(url)
            folder.mkdir()
            attempts = self.query_in_processes(env, 1)
            after = self.scrape(url)

        assert lines[1].startswith("  limit   none: no API key")
        assert f"  counts  none yet: PROMETHEUS_MULTIPROC_DIR={folder} is no folder" in lines[2]
        assert [0, *attempts] == [summed(page, "trayport_requests_total") for page in (before, after)]
        assert 1 == summed(after, "trayport_requests_total", endpoint="trades")
        assert [] == [name for name, _ in after if name.startswith("trayport_limiter")]

    def test_page_has_the_rate_limit_of_one_process_despite_a_damaged_file_of_counts(self, env: dict[str, str]) -> None:
        (Path(env["PROMETHEUS_MULTIPROC_DIR"]) / "counter_1.db").write_bytes(b"")
        with self.serving({**env, "TRAYPORT_LIMITER": "memory"}) as (url, lines, process):
            page = self.scrape(url)
            process.kill()
            _, errors = process.communicate(timeout=60)

        assert lines[1].endswith("and this page shows only the one of this process")
        assert 0 == page["trayport_limiter_shared", ()]
        assert 360 == page["trayport_limiter_permits_per_minute", ()]
        assert f"TrayportWarning: no counts from {env['PROMETHEUS_MULTIPROC_DIR']}" in errors

    def test_neither_key_nor_folder_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

        assert 2 == main(["metrics", "--port", "0"])
        assert "trayport: no API key" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "options, message",
        [
            (["--port", "PORT"], "cannot listen on port PORT of 127.0.0.1: "),
            (["--port", "99999"], "cannot listen on port 99999 of 127.0.0.1: "),
            (["--port", "0", "--address", "256.0.0.1"], "cannot listen on port 0 of 256.0.0.1: "),
        ],
        ids=["used-port", "too-high-port", "invalid-address"],
    )
    def test_address_that_cannot_be_used_has_a_remedy(
        self,
        options: list[str],
        message: str,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("TRAYPORT_API_KEY", "any")
        used = sandbox.url.rpartition(":")[2]

        assert 2 == main(["metrics", *(option.replace("PORT", used) for option in options)])
        errors = capsys.readouterr().err
        assert f"trayport: {message.replace('PORT', used)}" in errors
        assert "--port 0 takes any free port" in errors
