"""Metrics: what Prometheus is told of each attempt and of the limit, by one process or by many, and the dashboard."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families
from support import canary

from trayport import Client, Config, ConfigError, RequestEvent, ServerError, Status
from trayport.cli import main
from trayport.config import Rate
from trayport.metrics import Prometheus
from trayport.sandbox import Fault, Sandbox
from trayport.status import Counts, LimitStatus, Pool
from trayport.typing import BreakerState

ROOT = Path(__file__).parent.parent
DAYS = ("TTF Apr-24", "2024-02-05", "2024-02-06")
LABELS = {"endpoint", "status", "le"}

Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""What a scrape brings: each sample by its name and its labels."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def text_of(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def read(text: str) -> Page:
    """The page as Prometheus reads it, without what prometheus_client adds."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def summed(page: Page, name: str, **labels: str) -> float:
    """All samples of a name that have these labels."""
    return sum(value for (own, of), value in page.items() if own == name and labels.items() <= dict(of).items())


def having(page: Page, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name by the values of their labels."""
    return {tuple(value for _, value in labels): value for (own, labels), value in page.items() if own == name}


def event(**given: Any) -> RequestEvent:
    """An attempt, with what does not matter filled in."""
    usual = {
        "id": "0-1", "endpoint": "trades", "api": "analytics", "attempt": 1, "waited": 0.0, "elapsed": 0.2,
        "status": 200, "bytes_received": 10, "bytes_decoded": 40,
    }  # fmt: skip
    return RequestEvent(**{**usual, **given})


def status(analytics: BreakerState = "closed", **given: Any) -> Status:
    """How a client stands, with what does not matter filled in."""
    usual = {
        "kind": "file", "rates": (Rate(6, 1.0), Rate(360, 60.0)), "used": 12, "share": 1.0, "slowed_until": None,
        "waiting": 3,
    }  # fmt: skip
    return Status(
        LimitStatus(**{**usual, **given}), {"analytics": analytics, "reference": "closed"}, Pool(0, 8, 0), Counts()
    )


class TestOneProcess:
    """What a hook counts"""

    def test_every_attempt_is_counted_as_the_hooks_saw_it(self, make_client: Any, registry: CollectorRegistry) -> None:
        seen: list[RequestEvent] = []
        faults = [Fault(path="/trades", status=503, times=1), Fault(path="/trades", reset=True, times=1)]
        with Sandbox(limits=False, faults=faults) as server:
            make_client(server, hooks=[seen.append, Prometheus(registry=registry)]).trades(*DAYS)
        page = read(text_of(registry))

        assert [("503", None), ("None", "ServerError 503"), ("200", "ConnectionFailed")] == [
            (str(each.status), each.retry_reason) for each in seen if each.endpoint == "trades"
        ]
        told = [(each.endpoint, str(each.status).replace("None", "none")) for each in seen]
        assert Counter(told) == having(page, "trayport_requests_total")
        assert {("trades", "503"): 1, ("trades", "none"): 1} == having(page, "trayport_errors_total")
        assert {("trades", "none"): 1, ("trades", "200"): 1} == having(page, "trayport_retries_total")
        for name, field in [
            ("trayport_received_bytes_total", "bytes_received"),
            ("trayport_decoded_bytes_total", "bytes_decoded"),
            ("trayport_request_duration_seconds_sum", "elapsed"),
            ("trayport_wait_duration_seconds_sum", "waited"),
        ]:
            expected: Counter[tuple[str, ...]] = Counter()
            for each in seen:
                expected[(each.endpoint,)] += getattr(each, field)
            assert pytest.approx(expected) == having(page, name)

    def test_times_fall_into_buckets_from_a_moment_to_minutes(self, registry: CollectorRegistry) -> None:
        hook = Prometheus(registry=registry)
        for elapsed, waited in [(0.004, 0.0), (0.3, 100.0), (70.0, 400.0)]:
            hook(event(elapsed=elapsed, waited=waited))
        page = read(text_of(registry))

        latency = having(page, "trayport_request_duration_seconds_bucket")
        waits = having(page, "trayport_wait_duration_seconds_bucket")
        assert [1, 1, 2, 2, 3] == [latency["trades", le] for le in ("0.01", "0.25", "0.5", "60.0", "+Inf")]
        assert [1, 1, 2, 2, 3] == [waits["trades", le] for le in ("0.01", "60.0", "120.0", "300.0", "+Inf")]

    def test_the_only_labels_are_the_endpoint_and_the_status_and_the_key_is_nowhere(
        self, make_client: Any, registry: CollectorRegistry
    ) -> None:
        client = make_client()
        asking = make_client(hooks=[Prometheus(client.status, registry)])
        asking.trades(*DAYS)
        asking.last_trade("TTF Apr-24", at="2024-02-05T16:00")
        text = text_of(registry)

        assert LABELS == {label for _, labels in read(text) for label, _ in labels}
        assert {"endpoint", "status"} == {
            label for name, labels in read(text) for label, _ in labels if not name.endswith("_bucket")
        }
        assert canary.KEY == client.config.require_key().reveal()
        assert canary.KEY not in text
        assert "TTF" not in text

    def test_prometheus_reads_the_page_in_both_of_its_formats(self, registry: CollectorRegistry) -> None:
        used(registry)
        old = {family.name for family in text_string_to_metric_families(text_of(registry))}
        new = {
            family.name
            for family in parser.text_string_to_metric_families(exposition.generate_latest(registry).decode())
        }

        assert {name for name in old if not name.endswith("_created")} == new

    def test_it_counts_what_several_threads_and_clients_ask(
        self, make_client: Any, registry: CollectorRegistry
    ) -> None:
        seen: list[RequestEvent] = []
        for _ in range(2):
            client = make_client(hooks=[Prometheus(registry=registry), seen.append])
            client.trades("TTF Apr-24", "2023-06-01", "2023-12-01")

        page = read(text_of(registry))
        assert len(seen) == summed(page, "trayport_requests_total")
        assert 12 == summed(page, "trayport_requests_total", endpoint="trades")


class TestTheLimit:
    """What is asked at each scrape"""

    def test_each_scrape_asks_how_the_limit_stands(self, registry: CollectorRegistry) -> None:
        now = [status()]
        Prometheus(lambda: now[0], registry)
        before = read(text_of(registry))
        now[0] = status(kind="private", rates=(Rate(6, 2.0), Rate(360, 120.0)), used=40, share=0.5, waiting=0)
        after = read(text_of(registry))

        names = ["used_permits", "permits_per_minute", "share_ratio", "waiting", "shared"]
        assert [12, 360, 1, 3, 1] == [before[f"trayport_limiter_{name}", ()] for name in names]
        assert [40, 180, 0.5, 0, 0] == [after[f"trayport_limiter_{name}", ()] for name in names]

    def test_the_strictest_rate_is_what_a_minute_has_room_for(self, registry: CollectorRegistry) -> None:
        Prometheus(lambda: status(rates=(Rate(2, 1.0), Rate(360, 60.0))), registry)

        assert 120 == read(text_of(registry))["trayport_limiter_permits_per_minute", ()]

    def test_where_there_is_no_limit_no_number_stands_for_it(
        self, make_client: Any, registry: CollectorRegistry
    ) -> None:
        Prometheus(make_client().status, registry)
        names = {name for name, _ in read(text_of(registry)) if name.startswith("trayport_limiter")}

        assert "trayport_limiter_used_permits" in names
        assert "trayport_limiter_permits_per_minute" not in names

    @pytest.mark.parametrize("wrong", ["no key", "closed"])
    def test_where_nobody_can_tell_there_are_the_counts_all_the_same(
        self, wrong: str, sandbox: Sandbox, registry: CollectorRegistry
    ) -> None:
        client = Client(config=Config(sandbox.key if wrong == "closed" else None))
        if wrong == "closed":
            client.close()
        Prometheus(client.status, registry)(event())
        page = read(text_of(registry))

        assert {("trades", "200"): 1} == having(page, "trayport_requests_total")
        assert [] == [name for name, _ in page if name.startswith("trayport_limiter")]

    def test_a_scrape_may_choose_its_gauges_too(self, registry: CollectorRegistry) -> None:
        Prometheus(status, registry)
        chosen = registry.restricted_registry(["trayport_limiter_waiting"])

        assert [("trayport_limiter_waiting", 3)] == [
            (sample.name, sample.value) for family in chosen.collect() for sample in family.samples
        ]

    def test_it_asks_nothing_until_it_is_scraped(self, registry: CollectorRegistry) -> None:
        asked: list[int] = []

        def told() -> Status:
            asked.append(1)
            return status()

        Prometheus(told, registry)(event())
        assert 0 == len(asked)
        generate_latest(registry)
        assert 1 == len(asked)


class TestTheBreakers:
    """0 closed, 1 half-open, 2 open"""

    @pytest.mark.parametrize("state, number", [("closed", 0), ("half-open", 1), ("open", 2)])
    def test_a_breaker_is_as_the_last_attempt_left_it(
        self, state: BreakerState, number: int, registry: CollectorRegistry
    ) -> None:
        hook = Prometheus(registry=registry)
        hook(event(breaker="half-open"))
        hook(event(breaker=state))
        hook(event(breaker="open", api="reference", endpoint="markets"))

        assert [number, 2] == [
            read(text_of(registry))[f"trayport_{api}_breaker_state", ()] for api in ("analytics", "reference")
        ]

    def test_with_a_status_it_is_as_it_stands_at_the_scrape(self, registry: CollectorRegistry) -> None:
        hook = Prometheus(lambda: status("half-open"), registry)
        hook(event(breaker="open", status=503, error="ServerError"))

        assert 1 == read(text_of(registry))["trayport_analytics_breaker_state", ()]

    def test_one_that_opened_shows(self, make_client: Any, registry: CollectorRegistry) -> None:
        with Sandbox(limits=False, faults=[Fault(path="/trades", status=503, times=None)]) as server:
            client = make_client(server, hooks=[Prometheus(registry=registry)], attempts=1, progress=False)
            for day in range(1, 5):
                with pytest.raises(ServerError):
                    client.trades("TTF Apr-24", f"2024-02-0{day}", f"2024-02-0{day + 1}")
            before = read(text_of(registry))
            with pytest.warns(UserWarning, match="left alone"), pytest.raises(ServerError):
                client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        after = read(text_of(registry))

        assert [0, 2] == [page["trayport_analytics_breaker_state", ()] for page in (before, after)]
        assert 0 == after["trayport_reference_breaker_state", ()]


class TestMadeTwice:
    """A cell of a notebook that is run again, and clients side by side"""

    def test_the_counts_go_on(self, registry: CollectorRegistry) -> None:
        Prometheus(registry=registry)(event())
        Prometheus(registry=registry)(event())

        assert {("trades", "200"): 2} == having(read(text_of(registry)), "trayport_requests_total")

    def test_the_limit_is_that_of_the_last_status(self, registry: CollectorRegistry) -> None:
        Prometheus(lambda: status(used=1), registry)
        Prometheus(lambda: status(used=2), registry)
        Prometheus(registry=registry)

        assert 2 == read(text_of(registry))["trayport_limiter_used_permits", ()]

    def test_registries_do_not_disturb_each_other(self, registry: CollectorRegistry) -> None:
        other = CollectorRegistry()
        Prometheus(registry=registry)(event())
        Prometheus(registry=other)

        assert {} == having(read(text_of(other)), "trayport_requests_total")

    def test_without_a_registry_it_is_what_prometheus_client_serves(self) -> None:
        done = run(
            "import prometheus_client, trayport as tp\n"
            "from trayport.metrics import Prometheus\n"
            "for _ in range(2): tp.configure(hooks=[Prometheus(tp.status)])\n"
            "print(prometheus_client.generate_latest().decode())"
        )

        assert "" == done.stderr
        assert 0 == read(done.stdout)["trayport_analytics_breaker_state", ()]


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, **variables}
    )


class TestRefused:
    """What cannot be counted"""

    def test_a_status_that_was_called_already_is_refused(self, registry: CollectorRegistry) -> None:
        with pytest.raises(ConfigError, match="must be a function such as trayport.status, without brackets"):
            Prometheus(status(), registry)  # type: ignore[arg-type]

    def test_a_registry_that_is_none_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="registry='it' must be a CollectorRegistry of prometheus_client"):
            Prometheus(status, "it")  # type: ignore[arg-type]

    def test_without_the_extra_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)

        with pytest.raises(ConfigError, match=r"pip install 'trayport\[metrics\]'"):
            Prometheus()

    def test_without_the_extra_the_room_and_the_help_are_there_and_the_command_says_what_to_install(self) -> None:
        without = "import sys; sys.modules['prometheus_client'] = None\n"
        done = run(
            f"{without}import trayport.metrics\nfrom trayport.cli import main\nsys.exit(main(['metrics']))",
            TRAYPORT_API_KEY="any",
        )

        assert 2 == done.returncode
        assert "trayport: metrics need the package prometheus-client: pip install 'trayport[metrics]'\n" == done.stderr

    def test_a_folder_for_many_processes_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        script = "from trayport import ConfigError\nfrom trayport.metrics import Prometheus\ntry: Prometheus()\n"
        done = run(f"{script}except ConfigError as error: print(error)", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "no"))

        assert "" == done.stderr
        assert "PROMETHEUS_MULTIPROC_DIR must name a folder that exists and can be written" in done.stdout


ASKING = """
import trayport as tp
from trayport.metrics import Prometheus
tp.configure(hooks=[Prometheus(tp.status)])
tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
print(tp.status().counts.attempts)
"""


class TestCommand:
    """``trayport metrics``"""

    @pytest.fixture
    def home(self, sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
        """The environment of processes that share a ledger, and a folder for their counts."""
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
        """Where it serves, what it said at its start, and the process itself."""
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

    def scraped(self, url: str) -> Page:
        answer = requests.get(url, timeout=30)
        assert 200 == answer.status_code
        assert canary.KEY not in answer.text
        return read(answer.text)

    def ask(self, home: Mapping[str, str], processes: int) -> list[int]:
        """The attempts that each of so many processes made, side by side."""
        started = [
            subprocess.Popen(
                [sys.executable, "-c", ASKING],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=dict(home),
            )
            for _ in range(processes)
        ]
        ended = [process.communicate(timeout=60) for process in started]
        assert [""] * processes == [said for _, said in ended]
        return [int(out) for out, _ in ended]

    def test_it_serves_the_limit_that_all_share_and_the_sum_of_what_all_counted(self, home: dict[str, str]) -> None:
        with self.serving(home) as (url, lines, _):
            before = self.scraped(url)
            attempts = self.ask(home, 2)
            page = self.scraped(url)

        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", url)
        assert f"  counts  the sum of all processes in {home['PROMETHEUS_MULTIPROC_DIR']}" == lines[2]
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

    def test_without_the_folder_there_is_the_limit_and_how_to_get_the_rest(self, home: dict[str, str]) -> None:
        del home["PROMETHEUS_MULTIPROC_DIR"]
        with self.serving(home) as (url, lines, _):
            page = self.scraped(url)

        assert {"trayport_limiter"} == {"_".join(name.split("_")[:2]) for name, _ in page}
        assert lines[1].startswith("  limit   file: 3 in 0.5 s")
        assert lines[2].startswith("  counts  none: set PROMETHEUS_MULTIPROC_DIR to a folder")

    def test_a_folder_that_is_not_there_yet_may_come_later(self, home: dict[str, str]) -> None:
        folder = Path(home["PROMETHEUS_MULTIPROC_DIR"])
        folder.rmdir()
        with self.serving(home) as (url, lines, _):
            before = self.scraped(url)
            folder.mkdir()
            attempts = self.ask(home, 1)
            after = self.scraped(url)

        assert f"  counts  none yet: PROMETHEUS_MULTIPROC_DIR={folder} is no folder" in lines[2]
        assert [0, *attempts] == [summed(page, "trayport_requests_total") for page in (before, after)]

    def test_without_a_key_there_are_the_counts(self, home: dict[str, str]) -> None:
        self.ask(home, 1)
        del home["TRAYPORT_API_KEY"]
        with self.serving(home) as (url, lines, _):
            page = self.scraped(url)

        assert lines[1].startswith("  limit   none: no API key")
        assert 1 == summed(page, "trayport_requests_total", endpoint="trades")
        assert [] == [name for name, _ in page if name.startswith("trayport_limiter")]

    def test_without_either_there_is_nothing_to_serve(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

        assert 2 == main(["metrics", "--port", "0"])
        assert "trayport: no API key." in capsys.readouterr().err

    def test_a_limit_of_each_process_alone_is_said_to_be_so(self, home: dict[str, str]) -> None:
        with self.serving({**home, "TRAYPORT_LIMITER": "memory"}) as (url, lines, _):
            page = self.scraped(url)

        assert lines[1].endswith("and this page shows only the one of this process")
        assert 0 == page["trayport_limiter_shared", ()]

    def test_a_damaged_file_costs_the_counts_and_not_the_limit(self, home: dict[str, str]) -> None:
        (Path(home["PROMETHEUS_MULTIPROC_DIR"]) / "counter_1.db").write_bytes(b"")
        with self.serving(home) as (url, _, process):
            page = self.scraped(url)
            process.kill()
            _, said = process.communicate(timeout=30)

        assert 360 == page["trayport_limiter_permits_per_minute", ()]
        assert f"TrayportWarning: no counts from {home['PROMETHEUS_MULTIPROC_DIR']}" in said

    @pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
    def test_ctrl_c_ends_it_without_a_word(self, home: dict[str, str]) -> None:
        with self.serving(home) as (url, _, process):
            self.scraped(url)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=30)

        assert (0, ("", "")) == (process.returncode, said)

    def test_it_listens_where_it_is_told(self, home: dict[str, str]) -> None:
        with self.serving(home, "--address", "localhost") as (url, _, _):
            page = self.scraped(url)

        assert 360 == page["trayport_limiter_permits_per_minute", ()]
        assert url.startswith(("http://127.0.0.1:", "http://[::1]:"))

    @pytest.mark.parametrize(
        "options, said",
        [
            (["--port", "PORT"], "cannot listen on port PORT of 127.0.0.1: "),
            (["--port", "99999"], "cannot listen on port 99999 of 127.0.0.1: "),
            (["--port", "0", "--address", "256.0.0.1"], "cannot listen on port 0 of 256.0.0.1: "),
        ],
        ids=["taken", "too-high", "no-address"],
    )
    def test_where_it_cannot_listen_it_says_the_way_out(
        self,
        options: list[str],
        said: str,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("TRAYPORT_API_KEY", "any")
        taken = sandbox.url.rpartition(":")[2]

        assert 2 == main(["metrics", *(option.replace("PORT", taken) for option in options)])
        told = capsys.readouterr().err
        assert f"trayport: {said.replace('PORT', taken)}" in told
        assert "--port 0 takes any free one" in told


def used(registry: CollectorRegistry) -> str:
    """The page of a hook that saw everything once, and a limit."""
    hook = Prometheus(status, registry)
    hook(event())
    hook(event(attempt=2, status=None, error="TimedOut", retry_reason="ServerError 503"))
    hook(event(endpoint="markets", api="reference"))
    return text_of(registry)


DASHBOARD: dict[str, Any] = json.loads((files("trayport.metrics") / "dashboard.json").read_text(encoding="utf-8"))
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool, which Debian's package prometheus has"
)


def as_asked(query: str) -> str:
    """What Grafana sends for it."""
    return query.replace("$__rate_interval", "5m").replace("$instance", ".*")


class TestDashboard:
    """``dashboard.json``"""

    def test_every_panel_says_what_it_shows_and_in_which_unit(self) -> None:
        for panel in DASHBOARD["panels"]:
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]

    def test_panels_have_places_of_their_own(self) -> None:
        covered = Counter(
            (x, y)
            for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )

        assert {1} == set(covered.values())
        assert max(x for x, _ in covered) < 24
        assert len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})

    def test_the_source_of_the_data_is_chosen_above_the_panels(self) -> None:
        source, instance = DASHBOARD["templating"]["list"]

        assert ("datasource", "datasource", "prometheus") == (source["type"], source["name"], source["query"])
        assert "instance" == instance["name"]
        sources = [panel["datasource"] for panel in DASHBOARD["panels"]]
        sources += [target["datasource"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
        assert [{"type": "prometheus", "uid": "${datasource}"}] * len(sources) == sources

    @pytest.mark.parametrize("query", QUERIES)
    def test_a_query_asks_for_what_is_exported(self, query: str, registry: CollectorRegistry) -> None:
        exported: dict[str, set[str]] = {}
        for name, labels in read(used(registry)):
            exported.setdefault(name, {"instance", "job"}).update(label for label, _ in labels)
        names = re.findall(r"trayport_\w+", query)
        by = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
        chosen = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query))

        assert names
        for name in names:
            assert by | chosen <= exported[name]

    @pytest.mark.parametrize("query", QUERIES)
    def test_a_rate_is_over_grafanas_interval_and_of_a_counter(self, query: str) -> None:
        counters = re.findall(r"trayport_\w+_(?:total|bucket)\b", query)

        assert counters == re.findall(r"rate\((trayport_\w+)\{instance=~\"\$instance\"\}\[\$__rate_interval\]\)", query)

    def test_everything_that_is_exported_is_shown_but_for_what_the_histograms_add(
        self, registry: CollectorRegistry
    ) -> None:
        shown = set(re.findall(r"trayport_\w+", json.dumps(DASHBOARD["panels"])))
        exported = {name for name, _ in read(used(registry)) if not name.endswith(("_seconds_sum", "_seconds_count"))}

        assert exported - {"trayport_limiter_shared"} == shown

    @needs_promtool
    def test_promtool_understands_every_query(self, tmp_path: Path) -> None:
        rules = [{"record": f"query:{at}", "expr": as_asked(each.values[0])} for at, each in enumerate(QUERIES)]
        names = as_asked(DASHBOARD["templating"]["list"][1]["definition"])
        rules.append({"record": "query:names", "expr": names.removeprefix("label_values(").removesuffix(", instance)")})
        path = tmp_path / "rules.json"  # which is YAML, too
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
        done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60)

        assert f"SUCCESS: {len(QUERIES) + 1} rules found" in done.stdout, done.stderr
        assert 0 == done.returncode

    @needs_promtool
    def test_promtool_finds_no_fault_with_names_and_texts(self, registry: CollectorRegistry) -> None:
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=used(registry), capture_output=True, text=True, timeout=60
        )

        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_the_page_about_metrics_lists_them_with_their_types_and_labels(registry: CollectorRegistry) -> None:
    table = re.findall(
        r"^\| `(trayport_\w+)` \| (\w+) \| (.*?) ?\|", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.MULTILINE
    )
    labels: dict[str, set[str]] = {}
    for name, pairs in read(used(registry)):
        family = re.sub(r"(_seconds)_(bucket|sum|count)$", r"\1", name)
        labels.setdefault(family, set()).update(label for label, _ in pairs if label != "le")
    types = {
        family.name + "_total" * (family.type == "counter"): family.type
        for family in text_string_to_metric_families(text_of(registry))
        if not family.name.endswith("_created")
    }

    assert types == {name: kind for name, kind, _ in table}
    assert labels == {name: set(re.findall(r"`(\w+)`", listed)) for name, _, listed in table}
