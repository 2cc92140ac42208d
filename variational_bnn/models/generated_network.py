"""A whole network whose weights a generator network makes of noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from variational_bnn.base import Network
from variational_bnn.models.backend import register, tf, tf_keras
from variational_bnn.models.random_numbers import standard_normal
from variational_bnn.models.whole_networks import RandomNetwork, model_of


@register
class GeneratedNetwork(RandomNetwork):
    """A network with weights G(e), of E standard normal numbers e and a generator G with one hidden layer of ReLUs.

    Args:
        network: The network, or the plain values of its `to_dict`.
        noise_size: E, >= 1.
        generator_units: H, the units of the generator's hidden layer, >= 1.
        initial_scale: Standard deviation of each weight at first, in units of its prior's, > 0.
        **kwargs: `seed` of the initial values and of the calls, and arguments of `tf_keras.layers.Layer`.
    """

    def __init__(
        self,
        network: Network | dict[str, Any],
        noise_size: int,
        generator_units: int,
        initial_scale: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, **kwargs)
        self.noise_size, self.generator_units = int(noise_size), int(generator_units)
        self.initial_scale = float(initial_scale)

    def build(self, input_shape: Any) -> None:
        """Make the variables of the generator."""
        size, noise, units = self.space.size, self.noise_size, self.generator_units
        seeds = [int(seed) for seed in np.random.SeedSequence(self.seed).generate_state(2)]
        of_noise = tf_keras.initializers.RandomNormal(stddev=1 / math.sqrt(noise), seed=seeds[0])
        # The ReLU of a standard normal number has the variance 1/2 - 1/(2 pi).
        scale = self.initial_scale / math.sqrt(units * (1 / 2 - 1 / (2 * math.pi)))
        of_units = tf_keras.initializers.RandomNormal(stddev=scale, seed=seeds[1])
        self.hidden_kernel = self.add_weight(name="hidden_kernel", shape=(noise, units), initializer=of_noise)
        self.hidden_bias = self.add_weight(name="hidden_bias", shape=(units,), initializer="zeros")
        self.kernel = self.add_weight(name="kernel", shape=(units, size), initializer=of_units)
        # The units of a layer must differ, so the weights start around a draw of the prior.
        around = tf.constant(self.space.prior_draws(1, self.seed)[0])
        self.bias = self.add_weight(name="bias", shape=(size,), initializer=lambda *_, **__: around)
        super().build(input_shape)

    def weights_of(self, noise: tf.Tensor) -> tf.Tensor:
        """The weights `[B, P]` of noise `[B, E]`, in units of the prior's standard deviations."""
        hidden = tf.nn.relu(tf.matmul(noise, self.hidden_kernel) + self.hidden_bias)
        return tf.matmul(hidden, self.kernel) + self.bias

    def draw(self, inputs: tf.Tensor, block: int, seed: tf.Tensor) -> tf.Tensor:
        """Make the weights of each draw, and compute its outputs."""
        noise = standard_normal([block, self.noise_size], seed, tf.float32)[: tf.shape(inputs)[0]]
        return self.space.outputs(self.weights_of(noise), inputs)

    def get_config(self) -> dict[str, Any]:
        """Plain values, from which the layer can be made."""
        own = {
            "noise_size": self.noise_size,
            "generator_units": self.generator_units,
            "initial_scale": self.initial_scale,
        }
        return {**super().get_config(), **own}


def generated_model(
    network: Network, noise_size: int, generator_units: int, initial_scale: float, seed: int
) -> tf_keras.Model:
    """Return the model of a network whose weights a generator makes; see `GeneratedNetwork`."""
    return model_of(
        GeneratedNetwork(network, noise_size, generator_units, initial_scale, seed=seed % 2**31, name="network")
    )
