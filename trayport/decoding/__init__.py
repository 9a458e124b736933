"""From an answer's bytes to a frame with exactly the endpoint's dtypes. Pure: no network, no look-ups."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import csv, json
from .cells import STRING
from .frames import blank, empty, framed, join
from .schema import Ids, Naming, Schema
from .slices import SIZE, pieces_of

__all__ = ["STRING", "Ids", "Naming", "Schema", "blank", "decode", "empty", "join"]


def decode(
    payload: bytes | Iterable[bytes],
    schema: Schema,
    naming: Naming,
    check: Callable[[npt.NDArray[np.int64]], None] | None = None,
    size: int = SIZE,
) -> pd.DataFrame:
    """The rows of ``payload``, JSON or CSV, in its order, as a frame of ``schema``.

    JSON is read in slices of about ``size`` bytes; of a payload that comes in pieces, no more than that is held. No
    other thread waits longer than one slice takes. ``check`` is shown the times of the answer's elements, in
    nanoseconds since 1970, those without a row too. Raises ``DecodeError`` with the place that is not what the guide
    promises.
    """
    head, pieces = (payload, pieces_of(payload, size)) if isinstance(payload, bytes) else _begun(iter(payload))
    if csv.looks_like(head):
        table = csv.read(payload if isinstance(payload, bytes) else b"".join(pieces), schema)
    else:
        table = json.read(pieces, schema, with_contract=callable(naming), size=size)
    times = table.times
    frame = framed(table, schema, naming)
    if check is not None:
        check(_moments(frame) if times is None else times)
    return frame


def _begun(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """So much of the beginning that its format shows, and all of it."""
    head = b""
    while len(head.strip()) <= len(codecs.BOM_UTF8) and (piece := next(pieces, None)) is not None:
        head += piece
    return head, chain([head], pieces)


def _moments(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The times of the rows; none, where they have none."""
    return frame.index.asi8 if isinstance(frame.index, pd.DatetimeIndex) else np.empty(0, dtype=np.int64)
