"""The figures of autoencoders show the arrays: each image in its place, codes, sds on one scale, losses by term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.stats import norm

from variational_bnn.base.checks import Array
from variational_bnn.report.figures.images import (
    plot_latent_grid,
    plot_latents,
    plot_loss_terms,
    plot_predictive_sd,
    plot_predictive_sd_summary,
    plot_reconstructions,
)
from variational_bnn.report.figures.latents import CLASS_COLOURS

NAMES = ("ae", "vae", "flipout-ae", "flipout-vae")
COLOURS = {"ae": "#0072b2", "vae": "#d55e00", "flipout-ae": "#009e73", "flipout-vae": "#cc79a7"}
IMAGES = np.random.default_rng(0).uniform(size=(6, 4, 5))
LABELS = np.array([3, 9, 0, 9, 1, 2])
SEEN = LABELS != 9
QUANTILES = np.linspace(0.01, 0.99, 15)


def _made(names: Sequence[str] = NAMES) -> dict[str, Array]:
    return {name: IMAGES * (position + 1) / 5 for position, name in enumerate(names)}


def _sds(names: Sequence[str] = NAMES) -> dict[str, Array]:
    """The first model has none."""
    return {name: IMAGES * position / 10 for position, name in enumerate(names)}


def _codes(count: int = 400, names: Sequence[str] = NAMES) -> tuple[dict[str, Array], Any]:
    """Ten classes on a circle of radius 1, ten times as far from 0 for each next model."""
    labels = np.random.default_rng(0).integers(0, 10, count)
    angles = 2 * np.pi * labels / 10
    noise = np.random.default_rng(1).normal(scale=0.1, size=(count, 2))
    circle = np.column_stack([np.cos(angles), np.sin(angles)]) + noise
    return {name: circle * 10.0**position for position, name in enumerate(names)}, labels


def _grids(names: Sequence[str] = NAMES, side: int = 15) -> dict[str, Array]:
    return {name: np.random.default_rng(len(name)).uniform(size=(side, side, 4, 4)) for name in names}


def _rows(names: Sequence[str] = NAMES, seeds: int = 3) -> pd.DataFrame:
    """The first model has no spread; seed s of the next has 2^s times 0.01 where seen, and three times that."""
    return pd.DataFrame(
        {
            "model": name,
            "seed": seed,
            "predictive_sd_seen": 0.01 * position * 2**seed,
            "predictive_sd_held_out": 0.03 * position * 2**seed,
        }
        for position, name in enumerate(names)
        for seed in range(seeds)
    )


def _history(names: Sequence[str] = NAMES, epochs: int = 40) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "model": name,
                    "epoch": epoch,
                    "nll": 20 + position + 30 * np.exp(-epoch / 6),
                    "kl_latents": 5 * (1 - np.exp(-epoch / 6)) if name.endswith("vae") else math.nan,
                    "kl_weights": 2 + 6 * np.exp(-epoch / 6) if name.startswith("flipout") else math.nan,
                }
            )
            for position, name in enumerate(names)
        ],
        ignore_index=True,
    )


def _figures(names: Sequence[str]) -> dict[str, Figure]:
    codes, labels = _codes(names=names)
    return {
        "reconstructions": plot_reconstructions(IMAGES, LABELS, _made(names)),
        "latents": plot_latents(codes, labels, names[:1]),
        "latent_grid": plot_latent_grid(_grids(names), QUANTILES),
        "predictive_sd": plot_predictive_sd(IMAGES, LABELS, SEEN, _made(names), _sds(names)),
        "predictive_sd_summary": plot_predictive_sd_summary(_rows(names)),
        "loss_terms": plot_loss_terms(_history(names)),
    }


def _texts(figure: Figure) -> list[tuple[Text, Any]]:
    """The texts that are seen, and where, in dots."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    every = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text() and text.get_visible()]
    places = [(text, text.get_window_extent(canvas.get_renderer())) for text in every]
    ticks = {
        text: ax.get_window_extent().padded(1)
        for ax in [*figure.axes, *(child for ax in figure.axes for child in ax.child_axes)]
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        for text in (tick.label1, tick.label2)
    }
    off = {text for ax in figure.axes if not ax.axison for text in ax.findobj(Text)}
    shown = []
    for text, place in places:
        axes = ticks.get(text)
        x, y = (place.x0 + place.x1) / 2, (place.y0 + place.y1) / 2
        beside = axes is None or axes.x0 <= x <= axes.x1 or axes.y0 <= y <= axes.y1
        if beside and text not in off:
            shown.append((text, place))
    return shown


