"""Latent codes by class: a panel a model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from sklearn.decomposition import PCA

from variational_bnn.base.checks import Array, require, require_known
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, METHOD_MARKERS, TEXT, TITLE, Style, plain, styles
from variational_bnn.report.figures.inputs import ArraysByModel, checked_arrays, checked_labels

CLASS_COLOURS = [to_hex(colour) for colour in colormaps["tab10"](range(10))]
PRIOR_RADIUS = 2.0
PRIOR: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 2}
TAILS = ((0.005, 0.995, 0.25), (0.05, 0.95, 1.0))
"""Two quantiles of the codes, and by how many times their distance the axes may reach beyond them."""

JITTER = 0.36
"""The random shift of points to either side of their class's line, where codes have one latent."""

ROOM, PUSHES = 1.25, 200
"""The smallest distance between the middles of two classes' names, in units of their size, and the iterations to it."""

CHARACTER, LINE, BESIDE = 0.65, 1.1, 0.8
"""Approximately, the width and height of a character in units of the font size, and the inches that labels take."""


def plot_latents(
    codes: ArraysByModel,
    labels: npt.NDArray[Any],
    with_prior: Collection[str] = (),
    style_of: Mapping[str, Style] | None = None,
) -> Figure:
    """Draw latent codes by class: a panel a model, each on its own scale, with each class's name at its median code.

    Codes of one latent are drawn against their class, and codes of more than two by their two principal components.
    The axes leave out outliers: codes that are beyond the 0.5 % and 99.5 % quantiles by more than a quarter of the
    distance between the two, or beyond the 5 % and 95 % quantiles by more than the distance between these. The number
    of codes that are outside the axes or not finite is stated above the panel.

    Args:
        codes: `[M, L]` of each model, with any number L of latents.
        labels: `[M]`, numbers or words.
        with_prior: The models whose codes have the prior N(0, I). Of these, a dotted circle marks 2 sd of the prior if
            L is at most 2.
        style_of: The style of each model; by default in the order of the codes.

    Raises:
        ValueError: If a shape does not fit, there are no codes or no models, or a model with a prior is unknown.
    """
    checked = _checked(codes)
    count = len(next(iter(checked.values())))
    for model in with_prior:
        require_known("model with a prior", model, list(checked))
    style_of = style_of or styles(checked)
    columns = len(checked) if len(checked) < 4 else 2 if len(checked) == 4 else 4
    rows = math.ceil(len(checked) / columns)
    each = {1: 5.2, 2: 4.6}.get(columns, 3.7) if rows == 1 else 3.7
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.07, compress=True)
    figure = Figure(figsize=(each * columns + 1.1, (each + 0.4) * rows + 0.3), dpi=DOTS_PER_INCH, layout=layout)
    grid = figure.subplots(rows, columns, squeeze=False)
    classes, numbers = np.unique(checked_labels(labels, count, "the codes"), return_inverse=True)
    names = [str(name) for name in classes]
    priors = {model: code.shape[1] <= 2 and model in with_prior for model, code in checked.items()}
    outside = {
        model: _draw_panel(ax, code, numbers, names, priors[model], each - BESIDE)
        for ax, (model, code) in zip(grid.flat, checked.items(), strict=False)
    }
    pad = 22 if any(outside.values()) else 6
    for ax, (model, left_out) in zip(grid.flat, outside.items(), strict=False):
        look: dict[str, Any] = {"fontsize": TITLE, "fontweight": "bold", "color": style_of[model].colour}
        ax.set_title(model, loc="left", pad=pad, **look)
        note = f"{left_out} of {count} points outside" if left_out else ""
        ax.annotate(note, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=TEXT - 1, color=GREY)
    for ax in grid.flat[len(checked) :]:
        ax.set_axis_off()
    _add_legends(figure, names, any(priors.values()))
    return figure


def _checked(codes: ArraysByModel) -> dict[str, Array]:
    """Return the codes `[M, L]` as float64; raise `ValueError` if a shape does not fit."""
    checked = checked_arrays("codes", codes)
    for model, code in checked.items():
        fits = code.ndim == 2 and code.size > 0
        require(fits, f"codes of {model} must have shape [examples, latents], none of them 0, got {list(code.shape)}")
    first, count = next((model, len(code)) for model, code in checked.items())
    for model, code in checked.items():
        same = len(code) == count
        require(same, f"codes of {model} must be of as many examples as {first}'s {count}, got {len(code)}")
    return checked


