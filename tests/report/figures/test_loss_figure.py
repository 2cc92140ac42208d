"""Losses are shown by term with their last values, on axes that most epochs set."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from figure_parts import assert_readable, drawn, lines_of, texts_of
from report_rows import (
    MODELS,
    history_of,
)

from variational_bnn.report.figures.loss import plot_loss


def test_last_values_close_to_each_other_are_apart() -> None:
    for names in (["flipout-vae"], ["vae", "flipout-vae"]):
        history = history_of(names)
        for factor in (0.9, 0.99, 1.0, 1.01):
            assert_readable(f"{factor}", plot_loss(history.assign(kl_weights=history["kl_latents"] * factor)))


def test_losses_are_shown_by_term_with_their_last_values() -> None:
    history = history_of().sort_values("epoch", ascending=False, kind="stable")
    figure = plot_loss(history)
    above, below = np.split(np.array(figure.axes), 2)
    for name, upper, lower in zip(MODELS, above, below, strict=True):
        own = history[history["model"] == name].sort_values("epoch")
        terms = [(upper, "nll"), (lower, "kl_latents"), (lower, "kl_weights")]
        for ax, term in terms:
            lines = lines_of(ax, term)
            if own[term].isna().all():
                assert not lines
                continue
            np.testing.assert_array_equal(lines[0].get_xydata(), own[["epoch", term]])
            assert f"{own[term].iloc[-1]:.3g}" in [text.get_text() for text in ax.texts]
        assert [text.get_text() for text in lower.texts] == ["no KL"] or name != "ae"
    both = [lines_of(below[3], term)[0].get_linestyle() for term in ("kl_latents", "kl_weights")]
    assert both == ["--", ":"]
    for panels in (above, below):
        assert len({ax.get_ylim() for ax in panels}) == 1
    assert below[0].get_ylim()[0] == 0


def test_without_a_kl_there_is_no_panel_for_it() -> None:
    figure = plot_loss(history_of(["ae", "b"]))
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["negative log-likelihood"]


def test_a_wild_first_epoch_does_not_flatten_the_rest() -> None:
    history = history_of()
    high = plot_loss(history).axes[0].get_ylim()[1]
    history.loc[0, "nll"] = 1e6
    ax = plot_loss(history).axes[0]
    assert ax.get_ylim()[1] < 4 * high
    (mark,) = (line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata()))
    assert mark.get_xdata()[0] == pytest.approx(1, abs=1)


def test_kls_far_apart_are_on_a_logarithmic_axis() -> None:
    history = history_of()
    assert {ax.get_yscale() for ax in plot_loss(history).axes} == {"linear"}
    history["kl_weights"] *= 100
    assert [ax.get_yscale() for ax in plot_loss(history).axes] == ["linear"] * 4 + ["log"] * 4


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_of_a_failed_fit_are_drawn(value: float) -> None:
    history = history_of()
    history.loc[history["epoch"] > 20, "nll"] = value
    figure = plot_loss(history)
    assert texts_of(figure)
    assert f"{history.loc[19, 'nll']:.3g}" in [text.get_text() for text in figure.axes[0].texts]
    history["nll"] = value
    assert plot_loss(history).axes[0].texts[-1].get_text() == "none finite"


def test_a_term_that_is_missing_is_one_that_no_model_has() -> None:
    figure = plot_loss(history_of().drop(columns="kl_weights"))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["negative log-likelihood", "KL of the latents"]
    assert drawn(plot_loss(history_of()[["model", "epoch"]]))


def test_without_epochs_there_is_no_figure() -> None:
    assert plot_loss(history_of().iloc[:0]) is None
    assert plot_loss(history_of().drop(columns="epoch")) is None
    assert plot_loss(pd.DataFrame()) is None


def test_two_rows_of_an_epoch_raise() -> None:
    with pytest.raises(ValueError, match="one row for each model and epoch, got two for model ae / epoch 1"):
        plot_loss(pd.concat([history_of(), history_of()]))
