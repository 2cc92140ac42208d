"""Pictures of the rows, each worth a slide. Figures are made without pyplot: no window, no global state.

A method has the same colour, marker and line in all figures that `plot_all` makes. Spread is shown as a standard
deviation, in the units of y; what is exactly zero is shown as "0", beside the logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from variational_bnn.base import REGIONS
from variational_bnn.plots._axes import (
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
from variational_bnn.plots._bands import bands
from variational_bnn.plots._distances import distances
from variational_bnn.results.summary import summarise


def plot_bands(
    predictions: pd.DataFrame, data: pd.DataFrame, target: str | None = None, methods: Sequence[str] | None = None
) -> Figure:
    """A panel a method, of its first seed: training data, predictive mean, and two bands of +-2 sd.

    The dark band is epistemic, the light one total. The axis shows the training targets and as much again on either
    side; a triangle marks where a band leaves it and the panel says how far it reaches.

    Args:
        predictions: Rows as in `Saved.predictions`, of a dataset of one feature.
        data: Training rows, the feature and then the targets.
        target: The output to show; the first by default.
        methods: Those to show, in this order; all by default.

    Raises:
        ValueError: If there is not exactly one feature, or a target or a method is unknown.
    """
    return bands(predictions, data, target, methods, styles(predictions["method"]))


def plot_regions(results: pd.DataFrame) -> Figure:
    """Epistemic sd by region, a row a method: geometric mean over seeds and its 95 % interval.

    Args:
        results: Rows of one dataset, as in `Saved.results`.
    """
    return _regions(results, styles(results["method"]))


def plot_distance(predictions: pd.DataFrame) -> Figure:
    """Epistemic sd against distance from the training inputs: medians and quartiles over the queries of all seeds.

    Distances up to 1, the edge of `near`, are on a linear scale and the rest on a logarithmic one. With more than one
    output, the sd of a query is the root of its mean variance.

    Args:
        predictions: Rows as in `Saved.predictions`; queries at an infinite distance are left out.
    """
    return distances(predictions, styles(predictions["method"]))


def plot_all(results: pd.DataFrame, predictions: pd.DataFrame, data: pd.DataFrame) -> dict[str, Figure]:
    """All the figures that the rows allow, by name: `bands` (one feature only), `regions`, `distance`."""
    looks = styles(results["method"])
    figures = {"regions": _regions(results, looks)}
    if len(predictions):
        figures["distance"] = distances(predictions, looks)
    if len(predictions) and predictions["x"].notna().all():
        figures["bands"] = bands(predictions, data, None, None, looks)
    return figures


def _regions(results: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
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
    ax.set_xlabel("epistemic sd of y (units of y)", fontsize=TEXT)
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
