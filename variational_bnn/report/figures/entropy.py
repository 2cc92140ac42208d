"""The entropy of the class by region, in its epistemic, latent and aleatoric parts: a row a method, a bar a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from variational_bnn.base import REGIONS
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, HATCH, LIGHT, TEXT, Style, plain, styles
from variational_bnn.report.figures.inputs import complete_rows, with_latent

OFFSETS = dict(zip(REGIONS, (-0.27, 0.0, 0.27), strict=True))
HEIGHT = 0.22
LIGHT_ALPHA = 0.3


def plot_entropy(results: pd.DataFrame, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the entropy of the predicted class by region, a row a method, in its parts: means over seeds, in nats.

    The dark part of a bar is the mutual information of the class and the parameters, by which the functions disagree
    (epistemic). The hatched part, if any, is that of the class and the latents, which are noise of the row. The light
    part is the expected entropy of a draw.

    Args:
        results: A row for each `method`, `seed` and `region`, with `entropy`, `mutual_information` and
            `latent_information` in nats, as in `Comparison.results`. The last is 0 if it is missing.
        style_of: The style of each method; by default in the order of the rows.

    Returns:
        The figure; None if no row has an entropy, as where y is a number.
    """
    rows = complete_rows(results, ("method", "region", "entropy", "mutual_information"))
    if rows.empty:
        return None
    style_of = style_of or styles(rows["method"])
    rows = with_latent(rows, "latent_information")
    parts = ["entropy", "mutual_information", "latent_information"]
    means = rows.groupby(["method", "region"], sort=False)[parts].mean()
    methods = [method for method in style_of if method in means.index]
    figure = Figure(figsize=(9, 0.86 * len(methods) + 1.7), dpi=DOTS_PER_INCH, layout="constrained")
    ax = figure.subplots()
    plain(ax)
    heights, labels = [], []
    for row, method in enumerate(methods):
        for region, (entropy, information, latent) in means.loc[method].iterrows():
            heights.append(row + OFFSETS[str(region)])
            labels.append(str(region))
            bar: dict[str, Any] = {"height": HEIGHT, "color": style_of[method].colour, "linewidth": 0}
            ax.barh(heights[-1], information, **bar)
            hatched = {**bar, "color": "none", "edgecolor": style_of[method].colour}
            if latent:
                ax.barh(heights[-1], latent, left=information, hatch=HATCH, **hatched)
            drawn = information + latent
            ax.barh(heights[-1], entropy - drawn, left=drawn, alpha=LIGHT_ALPHA, **bar)
    for line in range(1, len(methods)):
        ax.axhline(line - 0.5, color=LIGHT, linewidth=0.8)
    ax.set_yticks(range(len(methods)), methods)
    ax.set_yticks(heights, labels, minor=True)
    ax.yaxis.remove_overlapping_locs = False
    ax.tick_params(axis="y", which="both", length=0)
    ax.tick_params(axis="y", which="minor", labelsize=TEXT - 2, labelcolor=GREY)
    ax.tick_params(axis="y", which="major", pad=66)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("entropy of the class (nats)", fontsize=TEXT)
    handles = [Patch(color=GREY, linewidth=0, label="mutual information (epistemic)")]
    if means["latent_information"].any():
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "linewidth": 0, "hatch": HATCH}
        handles.append(Patch(label="of latents (noise of the row)", **look))
    handles.append(Patch(color=GREY, alpha=LIGHT_ALPHA, linewidth=0, label="expected entropy"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=TEXT)
    return figure
