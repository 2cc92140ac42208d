"""One cell: an autoencoder fitted to images from one seed, and everything that is measured of it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from variational_bnn.base import Predictive
from variational_bnn.base.checks import Array, Floats, is_positive, require, require_count
from variational_bnn.datasets import Images
from variational_bnn.evaluation.scores import rmse
from variational_bnn.evaluation.separability import active_units, confusion, most_confused, silhouette, vote
from variational_bnn.experiments.autoencoder_directory import AutoencoderResult
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.autoencoders import build_autoencoder, build_variational_autoencoder
from variational_bnn.models.losses import negative_log_likelihood, stochastic_layers
from variational_bnn.models.variational_model import shuffled_batches
from variational_bnn.prediction.bounds import Bounds, decode, encode, is_variational, measure_bounds
from variational_bnn.prediction.predict import predict

Arrays = dict[str, npt.NDArray[Any]]

MODELS: dict[str, Callable[..., tf_keras.Model]] = {
    "ae": build_autoencoder,
    "vae": build_variational_autoencoder,
    "flipout-ae": partial(build_autoencoder, weights="flipout", decoder_weights="point"),
    "flipout-vae": partial(build_variational_autoencoder, weights="flipout"),
}
"""The lecture's autoencoders: plain, variational, with an uncertain encoder, and both with all weights uncertain."""

QUANTILES = np.linspace(0.01, 0.99, 15)
"""Of the prior, along each side of the decoded grid."""

SHOWN = 10
"""Test images whose reconstructions are shown, of different classes as far as there are."""

SHOWN_APART = 4
"""Images of seen classes whose spread is shown, and of the class that was held out."""

IMPORTANCE_SAMPLES = 50
TRAINING_STEPS = 3000
"""In which a model of few images is trained, if nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining:
    """How autoencoders are trained, by Adam.

    Attributes:
        epochs: Rounds through the images, each of as many steps as it takes to see them all.
        batch_size: Images a step.
        learning_rate: Of Adam.
    """

    epochs: int = 15
    batch_size: int = 100
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Check every field."""
        require_count("epochs", self.epochs)
        require_count("batch_size", self.batch_size)
        require(is_positive(self.learning_rate), f"learning_rate must be > 0, got {self.learning_rate!r}")

    @classmethod
    def for_images(cls, count: int) -> AutoencoderTraining:
        """The lecture's 15 epochs in batches of 100, or as many more as it takes to make 3,000 steps."""
        default = cls()
        return cls(epochs=max(default.epochs, round(TRAINING_STEPS * default.batch_size / count)))


@dataclass(frozen=True, kw_only=True)
class AutoencoderCell:
    """A model and a seed, to be run on images; everything that its row depends on.

    Attributes:
        held_out: The label that a second fit does not see.
        num_samples: Draws of reconstructions and codes.
    """

    model: str
    seed: int
    images: Images
    network: AutoencoderNetwork
    training: AutoencoderTraining
    held_out: int
    num_samples: int

    def fit(self, images: Images, each_epoch: Callable[[], None]) -> tuple[tf_keras.Model, dict[str, list[float]]]:
        """The model of the cell, trained on the images, and how its loss went."""
        model = MODELS[self.model](self.network, len(images.x_train), seed=self.seed)
        model.compile(tf_keras.optimizers.Adam(self.training.learning_rate), loss=negative_log_likelihood)
        x, size = images.x_train, self.training.batch_size
        batches = shuffled_batches((x, x), size, self.seed)
        told = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: each_epoch())
        steps = {"epochs": self.training.epochs, "steps_per_epoch": math.ceil(len(x) / size)}
        return model, model.fit(batches, **steps, callbacks=[told], verbose=0).history

    def reconstruct(self, model: tf_keras.Model, x: Floats) -> Predictive:
        """What the model says of images, from draws of all that is random in it."""
        return predict(model, x, num_samples=self.num_samples, seed=self.seed)


def run_autoencoder(cell: AutoencoderCell, each_epoch: Callable[[], None]) -> tuple[AutoencoderResult, Arrays]:
    """Fit and measure, twice; a fit that diverges is a row that says so.

    Args:
        cell: What to run.
        each_epoch: Called after each epoch of both fits.

    Returns:
        The row, and arrays for the figures: `codes` `[M, L]` of the test images, `reconstructions` of those shown,
        the decoded `grid` `[15, 15, H, W]` if the latents have a prior, `apart_reconstructions` and `apart_sds` of
        the second fit, and `history_*`, a number an epoch.
    """
    common = AutoencoderResult(images=cell.images.name, model=cell.model, seed=cell.seed, held_out=cell.held_out)
    start = time.perf_counter()
    model, history = cell.fit(cell.images, each_epoch)
    common = dataclasses.replace(common, fit_seconds=time.perf_counter() - start)
    apart, history_apart = cell.fit(cell.images.without(cell.held_out), each_epoch)
    for losses in (history["loss"], history_apart["loss"]):
        if not np.isfinite(losses[-1]):
            return dataclasses.replace(common, status=f"diverged: the loss became {losses[-1]}"), {}
    (measured, arrays), (measured_apart, arrays_apart) = _measure(cell, model), _measure_apart(cell, apart)
    result = dataclasses.replace(common, **measured, **measured_apart)
    return result, {**arrays, **arrays_apart, **_history(model, history)}


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


