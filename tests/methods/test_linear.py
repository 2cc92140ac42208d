"""Bayesian linear regression: its densities are those of SciPy, and of an integral over the noise."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.special import logsumexp

from variational_bnn import (
    Bernoulli,
    Dataset,
    FitError,
    LinearRegression,
    MixtureNormal,
    Network,
    Normal,
    Predictive,
)

Array = npt.NDArray[np.float64]

N, POINTS, DRAWS = 30, 6, 20_000
NOISE, PRIOR = 40.0, 0.6
RNG = np.random.default_rng(0)
X = 5 + RNG.normal(size=(N, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 20.0]])
Y = 300 + 30 * X[:, :1] - 20 * X[:, 1:2] + NOISE * RNG.normal(size=(N, 1))
X_NEW = 5 + RNG.normal(size=(POINTS, 3)) * [2.0, 2.0, 30.0]
Y_NEW = 300 + 30 * X_NEW[:, :1] - 20 * X_NEW[:, 1:2] + NOISE * RNG.normal(size=(POINTS, 1))
DATASET = Dataset(name="made", x=X, y=Y)
KNOWN = Network(input_shape=(3,), output_size=1, likelihood=Normal(scale=NOISE), prior_scale=PRIOR)
UNKNOWN = dataclasses.replace(KNOWN, likelihood=Normal())
both = pytest.mark.parametrize("network", [KNOWN, UNKNOWN], ids=["known", "unknown"])


def _posterior(network: Network, dataset: Dataset = DATASET) -> Any:
    return LinearRegression().fit(dataset, network, 0)


def _predict(network: Network, x: Array = X_NEW, dataset: Dataset = DATASET, draws: int = 2) -> Predictive:
    return _posterior(network, dataset).predict(x, num_samples=draws, seed=0)


def _prior_covariance(x: Array, network: Network = KNOWN) -> Array:
    """Of the functions at x, where both x and y are in standard units."""
    features = (x - X.mean(0)) / X.std(0)
    by = features.shape[1] if network.scale_prior_by_fan_in else 1
    return network.prior_scale**2 * (features @ features.T / by + 1)


def _known(x: Array, noise: float = NOISE, network: Network = KNOWN) -> tuple[Array, Array]:
    """Mean `[M]` and covariance `[M, M]` of the functions at x: a Gaussian process's, with the linear kernel."""
    shift, scale = Y.mean(), Y.std()
    joint = _prior_covariance(np.vstack([X, x]), network)
    gain = np.linalg.solve(joint[:N, :N] + (noise / scale) ** 2 * np.eye(N), joint[:N, N:]).T
    mean = shift + gain @ (Y[:, 0] - shift)
    return mean, scale**2 * (joint[N:, N:] - gain @ joint[:N, N:])


def _by_integration(x: Array, y: Array) -> tuple[Array, float, float]:
    """Mean `[M]` of the functions, E of the noise's variance and the joint log density of y `[M]`, of unknown noise.

    Given the noise's variance v, targets are N(0, v (I + prior covariance)); and v ~ inverse gamma (1/2, 1/2).
    """
    shift, scale = Y.mean(), Y.std()
    before, after = (Y[:, 0] - shift) / scale, (np.concatenate([Y[:, 0], y]) - shift) / scale
    covariance = np.eye(len(after)) + _prior_covariance(np.vstack([X, x]))
    log_v = np.linspace(-10, 10, 8001)
    log_prior = stats.invgamma.logpdf(np.exp(log_v), 0.5, scale=0.5) + log_v

    def log_density(values: Array) -> Array:
        inside = covariance[: len(values), : len(values)]
        square = values @ np.linalg.solve(inside, values)
        return log_prior - 0.5 * (
            len(values) * (np.log(2 * np.pi) + log_v) + np.linalg.slogdet(inside)[1] + square * np.exp(-log_v)
        )

    evidence = log_density(before)
    weights = np.exp(evidence - logsumexp(evidence))
    joint = logsumexp(log_density(after)) - logsumexp(evidence) - len(y) * np.log(scale)
    mean = shift + scale * covariance[N:, :N] @ np.linalg.solve(covariance[:N, :N], before)
    return mean, float(scale**2 * weights @ np.exp(log_v)), float(joint)


