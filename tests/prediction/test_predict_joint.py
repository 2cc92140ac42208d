"""Joint densities and samples of y: of the same function samples, against NumPy and closed forms."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from scipy import stats
from scipy.special import logsumexp
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network, Predictive
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.shared_units import SharedUnits
from variational_bnn.prediction.predict import predict, sample_functions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=(12, 2))
MANY_X, MANY_Y = np.tile(X, (172, 1))[:2060], np.tile(Y, (172, 1))[:2060]  # More than two chunks of 1,024 rows.
NOISE = 0.4
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(6, 5), likelihood=Normal(scale=NOISE))
KINDS = ("output", "flipout", "shared", "amortized")
ADDITIVE = ("output", "amortized")


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """A model of each kind, whose noise is known."""
    built = {kind: by_hand.build(kind, NETWORK, 12, seed=i) for i, kind in enumerate(KINDS)}
    for model in built.values():
        by_hand.widen(model)
    return built


def _joint(functions: np.ndarray, tau: int, y: np.ndarray = Y, additive: bool = False) -> np.ndarray:
    """The log of the mean over samples of the density of each tau rows, from the samples of their mean.

    If it is additive, the means over samples are taken of each row alone, since the rows are independent.
    """
    rows = stats.norm.logpdf(y[:, : functions.shape[-1]], functions.astype(np.float64), NOISE).sum(-1)
    rows = logsumexp(rows, axis=0, keepdims=True) - np.log(len(rows)) if additive else rows
    groups = [rows[:, i : i + tau].sum(axis=1) for i in range(0, len(y) - tau + 1, tau)]
    return logsumexp(groups, axis=1) - np.log(len(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_the_joint_density_is_that_of_the_function_samples(models: dict[str, Any], kind: str) -> None:
    """Also where there are several blocks of samples and rows are left over."""
    functions = sample_functions(models[kind], X, num_samples=130, seed=3)
    predictive = predict(models[kind], X, num_samples=130, seed=3)
    for tau in (1, 2, 5, 7, 12):
        log_density = predictive.joint_log_prob(Y, tau=tau)
        assert log_density.shape == (12 // tau,)
        np.testing.assert_allclose(log_density, _joint(functions, tau, additive=kind in ADDITIVE), rtol=1e-4)
    np.testing.assert_array_equal(predictive.log_prob(Y), predictive.joint_log_prob(Y, tau=1))
    apart = predictive.log_prob(Y).reshape(6, 2).sum(axis=1)
    assert np.allclose(predictive.joint_log_prob(Y, tau=2), apart, rtol=1e-4) == (kind in ADDITIVE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_joint_density_does_not_depend_on_how_rows_come_in_chunks(models: dict[str, Any], kind: str) -> None:
    """Of few rows and of more than a chunk's; 1,024 is no multiple of 7."""
    functions = sample_functions(models[kind], MANY_X, num_samples=130, seed=3)
    predictive = predict(models[kind], MANY_X, num_samples=130, seed=3)
    for tau in (1, 7, 1023, 1029, 2060):
        log_density = predictive.joint_log_prob(MANY_Y, tau=tau)
        expected = _joint(functions, tau, MANY_Y, additive=kind in ADDITIVE)
        np.testing.assert_allclose(log_density, expected, rtol=1e-4)


def test_the_joint_density_of_a_model_that_draws_in_its_own_way_is_that_of_its_functions() -> None:
    """Its rows come all together, those that are left over too: how many there are is part of how it draws."""
    model = _with_latents(_own_noise(shared=True))
    predictive = predict(model, X, num_samples=30, seed=3)
    functions = sample_functions(model, X, num_samples=30, seed=3)
    for tau in (5, 12):
        np.testing.assert_allclose(predictive.joint_log_prob(Y[:, :1], tau=tau), _joint(functions, tau), rtol=1e-4)


def test_units_change_joint_densities_by_their_jacobian_and_samples_with_them(models: dict[str, Any]) -> None:
    predictive = predict(models["flipout"], X, num_samples=30)
    shift, scale = np.array([3.0, -1.0]), np.array([10.0, 0.5])
    other = predictive.in_units(shift=shift, scale=scale)
    measured = other.joint_log_prob(shift + scale * Y, tau=4)
    np.testing.assert_allclose(measured, predictive.joint_log_prob(Y, tau=4) - 4 * np.log(5), rtol=1e-4)
    np.testing.assert_allclose(other.sample(seed=1), shift + scale * predictive.sample(seed=1), rtol=1e-6)


def _within(predictive: Predictive, y: np.ndarray, expected: Any, functions: np.ndarray) -> bool:
    """Whether the joint density of all rows is that of a distribution, to 4.5 standard errors of the draws' mean."""
    densities = np.exp(stats.norm.logpdf(y, functions[:, :, 0].astype(np.float64), NOISE).sum(axis=1))
    error = densities.std() / np.sqrt(len(densities))
    [measured] = np.exp(predictive.joint_log_prob(y, tau=len(y)))
    return bool(abs(measured - expected.pdf(y)) < 4.5 * error)


