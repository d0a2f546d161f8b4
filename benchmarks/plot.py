"""Bars for tables of results; needs matplotlib, so report.py imports it only when it draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from benchmarks.report import RATIO, Row, columns, number

BAR = 0.22  # inches
COLOURS = ["#9aa5b1", "#1f6f8b", "#e09f3e", "#7a306c", "#5b8c5a", "#b23a48", "#495867", "#c9ada7"]


def bars(name: str, groups: Mapping[tuple[str, str], Sequence[Row]], directory: Path) -> None:
    """One panel below the other, a bar for each row and column.  Scales that span more than a factor of thirty
    are logarithmic."""
    if not groups:
        return
    panels = []
    for (group, unit), rows in groups.items():
        names = [column for column in columns(rows) if column != RATIO]
        panels.append((f"{group} ({unit})", rows, names))
    heights = [BAR * max(len(rows) * (len(names) + 0.8), 3) + 0.9 for _, rows, names in panels]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axis, (title, rows, names) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, title, rows, names)
    # No date and stable names inside: the same numbers give the same file.
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
    figure.savefig(directory / f"{name}.png", dpi=110)


def _panel(axis, title: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    step = 1 / (len(names) + 0.8)
    positive = [row.values[c] for row in rows for c in names if row.values.get(c, 0) > 0]
    if positive and max(positive) > 30 * min(positive):
        axis.set_xscale("log")
    for index, column in enumerate(names):
        places = [place + index * step for place, row in enumerate(rows) if column in row.values]
        values = [row.values[column] for row in rows if column in row.values]
        drawn = axis.barh(places, values, step * 0.92, label=column, color=COLOURS[index % len(COLOURS)])
        axis.bar_label(drawn, [number(value) for value in values], padding=3, fontsize=7)
    axis.set_yticks([place + step * (len(names) - 1) / 2 for place in range(len(rows))])
    axis.set_yticklabels([row.name for row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_title(title, fontsize=9, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="x", labelsize=7)
    if len(names) > 1:
        axis.legend(fontsize=7, frameon=False)
