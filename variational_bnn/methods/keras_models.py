"""A tf_keras model of the user's own as a method: one that is trained already, or one to be trained here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import require, require_count
from variational_bnn.methods.problem import (
    ModelPosterior,
    diagnostics_of,
    require_finite,
    scalers_of,
)
from variational_bnn.methods.progress import report_epochs
from variational_bnn.models.backend import layers_of, require_model, tf_keras
from variational_bnn.prediction.predict import sample_functions


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A tf_keras model that was trained already, on the dataset's `x` and `y` as they are.

    `compare(dataset, methods={"mine": model})` wraps a model in this by itself. Every seed has the same model; seeds
    differ in their function samples alone.

    Args:
        model: From inputs `[N, F]` to a distribution of targets `[N, D]`, or to a tensor of their means, in the units
            of the dataset.
        num_examples: How many rows it was trained on.

    Raises:
        TypeError: If the model is not a `tf_keras.Model`.
        ValueError: If `num_examples` is not a whole number >= 1.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> dataset = vbnn.lecture()
        >>> model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(1)])
        >>> model.compile("sgd", loss="mse")
        >>> history = model.fit(dataset.x, dataset.y, epochs=2, verbose=0)
        >>> method = vbnn.TrainedModel(model=model, num_examples=len(dataset.x))
        >>> method.supports(dataset, None) is None
        True
    """

    model: tf_keras.Model
    num_examples: int

    def __post_init__(self) -> None:
        """Check the settings."""
        require_model(self.model)
        require_count("num_examples", self.num_examples)

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the dataset is not supported: it has another number of rows than the model was trained on."""
        rows = len(dataset.x)
        return None if rows == self.num_examples else f"the model was trained on {self.num_examples} rows, not {rows}"

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """The model as it is.

        Raises:
            ValueError: If the model was trained on another number of rows, or does not fit the dataset.
        """
        reason = self.supports(dataset, network)
        require(reason is None, str(reason))
        return _posterior(self.model, dataset, *scalers_of(dataset, standardise=False, discrete=False))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for settings files: the number of rows, and digests of the layers and of their weights."""
        weights = b"".join(weight.tobytes() for weight in self.model.get_weights())
        layers = [(type(layer).__qualname__, _numbers_of(layer)) for layer in layers_of(self.model)[1:]]
        parts = {"layers": repr(layers).encode(), "weights": weights}
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
        return {**digests, "num_examples": self.num_examples}


@dataclass(frozen=True, kw_only=True)
class UntrainedModel:
    """A tf_keras model that is built anew for each seed, and trained by `fit`.

    The global random seeds of Python, NumPy and TensorFlow are set to the run's seed before the model is built, since
    layers of other packages draw from these.

    Args:
        build: `(num_examples, seed) -> model`, compiled, from inputs `[N, F]` to a distribution of targets `[N, D]`, or
            to a tensor of their means. To be run by workers it must be a function that can be pickled or one of the
            user's own script.
        epochs: Passes through the training rows.
        batch_size: Rows in each training step.
        standardise: Whether inputs and targets are given mean 0 and standard deviation 1 on the training rows first.
            Predictions are in the dataset's units either way. Class numbers stay as they are.

    Raises:
        ValueError: If a number is out of its range, or `build` cannot be called.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> def build(num_examples, seed):
        ...     model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(1)])
        ...     model.compile("sgd", loss="mse")
        ...     return model
        >>> method = vbnn.UntrainedModel(build=build, epochs=2)
        >>> posterior = method.fit(vbnn.lecture(), None, seed=0)
        >>> posterior.sample_functions(np.zeros((5, 1)), num_samples=3, seed=0).shape
        (3, 5, 1)
    """

    build: Callable[[int, int], tf_keras.Model]
    epochs: int = 100
    batch_size: int = 32
    standardise: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        require(callable(self.build), f"build must be a function (num_examples, seed) -> model, got {self.build!r}")
        require_count("epochs", self.epochs)
        require_count("batch_size", self.batch_size)
        require(isinstance(self.standardise, bool), f"standardise must be True or False, got {self.standardise!r}")

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """None: whether a model fits a dataset is only known when it is built."""
        return None

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Build the model, and train it on the training rows.

        Raises:
            FitError: If the loss is not finite at the end.
            TypeError: If `build` does not return a `tf_keras.Model`.
            ValueError: If the model is not compiled, or does not fit the dataset.
        """
        discrete = bool(dataset.class_names)
        x_scaler, y_scaler = scalers_of(dataset, standardise=self.standardise, discrete=discrete)
        tf_keras.utils.set_random_seed(seed % 2**32)
        model = self.build(len(dataset.x), seed)
        require_model(model)
        require(model.optimizer is not None, "build must return a compiled model, got one that is not compiled")
        x, y = x_scaler.transform(dataset.x).astype(np.float32), y_scaler.transform(dataset.y).astype(np.float32)
        settings = {"epochs": self.epochs, "batch_size": self.batch_size, "callbacks": [report_epochs(self.epochs)]}
        history = model.fit(x, y, **settings, verbose=0).history
        require_finite(history["loss"][-1])
        return _posterior(model, dataset, x_scaler, y_scaler)


def _posterior(
    model: tf_keras.Model, dataset: Dataset, x_scaler: StandardScaler, y_scaler: StandardScaler
) -> ModelPosterior:
    """The model as a posterior; a `ValueError` if it does not put out the columns that the dataset has."""
    columns, rows = len(dataset.output_names), x_scaler.transform(dataset.x[:1])
    got = sample_functions(model, rows, num_samples=1).shape[-1]
    require(got == columns, f"the model must put out {columns} columns for the dataset, got {got}")
    return ModelPosterior(model=model, x_scaler=x_scaler, y_scaler=y_scaler, diagnostics=diagnostics_of(model))


def _numbers_of(layer: Any) -> dict[str, Any]:
    """What a layer is configured by, as far as it is plain values; its name depends on what was built before."""
    try:
        config = layer.get_config()
    except NotImplementedError:
        return {}
    plain = (bool, int, float, str)
    return {name: value for name, value in sorted(config.items()) if name != "name" and isinstance(value, plain)}
