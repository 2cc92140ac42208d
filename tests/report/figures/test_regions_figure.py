"""The figure of regions shows geometric means and intervals over seeds, and zeros beside the axis."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import assert_readable, axes, drawn
from report_rows import METHODS, results, with_latents

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


def test_markers_are_open_and_labels_say_how_much_where_variance_is_latent() -> None:
    """Of `hidden` everything is latent, of `mine` 90 % near, 50 % between and nothing beyond."""
    rows = results(["flipout", "hidden", "mine"])
    parts = np.where(rows["method"] == "mine", rows["region"].map({"near": 0.9, "between": 0.5, "beyond": 0.0}), 1.0)
    figure = plot_regions(summarise(with_latents(rows, parts, ["hidden", "mine"])))
    (ax,) = axes(figure)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "flipout",
        "hidden\n(100 % latent)",
        "mine\n(0 % to 90 % latent)",
    ]
    points = [line for line in ax.lines if line.get_label() in REGIONS]
    is_open = [line.get_markerfacecolor() == "white" for line in points]
    assert is_open == [False, False, False, True, True, True, True, False, False]
    sds = [float(line.get_xdata()[0]) for line in points]
    np.testing.assert_allclose(sds, np.tile([np.sqrt(6 ** (1 / 3) * 10**power) for power in range(3)], 3))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*REGIONS, "open: mostly latent, noise of the row"]
    assert ax.get_xlabel() == "sd over draws of the mean of y (units of y)"
    assert_readable("regions", figure)


def test_results_from_before_latents_were_measured_have_none() -> None:
    whole = summarise(results())
    for summary in (
        whole.drop(columns=list(whole.filter(like="latent_share"))),
        whole.assign(latent_share_near=math.nan),
    ):
        figure = plot_regions(summary)
        assert [tick.get_text() for tick in axes(figure)[0].get_yticklabels()] == list(METHODS)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == list(REGIONS)


def test_latents_and_failures_are_in_one_label() -> None:
    rows = with_latents(results(["hidden"]), 1.0)
    rows.loc[rows["seed"] == 1, "status"] = "diverged"
    (label,) = axes(plot_regions(summarise(rows)))[0].get_yticklabels()
    assert label.get_text() == "hidden\n(100 % latent, 1 of 3 failed)"


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