def _cells(ax: Any) -> dict[tuple[float, float], Any]:
    """The images by left edge and top, in widths of an image."""
    return {(round(image.get_extent()[0], 6), round(image.get_extent()[3], 6)): image for image in ax.images}


def _rows_of(ax: Any) -> list[list[Any]]:
    """The images by row from the top, each from the left."""
    cells = _cells(ax)
    return [[cells[place] for place in sorted(cells) if place[1] == top] for top in sorted({top for _, top in cells})]


def _panel(figure: Figure, title: str) -> Any:
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == title)


def _lines(ax: Any, label: str) -> list[Any]:
    return [line for line in ax.lines if line.get_label() == label]


def _assert_readable(name: str, figure: Figure) -> None:
    """Large enough, none of them cut off or upon another, unless it has an outline."""
    texts = _texts(figure)
    assert len(texts) > 4
    for text, place in texts:
        assert text.get_fontsize() >= 11, (name, text)
        assert place.x0 > -1, (name, text)
        assert place.y0 > -1, (name, text)
        assert place.x1 < figure.bbox.width + 1, (name, text)
        assert place.y1 < figure.bbox.height + 1, (name, text)
    apart = [(text, place) for text, place in texts if not text.get_path_effects()]
    for (one, its), (other, others) in combinations(apart, 2):
        assert not its.padded(-1).overlaps(others.padded(-1)), (name, one, other)


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[:2], NAMES, (*NAMES, "a", "b")], ids=len)
def test_texts_can_be_read_and_are_whole_and_apart(names: Sequence[str]) -> None:
    for name, figure in _figures(names).items():
        _assert_readable(name, figure)


@pytest.mark.parametrize("count", [2, 6, 24])
def test_headings_of_narrow_groups_are_apart(count: int) -> None:
    images, labels = np.zeros((count, 5, 5)), np.arange(count) % 10
    for seen in (labels != labels[-1], labels == 0, np.arange(count) == 0):
        for words in (labels, np.array([f"garment {label}" for label in labels])):
            _assert_readable(f"{seen}", plot_predictive_sd(images, words, seen, {"ae": images}, {"ae": images + 1}))


def test_last_values_close_to_each_other_are_apart() -> None:
    for names in (["flipout-vae"], ["vae", "flipout-vae"]):
        history = _history(names)
        for factor in (0.9, 0.99, 1.0, 1.01):
            _assert_readable(f"{factor}", plot_loss_terms(history.assign(kl_weights=history["kl_latents"] * factor)))


def test_a_model_has_one_colour_in_all_figures() -> None:
    figures = _figures(NAMES)
    for name, colour in COLOURS.items():
        for figure in ("latents", "latent_grid", "loss_terms"):
            assert to_hex(_panel(figures[figure], name)._left_title.get_color()) == colour
        for figure, label in (
            ("reconstructions", name),
            ("predictive_sd", f"{name}\nmean"),
            ("predictive_sd_summary", name),
        ):
            (text,) = (text for text, _ in _texts(figures[figure]) if text.get_text() == label)
            assert to_hex(text.get_color()) == colour


def test_a_grid_alone_keeps_the_colour_that_its_model_has_among_the_others() -> None:
    alone = plot_latent_grid(_grids(["vae"]), QUANTILES, among=NAMES)
    assert to_hex(_panel(alone, "vae")._left_title.get_color()) == COLOURS["vae"]
    other = plot_latent_grid(_grids(["vae"]), QUANTILES)
    assert to_hex(_panel(other, "vae")._left_title.get_color()) != COLOURS["vae"]


