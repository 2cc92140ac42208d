"""Linear regression with known noise: what training finds is the mean-field optimum in closed form."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.predict import predict

N, NOISE, PRIOR = 40, 0.5, 1.3
STEPS = {"reparameterization": 40_000, "flipout": 15_000, "local_reparameterization": 10_000}  # By their noise.
JIT_COMPILE = {"reparameterization": True, "flipout": False}
"""The other is trained batch by batch, by Keras's own loop."""
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.7]])
Y = X @ np.array([[0.8], [-1.1], [0.4]]) + 0.6 + NOISE * RNG.normal(size=(N, 1))
NETWORK = Network(input_shape=(3,), output_size=1, hidden_units=(), likelihood=Normal(scale=NOISE), prior_scale=PRIOR)


def _exact() -> tuple[by_hand.Array, by_hand.Array]:
    """Mean `[4]` and precision `[4, 4]` of the exact posterior of the three weights and the bias."""
    features = np.column_stack([X, np.ones(N)])
    prior_variance = np.array([PRIOR**2 / 3] * 3 + [PRIOR**2])
    precision = features.T @ features / NOISE**2 + np.diag(1 / prior_variance)
    return np.linalg.solve(precision, features.T @ Y[:, 0] / NOISE**2), precision


def _agrees(model: Any) -> tuple[bool, str]:
    """Whether means are within 5 % of a posterior sd, and sds within 3 %, of the mean-field optimum."""
    mean, precision = _exact()
    sd = np.diag(precision) ** -0.5
    (kernel_loc, kernel_sd), (bias_loc, bias_sd) = by_hand.posterior(model, "parameters").values()
    off = np.abs(np.append(kernel_loc, bias_loc) - mean) / sd
    ratio = np.append(kernel_sd, bias_sd) / sd
    return bool((off < 0.05).all() and (np.abs(ratio - 1) < 0.03).all()), f"off by {off} sd, sd ratios {ratio}"


@pytest.fixture(scope="module", params=by_hand.ESTIMATORS)
def trained(request: pytest.FixtureRequest) -> Any:
    model = by_hand.build(request.param, NETWORK, N)
    assert not _agrees(model)[0], "the untrained model must fail the check"
    rate = tf_keras.optimizers.schedules.CosineDecay(0.01, STEPS[request.param])
    jit_compile = JIT_COMPILE.get(request.param)
    settings: dict[str, Any] = {"steps_per_execution": 500, "jit_compile": jit_compile}
    model.compile(tf_keras.optimizers.Adam(rate), loss=negative_log_likelihood, **settings)
    data = tf.data.Dataset.from_tensors((X.astype(np.float32), Y.astype(np.float32))).repeat()
    if jit_compile is None:
        data = data.filter(lambda *_: True)  # Of a number of batches that is not known before.
    model.fit(data, steps_per_epoch=STEPS[request.param], verbose=0)
    return model


def test_the_fitted_posterior_is_the_mean_field_optimum(trained: Any) -> None:
    agrees, message = _agrees(trained)
    assert agrees, message


def test_mean_field_is_narrower_than_the_exact_posterior_and_the_check_can_tell() -> None:
    """The optimum's variances are 1 / the diagonal of the precision, not the diagonal of its inverse."""
    _, precision = _exact()
    assert (np.diag(precision) ** -1 < 0.97**2 * np.diag(np.linalg.inv(precision))).any()


def test_the_predictive_is_the_closed_form_of_the_fitted_posterior(trained: Any) -> None:
    """Mean x m + b, epistemic variance x^2 v + v_b, aleatoric variance noise^2: within 4 standard errors."""
    (kernel, kernel_sd), (bias, bias_sd) = by_hand.posterior(trained, "parameters").values()
    variance = X**2 @ kernel_sd**2 + bias_sd**2
    draws = 4000
    predictive = predict(trained, X, num_samples=draws, seed=1)
    assert (np.abs(predictive.mean - (X @ kernel + bias)) < 4.5 * np.sqrt(variance / draws)).all()
    assert (np.abs(predictive.epistemic_variance / variance - 1) < 4.5 * np.sqrt(2 / draws)).all()
    np.testing.assert_allclose(predictive.aleatoric_variance, NOISE**2, rtol=1e-6)


def test_the_final_loss_is_the_closed_form_of_the_evidence_bound(trained: Any) -> None:
    """At the optimum E_q[nll] + KL / N in closed form, within 4 standard errors of many evaluations."""
    at_the_means, kl = by_hand.nll_and_kl("flipout", trained, NETWORK, X, Y, N)
    (_, kernel_sd), (_, bias_sd) = by_hand.posterior(trained, "parameters").values()
    bound = at_the_means.mean() + (X**2 @ kernel_sd**2 + bias_sd**2).mean() / (2 * NOISE**2) + kl
    data = tf.data.Dataset.from_tensors((X.astype(np.float32), Y.astype(np.float32))).repeat()
    losses = [trained.evaluate(data, steps=50, verbose=0, return_dict=True)["loss"] for _ in range(20)]
    assert abs(np.mean(losses) - bound) < 4 * np.std(losses, ddof=1) / np.sqrt(len(losses))
    features = np.column_stack([X, np.ones(N)])
    covariance = NOISE**2 * np.eye(N) + features @ np.diag([PRIOR**2 / 3] * 3 + [PRIOR**2]) @ features.T
    evidence = 0.5 * (Y[:, 0] @ np.linalg.solve(covariance, Y[:, 0]) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    assert bound > evidence / N, "no bound may beat the evidence"
