"""The limit of infinitely many hidden units: a Gaussian process, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.preprocessing import StandardScaler

from variational_bnn.base import Dataset, Diagnostics, FitError, Network, Predictive
from variational_bnn.base.checks import Array, Floats
from variational_bnn.methods.problem import NetworkMethod, reason_against_moments
from variational_bnn.models.backend import tfd
from variational_bnn.models.likelihoods import Normal

MAX_ROWS = 3000
"""The most training rows: their covariance is kept whole, and decomposed."""

WIDTH = 4096
"""Units of each hidden layer of the network that the prior's function samples are of."""

ROWS = 256
"""Inputs at which functions are drawn together, always as many, so that equal inputs have equal values."""

NOISES = 1000
"""Noise levels of which the most likely one is taken."""


@dataclass(frozen=True, kw_only=True)
class GaussianProcess(NetworkMethod):
    """The exact posterior with infinitely many hidden units: a Gaussian process.

    As its hidden layers widen, the prior of a network's functions becomes a Gaussian process (Neal 1996; Lee et al.
    2018, arXiv 1711.00165; Matthews et al. 2018, arXiv 1804.11271). Its covariance follows from layer to layer: with
    s the prior scale, F features and the activation phi,

        k_0(x, x') = s^2 (1 + x.x' / F),  k_l(x, x') = s^2 (1 + E[phi(u) phi(u')]),  (u, u') ~ N(0, k_{l-1}).

    For ReLUs the expectation is the arc-cosine kernel (Cho & Saul 2009). The likelihood is normal, so mean, variances
    and densities are in closed form (Rasmussen & Williams 2006, chapter 2). If the noise is not known, it is one level
    for each output and all x, of highest marginal likelihood.

    Function samples are drawn by pathwise conditioning (Wilson et al. 2020, arXiv 2002.09309), from prior functions of
    a network with 4,096 units a layer. They alone are approximate: all have the same hidden layers, so that their
    variance is off by some hundredths, however many there are.

    Args:
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if there are more than 3,000 training rows.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset,
            the likelihood is not `Normal`, the activation is not "linear" or "relu", or the prior of hidden layers is
            not scaled by the fan-in.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.GaussianProcess().fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network has no such limit, or none in closed form; None if it has."""
        if network.hidden_units and not network.scale_prior_by_fan_in:
            return "it needs scale_prior_by_fan_in=True: otherwise functions grow without bound with the width"
        return reason_against_moments(network)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ProcessPosterior:
        """The posterior in closed form.

        Raises:
            FitError: If there are more than 3,000 training rows.
            ValueError: If the network does not fit the dataset, or the method does not support it.
        """
        problem = self.problem(dataset, network)
        if len(problem.x) > MAX_ROWS:
            raise FitError(f"the number of training rows must be at most {MAX_ROWS} for gp, got {len(problem.x)}")
        x, y, noise = problem.x.astype(np.float64), problem.y.astype(np.float64), problem.network.likelihood
        assert isinstance(noise, Normal)
        values, vectors = eigh(covariance(problem.network, x, x))
        values = np.maximum(values, 0.0)
        if isinstance(noise.scale, float):
            variances = np.full(y.shape[1], noise.scale**2)
        else:
            variances = _most_likely_noise(values, (vectors.T @ y) ** 2, noise.floor)
        return ProcessPosterior(
            network=problem.network,
            x=x,
            y=y,
            vectors=vectors,
            precisions=1 / (values[:, None] + variances),
            noise_variances=variances,
            likelihood=str(network.likelihood if isinstance(noise.scale, float) else Normal(scale="learned")),
            x_scaler=problem.x_scaler,
            y_scaler=problem.y_scaler,
        )


