"""From an answer's bytes to a frame with exactly the endpoint's dtypes.

No network and no look-ups; only what is too long for memory waits in a temporary file.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain

import pandas as pd

from . import csv, json
from .cells import STRING
from .frames import blank, empty, join
from .rows import Limits, Rows
from .schema import Check, Ids, Naming, Schema
from .slices import SIZE, pieces_of

__all__ = [
    "STRING",
    "Check",
    "Ids",
    "Limits",
    "Naming",
    "Rows",
    "Schema",
    "blank",
    "decode",
    "empty",
    "join",
    "read",
]


def decode(payload: bytes, schema: Schema, naming: Naming, size: int = SIZE) -> pd.DataFrame:
    """The rows of ``payload``, JSON or CSV, in its order, as a frame of ``schema``; see ``read``."""
    return read(pieces_of(payload, size), schema, needs_contract_column=callable(naming), size=size).frame(naming)


def read(
    pieces: Iterable[bytes | memoryview],
    schema: Schema,
    *,
    needs_contract_column: bool,
    check: Check = lambda times: None,
    limits: Limits | None = None,
    size: int = SIZE,
) -> Rows:
    """The rows of an answer, JSON or CSV, while its ``pieces`` come.

    JSON is read in slices of about ``size`` bytes, and no more of it than two of them is held. No other thread waits
    longer than one slice takes. ``needs_contract_column`` asks which contract each row says that it is of. ``check`` is
    shown the times of the answer's elements, those without a row too. Raises ``DecodeError`` with the place that is not
    what the guide promises.
    """
    rows = Rows(schema, limits or Limits())
    head, whole = _begun(iter(pieces))
    try:
        if csv.looks_like(head):
            csv.read(b"".join(whole), rows, check)
        else:
            json.read(whole, rows, check, needs_contract_column=needs_contract_column, size=size)
    except BaseException:
        rows.close()  # an error may be kept for long
        raise
    return rows


def _begun(pieces: Iterator[bytes | memoryview]) -> tuple[bytes, Iterator[bytes | memoryview]]:
    """So much of the beginning that its format shows, and all of it."""
    head = b""
    while len(head.strip()) <= len(codecs.BOM_UTF8) and (piece := next(pieces, None)) is not None:
        head += piece
    return head, chain([head], pieces)
