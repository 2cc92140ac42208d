"""The figure of entropies shows the mutual information and the rest of each region's mean entropy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import axes, drawn, texts_of
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


def test_the_information_of_latents_is_a_part_of_its_own_and_hatched() -> None:
    """An eighth of the entropy of `flipout` is from latents; `output` has none."""
    rows = _rows()
    rows["latent_information"] = np.where(rows["method"] == "flipout", rows["entropy"] / 8, 0.0)
    figure = plot_entropy(rows)
    every = [(bar.get_x(), bar.get_width()) for bar in axes(figure)[0].patches]
    means, nothing = 1.5 + np.arange(3), np.zeros(3)
    without, with_them = np.array(every[:6]).reshape(3, 2, 2), np.array(every[6:]).reshape(3, 3, 2)
    np.testing.assert_allclose(without, np.transpose([[nothing, means / 4], [means / 4, 3 * means / 4]], (2, 0, 1)))
    parts = [[nothing, means / 4], [means / 4, means / 8], [3 * means / 8, 5 * means / 8]]
    np.testing.assert_allclose(with_them, np.transpose(parts, (2, 0, 1)))
    hatched = [bool(bar.get_hatch()) for bar in axes(figure)[0].patches]
    assert hatched == [False] * 6 + [False, True, False] * 3
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["mutual information (epistemic)", "of latents (noise of the row)", "expected entropy"]
    assert all(place.x0 > 0 and place.x1 < figure.bbox.width for _, place in texts_of(figure))


@pytest.mark.parametrize("latent", [None, math.nan, 0.0])
def test_without_latents_there_are_two_parts(latent: float | None) -> None:
    rows = _rows() if latent is None else _rows().assign(latent_information=latent)
    figure = plot_entropy(rows)
    assert len(figure.legends[0].get_texts()) == 2
    assert len(axes(figure)[0].patches) == 2 * 2 * len(REGIONS)


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
