"""All figures of a comparison of autoencoders on one set of images, from its rows and arrays alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.report.figures.axes import Style, styles
from variational_bnn.report.figures.inputs import complete_rows
from variational_bnn.report.figures.latent_grid import plot_latent_grid
from variational_bnn.report.figures.latents import plot_latents
from variational_bnn.report.figures.loss import TERMS, plot_loss
from variational_bnn.report.figures.names import DrawnNames
from variational_bnn.report.figures.predictive_sd import plot_predictive_sd
from variational_bnn.report.figures.predictive_sd_by_class import plot_predictive_sd_by_class
from variational_bnn.report.figures.reconstructions import plot_reconstructions

QUANTILES = np.linspace(0.01, 0.99, 15)
"""The quantiles of the prior N(0, 1) at which the decoded grid has its tiles, along each of its two sides."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoencoderRows:
    """What the figures of autoencoders are made from. A column that is missing counts as NaN.

    Attributes:
        results: A row for each `model` and `seed`, with `status`, `predictive_sd_seen` and `predictive_sd_held_out`,
            as in `AutoencoderComparison.results`.
        images: The test images' `labels` `[M]`, and the images that are shown: `shown` `[P, H, W]` and `shown_labels`
            `[P]`; `apart` `[Q, H, W]`, `apart_labels` `[Q]` and `apart_seen` `[Q]`, whether the class was trained on.
        arrays: From (model, seed) to arrays by name: `codes` `[M, L]`, `reconstructions` `[P, H, W]`,
            `apart_reconstructions` and `apart_sds` `[Q, H, W]`, `history_nll`, `history_kl_latents` and
            `history_kl_weights` `[epochs]`, and `grid` `[15, 15, H, W]` where the latents have a prior. An array that
            is missing leaves its model out of the figure.
    """

    results: pd.DataFrame
    images: Mapping[str, npt.NDArray[Any]]
    arrays: Mapping[tuple[str, int], Mapping[str, npt.NDArray[Any]]]

    def of_first_seeds(self, *names: str) -> dict[str, Mapping[str, npt.NDArray[Any]]]:
        """Return the arrays of each model's first seed that succeeded, for the models that have all the named ones."""
        rows = complete_rows(self.results, ("model", "seed", "status"))
        first = rows[rows["status"] == "ok"].drop_duplicates("model")
        runs = {str(row["model"]): self.arrays.get((row["model"], row["seed"]), {}) for _, row in first.iterrows()}
        return {model: arrays for model, arrays in runs.items() if set(names) <= arrays.keys()}


def _reconstructions(rows: AutoencoderRows, style_of: Mapping[str, Style]) -> Figure | None:
    runs, images = rows.of_first_seeds("reconstructions"), rows.images
    if not runs:
        return None
    return plot_reconstructions(images["shown"], images["shown_labels"], _each(runs, "reconstructions"), style_of)


def _latents(rows: AutoencoderRows, style_of: Mapping[str, Style]) -> Figure | None:
    runs = rows.of_first_seeds("codes")
    with_prior = [model for model, arrays in runs.items() if "grid" in arrays]
    return plot_latents(_each(runs, "codes"), rows.images["labels"], with_prior, style_of) if runs else None


def _loss(rows: AutoencoderRows, style_of: Mapping[str, Style]) -> Figure | None:
    tables = [pd.DataFrame()]
    for model, arrays in rows.of_first_seeds("history_nll").items():
        epochs = np.arange(1, 1 + len(arrays["history_nll"]))
        terms = {term: arrays.get(f"history_{term}", np.full(len(epochs), np.nan)) for term in TERMS}
        tables.append(pd.DataFrame({"model": model, "epoch": epochs, **terms}))
    return plot_loss(pd.concat(tables, ignore_index=True), style_of)


def _predictive_sd(rows: AutoencoderRows, style_of: Mapping[str, Style]) -> Figure | None:
    means, sds = "apart_reconstructions", "apart_sds"
    runs, images = rows.of_first_seeds(means, sds), rows.images
    if not runs:
        return None
    apart = images["apart"], images["apart_labels"], images["apart_seen"]
    return plot_predictive_sd(*apart, _each(runs, means), _each(runs, sds), style_of)


def _latent_grid(rows: AutoencoderRows, style_of: Mapping[str, Style]) -> Figure | None:
    runs = rows.of_first_seeds("grid")
    return plot_latent_grid(_each(runs, "grid"), QUANTILES, style_of) if runs else None


def _each(runs: Mapping[str, Mapping[str, npt.NDArray[Any]]], name: str) -> dict[str, npt.NDArray[Any]]:
    """Return one array of each model."""
    return {model: arrays[name] for model, arrays in runs.items()}


FIGURES: dict[str, Callable[[AutoencoderRows, Mapping[str, Style]], Figure | None]] = {
    "reconstructions": _reconstructions,
    "latents": _latents,
    "loss": _loss,
    "predictive_sd": _predictive_sd,
    "predictive_sd_by_class": lambda rows, style_of: plot_predictive_sd_by_class(rows.results, style_of),
    "latent_grid": _latent_grid,
}
"""From the name of a figure to the function that draws it, which returns None where the figure does not apply."""


def plot_autoencoders(rows: AutoencoderRows) -> dict[str, Figure]:
    """Draw every figure of `FIGURES` that applies to the rows.

    Arrays are shown of each model's first seed that succeeded. A model has the same colour in all figures. Figures are
    made without pyplot, so that no window is opened and no global state is changed.

    Args:
        rows: The rows and arrays of a comparison.

    Returns:
        The figures by name, without those that do not apply; empty if every fit failed.

    Raises:
        ValueError: If the shapes of arrays do not fit each other.
    """
    models = complete_rows(rows.results, ("model",))["model"].unique()
    names = DrawnNames.of([*models, *(model for model, _ in rows.arrays)])
    results = rows.results.assign(model=rows.results["model"].map(names.shown)) if len(models) else rows.results
    arrays = {(names.shown[model], seed): run for (model, seed), run in rows.arrays.items()}
    rows = replace(rows, results=results, arrays=arrays)
    style_of = styles(names.shown[model] for model in models)
    drawn = {name: draw(rows, style_of) for name, draw in FIGURES.items()}
    figures = {name: figure for name, figure in drawn.items() if figure is not None}
    for figure in figures.values():
        names.dress(figure)
    return figures