def test_reconstructions_are_below_their_images() -> None:
    (ax,) = plot_reconstructions(IMAGES, LABELS, _made()).axes
    rows = _rows_of(ax)
    for row, wanted in zip(rows, (IMAGES, *_made().values()), strict=True):
        for image, pixels in zip(row, wanted, strict=True):
            np.testing.assert_array_equal(image.get_array(), pixels)
            assert image.get_clim() == (0, 1)
            assert image.get_cmap().name == "gray_r"
            assert image.get_interpolation() == "nearest"
            left, right, bottom, top = image.get_extent()
            assert (right - left, bottom - top) == pytest.approx((1, 4 / 5))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["3", "9", "0", "9", "1", "2"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["image", *NAMES]
    for tick, image in zip(ax.get_xticks(), rows[0], strict=True):
        assert tick == pytest.approx(np.mean(image.get_extent()[:2]))
    for tick, row in zip(ax.get_yticks(), rows, strict=True):
        assert tick == pytest.approx(np.mean(row[0].get_extent()[2:]))


def test_labels_may_be_words() -> None:
    words = np.array(["ankle boot", "bag", "t-shirt", "bag", "coat", "dress"])
    for figure in (
        plot_reconstructions(IMAGES, words, _made(["vae"])),
        plot_predictive_sd(IMAGES, words, words != "bag", _made(), _sds()),
        plot_latents({"vae": IMAGES[:, 0, :2]}, words),
    ):
        shown = [text.get_text() for text, place in _texts(figure) if place.y1 < figure.bbox.height + 1]
        assert {*words} <= {*shown}


def test_pixels_that_are_not_finite_are_seen() -> None:
    (ax,) = plot_reconstructions(IMAGES, LABELS, {"vae": np.full(IMAGES.shape, math.nan)}).axes
    image = _rows_of(ax)[1][0]
    assert to_hex(image.to_rgba(image.get_array())[0, 0]) == "#f2b5b5"


def test_classes_kept_out_come_last_and_beside_a_gap() -> None:
    figure = plot_predictive_sd(IMAGES, LABELS, SEEN, _made(), _sds())
    ax, order = figure.axes[0], [0, 2, 4, 5, 1, 3]
    rows = _rows_of(ax)
    np.testing.assert_array_equal([image.get_array() for image in rows[0]], IMAGES[order])
    for row, wanted in zip(rows[1::2], _made().values(), strict=True):
        np.testing.assert_array_equal([image.get_array() for image in row], wanted[order])
    for row, wanted in zip(rows[2::2], _sds().values(), strict=True):
        np.testing.assert_array_equal([image.get_array() for image in row], wanted[order])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["3", "0", "1", "2", "9", "9"]
    gaps = np.diff([image.get_extent()[0] for image in rows[0]]) - 1
    assert gaps[3] > 5 * gaps[0]
    np.testing.assert_allclose(np.delete(gaps, 3), gaps[0])
    assert [" ".join(text.get_text().split()) for text in ax.texts] == ["classes trained on", "class 9, kept out"]
    spans = [line.get_xdata() for line in ax.lines]
    np.testing.assert_allclose(spans, [(0, rows[0][3].get_extent()[1]), (rows[0][4].get_extent()[0], ax.get_xlim()[1])])


@pytest.mark.parametrize(
    ("seen", "headings"),
    [
        (np.full(6, True), ["classes trained on"]),
        (np.full(6, False), ["classes 0, 1, 2, 3, 9, kept out"]),
        (np.isin(LABELS, (0, 1)), ["classes trained on", "classes 2, 3, 9, kept out"]),
    ],
)
def test_groups_are_named(seen: Any, headings: list[str]) -> None:
    ax = plot_predictive_sd(IMAGES, LABELS, seen, _made(), _sds()).axes[0]
    assert [" ".join(text.get_text().split()) for text in ax.texts] == headings


def test_sds_share_a_scale_from_zero_to_the_largest() -> None:
    ax = plot_predictive_sd(IMAGES, LABELS, SEEN, _made(), _sds()).axes[0]
    sds = [image for row in _rows_of(ax)[2::2] for image in row]
    largest = max(sd.max() for sd in _sds().values())
    assert {image.get_clim() for image in sds} == {(0, largest)}
    assert {image.get_cmap().name for image in sds} == {"magma"}
    (bar,) = ax.child_axes
    assert bar.get_ylabel().split() == ["sd", "of", "the", "pixel", "over", "draws"]
    assert bar.get_ylim() == (0, largest)


def test_no_spread_is_said_beside_its_row() -> None:
    names = [
        text.get_text() for text in plot_predictive_sd(IMAGES, LABELS, SEEN, _made(), _sds()).axes[0].get_yticklabels()
    ]
    assert names[:5] == ["image", "ae\nmean", "sd over draws\n0 everywhere", "vae\nmean", "sd over draws"]
    nothing = {name: 0 * IMAGES for name in NAMES}
    ax = plot_predictive_sd(IMAGES, LABELS, SEEN, _made(), nothing).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()][2::2] == ["sd over draws\n0 everywhere"] * 4
    assert not ax.child_axes


