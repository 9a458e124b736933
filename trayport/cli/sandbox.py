"""``trayport sandbox``: a stand-in for both APIs, until Ctrl-C."""

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

_MOST_RULES, _LONGEST = 3, 160


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of it."""
    parser.add_argument(
        "--port", type=whole, default=PORT, metavar="N",
        help="the port to listen on; 0 for any free one (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole, default=1, metavar="N", help="another seed is another market (default: %(default)s)"
    )
    parser.add_argument("--volume", type=whole, default=1, metavar="N", help="so many times as many trades as usual")
    parser.add_argument(
        "--no-limits", action="store_true", help="never answer 429; the real API allows 8 requests a second"
    )
    parser.add_argument(
        "--key", choices=KEYS, default=KEY, metavar="NAME",
        help=f"which of its keys the printed lines use: {', '.join(KEYS)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--now", type=_moment, metavar="TIME",
        help="where the server's clock stands, such as 2024-02-07T12:00; UTC without a zone (default: it runs)",
    )  # fmt: skip
    parser.add_argument("--faults", metavar="FILE", help="a TOML file of [[fault]] tables: what goes wrong, and when")
    _add_switches(parser.add_argument_group("switches", "How it reads what the API's guide leaves open."))


def _add_switches(group: argparse._ArgumentGroup) -> None:
    for field in attrs.fields(Switches):
        positions = (field.default, *field.metadata["others"])
        of_few: dict[str, Any] = {"type": type(field.default), "choices": positions}
        of_many: dict[str, Any] = {"type": whole, "metavar": "N"}
        what = field.metadata["what"].replace("`", "").removesuffix(".")
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=field.default,
            help=f"{what} (default: %(default)s)",
            **(of_many if str(field.type) == "int" else of_few),
        )


def whole(text: str) -> int:
    """A number as an option has it."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, such as 1") from None


def _moment(text: str) -> datetime.datetime:
    try:
        told = datetime.datetime.fromisoformat(text)
        return told.astimezone(datetime.UTC) if told.tzinfo else told.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} must be a time in ISO 8601, such as 2024-02-07T12:00") from None


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C."""
    with _listening(options) as sandbox:
        try:
            print(_lines(sandbox), flush=True)
            while True:
                time.sleep(0.5)  # in short steps: on Windows, Ctrl-C does not end a wait for a lock
        except KeyboardInterrupt:
            print(f"\n{_summary(sandbox)}")


def _listening(options: argparse.Namespace) -> Sandbox:
    switches = {field.name: getattr(options, field.name) for field in attrs.fields(Switches)}
    faults = _faults(options.faults)
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
            f"cannot listen on port {options.port}: {reason(error)}; --port 0 takes any free one"
        ) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _faults(path: str | None) -> tuple[Fault, ...]:
    if path is None:
        return ()
    try:
        return read_faults(path)
    except OSError as error:
        raise ConfigError(f"--faults {path}: {reason(error)}; give a TOML file with [[fault]] tables") from None
    except ValueError as error:
        raise ConfigError(f"--faults: {error}") from None


def reason(error: Exception) -> str:
    """What the system says, without the number."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


# --- what it prints --------------------------------------------------------------------------------------------------


def _lines(sandbox: Sandbox) -> str:
    """Where it is, which keys there are, and what to paste in each place where one asks."""
    variables = {f"TRAYPORT_{name.upper()}": value for name, value in sandbox.settings.items()}
    bash = "\n".join(f"export {name}={value}" for name, value in variables.items())
    powershell = "\n".join(f'$env:{name} = "{value}"' for name, value in variables.items())
    python = ",\n".join(f'    {name}="{value}"' for name, value in sandbox.settings.items())
    keys = "\n".join(f"  {name:<16}  may see {describe_rights(rights)}" for name, rights in sandbox.keys.items())
    start = _example_day(sandbox)
    end = start + datetime.timedelta(days=2)
    parameters, contract = example_contract(start)
    # Windows PowerShell takes plain `curl` for a command of its own.
    curl = "curl.exe" if os.name == "nt" else "curl"
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    target = f"{sandbox.analytics_url}/trades?from={start}T08:00:00Z&until={start}T09:00:00Z&{query}"
    return f"""\
A stand-in for Trayport's APIs serves simulated data on this machine. Ctrl-C ends it.

  Analytics API       {sandbox.analytics_url}
  Reference Data API  {sandbox.reference_url}
  in a browser        {sandbox.url}/

Keys; the lines below use {sandbox.key}
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
    """What was asked in all, and the rules that were broken most often."""
    counts = count_violations(sandbox.asked)
    said = f"Answered {_counted(sandbox.answered, 'request')}; {_counted(counts.total(), 'rule')} broken."
    worst = (f"  {count:>6} x  {_plain(f'{path}: {rule}')}" for (path, rule), count in counts.most_common(_MOST_RULES))
    return "\n".join([said, *worst])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _plain(text: str) -> str:
    """A text that came from a request, as a console can show it."""
    shown = text[:_LONGEST].encode("unicode_escape").decode("ascii")
    return shown if len(text) <= _LONGEST else f"{shown} ..."