def _measure(cell: AutoencoderCell, model: tf_keras.Model) -> tuple[dict[str, Any], Arrays]:
    """Bounds, reconstructions and codes of the test images."""
    images, draws = cell.images, {"num_samples": cell.num_samples, "seed": cell.seed}
    bounds = measure_bounds(model, images.x_test, num_samples=IMPORTANCE_SAMPLES, seed=cell.seed)
    codes, train_codes = (encode(model, x, **draws) for x in (images.x_test, images.x_train))
    voted = vote(train_codes, images.y_train, codes)
    pair = most_confused(images.y_test, voted)
    flat = images.x_test.reshape(len(images.x_test), -1).astype(np.float64)
    found = {
        **_terms(model, bounds),
        "rmse": rmse(flat, cell.reconstruct(model, images.x_test).mean),
        "knn_accuracy": float((voted == images.y_test).mean()),
        "silhouette": silhouette(codes, images.y_test),
        "active_units": active_units(codes),
        "code_centre": float(np.abs(codes.mean(axis=0)).max()),
        "code_sd": float(np.sqrt(codes.var(axis=0).mean())),
        "confused": " and ".join(map(str, pair or ())),
        "confusion": confusion(images.y_test, voted, pair) if pair else np.nan,
        "parameters": sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
    }
    reconstructed = cell.reconstruct(model, shown(images, cell.held_out)["shown"]).mean
    arrays: Arrays = {"codes": codes, "reconstructions": _as_images(images, reconstructed)}
    if is_variational(model):
        size = len(QUANTILES)
        z = np.zeros((size, size, cell.network.latent_size))
        z[:, :, 0] = norm.ppf(QUANTILES)
        z[:, :, 1:2] = norm.ppf(QUANTILES)[:, None, None]
        decoded = decode(model, z.reshape(size**2, -1), **draws)
        arrays["grid"] = decoded.reshape(size, size, *images.image_shape).astype(np.float32)
    return found, arrays


def _terms(model: tf_keras.Model, bounds: Bounds) -> dict[str, Any]:
    """The bounds and their terms, as far as the model has them."""
    kinds = {layer.kind for layer in stochastic_layers(model)}
    found: dict[str, Any] = {"nll": float(bounds.nll.mean())}
    if "weights" in kinds:
        found["kl_weights"] = bounds.kl_weights
    if "latents" in kinds:
        found |= {
            "kl_latents": float(bounds.kl_latents.mean()),
            "negative_elbo": -float(bounds.elbo.mean()),
            "negative_importance_weighted": -float(bounds.importance_weighted.mean()),
            "importance_samples": bounds.num_samples,
        }
    return found


def _measure_apart(cell: AutoencoderCell, model: tf_keras.Model) -> tuple[dict[str, Any], Arrays]:
    """Reconstructions, and how they spread, of test images of seen classes and of the one that was held out."""
    images = cell.images
    groups = {
        "seen": images.x_test[_seen(images, cell.held_out)],
        "held_out": _of_class(images, cell.held_out),
    }
    found = {}
    for name, x in groups.items():
        if len(x):
            predictive = cell.reconstruct(model, x)
            found[f"rmse_{name}"] = rmse(x.reshape(len(x), -1).astype(np.float64), predictive.mean)
            found[f"spread_{name}"] = float(np.sqrt(predictive.epistemic_variance.mean()))
    predictive = cell.reconstruct(model, shown(images, cell.held_out)["apart"])
    arrays: Arrays = {
        "apart_reconstructions": _as_images(images, predictive.mean),
        "apart_sds": _as_images(images, np.sqrt(predictive.epistemic_variance)),
    }
    return found, arrays


def _as_images(images: Images, flat: Array) -> npt.NDArray[np.float32]:
    return flat.reshape(len(flat), *images.image_shape).astype(np.float32)


def _history(model: tf_keras.Model, history: dict[str, list[float]]) -> Arrays:
    """The terms of the loss, epoch by epoch: `nll`, and the KLs that the model has."""
    kinds = {layer.kind for layer in stochastic_layers(model)}
    kl = {f"kl_{kind}": history["kl"] for kind in kinds} if len(kinds) == 1 else history
    names = ["nll", *(f"kl_{kind}" for kind in sorted(kinds))]
    return {f"history_{name}": np.array({**history, **kl}[name]) for name in names}
