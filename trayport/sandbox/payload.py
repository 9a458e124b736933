"""Answers as bytes: JSON as the published samples show it, and CSV as far as the guide describes it.

Of CSV it is known that times are ISO 8601 and that null is an empty cell (guide pp. 8, 16, 19). How nested fields look
there is not; here each leaf is a column whose name has dots, and each order of a book a row.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from attrs import evolve, frozen

from . import hashing
from .hashing import Integers

NO_TIME = int(np.iinfo(np.int64).min)
"""A time that is missing."""

# So many rows are written at once: what an answer takes does not grow with its length.
BLOCK = 2048


@frozen
class PayloadColumn:
    """One field of every row: JSON as it stands, text, times in nanoseconds since 1970, objects, or lists of orders.

    A cell that is None is not there, but for text, where it is null.
    """

    name: str
    cells: list[Any]
    kind: Literal["plain", "text", "time", "object", "orders"] = "plain"
    leaves: tuple[str, ...] = ()
    """What objects and orders hold, as paths with dots."""
    once: bool = False
    """Does it stand before the rows in JSON, since it is the same for all?"""

    def json(self) -> Sequence[str | None]:
        """The cells in JSON."""
        if self.kind == "time":
            return [None if cell is None else "null" if cell == NO_TIME else str(cell) for cell in self.cells]
        return quoted(self.cells) if self.kind == "text" else self.cells

    @property
    def header(self) -> list[str]:
        """The names of its columns in CSV."""
        if self.kind == "orders":
            return ["side", *self.leaves]
        return [f"{self.name}.{leaf}" for leaf in self.leaves] if self.kind == "object" else [self.name]

    def csv(self) -> list[list[str]]:
        """Its columns in CSV."""
        if self.kind == "object":
            objects = [json.loads(cell or "null") or {} for cell in self.cells]
            return [[_leaf(each, leaf) for each in objects] for leaf in self.leaves]
        if self.kind == "time":
            return [_written(self.cells)]
        return [["" if cell in (None, "null") else cell for cell in self.cells]]


def _leaf(value: Any, path: str) -> str:
    """What is at a path within an object."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    if path == "dealDate":
        return _written([value])[0]
    return value if isinstance(value, str) else json.dumps(value)


def _written(times: list[int | None]) -> list[str]:
    """Times in ISO 8601."""
    array = np.array([NO_TIME if time is None else time for time in times], dtype=np.int64).astype("datetime64[ns]")
    return ["" if text == "NaT" else f"{text}Z" for text in np.datetime_as_string(array, unit="ns").tolist()]


@frozen
class PayloadTable:
    """Rows of an answer, column by column."""

    columns: tuple[PayloadColumn, ...]

    def json(self) -> list[str]:
        """Each row as an object."""
        parts, cells = [], []
        for column in self.columns:
            if column.once:
                continue
            texts = column.json()
            if None in texts:
                parts.append("%s")
                cells.append(["" if text is None else f'"{column.name}":{text},' for text in texts])
            else:
                parts.append(f'"{column.name}":%s,')
                cells.append(texts)  # type: ignore[arg-type]
        template = "".join(parts)
        if parts[-1] != "%s":
            return [f"{{{template[:-1]}}}" % row for row in zip(*cells, strict=True)]
        return [f"{{{(template % row)[:-1]}}}" for row in zip(*cells, strict=True)]

    @property
    def header(self) -> list[str]:
        """The names of the columns in CSV."""
        plain = [name for column in self.columns if column.kind != "orders" for name in column.header]
        orders = [column.header for column in self.columns if column.kind == "orders"]
        return plain + (orders[0] if orders else [])

    def csv(self) -> Iterator[tuple[str, ...]]:
        """Each row as cells in CSV; with orders, each order."""
        plain = [cells for column in self.columns if column.kind != "orders" for cells in column.csv()]
        sides = [column for column in self.columns if column.kind == "orders"]
        if not sides:
            return zip(*plain, strict=True)
        return (
            (*head, side, *(_leaf(order, leaf) for leaf in sides[0].leaves))
            for row, head in enumerate(zip(*plain, strict=True))
            for side, order in _orders(sides, row)
        )

    def shuffled(self) -> PayloadTable:
        """The same rows in an order that says nothing, but is always the same."""
        rows = self.json()
        order = sorted(range(len(rows)), key=lambda row: hashing.key(rows[row]))
        return PayloadTable(
            tuple(evolve(column, cells=[column.cells[row] for row in order]) for column in self.columns)
        )


