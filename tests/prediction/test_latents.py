"""Draws of latents: each row has its own, given x; they depend on the seed alone; and joint densities are additive."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
from scipy import stats

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.prediction.predict import predict, sample_functions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)
NOISE, INITIAL_SCALE, SAMPLES = 0.4, 0.5, 4000
NETWORK = Network(input_shape=(3,), output_size=1, hidden_units=(5,), activation="tanh", likelihood=Normal(scale=NOISE))
KINDS = ("amortized", "conditional")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Any:
    """Its decoder is linear, so that f(x) = w z + b is normal."""
    return _model(request.param)


def _model(kind: str) -> Any:
    built = by_hand.build(kind, NETWORK, 12, decoder_units=(), initial_scale=INITIAL_SCALE)
    by_hand.widen(built)
    return built


def _moments(model: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of f(x) `[N]`, in NumPy."""
    encoder, latents, last = (
        by_hand.variables(model, name) for name in ("encoder_1", "latent_parameters", "parameters")
    )
    code = np.tanh(x.astype(np.float64) @ encoder["kernel"] + encoder["bias"])
    loc, raw = np.split(code @ latents["kernel"] + latents["bias"], 2, axis=-1)
    scale = by_hand.latent_scale(raw, INITIAL_SCALE)
    return (loc @ last["kernel"] + last["bias"])[:, 0], np.sqrt(scale**2 @ last["kernel"] ** 2)[:, 0]


def test_rows_of_a_draw_are_independent_and_normal_given_x(model: Any) -> None:
    """Equal rows and rows that differ: correlations over many draws are 0 within 4.5 standard errors."""
    rows = np.concatenate([X, X])
    mean, sd = _moments(model, rows)
    functions = sample_functions(model, rows, num_samples=SAMPLES, seed=0)[:, :, 0].astype(np.float64)
    standard = (functions - mean) / sd
    assert (np.abs(standard.mean(0)) < 4.5 / np.sqrt(SAMPLES)).all()
    assert (np.abs(standard.var(0) - 1) < 4.5 * np.sqrt(2 / SAMPLES)).all()
    assert stats.kstest(standard.ravel(), "norm").statistic < stats.kstwo.isf(0.001, standard.size)
    assert stats.kstest(1.1 * standard.ravel(), "norm").statistic > stats.kstwo.isf(0.001, standard.size)
    correlation = np.corrcoef(standard, rowvar=False) - np.eye(len(rows))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(SAMPLES)
    for distance in (1, 100):  # Samples are independent too, also those of other blocks.
        between = (standard[:-distance] * standard[distance:]).mean(axis=0)
        assert np.abs(between).max() < 4.5 / np.sqrt(SAMPLES - distance)


def test_draws_depend_on_the_seed_alone(model: Any) -> None:
    """Not on how many samples there are: fewer are the first of more."""
    functions = sample_functions(model, X, num_samples=130, seed=4)
    np.testing.assert_array_equal(functions, sample_functions(model, X, num_samples=130, seed=4))
    for fewer in (1, 30, 100, 101):
        first = sample_functions(model, X, num_samples=fewer, seed=4)
        np.testing.assert_allclose(first, functions[:fewer], atol=1e-5)
    assert len(np.unique(functions)) == functions.size
    assert not np.isclose(sample_functions(model, X, num_samples=130, seed=5), functions).all(axis=0).any()


def test_rows_of_other_chunks_have_latents_of_their_own(model: Any) -> None:
    """Equal rows beyond the first 1,024: their moments are by hand, and no noise comes twice."""
    samples, x = 130, np.tile(X[:1], (2060, 1))
    mean, sd = _moments(model, X[:1])
    functions = sample_functions(model, x, num_samples=samples, seed=1)[:, :, 0].astype(np.float64)
    standard = (functions - mean) / sd
    for rows in (slice(1024), slice(1024, 2048), slice(2048, 2060)):
        some = standard[:, rows]
        assert abs(some.mean()) < 4.5 / np.sqrt(some.size)
        assert abs(some.var() - 1) < 4.5 * np.sqrt(2 / some.size)
    for distance in (1, 12, 1024, 2048):
        one, other = standard[:, :-distance], standard[:, distance:]
        assert abs((one * other).mean()) < 4.5 / np.sqrt(one.size)
        assert np.isclose(one, other, atol=1e-6).mean() < 1e-4
    predictive = predict(model, x, num_samples=samples, seed=1)
    np.testing.assert_allclose(predictive.latent_variance[:, 0], functions.var(0), rtol=1e-4)
    assert (predictive.epistemic_variance == 0).all()


def test_joint_densities_of_rows_are_the_products_of_those_of_each(model: Any) -> None:
    """1,024 and 2,060 are no multiples of 7; rows that are left over are not scored."""
    x = np.tile(X, (344, 1))[:2060]
    y = np.random.default_rng(1).normal(size=2060)
    predictive = predict(model, x, num_samples=110, seed=2)
    alone = predictive.log_prob(y)
    for tau in (1, 2, 7, 1029, 2060):
        sums = alone[: 2060 // tau * tau].reshape(-1, tau).sum(axis=1)
        np.testing.assert_allclose(predictive.joint_log_prob(y, tau=tau), sums, rtol=1e-10)


def test_densities_are_those_of_the_normal_distribution_of_y(model: Any) -> None:
    """y ~ N(w loc + b, w^2 scale^2 + noise^2), within 4.5 standard errors; the noise alone would not do."""
    y = np.linspace(-1, 1, len(X))
    mean, sd = _moments(model, X)
    functions = sample_functions(model, X, num_samples=SAMPLES, seed=0)[:, :, 0].astype(np.float64)
    error = stats.norm.pdf(y, functions, NOISE).std(axis=0) / np.sqrt(SAMPLES)
    measured = np.exp(predict(model, X, num_samples=SAMPLES, seed=0).log_prob(y))
    assert (np.abs(measured - stats.norm.pdf(y, mean, np.hypot(sd, NOISE))) < 4.5 * error).all()
    assert (np.abs(measured - stats.norm.pdf(y, mean, NOISE)) > 4.5 * error).any()


@pytest.mark.parametrize("kind", ["flipout", "shared"])
def test_of_weights_and_shared_factors_they_are_not(kind: str) -> None:
    """The control: equal rows of a draw have equal values, so that densities of rows do not multiply."""
    model = by_hand.build(kind, NETWORK, 12)
    by_hand.widen(model)
    rows, y = np.concatenate([X, X]), np.tile(np.linspace(-1, 1, len(X)), 2)
    functions = sample_functions(model, rows, num_samples=30, seed=0)
    np.testing.assert_array_equal(functions[:, : len(X)], functions[:, len(X) :])
    predictive = predict(model, rows, num_samples=30, seed=0)
    apart = predictive.log_prob(y).reshape(-1, 4).sum(axis=1)
    assert not np.isclose(predictive.joint_log_prob(y, tau=4), apart, rtol=1e-2).all()
