"""What the methods share: standard units on the way in, the original ones on the way out, and training by `fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from variational_bnn.base import Dataset, Diagnostics, Network, Predictive, Training, require_fit
from variational_bnn.base.checks import Array, Float32Array
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.variational_model import shuffled_batches
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.prediction.coherence import num_random_variables
from variational_bnn.prediction.predict import predict, sample_functions

STEPS_PER_EXECUTION = 250
"""Steps a compiled call: on few rows nearly all the time is what each call costs besides its steps."""


class FitError(RuntimeError):
    """A method found no posterior; the message becomes the status of its rows.

    Attributes:
        diagnostics: Of the Markov chains, if there were any.
    """

    def __init__(self, message: str, diagnostics: Diagnostics | None = None) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardiser:
    """Shift and scale of each column, from the training rows alone."""

    shift: Array
    scale: Array

    @classmethod
    def of(cls, values: Array) -> Standardiser:
        """Mean and standard deviation of `[N, C]` values."""
        return cls(shift=values.mean(axis=0), scale=values.std(axis=0))

    @classmethod
    def none(cls) -> Standardiser:
        """Of values that stay as they are."""
        return cls(shift=np.zeros(1), scale=np.ones(1))

    def __call__(self, values: Array) -> Array:
        """`[N, C]` values in standard units."""
        return (values - self.shift) / self.scale


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedPosterior:
    """A model between the standardisers of x and y; a `base.Posterior`."""

    model: tf_keras.Model
    x_units: Standardiser
    y_units: Standardiser
    num_parameters: int
    num_random_variables: int
    diagnostics: Diagnostics | None = None

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at `[N, F]` inputs, in the units of y."""
        standard = predict(self.model, self.x_units(x), num_samples=num_samples, seed=seed)
        return standard.in_units(shift=self.y_units.shift, scale=self.y_units.scale)

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Array:
        """Coherent draws `[S, N, D]`, in the units of y."""
        standard = sample_functions(self.model, self.x_units(x), num_samples=num_samples, seed=seed)
        return np.asarray(self.y_units.shift + self.y_units.scale * standard)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A network and the rows to fit it to, all in standard units; made by `Problem.of`.

    Attributes:
        network: With known noise, if any, in standard units.
        x: `[N, F]`.
        y: `[N, D]`.
        x_units: From the units of the dataset.
        y_units: Likewise.
    """

    network: Network
    x: Float32Array
    y: Float32Array
    x_units: Standardiser
    y_units: Standardiser

    @classmethod
    def of(cls, dataset: Dataset, network: Network) -> Problem:
        """Standardise the training rows, and the noise if it is known in units of y; the number of a class stays.

        Raises:
            ValueError: If the network does not fit the dataset.
        """
        require_fit(network, dataset)
        x_units = Standardiser.of(dataset.x)
        y_units = Standardiser.none() if network.likelihood.discrete else Standardiser.of(dataset.y)
        likelihood = network.likelihood.in_units_of(y_units.scale)
        return cls(
            network=dataclasses.replace(network, likelihood=likelihood),
            x=x_units(dataset.x).astype(np.float32),
            y=y_units(dataset.y).astype(np.float32),
            x_units=x_units,
            y_units=y_units,
        )

    @property
    def space(self) -> WeightSpace:
        """Of the network's weights."""
        return WeightSpace.of(self.network)

    def posterior(self, model: tf_keras.Model, num_parameters: int) -> FittedPosterior:
        """A model of standard units as a posterior of the dataset's."""
        return FittedPosterior(
            model=model,
            x_units=self.x_units,
            y_units=self.y_units,
            num_parameters=num_parameters,
            num_random_variables=num_random_variables(model),
        )


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
        FitError: If the loss is not finite at the end.
        ValueError: If the network does not fit the dataset.
    """
    problem = Problem.of(dataset, network)
    model = build(problem.network, len(problem.x), seed=seed)
    rate = tf_keras.optimizers.schedules.CosineDecay(training.learning_rate, training.steps)
    model.compile(
        tf_keras.optimizers.Adam(rate),
        loss=negative_log_likelihood,
        steps_per_execution=min(STEPS_PER_EXECUTION, training.steps),
    )
    batches = shuffled_batches((problem.x, problem.y), training.batch_size, seed)
    history = model.fit(batches, steps_per_epoch=training.steps, verbose=0)
    require_finite(history.history["loss"][-1])
    return problem.posterior(model, sum(int(np.prod(variable.shape)) for variable in model.trainable_variables))


def require_finite(loss: float) -> None:
    """Refuse a training whose loss is not finite at the end."""
    if not np.isfinite(loss):
        raise FitError(f"diverged: the loss became {loss}")