def covariance(network: Network, a: Array, b: Array) -> Array:
    """The covariance `[..., N, M]` of prior functions of infinite width at inputs `[..., N, F]` and `[..., M, F]`."""
    s2, size = network.prior_scale**2, a.shape[-1] if network.scale_prior_by_fan_in else 1
    k = s2 * (1 + a @ b.swapaxes(-1, -2) / size)
    k_a, k_b = (s2 * (1 + (x**2).sum(axis=-1) / size) for x in (a, b))
    for _ in network.hidden_units:
        if network.activation == "linear":
            k, k_a, k_b = (s2 * (1 + of_layer) for of_layer in (k, k_a, k_b))
            continue
        scale = np.sqrt(k_a[..., :, None] * k_b[..., None, :])
        cosine = np.clip(k / scale, -1, 1)
        angle = np.arccos(cosine)
        k = s2 * (1 + scale * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi))
        k_a, k_b = s2 * (1 + k_a / 2), s2 * (1 + k_b / 2)
    return np.asarray(k)


def _most_likely_noise(values: Array, squares: Array, floor: float) -> Array:
    """The noise variance `[D]` of highest marginal likelihood, given what the covariance is decomposed into.

    Args:
        values: Eigenvalues of the covariance, `[N]`.
        squares: Squared products of the eigenvectors and the targets, `[N, D]`.
        floor: Least noise level.
    """
    largest = max(10 * np.sqrt(squares.sum(axis=0).max() / len(values)), floor)
    variances = np.geomspace(floor, largest, NOISES) ** 2
    total = values[:, None] + variances
    logs = np.log(total).sum(axis=0)
    return np.array([variances[((of_output[:, None] / total).sum(axis=0) + logs).argmin()] for of_output in squares.T])


