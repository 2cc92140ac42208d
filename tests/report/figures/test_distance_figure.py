"""The figure of distances shows medians of the rows, zeros apart, and marks what is too small to be drawn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, drawn, lines_of
from report_rows import predictions

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
        assert axes(plot_distance(predictions(outputs=outputs)))[0].get_ylabel() == f"epistemic sd of {label}"
    assert axes(plot_distance(predictions().drop(columns="output")))[0].get_ylabel() == "epistemic sd of y"


@pytest.mark.parametrize("column", ["region", "distance", "epistemic_variance", "method"])
def test_without_finite_distances_and_sds_there_is_no_figure(column: str) -> None:
    assert plot_distance(predictions().drop(columns=column)) is None
    assert plot_distance(predictions().assign(**{column: math.nan})) is None
    assert plot_distance(predictions().assign(distance=math.inf)) is None
    assert plot_distance(predictions().iloc[:0]) is None
    assert plot_distance(pd.DataFrame()) is None
