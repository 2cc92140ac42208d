"""Hamiltonian Monte Carlo finds the posterior, and so do the other samplers: an exact one is known in two cases.

Of a linear network with known noise it has a closed form. Of a network with one hidden unit it is an integral over two
numbers: given the weights into the unit, the weights out of it are those of a linear regression.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import variational_bnn as vbnn

Array = npt.NDArray[np.float64]

RNG = np.random.default_rng(1)
X = 20 + RNG.normal(size=(15, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 4.0]])
Y = 300 + 30 * X[:, :1] - 20 * X[:, 1:2] + 25 * RNG.normal(size=(15, 1))
POINTS = np.vstack([X[:4], X.mean(0) + 3 * (X[4:8] - X.mean(0))])
LINE = vbnn.Dataset(name="line", x=X, y=Y)
LINEAR = vbnn.Network(
    input_shape=(3,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=25.0), prior_scale=0.7
)
SAMPLES = 4000


@cache
def _hmc_of_the_line() -> Any:
    return vbnn.HMC().fit(LINE, LINEAR, 0)


def _exact(network: vbnn.Network = LINEAR) -> tuple[Array, Array]:
    """Mean `[M]` and covariance `[M, M]` of the functions at the points, from the closed form of the weights."""
    posterior = vbnn.LinearRegression().fit(LINE, network, 0)
    features = np.column_stack([posterior.x_scaler.transform(POINTS), np.ones(len(POINTS))])
    assert posterior.noise is not None
    root = posterior.y_scaler.scale_ * posterior.noise * features @ posterior.root
    return posterior.y_scaler.mean_ + posterior.y_scaler.scale_ * (features @ posterior.mean)[:, 0], root @ root.T


def _off(functions: Array, mean: Array, covariance: Array, sample_size: float = math.inf) -> list[float]:
    """How many standard errors mean, sd and covariance of functions `[S, M]` are off, at the worst points.

    The functions are samples of `sample_size` independent draws of the posterior.
    """
    error = np.sqrt(1 / sample_size + 1 / len(functions))
    sd = np.sqrt(np.diag(covariance))
    off_covariance = (np.cov(functions.T) - covariance) / np.sqrt(np.outer(sd, sd) ** 2 + covariance**2)
    off = (functions.mean(0) - mean) / sd, (functions.std(0) / sd - 1) * np.sqrt(2), off_covariance
    return [float(np.abs(each).max() / error) for each in off]


def _functions(posterior: Any, x: Array) -> Array:
    return np.asarray(posterior.sample_functions(x, num_samples=SAMPLES, seed=0)[..., 0], np.float64)


def _size(posterior: Any) -> float:
    """Of squares it may be smaller than of values, whose smallest one over all query points is known."""
    return float(posterior.diagnostics.ess / 2)


def test_of_a_linear_network_with_known_noise_it_finds_the_exact_posterior() -> None:
    """Mean, sd and covariance of the functions within 4.5 standard errors; with another prior or noise they are not."""
    posterior = _hmc_of_the_line()
    functions, size = _functions(posterior, POINTS), _size(posterior)
    assert max(_off(functions, *_exact(), size)) < 4.5
    others = {
        "prior": dataclasses.replace(LINEAR, prior_scale=1.4),
        "fan-in": dataclasses.replace(LINEAR, scale_prior_by_fan_in=False),
        "noise": dataclasses.replace(LINEAR, likelihood=vbnn.Normal(scale=32.0)),
    }
    for name, network in others.items():
        assert max(_off(functions, *_exact(network), size)) > 6, f"another {name}"


def test_a_mean_field_posterior_has_another_covariance() -> None:
    """It meets the mean and misses the covariance, since it leaves the weights uncorrelated (Bishop 2006, 10.1.2)."""
    functions = _functions(vbnn.Flipout(steps=2000).fit(LINE, LINEAR, 0), POINTS)
    mean, sd, covariance = _off(functions, *_exact(), _size(_hmc_of_the_line()))
    assert min(sd, covariance) > 6
    assert mean < 6


CURVE_X = np.linspace(-1, 1, 20)[:, None]
CURVE = vbnn.Dataset(
    name="curve", x=CURVE_X, y=np.sin(2 * CURVE_X) + 0.3 * np.random.default_rng(0).normal(size=(20, 1))
)
UNIT = vbnn.Network(
    input_shape=(1,), output_size=1, hidden_units=(1,), activation="tanh", likelihood=vbnn.Normal(scale=0.3)
)
NEW_X = np.array([[-3.0], [-1.0], [-0.5], [0.0], [0.4], [1.0], [3.0]])


def _by_quadrature(noise: float = 0.3, prior_scale: float = 1.0) -> tuple[Array, Array]:
    """Mean and sd `[M]` of the functions w2 tanh(w1 x + b1) + b2 at `NEW_X`, all four weights N(0, prior_scale^2)."""
    grid = np.linspace(-5, 5, 301) * prior_scale
    w1, b1 = (values.ravel()[:, None] for values in np.meshgrid(grid, grid))
    hidden, new = np.tanh(w1 * CURVE_X[:, 0] + b1), np.tanh(w1 * NEW_X[:, 0] + b1)
    features = np.stack([hidden, np.ones_like(hidden)], -1)
    precision = features.swapaxes(1, 2) @ features / noise**2 + np.eye(2) / prior_scale**2
    covariance = np.linalg.inv(precision)
    projected = features.swapaxes(1, 2) @ CURVE.y / noise**2
    weights = (covariance @ projected)[..., 0]
    log_evidence = (weights * projected[..., 0]).sum(-1) / 2 - np.linalg.slogdet(precision)[1] / 2
    log_density = log_evidence - (w1**2 + b1**2)[:, 0] / (2 * prior_scale**2)
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    new_features = np.stack([new, np.ones_like(new)], -1)
    means = np.einsum("gmf,gf->gm", new_features, weights)
    variances = np.einsum("gmf,gfh,gmh->gm", new_features, covariance, new_features)
    mean = density @ means
    return mean, np.sqrt(density @ (variances + (means - mean) ** 2))


@cache
def _fit_of_the_curve(name: str) -> Any:
    settings: dict[str, Any] = {"standardise": False}
    samplers = {
        "hmc": vbnn.HMC(draws=3000, **settings),
        "metropolis": vbnn.Metropolis(chains=32, thinning=15, warmup=500, draws=500, **settings),
        "sgld": vbnn.SGLD(chains=32, thinning=30, warmup=300, draws=500, steps=1000, **settings),
        "prior": vbnn.Prior(**settings),
        "untrained": vbnn.Flipout(steps=1, **settings),
        "kl weight 0.01": vbnn.Flipout(steps=2000, kl_weight=0.01, **settings),
        "kl weight 10": vbnn.Flipout(steps=2000, kl_weight=10.0, **settings),
    }
    return samplers[name].fit(CURVE, UNIT, 0)


def _distance(name: str, **exact: float) -> tuple[float, float]:
    """Largest error of the mean, in sds of the posterior, and of the sd, relative to it."""
    functions, (mean, sd) = _functions(_fit_of_the_curve(name), NEW_X), _by_quadrature(**exact)
    return float(np.abs((functions.mean(0) - mean) / sd).max()), float(np.abs(functions.std(0) / sd - 1).max())


def test_of_a_network_with_a_hidden_unit_it_finds_the_exact_posterior() -> None:
    """Within 4.5 standard errors, less than a fifth of an sd; those of another noise or prior are farther away."""
    posterior = _fit_of_the_curve("hmc")
    error = np.sqrt(1 / _size(posterior) + 1 / SAMPLES)
    assert max(_distance("hmc")) < 4.5 * error < 0.2
    for other in ({"noise": 0.4}, {"noise": 0.2}, {"prior_scale": 0.7}, {"prior_scale": 1.4}):
        assert max(_distance("hmc", **other)) > 4.5 * error
    assert posterior.diagnostics.converged
    assert posterior.diagnostics.acceptance == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(("name", "limit"), [("hmc", 0.1), ("metropolis", 0.1), ("sgld", 0.2)])
def test_what_samples_the_posterior_is_close_to_it(name: str, limit: float) -> None:
    assert max(_distance(name)) < limit


@pytest.mark.parametrize("name", ["prior", "untrained", "kl weight 0.01", "kl weight 10"])
def test_what_is_not_the_posterior_is_farther_away(name: str) -> None:
    assert max(_distance(name)) > 0.5
