"""A function sample is one function of x, and has the distribution of the layers' own draws."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.prediction.predict import predict, sample_functions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
MANY = RNG.normal(size=(2060, 3)).astype(np.float32)  # More than two chunks of 1,024 rows.
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(6, 5), activation="relu", likelihood=Normal())
FUNCTIONS = (*by_hand.ESTIMATORS, "shared")  # Kinds that draw once for all rows.
CALLS = 5000


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """A model of each kind; those of the three estimators have equal parameters.

    "conditional" has one draw of the latents in training too, so that a call puts out what a function sample does.
    """
    return _models(NETWORK)


def _models(network: Network) -> dict[str, Any]:
    built = {
        kind: by_hand.build(kind, network, 12, seed=i, **({"num_draws": 1} if kind == "conditional" else {}))
        for i, kind in enumerate(by_hand.KINDS)
    }
    for model in built.values():
        by_hand.widen(model)
    for kind in by_hand.ESTIMATORS[1:]:
        built[kind].set_weights(built[by_hand.ESTIMATORS[0]].get_weights())
    return built


def _calls(model: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of y `[CALLS, N, D]` by calls of the model."""

    @tf.function
    def loop() -> tuple[tf.Tensor, tf.Tensor]:
        means = tf.TensorArray(tf.float32, CALLS)
        variances = tf.TensorArray(tf.float32, CALLS)
        for i in tf.range(CALLS):
            density = model(tf.constant(x))
            means = means.write(i, density.mean())
            variances = variances.write(i, density.variance())
        return means.stack(), variances.stack()

    return tuple(values.numpy().astype(np.float64) for values in loop())


def _equal_moments(first: np.ndarray, second: np.ndarray, k: float = 4.5) -> bool:
    """Whether independent draws `[S, ...]` agree in mean and variance to k standard errors, everywhere."""
    for power in (1, 2):
        a, b = ((draws - first.mean(0)) ** power for draws in (first, second))
        error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        if (np.abs(a.mean(0) - b.mean(0)) > k * error).any():
            return False
    return True


@pytest.fixture(scope="module")
def square() -> dict[str, Any]:
    """Models of one input and layers of equal widths.

    Kernel and bias, or two layers, would have equal noise if their seeds were equal. Where the activation is linear and
    the posterior wide, that changes the mean and the variance of the functions.
    """
    network = Network(input_shape=(1,), output_size=2, hidden_units=(4, 4, 4), activation="linear", likelihood=Normal())
    built = _models(network)
    for kind in by_hand.ESTIMATORS:
        for variable in built[kind].trainable_variables:
            if "raw_scale" in variable.name:
                variable.assign_add(tf.fill(variable.shape, 0.25))
    return built


@pytest.mark.parametrize("kind", by_hand.KINDS[1:])
def test_function_samples_and_predictions_are_distributed_like_a_loop_of_calls(square: Any, kind: str) -> None:
    x = np.array([[-1.0], [0.0], [0.5], [1.0], [3.0]], np.float32)
    means, variances = _calls(square[kind], x)
    functions = sample_functions(square[kind], x, num_samples=CALLS, seed=1).astype(np.float64)
    assert _equal_moments(means, functions)
    assert not _equal_moments(means, functions[:, ::-1]), "the check must be able to fail"
    predictive = predict(square[kind], x, num_samples=CALLS, seed=1)
    error = variances.std(0) * np.sqrt(2 / CALLS)
    assert (np.abs(predictive.aleatoric_variance - variances.mean(0)) < 4.5 * error).all()


def test_the_three_estimators_have_one_distribution_and_one_sampler(models: dict[str, Any]) -> None:
    draws = {kind: _calls(models[kind], X)[0] for kind in by_hand.ESTIMATORS}
    assert all(_equal_moments(draws["reparameterization"], other) for other in draws.values())
    functions = [sample_functions(models[kind], X, num_samples=150, seed=2) for kind in by_hand.ESTIMATORS]
    assert all(np.array_equal(functions[0], other) for other in functions)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_equal_rows_agree_in_every_sample(models: dict[str, Any], kind: str) -> None:
    rows = np.concatenate([X, X[::-1]])
    functions = sample_functions(models[kind], rows, num_samples=7, seed=0)
    np.testing.assert_array_equal(functions[:, :12], functions[:, 12:][:, ::-1])
    assert (functions.std(0) > 0).all()


@pytest.mark.parametrize("kind", ["reparameterization", "flipout", *by_hand.HIDDEN])
def test_equal_rows_of_a_bare_call_agree_for_reparameterization_alone(models: dict[str, Any], kind: str) -> None:
    outputs = models[kind](np.repeat(X[:1], 2, axis=0)).mean().numpy()
    assert np.allclose(outputs[0], outputs[1]) == (kind == "reparameterization")