def _orders(sides: list[PayloadColumn], row: int) -> list[tuple[str, Any]]:
    """The orders of a book with their sides; of an empty book a row without an order is left."""
    found = [(side.name.removesuffix("s"), order) for side in sides for order in json.loads(side.cells[row])]
    return found or [("", {})]


@frozen
class Payload:
    """An answer's rows: tables that are made one after another, one at least, and what stands around them in JSON."""

    tables: Iterator[PayloadTable]
    head: str = "["
    foot: str = "]"

    @classmethod
    def of(cls, columns: Iterable[PayloadColumn], head: str = "[", foot: str = "]") -> Payload:
        """Rows that are there already."""
        return cls(iter([PayloadTable(tuple(columns))]), head, foot)

    @classmethod
    def blocks(cls, count: int, make: Callable[[slice], PayloadTable], size: int = BLOCK) -> Payload:
        """Rows that are made from so many things, ``size`` of them at once."""
        return cls(make(slice(start, start + size)) for start in range(0, max(count, 1), size))

    def shuffled(self) -> Payload:
        """The same rows in an order that says nothing."""
        return evolve(self, tables=_swapped(self.tables))

    def json(self) -> bytes | Iterator[bytes]:
        """A list of objects; in pieces unless one table is all."""
        texts = (",".join(table.json()) for table in self.tables)
        first, second = next(texts), next(texts, None)
        if second is None:
            return f"{self.head}{first}{self.foot}".encode()
        return self._pieces(itertools.chain([first, second], texts))

    def csv(self) -> bytes | Iterator[bytes]:
        """The rows below a header of the names that they have in JSON, quoted as RFC 4180 has it."""
        sheets = (_sheet(table, place == 0) for place, table in enumerate(self.tables))
        first, second = next(sheets), next(sheets, None)
        return first if second is None else itertools.chain([first, second], sheets)

    def _pieces(self, texts: Iterable[str]) -> Iterator[bytes]:
        before = self.head
        for text in texts:
            if text:
                yield (before + text).encode()
                before = ","
        yield (self.foot if before == "," else self.head + self.foot).encode()


def _swapped(tables: Iterator[PayloadTable]) -> Iterator[PayloadTable]:
    for first in tables:
        second = next(tables, None)
        if second is not None:
            yield second.shuffled()
        yield first.shuffled()


def _sheet(table: PayloadTable, with_header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if with_header:
        writer.writerow(table.header)
    writer.writerows(table.csv())
    return text.getvalue().encode()


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


def problem(status: int, title: str, **more: Any) -> bytes:
    """Problem details: the shape that a user saw of a 400, which the other statuses may have, too."""
    # The trace is made of what it traces, so that the same request gets the same bytes.
    trace = f"{hashing.key(status, title, more):016x}"
    said = {"type": f"https://httpstatuses.io/{status}", "title": title, "status": status}
    return document({**said, "traceId": f"00-{trace}{trace}-{trace}-00", **more})


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def nested(value: Any) -> str:
    """Return a value in JSON without white space."""
    return _ENCODER.encode(value)


def quoted(texts: list[str | None]) -> list[str]:
    """Return texts in JSON; None becomes null."""
    # One look at all of them together is much cheaper than an encoder's call for each, and most need no escapes.
    together = "".join(filter(None, texts))
    if together.isascii() and together.isprintable() and '"' not in together and "\\" not in together:
        return ["null" if text is None else f'"{text}"' for text in texts]
    return [json.dumps(text) for text in texts]
