"""The predictive: its moments and log densities are those of the function samples, and stay what they are."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tf_keras
from scipy.special import logsumexp

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.predict import predict, sample_functions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=(12, 2))
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(6, 5), activation="relu", likelihood=Normal())
LATENTS = ("amortized", "conditional")  # Kinds that draw for each row.


def _model(kind: str) -> Any:
    model = by_hand.build(kind, NETWORK, 12)
    by_hand.widen(model)
    return model


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_the_moments_are_those_of_the_function_samples(kind: str) -> None:
    model = _model(kind)
    predictive = predict(model, X, num_samples=120, seed=0)
    functions = sample_functions(model, X, num_samples=120, seed=0).astype(np.float64)
    assert functions.shape == (120, 12, 2)
    np.testing.assert_allclose(predictive.mean, functions.mean(0), rtol=1e-6, atol=1e-7)
    parts = {"epistemic": predictive.epistemic_variance, "latent": predictive.latent_variance}
    over_draws = parts.pop("latent" if kind in LATENTS else "epistemic")
    np.testing.assert_allclose(over_draws, functions.var(0), rtol=1e-5)
    assert all((other == 0.0).all() for other in parts.values())
    np.testing.assert_array_equal(predictive.variance_over_draws, over_draws)
    assert (predictive.aleatoric_variance > 0).all()


def test_point_weights_have_exactly_no_variance_over_draws() -> None:
    model = _model("output")
    predictive = predict(model, X, num_samples=50, seed=0)
    assert (predictive.variance_over_draws == 0.0).all()
    outputs = model(X)
    np.testing.assert_allclose(predictive.mean, outputs.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictive.aleatoric_variance, outputs.variance(), rtol=1e-5)
    np.testing.assert_allclose(predictive.log_prob(Y), outputs.log_prob(Y.astype(np.float32)), rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Normal(scale=0.3), Normal(scale="learned")])
def test_log_prob_is_the_log_of_the_mean_density_over_the_samples(likelihood: Normal) -> None:
    network = Network(input_shape=(3,), output_size=2, hidden_units=(6,), likelihood=likelihood)
    model = by_hand.build("flipout", network, 12)
    by_hand.widen(model)
    f = sample_functions(model, X, num_samples=130, seed=0).astype(np.float64)
    _, scale = by_hand.likelihood_of(model, network, f[0])
    log_densities = np.stack([-by_hand.normal_nll(Y, loc, scale) for loc in f])
    log_prob = predict(model, X, num_samples=130, seed=0).log_prob(Y)
    np.testing.assert_allclose(log_prob, logsumexp(log_densities, axis=0) - np.log(130), rtol=1e-5)
    assert (log_prob > log_densities.mean(0)).all(), "Jensen: the log of the mean is above the mean of the logs"


@pytest.mark.parametrize("kind", ["flipout", "shared"])
def test_predictions_do_not_depend_on_how_rows_come_in_chunks(kind: str) -> None:
    """2,060 rows are more than two chunks."""
    model, x, y = _model(kind), np.tile(X, (172, 1))[:2060], np.tile(Y, (172, 1))[:2060]
    few, many = (predict(model, rows, num_samples=130, seed=4) for rows in (X, x))
    for name in ("mean", "epistemic_variance", "aleatoric_variance"):
        np.testing.assert_allclose(
            getattr(many, name), np.tile(getattr(few, name), (172, 1))[:2060], rtol=1e-4, atol=1e-6
        )
    np.testing.assert_allclose(many.log_prob(y), np.tile(few.log_prob(Y), 172)[:2060], rtol=1e-4)


def test_one_target_a_row_may_come_as_a_vector() -> None:
    model = by_hand.build("flipout", Network(input_shape=(1,), output_size=1, likelihood=Normal()), 5)
    predictive = predict(model, np.arange(5.0), num_samples=3)
    np.testing.assert_array_equal(predictive.log_prob(np.ones(5)), predictive.log_prob(np.ones((5, 1))))


@pytest.mark.parametrize("kind", ["flipout", "amortized"])
def test_a_predictive_stays_as_it_is_when_the_model_is_trained_further(kind: str) -> None:
    model = by_hand.build(kind, NETWORK, 12)
    model.compile(tf_keras.optimizers.Adam(0.1), loss=negative_log_likelihood)
    predictive = predict(model, X, num_samples=30, seed=0)
    mean, log_prob = predictive.mean.copy(), predictive.log_prob(Y)
    samples, joint = predictive.sample(seed=1), predictive.joint_log_prob(Y, tau=4)
    model.fit(X, Y, epochs=3, verbose=0)
    trained = model.get_weights()
    np.testing.assert_array_equal(predictive.log_prob(Y), log_prob)
    np.testing.assert_array_equal(predictive.mean, mean)
    np.testing.assert_array_equal(predictive.sample(seed=1), samples)
    np.testing.assert_array_equal(predictive.joint_log_prob(Y, tau=4), joint)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), trained, strict=True))
    after = predict(model, X, num_samples=30, seed=0)
    assert not np.allclose(after.log_prob(Y), log_prob, rtol=1e-2)
    assert not np.allclose(after.sample(seed=1), samples, rtol=1e-2)
