"""What each model decodes on a grid of latent quantiles: one picture a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.stats import norm

from variational_bnn.base.checks import Array, require
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, TEXT, TITLE, Style, styles
from variational_bnn.report.figures.inputs import ArraysByModel, checked_arrays
from variational_bnn.report.figures.tiles import show_image

TICKS = 5
EDGE = "#B9CDE0"
"""The colour of the lines between tiles, which is not a grey that a pixel could have."""

DOTS_PER_PIXEL = 2
"""The smallest resolution: with fewer dots, some pixels would look larger than others."""


def plot_latent_grid(
    grids: ArraysByModel, quantiles: npt.NDArray[Any], style_of: Mapping[str, Style] | None = None
) -> Figure:
    """Draw what models decode at each pair of latent quantiles, as one picture with z1 to the right and z2 upwards.

    Args:
        grids: `[G, G, H, W]` of each model, in [0, 1]: by z2 from the lowest, then by z1 from the lowest.
        quantiles: `[G]`, ascending, of N(0, 1): the latent values are `norm.ppf(quantiles)`.
        style_of: The style of each model; by default in the order of the grids.

    Raises:
        ValueError: If a shape does not fit, there are no models, or the quantiles do not ascend between 0 and 1.
    """
    places = np.asarray(quantiles, dtype=np.float64)
    require(places.ndim == 1 and places.size > 0, f"quantiles must have shape [G], G >= 1, got {list(places.shape)}")
    inside = places[0] > 0 and places[-1] < 1 and bool((np.diff(places) > 0).all())
    require(inside, f"quantiles must ascend between 0 and 1, got {places.tolist()}")
    checked = _checked(grids, places.size)
    style_of = style_of or styles(checked)
    columns = len(checked) if len(checked) < 4 else 2 if len(checked) == 4 else 4
    rows = math.ceil(len(checked) / columns)
    _, _, height, width = next(iter(checked.values())).shape
    each = {1: 5.6, 2: 4.8}.get(columns, 3.6) if rows == 1 else 3.6
    size = ((each + 0.8) * columns + 0.3, (each * height / width + 0.7) * rows + 0.3)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.04, compress=True)
    dots = max(DOTS_PER_INCH, math.ceil(DOTS_PER_PIXEL * len(places) * width / each))
    figure = Figure(figsize=size, dpi=dots, layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    for position, (ax, (model, grid)) in enumerate(zip(axes.flat, checked.items(), strict=False)):
        side = len(grid) - 0.5
        show_image(ax, _joined(grid), (-0.5, side, -0.5, side), aspect=height / width)
        for edge in np.arange(0.5, side):
            ax.axhline(edge, color=EDGE, linewidth=2)
            ax.axvline(edge, color=EDGE, linewidth=2)
        ax.set_title(model, loc="left", fontsize=TITLE, fontweight="bold", color=style_of[model].colour)
        _name_tiles(ax, places)
        ax.set_xlabel("z1" if position + columns >= len(checked) else "", fontsize=TEXT)
        ax.set_ylabel("z2" if position % columns == 0 else "", fontsize=TEXT)
    for ax in axes.flat[len(checked) :]:
        ax.set_axis_off()
    return figure


def _checked(grids: ArraysByModel, side: int) -> dict[str, Array]:
    """Return the grids `[G, G, H, W]` as float64; raise `ValueError` if a shape does not fit."""
    checked = checked_arrays("grids", grids)
    for model, grid in checked.items():
        fits = grid.ndim == 4 and grid.shape[:2] == (side, side) and grid.size > 0
        expected = f"[{side}, {side}, height, width], one tile for each two quantiles"
        require(fits, f"grids of {model} must have shape {expected}, got {list(grid.shape)}")
    return checked_arrays("grids", checked, next(iter(checked.values())).shape)


def _joined(grid: Array) -> Array:
    """Return tiles `[G, G, H, W]`, the lowest row first, as one picture `[G H, G W]`, the highest row first."""
    rows, columns, height, width = grid.shape
    return grid[::-1].transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def _name_tiles(ax: Axes, quantiles: Array) -> None:
    """Set ticks at a few tiles, symmetric about the middle, labelled with their latent values."""
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
