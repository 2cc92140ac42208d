"""The Gaussian process of infinite width: its covariance is that of wide networks, and its posterior the textbook's."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

import variational_bnn as vbnn
from variational_bnn.methods.gaussian_process import GaussianProcess, covariance

Array = npt.NDArray[np.float64]

N, POINTS, DRAWS = 25, 7, 4000
NOISE = 30.0
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2)) * [1.0, 50.0] + [3.0, 0.0]
Y = np.column_stack([500 + 200 * np.sin(2 * X[:, 0]), 100 + 4 * X[:, 1]]) + NOISE * RNG.normal(size=(N, 2))
X_NEW = RNG.normal(size=(POINTS, 2)) * [2.0, 80.0] + [3.0, 0.0]
Y_NEW = np.column_stack([500 + 200 * np.sin(2 * X_NEW[:, 0]), 100 + 4 * X_NEW[:, 1]])
DATASET = vbnn.Dataset(name="two targets", x=X, y=Y)
ONE = vbnn.Dataset(name="one target", x=X, y=Y[:, :1])
DEEP = vbnn.Network(
    input_shape=(2,), output_size=1, hidden_units=(5, 9), likelihood=vbnn.Normal(scale=NOISE), prior_scale=1.4
)
LEARNED = dataclasses.replace(DEEP, output_size=2, likelihood=vbnn.Normal(scale="learned"))


def _scaled(values: Array, of: Array) -> Array:
    return np.asarray((values - of.mean(axis=0)) / of.std(axis=0))


def _closed_form(noise: float, x: Array = X_NEW, output: int = 0) -> tuple[Array, Array]:
    """Mean `[M]` and covariance `[M, M]` of the functions at x, in the units of y, by the textbook's equations."""
    points = np.vstack([_scaled(X, X), _scaled(x, X)])
    prior, scale = _by_quadrature(points), Y[:, output].std()
    gain = np.linalg.solve(prior[:N, :N] + (noise / scale) ** 2 * np.eye(N), prior[:N, N:]).T
    mean = Y[:, output].mean() + scale * gain @ _scaled(Y, Y)[:, output]
    return mean, scale**2 * (prior[N:, N:] - gain @ prior[:N, N:])


def _by_quadrature(x: Array) -> Array:
    """The prior's covariance with two layers of ReLUs; the angle between two normal numbers is integrated over.

    With u = r cos(t), v = r cos(t - angle) the radius integrates to 2, which leaves the angles where both are positive.
    """
    s2 = DEEP.prior_scale**2
    k = s2 * (1 + x @ x.T / 2)
    turns = np.linspace(-np.pi, np.pi, 20_001)
    for _ in DEEP.hidden_units:
        sd = np.sqrt(np.diag(k))
        angles = np.arccos(np.clip(k / np.outer(sd, sd), -1, 1))
        products = np.empty_like(k)
        for i, j in itertools.product(range(len(x)), repeat=2):
            both = np.maximum(np.cos(turns), 0) * np.maximum(np.cos(turns - angles[i, j]), 0)
            products[i, j] = sd[i] * sd[j] * both.mean() * 2
        k = s2 * (1 + products)
    return k


