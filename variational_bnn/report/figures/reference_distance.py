"""The distance of each method to a reference posterior, against its cost: a panel a region."""

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
    TEXT,
    TITLE,
    Style,
    log_scale,
    plain,
    positive_range,
    styles,
    zero_strip,
)
from variational_bnn.report.figures.inputs import complete_rows, with_columns

OWN: dict[str, Any] = {"color": GREY, "linewidth": 1.8, "zorder": 1}
OWN_COST: dict[str, Any] = {**OWN, "linestyle": ":"}


def plot_reference_distance(
    summary: pd.DataFrame, reference: str | None, style_of: Mapping[str, Style] | None = None
) -> Figure | None:
    """Draw the Wasserstein distance of each method to the reference against its seconds: a panel a region.

    Bars are the intervals over seeds, with a triangle where one leaves the axis. The grey line is the distance of the
    reference's seeds to each other, the smallest distance that can be told from zero; the dotted line is the cost of
    the reference. A method is left out of a region where its distance is NaN, and of all regions where its seconds
    are.

    Args:
        summary: A row for each `method`: `fit_seconds`, `predict_seconds` and, for each region,
            `wasserstein_<region>` with its bounds `_low` and `_high`, in units of the reference's sd, or of
            probability if there is an `entropy_<region>`, as in `Comparison.table`.
        reference: The method that the others are compared with, or None.
        style_of: The style of each method; by default in the order of the rows.

    Returns:
        The figure; None if no method but the reference has a distance and a cost.
    """
    rows = complete_rows(summary, ("method",))
    points = _points(rows, reference)
    own = points[points["method"] == reference]
    others = points[points["method"] != reference]
    if reference is None or others.empty:
        return None
    style_of = style_of or styles(rows["method"])
    regions = [region for region in REGIONS if (others["region"] == region).any()]
    drawn = points[points["region"].isin(regions)]
    zeros = bool((drawn["distance"] == 0).any())
    layout = ConstrainedLayoutEngine(hspace=0, h_pad=0.04, w_pad=0.08)
    figure = Figure(figsize=(3.6 * len(regions) + 3.5, 5.5), dpi=DOTS_PER_INCH, layout=layout)
    heights = (16, 1.6) if zeros else (1,)
    grid = figure.subplots(len(heights), len(regions), sharex=True, sharey="row", squeeze=False, height_ratios=heights)
    _scales(grid[0, 0], drawn)
    for region, ax, strip in zip(regions, grid[0], grid[-1], strict=True):
        ax.set_title(region, fontsize=TITLE)
        plain(ax)
        if zeros:
            zero_strip(strip, "y")
            plain(strip)
            ax.tick_params(axis="x", length=0)
            ax.spines["bottom"].set_visible(False)
        for _, point in own[own["region"] == region].iterrows():
            _draw_own(ax, strip, point)
        for _, point in others[others["region"] == region].iterrows():
            _draw_method(ax, strip, point, style_of[point["method"]])
    unit = "probability" if of_classes(summary) else "units of its sd"
    grid[0, 0].set_ylabel(f"Wasserstein distance to {reference}\n({unit})", fontsize=TEXT)
    figure.supxlabel("seconds to fit and to predict", fontsize=TEXT)
    handles = _legend(others, own, reference, style_of)
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=TEXT)
    return figure


def _points(summary: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """Return a row for each method and region that can be drawn: `method`, `region`, `cost` and `distance`.

    The bounds of the distance are `low` and `high`. A method has a row only where its distance is a number and its
    cost is above zero; the reference has one wherever its distance is a number.
    """
    names = {region: [f"wasserstein_{region}{bound}" for bound in ("", "_low", "_high")] for region in REGIONS}
    seconds = ["fit_seconds", "predict_seconds"]
    table = with_columns(summary, [*seconds, *(name for columns in names.values() for name in columns)])
    parts = [
        table[columns]
        .set_axis(["distance", "low", "high"], axis=1)
        .assign(method=table["method"], region=region, cost=table["fit_seconds"] + table["predict_seconds"])
        for region, columns in names.items()
    ]
    points = pd.concat(parts, ignore_index=True)
    finite = points["distance"].abs() < np.inf
    return points[finite & ((points["cost"] > 0) | (points["method"] == reference))]


def _scales(ax: Axes, drawn: pd.DataFrame) -> None:
    """Set both scales, with room for every point and for intervals of up to eight times the range of the points."""
    low, high = positive_range(drawn["distance"].to_numpy())
    bounds = drawn[["low", "high"]].clip(low / 8, high * 8).to_numpy()
    log_scale(ax, "y", np.nanmin([low, *bounds.flat]) / 1.4, np.nanmax([high, *bounds.flat]) * 1.4)
    cheapest, dearest = positive_range(drawn["cost"].to_numpy())
    log_scale(ax, "x", cheapest / 2, dearest * 2)


def _draw_own(ax: Axes, strip: Axes, point: pd.Series[Any]) -> None:
    """Draw the distance of the reference's seeds to each other as a horizontal line, and its cost as a vertical one."""
    place = ax if point["distance"] > 0 else strip
    place.axhline(point["distance"], label="itself", **OWN)
    for axes in {ax, strip}:
        axes.axvline(point["cost"], label="cost", **OWN_COST)
    if np.isfinite(point["low"]):
        ax.axhspan(point["low"], point["high"], color=GREY, alpha=0.18, linewidth=0, zorder=0)


def _draw_method(ax: Axes, strip: Axes, point: pd.Series[Any], style: Style) -> None:
    place = ax if point["distance"] > 0 else strip
    place.plot(point["cost"], point["distance"], label=point["method"], **_marker(style))
    ax.plot([point["cost"]] * 2, [point["low"], point["high"]], color=style.colour, linewidth=2)
    bottom, top = ax.get_ylim()
    for edge, marker, leaves in ((bottom, "v", point["low"] < bottom), (top, "^", point["high"] > top)):
        if leaves:
            ax.plot(point["cost"], edge, marker, color=style.colour, markersize=7, clip_on=False)


def _legend(others: pd.DataFrame, own: pd.DataFrame, reference: str, style_of: Mapping[str, Style]) -> list[Line2D]:
    """Return the legend handles, with the methods in the order of their distances in the first panel, largest first."""
    ordered = others.sort_values("distance", ascending=False, kind="stable").sort_values(
        "region", key=lambda regions: regions.map(REGIONS.index), kind="stable"
    )
    handles = [
        Line2D([], [], label=method, **_marker(style_of[method])) for method in ordered["method"].drop_duplicates()
    ]
    if len(own):
        handles.append(Line2D([], [], label=f"{reference} against itself", **OWN))
        handles.append(Line2D([], [], label=f"cost of {reference}", **OWN_COST))
    return handles


def _marker(style: Style) -> dict[str, Any]:
    """Return the arguments of a method's marker: filled where its line is solid, open where it is dashed."""
    face = style.colour if style.line == "-" else "white"
    return {**style.line_properties, "linestyle": "", "markersize": 9, "markerfacecolor": face, "markeredgewidth": 2}
