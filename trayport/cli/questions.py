"""Every question as a command: its parameters are those of the function, in the same words."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ..client import DEFAULT
from ..errors import QueryError
from ..queries import Queries

__all__ = ["NO_DATA", "QUESTIONS", "NoData", "add_commands"]

QUESTIONS = (
    "trades",
    "private_trades",
    "ohlcv",
    "last_trade",
    "activity",
    "top_of_book",
    "order_book",
    "snapshots",
)
NO_DATA = 4

# Parameters that are named by their place; all others are options.
_PLACED = {"contract", "start", "end"}
_HELP = {
    "contract": "a name such as 'TTF Apr-24'; several with commas between them",
    "start": "a date or time in ISO 8601, as in 2024-01-31 or 2024-01-31T09:30",
    "end": "where to stop, itself left out; as far as there are data unless given",
    "interval": "the width, such as 15min, 1h or 1d (default: %(default)s)",
    "at": "the minute to look at, as in 2024-01-31T16:00",
    "routes": "names or ids of routes with commas between them, or all",
    "fields": "columns to append, with commas between them",
    "depth": "orders a side (default: %(default)s)",
    "max_spread": "only orders within so many per cent of the best",
    "include_private": "mark your own, and append what is known of them",
    "include_empty": "intervals in which nothing happened, too",
    "deduplicate": "with several routes, one copy of each",
    "verify": "compare with the counts of activity",
}
_READERS: dict[str, Callable[[str], Any]] = {"depth": int, "max_spread": float}
_LISTS = ("contract", "routes", "fields")


class NoData(QueryError):
    """There is no row, and ``--require-data`` said that this is a failure."""


def add_commands(commands: Any) -> None:
    """A command for each question, and ``plan`` in front of it for what it would cost."""
    for name in QUESTIONS:
        command = _command(commands, name)
        command.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE: .csv or .parquet")
        command.add_argument("--require-data", action="store_true", help=f"exit with {NO_DATA} if there is no row")
        command.set_defaults(run=_answer)
    planning = commands.add_parser("plan", help="what a question would ask, without asking it")
    questions = planning.add_subparsers(title="questions", metavar="question", required=True)
    for name in QUESTIONS:
        _command(questions, name).set_defaults(run=_plan)


def _command(commands: Any, name: str) -> argparse.ArgumentParser:
    method = getattr(Queries, name)
    text = (inspect.getdoc(method) or "").partition("\n")[0]
    command: argparse.ArgumentParser = commands.add_parser(name.replace("_", "-"), help=text, description=text)
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        _add(command, parameter)
    command.set_defaults(question=name)
    return command


def _add(command: argparse.ArgumentParser, parameter: inspect.Parameter) -> None:
    name, default = parameter.name, parameter.default
    needed = default is inspect.Parameter.empty
    said = {"help": _HELP[name]}
    if name in _PLACED and (needed or name == "end"):
        command.add_argument(name, **said, **({} if needed else {"nargs": "?"}))  # type: ignore[arg-type]
    elif isinstance(default, bool):
        command.add_argument(_flag(name), action=argparse.BooleanOptionalAction, default=default, **said)  # type: ignore[arg-type]
    else:
        reader = _READERS.get(name, str)
        command.add_argument(_flag(name), type=reader, default=default, metavar=name.upper(), **said)  # type: ignore[arg-type]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the question is called with."""
    parameters = list(inspect.signature(getattr(Queries, options.question)).parameters)[1:]
    return {name: _value(name, getattr(options, name)) for name in parameters}


def _value(name: str, given: Any) -> Any:
    if name not in _LISTS or not isinstance(given, str):
        return given
    return [part.strip() for part in given.split(",") if part.strip()]


def _plan(options: argparse.Namespace) -> None:
    print(getattr(DEFAULT.plan, options.question)(**_asked(options)))


def _answer(options: argparse.Namespace) -> None:
    check_output(options.output)
    frame = getattr(DEFAULT, options.question)(**_asked(options))
    write(frame, options.output)
    if options.require_data and not len(frame):
        raise NoData("there is no row in this window")


def check_output(path: Path | None) -> None:
    """Refuse a file that cannot be written before anything is asked."""
    if path is not None and path.suffix.lower() not in (".csv", ".parquet"):
        raise QueryError(f"output {str(path)!r} is neither a .csv nor a .parquet file")
    if path is not None and not path.absolute().parent.is_dir():
        raise QueryError(f"output {str(path)!r}: there is no folder {str(path.absolute().parent)!r}")


def write(frame: pd.DataFrame, path: Path | None) -> None:
    """To a file, or as CSV to the output."""
    rows = isinstance(frame.index, pd.RangeIndex)
    if path is None:
        frame.to_csv(sys.stdout, index=not rows, lineterminator="\n")
        return
    if path.suffix.lower() == ".csv":
        frame.to_csv(path, index=not rows)
    else:
        frame.to_parquet(path)
    print(f"{len(frame):,} rows in {path}", file=sys.stderr)


def table(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values below each other."""
    listed = [(name, str(value)) for name, value in rows]
    width = max(len(name) for name, _ in listed)
    return "\n".join(f"{name:{width}}  {value}" for name, value in listed)
