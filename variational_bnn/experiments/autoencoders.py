"""What a run on images does: fit an autoencoder from one seed, twice, and measure it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from variational_bnn.base import Predictive
from variational_bnn.base.checks import Array, Floats
from variational_bnn.base.progress import part, reached
from variational_bnn.datasets import Images
from variational_bnn.evaluation.scores import rmse
from variational_bnn.evaluation.separability import active_units, confusion, most_confused, silhouette, vote
from variational_bnn.experiments.autoencoder_result import AUTOENCODER_COLUMNS, AutoencoderResult
from variational_bnn.experiments.result import table_of
from variational_bnn.experiments.run import Executed, Group, Outcome, Run
from variational_bnn.methods.autoencoders import Autoencoder
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.losses import variational_layers
from variational_bnn.prediction.bounds import Bounds, decode, encode, is_variational, measure_bounds
from variational_bnn.prediction.predict import predict
from variational_bnn.report.figures.autoencoders import QUANTILES

Arrays = dict[str, npt.NDArray[Any]]

SHOWN = 10
"""Test images whose reconstructions are shown, of different classes as far as there are."""

SHOWN_APART = 4
"""Images whose predictive sd is shown, of seen classes and of the class that was held out."""

IMPORTANCE_SAMPLES = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoencoderRun(Run):
    """An autoencoder and a seed, to be fitted to images; everything that its row depends on.

    Attributes:
        method: How it is built and trained.
        images: What to learn from.
        network: Sizes and likelihood.
        held_out: The label that a second fit does not see.
        num_samples: Draws of reconstructions and codes.
    """

    method: Autoencoder
    images: Images
    network: AutoencoderNetwork
    held_out: int
    num_samples: int

    @property
    def group(self) -> Group[AutoencoderRun]:
        """The group of this run alone."""
        return Group(runs=[self], execute=_execute)

    def failure(self, status: str) -> Outcome:
        """The row of a run that went wrong."""
        return Outcome(rows=table_of([dataclasses.replace(self._row(), status=status)], AUTOENCODER_COLUMNS))

    def execute(self) -> Outcome:
        """Fit to all images and to those of all classes but one, and measure both fits.

        Returns:
            The row, and arrays for the figures: `codes` `[M, L]` of the test images, `reconstructions` of those shown,
            the decoded `grid` `[15, 15, H, W]` if the latents have a prior, `apart_reconstructions` and `apart_sds` of
            the second fit, and `history_*`, a number an epoch.

        Raises:
            FitError: If a loss is not finite at the end.
        """
        start = time.perf_counter()
        with part(0.0, 0.45, "fitting"):
            model, history = self.method.fit(self.images, self.network, self.seed)
        seconds = time.perf_counter() - start
        with part(0.45, 0.9, "fitting all classes but one"):
            apart, _ = self.method.fit(self.images.without(self.held_out), self.network, self.seed)
        reached(0.9, "measuring")
        (measured, arrays), (measured_apart, arrays_apart) = _measure(self, model), _measure_apart(self, apart)
        row = dataclasses.replace(self._row(), fit_seconds=seconds, **measured, **measured_apart)
        arrays = {**arrays, **arrays_apart, **_history(model, history)}
        return Outcome(rows=table_of([row], AUTOENCODER_COLUMNS), arrays=arrays)

    def reconstruct(self, model: tf_keras.Model, x: Floats) -> Predictive:
        """What the model predicts of images, from draws of all that is random in it."""
        return predict(model, x, num_samples=self.num_samples, seed=self.seed)

    def _row(self) -> AutoencoderResult:
        return AutoencoderResult(images=self.images.name, model=self.name, seed=self.seed, held_out=self.held_out)


def _execute(runs: Sequence[AutoencoderRun]) -> Executed[AutoencoderRun]:
    for run in runs:
        yield run, run.outcome_of(run.execute)


def shown(images: Images, held_out: int) -> Arrays:
    """The test labels, and the images that the figures show: one of each class, and some that are held out."""
    x, y = images.x_test, images.y_test
    first = [int(np.flatnonzero(y == label)[0]) for label in np.unique(y)][:SHOWN]
    known = _seen(images, held_out)
    seen = [i for i in first if known[i]][:SHOWN_APART]
    out = _of_class(images, held_out)[:SHOWN_APART]
    apart_labels = np.concatenate([y[seen], np.full(len(out), held_out)])
    return {
        "labels": y,
        "shown": x[first],
        "shown_labels": y[first],
        "apart": np.concatenate([x[seen], out]),
        "apart_labels": apart_labels,
        "apart_seen": apart_labels != held_out,
    }


def _seen(images: Images, held_out: int) -> npt.NDArray[np.bool_]:
    """Which test images are of a class that the second fit has seen."""
    return np.isin(images.y_test, images.y_train) & (images.y_test != held_out)


def _of_class(images: Images, label: int) -> npt.NDArray[np.float32]:
    """All images of a class, test images first."""
    return np.concatenate([images.x_test[images.y_test == label], images.x_train[images.y_train == label]])


def _measure(run: AutoencoderRun, model: tf_keras.Model) -> tuple[dict[str, Any], Arrays]:
    """Bounds, reconstructions and codes of the test images."""
    images, draws = run.images, {"num_samples": run.num_samples, "seed": run.seed}
    bounds = measure_bounds(model, images.x_test, num_samples=IMPORTANCE_SAMPLES, seed=run.seed)
    codes, train_codes = (encode(model, x, **draws) for x in (images.x_test, images.x_train))
    voted = vote(train_codes, images.y_train, codes)
    pair = most_confused(images.y_test, voted)
    flat = images.x_test.reshape(len(images.x_test), -1).astype(np.float64)
    measured = {
        **_terms(model, bounds),
        "rmse": rmse(flat, run.reconstruct(model, images.x_test).mean),
        "knn_accuracy": float((voted == images.y_test).mean()),
        "silhouette": silhouette(codes, images.y_test),
        "active_units": active_units(codes),
        "code_centre": float(np.abs(codes.mean(axis=0)).max()),
        "code_sd": float(np.sqrt(codes.var(axis=0).mean())),
        "confused": " and ".join(map(str, pair or ())),
        "confusion": confusion(images.y_test, voted, pair) if pair else np.nan,
        "parameters": sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
    }
    reconstructed = run.reconstruct(model, shown(images, run.held_out)["shown"]).mean
    arrays: Arrays = {"codes": codes, "reconstructions": _as_images(images, reconstructed)}
    if is_variational(model):
        size = len(QUANTILES)
        z = np.zeros((size, size, run.network.latent_size))
        z[:, :, 0] = norm.ppf(QUANTILES)
        z[:, :, 1:2] = norm.ppf(QUANTILES)[:, None, None]
        decoded = decode(model, z.reshape(size**2, -1), **draws)
        arrays["grid"] = decoded.reshape(size, size, *images.image_shape).astype(np.float32)
    return measured, arrays


def _terms(model: tf_keras.Model, bounds: Bounds) -> dict[str, Any]:
    """The bounds and their terms, as far as the model has them."""
    kinds = {layer.kind for layer in variational_layers(model)}
    terms: dict[str, Any] = {"nll": float(bounds.nll.mean())}
    if "weights" in kinds:
        terms["kl_weights"] = bounds.kl_weights
    if "latents" in kinds:
        terms |= {
            "kl_latents": float(bounds.kl_latents.mean()),
            "negative_elbo": -float(bounds.elbo.mean()),
            "negative_importance_weighted": -float(bounds.importance_weighted.mean()),
            "importance_samples": bounds.num_samples,
        }
    return terms


def _measure_apart(run: AutoencoderRun, model: tf_keras.Model) -> tuple[dict[str, Any], Arrays]:
    """Errors and predictive sds of reconstructions, of test images of seen classes and of the held-out class."""
    images = run.images
    groups = {
        "seen": images.x_test[_seen(images, run.held_out)],
        "held_out": _of_class(images, run.held_out),
    }
    measured = {}
    for name, x in groups.items():
        if len(x):
            predictive = run.reconstruct(model, x)
            measured[f"rmse_{name}"] = rmse(x.reshape(len(x), -1).astype(np.float64), predictive.mean)
            measured[f"predictive_sd_{name}"] = float(np.sqrt(predictive.variance_over_draws.mean()))
    predictive = run.reconstruct(model, shown(images, run.held_out)["apart"])
    arrays: Arrays = {
        "apart_reconstructions": _as_images(images, predictive.mean),
        "apart_sds": _as_images(images, np.sqrt(predictive.variance_over_draws)),
    }
    return measured, arrays


def _as_images(images: Images, flat: Array) -> npt.NDArray[np.float32]:
    return flat.reshape(len(flat), *images.image_shape).astype(np.float32)


def _history(model: tf_keras.Model, history: dict[str, list[float]]) -> Arrays:
    """The terms of the loss, epoch by epoch: `nll`, and the KLs that the model has."""
    kinds = {layer.kind for layer in variational_layers(model)}
    kl = {f"kl_{kind}": history["kl"] for kind in kinds} if len(kinds) == 1 else history
    names = ["nll", *(f"kl_{kind}" for kind in sorted(kinds))]
    return {f"history_{name}": np.array({**history, **kl}[name]) for name in names}
