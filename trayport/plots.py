"""Charts of frames; needs matplotlib, the extra ``plots``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NoMatplotlib", "lines"]


class NoMatplotlib(ImportError):
    """The error for a chart without matplotlib."""

    def __str__(self) -> str:
        return "charts need matplotlib: pip install 'trayport[plots]'"


def lines(table: pd.DataFrame, *, title: str, unit: str) -> Axes:
    """Draw a line for each column of a table over its index of days.

    Parameters
    ----------
    table : DataFrame
        One column per line, indexed by day.
    title : str
        Title of the chart.
    unit : str
        Label of the vertical axis.

    Returns
    -------
    matplotlib.axes.Axes
        Their figure belongs to no window, so that it can be drawn without a screen.

    Raises
    ------
    NoMatplotlib
        matplotlib is not installed.
    """
    try:
        from matplotlib import dates
        from matplotlib.figure import Figure
    except ImportError:
        raise NoMatplotlib from None
    axes = Figure(figsize=(10, 5), layout="constrained").add_subplot()
    days = pd.to_datetime(table.index)
    for name in table.columns:
        axes.plot(days, table[name], label=str(name), linewidth=1.6)
    axes.set_title(title, loc="left")
    axes.set_ylabel(unit)
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
