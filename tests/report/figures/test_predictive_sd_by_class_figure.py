"""Predictive sds by class are shown for each seed with their geometric mean, and zeros beside the axis."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import drawn, lines_of
from matplotlib.colors import to_hex
from report_rows import (
    COLOURS,
    MODELS,
    sd_results,
)

from variational_bnn.report.figures.predictive_sd_by_class import plot_predictive_sd_by_class


def test_sds_are_seeds_and_their_geometric_mean() -> None:
    strip, ax = plot_predictive_sd_by_class(sd_results()).axes
    for row, name in ((1, "vae"), (2, "flipout-ae"), (3, "flipout-vae")):
        seeds, means = (
            {line.get_marker(): line for line in lines_of(ax, label) if to_hex(line.get_color()) == COLOURS[name]}
            for label in ("seeds", "mean")
        )
        for marker, factor in (("o", 1), ("^", 3)):
            wanted = 0.01 * row * factor * np.array([1, 2, 4])
            np.testing.assert_allclose(np.sort(seeds[marker].get_xdata()), wanted)
            np.testing.assert_allclose(means[marker].get_xdata(), wanted[1])
            assert means[marker].get_markersize() > 1.5 * seeds[marker].get_markersize()
            assert round(float(means[marker].get_ydata()[0])) == row
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in strip.get_yticklabels()] == [*MODELS]


def test_no_sd_is_beside_the_axis() -> None:
    strip, ax = plot_predictive_sd_by_class(sd_results()).axes
    assert [line.get_xdata()[0] for line in lines_of(strip, "mean")] == [0, 0]
    assert {to_hex(line.get_color()) for line in lines_of(strip, "mean")} == {COLOURS["ae"]}
    assert COLOURS["ae"] not in {to_hex(line.get_color()) for line in lines_of(ax, "mean")}
    assert len(plot_predictive_sd_by_class(sd_results().query("model != 'ae'")).axes) == 1


def test_failed_seeds_are_stated() -> None:
    rows = sd_results()
    failed = (rows["model"].eq("vae") & rows["seed"].eq(2)) | rows["model"].eq("flipout-vae")
    rows.loc[failed, ["predictive_sd_seen", "predictive_sd_held_out"]] = math.nan
    rows.loc[failed, "status"] = "diverged"
    strip, ax = plot_predictive_sd_by_class(rows).axes
    names = [text.get_text() for text in strip.get_yticklabels()]
    assert names == ["ae", "vae\n(1 of 3 failed)", "flipout-ae", "flipout-vae\n(3 of 3 failed)"]
    assert COLOURS["flipout-vae"] not in {to_hex(line.get_color()) for line in ax.lines}


def test_one_seed_is_its_own_mean() -> None:
    figure = plot_predictive_sd_by_class(sd_results(seeds=1))
    assert not [line for ax in figure.axes for line in lines_of(ax, "seeds")]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["classes trained on", "the class held out"]


def test_a_class_that_is_not_in_the_test_images_is_not_called_a_failure() -> None:
    rows = sd_results().assign(predictive_sd_seen=math.nan)
    figure = plot_predictive_sd_by_class(rows)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [*MODELS]
    assert drawn(figure)


def test_without_an_sd_above_zero_there_is_no_figure() -> None:
    assert plot_predictive_sd_by_class(sd_results(["ae"])) is None
    for column in ("model", "seed"):
        assert plot_predictive_sd_by_class(sd_results().drop(columns=column)) is None
    assert plot_predictive_sd_by_class(sd_results()[["model", "seed", "status"]]) is None
    assert plot_predictive_sd_by_class(sd_results().iloc[:0]) is None
    assert plot_predictive_sd_by_class(pd.DataFrame()) is None
    assert plot_predictive_sd_by_class(sd_results().drop(columns=["predictive_sd_seen", "status"])) is not None


def test_two_rows_of_a_run_and_sds_below_zero_raise() -> None:
    with pytest.raises(
        ValueError, match="results must have one row for each model and seed, got two for model ae / seed 0"
    ):
        plot_predictive_sd_by_class(sd_results().assign(seed=0))
    with pytest.raises(ValueError, match=r"predictive sds must be >= 0, got -0\.03"):
        plot_predictive_sd_by_class(sd_results().assign(predictive_sd_seen=-0.03))
