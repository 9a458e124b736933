"""Arrow schemas of the endpoints, and responses as Arrow tables that hold ids beside names."""

from __future__ import annotations

import pyarrow as pa

from ..endpoints import DType
from .frames import ARROW_TYPES, PackedColumns, Schema

__all__ = ["ID_COLUMNS", "arrow_schema", "to_table"]

ID_COLUMNS: dict[str, DType] = {
    "product_kind": "string",
    "product_id": "int64",
    "sequence_id": "int64",
    "item_id": "int64",
    "second_item_id": "Int64",
    "contract_kind": "string",
}
"""The columns that identify a row's contract by its ids, and their dtypes; they follow its name, ``contract``."""

_TIME = pa.timestamp("ns", tz="UTC")
_NEVER_NULL = {"contract", "side", "product_kind", "contract_kind", "is_private", "public_copy"}


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the columns of a query as an Arrow schema, in the order of its frames, the times of the index first.

    Parameters
    ----------
    schema : Schema
        The columns of the query.

    Returns
    -------
    pyarrow.Schema
        Times are ``timestamp[ns, tz=UTC]``, text is ``large_string``, numbers are ``double``, flags ``bool``, ids and
        counts ``int64``. If rows belong to contracts, ``product_kind`` ("market" or "instrument"), ``product_id``,
        ``sequence_id``, ``item_id``, ``second_item_id`` and ``contract_kind`` ("single", "spread" or "range") follow
        the name in ``contract``. Times of the index, counts, levels, names, ids and ``is_private`` are never null.
    """
    fields = []
    for name, dtype in schema.layout.items():
        fields.append(_field(name, dtype))
        if name == "contract":
            fields += [_field(*column) for column in ID_COLUMNS.items()]
    return pa.schema(fields)


def _field(name: str, dtype: DType) -> pa.Field:
    nullable = dtype not in ("time", "int64") and name not in _NEVER_NULL
    return pa.field(name, _TIME if dtype in ("time", "moment") else ARROW_TYPES[dtype], nullable)


def to_table(packed: PackedColumns, schema: Schema) -> pa.Table:
    """Return the rows as a table with the columns of ``arrow_schema``."""
    layout = arrow_schema(schema)
    columns = []
    for each in layout:
        chunks = packed.cells.pop(each.name, None) or [pa.nulls(packed.length, each.type)]
        if each.type == _TIME:
            chunks = [chunk.view(_TIME) for chunk in chunks]
        elif each.type == pa.float64():  # gaps of packed numbers may be NaN
            chunks = [pa.array(chunk.to_numpy(zero_copy_only=False), from_pandas=True) for chunk in chunks]
        columns.append(pa.chunked_array(chunks, each.type))
    return pa.Table.from_arrays(columns, schema=layout)
