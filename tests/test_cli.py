"""The command line: what it prints, what it writes, and its exit codes."""

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

QUESTIONS = [
    "trades", "private-trades", "ohlcv", "last-trade", "activity", "top-of-book", "order-book", "snapshots",
]  # fmt: skip
COMMANDS = [*QUESTIONS, "plan", "search", "resolve", "venues", "doctor", "sandbox", "metrics", "demo"]


@pytest.fixture(scope="module")
def default() -> Iterator[Sandbox]:
    """The sandbox that commands ask, and the flat functions that they are compared with."""
    with sandboxed() as sandbox:
        yield sandbox


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (0, f"trayport {trayport.__version__}\n") == (ended.value.code, capsys.readouterr().out)


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    assert 0 == ended.value.code
    text = capsys.readouterr().out
    named = re.findall(r"^    ([a-z-]+)(?: |$)", text, re.MULTILINE)
    assert COMMANDS == named


@pytest.mark.parametrize("arguments", [["fly"], ["sandbox", "--port", "http"]])
def test_a_wrong_command_is_refused_with_the_right_ones(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
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
    """What the demo prints, and the folder that it runs in."""
    folder, said = tmp_path_factory.mktemp("demo"), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        assert 0 == main(["demo"])
    return said.getvalue(), folder


class TestDemo:
    """``trayport demo``"""

    def test_it_shows_the_plan_the_frame_the_prices_and_a_chart(self, demo: tuple[str, Path]) -> None:
        output, folder = demo
        assert "Plan: trades, 2 requests" in output
        assert "2024-01-08 to 2024-02-09  TTF Hi Cal 51.6* Apr-24 and 2 more" in output
        assert all(name in output for name in ("venue_code", "aggressor_buy", "trade_id"))
        assert re.search(r"2024-01-08 +\d\d\.\d+ +\d\d\.\d+ +\d\d\.\d+", output)
        chart = folder / "trayport-demo.png"
        assert f"Chart: {chart}" in output
        assert chart.read_bytes().startswith(b"\x89PNG")

    def test_it_speaks_plain_ascii_as_old_consoles_do(self, demo: tuple[str, Path]) -> None:
        assert demo[0].isascii()

    def test_without_matplotlib_a_sentence_stands_for_the_chart(
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

    def test_a_folder_that_cannot_be_written_costs_only_the_chart(
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


# Each question as a command, and the same as a call.
ASKED: list[tuple[list[str], Callable[[Any], Any]]] = [
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


class TestQuestions:
    """``trayport trades`` and its like"""

    @pytest.mark.parametrize("words, ask", ASKED)
    def test_the_output_is_the_functions_own_frame_as_csv(
        self, words: list[str], ask: Callable[[Any], pd.DataFrame], default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 0 == main(words)
        said = capsys.readouterr()

        expected = ask(tp)
        pd.testing.assert_frame_equal(as_csv_tells_it(expected), read(said.out, expected))
        assert "" == said.err

    @pytest.mark.parametrize("words, ask", ASKED)
    def test_a_csv_file_holds_what_the_output_would(
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

    @pytest.mark.parametrize("words, ask", ASKED)
    def test_a_parquet_file_holds_the_frame_with_its_types_and_what_it_says_of_itself(
        self, words: list[str], ask: Callable[[Any], pd.DataFrame], default: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "it.parquet"

        assert 0 == main([*words, "--output", str(path)])
        expected, found = ask(tp), pd.read_parquet(path)
        # pandas 2 reads text back as the same dtype in another storage.
        pd.testing.assert_frame_equal(expected, found.astype(expected.dtypes.to_dict()))
        assert expected.dtypes.astype(str).to_dict() == found.dtypes.astype(str).to_dict()
        assert expected.attrs == found.attrs
        assert [path] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("words, ask", ASKED)
    def test_plan_in_front_prints_the_plan_and_asks_nothing(
        self, words: list[str], ask: Callable[[Any], Any], default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = [request for request in default.asked if request.api == "/api"]

        assert 0 == main(["plan", *words])
        assert f"{ask(tp.plan)}\n" == capsys.readouterr().out
        assert before == [request for request in default.asked if request.api == "/api"]

    @pytest.mark.parametrize("question", QUESTIONS)
    @pytest.mark.parametrize("face", ["flat", "plan"])
    def test_its_parameters_are_the_functions(
        self, question: str, face: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        name = question.replace("-", "_")
        at, words = (DEFAULT, [question]) if face == "flat" else (DEFAULT.plan, ["plan", question])
        signature = inspect.signature(getattr(DEFAULT, name))
        needed = [p.name for p in signature.parameters.values() if p.default is p.empty]
        asked: list[dict[str, Any]] = []
        monkeypatch.setattr(at, name, lambda **given: asked.append(given) or pd.DataFrame({"price": [1.0]}))
        main([*words, *needed])

        defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
        given = {name: [name] if name == "contract" else name for name in needed}
        assert [{**given, **defaults}] == asked

    @pytest.mark.parametrize("question", QUESTIONS)
    def test_every_parameter_has_help_and_the_exit_codes_are_told(
        self, question: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main([question, "--help"])

        text = " ".join(capsys.readouterr().out.split())
        for name in inspect.signature(getattr(tp, question.replace("-", "_"))).parameters:
            assert re.search(rf"(?<![\w-])(--|--no-)?{name.replace('_', '[_-]')}(?![\w-])", text), name
        assert "3 a part is missing" in text


def as_csv_tells_it(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the difference between an empty text and none, which CSV does not know."""
    texts = frame.select_dtypes("string").columns
    return frame.assign(**{name: frame[name].replace("", pd.NA) for name in texts})


def read(text: str, like: pd.DataFrame) -> pd.DataFrame:
    """A frame from CSV, with the types of another."""
    moments = list(like.select_dtypes(["datetime", "datetimetz"]))
    # Versions of pandas differ in the last digit that they read, and Python reads what was written.
    floats = list(like.select_dtypes("float"))
    types = {name: "str" if name in floats else dtype for name, dtype in like.dtypes.items() if name not in moments}
    found = pd.read_csv(io.StringIO(text), dtype=types).astype(dict.fromkeys(floats, "float64"))
    if like.index.name is not None:
        found = found.set_index(like.index.name)
        found.index = pd.DatetimeIndex(pd.to_datetime(found.index, format="ISO8601", utc=True)).as_unit("ns")
    for name in moments:
        read = pd.to_datetime(found[name], format="ISO8601", utc=True)
        found[name] = (read if like[name].dt.tz else read.dt.tz_localize(None)).astype(like[name].dtype)
    return found


# Two requests, of which the second reaches into today: a client that thinks it may sends it, and the server refuses.
REFUSED_IN_PART = ["trades", "TTF Y+1", f"{pd.Timestamp.now('UTC') - pd.Timedelta(days=40):%Y-%m-%d}"]


class TestRefusals:
    """Exit code 2: nothing was asked"""

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
    def test_a_slip_is_told_in_a_sentence(
        self, words: list[str], reason: str, default: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 2 == main(words)
        said = capsys.readouterr()
        assert ("", True, True) == (said.out, said.err.startswith("trayport: "), reason in said.err)

    @pytest.mark.parametrize(
        "name, reason",
        [
            ("it.txt", "the suffix must be one of .parquet, .csv,"),
            ("it", "the suffix must be one of .parquet, .csv,"),
            ("nowhere/it.csv", "there is no folder"),
            ("folder.csv", "cannot be written"),
        ],
    )
    def test_a_file_that_cannot_be_is_refused_before_anything_is_asked(
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
    def test_what_is_no_command_is_refused_with_its_usage(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(words)

        assert (2, True) == (ended.value.code, capsys.readouterr().err.startswith("usage: trayport"))

    @pytest.mark.parametrize(
        "words", [["trades", "TTF Apr-24", "2024-02-05"], ["search", "ttf"], ["private-trades", "2024-02-05"]]
    )
    def test_without_a_key_the_ways_to_give_one_are_told(
        self, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        with sandboxed():
            tp.configure(config=Config(cache_dir=tmp_path))

            assert 2 == main(words)
        assert "TRAYPORT_API_KEY" in capsys.readouterr().err


class TestPartsAndFailures:
    """Exit codes 1, 3, 4 and 5: a part is never taken for the whole"""

    @pytest.fixture
    def hopeful(self) -> Iterator[Sandbox]:
        """A client that thinks that it may see today, and a sandbox that thinks otherwise."""
        with sandboxed() as sandbox:
            tp.configure(intraday=True)
            yield sandbox

    @pytest.mark.parametrize("name", ["it.csv", "it.parquet"])
    def test_a_part_goes_beside_the_file_which_stays_as_it_was(
        self, name: str, hopeful: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path, partial = tmp_path / name, tmp_path / f"{name}.partial"
        path.write_text("yesterday's")

        assert 3 == main([*REFUSED_IN_PART, "-o", str(path)])
        said = capsys.readouterr()
        with pytest.raises(PartialDataError) as caught:
            tp.trades(*REFUSED_IN_PART[1:])
        kept = caught.value.frame
        found = pd.read_parquet(partial) if name == "it.parquet" else read(partial.read_text(), kept)
        pd.testing.assert_frame_equal(kept, found.astype(kept.dtypes.to_dict()))
        assert ("yesterday's", {path, partial}) == (path.read_text(), set(tmp_path.iterdir()))
        assert said.err.startswith("trayport: incomplete, 1 of 2 requests failed for good:\n  TTF Hi Cal 51.6* Cal-")
        assert said.err.endswith(f"The partial result, {len(kept):,} rows, is in {partial}; {path} was not changed.\n")
        assert "" == said.out

    def test_a_part_on_the_output_is_followed_by_what_is_missing(
        self, hopeful: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert 3 == main(REFUSED_IN_PART)
        said = capsys.readouterr()
        rows = said.out.count("\n") - 1
        assert rows > 10
        assert said.err.endswith(f"The partial result, {rows:,} rows, is in the output.\n")

    def test_the_whole_replaces_the_file_and_clears_the_part_away(self, hopeful: Sandbox, tmp_path: Path) -> None:
        path = tmp_path / "it.csv"
        main([*REFUSED_IN_PART, "-o", str(path)])
        assert [tmp_path / "it.csv.partial"] == list(tmp_path.iterdir())
        tp.configure(intraday=False)

        assert 0 == main([*REFUSED_IN_PART, "-o", str(path)])
        assert [path] == list(tmp_path.iterdir())

    def test_where_nothing_arrived_there_is_no_part_and_the_reason_gives_the_code(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        with sandboxed():
            tp.configure(api_key="another")

            assert 5 == main(["private-trades", "2024-01-01", "2024-03-01", "-o", str(tmp_path / "it.csv")])
        said = capsys.readouterr()
        assert ("", []) == (said.out, list(tmp_path.iterdir()))
        assert "401 Unauthorized; check the key" in said.err

    @pytest.mark.parametrize(
        "words", [["trades", "TTF Apr-24", "2024-02-05", "2024-02-06"], ["search", "ttf"], ["resolve", "TTF Apr-24"]]
    )
    def test_a_key_that_may_not_is_5(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with sandboxed():
            tp.configure(api_key="another")

            assert 5 == main(words)
        assert "401 Unauthorized; check the key" in capsys.readouterr().err

    def test_a_server_that_is_not_there_is_1(self, capsys: pytest.CaptureFixture[str]) -> None:
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
    def test_no_data_is_4_only_where_data_are_required(
        self, words: list[str], default: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "it.csv"
        path.write_text("yesterday's")

        assert 4 == main([*words, "--require-data", "-o", str(path)])
        assert ("", "trayport: there are no data, so nothing was written\n") == tuple(capsys.readouterr())
        assert "yesterday's" == path.read_text()
        assert 0 == main([*words, "-o", str(path)])
        assert path.read_text().startswith(("timestamp,contract", "market_id"))

    def test_with_data_it_makes_no_difference(self, default: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        for words, _ in ASKED:
            assert 0 == main([*words, "--require-data"])

    def test_a_file_is_written_wholly_or_not_at_all(
        self, default: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "it.csv"
        path.write_text("yesterday's")

        def half(frame: pd.DataFrame, to: IO[str], **_: object) -> None:
            to.write("half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pd.DataFrame, "to_csv", half)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", sys.stdout)  # a command that cannot write lets go of it
            assert 1 == main(["trades", "TTF Apr-24", "2024-02-05", "2024-02-06", "-o", str(path)])
        assert "trayport: the output cannot be written: No space left on device\n" == capsys.readouterr().err
        assert ("yesterday's", [path]) == (path.read_text(), list(tmp_path.iterdir()))

    @pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
    def test_a_link_stays_a_link(self, default: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "it.csv"
        link.symlink_to(tmp_path / "elsewhere" / "real.csv")

        assert 0 == main(["snapshots", "TTF Apr-24", "--at", "2024-02-05T16:00", "-o", str(link)])
        assert (True, [link.resolve()]) == (link.is_symlink(), list((tmp_path / "elsewhere").iterdir()))

    def test_a_warning_is_a_sentence_too(self, default: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        assert 0 == main(["top-of-book", "TTF Apr-24", "2020-02-03T09:00", "2020-02-03T09:05"])
        said = capsys.readouterr().err
        assert said.startswith("trayport: orders of EPEX")
        assert ".py" not in said


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent to a process by a signal")
def test_ctrl_c_keeps_what_arrived_beside_the_file(
    sandbox: Sandbox, client: Any, cache_dir: Path, tmp_path: Path, asked: Any
) -> None:
    client.resolve("TTF Apr-24")  # so that no time goes by with looking names up slowly
    path = tmp_path / "it.csv"
    command = [sys.executable, "-m", "trayport", "trades", "TTF Apr-24", "2022-10-01", "2024-02-01", "-o", str(path)]
    slowly = environment(sandbox, cache_dir, per_second="4")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=slowly) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while len(asked()) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert (1, False) == (process.returncode, path.exists())
    rows = len(pd.read_csv(tmp_path / "it.csv.partial"))
    assert rows > 0
    assert [
        f"trayport: The partial result, {rows:,} rows, is in {path}.partial; {path} was not changed.",
        "trayport: interrupted",
    ] == said.splitlines()


@pytest.mark.skipif(os.name != "posix", reason="there is no head on Windows")
def test_a_reader_of_rows_that_has_seen_enough_is_no_crash(sandbox: Sandbox, cache_dir: Path) -> None:
    command = f"'{sys.executable}' -m trayport trades 'TTF Apr-24' 2024-01-08 2024-02-08 | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=environment(sandbox, cache_dir, limiter="off")
    )

    assert ("timestamp,contract,trade_id,venue_code,price,quantity,aggressor_buy\n", "") == (done.stdout, done.stderr)


class TestNames:
    """``trayport search``, ``resolve`` and ``venues``"""

    def test_search_prints_what_the_function_finds(self, default: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
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
    def test_its_parameters_are_the_functions(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_ctrl_c_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trayport", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert ("trayport: interrupted", 1) == (said.strip().splitlines()[-1][:21], process.returncode)
    assert "Traceback" not in said


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run([sys.executable, "-m", "trayport", "--version"], capture_output=True, text=True, check=True)

    assert f"trayport {trayport.__version__}" == done.stdout.strip()


@pytest.mark.skipif(os.name != "posix", reason="there is no head on Windows")
def test_a_reader_that_has_seen_enough_is_no_crash(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m trayport demo | head -1'
    began = time.monotonic()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)

    assert ("", True) == (done.stderr, time.monotonic() - began < 60)
