"""From the bytes of a response to Arrow tables and to frames, with exactly the endpoint's columns.

This room uses no network and looks nothing up. Only rows that exceed a memory limit wait in a temporary file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from itertools import chain

import pandas as pd

from . import csv, json
from .arrow import arrow_schema
from .frames import STRING, ContractIds, Naming, Schema, TimeCheck, blank, empty, join
from .rows import MemoryLimits, Rows
from .slices import SLICE_SIZE

__all__ = [
    "STRING",
    "ContractIds",
    "MemoryLimits",
    "Naming",
    "Rows",
    "Schema",
    "TimeCheck",
    "arrow_schema",
    "blank",
    "decode",
    "empty",
    "join",
    "read",
]


# JSON begins with a bracket or a brace, an HTML page with "<"; anything else is read as CSV.
_NO_CSV = re.compile(rb"(?:\xef\xbb\xbf)?+\s*+(?:[\[{<]|\Z)")


def decode(body: bytes, schema: Schema, naming: Naming, size: int = SLICE_SIZE) -> pd.DataFrame:
    """Return the rows of ``body``, JSON or CSV, in its order, as a frame of ``schema``; see ``read``."""
    view = memoryview(body)
    pieces = (view[start : start + size] for start in range(0, len(view), size))
    return read(pieces, schema, needs_contract_column=callable(naming), size=size).frame(naming)


def read(
    pieces: Iterable[bytes | memoryview],
    schema: Schema,
    *,
    needs_contract_column: bool,
    check: TimeCheck = lambda times: None,
    limits: MemoryLimits | None = None,
    empty_is_valid: bool = False,
    size: int = SLICE_SIZE,
) -> Rows:
    """Read a response, JSON or CSV, while it arrives.

    Parameters
    ----------
    pieces : iterable of bytes or memoryview
        The body, in pieces of any size.
    schema : Schema
        The columns to read.
    needs_contract_column : bool
        True if each row holds a ``contract`` object that identifies its contract.
    check : function, optional
        Receives the times of the response's elements, slice after slice, including elements without rows, and raises
        to refuse them.
    limits : MemoryLimits, optional
        Bounds for the packed rows in memory and for the rows of one frame; none by default.
    empty_is_valid : bool, default False
        True if a body without a byte is a response without rows, as it can be in CSV.
    size : int, default 524288
        Slice size of JSON in bytes. At most two slices are buffered; no other thread waits longer than one slice takes.

    Returns
    -------
    Rows
        The rows in the order of the response, to be made into frames or an Arrow table.

    Raises
    ------
    DecodeError
        The response is not as the guide describes it; ``path`` is the place.
    """
    rows = Rows(schema, limits or MemoryLimits())
    pieces = iter(pieces)
    head = b""  # enough to detect the format: more than a BOM and white space
    while len(head.strip()) <= len(codecs.BOM_UTF8) and (piece := next(pieces, None)) is not None:
        head += piece
    body = chain([head], pieces)
    try:
        if empty_is_valid and not head.removeprefix(codecs.BOM_UTF8).strip():
            rows.add({})
        elif _NO_CSV.match(head):
            json.read(body, rows, check, needs_contract_column=needs_contract_column, size=size)
        else:
            csv.read(b"".join(body), rows, check)
    except BaseException:
        rows.close()  # an error, and with it its traceback and the rows, may be kept for long
        raise
    return rows