def _draw_panel(ax: Axes, code: Array, numbers: npt.NDArray[Any], names: list[str], prior: bool, inches: float) -> int:
    """Draw a model's codes `[M, L]` in axes of so many inches, and return how many of them are outside the axes."""
    size = code.shape[1]
    points, (across, up) = _points(code, numbers)
    if prior:
        _draw_prior(ax, size)
    _draw_points(ax, points, numbers)
    outside = _limit(ax, points, size, prior)
    if size == 1:
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(-0.5, len(names) - 0.5)
    _name_classes(ax, points, numbers, names, inches)
    ax.set_box_aspect(1)  # The limits are as wide as high, so a unit is as long on both axes; titles are on one level.
    plain(ax)
    ax.set_xlabel(across, fontsize=TEXT)
    ax.set_ylabel(up, fontsize=TEXT)
    return outside


def _points(code: Array, numbers: npt.NDArray[Any]) -> tuple[Array, tuple[str, str]]:
    """Return the coordinates `[M, 2]` at which codes `[M, L]` are drawn, and the names of the two axes."""
    if code.shape[1] == 1:
        jitter = np.random.default_rng(0).uniform(-JITTER, JITTER, len(code))
        return np.column_stack([code[:, 0], numbers + jitter]), ("z1", "class")
    if code.shape[1] == 2:
        return code, ("z1", "z2")
    points = np.full((len(code), 2), np.nan)
    finite, shares = np.isfinite(code).all(axis=1), np.zeros(2)
    if finite.sum() > 1:
        with np.errstate(invalid="ignore"):  # Codes that are all the same have no variance to be explained.
            pca = PCA(2, svd_solver="full").fit(code[finite])
        points[finite], shares = pca.transform(code[finite]), np.nan_to_num(pca.explained_variance_ratio_)
    first, second = (f"PC {number} ({100 * share:.0f} %)" for number, share in enumerate(shares, start=1))
    return points, (first, second)


def _draw_prior(ax: Axes, size: int) -> None:
    if size == 1:
        for edge in (-PRIOR_RADIUS, PRIOR_RADIUS):
            ax.axvline(edge, zorder=3, label="prior", **PRIOR)
    else:
        ax.add_patch(Circle((0, 0), PRIOR_RADIUS, fill=False, zorder=3, label="prior", **PRIOR))


