"""Rows of images on one canvas, whose unit is an image's width: what models make of them, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, TEXT, TITLE, Style

NOT_FINITE = "#F2B5B5"
INK = colormaps["gray_r"].with_extremes(bad=NOT_FINITE)
HEAT = colormaps["magma"].with_extremes(bad=NOT_FINITE)
GAP, GROUP_GAP, MODEL_GAP = 0.05, 0.45, 0.16
LARGEST, SMALLEST, WIDTH, HEIGHT = 1.05, 0.3, 9.5, 6.6
"""Inches: of an image, and what all of them may take before they are made smaller."""

SPREAD = "sd over draws"

CHARACTER = 0.1
"""Inches of width of one in a text, about."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Where rows of images go: inches are an image's width, and what the labels take above the first row."""

    figure: Figure
    ax: Axes
    lefts: Array
    inches: float
    above: float


def show_image(ax: Axes, image: Array, extent: tuple[float, float, float, float], **look: Any) -> AxesImage:
    """An image in [0, 1] as ink on paper, unless the look says otherwise."""
    all_looks: dict[str, Any] = {"cmap": INK, "vmin": 0, "vmax": 1, "interpolation": "nearest", **look}
    return ax.imshow(image, extent=extent, **all_looks)


def reconstructions_figure(
    images: Array, labels: npt.NDArray[Any], reconstructions: Mapping[str, Array], looks: Mapping[str, Style]
) -> Figure:
    ratio = images.shape[1] / images.shape[2]
    tops = (ratio + GAP) * np.arange(1 + len(reconstructions))
    names, lefts = ["image", *reconstructions], (1 + GAP) * np.arange(len(images), dtype=np.float64)
    canvas = _canvas(lefts, tops[-1] + ratio, labels, beside=CHARACTER * max(map(len, names)) + 0.2, heading=0.1)
    for top, row in zip(tops, (images, *reconstructions.values()), strict=True):
        _draw_row(canvas, row, top)
    _name_rows(canvas.ax, tops + ratio / 2, names, ["black", *_colours(reconstructions, looks)])
    return canvas.figure


