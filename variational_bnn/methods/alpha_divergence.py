"""Black-box alpha divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.methods.optimisation import draw_batch, minimise
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.random_numbers import standard_normal
from variational_bnn.models.stochastic import positive_scale, softplus_inverse
from variational_bnn.models.whole_networks import normal_model


@dataclass(frozen=True, kw_only=True)
class AlphaDivergence(GradientMethod):
    """A mean-field normal posterior by black-box alpha divergence.

    The posterior q of all weights is approximated by independent normal distributions, as by `Reparameterization`, but
    by another objective (Hernandez-Lobato et al. 2016, arXiv 1511.03243). With K draws w from q and N rows,

        energy = -1 / alpha sum over rows of log mean over draws of (p(y | x, w) (p(w) / q(w))^(1 / N))^alpha.

    As alpha approaches 0 it becomes the negative evidence lower bound, whose q is narrower than the posterior. With a
    larger alpha q is wider. With alpha = 1 it is expectation propagation with the same factor (q(w) / p(w))^(1 / N) for
    all rows; that does not give the exact marginals, not even of a linear network, but may be wider or narrower, by the
    size of the errors. The mean over finitely many draws biases the logarithm, as a smaller alpha would (Li & Gal 2017,
    arXiv 1703.02914).

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        alpha: Which divergence, > 0 and <= 1.
        num_draws: K, the draws of the weights in each step, >= 1.
        initial_scale: Posterior standard deviation of each weight before the training, in units of its prior's standard
            deviation, > 0.
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
        >>> posterior = vbnn.AlphaDivergence(alpha=1.0, steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    alpha: float = 0.5
    num_draws: int = 32
    initial_scale: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.alpha) and self.alpha <= 1, f"alpha must be > 0 and <= 1, got {self.alpha!r}")
        require_count("num_draws", self.num_draws)
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the mean-field posterior.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        space, count = problem.space, len(problem.x)
        loc = tf.Variable(space.prior_draws(1, seed)[0])
        raw_scale = tf.Variable(tf.fill([space.size], softplus_inverse(self.initial_scale)))

        def energy(seed: tf.Tensor) -> tf.Tensor:
            batch_seed, noise_seed = tf.unstack(tf.random.split(seed, alg="philox"))
            x, y = draw_batch(problem, self.batch_size, batch_seed)
            scale = positive_scale(raw_scale)
            noise = standard_normal([self.num_draws, space.size], noise_seed, tf.float32)
            z = loc + scale * noise
            log_q_over_prior = tf.reduce_sum((z**2 - noise**2) / 2 - tf.math.log(scale), -1)  # The prior is N(0, 1).
            log_p = space.distribution(space.outputs(z, x)).log_prob(y)
            log_mean = tf.reduce_logsumexp(self.alpha * (log_p - log_q_over_prior[:, None] / count), 0)
            return tf.reduce_mean(math.log(self.num_draws) - log_mean) / self.alpha

        minimise(energy, [loc, raw_scale], self, seed)
        model = normal_model(problem.network, loc.numpy(), scale=positive_scale(raw_scale).numpy())
        return problem.posterior(model, 2 * space.size)
