"""Codes are coloured by class with the names in sight, and outliers do not squeeze them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from figure_parts import assert_readable, lines_of, panel, texts_of
from matplotlib.colors import to_hex
from report_rows import (
    MODELS,
    codes_of,
)

from variational_bnn.report.figures.latents import plot_latents


def test_codes_are_coloured_by_class_with_its_name_at_the_median() -> None:
    codes, labels = codes_of()
    figure = plot_latents(codes, labels, ["vae", "flipout-vae"])
    for name, code in codes.items():
        ax = panel(figure, name)
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


@pytest.mark.parametrize("names", [MODELS[:1], MODELS[:2], MODELS], ids=len)
@pytest.mark.parametrize("words", [[str(n) for n in range(10)], [f"class{n}" for n in range(10)]], ids=["0", "class0"])
@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_names_of_classes_in_one_place_are_beside_it_with_a_line(
    names: Sequence[str], words: Sequence[str], spread: float
) -> None:
    numbers = np.arange(400) % 10
    code = spread * np.random.default_rng(0).normal(size=(400, 2)) + np.where(numbers[:, None] == 0, 9.0, 0.0)
    figure = plot_latents({name: code for name in names}, np.array(words)[numbers], names[:1])
    assert_readable("latents", figure)
    every, (legend,) = texts_of(figure), [found.get_lines() for found in figure.legends if found.get_title().get_text()]
    for ax in figure.axes:
        placed = [(text, place) for text, place in every if text in ax.texts and text.get_text() in words]
        assert len(placed) == 10
        room = ax.get_window_extent().padded(3)
        for text, place in placed:
            assert room.x0 < place.x0 and place.x1 < room.x1, text  # noqa: PT018
            assert room.y0 < place.y0 and place.y1 < room.y1, text  # noqa: PT018
        for (one, its), (other, others) in combinations(placed, 2):
            assert not its.padded(-2).overlaps(others.padded(-2)), (one, other)
        leaders = lines_of(ax, "leader")
        assert len(leaders) >= 8
        for leader in leaders:
            start, end = leader.get_xydata()
            (number,) = [words.index(t.get_text()) for t, _ in placed if np.allclose(t.get_position(), end)]
            assert to_hex(leader.get_color()) == to_hex(legend[number].get_color())
            np.testing.assert_allclose(start, np.median(code[numbers == number], axis=0), atol=1e-9)


@pytest.mark.parametrize("size", [1, 3])
def test_names_of_classes_are_apart_on_other_axes_too(size: int) -> None:
    numbers = np.arange(400) % 10
    figure = plot_latents({"vae": np.random.default_rng(0).normal(size=(400, size))}, numbers, [])
    assert_readable("latents", figure)
    placed = [place for text, place in texts_of(figure) if text in figure.axes[0].texts and text.get_text().isdecimal()]
    assert len(placed) == 10
    assert not any(one.padded(-2).overlaps(other.padded(-2)) for one, other in combinations(placed, 2))


def test_the_prior_is_a_circle_of_two_sd_where_there_is_one() -> None:
    codes, labels = codes_of()
    figure = plot_latents(codes | {"flipout-vae": np.ones((400, 3))}, labels, ["vae", "flipout-vae"])
    for name in MODELS:
        circles = list(panel(figure, name).patches)
        assert [circle.get_radius() for circle in circles] == ([2] if name == "vae" else [])
    (circle,) = panel(figure, "vae").patches
    assert circle.center == (0, 0)
    narrow = panel(plot_latents({"vae": codes["ae"] / 100}, labels, ["vae"]), "vae")
    assert narrow.get_xlim()[0] < -2
    assert narrow.get_xlim()[1] > 2


def test_outliers_do_not_squeeze_the_codes_and_are_counted() -> None:
    codes, labels = codes_of()
    wild = codes["ae"].copy()
    wild[:3] = [[1000, 0], [0, -1e6], [math.nan, 0]]
    figure = plot_latents({"ae": codes["ae"], "vae": wild}, labels)
    calm, squeezed = panel(figure, "ae"), panel(figure, "vae")
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
    codes, labels = codes_of()
    (ax,) = plot_latents({"vae": codes["vae"][:, :1]}, labels, ["vae"]).axes
    points = ax.collections[0].get_offsets()
    np.testing.assert_array_equal(np.sort(points[:, 0]), np.sort(codes["vae"][:, 0]))
    values = dict(zip(codes["vae"][:, 0], labels, strict=True))
    assert [values[x] for x in points[:, 0]] == np.round(points[:, 1]).tolist()
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(label) for label in range(10)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z1", "class")
    assert [line.get_xdata()[0] for line in lines_of(ax, "prior")] == [-2, 2]


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
    assert texts_of(figure)


def test_codes_that_do_not_fit_raise() -> None:
    codes, labels = codes_of()
    with pytest.raises(ValueError, match="codes must be of at least one model"):
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
