"""Response bodies: JSON as in the published samples, and CSV as far as the guide describes it.

CSV has ISO 8601 times and empty cells for null (guide pp. 8, 16, 19). Its form of nested fields is not documented; here
each nested value is a column with dots in its name, and each order of a book is a row. Page numbers refer to the API
guide, see docs/sources.md.
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
"""A missing time."""

# Number of rows that are encoded together, so that the memory does not grow with the response.
BLOCK = 2048


@frozen
class PayloadColumn:
    """One field of every row.

    ``kind`` defines the cells: JSON ("plain"), text, times in nanoseconds since 1970, objects in JSON, or lists of
    orders in JSON. A cell None means that the row does not have the field; in a column of text it is null.
    """

    name: str
    cells: list[Any]
    kind: Literal["plain", "text", "time", "object", "orders"] = "plain"
    leaves: tuple[str, ...] = ()
    """Paths of the values in objects and orders, with dots."""
    before_rows: bool = False
    """True if the value is the same for all rows, and in JSON comes before them."""

    def json(self) -> Sequence[str | None]:
        """Return the cells in JSON."""
        if self.kind == "time":
            return [None if cell is None else "null" if cell == NO_TIME else str(cell) for cell in self.cells]
        return quoted(self.cells) if self.kind == "text" else self.cells

    @property
    def header(self) -> list[str]:
        """Names of the columns in CSV."""
        if self.kind == "orders":
            return ["side", *self.leaves]
        return [f"{self.name}.{leaf}" for leaf in self.leaves] if self.kind == "object" else [self.name]

    def csv(self) -> list[list[str]]:
        """Return the columns in CSV."""
        if self.kind == "object":
            objects = [json.loads(cell or "null") or {} for cell in self.cells]
            return [[_leaf_value(each, leaf) for each in objects] for leaf in self.leaves]
        if self.kind == "time":
            return [_iso_times(self.cells)]
        return [["" if cell in (None, "null") else cell for cell in self.cells]]


def _leaf_value(value: Any, path: str) -> str:
    """Return the value at a path within an object, as text."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    if path == "dealDate":
        return _iso_times([value])[0]
    return value if isinstance(value, str) else json.dumps(value)


def _iso_times(times: list[int | None]) -> list[str]:
    """Return times in ISO 8601."""
    array = np.array([NO_TIME if time is None else time for time in times], dtype=np.int64).astype("datetime64[ns]")
    return ["" if text == "NaT" else f"{text}Z" for text in np.datetime_as_string(array, unit="ns").tolist()]


