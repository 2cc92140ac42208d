"""The figure of traces shows Markov chains as they are, on the scale of the steps that are kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
from figure_parts import axes, drawn, lines_of, panel
from report_rows import traces

from variational_bnn.report.figures.traces import plot_traces


def test_traces_are_the_first_seeds_chains_on_the_scale_of_what_is_kept() -> None:
    runs = traces()
    figure = plot_traces(runs)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["hmc", "sgld"]
    ax = panel(figure, "hmc")
    chains = lines_of(ax, "chain")
    np.testing.assert_array_equal(chains[0].get_xdata(), np.arange(1, 301))
    wanted = runs["lecture", "hmc", 1]["trace"]
    np.testing.assert_array_equal(np.transpose([line.get_ydata() for line in chains]), wanted)
    low, high = ax.get_ylim()
    assert -95 < low < -84
    assert -74 < high < -60
    (shade,) = ax.patches
    assert (shade.get_x(), shade.get_width()) == (0, 100.5)
    assert ax.texts[0].get_text() == "2 chains, as low as \N{MINUS SIGN}100,000"
    assert drawn(figure)


def test_a_chain_that_is_stuck_stays_in_sight() -> None:
    runs = traces(["hmc"])
    runs["lecture", "hmc", 1]["trace"][:, 1] = -5000.0
    assert axes(plot_traces(runs))[0].get_ylim()[0] < -5000


@pytest.mark.parametrize("value", [math.nan, -math.inf, -3.0])
def test_traces_of_a_failed_fit_are_drawn(value: float) -> None:
    chains = {"trace": np.full((50, 3), value), "warmup": np.array(50)}
    figure = plot_traces({("lecture", "hmc", 0): chains})
    assert np.isfinite(axes(figure)[0].get_ylim()).all()
    assert drawn(figure)


def test_runs_without_chains_are_left_out_and_without_any_there_is_no_figure() -> None:
    functions = {("lecture", "flipout", 0): {"functions": np.zeros((2, 3, 1))}}
    assert [ax.get_title(loc="left") for ax in plot_traces(functions | traces(["hmc"])).axes] == ["hmc"]
    assert plot_traces(functions) is None
    assert plot_traces({}) is None


def test_traces_of_other_shapes_raise() -> None:
    with pytest.raises(
        ValueError, match=r"trace of lecture / hmc / seed 0 must have shape \[steps, chains\], got \[3\]"
    ):
        plot_traces({("lecture", "hmc", 0): {"trace": np.zeros(3), "warmup": np.array(1)}})
    with pytest.raises(ValueError, match=r"must have steps and chains, got shape \[0, 2\]"):
        plot_traces({("lecture", "hmc", 0): {"trace": np.zeros((0, 2)), "warmup": np.array(0)}})
    with pytest.raises(ValueError, match="warm-up of lecture / hmc / seed 0 must be from 0 to 3 steps, got 4"):
        plot_traces({("lecture", "hmc", 0): {"trace": np.zeros((3, 2)), "warmup": np.array(4)}})