def test_the_joint_density_of_a_linear_model_is_a_multivariate_normal() -> None:
    """Cov[y] = X diag(s^2) X' + s_bias^2 + noise^2 on the diagonal."""
    network = Network(input_shape=(3,), output_size=1, hidden_units=(), likelihood=Normal(scale=NOISE))
    model = by_hand.build("flipout", network, 12)
    by_hand.widen(model)
    (loc, scale), (bias, bias_scale) = by_hand.posterior(model, "parameters").values()
    x, y = X[:3].astype(np.float64), np.array([0.3, -0.5, 0.1])
    mean, shared = (x @ loc)[:, 0] + bias, x @ np.diag(scale[:, 0] ** 2) @ x.T + bias_scale**2
    covariance = shared + NOISE**2 * np.eye(3)
    functions = sample_functions(model, x, num_samples=20000, seed=0)
    predictive = predict(model, x, num_samples=20000, seed=0)
    assert _within(predictive, y, stats.multivariate_normal(mean, covariance), functions)
    apart = stats.multivariate_normal(mean, np.diag(np.diag(covariance)))
    assert not _within(predictive, y, apart, functions), "the rows have the weights in common"


def _with_latents(latents: Any) -> tf_keras.Model:
    """y = latent noise N(0, 1) + noise, for every x."""
    dense = tf_keras.layers.Dense(2, kernel_initializer="zeros")
    density = tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, NOISE), 1))
    return tf_keras.Sequential([tf_keras.Input((3,)), dense, latents, density])


def _own_noise(shared: bool = False) -> tf_keras.layers.Layer:
    """Noise N(0, 1) by a layer without a rule: drawn once for all rows, or for each row as by `NormalUnits`."""

    def noisy(inputs: tf.Tensor) -> tf.Tensor:
        return inputs[..., :1] + tf.random.normal([1, 1] if shared else tf.shape(inputs[..., :1]))

    return tf_keras.layers.Lambda(noisy)


def _factor_minus_one() -> tf_keras.layers.Layer:
    """A factor N(1, 1) of one unit whose value is 1, less 1."""
    one, minus_one = (tf_keras.layers.Lambda(lambda t, shift=shift: t[..., :1] + shift) for shift in (1.0, -1.0))
    return tf_keras.Sequential([one, SharedUnits(12, initial_scale=1.0), minus_one])


def test_posteriors_that_agree_at_every_row_are_told_apart_by_what_rows_have_in_common() -> None:
    """Noise that a draw's rows share correlates them; noise of each row's own does not."""
    y, x = np.array([1.2, 1.0, 0.8]), X[:3]
    alone = np.eye(3) * (1 + NOISE**2)
    shared = np.ones((3, 3)) + NOISE**2 * np.eye(3)
    together, apart = (stats.multivariate_normal(np.zeros(3), covariance) for covariance in (shared, alone))
    layers = _factor_minus_one(), _own_noise(), NormalUnits(initial_scale=1.0)
    of_factors, of_rows, of_units = map(_with_latents, layers)
    for model, right, wrong in ((of_factors, together, apart), (of_rows, apart, together), (of_units, apart, together)):
        predictive = predict(model, x, num_samples=1500, seed=0)
        functions = sample_functions(model, x, num_samples=1500, seed=0)
        assert _within(predictive, y, right, functions)
        assert not _within(predictive, y, wrong, functions)
        densities = stats.norm.pdf(y, functions[:, :, 0], NOISE)
        error = densities.std(axis=0) / np.sqrt(1500)
        marginal = stats.norm.pdf(y, 0, np.sqrt(1 + NOISE**2))
        assert (np.abs(np.exp(predictive.log_prob(y)) - marginal) < 4.5 * error).all()


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_predictives_moments(models: dict[str, Any], kind: str) -> None:
    """Given the draws' functions, only the noise is left to chance: 4.5 standard errors."""
    predictive = predict(models[kind], X, num_samples=4000, seed=0)
    samples = predictive.sample(seed=0)
    assert samples.shape == (4000, 12, 2)
    assert samples.dtype == np.float32
    noise = samples - sample_functions(models[kind], X, num_samples=4000, seed=0).astype(np.float64)
    assert (np.abs(noise.mean(axis=0)) < 4.5 * NOISE / np.sqrt(4000)).all()
    assert (np.abs(noise.var(axis=0) / NOISE**2 - 1) < 4.5 * np.sqrt(2 / 4000)).all()
    deviation = (samples - predictive.mean) ** 2
    error = deviation.std(axis=0) / np.sqrt(4000)
    assert (np.abs(deviation.mean(axis=0) - predictive.variance) < 4.5 * error).all()
    if kind != "output":
        off = np.abs(deviation.mean(axis=0) - predictive.aleatoric_variance) > 4.5 * error
        assert off.any(), "noise around the mean is not enough"


