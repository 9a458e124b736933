"""The command line: its output, its files and its exit codes."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pytest
from support.programs import environment

import trayport
import trayport as tp
from trayport import Config, NotAllowed, PartialDataError, QueryError, TrayportError, UnknownContract
from trayport.api import DEFAULT
from trayport.cli import exit_code, main
from trayport.cli.demo import daily_vwap
from trayport.sandbox import Sandbox
from trayport.testing import sandboxed

QUERIES = [
    "trades", "private-trades", "ohlcv", "last-trade", "activity", "top-of-book", "order-book", "snapshots",
]  # fmt: skip
COMMANDS = [*QUERIES, "plan", "search", "resolve", "venues", "doctor", "sandbox", "metrics", "demo"]


@pytest.fixture(scope="module")
def default() -> Iterator[Sandbox]:
    """Start the sandbox of the commands, and of the flat functions that they are compared with."""
    with sandboxed() as sandbox:
        yield sandbox


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (0, f"trayport {trayport.__version__}\n") == (ended.value.code, capsys.readouterr().out)


def test_without_a_command_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    assert 0 == ended.value.code
    text = capsys.readouterr().out
    listed = re.findall(r"^    ([a-z-]+)(?: |$)", text, re.MULTILINE)
    assert COMMANDS == listed


@pytest.mark.parametrize("arguments", [["fly"], ["sandbox", "--port", "http"]])
def test_a_wrong_command_is_refused_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert 2 == ended.value.code
    assert "usage: trayport" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    assert f"usage: trayport {command}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the output of the demo, and the folder that it runs in."""
    folder, output = tmp_path_factory.mktemp("demo"), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output):
        assert 0 == main(["demo"])
    return output.getvalue(), folder


class TestDemo:
    """``trayport demo``."""

    def test_it_prints_a_plan_a_frame_and_prices_and_draws_a_chart(self, demo: tuple[str, Path]) -> None:
        output, folder = demo
        assert "Plan: trades, 2 requests" in output
        assert "2024-01-08 to 2024-02-09  TTF Hi Cal 51.6* Apr-24 and 2 more" in output
        assert all(name in output for name in ("venue_code", "aggressor_buy", "trade_id"))
        assert re.search(r"2024-01-08 +\d\d\.\d+ +\d\d\.\d+ +\d\d\.\d+", output)
        chart = folder / "trayport-demo.png"
        assert f"Chart: {chart}" in output
        assert chart.read_bytes().startswith(b"\x89PNG")

    def test_its_output_is_ascii_for_old_consoles(self, demo: tuple[str, Path]) -> None:
        assert demo[0].isascii()

    def test_without_matplotlib_a_sentence_replaces_the_chart(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in list(sys.modules):
            if name.partition(".")[0] == "matplotlib":
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "matplotlib", None)

        assert 0 == main(["demo"])
        assert "No chart: charts need matplotlib: pip install 'trayport[plots]'." in capsys.readouterr().out
        assert [] == list(tmp_path.iterdir())

    def test_a_read_only_folder_loses_only_the_chart(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "trayport-demo.png").mkdir()

        assert 0 == main(["demo"])
        assert "cannot be written" in capsys.readouterr().out

    def test_the_daily_price_is_weighted_by_quantity(self, client: Any) -> None:
        frame = client.trades(["TTF Apr-24", "TTF May-24"], "2024-02-05", "2024-02-07")
        table = daily_vwap(frame)
        one = frame[(frame["contract"] == "TTF Hi Cal 51.6* May-24") & (frame.index < "2024-02-06")]

        assert (["2024-02-05", "2024-02-06"], ["TTF Hi Cal 51.6* Apr-24", "TTF Hi Cal 51.6* May-24"]) == (
            table.index.tolist(),
            table.columns.tolist(),
        )
        expected = (one["price"] * one["quantity"]).sum() / one["quantity"].sum()
        assert expected == pytest.approx(table.loc["2024-02-05", "TTF Hi Cal 51.6* May-24"])


