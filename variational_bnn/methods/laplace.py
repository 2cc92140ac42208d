"""Laplace's approximation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from variational_bnn.base import Dataset, FitError, Network
from variational_bnn.base.checks import Array
from variational_bnn.methods.optimisation import Weights, optimise
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.likelihoods import MixtureNormal
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.models.whole_networks import normal_model

MAX_WEIGHTS = 5000
"""Their covariance is kept whole."""

ROWS = 256
"""Rows whose Jacobians are held together."""


@dataclass(frozen=True, kw_only=True)
class Laplace(GradientMethod):
    """Laplace's approximation: a normal distribution of all weights around the mode.

    The mode of the posterior is found by Adam. The precision there is sum J^T (Fisher information) J + I in units of
    the prior, the generalised Gauss-Newton matrix of all weights. Functions are drawn along the network's tangent at
    the mode, f(x; mode) + J(x) (weights - mode) (MacKay 1992; Immer, Korzepa & Bauer 2021, arXiv 2008.08216). It is
    exact for a linear network with known noise.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training, or the network has more
            than 5,000 weights.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset,
            or the likelihood is a mixture.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Laplace(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network is not supported: the KL divergence of mixtures has no closed form. None for others."""
        mixture = isinstance(network.likelihood, MixtureNormal)
        return f"it does not support mixtures, got {network.likelihood!r}" if mixture else None

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Find the mode, and the curvature there.

        Raises:
            FitError: If the loss is not finite at the end, or there are more than 5,000 weights.
            ValueError: If the network does not fit the dataset, or its likelihood is a mixture.
        """
        problem = self.problem(dataset, network)
        space = problem.space
        if space.size > MAX_WEIGHTS:
            raise FitError(f"the number of weights must be at most {MAX_WEIGHTS} for laplace, got {space.size}")
        (mode,) = optimise(problem, space.prior_draws(1, seed), self, seed, prior=True)
        try:
            lower = cholesky(np.eye(space.size) + fisher_information(space, mode, problem.x), lower=True)
        except np.linalg.LinAlgError as error:
            raise FitError(f"singular: {error}") from error
        root = solve_triangular(lower, np.eye(space.size), lower=True).T
        return problem.posterior(normal_model(problem.network, mode, root=root, linearised=True), space.size)


def fisher_information(space: WeightSpace, z: Weights, x: Weights) -> Array:
    """Sum over the rows of J^T F J `[P, P]`: the Fisher information of the weights.

    F, that of the likelihood's parameters, is the Hessian of KL(p(y given them) || p(y given others)) where they agree.
    All in double precision: beside much information, the prior's would be lost in rounding.
    """
    weights = tf.constant(z, tf.float64)

    @tf.function
    def of_rows(rows: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs = space.outputs(weights, rows)
        jacobian = tape.jacobian(outputs, weights)
        here = space.distribution(outputs)
        with tf.GradientTape() as outer:
            outer.watch(outputs)
            with tf.GradientTape() as inner:
                inner.watch(outputs)
                divergence = here.kl_divergence(space.distribution(outputs))
            slope = inner.gradient(divergence, outputs)
        fisher = outer.batch_jacobian(slope, outputs)
        return tf.tensordot(jacobian, tf.matmul(fisher, jacobian), [[0, 1], [0, 1]])

    return np.sum([of_rows(tf.constant(x[i : i + ROWS], tf.float64)).numpy() for i in range(0, len(x), ROWS)], axis=0)
