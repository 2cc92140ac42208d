"""The figure of distances shows medians of the rows, zeros apart, and marks what is too small to be drawn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, drawn, lines_of
from report_rows import predictions, with_latents

from variational_bnn.report.figures.distance import plot_distance


def test_distance_shows_the_rows_and_zeros_apart() -> None:
    figure = plot_distance(predictions())
    between, beyond, *strips = axes(figure)
    assert [between.get_title(), beyond.get_title()] == ["near and between", "near and beyond"]
    for ax in (between, beyond):
        own = lines_of(ax, "hidden")
        assert len(own) == 2
        for line in own:
            np.testing.assert_allclose(line.get_ydata(), 0.5 * np.asarray(line.get_xdata()), rtol=1e-9)
    zeros = [line for line in strips[1].lines if line.get_marker() == "o"]
    assert max(float(np.max(line.get_xdata())) for line in zeros) > 10
    assert drawn(figure)


def test_without_zeros_there_is_no_place_for_them() -> None:
    assert len(plot_distance(predictions(["hidden"])).axes) == 2


def test_sds_as_good_as_none_are_marked_and_leave_the_scale_to_the_others() -> None:
    rows = pd.concat([predictions(["hidden"]), predictions(["flipout"], sd=1e-9)])
    figure = plot_distance(rows)
    for ax in axes(figure)[:2]:
        low, high = ax.get_ylim()
        assert high / low < 1e5
        for line in lines_of(ax, "flipout"):
            assert np.isnan(line.get_ydata()).all()
        triangles = [line for line in ax.lines if line.get_marker() == "v" and line.get_xdata().size]
        assert triangles
    assert drawn(figure)


def test_many_outputs_are_one_mean_variance_and_infinite_distances_are_left_out() -> None:
    rows = predictions(["hidden"], outputs=("a", "b"))
    rows.loc[rows["output"] == "b", "epistemic_variance"] = 0.0
    rows.loc[rows["region"] == "between", "distance"] = math.inf
    figure = plot_distance(rows)
    assert [ax.get_title() for ax in figure.axes] == ["near and beyond"]
    for line in lines_of(axes(figure)[0], "hidden"):
        np.testing.assert_allclose(line.get_ydata(), 0.5 * np.asarray(line.get_xdata()) / np.sqrt(2))


def test_the_axis_names_the_output() -> None:
    for outputs, label in ((("b",), "b"), (("a", "b"), "y")):
        assert (
            axes(plot_distance(predictions(outputs=outputs)))[0].get_ylabel() == f"sd over draws of the mean of {label}"
        )
    assert axes(plot_distance(predictions().drop(columns="output")))[0].get_ylabel() == "sd over draws of the mean of y"


def test_latent_variance_is_part_of_the_sd_and_dotted_where_it_is_most_of_it() -> None:
    none = predictions(["flipout", "hidden"])
    figures = {share: plot_distance(with_latents(none, share)) for share in (0.0, 0.4, 0.6, 1.0)}
    for share, figure in figures.items():
        for ax in axes(figure):
            for name in ("flipout", "hidden"):
                for line in lines_of(ax, name):
                    np.testing.assert_allclose(line.get_ydata(), 0.5 * np.asarray(line.get_xdata()), rtol=1e-9)
                    assert (line.get_linestyle() == ":") == (name == "hidden" and share > 0.5), (name, share)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert any("latent" in text for text in texts) == (share > 0.5)
        own = {line.get_label(): line.get_linestyle() for line in figure.legends[0].get_lines()}
        assert (own["hidden"] == ":") == (share > 0.5)
        assert own["flipout"] == "-"
    near_alone = plot_distance(with_latents(none, np.where(none["region"] == "near", 0.9, 0.1)))
    near, away = lines_of(axes(near_alone)[1], "hidden")
    assert {near.get_linestyle(), away.get_linestyle()} == {":", "-"}
    assert drawn(near_alone)


def test_results_from_before_latents_were_measured_have_none() -> None:
    for old in (predictions().drop(columns="latent_variance"), predictions().assign(latent_variance=math.nan)):
        (one, other) = (lines_of(axes(plot_distance(rows))[1], "hidden") for rows in (old, predictions()))
        for line, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())
            assert line.get_linestyle() == "-"


@pytest.mark.parametrize("column", ["region", "distance", "epistemic_variance", "method"])
def test_without_finite_distances_and_sds_there_is_no_figure(column: str) -> None:
    assert plot_distance(predictions().drop(columns=column)) is None
    assert plot_distance(predictions().assign(**{column: math.nan})) is None
    assert plot_distance(predictions().assign(distance=math.inf)) is None
    assert plot_distance(predictions().iloc[:0]) is None
    assert plot_distance(pd.DataFrame()) is None
