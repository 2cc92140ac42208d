"""Images, and below them what each model makes of them: a row a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from variational_bnn.report.figures.axes import Style, styles
from variational_bnn.report.figures.inputs import ArraysByModel, checked_arrays, checked_images, checked_labels
from variational_bnn.report.figures.tiles import CHARACTER, GAP, canvas_of, draw_row, name_rows


def plot_reconstructions(
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    reconstructions: ArraysByModel,
    style_of: Mapping[str, Style] | None = None,
) -> Figure:
    """Draw images, headed by their labels, and below them a row of reconstructions for each model.

    Pixels are drawn in grey, 1 as black and 0 as white; pixels that are not finite are pale red.

    Args:
        images: `[P, H, W]`, in [0, 1].
        labels: `[P]`, numbers or words.
        reconstructions: `[P, H, W]` of each model.
        style_of: The style of each model; by default in the order of the reconstructions.

    Raises:
        ValueError: If a shape does not fit, or there are no images or no models.
    """
    shown = checked_images("images", images)
    names = checked_labels(labels, len(shown), "the images")
    made = checked_arrays("reconstructions", reconstructions, shown.shape)
    style_of = style_of or styles(made)
    ratio = shown.shape[1] / shown.shape[2]
    tops = (ratio + GAP) * np.arange(1 + len(made))
    rows, lefts = ["image", *made], (1 + GAP) * np.arange(len(shown), dtype=np.float64)
    canvas = canvas_of(lefts, tops[-1] + ratio, names, beside=CHARACTER * max(map(len, rows)) + 0.2, heading=0.1)
    for top, row in zip(tops, (shown, *made.values()), strict=True):
        draw_row(canvas, row, top)
    colours = ["black", *(style_of[model].colour for model in made)]
    name_rows(canvas.ax, tops + ratio / 2, rows, colours, bold=[True] * len(rows))
    return canvas.figure
