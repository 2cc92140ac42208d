"""The entropy of the class by region, in its epistemic and its other part: a row a method, a bar a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from variational_bnn.base import REGIONS
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, LIGHT, TEXT, Style, plain, styles
from variational_bnn.report.figures.inputs import complete_rows

OFFSETS = dict(zip(REGIONS, (-0.27, 0.0, 0.27), strict=True))
HEIGHT = 0.22
LIGHT_ALPHA = 0.3


def plot_entropy(results: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the entropy of the predicted class by region, a row a method, in its two parts: means over seeds, in nats.

    The dark part of a bar is the mutual information of the class and the draw, by which the draws disagree; the light
    part is the expected entropy of a draw.

    Args:
        results: A row for each `method`, `seed` and `region`, with `entropy` and `mutual_information` in nats, as in
            `Comparison.results`.
        style_of: The style of each method; by default in the order of the rows.

    Returns:
        The figure; None if no row has an entropy, as where y is a number.
    """
    rows = complete_rows(results, ("method", "region", "entropy", "mutual_information"))
    if rows.empty:
        return None
    style_of = style_of or styles(rows["method"])
    means = rows.groupby(["method", "region"], sort=False)[["entropy", "mutual_information"]].mean()
    methods = [method for method in style_of if method in means.index]
    figure = Figure(figsize=(9, 0.86 * len(methods) + 1.7), dpi=DOTS_PER_INCH, layout="constrained")
    ax = figure.subplots()
    plain(ax)
    heights, labels = [], []
    for row, method in enumerate(methods):
        for region, (entropy, information) in means.loc[method].iterrows():
            heights.append(row + OFFSETS[str(region)])
            labels.append(str(region))
            bar: dict[str, Any] = {"height": HEIGHT, "color": style_of[method].colour, "linewidth": 0}
            ax.barh(heights[-1], information, **bar)
            ax.barh(heights[-1], entropy - information, left=information, alpha=LIGHT_ALPHA, **bar)
    for line in range(1, len(methods)):
        ax.axhline(line - 0.5, color=LIGHT, linewidth=0.8)
    ax.set_yticks(range(len(methods)), methods)
    ax.set_yticks(heights, labels, minor=True)
    ax.yaxis.remove_overlapping_locs = False
    ax.tick_params(axis="y", which="both", length=0)
    ax.tick_params(axis="y", which="minor", labelsize=TEXT - 2, labelcolor=GREY)
    ax.tick_params(axis="y", which="major", pad=66)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_xlabel("entropy of the class (nats)", fontsize=TEXT)
    parts = (("mutual information: the draws disagree", 1.0), ("expected entropy: they agree", LIGHT_ALPHA))
    handles = [Patch(color=GREY, alpha=alpha, linewidth=0, label=label) for label, alpha in parts]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False, fontsize=TEXT)
    return figure
