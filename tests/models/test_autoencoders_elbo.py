"""The loss of a variational autoencoder is the negative evidence lower bound: `evaluate` and `fit` against NumPy."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from autoencoders_by_hand import (
    LIKELIHOODS,
    REL,
    N,
    X,
    build,
    latents_of,
    logs_of,
    network_of,
    pixels_nll,
    terms_of,
    through,
    weights_kl,
)

from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.losses import KLAnnealing

CASES = [("vae", "point", name) for name in LIKELIHOODS]
CASES += [("vae", weights, "bernoulli") for weights in by_hand.ESTIMATORS]
CASES += [
    ("vae", "flipout", "mixture"),
    ("ae", "local_reparameterization", "heteroscedastic"),
    ("ae", "point", "mixture"),
]


@pytest.mark.parametrize(("kind", "weights", "name"), CASES)
def test_evaluate_agrees_with_numpy_for_every_batch_size(kind: str, weights: str, name: str) -> None:
    network = network_of(LIKELIHOODS[name], prior_scale=1.5)
    model = build(kind, network, weights=weights, quiet=True)
    terms = terms_of(kind, model, network, X)
    assert ("kl_latents" in terms, "kl_weights" in terms) == (kind == "vae", weights != "point")
    for batch_size in (7, 64):
        logs = model.evaluate(X, X, batch_size=batch_size, verbose=0, return_dict=True)
        assert logs == pytest.approx(logs_of(terms), rel=REL)
    for part in terms:  # The controls: neither a term less nor one twice would pass.
        assert logs["loss"] != pytest.approx(logs["loss"] + terms[part], rel=1e-3)
    turned = terms_of(kind, model, network, X[::-1])["nll"]
    assert logs["nll"] == pytest.approx(turned, rel=REL), "the order of the rows does not matter"
    assert logs["nll"] != pytest.approx(terms_of(kind, model, network, 1 - X)["nll"], rel=1e-3), "the images do"


@pytest.mark.parametrize(
    ("kind", "weights"), [("vae", "point"), ("vae", "local_reparameterization"), ("ae", "flipout")]
)
def test_fit_shows_the_same_numbers(kind: str, weights: str) -> None:
    network = network_of()
    model = build(kind, network, tf_keras.optimizers.SGD(0.0), weights=weights, quiet=True)
    expected = logs_of(terms_of(kind, model, network, X))
    for batch_size in (1, 7):
        logs = model.fit(X, X, batch_size=batch_size, verbose=0).history
        assert {name: value for name, (value,) in logs.items()} == pytest.approx(expected, rel=REL)


def test_each_half_may_have_its_own_kind_of_weights() -> None:
    """The lecture's autoencoder with uncertain weights: a probabilistic encoder, a deterministic decoder."""
    network, results = network_of(), {}
    for first, second in (("flipout", "point"), ("point", "local_reparameterization")):
        model = build("vae", network, weights=first, decoder_weights=second, quiet=True)
        terms = terms_of("vae", model, network, X)
        assert model.evaluate(X, X, verbose=0, return_dict=True) == pytest.approx(logs_of(terms), rel=REL)
        results[first] = terms["kl_weights"]
    assert results["flipout"] != pytest.approx(results["point"], rel=0.01)


def test_beta_weighs_the_kl_of_latents_and_of_weights() -> None:
    network = network_of()
    model = build("vae", network, weights="flipout", kl_weight=0.25, quiet=True)
    terms = terms_of("vae", model, network, X)
    logs = model.evaluate(X, X, verbose=0, return_dict=True)
    assert logs == pytest.approx(logs_of(terms, kl_weight=0.25), rel=REL)
    for part in ("kl_latents", "kl_weights"):
        assert logs["loss"] != pytest.approx(logs["loss"] + 0.75 * terms[part], rel=1e-3), "the other term alone"


