"""How layers with random weights draw in training: three estimators of the same expected log-likelihood.

Each is a base class beside one that has the posterior of the weights and computes `linear(inputs, weights)`. The
distribution of the outputs of one row is the same for all three.
"""

from __future__ import annotations

from variational_bnn.models.backend import tf, tfd
from variational_bnn.models.mean_field import MeanField
from variational_bnn.models.random_numbers import RandomNumbers, sizes_of
from variational_bnn.models.stochastic import SCALE_FLOOR


class ByReparameterization(MeanField):
    """All weights and biases are drawn once for the whole batch: Bayes by Backprop (Blundell et al. 2015)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, random: RandomNumbers) -> tf.Tensor:
        """Compute X W with W = mean + sd * noise, for the inputs X of a batch."""
        noise = random.normal(weights.loc.shape, weights.dtype)
        return self.linear(inputs, weights.loc + weights.scale * noise)


class ByFlipout(MeanField):
    """One perturbation of the weights is drawn for the batch; each row flips its signs (Wen et al. 2018)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, random: RandomNumbers) -> tf.Tensor:
        """Compute X mean + ((X * R) dW) * S, with dW = sd * noise and random signs R of the inputs, S of the units."""
        perturbation = weights.scale * random.normal(weights.loc.shape, weights.dtype)
        shape, num_inputs = self.sign_shape(inputs)
        sizes = [num_inputs, weights.loc.shape[-1]]
        signs = random.signs([*shape, sum(sizes)], inputs.dtype)
        signs_in, signs_out = tf.split(signs, sizes, axis=-1)
        return self.linear(inputs, weights.loc) + self.linear(inputs * signs_in, perturbation) * signs_out


class ByLocalReparameterization(MeanField):
    """The outputs of each row are drawn from their own distribution (Kingma et al. 2015)."""

    def draw(self, inputs: tf.Tensor, weights: tfd.Distribution, random: RandomNumbers) -> tf.Tensor:
        """Draw from N(X mean, X^2 variance); the variance of the bias keeps the square root's gradient finite."""
        mean = self.linear(inputs, weights.loc)
        # Half precision has no numbers as small as these variances.
        variance = self.linear(tf.cast(inputs, weights.dtype) ** 2, weights.scale**2)
        if not self.use_bias:
            variance += SCALE_FLOOR**2
        return mean + tf.cast(tf.sqrt(variance), mean.dtype) * random.normal(sizes_of(mean), mean.dtype)
