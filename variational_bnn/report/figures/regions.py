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
from variational_bnn.evaluation.summary import of_classes
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
    styles,
    zero_strip,
)
from variational_bnn.report.figures.inputs import complete_rows, with_columns

SDS = [f"sd_{region}" for region in REGIONS]
BOUNDS = [f"{sd}_{bound}" for sd in SDS for bound in ("low", "high")]
SEEDS = ["seeds_ok", "seeds_failed"]


def plot_regions(summary: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the epistemic sd by region on a logarithmic axis: a row a method, its mean over seeds and its interval.

    A value of exactly zero is drawn in a strip beside the axis. Where an interval leaves the axis, a triangle marks it.

    Args:
        summary: A row for each `method`: `sd_<region>` with its bounds `_low` and `_high`, in the units of y,
            `seeds_ok` and `seeds_failed`, as in `Comparison.table`.
        style_of: The style of each method; by default in the order of the rows.

    Returns:
        The figure; None if there is no method.
    """
    rows = complete_rows(summary, ("method",))
    if rows.empty:
        return None
    style_of = style_of or styles(rows["method"])
    table = with_columns(rows, [*SDS, *BOUNDS, *SEEDS]).set_index("method")
    points = table[SDS].to_numpy(dtype=np.float64)
    low, high = positive_range(points)
    bounds = table[BOUNDS].astype(np.float64).clip(low / 8, high * 8).to_numpy()
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
    for row, (method, summed) in enumerate(table.iterrows()):
        _draw_regions(strip, ax, row, summed, style_of[str(method)].colour)
    strip.set_yticks(range(len(table)), [_row_label(str(method), summed) for method, summed in table.iterrows()])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlabel(f"epistemic sd of {'the probabilities' if of_classes(table) else 'y (units of y)'}", fontsize=TEXT)
    look: dict[str, Any] = {"color": GREY, "linewidth": 2.2, "markersize": 8}
    handles = [Line2D([], [], marker=REGION_MARKERS[region], label=region, **look) for region in REGIONS]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=TEXT)
    return figure


def _row_label(method: str, summed: pd.Series[float]) -> str:
    ok, failed = (int(np.nan_to_num(summed[name])) for name in SEEDS)
    return f"{method}\n({failed} of {ok + failed} failed)" if failed else method


def _draw_regions(strip: Axes, ax: Axes, row: int, summed: pd.Series[float], colour: str) -> None:
    left, right = ax.get_xlim()
    for offset, region in zip((-0.24, 0.0, 0.24), REGIONS, strict=True):
        sd, low, high = (summed[f"sd_{region}{bound}"] for bound in ("", "_low", "_high"))
        place = strip if sd == 0 else ax
        place.plot([sd], [row + offset], REGION_MARKERS[region], color=colour, markersize=8, label=region)
        ax.plot([low, high], [row + offset] * 2, color=colour, linewidth=2.2)
        for edge, marker, leaves in ((left, "<", low < left), (right, ">", high > right)):
            if leaves:
                ax.plot([edge], [row + offset], marker, color=colour, markersize=8, clip_on=False)