def test_codes_are_coloured_by_class_with_its_name_at_the_median() -> None:
    codes, labels = _codes()
    figure = plot_latents(codes, labels, ["vae", "flipout-vae"])
    for name, code in codes.items():
        ax = _panel(figure, name)
        (scatter,) = (points for points in ax.collections)
        colours = {}
        drawn = dict(zip(map(tuple, scatter.get_offsets()), map(to_hex, scatter.get_facecolors()), strict=True))
        assert len(drawn) == len(code)
        for text in ax.texts[:10]:
            own = code[labels == int(text.get_text())]
            np.testing.assert_allclose(text.get_position(), np.median(own, axis=0))
            colours[text.get_text()] = to_hex(text.get_color())
            assert {drawn[tuple(point)] for point in own} == {colours[text.get_text()]}
        assert len({*colours.values()}) == 10
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("z1", "z2")
        assert np.diff(ax.get_xlim()) == pytest.approx(np.diff(ax.get_ylim()))
        assert ax.get_box_aspect() == 1


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[:2], NAMES], ids=len)
@pytest.mark.parametrize("words", [[str(n) for n in range(10)], [f"class{n}" for n in range(10)]], ids=["0", "class0"])
@pytest.mark.parametrize("predictive_sd", [1.0, 0.0])
def test_names_of_classes_in_one_place_are_beside_it_with_a_line(
    names: Sequence[str], words: Sequence[str], spread: float
) -> None:
    numbers = np.arange(400) % 10
    code = spread * np.random.default_rng(0).normal(size=(400, 2)) + np.where(numbers[:, None] == 0, 9.0, 0.0)
    figure = plot_latents({name: code for name in names}, np.array(words)[numbers], names[:1])
    _assert_readable("latents", figure)
    every = _texts(figure)
    for ax in figure.axes:
        placed = [(text, place) for text, place in every if text in ax.texts and text.get_text() in words]
        assert len(placed) == 10
        room = ax.get_window_extent().padded(3)
        for text, place in placed:
            assert room.x0 < place.x0 and place.x1 < room.x1, text  # noqa: PT018
            assert room.y0 < place.y0 and place.y1 < room.y1, text  # noqa: PT018
        for (one, its), (other, others) in combinations(placed, 2):
            assert not its.padded(-2).overlaps(others.padded(-2)), (one, other)
        leaders = _lines(ax, "leader")
        assert len(leaders) >= 8
        for leader in leaders:
            start, end = leader.get_xydata()
            (number,) = [words.index(t.get_text()) for t, _ in placed if np.allclose(t.get_position(), end)]
            assert leader.get_color() == CLASS_COLOURS[number]
            np.testing.assert_allclose(start, np.median(code[numbers == number], axis=0), atol=1e-9)


@pytest.mark.parametrize("size", [1, 3])
def test_names_of_classes_are_apart_on_other_axes_too(size: int) -> None:
    numbers = np.arange(400) % 10
    figure = plot_latents({"vae": np.random.default_rng(0).normal(size=(400, size))}, numbers, [])
    _assert_readable("latents", figure)
    placed = [place for text, place in _texts(figure) if text in figure.axes[0].texts and text.get_text().isdecimal()]
    assert len(placed) == 10
    assert not any(one.padded(-2).overlaps(other.padded(-2)) for one, other in combinations(placed, 2))


