"""A normal posterior of all weights with any covariance."""

from __future__ import annotations

from dataclasses import dataclass

from variational_bnn.base import Dataset, FitError, Network
from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.methods.optimisation import batch_log_posterior, minimise
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.random_numbers import standard_normal
from variational_bnn.models.stochastic import lower_root, softplus_inverse
from variational_bnn.models.whole_networks import normal_model

MAX_WEIGHTS = 5000
"""The root of their covariance is kept whole."""


@dataclass(frozen=True, kw_only=True)
class FullCovariance(GradientMethod):
    """Variation in the weights: a normal posterior with all correlations.

    The posterior is approximated by N(m, L L^T), with L lower triangular, trained by the negative evidence lower bound
    (Opper & Archambeau 2009; Kucukelbir et al. 2017, arXiv 1603.00788). Where the mean-field posterior of `Flipout`
    leaves out correlations, here the family is too narrow only in that it is normal: for a linear network with known
    noise it holds the exact posterior. The gradient leaves out the score, whose mean is zero: so, if a batch holds all
    rows, it has no noise at an exact posterior (Roeder, Wu & Duvenaud 2017, arXiv 1703.09194).

    In a training step all rows share each draw of the weights. A function sample is one draw of the weights.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        initial_scale: Posterior standard deviation of each weight before the training, in units of its prior's standard
            deviation, > 0.
        num_draws: Draws of the weights in each step, >= 1.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training, or the network has more
            than 5,000 weights.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.FullCovariance(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    initial_scale: float = 0.1
    num_draws: int = 8

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")
        require_count("num_draws", self.num_draws)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the mean and the root of the covariance.

        Raises:
            FitError: If the loss is not finite at the end, or there are more than 5,000 weights.
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        size = problem.space.size
        if size > MAX_WEIGHTS:
            raise FitError(f"the number of weights must be at most {MAX_WEIGHTS} for full_covariance, got {size}")
        loc = tf.Variable(problem.space.prior_draws(1, seed)[0])
        raw_scale = tf.Variable(tf.fill([size], softplus_inverse(self.initial_scale)))
        below = tf.Variable(tf.zeros([size, size]))

        def loss(seed: tf.Tensor) -> tf.Tensor:
            """KL(q || p(w | x, y)) / N, up to a constant: the mean of log q - log p(y, w) over draws."""
            batch_seed, noise_seed = tf.unstack(tf.random.split(seed, alg="philox"))
            lower = lower_root(raw_scale, below)
            z = loc + tf.matmul(
                standard_normal([self.num_draws, size], noise_seed, tf.float32), lower, transpose_b=True
            )
            # Log q as a function of z alone: its gradient in m and L, at z as it is, is the score.
            q_loc, q_root = tf.stop_gradient(loc), tf.stop_gradient(lower)
            whitened = tf.linalg.triangular_solve(q_root, tf.transpose(z - q_loc))
            log_q = -tf.reduce_sum(whitened**2, 0) / 2 - tf.reduce_sum(tf.math.log(tf.linalg.diag_part(q_root)))
            log_prior, log_likelihood = batch_log_posterior(problem, z, self.batch_size, batch_seed)
            return tf.reduce_mean(log_q - log_prior - log_likelihood) / len(problem.x)

        minimise(loss, [loc, raw_scale, below], self, seed)
        model = normal_model(problem.network, loc.numpy(), root=lower_root(raw_scale, below).numpy())
        return problem.posterior(model, size + size * (size + 1) // 2)
