"""The loss is the negative evidence lower bound per example: `evaluate` and `fit` against NumPy."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from variational_bnn.models.losses import KLAnnealing, negative_log_likelihood

N = 25
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 3)).astype(np.float32), RNG.normal(size=(N, 2)).astype(np.float32)
GREY, LABELS = RNG.choice([0.0, 0.3, 1.0], size=(N, 2)).astype(np.float32), RNG.integers(4, size=(N, 1))
LIKELIHOODS = {
    "heteroscedastic": (Normal(), Y),
    "learned": (Normal(scale="learned"), Y),
    "known": (Normal(scale=0.1), Y),
    "mixture": (MixtureNormal(num_components=3), Y),
    "bernoulli": (Bernoulli(), GREY),
    "categorical": (Categorical(num_classes=4), LABELS),
}
REL = 1e-4  # Posterior standard deviations of 1e-5 leave that much noise in the nll.
Case = tuple[str, Network, Any, np.ndarray]


def _network(likelihood: Likelihood, **fields: Any) -> Network:
    settings = {"input_shape": (3,), "output_size": 2, "hidden_units": (5, 4), "activation": "tanh", **fields}
    return Network(likelihood=likelihood, **settings)


def _case(kind: str, name: str) -> Case:
    """Kind, network, a compiled model of scattered variables whose draws are nearly their means, and targets."""
    likelihood, y = LIKELIHOODS[name]
    network = _network(likelihood, output_size=y.shape[1], prior_scale=1.5)
    model = by_hand.build(kind, network, N)
    by_hand.widen(model)
    by_hand.quieten(model)
    model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood)
    return kind, network, model, y


@pytest.fixture(scope="module", params=[f"{k} {name}" for k in by_hand.KINDS for name in LIKELIHOODS])
def case(request: pytest.FixtureRequest) -> Case:
    """Every kind with every likelihood."""
    return _case(*request.param.split())


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_evaluate_agrees_with_numpy_for_every_batch_size(case: Case, batch_size: int) -> None:
    kind, network, model, y = case
    nll, kl = by_hand.nll_and_kl(kind, model, network, X, y, N)
    logs = model.evaluate(X, y, batch_size=batch_size, verbose=0, return_dict=True)
    assert logs == pytest.approx(by_hand.logs_of(kind, model, network, nll.mean(), kl, N), rel=REL)
    assert logs["kl"] == pytest.approx(kl, rel=1e-5)
    assert (kl == 0) == (kind in by_hand.WITHOUT_KL)
    turned, _ = by_hand.nll_and_kl(kind, model, network, X, y[::-1], N)
    assert logs["nll"] != pytest.approx(turned.mean(), rel=2 * REL), "other targets have another density"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, "heteroscedastic") for kind in by_hand.KINDS),
        *zip(("flipout", "amortized", "conditional"), ("mixture", "bernoulli", "categorical"), strict=True),
    ],
)
def test_fit_shows_the_same_numbers_and_sample_weights_multiply_the_nll(kind: str, name: str) -> None:
    _, network, model, y = _case(kind, name)
    weights = np.arange(N) / 5
    nll, kl = by_hand.nll_and_kl(kind, model, network, X, y, N)
    expected = by_hand.logs_of(kind, model, network, (weights * nll).mean(), kl, N)
    in_a_block = tf.data.Dataset.from_tensor_slices((X, y, weights.astype(np.float32))).batch(7)
    for data in (in_a_block, in_a_block.filter(lambda *_: True)):  # Batches of unknown number come one by one.
        logs = model.fit(data, verbose=0).history
        assert {name: value for name, (value,) in logs.items()} == pytest.approx(expected, rel=REL)
    assert model.evaluate(X, y, sample_weight=weights, verbose=0, return_dict=True) == pytest.approx(expected, rel=REL)


@pytest.mark.parametrize("kind", ["flipout", "amortized", "shared"])
def test_annealing_raises_the_weight_of_the_kl_and_leaves_the_kl(kind: str) -> None:
    network = _network(Normal())
    model = by_hand.build(kind, network, N)
    by_hand.widen(model)
    by_hand.quieten(model)
    model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood)
    nll, kl = by_hand.nll_and_kl(kind, model, network, X, Y, N)
    annealing = KLAnnealing(4, start=0.2, end=1.0)
    logs = model.fit(X, Y, epochs=6, batch_size=10, verbose=0, callbacks=[annealing]).history
    for i, weight in enumerate([0.2, 0.4, 0.6, 0.8, 1.0, 1.0]):
        expected = by_hand.logs_of(kind, model, network, nll.mean(), kl, N, kl_weight=weight)
        assert {name: values[i] for name, values in logs.items()} == pytest.approx(expected, rel=REL)
    np.testing.assert_allclose(logs["kl"], kl, rtol=1e-5)


@pytest.mark.parametrize("kind", ["reparameterization", "amortized", "shared"])
def test_a_fixed_weight_of_the_kl_tempers_the_loss(kind: str) -> None:
    network = _network(Normal())
    model = by_hand.build(kind, network, N, kl_weight=0.25)
    by_hand.quieten(model)
    model.compile("sgd", loss=negative_log_likelihood)
    nll, kl = by_hand.nll_and_kl(kind, model, network, X, Y, N)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs == pytest.approx(by_hand.logs_of(kind, model, network, nll.mean(), kl, N, kl_weight=0.25), rel=REL)


@pytest.mark.parametrize("kind", by_hand.ESTIMATORS)
def test_the_kl_of_posteriors_of_any_width_is_that_of_numpy(kind: str) -> None:
    """No draw enters the KL."""
    network = _network(Normal(), hidden_units=(5,), prior_scale=1.5)
    model = by_hand.build(kind, network, N)
    by_hand.widen(model)
    model.compile("sgd", loss=negative_log_likelihood)
    _, kl = by_hand.nll_and_kl(kind, model, network, X, Y, N)
    logs = model.evaluate(X, Y, batch_size=7, verbose=0, return_dict=True)
    assert logs["kl"] == pytest.approx(kl, rel=1e-5)
    assert logs["loss"] == pytest.approx(logs["nll"] + kl, rel=1e-5)


@pytest.mark.parametrize("field", ["scale_prior_by_fan_in", "prior_scale"])
def test_the_prior_is_the_networks(field: str) -> None:
    network = _network(Normal(), **{field: {"scale_prior_by_fan_in": False, "prior_scale": 3.0}[field]})
    model = by_hand.build("local_reparameterization", network, N)
    model.compile("sgd", loss=negative_log_likelihood)
    kl = model.evaluate(X, Y, verbose=0, return_dict=True)["kl"]
    assert kl == pytest.approx(by_hand.weights_kl(model, network) / N, rel=1e-5)
    assert kl != pytest.approx(by_hand.weights_kl(model, _network(Normal())) / N, rel=1e-2)