def test_the_prior_is_a_circle_of_two_sd_where_there_is_one() -> None:
    codes, labels = _codes()
    figure = plot_latents(codes | {"flipout-vae": np.ones((400, 3))}, labels, ["vae", "flipout-vae"])
    for name in NAMES:
        circles = list(_panel(figure, name).patches)
        assert [circle.get_radius() for circle in circles] == ([2] if name == "vae" else [])
    (circle,) = _panel(figure, "vae").patches
    assert circle.center == (0, 0)
    narrow = _panel(plot_latents({"vae": codes["ae"] / 100}, labels, ["vae"]), "vae")
    assert narrow.get_xlim()[0] < -2
    assert narrow.get_xlim()[1] > 2


def test_outliers_do_not_squeeze_the_codes_and_are_counted() -> None:
    codes, labels = _codes()
    wild = codes["ae"].copy()
    wild[:3] = [[1000, 0], [0, -1e6], [math.nan, 0]]
    figure = plot_latents({"ae": codes["ae"], "vae": wild}, labels)
    calm, squeezed = _panel(figure, "ae"), _panel(figure, "vae")
    np.testing.assert_allclose(squeezed.get_xlim(), calm.get_xlim(), atol=0.2)
    np.testing.assert_allclose(squeezed.get_ylim(), calm.get_ylim(), atol=0.2)
    assert [calm.texts[-1].get_text(), squeezed.texts[-1].get_text()] == ["", "3 of 400 points outside"]
    low, high = calm.get_xlim()
    assert low < codes["ae"][:, 0].min()
    assert high > codes["ae"][:, 0].max()


def test_more_than_ten_classes_have_other_markers() -> None:
    labels = np.repeat(np.arange(23), 4)
    codes = np.random.default_rng(0).normal(size=(len(labels), 2))
    figure = plot_latents({"vae": codes}, labels)
    scatters = figure.axes[0].collections
    assert [len(points.get_offsets()) for points in scatters] == [40, 40, 12]
    assert len({points.get_paths()[0].vertices.tobytes() for points in scatters}) == 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [str(label) for label in range(23)]


def test_codes_of_one_number_are_against_their_class() -> None:
    codes, labels = _codes()
    (ax,) = plot_latents({"vae": codes["vae"][:, :1]}, labels, ["vae"]).axes
    points = ax.collections[0].get_offsets()
    np.testing.assert_array_equal(np.sort(points[:, 0]), np.sort(codes["vae"][:, 0]))
    values = dict(zip(codes["vae"][:, 0], labels, strict=True))
    assert [values[x] for x in points[:, 0]] == np.round(points[:, 1]).tolist()
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(label) for label in range(10)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z1", "class")
    assert [line.get_xdata()[0] for line in _lines(ax, "prior")] == [-2, 2]


def test_codes_of_many_numbers_are_their_principal_components() -> None:
    rng = np.random.default_rng(0)
    sds = np.array([3.0, 0.5, 2.0, 0.1])
    codes = rng.normal(size=(2000, 4)) * sds + 7
    (ax,) = plot_latents({"vae": codes}, rng.integers(0, 3, 2000), ["vae"]).axes
    points = ax.collections[0].get_offsets()
    np.testing.assert_allclose(points.std(axis=0), [3, 2], rtol=0.05)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    shares = np.sort(codes.var(axis=0) / codes.var(axis=0).sum())[::-1]
    assert ax.get_xlabel() == f"PC 1 ({100 * shares[0]:.0f} %)"
    assert ax.get_ylabel() == f"PC 2 ({100 * shares[1]:.0f} %)"
    assert not ax.patches


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("value", [0.0, math.nan])
def test_codes_that_say_nothing_are_drawn(size: int, value: float) -> None:
    figure = plot_latents({"vae": np.full((20, size), value)}, np.arange(20) % 3, ["vae"])
    assert np.isfinite(figure.axes[0].get_xlim()).all()
    assert figure.axes[0].texts[-1].get_text() == ("20 of 20 points outside" if math.isnan(value) else "")
    assert _texts(figure)


