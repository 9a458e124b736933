"""The commands about names: ``search``, ``resolve`` and ``venues``."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import DEFAULT
from ..wire import contract_params
from .output import table, write

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """A command for each."""
    search = _command(commands, "search", "the products whose names are nearest to a text")
    search.add_argument("text", help="half a word will do")
    search.add_argument("--limit", type=int, default=20, help="at most so many (default: %(default)s)")
    search.set_defaults(run=_search)
    resolve = _command(commands, "resolve", "what a name means, and by which ids")
    resolve.add_argument("name", help="such as 'TTF Apr-24', 'TTF M+1' or 'TTF Apr-24/May-24'")
    resolve.add_argument("--at", help="the day from which M+1 and its like count; today unless given")
    resolve.set_defaults(run=_resolve)
    venues = _command(commands, "venues", "the venues that the API's guide lists")
    venues.add_argument(
        "--active", action=argparse.BooleanOptionalAction, help="only the active ones, or only the others"
    )
    venues.set_defaults(run=_venues)


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    return command


def _search(options: argparse.Namespace) -> None:
    write(DEFAULT.search(options.text, limit=options.limit), None)


def _resolve(options: argparse.Namespace) -> None:
    contract = DEFAULT.resolve(options.name, at=options.at)
    delivery = " to ".join(f"{moment:%Y-%m-%d}" for moment in (contract.period_start, contract.period_end) if moment)
    # Of a spread, what is known is when its first period delivers.
    said = "first delivers" if contract.kind == "spread" else "delivers"
    print(table([("name", contract.name), *contract_params(contract), (said, delivery or "rolls with the calendar")]))


def _venues(options: argparse.Namespace) -> None:
    write(DEFAULT.venues(active=options.active).reset_index(), None)
