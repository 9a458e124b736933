"""The command ``trayport demo``: trades, their table and a chart from simulated data, in a few seconds."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from .. import plots
from ..client import Client
from ..config import Config
from ..sandbox import Sandbox

NAME = "demo"
HELP = "fetch simulated trades, print them and draw a chart; needs no key"

CONTRACTS = ("TTF Apr-24", "TTF May-24", "TTF Jun-24")
START, END = "2024-01-08", "2024-03-08"
CHART = Path("trayport-demo.png")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(options: argparse.Namespace) -> None:
    """Fetch three TTF months over 60 days from a sandbox in this process, print them and draw a chart."""
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, Sandbox() as sandbox:
        config = Config(
            sandbox.key,
            analytics_url=sandbox.analytics_url,
            reference_url=sandbox.reference_url,
            cache_dir=Path(folder),
        )
        with Client(config=config) as client:
            _show(client)
        print(f"\nAll of this came from a simulated Trayport in this process, with {len(sandbox.asked)} requests.")
    print("Next: run `trayport sandbox` to keep one running; with an API key, see the README.")


def _show(client: Client) -> None:
    print(f">>> trayport.plan.trades({list(CONTRACTS)}, {START!r}, {END!r})")
    print(client.plan.trades(CONTRACTS, START, END))

    print(f"\n>>> frame = trayport.trades({list(CONTRACTS)}, {START!r}, {END!r})")
    frame = client.trades(CONTRACTS, START, END)
    width = shutil.get_terminal_size((120, 24)).columns
    with pd.option_context("display.width", width, "display.max_columns", None, "display.max_colwidth", 24):
        print(">>> frame.head()")
        print(frame.head())
        daily = daily_vwap(frame)
        print(f"\n{len(frame):,} trades. Daily volume-weighted price of each contract:\n")
        print(daily.round(3).to_string(max_rows=10))

    specification = client.specification("TTF")
    unit = f"{specification.price_currency}/{specification.notional_quantity_unit}"
    print(f"\n{_draw(daily, unit)}")


def daily_vwap(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the daily average price of each contract, weighted by quantity.

    Parameters
    ----------
    frame : DataFrame
        The frame of ``trades``.

    Returns
    -------
    DataFrame
        Days (text such as ``2024-02-05``) × contracts in the order of the query; float64, NaN without trades.
    """
    day = pd.DatetimeIndex(frame.index).strftime("%Y-%m-%d").rename("day")
    traded = frame.assign(value=frame["price"] * frame["quantity"])
    sums = traded.groupby([day, "contract"])[["value", "quantity"]].sum()
    table = (sums["value"] / sums["quantity"]).unstack("contract")
    return table.reindex(columns=frame.attrs["trayport"]["contract"])


def _draw(daily: pd.DataFrame, unit: str) -> str:
    """Write the chart, and return a sentence on its place or on the reason that there is none."""
    try:
        axes = plots.lines(daily, title="TTF, daily volume-weighted price (simulated)", unit=unit)
        axes.figure.canvas.print_figure(CHART, dpi=120)
    except plots.NoMatplotlib as error:
        return f"No chart: {error}."
    except OSError as error:
        return f"No chart: {CHART.absolute()} cannot be written ({error.strerror})."
    return f"Chart: {CHART.absolute()}"
