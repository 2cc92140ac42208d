"""The lecture's printed code counts the KL of its latents twice, ours once: by NumPy, side by side, by audit."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from autoencoders_by_hand import LATENT_SHIFT, REL, SHAPE, N, X, build, logs_of, network_of, terms_of
from tensorflow_probability import distributions as tfd

from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.audit import audit_elbo

NETWORK = network_of(decoder_units=(4,))


def _lectures(weight: float = 1.0, draw: Any = tfd.Distribution.mean) -> Any:
    """The code that the lecture prints, in another size, and with the mean or `draw(q)` in place of each draw."""
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), reinterpreted_batch_ndims=1)
    regularizer = tfp.layers.KLDivergenceRegularizer(prior, weight=weight, use_exact_kl=True)
    layers = [
        tf_keras.layers.Flatten(),
        tf_keras.layers.Dense(5, "tanh"),
        tf_keras.layers.Dense(tfp.layers.IndependentNormal.params_size(2)),
        tfp.layers.IndependentNormal(2, convert_to_tensor_fn=draw, activity_regularizer=regularizer),
        tf_keras.layers.Dense(4, "tanh"),
        tf_keras.layers.Dense(tfp.layers.IndependentBernoulli.params_size(SHAPE)),
        tfp.layers.IndependentBernoulli(SHAPE, tfd.Bernoulli.logits),
    ]
    model = tf_keras.Sequential([tf_keras.Input(SHAPE), *layers])
    model.compile("sgd", loss=negative_log_likelihood)
    return model


def _give_weights(ours: Any, theirs: Any, quiet: bool = True) -> None:
    """Copy our weights to theirs, with the raw scales that give the same standard deviations of the latents."""
    values = ours.get_layer("encoder").get_weights() + ours.get_layer("decoder").get_weights()
    if quiet:
        values[3][2:] = np.log(np.expm1(by_hand.POSTERIOR_FLOOR))
    else:
        values[3][2:] += LATENT_SHIFT
    theirs.set_weights(values)


@pytest.mark.parametrize("batch_size", [7, 25])
def test_the_lectures_loss_has_the_kl_twice_and_is_ours_with_beta_2(batch_size: int) -> None:
    ours, theirs = build("vae", NETWORK, kl_weight=2.0, quiet=True), _lectures()
    _give_weights(ours, theirs)
    terms = terms_of("vae", ours, NETWORK, X)
    loss = theirs.evaluate(X, X, batch_size=batch_size, verbose=0)
    assert loss == pytest.approx(terms["nll"] + 2 * terms["kl_latents"], rel=1e-5)
    assert loss != pytest.approx(terms["nll"] + terms["kl_latents"], rel=1e-2), "the control: once is another loss"
    logs = ours.evaluate(X, X, batch_size=batch_size, verbose=0, return_dict=True)
    assert logs == pytest.approx(logs_of(terms, kl_weight=2.0), rel=REL)
    assert loss == pytest.approx(logs["loss"], rel=REL)


def test_half_the_weight_would_have_made_the_lectures_loss_the_bound() -> None:
    ours, theirs = build("vae", NETWORK, quiet=True), _lectures(weight=0.5)
    _give_weights(ours, theirs)
    assert theirs.evaluate(X, X, verbose=0) == pytest.approx(ours.evaluate(X, X, verbose=0)[0], rel=REL)


def test_they_train_alike() -> None:
    """The same gradients: after the same steps both have the same weights, which with beta = 1 they do not."""
    models = {beta: build("vae", NETWORK, tf_keras.optimizers.SGD(0.1), kl_weight=beta) for beta in (1.0, 2.0)}
    # Small standard deviations would take the gradients of the scales away, so theirs has our noise of each step.
    noise = np.zeros((9, 10, 2), np.float32)
    for step, rows in enumerate([10, 10, 5] * 3):
        noise[step, :rows] = by_hand.normals(models[2.0].get_layer("latents").noise_seed, step + 1, 1, (rows, 2))
    optimizer = tf_keras.optimizers.SGD(0.1)

    def draw(q: Any) -> tf.Tensor:
        return q.mean() + q.stddev() * tf.gather(noise, optimizer.iterations)[: tf.shape(q.mean())[0]]

    theirs = _lectures(draw=draw)
    _give_weights(models[2.0], theirs, quiet=False)
    theirs.compile(optimizer, loss=negative_log_likelihood)
    histories = {
        name: model.fit(X, X, batch_size=10, epochs=3, shuffle=False, verbose=0).history["loss"]
        for name, model in {"theirs": theirs, **models}.items()
    }
    np.testing.assert_allclose(histories["theirs"], histories[2.0], rtol=1e-5)
    kernels = {name: model.get_layer("decoder").get_weights()[0] for name, model in models.items()}
    np.testing.assert_allclose(theirs.layers[4].kernel.numpy(), kernels[2.0], atol=1e-5)
    assert np.abs(kernels[1.0] - kernels[2.0]).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "weights"),
    [("vae", "point"), ("vae", "flipout"), ("vae", "local_reparameterization"), ("ae", "reparameterization")],
)
def test_the_audit_finds_the_kl_once_in_ours(kind: str, weights: str) -> None:
    network = network_of()
    model = build(kind, network, weights=weights)
    audit = audit_elbo(model, X, X, num_samples=5)
    assert audit.warnings == ()
    assert audit.temperature == pytest.approx(1.0, rel=1e-5)
    terms = terms_of(kind, model, network, X)
    if weights == "point":
        assert audit.kl == pytest.approx(terms["kl_latents"], rel=1e-5)
    else:
        own = sum(layer.kl for layer in audit.layers if layer.kind == "weights")
        assert own == pytest.approx(terms["kl_weights"], rel=1e-5)
    assert {layer.kind for layer in audit.layers} == {name.removeprefix("kl_") for name in terms} - {"nll"}


def test_the_audit_names_what_is_wrong_with_the_lectures_and_with_another_beta_or_n() -> None:
    """The controls of the test above."""
    audit = audit_elbo(_lectures(), X, X, num_samples=5)
    assert audit.temperature == pytest.approx(2.0, rel=1e-4)
    (line,) = audit.warnings
    assert "double KL: it is counted twice" in line
    assert "double KL" in "".join(audit_elbo(build("vae", NETWORK, kl_weight=2.0), X, X, num_samples=5).warnings)
    with_more = audit_elbo(build("ae", NETWORK, weights="flipout"), X, X, num_examples=10 * N, num_samples=5)
    assert with_more.temperature == pytest.approx(10.0, rel=1e-4), "built for fewer images than it is trained on"
    assert len(with_more.warnings) == 4
