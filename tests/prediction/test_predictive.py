"""The predictive: its draws are functions, its moments those of the draws, and the three estimators' are the same."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy.special import logsumexp
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction import sampling as module
from variational_bnn.prediction.predict import predict, sample_functions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=(12, 2))
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(6, 5), activation="relu", likelihood=Normal())
DRAWING = ("flipout", "hidden")
CALLS = 5000


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """A model of each kind; those of the three estimators have equal parameters."""
    built = {kind: by_hand.build(kind, NETWORK, 12, seed=i) for i, kind in enumerate(by_hand.KINDS)}
    for model in built.values():
        by_hand.spread(model)  # With a seed whose variances have lighter tails: their errors are told from a sample.
    for kind in by_hand.ESTIMATORS[1:]:
        built[kind].set_weights(built[by_hand.ESTIMATORS[0]].get_weights())
    return built


def _calls(model: Any, x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What `count` calls of the model say: means and variances `[count, N, D]`."""

    @tf.function
    def loop() -> tuple[tf.Tensor, tf.Tensor]:
        means = tf.TensorArray(tf.float32, count)
        variances = tf.TensorArray(tf.float32, count)
        for i in tf.range(count):
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


@pytest.mark.parametrize("kind", by_hand.KINDS[1:])
def test_predict_agrees_with_a_loop_of_calls(models: dict[str, Any], kind: str) -> None:
    """The layers' own training draws and the coherent sampler have one distribution, row by row."""
    means, variances = _calls(models[kind], X, CALLS)
    functions = sample_functions(models[kind], X, num_samples=CALLS, seed=1).astype(np.float64)
    assert _equal_moments(means, functions)
    assert not _equal_moments(means, functions[:, ::-1]), "the check must be able to fail"
    predictive = predict(models[kind], X, num_samples=CALLS, seed=1)
    error = variances.std(0) * np.sqrt(2 / CALLS)
    assert (np.abs(predictive.aleatoric_variance - variances.mean(0)) < 4.5 * error).all()


def test_the_three_estimators_share_one_predictive(models: dict[str, Any]) -> None:
    drawn = {kind: _calls(models[kind], X, CALLS)[0] for kind in by_hand.ESTIMATORS}
    reference = drawn["reparameterization"]
    assert all(_equal_moments(reference, draws) for draws in drawn.values())
    functions = [sample_functions(models[kind], X, num_samples=150, seed=2) for kind in by_hand.ESTIMATORS]
    assert all(np.array_equal(functions[0], other) for other in functions)


@pytest.mark.parametrize("kind", by_hand.KINDS[1:])
def test_equal_rows_agree_in_every_draw(models: dict[str, Any], kind: str) -> None:
    rows = np.concatenate([X, X[::-1]])
    functions = sample_functions(models[kind], rows, num_samples=7, seed=0)
    np.testing.assert_array_equal(functions[:, :12], functions[:, 12:][:, ::-1])
    assert (functions.std(0) > 0).all()


@pytest.mark.parametrize(("kind", "agree"), [("reparameterization", True), ("flipout", False), ("hidden", False)])
def test_equal_rows_of_a_bare_call_agree_for_reparameterisation_alone(
    models: dict[str, Any], kind: str, agree: bool
) -> None:
    """Fact 13: what `model(x)` puts out is no function of x."""
    outputs = models[kind](np.repeat(X[:1], 2, axis=0)).mean().numpy()
    assert np.allclose(outputs[0], outputs[1]) == agree


@pytest.mark.parametrize("kind", by_hand.ESTIMATORS)
def test_the_draws_of_a_linear_model_are_linear(kind: str) -> None:
    network = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=1.0))
    model = by_hand.build(kind, network, 12)
    a, b = X[:4], X[4:8]
    rows = np.concatenate([a, b, 0.25 * a + 0.75 * b])
    f = sample_functions(model, rows, num_samples=20, seed=0)
    np.testing.assert_allclose(f[:, 8:], 0.25 * f[:, :4] + 0.75 * f[:, 4:8], atol=2e-6)
    bare = model(rows).mean().numpy()
    linear = np.allclose(bare[8:], 0.25 * bare[:4] + 0.75 * bare[4:8], atol=2e-6)
    assert linear == (kind == "reparameterization")


