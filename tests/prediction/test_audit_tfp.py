"""The audit of models of bare TFP layers: each known mistake is named and measured; without one there is no warning."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.audit import audit_elbo

N = 40
RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))
FEW = {"num_samples": 5}


@pytest.fixture(autouse=True)
def _seed() -> None:
    """TFP's own layers draw from the global seed."""
    tf.random.set_seed(0)


def _head(size: int = 2) -> Any:
    return tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 0.5), 1))


def _tfp_layer(kind: str = "Flipout", **settings: Any) -> Any:
    return getattr(tfp.layers, f"Dense{kind}")(2, **settings)


def _scaled(q: Any, p: Any, _: Any) -> Any:
    return tfd.kl_divergence(q, p) / N


def _kernel_kl(layer: Any) -> float:
    """KL of a TFP layer's kernel from its N(0, 1), in NumPy."""
    q = layer.kernel_posterior.distribution
    return float(by_hand.normal_kl(q.loc.numpy().astype(float), q.scale.numpy().astype(float), 1.0).sum())


def _with_latents(regularizer: Any = None, add_loss: Any = None, weight_decay: Any = None) -> Any:
    """A model with latents N(loc, scale^2) of one unit, regularised in one of TFP's ways."""
    latents = [tf_keras.layers.Dense(2, kernel_regularizer=weight_decay), tfp.layers.IndependentNormal(1)]
    if regularizer is not None:
        latents[1] = tfp.layers.IndependentNormal(1, activity_regularizer=regularizer)
    if add_loss is not None:
        latents.append(add_loss)
    model = tf_keras.Sequential([tf_keras.Input((3,)), *latents, tf_keras.layers.Dense(2), _head()])
    by_hand.widen(model)
    return model


def _latents_kl(model: Any, x: Any = X) -> float:
    """Mean KL of those latents from N(0, 1), in NumPy."""
    kernel, bias = (v.numpy().astype(float) for v in model.layers[0].variables)
    loc, raw = (x @ kernel + bias).T
    return float(by_hand.normal_kl(loc, by_hand.softplus(raw), 1.0).mean())


def _prior() -> Any:
    return tfd.Independent(tfd.Normal([0.0], 1.0), 1)


@pytest.mark.parametrize("kind", ["Reparameterization", "Flipout", "LocalReparameterization"])
def test_a_bare_tfp_layer_has_the_kl_n_times_and_a_point_bias_after_fit_too(kind: str) -> None:
    layer, inputs = _tfp_layer(kind), tf_keras.Input((3,))
    model = tf_keras.Model(inputs, _head()(layer(inputs)))
    model.compile("adam", loss=negative_log_likelihood)
    model.fit(X, Y, verbose=0)
    with pytest.raises(TypeError):
        float(model.losses[0])  # The obvious way does not work: after `fit` the losses are symbolic.
    audit = audit_elbo(model, X, Y, **FEW)
    assert audit.kl == pytest.approx(_kernel_kl(layer) / N, rel=1e-5)
    assert audit.temperature == pytest.approx(N, rel=1e-5)
    full, bias = audit.warnings
    assert "full KL: 40 times too strong" in full
    assert "bias has no prior" in bias
    assert all(line.startswith(layer.name) for line in audit.warnings)


def test_a_scaled_divergence_is_right_and_so_is_a_bias_with_a_prior() -> None:
    normal = tfp.layers.default_mean_field_normal_fn
    scaled = _tfp_layer(kernel_divergence_fn=_scaled)
    audit = audit_elbo(tf_keras.Sequential([tf_keras.Input((3,)), scaled, _head()]), X, Y, **FEW)
    assert audit.temperature == pytest.approx(1.0, rel=1e-5)
    assert len(audit.warnings) == 1
    assert "bias has no prior" in audit.warnings[0]
    bias = {"bias_posterior_fn": normal(), "bias_prior_fn": tfp.layers.default_multivariate_normal_fn}
    whole = _tfp_layer(kernel_divergence_fn=_scaled, bias_divergence_fn=_scaled, **bias)
    audit = audit_elbo(tf_keras.Sequential([tf_keras.Input((3,)), whole, _head()]), X, Y, **FEW)
    q = whole.bias_posterior.distribution
    bias_kl = by_hand.normal_kl(q.loc.numpy(), q.scale.numpy(), 1.0).sum()
    assert audit.kl == pytest.approx((_kernel_kl(whole) + bias_kl) / N, rel=1e-5)
    assert audit.temperature == pytest.approx(1.0, rel=1e-5)
    assert audit.warnings == ()


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, N), (1 / N, 1.0), (0.5 / N, 0.5)])
def test_dense_variational_has_the_weight_that_it_is_given(weight: float, temperature: float) -> None:
    def posterior(kernel_size: int, bias_size: int, dtype: Any = None) -> Any:
        size = kernel_size + bias_size
        as_normal = tfp.layers.DistributionLambda(
            lambda t: tfd.Independent(tfd.Normal(t[..., :size], tf.nn.softplus(t[..., size:])), 1)
        )
        return tf_keras.Sequential([tfp.layers.VariableLayer(2 * size, dtype=dtype), as_normal])

    def prior(kernel_size: int, bias_size: int, dtype: Any = None) -> Any:
        size = kernel_size + bias_size
        return lambda _: tfd.Independent(tfd.Normal(tf.zeros(size), 1.0), 1)

    layer = tfp.layers.DenseVariational(2, posterior, prior, kl_weight=weight, kl_use_exact=True)
    model = tf_keras.Sequential([tf_keras.Input((3,)), layer, _head()])
    by_hand.widen(model)
    audit = audit_elbo(model, X, Y, **FEW)
    loc, raw = np.split(layer.variables[0].numpy().astype(float), 2)
    assert audit.kl == pytest.approx(by_hand.normal_kl(loc, by_hand.softplus(raw), 1.0).sum() / N, rel=1e-5)
    assert audit.temperature == pytest.approx(temperature, rel=1e-5)
    named = {N: "full KL", 1.0: "", 0.5: "weight 0.5"}[temperature]
    assert len(audit.warnings) == bool(named)
    assert named in "".join(audit.warnings)


