"""Predictive means with epistemic and total bands over one feature: a panel a method, on shared axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import GREY, TEXT, TITLE, Style, rounded, styles
from variational_bnn.report.figures.inputs import complete_rows, with_columns
from variational_bnn.report.figures.panels import (
    are_probabilities,
    label_feature,
    mark_leaving,
    panels_of,
    region_handles,
    shade_regions,
    target_of,
)

EPISTEMIC_ALPHA, TOTAL_ALPHA = 0.45, 0.18


def plot_bands(
    predictions: pd.DataFrame,
    data: pd.DataFrame,
    style_of: Mapping[str, Style] | None = None,
    target: str | None = None,
) -> Figure | None:
    """Draw training data, predictive mean and two bands of +-2 sd over one feature: a panel a method.

    Each panel is of the method's first seed. The dark band is epistemic, the light one total. The y axis reaches
    beyond the range of the training targets by at most that range on either side. Where a band leaves the axis,
    triangles mark the place and the panel states the band's range. If the means are probabilities, only the epistemic
    band is drawn, clipped to [0, 1].

    Args:
        predictions: A row for each `method`, `seed`, `query_point` and `output`, with `x`, `region`, `mean`,
            `epistemic_variance` and `aleatoric_variance`, as in `Comparison.predictions`.
        data: Training rows; columns are the feature and then the outputs.
        style_of: The style of each method; by default in the order of the predictions.
        target: The output to show; by default the first.

    Returns:
        The figure; None without predictions over exactly one feature.

    Raises:
        ValueError: If the target is unknown.
    """
    rows = complete_rows(predictions, ("method", "seed", "output", "x", "mean", "epistemic_variance"))
    if rows.empty:
        return None
    rows = with_columns(rows, ("region", "aleatoric_variance"))
    target, probable = target_of(rows, target), are_probabilities(rows)
    rows = rows[rows["output"] == target]
    shown = list(rows["method"].unique())
    style_of = style_of or styles(shown)
    total = not probable and bool(rows["aleatoric_variance"].notna().any())
    panels = {method: _first_seed(rows[rows["method"] == method], probable) for method in shown}
    limits = _limits(panels.values(), data[target].to_numpy())
    figure, grid, _ = panels_of(len(shown))
    grid[0, 0].set_ylim(limits)
    for position, (ax, method) in enumerate(zip(grid.flat, shown, strict=False)):
        _draw_panel(ax, panels[method], style_of[method], limits)
        ax.plot(data.iloc[:, 0], data[target], "o", color="black", markersize=4.5, zorder=5, label="training data")
        ax.set_title(method, loc="left", pad=22, fontsize=TITLE, fontweight="bold", color=style_of[method].colour)
        if position % grid.shape[1] == 0:
            ax.set_ylabel(f"probability of {target}" if probable else target, fontsize=TEXT, parse_math=False)
    label_feature(grid, len(shown), data.columns[0])
    figure.legend(handles=_legend(total=total), loc="outside lower center", ncols=4, frameon=False, fontsize=TEXT)
    return figure


def _first_seed(rows: pd.DataFrame, probable: bool) -> pd.DataFrame:
    """Return the rows of the first seed, in ascending order of x, with the edges of both bands.

    The columns `inner_low` and `inner_high` are the edges of the epistemic band, `low` and `high` those of the total
    one. Of probabilities both are the epistemic band: the total variance follows from the mean.
    """
    rows = rows[rows["seed"] == rows["seed"].iloc[0]].sort_values("x")
    inner = 2 * np.sqrt(rows["epistemic_variance"])
    outer = inner if probable else 2 * np.sqrt(rows["epistemic_variance"] + rows["aleatoric_variance"].fillna(0))
    mean, limits = rows["mean"], (0, 1) if probable else (None, None)
    edges = {"inner_low": mean - inner, "inner_high": mean + inner, "low": mean - outer, "high": mean + outer}
    return rows.assign(**{name: edge.clip(*limits) for name, edge in edges.items()})


def _limits(panels: Iterable[pd.DataFrame], targets: Array) -> tuple[float, float]:
    """Return the limits of the y axis: the bands' range, at most the targets' range extended by itself on each side."""
    low, high = float(targets.min()), float(targets.max())
    everything = pd.concat(panels)
    lowest, highest = min(low, everything["low"].min()), max(high, everything["high"].max())
    bottom, top = max(lowest, low - (high - low)), min(highest, high + (high - low))
    margin = 0.05 * (top - bottom)
    return bottom - margin, top + margin


def _draw_panel(ax: Axes, rows: pd.DataFrame, style: Style, limits: tuple[float, float]) -> None:
    x, mean, low, high = (rows[name].to_numpy() for name in ("x", "mean", "low", "high"))
    shade_regions(ax, x, rows["region"].to_numpy(dtype=object))
    ax.fill_between(x, low, high, color=style.colour, alpha=TOTAL_ALPHA, linewidth=0, label="total")
    band = rows["inner_low"], rows["inner_high"]
    ax.fill_between(x, *band, color=style.colour, alpha=EPISTEMIC_ALPHA, linewidth=0, label="epistemic")
    ax.plot(x, mean, color=style.colour, linewidth=2.2, label="mean")
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
