"""Dense layers whose weights and biases have a mean-field normal posterior."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.models.backend import register, tf, tf_keras, tfd, tfp
from variational_bnn.models.stochastic import Variational, positive_scale, softplus_inverse, standard_normal


class MeanFieldDense(Variational):
    """The base class of the three Dense layers, with their posterior, prior and KL.

    The layers have the same arguments and the same posterior of the weights, and differ in how they draw the outputs in
    training; the distribution of the outputs of one row is the same for all three. A subclass has this class and one of
    TFP's layers as bases. The biases are the last row of the weights `[fan-in + 1, units]`, that of a constant input of
    one; the kernel and the bias that TFP's layers have are views of them.
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
        """Number of rows N by which the KL is divided."""
        return int(self._numbers["num_examples"])

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        activation = tf_keras.activations.serialize(self.activation)
        return {"units": self.units, "activation": activation, **self._numbers, **super().settings()}

    def build(self, input_shape: Any) -> None:
        """Make the variables of the posterior."""
        fan_in, numbers = int(input_shape[-1]), self._numbers
        kernel_scale = numbers["prior_scale"] / np.sqrt(fan_in if numbers["scale_prior_by_fan_in"] else 1)
        self.prior_scales = np.array([[kernel_scale]] * fan_in + [[numbers["prior_scale"]]])
        shape = (fan_in + 1, self.units)
        self.loc = self.add_weight(name="posterior_loc", shape=shape, initializer=self._initial_loc)
        self.raw_scale = self.add_weight(name="posterior_raw_scale", shape=shape, initializer=self._initial_raw_scale)
        super().build(input_shape)

    def _initial_loc(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        initializer = tf_keras.initializers.VarianceScaling(seed=self.noise_seed)
        return tf.concat([initializer([shape[0] - 1, shape[1]], dtype), tf.zeros([1, shape[1]], dtype)], 0)

    def _initial_raw_scale(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        raw = [[softplus_inverse(self._numbers["initial_scale"] * scale)] for [scale] in self.prior_scales]
        return tf.broadcast_to(tf.constant(raw, dtype), shape)

    def _prior_of(self, dtype: tf.DType, shape: list[int], name: str, *_: Any) -> tfd.Distribution:
        prior = tfd.Normal(tf.zeros(shape, dtype), _part(tf.constant(self.prior_scales, dtype), shape))
        return tfd.Independent(prior, reinterpreted_batch_ndims=len(shape), name=name)

    def _posterior_of(self, dtype: tf.DType, shape: list[int], name: str, *_: Any) -> tfd.Distribution:
        loc = tfp.util.DeferredTensor(self.loc, lambda loc: _part(loc, shape), shape=shape)
        scale = tfp.util.DeferredTensor(self.raw_scale, lambda raw: positive_scale(_part(raw, shape)), shape=shape)
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
        """The normal posterior of the weights and, in the last row, the biases; batch shape `[fan-in + 1, units]`."""
        return tfd.Normal(tf.convert_to_tensor(self.loc), positive_scale(self.raw_scale))

    def weights_kl(self) -> tf.Tensor:
        """KL(q || prior) of all weights and biases in nats, a scalar, in closed form; not divided by `num_examples`."""
        return self._kl(self.posterior())

    def _kl(self, weights: tfd.Distribution) -> tf.Tensor:
        prior = tfd.Normal(0.0, tf.constant(self.prior_scales, weights.dtype))
        return tf.reduce_sum(tfd.kl_divergence(weights, prior))

    @abc.abstractmethod
    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Draw the outputs of a batch before the activation, `[..., units]`.

        Args:
            inputs: Inputs `[..., fan-in + 1]`, of which the last is one.
            weights: The posterior, as from `posterior()`.
            seed: Stateless seed `[2]`.
        """


def _part(values: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """The rows of the kernel, or that of the bias, of values `[fan-in + 1, units]`; the shape says which."""
    return values[:-1] if len(shape) == 2 else values[-1]


@register
class DenseReparameterization(MeanFieldDense, tfp.layers.DenseReparameterization):
    """A dense layer with random weights and biases, drawn once for the whole batch in training.

    The weights and biases have the posterior q = N(loc, scale^2), all independent, with trained loc and scale. The
    prior of each weight is N(0, s^2 / fan-in) and that of each bias N(0, s^2), where s is `prior_scale`. In
    training, each call draws all weights and biases once, for all rows of the batch: Bayes by Backprop (Blundell et al.
    2015, arXiv 1505.05424).

    A call adds `kl_weight * KL(q || prior) / num_examples` to the loss of the model, with the KL in closed form. A
    layer that is called twice in a model adds its KL twice.

    `vbnn.predict` and `vbnn.sample_functions` do not call `draw`. They sample whole kernels and biases from
    `posterior()`, in `prediction/rules.py`, so that each draw is one function of x.

    Inputs have shape `[..., fan-in]`, outputs `[..., units]`.

    Args:
        units: Size of the output.
        num_examples: Number of rows N that the model will be trained on. The KL is divided by it, since Keras averages
            the negative log-likelihood over the rows.
        activation: Name of a Keras activation that is applied to the outputs; None for a linear layer.
        prior_scale: s, > 0.
        scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.
        initial_scale: Posterior standard deviation of each weight and bias at the start, divided by that of its prior,
            > 0. Small values start near a network of point weights.
        seed: Seed of the initial values and of the random numbers; None takes one from the operating system.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered posterior.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        num_examples: N.
        loc: Posterior means `[fan-in + 1, units]`, a variable; the last row is that of the biases.
        raw_scale: Variable `[fan-in + 1, units]`; the posterior standard deviations are 1e-5 + softplus(raw_scale).
        prior_scales: Prior standard deviations `[fan-in + 1, 1]`, an array.
        kernel_posterior: Posterior of the weights `[fan-in, units]`, a `tfp` distribution.
        bias_posterior: Posterior of the biases `[units]`, a `tfp` distribution.
        kl: KL of the last call divided by `num_examples`, a scalar tensor.
        kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets.
        draws: Number of calls so far, a scalar variable that is saved with the weights.

    Raises:
        ValueError: If `units` or `num_examples` is not a whole number >= 1, `prior_scale` or `initial_scale` is not
            > 0, `kl_weight` is not >= 0, or the activation is unknown.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> x, y = np.ones((20, 3)), np.ones((20, 1))
        >>> inputs = tf_keras.Input((3,))
        >>> hidden = vbnn.DenseReparameterization(8, num_examples=len(x), activation="relu", seed=0)(inputs)
        >>> parameters = vbnn.DenseReparameterization(2, num_examples=len(x), seed=1)(hidden)
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, y, verbose=0)
        >>> vbnn.predict(model, x, num_samples=10, seed=0).mean.shape
        (20, 1)
    """

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Compute X W with W = mean + sd * noise, for the inputs X `[..., fan-in + 1]` of a batch."""
        return tf.matmul(inputs, weights.loc + weights.scale * standard_normal(weights.loc.shape, seed, inputs.dtype))


@register
class DenseFlipout(MeanFieldDense, tfp.layers.DenseFlipout):
    """A dense layer with random weights and biases, drawn by Flipout in training.

    The weights and biases have the posterior q = N(loc, scale^2), all independent, with trained loc and scale. The
    prior of each weight is N(0, s^2 / fan-in) and that of each bias N(0, s^2), where s is `prior_scale`. In
    training, each call draws one perturbation dW of the weights for the batch and flips its signs at random for each
    row x: `x mean + ((x * r) dW) * s`, with random signs r and s (Wen et al. 2018, arXiv 1803.04386). So the rows have
    nearly uncorrelated noise, and the gradients a lower variance than with `DenseReparameterization`.

    A call adds `kl_weight * KL(q || prior) / num_examples` to the loss of the model, with the KL in closed form. A
    layer that is called twice in a model adds its KL twice.

    `vbnn.predict` and `vbnn.sample_functions` do not call `draw`. They sample whole kernels and biases from
    `posterior()`, in `prediction/rules.py`, so that each draw is one function of x.

    Inputs have shape `[..., fan-in]`, outputs `[..., units]`.

    Args:
        units: Size of the output.
        num_examples: Number of rows N that the model will be trained on. The KL is divided by it, since Keras averages
            the negative log-likelihood over the rows.
        activation: Name of a Keras activation that is applied to the outputs; None for a linear layer.
        prior_scale: s, > 0.
        scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.
        initial_scale: Posterior standard deviation of each weight and bias at the start, divided by that of its prior,
            > 0. Small values start near a network of point weights.
        seed: Seed of the initial values and of the random numbers; None takes one from the operating system.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered posterior.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        num_examples: N.
        loc: Posterior means `[fan-in + 1, units]`, a variable; the last row is that of the biases.
        raw_scale: Variable `[fan-in + 1, units]`; the posterior standard deviations are 1e-5 + softplus(raw_scale).
        prior_scales: Prior standard deviations `[fan-in + 1, 1]`, an array.
        kernel_posterior: Posterior of the weights `[fan-in, units]`, a `tfp` distribution.
        bias_posterior: Posterior of the biases `[units]`, a `tfp` distribution.
        kl: KL of the last call divided by `num_examples`, a scalar tensor.
        kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets.
        draws: Number of calls so far, a scalar variable that is saved with the weights.

    Raises:
        ValueError: If `units` or `num_examples` is not a whole number >= 1, `prior_scale` or `initial_scale` is not
            > 0, `kl_weight` is not >= 0, or the activation is unknown.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> x, y = np.ones((20, 3)), np.ones((20, 1))
        >>> inputs = tf_keras.Input((3,))
        >>> hidden = vbnn.DenseFlipout(8, num_examples=len(x), activation="relu", seed=0)(inputs)
        >>> parameters = vbnn.DenseFlipout(2, num_examples=len(x), seed=1)(hidden)
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, y, verbose=0)
        >>> vbnn.predict(model, x, num_samples=10, seed=0).mean.shape
        (20, 1)
    """

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Compute X mean + ((X * R) dW) * S, with dW = sd * noise and signs R `[..., fan-in + 1]`, S `[..., units]`."""
        sizes = weights.loc.shape  # [fan-in + 1, units]
        perturbation = weights.scale * standard_normal(sizes, seed, inputs.dtype)
        shape = tf.concat([tf.shape(inputs)[:-1], [sum(sizes)]], 0)
        other_seed = seed * [1, -1]  # No other draw has this seed, since draws are counted from 1.
        bits = tf.random.stateless_uniform(shape, other_seed, maxval=2, dtype=tf.int32)
        signs_in, signs_out = tf.split(tf.cast(2 * bits - 1, inputs.dtype), sizes, axis=-1)
        return tf.matmul(inputs, weights.loc) + tf.matmul(inputs * signs_in, perturbation) * signs_out


@register
class DenseLocalReparameterization(MeanFieldDense, tfp.layers.DenseLocalReparameterization):
    """A dense layer with random weights and biases, whose outputs are drawn instead of them in training.

    The weights and biases have the posterior q = N(loc, scale^2), all independent, with trained loc and scale. The
    prior of each weight is N(0, s^2 / fan-in) and that of each bias N(0, s^2), where s is `prior_scale`. In
    training, each call draws the outputs of each row x from their own distribution, N(x mean, x^2 variance),
    independently (Kingma et al. 2015, arXiv 1506.02557).

    A call adds `kl_weight * KL(q || prior) / num_examples` to the loss of the model, with the KL in closed form. A
    layer that is called twice in a model adds its KL twice.

    `vbnn.predict` and `vbnn.sample_functions` do not call `draw`. They sample whole kernels and biases from
    `posterior()`, in `prediction/rules.py`, so that each draw is one function of x.

    Inputs have shape `[..., fan-in]`, outputs `[..., units]`.

    Args:
        units: Size of the output.
        num_examples: Number of rows N that the model will be trained on. The KL is divided by it, since Keras averages
            the negative log-likelihood over the rows.
        activation: Name of a Keras activation that is applied to the outputs; None for a linear layer.
        prior_scale: s, > 0.
        scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.
        initial_scale: Posterior standard deviation of each weight and bias at the start, divided by that of its prior,
            > 0. Small values start near a network of point weights.
        seed: Seed of the initial values and of the random numbers; None takes one from the operating system.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered posterior.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        num_examples: N.
        loc: Posterior means `[fan-in + 1, units]`, a variable; the last row is that of the biases.
        raw_scale: Variable `[fan-in + 1, units]`; the posterior standard deviations are 1e-5 + softplus(raw_scale).
        prior_scales: Prior standard deviations `[fan-in + 1, 1]`, an array.
        kernel_posterior: Posterior of the weights `[fan-in, units]`, a `tfp` distribution.
        bias_posterior: Posterior of the biases `[units]`, a `tfp` distribution.
        kl: KL of the last call divided by `num_examples`, a scalar tensor.
        kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets.
        draws: Number of calls so far, a scalar variable that is saved with the weights.

    Raises:
        ValueError: If `units` or `num_examples` is not a whole number >= 1, `prior_scale` or `initial_scale` is not
            > 0, `kl_weight` is not >= 0, or the activation is unknown.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> x, y = np.ones((20, 3)), np.ones((20, 1))
        >>> inputs = tf_keras.Input((3,))
        >>> hidden = vbnn.DenseLocalReparameterization(8, num_examples=len(x), activation="relu", seed=0)(inputs)
        >>> parameters = vbnn.DenseLocalReparameterization(2, num_examples=len(x), seed=1)(hidden)
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, y, verbose=0)
        >>> vbnn.predict(model, x, num_samples=10, seed=0).mean.shape
        (20, 1)
    """

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Draw from N(X mean, X^2 variance): the bias keeps the variance, and the square root's gradient, off zero."""
        mean, variance = tf.matmul(inputs, weights.loc), tf.matmul(inputs**2, weights.scale**2)
        return mean + tf.sqrt(variance) * standard_normal(tf.shape(mean), seed, inputs.dtype)
