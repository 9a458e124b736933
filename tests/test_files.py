"""Frames into files and tables, and back: every cell, every type, and nothing half written."""

from __future__ import annotations

import csv
import gc
import itertools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.profiles import examples
from support.relay import Relay, status

import trayport as tp
from conftest import MakeClient
from trayport import Client, ConfigError, PartialDataError, QueryError
from trayport.decoding import Schema, empty
from trayport.endpoints import ACTIVITY, OHLCV, TRADES
from trayport.sandbox import Sandbox

QUESTION = ("TTF Apr-24", "2023-12-01", "2024-02-10")


pytestmark = pytest.mark.usefixtures("_strings_of_arrow")


@pytest.fixture(scope="module")
def _strings_of_arrow() -> Iterator[None]:
    """Strings are read as they were, where pandas 2 would read others."""
    with pd.option_context("mode.string_storage", "pyarrow"):
        yield


links = pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")


def back(path: Path) -> pd.DataFrame:
    """What a user's script reads."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_feather(path)


@pytest.fixture(scope="module")
def frame(sandbox: Sandbox, cache_dir: Path) -> pd.DataFrame:
    """Trades with every type of column, and gaps."""
    config = tp.Config(limiter="off", cache_dir=cache_dir, **sandbox.settings)
    with Client(config=config) as client:
        return client.trades(*QUESTION, fields=["route_id", "from_broken_spread"], include_private=True)


class TestExactly:
    """What is written is what is read."""

    @pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow"])
    def test_a_frame_comes_back_as_it_was(self, frame: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"

        assert len(frame) == tp.save(frame, path)
        pd.testing.assert_frame_equal(frame, back(path), check_freq=False)

    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    def test_the_pieces_of_a_stream_are_one_frame(self, client: Client, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        whole = client.trades(*QUESTION)

        assert len(whole) == tp.save(client.stream.trades(*QUESTION), path)
        pd.testing.assert_frame_equal(whole, back(path), check_freq=False)

    @pytest.mark.parametrize("endpoint", [TRADES, OHLCV, ACTIVITY], ids=lambda endpoint: endpoint.name)
    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    def test_no_rows_keep_their_types(self, endpoint: tp.endpoints.Endpoint, suffix: str, tmp_path: Path) -> None:
        nothing = empty(Schema(endpoint))
        path = tmp_path / f"it{suffix}"

        assert 0 == tp.save(nothing, path)
        pd.testing.assert_frame_equal(nothing, back(path), check_freq=False, check_index_type=False)

    def test_rows_that_are_only_numbered_are_numbered_on(self, client: Client, tmp_path: Path) -> None:
        day = client.activity("2024-02-05", "2024-02-06")
        path = tmp_path / "it.parquet"
        tp.save([day, day], path)

        pd.testing.assert_frame_equal(pd.concat([day, day], ignore_index=True), pd.read_parquet(path))

    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    @pytest.mark.parametrize(
        "index",
        [
            pytest.param(pd.Index([4, 1]), id="rows of a table, picked"),
            pytest.param(pd.Index(["mean", "std"]), id="texts"),
            pytest.param(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), id="two levels"),
        ],
    )
    def test_an_index_without_a_name_comes_back_as_it_was(self, suffix: str, index: pd.Index, tmp_path: Path) -> None:
        made = pd.DataFrame({"price": [1.5, 2.5]}, index=index)
        path = tmp_path / f"it{suffix}"

        assert 4 == tp.save([made, made], path)
        pd.testing.assert_frame_equal(pd.concat([made, made]), back(path))

    def test_feather_opens_without_being_read(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        path = tmp_path / "it.feather"
        tp.save(frame, path)
        before = pa.total_allocated_bytes()
        table = pyarrow.feather.read_table(path, memory_map=True)

        assert (len(frame), 0) == (table.num_rows, pa.total_allocated_bytes() - before)

    @examples(50)
    @given(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
        st.integers(0, 2**62),
        st.sampled_from(["UTC", "Europe/Amsterdam"]),
    )
    def test_lines_of_text_hold_every_digit(
        self, tmp_path_factory: pytest.TempPathFactory, prices: list[float], first: int, tz: str
    ) -> None:
        times = pd.DatetimeIndex(first + np.arange(len(prices)), tz="UTC", name="timestamp").tz_convert(tz)
        made = pd.DataFrame({"price": prices}, index=times)
        folder = tmp_path_factory.mktemp("text")
        tp.save(made, folder / "it.csv")
        tp.save(made, folder / "it.jsonl")

        with (folder / "it.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        lines = [json.loads(line) for line in (folder / "it.jsonl").read_text(encoding="utf-8").splitlines()]
        for told in (rows, lines):
            assert prices == [float(row["price"]) for row in told]
            assert list(times) == [pd.Timestamp(row["timestamp"]).tz_convert(tz) for row in told]

    def test_a_gap_is_null_in_json_and_nothing_in_csv(self, tmp_path: Path) -> None:
        made = pd.DataFrame(
            {"a": pd.array([1, None], "Int64"), "b": [np.nan, 0.5], "c": pd.array(["x", None], "string")}
        )
        tp.save(made, tmp_path / "it.jsonl")
        tp.save(made, tmp_path / "it.csv")

        assert '{"a":1,"b":null,"c":"x"}\n{"a":null,"b":0.5,"c":null}\n' == (tmp_path / "it.jsonl").read_text()
        assert "a,b,c\n1,,x\n,0.5,\n" == (tmp_path / "it.csv").read_text()

    @pytest.mark.parametrize(
        "values, told",
        [
            pytest.param(
                pd.to_datetime(["2024-02-05T08:00:00.123456789", None]), "2024-02-05T08:00:00.123456789", id="no zone"
            ),
            pytest.param(
                pd.Series(pd.to_datetime(["2024-02-05T08:00:00.123456789Z", None])).astype(
                    pd.ArrowDtype(pa.timestamp("ns", "UTC"))
                ),
                "2024-02-05T08:00:00.123456789+00:00",
                id="Arrow's",
            ),
            pytest.param(pd.to_timedelta(["1s", None]), "P0DT0H0M1S", id="durations"),
        ],
    )
    def test_times_of_every_kind_are_text_in_json(self, values: object, told: str, tmp_path: Path) -> None:
        tp.save(pd.DataFrame({"when": values}), tmp_path / "it.jsonl")

        assert [{"when": told}, {"when": None}] == [
            json.loads(line) for line in (tmp_path / "it.jsonl").read_text(encoding="utf-8").splitlines()
        ]

    def test_a_parquet_file_has_dictionaries_for_what_repeats_itself_only(self, client: Client, tmp_path: Path) -> None:
        tp.save(client.stream.trades(*QUESTION), tmp_path / "it.parquet")
        group = pa.parquet.ParquetFile(tmp_path / "it.parquet").metadata.row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]

        named = [each.path_in_schema for each in columns if each.has_dictionary_page]
        assert {"contract", "venue_code"} <= set(named)
        assert {"timestamp", "trade_id"}.isdisjoint(named)

    def test_cells_that_cannot_be_compared_are_saved_too(self, tmp_path: Path) -> None:
        lists = pd.array([[1], [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int64())))
        tp.save(pd.DataFrame({"a": lists, "b": [{"c": 1}, {"c": 2}]}), tmp_path / "it.parquet")

        assert [[1], [2, 3]] == pa.parquet.read_table(tmp_path / "it.parquet")["a"].to_pylist()

    def test_the_head_of_a_csv_stands_once(self, client: Client, tmp_path: Path) -> None:
        tp.save(client.stream.trades(*QUESTION), tmp_path / "pieces.csv")
        tp.save(client.trades(*QUESTION), tmp_path / "whole.csv")

        assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "pieces.csv").read_bytes()


class TestExcel:
    """Sheets, which know neither zones nor nanoseconds."""

    def test_times_are_the_zones_wall_clock_and_the_head_names_the_zone(
        self, make_client: MakeClient, tmp_path: Path
    ) -> None:
        day = make_client(tz="Europe/Amsterdam").trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        tp.save(day, tmp_path / "it.xlsx")
        head, first, *rest = openpyxl.load_workbook(tmp_path / "it.xlsx").active.values

        assert ("timestamp (Europe/Amsterdam)", *day.columns) == head
        assert day.index[0].tz_localize(None).floor("ms") == pd.Timestamp(first[0])
        assert day.iloc[0].tolist() == list(first[1:])
        assert len(day) == len(rest) + 1

    def test_a_name_is_no_formula_and_a_gap_is_an_empty_cell(self, tmp_path: Path) -> None:
        made = pd.DataFrame({"name": ["=1+1", None], "price": [np.nan, 2.0]})
        tp.save(made, tmp_path / "it.xlsx")
        sheet = openpyxl.load_workbook(tmp_path / "it.xlsx").active

        assert [("=1+1", None), (None, 2)] == list(sheet.iter_rows(min_row=2, values_only=True))
        assert "s" == sheet["A2"].data_type

    def test_more_rows_than_a_sheet_holds_are_refused(self, tmp_path: Path) -> None:
        made = pd.DataFrame({"price": np.zeros(1_048_576)})
        with pytest.raises(QueryError, match=r"1,048,575 rows; write to a \.parquet or a \.csv"):
            tp.save(made, tmp_path / "it.xlsx")

        assert [] == list(tmp_path.iterdir())


class TestWholeOrNot:
    """A file that others may be reading."""

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".feather", ".xlsx"])
    def test_what_stood_there_stays_until_the_end(self, frame: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        path.write_text("yesterday's")
        seen: list[str] = []

        def pieces() -> Iterator[pd.DataFrame]:
            yield frame.head(10)
            seen.append(path.read_text())
            yield frame.iloc[10:20]

        assert 20 == tp.save(pieces(), path)
        assert (["yesterday's"], [path]) == (seen, list(tmp_path.iterdir()))

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".feather", ".xlsx"])
    def test_what_fails_leaves_all_as_it_was(self, frame: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        path.write_text("yesterday's")
        with pytest.raises(QueryError, match="does not follow one with"):
            tp.save([frame, frame.drop(columns="price")], path)

        assert ("yesterday's", [path]) == (path.read_text(), list(tmp_path.iterdir()))

    def test_a_stream_that_breaks_off_leaves_its_part_beside_and_the_rest_can_follow(
        self, make_client: MakeClient, sandbox: Sandbox, client: Client, tmp_path: Path
    ) -> None:
        path = tmp_path / "it.parquet"
        path.write_text("yesterday's")
        with Relay(sandbox) as relay:
            relay.rule = lambda line, count: (
                status(503) if line.startswith("/api/trades") and "from=2024-01" in line and count == 1 else None
            )
            weak = make_client(analytics_url=relay.url, attempts=1)
            with pytest.raises(PartialDataError) as caught:
                tp.save(weak.stream.trades(*QUESTION), path)
            kept = tmp_path / "it.parquet.partial"
            rest = tmp_path / "rest.parquet"
            tp.save(caught.value.resume(), rest)

        assert "yesterday's" == path.read_text()
        assert [f"The {len(pd.read_parquet(kept)):,} rows before the error are in {kept}"] == caught.value.__notes__
        pd.testing.assert_frame_equal(
            client.trades(*QUESTION), pd.concat([pd.read_parquet(kept), pd.read_parquet(rest)]), check_freq=False
        )

    @links
    def test_the_part_of_what_a_link_leads_to_lies_beside_it(self, tmp_path: Path) -> None:
        path, far = tmp_path / "it.csv", tmp_path / "another disk"
        far.mkdir()
        path.symlink_to(far / "real.csv")
        made = pd.DataFrame({"price": [1.5]})

        def pieces() -> Iterator[pd.DataFrame]:
            yield made
            raise PartialDataError(made, (), list)

        with pytest.raises(PartialDataError) as caught:
            tp.save(pieces(), path)
        assert [far / "real.csv.partial"] == list(far.iterdir())
        assert [f"The 1 rows before the error are in {far / 'real.csv.partial'}"] == caught.value.__notes__

        assert 1 == tp.save(made, path)
        assert path.is_symlink()

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such bits")
    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".xlsx"])
    def test_who_might_not_read_it_may_not_afterwards(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        path.touch(mode=0o600)
        seen: set[int] = set()

        def pieces() -> Iterator[pd.DataFrame]:
            for _ in range(2):
                yield pd.DataFrame({"price": [1.5]})
                seen.update(stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir())

        tp.save(pieces(), path)
        assert {0o600} == seen | {stat.S_IMODE(path.stat().st_mode)}

    def test_a_process_that_is_killed_leaves_what_stood_there(self, tmp_path: Path) -> None:
        path = tmp_path / "it.csv"
        path.write_text("yesterday's")
        script = (
            "import os, sys, pandas as pd, trayport as tp\n"
            "def pieces():\n"
            "    yield pd.DataFrame({'a': range(9999)})\n"
            "    os._exit(9)\n"
            "tp.save(pieces(), sys.argv[1])\n"
        )

        assert 9 == subprocess.run([sys.executable, "-c", script, str(path)], timeout=60).returncode
        assert "yesterday's" == path.read_text()

    def test_two_who_write_to_one_name_do_not_mix(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        path = tmp_path / "it.csv"

        def pieces() -> Iterator[pd.DataFrame]:
            yield frame.head(5)
            tp.save(frame.head(3), path)
            yield frame.iloc[5:7]

        assert 7 == tp.save(pieces(), path)
        assert 8 == len(path.read_text().splitlines())

    @pytest.mark.parametrize(
        "name, reason",
        [("it.txt", "the suffix must be one of"), ("it", "the suffix"), ("nowhere/it.csv", "there is no folder")],
    )
    def test_a_file_that_cannot_be_is_refused_before_the_first_piece_is_asked_for(
        self, name: str, reason: str, tmp_path: Path
    ) -> None:
        pieces = iter([pd.DataFrame({"a": [1]})])
        with pytest.raises(QueryError, match=reason):
            tp.save(pieces, tmp_path / name)

        assert 1 == len(list(pieces))

    def test_what_another_program_has_open_is_left_and_the_new_one_kept_beside(
        self, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, kept = tmp_path / "it.parquet", tmp_path / "it.parquet.partial"
        path.write_text("yesterday's")
        replace = os.replace

        def as_on_windows(source: Path, target: Path) -> None:
            if target == path:
                raise PermissionError(13, "Access is denied")
            replace(source, target)

        monkeypatch.setattr(os, "replace", as_on_windows)
        with pytest.raises(PermissionError, match="such as Excel, may have it open; the new data is in"):
            tp.save(frame, path)

        assert ("yesterday's", {path, kept}) == (path.read_text(), set(tmp_path.iterdir()))
        assert len(frame) == len(pd.read_parquet(kept))

    @pytest.mark.parametrize("suffix", [".jsonl", ".xlsx"])
    def test_infinity_is_no_gap(self, suffix: str, tmp_path: Path) -> None:
        ratios = pd.DataFrame({"number": [1, 2], "ratio": [1.5, -np.inf]})
        with pytest.raises(QueryError, match="cannot hold infinity, and column ratio does"):
            tp.save(ratios, tmp_path / f"it{suffix}")

        assert [] == list(tmp_path.iterdir())

    def test_nothing_at_all_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(QueryError, match="there is no frame to save"):
            tp.save(iter(()), tmp_path / "it.csv")
        with pytest.raises(QueryError, match="there is no frame to convert"):
            tp.to_arrow([])

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".feather", ".xlsx"])
    @pytest.mark.parametrize(
        "frames, reason",
        [
            pytest.param(None, "frames=None must be a DataFrame or an iterable of DataFrames", id="none"),
            pytest.param(["a"], "frames must be DataFrames, and one is of type str", id="texts"),
            pytest.param(pd.Series([1.5]), "frames must be DataFrames, and one is of type float", id="a column"),
            pytest.param(
                pd.DataFrame([[1, 2]], columns=["bid", "bid"]),
                "column names must be unique, .* with bid",
                id="a name twice",
            ),
            pytest.param(
                pd.DataFrame({"text": pd.Series(["a", b"b", "\ud800", "\x00", object()], dtype=object)}),
                r"a \.\w+ file cannot hold these columns or values: ",
                id="values that are none",
            ),
        ],
    )
    @pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
    def test_what_no_file_can_hold_is_refused_in_a_sentence(
        self, frames: Any, reason: str, suffix: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"it{suffix}"
        path.write_text("yesterday's")
        with pytest.raises(QueryError, match=reason):
            tp.save(frames, path)
        gc.collect()  # a file that was left open would be told of now

        assert ("yesterday's", [path]) == (path.read_text(), list(tmp_path.iterdir()))

    @pytest.mark.parametrize("path", [None, 3, b"it.csv", "it\0.csv"])
    def test_what_names_no_file_is_refused_in_a_sentence(self, path: Any) -> None:
        with pytest.raises(QueryError, match="path.*(must be the name of a file|cannot be written: embedded null)"):
            tp.save(pd.DataFrame({"a": [1]}), path)

    @links
    def test_a_link_to_itself_is_refused_in_a_sentence(self, tmp_path: Path) -> None:
        path = tmp_path / "it.csv"
        path.symlink_to(path)
        with pytest.raises(QueryError, match="cannot be written"):
            tp.save(pd.DataFrame({"a": [1]}), path)

    def test_types_that_change_on_the_way_are_refused(self, tmp_path: Path) -> None:
        frames = [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})]
        with pytest.raises(QueryError, match="with the types"):
            tp.save(frames, tmp_path / "it.parquet")


class TestTables:
    """Arrow and Polars."""

    def test_arrow_has_the_index_first_and_every_type(self, frame: pd.DataFrame) -> None:
        table = tp.to_arrow(frame)

        assert ["timestamp", *frame.columns] == table.schema.names
        assert pa.timestamp("ns", tz="UTC") == table.schema.field("timestamp").type
        pd.testing.assert_frame_equal(frame, table.to_pandas(), check_freq=False)

    def test_numbers_without_gaps_are_not_copied(self, frame: pd.DataFrame) -> None:
        prices = frame[["price"]]
        column = tp.to_arrow(prices)["price"].chunk(0)

        assert prices["price"].to_numpy().__array_interface__["data"][0] == column.buffers()[1].address

    def test_a_stream_is_one_table_in_order(self, client: Client) -> None:
        assert tp.to_arrow(client.trades(*QUESTION)).equals(
            tp.to_arrow(client.stream.trades(*QUESTION)).combine_chunks()
        )

    def test_polars_has_the_same_rows(self, frame: pd.DataFrame) -> None:
        import polars

        made = tp.to_polars(frame)

        assert polars.Datetime("ns", "UTC") == made.schema["timestamp"]
        assert frame["price"].tolist() == made["price"].to_list()
        assert (frame.index.as_unit("ns").asi8 == made["timestamp"].to_physical().to_numpy()).all()

    @pytest.mark.parametrize(
        "package, extra, use",
        [("polars", "polars", lambda frame, path: tp.to_polars(frame)), ("openpyxl", "excel", tp.save)],
    )
    def test_without_the_extra_the_error_says_how_to_get_it(
        self,
        package: str,
        extra: str,
        use: Callable[[pd.DataFrame, Path], object],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ConfigError, match=rf"pip install 'trayport\[{extra}\]'"):
            use(pd.DataFrame({"a": [1]}), tmp_path / "it.xlsx")


def test_a_stream_is_written_in_the_memory_of_one_piece(tmp_path: Path) -> None:
    alive = [0]
    most = [0]

    class Counted(pd.DataFrame):
        def __del__(self) -> None:
            alive[0] -= 1

    def pieces() -> Iterator[pd.DataFrame]:
        for _ in itertools.repeat(None, 50):
            made = Counted({"a": np.zeros(1000)})
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield made
            del made

    assert 50_000 == tp.save(pieces(), tmp_path / "it.parquet")
    assert most[0] <= 2
