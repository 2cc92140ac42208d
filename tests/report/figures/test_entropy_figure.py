"""The figure of entropies shows the mutual information and the rest of each region's mean entropy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, drawn
from report_rows import results

from variational_bnn.base import REGIONS
from variational_bnn.report.figures.entropy import plot_entropy


def _rows() -> pd.DataFrame:
    """Of seed s and region r, an entropy of 1 + s + r nats, a quarter of which is mutual information."""
    rows = results(["output", "flipout"], seeds=2)
    entropy = 1.0 + rows["seed"] + rows["region"].map(REGIONS.index)
    return rows.assign(entropy=entropy, mutual_information=entropy / 4)


def test_bars_are_means_over_seeds_in_two_parts() -> None:
    figure = plot_entropy(_rows())
    (ax,) = axes(figure)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["output", "flipout"]
    assert [tick.get_text() for tick in ax.get_yticklabels(minor=True)] == [*REGIONS] * 2
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    means = np.tile(1.5 + np.arange(3), 2)
    np.testing.assert_allclose(bars[::2], np.column_stack([0 * means, means / 4]))
    np.testing.assert_allclose(bars[1::2], np.column_stack([means / 4, 3 * means / 4]))
    assert drawn(figure)


def test_rows_that_failed_are_left_out() -> None:
    rows = _rows()
    rows.loc[rows["seed"] == 1, ["entropy", "mutual_information"]] = math.nan
    bars = axes(plot_entropy(rows))[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars[::2]], np.tile(1.0 + np.arange(3), 2) / 4)


@pytest.mark.parametrize("column", ["entropy", "mutual_information", "region", "method"])
def test_without_entropies_there_is_no_figure(column: str) -> None:
    assert plot_entropy(_rows().drop(columns=column)) is None
    assert plot_entropy(_rows().assign(**{column: math.nan})) is None
    assert plot_entropy(results()) is None
    assert plot_entropy(pd.DataFrame()) is None
