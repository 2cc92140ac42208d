"""The log posterior of a batch is an unbiased estimate; searches find the mode, or the highest likelihood."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import variational_bnn as vbnn
from variational_bnn.methods.optimisation import batch_log_posterior, optimise
from variational_bnn.methods.problem import Problem

RNG = np.random.default_rng(0)
N, BATCH = 60, 16
X = RNG.normal(size=(N, 2))
Y = np.sin(2 * X[:, :1]) + X[:, 1:] + 0.3 * RNG.normal(size=(N, 1))
DATASET = vbnn.Dataset(name="made", x=X, y=Y)
NETWORK = vbnn.Network(input_shape=(2,), output_size=1, hidden_units=(4,), likelihood=vbnn.Normal(scale=0.3))
PROBLEM = Problem.of(DATASET, NETWORK, standardise=False)
Z = PROBLEM.space.prior_draws(3, 0)
LINE = Problem.of(DATASET, dataclasses.replace(NETWORK, hidden_units=(), prior_scale=0.1), standardise=False)
ADAM = vbnn.Ensemble(steps=1000, learning_rate=0.5)


def _by_hand(z: np.ndarray) -> tuple[float, float]:
    """Log p(z), up to a constant, and log p(y given x, z) of the network, in NumPy."""
    w1, b1, w2, b2 = np.split(z.astype(np.float64), [8, 12, 16])
    hidden = np.maximum(X @ w1.reshape(2, 4) / np.sqrt(2) + b1, 0)
    mean = hidden @ w2.reshape(4, 1) / np.sqrt(4) + b2
    log_likelihood = -((Y - mean) ** 2).sum() / (2 * 0.3**2) - N * np.log(0.3 * np.sqrt(2 * np.pi))
    return -(z.astype(np.float64) ** 2).sum() / 2, log_likelihood


def _estimates(batch_size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Log prior and estimates of the log likelihood, `[count, 3]` each, from as many seeds."""

    @tf.function
    def estimate(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return batch_log_posterior(PROBLEM, tf.constant(Z), batch_size, seed)

    made = [estimate(tf.constant([0, seed])) for seed in range(count)]
    return np.array([prior for prior, _ in made]), np.array([likelihood for _, likelihood in made], np.float64)


def test_the_estimate_of_a_batch_is_unbiased() -> None:
    """The mean over 2,000 seeds is the log likelihood of all rows, within 4.5 standard errors; unscaled it is not."""
    priors, likelihoods = _estimates(BATCH, 2000)
    expected = np.array([_by_hand(z) for z in Z])
    np.testing.assert_allclose(priors, np.broadcast_to(expected[:, 0], priors.shape), rtol=1e-5)
    errors = likelihoods.std(axis=0) / np.sqrt(len(likelihoods))
    assert (np.abs(likelihoods.mean(axis=0) - expected[:, 1]) < 4.5 * errors).all()
    unscaled = likelihoods * BATCH / N
    assert (np.abs(unscaled.mean(axis=0) - expected[:, 1]) > 20 * errors).all()


@pytest.mark.parametrize("batch_size", [N, 256])
def test_a_batch_that_can_hold_all_rows_is_all_rows(batch_size: int) -> None:
    _, likelihoods = _estimates(batch_size, 2)
    for found in likelihoods:
        np.testing.assert_allclose(found, [_by_hand(z)[1] for z in Z], rtol=1e-5)


def _ridge(precision: float) -> np.ndarray:
    """The weights of highest density, of the features and a one: least squares where the precision is 0."""
    features = np.column_stack([X, np.ones(N)])
    prior = precision * 0.3**2 / 0.1**2 * np.array([2.0, 2.0, 1.0])  # Divided by the fan-in of 2, but for the bias.
    return np.linalg.solve(features.T @ features + np.diag(prior), features.T @ Y)[:, 0]


@pytest.mark.parametrize("prior", [True, False])
def test_of_a_linear_network_the_optimum_has_a_closed_form(prior: bool) -> None:
    """With the prior the ridge solution, without it least squares; the prior is narrow, so that they differ."""
    weights = optimise(LINE, LINE.space.prior_draws(3, 0), ADAM, 0, prior=prior) * LINE.space.prior_scales
    for found in weights:
        np.testing.assert_allclose(found, _ridge(float(prior)), atol=2e-3)
        assert np.abs(found - _ridge(float(not prior))).max() > 0.1


def test_a_search_that_diverges_raises() -> None:
    wild = vbnn.Ensemble(steps=3, learning_rate=1e30)
    with pytest.raises(vbnn.FitError, match=r"^diverged: the loss became "):
        optimise(PROBLEM, Z, wild, 0, prior=True)
