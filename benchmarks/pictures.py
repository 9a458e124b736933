"""The figures of ``benchmarks.growth`` as pictures for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .growth import Cost

# Told apart by the colour-blind, and in grey.
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
    """Values by count, with their name beside the last of them; those that a logarithm has not are left out."""
    pairs = [(count, value) for count, value in found if value]
    if not pairs:
        return
    axes.plot(*zip(*pairs, strict=True), "--" if dashed else "-", marker="o", markersize=4.5, linewidth=2, color=colour)
    axes.annotate(
        label, pairs[-1], xytext=(9, up), textcoords="offset points", color=colour, fontweight="bold", va="center",
        linespacing=1.0, annotation_clip=False,
    )  # fmt: skip


def counted(value: float, _: object = None) -> str:
    """As people write it."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} million"
    return f"{value:,.0f}".replace(",", " ") if value >= 1 else f"{value:g}"


def drawn(file: Path, titles: Sequence[tuple[str, str, str]], draw: Callable[[Axes, Axes], None]) -> None:
    """Two panels side by side, of titles and axes, legible when they are 700 pixels wide."""
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
                axis.set_major_formatter(FuncFormatter(counted))
                axis.set_minor_formatter(NullFormatter())
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, metadata={"Software": None})


def of_rows(costs: Sequence[Cost], file: Path) -> None:
    """Time a row and peak memory by rows."""

    def draw(left: Axes, right: Axes) -> None:
        left.set_ylim(0.2, 20)
        for way, colour in (("naive", RED), ("save(stream)", GREEN), ("decode", BLUE)):
            mine = [cost for cost in costs if cost.way == way]
            label = way.replace("(", "\n(")
            line(left, [(cost.count, cost.seconds / cost.count * 1e6) for cost in mine], label, colour)
            line(right, [(cost.count, cost.memory) for cost in mine], label, colour)

    across = "trades in the answer"
    drawn(file, [("Time a row", across, "microseconds"), ("Peak memory", across, "MB")], draw)


def of_contracts(costs: Sequence[Cost], file: Path) -> None:
    """Requests and time by contracts."""

    def draw(left: Axes, right: Axes) -> None:
        for way, colour in (("candles", RED), ("trades", BLUE)):
            mine = [cost for cost in costs if cost.way == way]
            line(left, [(cost.count, cost.requests) for cost in mine], way, colour)
            line(right, [(cost.count, cost.seconds) for cost in mine], way, colour)
            limited = [(cost.count, cost.limited) for cost in mine]
            line(right, limited, f"{way}\nat 6/s", colour, dashed=True)

    across = "contracts in the question"
    drawn(file, [("Requests for a month", across, "requests"), ("Time of the question", across, "seconds")], draw)
