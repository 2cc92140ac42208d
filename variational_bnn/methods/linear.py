"""Bayesian linear regression in closed form."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

from variational_bnn.base import Dataset, Diagnostics, FitError, Network, Predictive
from variational_bnn.base.checks import Array, Float32Array
from variational_bnn.methods.problem import NetworkMethod
from variational_bnn.models.backend import tf, tfd
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.weight_space import WeightSpace

NOISE_PRIOR = 0.5, 0.5
"""Shape and rate of the inverse gamma prior of an unknown noise variance: worth one example, of variance one."""


@dataclass(frozen=True, kw_only=True)
class LinearRegression(NetworkMethod):
    """Bayesian linear regression on the features, exact, in closed form.

    Hidden units of the network are left out. The prior of the weights is the network's. If the noise is known, this is
    the exact posterior of a network without hidden units. If it is not, it is one variance for all x, with the
    conjugate prior: noise variance inverse gamma (1/2, 1/2) and weights N(0, noise variance x the network's prior
    variance), in standardised units. Mean, variances and densities are exact (Bishop 2006, section 3.3; Murphy 2012,
    section 7.6).

    Args:
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the features are collinear, to rounding, and the prior is too wide to tell them apart.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset,
            or the likelihood is not `Normal`.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.LinearRegression().fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network is not supported: its likelihood is not normal. None if it is."""
        normal = isinstance(network.likelihood, Normal)
        return None if normal else f"it needs a Normal likelihood, got {network.likelihood!r}"

    def exact(self, network: Network) -> bool:
        """Whether the posterior is the exact one of the network: without hidden units, and with known noise."""
        known = isinstance(network.likelihood, Normal) and isinstance(network.likelihood.scale, float)
        return known and not network.hidden_units

    def fit(self, dataset: Dataset, network: Network, seed: int) -> LinearPosterior:
        """The posterior in closed form.

        Raises:
            FitError: If the features are collinear, to rounding, and the prior is too wide to tell them apart.
            ValueError: If the network does not fit the dataset, or its likelihood is not normal.
        """
        problem = self.problem(dataset, dataclasses.replace(network, hidden_units=()))
        noise = problem.network.likelihood.scale  # type: ignore[attr-defined]
        known = noise if isinstance(noise, float) else None
        features, y = _with_one(problem.x), problem.y.astype(np.float64)
        one_output = dataclasses.replace(problem.network, output_size=1, likelihood=Normal(scale=1.0))
        prior_precision = np.diag((known or 1.0) ** 2 / WeightSpace.of(one_output).prior_scales ** 2)
        precision = features.T @ features + prior_precision
        try:
            root = np.linalg.cholesky(np.linalg.inv(precision))
        except np.linalg.LinAlgError as error:
            raise FitError(f"singular: {error}") from error
        mean = root @ root.T @ (features.T @ y)
        shape, rate = NOISE_PRIOR
        return LinearPosterior(
            mean=mean,
            root=root,
            noise=known,
            shape=shape + len(y) / 2,
            rate=rate + ((y - features @ mean) ** 2).sum(0) / 2 + (mean * (prior_precision @ mean)).sum(0) / 2,
            likelihood=str(network.likelihood if known else Normal(scale="learned")),
            x_scaler=problem.x_scaler,
            y_scaler=problem.y_scaler,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearPosterior:
    """Weights N(mean, noise variance x root root^T) of the features and a one; a `base.Posterior`.

    The mean, the variances and the densities of its predictive are in closed form, for any number of draws.

    Attributes:
        mean: `[F + 1, D]`, in standardised units.
        root: `[F + 1, F + 1]`.
        noise: Its standard deviation in standardised units, or None if its variance is inverse gamma.
        shape: Shape of the inverse gamma distribution of the noise variance.
        rate: Rates of the inverse gamma distributions, `[D]`.
        likelihood: The likelihood in words, in the units of the dataset.
        x_scaler: From the units of the dataset to standardised ones, of the inputs.
        y_scaler: From the units of the dataset to standardised ones, of the targets.
    """

    mean: Array
    root: Array
    noise: float | None
    shape: float
    rate: Array
    likelihood: str
    x_scaler: StandardScaler
    y_scaler: StandardScaler

    @property
    def diagnostics(self) -> Diagnostics:
        """How many numbers are drawn: the weights, and the noise's variances if they are not known."""
        size = self.mean.size + (len(self.rate) if self.noise is None else 0)
        return Diagnostics(num_parameters=size, num_random_variables=size, likelihood=self.likelihood)

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at `[N, F]` inputs, in the units of y: in closed form but for its samples."""
        features = _with_one(self.x_scaler.transform(x))
        relative_variance = ((features @ self.root) ** 2).sum(1, keepdims=True)
        noise_variance = self.rate / (self.shape - 1) if self.noise is None else np.full(len(self.rate), self.noise**2)

        def sampler(noise_seed: int) -> Array:
            functions, variances = self._draws(features, num_samples, seed)
            noise = np.random.default_rng([noise_seed, 1]).standard_normal(functions.shape)
            return np.asarray(functions + np.sqrt(variances) * noise)

        standard = Predictive(
            mean=features @ self.mean,
            epistemic_variance=relative_variance * noise_variance,
            aleatoric_variance=np.broadcast_to(noise_variance, (len(x), len(noise_variance))),
            log_likelihood=lambda y, tau: self._log_density(features, y, tau),
            sampler=sampler,
        )
        return standard.in_units(shift=self.y_scaler.mean_, scale=self.y_scaler.scale_)

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Array:
        """Function samples `[S, N, D]`, in the units of y."""
        functions, _ = self._draws(_with_one(self.x_scaler.transform(x)), num_samples, seed)
        return np.asarray(self.y_scaler.mean_ + self.y_scaler.scale_ * functions)

    def _draws(self, features: Array, num_samples: int, seed: int) -> tuple[Array, Array]:
        """Functions `[S, N, D]` and noise variances `[S, 1, D]`, in standardised units."""
        rng = np.random.default_rng(seed)
        outputs = len(self.rate)
        if self.noise is None:
            variances = self.rate / rng.gamma(self.shape, size=(num_samples, 1, outputs))
        else:
            variances = np.full((num_samples, 1, outputs), self.noise**2)
        steps = self.root @ rng.standard_normal((num_samples, len(self.root), outputs))
        return features @ (self.mean + np.sqrt(variances) * steps), variances

    def _log_density(self, features: Array, y: Array, tau: int) -> Array:
        """Of tau rows together a multivariate normal or Student t: `[N // tau]`, summed over the outputs."""
        groups = len(y) // tau
        rows = features[: groups * tau].reshape(groups, 1, tau, -1)
        targets = y[: groups * tau].reshape(groups, tau, -1).swapaxes(1, 2)
        loc = (rows @ self.mean).squeeze(1).swapaxes(1, 2)
        root = rows @ self.root
        lower = np.linalg.cholesky(np.eye(tau) + root @ root.swapaxes(2, 3))
        if self.noise is not None:
            density = tfd.MultivariateNormalTriL(loc, self.noise * lower)
        else:
            scale = np.sqrt(self.rate / self.shape)[:, None, None] * lower
            operator = tf.linalg.LinearOperatorLowerTriangular(scale)
            density = tfd.MultivariateStudentTLinearOperator(tf.constant(2 * self.shape, tf.float64), loc, operator)
        return density.log_prob(targets).numpy().sum(-1)


def _with_one(x: Array | Float32Array) -> Array:
    return np.column_stack([x, np.ones(len(x))]).astype(np.float64)