def _draw_points(ax: Axes, points: Array, numbers: npt.NDArray[Any]) -> None:
    """Draw points, with another marker for every ten classes, in random order so that no class covers the others."""
    order = np.random.default_rng(1).permutation(len(points))
    area, alpha = float(np.clip(8000 / len(points), 4, 22)), float(np.clip(30 / math.sqrt(len(points)), 0.35, 0.75))
    for block in range(int(numbers.max()) // len(CLASS_COLOURS) + 1):
        own = order[numbers[order] // len(CLASS_COLOURS) == block]
        ax.scatter(
            points[own, 0],
            points[own, 1],
            s=area,
            c=[_colour(number) for number in numbers[own]],
            marker=METHOD_MARKERS[block % len(METHOD_MARKERS)],
            alpha=alpha,
            linewidths=0,
            rasterized=True,
        )


def _name_classes(ax: Axes, points: Array, numbers: npt.NDArray[Any], names: list[str], inches: float) -> None:
    """Write each class's name at the median of its points; where names would overlap, beside it with a line to it."""
    finite = np.isfinite(points).all(axis=1)
    present = [number for number in range(len(names)) if (finite & (numbers == number)).any()]
    medians = np.array([np.median(points[finite & (numbers == number)], axis=0) for number in present]).reshape(-1, 2)
    to_axes, to_data = (ax.transData + ax.transAxes.inverted()), (ax.transAxes + ax.transData.inverted())
    longest = max(map(len, names))
    size = TITLE + 2 if longest < 3 else TEXT
    room = np.array([CHARACTER * longest, LINE]) * size / 72 / inches
    places = to_data.transform(_apart(to_axes.transform(medians), room))
    for number, median, place in zip(present, medians, places, strict=True):
        colour = _colour(number)
        if not np.allclose(to_axes.transform(median), to_axes.transform(place)):
            line = ax.plot(*zip(median, place, strict=True), color=colour, linewidth=1.8, zorder=4, label="leader")
            line[0].set_path_effects([withStroke(linewidth=3.5, foreground="white")])
        ax.text(
            float(place[0]),
            float(place[1]),
            names[number],
            color=colour,
            fontsize=size,
            fontweight="bold",
            ha="center",
            va="center",
            clip_on=True,
            zorder=5,
            path_effects=[withStroke(linewidth=3.5, foreground="white")],
        )


def _apart(places: Array, room: Array) -> Array:
    """Return places `[N, 2]`, in units of the axes, moved apart until names of the size `room` do not overlap.

    Places inside the axes stay inside; if there are too many names, some may then still overlap.
    """
    inside = ((places >= 0) & (places <= 1)).all(axis=1)
    places = places / room
    for _ in range(PUSHES):
        for one, other in itertools.combinations(range(len(places)), 2):
            way = places[one] - places[other]
            distance = float(np.hypot(*way))
            if distance < ROOM:
                angle = 2 * math.pi * one / len(places)  # The direction in which equal places are moved apart.
                way = way / distance if distance > 0 else np.array([math.cos(angle), math.sin(angle)])
                places[one] += (ROOM - distance) / 2 * way
                places[other] -= (ROOM - distance) / 2 * way
        places[inside] = np.clip(places[inside], 0.5, 1 / room - 0.5)
    return places * room


def _limit(ax: Axes, points: Array, size: int, prior: bool) -> int:
    """Set limits without outliers, of the same width on both axes, and return the number of points outside."""
    finite = points[np.isfinite(points).all(axis=1)]
    finite = finite if len(finite) else np.zeros((1, 2))
    low, high = finite.min(axis=0), finite.max(axis=0)
    for *tails, reach in TAILS:
        inner, outer = np.quantile(finite, tails, axis=0)
        low, high = np.maximum(low, inner - reach * (outer - inner)), np.minimum(high, outer + reach * (outer - inner))
    low = np.where(finite >= low, finite, np.inf).min(axis=0)
    high = np.where(finite <= high, finite, -np.inf).max(axis=0)
    if prior:
        low, high = np.minimum(low, -PRIOR_RADIUS), np.maximum(high, PRIOR_RADIUS)
    centre, half = (low + high) / 2, 0.54 * (high - low)
    half = half if size == 1 else np.repeat(half.max(), 2)
    half = np.where(half > 0, half, 1.0)
    ax.set(xlim=(centre[0] - half[0], centre[0] + half[0]), ylim=(centre[1] - half[1], centre[1] + half[1]))
    for axis in (ax.xaxis, ax.yaxis):
        short = 0.1 < np.abs(axis.get_view_interval()).max() < 100
        axis.set_major_locator(MaxNLocator(nbins=6 if short else 4, steps=[1, 2, 5, 10]))
    return int((~(np.abs(points - centre) <= half)[:, : min(size, 2)].all(axis=1)).sum())


def _add_legends(figure: Figure, names: list[str], prior: bool) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=_colour(number),
            marker=METHOD_MARKERS[number // len(CLASS_COLOURS) % len(METHOD_MARKERS)],
            linestyle="",
            markersize=8,
            label=name,
        )
        for number, name in enumerate(names)
    ]
    look: dict[str, Any] = {"frameon": False, "fontsize": TEXT}
    figure.legend(
        handles=handles,
        title="class",
        title_fontsize=TEXT,
        loc="outside right center",
        ncols=math.ceil(len(names) / 20),
        handletextpad=0.2,
        **look,
    )
    if prior:
        circle = Line2D([], [], label="2 sd of the prior N(0, I)", **PRIOR)
        figure.legend(handles=[circle], loc="outside lower center", **look)


def _colour(number: int) -> str:
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]
