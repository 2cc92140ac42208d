"""Variational dropout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import Builder, ModelMethod
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.builders.assembly import assemble
from variational_bnn.models.random_matrix import DenseVariationalDropout

NOTE = "no posterior: its prior is improper"


@dataclass(frozen=True, kw_only=True)
class VariationalDropout(ModelMethod):
    """Variational dropout: multiplicative normal noise of the weights, whose rates are learned.

    Each weight is N(loc, alpha loc^2), and alpha is learned for each input of a layer (Kingma, Salimans & Welling 2015,
    arXiv 1506.02557; see `DenseVariationalDropout`). The network's prior is not used: that of each weight is uniform in
    log|w|. It is improper, and in general so is the posterior: what is trained is no approximation of any posterior
    (Hron, Matthews & Ghahramani 2018, arXiv 1807.01969), which `Diagnostics.note` says too. A function sample is one
    draw of the weights.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        initial_rate: Rate of the dropout with as much noise as there is before the training, > 0 and < 0.5.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.VariationalDropout(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    initial_rate: float = 0.05

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        rate = self.initial_rate
        require(is_positive(rate) and rate < 0.5, f"initial_rate must be > 0 and < 0.5, got {rate!r}")

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of layers with multiplicative noise."""
        return partial(_build, initial_rate=self.initial_rate), network

    def finished(self, posterior: ModelPosterior, dataset: Dataset, network: Network) -> ModelPosterior:
        """The posterior, with a note that it is none."""
        return posterior.with_note(NOTE)


def _build(network: Network, num_examples: int, *, seed: int, initial_rate: float) -> tf_keras.Model:
    def layer(units: int, activation: str | None, seed: int, name: str) -> Any:
        return DenseVariationalDropout(units, num_examples, activation, initial_rate, seed=seed, name=name)

    return assemble(network, num_examples, seed, "variational_dropout", hidden=layer, output=layer)
