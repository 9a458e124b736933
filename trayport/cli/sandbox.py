"""``trayport sandbox``: serve simulated data for both APIs until Ctrl-C."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import ConfigError
from ..sandbox import (
    KEY,
    KEYS,
    Sandbox,
    Switches,
    count_violations,
    describe_rights,
    example_contract,
    read_faults,
)

if TYPE_CHECKING:
    from ..sandbox import Fault

NAME = "sandbox"
HELP = "serve simulated data on this machine, until Ctrl-C; no key is needed"

PORT = 8585

# Number of broken rules in the summary, and of characters of each.
_MAX_RULES, _MAX_LENGTH = 3, 160


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--port", type=whole, default=PORT, metavar="N",
        help="port to listen on; 0 for any free one (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole, default=1, metavar="N", help="seed of the simulated market (default: %(default)s)"
    )
    parser.add_argument(
        "--volume", type=whole, default=1, metavar="N", help="factor for the number of trades (default: %(default)s)"
    )
    parser.add_argument(
        "--no-limits", action="store_true", help="switch off the rate limits; the real API allows 8 requests a second"
    )
    parser.add_argument(
        "--key", choices=KEYS, default=KEY, metavar="NAME",
        help=f"key in the printed lines: {', '.join(KEYS)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--now", type=_moment, metavar="TIME",
        help="fixed time of the server's clock, such as 2024-02-07T12:00, UTC without a zone (default: current time)",
    )  # fmt: skip
    parser.add_argument("--faults", metavar="FILE", help="inject the faults of a TOML file with [[fault]] tables")
    _add_switches(parser.add_argument_group("switches", "Readings of points that the API's guide leaves open."))


def _add_switches(group: argparse._ArgumentGroup) -> None:
    for field in attrs.fields(Switches):
        positions = (field.default, *field.metadata["others"])
        choices: dict[str, Any] = {"type": type(field.default), "choices": positions}
        number: dict[str, Any] = {"type": whole, "metavar": "N"}
        text = field.metadata["help"].replace("`", "").removesuffix(".")
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=field.default,
            help=f"{text} (default: %(default)s)",
            **(number if str(field.type) == "int" else choices),
        )


def whole(text: str) -> int:
    """Return the whole number of an option."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, such as 1") from None


def _moment(text: str) -> datetime.datetime:
    try:
        time_ = datetime.datetime.fromisoformat(text)
        return time_.astimezone(datetime.UTC) if time_.tzinfo else time_.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} must be a time in ISO 8601, such as 2024-02-07T12:00") from None


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C."""
    with _start(options) as sandbox:
        try:
            print(_lines(sandbox), flush=True)
            while True:
                time.sleep(0.5)  # in short steps, since on Windows Ctrl-C does not end a wait for a lock
        except KeyboardInterrupt:
            print(f"\n{_summary(sandbox)}")


def _start(options: argparse.Namespace) -> Sandbox:
    switches = {field.name: getattr(options, field.name) for field in attrs.fields(Switches)}
    faults = _read_faults(options.faults)
    try:
        return Sandbox(
            options.port,
            seed=options.seed,
            volume=options.volume,
            limits=not options.no_limits,
            key=options.key,
            now=options.now,
            faults=faults,
            **switches,
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on port {options.port}: {reason(error)}", "--port 0 takes any free port"
        ) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _read_faults(path: str | None) -> tuple[Fault, ...]:
    if path is None:
        return ()
    try:
        return read_faults(path)
    except OSError as error:
        raise ConfigError(f"--faults {path}: {reason(error)}", "give a TOML file with [[fault]] tables") from None
    except ValueError as error:
        raise ConfigError(f"--faults: {error}") from None


def reason(error: Exception) -> str:
    """Return the message of the operating system without its number."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


# --- output ----------------------------------------------------------------------------------------------------------


def _lines(sandbox: Sandbox) -> str:
    """Return the addresses, the keys, and lines to paste into curl, bash, PowerShell and Python."""
    variables = {f"TRAYPORT_{name.upper()}": value for name, value in sandbox.settings.items()}
    bash = "\n".join(f"export {name}={value}" for name, value in variables.items())
    powershell = "\n".join(f'$env:{name} = "{value}"' for name, value in variables.items())
    python = ",\n".join(f'    {name}="{value}"' for name, value in sandbox.settings.items())
    keys = "\n".join(f"  {name:<16}  entitled to {describe_rights(rights)}" for name, rights in sandbox.keys.items())
    start = _example_day(sandbox)
    end = start + datetime.timedelta(days=2)
    parameters, contract = example_contract(start)
    # In Windows PowerShell `curl` is an alias of another command.
    curl = "curl.exe" if os.name == "nt" else "curl"
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    target = f"{sandbox.analytics_url}/trades?from={start}T08:00:00Z&until={start}T09:00:00Z&{query}"
    return f"""\
Simulated servers for both APIs of Trayport are listening on this computer. Ctrl-C stops them.

  Analytics API       {sandbox.analytics_url}
  Reference Data API  {sandbox.reference_url}
  Page for a browser  {sandbox.url}/

Keys (the lines below use {sandbox.key})
{keys}

--- curl ---
{curl} -H "X-API-KEY: {sandbox.key}" -H "Accept: text/csv" -H "Accept-Encoding: identity" "{target}"

--- bash ---
{bash}

--- PowerShell ---
{powershell}

--- Python ---
import trayport as tp
tp.configure(
{python},
)
print(tp.trades("{contract}", "{start}", "{end}"))
"""


def _example_day(sandbox: Sandbox) -> datetime.date:
    """Return a Monday for the printed examples: 2024-02-05, or an earlier one if the clock is set before that day."""
    today = (sandbox.now or datetime.datetime.now(datetime.UTC)).date()
    return min(datetime.date(2024, 2, 5), today - datetime.timedelta(days=today.weekday() + 14))


def _summary(sandbox: Sandbox) -> str:
    """Return the number of requests, and the rules that were broken most often."""
    counts = count_violations(sandbox.asked)
    summary = f"Answered {_count_of(sandbox.answered, 'request')}; {_count_of(counts.total(), 'rule')} broken."
    worst = (f"  {count:>6} x  {_plain(f'{path}: {rule}')}" for (path, rule), count in counts.most_common(_MAX_RULES))
    return "\n".join([summary, *worst])


def _count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _plain(text: str) -> str:
    """Return a text from a request in printable ASCII, cut to a maximum length."""
    shown = text[:_MAX_LENGTH].encode("unicode_escape").decode("ascii")
    return shown if len(text) <= _MAX_LENGTH else f"{shown} ..."