# Each query as a command, and as a call.
COMMANDS_AND_CALLS: list[tuple[list[str], Callable[[Any], Any]]] = [
    (
        ["trades", "TTF Apr-24, TTF May-24", "2024-02-05", "2024-02-06"],
        lambda ask: ask.trades(["TTF Apr-24", "TTF May-24"], "2024-02-05", "2024-02-06"),
    ),
    (
        ["trades", "TTF Apr-24", "2024-02-05", "2024-02-06", "--include-private",
         "--fields", "route_id,aggressor_sleeve", "--routes", "House,904", "--no-deduplicate"],
        lambda ask: ask.trades(
            "TTF Apr-24", "2024-02-05", "2024-02-06", include_private=True, fields=["route_id", "aggressor_sleeve"],
            routes=["House", 904], deduplicate=False,
        ),
    ),
    (
        ["private-trades", "2024-02-05", "2024-02-06"],
        lambda ask: ask.private_trades("2024-02-05", "2024-02-06"),
    ),
    (
        ["private-trades", "2024-02-05", "2024-02-06", "--contract", "TTF Apr-24,EUA Dec-24", "--routes", "all"],
        lambda ask: ask.private_trades(
            "2024-02-05", "2024-02-06", contract=["TTF Apr-24", "EUA Dec-24"], routes="all"
        ),
    ),
    (
        ["ohlcv", "TTF Apr-24", "2024-02-05", "2024-02-07", "--interval", "4h", "--include-empty", "--fields", "vwap"],
        lambda ask: ask.ohlcv(
            "TTF Apr-24", "2024-02-05", "2024-02-07", "4h", include_empty=True, fields=["vwap"]
        ),
    ),
    (
        ["last-trade", "TTF Apr-24,TTF Cal-28", "--at", "2024-02-05T16:00"],
        lambda ask: ask.last_trade(["TTF Apr-24", "TTF Cal-28"], at="2024-02-05T16:00"),
    ),
    (
        ["activity", "2024-02-05", "2024-02-06", "--fields", "update_count"],
        lambda ask: ask.activity("2024-02-05", "2024-02-06", fields=["update_count"]),
    ),
    (
        ["top-of-book", "TTF Apr-24", "2024-02-05T09:00", "2024-02-05T10:00", "--interval", "15s"],
        lambda ask: ask.top_of_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T10:00", "15s"),
    ),
    (
        ["order-book", "TTF Apr-24", "2024-02-05T09:00", "2024-02-05T09:10", "--depth", "3", "--max-spread", "0.5",
         "--include-private"],
        lambda ask: ask.order_book(
            "TTF Apr-24", "2024-02-05T09:00", "2024-02-05T09:10", depth=3, max_spread=0.5, include_private=True
        ),
    ),
    (
        ["snapshots", "TTF Apr-24,TTF Apr-29", "--at", "2024-02-05T16:00"],
        lambda ask: ask.snapshots(["TTF Apr-24", "TTF Apr-29"], at="2024-02-05T16:00"),
    ),
]  # fmt: skip


