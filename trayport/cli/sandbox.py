"""``trayport sandbox``: a stand-in for both APIs, until Ctrl-C."""

from __future__ import annotations

import argparse
import time

from ..errors import ConfigError
from ..sandbox import Sandbox

NAME = "sandbox"
HELP = "serve simulated data on this machine, until Ctrl-C; no key is needed"

PORT = 8585


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of it."""
    parser.add_argument(
        "--port", type=int, default=PORT, help="the port to listen on; 0 for any free one (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed is another market (default: %(default)s)")
    parser.add_argument(
        "--no-limits", action="store_true", help="never answer 429; the real API allows 8 requests a second"
    )
    parser.add_argument("--intraday", action="store_true", help="let the key see the current UTC day")


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C."""
    with _listening(options) as sandbox:
        print(_lines(sandbox), flush=True)
        try:
            while True:
                time.sleep(0.5)  # in short steps: on Windows, Ctrl-C does not end a wait for a lock
        except KeyboardInterrupt:
            print(f"\nAnswered {len(sandbox.asked)} requests. Good-bye.")


def _listening(options: argparse.Namespace) -> Sandbox:
    try:
        return Sandbox(options.port, seed=options.seed, limits=not options.no_limits, intraday=options.intraday)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"cannot listen on port {options.port}: {reason}; --port 0 takes any free one") from None


def _lines(sandbox: Sandbox) -> str:
    """What to set, in each place where one sets such things."""
    variables = {f"TRAYPORT_{name.upper()}": value for name, value in sandbox.settings.items()}
    bash = "\n".join(f"  export {name}={value}" for name, value in variables.items())
    powershell = "\n".join(f'  $env:{name} = "{value}"' for name, value in variables.items())
    python = ",\n".join(f'      {name}="{value}"' for name, value in sandbox.settings.items())
    return f"""\
A stand-in for Trayport's APIs listens at {sandbox.url} and serves simulated data. Ctrl-C ends it.

bash
{bash}

PowerShell
{powershell}

Python
  import trayport as tp
  tp.configure(
{python},
  )
  tp.trades("TTF Apr-24", "2024-02-05", "2024-02-07")
"""
