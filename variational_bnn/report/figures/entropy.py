"""Entropy of the class by region, in its epistemic part and the rest: a row a method, a bar a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from variational_bnn.base import REGIONS
from variational_bnn.base.checks import require
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, LIGHT, TEXT, Style, plain

OFFSETS = dict(zip(REGIONS, (-0.27, 0.0, 0.27), strict=True))
HEIGHT = 0.22
LIGHT_ALPHA = 0.3


def known(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that have an entropy: none if y is a number."""
    return results[results["entropy"].notna()]


def entropies(results: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    rows = known(results)
    require(len(rows) > 0, "the figure of entropies needs classes, got no row with an entropy")
    means = rows.groupby(["method", "region"], sort=False)[["entropy", "mutual_information"]].mean()
    methods = [method for method in looks if method in means.index]
    figure = Figure(figsize=(9, 0.86 * len(methods) + 1.7), dpi=DOTS_PER_INCH, layout="constrained")
    ax = figure.subplots()
    plain(ax)
    heights, labels = [], []
    for row, method in enumerate(methods):
        for region, (entropy, information) in means.loc[method].iterrows():
            heights.append(row + OFFSETS[str(region)])
            labels.append(str(region))
            bar: dict[str, Any] = {"height": HEIGHT, "color": looks[method].colour, "linewidth": 0}
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