class TestQueries:
    """``trayport trades`` and the commands of the other queries."""

    @pytest.mark.parametrize("words, ask", COMMANDS_AND_CALLS)
    def test_the_output_is_the_frame_of_the_function_as_csv(
        self, words: list[str], ask: Callable[[Any], pd.DataFrame], default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 0 == main(words)
        output = capsys.readouterr()

        expected = ask(tp)
        pd.testing.assert_frame_equal(as_read_from_csv(expected), read(output.out, expected))
        assert "" == output.err

    @pytest.mark.parametrize("words, ask", COMMANDS_AND_CALLS)
    def test_a_csv_file_has_the_same_bytes_as_the_output(
        self, words: list[str], ask: Callable[[Any], pd.DataFrame], default: Sandbox,
        capsys: pytest.CaptureFixture[str], tmp_path: Path,
    ) -> None:  # fmt: skip
        main(words)
        printed = capsys.readouterr().out

        assert 0 == main([*words, "-o", str(tmp_path / "it.csv")])
        assert [tmp_path / "it.csv"] == list(tmp_path.iterdir())
        assert printed.encode() == (tmp_path / "it.csv").read_bytes()
        rows = "1 row" if printed.count("\n") == 2 else f"{printed.count(chr(10)) - 1:,} rows"
        assert ("", f"{rows} in {tmp_path / 'it.csv'}\n") == tuple(capsys.readouterr())

    @pytest.mark.parametrize("words, ask", COMMANDS_AND_CALLS)
    def test_a_parquet_file_has_the_frame_with_its_dtypes_and_attrs(
        self, words: list[str], ask: Callable[[Any], pd.DataFrame], default: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "it.parquet"

        assert 0 == main([*words, "--output", str(path)])
        expected, found = ask(tp), pd.read_parquet(path)
        # pandas 2 reads text in another storage of the same dtype.
        pd.testing.assert_frame_equal(expected, found.astype(expected.dtypes.to_dict()))
        assert expected.dtypes.astype(str).to_dict() == found.dtypes.astype(str).to_dict()
        assert expected.attrs == found.attrs
        assert [path] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("words, ask", COMMANDS_AND_CALLS)
    def test_plan_prints_the_plan_and_makes_no_request(
        self, words: list[str], ask: Callable[[Any], Any], default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = [request for request in default.asked if request.api == "/api"]

        assert 0 == main(["plan", *words])
        assert f"{ask(tp.plan)}\n" == capsys.readouterr().out
        assert before == [request for request in default.asked if request.api == "/api"]

    @pytest.mark.parametrize("query", QUERIES)
    @pytest.mark.parametrize("face", ["flat", "plan"])
    def test_a_command_has_the_parameters_of_its_function(
        self, query: str, face: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        name = query.replace("-", "_")
        at, words = (DEFAULT, [query]) if face == "flat" else (DEFAULT.plan, ["plan", query])
        signature = inspect.signature(getattr(DEFAULT, name))
        needed = [p.name for p in signature.parameters.values() if p.default is p.empty]
        asked: list[dict[str, Any]] = []
        monkeypatch.setattr(at, name, lambda **given: asked.append(given) or pd.DataFrame({"price": [1.0]}))
        main([*words, *needed])

        defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
        given = {name: [name] if name == "contract" else name for name in needed}
        assert [{**given, **defaults}] == asked

    @pytest.mark.parametrize("query", QUERIES)
    def test_the_help_lists_every_parameter_and_the_exit_codes(
        self, query: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main([query, "--help"])

        text = " ".join(capsys.readouterr().out.split())
        for name in inspect.signature(getattr(tp, query.replace("-", "_"))).parameters:
            assert re.search(rf"(?<![\w-])(--|--no-)?{name.replace('_', '[_-]')}(?![\w-])", text), name
        assert "3 a part is missing" in text


def as_read_from_csv(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with missing texts for empty ones, which CSV does not distinguish."""
    texts = frame.select_dtypes("string").columns
    return frame.assign(**{name: frame[name].replace("", pd.NA) for name in texts})


def read(text: str, like: pd.DataFrame) -> pd.DataFrame:
    """Return a frame from CSV, with the dtypes of another."""
    times = list(like.select_dtypes(["datetime", "datetimetz"]))
    # Versions of pandas differ in the last digit of floats that they read; Python reads them exactly.
    floats = list(like.select_dtypes("float"))
    types = {name: "str" if name in floats else dtype for name, dtype in like.dtypes.items() if name not in times}
    found = pd.read_csv(io.StringIO(text), dtype=types).astype(dict.fromkeys(floats, "float64"))
    if like.index.name is not None:
        found = found.set_index(like.index.name)
        found.index = pd.DatetimeIndex(pd.to_datetime(found.index, format="ISO8601", utc=True)).as_unit("ns")
    for name in times:
        read = pd.to_datetime(found[name], format="ISO8601", utc=True)
        found[name] = (read if like[name].dt.tz else read.dt.tz_localize(None)).astype(like[name].dtype)
    return found


# Two requests, of which the second reaches into today: a client with intraday=True sends it, and the server refuses.
REFUSED_IN_PART = ["trades", "TTF Y+1", f"{pd.Timestamp.now('UTC') - pd.Timedelta(days=40):%Y-%m-%d}"]


class TestRefusals:
    """Exit code 2: no request was made."""

    @pytest.mark.parametrize(
        "words, reason",
        [
            (["trades", "TTF Apx-24", "2024-02-05", "2024-02-06"], "nothing is named 'TTF Apx-24'; the nearest are"),
            (["trades", ",", "2024-02-05", "2024-02-06"], "contract is empty"),
            (["trades", "TTF Apr-24", "2024-02-06", "2024-02-05"], "end '2024-02-05' is before start"),
            (["trades", "TTF Apr-24", "05/02/2024"], "start '05/02/2024' is not a time; write ISO 8601"),
            (["trades", "TTF Apr-24", "2024-02-05", "--fields", "rout"], "did you mean 'route'?"),
            (["ohlcv", "TTF Apr-24", "2024-02-05", "--interval", "3h"], "interval '3h' is none of '1min'"),
            (["order-book", "TTF Apr-24", "2024-02-05", "2024-02-06", "--depth", "0"], "depth=0 must be"),
            (["activity", "2023-01-01"], "2023-04-10"),
            (["snapshots", "TTF Apr-24"], "snapshots need `at` without intraday entitlement"),
            (["plan", "trades", "TTF Apr-24", "2024-02-06", "2024-02-05"], "is before start"),
            (["search", " "], "search text ' ' is empty"),
            (["search", "ttf", "--limit", "0"], "limit=0 must be a whole number from 1 up"),
            (["resolve", "TTF Nothing"], "nothing is named 'TTF Nothing'"),
            (["resolve", "TTF Apr-24", "--at", "soon"], "at 'soon' is not a time"),
        ],
    )
    def test_a_mistake_is_explained_in_a_sentence(
        self, words: list[str], reason: str, default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 2 == main(words)
        output = capsys.readouterr()
        assert ("", True, True) == (output.out, output.err.startswith("trayport: "), reason in output.err)

    @pytest.mark.parametrize(
        "name, reason",
        [
            ("it.txt", "the suffix must be one of .parquet, .csv,"),
            ("it", "the suffix must be one of .parquet, .csv,"),
            ("nowhere/it.csv", "there is no folder"),
            ("folder.csv", "cannot be written"),
        ],
    )
    def test_an_impossible_file_is_refused_before_a_request(
        self, name: str, reason: str, default: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        (tmp_path / "folder.csv").mkdir()
        before = len(default.asked)

        assert 2 == main(["trades", "TTF Apr-24", "2024-02-05", "2024-02-06", "-o", str(tmp_path / name)])
        assert reason in capsys.readouterr().err
        assert (before, [tmp_path / "folder.csv"]) == (len(default.asked), list(tmp_path.iterdir()))

    @pytest.mark.parametrize(
        "words",
        [
            ["trades", "TTF Apr-24"],
            ["order-book", "TTF Apr-24", "2024-02-05", "--depth", "deep"],
            ["trades", "TTF Apr-24", "2024-02-05", "2024-02-06", "--include"],
            ["ohlcv", "TTF Apr-24", "2024-02-05", "2024-02-06", "1d"],
            ["plan"],
        ],
    )
    def test_wrong_arguments_are_refused_with_the_usage(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(words)

        assert (2, True) == (ended.value.code, capsys.readouterr().err.startswith("usage: trayport"))

    @pytest.mark.parametrize(
        "words", [["trades", "TTF Apr-24", "2024-02-05"], ["search", "ttf"], ["private-trades", "2024-02-05"]]
    )
    def test_without_a_key_the_message_names_its_sources(
        self, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        with sandboxed():
            tp.configure(config=Config(cache_dir=tmp_path))

            assert 2 == main(words)
        assert "TRAYPORT_API_KEY" in capsys.readouterr().err


class TestPartialResultsAndFailures:
    """Exit codes 1, 3, 4 and 5: a partial result never replaces a complete one."""

    @pytest.fixture
    def not_intraday(self) -> Iterator[Sandbox]:
        """Start a sandbox that refuses intraday requests of a client with intraday=True."""
        with sandboxed() as sandbox:
            tp.configure(intraday=True)
            yield sandbox

    @pytest.mark.parametrize("name", ["it.csv", "it.parquet"])
    def test_a_partial_result_is_written_beside_the_file_which_is_not_changed(
        self, name: str, not_intraday: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path, partial = tmp_path / name, tmp_path / f"{name}.partial"
        path.write_text("yesterday's")

        assert 3 == main([*REFUSED_IN_PART, "-o", str(path)])
        output = capsys.readouterr()
        with pytest.raises(PartialDataError) as caught:
            tp.trades(*REFUSED_IN_PART[1:])
        kept = caught.value.frame
        found = pd.read_parquet(partial) if name == "it.parquet" else read(partial.read_text(), kept)
        pd.testing.assert_frame_equal(kept, found.astype(kept.dtypes.to_dict()))
        assert ("yesterday's", {path, partial}) == (path.read_text(), set(tmp_path.iterdir()))
        assert output.err.startswith("trayport: incomplete, 1 of 2 requests failed for good:\n  TTF Hi Cal 51.6* Cal-")
        assert output.err.endswith(
            f"The partial result, {len(kept):,} rows, is in {partial}; {path} was not changed.\n"
        )
        assert "" == output.out

    def test_a_partial_result_in_the_output_is_followed_by_a_message(
        self, not_intraday: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 3 == main(REFUSED_IN_PART)
        output = capsys.readouterr()
        rows = output.out.count("\n") - 1
        assert rows > 10
        assert output.err.endswith(f"The partial result, {rows:,} rows, is in the output.\n")

    def test_a_complete_result_replaces_the_file_and_removes_the_partial_one(
        self, not_intraday: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "it.csv"
        main([*REFUSED_IN_PART, "-o", str(path)])
        assert [tmp_path / "it.csv.partial"] == list(tmp_path.iterdir())
        tp.configure(intraday=False)

        assert 0 == main([*REFUSED_IN_PART, "-o", str(path)])
        assert [path] == list(tmp_path.iterdir())

    def test_without_any_result_no_file_is_written_and_the_first_error_gives_the_code(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        with sandboxed():
            tp.configure(api_key="another")

            assert 5 == main(["private-trades", "2024-01-01", "2024-03-01", "-o", str(tmp_path / "it.csv")])
        output = capsys.readouterr()
        assert ("", []) == (output.out, list(tmp_path.iterdir()))
        assert "401 Unauthorized; check the key" in output.err

    @pytest.mark.parametrize(
        "words", [["trades", "TTF Apr-24", "2024-02-05", "2024-02-06"], ["search", "ttf"], ["resolve", "TTF Apr-24"]]
    )
    def test_a_key_that_is_not_allowed_is_5(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with sandboxed():
            tp.configure(api_key="another")

            assert 5 == main(words)
        assert "401 Unauthorized; check the key" in capsys.readouterr().err

    def test_an_unreachable_server_is_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        with sandboxed(analytics_url="http://127.0.0.1:1/api", attempts=1):
            assert 1 == main(["trades", "TTF Apr-24", "2024-02-05", "2024-02-06"])
        assert "the connection failed after 1 attempt" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "words",
        [
            ["trades", "TTF Apr-24", "2024-02-03", "2024-02-05"],
            ["last-trade", "TTF Apr-24", "--at", "2016-02-03"],
            ["snapshots", "TTF Apr-24", "--at", "2016-02-03"],
            ["top-of-book", "TTF Apr-24", "2024-02-05T22:00", "2024-02-05T22:05", "--include-empty"],
            ["ohlcv", "TTF Apr-24", "2024-02-03", "2024-02-05", "--include-empty"],
            ["activity", "2024-02-03", "2024-02-04"],
        ],
    )
    def test_no_data_is_4_only_with_require_data(
        self, words: list[str], default: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "it.csv"
        path.write_text("yesterday's")

        assert 4 == main([*words, "--require-data", "-o", str(path)])
        assert ("", "trayport: there are no data, so nothing was written\n") == tuple(capsys.readouterr())
        assert "yesterday's" == path.read_text()
        assert 0 == main([*words, "-o", str(path)])
        assert path.read_text().startswith(("timestamp,contract", "market_id"))

    def test_require_data_changes_nothing_with_data(self, default: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        for words, _ in COMMANDS_AND_CALLS:
            assert 0 == main([*words, "--require-data"])

    def test_a_file_is_written_whole_or_not_at_all(
        self, default: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "it.csv"
        path.write_text("yesterday's")

        def half(frame: pd.DataFrame, to: IO[str], **_: object) -> None:
            to.write("half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pd.DataFrame, "to_csv", half)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", sys.stdout)  # a command that cannot write sets it to None
            assert 1 == main(["trades", "TTF Apr-24", "2024-02-05", "2024-02-06", "-o", str(path)])
        assert "trayport: the output cannot be written: No space left on device\n" == capsys.readouterr().err
        assert ("yesterday's", [path]) == (path.read_text(), list(tmp_path.iterdir()))

    @pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
    def test_a_link_remains_a_link(self, default: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "it.csv"
        link.symlink_to(tmp_path / "elsewhere" / "real.csv")

        assert 0 == main(["snapshots", "TTF Apr-24", "--at", "2024-02-05T16:00", "-o", str(link)])
        assert (True, [link.resolve()]) == (link.is_symlink(), list((tmp_path / "elsewhere").iterdir()))

    def test_a_warning_is_printed_as_a_sentence(self, default: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        assert 0 == main(["top-of-book", "TTF Apr-24", "2020-02-03T09:00", "2020-02-03T09:05"])
        output = capsys.readouterr().err
        assert output.startswith("trayport: orders of EPEX")
        assert ".py" not in output


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_ctrl_c_keeps_the_partial_result_beside_the_file(
    sandbox: Sandbox, client: Any, cache_dir: Path, tmp_path: Path, asked: Any
) -> None:
    client.resolve("TTF Apr-24")  # the command finds its names in the cache
    path = tmp_path / "it.csv"
    command = [sys.executable, "-m", "trayport", "trades", "TTF Apr-24", "2022-10-01", "2024-02-01", "-o", str(path)]
    slow = environment(sandbox, cache_dir, per_second="4")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=slow) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while len(asked()) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output = process.stderr.read()

    assert (1, False) == (process.returncode, path.exists())
    rows = len(pd.read_csv(tmp_path / "it.csv.partial"))
    assert rows > 0
    assert [
        f"trayport: The partial result, {rows:,} rows, is in {path}.partial; {path} was not changed.",
        "trayport: interrupted",
    ] == output.splitlines()


@pytest.mark.skipif(os.name != "posix", reason="there is no head on Windows")
def test_a_closed_pipe_ends_the_output_of_rows_quietly(sandbox: Sandbox, cache_dir: Path) -> None:
    command = f"'{sys.executable}' -m trayport trades 'TTF Apr-24' 2024-01-08 2024-02-08 | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=environment(sandbox, cache_dir, limiter="off")
    )

    assert ("timestamp,contract,trade_id,venue_code,price,quantity,aggressor_buy\n", "") == (done.stdout, done.stderr)


class TestNames:
    """``trayport search``, ``resolve`` and ``venues``."""

    def test_search_prints_the_products_found(self, default: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        assert 0 == main(["search", "ttf eex", "--limit", "3"])
        expected = tp.search("ttf eex", limit=3)
        pd.testing.assert_frame_equal(expected, read(capsys.readouterr().out, expected))

    @pytest.mark.parametrize(
        "words, expected",
        [
            (
                ["TTF 2024-04"],
                "name            TTF Hi Cal 51.6* Apr-24\n"
                "marketId        10000065\n"
                "sequenceId      10000305\n"
                "sequenceItemId  244\n"
                "contractType    SinglePeriod\n"
                "delivers        2024-04-01 to 2024-05-01\n",
            ),
            (
                ["TTF M+2/M+3", "--at", "2024-02-05"],
                "name                  TTF Hi Cal 51.6* Apr-24/May-24\n"
                "marketId              10000065\n"
                "sequenceId            10000305\n"
                "sequenceItemId        244\n"
                "secondSequenceItemId  245\n"
                "contractType          Spread\n"
                "first delivers        2024-04-01 to 2024-05-01\n",
            ),
        ],
    )
    def test_resolve_prints_the_name_the_ids_and_the_delivery(
        self, words: list[str], expected: str, default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 0 == main(["resolve", *words])
        assert expected == capsys.readouterr().out

    @pytest.mark.parametrize("options, active", [([], None), (["--active"], True), (["--no-active"], False)])
    def test_venues_prints_the_table(
        self, options: list[str], active: bool | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 0 == main(["venues", *options])
        expected = tp.venues(active=active).reset_index()
        pd.testing.assert_frame_equal(expected, read(capsys.readouterr().out, expected))

    @pytest.mark.parametrize("name", ["search", "resolve", "venues"])
    def test_a_command_has_the_parameters_of_its_function(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        signature = inspect.signature(getattr(DEFAULT, name))
        needed = [p.name for p in signature.parameters.values() if p.default is p.empty]
        asked: list[dict[str, Any]] = []

        def record(*given: Any, **named: Any) -> None:
            asked.append(dict(signature.bind(*given, **named).arguments))
            raise QueryError("enough")

        monkeypatch.setattr(DEFAULT, name, record)

        assert 2 == main([name, *needed])
        defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
        assert [{**{name: name for name in needed}, **defaults}] == asked


@pytest.mark.parametrize(
    "error, code",
    [
        (QueryError("no"), 2),
        (UnknownContract("TFT"), 2),
        (NotAllowed("trades", 401), 5),
        (PartialDataError(pd.DataFrame(), (), print), 3),
        (TrayportError("no"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: TrayportError, code: int) -> None:
    assert code == exit_code(error)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_ctrl_c_prints_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trayport", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output = process.stderr.read()

    assert ("trayport: interrupted", 1) == (output.strip().splitlines()[-1][:21], process.returncode)
    assert "Traceback" not in output


def test_the_package_can_be_run_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "trayport", "--version"], capture_output=True, text=True, check=True)

    assert f"trayport {trayport.__version__}" == done.stdout.strip()


def test_a_closed_pipe_ends_the_demo_quietly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    pipe = open(write, "w", buffering=1)  # noqa: SIM115  # closing it fails, too
    try:
        with contextlib.chdir(tmp_path), contextlib.redirect_stdout(pipe):
            assert 1 == main(["demo"])
    finally:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()

    assert "" == capfd.readouterr().err