@frozen
class PayloadTable:
    """Rows of a response, column by column."""

    columns: tuple[PayloadColumn, ...]

    def json(self) -> list[str]:
        """Return each row as an object."""
        parts, cells = [], []
        for column in self.columns:
            if column.before_rows:
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
        """Names of the columns in CSV."""
        plain = [name for column in self.columns if column.kind != "orders" for name in column.header]
        orders = [column.header for column in self.columns if column.kind == "orders"]
        return plain + (orders[0] if orders else [])

    def csv(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of each row in CSV; of order books, those of each order."""
        plain = [cells for column in self.columns if column.kind != "orders" for cells in column.csv()]
        sides = [column for column in self.columns if column.kind == "orders"]
        if not sides:
            return zip(*plain, strict=True)
        return (
            (*head, side, *(_leaf_value(order, leaf) for leaf in sides[0].leaves))
            for row, head in enumerate(zip(*plain, strict=True))
            for side, order in _orders(sides, row)
        )

    def shuffled(self) -> PayloadTable:
        """Return the same rows in a hashed order."""
        rows = self.json()
        order = sorted(range(len(rows)), key=lambda row: hashing.key(rows[row]))
        return PayloadTable(
            tuple(evolve(column, cells=[column.cells[row] for row in order]) for column in self.columns)
        )


def _orders(sides: list[PayloadColumn], row: int) -> list[tuple[str, Any]]:
    """Return the orders of a book with their sides; an empty book has one row without an order."""
    found = [(side.name.removesuffix("s"), order) for side in sides for order in json.loads(side.cells[row])]
    return found or [("", {})]


@frozen
class Payload:
    """Rows of a response: tables that are made one after another, at least one, and the JSON around them."""

    tables: Iterator[PayloadTable]
    head: str = "["
    foot: str = "]"

    @classmethod
    def of(cls, columns: Iterable[PayloadColumn], head: str = "[", foot: str = "]") -> Payload:
        """Return a payload of one table."""
        return cls(iter([PayloadTable(tuple(columns))]), head, foot)

    @classmethod
    def blocks(cls, count: int, make: Callable[[slice], PayloadTable], size: int = BLOCK) -> Payload:
        """Return a payload of ``count`` rows or times, of which ``make`` returns ``size`` at a time."""
        return cls(make(slice(start, start + size)) for start in range(0, max(count, 1), size))

    def shuffled(self) -> Payload:
        """Return the same rows in a hashed order."""
        return evolve(self, tables=_swap_tables(self.tables))

    def json(self) -> bytes | Iterator[bytes]:
        """Return a list of objects; in pieces if there are several tables."""
        texts = (",".join(table.json()) for table in self.tables)
        first, second = next(texts), next(texts, None)
        if second is None:
            return f"{self.head}{first}{self.foot}".encode()
        return self._pieces(itertools.chain([first, second], texts))

    def csv(self) -> bytes | Iterator[bytes]:
        """Return the rows below a header with the names of the fields, quoted as in RFC 4180."""
        sheets = (_csv_table(table, place == 0) for place, table in enumerate(self.tables))
        first, second = next(sheets), next(sheets, None)
        return first if second is None else itertools.chain([first, second], sheets)

    def _pieces(self, texts: Iterable[str]) -> Iterator[bytes]:
        before = self.head
        for text in texts:
            if text:
                yield (before + text).encode()
                before = ","
        yield (self.foot if before == "," else self.head + self.foot).encode()


def _swap_tables(tables: Iterator[PayloadTable]) -> Iterator[PayloadTable]:
    for first in tables:
        second = next(tables, None)
        if second is not None:
            yield second.shuffled()
        yield first.shuffled()


def _csv_table(table: PayloadTable, with_header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if with_header:
        writer.writerow(table.header)
    writer.writerows(table.csv())
    return text.getvalue().encode()


def numbers(thousandths: Integers) -> list[str]:
    """Return thousandths as decimal numbers."""
    return [decimal(each) for each in thousandths.tolist()]


@lru_cache(maxsize=65_536)
def decimal(number: int, places: int = 3) -> str:
    """Return an integer in units of 10**-places as a decimal number; no float is involved."""
    whole, rest = divmod(abs(number), 10**places)
    text = f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")
    return f"-{text}" if number < 0 else text


def flags(values: Iterable[bool]) -> list[str]:
    """Return true and false in JSON."""
    return ["true" if value else "false" for value in values]


def document(value: Any) -> bytes:
    """Return any value as a JSON document."""
    return nested(value).encode()


def problem(status: int, title: str, **more: Any) -> bytes:
    """Return problem details: the body of a 400 as users have reported it, assumed for other statuses, too."""
    # The trace id is a hash of the problem, so that equal requests have equal responses.
    trace = f"{hashing.key(status, title, more):016x}"
    common = {"type": f"https://httpstatuses.io/{status}", "title": title, "status": status}
    return document({**common, "traceId": f"00-{trace}{trace}-{trace}-00", **more})


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def nested(value: Any) -> str:
    """Return a value in JSON without white space."""
    return _ENCODER.encode(value)


def quoted(texts: list[str | None]) -> list[str]:
    """Return texts in JSON; None becomes null."""
    # One check of all texts together is much cheaper than one encoder call for each; most need no escapes.
    together = "".join(filter(None, texts))
    if together.isascii() and together.isprintable() and '"' not in together and "\\" not in together:
        return ["null" if text is None else f'"{text}"' for text in texts]
    return [json.dumps(text) for text in texts]
