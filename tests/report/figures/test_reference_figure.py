"""The figure beside a reference shows sds over seeds as they are, zeros apart, and keeps the reference in sight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, band, drawn, lines_of, panel
from matplotlib.colors import to_hex
from report_rows import DATA, REGION, SDS, X, reference_predictions, with_latents

from variational_bnn.report.figures.reference import plot_reference


def test_reference_lines_are_geometric_means_over_seeds_and_bands_the_extremes() -> None:
    figure = plot_reference(reference_predictions(), DATA, "hmc")
    ax = panel(figure, "flipout")
    for label, method in (("method", "flipout"), ("reference", "hmc")):
        (line,) = lines_of(ax, label)
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([X, 2 * SDS[method]]))
        edges = band(ax, f"{label}'s seeds", X)
        np.testing.assert_allclose(edges, np.column_stack([SDS[method], 4 * SDS[method]]))
    assert to_hex(lines_of(ax, "reference")[0].get_color()) == "#000000"
    assert not any(ax.get_title(loc="left") == "hmc" for ax in figure.axes)
    assert drawn(figure)


def test_no_variance_is_drawn_at_zero_beside_the_axis() -> None:
    panels, strips = np.split(np.array(axes(plot_reference(reference_predictions(), DATA, "hmc"))), 2)
    (line,) = lines_of(strips[0], "method")
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([X, 0 * X]))
    assert np.isnan(lines_of(panels[0], "method")[0].get_ydata()).all()
    assert not lines_of(strips[1], "method")
    assert [text.get_text() for text in strips[0].get_yticklabels()] == ["0"]
    assert len(axes(plot_reference(reference_predictions(["flipout", "hmc"]), DATA, "hmc"))) == 1


def test_latent_variance_is_a_dotted_line_and_no_epistemic_sd() -> None:
    rows = with_latents(reference_predictions(["flipout", "hidden", "hmc"]), 1.0)
    figure = plot_reference(rows, DATA, "hmc")
    panels, strips = np.split(np.array(axes(figure)), 2)
    weights, latents = panels
    (dotted,) = lines_of(latents, "method with latents")
    np.testing.assert_allclose(dotted.get_xydata(), np.column_stack([X, 2 * SDS["hmc"]]))
    assert dotted.get_linestyle() == ":"
    np.testing.assert_array_equal(lines_of(strips[1], "method")[0].get_ydata(), 0 * X)
    assert not lines_of(weights, "method with latents")
    assert weights.get_ylabel() == "sd of y over draws"
    assert "with latents, noise of the row" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert drawn(figure)
    for before in (reference_predictions(), reference_predictions().assign(latent_variance=math.nan)):
        own = plot_reference(before, DATA, "hmc")
        assert not any("latent" in text.get_text() for text in own.legends[0].get_texts())


def test_the_training_inputs_are_a_rug() -> None:
    first = axes(plot_reference(reference_predictions(), DATA, "hmc"))[0]
    (rug,) = (line for line in first.lines if line.get_marker() == "|")
    np.testing.assert_array_equal(rug.get_xdata(), DATA["x"])


def test_a_target_can_be_chosen() -> None:
    figure = plot_reference(reference_predictions(outputs=("y", "b")), DATA, "hmc", target="b")
    np.testing.assert_allclose(lines_of(panel(figure, "flipout"), "method")[0].get_ydata(), 4 * SDS["flipout"])
    assert axes(figure)[0].get_ylabel() == "sd of b over draws"
    with pytest.raises(ValueError, match="unknown target 'z'; known: y"):
        plot_reference(reference_predictions(), DATA, "hmc", target="z")


def test_a_method_far_from_the_reference_does_not_flatten_it() -> None:
    rows = reference_predictions(["flipout", "hidden", "hmc"], seeds=1)
    rows.loc[rows["method"] == "hidden", "epistemic_variance"] *= np.where(REGION == "near", 1e-12, 1e12)[
        rows.loc[rows["method"] == "hidden", "query_point"]
    ]
    figure = plot_reference(rows, DATA, "hmc")
    wild, calm = panel(figure, "hidden"), panel(figure, "flipout")
    low, high = wild.get_ylim()
    assert low > 1 / 50
    assert high < 3.25 * 50
    assert [len(line.get_xdata()) for line in wild.lines if line.get_marker() in "v^" and line.get_marker()] == [2, 3]
    assert wild.texts[0].get_text() == "sd spans 1.04e\N{MINUS SIGN}6 to 3.25e6"
    assert calm.texts[0].get_text() == ""


@pytest.mark.parametrize("count", [1, 2, 4, 13])
def test_a_panel_for_every_method_but_the_reference(count: int) -> None:
    methods = [f"method {place}" for place in range(count)]
    figure = plot_reference(reference_predictions(["hmc", *methods], seeds=1), DATA, "hmc")
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.axison] == methods
    assert drawn(figure)


@pytest.mark.parametrize(
    ("rows", "reference"),
    [
        (reference_predictions().assign(x=math.nan), "hmc"),
        (reference_predictions(), "nuts"),
        (reference_predictions(), None),
        (reference_predictions(["hmc"]), "hmc"),
        (reference_predictions().iloc[:0], "hmc"),
        (reference_predictions().drop(columns="epistemic_variance"), "hmc"),
        (pd.DataFrame(), "hmc"),
    ],
    ids=["features", "unknown", "no reference", "alone", "no rows", "no variance", "no columns"],
)
def test_without_one_feature_and_a_reference_for_another_method_there_is_no_figure(rows: Any, reference: Any) -> None:
    assert plot_reference(rows, DATA, reference) is None


def test_unknown_regions_are_not_shaded() -> None:
    for rows in (reference_predictions().drop(columns="region"), reference_predictions().assign(region=math.nan)):
        figure = plot_reference(rows, DATA, "hmc")
        assert not panel(figure, "flipout").patches
        assert drawn(figure)
    assert panel(plot_reference(reference_predictions(), DATA, "hmc"), "flipout").patches
