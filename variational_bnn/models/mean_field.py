"""Layers whose weights and biases have a mean-field normal posterior: the posterior, the prior and their KL.

What such a layer computes (`dense.py`, `convolutions.py`) and how it draws in training (`estimators.py`) are apart: a
layer has one class of each as bases.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.models.backend import tf, tf_keras, tfd, tfp
from variational_bnn.models.random_numbers import RandomNumbers, Shape
from variational_bnn.models.stochastic import Variational, positive_scale, softplus_inverse

NUM_EXAMPLES = """\
    num_examples: Number of rows N that the model will be trained on. The KL is divided by it, since Keras averages the
        negative log-likelihood over the rows.
"""
ARGUMENTS = """\
    activation: A Keras activation, or its name, that is applied to the outputs; None for a linear layer.
    use_bias: Whether there are biases.
    prior_scale: s, > 0.
    scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.
    initial_scale: Posterior standard deviation of each weight and bias at the start, divided by that of its prior, > 0.
        Small values start near a network of point weights.
    seed: Seed of the initial values and of the random numbers; None takes one from the operating system.
    kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered posterior.
    **kwargs: Of `tf_keras.layers.Layer`, such as `name`.
"""
ATTRIBUTES = """\
    kl: KL of the last call divided by `num_examples`, a scalar tensor.
    kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets.
    draws: Number of calls so far, a scalar variable that is saved with the weights.
