"""``Prometheus``: a hook that counts attempts, with gauges of the rate limit and of the breakers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families
from support import canary
from support.metrics import LABELS, event, full_page, read, samples, status, summed, text_of

from trayport import Client, Config, ConfigError, RequestEvent, ServerError, Status
from trayport.config import Rate
from trayport.metrics import Prometheus
from trayport.sandbox import Fault, Sandbox
from trayport.typing import BreakerState

ROOT = Path(__file__).parent.parent
DAYS = ("TTF Apr-24", "2024-02-05", "2024-02-06")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


class TestOneProcess:
    """Counts of a hook."""

    def test_every_attempt_is_counted(self, make_client: Any, registry: CollectorRegistry) -> None:
        seen: list[RequestEvent] = []
        faults = [Fault(path="/trades", status=503, times=1), Fault(path="/trades", reset=True, times=1)]
        with Sandbox(limits=False, faults=faults) as server:
            make_client(server, hooks=[seen.append, Prometheus(registry=registry)]).trades(*DAYS)
        page = read(text_of(registry))

        assert [("503", None), ("None", "ServerError 503"), ("200", "ConnectionFailed")] == [
            (str(each.status), each.retry_reason) for each in seen if each.endpoint == "trades"
        ]
        attempts = [(each.endpoint, str(each.status).replace("None", "none")) for each in seen]
        assert Counter(attempts) == samples(page, "trayport_requests_total")
        assert {("trades", "503"): 1, ("trades", "none"): 1} == samples(page, "trayport_errors_total")
        assert {("trades", "none"): 1, ("trades", "200"): 1} == samples(page, "trayport_retries_total")
        for name, field in [
            ("trayport_received_bytes_total", "bytes_received"),
            ("trayport_decoded_bytes_total", "bytes_decoded"),
            ("trayport_request_duration_seconds_sum", "elapsed"),
            ("trayport_wait_duration_seconds_sum", "waited"),
        ]:
            expected: Counter[tuple[str, ...]] = Counter()
            for each in seen:
                expected[(each.endpoint,)] += getattr(each, field)
            assert pytest.approx(expected) == samples(page, name)

    def test_buckets_range_from_milliseconds_to_minutes(self, registry: CollectorRegistry) -> None:
        hook = Prometheus(registry=registry)
        for elapsed, waited in [(0.004, 0.0), (0.3, 100.0), (70.0, 400.0)]:
            hook(event(elapsed=elapsed, waited=waited))
        page = read(text_of(registry))

        latency = samples(page, "trayport_request_duration_seconds_bucket")
        waits = samples(page, "trayport_wait_duration_seconds_bucket")
        assert [1, 1, 2, 2, 3] == [latency["trades", le] for le in ("0.01", "0.25", "0.5", "60.0", "+Inf")]
        assert [1, 1, 2, 2, 3] == [waits["trades", le] for le in ("0.01", "60.0", "120.0", "300.0", "+Inf")]

    def test_only_labels_are_endpoint_and_status_and_the_key_is_nowhere(
        self, make_client: Any, registry: CollectorRegistry
    ) -> None:
        client = make_client()
        counted = make_client(hooks=[Prometheus(client.status, registry)])
        counted.trades(*DAYS)
        counted.last_trade("TTF Apr-24", at="2024-02-05T16:00")
        text = text_of(registry)

        assert LABELS == {label for _, labels in read(text) for label, _ in labels}
        assert {"endpoint", "status"} == {
            label for name, labels in read(text) for label, _ in labels if not name.endswith("_bucket")
        }
        assert canary.KEY == client.config.require_key().reveal()
        assert canary.KEY not in text
        assert "TTF" not in text

    def test_page_is_valid_in_both_formats(self, registry: CollectorRegistry) -> None:
        full_page(registry)
        old = {family.name for family in text_string_to_metric_families(text_of(registry))}
        new = {
            family.name
            for family in parser.text_string_to_metric_families(exposition.generate_latest(registry).decode())
        }

        assert {name for name in old if not name.endswith("_created")} == new

    def test_several_threads_and_clients_are_counted(self, make_client: Any, registry: CollectorRegistry) -> None:
        seen: list[RequestEvent] = []
        for _ in range(2):
            client = make_client(hooks=[Prometheus(registry=registry), seen.append])
            client.trades("TTF Apr-24", "2023-06-01", "2023-12-01")

        page = read(text_of(registry))
        assert len(seen) == summed(page, "trayport_requests_total")
        assert 12 == summed(page, "trayport_requests_total", endpoint="trades")


class TestLimit:
    """Gauges of the rate limit."""

    def test_each_scrape_reads_the_rate_limit(self, registry: CollectorRegistry) -> None:
        now = [status()]
        Prometheus(lambda: now[0], registry)
        before = read(text_of(registry))
        now[0] = status(kind="private", rates=(Rate(6, 2.0), Rate(360, 120.0)), used=40, share=0.5, waiting=0)
        after = read(text_of(registry))

        names = ["used_permits", "permits_per_minute", "share_ratio", "waiting", "shared"]
        assert [12, 360, 1, 3, 1] == [before[f"trayport_limiter_{name}", ()] for name in names]
        assert [40, 180, 0.5, 0, 0] == [after[f"trayport_limiter_{name}", ()] for name in names]

    def test_permits_per_minute_are_those_of_the_strictest_rate(self, registry: CollectorRegistry) -> None:
        Prometheus(lambda: status(rates=(Rate(2, 1.0), Rate(360, 60.0))), registry)

        assert 120 == read(text_of(registry))["trayport_limiter_permits_per_minute", ()]

    def test_permits_per_minute_are_absent_without_a_rate_limit(
        self, make_client: Any, registry: CollectorRegistry
    ) -> None:
        Prometheus(make_client().status, registry)
        names = {name for name, _ in read(text_of(registry)) if name.startswith("trayport_limiter")}

        assert "trayport_limiter_used_permits" in names
        assert "trayport_limiter_permits_per_minute" not in names

    @pytest.mark.parametrize("wrong", ["no key", "closed"])
    def test_counts_are_there_without_a_status(self, wrong: str, sandbox: Sandbox, registry: CollectorRegistry) -> None:
        client = Client(config=Config(sandbox.key if wrong == "closed" else None))
        if wrong == "closed":
            client.close()
        Prometheus(client.status, registry)(event())
        page = read(text_of(registry))

        assert {("trades", "200"): 1} == samples(page, "trayport_requests_total")
        assert [] == [name for name, _ in page if name.startswith("trayport_limiter")]

    def test_scrape_may_select_a_gauge(self, registry: CollectorRegistry) -> None:
        Prometheus(status, registry)
        chosen = registry.restricted_registry(["trayport_limiter_waiting"])

        assert [("trayport_limiter_waiting", 3)] == [
            (sample.name, sample.value) for family in chosen.collect() for sample in family.samples
        ]

    def test_status_is_read_at_the_scrape_only(self, registry: CollectorRegistry) -> None:
        calls: list[int] = []

        def get_status() -> Status:
            calls.append(1)
            return status()

        Prometheus(get_status, registry)(event())
        assert 0 == len(calls)
        generate_latest(registry)
        assert 1 == len(calls)


class TestBreakers:
    """Gauges of the breakers: 0 closed, 1 half-open, 2 open."""

    @pytest.mark.parametrize("state, number", [("closed", 0), ("half-open", 1), ("open", 2)])
    def test_gauge_is_the_state_after_the_last_attempt(
        self, state: BreakerState, number: int, registry: CollectorRegistry
    ) -> None:
        hook = Prometheus(registry=registry)
        hook(event(breaker="half-open"))
        hook(event(breaker=state))
        hook(event(breaker="open", api="reference", endpoint="markets"))

        assert [number, 2] == [
            read(text_of(registry))[f"trayport_{api}_breaker_state", ()] for api in ("analytics", "reference")
        ]

    def test_gauge_is_the_present_state_with_a_status(self, registry: CollectorRegistry) -> None:
        hook = Prometheus(lambda: status("half-open"), registry)
        hook(event(breaker="open", status=503, error="ServerError"))

        assert 1 == read(text_of(registry))["trayport_analytics_breaker_state", ()]

    def test_open_breaker_is_shown(self, make_client: Any, registry: CollectorRegistry) -> None:
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


class TestSeveralHooks:
    """Several hooks: a cell of a notebook that runs again, and several clients."""

    def test_counts_of_one_registry_continue(self, registry: CollectorRegistry) -> None:
        Prometheus(registry=registry)(event())
        Prometheus(registry=registry)(event())

        assert {("trades", "200"): 2} == samples(read(text_of(registry)), "trayport_requests_total")

    def test_rate_limit_is_that_of_the_last_status(self, registry: CollectorRegistry) -> None:
        Prometheus(lambda: status(used=1), registry)
        Prometheus(lambda: status(used=2), registry)
        Prometheus(registry=registry)

        assert 2 == read(text_of(registry))["trayport_limiter_used_permits", ()]

    def test_registries_are_independent(self, registry: CollectorRegistry) -> None:
        other = CollectorRegistry()
        Prometheus(registry=registry)(event())
        Prometheus(registry=other)

        assert {} == samples(read(text_of(other)), "trayport_requests_total")

    def test_default_registry_is_that_of_prometheus_client(self) -> None:
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
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, env={**os.environ, **variables}
    )


class TestRefused:
    """Invalid arguments and a missing library."""

    def test_status_that_was_called_already_is_refused(self, registry: CollectorRegistry) -> None:
        with pytest.raises(ConfigError, match="must be a function such as trayport.status, without brackets"):
            Prometheus(status(), registry)  # type: ignore[arg-type]

    def test_registry_of_another_class_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="registry='it' must be a CollectorRegistry of prometheus_client"):
            Prometheus(status, "it")  # type: ignore[arg-type]

    def test_missing_library_has_a_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)

        with pytest.raises(ConfigError, match=r"pip install 'trayport\[metrics\]'"):
            Prometheus()

    def test_module_can_be_imported_and_the_command_fails_without_the_library(self) -> None:
        without = "import sys; sys.modules['prometheus_client'] = None\n"
        done = run(
            f"{without}import trayport.metrics\nfrom trayport.cli import main\nsys.exit(main(['metrics']))",
            TRAYPORT_API_KEY="any",
        )

        assert 2 == done.returncode
        assert "trayport: metrics need the package prometheus-client; pip install 'trayport[metrics]'\n" == done.stderr

    def test_missing_folder_of_several_processes_is_refused(self, tmp_path: Path) -> None:
        script = "from trayport import ConfigError\nfrom trayport.metrics import Prometheus\ntry: Prometheus()\n"
        done = run(f"{script}except ConfigError as error: print(error)", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "no"))

        assert "" == done.stderr
        assert "PROMETHEUS_MULTIPROC_DIR must name a folder that exists and can be written" in done.stdout