def spread_figure(
    images: Array,
    labels: npt.NDArray[Any],
    seen: npt.NDArray[np.bool_],
    reconstructions: Mapping[str, Array],
    spreads: Mapping[str, Array],
    looks: Mapping[str, Style],
) -> Figure:
    ratio, order, known = images.shape[1] / images.shape[2], np.argsort(~seen, kind="stable"), int(seen.sum())
    column, row = np.arange(len(images)), np.arange(1 + 2 * len(reconstructions))
    tops = (ratio + GAP) * row + MODEL_GAP * ((row + 1) // 2)
    lefts = (1 + GAP) * column + GROUP_GAP * ((known > 0) & (known <= column))
    largest = max(float(spread[np.isfinite(spread)].max(initial=0)) for spread in spreads.values())
    beside = CHARACTER * max(12, *map(len, reconstructions)) + (1.3 if largest else 0.3)
    canvas = _canvas(lefts, tops[-1] + ratio, labels[order], beside=beside, heading=0.5)
    _draw_row(canvas, images[order], tops[0])
    names = ["image"]
    for position, (model, means) in enumerate(reconstructions.items()):
        spread = spreads[model]
        _draw_row(canvas, means[order], tops[1 + 2 * position])
        heat = _draw_row(canvas, spread[order], tops[2 + 2 * position], cmap=HEAT, vmax=largest or 1.0)
        names += [f"{model}\nmean", SPREAD if spread.any() else f"{SPREAD}\n0 everywhere"]
    colours = [colour for own in _colours(reconstructions, looks) for colour in (own, own)]
    _name_rows(canvas.ax, tops + ratio / 2, names, ["black", *colours])
    _head_groups(canvas, known, labels[~seen])
    if largest:
        _add_bar(canvas, heat)
    return canvas.figure


def _canvas(lefts: Array, height: float, labels: npt.NDArray[Any], *, beside: float, heading: float) -> Canvas:
    """One that fits the columns of images, headed by their labels, which are turned if they are too long.

    Beside and above them there are so many inches for other texts.
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
    ax.set_xticks(lefts + 0.5, headings, parse_math=False, **look)
    return Canvas(figure=figure, ax=ax, lefts=lefts, inches=inches, above=above)


def _draw_row(canvas: Canvas, images: Array, top: float, **look: Any) -> AxesImage:
    bottom = top + images.shape[1] / images.shape[2]
    return [
        show_image(canvas.ax, image, (left, left + 1, bottom, top), **look)
        for image, left in zip(images, canvas.lefts, strict=True)
    ][-1]


def _colours(models: Iterable[str], looks: Mapping[str, Style]) -> list[str]:
    return [looks[model].colour for model in models]


def _name_rows(ax: Axes, middles: Array, names: Sequence[str], colours: Sequence[str]) -> None:
    ax.set_yticks(middles, names, parse_math=False)
    for text, name, colour in zip(ax.get_yticklabels(), names, colours, strict=True):
        text.set(color=colour, fontsize=TEXT, fontweight="normal" if name.startswith(SPREAD) else "bold")


def _add_bar(canvas: Canvas, heat: AxesImage) -> None:
    """A bar as high as all rows, whose label has two lines if one would be longer."""
    width, height = (canvas.inches * abs(high - low) for low, high in (canvas.ax.get_xlim(), canvas.ax.get_ylim()))
    place = canvas.ax.inset_axes((1 + 0.2 / width, 0, 0.17 / width, 1))
    bar = canvas.figure.colorbar(heat, cax=place, ticks=MaxNLocator(nbins=6 if height > 3 else 3))
    words = ("sd of the pixel", "over draws")
    bar.set_label((" " if CHARACTER * len(" ".join(words)) < height else "\n").join(words), fontsize=TEXT)
    bar.ax.tick_params(labelsize=TEXT)


def _head_groups(canvas: Canvas, known: int, kept_out: npt.NDArray[Any]) -> None:
    """Over the classes trained on, and over those kept out, by name unless there are too many for their columns."""
    classes, (seen, unseen) = [str(label) for label in np.unique(kept_out)], np.split(canvas.lefts, [known])
    if len(seen):
        _head(canvas, ("classes", "trained on"), seen)
    if len(unseen):
        named = f"class{'es' if len(classes) > 1 else ''} {', '.join(classes)},"
        fits = len(classes) == 1 or len(named) < max(_room(canvas, unseen), 14)
        _head(canvas, (named if fits else "classes", "kept out"), unseen)


def _head(canvas: Canvas, words: tuple[str, str], group: Array) -> None:
    """A line over a group of columns, and words upon it: two lines of them if one would be wider than the group."""
    line, text = (
        canvas.ax.transData + ScaledTranslation(0, inches, canvas.figure.dpi_scale_trans)
        for inches in (canvas.above, canvas.above + 0.05)
    )
    start, stop, room = group[0], group[-1] + 1, _room(canvas, group)
    canvas.ax.plot([start, stop], [0, 0], color=GREY, linewidth=1.5, transform=line, clip_on=False)
    # Right of the first group is the heading of the second, left of it there is room.
    leftwards = stop < canvas.lefts[-1] and max(map(len, words)) > room
    canvas.ax.text(
        stop if leftwards else start,
        0,
        (" " if len(" ".join(words)) < room else "\n").join(words),
        ha="right" if leftwards else "left",
        va="bottom",
        fontsize=TEXT,
        color=GREY,
        transform=text,
        parse_math=False,
    )


def _room(canvas: Canvas, group: Array) -> float:
    """How many characters fit over a group of columns and half the gap beside it."""
    return float(canvas.inches * (group[-1] + 1 - group[0] + GROUP_GAP / 2) / CHARACTER)
