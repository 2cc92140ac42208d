"""The sd over draws against the distance from the training inputs: a panel for `between` and one for `beyond`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from variational_bnn.base import BETWEEN, BEYOND, NEAR
from variational_bnn.report.figures.axes import (
    DOTS_PER_INCH,
    GREY,
    TEXT,
    TITLE,
    Style,
    log_scale,
    plain,
    positive_range,
    rounded,
    styles,
    zero_strip,
)
from variational_bnn.report.figures.inputs import complete_rows, with_columns, with_latent
from variational_bnn.report.figures.panels import are_probabilities, mark_leaving
from variational_bnn.report.latent_share import MOSTLY

NEAR_BINS, AWAY_BINS = 4, 12
DECADES = 1e4
"""The largest sd over the smallest one shown; a smaller sd is marked with a triangle."""

OPEN: dict[str, Any] = {"markerfacecolor": "white"}
"""Markers of the region `near` are open, because held-out rows of another region may be at the same distances."""

LATENT: dict[str, Any] = {"linestyle": ":", "linewidth": 2.6}
"""Lines are dotted where more than half of the variance over draws is latent."""


def plot_distance(predictions: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the sd over draws against the distance from the training inputs: medians and quartiles over all seeds.

    Lines are dotted in a region where more than half of a method's variance over draws is latent, which is noise of the
    row. Distances up to 1, the edge of `near`, are on a linear scale and larger ones on a logarithmic scale. A triangle
    marks where a line is more than four powers of ten below the largest sd; an sd of exactly zero is drawn in a strip
    below. With several outputs, the sd at a query point is the root of its mean variance.

    Args:
        predictions: A row for each `method`, `seed`, `query_point` and `output`, with `region`, `distance`,
            `epistemic_variance` and `latent_variance`, as in `Comparison.predictions`. The last is 0 if it is missing.
            Query points at an infinite distance are left out.
        style_of: The style of each method; by default in the order of the predictions.

    Returns:
        The figure; None without predictions at a finite distance.
    """
    columns = ("method", "seed", "query_point", "region", "distance", "epistemic_variance")
    rows = complete_rows(predictions, columns)
    rows = rows[rows["distance"] < math.inf]
    if rows.empty:
        return None
    rows = with_latent(with_columns(rows, ("output", "mean", "aleatoric_variance")))
    style_of = style_of or styles(rows["method"])
    binned = _binned(rows)
    away = [region for region in (BETWEEN, BEYOND) if (binned["region"] == region).any()] or [BEYOND]
    shown = [method for method in style_of if (binned["method"] == method).any()]
    zeros = [method for method in shown if (binned.loc[binned["method"] == method, "median"] == 0).any()]
    layout = ConstrainedLayoutEngine(hspace=0, h_pad=0.04, w_pad=0.08)
    figure = Figure(figsize=(4 * len(away) + 3.5, 5.5), dpi=DOTS_PER_INCH, layout=layout)
    heights = (16, 0.6 + 0.6 * len(zeros)) if zeros else (1,)
    grid = figure.subplots(len(heights), len(away), sharex=True, sharey="row", squeeze=False, height_ratios=heights)
    low, high = positive_range(binned[["median", "upper"]].to_numpy())
    log_scale(grid[0, 0], "y", max(low / 1.5, high / DECADES), high * 1.5)
    for region, ax, strip in zip(away, grid[0], grid[-1], strict=True):
        if zeros:
            zero_strip(strip, "y")
        _distance_scale(ax, strip, binned["distance"].max())
        ax.set_title(f"{NEAR} and {region}", fontsize=TITLE, pad=22)
        for (method, _), bins in binned[binned["region"].isin((NEAR, region))].groupby(["method", "region"]):
            slot = (zeros.index(method) + 1) / (len(zeros) + 1) if method in zeros else 0.5
            _draw_method(ax, strip, bins, style_of[str(method)], 1 - 2 * slot)
    outputs = rows["output"].dropna().unique()
    of = f"the mean of {outputs[0] if len(outputs) == 1 else 'y'}"
    of = "the probabilities" if are_probabilities(rows) else of
    grid[0, 0].set_ylabel(f"sd over draws of {of}", fontsize=TEXT)
    figure.supxlabel("distance to the training inputs (relative to their own spacing)", fontsize=TEXT)
    dotted = {method for method in shown if binned.loc[binned["method"] == method, "latent"].all()}
    handles = [
        Line2D([], [], label=method, **{**style_of[method].line_properties, **(LATENT if method in dotted else {})})
        for method in shown
    ]
    if binned["latent"].any():
        look = {**LATENT, "color": GREY}
        handles.append(Line2D([], [], label="dotted: mostly latent,\nnoise of the row", **look))
    handles.append(Line2D([], [], label=f"open: {NEAR}", linestyle="", marker="o", markersize=8, color=GREY, **OPEN))
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=TEXT, handlelength=3)
    return figure


