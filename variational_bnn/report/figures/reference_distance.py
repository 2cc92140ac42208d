"""How close each method comes to a reference, against what it costs: a panel a region."""

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
from variational_bnn.base.checks import require, require_known
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
    zero_strip,
)

OWN: dict[str, Any] = {"color": GREY, "linewidth": 1.8, "zorder": 1}
OWN_COST: dict[str, Any] = {**OWN, "linestyle": ":"}


def close_points(summary: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row for each method and region that can be drawn: `method`, `region`, `cost`, `distance`, `low`, `high`.

    The reference is among them, and so is a method only where its distance is a number and its cost is above zero.
    """
    names = {region: [f"wasserstein_{region}{bound}" for bound in ("", "_low", "_high")] for region in REGIONS}
    wanted = ["method", "fit_seconds", "predict_seconds", *(name for region in REGIONS for name in names[region])]
    missing = [name for name in wanted if name not in summary.columns]
    require(not missing, f"summary lacks the columns {', '.join(missing)}")
    cost = summary["fit_seconds"] + summary["predict_seconds"]
    parts = [
        summary[columns]
        .set_axis(["distance", "low", "high"], axis=1)
        .assign(method=summary["method"], region=region, cost=cost)
        for region, columns in names.items()
    ]
    points = pd.concat(parts, ignore_index=True)
    return points[np.isfinite(points["distance"]) & ((points["cost"] > 0) | (points["method"] == reference))]


def reference_distances(summary: pd.DataFrame, reference: str, looks: Mapping[str, Style]) -> Figure:
    points = close_points(summary, reference)
    require_known("reference", reference, list(summary["method"]))
    others, own = (points[points["method"].eq(reference) == same] for same in (False, True))
    require(len(others) > 0, f"no method has a distance to {reference} and a cost above zero")
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
            _draw_method(ax, strip, point, looks[point["method"]])
    unit = "probability" if of_classes(summary) else "its sd"
    grid[0, 0].set_ylabel(f"Wasserstein distance to {reference} ({unit})", fontsize=TEXT, parse_math=False)
    figure.supxlabel("seconds to fit and to predict", fontsize=TEXT)
    figure.legend(
        handles=_legend(others, own, reference, looks), loc="outside right center", frameon=False, fontsize=TEXT
    )
    return figure


def _scales(ax: Axes, drawn: pd.DataFrame) -> None:
    """Room for every point, and for intervals of up to eight times their points' range."""
    low, high = positive_range(drawn["distance"].to_numpy())
    bounds = drawn[["low", "high"]].clip(low / 8, high * 8).to_numpy()
    log_scale(ax, "y", np.nanmin([low, *bounds.flat]) / 1.4, np.nanmax([high, *bounds.flat]) * 1.4)
    cheapest, dearest = positive_range(drawn["cost"].to_numpy())
    log_scale(ax, "x", cheapest / 2, dearest * 2)


def _draw_own(ax: Axes, strip: Axes, point: pd.Series[Any]) -> None:
    """The reference's row: its distance to itself across the panel, and what it costs."""
    place = ax if point["distance"] > 0 else strip
    place.axhline(point["distance"], label="itself", **OWN)
    for axes in {ax, strip}:
        axes.axvline(point["cost"], label="cost", **OWN_COST)
    if np.isfinite(point["low"]):
        ax.axhspan(point["low"], point["high"], color=GREY, alpha=0.18, linewidth=0, zorder=0)


def _draw_method(ax: Axes, strip: Axes, point: pd.Series[Any], look: Style) -> None:
    place = ax if point["distance"] > 0 else strip
    place.plot(point["cost"], point["distance"], label=point["method"], **_marker(look))
    ax.plot([point["cost"]] * 2, [point["low"], point["high"]], color=look.colour, linewidth=2)
    bottom, top = ax.get_ylim()
    for edge, marker, leaves in ((bottom, "v", point["low"] < bottom), (top, "^", point["high"] > top)):
        if leaves:
            ax.plot(point["cost"], edge, marker, color=look.colour, markersize=7, clip_on=False)


def _legend(others: pd.DataFrame, own: pd.DataFrame, reference: str, looks: Mapping[str, Style]) -> list[Line2D]:
    """The methods from the farthest down to the closest in the first panel, as they are seen there."""
    ordered = others.sort_values("distance", ascending=False, kind="stable").sort_values(
        "region", key=lambda regions: regions.map(REGIONS.index), kind="stable"
    )
    handles = [Line2D([], [], label=method, **_marker(looks[method])) for method in ordered["method"].drop_duplicates()]
    if len(own):
        handles.append(Line2D([], [], label=f"{reference} against itself", **OWN))
        handles.append(Line2D([], [], label=f"what {reference} costs", **OWN_COST))
    return handles


def _marker(look: Style) -> dict[str, Any]:
    """Filled where the method's line is solid, open where it is dashed."""
    face = look.colour if look.line == "-" else "white"
    return {**look.line_properties, "linestyle": "", "markersize": 9, "markerfacecolor": face, "markeredgewidth": 2}
