"""The command line: one command a function, in the same words."""

from __future__ import annotations

import argparse
import errno
import io
import sys
from collections.abc import Sequence

from .._version import __version__
from ..errors import NotAllowed, PartialDataError, TrayportError
from . import demo, doctor, metrics, names, queries, sandbox

__all__ = ["exit_code", "main"]

OK, FAILED, REFUSED, PARTIAL, NOT_ALLOWED = 0, 1, 2, 3, 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # old consoles and pipes know few letters; a folder may have others
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args((sys.argv[1:] if arguments is None else arguments) or ["--help"])
    try:
        code = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except TrayportError as error:
        print(f"trayport: {error}", file=sys.stderr)
        return exit_code(error)
    except OSError as error:
        sys.stdout = None  # what is left in it has nowhere to go
        if not isinstance(error, BrokenPipeError) and error.errno != errno.EINVAL:  # Windows' word for a broken pipe
            print(f"trayport: the output cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("trayport: interrupted", file=sys.stderr)
        return FAILED
    return code or OK


def exit_code(error: TrayportError) -> int:
    """What a script learns of an error."""
    if isinstance(error, queries.NoData):
        return queries.NO_DATA
    if isinstance(error, NotAllowed):
        return NOT_ALLOWED
    if isinstance(error, PartialDataError):
        return PARTIAL
    return REFUSED if isinstance(error, ValueError) else FAILED


class _Command(argparse.ArgumentParser):
    """Refuses what it does not know with its own usage, and not with that of the whole."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As argparse has it, but for what is left over."""
        known, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return known, rest


def _parser() -> argparse.ArgumentParser:
    parser = _Command(
        prog="trayport", description="European power, gas and emissions trading history, one line a question."
    )
    parser.add_argument("--version", action="version", version=f"trayport {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    queries.add_commands(commands)
    names.add_commands(commands)
    for room in (doctor, sandbox, metrics, demo):
        command = commands.add_parser(room.NAME, help=room.HELP, description=room.HELP)
        room.add_options(command)
        command.set_defaults(run=room.run)
    return parser
