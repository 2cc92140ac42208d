"""What models decode on a grid of latent quantiles: one picture a model."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.stats import norm

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, TEXT, TITLE, Style
from variational_bnn.report.figures.tiles import show_image

TICKS = 5
EDGE = "#B9CDE0"
"""Between tiles: no grey that a pixel could have."""

DOTS_PER_PIXEL = 2
"""At least: with fewer, some pixels would be seen to be larger than others."""


def latent_grid_figure(grids: Mapping[str, Array], quantiles: Array, looks: Mapping[str, Style]) -> Figure:
    columns = len(grids) if len(grids) < 4 else 2 if len(grids) == 4 else 4
    rows = math.ceil(len(grids) / columns)
    _, _, height, width = next(iter(grids.values())).shape
    each = {1: 5.6, 2: 4.8}.get(columns, 3.6) if rows == 1 else 3.6
    size = ((each + 0.8) * columns + 0.3, (each * height / width + 0.7) * rows + 0.3)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.04, compress=True)
    dots = max(DOTS_PER_INCH, math.ceil(DOTS_PER_PIXEL * len(quantiles) * width / each))
    figure = Figure(figsize=size, dpi=dots, layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    for position, (ax, (model, grid)) in enumerate(zip(axes.flat, grids.items(), strict=False)):
        side = len(grid) - 0.5
        show_image(ax, _joined(grid), (-0.5, side, -0.5, side), aspect=height / width)
        for edge in np.arange(0.5, side):
            ax.axhline(edge, color=EDGE, linewidth=2)
            ax.axvline(edge, color=EDGE, linewidth=2)
        ax.set_title(model, loc="left", fontsize=TITLE, fontweight="bold", color=looks[model].colour)
        _name_tiles(ax, quantiles)
        ax.set_xlabel("z1" if position + columns >= len(grids) else "", fontsize=TEXT)
        ax.set_ylabel("z2" if position % columns == 0 else "", fontsize=TEXT)
    for ax in axes.flat[len(grids) :]:
        ax.set_axis_off()
    return figure


def _joined(grid: Array) -> Array:
    """Tiles `[G, G, H, W]`, the lowest row first, as one picture `[G H, G W]`, the highest row first."""
    rows, columns, height, width = grid.shape
    return grid[::-1].transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def _name_tiles(ax: Axes, quantiles: Array) -> None:
    """Ticks at a few tiles, symmetric about the middle, labelled with their latent values."""
    last = len(quantiles) - 1
    half = np.round(np.linspace(0, last / 2, (TICKS + 1) // 2)).astype(int)
    places = np.unique([*half, *(last - half)])
    values = [_short(value) for value in norm.ppf(quantiles[places])]
    ax.set_xticks(places, values)
    ax.set_yticks(places, values)
    ax.tick_params(labelsize=TEXT, color=GREY)
    ax.spines[:].set_color(GREY)


def _short(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2g}".replace("-", "\N{MINUS SIGN}")