def test_the_lowest_latents_are_at_the_bottom_left() -> None:
    grids = _grids()
    figure = plot_latent_grid(grids, QUANTILES)
    for name, grid in grids.items():
        ax = _panel(figure, name)
        (image,) = ax.images
        picture = image.get_array()
        assert picture.shape == (60, 60)
        np.testing.assert_array_equal(picture[-4:, :4], grid[0, 0])
        np.testing.assert_array_equal(picture[-4:, -4:], grid[0, 14])
        np.testing.assert_array_equal(picture[:4, :4], grid[14, 0])
        np.testing.assert_array_equal(picture[60 - 4 * 4 : 60 - 3 * 4, 8:12], grid[3, 2])
        assert image.get_extent() == [-0.5, 14.5, -0.5, 14.5]
        assert image.origin == "upper"
        assert ax.get_ylim() == (-0.5, 14.5)


def test_tiles_are_labelled_with_their_latents() -> None:
    ax = plot_latent_grid(_grids(["vae"]), QUANTILES).axes[0]
    for places, texts in (
        (ax.get_xticks(), ax.get_xticklabels()),
        (ax.get_yticks(), ax.get_yticklabels()),
    ):
        values = [float(text.get_text().replace("\N{MINUS SIGN}", "-")) for text in texts]
        np.testing.assert_allclose(values, norm.ppf(QUANTILES[places]), atol=0.05)
        assert values == [-value for value in values[::-1]]
        assert [values[0], values[-1]] == [-2.3, 2.3]
        assert "0" in [text.get_text() for text in texts]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z1", "z2")


@pytest.mark.parametrize(("height", "width"), [(28, 28), (8, 8), (4, 10), (10, 4)])
def test_tiles_keep_their_shape_and_have_dots_enough(height: int, width: int) -> None:
    figure = plot_latent_grid({"vae": np.zeros((15, 15, height, width))}, QUANTILES)
    _texts(figure)
    place = figure.axes[0].get_window_extent()
    assert place.height / place.width == pytest.approx(height / width, rel=0.01)
    assert place.width > 1.7 * 15 * width


def test_spreads_are_seeds_and_their_geometric_mean() -> None:
    strip, ax = plot_predictive_sd_summary(_rows()).axes
    for row, name in ((1, "vae"), (2, "flipout-ae"), (3, "flipout-vae")):
        seeds, means = (
            {line.get_marker(): line for line in _lines(ax, label) if to_hex(line.get_color()) == COLOURS[name]}
            for label in ("seeds", "mean")
        )
        for marker, factor in (("o", 1), ("^", 3)):
            wanted = 0.01 * row * factor * np.array([1, 2, 4])
            np.testing.assert_allclose(np.sort(seeds[marker].get_xdata()), wanted)
            np.testing.assert_allclose(means[marker].get_xdata(), wanted[1])
            assert means[marker].get_markersize() > 1.5 * seeds[marker].get_markersize()
            assert round(float(means[marker].get_ydata()[0])) == row
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in strip.get_yticklabels()] == [*NAMES]


def test_no_spread_is_beside_the_axis() -> None:
    strip, ax = plot_predictive_sd_summary(_rows()).axes
    assert [line.get_xdata()[0] for line in _lines(strip, "mean")] == [0, 0]
    assert {to_hex(line.get_color()) for line in _lines(strip, "mean")} == {COLOURS["ae"]}
    assert COLOURS["ae"] not in {to_hex(line.get_color()) for line in _lines(ax, "mean")}
    assert len(plot_predictive_sd_summary(_rows().query("model != 'ae'")).axes) == 1


def test_failed_seeds_are_said() -> None:
    rows = _rows()
    rows.loc[rows["model"].eq("vae") & rows["seed"].eq(2), ["predictive_sd_seen", "predictive_sd_held_out"]] = math.nan
    rows.loc[rows["model"].eq("flipout-vae"), ["predictive_sd_seen", "predictive_sd_held_out"]] = math.nan
    strip, ax = plot_predictive_sd_summary(rows).axes
    names = [text.get_text() for text in strip.get_yticklabels()]
    assert names == ["ae", "vae\n(1 of 3 failed)", "flipout-ae", "flipout-vae\n(3 of 3 failed)"]
    assert COLOURS["flipout-vae"] not in {to_hex(line.get_color()) for line in ax.lines}


