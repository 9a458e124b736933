"""The command line: one command for each function, in the same words."""

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
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, default ``sys.argv[1:]``
        The command with its arguments; none prints the help.

    Returns
    -------
    int
        0 for success; see ``exit_code`` for failures.

    Raises
    ------
    SystemExit
        The arguments are wrong (code 2), or ask for help or the version (code 0).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # consoles and pipes may not encode every letter of a path
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
        sys.stdout = None  # Python would fail again when it flushes the rest of the output at its end
        if not isinstance(error, BrokenPipeError) and error.errno != errno.EINVAL:  # a broken pipe on Windows
            print(f"trayport: the output cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("trayport: interrupted", file=sys.stderr)
        return FAILED
    return code or OK


def exit_code(error: TrayportError) -> int:
    """Return the exit code for an error.

    Returns
    -------
    int
        1 failure, 2 refused before a request was made, 3 partial result, 4 no data, 5 not allowed.
    """
    if isinstance(error, queries.NoData):
        return queries.NO_DATA
    if isinstance(error, NotAllowed):
        return NOT_ALLOWED
    if isinstance(error, PartialDataError):
        return PARTIAL
    return REFUSED if isinstance(error, ValueError) else FAILED


class _Parser(argparse.ArgumentParser):
    """A parser that refuses unknown arguments with the usage of their command; argparse prints that of the program."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse ``args``, and exit if any are unknown."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trayport", description="European power, gas and emissions trading history, one line per query."
    )
    parser.add_argument("--version", action="version", version=f"trayport {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    queries.add_commands(commands)
    names.add_commands(commands)
    for module in (doctor, sandbox, metrics, demo):
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.add_options(command)
        command.set_defaults(run=module.run)
    return parser
