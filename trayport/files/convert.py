"""Frames as tables of Arrow and of Polars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import ConfigError, QueryError

if TYPE_CHECKING:
    import polars
    import pyarrow as pa

__all__ = ["check", "flat", "schema", "table", "to_arrow", "to_polars"]


def to_arrow(frames: pd.DataFrame | Iterable[pd.DataFrame]) -> pa.Table:
    """A frame, or the pieces of a stream, as an Arrow table, the index as its first column.

    Numbers without gaps and strings are not copied. Raises ``QueryError`` for frames with different columns.

    >>> import trayport as tp
    >>> tp.to_arrow(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")).schema.field("timestamp").type
    TimestampType(timestamp[ns, tz=UTC])
    """
    import pyarrow as pa

    pieces = [frames] if isinstance(frames, pd.DataFrame) else list(frames)
    if not pieces:
        raise QueryError("there is no frame to convert: without one, nobody knows its columns")
    layout = schema(pieces[0])
    return pa.concat_tables([table(frame, layout) for frame in pieces])


def to_polars(frames: pd.DataFrame | Iterable[pd.DataFrame]) -> polars.DataFrame:
    """The same as a frame of Polars; needs the extra ``polars``.

    Raises ``ConfigError`` where Polars is not installed, and ``QueryError`` for frames with different columns.

    >>> import trayport as tp
    >>> tp.to_polars(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")).columns[:3]
    ['timestamp', 'contract', 'trade_id']
    """
    try:
        import polars
    except ImportError:
        raise ConfigError("Polars is not installed: pip install 'trayport[polars]'") from None
    return polars.DataFrame(to_arrow(frames))


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its index as the first column, unless that only numbers the rows."""
    return frame if _numbers_rows(frame) else frame.reset_index()


def schema(frame: pd.DataFrame) -> pa.Schema:
    """Arrow's types for ``frame``, and in the metadata what pandas needs to make the same frame of them again."""
    import pyarrow as pa

    found = pa.Schema.from_pandas(frame, preserve_index=not _numbers_rows(frame))
    ordered = [found.field(place) for place in _index_first(frame, len(found))]
    return pa.schema(ordered, metadata=found.metadata)


def table(frame: pd.DataFrame, layout: pa.Schema) -> pa.Table:
    """``frame`` as rows of ``layout``; ``QueryError`` if they are of another kind."""
    import pyarrow as pa

    made = pa.Table.from_pandas(frame, preserve_index=not _numbers_rows(frame))
    made = made.select(_index_first(frame, made.num_columns))
    check(layout.names, made.column_names)
    if made.schema.types != layout.types:
        raise QueryError(f"a frame with the types {made.schema.types} does not follow one with {layout.types}")
    return made.replace_schema_metadata(layout.metadata)


def check(names: Sequence[str], columns: Iterable[str]) -> None:
    """Raise ``QueryError`` for rows with other columns than those before."""
    if (found := list(columns)) != list(names):
        raise QueryError(f"a frame with the columns {found} does not follow one with {list(names)}")


def _index_first(frame: pd.DataFrame, width: int) -> list[int]:
    """The places of the columns in our order: in Arrow's the index comes last, and has a name if it had none."""
    first = len(frame.columns)
    return [*range(first, width), *range(first)]


def _numbers_rows(frame: pd.DataFrame) -> bool:
    return isinstance(frame.index, pd.RangeIndex)
