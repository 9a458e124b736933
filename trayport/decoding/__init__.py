"""From an answer's bytes to a frame with exactly the endpoint's dtypes. Pure: no network, no look-ups."""

from __future__ import annotations

import pandas as pd

from . import csv, json
from .frames import STRING, blank, empty, framed, join
from .schema import Ids, Naming, Schema

__all__ = ["STRING", "Ids", "Naming", "Schema", "blank", "decode", "empty", "join"]


def decode(payload: bytes, schema: Schema, naming: Naming) -> pd.DataFrame:
    """The rows of ``payload``, JSON or CSV, in its order, as a frame of ``schema``.

    Raises ``DecodeError`` with the place that is not what the guide promises.
    """
    if csv.looks_like(payload):
        return framed(csv.read(payload, schema), schema, naming)
    return framed(json.read(payload, schema, with_contract=callable(naming)), schema, naming)
