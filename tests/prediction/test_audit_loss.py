"""The audit of the compiled loss: every usual mistake is named and measured, on TFP's layers and on ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import audit_mistakes
import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from audit_mistakes import MISTAKES, OF_REPLICAS, Mistake, X, Y

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.audit import audit_elbo

N, ROOT = len(X), Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "audit.md").read_text()
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal())
KNOWN = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=0.5))
RIGHT = ("none", "the same, and three times the KL", '`loss="mse"`, the output a tensor')


def _require_told(mistake: Mistake, temperature: float, lines: list[str]) -> None:
    assert temperature == pytest.approx(mistake.temperature, rel=1e-3, nan_ok=True)
    assert any(mistake.told in line for line in lines)
    assert (len(lines) == 1) == mistake.name.startswith(RIGHT)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_with_layers_of_tfp_is_told_as_in_the_docs(mistake: Mistake) -> None:
    audit = mistake.audit()
    _require_told(mistake, audit.temperature, [audit.loss_kind, *audit.warnings])
    assert mistake.row(audit) in TABLE


def test_a_kl_for_each_replica_is_told_as_in_the_docs() -> None:
    """In a process of its own, since the devices must be set before TensorFlow starts."""
    script = """
import json, audit_mistakes
for mistake, audit in audit_mistakes.audited_in_replicas():
    print(json.dumps([mistake.row(audit), audit.temperature, [audit.loss_kind, *audit.warnings]]))