def test_one_seed_is_its_own_mean() -> None:
    figure = plot_predictive_sd_summary(_rows(seeds=1))
    assert not [line for ax in figure.axes for line in _lines(ax, "seeds")]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["classes trained on", "the class kept out"]


def test_losses_are_shown_by_term_with_their_last_values() -> None:
    history = _history().sort_values("epoch", ascending=False, kind="stable")
    figure = plot_loss_terms(history)
    above, below = np.split(np.array(figure.axes), 2)
    for name, upper, lower in zip(NAMES, above, below, strict=True):
        own = history[history["model"] == name].sort_values("epoch")
        terms = [(upper, "nll"), (lower, "kl_latents"), (lower, "kl_weights")]
        for ax, term in terms:
            lines = _lines(ax, term)
            if own[term].isna().all():
                assert not lines
                continue
            np.testing.assert_array_equal(lines[0].get_xydata(), own[["epoch", term]])
            assert f"{own[term].iloc[-1]:.3g}" in [text.get_text() for text in ax.texts]
        assert [text.get_text() for text in lower.texts] == ["no KL"] or name != "ae"
    both = [_lines(below[3], term)[0].get_linestyle() for term in ("kl_latents", "kl_weights")]
    assert both == ["--", ":"]
    for panels in (above, below):
        assert len({ax.get_ylim() for ax in panels}) == 1
    assert below[0].get_ylim()[0] == 0


def test_without_a_kl_there_is_no_panel_for_it() -> None:
    figure = plot_loss_terms(_history(["ae", "b"]))
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["negative log-likelihood"]


def test_a_wild_first_epoch_does_not_flatten_the_rest() -> None:
    history = _history()
    high = plot_loss_terms(history).axes[0].get_ylim()[1]
    history.loc[0, "nll"] = 1e6
    ax = plot_loss_terms(history).axes[0]
    assert ax.get_ylim()[1] < 4 * high
    (mark,) = (line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata()))
    assert mark.get_xdata()[0] == pytest.approx(1, abs=1)


def test_kls_far_apart_are_on_a_logarithmic_axis() -> None:
    history = _history()
    assert {ax.get_yscale() for ax in plot_loss_terms(history).axes} == {"linear"}
    history["kl_weights"] *= 100
    assert [ax.get_yscale() for ax in plot_loss_terms(history).axes] == ["linear"] * 4 + ["log"] * 4


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_of_a_failed_fit_are_drawn(value: float) -> None:
    history = _history()
    history.loc[history["epoch"] > 20, "nll"] = value
    figure = plot_loss_terms(history)
    assert _texts(figure)
    assert f"{history.loc[19, 'nll']:.3g}" in [text.get_text() for text in figure.axes[0].texts]
    history["nll"] = value
    assert plot_loss_terms(history).axes[0].texts[-1].get_text() == "none finite"


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images must have shape \[images, height, width\].*, got \[6, 4\]"):
        plot_reconstructions(IMAGES[:, :, 0], LABELS, _made())
    with pytest.raises(ValueError, match=r"images must have shape .*, none of them 0, got \[0, 4, 5\]"):
        plot_reconstructions(IMAGES[:0], LABELS[:0], _made())
    with pytest.raises(ValueError, match=r"labels must have shape \[6\], one for each of the images, got \[5\]"):
        plot_reconstructions(IMAGES, LABELS[:5], _made())
    with pytest.raises(ValueError, match="reconstructions of at least one model are wanted, got none"):
        plot_reconstructions(IMAGES, LABELS, {})
    with pytest.raises(ValueError, match=r"reconstructions of vae must have shape \[6, 4, 5\], got \[6, 5, 4\]"):
        plot_reconstructions(IMAGES, LABELS, {"ae": IMAGES, "vae": IMAGES.transpose(0, 2, 1)})


