"""The commands about names: ``search``, ``resolve`` and ``venues``."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import DEFAULT
from ..wire import contract_params
from .output import table, write

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the commands to the parser."""
    search = _command(commands, "search", "list the products whose names are nearest to a text")
    search.add_argument("text", help="words of a name; a part of a word is enough")
    search.add_argument("--limit", type=int, default=20, help="show at most LIMIT rows (default: %(default)s)")
    search.set_defaults(run=_search)
    resolve = _command(commands, "resolve", "show the contract of a name, and its ids")
    resolve.add_argument("name", help="a name, such as 'TTF Apr-24', 'TTF M+1' or 'TTF Apr-24/May-24'")
    resolve.add_argument("--at", help="the day from which M+1 and the like count (default: today)")
    resolve.set_defaults(run=_resolve)
    venues = _command(commands, "venues", "list the venues of the API's guide")
    venues.add_argument(
        "--active", action=argparse.BooleanOptionalAction, help="list only active venues, or only the others"
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
    # The delivery of a spread's second period is not known.
    heading = "first delivers" if contract.kind == "spread" else "delivers"
    print(table([("name", contract.name), *contract_params(contract), (heading, delivery or "rolling")]))


def _venues(options: argparse.Namespace) -> None:
    write(DEFAULT.venues(active=options.active).reset_index(), None)