"""
"""What the docstrings of the layers say of the arguments and attributes that all have."""


class MeanField(Variational):
    """The base class of the layers with random weights and biases.

    The weights of all kinds of layers are stored as a matrix `[fan-in, units]`, to which the biases are added as a last
    row: they are the weights of a constant input of one. The kernel and the bias that TFP's layers have are views of
    this matrix.

    Args:
        *args: What TFP's layer has as its first arguments, such as its number of units.
        num_examples: Number of rows N that the model will be trained on. The KL is divided by it.
        activation: A Keras activation or its name; None for a linear layer.
        use_bias: Whether there are biases.
        prior_scale: s, > 0.
        scale_prior_by_fan_in: Whether the prior variance of the weights is s^2 / fan-in instead of s^2.
        initial_scale: Posterior standard deviation at the start, divided by that of the prior, > 0.
        **kwargs: `seed`, `kl_weight`, further arguments of TFP's layer and of `tf_keras.layers.Layer`.

    Raises:
        ValueError: If `num_examples` is not a whole number >= 1, or `prior_scale` or `initial_scale` is not > 0.
    """

    kind = "weights"

    def __init__(
        self,
        *args: Any,
        num_examples: int,
        activation: Any = None,
        use_bias: bool = True,
        prior_scale: float = 1.0,
        scale_prior_by_fan_in: bool = True,
        initial_scale: float = 0.1,
        **kwargs: Any,
    ) -> None:
        require_count("num_examples", num_examples)
        require(is_positive(prior_scale), f"prior_scale must be > 0, got {prior_scale!r}")
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        self._numbers = {
            "num_examples": int(num_examples),
            "use_bias": bool(use_bias),
            "prior_scale": float(prior_scale),
            "scale_prior_by_fan_in": bool(scale_prior_by_fan_in),
            "initial_scale": float(initial_scale),
        }
        super().__init__(
            *args,
            activation=activation,
            kernel_posterior_fn=self._posterior_of,
            kernel_prior_fn=self._prior_of,
            bias_posterior_fn=self._posterior_of if use_bias else None,
            bias_prior_fn=self._prior_of if use_bias else None,
            **kwargs,
        )

    @property
    def num_examples(self) -> int:
        """Number of rows N by which the KL is divided."""
        return int(self._numbers["num_examples"])

    @property
    def use_bias(self) -> bool:
        """Whether there are biases."""
        return bool(self._numbers["use_bias"])

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        activation = tf_keras.activations.serialize(self.activation)
        return {"activation": activation, **self._numbers, **super().settings()}

    def build_weights(self, fan_in: int, units: int) -> None:
        """Make the variables of the posterior.

        Args:
            fan_in: Number of inputs of each unit.
            units: Number of units.
        """
        numbers = self._numbers
        kernel_scale = numbers["prior_scale"] / np.sqrt(fan_in if numbers["scale_prior_by_fan_in"] else 1)
        self.prior_scales = np.array([[kernel_scale]] * fan_in + [[numbers["prior_scale"]]] * self.use_bias)
        # In the precision of variables also within a call: half precision is too coarse for a KL.
        shared = {"shape": (len(self.prior_scales), units), "experimental_autocast": False}
        self.loc = self.add_weight(name="posterior_loc", initializer=self._initial_loc, **shared)
        self.raw_scale = self.add_weight(name="posterior_raw_scale", initializer=self._initial_raw_scale, **shared)

    def _initial_loc(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        return initial_means(shape, dtype, self.noise_seed, int(self.use_bias))

    def _initial_raw_scale(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        raw = [[softplus_inverse(self._numbers["initial_scale"] * scale)] for [scale] in self.prior_scales]
        return tf.broadcast_to(tf.constant(raw, dtype), shape)

    def _prior_of(self, dtype: tf.DType, shape: list[int], name: str, *_: Any) -> tfd.Distribution:
        scale = tf.broadcast_to(tf.constant(self.prior_scales, dtype), self.loc.shape)
        prior = tfd.Normal(tf.zeros(shape, dtype), _part(scale, shape))
        return tfd.Independent(prior, reinterpreted_batch_ndims=len(shape), name=name)

    def _posterior_of(self, dtype: tf.DType, shape: list[int], name: str, *_: Any) -> tfd.Distribution:
        loc = tfp.util.DeferredTensor(self.loc, lambda loc: _part(loc, shape), shape=shape)
        scale = tfp.util.DeferredTensor(self.raw_scale, lambda raw: positive_scale(_part(raw, shape)), shape=shape)
        return tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=len(shape), name=name)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the outputs of a batch, and add the KL to the loss."""
        inputs = tf.convert_to_tensor(inputs, self.compute_dtype)
        weights = self.posterior()
        outputs = self.draw(inputs, weights, self.random(inputs))
        self.add_kl(self._kl(weights) / self.num_examples)
        return self.activation(outputs)

    def posterior(self) -> tfd.Distribution:
        """The normal posterior of the weights and, in the last row, the biases; batch shape `[fan-in + 1, units]`."""
        return tfd.Normal(tf.convert_to_tensor(self.loc), positive_scale(self.raw_scale))

    def weights_kl(self) -> tf.Tensor:
        """KL(q || prior) of all weights and biases in nats, a scalar, in closed form; not divided by `num_examples`."""
        return self._kl(self.posterior())

    def _kl(self, weights: tfd.Distribution) -> tf.Tensor:
        prior = tfd.Normal(tf.zeros((), weights.dtype), tf.constant(self.prior_scales, weights.dtype))
        return tf.reduce_sum(tfd.kl_divergence(weights, prior))

    @abc.abstractmethod
    def linear(self, inputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """What the layer computes before the activation, with weights of certain values.

        Args:
            inputs: Inputs, as `draw` takes them.
            weights: Values `[fan-in + 1, units]`.
        """

    @abc.abstractmethod
    def sign_shape(self, inputs: tf.Tensor) -> tuple[Shape, int]:
        """Shape of what has random signs of its own in Flipout, and how many signs that is on the side of the inputs.

        Args:
            inputs: Inputs, as `draw` takes them.
        """

    @abc.abstractmethod
    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, random: RandomNumbers) -> tf.Tensor:
        """Draw the outputs of a batch before the activation.

        Args:
            inputs: Inputs of the batch; those of a dense layer with the constant input of its biases.
            weights: The posterior, as from `posterior()`.
            random: The random numbers of the call.
        """


def initial_means(shape: Any, dtype: tf.DType, seed: int, biases: int) -> tf.Tensor:
    """Posterior means of a matrix at the start: those of a dense layer of Keras, and zeros in the last rows, of biases.

    Args:
        shape: Of the matrix, `(fan-in + biases, units)`.
        dtype: Of the means.
        seed: Of the means of the weights.
        biases: How many rows are biases, 0 or 1.
    """
    kernel = tf_keras.initializers.VarianceScaling(seed=seed)([shape[0] - biases, shape[1]], dtype)
    return tf.concat([kernel, tf.zeros([biases, shape[1]], dtype)], 0)


def _part(values: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """The kernel or the bias among values `[fan-in + 1, units]`, in its shape, which says which of the two it is."""
    return values[-1] if len(shape) == 1 else tf.reshape(values[: int(np.prod(shape[:-1]))], shape)


def described(text: str) -> Callable[[type], type]:
    """Decorator of a class that adds sections to its docstring, in which NAME is the name of the class.

    Args:
        text: The sections that several classes share.
    """

    def with_sections(kind: type) -> type:
        kind.__doc__ = f"{inspect.cleandoc(kind.__doc__ or '')}\n\n{text.replace('NAME', kind.__name__)}"
        return kind

    return with_sections
