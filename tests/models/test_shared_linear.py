"""Random factors of the inputs of a linear model: what training finds is the mean-field optimum in closed form."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.shared_units import SharedUnits
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.prediction.predict import predict

N, NOISE, PRIOR, STEPS = 40, 0.5, 0.6, 8000
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.7]])
WEIGHTS, BIAS = np.array([0.8, -0.5, 0.3]), 0.6
Y = X @ (WEIGHTS * [0.4, 1.3, 2.0]) + BIAS + NOISE * RNG.normal(size=N)


def _optimum(kl_weight: float = 1.0, prior_mean: float = 1.0) -> tuple[by_hand.Array, by_hand.Array]:
    """Means and standard deviations of the best independent normal posterior of the factors."""
    features = X * WEIGHTS
    precision = np.eye(3) / PRIOR**2 + features.T @ features / NOISE**2 / kl_weight
    linear = prior_mean / PRIOR**2 + features.T @ (Y - BIAS) / NOISE**2 / kl_weight
    return np.linalg.solve(precision, linear), np.diag(precision) ** -0.5


def _agrees(model: Any, mean: by_hand.Array, sd: by_hand.Array) -> bool:
    """Whether means are within 5 % of a posterior sd, and sds within 3 %, of these."""
    loc, scale = by_hand.factors(model, "factors")
    return bool((np.abs(loc - mean) < 0.05 * sd).all() and (np.abs(scale / sd - 1) < 0.03).all())


@pytest.fixture(scope="module")
def trained() -> Any:
    inputs = tf_keras.Input((3,))
    dense = tf_keras.layers.Dense(1, trainable=False, name="parameters")
    parameters = dense(SharedUnits(N, PRIOR, seed=0, name="factors")(inputs))
    dense.set_weights([WEIGHTS[:, None], np.array([BIAS])])
    model = VariationalModel(inputs, LikelihoodHead(Normal(scale=NOISE), output_size=1)(parameters))
    assert not _agrees(model, *_optimum()), "the untrained model must fail the check"
    rate = tf_keras.optimizers.schedules.CosineDecay(0.01, STEPS)
    model.compile(tf_keras.optimizers.Adam(rate), loss=negative_log_likelihood, steps_per_execution=500)
    data = tf.data.Dataset.from_tensors((X.astype(np.float32), Y[:, None].astype(np.float32))).repeat()
    model.fit(data, steps_per_epoch=STEPS, verbose=0)
    return model


def test_the_fitted_factors_are_the_mean_field_optimum(trained: Any) -> None:
    mean, sd = _optimum()
    assert _agrees(trained, mean, sd), f"{by_hand.factors(trained, 'factors')}, not {mean} and {sd}"
    assert not _agrees(trained, *_optimum(kl_weight=N)), "the optimum of a KL that is not divided by N"
    assert not _agrees(trained, *_optimum(prior_mean=0.0)), "the optimum of a prior around 0"


def test_the_fixed_weights_stayed(trained: Any) -> None:
    kernel, bias = by_hand.variables(trained, "parameters").values()
    np.testing.assert_allclose(np.append(kernel, bias), np.append(WEIGHTS, BIAS), rtol=1e-6)


def test_the_predictive_is_the_closed_form_of_the_fitted_factors(trained: Any) -> None:
    """All their variance, sum_j (w_j x_j s_j)^2, is epistemic, within 4.5 standard errors."""
    loc, scale = by_hand.factors(trained, "factors")
    variance = ((X * WEIGHTS * scale) ** 2).sum(-1)
    draws = 4000
    predictive = predict(trained, X, num_samples=draws, seed=1)
    mean = X @ (WEIGHTS * loc) + BIAS
    assert (np.abs(predictive.mean[:, 0] - mean) < 4.5 * np.sqrt(variance / draws)).all()
    assert (np.abs(predictive.epistemic_variance[:, 0] / variance - 1) < 4.5 * np.sqrt(2 / draws)).all()
    assert (predictive.latent_variance == 0).all()


def test_all_elements_of_a_row_have_the_same_factors_in_training() -> None:
    """As the draws of its latents must; other rows have others."""
    outputs = SharedUnits(num_examples=N, initial_scale=1.0, seed=0)(tf.ones([6, 4, 3])).numpy()
    np.testing.assert_array_equal(outputs, np.broadcast_to(outputs[:, :1], outputs.shape))
    assert (np.ptp(outputs[:, 0], axis=0) > 0).all()
