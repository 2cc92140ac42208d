"""Bands are mean +- 2 sd of a method's first seed, and what leaves the axes is marked."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, band, drawn, lines_of, panel
from report_rows import DATA, DISTANCE, X, predictions, with_latents

from variational_bnn.report.figures.bands import plot_bands

PARTS = ("epistemic", "latent", "aleatoric")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 12])
def test_a_panel_a_method(count: int) -> None:
    methods = [f"method {i}" for i in range(count)]
    figure = plot_bands(predictions(methods), DATA)
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.axison] == methods
    assert drawn(figure)


def test_bands_are_the_first_seeds_mean_and_two_sd() -> None:
    ax = panel(plot_bands(predictions().sample(frac=1, random_state=0).sort_values("seed"), DATA), "hidden")
    sd = 0.5 * DISTANCE
    np.testing.assert_allclose(band(ax, "epistemic", X), np.column_stack([X - 2 * sd, X + 2 * sd]))
    total = np.sqrt(sd**2 + 1.0)
    np.testing.assert_allclose(band(ax, "total", X), np.column_stack([X - 2 * total, X + 2 * total]))
    (mean,) = lines_of(ax, "mean")
    np.testing.assert_allclose(mean.get_xydata(), np.column_stack([X, X]))
    (points,) = lines_of(ax, "training data")
    np.testing.assert_allclose(points.get_xydata(), DATA[["x", "y"]].to_numpy())


def test_of_probabilities_the_epistemic_band_alone_is_drawn_within_zero_and_one() -> None:
    mean = 1 / (1 + np.exp(-10 * X))
    rows = predictions(["flipout"], seeds=1).assign(mean=mean, epistemic_variance=0.5 * mean * (1 - mean))
    rows["aleatoric_variance"] = 0.5 * mean * (1 - mean)
    figure = plot_bands(rows, DATA)
    (ax,) = (ax for ax in axes(figure) if ax.axison)
    sd = np.sqrt(rows["epistemic_variance"].to_numpy())
    wanted = np.column_stack([np.clip(mean - 2 * sd, 0, 1), np.clip(mean + 2 * sd, 0, 1)])
    np.testing.assert_allclose(band(ax, "epistemic", X), wanted, atol=1e-12)
    assert ax.get_ylabel() == "probability of y"
    assert not any("total" in text.get_text() for text in figure.legends[0].get_texts())


def test_latent_variance_is_a_hatched_band_around_the_epistemic_one() -> None:
    rows = with_latents(predictions(["flipout", "hidden"]), 0.75)
    figure = plot_bands(rows, DATA)
    ax, over_draws = panel(figure, "hidden"), 0.5 * DISTANCE
    epistemic, total = 0.5 * over_draws, np.sqrt(over_draws**2 + 1.0)
    for label, low, high in (
        ("epistemic", -epistemic, epistemic),
        ("latent below", -over_draws, -epistemic),
        ("latent above", epistemic, over_draws),
        ("total", -total, total),
    ):
        np.testing.assert_allclose(band(ax, label, X), np.column_stack([X + 2 * low, X + 2 * high]))
    hatched = {filled.get_label() for filled in ax.collections if filled.get_hatch()}
    assert hatched == {"latent below", "latent above"}
    assert not any(filled.get_hatch() for filled in panel(figure, "flipout").collections)
    assert any("with latents, noise of the row" in text.get_text() for text in figure.legends[0].get_texts())
    assert drawn(figure)


def test_bands_that_do_not_occur_are_not_in_the_legend() -> None:
    latents = plot_bands(with_latents(predictions(["output", "hidden"]), 1.0), DATA)
    weights, before = (
        plot_bands(rows, DATA) for rows in (predictions(), predictions().drop(columns="latent_variance"))
    )
    for figure, words in ((latents, {"latents"}), (weights, {"epistemic"}), (before, {"epistemic"})):
        legend = " ".join(text.get_text() for text in figure.legends[0].get_texts())
        assert {word for word in ("epistemic", "latents") if word in legend} == words
    assert panel(latents, "hidden").texts[0].get_text() == "epistemic sd is 0"


def test_of_probabilities_with_latents_there_is_no_total_band() -> None:
    mean = 1 / (1 + np.exp(-10 * X))
    parts = {f"{name}_variance": part * mean * (1 - mean) for name, part in zip(PARTS, (0.2, 0.3, 0.5), strict=True)}
    figure = plot_bands(predictions(["hidden"], seeds=1).assign(mean=mean, **parts), DATA)
    assert axes(figure)[0].get_ylabel() == "probability of y"
    assert not any("total" in text.get_text() for text in figure.legends[0].get_texts())
    inner, outer = (2 * np.sqrt(part * mean * (1 - mean)) for part in (0.2, 0.5))
    wanted = np.clip(np.column_stack([mean + inner, mean + outer]), 0, 1)
    np.testing.assert_allclose(band(panel(figure, "hidden"), "latent above", X), wanted, atol=1e-12)


def test_a_target_can_be_chosen_and_the_first_is_the_default() -> None:
    rows = predictions(["flipout"], outputs=("y", "b"))
    rows.loc[rows["output"] == "b", "mean"] += 7
    for target, shift in ((None, 0), ("y", 0), ("b", 7)):
        figure = plot_bands(rows, DATA, target=target)
        np.testing.assert_allclose(lines_of(panel(figure, "flipout"), "mean")[0].get_ydata(), X + shift)
        assert axes(figure)[0].get_ylabel() == (target or "y")
    with pytest.raises(ValueError, match="unknown target 'z'; known: y, b"):
        plot_bands(rows, DATA, target="z")


def test_regions_are_shaded_where_they_are() -> None:
    ax = panel(plot_bands(predictions(), DATA), "hidden")
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)
    wanted = [(-1.5, -0.525), (-0.525, -0.175), (-0.175, 0.175), (0.175, 0.525), (0.525, 1.5)]
    np.testing.assert_allclose(spans, wanted)


def test_a_band_that_explodes_is_marked_and_does_not_flatten_the_others() -> None:
    rows = pd.concat([predictions(["hidden"]), predictions(["flipout"], sd=1e4)])
    figure = plot_bands(rows, DATA)
    low, high = figure.axes[0].get_ylim()
    assert -33 <= low < -10
    assert 10 < high <= 33
    exploding, calm = panel(figure, "flipout"), panel(figure, "hidden")
    assert {line.get_marker() for line in exploding.lines} >= {"^", "v"}
    assert [text.get_text() for text in exploding.texts] == ["band spans \N{MINUS SIGN}320,000 to 320,000"]
    assert not any(len(line.get_xdata()) for line in calm.lines if line.get_marker() in ("^", "v"))
    assert [text.get_text() for text in calm.texts] == [""]


def test_bands_that_fit_set_the_axis() -> None:
    low, high = plot_bands(predictions(["output"]), DATA).axes[0].get_ylim()
    assert (low, high) == pytest.approx((-11, 11))


def test_no_epistemic_variance_is_stated() -> None:
    assert panel(plot_bands(predictions(), DATA), "output").texts[0].get_text() == "epistemic sd is 0"


def test_without_predictions_over_one_feature_there_is_no_figure() -> None:
    assert plot_bands(predictions().assign(x=math.nan), DATA) is None
    assert plot_bands(predictions().iloc[:0], DATA) is None
    assert plot_bands(pd.DataFrame(), DATA) is None


@pytest.mark.parametrize("column", ["region", "aleatoric_variance"])
@pytest.mark.parametrize("missing", [True, False])
def test_an_unknown_region_or_noise_leaves_the_epistemic_band(column: str, missing: bool) -> None:
    rows = predictions(["hidden"])
    rows = rows.drop(columns=column) if missing else rows.assign(**{column: math.nan})
    figure = plot_bands(rows, DATA)
    sd = 0.5 * DISTANCE
    np.testing.assert_allclose(band(panel(figure, "hidden"), "epistemic", X), np.column_stack([X - 2 * sd, X + 2 * sd]))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(text.startswith("total") for text in legend) == (column == "region")
    assert drawn(figure)
