"""Answers as bytes: JSON as the published samples show it, and CSV as far as the guide describes it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from attrs import evolve, frozen

from . import dice
from .dice import Integers

NO_TIME = int(np.iinfo(np.int64).min)
"""A time that is missing."""


@frozen
class Column:
    """One field of every row: JSON as it stands, text, or times in nanoseconds since 1970."""

    name: str
    cells: list[Any]
    kind: Literal["plain", "text", "time"] = "plain"

    def json(self) -> list[str]:
        """The cells in JSON."""
        if self.kind == "time":
            return ["null" if cell == NO_TIME else str(cell) for cell in self.cells]
        return self.cells if self.kind == "plain" else ["null" if cell is None else quoted(cell) for cell in self.cells]

    def csv(self) -> list[str]:
        """The cells in CSV: null is empty, and times are ISO 8601 (guide pp. 8, 16, 19)."""
        if self.kind == "time":
            times = np.array(self.cells, dtype=np.int64).astype("datetime64[ns]")
            return ["" if text == "NaT" else f"{text}Z" for text in np.datetime_as_string(times, unit="ns").tolist()]
        return ["" if cell in (None, "null") else cell for cell in self.cells]


@frozen
class Table:
    """Rows of an answer. ``tails`` holds, row by row, what is nested and so stands in no column."""

    columns: tuple[Column, ...]
    tails: list[str] | None = None

    @property
    def is_flat(self) -> bool:
        """Can it be told in CSV? Nobody knows how nested fields would look there."""
        return self.tails is None

    def json(self) -> bytes:
        """The rows as a list of objects."""
        return b"[" + ",".join(self._rows()).encode() + b"]"

    def csv(self) -> bytes:
        """The rows below a header of the names that they have in JSON, quoted as RFC 4180 has it."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows(zip(*(column.csv() for column in self.columns), strict=True))
        return text.getvalue().encode()

    def shuffled(self) -> Table:
        """The same rows in an order that says nothing, but is always the same."""
        rows = self._rows()
        order = sorted(range(len(rows)), key=lambda row: dice.key(rows[row]))
        columns = tuple(evolve(column, cells=[column.cells[row] for row in order]) for column in self.columns)
        return Table(columns, None if self.tails is None else [self.tails[row] for row in order])

    def _rows(self) -> list[str]:
        fields = ",".join(f'"{column.name}":%s' for column in self.columns)
        cells: list[Iterable[str]] = [column.json() for column in self.columns]
        template = f"{{{fields}}}"
        if self.tails is not None:
            template, cells = f"{{{fields}%s}}", [*cells, self.tails]
        return [template % row for row in zip(*cells, strict=True)]


def numbers(thousandths: Integers) -> list[str]:
    """Numbers of thousandths in decimals."""
    return [decimal(each) for each in thousandths.tolist()]


@lru_cache(maxsize=65_536)
def decimal(number: int, places: int = 3) -> str:
    """A number of thousandths, or of another power of ten, in decimals, without a float on the way."""
    whole, rest = divmod(abs(number), 10**places)
    text = f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")
    return f"-{text}" if number < 0 else text


def flags(hits: Iterable[bool]) -> list[str]:
    """true and false."""
    return ["true" if hit else "false" for hit in hits]


def document(value: Any) -> bytes:
    """Anything else in JSON."""
    return nested(value).encode()


def nested(value: Any) -> str:
    """An object within an object."""
    return json.dumps(value, separators=(",", ":"))


def quoted(text: str) -> str:
    """Text in JSON."""
    plain = text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else json.dumps(text)
