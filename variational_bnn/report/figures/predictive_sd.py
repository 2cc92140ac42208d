"""Mean reconstructions and their sd over draws, of classes trained on and of classes held out: two rows a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from variational_bnn.base.checks import Array, require
from variational_bnn.report.figures.axes import GREY, TEXT, Style, styles
from variational_bnn.report.figures.inputs import (
    ArraysByModel,
    checked_arrays,
    checked_images,
    checked_labels,
    require_not_negative,
)
from variational_bnn.report.figures.tiles import CHARACTER, GAP, NOT_FINITE, Canvas, canvas_of, draw_row, name_rows

HEAT = colormaps["magma"].with_extremes(bad=NOT_FINITE)
GROUP_GAP, MODEL_GAP = 0.45, 0.16
"""The gaps between the two groups of columns and between the rows of two models, in widths of an image."""

SD_LABEL = "sd over draws"


def plot_predictive_sd(
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    seen: npt.NDArray[np.bool_],
    reconstructions: ArraysByModel,
    sds: ArraysByModel,
    style_of: Mapping[str, Style] | None = None,
) -> Figure:
    """Draw images of classes seen in training and then of classes held out, with each model's reconstructions and sds.

    Below the images are two rows a model: the mean reconstruction, and the sd of the reconstructions over draws. All
    sds share one scale, from 0 to the largest of them.

    Args:
        images: `[P, H, W]`, in [0, 1].
        labels: `[P]`, numbers or words.
        seen: `[P]`, whether the image's class was seen in training.
        reconstructions: The mean over draws, `[P, H, W]` of each model.
        sds: The sd over draws of weights and latents together, `[P, H, W]` of each of the same models.
        style_of: The style of each model; by default in the order of the reconstructions.

    Raises:
        ValueError: If a shape or the models do not fit, an sd is below 0, or there are no images or no models.
    """
    shown = checked_images("images", images)
    names, flags = checked_labels(labels, len(shown), "the images"), np.asarray(seen)
    fits = flags.shape == names.shape and flags.dtype == np.bool_
    require(fits, f"seen must be true or false for each of {len(names)} images, got {flags.dtype} {list(flags.shape)}")
    made = checked_arrays("reconstructions", reconstructions, shown.shape)
    uncertain = checked_arrays("sds", sds, shown.shape)
    require(set(made) == set(uncertain), f"sds must be of the models {', '.join(made)}, got {', '.join(uncertain)}")
    for model, sd in uncertain.items():
        require_not_negative(f"sds of {model}", sd)
    return _draw(shown, names, flags, made, uncertain, style_of or styles(made))


def _draw(
    images: Array,
    labels: npt.NDArray[Any],
    seen: npt.NDArray[np.bool_],
    reconstructions: Mapping[str, Array],
    sds: Mapping[str, Array],
    style_of: Mapping[str, Style],
) -> Figure:
    ratio, order, known = images.shape[1] / images.shape[2], np.argsort(~seen, kind="stable"), int(seen.sum())
    column, row = np.arange(len(images)), np.arange(1 + 2 * len(reconstructions))
    tops = (ratio + GAP) * row + MODEL_GAP * ((row + 1) // 2)
    lefts = (1 + GAP) * column + GROUP_GAP * ((known > 0) & (known <= column))
    largest = max(float(sd[np.isfinite(sd)].max(initial=0)) for sd in sds.values())
    beside = CHARACTER * max(12, *map(len, reconstructions)) + (1.3 if largest else 0.3)
    canvas = canvas_of(lefts, tops[-1] + ratio, labels[order], beside=beside, heading=0.5)
    draw_row(canvas, images[order], tops[0])
    names, colours = ["image"], ["black"]
    for position, (model, means) in enumerate(reconstructions.items()):
        sd = sds[model]
        draw_row(canvas, means[order], tops[1 + 2 * position])
        heat = draw_row(canvas, sd[order], tops[2 + 2 * position], cmap=HEAT, vmax=largest or 1.0)
        names += [f"{model}\nmean", SD_LABEL if sd.any() else f"{SD_LABEL}\n0 everywhere"]
        colours += [style_of[model].colour] * 2
    name_rows(canvas.ax, tops + ratio / 2, names, colours, bold=[True, *([True, False] * len(reconstructions))])
    _head_groups(canvas, known, labels[~seen])
    if largest:
        _add_bar(canvas, heat)
    return canvas.figure


def _add_bar(canvas: Canvas, heat: AxesImage) -> None:
    """Draw a colour bar as high as all rows; its label takes two lines if one line would be longer than the bar."""
    width, height = (canvas.inches * abs(high - low) for low, high in (canvas.ax.get_xlim(), canvas.ax.get_ylim()))
    place = canvas.ax.inset_axes((1 + 0.2 / width, 0, 0.17 / width, 1))
    bar = canvas.figure.colorbar(heat, cax=place, ticks=MaxNLocator(nbins=6 if height > 3 else 3))
    words = ("sd of the pixel", "over draws")
    bar.set_label((" " if CHARACTER * len(" ".join(words)) < height else "\n").join(words), fontsize=TEXT)
    bar.ax.tick_params(labelsize=TEXT)


def _head_groups(canvas: Canvas, known: int, held_out: npt.NDArray[Any]) -> None:
    """Write headings over the columns of the classes trained on, and over those of the classes held out.

    The classes held out are named unless their names are too long for their columns.
    """
    classes, (seen, unseen) = [str(label) for label in np.unique(held_out)], np.split(canvas.lefts, [known])
    if len(seen):
        _head(canvas, ("classes", "trained on"), seen)
    if len(unseen):
        named = f"class{'es' if len(classes) > 1 else ''} {', '.join(classes)},"
        fits = len(classes) == 1 or len(named) < max(_room(canvas, unseen), 14)
        _head(canvas, (named if fits else "classes", "held out"), unseen)


def _head(canvas: Canvas, words: tuple[str, str], group: Array) -> None:
    """Draw a line over a group of columns and words above it, in two lines if one would be wider than the group."""
    line, text = (
        canvas.ax.transData + ScaledTranslation(0, inches, canvas.figure.dpi_scale_trans)
        for inches in (canvas.above, canvas.above + 0.05)
    )
    start, stop, room = group[0], group[-1] + 1, _room(canvas, group)
    canvas.ax.plot([start, stop], [0, 0], color=GREY, linewidth=1.5, transform=line, clip_on=False)
    # To the right of the first group is the heading of the second; to the left of it there is room.
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
    )


def _room(canvas: Canvas, group: Array) -> float:
    """Return the number of characters that fit over a group of columns and half the gap beside it."""
    return float(canvas.inches * (group[-1] + 1 - group[0] + GROUP_GAP / 2) / CHARACTER)