@dataclass(frozen=True, kw_only=True, eq=False)
class ProcessPosterior:
    """A Gaussian process given its values at N inputs with noise; a `base.Posterior`.

    The covariance of the values is V diag(values + noise variance) V^T. All is in standardised units, if any.

    Attributes:
        network: The network whose limit it is.
        x: Training inputs `[N, F]`.
        y: Training targets `[N, D]`.
        vectors: V, the eigenvectors `[N, N]` of the covariance of the functions at `x`.
        precisions: 1 / (values + noise variance), `[N, D]`.
        noise_variances: `[D]`.
        likelihood: The likelihood in words, in the units of the dataset.
        x_scaler: From the units of the dataset to standardised ones, of the inputs.
        y_scaler: From the units of the dataset to standardised ones, of the targets.
    """

    network: Network
    x: Array
    y: Array
    vectors: Array
    precisions: Array
    noise_variances: Array
    likelihood: str
    x_scaler: StandardScaler
    y_scaler: StandardScaler

    @property
    def diagnostics(self) -> Diagnostics:
        """How many numbers make a function sample: those of the wide network's last layer. None is trained."""
        return Diagnostics(num_random_variables=(WIDTH + 1) * self.y.shape[1], likelihood=self.likelihood)

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at inputs `[N, F]`, in the units of y: in closed form but for its samples."""
        rows = self.x_scaler.transform(x)
        across = self._across(rows)
        prior = covariance(self.network, rows[:, None], rows[:, None])[:, 0]

        def sampler(noise_seed: int) -> Array:
            functions = self._functions(rows, num_samples, seed)
            noise = np.random.default_rng([noise_seed, 1]).standard_normal(functions.shape)
            return np.asarray(functions + np.sqrt(self.noise_variances) * noise)

        standard = Predictive(
            mean=across @ self._weights(self.y),
            epistemic_variance=np.maximum(prior - across**2 @ self.precisions, 0.0),
            aleatoric_variance=np.broadcast_to(self.noise_variances, (len(x), len(self.noise_variances))),
            log_likelihood=lambda y, tau: self._log_density(rows, y, tau),
            sampler=sampler,
        )
        return standard.in_units(shift=self.y_scaler.mean_, scale=self.y_scaler.scale_)

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Array:
        """Function samples `[S, N, D]`, in the units of y."""
        functions = self._functions(self.x_scaler.transform(x), num_samples, seed)
        return np.asarray(self.y_scaler.mean_ + self.y_scaler.scale_ * functions)

    def _across(self, rows: Array) -> Array:
        """The covariance with the training rows, times the eigenvectors: `[..., N]` of rows `[..., F]`."""
        return np.asarray(covariance(self.network, rows, self.x) @ self.vectors)

    def _weights(self, targets: Array) -> Array:
        """Of the covariances in the mean given targets `[..., N, D]`: `[..., N, D]`, in terms of eigenvectors."""
        return np.asarray(self.precisions * (self.vectors.T @ targets))

    def _functions(self, rows: Array, num_samples: int, seed: int) -> Array:
        """Draws given the targets: prior draws f, moved by what a fit to the errors y - f - noise adds."""
        outputs = self.y.shape[1]
        prior = wide_network(self.network, self.x.shape[1], outputs, num_samples, seed)
        noise = np.random.default_rng([seed, 4]).standard_normal((num_samples, *self.y.shape))
        errors = self.y - _in_blocks(prior, self.x) - np.sqrt(self.noise_variances) * noise
        weights = self._weights(errors)
        return _in_blocks(lambda block: prior(block) + self._across(block) @ weights, rows)

    def _log_density(self, rows: Array, y: Array, tau: int) -> Array:
        """Of tau rows together a multivariate normal: `[N // tau]`, summed over the outputs."""
        groups = len(y) // tau
        rows = rows[: groups * tau].reshape(groups, tau, -1)
        targets = y[: groups * tau].reshape(groups, tau, -1).swapaxes(1, 2)
        across = self._across(rows)
        prior, total = covariance(self.network, rows, rows), np.zeros(groups)
        for output, noise_variance in enumerate(self.noise_variances):
            explained = (across * self.precisions[:, output]) @ across.swapaxes(1, 2)
            values, vectors = np.linalg.eigh(prior - explained)
            roots = np.sqrt(np.maximum(values, 0.0) + noise_variance)  # Far away, rounding may make values negative.
            lower = np.linalg.cholesky(vectors * roots[:, None] ** 2 @ vectors.swapaxes(1, 2))
            loc = across @ self._weights(self.y)[:, output]
            total += tfd.MultivariateNormalTriL(loc, lower).log_prob(targets[:, output]).numpy()
        return total


def wide_network(network: Network, features: int, outputs: int, count: int, seed: int) -> Callable[[Array], Array]:
    """Prior functions of a network with many units in each hidden layer, `x [N, F] -> [S, N, D]`.

    Args:
        network: The network, whose widths are left out.
        features: F.
        outputs: D.
        count: S. The functions have the weights of the hidden layers in common.
        seed: Of the weights.
    """
    hidden, last = (np.random.default_rng([seed, stream]) for stream in (2, 3))
    sizes = [features, *[WIDTH] * len(network.hidden_units)]
    weights = [hidden.standard_normal((size + 1, WIDTH), np.float32) for size in sizes[:-1]]
    last_weights = last.standard_normal((count, sizes[-1] + 1, outputs))

    def scaled(h: Floats) -> Array:
        """The inputs of a layer and the one of its biases, in units of the prior."""
        size = h.shape[1] if network.scale_prior_by_fan_in else 1
        return network.prior_scale * np.column_stack([h / np.sqrt(size), np.ones(len(h))])

    def functions(x: Array) -> Array:
        h: Floats = x
        for w in weights:
            h = scaled(h).astype(np.float32) @ w
            h = np.maximum(h, 0) if network.activation == "relu" else h
        return np.asarray(scaled(h) @ last_weights)

    return functions


def _in_blocks(functions: Callable[[Array], Array], x: Array) -> Array:
    """Functions `[S, N, D]` at inputs `[N, F]`, a block at a time: of other shapes, products are rounded otherwise."""
    padded = np.pad(x, [(0, -len(x) % ROWS), (0, 0)])
    values = [functions(padded[start : start + ROWS]) for start in range(0, len(padded), ROWS)]
    return np.concatenate(values, axis=1)[:, : len(x)]