def test_spreads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"seen must be true or false for each of 6 images, got bool \[5\]"):
        plot_predictive_sd(IMAGES, LABELS, SEEN[:5], _made(), _sds())
    with pytest.raises(ValueError, match=r"seen must be true or false for each of 6 images, got int64 \[6\]"):
        plot_predictive_sd(IMAGES, LABELS, SEEN.astype(np.int64), _made(), _sds())
    with pytest.raises(ValueError, match="spreads must be of the models ae, vae, got ae"):
        plot_predictive_sd(IMAGES, LABELS, SEEN, _made(["ae", "vae"]), _sds(["ae"]))
    with pytest.raises(ValueError, match=r"spreads of ae must have shape \[6, 4, 5\], got \[1, 4, 5\]"):
        plot_predictive_sd(IMAGES, LABELS, SEEN, _made(["ae"]), {"ae": IMAGES[:1]})
    with pytest.raises(ValueError, match=r"spreads of vae must be >= 0, got -0\."):
        plot_predictive_sd(IMAGES, LABELS, SEEN, _made(["vae"]), {"vae": IMAGES - 0.5})


def test_codes_that_do_not_fit_are_refused() -> None:
    codes, labels = _codes()
    with pytest.raises(ValueError, match="codes of at least one model are wanted"):
        plot_latents({}, labels)
    with pytest.raises(ValueError, match=r"codes of vae must have shape \[examples, latents\], .* got \[400\]"):
        plot_latents({"vae": codes["vae"][:, 0]}, labels)
    with pytest.raises(ValueError, match=r"codes of vae must have shape .*, none of them 0, got \[0, 2\]"):
        plot_latents({"vae": codes["vae"][:0]}, labels[:0])
    with pytest.raises(ValueError, match="codes of vae must be of as many examples as ae's 400, got 399"):
        plot_latents({"ae": codes["ae"], "vae": codes["vae"][1:]}, labels)
    with pytest.raises(ValueError, match=r"labels must have shape \[400\], one for each of the codes, got \[399\]"):
        plot_latents(codes, labels[1:])
    with pytest.raises(ValueError, match="unknown model with a prior 'bnn'; known: ae, vae"):
        plot_latents(codes, labels, ["bnn"])


def test_grids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="grids of at least one model are wanted"):
        plot_latent_grid({}, QUANTILES)
    with pytest.raises(
        ValueError, match=r"grids of vae must have shape \[15, 15, height, width\], .* \[14, 14, 4, 4\]"
    ):
        plot_latent_grid(_grids(["vae"], 14), QUANTILES)
    with pytest.raises(ValueError, match=r"grids of vae must have shape \[15, 15, 4, 4\], got \[15, 15, 4, 2\]"):
        plot_latent_grid({"ae": _grids(["ae"])["ae"], "vae": _grids(["vae"])["vae"][..., :2]}, QUANTILES)
    with pytest.raises(ValueError, match=r"quantiles must have shape \[G\], G >= 1, got \[0\]"):
        plot_latent_grid(_grids(), QUANTILES[:0])
    for quantiles in (QUANTILES[::-1], QUANTILES * 2, QUANTILES - 0.01):
        with pytest.raises(ValueError, match="quantiles must ascend between 0 and 1, got"):
            plot_latent_grid(_grids(), quantiles)


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="rows lacks the columns seed, predictive_sd_seen"):
        plot_predictive_sd_summary(_rows().drop(columns=["seed", "predictive_sd_seen"]))
    with pytest.raises(ValueError, match="rows must have rows, got none"):
        plot_predictive_sd_summary(_rows().iloc[:0])
    with pytest.raises(
        ValueError, match="rows must have one row for each model and seed, got two for model ae / seed 0"
    ):
        plot_predictive_sd_summary(_rows().assign(seed=0))
    with pytest.raises(ValueError, match=r"spreads must be >= 0, got -0\.03"):
        plot_predictive_sd_summary(_rows().assign(predictive_sd_seen=-0.03))
    with pytest.raises(ValueError, match="history lacks the columns kl_weights"):
        plot_loss_terms(_history().drop(columns="kl_weights"))
    with pytest.raises(ValueError, match="history must have rows, got none"):
        plot_loss_terms(_history().iloc[:0])
    with pytest.raises(ValueError, match="one row for each model and epoch, got two for model ae / epoch 1"):
        plot_loss_terms(pd.concat([_history(), _history()]))
