"""The sandbox's HTML page, and its chapter in the documentation."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests

from trayport.sandbox import Asked, Fault, Rights, Sandbox, Switches, fault_injection, model
from trayport.sandbox.keys import KEYS
from trayport.sandbox.page import describe_rights, page
from trayport.sandbox.paths import PATHS, REFERENCE_PATHS
from trayport.testing import sandboxed

GUIDE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
DAY = {"from": "2024-02-05", "until": "2024-02-06"}
MONTH = {"marketId": "10000065", "sequenceId": "10000305", "sequenceItemId": "244", "contractType": "SinglePeriod"}


class Page(HTMLParser):
    """A parsed page: elements, cells of tables, text, and elements that were not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "link"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag in ("p", "dd"):
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox without earlier requests."""
    with Sandbox(limits=False) as sandbox:
        yield sandbox


def send(sandbox: Sandbox, path: str, **params: Any) -> int:
    return requests.get(sandbox.analytics_url + path, params=params, headers={"X-API-KEY": sandbox.key}).status_code


def load(sandbox: Sandbox) -> Page:
    answer = requests.get(sandbox.url)
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    return Page(answer.content.decode("utf-8"))


class TestPage:
    """Tests of ``http://127.0.0.1:.../``."""

    def test_page_has_no_external_files_and_no_scripts(self, sandbox: Sandbox) -> None:
        shown = load(sandbox)
        external = [value for name, value in shown.attributes if name in ("src", "href", "action") or "on" in name[:2]]

        assert [] == shown.open
        assert set() == {"script", "img", "iframe", "object", "form"} & set(shown.names)
        assert ["data:,"] == external
        assert [] == re.findall(r"@import|url\(", requests.get(sandbox.url).text)

    def test_addresses_and_keys_with_entitlements_are_listed(self, sandbox: Sandbox) -> None:
        shown = load(sandbox)

        assert sandbox.analytics_url in shown.text
        assert sandbox.reference_url in shown.text
        assert [f"entitled to {describe_rights(KEYS[name])}" for name in KEYS] == [
            row[1] for row in shown.rows if row[0].split()[0] in KEYS
        ]

    def test_all_paths_and_parameters_are_listed(self, sandbox: Sandbox) -> None:
        rows = {row[0]: row[1].split() for row in load(sandbox).rows if row[0].startswith("/")}

        assert [] == [
            (name, word)
            for name, path in PATHS.items()
            for word in (*path.parameters, *path.fields)
            if word not in rows[name]
        ]
        assert set(PATHS) | set(REFERENCE_PATHS) == set(rows)
        assert {"count", "startDate"} <= set(rows["/sequences/{id}/sequenceItems"])

    @pytest.mark.parametrize("path", REFERENCE_PATHS)
    def test_listed_paths_of_reference_data_exist(self, path: str, sandbox: Sandbox) -> None:
        number = "10000305" if "sequences/{" in path else "10002806" if "instruments/{" in path else "10000065"
        url = sandbox.reference_url + path.replace("{id}", number).replace("{itemId}", "244")

        assert 200 == requests.get(url, headers={"X-API-KEY": sandbox.key}).status_code

    def test_arguments_of_the_server_are_listed(self) -> None:
        now = datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)
        with Sandbox(limits=False, seed=5, volume=3, now=now, until="inclusive", key="sandbox-basic") as sandbox:
            shown = load(sandbox)

        assert f"seed 5, volume 3, model {model.VERSION}" in shown.text
        assert "2024-02-07 12:00:00 UTC, is fixed" in shown.text
        assert "Limits off" in shown.text
        assert "sandbox-basic in settings" in [row[0] for row in shown.rows]

    def test_limits_and_a_running_clock_are_listed(self) -> None:
        with Sandbox() as sandbox:
            text = load(sandbox).text

        assert "Limits 8 requests a second, 480 a minute" in text
        assert f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:}" in text
        assert "UTC, runs" in text

    def test_switches_in_another_position_are_marked(self) -> None:
        with Sandbox(until="inclusive", late=36) as sandbox:
            rows = {row[0]: row[1] for row in load(sandbox).rows}

        names = [field.name for field in attrs.fields(Switches)]
        assert ["until", "late"] == [name for name in names if "not the default" in rows[name]]
        assert "inclusive not the default or exclusive" == rows["until"]
        assert "429 or 403" == rows["throttling"]

    def test_page_without_requests(self, sandbox: Sandbox) -> None:
        assert 2 == load(sandbox).text.count("None yet.")

    def test_last_requests_are_listed_newest_first(self, sandbox: Sandbox) -> None:
        for number in range(30):
            send(sandbox, "/trades/activity", **{"from": f"2024-02-0{3 + number % 2}", "until": "2024-02-05"})
        load(sandbox)  # not a request to an API
        rows = [row for row in load(sandbox).rows if row[0].isdigit() and len(row) == 3]

        assert [str(number) for number in range(30, 5, -1)] == [row[0] for row in rows]
        assert "/api/trades/activity from=2024-02-04 until=2024-02-05" == rows[0][1]
        assert "200" == rows[0][2]

    def test_wrong_request_is_listed_with_the_broken_rule(self, sandbox: Sandbox) -> None:
        assert 400 == send(sandbox, "/trades", **{**MONTH, **DAY, "until": "2024-06-01"})
        send(sandbox, "/trades/last", **MONTH, colour="red")
        last, first = (row for row in load(sandbox).rows if len(row) == 3 and row[0] in ("1", "2"))

        assert first[1].endswith("until=2024-06-01 until: Maximum query range is 32 days.")
        assert ("400", "200") == (first[2], last[2])
        assert last[1].endswith("colour: unknown parameter, ignored")

    def test_broken_rules_are_counted(self, sandbox: Sandbox) -> None:
        for _ in range(3):
            send(sandbox, "/trades/last", **MONTH, colour="red")
        send(sandbox, "/trade")
        rows = [row for row in load(sandbox).rows if len(row) == 2 and row[0].isdigit()]

        assert ["3", "/trades/last colour: unknown parameter, ignored"] == rows[0]
        assert ["1", "/trade the path /api/trade is not there"] == rows[1]

    def test_most_frequent_rules_are_listed(self, sandbox: Sandbox) -> None:
        for number in range(20):
            send(sandbox, f"/nowhere/{number}")
        send(sandbox, "/nowhere/7")
        shown = load(sandbox)
        rows = [row for row in shown.rows if len(row) == 2 and row[0].isdigit()]

        assert (12, "2") == (len(rows), rows[0][0])
        assert "And 8 more." in shown.text

    def test_fault_is_marked(self) -> None:
        with Sandbox(faults=[Fault(path="/trades/last", status=503)]) as sandbox:
            send(sandbox, "/trades/last", **MONTH)
            send(sandbox, "/trades/last", **MONTH)
            rows = [row for row in load(sandbox).rows if len(row) == 3 and row[0] in ("1", "2")]

        assert ["200", "503 fault"] == [row[2] for row in rows]

    def test_request_without_a_response_is_marked(self) -> None:
        with Sandbox(faults=[Fault(reset=True)]) as sandbox:
            with pytest.raises(requests.ConnectionError):
                send(sandbox, "/trades/last", **MONTH)
            (row,) = (row for row in load(sandbox).rows if len(row) == 3 and row[0] == "1")

        assert "none fault" == row[2]

    def test_clock_moved_by_a_fault_is_marked(self) -> None:
        now = datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)
        with Sandbox(faults=[Fault(clock=90.0)], now=now) as sandbox:
            send(sandbox, "/trades/last", **MONTH)

            assert "2024-02-07 12:01:30 UTC, is fixed, moved by 90 s" in load(sandbox).text

    def test_texts_of_requests_are_escaped(self, sandbox: Sandbox) -> None:
        evil = "<script>alert('x')</script>"
        send(sandbox, f"/trades/{evil}", **{f"<b>{evil}": '"><img src=x onerror=1>', "'": evil})
        send(sandbox, "/trades", **MONTH, **DAY, **{f"</td>{evil}": "1"})
        send(sandbox, "/trades", **{**MONTH, "contractType": evil}, **DAY)
        shown = load(sandbox)

        assert [] == shown.open
        assert set() == {"script", "img"} & set(shown.names)
        assert f"/api/trades/{evil}" in shown.text
        assert f"""<b>{evil}="><img src=x onerror=1> '={evil}""" in shown.text
        assert f"</td>{evil}: unknown parameter, ignored" in shown.text
        assert f"contractType: The value '{evil}' is not valid." in shown.text

    def test_invisible_characters_are_replaced(self, sandbox: Sandbox) -> None:
        send(sandbox, "/trades", name="a\x00b\x1b[31mc\u202ed")

        assert "name=a\ufffdb\ufffd[31mc\ufffdd" in load(sandbox).text

    def test_page_stays_small_with_long_requests(self, sandbox: Sandbox) -> None:
        before = len(page(sandbox))
        assert 404 == send(sandbox, "/" + "p" * 60_000)
        send(sandbox, "/trades", value="v" * 60_000)
        send(sandbox, "/trades/last", **MONTH, **{"n" * 60_000: "1"})
        send(sandbox, "/trades/last", **MONTH, **{f"n{number}": "1" for number in range(5_000)})
        shown = page(sandbox)

        assert len(shown) < before + 10_000
        assert "and 4" in shown
        assert "nnnn…" in shown

    def test_page_is_quick_after_100_000_requests(self, sandbox: Sandbox) -> None:
        wrong = Asked("/api", "/trades", tuple(MONTH.items()), 400, broken=("until: Maximum query range is 32 days.",))
        for _ in range(100_000):
            sandbox._record.add(wrong)
        began = time.process_time()
        text = page(sandbox)

        assert time.process_time() - began < 1.0
        assert "<td>100000</td>" in text
        assert len(text) < 60_000


