"""Frames to files and tables, and back: every cell and dtype is kept, and no file is incomplete."""

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

QUERY = ("TTF Apr-24", "2023-12-01", "2024-02-10")


pytestmark = pytest.mark.usefixtures("_arrow_strings")


@pytest.fixture(scope="module")
def _arrow_strings() -> Iterator[None]:
    """Let pandas 2 read text with the same storage as pandas 3."""
    with pd.option_context("mode.string_storage", "pyarrow"):
        yield


links = pytest.mark.skipif(os.name != "posix", reason="links need a privilege on Windows")


def read_back(path: Path) -> pd.DataFrame:
    """Read a file as a user's script does."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_feather(path)


@pytest.fixture(scope="module")
def frame(sandbox: Sandbox, cache_dir: Path) -> pd.DataFrame:
    """Return trades with every dtype, and with gaps."""
    config = tp.Config(limiter="off", cache_dir=cache_dir, **sandbox.settings)
    with Client(config=config) as client:
        return client.trades(*QUERY, fields=["route_id", "from_broken_spread"], include_private=True)


class TestRoundTrip:
    """Files that are read back."""

    @pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow"])
    def test_frame_is_read_back_unchanged(self, frame: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"

        assert len(frame) == tp.save(frame, path)
        pd.testing.assert_frame_equal(frame, read_back(path), check_freq=False)

    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    def test_frames_of_a_stream_are_one_frame(self, client: Client, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        whole = client.trades(*QUERY)

        assert len(whole) == tp.save(client.stream.trades(*QUERY), path)
        pd.testing.assert_frame_equal(whole, read_back(path), check_freq=False)

    @pytest.mark.parametrize("endpoint", [TRADES, OHLCV, ACTIVITY], ids=lambda endpoint: endpoint.name)
    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    def test_frame_without_rows_keeps_its_dtypes(
        self, endpoint: tp.endpoints.Endpoint, suffix: str, tmp_path: Path
    ) -> None:
        without_rows = empty(Schema(endpoint))
        path = tmp_path / f"it{suffix}"

        assert 0 == tp.save(without_rows, path)
        pd.testing.assert_frame_equal(without_rows, read_back(path), check_freq=False, check_index_type=False)

    def test_row_numbers_continue_from_frame_to_frame(self, client: Client, tmp_path: Path) -> None:
        day = client.activity("2024-02-05", "2024-02-06")
        path = tmp_path / "it.parquet"
        tp.save([day, day], path)

        pd.testing.assert_frame_equal(pd.concat([day, day], ignore_index=True), pd.read_parquet(path))

    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    @pytest.mark.parametrize(
        "index",
        [
            pytest.param(pd.Index([4, 1]), id="selected row numbers"),
            pytest.param(pd.Index(["mean", "std"]), id="texts"),
            pytest.param(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), id="two levels"),
        ],
    )
    def test_index_without_a_name_is_read_back_unchanged(self, suffix: str, index: pd.Index, tmp_path: Path) -> None:
        made = pd.DataFrame({"price": [1.5, 2.5]}, index=index)
        path = tmp_path / f"it{suffix}"

        assert 4 == tp.save([made, made], path)
        pd.testing.assert_frame_equal(pd.concat([made, made]), read_back(path))

    def test_feather_is_memory_mapped(self, frame: pd.DataFrame, tmp_path: Path) -> None:
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
    def test_text_formats_keep_every_digit(
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
        for found in (rows, lines):
            assert prices == [float(row["price"]) for row in found]
            assert list(times) == [pd.Timestamp(row["timestamp"]).tz_convert(tz) for row in found]

    def test_gap_is_null_in_json_and_empty_in_csv(self, tmp_path: Path) -> None:
        made = pd.DataFrame(
            {"a": pd.array([1, None], "Int64"), "b": [np.nan, 0.5], "c": pd.array(["x", None], "string")}
        )
        tp.save(made, tmp_path / "it.jsonl")
        tp.save(made, tmp_path / "it.csv")

        assert '{"a":1,"b":null,"c":"x"}\n{"a":null,"b":0.5,"c":null}\n' == (tmp_path / "it.jsonl").read_text()
        assert "a,b,c\n1,,x\n,0.5,\n" == (tmp_path / "it.csv").read_text()

    @pytest.mark.parametrize(
        "values, text",
        [
            pytest.param(
                pd.to_datetime(["2024-02-05T08:00:00.123456789", None]), "2024-02-05T08:00:00.123456789", id="no zone"
            ),
            pytest.param(
                pd.Series(pd.to_datetime(["2024-02-05T08:00:00.123456789Z", None])).astype(
                    pd.ArrowDtype(pa.timestamp("ns", "UTC"))
                ),
                "2024-02-05T08:00:00.123456789+00:00",
                id="Arrow",
            ),
            pytest.param(pd.to_timedelta(["1s", None]), "P0DT0H0M1S", id="durations"),
        ],
    )
    def test_times_of_every_dtype_are_text_in_json(self, values: object, text: str, tmp_path: Path) -> None:
        tp.save(pd.DataFrame({"when": values}), tmp_path / "it.jsonl")

        assert [{"when": text}, {"when": None}] == [
            json.loads(line) for line in (tmp_path / "it.jsonl").read_text(encoding="utf-8").splitlines()
        ]

    def test_parquet_has_dictionaries_for_repeating_values_only(self, client: Client, tmp_path: Path) -> None:
        tp.save(client.stream.trades(*QUERY), tmp_path / "it.parquet")
        group = pa.parquet.ParquetFile(tmp_path / "it.parquet").metadata.row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]

        named = [each.path_in_schema for each in columns if each.has_dictionary_page]
        assert {"contract", "venue_code"} <= set(named)
        assert {"timestamp", "trade_id"}.isdisjoint(named)

    def test_cells_that_cannot_be_compared_are_saved(self, tmp_path: Path) -> None:
        lists = pd.array([[1], [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int64())))
        tp.save(pd.DataFrame({"a": lists, "b": [{"c": 1}, {"c": 2}]}), tmp_path / "it.parquet")

        assert [[1], [2, 3]] == pa.parquet.read_table(tmp_path / "it.parquet")["a"].to_pylist()

    def test_csv_has_one_header(self, client: Client, tmp_path: Path) -> None:
        tp.save(client.stream.trades(*QUERY), tmp_path / "pieces.csv")
        tp.save(client.trades(*QUERY), tmp_path / "whole.csv")

        assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "pieces.csv").read_bytes()


class TestExcel:
    """Sheets, which hold neither zones nor nanoseconds."""

    def test_times_are_wall_clock_and_the_title_holds_the_zone(self, make_client: MakeClient, tmp_path: Path) -> None:
        day = make_client(tz="Europe/Amsterdam").trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        tp.save(day, tmp_path / "it.xlsx")
        titles, first, *rest = openpyxl.load_workbook(tmp_path / "it.xlsx").active.values

        assert ("timestamp (Europe/Amsterdam)", *day.columns) == titles
        assert day.index[0].tz_localize(None).floor("ms") == pd.Timestamp(first[0])
        assert day.iloc[0].tolist() == list(first[1:])
        assert len(day) == len(rest) + 1

    def test_text_is_not_a_formula_and_a_gap_is_an_empty_cell(self, tmp_path: Path) -> None:
        made = pd.DataFrame({"name": ["=1+1", None], "price": [np.nan, 2.0]})
        tp.save(made, tmp_path / "it.xlsx")
        sheet = openpyxl.load_workbook(tmp_path / "it.xlsx").active

        assert [("=1+1", None), (None, 2)] == list(sheet.iter_rows(min_row=2, values_only=True))
        assert "s" == sheet["A2"].data_type

    def test_more_rows_than_a_sheet_can_hold_are_refused(self, tmp_path: Path) -> None:
        made = pd.DataFrame({"price": np.zeros(1_048_576)})
        with pytest.raises(QueryError, match=r"1,048,575 rows; write to a \.parquet or a \.csv"):
            tp.save(made, tmp_path / "it.xlsx")

        assert [] == list(tmp_path.iterdir())


class TestReplacement:
    """Files that are replaced as a whole or not at all."""

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".feather", ".xlsx"])
    def test_old_file_stays_until_the_new_one_is_complete(
        self, frame: pd.DataFrame, suffix: str, tmp_path: Path
    ) -> None:
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
    def test_failure_leaves_the_old_file(self, frame: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        path.write_text("yesterday's")
        with pytest.raises(QueryError, match="does not follow one with"):
            tp.save([frame.head(50), frame.head(50).drop(columns="price")], path)

        assert ("yesterday's", [path]) == (path.read_text(), list(tmp_path.iterdir()))

    def test_interrupted_stream_leaves_a_partial_file_and_can_be_resumed(
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
                tp.save(weak.stream.trades(*QUERY), path)
            kept = tmp_path / "it.parquet.partial"
            rest = tmp_path / "rest.parquet"
            tp.save(caught.value.resume(), rest)

        assert "yesterday's" == path.read_text()
        assert [f"The {len(pd.read_parquet(kept)):,} rows before the error are in {kept}"] == caught.value.__notes__
        pd.testing.assert_frame_equal(
            client.trades(*QUERY), pd.concat([pd.read_parquet(kept), pd.read_parquet(rest)]), check_freq=False
        )

    @links
    def test_partial_file_of_a_link_is_beside_its_target(self, tmp_path: Path) -> None:
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

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".xlsx"])
    def test_permissions_of_the_old_file_are_kept(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"it{suffix}"
        path.touch(mode=0o600)
        seen: set[int] = set()

        def pieces() -> Iterator[pd.DataFrame]:
            for _ in range(2):
                yield pd.DataFrame({"price": [1.5]})
                seen.update(stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir())

        tp.save(pieces(), path)
        assert {0o600} == seen | {stat.S_IMODE(path.stat().st_mode)}

    def test_killed_process_leaves_the_old_file(self, tmp_path: Path) -> None:
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

    def test_two_writers_of_one_path_do_not_mix(self, frame: pd.DataFrame, tmp_path: Path) -> None:
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
    def test_impossible_path_is_refused_before_the_first_frame_is_requested(
        self, name: str, reason: str, tmp_path: Path
    ) -> None:
        pieces = iter([pd.DataFrame({"a": [1]})])
        with pytest.raises(QueryError, match=reason):
            tp.save(pieces, tmp_path / name)

        assert 1 == len(list(pieces))

    def test_file_that_another_program_has_open_stays_and_the_new_one_is_partial(
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
    def test_infinity_is_refused(self, suffix: str, tmp_path: Path) -> None:
        ratios = pd.DataFrame({"number": [1, 2], "ratio": [1.5, -np.inf]})
        with pytest.raises(QueryError, match="cannot hold infinity, and column ratio does"):
            tp.save(ratios, tmp_path / f"it{suffix}")

        assert [] == list(tmp_path.iterdir())

    def test_missing_frame_is_refused(self, tmp_path: Path) -> None:
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
                id="values of no dtype",
            ),
        ],
    )
    @pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
    def test_frames_that_no_file_can_hold_are_refused_with_a_sentence(
        self, frames: Any, reason: str, suffix: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"it{suffix}"
        path.write_text("yesterday's")
        with pytest.raises(QueryError, match=reason):
            tp.save(frames, path)
        gc.collect()  # an open file would cause a ResourceWarning now

        assert ("yesterday's", [path]) == (path.read_text(), list(tmp_path.iterdir()))

    @pytest.mark.parametrize("path", [None, 3, b"it.csv", "it\0.csv"])
    def test_impossible_file_name_is_refused_with_a_sentence(self, path: Any) -> None:
        with pytest.raises(QueryError, match="path.*(must be the name of a file|cannot be written: embedded null)"):
            tp.save(pd.DataFrame({"a": [1]}), path)

    @links
    def test_link_to_itself_is_refused_with_a_sentence(self, tmp_path: Path) -> None:
        path = tmp_path / "it.csv"
        path.symlink_to(path)
        with pytest.raises(QueryError, match="cannot be written"):
            tp.save(pd.DataFrame({"a": [1]}), path)

    def test_frames_with_different_dtypes_are_refused(self, tmp_path: Path) -> None:
        frames = [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})]
        with pytest.raises(QueryError, match="with the types"):
            tp.save(frames, tmp_path / "it.parquet")


class TestTables:
    """Tables of Arrow and Polars."""

    def test_arrow_table_has_the_index_first_and_all_types(self, frame: pd.DataFrame) -> None:
        table = tp.to_arrow(frame)

        assert ["timestamp", *frame.columns] == table.schema.names
        assert pa.timestamp("ns", tz="UTC") == table.schema.field("timestamp").type
        pd.testing.assert_frame_equal(frame, table.to_pandas(), check_freq=False)

    def test_numbers_without_gaps_are_not_copied(self, frame: pd.DataFrame) -> None:
        prices = frame[["price"]]
        column = tp.to_arrow(prices)["price"].chunk(0)

        assert prices["price"].to_numpy().__array_interface__["data"][0] == column.buffers()[1].address

    def test_stream_becomes_one_table(self, client: Client) -> None:
        assert tp.to_arrow(client.trades(*QUERY)).equals(tp.to_arrow(client.stream.trades(*QUERY)).combine_chunks())

    def test_polars_frame_has_the_same_rows(self, frame: pd.DataFrame) -> None:
        import polars

        made = tp.to_polars(frame)

        assert polars.Datetime("ns", "UTC") == made.schema["timestamp"]
        assert frame["price"].tolist() == made["price"].to_list()
        assert (frame.index.as_unit("ns").asi8 == made["timestamp"].to_physical().to_numpy()).all()

    @pytest.mark.parametrize(
        "package, extra, use",
        [("polars", "polars", lambda frame, path: tp.to_polars(frame)), ("openpyxl", "excel", tp.save)],
    )
    def test_missing_extra_is_an_error_with_the_command_to_install_it(
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


def test_stream_is_written_with_one_frame_in_memory(tmp_path: Path) -> None:
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
