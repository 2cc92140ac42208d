"""Dropout whose masks come from the random numbers of this package."""

from __future__ import annotations

from typing import Any

from variational_bnn.models.backend import register, tf, tf_keras
from variational_bnn.models.random_numbers import sizes_of
from variational_bnn.models.stochastic import Stochastic


@register
class SeededDropout(Stochastic, tf_keras.layers.Dropout):
    """Dropout (Srivastava et al. 2014) whose masks depend on the layer's seed alone, not on TensorFlow's global seed.

    In training each element of the inputs is dropped with a probability, independently, and the others are divided by
    the probability of being kept.

    Args:
        rate: Probability with which an element is dropped.
        seed: Seed of the masks; None takes one from the entropy of the operating system.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.
    """

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Drop elements of the inputs in training; otherwise the inputs as they are."""
        if not training:
            return inputs
        inputs = tf.convert_to_tensor(inputs)
        kept = self.random(inputs).uniform(sizes_of(inputs), inputs.dtype) >= self.rate
        return tf.where(kept, inputs / (1 - self.rate), 0)

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        return {"rate": self.rate, **super().settings()}
