"""Reconstructions are below their images, as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from figure_parts import rows_of_images, texts_of
from matplotlib.colors import to_hex
from report_rows import (
    IMAGES,
    LABELS,
    MODELS,
    reconstructions_of,
    sds_of,
)

from variational_bnn.report.figures.latents import plot_latents
from variational_bnn.report.figures.predictive_sd import plot_predictive_sd
from variational_bnn.report.figures.reconstructions import plot_reconstructions


def test_reconstructions_are_below_their_images() -> None:
    (ax,) = plot_reconstructions(IMAGES, LABELS, reconstructions_of()).axes
    rows = rows_of_images(ax)
    for row, wanted in zip(rows, (IMAGES, *reconstructions_of().values()), strict=True):
        for image, pixels in zip(row, wanted, strict=True):
            np.testing.assert_array_equal(image.get_array(), pixels)
            assert image.get_clim() == (0, 1)
            assert image.get_cmap().name == "gray_r"
            assert image.get_interpolation() == "nearest"
            left, right, bottom, top = image.get_extent()
            assert (right - left, bottom - top) == pytest.approx((1, 4 / 5))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["3", "9", "0", "9", "1", "2"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["image", *MODELS]
    for tick, image in zip(ax.get_xticks(), rows[0], strict=True):
        assert tick == pytest.approx(np.mean(image.get_extent()[:2]))
    for tick, row in zip(ax.get_yticks(), rows, strict=True):
        assert tick == pytest.approx(np.mean(row[0].get_extent()[2:]))


def test_labels_may_be_words() -> None:
    words = np.array(["ankle boot", "bag", "t-shirt", "bag", "coat", "dress"])
    for figure in (
        plot_reconstructions(IMAGES, words, reconstructions_of(["vae"])),
        plot_predictive_sd(IMAGES, words, words != "bag", reconstructions_of(), sds_of()),
        plot_latents({"vae": IMAGES[:, 0, :2]}, words),
    ):
        shown = [text.get_text() for text, place in texts_of(figure) if place.y1 < figure.bbox.height + 1]
        assert {*words} <= {*shown}


def test_pixels_that_are_not_finite_are_seen() -> None:
    (ax,) = plot_reconstructions(IMAGES, LABELS, {"vae": np.full(IMAGES.shape, math.nan)}).axes
    image = rows_of_images(ax)[1][0]
    assert to_hex(image.to_rgba(image.get_array())[0, 0]) == "#f2b5b5"


def test_images_that_do_not_fit_raise() -> None:
    with pytest.raises(ValueError, match=r"images must have shape \[images, height, width\].*, got \[6, 4\]"):
        plot_reconstructions(IMAGES[:, :, 0], LABELS, reconstructions_of())
    with pytest.raises(ValueError, match=r"images must have shape .*, none of them 0, got \[0, 4, 5\]"):
        plot_reconstructions(IMAGES[:0], LABELS[:0], reconstructions_of())
    with pytest.raises(ValueError, match=r"labels must have shape \[6\], one for each of the images, got \[5\]"):
        plot_reconstructions(IMAGES, LABELS[:5], reconstructions_of())
    with pytest.raises(ValueError, match="reconstructions must be of at least one model, got none"):
        plot_reconstructions(IMAGES, LABELS, {})
    with pytest.raises(ValueError, match=r"reconstructions of vae must have shape \[6, 4, 5\], got \[6, 5, 4\]"):
        plot_reconstructions(IMAGES, LABELS, {"ae": IMAGES, "vae": IMAGES.transpose(0, 2, 1)})
