"""Epistemic sd by region, a row a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from variational_bnn.base import REGIONS
from variational_bnn.evaluation.summary import of_classes, summarise
from variational_bnn.report.figures.axes import (
    DOTS_PER_INCH,
    GREY,
    LIGHT,
    REGION_MARKERS,
    TEXT,
    Style,
    log_scale,
    plain,
    positive_range,
    zero_strip,
)


def regions_figure(results: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    table = summarise(results).set_index("method")
    points = table[[f"sd_{region}" for region in REGIONS]].to_numpy()
    low, high = positive_range(points)
    bounds = table.filter(regex="^sd_.*_(low|high)$").clip(low / 8, high * 8).to_numpy()
    widths = (1, 16) if (points == 0).any() else (1,)
    layout = ConstrainedLayoutEngine(wspace=0, w_pad=0.06)
    figure = Figure(figsize=(9, 0.62 * len(table) + 1.7), dpi=DOTS_PER_INCH, layout=layout)
    grid = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes in grid:
        plain(axes)
        for line in range(1, len(table)):
            axes.axhline(line - 0.5, color=LIGHT, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
    strip, ax = grid[0], grid[-1]
    if strip is not ax:
        zero_strip(strip, "x")
        ax.spines["left"].set_visible(False)
    log_scale(ax, "x", np.nanmin([low, *bounds.flat]) / 1.3, np.nanmax([high, *bounds.flat]) * 1.3)
    for row, (method, summary) in enumerate(table.iterrows()):
        _draw_regions(strip, ax, row, summary, looks[str(method)].colour)
    strip.set_yticks(range(len(table)), [_row_label(summary) for _, summary in table.iterrows()])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlabel(f"epistemic sd of {'the probabilities' if of_classes(table) else 'y (units of y)'}", fontsize=TEXT)
    look: dict[str, Any] = {"color": GREY, "linewidth": 2.2, "markersize": 8}
    handles = [Line2D([], [], marker=REGION_MARKERS[region], label=region, **look) for region in REGIONS]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=TEXT)
    return figure


def _row_label(summary: pd.Series[float]) -> str:
    failed, seeds = summary["seeds_failed"], summary["seeds_ok"] + summary["seeds_failed"]
    return f"{summary.name}\n({failed:g} of {seeds:g} failed)" if failed else str(summary.name)


def _draw_regions(strip: Axes, ax: Axes, row: int, summary: pd.Series[float], colour: str) -> None:
    left, right = ax.get_xlim()
    for offset, region in zip((-0.24, 0.0, 0.24), REGIONS, strict=True):
        sd, low, high = (summary[f"sd_{region}{bound}"] for bound in ("", "_low", "_high"))
        place = strip if sd == 0 else ax
        place.plot([sd], [row + offset], REGION_MARKERS[region], color=colour, markersize=8, label=region)
        ax.plot([low, high], [row + offset] * 2, color=colour, linewidth=2.2)
        for edge, marker, leaves in ((left, "<", low < left), (right, ">", high > right)):
            if leaves:
                ax.plot([edge], [row + offset], marker, color=colour, markersize=8, clip_on=False)