@pytest.mark.parametrize("exact", [True, False])
def test_a_kl_regularizer_on_latents_is_counted_twice(exact: bool) -> None:
    regularizer = tfp.layers.KLDivergenceRegularizer(_prior(), use_exact_kl=exact)
    model = _with_latents(regularizer)
    audit = audit_elbo(model, X, Y, **FEW)
    assert audit.kl == pytest.approx(_latents_kl(model), rel=1e-5)
    assert audit.temperature == pytest.approx(2.0, rel=1e-5 if exact else 0.3)
    assert len(audit.warnings) == 1
    assert "double KL" in audit.warnings[0]


@pytest.mark.parametrize("rows", [4, 16])
def test_kl_divergence_add_loss_is_summed_over_the_batch(rows: int) -> None:
    model = _with_latents(add_loss=tfp.layers.KLDivergenceAddLoss(_prior(), use_exact_kl=True))
    audit = audit_elbo(model, X[:rows], Y[:rows], num_examples=N, **FEW)
    assert audit.kl == pytest.approx(_latents_kl(model, X[:rows]), rel=1e-5)
    assert audit.penalty == pytest.approx(rows * audit.kl, rel=1e-5)
    assert len(audit.warnings) == 1
    assert f"batch-summed KL: {rows} times too strong" in audit.warnings[0]


def test_a_kl_that_is_not_in_the_loss_is_noticed() -> None:
    layer = _tfp_layer(kernel_divergence_fn=None)
    audit = audit_elbo(tf_keras.Sequential([tf_keras.Input((3,)), layer, _head()]), X, Y, **FEW)
    assert audit.kl == pytest.approx(_kernel_kl(layer) / N, rel=1e-5)
    assert (audit.penalty, audit.temperature) == (0.0, 0.0)
    assert "its KL is not in the loss" in audit.warnings[0]


def test_weight_decay_is_not_a_kl_and_a_regularizer_of_half_the_weight_is_right() -> None:
    model = _with_latents(
        tfp.layers.KLDivergenceRegularizer(_prior(), use_exact_kl=True, weight=0.5), weight_decay="l2"
    )
    audit = audit_elbo(model, X, Y, **FEW)
    decay = 0.01 * (model.layers[0].kernel.numpy().astype(float) ** 2).sum()
    assert audit.other == pytest.approx(decay, rel=1e-4)
    assert audit.temperature == pytest.approx(1.0, rel=1e-5)
    assert audit.warnings == ()


def test_the_regularizers_are_as_they_were() -> None:
    regularizer = tfp.layers.KLDivergenceRegularizer(_prior())
    original = regularizer._kl_divergence_fn
    model = _with_latents(regularizer)
    audit_elbo(model, X, Y, **FEW)
    assert regularizer._kl_divergence_fn is original


def test_a_penalty_drawn_with_much_noise_is_not_called_missing() -> None:
    def scaled_draw(q: Any, p: Any, _: Any) -> Any:
        w = q.sample()
        return (q.log_prob(w) - p.log_prob(w)) / N + tf.random.normal([])

    layer = _tfp_layer(kernel_divergence_fn=scaled_draw, bias_posterior_fn=None)
    audit = audit_elbo(tf_keras.Sequential([tf_keras.Input((3,)), layer, _head()]), X, Y, **FEW)
    assert 4 * audit.layers[0].standard_error > audit.kl / 2
    assert "too much noise to tell its weight from 1" in audit.warnings[0]


def test_a_posterior_that_is_the_prior_tells_nothing() -> None:
    layer = _tfp_layer(bias_posterior_fn=None)
    model = tf_keras.Sequential([tf_keras.Input((3,)), layer, _head()])
    loc, raw = layer.trainable_variables
    loc.assign(tf.zeros_like(loc))
    raw.assign(tf.fill(raw.shape, np.float32(np.log(np.expm1(1.0)))))
    audit = audit_elbo(model, X, Y, **FEW)
    assert audit.kl < 1e-6
    assert audit.temperature == 1.0
    assert audit.warnings == ()
