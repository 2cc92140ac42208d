"""Rows of images on one canvas, whose unit of length is the width of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import DOTS_PER_INCH, TEXT, TITLE

NOT_FINITE = "#F2B5B5"
INK = colormaps["gray_r"].with_extremes(bad=NOT_FINITE)
"""Black is 1 and white is 0; pixels that are not finite are pale red."""

GAP = 0.05
"""The gap between two images, in widths of an image."""

LARGEST, SMALLEST, WIDTH, HEIGHT = 1.05, 0.3, 9.5, 6.6
"""The largest and the smallest width of an image, and the width and height of all images together, in inches."""

CHARACTER = 0.1
"""The approximate width of a character, in inches."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Axes on which rows of images are drawn.

    Attributes:
        figure: The figure.
        ax: Its axes, in units of the width of an image, with 0 at the top.
        lefts: The left edge of each column of images.
        inches: The width of an image in inches.
        above: The height in inches that the labels take above the first row.
    """

    figure: Figure
    ax: Axes
    lefts: Array
    inches: float
    above: float


def show_image(ax: Axes, image: Array, extent: tuple[float, float, float, float], **look: Any) -> AxesImage:
    """Draw an image in [0, 1], with 1 as black, unless other arguments of `imshow` are given."""
    all_looks: dict[str, Any] = {"cmap": INK, "vmin": 0, "vmax": 1, "interpolation": "nearest", **look}
    return ax.imshow(image, extent=extent, **all_looks)


def canvas_of(lefts: Array, height: float, labels: npt.NDArray[Any], *, beside: float, heading: float) -> Canvas:
    """Make a canvas for columns of images, each headed by its label.

    Args:
        lefts: The left edge of each column, in widths of an image.
        height: The height of all rows, in widths of an image.
        labels: The label of each column; labels that are too long for their column are rotated.
        beside: Room for other texts beside the images, in inches.
        heading: Room for other texts above the labels, in inches.
    """
    width = lefts[-1] + 1
    inches = max(min(LARGEST, WIDTH / width, HEIGHT / height), SMALLEST)
    headings = [str(label) for label in labels]
    longest = CHARACTER * max(map(len, headings))
    fits = longest <= 0.9 * inches
    above = 0.32 if fits else longest + 0.12
    size = (inches * width + beside, inches * height + above + heading)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(compress=True))
    ax = figure.subplots()
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.spines[:].set_visible(False)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    look: dict[str, Any] = {"fontsize": TITLE} if fits else {"fontsize": TEXT, "rotation": 90}
    ax.set_xticks(lefts + 0.5, headings, **look)
    return Canvas(figure=figure, ax=ax, lefts=lefts, inches=inches, above=above)


def draw_row(canvas: Canvas, images: Array, top: float, **look: Any) -> AxesImage:
    """Draw a row of images `[P, H, W]` and return the last; further arguments are those of `imshow`."""
    bottom = top + images.shape[1] / images.shape[2]
    return [
        show_image(canvas.ax, image, (left, left + 1, bottom, top), **look)
        for image, left in zip(images, canvas.lefts, strict=True)
    ][-1]


def name_rows(ax: Axes, middles: Array, names: Sequence[str], colours: Sequence[str], bold: Sequence[bool]) -> None:
    """Write the name of each row of images to the left of the middle of the row, in its colour."""
    ax.set_yticks(middles, names)
    for text, colour, weight in zip(ax.get_yticklabels(), colours, bold, strict=True):
        text.set(color=colour, fontsize=TEXT, fontweight="bold" if weight else "normal")
