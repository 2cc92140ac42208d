"""What the methods share: a model trained by `fit` on standardised rows, speaking in the original units."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from variational_bnn._keras import tf, tf_keras
from variational_bnn.base import Dataset, Network, Predictive, Training, require_fit
from variational_bnn.checks import Array
from variational_bnn.losses import negative_log_likelihood
from variational_bnn.predictive import predict, sample_functions
from variational_bnn.sampling import Functions

STEPS_PER_EXECUTION = 250
"""Steps a compiled call: on few rows nearly all the time is what each call costs besides its steps."""


class DivergedError(RuntimeError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardiser:
    """Shift and scale of each column, from the training rows alone."""

    shift: Array
    scale: Array

    @classmethod
    def of(cls, values: Array) -> Standardiser:
        """Mean and standard deviation of `[N, C]` values."""
        return cls(shift=values.mean(axis=0), scale=values.std(axis=0))

    def __call__(self, values: Array) -> Array:
        """`[N, C]` values in standard units."""
        return (values - self.shift) / self.scale


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedPosterior:
    """A trained model between the standardisers of x and y; a `base.Posterior`."""

    model: tf_keras.Model
    x_units: Standardiser
    y_units: Standardiser

    @property
    def num_parameters(self) -> int:
        """How many numbers were trained."""
        return sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at `[N, F]` inputs, in the units of y."""
        standard = predict(self.model, self.x_units(x), num_samples=num_samples, seed=seed)
        return standard.in_units(shift=self.y_units.shift, scale=self.y_units.scale)

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Functions:
        """Coherent draws `[S, N, D]`, in the units of y."""
        standard = sample_functions(self.model, self.x_units(x), num_samples=num_samples, seed=seed)
        return (self.y_units.shift + self.y_units.scale * standard).astype(np.float32)


def fit(
    build: Callable[..., tf_keras.Model], dataset: Dataset, network: Network, training: Training, seed: int
) -> FittedPosterior:
    """Build a model of the network, in standard units, and train it on the training rows.

    Args:
        build: `(network, num_examples, seed=...) -> model`, a builder.
        dataset: In its own units.
        network: With known noise, if any, in the units of y, and sizes that fit the dataset.
        training: How.
        seed: Of initial values, noise and batches.

    Raises:
        DivergedError: If the loss is not finite at the end.
        ValueError: If the network does not fit the dataset.
    """
    require_fit(network, dataset)
    x_units, y_units = Standardiser.of(dataset.x), Standardiser.of(dataset.y)
    likelihood = network.likelihood.in_units_of(y_units.scale)
    model = build(dataclasses.replace(network, likelihood=likelihood), len(dataset.x), seed=seed)
    rate = tf_keras.optimizers.schedules.CosineDecay(training.learning_rate, training.steps)
    model.compile(
        tf_keras.optimizers.Adam(rate),
        loss=negative_log_likelihood,
        steps_per_execution=min(STEPS_PER_EXECUTION, training.steps),
    )
    batches = _batches(x_units(dataset.x), y_units(dataset.y), training.batch_size, seed)
    history = model.fit(batches, steps_per_epoch=training.steps, verbose=0)
    loss = history.history["loss"][-1]
    if not np.isfinite(loss):
        raise DivergedError(f"diverged: the loss became {loss}")
    return FittedPosterior(model=model, x_units=x_units, y_units=y_units)


def _batches(x: Array, y: Array, batch_size: int, seed: int) -> Any:
    """Endless batches: the very same one where all rows fit in, else shuffled anew each time round."""
    rows = (x.astype(np.float32), y.astype(np.float32))
    if len(x) <= batch_size:
        return tf.data.Dataset.from_tensors(rows).repeat()
    shuffled = tf.data.Dataset.from_tensor_slices(rows).shuffle(len(x), seed=seed)
    return shuffled.repeat().batch(batch_size).prefetch(4)
