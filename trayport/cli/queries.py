"""The commands of the queries: each has the parameters of its function."""

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
from .output import row_count, write

__all__ = ["NO_DATA", "Incomplete", "NoData", "add_commands"]

NO_DATA = 4

_POSITIONAL = {"contract", "start", "end"}  # all other parameters are options
_HELP = {
    "contract": "a name such as 'TTF Apr-24'; several are separated by commas",
    "private_trades contract": "only these contracts, separated by commas (default: all contracts)",
    "start": "a date or time in ISO 8601, such as 2024-01-31 or 2024-01-31T09:30; UTC unless TRAYPORT_TZ is set",
    "end": "the end of the window, exclusive (default: the end of the available data)",
    "private_trades end": "the end of the window, exclusive (default: now)",
    "top_of_book end": "the last time, inclusive (default: the end of the available data)",
    "order_book end": "the last time, inclusive (default: the end of the available data)",
    "interval": "a whole number of seconds, minutes or hours, such as 15s, 1min or 2h (default: %(default)s)",
    "ohlcv interval": "1min, 5min, 15min, 30min, 1h, 4h, 1d, 7d or 1mo (default: %(default)s)",
    "last_trade at": "the last trade before this whole minute, such as 2024-01-31T16:00 (default: the end of the data)",
    "snapshots at": "a whole minute, such as 2024-01-31T16:00; required unless the key is entitled to intraday data",
    "routes": "names or ids of routes, separated by commas, or all (default: the route with the lowest id)",
    "fields": "columns to append, separated by commas",
    "depth": "number of orders on each side (default: %(default)s)",
    "max_spread": "only orders within this percentage of the best order",
    "include_private": "mark own trades or orders, and append the columns of their parties",
    "include_empty": "include intervals without data",
    "deduplicate": "with several routes, print a row for each route of a trade or an order",
    "verify": "compare the trades with the counts of the activity query, and report differences",
}
_TYPES: dict[str, Callable[[str], Any]] = {"depth": int, "max_spread": float}
_LISTS = ("contract", "routes", "fields")
# A row without any of these is empty; rows of the activity query have none of the columns, and are never empty.
_PRICES = ("price", "open", "bid_price", "ask_price", "last_price")

_EPILOG = (
    f"Exit codes: 0 success; 1 failure; 2 the query was refused; 3 a part is missing; {NO_DATA} no data, with "
    "--require-data; 5 not allowed. Only a complete result replaces FILE. A partial result goes to FILE.partial, or to "
    "the standard output; the exit code and a message report it."
)


class NoData(QueryError):
    """There are no data, which ``--require-data`` makes a failure."""


@define
class Incomplete(PartialDataError):
    """Requests failed; ``written`` is a sentence on the place of the partial result."""

    written: str

    def __str__(self) -> str:
        total = self.frame.attrs["trayport"]["requests"]
        lines = [f"incomplete, {len(self.failures)} of {total} requests failed for good:"]
        lines += [f"  {failure}" for failure in self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            lines.append(f"  and {len(self.failures) - _SHOWN} more")
        return "\n".join([*lines, self.written])


_SHOWN = 10


def add_commands(commands: Any) -> None:
    """Add a command for each query, and ``plan`` with the same commands below it."""
    for name in QUERIES:
        command = _add_command(commands, name)
        command.epilog = _EPILOG
        command.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"write to FILE: {', '.join(SUFFIXES)}")
        command.add_argument("--require-data", action="store_true", help=f"exit with {NO_DATA} if there are no data")
        command.set_defaults(run=_run_query)
    planning = commands.add_parser("plan", help="print the requests of a query without making them")
    queries = planning.add_subparsers(title="queries", metavar="query", required=True)
    for name in QUERIES:
        _add_command(queries, name).set_defaults(run=_print_plan)


def _add_command(commands: Any, query: str) -> argparse.ArgumentParser:
    summary = (inspect.getdoc(getattr(Queries, query)) or "").partition("\n")[0]
    text = summary.replace("Return", "print", 1).removesuffix(".")
    # An abbreviation that is unique today may be ambiguous in a later version, and break a script.
    command: argparse.ArgumentParser = commands.add_parser(
        query.replace("_", "-"), help=text, description=text, allow_abbrev=False
    )
    for parameter in _parameters(query):
        name, default = parameter.name, parameter.default
        required = default is inspect.Parameter.empty
        text = _HELP.get(f"{query} {name}") or _HELP[name]
        option = f"--{name.replace('_', '-')}"
        if name in _POSITIONAL and (required or name == "end"):
            command.add_argument(name, help=text, nargs=None if required else "?")
        elif default is True:
            command.add_argument(f"--no-{name}", dest=name, action="store_false", help=text)
        elif default is False:
            command.add_argument(option, action="store_true", help=text)
        else:
            command.add_argument(option, type=_TYPES.get(name, str), default=default, metavar=name.upper(), help=text)
    command.set_defaults(query=query)
    return command


def _parameters(query: str) -> list[inspect.Parameter]:
    return list(inspect.signature(getattr(Queries, query)).parameters.values())[1:]


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of the query's function."""
    arguments = {parameter.name: getattr(options, parameter.name) for parameter in _parameters(options.query)}
    for name in _LISTS:
        if isinstance(text := arguments.get(name), str):
            arguments[name] = [part.strip() for part in text.split(",") if part.strip()]
    return arguments


def _print_plan(options: argparse.Namespace) -> None:
    with _warnings_as_sentences():
        print(getattr(DEFAULT.plan, options.query)(**_arguments(options)))


def _run_query(options: argparse.Namespace) -> None:
    if options.output is not None:
        check_path(options.output)
    try:
        with _warnings_as_sentences():
            frame = getattr(DEFAULT, options.query)(**_arguments(options))
    except PartialDataError as error:
        if len(error.failures) == error.frame.attrs["trayport"]["requests"]:
            raise error.failures[0].error from None  # all requests failed, so there is no partial result
        written = _write_partial(error.frame, options.output)
        raise Incomplete(error.frame, error.failures, error.resume, written) from None
    except Interrupted as interrupted:
        if options.output is not None and len(interrupted.frame):
            print(f"trayport: {_write_partial(interrupted.frame, options.output)}", file=sys.stderr)
        raise
    if options.require_data and _is_empty(frame):
        raise NoData("there are no data, so nothing was written")
    write(frame, options.output)
    if options.output is not None:
        partial_path(options.output).unlink(missing_ok=True)  # of an earlier run
        print(f"{row_count(frame)} in {options.output}", file=sys.stderr)


def _is_empty(frame: pd.DataFrame) -> bool:
    """Return True if no row has a price: some queries return a row for a contract without orders or trades."""
    prices = [name for name in _PRICES if name in frame]
    return not (frame[prices].notna().any(axis=None) if prices else len(frame))


def _write_partial(frame: pd.DataFrame, path: Path | None) -> str:
    """Write a partial result beside ``path``, or to the output, and return a sentence on its place."""
    if path is None:
        write(frame, None)
        sys.stdout.flush()  # the rows come before the message about them
        return f"The partial result, {row_count(frame)}, is in the output."
    write(frame, path, to=partial_path(path))
    return f"The partial result, {row_count(frame)}, is in {partial_path(path)}; {path} was not changed."


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Print the warnings of this package without the line of code that Python adds."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrayportWarning)
        show_other = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, TrayportWarning):
                print(f"trayport: {message}", file=sys.stderr)
            else:
                show_other(message, category, *rest, **more)

        warnings.showwarning = show
        yield
