"""The sd of reconstructions over draws, for classes trained on and for the class held out: a row a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import (
    DOTS_PER_INCH,
    GREY,
    LIGHT,
    TEXT,
    Style,
    log_scale,
    plain,
    positive_range,
    styles,
    zero_strip,
)
from variational_bnn.report.figures.inputs import (
    complete_rows,
    require_not_negative,
    require_one_row,
    with_columns,
)

KINDS = {
    "predictive_sd_seen": ("o", -0.17, "classes trained on"),
    "predictive_sd_held_out": ("^", 0.17, "the class held out"),
}
SEED: dict[str, Any] = {"markersize": 6, "alpha": 0.45, "markeredgewidth": 0}
MEAN: dict[str, Any] = {"markersize": 12, "markeredgecolor": "white", "markeredgewidth": 1}


def plot_predictive_sd_by_class(results: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the sd of reconstructions over draws: a dot for classes trained on, a triangle for the class held out.

    Small marks are seeds, large ones their geometric mean, on a logarithmic axis; an sd of exactly zero is drawn in a
    strip beside it. The label of a model states how many of its seeds failed.

    Args:
        results: A row for each `model` and `seed`: `predictive_sd_seen` and `predictive_sd_held_out`, each the root of
            the mean variance of a pixel over draws of weights and latents together, and `status`, which is "ok" if it
            is missing.
        style_of: The style of each model; by default in the order of the rows.

    Returns:
        The figure; None if no sd is above zero.

    Raises:
        ValueError: If two rows are of the same model and seed, or an sd is below 0.
    """
    rows = complete_rows(results, ("model", "seed"))
    rows = with_columns(rows, tuple(KINDS)).assign(status=rows.get("status", "ok"))
    require_one_row("results", rows, ["model", "seed"])
    values = rows[list(KINDS)].to_numpy(dtype=np.float64)
    require_not_negative("predictive sds", values)
    if not (values > 0).any():
        return None
    models = list(rows["model"].unique())
    style_of = style_of or styles(models)
    widths = (1, 14) if (values == 0).any() else (1,)
    layout = ConstrainedLayoutEngine(wspace=0, w_pad=0.06)
    figure = Figure(figsize=(9, 0.75 * len(models) + 1.9), dpi=DOTS_PER_INCH, layout=layout)
    grid = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    strip, ax = grid[0], grid[-1]
    for axes in grid:
        plain(axes)
        for line in range(1, len(models)):
            axes.axhline(line - 0.5, color=LIGHT, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
    if strip is not ax:
        zero_strip(strip, "x")
        ax.spines["left"].set_visible(False)
    low, high = positive_range(values)
    log_scale(ax, "x", low / 1.5, high * 1.5)
    for row, model in enumerate(models):
        for kind, (marker, offset, _) in KINDS.items():
            sds = rows.loc[rows["model"] == model, kind].to_numpy(dtype=np.float64)
            _draw_sds(strip, ax, row + offset, sds, marker, style_of[model].colour)
    strip.set_yticks(range(len(models)), [_row_label(rows[rows["model"] == model]) for model in models])
    for text, model in zip(strip.get_yticklabels(), models, strict=True):
        text.set(color=style_of[model].colour, fontweight="bold")
    ax.set_ylim(len(models) - 0.5, -0.5)
    ax.set_xlabel("sd of a pixel over draws (root of the mean variance)", fontsize=TEXT)
    several = bool(rows["model"].duplicated().any())
    figure.legend(handles=_legend(several), loc="outside upper center", ncols=4, frameon=False, fontsize=TEXT)
    return figure


def _row_label(rows: pd.DataFrame) -> str:
    failed, model = int(rows["status"].ne("ok").sum()), str(rows["model"].iloc[0])
    return f"{model}\n({failed} of {len(rows)} failed)" if failed else model


def _draw_sds(strip: Axes, ax: Axes, height: float, sds: Array, marker: str, colour: str) -> None:
    """Draw each seed's sd, and their geometric mean, which is zero if one of them is."""
    sds = sds[np.isfinite(sds)]
    if len(sds) == 0:
        return
    with np.errstate(divide="ignore"):
        mean = np.exp(np.log(sds).mean())
    if len(sds) > 1:
        for place, own in ((strip, sds[sds == 0]), (ax, sds[sds > 0])):
            place.plot(own, [height] * len(own), marker, color=colour, label="seeds", **SEED)
    place = ax if mean > 0 else strip
    place.plot([mean], [height], marker, color=colour, label="mean", **MEAN)


def _legend(several: bool) -> list[Line2D]:
    look: dict[str, Any] = {"color": GREY, "linestyle": ""}
    kinds = [Line2D([], [], marker=marker, label=label, **look, **MEAN) for marker, _, label in KINDS.values()]
    seeds = [Line2D([], [], marker="o", label="small: a seed; large: geometric mean", **look, **SEED)]
    return kinds + (seeds if several else [])
