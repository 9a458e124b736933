"""``trayport doctor``: what keeps data from arriving, a line for each thing, and an exit code for scripts."""

from __future__ import annotations

import argparse

from ..api import DEFAULT
from ..diagnosis import Check, examine

NAME = "doctor"
HELP = "what keeps data from arriving: a line for each thing that has to be right, with the remedy"
EPILOG = (
    "Makes six requests at most. Lines begin with ok, note, WARN or FAIL. Exit codes, by the first that fails: 0 "
    "nothing does; 1 an API cannot be reached, or the clock is wrong; 2 the settings, the key in them, the "
    "certificates, the proxy or the limit cannot be used; 5 the key is not accepted."
)

_CODES = {"settings": 2, "key": 2, "certificates": 2, "proxy": 2, "limit": 2, "access": 5}


def add_options(parser: argparse.ArgumentParser) -> None:
    """It has none."""
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Print each check as soon as it is known."""
    code = 0
    for check in examine(DEFAULT):
        print(check, flush=True)
        code = code or _code(check)
    return code


def _code(check: Check) -> int:
    return _CODES.get(check.name, 1) if check.verdict == "failure" else 0
