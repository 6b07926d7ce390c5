"""Draws what each command costs against the size of the dataset: a line a command."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Measured

Figures = Mapping[int, Mapping[str, Measured]]
_COLORS = ("#1b1b1b", "#0b6e4f", "#1f77b4", "#8c4a8c", "#b5651d", "#c0392b", "#5b7f95", "#7a7a00", "#2c4d75", "#6a3d9a")
_APART = 0.045
"""Of the height of a panel: labels that are nearer overlap."""


def draw(found: Figures, titles: Mapping[str, str], path: Path) -> None:
    """Write the picture.

    Args:
        found: what was measured, by rows and step.
        titles: of the steps.
        path: of a picture in a format of matplotlib's, such as SVG.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    # The same bytes for the same figures.
    mpl.rcParams.update({"svg.hashsalt": "growth", "font.size": 9})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(12, 5.2))
    for panel, (what, unit) in zip(panels, (("cpu", "CPU seconds"), ("memory", "peak MB")), strict=True):
        _panel(panel, found, titles, what)
        panel.set_title(unit, loc="left")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(panel: Any, found: Figures, titles: Mapping[str, str], what: str) -> None:
    sizes, ends = sorted(found), []
    for number, step in enumerate(titles):
        there = [size for size in sizes if step in found[size]]
        if not there:
            continue
        values = [max(0.01, float(getattr(found[size][step], what))) for size in there]
        color, style = _COLORS[number % len(_COLORS)], "--" if step == "polars" else "-"
        panel.plot(there, values, style, color=color, marker="o", markersize=3.5, linewidth=1.4)
        ends.append((values[-1], titles[step], color))
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("rows")
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.minorticks_off()
    panel.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    panel.spines[["top", "right"]].set_visible(False)
    low, high = np.log10(panel.get_ylim())
    ends.sort()
    places = _spread([(np.log10(value) - low) / (high - low) for value, _, _ in ends])
    for place, (value, title, color) in zip(places, ends, strict=True):
        panel.annotate(
            title,
            (sizes[-1], value),
            (1.04, place),
            textcoords="axes fraction",
            color=color,
            va="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
        )


def _spread(places: Sequence[float]) -> list[float]:
    """Ascending places of labels, moved apart as little as possible in pairs until none overlap."""
    moved = list(places)
    for _ in range(200):
        for at in range(len(moved) - 1):
            if (lack := _APART - (moved[at + 1] - moved[at])) > 1e-6:
                moved[at] -= lack / 2
                moved[at + 1] += lack / 2
    return moved
