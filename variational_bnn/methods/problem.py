"""What the methods share: standardised rows on the way in, and predictions in the dataset's units on the way out."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

from variational_bnn.base import Dataset, Diagnostics, FitError, Network, Predictive, require_compatible
from variational_bnn.base.checks import Array, Float32Array, require
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.prediction.predict import predict, sample_functions
from variational_bnn.prediction.random_variables import num_random_variables


def scalers_of(dataset: Dataset, *, standardise: bool, discrete: bool) -> tuple[StandardScaler, StandardScaler]:
    """The scalers of the inputs and of the targets, fitted to the training rows.

    Args:
        dataset: The training rows.
        standardise: Whether columns are given mean 0 and standard deviation 1; otherwise they stay as they are.
        discrete: Whether the targets are numbers of classes, or 0 or 1: they stay as they are in any case.
    """
    unit = np.array([[-1.0], [1.0]])  # Of mean 0 and standard deviation 1: a scaler fitted to it changes nothing.
    x = dataset.x if standardise else unit.repeat(dataset.x.shape[1], axis=1)
    y = dataset.y if standardise and not discrete else unit.repeat(dataset.y.shape[1], axis=1)
    return StandardScaler().fit(x), StandardScaler().fit(y)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelPosterior:
    """A Keras model of standardised values as a posterior in the units of the dataset; a `base.Posterior`.

    Attributes:
        model: From standardised inputs to a distribution of standardised targets.
        x_scaler: Scaler of the inputs.
        y_scaler: Scaler of the targets.
        diagnostics: The posterior's size and, of Markov chains, how they went.
        weights: The kept draws `[draws, chains, P]` of Markov chains, in units of the prior's standard deviations, in
            the order of `models.weight_space.WeightSpace`; None for other methods.
    """

    model: tf_keras.Model
    x_scaler: StandardScaler
    y_scaler: StandardScaler
    diagnostics: Diagnostics
    weights: Float32Array | None = None

    def with_note(self, note: str) -> ModelPosterior:
        """The same posterior, with a note in its diagnostics."""
        return dataclasses.replace(self, diagnostics=dataclasses.replace(self.diagnostics, note=note))

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at inputs `[N, F]`, in the units of y."""
        standard = predict(self.model, self.x_scaler.transform(x), num_samples=num_samples, seed=seed)
        return standard.in_units(shift=self.y_scaler.mean_, scale=self.y_scaler.scale_)

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Array:
        """Function samples `[S, N, D]`, in the units of y."""
        standard = sample_functions(self.model, self.x_scaler.transform(x), num_samples=num_samples, seed=seed)
        return np.asarray(self.y_scaler.mean_ + self.y_scaler.scale_ * standard)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A network and the rows to fit it to, standardised or as they are; made by `Problem.of`.

    Attributes:
        network: With known noise, if any, in the units of `y` below.
        x: Inputs `[N, F]`.
        y: Targets `[N, D]`.
        x_scaler: From the units of the dataset to those of `x`.
        y_scaler: From the units of the dataset to those of `y`.
    """

    network: Network
    x: Float32Array
    y: Float32Array
    x_scaler: StandardScaler
    y_scaler: StandardScaler

    @classmethod
    def of(cls, dataset: Dataset, network: Network, *, standardise: bool) -> Problem:
        """Scale the training rows, and the noise if it is known in the units of y; the number of a class stays.

        Raises:
            ValueError: If the network does not fit the dataset.
        """
        require_compatible(network, dataset)
        x_scaler, y_scaler = scalers_of(dataset, standardise=standardise, discrete=network.likelihood.discrete)
        return cls(
            network=dataclasses.replace(network, likelihood=network.likelihood.in_units_of(y_scaler.scale_)),
            x=x_scaler.transform(dataset.x).astype(np.float32),
            y=y_scaler.transform(dataset.y).astype(np.float32),
            x_scaler=x_scaler,
            y_scaler=y_scaler,
        )

    @property
    def space(self) -> WeightSpace:
        """The space of the network's weights."""
        return WeightSpace.of(self.network)

    def posterior(self, model: tf_keras.Model, num_parameters: int | None = None) -> ModelPosterior:
        """The posterior that a model of the scaled values is; its parameters are the trained ones unless given."""
        likelihood = self.network.likelihood.in_units_of(1 / self.y_scaler.scale_)  # In the units of the dataset.
        diagnostics = dataclasses.replace(diagnostics_of(model), likelihood=str(likelihood))
        if num_parameters is not None:
            diagnostics = dataclasses.replace(diagnostics, num_parameters=num_parameters)
        return ModelPosterior(model=model, x_scaler=self.x_scaler, y_scaler=self.y_scaler, diagnostics=diagnostics)


def diagnostics_of(model: tf_keras.Model) -> Diagnostics:
    """How many numbers of a model are trained, and how many are drawn for a function sample."""
    return Diagnostics(
        num_parameters=sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
        num_random_variables=num_random_variables(model),
    )


@dataclass(frozen=True, kw_only=True)
class NetworkMethod(abc.ABC):
    """A method that fits the network, or one like it, to the rows of a dataset.

    Attributes:
        standardise: Whether inputs and targets are given mean 0 and standard deviation 1 on the training rows before
            the fit. The prior is then one of standardised values. Predictions are in the dataset's units either way.
    """

    standardise: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        require(isinstance(self.standardise, bool), f"standardise must be True or False, got {self.standardise!r}")

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the method cannot fit the network to the dataset, as a sentence; None if it can."""
        return None

    def exact(self, network: Network) -> bool:
        """Whether the posterior is the exact one of the network, so that other methods are compared with it."""
        return False

    @abc.abstractmethod
    def fit(self, dataset: Dataset, network: Network, seed: int) -> object:
        """The posterior given the training rows, in the units of the dataset."""

    def problem(self, dataset: Dataset, network: Network) -> Problem:
        """The network and the rows, scaled or not as the settings say.

        Raises:
            ValueError: If the network does not fit the dataset, or the method does not support it.
        """
        reason = self.supports(dataset, network)
        require(reason is None, str(reason))
        return Problem.of(dataset, network, standardise=self.standardise)


def reason_against_moments(network: Network) -> str | None:
    """Why a network's moments are not known in closed form, by its likelihood or its activation; None if they are."""
    if not isinstance(network.likelihood, Normal):
        return f"it needs a Normal likelihood, got {network.likelihood!r}"
    known = not network.hidden_units or network.activation in ("linear", "relu")
    return None if known else f"its activation must be linear or relu, got {network.activation}"


def require_finite(loss: float) -> None:
    """Raise a `FitError` if the loss is not finite at the end of a fit."""
    if not np.isfinite(loss):
        raise FitError(f"diverged: the loss became {loss}")
