"""Charts of the figures of ``benchmarks.growth`` for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .growth import Cost

# Colours that differ in grey and for colour-blind readers.
BLUE, RED, GREEN = "#0b5394", "#d1495b", "#2e7d32"
STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def line(
    axes: Axes, found: Sequence[tuple[int, float | None]], label: str, colour: str, *, up: int = 0, dashed: bool = False
) -> None:
    """Draw values by count with their label beside the last value; values without a logarithm are left out."""
    pairs = [(count, value) for count, value in found if value]
    if not pairs:
        return
    axes.plot(*zip(*pairs, strict=True), "--" if dashed else "-", marker="o", markersize=4.5, linewidth=2, color=colour)
    axes.annotate(
        label, pairs[-1], xytext=(9, up), textcoords="offset points", color=colour, fontweight="bold", va="center",
        linespacing=1.0, annotation_clip=False,
    )  # fmt: skip


def tick_label(value: float, _: object = None) -> str:
    """Return a number as readers write it."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} million"
    return f"{value:,.0f}".replace(",", " ") if value >= 1 else f"{value:g}"


def draw_panels(file: Path, titles: Sequence[tuple[str, str, str]], draw: Callable[[Axes, Axes], None]) -> None:
    """Draw two panels side by side, legible at a width of 700 pixels."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.9), dpi=120, layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, (title, across, upward) in zip(panels, titles, strict=True):
            axes.set(title=title, xlabel=across, ylabel=upward, xscale="log", yscale="log")
            axes.grid(which="major", color="#dddddd", linewidth=0.8)
        draw(*panels)
        for axes in panels:
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(numticks=9))
                axis.set_major_formatter(FuncFormatter(tick_label))
                axis.set_minor_formatter(NullFormatter())
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, metadata={"Software": None})


def of_rows(costs: Sequence[Cost], file: Path) -> None:
    """Draw time per row and peak memory by rows."""

    def draw(left: Axes, right: Axes) -> None:
        left.set_ylim(0.2, 20)
        for way, colour in (("naive", RED), ("save(stream)", GREEN), ("decode", BLUE)):
            of_way = [cost for cost in costs if cost.way == way]
            label = way.replace("(", "\n(")
            line(left, [(cost.count, cost.seconds / cost.count * 1e6) for cost in of_way], label, colour)
            line(right, [(cost.count, cost.memory) for cost in of_way], label, colour)

    across = "trades in the response"
    draw_panels(file, [("Time per row", across, "microseconds"), ("Peak memory", across, "MB")], draw)


def of_contracts(costs: Sequence[Cost], file: Path) -> None:
    """Draw requests and time by contracts."""

    def draw(left: Axes, right: Axes) -> None:
        for way, colour in (("candles", RED), ("trades", BLUE)):
            of_way = [cost for cost in costs if cost.way == way]
            line(left, [(cost.count, cost.requests) for cost in of_way], way, colour)
            line(right, [(cost.count, cost.seconds) for cost in of_way], way, colour)
            limited = [(cost.count, cost.limited) for cost in of_way]
            line(right, limited, f"{way}\nat 6/s", colour, dashed=True)

    across = "contracts in the query"
    draw_panels(file, [("Requests for a month", across, "requests"), ("Time of the query", across, "seconds")], draw)