@pytest.mark.parametrize("kind", by_hand.ESTIMATORS)
def test_the_function_samples_of_a_linear_model_are_linear(kind: str) -> None:
    network = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=1.0))
    model = by_hand.build(kind, network, 12)
    a, b = X[:4], X[4:8]
    rows = np.concatenate([a, b, 0.25 * a + 0.75 * b])
    f = sample_functions(model, rows, num_samples=20, seed=0)
    np.testing.assert_allclose(f[:, 8:], 0.25 * f[:, :4] + 0.75 * f[:, 4:8], atol=2e-6)
    bare = model(rows).mean().numpy()
    linear = np.allclose(bare[8:], 0.25 * bare[:4] + 0.75 * bare[4:8], atol=2e-6)
    assert linear == (kind == "reparameterization")


def test_the_moments_of_a_linear_model_are_the_closed_form() -> None:
    """E[f(x)] = x E[W] + E[b], and Var[f(x)] = x^2 Var[W] + Var[b], within 4.5 standard errors."""
    network = Network(input_shape=(1,), output_size=2, hidden_units=(), likelihood=Normal(scale=1.0))
    model, x, draws = by_hand.build("flipout", network, 12), np.array([[-2.0], [0.0], [2.0]]), 4000
    by_hand.widen(model)
    (kernel, kernel_sd), (bias, bias_sd) = by_hand.posterior(model, "parameters").values()
    functions = sample_functions(model, x, num_samples=draws, seed=0).astype(np.float64)
    variance = x**2 @ kernel_sd**2 + bias_sd**2
    assert (np.abs(functions.mean(0) - x @ kernel - bias) < 4.5 * np.sqrt(variance / draws)).all()
    assert (np.abs(functions.var(0) / variance - 1) < 4.5 * np.sqrt(2 / draws)).all()


@pytest.mark.parametrize("kind", ["flipout", "shared"])
def test_function_samples_depend_on_the_seed_alone(models: dict[str, Any], kind: str) -> None:
    """They do not depend on the number of rows, of samples, of chunks of rows or of blocks of samples."""
    functions = sample_functions(models[kind], MANY, num_samples=130, seed=4)
    np.testing.assert_array_equal(functions, sample_functions(models[kind], MANY, num_samples=130, seed=4))
    for rows in (slice(3, 8), slice(1020, 1030), slice(2050, 2060)):
        some = sample_functions(models[kind], MANY[rows], num_samples=130, seed=4)
        np.testing.assert_allclose(some, functions[:, rows], atol=1e-5)
    for fewer in (1, 30, 100, 101):
        first = sample_functions(models[kind], MANY[:12], num_samples=fewer, seed=4)
        np.testing.assert_allclose(first, functions[:fewer, :12], atol=1e-5)
    assert len(np.unique(functions[:, :12].reshape(130, -1), axis=0)) == 130
    assert not np.isclose(sample_functions(models[kind], MANY[:12], num_samples=130, seed=5), functions[:, :12]).any()


def test_wide_models_make_their_noise_in_smaller_blocks_and_the_same_samples() -> None:
    """A model of 180,000 numbers draws 46 samples at once."""
    network = Network(input_shape=(300,), output_size=1, hidden_units=(300,), likelihood=Normal(scale=1.0))
    model, x = by_hand.build("flipout", network, 12), np.ones((2, 300))
    few, many = (sample_functions(model, x, num_samples=count) for count in (60, 100))
    np.testing.assert_allclose(few, many[:60], rtol=1e-4, atol=1e-5)
    assert len(np.unique(many[:, 0, 0])) == 100


def test_drawing_leaves_the_noise_of_the_layers_where_it_was(models: dict[str, Any]) -> None:
    before = models["flipout"].get_weights()
    predict(models["flipout"], X, num_samples=3).log_prob(np.zeros((12, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(models["flipout"].get_weights(), before, strict=True))
    assert models["flipout"](X).log_prob(np.zeros((12, 2), np.float32)).shape == (12,)


@pytest.mark.parametrize(("posterior", "as_normal"), [(tfd.LogNormal, np.log), (tfd.Normal, np.array)])
@pytest.mark.parametrize("units", [1, 2])
def test_weights_of_any_distribution_are_drawn_from_it_each_apart(posterior: Any, as_normal: Any, units: int) -> None:
    """A bare layer of TFP takes distributions that are not `Independent` ones. Within 4.5 standard errors."""
    layer = tfp.layers.DenseReparameterization(
        units,
        kernel_posterior_fn=lambda dtype, shape, *_: posterior(tf.fill(shape, tf.constant(-0.5, dtype)), 0.4),
        kernel_divergence_fn=None,
        bias_posterior_fn=None,
    )
    model = tf_keras.Sequential([tf_keras.Input((3,)), layer])
    num_samples = 4000
    weights = sample_functions(model, np.eye(3), num_samples=num_samples, seed=0).reshape(num_samples, -1)
    standard = (as_normal(weights) + 0.5) / 0.4
    np.testing.assert_allclose(standard.mean(0), 0, atol=4.5 / np.sqrt(num_samples))
    np.testing.assert_allclose(np.cov(standard.T), np.eye(3 * units), atol=4.5 * np.sqrt(2 / num_samples))
    first = sample_functions(model, np.eye(3), num_samples=1, seed=0).reshape(-1)
    np.testing.assert_allclose(first, weights[0], rtol=1e-5)
