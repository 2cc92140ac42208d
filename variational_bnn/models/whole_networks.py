"""Whole networks as layers, with a posterior of all weights at once: results of Markov chains, ensembles and Laplace.

The outputs of such a layer are the parameters of the likelihood `[..., K]`, with the shared ones in the last columns,
for a `LikelihoodHead`.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from variational_bnn.base import Network
from variational_bnn.base.checks import Floats, require_count
from variational_bnn.models.backend import register, tf, tf_keras
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import likelihood_from_dict
from variational_bnn.models.random_numbers import standard_normal, standard_uniform
from variational_bnn.models.weight_space import WeightSpace


class RandomNetwork(tf_keras.layers.Layer, abc.ABC):
    """A network whose weights are random; a call draws them once for the whole batch.

    Args:
        network: The network, or the plain values of its `to_dict`.
        seed: Seed of the calls.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.
    """

    def __init__(self, network: Network | dict[str, Any], seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})  # That of the weight vectors.
        if isinstance(network, dict):
            network = Network(**{**network, "likelihood": likelihood_from_dict(network["likelihood"])})
        self.space, self.seed = WeightSpace.of(network), int(seed)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compute the outputs `[R, K]` of one draw at inputs `[R, F]`."""
        seed = tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32, seed=self.seed)
        return self.draw(tf.convert_to_tensor(inputs)[None], 1, seed)[0]

    @abc.abstractmethod
    def draw(self, inputs: tf.Tensor, block: int, seed: tf.Tensor) -> tf.Tensor:
        """Compute the outputs `[B, R, K]` of the first B draws of a block, each at its own inputs.

        Args:
            inputs: Inputs `[B, R, F]`.
            block: Number of draws of the whole block, at least B.
            seed: Stateless seed `[2]` of the block.
        """

    def get_config(self) -> dict[str, Any]:
        """Plain values, from which the layer can be made."""
        return {**super().get_config(), "network": self.space.network.to_dict(), "seed": self.seed}


