"""Predictive means with epistemic, latent and total bands over one feature: a panel a method, on shared axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import GREY, HATCH, TEXT, TITLE, Style, rounded, styles
from variational_bnn.report.figures.inputs import complete_rows, with_columns, with_latent
from variational_bnn.report.figures.panels import (
    are_probabilities,
    label_feature,
    mark_leaving,
    panels_of,
    region_handles,
    shade_regions,
    target_of,
)

EPISTEMIC_ALPHA, LATENT_ALPHA, TOTAL_ALPHA = 0.45, 0.22, 0.18


def plot_bands(
    predictions: pd.DataFrame,
    data: pd.DataFrame,
    style_of: Mapping[str, Style] | None = None,
    target: str | None = None,
) -> Figure | None:
    """Draw training data, predictive mean and bands of +-2 sd over one feature: a panel a method.

    Each panel is of the method's first seed. The dark band is epistemic. The hatched one around it adds the latent
    variance, which is noise of the row, and the light one is total. The y axis reaches beyond the range of the training
    targets by at most that range on either side. Where a band leaves the axis, triangles mark the place and the panel
    states the band's range. If the means are probabilities, no total band is drawn, and the others are clipped to
    [0, 1].

    Args:
        predictions: A row for each `method`, `seed`, `query_point` and `output`, with `x`, `region`, `mean`,
            `epistemic_variance`, `latent_variance` (0 if it is missing) and `aleatoric_variance`, as in
            `Comparison.predictions`.
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
    rows = with_latent(with_columns(rows, ("region", "aleatoric_variance")))
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
            ax.set_ylabel(f"probability of {target}" if probable else target, fontsize=TEXT)
    label_feature(grid, len(shown), data.columns[0])
    handles = _legend(pd.concat(panels.values()), total=total)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=TEXT)
    return figure


def _first_seed(rows: pd.DataFrame, probable: bool) -> pd.DataFrame:
    """Return the rows of the first seed, in ascending order of x, with the edges of the bands.

    The columns `inner_low` and `inner_high` are the edges of the epistemic band, `draws_low` and `draws_high` those of
    the epistemic and latent variance, `low` and `high` those of the total one. Of probabilities there is no total band,
    since their total variance follows from the mean.
    """
    rows = rows[rows["seed"] == rows["seed"].iloc[0]].sort_values("x")
    over_draws = rows["epistemic_variance"] + rows["latent_variance"]
    total = over_draws if probable else over_draws + rows["aleatoric_variance"].fillna(0)
    variances = {"inner_": rows["epistemic_variance"], "draws_": over_draws, "": total}
    mean, limits = rows["mean"], (0, 1) if probable else (None, None)
    sds = {name: np.sqrt(variance) for name, variance in variances.items()}
    edges = {f"{name}low": mean - 2 * sd for name, sd in sds.items()}
    edges |= {f"{name}high": mean + 2 * sd for name, sd in sds.items()}
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
    if rows["latent_variance"].any():
        look: dict[str, Any] = {"facecolor": (style.colour, LATENT_ALPHA), "edgecolor": style.colour, "linewidth": 0}
        ax.fill_between(x, rows["draws_low"], rows["inner_low"], label="latent below", hatch=HATCH, **look)
        ax.fill_between(x, rows["inner_high"], rows["draws_high"], label="latent above", hatch=HATCH, **look)
    band = rows["inner_low"], rows["inner_high"]
    ax.fill_between(x, *band, color=style.colour, alpha=EPISTEMIC_ALPHA, linewidth=0, label="epistemic")
    ax.plot(x, mean, color=style.colour, linewidth=2.2, label="mean")
    mark_leaving(ax, x, low < limits[0], high > limits[1], GREY)
    notes = [] if rows["epistemic_variance"].any() else ["epistemic sd is 0"]
    if low.min() < limits[0] or high.max() > limits[1]:
        notes.append(f"band spans {rounded(low.min())} to {rounded(high.max())}")
    note = ax.annotate(", ".join(notes), (0, 1), (0, 5), "axes fraction", "offset points", fontsize=TEXT - 1)
    note.set(color=GREY, in_layout=False)


def _legend(rows: pd.DataFrame, *, total: bool) -> list[Line2D | Patch]:
    """Return the legend handles; of the bands, only those that occur."""
    dark = Patch(color=GREY, alpha=0.65, linewidth=0, label="epistemic \N{PLUS-MINUS SIGN}2 sd")
    look: dict[str, Any] = {"facecolor": (GREY, 0.3), "edgecolor": GREY, "hatch": HATCH, "linewidth": 0}
    hatched = Patch(label="with latents, noise of the row", **look)
    light = Patch(color=GREY, alpha=0.25, linewidth=0, label="total \N{PLUS-MINUS SIGN}2 sd")
    return [
        Line2D([], [], color="black", marker="o", linestyle="", markersize=5, label="training data"),
        Line2D([], [], color=GREY, linewidth=2.2, label="predictive mean"),
        *([dark] if rows["epistemic_variance"].any() else []),
        *([hatched] if rows["latent_variance"].any() else []),
        *([light] if total else []),
        *region_handles(),
    ]
