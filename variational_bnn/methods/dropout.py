"""Monte Carlo dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require
from variational_bnn.methods.training import Builder, ModelMethod
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.builders.assembly import assemble, dense
from variational_bnn.models.dropout import SeededDropout
from variational_bnn.models.point_prior import NormalPrior


@dataclass(frozen=True, kw_only=True)
class Dropout(ModelMethod):
    """Monte Carlo dropout: function samples differ by the hidden units that are dropped.

    Hidden units are dropped in training and in prediction. A function sample is one mask of the units, the same at
    every x. Inputs are never dropped.

    With its penalty the training is variational inference under the network's prior of scale s (Gal & Ghahramani 2016,
    arXiv 1506.02142): |b|^2 / (2 s^2) of the biases and, times the share of the units below that are kept, |w|^2 / (2
    s^2 / fan-in) of the weights, over the number of examples.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        rate: Probability with which each hidden unit is dropped, > 0 and < 1.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset,
            or has no hidden units.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Dropout(rate=0.1, steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    rate: float = 0.05

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.rate) and self.rate < 1, f"rate must be > 0 and < 1, got {self.rate!r}")

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network is not supported: it has no hidden units. None if it has some."""
        return None if network.hidden_units else "it needs hidden units, got hidden_units=()"

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of networks under masks, with the penalty that makes this variational inference."""
        return partial(_build, rate=self.rate), network


def _build(network: Network, num_examples: int, *, rate: float, seed: int) -> tf_keras.Model:
    def penalised(units: int, activation: str | None, seed: int, name: str, kept: float = 1 - rate) -> Any:
        narrower = network.prior_scale / math.sqrt(kept)  # So its penalty is `kept` times that of the prior.
        of_kernel = NormalPrior(narrower, num_examples, network.scale_prior_by_fan_in)
        of_bias = NormalPrior(network.prior_scale, num_examples)
        return dense(units, activation, seed, name, kernel_regularizer=of_kernel, bias_regularizer=of_bias)

    def hidden(units: int, activation: str | None, seed: int, name: str) -> Any:
        units_before = penalised(units, activation, seed, name, kept=1.0 if name == "hidden_1" else 1 - rate)
        drop = SeededDropout(rate, seed=seed, name=f"{name}_dropout")
        return lambda inputs: drop(units_before(inputs))

    return assemble(network, num_examples, seed, "dropout", hidden=hidden, output=penalised)