@register
class SampledNetwork(RandomNetwork):
    """A network with T weight vectors of equal probability: the members of an ensemble or the draws of Markov chains.

    A block of draws takes all of them in random order, then all of them in another random order, and so on, so that
    each is drawn equally often.

    Args:
        network: The network, or the plain values of its `to_dict`.
        count: T, >= 1.
        **kwargs: `seed` of the calls, and arguments of `tf_keras.layers.Layer` such as `name`.

    Raises:
        ValueError: If `count` is not a whole number >= 1.
    """

    def __init__(self, network: Network | dict[str, Any], count: int, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        require_count("count", count)
        self.count = int(count)

    def build(self, input_shape: Any) -> None:
        """Make the variable of the weight vectors, `[T, P]` as in `WeightSpace`."""
        shape = (self.count, self.space.size)
        self.samples = self.add_weight(name="samples", shape=shape, initializer="zeros", trainable=False)
        super().build(input_shape)

    def draw(self, inputs: tf.Tensor, block: int, seed: tf.Tensor) -> tf.Tensor:
        """Choose a weight vector for each draw, and compute its outputs."""
        rounds = standard_uniform([-(-block // self.count), self.count], seed, tf.float32)
        picks = tf.reshape(tf.argsort(rounds), [-1])[: tf.shape(inputs)[0]]
        return self.space.outputs(tf.gather(self.samples, picks), inputs)

    def get_config(self) -> dict[str, Any]:
        """Plain values, from which the layer can be made."""
        return {**super().get_config(), "count": self.count}


@register
class NormalNetwork(RandomNetwork):
    """A network with normal weights, N(loc, diag(scale^2) + root root^T).

    Args:
        network: The network, or the plain values of its `to_dict`.
        rank: R, the number of columns of the root, >= 0.
        diagonal: Whether there is a scale; otherwise it is zero.
        **kwargs: `seed` of the calls, and arguments of `tf_keras.layers.Layer` such as `name`.
    """

    def __init__(self, network: Network | dict[str, Any], rank: int = 0, diagonal: bool = True, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.rank, self.diagonal = int(rank), bool(diagonal)

    @property
    def num_random(self) -> int:
        """How many normal numbers make a draw."""
        return self.rank + self.diagonal * self.space.size

    def build(self, input_shape: Any) -> None:
        """Make the variables: loc `[P]`, scale `[P]` if there is one, and root `[P, R]`."""
        size = self.space.size
        self.loc = self.add_weight(name="loc", shape=(size,), initializer="zeros", trainable=False)
        if self.diagonal:
            self.scale = self.add_weight(name="scale", shape=(size,), initializer="zeros", trainable=False)
        self.root = self.add_weight(name="root", shape=(size, self.rank), initializer="zeros", trainable=False)
        super().build(input_shape)

    def draw(self, inputs: tf.Tensor, block: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw the weights of each draw, and compute its outputs."""
        noise = standard_normal([block, self.num_random], seed, tf.float32)[: tf.shape(inputs)[0]]
        steps = tf.matmul(noise[:, : self.rank], self.root, transpose_b=True)
        if self.diagonal:
            steps += self.scale * noise[:, self.rank :]
        return self.outputs(steps, inputs)

    def outputs(self, steps: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Compute the outputs `[B, R, K]` of networks whose weights are steps `[B, P]` from loc."""
        return self.space.outputs(self.loc + steps, inputs)

    def get_config(self) -> dict[str, Any]:
        """Plain values, from which the layer can be made."""
        return {**super().get_config(), "rank": self.rank, "diagonal": self.diagonal}


@register
class LinearisedNetwork(NormalNetwork):
    """The tangent of a network at loc, with normal weights: f(x; loc) + J(x) (weights - loc).

    The predictions of a Laplace approximation (Immer, Korzepa & Bauer 2021, arXiv 2008.08216).
    """

    def outputs(self, steps: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Compute the outputs `[B, R, K]` of the tangent, of weights that are steps `[B, P]` from loc."""
        at = tf.zeros_like(steps) + self.loc
        with tf.autodiff.ForwardAccumulator(at, steps) as tangent:
            outputs = self.space.outputs(at, inputs)
        return outputs + tangent.jvp(outputs)


def sampled_model(network: Network, samples: Floats) -> tf_keras.Model:
    """Return the model of a network whose weights are one of the vectors `[T, P]`, with equal probability."""
    return _with_values(SampledNetwork(network, len(samples), name="network"), {"samples": samples})


def normal_model(
    network: Network, loc: Floats, *, scale: Floats | None = None, root: Floats | None = None, linearised: bool = False
) -> tf_keras.Model:
    """Return the model of a network with weights N(loc, diag(scale^2) + root root^T).

    Args:
        network: The network.
        loc: `[P]`, as in `WeightSpace`.
        scale: `[P]`; None for zeros.
        root: `[P, R]`; None for zeros.
        linearised: Whether draws are along the network's tangent at loc.
    """
    values = {name: value for name, value in (("loc", loc), ("scale", scale), ("root", root)) if value is not None}
    kind = LinearisedNetwork if linearised else NormalNetwork
    rank = 0 if root is None else root.shape[1]
    return _with_values(kind(network, rank=rank, diagonal=scale is not None, name="network"), values)


def model_of(layer: RandomNetwork) -> tf_keras.Model:
    """Return the model of a random network, with the likelihood of the network."""
    network = layer.space.network
    inputs = tf_keras.Input(network.input_shape, name="x")
    flat = inputs if len(network.input_shape) == 1 else tf_keras.layers.Flatten(name="flatten")(inputs)
    outputs = LikelihoodHead(network.likelihood, network.output_size, name="y")(layer(flat))
    return tf_keras.Model(inputs, outputs)


def _with_values(layer: RandomNetwork, values: dict[str, Floats]) -> tf_keras.Model:
    model = model_of(layer)
    for name, value in values.items():
        getattr(layer, name).assign(value.astype(np.float32))
    return model
