"""The figure of `two_clusters.py`: the sd over draws of each method along the diagonal through both clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from clusters import POSITIONS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import GREY, TEXT, TITLE, Style, log_scale, plain, styles

Curves = Mapping[tuple[int, float], Mapping[str, Array]]
"""For each number of hidden layers and sigma_w: the sd over draws `[300]` along the diagonal, by method."""

REFERENCE_LINES = {"hmc": "-", "infinite width": "--", "prior": ":"}
"""Line styles of those that are drawn in black or grey."""

LATENT = ("hidden", "hidden_conditional")
"""Methods whose sd over draws is of latents of each row, which is noise of the row; they are drawn dash-dotted."""

DECADES = 1e4
"""The largest sd over the smallest one that is shown."""


def plot_curves(curves: Curves, along: Array) -> Figure:
    """Draw a panel for each setting and in it a line for each method.

    Args:
        curves: What is drawn.
        along: The training inputs `[N]`, projected on the diagonal, which are drawn as ticks.
    """
    height = math.ceil(len(curves) / 2)
    figure = Figure(figsize=(13, 4.6 * height + 0.8), layout="constrained")
    panels = figure.subplots(height, min(2, len(curves)), squeeze=False)
    method_styles = styles(name for lines in curves.values() for name in lines if name not in REFERENCE_LINES)
    for ax in panels.flat[len(curves) :]:
        ax.set_axis_off()
    for ax, ((layers, sigma_w), lines) in zip(panels.flat, curves.items(), strict=False):
        _draw_panel(ax, lines, method_styles)
        inside = along[np.abs(along) <= POSITIONS[-1]]
        ax.plot(inside, [0.02] * len(inside), "|", color="black", markersize=11, transform=ax.get_xaxis_transform())
        title = f"{layers} hidden layer{'s' if layers > 1 else ''}, $\\sigma_w$ = {sigma_w:.3g}"
        ax.set_title(title, loc="left", fontsize=TITLE)
        ax.set_xlabel("both coordinates; ticks: the data's projections", fontsize=TEXT)
        ax.set_ylabel("sd of y over draws", fontsize=TEXT)
    handles = [line for line in panels[0, 0].get_lines() if not str(line.get_label()).startswith("_")]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=TEXT)
    return figure


def _draw_panel(ax: Axes, lines: Mapping[str, Array], method_styles: Mapping[str, Style]) -> None:
    """Draw the methods of one setting; one that failed has only its name in the legend."""
    positive = np.concatenate([sd[np.isfinite(sd) & (sd > 0)] for sd in lines.values()])
    log_scale(ax, "y", max(positive.min() / 1.8, positive.max() / DECADES), positive.max() * 1.3)
    plain(ax)
    for method, sd in lines.items():
        if method in method_styles:
            style = method_styles[method]
            label = f"{method}{' (latent)' if method in LATENT else '' if sd.any() else ' (0 everywhere)'}"
            line = "-." if method in LATENT else style.line
            ax.plot(POSITIONS, np.where(sd > 0, sd, np.nan), line, color=style.colour, linewidth=2, label=label)
        else:
            colour, width = ("black", 3) if method == "hmc" else (GREY, 2)
            ax.plot(POSITIONS, sd, REFERENCE_LINES[method], color=colour, linewidth=width, label=method)
