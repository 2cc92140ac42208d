"""Pictures of what autoencoders make of images, each worth a slide, from plain arrays.

`Models` is a mapping from a model's name to its array, in the order in which they are shown; a model has the same
colour in all figures of the same models. Images are in [0, 1] and shown as ink on paper; pixels that are not finite are
pale red.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.base.checks import require, require_known
from variational_bnn.report.figures.axes import styles
from variational_bnn.report.figures.inputs import (
    Models,
    images_of,
    labels_of,
    models_of,
    require_columns,
    require_not_negative,
)
from variational_bnn.report.figures.latent_grid import latent_grid_figure
from variational_bnn.report.figures.latents import latents_figure
from variational_bnn.report.figures.loss_terms import loss_terms_figure
from variational_bnn.report.figures.spreads import predictive_sd_summary_figure
from variational_bnn.report.figures.tiles import reconstructions_figure, spread_figure


def plot_reconstructions(images: npt.NDArray[Any], labels: npt.NDArray[Any], reconstructions: Models) -> Figure:
    """Images, headed by their labels, and below them a row for what each model makes of them.

    Args:
        images: `[P, H, W]`, in [0, 1].
        labels: `[P]`, numbers or words.
        reconstructions: `[P, H, W]` each.

    Raises:
        ValueError: If a shape does not fit, or there are no images or no models.
    """
    shown = images_of("images", images)
    made = models_of("reconstructions", reconstructions, shown.shape)
    return reconstructions_figure(shown, labels_of(labels, len(shown), "the images"), made, styles(made))


def plot_latents(codes: Models, labels: npt.NDArray[Any], with_prior: Collection[str] = ()) -> Figure:
    """Latent codes by class, a panel a model, each on its own scale; a class's name is at the median of its codes.

    Codes of one number are drawn against their class; of more than two, by their two principal components. The axes
    leave out what is a quarter of the distance between the 0.5 % and the 99.5 % quantile beyond these, or that of the
    5 % and the 95 % quantile beyond those; how many points are outside, or not finite, is said above the panel.

    Args:
        codes: `[M, L]` each, of any number of latents L.
        labels: `[M]`, numbers or words.
        with_prior: The models whose codes have the prior N(0, I): a dotted circle marks 2 sd of it, if L is at most 2.

    Raises:
        ValueError: If a shape does not fit, there are no codes or no models, or a model with a prior is unknown.
    """
    checked = models_of("codes", codes)
    for model, code in checked.items():
        fits = code.ndim == 2 and code.size > 0
        require(fits, f"codes of {model} must have shape [examples, latents], none of them 0, got {list(code.shape)}")
    first, count = next((model, len(code)) for model, code in checked.items())
    for model, code in checked.items():
        require(
            len(code) == count, f"codes of {model} must be of as many examples as {first}'s {count}, got {len(code)}"
        )
    for model in with_prior:
        require_known("model with a prior", model, list(checked))
    return latents_figure(checked, labels_of(labels, count, "the codes"), with_prior, styles(checked))


def plot_latent_grid(grids: Models, quantiles: npt.NDArray[Any], among: Sequence[str] = ()) -> Figure:
    """What each model decodes at each pair of latent quantiles, as one picture: z1 to the right, z2 upwards.

    Args:
        grids: `[G, G, H, W]` each, in [0, 1]: by z2 from the lowest, then by z1 from the lowest.
        quantiles: `[G]`, ascending, of N(0, 1): the latent values are `norm.ppf(quantiles)`.
        among: All models of the other figures, whose order gives the colours; those with a grid by default.

    Raises:
        ValueError: If a shape does not fit, there are no models, or the quantiles do not ascend between 0 and 1.
    """
    places = np.asarray(quantiles, dtype=np.float64)
    require(places.ndim == 1 and places.size > 0, f"quantiles must have shape [G], G >= 1, got {list(places.shape)}")
    inside = places[0] > 0 and places[-1] < 1 and bool((np.diff(places) > 0).all())
    require(inside, f"quantiles must ascend between 0 and 1, got {places.tolist()}")
    checked = models_of("grids", grids)
    for model, grid in checked.items():
        fits = grid.ndim == 4 and grid.shape[:2] == (places.size, places.size) and grid.size > 0
        wanted = f"[{places.size}, {places.size}, height, width]"
        require(
            fits, f"grids of {model} must have shape {wanted}, one tile for each two quantiles, got {list(grid.shape)}"
        )
    models_of("grids", grids, next(iter(checked.values())).shape)
    return latent_grid_figure(checked, places, styles([*among, *checked]))


def plot_predictive_sd(
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    seen: npt.NDArray[np.bool_],
    reconstructions: Models,
    spreads: Models,
) -> Figure:
    """Images of classes seen in training and then of those kept out, and what each model makes of them and how surely.

    Below the images are two rows a model: the mean reconstruction, and the sd of the reconstructions over draws. All
    sds share one scale, from 0 to the largest of them.

    Args:
        images: `[P, H, W]`, in [0, 1].
        labels: `[P]`, numbers or words.
        seen: `[P]`, whether the image's class was seen in training.
        reconstructions: The mean over draws, `[P, H, W]` each.
        spreads: The sd over draws, `[P, H, W]` each, of the same models.

    Raises:
        ValueError: If a shape or the models do not fit, a spread is below 0, or there are no images or no models.
    """
    shown = images_of("images", images)
    names, flags = labels_of(labels, len(shown), "the images"), np.asarray(seen)
    fits = flags.shape == names.shape and flags.dtype == np.bool_
    require(fits, f"seen must be true or false for each of {len(names)} images, got {flags.dtype} {list(flags.shape)}")
    made = models_of("reconstructions", reconstructions, shown.shape)
    sds = models_of("spreads", spreads, shown.shape)
    require(set(made) == set(sds), f"spreads must be of the models {', '.join(made)}, got {', '.join(sds)}")
    for model, sd in sds.items():
        require_not_negative(f"spreads of {model}", sd)
    return spread_figure(shown, names, flags, made, sds, styles(made))


def plot_predictive_sd_summary(rows: pd.DataFrame) -> Figure:
    """How much reconstructions spread over draws: a dot for classes trained on, a triangle for the one kept out.

    Small marks are seeds, large ones their geometric mean, on a logarithmic axis; what is exactly zero is beside it.

    Args:
        rows: A row for each `model` and `seed`: `predictive_sd_seen` and `predictive_sd_held_out`, each the root of the mean variance
            of a pixel over draws; NaN where a fit failed, as the model's row then says.

    Raises:
        ValueError: If a column is missing, there are no rows, two are of the same cell, or a spread is below 0.
    """
    require_columns("rows", rows, ("model", "seed", "predictive_sd_seen", "predictive_sd_held_out"))
    _require_one_row("rows", rows, ["model", "seed"])
    return predictive_sd_summary_figure(rows, styles(rows["model"]))


def plot_loss_terms(history: pd.DataFrame) -> Figure:
    """The terms of each model's loss over the epochs, in nats per image, with their last values.

    Above is the negative log-likelihood, below the KL of the latents and that of the weights; models share the axes. A
    triangle marks where a term leaves them, as it may in the first epochs.

    Args:
        history: A row for each `model` and `epoch`, from 1: `nll`, `kl_latents` and `kl_weights`, NaN where a model has
            none.

    Raises:
        ValueError: If a column is missing, there are no rows, or two are of the same model and epoch.
    """
    require_columns("history", history, ("model", "epoch", "nll", "kl_latents", "kl_weights"))
    _require_one_row("history", history, ["model", "epoch"])
    return loss_terms_figure(history, styles(history["model"]))


def _require_one_row(name: str, table: pd.DataFrame, keys: list[str]) -> None:
    twice = table.loc[table.duplicated(keys), keys]
    first = " / ".join(f"{key} {value}" for key, value in zip(keys, twice.iloc[0], strict=True)) if len(twice) else ""
    require(not first, f"{name} must have one row for each {' and '.join(keys)}, got two for {first}")
