"""From an answer's bytes to a frame with exactly the endpoint's dtypes. Pure: no network, no look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from . import csv, json
from .frames import STRING, blank, empty, framed, join
from .schema import Ids, Naming, Schema

__all__ = ["STRING", "Ids", "Naming", "Schema", "blank", "decode", "empty", "join"]


def decode(
    payload: bytes, schema: Schema, naming: Naming, check: Callable[[Sequence[int]], None] | None = None
) -> pd.DataFrame:
    """The rows of ``payload``, JSON or CSV, in its order, as a frame of ``schema``.

    ``check`` is shown the times of the answer's elements, in nanoseconds since 1970, those without a row too.
    Raises ``DecodeError`` with the place that is not what the guide promises.
    """
    if csv.looks_like(payload):
        table = csv.read(payload, schema)
    else:
        table = json.read(payload, schema, with_contract=callable(naming))
    frame = framed(table, schema, naming)
    if check is not None:
        check(table.cells.get("timestamp", ()) if table.times is None else table.times)
    return frame