@pytest.mark.parametrize("kind", KINDS)
def test_samples_depend_on_the_seed_alone(models: dict[str, Any], kind: str) -> None:
    predictive = predict(models[kind], X, num_samples=130, seed=0)
    samples = predictive.sample(seed=1)
    predictive.log_prob(Y)
    sample_functions(models[kind], X, num_samples=130, seed=5)
    np.testing.assert_array_equal(samples, predictive.sample(seed=1))
    assert (samples != predictive.sample(seed=2)).all()
    assert len(np.unique(samples[:, 0, 0])) == 130


def test_samples_are_of_the_drawn_functions() -> None:
    """Where there is next to no noise they are those, also of a model that draws in its own way."""
    network = Network(input_shape=(3,), output_size=2, hidden_units=(6,), likelihood=Normal(scale=1e-6))
    flipout = by_hand.build("flipout", network, 12)
    own = tf_keras.Sequential(
        [tf_keras.Input((3,)), _own_noise(), tfp.layers.DistributionLambda(lambda t: tfd.Normal(t, 1e-6))]
    )
    for model in (flipout, own):
        functions = sample_functions(model, X, num_samples=130, seed=2)
        samples = predict(model, X, num_samples=130, seed=2).sample(seed=7)
        np.testing.assert_allclose(samples, functions, atol=1e-5)
        assert not np.isclose(samples, sample_functions(model, X, num_samples=130, seed=3), atol=1e-4).all()


def test_noise_is_independent_over_rows_chunks_samples_and_blocks() -> None:
    """The noise of the first rows of three chunks, in two blocks of samples.

    None of its numbers comes twice, and they are normal: the distance of Kolmogorov and Smirnov at 1 in 1,000.
    """
    density = tfp.layers.DistributionLambda(lambda t: tfd.Normal(t, NOISE))
    dense = tf_keras.layers.Dense(1, kernel_initializer="zeros")
    predictive = predict(tf_keras.Sequential([tf_keras.Input((3,)), dense, density]), MANY_X, num_samples=130)
    noise = predictive.sample(seed=0)[:, np.r_[:4, 1024:1028, 2048:2052]].ravel() / NOISE
    assert noise.shape == (12 * 130,)
    assert len(np.unique(noise)) == len(noise)
    assert stats.kstest(noise, "norm").statistic < stats.kstwo.isf(0.001, len(noise))
    assert stats.kstest(1.2 * noise, "norm").statistic > stats.kstwo.isf(0.001, len(noise))


def test_noise_of_the_functions_seed_is_not_that_of_a_layer() -> None:
    """One hidden unit: its noise and that of y are uncorrelated over the samples, within 4.5 standard errors.

    Of all blocks of samples, the seeds of noise and layers are most alike in the first.
    """
    network = Network(
        input_shape=(1,), output_size=1, hidden_units=(1,), activation="linear", likelihood=Normal(scale=1.0)
    )
    x = np.zeros((1, 1))
    for kind in KINDS[1:]:
        model = by_hand.build(kind, network, 12)
        by_hand.widen(model)
        functions = sample_functions(model, x, num_samples=100, seed=0)
        samples = predict(model, x, num_samples=100, seed=0).sample(seed=0)
        noise = samples - functions
        assert abs(np.corrcoef(functions.ravel(), noise.ravel())[0, 1]) < 4.5 / np.sqrt(100)
        shared = functions / functions.std()
        assert np.corrcoef(functions.ravel(), (noise + shared).ravel())[0, 1] > 4.5 / np.sqrt(100), "the control"


def test_a_tensor_has_neither_a_density_nor_samples() -> None:
    predictive = predict(tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(2)]), X)
    message = "puts out a tensor, not a distribution, so it has neither density nor noise"
    with pytest.raises(ValueError, match=message):
        predictive.joint_log_prob(Y, tau=2)
    with pytest.raises(ValueError, match=message):
        predictive.sample(seed=0)


@pytest.mark.parametrize(
    ("tau", "message"),
    [
        (0, "tau must be a whole number >= 1, got 0"),
        (1.5, r"tau must be a whole number >= 1, got 1\.5"),
        (13, "tau must be at most the number of rows, 12, got 13"),
    ],
)
def test_a_number_of_rows_that_cannot_be_scored_together_raises(models: dict[str, Any], tau: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(models["output"], X).joint_log_prob(Y, tau=tau)


def test_a_negative_seed_raises(models: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number >= 0, got -1"):
        predict(models["output"], X).sample(seed=-1)