@pytest.mark.parametrize("kind", DRAWING)
def test_the_draws_depend_on_the_seed_alone(models: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the number of rows, of chunks or of draws: the first of many are the same."""
    functions = sample_functions(models[kind], X, num_samples=130, seed=4)
    np.testing.assert_array_equal(functions, sample_functions(models[kind], X, num_samples=130, seed=4))
    some = sample_functions(models[kind], X[3:8], num_samples=30, seed=4)
    np.testing.assert_allclose(some, functions[:30, 3:8], atol=1e-6)
    log_prob = predict(models[kind], X, num_samples=130, seed=4).log_prob(Y)
    assert not np.isclose(sample_functions(models[kind], X, num_samples=130, seed=5), functions).any()
    monkeypatch.setattr(module, "ROWS", 5)
    np.testing.assert_allclose(sample_functions(models[kind], X, num_samples=130, seed=4), functions, atol=1e-6)
    chunked = predict(models[kind], X, num_samples=130, seed=4)
    np.testing.assert_allclose(chunked.mean, functions.mean(0), atol=1e-6)
    np.testing.assert_allclose(chunked.log_prob(Y), log_prob, rtol=1e-5)


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_the_moments_are_those_of_the_draws(models: dict[str, Any], kind: str) -> None:
    predictive = predict(models[kind], X, num_samples=120, seed=0)
    functions = sample_functions(models[kind], X, num_samples=120, seed=0).astype(np.float64)
    assert functions.shape == (120, 12, 2)
    np.testing.assert_allclose(predictive.mean, functions.mean(0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(predictive.epistemic_variance, functions.var(0), rtol=1e-5)
    parts = predictive.epistemic_variance + predictive.aleatoric_variance
    np.testing.assert_array_equal(predictive.variance, parts)
    assert (predictive.aleatoric_variance > 0).all()


def test_point_weights_have_no_epistemic_variance_at_all(models: dict[str, Any]) -> None:
    predictive = predict(models["output"], X, num_samples=50, seed=0)
    assert (predictive.epistemic_variance == 0.0).all()
    outputs = models["output"](X)
    np.testing.assert_allclose(predictive.mean, outputs.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictive.aleatoric_variance, outputs.variance(), rtol=1e-5)
    np.testing.assert_allclose(predictive.log_prob(Y), outputs.log_prob(Y.astype(np.float32)), rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Normal(scale=0.3), Normal(scale="learned")])
def test_log_prob_is_the_log_of_the_mean_density_over_the_draws(likelihood: Normal) -> None:
    network = Network(input_shape=(3,), output_size=2, hidden_units=(6,), likelihood=likelihood)
    model = by_hand.build("flipout", network, 12)
    by_hand.spread(model)
    f = sample_functions(model, X, num_samples=130, seed=0).astype(np.float64)
    _, scale = by_hand.likelihood_of(model, network, f[0])
    log_densities = np.stack([-by_hand.normal_nll(Y, loc, scale) for loc in f])
    log_prob = predict(model, X, num_samples=130, seed=0).log_prob(Y)
    np.testing.assert_allclose(log_prob, logsumexp(log_densities, axis=0) - np.log(130), rtol=1e-5)
    assert (log_prob > log_densities.mean(0)).all(), "Jensen: the log of the mean is above the mean of the logs"


def test_one_target_a_row_may_come_as_a_vector() -> None:
    model = by_hand.build("flipout", Network(input_shape=(1,), output_size=1, likelihood=Normal()), 5)
    predictive = predict(model, np.arange(5.0), num_samples=3)
    np.testing.assert_array_equal(predictive.log_prob(np.ones(5)), predictive.log_prob(np.ones((5, 1))))


@pytest.mark.parametrize("kind", DRAWING)
def test_a_predictive_stays_as_it_is_when_the_model_is_trained_further(kind: str) -> None:
    model = by_hand.build(kind, NETWORK, 12)
    model.compile(tf_keras.optimizers.Adam(0.1), loss=negative_log_likelihood)
    predictive = predict(model, X, num_samples=30, seed=0)
    mean, log_prob = predictive.mean.copy(), predict(model, X, num_samples=30, seed=0).log_prob(Y)
    model.fit(X, Y, epochs=3, verbose=0)
    trained = model.get_weights()
    np.testing.assert_array_equal(predictive.log_prob(Y), log_prob)
    np.testing.assert_array_equal(predictive.mean, mean)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), trained, strict=True))
    assert not np.allclose(predict(model, X, num_samples=30, seed=0).log_prob(Y), log_prob, rtol=1e-2)


def test_predicting_leaves_the_models_own_noise_where_it_was(models: dict[str, Any]) -> None:
    before = models["flipout"].get_weights()
    predict(models["flipout"], X, num_samples=3).log_prob(Y)
    assert all(np.array_equal(a, b) for a, b in zip(models["flipout"].get_weights(), before, strict=True))
    assert isinstance(models["flipout"](X), tfd.Distribution)