def test_mean_variances_and_joint_densities_are_the_textbooks() -> None:
    """Of two hidden layers, in the units of y; with other noise they would not be."""
    predictive = GaussianProcess().fit(ONE, DEEP, 0).predict(X_NEW, num_samples=2, seed=0)
    mean, cov = _closed_form(NOISE)
    np.testing.assert_allclose(predictive.mean[:, 0], mean, rtol=1e-4)
    np.testing.assert_allclose(predictive.epistemic_variance[:, 0], np.diag(cov), rtol=1e-3)
    np.testing.assert_allclose(predictive.aleatoric_variance, NOISE**2, rtol=1e-6)
    for tau in (1, 3, POINTS):
        groups = [slice(i * tau, (i + 1) * tau) for i in range(POINTS // tau)]
        for noise, agrees in ((NOISE, True), (2 * NOISE, False)):
            m, c = _closed_form(noise)
            total = c + noise**2 * np.eye(POINTS)
            by_scipy = [stats.multivariate_normal.logpdf(Y_NEW[g, 0], m[g], total[g, g]) for g in groups]
            found = predictive.joint_log_prob(Y_NEW[:, :1], tau=tau)
            assert np.allclose(found, by_scipy, rtol=1e-3) == agrees


def test_without_hidden_units_it_is_bayesian_linear_regression() -> None:
    network = dataclasses.replace(DEEP, hidden_units=(), scale_prior_by_fan_in=False)
    found, linear = (
        method.fit(ONE, network, 0).predict(X_NEW, num_samples=2, seed=0)
        for method in (GaussianProcess(), vbnn.LinearRegression())
    )
    np.testing.assert_allclose(found.mean, linear.mean, rtol=1e-5)
    np.testing.assert_allclose(found.epistemic_variance, linear.epistemic_variance, rtol=1e-4)
    np.testing.assert_allclose(
        found.joint_log_prob(Y_NEW[:, :1], tau=3), linear.joint_log_prob(Y_NEW[:, :1], tau=3), rtol=1e-5
    )


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_its_covariance_is_that_of_wide_networks(activation: str) -> None:
    """Of function samples of the package's own prior with 300 units; and not that of the other activation."""
    wide = dataclasses.replace(DEEP, hidden_units=(300, 300), activation=activation)
    prior = vbnn.Prior(standardise=False).fit(ONE, wide, 0)
    x = X_NEW / [1.0, 50.0]
    functions = prior.sample_functions(x, num_samples=DRAWS, seed=0)[:, :, 0]
    sampled, sd = functions.T @ functions / DRAWS, np.sqrt((functions**2).mean(axis=0))
    for kernel, agrees in ((activation, True), ("linear" if activation == "relu" else "relu", False)):
        exact = covariance(dataclasses.replace(wide, activation=kernel), x, x)
        off = np.abs(sampled - exact) / np.outer(sd, sd)
        # Sampling, and the width: correlations of products of two layers of 300 units are off by some hundredths.
        assert bool((off < 5 * np.sqrt(2 / DRAWS) + 0.05).all()) == agrees


def _agree(functions: Array, mean: Array, cov: Array) -> bool:
    """Whether function samples have a mean and a covariance, to sampling and the width behind them."""
    sd = np.sqrt(np.diag(cov))
    off = np.abs(functions.mean(axis=0) - mean) / sd, np.abs(np.cov(functions.T) - cov) / np.outer(sd, sd)
    return bool((off[0] < 5 / np.sqrt(DRAWS)).all() and (off[1] < 5 * np.sqrt(2 / DRAWS) + 0.1).all())


def test_function_samples_have_the_closed_forms_mean_and_covariance() -> None:
    posterior = GaussianProcess().fit(ONE, DEEP, 0)
    functions = posterior.sample_functions(X_NEW, num_samples=DRAWS, seed=1)[:, :, 0]
    mean, cov = _closed_form(NOISE)
    assert _agree(functions, mean, cov)
    assert not _agree(functions, mean, np.diag(np.diag(cov))), "the control: no covariance"
    assert not _agree(functions, mean, 1.5 * cov), "the control: more variance"


def test_samples_of_y_have_noise_of_their_own_also_where_the_seeds_are_equal() -> None:
    """At the training rows, whose noise the function samples are conditioned on, and as many."""
    predictive = GaussianProcess().fit(ONE, DEEP, 0).predict(X, num_samples=DRAWS, seed=3)
    ratio = predictive.sample(seed=3).var(axis=0) / predictive.variance
    assert (np.abs(ratio - 1) < 5 * np.sqrt(2 / DRAWS) + 0.1).all()
    assert abs(ratio.mean() - 1) < 0.05


def test_noise_that_is_not_known_has_the_highest_marginal_likelihood() -> None:
    """Of each output on its own; the largest on a grid of 1,000 levels is within a hundredth of SciPy's."""
    predictive = GaussianProcess().fit(DATASET, LEARNED, 0).predict(X_NEW, num_samples=2, seed=0)
    prior = _by_quadrature(_scaled(X, X))
    for output, targets in enumerate(_scaled(Y, Y).T):

        def loss(log_noise: float, targets: Array = targets) -> float:
            total = prior + np.exp(2 * log_noise) * np.eye(N)
            return -float(stats.multivariate_normal.logpdf(targets, np.zeros(N), total))

        noise = np.exp(minimize_scalar(loss, bounds=(-4, 1), method="bounded").x) * Y[:, output].std()
        np.testing.assert_allclose(np.sqrt(predictive.aleatoric_variance[:, output]), noise, rtol=0.01)
        mean, cov = _closed_form(noise, output=output)
        np.testing.assert_allclose(predictive.mean[:, output], mean, rtol=0.01)
        np.testing.assert_allclose(predictive.epistemic_variance[:, output], np.diag(cov), rtol=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "tanh"}, "activation must be linear or relu, got tanh"),
        ({"scale_prior_by_fan_in": False}, "needs scale_prior_by_fan_in=True"),
        ({"likelihood": vbnn.Bernoulli()}, "needs a Normal likelihood, got Bernoulli"),
    ],
)
def test_what_has_no_closed_form_is_named(changes: dict[str, Any], message: str) -> None:
    network = dataclasses.replace(DEEP, **changes)
    with pytest.raises(ValueError, match=message):
        GaussianProcess().fit(vbnn.Dataset(name="signs", x=X, y=(Y[:, :1] > 400) * 1.0), network, 0)


def test_too_many_rows_are_an_error_before_they_take_the_memory() -> None:
    x = np.arange(3001.0)[:, None]
    network = dataclasses.replace(DEEP, input_shape=(1,))
    with pytest.raises(vbnn.FitError, match="at most 3000 for gp, got 3001"):
        GaussianProcess().fit(vbnn.Dataset(name="long", x=x, y=x), network, 0)
