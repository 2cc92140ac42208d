"""Bayes by Hypernet: weights that a generator network makes of noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import digamma

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_count, require_kl_weight
from variational_bnn.methods.optimisation import batch_log_posterior, minimise
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.generated_network import GeneratedNetwork, generated_model
from variational_bnn.models.random_numbers import standard_normal


@dataclass(frozen=True, kw_only=True)
class Hypernet(GradientMethod):
    """Bayes by Hypernet: an implicit posterior, of weights made of noise by a generator.

    A generator G with one hidden layer makes all weights w = G(e) of a few standard normal numbers e (Pawlowski et al.
    2017, arXiv 1711.01297). Its density is not known, so the KL divergence to the prior in the evidence lower bound is
    estimated from the distances of S draws to their nearest neighbours (Kozachenko & Leonenko 1987; Perez-Cruz 2008):

        KL(q || p) = -entropy - E log p(w),    entropy = P mean log(distance) + log(volume of the unit ball)
                                                         + digamma(S) - digamma(1).

    **The estimate is biased, the more so the more weights there are.** In P dimensions a few draws are all about
    equally far from each other, so that it sees little of the shape of q; and with fewer numbers e than weights, as by
    default, q lies on a surface, where the true KL is infinite. So variances depend on the number of draws:
    `docs/methods.md` shows by how much where the exact posterior is known.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        noise_size: How many numbers e has, >= 1.
        generator_units: Units of the generator's hidden layer, >= 1.
        num_draws: S, the draws of the weights in each step, >= 2.
        initial_scale: Standard deviation of the weights before the training, in units of their prior's, > 0.
        kl_weight: Weight of the KL divergence in the loss, >= 0; with 1 the loss is an estimate of the negative
            evidence lower bound.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Hypernet(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    learning_rate: float = 0.005
    noise_size: int = 32
    generator_units: int = 64
    num_draws: int = 20
    initial_scale: float = 0.1
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        for name in ("noise_size", "generator_units", "num_draws"):
            require_count(name, getattr(self, name))
        require(self.num_draws >= 2, f"num_draws must be >= 2, got {self.num_draws}")
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")
        require_kl_weight(self.kl_weight)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the generator.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        model = generated_model(problem.network, self.noise_size, self.generator_units, self.initial_scale, seed)
        generator: GeneratedNetwork = model.get_layer("network")

        def loss(seed: tf.Tensor) -> tf.Tensor:
            batch_seed, noise_seed = tf.unstack(tf.random.split(seed, alg="philox"))
            z = generator.weights_of(standard_normal([self.num_draws, self.noise_size], noise_seed, tf.float32))
            log_prior, log_likelihood = batch_log_posterior(problem, z, self.batch_size, batch_seed)
            kl = -entropy(z) - tf.reduce_mean(log_prior) + z.shape[1] * math.log(2 * math.pi) / 2
            return (self.kl_weight * kl - tf.reduce_mean(log_likelihood)) / len(problem.x)

        minimise(loss, generator.trainable_variables, self, seed)
        return problem.posterior(model)


def entropy(draws: tf.Tensor) -> tf.Tensor:
    """Estimate the entropy of a distribution, in nats, from the nearest neighbours among draws `[S, P]`."""
    count, size = draws.shape
    squared_distances = tf.reduce_sum((draws[:, None] - draws) ** 2, -1)
    others = tf.linalg.set_diag(squared_distances, tf.fill([count], float("inf")))
    nearest = tf.maximum(tf.reduce_min(others, 1), 1e-12)
    log_volume = size / 2 * math.log(math.pi) - math.lgamma(size / 2 + 1)
    return size * tf.reduce_mean(tf.math.log(nearest)) / 2 + log_volume + float(digamma(count) - digamma(1))