def _draw_method(ax: Axes, strip: Axes, rows: pd.DataFrame, style: Style, zero_height: float) -> None:
    distance, median = rows["distance"], rows["median"]
    line = {**style.line_properties, **(OPEN if (rows["region"] == NEAR).all() else {})}
    line |= LATENT if rows["latent"].all() else {}
    above, bottom = median > 0, ax.get_ylim()[0]
    ax.plot(distance, median.where(median >= bottom), label=rows["method"].iloc[0], **line)
    leaves = (above & (median < bottom)).to_numpy()
    mark_leaving(ax, distance.to_numpy(), leaves, np.zeros_like(leaves), style.colour)
    lower = rows["lower"].clip(lower=bottom)
    ax.fill_between(distance, lower, rows["upper"], where=above & ~leaves, color=style.colour, alpha=0.15, linewidth=0)
    if not above.all():
        strip.plot(distance[~above], np.full((~above).sum(), zero_height), **line)


def _distance_scale(ax: Axes, strip: Axes, farthest: float) -> None:
    """Make the scale of distance linear up to the edge of `near`, and logarithmic beyond it."""
    end = 1.1 * max(farthest, 2)
    decades = 10.0 ** np.arange(math.ceil(math.log10(end)))
    steps = (1, 2, 5) if len(decades) < 3 else (1,)
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ax.set_xlim(0, end)
    ax.xaxis.set_major_locator(FixedLocator([0, *np.multiply.outer(decades, steps).flat]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded(value)))
    ax.xaxis.set_minor_locator(NullLocator())
    for axes in (ax, strip):
        plain(axes)
        axes.axvline(1, color=GREY, linewidth=1, zorder=1)
    if strip is not ax:
        ax.tick_params(axis="x", length=0)
        ax.spines["bottom"].set_visible(False)
    edge = ax.annotate("edge of near", (1, 1), (0, 5), ax.get_xaxis_transform(), "offset points", ha="center")
    edge.set(fontsize=TEXT, color=GREY)


def _binned(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the median distance and the quartiles of the sd over draws, by method, region and bin of distance.

    The bins are of equal width on the axis. The column `latent` says whether the variance over draws of the method in
    the region is mostly latent.
    """
    predictions = predictions.assign(variance=predictions["epistemic_variance"] + predictions["latent_variance"])
    points = predictions.groupby(["method", "region", "seed", "query_point"], sort=False)
    rows = points.agg(distance=("distance", "first"), variance=("variance", "mean")).reset_index()
    rows["sd"] = np.sqrt(rows["variance"])
    decades = np.log(rows["distance"].clip(lower=1))
    rows["bin"] = np.floor(
        NEAR_BINS * rows["distance"].clip(upper=0.999) + AWAY_BINS * decades / max(decades.max(), 1e-9)
    )
    bins = rows.groupby(["method", "region", "bin"])
    sds = {"lower": bins["sd"].quantile(0.25), "median": bins["sd"].median(), "upper": bins["sd"].quantile(0.75)}
    sums = predictions.groupby(["method", "region"])[["latent_variance", "variance"]].sum()
    latent = (sums["latent_variance"] > MOSTLY * sums["variance"]).rename("latent")
    return pd.DataFrame({"distance": bins["distance"].median(), **sds}).join(latent).reset_index()
