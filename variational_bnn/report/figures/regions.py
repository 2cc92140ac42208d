"""The sd over draws by region, and how much of it is latent: a row a method."""

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
from variational_bnn.report.latent_share import MOSTLY, as_percent

SDS = [f"sd_{region}" for region in REGIONS]
BOUNDS = [f"{sd}_{bound}" for sd in SDS for bound in ("low", "high")]
SHARES = [f"latent_share_{region}" for region in REGIONS]
SEEDS = ["seeds_ok", "seeds_failed"]
OPEN: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 2}
"""Markers are open where more than half of the variance over draws is latent."""


def plot_regions(summary: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the sd over draws by region on a logarithmic axis: a row a method, its mean over seeds and its interval.

    Markers are open where more than half of the variance over draws is latent, which is noise of the row; the label of
    a method states how much is. A value of exactly zero is drawn in a strip beside the axis. Where an interval leaves
    the axis, a triangle marks it.

    Args:
        summary: A row for each `method`: `sd_<region>` with its bounds `_low` and `_high`, in the units of y,
            `latent_share_<region>`, which is 0 if it is missing, `seeds_ok` and `seeds_failed`, as in
            `Comparison.table`.
        style_of: The style of each method; by default in the order of the rows.

    Returns:
        The figure; None if there is no method.
    """
    rows = complete_rows(summary, ("method",))
    if rows.empty:
        return None
    style_of = style_of or styles(rows["method"])
    table = with_columns(rows, [*SDS, *BOUNDS, *SHARES, *SEEDS]).set_index("method")
    table[SHARES] = table[SHARES].astype(np.float64).fillna(0.0)
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
    of = "the probabilities" if of_classes(table) else "the mean of y (units of y)"
    ax.set_xlabel(f"sd over draws of {of}", fontsize=TEXT)
    look: dict[str, Any] = {"color": GREY, "linewidth": 2.2, "markersize": 8}
    handles = [Line2D([], [], marker=REGION_MARKERS[region], label=region, **look) for region in REGIONS]
    if (table[SHARES] > MOSTLY).any(axis=None):
        look |= {"linestyle": "", **OPEN}
        handles.append(Line2D([], [], marker="o", label="open: mostly latent, noise of the row", **look))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=TEXT)
    return figure


def _row_label(method: str, summed: pd.Series[float]) -> str:
    ok, failed = (int(np.nan_to_num(summed[name])) for name in SEEDS)
    shares = sorted(summed[share] for share, sd in zip(SHARES, SDS, strict=True) if summed[sd] > 0)
    percents = list(dict.fromkeys(as_percent(share) or "0 %" for share in (shares[:1] + shares[-1:])))
    latent = f"{' to '.join(percents)} latent" if any(shares) else ""
    notes = ", ".join(filter(None, [latent, f"{failed} of {ok + failed} failed" if failed else ""]))
    return f"{method}\n({notes})" if notes else method


def _draw_regions(strip: Axes, ax: Axes, row: int, summed: pd.Series[float], colour: str) -> None:
    left, right = ax.get_xlim()
    for offset, region in zip((-0.24, 0.0, 0.24), REGIONS, strict=True):
        sd, low, high = (summed[f"sd_{region}{bound}"] for bound in ("", "_low", "_high"))
        place = strip if sd == 0 else ax
        latent = OPEN if summed[f"latent_share_{region}"] > MOSTLY else {}
        ax.plot([low, high], [row + offset] * 2, color=colour, linewidth=2.2)
        place.plot([sd], [row + offset], REGION_MARKERS[region], color=colour, markersize=8, label=region, **latent)
        for edge, marker, leaves in ((left, "<", low < left), (right, ">", high > right)):
            if leaves:
                ax.plot([edge], [row + offset], marker, color=colour, markersize=8, clip_on=False)
