"""``trayport doctor``: one line for each check, and an exit code for scripts."""

from __future__ import annotations

import argparse

from ..api import DEFAULT
from ..diagnosis import examine

NAME = "doctor"
HELP = "check everything that can keep data from arriving, with a remedy for each fault"
EPILOG = (
    "Sends at most six requests. Lines begin with ok, note, WARN or FAIL. Exit codes, by the first failure: 0 no "
    "failure; 1 an API cannot be reached, or the clock is wrong; 2 the settings, the key, the certificates, the proxy "
    "or the rate limit cannot be used; 5 the key is not accepted."
)

_EXIT_CODES = {"settings": 2, "key": 2, "certificates": 2, "proxy": 2, "limit": 2, "access": 5}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the text below the options, of which there are none."""
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Print the result of each check at once, and return the exit code of the first failure."""
    code = 0
    for check in examine(DEFAULT):
        print(check, flush=True)
        if check.verdict == "failure" and not code:
            code = _EXIT_CODES.get(check.name, 1)
    return code
