"""The bands of methods on a dataset of one feature: a panel each, on shared axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from variational_bnn.base.checks import Array, require, require_known
from variational_bnn.report.figures.axes import GREY, TEXT, TITLE, Style, rounded
from variational_bnn.report.figures.panels import (
    are_probabilities,
    label_feature,
    mark_leaving,
    panels_of,
    region_handles,
    shade_regions,
)

EPISTEMIC_ALPHA, TOTAL_ALPHA = 0.45, 0.18


def bands(
    predictions: pd.DataFrame,
    data: pd.DataFrame,
    target: str | None,
    methods: Sequence[str] | None,
    looks: Mapping[str, Style],
) -> Figure:
    require(len(predictions) > 0 and bool(predictions["x"].notna().all()), "bands need exactly one feature, x has NaN")
    outputs, known = list(predictions["output"].unique()), list(predictions["method"].unique())
    target = outputs[0] if target is None else target
    require_known("target", target, outputs)
    shown = known if methods is None else list(methods)
    for method in shown:
        require_known("method", method, known)
    probable = are_probabilities(predictions)
    panels = {method: _first_seed(predictions, method, target, probable) for method in shown}
    limits = _limits(panels.values(), data[target].to_numpy())
    figure, grid, _ = panels_of(len(shown))
    grid[0, 0].set_ylim(limits)
    for position, (ax, method) in enumerate(zip(grid.flat, shown, strict=False)):
        _draw_panel(ax, panels[method], looks[method], limits)
        ax.plot(data.iloc[:, 0], data[target], "o", color="black", markersize=4.5, zorder=5, label="training data")
        ax.set_title(method, loc="left", pad=22, fontsize=TITLE, fontweight="bold", color=looks[method].colour)
        if position % grid.shape[1] == 0:
            ax.set_ylabel(f"probability of {target}" if probable else target, fontsize=TEXT, parse_math=False)
    label_feature(grid, len(shown), data.columns[0])
    handles = _legend(total=not probable)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=TEXT)
    return figure


def _first_seed(predictions: pd.DataFrame, method: str, target: str, probable: bool) -> pd.DataFrame:
    """Rows in order of x with two bands, `inner_low` to `inner_high`, which is epistemic, and `low` to `high`.

    That is the total one, or where y is 0 or 1 the same: the spread of y itself says no more than the mean then.
    """
    rows: pd.DataFrame = predictions[(predictions["method"] == method) & (predictions["output"] == target)]
    rows = rows[rows["seed"] == rows["seed"].iloc[0]].sort_values("x")
    inner = 2 * np.sqrt(rows["epistemic_variance"])
    outer = inner if probable else 2 * np.sqrt(rows["epistemic_variance"] + rows["aleatoric_variance"])
    mean, limits = rows["mean"], (0, 1) if probable else (None, None)
    edges = {"inner_low": mean - inner, "inner_high": mean + inner, "low": mean - outer, "high": mean + outer}
    return rows.assign(**{name: edge.clip(*limits) for name, edge in edges.items()})


def _limits(panels: Iterable[pd.DataFrame], targets: Array) -> tuple[float, float]:
    """What the bands need, but at most the targets' range stretched by itself on either side."""
    low, high = float(targets.min()), float(targets.max())
    everything = pd.concat(panels)
    wanted_low, wanted_high = min(low, everything["low"].min()), max(high, everything["high"].max())
    bottom, top = max(wanted_low, low - (high - low)), min(wanted_high, high + (high - low))
    margin = 0.05 * (top - bottom)
    return bottom - margin, top + margin


def _draw_panel(ax: Axes, rows: pd.DataFrame, look: Style, limits: tuple[float, float]) -> None:
    x, mean, low, high = (rows[name].to_numpy() for name in ("x", "mean", "low", "high"))
    shade_regions(ax, x, rows["region"].to_numpy())
    ax.fill_between(x, low, high, color=look.colour, alpha=TOTAL_ALPHA, linewidth=0, label="total")
    band = rows["inner_low"], rows["inner_high"]
    ax.fill_between(x, *band, color=look.colour, alpha=EPISTEMIC_ALPHA, linewidth=0, label="epistemic")
    ax.plot(x, mean, color=look.colour, linewidth=2.2, label="mean")
    mark_leaving(ax, x, low < limits[0], high > limits[1], GREY)
    note = "epistemic sd is 0" if not rows["epistemic_variance"].any() else ""
    if low.min() < limits[0] or high.max() > limits[1]:
        note = f"band spans {rounded(low.min())} to {rounded(high.max())}"
    ax.annotate(note, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=TEXT - 1, color=GREY, in_layout=False)


def _legend(*, total: bool) -> list[Line2D | Patch]:
    light = Patch(color=GREY, alpha=0.25, linewidth=0, label="total \N{PLUS-MINUS SIGN}2 sd")
    return [
        Line2D([], [], color="black", marker="o", linestyle="", markersize=5, label="training data"),
        Line2D([], [], color=GREY, linewidth=2.2, label="predictive mean"),
        Patch(color=GREY, alpha=0.65, linewidth=0, label="epistemic \N{PLUS-MINUS SIGN}2 sd"),
        *([light] if total else []),
        *region_handles(),
    ]
