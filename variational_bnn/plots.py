"""Pictures of the rows, each worth a slide. Figures are made without pyplot: no window, no global state.

A method has the same colour, marker and line in all figures that `plot_all` makes. Spread is shown as a standard
deviation, in the units of y; what is exactly zero is shown as "0", beside the logarithmic axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from variational_bnn._axes import (
    DOTS_PER_INCH,
    GREY,
    LIGHT,
    REGION_MARKERS,
    TEXT,
    Style,
    log_scale,
    plain,
    styles,
    zero_strip,
)
from variational_bnn._bands import bands
from variational_bnn.base import REGIONS, Array
from variational_bnn.summary import summarise

_NEAR_EDGES, _AWAY_BINS = (0.0, 1 / 3, 2 / 3, 1.0), 12


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
    return _distance(predictions, styles(predictions["method"]))


def plot_all(results: pd.DataFrame, predictions: pd.DataFrame, data: pd.DataFrame) -> dict[str, Figure]:
    """All the figures that the rows allow, by name: `bands` (one feature only), `regions`, `distance`."""
    looks = styles(results["method"])
    figures = {"regions": _regions(results, looks)}
    if len(predictions):
        figures["distance"] = _distance(predictions, looks)
    if len(predictions) and predictions["x"].notna().all():
        figures["bands"] = bands(predictions, data, None, None, looks)
    return figures


def _regions(results: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    table = summarise(results)
    summaries: dict[str, dict[str, float]] = table.set_index("method").to_dict("index")
    figure = Figure(
        figsize=(9, 0.62 * len(table) + 1.7), dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(wspace=0, w_pad=0.02)
    )
    strip, ax = figure.subplots(1, 2, sharey=True, width_ratios=(1, 16))
    points = table[[f"sd_{region}" for region in REGIONS]].to_numpy()
    low, high = _positive_range(points)
    bounds = table.filter(regex="^sd_.*_(low|high)$").clip(low / 8, high * 8).to_numpy()
    log_scale(ax, "x", np.nanmin([low, *bounds.flat]) / 1.3, np.nanmax([high, *bounds.flat]) * 1.3)
    used = bool((points == 0).any())
    zero_strip(strip, "x", used)
    for row, (method, summary) in enumerate(summaries.items()):
        _draw_regions(strip, ax, row, summary, looks[method].colour)
    ax.set_yticks(range(len(table)), [_row_label(method, summary) for method, summary in summaries.items()])
    ax.set_ylim(len(table) - 0.5, -0.5)
    for axes in (strip, ax):
        plain(axes)
        axes.hlines(
            np.arange(1, len(table)) - 0.5, 0, 1, color=LIGHT, linewidth=0.8, transform=axes.get_yaxis_transform()
        )
        axes.tick_params(axis="y", length=0)
    ax.tick_params(axis="y", labelleft=not used)
    ax.spines["left"].set_visible(not used)
    ax.set_xlabel("epistemic sd of y (units of y)", fontsize=TEXT)
    handles = [
        Line2D([], [], color=GREY, marker=REGION_MARKERS[r], linewidth=2.2, markersize=8, label=r) for r in REGIONS
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=TEXT)
    return figure


def _row_label(method: str, summary: Mapping[str, float]) -> str:
    failed, seeds = summary["seeds_failed"], summary["seeds_ok"] + summary["seeds_failed"]
    return f"{method}\n({failed} of {seeds} failed)" if failed else method


def _draw_regions(strip: Axes, ax: Axes, row: int, summary: Mapping[str, float], colour: str) -> None:
    left, right = ax.get_xlim()
    for offset, region in zip((-0.24, 0.0, 0.24), REGIONS, strict=True):
        sd, low, high = (summary[f"sd_{region}{bound}"] for bound in ("", "_low", "_high"))
        place = strip if sd == 0 else ax
        place.plot([sd], [row + offset], REGION_MARKERS[region], color=colour, markersize=8, label=region)
        ax.plot([low, high], [row + offset] * 2, color=colour, linewidth=2.2)
        for edge, marker, leaves in ((left, "<", low < left), (right, ">", high > right)):
            if leaves:
                ax.plot([edge], [row + offset], marker, color=colour, markersize=8, clip_on=False)


def _positive_range(values: Array) -> tuple[float, float]:
    positive = values[np.isfinite(values) & (values > 0)]
    return (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)


def _distance(predictions: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    binned = _binned(predictions)
    away = [region for region in (BETWEEN, BEYOND) if (binned["region"] == region).any()] or [BEYOND]
    zeros = list(dict.fromkeys(binned.loc[binned["median"] == 0, "method"]))
    layout = ConstrainedLayoutEngine(hspace=0, h_pad=0.04, w_pad=0.08)
    figure = Figure(figsize=(4.3 * len(away) + 3.5, 5.5), dpi=DOTS_PER_INCH, layout=layout)
    heights = (16, 1 + 0.5 * len(zeros))
    grid = figure.subplots(2, len(away), sharex=True, sharey="row", squeeze=False, height_ratios=heights)
    low, high = _positive_range(binned["median"].to_numpy())
    log_scale(grid[0, 0], "y", low / 2, high * 2)
    for region, (ax, strip) in zip(away, grid.T, strict=True):
        zero_strip(strip, "y", bool(zeros))
        _distance_scale(ax, strip if zeros else ax, binned["distance"].max())
        ax.set_title(f"{NEAR}, then {region}", fontsize=TITLE, pad=22)
        shown = binned[binned["region"].isin((NEAR, region))]
        for method, rows in shown.groupby("method", sort=False):
            _draw_distance(ax, rows, looks[str(method)], str(method), low)
    outputs = predictions["output"].unique()
    grid[0, 0].set_ylabel(f"epistemic sd of {outputs[0] if len(outputs) == 1 else 'y'}", fontsize=TEXT)
    figure.supxlabel("distance to the training inputs (relative to their own spacing)", fontsize=TEXT)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=TEXT)
    return figure


def _distance_scale(ax: Axes, lowest: Axes, farthest: float) -> None:
    """A linear scale of distance up to the edge of `near`, then a logarithmic one."""
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ax.set_xlim(0, max(farthest, 2) * 1.1)
    decades = 10.0 ** np.arange(math.ceil(math.log10(max(farthest, 2) * 1.1)))
    steps = (1, 2, 5) if len(decades) < 4 else (1,)
    for axes in (ax, lowest):
        plain(axes)
        axes.xaxis.set_major_locator(FixedLocator([0, *np.multiply.outer(decades, steps).flat]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axvline(1, color=GREY, linestyle=":", linewidth=1.8, zorder=1)
    if lowest is not ax:
        ax.tick_params(axis="x", length=0, labelbottom=False)
        ax.spines["bottom"].set_visible(False)
    ax.annotate(
        "edge of near",
        (1, 1),
        (0, 4),
        ax.get_xaxis_transform(),
        "offset points",
        ha="center",
        fontsize=TEXT,
        color=GREY,
    )
    lowest.set_xlabel("distance to the training inputs (relative to their own spacing)", fontsize=TEXT)


def _binned(predictions: pd.DataFrame) -> pd.DataFrame:
    """Median distance, and the quartiles of epistemic sd, of each method and bin of distances that has queries."""
    queries = predictions[np.isfinite(predictions["distance"])].groupby(["method", "seed", "query"], sort=False)
    rows = queries.agg(distance=("distance", "first"), variance=("epistemic_variance", "mean")).reset_index()
    away = rows.loc[rows["distance"] > 1, "distance"]
    edges = np.unique([*_NEAR_EDGES, *away.quantile(np.linspace(0, 1, _AWAY_BINS + 1))])
    rows["bin"] = np.searchsorted(edges, rows["distance"])
    rows["sd"] = np.sqrt(rows["variance"])
    bins = rows.groupby(["method", "bin"], sort=False)
    spread = {"lower": bins["sd"].quantile(0.25), "median": bins["sd"].median(), "upper": bins["sd"].quantile(0.75)}
    return pd.DataFrame({"distance": bins["distance"].median(), **spread}).sort_index(level="bin").reset_index()
