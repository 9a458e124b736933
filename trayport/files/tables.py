"""Frames as tables of Arrow and of Polars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import ConfigError, QueryError

if TYPE_CHECKING:
    import polars
    import pyarrow as pa

__all__ = ["arrow_schema", "arrow_table", "check_columns", "to_arrow", "to_polars", "with_index_column"]


def to_arrow(frames: pd.DataFrame | Iterable[pd.DataFrame]) -> pa.Table:
    """Return a frame, or the frames of a stream, as one Arrow table.

    Numbers without gaps and text are not copied.

    Parameters
    ----------
    frames : DataFrame or iterable of DataFrame
        A frame, or frames with the same columns and dtypes, such as ``tp.stream.trades(...)``.

    Returns
    -------
    pyarrow.Table
        The index is the first column, unless it only numbers the rows. Times are ``timestamp[ns]`` with the zone of the
        frame, text is ``large_string``.

    Raises
    ------
    QueryError
        There is no frame, or a frame has other columns or types than the first one.

    Examples
    --------
    >>> import trayport as tp
    >>> tp.to_arrow(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")).schema.field("timestamp").type
    TimestampType(timestamp[ns, tz=UTC])
    """
    import pyarrow as pa

    parts = [frames] if isinstance(frames, pd.DataFrame) else list(frames)
    if not parts:
        raise QueryError(
            "there is no frame to convert, and without a frame the columns are unknown", "pass at least one frame"
        )
    schema = arrow_schema(parts[0])
    return pa.concat_tables([arrow_table(frame, schema) for frame in parts])


def to_polars(frames: pd.DataFrame | Iterable[pd.DataFrame]) -> polars.DataFrame:
    """Return a frame, or the frames of a stream, as one Polars frame; needs the extra ``polars``.

    Parameters
    ----------
    frames : DataFrame or iterable of DataFrame
        A frame, or frames with the same columns and dtypes, such as ``tp.stream.trades(...)``.

    Returns
    -------
    polars.DataFrame
        The index is the first column, unless it only numbers the rows. Times are ``Datetime("ns")`` with the zone of
        the frame.

    Raises
    ------
    ConfigError
        Polars is not installed.
    QueryError
        There is no frame, or a frame has other columns or types than the first one.

    Examples
    --------
    >>> import trayport as tp
    >>> tp.to_polars(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")).columns[:3]
    ['timestamp', 'contract', 'trade_id']
    """
    try:
        import polars
    except ImportError:
        raise ConfigError("Polars is not installed", "pip install 'trayport[polars]'") from None
    return polars.DataFrame(to_arrow(frames))


def with_index_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its index as the first column, unless the index only numbers the rows."""
    return frame if _has_row_numbers(frame) else frame.reset_index()


def arrow_schema(frame: pd.DataFrame) -> pa.Schema:
    """Return the Arrow schema of a frame, with the metadata that lets pandas restore the frame."""
    import pyarrow as pa

    found = pa.Schema.from_pandas(frame, preserve_index=not _has_row_numbers(frame))
    ordered = [found.field(place) for place in _index_first(frame, len(found))]
    return pa.schema(ordered, metadata=found.metadata)


def arrow_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Return a frame as a table of ``schema``; raise ``QueryError`` if it has other columns or types."""
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=not _has_row_numbers(frame))
    table = table.select(_index_first(frame, table.num_columns))
    check_columns(schema.names, table.column_names)
    if table.schema.types != schema.types:
        raise QueryError(f"a frame with the types {table.schema.types} does not follow one with {schema.types}")
    return table.replace_schema_metadata(schema.metadata)


def check_columns(names: Sequence[str], columns: Iterable[str]) -> None:
    """Raise ``QueryError`` if the columns differ from those of the frames before."""
    if (found := list(columns)) != list(names):
        raise QueryError(f"a frame with the columns {found} does not follow one with {list(names)}")


def _index_first(frame: pd.DataFrame, width: int) -> list[int]:
    """Return the places of an Arrow table's columns with the index first; Arrow puts it last."""
    first = len(frame.columns)
    return [*range(first, width), *range(first)]


def _has_row_numbers(frame: pd.DataFrame) -> bool:
    return isinstance(frame.index, pd.RangeIndex)