@pytest.mark.parametrize(
    "rights, expected",
    [
        pytest.param(Rights(intraday=True), "all", id="everything"),
        pytest.param(Rights(), "all but the current UTC day", id="one-thing-less"),
        pytest.param(
            Rights(intraday=True, private=False, outside={"EUA"}), "all but own trades and orders and EUA", id="two"
        ),
        pytest.param(
            Rights(books=False, routes=("Desk",)),
            "all but the current UTC day, order books and the route House",
            id="three",
        ),
    ],
)
def test_rights_are_described_in_words(rights: Rights, expected: str) -> None:
    assert expected == describe_rights(rights)


class TestGuide:
    """Tests of ``docs/sandbox.md``."""

    def test_python_examples_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        names: dict[str, Any] = {}
        blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
        for code in blocks:
            with sandboxed():
                exec(compile(code, "docs/sandbox.md", "exec"), names)
        with sandboxed() as sandbox:
            names["test_the_report_asks_once"](sandbox)

        assert len(blocks) > 6

    def test_table_of_switches_agrees_with_the_code(self) -> None:
        table = GUIDE.partition("## Switches")[2]

        assert [row(field) for field in attrs.fields(Switches)] == table.strip().splitlines()[-len(names()) :]
        assert [f"`{name}`" for name in names()] == re.findall(r"^\| (`\w+`) \|", table, re.MULTILINE)

    def test_table_of_keys_agrees_with_the_code(self) -> None:
        assert [(name, describe_rights(rights)) for name, rights in KEYS.items()] == re.findall(
            r"^\| `(sandbox-\w+)` \| (.*) \|$", GUIDE, re.MULTILINE
        )

    def test_table_of_faults_has_every_field(self) -> None:
        table = GUIDE.partition("| field | effect |")[2].partition("\n\n")[0]
        firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]

        assert sorted(field.name for field in attrs.fields(Fault)) == sorted(re.findall(r"`(\w+)`", " ".join(firsts)))

    def test_example_of_faults_can_be_read(self, tmp_path: Path) -> None:
        found = re.search(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
        assert found is not None
        (tmp_path / "faults.toml").write_text(found[1], encoding="utf-8")
        shown = fault_injection.read_faults(str(tmp_path / "faults.toml"))

        assert [("/trades", 503), ("/orders/*", None), ("*", None)] == [(fault.path, fault.status) for fault in shown]

    def test_picture_exists_and_is_small(self) -> None:
        (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", GUIDE)
        path = Path(__file__).parents[2] / "docs" / picture

        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 200_000

    def test_lines_of_prose_have_at_most_120_characters(self) -> None:
        assert [] == [line for line in GUIDE.splitlines() if len(line) > 120 and not line.startswith("|")]


def names() -> list[str]:
    return [field.name for field in attrs.fields(Switches)]


def row(field: attrs.Attribute[Any]) -> str:
    """Return the row of a switch in the documentation's table."""
    others = field.metadata["others"]
    positions = ", ".join(f"`{position}`" for position in (field.default, *others))
    if str(field.type) == "int":
        positions = f"`{field.default}`, or a number such as `{others[0]}`"
    evidence = re.sub(r"guide (pp?\. [\d-]+)", r"[guide \1](sources.md)", field.metadata["evidence"])
    return f"| `{field.name}` | {positions} | {field.metadata['help']} | {evidence} |"
