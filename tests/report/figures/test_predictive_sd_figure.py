"""Means and sds are below their images, sds on one scale, and classes held out come last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_parts import assert_readable, rows_of_images
from report_rows import (
    IMAGES,
    LABELS,
    MODELS,
    SEEN,
    reconstructions_of,
    sds_of,
)

from variational_bnn.report.figures.predictive_sd import plot_predictive_sd


@pytest.mark.parametrize("count", [2, 6, 24])
def test_headings_of_narrow_groups_are_apart(count: int) -> None:
    images, labels = np.zeros((count, 5, 5)), np.arange(count) % 10
    for seen in (labels != labels[-1], labels == 0, np.arange(count) == 0):
        for words in (labels, np.array([f"garment {label}" for label in labels])):
            assert_readable(f"{seen}", plot_predictive_sd(images, words, seen, {"ae": images}, {"ae": images + 1}))


def test_classes_held_out_come_last_and_beside_a_gap() -> None:
    figure = plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(), sds_of())
    ax, order = figure.axes[0], [0, 2, 4, 5, 1, 3]
    rows = rows_of_images(ax)
    np.testing.assert_array_equal([image.get_array() for image in rows[0]], IMAGES[order])
    for row, wanted in zip(rows[1::2], reconstructions_of().values(), strict=True):
        np.testing.assert_array_equal([image.get_array() for image in row], wanted[order])
    for row, wanted in zip(rows[2::2], sds_of().values(), strict=True):
        np.testing.assert_array_equal([image.get_array() for image in row], wanted[order])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["3", "0", "1", "2", "9", "9"]
    gaps = np.diff([image.get_extent()[0] for image in rows[0]]) - 1
    assert gaps[3] > 5 * gaps[0]
    np.testing.assert_allclose(np.delete(gaps, 3), gaps[0])
    assert [" ".join(text.get_text().split()) for text in ax.texts] == ["classes trained on", "class 9, held out"]
    spans = [line.get_xdata() for line in ax.lines]
    np.testing.assert_allclose(spans, [(0, rows[0][3].get_extent()[1]), (rows[0][4].get_extent()[0], ax.get_xlim()[1])])


@pytest.mark.parametrize(
    ("seen", "headings"),
    [
        (np.full(6, True), ["classes trained on"]),
        (np.full(6, False), ["classes 0, 1, 2, 3, 9, held out"]),
        (np.isin(LABELS, (0, 1)), ["classes trained on", "classes 2, 3, 9, held out"]),
    ],
)
def test_groups_are_named(seen: Any, headings: list[str]) -> None:
    ax = plot_predictive_sd(IMAGES, LABELS, seen, reconstructions_of(), sds_of()).axes[0]
    assert [" ".join(text.get_text().split()) for text in ax.texts] == headings


def test_sds_share_a_scale_from_zero_to_the_largest() -> None:
    ax = plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(), sds_of()).axes[0]
    sds = [image for row in rows_of_images(ax)[2::2] for image in row]
    largest = max(sd.max() for sd in sds_of().values())
    assert {image.get_clim() for image in sds} == {(0, largest)}
    assert {image.get_cmap().name for image in sds} == {"magma"}
    (bar,) = ax.child_axes
    assert bar.get_ylabel().split() == ["sd", "of", "the", "pixel", "over", "draws"]
    assert bar.get_ylim() == (0, largest)


def test_no_sd_is_stated_beside_its_row() -> None:
    names = [
        text.get_text()
        for text in plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(), sds_of()).axes[0].get_yticklabels()
    ]
    assert names[:5] == ["image", "ae\nmean", "sd over draws\n0 everywhere", "vae\nmean", "sd over draws"]
    nothing = {name: 0 * IMAGES for name in MODELS}
    ax = plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(), nothing).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()][2::2] == ["sd over draws\n0 everywhere"] * 4
    assert not ax.child_axes


def test_sds_that_do_not_fit_raise() -> None:
    with pytest.raises(ValueError, match=r"seen must be true or false for each of 6 images, got bool \[5\]"):
        plot_predictive_sd(IMAGES, LABELS, SEEN[:5], reconstructions_of(), sds_of())
    with pytest.raises(ValueError, match=r"seen must be true or false for each of 6 images, got int64 \[6\]"):
        plot_predictive_sd(IMAGES, LABELS, SEEN.astype(np.int64), reconstructions_of(), sds_of())
    with pytest.raises(ValueError, match="sds must be of the models ae, vae, got ae"):
        plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(["ae", "vae"]), sds_of(["ae"]))
    with pytest.raises(ValueError, match=r"sds of ae must have shape \[6, 4, 5\], got \[1, 4, 5\]"):
        plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(["ae"]), {"ae": IMAGES[:1]})
    with pytest.raises(ValueError, match=r"sds of vae must be >= 0, got -0\."):
        plot_predictive_sd(IMAGES, LABELS, SEEN, reconstructions_of(["vae"]), {"vae": IMAGES - 0.5})
