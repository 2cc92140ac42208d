"""A network as a function of one vector z: all its weights and biases, each divided by its prior's standard deviation.

So the prior is z ~ N(0, I) for every network, and the density of the posterior, up to a constant, is

    log p(z given x, y) = log p(y given x, z) - |z|^2 / 2.

The methods that sample or optimise all weights at once use it. Priors and likelihoods are those of the builders.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from variational_bnn.base import Network
from variational_bnn.base.checks import Array
from variational_bnn.models.backend import tf, tf_keras, tfd


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightSpace:
    """The space of z `[P]`, made by `WeightSpace.of`.

    Layer by layer, z holds the weights `[fan-in, units]` and then the biases `[units]`. Parameters of the likelihood
    that all rows share (a learned noise level) come last; they have the prior of a bias, since exact methods need one.

    Attributes:
        network: The network, with its prior and its likelihood.
        shapes: `(fan-in + 1, units)` of each layer.
        prior_scales: `[P]`, the standard deviation of the prior of each weight.
    """

    network: Network
    shapes: tuple[tuple[int, int], ...]
    prior_scales: Array

    @classmethod
    def of(cls, network: Network) -> WeightSpace:
        """Return the space of the weights of a network."""
        likelihood, outputs = network.likelihood, network.output_size
        units = [math.prod(network.input_shape), *network.hidden_units, likelihood.num_parameters(outputs)]
        shapes = tuple((fan_in + 1, out) for fan_in, out in itertools.pairwise(units))
        scales = [
            np.repeat([1 / math.sqrt(rows - 1) if network.scale_prior_by_fan_in else 1.0, 1.0], [(rows - 1) * out, out])
            for rows, out in shapes
        ]
        shared = np.ones(likelihood.num_shared_parameters(outputs))
        return cls(network=network, shapes=shapes, prior_scales=network.prior_scale * np.concatenate([*scales, shared]))

    @property
    def size(self) -> int:
        """Size P of z."""
        return len(self.prior_scales)

    def prior_draws(self, count: int, seed: int) -> npt.NDArray[np.float32]:
        """Draw z from the prior, `[count, P]`: the starting values of chains, ensembles and optimisations."""
        return np.random.default_rng(seed).standard_normal((count, self.size), dtype=np.float32)

    @property
    def num_outputs(self) -> int:
        """Number of outputs K: the likelihood's parameters of a row, and those that all rows share."""
        likelihood, outputs = self.network.likelihood, self.network.output_size
        return likelihood.num_parameters(outputs) + likelihood.num_shared_parameters(outputs)

    def outputs(self, z: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Compute outputs `[..., N, K]` of networks z `[..., P]` at x `[..., N, F]`, the shared ones in each row."""
        weights = z * tf.constant(self.prior_scales, z.dtype)
        *layers, shared = tf.split(weights, [*map(math.prod, self.shapes), -1], axis=-1)
        activation = tf_keras.activations.get(self.network.activation)
        h = x
        for i, (values, (rows, units)) in enumerate(zip(layers, self.shapes, strict=True)):
            h = activation(h) if i else h
            matrix = tf.reshape(values, tf.concat([tf.shape(z)[:-1], [rows, units]], 0))
            h = tf.matmul(h, matrix[..., :-1, :]) + matrix[..., -1:, :]
        if not shared.shape[-1]:
            return h
        in_every_row = tf.broadcast_to(shared[..., None, :], tf.concat([tf.shape(h)[:-1], tf.shape(shared)[-1:]], 0))
        return tf.concat([h, in_every_row], -1)

    def distribution(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Return the distribution of y `[..., N, D]` by outputs `[..., N, K]`."""
        likelihood, output_size = self.network.likelihood, self.network.output_size
        size = likelihood.num_parameters(output_size)
        return likelihood.distribution(outputs[..., :size], outputs[..., size:], (output_size,))

    def log_likelihood(self, z: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Compute log p(y given x, z) `[...]`, summed over the rows of y `[N, D]`."""
        return tf.reduce_sum(self.distribution(self.outputs(z, x)).log_prob(y), -1)

    def log_prior(self, z: tf.Tensor) -> tf.Tensor:
        """Compute log p(z) `[...]`, up to a constant."""
        return -tf.reduce_sum(z**2, -1) / 2
