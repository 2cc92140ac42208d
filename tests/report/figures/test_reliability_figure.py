"""The figure of reliability shows coverages as they are, and a band that calibrated forecasts stay within."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, band, drawn, lines_of, panel
from report_rows import X, reference_predictions

from variational_bnn.report.figures.reliability import plot_reliability


def test_coverage_is_the_share_of_rows_inside() -> None:
    pit = np.random.default_rng(0).uniform(size=len(X)) ** 2
    rows = reference_predictions(["flipout"], pit=pit, outputs=("y", "b"))
    rows.loc[rows["region"] == "between", "pit"] = math.nan
    figure = plot_reliability(rows)
    assert [ax.get_title() for ax in figure.axes] == ["near, 14 rows", "beyond, 40 rows"]
    for ax, region in zip(axes(figure), ("near", "beyond"), strict=True):
        (line,) = lines_of(ax, "flipout")
        own = rows[(rows["region"] == region)]["pit"]
        for level, coverage in line.get_xydata()[::10]:
            assert coverage == pytest.approx((abs(2 * own - 1) <= level).mean())
    assert drawn(figure)


def test_a_calibrated_forecast_is_within_the_band_and_a_narrow_one_is_not() -> None:
    levels = (np.argsort(np.random.default_rng(0).permutation(len(X))) + 0.5) / len(X)
    calibrated = reference_predictions(["flipout"], pit=levels)
    rows = pd.concat([calibrated, reference_predictions(["hidden"], pit=np.round(levels))])
    ax = panel(plot_reliability(rows.assign(region="near")), "near, 61 rows", "center")
    edges = band(ax, "binomial", (0.305, 0.505, 0.705))
    for method, inside in (("flipout", True), ("hidden", False)):
        coverage = lines_of(ax, method)[0].get_ydata()[[30, 50, 70]]
        assert bool(((edges[:, 0] <= coverage) & (coverage <= edges[:, 1])).all()) == inside


def test_the_band_narrows_with_rows_but_not_with_seeds() -> None:
    def width(rows: pd.DataFrame) -> float:
        ax = axes(plot_reliability(rows.assign(region="near")))[0]
        return float(np.ptp(band(ax, "binomial", [0.505])))

    rows = reference_predictions(["flipout"], seeds=1, pit=0.5)
    assert width(rows) == width(reference_predictions(["flipout"], seeds=5, pit=0.5))
    assert width(rows[rows["query_point"] < 15]) > 1.5 * width(rows)


def test_without_a_pit_there_is_no_figure() -> None:
    assert plot_reliability(reference_predictions()) is None
    assert plot_reliability(reference_predictions().drop(columns="pit")) is None
    assert plot_reliability(reference_predictions(pit=0.5).drop(columns="region")) is None
    assert plot_reliability(pd.DataFrame()) is None


def test_a_pit_is_from_zero_to_one() -> None:
    with pytest.raises(ValueError, match=r"pit must be from 0 to 1, got \[1.5\]"):
        plot_reliability(reference_predictions(pit=1.5))
