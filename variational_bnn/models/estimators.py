"""How layers with random weights draw in training: three estimators of the same expected log-likelihood.

Each is a base class beside one that has the posterior of the weights and computes `linear(inputs, weights)`. The
distribution of the outputs of one row is the same for all three.
"""

from __future__ import annotations

from variational_bnn.models.backend import tf, tfd
from variational_bnn.models.mean_field import MeanField
from variational_bnn.models.stochastic import SCALE_FLOOR, standard_normal


class ByReparameterization(MeanField):
    """All weights and biases are drawn once for the whole batch: Bayes by Backprop (Blundell et al. 2015)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Compute X W with W = mean + sd * noise, for the inputs X of a batch."""
        noise = standard_normal(weights.loc.shape, seed, weights.dtype)
        return self.linear(inputs, weights.loc + weights.scale * noise)


class ByFlipout(MeanField):
    """One perturbation of the weights is drawn for the batch; each row flips its signs (Wen et al. 2018)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Compute X mean + ((X * R) dW) * S, with dW = sd * noise and random signs R of the inputs, S of the units."""
        perturbation = weights.scale * standard_normal(weights.loc.shape, seed, weights.dtype)
        shape, num_inputs = self.sign_shape(inputs)
        sizes = [num_inputs, weights.loc.shape[-1]]
        other_seed = seed * [1, -1]  # No other draw has this seed, since draws are counted from 1.
        bits = tf.random.stateless_uniform(tf.concat([shape, [sum(sizes)]], 0), other_seed, maxval=2, dtype=tf.int32)
        signs_in, signs_out = tf.split(tf.cast(2 * bits - 1, inputs.dtype), sizes, axis=-1)
        return self.linear(inputs, weights.loc) + self.linear(inputs * signs_in, perturbation) * signs_out


class ByLocalReparameterization(MeanField):
    """The outputs of each row are drawn from their own distribution (Kingma et al. 2015)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Draw from N(X mean, X^2 variance); the variance of the bias keeps the square root's gradient finite."""
        mean = self.linear(inputs, weights.loc)
        # Half precision has no numbers as small as these variances.
        variance = self.linear(tf.cast(inputs, weights.dtype) ** 2, weights.scale**2)
        if not self.use_bias:
            variance += SCALE_FLOOR**2
        return mean + tf.cast(tf.sqrt(variance), mean.dtype) * standard_normal(tf.shape(mean), seed, mean.dtype)
