"""Epistemic sd over the input, each method's against a reference's: a panel a method, on shared axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from variational_bnn.base.checks import require, require_known
from variational_bnn.report.figures.axes import (
    GREY,
    TEXT,
    TITLE,
    Style,
    log_scale,
    plain,
    positive_range,
    rounded,
    zero_strip,
)
from variational_bnn.report.figures.panels import label_feature, mark_leaving, panels_of, region_handles, shade_regions

REFERENCE_COLOUR = "black"
BAND_ALPHA = 0.3
WIDE, NARROW = 4.5, 1.8
"""Of lines: where a method agrees with the reference, it is still seen upon it."""

REACH = 30.0
"""The axis follows the methods up to this many times beyond the reference's own range."""


def against_reference(
    predictions: pd.DataFrame, data: pd.DataFrame, reference: str, target: str | None, looks: Mapping[str, Style]
) -> Figure:
    one_feature = len(predictions) > 0 and bool(predictions["x"].notna().all())
    require(one_feature, "the figure against a reference needs exactly one feature, x has NaN")
    outputs, known = list(predictions["output"].unique()), list(predictions["method"].unique())
    target = outputs[0] if target is None else target
    require_known("target", target, outputs)
    require_known("reference", reference, known)
    methods = [method for method in looks if method in known and method != reference]
    require(len(methods) > 0, f"methods other than the reference {reference!r} are wanted, got none")
    of_target = predictions[predictions["output"] == target]
    spreads = {method: _over_seeds(of_target[of_target["method"] == method]) for method in (*methods, reference)}
    zeros = any((spread["sd"] == 0).any() for spread in spreads.values())
    figure, panels, strips = panels_of(len(methods), strips=zeros)
    low, high = _limits(spreads.values(), spreads[reference])
    for ax, strip, method in zip(panels.flat, strips.flat, methods, strict=False):
        log_scale(ax, "y", low, high)
        if zeros:
            zero_strip(strip, "y")
            ax.tick_params(axis="x", length=0)
            ax.spines["bottom"].set_visible(False)
        plain(ax)
        _draw_panel(ax, strip, spreads[method], spreads[reference], looks[method].colour)
        ax.plot(data.iloc[:, 0], [0.03] * len(data), "|", color=GREY, markersize=9, transform=ax.get_xaxis_transform())
        ax.set_title(method, loc="left", pad=22, fontsize=TITLE, fontweight="bold", color=looks[method].colour)
    for ax in panels[:, 0]:
        ax.set_ylabel(f"epistemic sd of {target}", fontsize=TEXT, parse_math=False)
    label_feature(strips, len(methods), data.columns[0])
    seeds = of_target["seed"].nunique()
    figure.legend(handles=_legend(reference, seeds), loc="outside lower center", ncols=3, frameon=False, fontsize=TEXT)
    return figure


def _over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a query in order of x: geometric mean `sd` over seeds, and the `lowest` and `highest` seed's."""
    rows = rows.assign(sd=np.sqrt(rows["epistemic_variance"]))
    with np.errstate(divide="ignore"):
        rows = rows.assign(log=np.log(rows["sd"]))
    queries = rows.groupby("query_point")
    spread = {"lowest": queries["sd"].min(), "sd": np.exp(queries["log"].mean()), "highest": queries["sd"].max()}
    table = pd.DataFrame({"x": queries["x"].first(), "region": queries["region"].first(), **spread})
    return table.sort_values("x")


def _limits(spreads: Iterable[pd.DataFrame], reference: pd.DataFrame) -> tuple[float, float]:
    """What lines and bands need, but at most `REACH` times the reference's range on either side."""
    wanted_low, wanted_high = positive_range(np.concatenate([spread[["lowest", "highest"]] for spread in spreads]))
    low, high = positive_range(reference["sd"].to_numpy())
    return max(wanted_low, low / REACH) / 1.5, min(wanted_high, high * REACH) * 1.5


def _draw_panel(ax: Axes, strip: Axes, spread: pd.DataFrame, reference: pd.DataFrame, colour: str) -> None:
    shade_regions(ax, reference["x"].to_numpy(), reference["region"].to_numpy())
    low, high = ax.get_ylim()
    for table, shade, width in ((reference, REFERENCE_COLOUR, WIDE), (spread, colour, NARROW)):
        x, sd = table["x"].to_numpy(), table["sd"].to_numpy()
        name = "reference" if table is reference else "method"
        if (table["highest"] > table["lowest"]).any():
            band = table[["lowest", "highest"]].clip(low / 10, high * 10).to_numpy().T
            ax.fill_between(x, *band, color=shade, alpha=BAND_ALPHA, linewidth=0, label=f"{name}'s seeds")
        ax.plot(x, np.where(sd > 0, sd, np.nan), color=shade, linewidth=width, label=name)
        if (sd == 0).any():
            strip.plot(x, np.where(sd == 0, 0.0, np.nan), color=shade, linewidth=width, label=name)
    x, sd = spread["x"].to_numpy(), spread["sd"].to_numpy()
    below, above = (sd > 0) & (sd < low), sd > high
    mark_leaving(ax, x, below, above, colour)
    note = f"sd spans {rounded(sd.min())} to {rounded(sd.max())}" if (below | above).any() else ""
    ax.annotate(note, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=TEXT - 1, color=GREY, in_layout=False)


def _legend(reference: str, seeds: int) -> list[Line2D | Patch]:
    band = Patch(color=GREY, alpha=BAND_ALPHA, linewidth=0, label="smallest to largest of the seeds")
    return [
        Line2D([], [], color=REFERENCE_COLOUR, linewidth=WIDE, label=f"{reference}, the reference"),
        Line2D([], [], color=GREY, linewidth=NARROW, label="geometric mean over seeds" if seeds > 1 else "the method"),
        *([band] if seeds > 1 else []),
        *region_handles(),
        Line2D(
            [], [], label="training inputs", color=GREY, marker="|", linestyle="", markersize=10, markeredgewidth=1.5
        ),
    ]
