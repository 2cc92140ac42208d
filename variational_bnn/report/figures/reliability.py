"""Coverage of central predictive intervals against their nominal level: a panel a region."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator
from scipy.stats import binom

from variational_bnn.base import REGIONS
from variational_bnn.base.checks import Array, require
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, TEXT, TITLE, Style, plain, styles
from variational_bnn.report.figures.inputs import complete_rows

LEVELS = np.linspace(0, 1, 101)
BAND_ALPHA = 0.15
MARK_EVERY = 14
"""Levels from one marker of a line to the next."""


def plot_reliability(predictions: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the coverage of central predictive intervals against their level: a line a method, a panel a region.

    Coverage at a level is the share of held-out rows, outputs and seeds with |2 pit - 1| at most the level. The grey
    band holds 95 % of the coverages of a calibrated forecast at each level: binomial, with as many trials as there are
    different rows, since seeds and outputs share them. Intervals are too narrow where a line is below the band, and
    too wide where it is above.

    Args:
        predictions: A row for each `method`, `seed`, `query_point` and `output`, with `region` and, at held-out rows,
            `pit`, the predictive distribution function at the target, as in `Comparison.predictions`.
        style_of: The style of each method; by default in the order of the predictions.

    Returns:
        The figure; None if no row has a `pit`.

    Raises:
        ValueError: If a `pit` is outside 0 to 1.
    """
    rows = complete_rows(predictions, ("method", "region", "query_point", "pit"))
    if rows.empty:
        return None
    outside = rows.loc[~rows["pit"].between(0, 1), "pit"]
    require(outside.empty, f"pit must be from 0 to 1, got {outside.iloc[:1].tolist()}")
    style_of = style_of or styles(rows["method"])
    regions = [region for region in REGIONS if (rows["region"] == region).any()]
    methods = [method for method in style_of if (rows["method"] == method).any()]
    layout = ConstrainedLayoutEngine(w_pad=0.08)
    figure = Figure(figsize=(4 * len(regions) + 3.2, 4.9), dpi=DOTS_PER_INCH, layout=layout)
    grid = figure.subplots(1, len(regions), sharex=True, sharey=True, squeeze=False)[0]
    for ax, region in zip(grid, regions, strict=True):
        held_out = rows[rows["region"] == region]
        count = held_out["query_point"].nunique()
        _draw_diagonal(ax, count)
        for position, method in enumerate(methods):
            own = held_out[held_out["method"] == method]
            if len(own):
                marks = (2 + position * MARK_EVERY // len(methods), MARK_EVERY)
                ax.plot(LEVELS, _coverage(own), label=method, markevery=marks, **style_of[method].line_properties)
        ax.set_title(f"{region}, {count} rows", fontsize=TITLE)
        ax.set_xlabel("level of the central interval", fontsize=TEXT)
    grid[0].set_ylabel("share of rows inside", fontsize=TEXT)
    handles = [Line2D([], [], label=method, **style_of[method].line_properties) for method in methods]
    band = Patch(color=GREY, alpha=BAND_ALPHA, linewidth=0, label="95 % if calibrated")
    figure.legend(handles=[*handles, band], loc="outside right center", frameon=False, fontsize=TEXT, handlelength=3)
    return figure


def _coverage(rows: pd.DataFrame) -> Array:
    """Return the share of rows inside the central interval of each of `LEVELS`."""
    needed = np.sort(np.abs(2 * rows["pit"].to_numpy() - 1))
    return np.searchsorted(needed, LEVELS, side="right") / len(needed)


def _draw_diagonal(ax: Axes, count: int) -> None:
    """Draw the coverage of a calibrated forecast, with the band that holds 95 % of such forecasts of `count` rows."""
    low, high = (binom.ppf(tail, count, LEVELS) / count for tail in (0.025, 0.975))
    ax.fill_between(LEVELS, low, high, color=GREY, alpha=BAND_ALPHA, linewidth=0, step="mid", label="binomial")
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1.8, zorder=1)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.25))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    plain(ax)
