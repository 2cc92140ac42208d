"""The terms of each model's loss over the epochs: two panels a model, the negative log-likelihood and the KL terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import (
    DOTS_PER_INCH,
    GREY,
    TEXT,
    TITLE,
    Style,
    log_scale,
    plain,
    rounded,
    styles,
)
from variational_bnn.report.figures.inputs import complete_rows, require_one_row, with_columns
from variational_bnn.report.figures.panels import mark_leaving

TERMS: dict[str, tuple[Literal["-", "--", ":"], str]] = {
    "nll": ("-", "negative log-likelihood"),
    "kl_latents": ("--", "KL of the latents"),
    "kl_weights": (":", "KL of the weights"),
}
KL = ("kl_latents", "kl_weights")
REACH = 3.0
"""The axis may reach beyond the 10 % and the 90 % quantile of the values by this many times their distance."""

FAR = 20.0
"""The axis is logarithmic if the last KL of one model is more than this many times that of another."""


def plot_loss(history: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the terms of each model's loss over the epochs, in nats per image, with their last values.

    The negative log-likelihood is above, the KL of the latents and that of the weights are below; all models share the
    axes. A triangle marks where a term leaves them, as it may in the first epochs.

    Args:
        history: A row for each `model` and `epoch`, from 1, with `nll`, `kl_latents` and `kl_weights`; a term that a
            model does not have is NaN, and so is a column that is missing.
        style_of: The style of each model; by default in the order of the rows.

    Returns:
        The figure; None without rows.

    Raises:
        ValueError: If two rows are of the same model and epoch.
    """
    rows = with_columns(complete_rows(history, ("model", "epoch")), tuple(TERMS))
    require_one_row("history", rows, ["model", "epoch"])
    if rows.empty:
        return None
    models = list(rows["model"].unique())
    style_of = style_of or styles(models)
    any_kl = bool(rows[list(KL)].notna().any(axis=None))
    parts = [("nll",), KL] if any_kl else [("nll",)]
    columns = min(len(models), 4)
    blocks = math.ceil(len(models) / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    size = (max(3.2 * columns, 5.4) + 0.8, (2.6 * len(parts) + 0.5) * blocks + 0.6)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout=layout)
    grid = figure.subplots(blocks * len(parts), columns, squeeze=False)
    for part, terms in enumerate(parts):
        panels = grid[part :: len(parts)].reshape(-1)
        for ax in panels[len(models) :]:
            ax.set_axis_off()
        _scale(panels[: len(models)], rows, terms)
        for position, (ax, model) in enumerate(zip(panels, models, strict=False)):
            _draw_terms(ax, rows[rows["model"] == model].sort_values("epoch"), terms, style_of[model].colour)
            if part == 0:
                ax.set_title(model, loc="left", fontsize=TITLE, fontweight="bold", color=style_of[model].colour)
            if part == len(parts) - 1:
                ax.set_xlabel("epoch", fontsize=TEXT)
            else:
                ax.tick_params(labelbottom=False)
            if position % columns == 0:
                ax.set_ylabel("nll (nats / image)" if part == 0 else "KL (nats / image)", fontsize=TEXT)
            else:
                ax.tick_params(labelleft=False)
    figure.align_ylabels(grid[:, 0])
    look: dict[str, Any] = {"frameon": False, "fontsize": TEXT, "handlelength": 2.6}
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=min(columns + 1, 3), **look)
    return figure


def _legend(history: pd.DataFrame) -> list[Line2D]:
    return [
        Line2D([], [], color=GREY, linestyle=line, linewidth=2.2, label=label)
        for term, (line, label) in TERMS.items()
        if history[term].notna().any()
    ]


def _scale(panels: npt.NDArray[Any], history: pd.DataFrame, terms: tuple[str, ...]) -> None:
    """Set the same limits on all panels, from the values of most epochs; logarithmic if the models end far apart."""
    values = history[list(terms)].to_numpy(dtype=np.float64)
    finite = values[np.isfinite(values)]
    finite = finite if len(finite) else np.zeros(1)
    ends = np.array([end for _, rows in history.groupby("model") for _, end in _last(rows, terms).values()])
    logarithmic = terms == KL and len(ends) > 0 and ends.max() > FAR * ends.min() > 0
    low, high = _limits(np.log(finite[finite > 0]) if logarithmic else finite)
    last = max(int(history["epoch"].max()), 2)
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    shown = [1, *(tick for tick in ticks if 1 < tick <= last)]
    for ax in panels:
        if logarithmic:
            log_scale(ax, "y", math.exp(low), math.exp(high))
        else:
            ax.set_ylim(0 if terms == KL and finite.min() >= 0 else low, high)
            ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        ax.set_xlim(1 - 0.03 * last, last)
        ax.set_xticks(shown)
        plain(ax)


def _limits(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, (0.1, 0.9))
    reach = REACH * (high - low)
    low, high = max(values.min(), low - reach), min(values.max(), high + reach)
    margin = 0.06 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _last(rows: pd.DataFrame, terms: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Return the last epoch with a finite value, and that value, of each term that has one."""
    finite = {term: rows[np.isfinite(rows[term].to_numpy(dtype=np.float64))] for term in terms}
    ends = {term: own.loc[own["epoch"].idxmax()] for term, own in finite.items() if len(own)}
    return {term: (float(end["epoch"]), float(end[term])) for term, end in ends.items()}


def _draw_terms(ax: Axes, rows: pd.DataFrame, terms: tuple[str, ...], colour: str) -> None:
    epochs, (low, high) = rows["epoch"].to_numpy(dtype=np.float64), ax.get_ylim()
    ends = _last(rows, terms)
    for term in ends:
        values = rows[term].to_numpy(dtype=np.float64)
        ax.plot(epochs, values, TERMS[term][0], color=colour, linewidth=2.2, label=term)
        if len(epochs) == 1:
            ax.plot(epochs, values, "o", color=colour)
        mark_leaving(ax, epochs, values < low, values > high, colour)
    heights = {term: ax.transLimits.transform(ax.transScale.transform(end))[1] for term, end in ends.items()}
    close = len(ends) == 2 and abs(np.diff(list(heights.values()))[0]) < 0.12
    top = max(heights, key=lambda term: heights[term]) if ends else ""
    for term, end in ends.items():
        aligned = "center" if not close else "bottom" if term == top else "top"
        words = rounded(end[1])
        ax.annotate(words, end, (6, 0), textcoords="offset points", va=aligned, fontsize=TEXT, color=colour)
    if not ends:
        ax.text(
            0.5,
            0.5,
            "no KL" if terms == KL else "none finite",
            transform=ax.transAxes,
            ha="center",
            fontsize=TEXT,
            color=GREY,
        )
