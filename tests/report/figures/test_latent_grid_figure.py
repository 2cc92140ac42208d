"""The grid of decoded tiles has the lowest latents at the bottom left, each tile in its own shape."""

from __future__ import annotations

import numpy as np
import pytest
from figure_parts import panel, texts_of, title_colour
from report_rows import (
    COLOURS,
    MODELS,
    QUANTILES,
    grids_of,
)
from scipy.stats import norm

from variational_bnn.report.figures.axes import styles
from variational_bnn.report.figures.latent_grid import plot_latent_grid


def test_a_grid_alone_keeps_the_colour_that_its_model_has_among_the_others() -> None:
    alone = plot_latent_grid(grids_of(["vae"]), QUANTILES, styles(MODELS))
    assert title_colour(alone, "vae") == COLOURS["vae"]
    other = plot_latent_grid(grids_of(["vae"]), QUANTILES)
    assert title_colour(other, "vae") != COLOURS["vae"]


def test_the_lowest_latents_are_at_the_bottom_left() -> None:
    grids = grids_of()
    figure = plot_latent_grid(grids, QUANTILES)
    for name, grid in grids.items():
        ax = panel(figure, name)
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
    ax = plot_latent_grid(grids_of(["vae"]), QUANTILES).axes[0]
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
    texts_of(figure)
    place = figure.axes[0].get_window_extent()
    assert place.height / place.width == pytest.approx(height / width, rel=0.01)
    assert place.width > 1.7 * 15 * width


def test_grids_that_do_not_fit_raise() -> None:
    with pytest.raises(ValueError, match="grids must be of at least one model"):
        plot_latent_grid({}, QUANTILES)
    with pytest.raises(
        ValueError, match=r"grids of vae must have shape \[15, 15, height, width\], .* \[14, 14, 4, 4\]"
    ):
        plot_latent_grid(grids_of(["vae"], 14), QUANTILES)
    with pytest.raises(ValueError, match=r"grids of vae must have shape \[15, 15, 4, 4\], got \[15, 15, 4, 2\]"):
        plot_latent_grid({"ae": grids_of(["ae"])["ae"], "vae": grids_of(["vae"])["vae"][..., :2]}, QUANTILES)
    with pytest.raises(ValueError, match=r"quantiles must have shape \[G\], G >= 1, got \[0\]"):
        plot_latent_grid(grids_of(), QUANTILES[:0])
    for quantiles in (QUANTILES[::-1], QUANTILES * 2, QUANTILES - 0.01):
        with pytest.raises(ValueError, match="quantiles must ascend between 0 and 1, got"):
            plot_latent_grid(grids_of(), quantiles)