"""
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, cwd=ROOT / "tests", check=True, capture_output=True, text=True).stdout
    for mistake, line in zip(OF_REPLICAS, output.splitlines(), strict=True):
        row, temperature, lines = json.loads(line)
        _require_told(mistake, temperature, lines)
        assert row in TABLE


OURS: dict[str, tuple[Network, int, dict[str, Any], float, str]] = {
    "none": (NETWORK, N, {}, 1, "the loss is the negative evidence lower bound"),
    "full": (NETWORK, 1, {}, N, "full KL: 40 times too strong"),
    "batches": (NETWORK, 2, {}, N / 2, "divided by 2, perhaps the number of batches"),
    "mean": (NETWORK, 16, {}, N / 16, "mean KL: averaged over its weights, not divided"),
    "mean of N": (NETWORK, 16 * N, {}, 1 / 16, "averaged over its weights instead of summed"),
    "double": (NETWORK, N // 2, {}, 2, "double KL"),
    "mse": (NETWORK, N, {"loss": "mse"}, 1, "Normal noise of variance 1 (sd 1) about the mean of the output"),
    "mse, known noise": (KNOWN, N, {"loss": "mse"}, 4, "its own log-likelihood to the power 0.25"),
    "mae": (NETWORK, N, {"loss": "mae"}, 1, "Laplace noise of scale 2 about the mean"),
    "sum": (NETWORK, N, {"loss": audit_mistakes.summed}, 1 / N, "with 40 its weight is 40, the KL's 1"),
    "sum, full": (NETWORK, 1, {"loss": audit_mistakes.summed}, 1, "the KL is 40 / B times too strong"),
    "power": (NETWORK, N, {"loss": audit_mistakes.cubed}, 1 / 3, "a likelihood to the power 3"),
    "loss_weights": (NETWORK, N, {"loss_weights": [0.5]}, 2, "the log-likelihood has weight 0.5, not 1"),
}


@pytest.mark.parametrize("case", OURS)
def test_a_mistake_with_our_models_is_told(case: str) -> None:
    network, num_examples, compiled, temperature, told = OURS[case]
    model = by_hand.build("flipout", network, num_examples)
    model.compile("adam", **{"loss": negative_log_likelihood, **compiled})
    audit = audit_elbo(model, X, Y, num_samples=2)
    assert audit.temperature == pytest.approx(temperature, rel=1e-3)
    assert told in str(audit)
    assert (audit.warnings == ()) == (case == "none")


def test_the_loss_and_the_implied_noise_are_those_of_numpy() -> None:
    """A deterministic line with squared errors: the loss, the variance 1/2 of each of two outputs, and its nll."""
    inputs = tf_keras.Input((3,))
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2)(inputs))
    by_hand.widen(model)
    model.compile("adam", loss=lambda y, output: tf.reduce_sum((y - output) ** 2, axis=-1))
    kernel, bias = (v.numpy().astype(float) for v in model.variables)
    squares = ((Y - X @ kernel - bias) ** 2).sum(axis=1)
    audit = audit_elbo(model, X, Y, num_samples=2)
    assert audit.loss == pytest.approx(squares.mean(), rel=1e-5)
    assert audit.nll == pytest.approx((squares + np.log(np.pi)).mean(), rel=1e-5)
    assert "Normal noise of variance 0.5 (sd 0.7071) about the output" in audit.loss_kind


@pytest.mark.parametrize("of_logits", [False, True])
@pytest.mark.parametrize("form", ["labels", "one hot", "binary"])
def test_a_cross_entropy_of_a_tensor_is_the_nll_of_a_class(form: str, of_logits: bool) -> None:
    losses = tf_keras.losses
    y = {"labels": Y[:, 0] > 0, "one hot": np.eye(2)[(Y[:, 0] > 0).astype(int)], "binary": Y > 0}[form].astype(int)
    kind = {"labels": "SparseCategoricalCrossentropy", "one hot": "CategoricalCrossentropy"}.get(form)
    loss = getattr(losses, kind or "BinaryCrossentropy")(from_logits=of_logits)
    inputs = tf_keras.Input((3,))
    activation = None if of_logits else ("softmax" if kind else "sigmoid")
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2, activation=activation)(inputs))
    by_hand.widen(model)
    model.compile("adam", loss=loss)
    logits = X @ model.variables[0].numpy() + model.variables[1].numpy()
    of_class = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(N), (Y[:, 0] > 0).astype(int)]
    expected = of_class if kind else np.logaddexp(0, np.where(Y > 0, -logits, logits)).sum(axis=1)
    audit = audit_elbo(model, X, y, num_samples=2)
    assert audit.nll == pytest.approx(expected.mean(), rel=1e-5)
    assert audit.likelihood_weight == pytest.approx(1 if kind else 1 / 2, rel=1e-3)  # Keras averages over outputs.
    assert ("Categorical" if kind else "Bernoulli") in audit.loss_kind


def test_the_model_its_metrics_and_its_random_numbers_are_as_they_were() -> None:
    first, second = (by_hand.build("flipout", NETWORK, N) for _ in range(2))
    for model in (first, second):
        model.compile("adam", loss=negative_log_likelihood, metrics=["mse"])
        model.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    before = [v.numpy() for v in (*first.variables, *(v for metric in first.metrics for v in metric.variables))]
    tf.random.set_seed(1)
    expected = tf.random.normal([3]).numpy()
    tf.random.set_seed(1)
    audit_elbo(first, X, Y, num_samples=2)
    np.testing.assert_array_equal(tf.random.normal([3]), expected)
    after = [v.numpy() for v in (*first.variables, *(v for metric in first.metrics for v in metric.variables))]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new, old)
    histories = [model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history for model in (first, second)]
    assert histories[0] == histories[1]


def test_in_half_precision_the_loss_is_told_as_well() -> None:
    policy = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        audits = {}
        for name, loss in (("nll", negative_log_likelihood), ("power", audit_mistakes.cubed)):
            model = by_hand.build("flipout", NETWORK, N)
            model.compile("adam", loss=loss)
            audits[name] = audit_elbo(model, X, Y, num_samples=2)
    finally:
        tf_keras.mixed_precision.set_global_policy(policy)
    assert audits["nll"].warnings == ()
    assert audits["nll"].temperature == pytest.approx(1, rel=0.01)
    assert audits["power"].temperature == pytest.approx(1 / 3, rel=0.01)


def test_a_loss_and_weights_of_rows_that_do_not_fit_raise() -> None:
    model = by_hand.build("flipout", NETWORK, N)
    for weights, message in (
        (np.ones(3), r"sample_weight must have shape \[40\], got \[3\]"),
        (-np.ones(N), "sample_weight must be finite and >= 0, got -1.0"),
        (np.zeros(N), "sample_weight must have a weight above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            audit_elbo(model, X, Y, sample_weight=weights)