def test_with_known_noise_all_is_normal() -> None:
    """Mean and variances in closed form, and the joint density as SciPy has it; with other noise or prior it is not."""
    predictive = _predict(KNOWN)
    mean, covariance = _known(X_NEW)
    np.testing.assert_allclose(predictive.mean[:, 0], mean, rtol=1e-5)
    np.testing.assert_allclose(predictive.epistemic_variance[:, 0], np.diag(covariance), rtol=1e-5)
    np.testing.assert_allclose(predictive.aleatoric_variance, NOISE**2, rtol=1e-6)
    wide = dataclasses.replace(KNOWN, scale_prior_by_fan_in=False)
    np.testing.assert_allclose(_predict(wide).mean[:, 0], _known(X_NEW, network=wide)[0], rtol=1e-5)
    for tau in (1, 3, POINTS):
        found = predictive.joint_log_prob(Y_NEW, tau=tau)
        by_scipy = [_log_normal(mean, covariance + NOISE**2 * np.eye(POINTS), i, tau) for i in range(POINTS // tau)]
        np.testing.assert_allclose(found, by_scipy, rtol=1e-5)
        for other_noise, network in ((2 * NOISE, KNOWN), (NOISE, wide)):
            m, c = _known(X_NEW, other_noise, network)
            assert found[0] != pytest.approx(_log_normal(m, c + other_noise**2 * np.eye(POINTS), 0, tau), rel=1e-3)


def _log_normal(mean: Array, covariance: Array, group: int, tau: int) -> float:
    rows = slice(group * tau, (group + 1) * tau)
    return float(stats.multivariate_normal.logpdf(Y_NEW[rows, 0], mean[rows], covariance[rows, rows]))


@pytest.mark.parametrize("tau", [1, 2, POINTS])
def test_with_unknown_noise_it_is_the_integral_over_the_noise(tau: int) -> None:
    """Moments and joint densities; those of a normal of the same moments are others."""
    predictive = _predict(UNKNOWN)
    mean, noise_variance, _ = _by_integration(X_NEW, Y_NEW[:, 0])
    np.testing.assert_allclose(predictive.mean[:, 0], mean, rtol=1e-5)
    np.testing.assert_allclose(predictive.aleatoric_variance, noise_variance, rtol=1e-5)
    found = predictive.joint_log_prob(Y_NEW, tau=tau)
    wanted = [_by_integration(X_NEW[i : i + tau], Y_NEW[i : i + tau, 0])[2] for i in range(0, POINTS, tau)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    if tau == 1:
        normal = stats.norm.logpdf(Y_NEW, predictive.mean, np.sqrt(predictive.variance))[:, 0]
        assert (np.abs(normal / found - 1) > 1e-3).any()


def test_with_unknown_noise_it_is_student_t() -> None:
    """Degrees of freedom 1 + N, and the scale from the residuals of the ridge solution (Murphy 2012, section 7.6)."""
    x, y = (X - X.mean(0)) / X.std(0), (Y[:, 0] - Y.mean()) / Y.std()
    features, new = (np.column_stack([t, np.ones(len(t))]) for t in (x, (X_NEW - X.mean(0)) / X.std(0)))
    precision = features.T @ features + np.diag([3 / PRIOR**2] * 3 + [1 / PRIOR**2])
    mean = np.linalg.solve(precision, features.T @ y)
    freedom, rate = 1 + N, 0.5 + (y @ y - mean @ precision @ mean) / 2
    shape = Y.std() ** 2 * 2 * rate / freedom * (np.eye(POINTS) + new @ np.linalg.solve(precision, new.T))
    loc = Y.mean() + Y.std() * new @ mean
    predictive = _predict(UNKNOWN)
    found = predictive.joint_log_prob(Y_NEW, tau=POINTS)
    assert found == pytest.approx(stats.multivariate_t.logpdf(Y_NEW[:, 0], loc, shape, freedom), rel=1e-5)
    assert found != pytest.approx(stats.multivariate_t.logpdf(Y_NEW[:, 0], loc, shape, N - 4), rel=1e-4)
    np.testing.assert_allclose(predictive.variance[:, 0], np.diag(shape) * freedom / (freedom - 2), rtol=1e-5)
    learned = dataclasses.replace(UNKNOWN, likelihood=Normal(scale="learned"))
    np.testing.assert_allclose(_predict(learned).mean[:, 0], loc, rtol=1e-5)


def _agree(draws: npt.NDArray[np.float32], mean: Array, covariance: Array) -> bool:
    """Whether draws `[S, M]` have this mean and covariance, within 5 standard errors of nearly normal draws."""
    variances = np.diag(covariance)
    off_mean = np.abs(draws.mean(0, dtype=np.float64) - mean) / np.sqrt(variances / len(draws))
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / len(draws))
    off_covariance = np.abs(np.cov(draws.astype(np.float64).T) - covariance) / errors
    return bool((off_mean < 5).all() and (off_covariance < 5).all())


@both
def test_the_draws_are_of_the_posterior(network: Network) -> None:
    """Functions have its mean and its covariance between inputs, samples the noise's as well; each tells the other."""
    predictive = _predict(network, draws=DRAWS)
    functions = _posterior(network).sample_functions(X_NEW, num_samples=DRAWS, seed=1)[..., 0]
    noise_variance = predictive.aleatoric_variance[0, 0]
    mean, covariance = _known(X_NEW, np.sqrt(noise_variance))
    if network is UNKNOWN:  # Its prior is in units of the noise.
        scaled = dataclasses.replace(KNOWN, prior_scale=PRIOR * np.sqrt(noise_variance) / Y.std())
        mean, covariance = _known(X_NEW, np.sqrt(noise_variance), scaled)
    np.testing.assert_allclose(predictive.epistemic_variance[:, 0], np.diag(covariance), rtol=1e-4)
    with_noise = covariance + noise_variance * np.eye(POINTS)
    samples = predictive.sample(seed=1)[..., 0]
    assert _agree(functions, mean, covariance)
    assert _agree(samples, mean, with_noise)
    assert not _agree(functions, mean, with_noise)
    assert not _agree(functions, mean, np.diag(np.diag(covariance))), "rows of a draw share its function"
    assert not _agree(samples, mean, np.diag(np.diag(with_noise)))


@both
def test_the_units_do_not_matter(network: Network) -> None:
    shift, scale = np.array([5.0, -2.0, 1e3]), np.array([1e-3, 7.0, 2.0])
    other = Dataset(name="made", x=shift + scale * X, y=3 + 0.01 * Y)
    there = network
    if network is KNOWN:
        there = dataclasses.replace(network, likelihood=Normal(scale=0.01 * NOISE))
    here, found = _predict(network), _predict(there, shift + scale * X_NEW, other)
    np.testing.assert_allclose(found.mean, 3 + 0.01 * here.mean, rtol=1e-5)
    np.testing.assert_allclose(found.epistemic_variance, 1e-4 * here.epistemic_variance, rtol=1e-4)
    np.testing.assert_allclose(found.aleatoric_variance, 1e-4 * here.aleatoric_variance, rtol=1e-4)
    densities = [p.joint_log_prob(y, tau=3) for p, y in ((found, 3 + 0.01 * Y_NEW), (here, Y_NEW))]
    np.testing.assert_allclose(densities[0], densities[1] - 3 * np.log(0.01), rtol=1e-4)


def test_several_outputs_are_as_many_regressions() -> None:
    """Of unknown noise, each in its own units; their log densities add up."""
    y, y_new = np.hstack([Y, 0.01 * Y[::-1]]), np.hstack([Y_NEW, 0.01 * Y_NEW[::-1]])
    together = _predict(dataclasses.replace(UNKNOWN, output_size=2), dataset=Dataset(name="made", x=X, y=y))
    apart = [_predict(UNKNOWN, dataset=Dataset(name="made", x=X, y=y[:, [i]])) for i in range(2)]
    for name in ("mean", "epistemic_variance", "aleatoric_variance"):
        np.testing.assert_allclose(getattr(together, name), np.hstack([getattr(p, name) for p in apart]), rtol=1e-6)
    sums = sum(p.joint_log_prob(y_new[:, [i]], tau=3) for i, p in enumerate(apart))
    np.testing.assert_allclose(together.joint_log_prob(y_new, tau=3), sums, rtol=1e-6)
    assert not np.isclose(apart[0].mean, 100 * apart[1].mean, rtol=1e-3).all()


@both
def test_hidden_units_and_the_seed_of_the_fit_are_left_out(network: Network) -> None:
    """An exact posterior depends on neither."""
    line = dataclasses.replace(network, hidden_units=())
    posteriors = LinearRegression().fit(DATASET, network, 0), LinearRegression().fit(DATASET, line, 1)
    found = [posterior.predict(X_NEW, num_samples=2, seed=0) for posterior in posteriors]
    np.testing.assert_array_equal(found[0].mean, found[1].mean)
    np.testing.assert_array_equal(found[0].variance, found[1].variance)
    np.testing.assert_array_equal(found[0].sample(seed=3), found[1].sample(seed=3))


@both
def test_what_is_drawn_is_counted(network: Network) -> None:
    posterior = _posterior(network)
    size = 4 if network is KNOWN else 5
    assert posterior.diagnostics.num_parameters == posterior.diagnostics.num_random_variables == size
    assert posterior.diagnostics.trace is None


@pytest.mark.parametrize("likelihood", [Bernoulli(), MixtureNormal(num_components=2)])
def test_other_likelihoods_are_not_supported(likelihood: Any) -> None:
    network = dataclasses.replace(KNOWN, likelihood=likelihood)
    expected = f"it needs a Normal likelihood, got {likelihood!r}"
    assert LinearRegression().supports(DATASET, network) == expected
    with pytest.raises(ValueError, match=r"^it needs a Normal likelihood, got "):
        LinearRegression().fit(DATASET, network, 0)


def test_features_that_are_equal_to_rounding_have_no_posterior_under_a_wide_prior() -> None:
    """With a prior of ordinary width they have."""
    twice = Dataset(name="twice", x=np.column_stack([X[:, 0], X[:, 0]]), y=Y)
    network = dataclasses.replace(KNOWN, input_shape=(2,))
    assert np.isfinite(_predict(network, X_NEW[:, :2], twice).mean).all()
    with pytest.raises(FitError, match=r"^singular: "):
        _posterior(dataclasses.replace(network, prior_scale=1e12), twice)


def test_without_standardisation_the_prior_is_in_the_units_of_the_data() -> None:
    """A Gaussian process of the linear kernel on the values as they are."""
    x, y, new = X - X.mean(0), Y - Y.mean(), X_NEW - X.mean(0)
    joint = np.vstack([x, new])
    prior = PRIOR**2 * (joint @ joint.T / 3 + 1)
    gain = np.linalg.solve(prior[:N, :N] + NOISE**2 * np.eye(N), prior[:N, N:]).T
    raw = LinearRegression(standardise=False).fit(Dataset(name="raw", x=x, y=y), KNOWN, 0)
    found = raw.predict(new, num_samples=2, seed=0)
    np.testing.assert_allclose(found.mean[:, 0], gain @ y[:, 0], rtol=1e-5)
    assert not np.allclose(found.mean + Y.mean(), _predict(KNOWN).mean, rtol=1e-3)
