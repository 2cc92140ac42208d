"""Autoencoders have the figures that their arrays allow, readable and with one colour a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_parts import assert_readable, lines_of, panel, texts_of, title_colour
from matplotlib.colors import to_hex
from report_rows import (
    COLOURS,
    IMAGES,
    LABELS,
    MODELS,
    SEEN,
    codes_of,
    grids_of,
    history_of,
    reconstructions_of,
    sd_results,
    sds_of,
)

from variational_bnn.report.figures.autoencoders import FIGURES, AutoencoderRows, plot_autoencoders


def _rows(models: Sequence[str] = MODELS, with_prior: Sequence[str] = (), **others: Any) -> AutoencoderRows:
    """Rows of two seeds a model; the first has the arrays of `report_rows`, the second has zeros."""
    (codes, labels), grids = codes_of(models=models), grids_of(models)
    first = {
        (model, 0): {
            "codes": codes[model],
            "reconstructions": reconstructions_of(models)[model],
            "apart_reconstructions": reconstructions_of(models)[model],
            "apart_sds": sds_of(models)[model],
            **{f"history_{term}": losses for term, losses in _losses(model, models).items()},
            **({"grid": grids[model]} if model in (with_prior or models[:1]) else {}),
        }
        for model in models
    }
    second = {(model, 1): {name: 0 * array for name, array in arrays.items()} for (model, _), arrays in first.items()}
    images = {"labels": labels, "shown": IMAGES, "shown_labels": LABELS}
    images |= {"apart": IMAGES, "apart_labels": LABELS, "apart_seen": SEEN}
    return AutoencoderRows(
        **{"results": sd_results(models, seeds=2), "images": images, "arrays": {**first, **second}, **others}
    )


def _losses(model: str, models: Sequence[str]) -> dict[str, Any]:
    table = history_of(models)
    terms = table.loc[table["model"] == model, ["nll", "kl_latents", "kl_weights"]]
    return {str(term): losses.to_numpy() for term, losses in terms.items() if losses.notna().all()}


@pytest.mark.parametrize("models", [MODELS[:1], MODELS[:2], MODELS, (*MODELS, "a", "b")], ids=len)
def test_texts_can_be_read_and_are_whole_and_apart(models: Sequence[str]) -> None:
    figures = plot_autoencoders(_rows(models))
    assert list(figures) == [name for name in FIGURES if len(models) > 1 or name != "predictive_sd_by_class"]
    for name, figure in figures.items():
        assert_readable(name, figure)


def test_a_model_has_one_colour_in_all_figures() -> None:
    figures = plot_autoencoders(_rows(with_prior=MODELS))
    for model, colour in COLOURS.items():
        for figure in ("latents", "latent_grid", "loss"):
            assert title_colour(figures[figure], model) == colour
        for figure, label in (
            ("reconstructions", model),
            ("predictive_sd", f"{model}\nmean"),
            ("predictive_sd_by_class", model),
        ):
            (text,) = (text for text, _ in texts_of(figures[figure]) if text.get_text() == label)
            assert to_hex(text.get_color()) == colour


def test_a_grid_keeps_the_colour_of_its_model_where_others_have_none() -> None:
    figures = plot_autoencoders(_rows(with_prior=["flipout-vae"]))
    assert [ax.get_title(loc="left") for ax in figures["latent_grid"].axes] == ["flipout-vae"]
    assert title_colour(figures["latent_grid"], "flipout-vae") == COLOURS["flipout-vae"]
    for model in MODELS:
        assert bool(panel(figures["latents"], model).patches) == (model == "flipout-vae")


def test_arrays_are_those_of_the_first_seed_that_succeeded() -> None:
    results = sd_results(seeds=2)
    for failed, nll in (([], 1), ([("vae", 0)], 0)):
        bad = [run in failed for run in zip(results["model"], results["seed"], strict=True)]
        figures = plot_autoencoders(_rows(results=results.assign(status=np.where(bad, "diverged", "ok"))))
        (line,) = lines_of(panel(figures["loss"], "vae"), "nll")
        np.testing.assert_array_equal(line.get_ydata(), nll * _losses("vae", MODELS)["nll"])


def test_a_model_that_failed_is_left_out_and_the_others_keep_their_colours() -> None:
    results = sd_results(seeds=2)
    failed = results["model"] == "ae"
    results.loc[failed, "status"] = "diverged"
    results.loc[failed, ["predictive_sd_seen", "predictive_sd_held_out"]] = math.nan
    arrays = {run: found for run, found in _rows().arrays.items() if run[0] != "ae"}
    figures = plot_autoencoders(_rows(results=results, arrays=arrays))
    assert [ax.get_title(loc="left") for ax in figures["latents"].axes] == [*MODELS[1:]]
    assert title_colour(figures["latents"], "vae") == COLOURS["vae"]
    labels = [text.get_text() for text in figures["predictive_sd_by_class"].axes[0].get_yticklabels()]
    assert labels == ["ae\n(2 of 2 failed)", *MODELS[1:]]


def test_if_every_fit_failed_there_are_no_figures() -> None:
    sds = {"predictive_sd_seen": math.nan, "predictive_sd_held_out": math.nan}
    assert plot_autoencoders(_rows(results=sd_results().assign(status="diverged", **sds), arrays={})) == {}
    assert plot_autoencoders(_rows(results=pd.DataFrame(), arrays={})) == {}


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("codes", "latents"),
        ("reconstructions", "reconstructions"),
        ("apart_reconstructions", "predictive_sd"),
        ("apart_sds", "predictive_sd"),
        ("history_nll", "loss"),
        ("grid", "latent_grid"),
    ],
)
def test_an_array_that_is_missing_leaves_out_its_figure_alone(name: str, figure: str) -> None:
    arrays = {
        run: {other: array for other, array in found.items() if other != name} for run, found in _rows().arrays.items()
    }
    assert set(plot_autoencoders(_rows(arrays=arrays))) == set(FIGURES) - {figure}


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "NaN"])
@pytest.mark.parametrize("column", ["predictive_sd_seen", "predictive_sd_held_out", "status", "seed", "model"])
def test_any_column_may_be_unknown(column: str, missing: bool) -> None:
    results = sd_results(seeds=2)
    part = results.drop(columns=column) if missing else results.assign(**{column: math.nan})
    figures = plot_autoencoders(_rows(results=part))
    assert set(FIGURES) - {*figures} <= (set() if column.startswith("predictive_sd") else set(FIGURES))
    assert all(figure.axes for figure in figures.values())
