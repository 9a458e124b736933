"""Every question as a command: its parameters are those of the function, in the same words."""

from __future__ import annotations

import argparse
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from attrs import define

from ..api import DEFAULT
from ..errors import Interrupted, PartialDataError, QueryError, TrayportWarning
from ..files import SUFFIXES, check_path, partial_path
from ..queries import QUERIES, Queries
from .output import counted, write

__all__ = ["NO_DATA", "Incomplete", "NoData", "add_commands"]

NO_DATA = 4

# Parameters that are named by their place; all others are options.
_PLACED = {"contract", "start", "end"}
_HELP = {
    "contract": "a name such as 'TTF Apr-24'; several with commas between them",
    "private_trades contract": "these alone, with commas between them; all that was traded unless given",
    "start": "a date or time in ISO 8601, as in 2024-01-31 or 2024-01-31T09:30; UTC unless TRAYPORT_TZ is set",
    "end": "where to stop, itself left out; as far as there are data unless given",
    "private_trades end": "where to stop, itself left out; now unless given",
    "top_of_book end": "the last moment; as far as there are data unless given",
    "order_book end": "the last moment; as far as there are data unless given",
    "interval": "any whole number of seconds, minutes or hours, as in 15s, 1min or 2h (default: %(default)s)",
    "ohlcv interval": "1min, 5min, 15min, 30min, 1h, 4h, 1d, 7d or 1mo (default: %(default)s)",
    "last_trade at": "the whole minute to look back from, as in 2024-01-31T16:00; the end of the data unless given",
    "snapshots at": "the whole minute to look at, as in 2024-01-31T16:00; needed unless your key may see today",
    "routes": "names or ids of routes with commas between them, or all; the one with the lowest id unless given",
    "fields": "columns to append, with commas between them",
    "depth": "orders a side (default: %(default)s)",
    "max_spread": "only orders within so many per cent of the best",
    "include_private": "mark your own, and append what is known of them",
    "include_empty": "intervals in which nothing happened, too",
    "deduplicate": "with several routes, a row for each that a trade or an order is on",
    "verify": "compare with the counts of activity, and tell what differs",
}
_READERS: dict[str, Callable[[str], Any]] = {"depth": int, "max_spread": float}
_LISTS = ("contract", "routes", "fields")
# The cells that say whether a row tells anything; an activity has none of them, and always tells its count.
_PRICES = ("price", "open", "bid_price", "ask_price", "last_price")

_CODES = (
    f"Exit codes: 0 all of it; 1 failure; 2 the question was refused; 3 a part is missing; {NO_DATA} no data, with "
    "--require-data; 5 not allowed. FILE is replaced only by a whole answer: a part goes to FILE.partial, or to the "
    "output with the exit code and a message that say so."
)


class NoData(QueryError):
    """There are no data, and ``--require-data`` said that this is a failure."""


@define
class Incomplete(PartialDataError):
    """A part is missing; ``kept`` says where the rest is."""

    kept: str

    def __str__(self) -> str:
        asked = self.frame.attrs["trayport"]["requests"]
        shown = [f"  {failure}" for failure in self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            shown.append(f"  and {len(self.failures) - _SHOWN} more")
        return "\n".join([f"incomplete, {len(self.failures)} of {asked} requests failed for good:", *shown, self.kept])


_SHOWN = 10


def add_commands(commands: Any) -> None:
    """A command for each question, and ``plan`` in front of it for what it would cost."""
    for name in QUERIES:
        command = _command(commands, name)
        command.epilog = _CODES
        command.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"write to FILE: {', '.join(SUFFIXES)}")
        command.add_argument("--require-data", action="store_true", help=f"exit with {NO_DATA} if there are no data")
        command.set_defaults(run=_answer)
    planning = commands.add_parser("plan", help="what a question would ask, without asking it")
    questions = planning.add_subparsers(title="questions", metavar="question", required=True)
    for name in QUERIES:
        _command(questions, name).set_defaults(run=_plan)


