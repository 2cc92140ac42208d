"""How much reconstructions spread over draws, for classes trained on and for one kept out: a row a model."""

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
    zero_strip,
)
from variational_bnn.report.figures.inputs import require_not_negative

KINDS = {
    "predictive_sd_seen": ("o", -0.17, "classes trained on"),
    "predictive_sd_held_out": ("^", 0.17, "the class kept out"),
}
SEED: dict[str, Any] = {"markersize": 6, "alpha": 0.45, "markeredgewidth": 0}
MEAN: dict[str, Any] = {"markersize": 12, "markeredgecolor": "white", "markeredgewidth": 1}


def predictive_sd_summary_figure(rows: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    values = rows[list(KINDS)].to_numpy(dtype=np.float64)
    require_not_negative("spreads", values)
    widths = (1, 14) if (values == 0).any() else (1,)
    layout = ConstrainedLayoutEngine(wspace=0, w_pad=0.06)
    figure = Figure(figsize=(9, 0.75 * len(looks) + 1.9), dpi=DOTS_PER_INCH, layout=layout)
    grid = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    strip, ax = grid[0], grid[-1]
    for axes in grid:
        plain(axes)
        for line in range(1, len(looks)):
            axes.axhline(line - 0.5, color=LIGHT, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
    if strip is not ax:
        zero_strip(strip, "x")
        ax.spines["left"].set_visible(False)
    low, high = positive_range(values)
    log_scale(ax, "x", low / 1.5, high * 1.5)
    for row, (model, look) in enumerate(looks.items()):
        for kind, (marker, offset, _) in KINDS.items():
            spreads = rows.loc[rows["model"] == model, kind].to_numpy(dtype=np.float64)
            _draw_spreads(strip, ax, row + offset, spreads, marker, look.colour)
    strip.set_yticks(range(len(looks)), [_row_label(rows[rows["model"] == model]) for model in looks], parse_math=False)
    for text, look in zip(strip.get_yticklabels(), looks.values(), strict=True):
        text.set(color=look.colour, fontweight="bold")
    ax.set_ylim(len(looks) - 0.5, -0.5)
    ax.set_xlabel("sd of a pixel over draws (root of the mean variance)", fontsize=TEXT)
    several = bool(rows["model"].duplicated().any())
    figure.legend(handles=_legend(several), loc="outside upper center", ncols=4, frameon=False, fontsize=TEXT)
    return figure


def _row_label(rows: pd.DataFrame) -> str:
    failed = int(rows[list(KINDS)].isna().any(axis=1).sum())
    return f"{rows['model'].iloc[0]}\n({failed} of {len(rows)} failed)" if failed else str(rows["model"].iloc[0])


def _draw_spreads(strip: Axes, ax: Axes, height: float, spreads: Array, marker: str, colour: str) -> None:
    """Each seed's, and their geometric mean: which is zero where one of them is."""
    spreads = spreads[np.isfinite(spreads)]
    if len(spreads) == 0:
        return
    with np.errstate(divide="ignore"):
        mean = np.exp(np.log(spreads).mean())
    if len(spreads) > 1:
        for place, own in ((strip, spreads[spreads == 0]), (ax, spreads[spreads > 0])):
            place.plot(own, [height] * len(own), marker, color=colour, label="seeds", **SEED)
    place = ax if mean > 0 else strip
    place.plot([mean], [height], marker, color=colour, label="mean", **MEAN)


def _legend(several: bool) -> list[Line2D]:
    look: dict[str, Any] = {"color": GREY, "linestyle": ""}
    kinds = [Line2D([], [], marker=marker, label=label, **look, **MEAN) for marker, _, label in KINDS.values()]
    seeds = [Line2D([], [], marker="o", label="small: a seed; large: geometric mean", **look, **SEED)]
    return kinds + (seeds if several else [])
