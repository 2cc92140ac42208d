"""The figure of regions shows geometric means and intervals over seeds, and zeros beside the axis."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, drawn
from report_rows import METHODS, results

from variational_bnn.base import REGIONS
from variational_bnn.evaluation.summary import summarise
from variational_bnn.report.figures.regions import plot_regions


def test_regions_show_the_geometric_mean_and_zeros_apart() -> None:
    figure = plot_regions(summarise(results()))
    strip, ax = axes(figure)
    assert [tick.get_text() for tick in strip.get_yticklabels()] == list(METHODS)
    assert [tick.get_text() for tick in strip.get_xticklabels()] == ["0"]
    zeros = [line for line in strip.lines if line.get_label() in REGIONS]
    assert [float(line.get_xdata()[0]) for line in zeros] == [0.0, 0.0, 0.0]
    points = {line.get_label(): line for line in ax.lines if line.get_label() in REGIONS and len(line.get_xdata()) == 1}
    for power, region in enumerate(REGIONS):
        assert points[region].get_xdata()[0] == pytest.approx(np.sqrt(6 ** (1 / 3) * 10**power))
    assert drawn(figure)


def test_without_zeros_there_is_no_place_for_them() -> None:
    assert len(plot_regions(summarise(results(["hidden"]))).axes) == 1


def test_an_interval_that_leaves_the_axis_is_marked() -> None:
    wild = results(["hidden"], seeds=2)
    wild.loc[wild["seed"] == 1, "epistemic_variance"] *= 1e6
    markers = [line.get_marker() for line in axes(plot_regions(summarise(wild)))[-1].lines]
    assert markers.count("<") == 3
    assert markers.count(">") == 3
    calm = [line.get_marker() for line in plot_regions(summarise(results())).axes[-1].lines]
    assert not {"<", ">"} & set(calm)


def test_the_distances_to_a_reference_in_the_same_table_do_not_stretch_the_axis() -> None:
    summary = summarise(results())
    more = {f"sd_ratio_{region}_{bound}": 1e9 for region in REGIONS for bound in ("low", "high")}
    limits = [axes(plot_regions(table))[-1].get_xlim() for table in (summary, summary.assign(**more))]
    assert limits[0] == limits[1]


def test_failed_methods_keep_their_row() -> None:
    rows = results()
    rows.loc[rows["method"] == "flipout", "status"] = "diverged"
    labels = [tick.get_text() for tick in plot_regions(summarise(rows)).axes[0].get_yticklabels()]
    assert labels == ["output", "flipout\n(3 of 3 failed)", "hidden"]


def test_only_a_method_is_needed() -> None:
    figure = plot_regions(pd.DataFrame({"method": ["flipout"]}))
    assert [tick.get_text() for tick in axes(figure)[0].get_yticklabels()] == ["flipout"]
    assert drawn(figure)
    assert plot_regions(summarise(results()).assign(sd_near=math.nan, seeds_failed=math.nan)) is not None
    assert plot_regions(summarise(results()).iloc[:0]) is None
    assert plot_regions(pd.DataFrame()) is None