def _command(commands: Any, name: str) -> argparse.ArgumentParser:
    text = (inspect.getdoc(getattr(Queries, name)) or "").partition("\n")[0]
    # A beginning of an option that is clear today may be ambiguous tomorrow, in somebody's script.
    command: argparse.ArgumentParser = commands.add_parser(
        name.replace("_", "-"), help=text, description=text, allow_abbrev=False
    )
    for parameter in _parameters(name):
        _add(command, name, parameter)
    command.set_defaults(question=name)
    return command


def _parameters(question: str) -> list[inspect.Parameter]:
    return list(inspect.signature(getattr(Queries, question)).parameters.values())[1:]


def _add(command: argparse.ArgumentParser, question: str, parameter: inspect.Parameter) -> None:
    name, default = parameter.name, parameter.default
    needed = default is inspect.Parameter.empty
    text = _HELP.get(f"{question} {name}") or _HELP[name]
    if name in _PLACED and needed:
        command.add_argument(name, help=text)
    elif name == "end":
        command.add_argument(name, help=text, nargs="?")
    elif default is True:
        command.add_argument(f"--no-{name}", dest=name, action="store_false", help=text)
    elif default is False:
        command.add_argument(_flag(name), action="store_true", help=text)
    else:
        reader = _READERS.get(name, str)
        command.add_argument(_flag(name), type=reader, default=default, metavar=name.upper(), help=text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the question is called with."""
    return {name: _value(name, getattr(options, name)) for name in (p.name for p in _parameters(options.question))}


def _value(name: str, given: Any) -> Any:
    if name not in _LISTS or not isinstance(given, str):
        return given
    return [part.strip() for part in given.split(",") if part.strip()]


def _plan(options: argparse.Namespace) -> None:
    with _warnings_as_sentences():
        print(getattr(DEFAULT.plan, options.question)(**_asked(options)))


def _answer(options: argparse.Namespace) -> None:
    if options.output is not None:
        check_path(options.output)
    try:
        with _warnings_as_sentences():
            frame = getattr(DEFAULT, options.question)(**_asked(options))
    except PartialDataError as error:
        if len(error.failures) == error.frame.attrs["trayport"]["requests"]:
            raise error.failures[0].error from None  # nothing is no part
        raise Incomplete(error.frame, error.failures, error.resume, _kept(error.frame, options.output)) from None
    except Interrupted as stopped:
        if options.output is not None and len(stopped.frame):
            print(f"trayport: {_kept(stopped.frame, options.output)}", file=sys.stderr)
        raise
    if options.require_data and _says_nothing(frame):
        raise NoData("there are no data, so nothing was written")
    write(frame, options.output)
    if options.output is not None:
        partial_path(options.output).unlink(missing_ok=True)  # of an earlier attempt
        print(f"{counted(frame)} in {options.output}", file=sys.stderr)


def _says_nothing(frame: pd.DataFrame) -> bool:
    """Is there no row, or none with a price? Some questions have a row for what was neither bid, asked nor traded."""
    prices = [name for name in _PRICES if name in frame]
    return not (frame[prices].notna().any(axis=None) if prices else len(frame))


def _kept(frame: pd.DataFrame, path: Path | None) -> str:
    """Write a part where nobody takes it for the whole; answers with what is to be said of that."""
    if path is None:
        write(frame, None)
        sys.stdout.flush()  # before the message that belongs below it
        return f"What arrived, {counted(frame)}, went to the output."
    write(frame, path, to=partial_path(path))
    return f"What arrived, {counted(frame)}, is in {partial_path(path)}; {path} was left alone."


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """What the package warns of, without the line of code that a script would be shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrayportWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, TrayportWarning):
                print(f"trayport: {message}", file=sys.stderr)
            else:
                others(message, category, *rest, **more)

        warnings.showwarning = show
        yield
