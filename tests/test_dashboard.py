"""The dashboard for Grafana and the page about metrics show the exported metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from support.metrics import full_page, read, text_of

ROOT = Path(__file__).parent.parent


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


DASHBOARD: dict[str, Any] = json.loads((files("trayport.metrics") / "dashboard.json").read_text(encoding="utf-8"))


QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]


needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool, which Debian's package prometheus has"
)


def expand(query: str) -> str:
    """Return a query as Grafana sends it."""
    return query.replace("$__rate_interval", "5m").replace("$instance", ".*")


class TestDashboard:
    """``dashboard.json``."""

    def test_every_panel_has_a_title_a_description_and_a_unit(self) -> None:
        for panel in DASHBOARD["panels"]:
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]

    def test_panels_do_not_overlap(self) -> None:
        covered = Counter(
            (x, y)
            for area in (panel["gridPos"] for panel in DASHBOARD["panels"])
            for x in range(area["x"], area["x"] + area["w"])
            for y in range(area["y"], area["y"] + area["h"])
        )

        assert {1} == set(covered.values())
        assert max(x for x, _ in covered) < 24
        assert len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})

    def test_data_source_and_instance_are_variables(self) -> None:
        source, instance = DASHBOARD["templating"]["list"]

        assert ("datasource", "datasource", "prometheus") == (source["type"], source["name"], source["query"])
        assert "instance" == instance["name"]
        sources = [panel["datasource"] for panel in DASHBOARD["panels"]]
        sources += [target["datasource"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
        assert [{"type": "prometheus", "uid": "${datasource}"}] * len(sources) == sources

    @pytest.mark.parametrize("query", QUERIES)
    def test_query_uses_exported_metrics_and_labels(self, query: str, registry: CollectorRegistry) -> None:
        exported: dict[str, set[str]] = {}
        for name, labels in read(full_page(registry)):
            exported.setdefault(name, {"instance", "job"}).update(label for label, _ in labels)
        names = re.findall(r"trayport_\w+", query)
        by = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
        chosen = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query))

        assert names
        for name in names:
            assert by | chosen <= exported[name]

    @pytest.mark.parametrize("query", QUERIES)
    def test_rate_is_of_a_counter_over_grafanas_interval(self, query: str) -> None:
        counters = re.findall(r"trayport_\w+_(?:total|bucket)\b", query)

        assert counters == re.findall(r"rate\((trayport_\w+)\{instance=~\"\$instance\"\}\[\$__rate_interval\]\)", query)

    def test_every_exported_metric_is_shown(self, registry: CollectorRegistry) -> None:
        shown = set(re.findall(r"trayport_\w+", json.dumps(DASHBOARD["panels"])))
        exported = {
            name for name, _ in read(full_page(registry)) if not name.endswith(("_seconds_sum", "_seconds_count"))
        }

        assert exported - {"trayport_limiter_shared"} == shown

    @needs_promtool
    def test_promtool_accepts_every_query(self, tmp_path: Path) -> None:
        rules = [{"record": f"query:{number}", "expr": expand(each.values[0])} for number, each in enumerate(QUERIES)]
        names = expand(DASHBOARD["templating"]["list"][1]["definition"])
        rules.append({"record": "query:names", "expr": names.removeprefix("label_values(").removesuffix(", instance)")})
        path = tmp_path / "rules.json"  # JSON is YAML, too
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
        done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60)

        assert f"SUCCESS: {len(QUERIES) + 1} rules found" in done.stdout, done.stderr
        assert 0 == done.returncode

    @needs_promtool
    def test_promtool_accepts_names_and_help_texts(self, registry: CollectorRegistry) -> None:
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=full_page(registry), capture_output=True, text=True, timeout=60
        )

        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_page_about_metrics_lists_all_with_types_and_labels(registry: CollectorRegistry) -> None:
    table = re.findall(
        r"^\| `(trayport_\w+)` \| (\w+) \| (.*?) ?\|", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.MULTILINE
    )
    labels: dict[str, set[str]] = {}
    for name, pairs in read(full_page(registry)):
        family = re.sub(r"(_seconds)_(bucket|sum|count)$", r"\1", name)
        labels.setdefault(family, set()).update(label for label, _ in pairs if label != "le")
    types = {
        family.name + "_total" * (family.type == "counter"): family.type
        for family in text_string_to_metric_families(text_of(registry))
        if not family.name.endswith("_created")
    }

    assert types == {name: kind for name, kind, _ in table}
    assert labels == {name: set(re.findall(r"`(\w+)`", listed)) for name, _, listed in table}