def test_annealing_raises_the_weight_of_both() -> None:
    network = network_of()
    model = build("vae", network, tf_keras.optimizers.SGD(0.0), weights="flipout", quiet=True)
    terms = terms_of("vae", model, network, X)
    logs = model.fit(X, X, epochs=4, batch_size=10, verbose=0, callbacks=[KLAnnealing(2, start=0.2)]).history
    weights = np.array([0.2, 0.6, 1.0, 1.0])
    np.testing.assert_allclose(logs["loss"], terms["nll"] + weights * (terms["kl_latents"] + terms["kl_weights"]), REL)
    np.testing.assert_allclose(logs["kl_latents"], terms["kl_latents"], 1e-5)
    np.testing.assert_allclose(logs["kl_weights"], terms["kl_weights"], 1e-5)


@pytest.mark.parametrize("field", [{"scale_prior_by_fan_in": False}, {"prior_scale": 3.0}])
def test_the_prior_of_the_weights_is_the_networks(field: dict[str, Any]) -> None:
    network = network_of(**field)
    model = build("vae", network, weights="reparameterization")
    kl = model.evaluate(X, X, verbose=0, return_dict=True)["kl_weights"]
    assert kl == pytest.approx(weights_kl(model, network) / N, rel=1e-5)
    assert kl != pytest.approx(weights_kl(model, network_of()) / N, rel=1e-2)


def test_the_noise_of_the_latents_is_that_of_the_seed_and_the_number_of_draws_so_far() -> None:
    network = network_of()
    model = build("vae", network)
    seed, nll = model.get_layer("latents").noise_seed, []
    for draw, start in enumerate(range(0, N, 7)):
        noise = by_hand.normals(seed, draw + 1, 1, (len(X[start : start + 7]), 2))
        nll += [terms_of("vae", model, network, X[start : start + 7], noise)["nll"]] * len(noise)
    expected = {**terms_of("vae", model, network, X), "nll": np.mean(nll)}
    assert model.evaluate(X, X, batch_size=7, verbose=0, return_dict=True) == pytest.approx(logs_of(expected), rel=1e-5)
    again = model.evaluate(X, X, batch_size=7, verbose=0, return_dict=True)
    assert again["nll"] != pytest.approx(expected["nll"], rel=1e-4), "the draws go on"


def _sampled_nll(model: Any, network: AutoencoderNetwork, count: int) -> by_hand.Array:
    """The images' mean nll of each of so many draws of weights and latents, a draw for each image apart."""
    rng = np.random.default_rng(1)

    def drawn(half: Any, layer: str) -> Any:
        if "posterior_loc" not in by_hand.variables(half, layer):
            return by_hand.variables(half, layer).values()
        return (q[0] + q[1] * rng.normal(size=(count, N, *q[0].shape)) for q in by_hand.posterior(half, layer).values())

    flat = np.broadcast_to(X.reshape(N, -1), (count, N, 6)).astype(np.float64)
    loc, scale = latents_of(through(model, network, "encoder", flat, drawn))
    outputs = through(model, network, "decoder", loc + scale * rng.normal(size=loc.shape), drawn)
    return pixels_nll(model, network, outputs, X).mean(-1)


@pytest.mark.parametrize("weights", ["point", "flipout"])
def test_the_noisy_nll_has_the_expectation_that_numpy_finds_by_draws_of_its_own(weights: str) -> None:
    network = network_of()
    model = build("vae", network, weights=weights)
    data = tf.data.Dataset.from_tensors((X, X)).repeat()
    logs = [model.evaluate(data, steps=50, verbose=0, return_dict=True) for _ in range(20)]
    results, expected = np.array([log["nll"] for log in logs]), _sampled_nll(model, network, 4000)
    error = np.hypot(results.std() / np.sqrt(19), expected.std() / np.sqrt(len(expected)))
    assert abs(results.mean() - expected.mean()) < 4 * error
    terms = terms_of("vae", model, network, X)
    assert abs(results.mean() - terms["nll"]) > 10 * error, "the control: without noise it is another number"
    kl = terms["kl_latents"] + terms.get("kl_weights", 0.0)
    if weights == "point":
        np.testing.assert_allclose([log["loss"] - log["nll"] for log in logs], kl, rtol=1e-4)
    else:
        np.testing.assert_allclose([log["kl_weights"] for log in logs], terms["kl_weights"], rtol=1e-5)
        assert np.mean([log["kl_latents"] for log in logs]) != pytest.approx(terms["kl_latents"], rel=1e-3)
