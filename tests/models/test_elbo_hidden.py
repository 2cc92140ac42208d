"""The loss of random hidden units, noise included, against NumPy; and a property of all kinds with point weights."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from variational_bnn.models.losses import negative_log_likelihood

N, BATCH = 25, 10
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 3)).astype(np.float32), RNG.normal(size=(N, 2)).astype(np.float32)
SCALES = {"initial_scale": 0.6, "latent_prior_scale": 0.7}
LIKELIHOODS: tuple[Likelihood, ...] = (
    Normal(),
    Normal(scale="learned"),
    Normal(scale=0.8),
    MixtureNormal(num_components=2),
    Bernoulli(),
    Categorical(num_classes=3),
)


def _network(**fields: Any) -> Network:
    learned = {"likelihood": Normal(scale="learned"), "prior_scale": 1.5, "activation": "tanh"}
    return Network(**{"input_shape": (3,), "output_size": 2, "hidden_units": (5, 4), **learned, **fields})


def _built(kind: str, network: Network, **arguments: Any) -> Any:
    """A compiled model of scattered variables."""
    model = by_hand.build(kind, network, N, **arguments)
    by_hand.widen(model)
    model.compile("sgd", loss=negative_log_likelihood)
    return model


def _terms(
    kind: str, model: Any, network: Network, x: by_hand.Array, y: by_hand.Array, first_draw: int = 1, **scales: float
) -> tuple[float, float]:
    """The mean nll and KL over batches of which each has a draw of its own."""
    starts = range(0, len(x), BATCH)
    batches = [(x[start : start + BATCH], y[start : start + BATCH]) for start in starts]
    noises = [by_hand.noise_of_draw(model, first_draw + i) for i in range(len(batches))]
    results = [
        by_hand.nll_and_kl(kind, model, network, *batch, N, noise=noise, **scales)
        for batch, noise in zip(batches, noises, strict=True)
    ]
    sizes = [len(batch) for batch, _ in batches]
    return np.concatenate([nll for nll, _ in results]).mean(), np.average([kl for _, kl in results], weights=sizes)


@pytest.mark.parametrize("by_fan_in", [True, False])
@pytest.mark.parametrize("point_prior", [True, False])
@pytest.mark.parametrize("kind", by_hand.HIDDEN)
def test_each_term_of_the_loss_is_that_of_numpy_with_the_same_noise(
    kind: str, point_prior: bool, by_fan_in: bool
) -> None:
    """Latents of another size, a decoder of other units, other scales and number of draws than by default."""
    network = _network(scale_prior_by_fan_in=by_fan_in)
    arguments = {"latent_size": 3, "decoder_units": (6,), "num_draws": 4, "point_prior": point_prior}
    model = _built(kind, network, **arguments, **SCALES)
    nll, kl = _terms(kind, model, network, X, Y, **SCALES)
    expected = by_hand.logs_of(kind, model, network, nll, kl, N, point_prior=point_prior)
    assert set(expected) == {"loss", "nll", "kl", *(["prior_penalty"] if point_prior else [])}
    logs = model.evaluate(X, Y, batch_size=BATCH, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-5)
    others, _ = _terms(kind, model, network, X, Y, first_draw=4, **SCALES)
    assert nll != pytest.approx(others, rel=1e-3), "other noise has another nll"
    again = model.evaluate(X, Y, batch_size=BATCH, verbose=0, return_dict=True)
    assert again == pytest.approx({**logs, "nll": others, "loss": logs["loss"] + others - nll}, rel=1e-5)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(by_hand.POINT),
    likelihood=st.sampled_from(LIKELIHOODS),
    input_shape=st.sampled_from([(1,), (3,), (2, 2)]),
    hidden_units=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    activation=st.sampled_from(sorted(by_hand.ACTIVATIONS)),
    prior_scale=st.floats(0.3, 3.0),
    by_fan_in=st.booleans(),
    seed=st.integers(0, 99),
)
def test_evaluate_is_numpys_for_any_network(
    kind: str,
    likelihood: Likelihood,
    input_shape: tuple[int, ...],
    hidden_units: list[int],
    activation: str,
    prior_scale: float,
    by_fan_in: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    size = 1 if isinstance(likelihood, Categorical) else int(rng.integers(1, 4))
    x = rng.normal(size=(13, *input_shape)).astype(np.float32)
    y = rng.integers(2, size=(13, size)) if likelihood.discrete else rng.normal(size=(13, size))
    network = _network(
        input_shape=input_shape,
        hidden_units=tuple(hidden_units),
        output_size=size,
        activation=activation,
        likelihood=likelihood,
        prior_scale=prior_scale,
        scale_prior_by_fan_in=by_fan_in,
    )
    model = _built(kind, network, seed=seed)
    nll, kl = _terms(kind, model, network, x, y.astype(np.float32))
    expected = by_hand.logs_of(kind, model, network, nll, kl, N)
    logs = model.evaluate(x, y.astype(np.float32), batch_size=BATCH, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=2e-5, abs=1e-6)
