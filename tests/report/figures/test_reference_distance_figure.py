"""The figure of distances to a reference shows distances and costs as they are, and leaves out what is unknown."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from figure_parts import axes, drawn, lines_of
from report_rows import reference_summary

from variational_bnn.base import REGIONS
from variational_bnn.report.figures.reference_distance import plot_reference_distance


def test_distance_and_interval_are_shown_against_cost() -> None:
    figure = plot_reference_distance(reference_summary(), "hmc")
    assert [ax.get_title() for ax in figure.axes] == list(REGIONS)
    for number, ax in enumerate(axes(figure)):
        (point,) = lines_of(ax, "flipout")
        assert (point.get_xdata()[0], point.get_ydata()[0]) == (11.0, 2.0 * 2**number)
        bars = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 2 and line.get_xdata()[0] == 11.0]
        np.testing.assert_allclose(bars, [[1.6 * 2**number, 2.5 * 2**number]])
    assert drawn(figure)


def test_the_unit_is_that_of_probabilities_for_classes() -> None:
    for summary, unit in (
        (reference_summary(), "units of its sd"),
        (reference_summary().assign(entropy_near=0.5), "probability"),
    ):
        (label,) = {ax.get_ylabel() for ax in axes(plot_reference_distance(summary, "hmc"))} - {""}
        assert label == f"Wasserstein distance to hmc\n({unit})"


def test_the_reference_is_a_line_and_no_point() -> None:
    ax = axes(plot_reference_distance(reference_summary(), "hmc"))[0]
    assert not lines_of(ax, "hmc")
    assert set(lines_of(ax, "itself")[0].get_ydata()) == {3.0}
    assert set(lines_of(ax, "cost")[0].get_xdata()) == {101.0}
    alone = reference_summary()
    alone.loc[alone["method"] == "hmc", alone.columns[3:]] = math.nan
    figure = plot_reference_distance(alone, "hmc")
    assert not [line for ax in axes(figure) for line in lines_of(ax, "itself") + lines_of(ax, "cost")]
    assert "hmc against itself" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_what_has_no_distance_is_left_out() -> None:
    summary = reference_summary(["output", "flipout", "hmc"])
    summary.loc[0, [name for name in summary if name.startswith("wasserstein_near")]] = math.nan
    summary.loc[:, [name for name in summary if name.startswith("wasserstein_between")]] = math.nan
    near, beyond = axes(plot_reference_distance(summary, "hmc"))
    assert [near.get_title(), beyond.get_title()] == ["near", "beyond"]
    assert not lines_of(near, "output")
    assert lines_of(beyond, "output")


def test_a_distance_of_zero_is_beside_the_axis_and_wide_intervals_are_marked() -> None:
    summary = reference_summary()
    summary.loc[0, ["wasserstein_near", "wasserstein_near_low", "wasserstein_near_high"]] = 0.0, math.nan, math.nan
    summary.loc[1, ["wasserstein_near_low", "wasserstein_near_high"]] = 1e-9, 1e9
    figure = plot_reference_distance(summary, "hmc")
    panels, strips = np.split(np.array(axes(figure)), 2)
    assert not lines_of(panels[0], "output")
    assert lines_of(strips[0], "output")[0].get_ydata()[0] == 0.0
    assert {"v", "^"} <= {line.get_marker() for line in panels[0].lines}
    low, high = panels[0].get_ylim()
    assert low > 0.05
    assert high < 200
    assert drawn(figure)


def test_missing_bounds_and_regions_are_unknown_ones() -> None:
    figure = plot_reference_distance(reference_summary().drop(columns=["wasserstein_near_low"]), "hmc")
    assert lines_of(axes(figure)[0], "flipout")
    assert drawn(figure)
    figure = plot_reference_distance(reference_summary().drop(columns=["wasserstein_between"]), "hmc")
    assert [ax.get_title() for ax in axes(figure)] == ["near", "beyond"]


def test_without_another_method_at_a_distance_and_a_cost_there_is_no_figure() -> None:
    assert plot_reference_distance(reference_summary(), None) is None
    assert plot_reference_distance(reference_summary(["hmc"]), "hmc") is None
    assert plot_reference_distance(reference_summary().drop(columns="fit_seconds"), "hmc") is None
    assert plot_reference_distance(reference_summary()[["method", "fit_seconds", "predict_seconds"]], "hmc") is None
    assert plot_reference_distance(reference_summary().iloc[:0], "hmc") is None
    assert plot_reference_distance(pd.DataFrame(), "hmc") is None
