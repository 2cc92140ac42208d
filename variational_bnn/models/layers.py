"""The variational layers: whatever is random in a model, and the one place where its KL enters the loss.

TFP's own estimators cannot be saved, start two layers of one shape from equal values, leave the bias a point, and, with
local reparameterisation, turn to NaN on a row of zeros. The classes here are instances of them, configured by numbers.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np

from variational_bnn.base.checks import is_positive, require, require_count, require_kl_weight
from variational_bnn.models.backend import PACKAGE, tf, tf_keras, tfd, tfp

SCALE_FLOOR = 1e-5
"""Lower bound of every trained posterior scale, so that no KL or gradient is infinite."""

register = tf_keras.saving.register_keras_serializable(PACKAGE)


def softplus_inverse(scale: float) -> float:
    """The x of log(1 + e^x) = scale."""
    return float(scale + np.log(-np.expm1(-scale)))


class Stochastic(tf_keras.layers.Layer, abc.ABC):
    """A layer that draws: it owns its noise, and its share of the KL.

    The noise is a function of the layer's seed and of the number of draws so far, which is saved with the weights, so
    a loaded model goes on exactly as the saved one would have. Replicas of a distributed model draw apart.

    Attributes:
        kind: What is random: "weights" or "latents".
    """

    kind: ClassVar[str]

    def __init__(self, *args: Any, seed: int | None = None, kl_weight: float = 1.0, **kwargs: Any) -> None:
        """Check and keep the settings; a seed of None is drawn from the system's entropy."""
        super().__init__(*args, **kwargs)
        require_kl_weight(kl_weight)
        self.noise_seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        self._initial_kl_weight = float(kl_weight)

    def build(self, input_shape: Any) -> None:
        """Make the counter of draws and the KL's weight, which `KLAnnealing` moves."""
        self.draws = self.add_weight(
            name="draws",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.kl_weight = self.add_weight(
            name="kl_weight",
            shape=(),
            initializer=tf_keras.initializers.Constant(self._initial_kl_weight),
            trainable=False,
        )
        super().build(input_shape)

    def next_seed(self, inputs: tf.Tensor) -> tf.Tensor:
        """A stateless seed `[2]` that no other draw of this layer had; inputs that never come count for none."""
        with tf.control_dependencies([inputs]):
            seed = tf.stack([tf.constant(self.noise_seed, tf.int64), self.draws.assign_add(1)])
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            seed = tf.random.experimental.stateless_fold_in(seed, replica.replica_id_in_sync_group)
        return seed

    def add_kl(self, kl: tf.Tensor) -> None:
        """Add `kl_weight * kl` to the model's loss; kl is a scalar, in nats per example."""
        self.kl = kl
        self.add_loss(self.kl_weight * kl)

    def settings(self) -> dict[str, Any]:
        """The plain values of this layer's own arguments."""
        return {"seed": self.noise_seed, "kl_weight": self._initial_kl_weight}

    def get_config(self) -> dict[str, Any]:
        """Plain values alone: TFP's own configuration would store its functions as bytecode."""
        return {**tf_keras.layers.Layer.get_config(self), **self.settings()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Stochastic:
        """Make the layer from `get_config`."""
        return cls(**config)


class MeanFieldDense(Stochastic):
    """A dense layer with weights and biases q = N(loc, scale^2) each, and prior N(0, s^2 / fan-in) and N(0, s^2).

    What the subclasses share: the posterior family, the prior, the KL in closed form. They differ in how they draw the
    outputs in training; their outputs' marginal distributions, row by row, are the same. The biases are the last row of
    the weights, `[fan-in + 1, units]`, that of a constant input of one; TFP's kernel and bias are views of them.
    A layer that a model calls twice adds its KL twice.

    Args:
        units: Size of the output.
        num_examples: N by which the KL is divided, since Keras averages the log-likelihood over examples.
        activation: Name of a Keras activation.
        prior_scale: s.
        scale_prior_by_fan_in: Whether the weights' prior variance is divided by the fan-in.
        initial_scale: Posterior scale at the start, relative to the prior's.
        seed: Of the initial values and of the noise.
        kl_weight: Of the KL in the loss; 1 for the ELBO.
        **kwargs: Of `tf_keras.layers.Layer`.

    Raises:
        ValueError: If a size is not a whole number >= 1 or a scale is not > 0.
    """

    kind = "weights"

    def __init__(
        self,
        units: int,
        num_examples: int,
        activation: str | None = None,
        prior_scale: float = 1.0,
        scale_prior_by_fan_in: bool = True,
        initial_scale: float = 0.1,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_count("units", units)
        require_count("num_examples", num_examples)
        require(is_positive(prior_scale), f"prior_scale must be > 0, got {prior_scale!r}")
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        self._numbers = {
            "num_examples": int(num_examples),
            "prior_scale": float(prior_scale),
            "scale_prior_by_fan_in": bool(scale_prior_by_fan_in),
            "initial_scale": float(initial_scale),
        }
        super().__init__(
            units,
            activation=activation,
            kernel_posterior_fn=self._posterior_of,
            kernel_prior_fn=self._prior_of,
            bias_posterior_fn=self._posterior_of,
            bias_prior_fn=self._prior_of,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )

    @property
    def num_examples(self) -> int:
        """N, by which the KL is divided."""
        return int(self._numbers["num_examples"])

    def settings(self) -> dict[str, Any]:
        """The plain values of this layer's own arguments."""
        activation = tf_keras.activations.serialize(self.activation)
        return {"units": self.units, "activation": activation, **self._numbers, **super().settings()}

    def build(self, input_shape: Any) -> None:
        """Make the posterior's variables."""
        fan_in, numbers = int(input_shape[-1]), self._numbers
        kernel_scale = numbers["prior_scale"] / np.sqrt(fan_in if numbers["scale_prior_by_fan_in"] else 1)
        self._prior_scales = np.array([[kernel_scale]] * fan_in + [[numbers["prior_scale"]]])
        shape = (fan_in + 1, self.units)
        self.loc = self.add_weight(name="posterior_loc", shape=shape, initializer=self._initial_loc)
        self.raw_scale = self.add_weight(name="posterior_raw_scale", shape=shape, initializer=self._initial_raw_scale)
        super().build(input_shape)

    def _initial_loc(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        spread = tf_keras.initializers.VarianceScaling(seed=self.noise_seed)
        return tf.concat([spread([shape[0] - 1, shape[1]], dtype), tf.zeros([1, shape[1]], dtype)], 0)

    def _initial_raw_scale(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        raw = [[softplus_inverse(self._numbers["initial_scale"] * scale)] for [scale] in self._prior_scales]
        return tf.broadcast_to(tf.constant(raw, dtype), shape)

    def _prior_of(self, dtype: tf.DType, shape: list[int], name: str, *_: Any) -> tfd.Distribution:
        prior = tfd.Normal(tf.zeros(shape, dtype), _part(tf.constant(self._prior_scales, dtype), shape))
        return tfd.Independent(prior, reinterpreted_batch_ndims=len(shape), name=name)

    def _posterior_of(self, dtype: tf.DType, shape: list[int], name: str, *_: Any) -> tfd.Distribution:
        loc = tfp.util.DeferredTensor(self.loc, lambda loc: _part(loc, shape), shape=shape)
        scale = tfp.util.DeferredTensor(self.raw_scale, lambda raw: _scale(_part(raw, shape)), shape=shape)
        return tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=len(shape), name=name)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the outputs `[..., units]` of inputs `[..., fan-in]`."""
        inputs = tf.convert_to_tensor(inputs, self.compute_dtype)
        inputs_and_one = tf.concat([inputs, tf.ones_like(inputs[..., :1])], -1)
        weights = self.posterior()
        outputs = self.draw(inputs_and_one, weights, self.next_seed(inputs))
        self.add_kl(self._kl(weights) / self.num_examples)
        return self.activation(outputs)

    def posterior(self) -> tfd.Distribution:
        """The normal q of the weights and, last, the biases; its batch shape is `[fan-in + 1, units]`."""
        return tfd.Normal(tf.convert_to_tensor(self.loc), _scale(self.raw_scale))

    def weights_kl(self) -> tf.Tensor:
        """KL(q || prior) of all weights and biases, a scalar in nats, in closed form."""
        return self._kl(self.posterior())

    def _kl(self, weights: tfd.Distribution) -> tf.Tensor:
        prior = tfd.Normal(0.0, tf.constant(self._prior_scales, weights.dtype))
        return tf.reduce_sum(tfd.kl_divergence(weights, prior))

    @abc.abstractmethod
    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Draw the values before the activation of inputs `[..., fan-in + 1]`, the last of them one."""


def _part(values: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """The kernel's rows of `[fan-in + 1, units]`, or the bias's."""
    return values[:-1] if len(shape) == 2 else values[-1]


def _scale(raw: tf.Tensor) -> tf.Tensor:
    return SCALE_FLOOR + tf.nn.softplus(raw)


def _noise(shape: Any, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed, dtype=dtype)


@register
class DenseReparameterization(MeanFieldDense, tfp.layers.DenseReparameterization):
    """One draw of the weights for the whole batch: Bayes by Backprop (Blundell et al. 2015, arXiv 1505.05424)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """X W, with W = mean + sd * noise."""
        return tf.matmul(inputs, weights.loc + weights.scale * _noise(weights.loc.shape, seed, inputs.dtype))


@register
class DenseFlipout(MeanFieldDense, tfp.layers.DenseFlipout):
    """One perturbation for the batch, its signs flipped at random for each row (Wen et al. 2018, arXiv 1803.04386)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """X mean + ((X * R) dW) * S, with dW = sd * noise and random signs R and S."""
        sizes = weights.loc.shape  # [fan-in + 1, units]
        perturbation = weights.scale * _noise(sizes, seed, inputs.dtype)
        shape = tf.concat([tf.shape(inputs)[:-1], [sum(sizes)]], 0)
        other_seed = seed * [1, -1]  # No other draw's either: draws are counted from 1.
        bits = tf.random.stateless_uniform(shape, other_seed, maxval=2, dtype=tf.int32)
        signs_in, signs_out = tf.split(tf.cast(2 * bits - 1, inputs.dtype), sizes, axis=-1)
        return tf.matmul(inputs, weights.loc) + tf.matmul(inputs * signs_in, perturbation) * signs_out


@register
class DenseLocalReparameterization(MeanFieldDense, tfp.layers.DenseLocalReparameterization):
    """The outputs are drawn instead of the weights, for each row apart (Kingma et al. 2015, arXiv 1506.02557)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """N(X mean, X^2 variance): the bias keeps the variance, and so the square root's gradient, off zero."""
        mean, variance = tf.matmul(inputs, weights.loc), tf.matmul(inputs**2, weights.scale**2)
        return mean + tf.sqrt(variance) * _noise(tf.shape(mean), seed, inputs.dtype)


@register
class NormalUnits(Stochastic):
    """Stochastic hidden units: inputs `[..., 2 units]` give q(z given x) = N(loc, scale^2), and out comes a(z).

    The prior is N(0, 1). The KL is summed over the units and averaged over the batch (Kingma & Welling 2014,
    arXiv 1312.6114).

    Args:
        activation: Name of the Keras activation a.
        initial_scale: Scale of q where the inputs are 0, as they are about at the start; the prior's is 1.
        seed: Of the noise.
        kl_weight: Of the KL in the loss; 1 for the ELBO.
        **kwargs: Of `tf_keras.layers.Layer`.
    """

    kind = "latents"

    def __init__(self, activation: str | None = None, initial_scale: float = 0.1, **kwargs: Any) -> None:
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        super().__init__(**kwargs)
        self.activation = tf_keras.activations.get(activation)
        self._initial_scale = float(initial_scale)

    def posterior(self, inputs: tf.Tensor) -> tfd.Distribution:
        """q(z given x), batch shape `[...]`, event shape `[units]`."""
        loc, raw = tf.split(tf.convert_to_tensor(inputs), 2, axis=-1)
        scale = SCALE_FLOOR + tf.nn.softplus(raw + softplus_inverse(self._initial_scale))
        return tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the units' values `[..., units]`, for each row apart."""
        q = self.posterior(inputs)
        loc, scale = q.distribution.loc, q.distribution.scale
        prior = tfd.Independent(tfd.Normal(tf.zeros_like(loc), tf.ones_like(scale)), reinterpreted_batch_ndims=1)
        kl = tfd.kl_divergence(q, prior)  # Of no rows, as a replica's share of a last batch may be, the mean is 0.
        self.add_kl(tf.math.divide_no_nan(tf.reduce_sum(kl), tf.cast(tf.shape(kl)[0], kl.dtype)))
        return self.activation(loc + scale * _noise(tf.shape(loc), self.next_seed(loc), loc.dtype))

    def settings(self) -> dict[str, Any]:
        """The plain values of this layer's own arguments."""
        activation = tf_keras.activations.serialize(self.activation)
        return {"activation": activation, "initial_scale": self._initial_scale, **super().settings()}
