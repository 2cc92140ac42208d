"""The prior of point weights: a penalty that makes a fit the mode of the posterior, instead of maximum likelihood."""

from __future__ import annotations

import math
from typing import Any

from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.models.backend import layers_of, register, tf, tf_keras


@register
class NormalPrior(tf_keras.regularizers.Regularizer):
    """A Keras regulariser of point weights w: -log p(w) / N for the prior N(0, s^2), or N(0, s^2 / fan-in).

    The constant of the density is left out, so that the penalty is `|w|^2 / (2 s^2) / N`, 0 where all weights are 0.
    Beside the mean negative log-likelihood it makes the loss that of the mode of the posterior (MAP, the maximum a
    posteriori estimate). `VariationalModel` shows the sum of these penalties of all kernels and
    biases as `prior_penalty`.

    Args:
        prior_scale: s, > 0.
        num_examples: Number of rows N that the model will be trained on.
        scale_by_fan_in: Whether the prior variance is divided by the fan-in, the product of all sizes of the weights
            but the last.

    Raises:
        ValueError: If `prior_scale` is not > 0, or `num_examples` is not a whole number >= 1.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> prior = vbnn.NormalPrior(prior_scale=2.0, num_examples=10)
        >>> dense = tf_keras.layers.Dense(8, kernel_regularizer=prior)
        >>> float(prior(np.array([[3.0, 1.0]])))
        0.125
    """

    def __init__(self, prior_scale: float, num_examples: int, scale_by_fan_in: bool = False) -> None:
        require(is_positive(prior_scale), f"prior_scale must be > 0, got {prior_scale!r}")
        require_count("num_examples", num_examples)
        self.prior_scale, self.num_examples = float(prior_scale), int(num_examples)
        self.scale_by_fan_in = bool(scale_by_fan_in)

    def __call__(self, weights: tf.Tensor) -> tf.Tensor:
        """The penalty of weights of any shape, in nats per example, a scalar."""
        fan_in = math.prod(weights.shape[:-1]) if self.scale_by_fan_in else 1
        return fan_in / (2 * self.prior_scale**2 * self.num_examples) * tf.reduce_sum(tf.square(weights))

    def get_config(self) -> dict[str, Any]:
        """Plain values of the arguments."""
        return {
            "prior_scale": self.prior_scale,
            "num_examples": self.num_examples,
            "scale_by_fan_in": self.scale_by_fan_in,
        }


def priors_of(model: tf_keras.Model) -> list[tuple[Any, NormalPrior, tf.Variable]]:
    """The layers of a model whose point weights have a `NormalPrior`, each with the prior and these weights."""
    found = [
        (layer, getattr(layer, f"{name}_regularizer", None), getattr(layer, name, None))
        for layer in layers_of(model)
        for name in ("kernel", "bias", "shared")
    ]
    return [(layer, prior, w) for layer, prior, w in found if isinstance(prior, NormalPrior) and w is not None]


def prior_penalties(model: tf_keras.Model) -> list[tf.Tensor]:
    """The penalties of all point weights of a model that have a `NormalPrior`, scalars in nats per example."""
    return [prior(weights) for _, prior, weights in priors_of(model)]
