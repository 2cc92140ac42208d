"""Monte Carlo dropout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf, tf_keras
from variational_bnn.models.builders.assembly import assemble, dense


@dataclass(frozen=True, kw_only=True)
class Dropout(GradientMethod):
    """Dropout of hidden units, in training and in prediction; a draw is a mask, the same at every x.

    Gal & Ghahramani 2016, arXiv 1506.02142. The penalty makes the training variational inference under the network's
    prior: |b|^2 / (2 s^2) of the biases and, times the share of the units that stay, |w|^2 / (2 s^2 / fan-in) of the
    weights, over the number of examples. Inputs are never dropped.

    Attributes:
        rate: Share of the hidden units that a mask drops.
    """

    rate: float = 0.05

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.rate) and self.rate < 1, f"rate must be > 0 and < 1, got {self.rate!r}")

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """It needs hidden units."""
        return None if network.hidden_units else "it needs hidden units, got hidden_units=()"

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the network under masks, with the penalty that makes this variational inference.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset or has no hidden units.
        """
        return self.train(partial(_build, rate=self.rate), dataset, network, seed)


def _build(network: Network, num_examples: int, *, rate: float, seed: int) -> tf_keras.Model:
    def penalised(units: int, activation: str | None, seed: int, name: str, kept: float = 1 - rate) -> Any:
        def layer(inputs: tf.Tensor) -> tf.Tensor:
            strength = 1 / (2 * network.prior_scale**2 * num_examples)
            fan_in = inputs.shape[-1] if network.scale_prior_by_fan_in else 1
            penalties = {
                "kernel_regularizer": tf_keras.regularizers.L2(kept * fan_in * strength),
                "bias_regularizer": tf_keras.regularizers.L2(strength),
            }
            return dense(units, activation, seed, name, **penalties)(inputs)

        return layer

    def hidden(units: int, activation: str | None, seed: int, name: str) -> Any:
        units_before = penalised(units, activation, seed, name, kept=1.0 if name == "hidden_1" else 1 - rate)
        drop = tf_keras.layers.Dropout(rate, seed=seed, name=f"{name}_dropout")
        return lambda inputs: drop(units_before(inputs))

    return assemble(network, num_examples, seed, "dropout", hidden=hidden, output=penalised)
