"""The builders: what they put together, and which arguments raise errors."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.builders.hidden import build_hidden_variation
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.builders.weights import ESTIMATORS, build_weight_variation
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood, variational_layers

RNG = np.random.default_rng(0)


def _network(**fields: Any) -> Network:
    return Network(**{"input_shape": (3,), "output_size": 2, "hidden_units": (5, 4), "likelihood": Normal(), **fields})


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_the_output_is_a_distribution_of_the_targets(kind: str) -> None:
    model = by_hand.build(kind, _network(), 10)
    density = model(np.zeros((7, 3), np.float32))
    assert isinstance(density, tfd.Distribution)
    assert (density.batch_shape, density.event_shape) == ([7], [2])
    assert isinstance(model, tf_keras.Model)
    assert model.input_shape == (None, 3)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert any("hidden_2" in line for line in lines)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("output", 20 + 24 + 20), ("hidden", 40 + 48 + 20), *((e, 2 * (20 + 24 + 20)) for e in by_hand.ESTIMATORS)],
)
def test_the_trained_parameters_are_those_one_counts(kind: str, parameters: int) -> None:
    model = by_hand.build(kind, _network(), 10)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == parameters
    learned = by_hand.build(kind, _network(likelihood=Normal(scale="learned")), 10)
    outputs = {"output": 10, "hidden": 10}.get(kind, 20)  # Two outputs less, and two shared scales.
    assert sum(np.prod(variable.shape) for variable in learned.trainable_variables) == parameters - outputs + 2


def test_each_estimator_builds_its_own_layers_and_hidden_variation_its_units() -> None:
    for name, kind in ESTIMATORS.items():
        results = variational_layers(build_weight_variation(_network(), 10, estimator=name))
        assert [type(layer) for layer in results] == [kind] * 3
    hidden = variational_layers(build_hidden_variation(_network(), 10))
    assert [type(layer) for layer in hidden] == [NormalUnits] * 2
    assert variational_layers(build_output_variation(_network(), 10)) == []


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_the_seed_decides_the_initial_values(kind: str) -> None:
    """One seed, one start; two seeds or none, two; and layers of one shape start apart."""
    network = _network(hidden_units=(3, 3))
    models = [by_hand.build(kind, network, 10, seed=seed) for seed in (0, 0, 1)]
    starts = [np.concatenate([values.ravel() for values in model.get_weights()]) for model in models]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])
    unseeded = [by_hand.build(kind, network, 10, seed=None).get_weights()[0][:3] for _ in range(2)]
    assert not np.isclose(*unseeded).any()
    kernels = [v[:3] for v in models[0].trainable_variables if len(v.shape) == 2 and "raw" not in v.name]
    assert not np.isclose(kernels[0], kernels[1]).any()


@pytest.mark.parametrize("kind", by_hand.KINDS[1:])
def test_layers_of_equal_sizes_have_random_numbers_of_their_own(kind: str) -> None:
    layers = variational_layers(by_hand.build(kind, _network(hidden_units=(4, 4, 4)), 10))
    assert len({layer.noise_seed for layer in layers}) == len(layers) >= 3


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_inputs_of_several_axes_are_flattened(kind: str) -> None:
    x = RNG.normal(size=(6, 2, 3)).astype(np.float32)
    deep, flat = (
        by_hand.build(kind, _network(input_shape=(2, 3)), 6),
        by_hand.build(kind, _network(input_shape=(6,)), 6),
    )
    np.testing.assert_array_equal(deep(x).mean(), flat(x.reshape(6, 6)).mean())


@pytest.mark.parametrize("kind", by_hand.KINDS[:-1])
def test_without_hidden_units_the_model_is_linear(kind: str) -> None:
    model = by_hand.build(kind, _network(hidden_units=()), 10)
    by_hand.quieten(model)
    x = RNG.normal(size=(3, 3)).astype(np.float32)
    rows = np.vstack([x[:1], x[1:2], (x[:1] + x[1:2]) / 2])
    means = model(rows).mean().numpy()
    np.testing.assert_allclose(means[2], means[:2].mean(0), atol=1e-4)


@pytest.mark.parametrize("kind", ["reparameterization", "hidden"])
def test_the_initial_scale_is_the_argument(kind: str) -> None:
    model = by_hand.build(kind, _network(), 10, initial_scale=0.3)
    if kind == "hidden":
        scale = model.get_layer("hidden_1").posterior(np.zeros((1, 10), np.float32)).distribution.scale
        expected = 0.3
    else:
        scale, expected = by_hand.posterior(model, "hidden_1")["kernel"][1], 0.3 / np.sqrt(3)
    np.testing.assert_allclose(scale, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build_weight_variation(_network(), 0), ValueError, "num_examples must be a whole number >= 1, got 0"),
        (lambda: build_output_variation(_network(), 1.5), ValueError, r"num_examples must be .* got 1\.5"),
        (
            lambda: build_hidden_variation(_network(), 9, seed=-1),
            ValueError,
            "seed must be a whole number >= 0, got -1",
        ),
        (
            lambda: build_weight_variation(_network(), 9, estimator="bbb"),
            ValueError,
            "unknown estimator 'bbb'; known: reparameterization, flipout, local_reparameterization",
        ),
        (
            lambda: build_weight_variation(_network(), 9, initial_scale=-1),
            ValueError,
            "initial_scale must be > 0, got -1",
        ),
        (lambda: build_hidden_variation(_network(), 9, kl_weight=-1), ValueError, "kl_weight must be >= 0, got -1"),
        (
            lambda: build_hidden_variation(_network(hidden_units=()), 9),
            ValueError,
            r"hidden_units must not be empty for hidden variation, got \(\)",
        ),
        (lambda: build_output_variation({"input_shape": (1,)}, 9), TypeError, "network must be a Network, got dict"),
        (lambda: _network(activation="rleu"), ValueError, "unknown activation 'rleu'; known: elu, gelu, linear, relu"),
        (lambda: _network(prior_scale=-1.0), ValueError, r"prior_scale must be > 0, got -1\.0"),
        (lambda: _network(hidden_units=(5, 0)), ValueError, "hidden_units must be a whole number >= 1, got 0"),
        (lambda: _network(output_size=0), ValueError, "output_size must be a whole number >= 1, got 0"),
        (lambda: _network(input_shape=()), ValueError, "input_shape must have at least one axis"),
        (lambda: _network(input_shape=3), ValueError, "input_shape must be a tuple of whole numbers, got 3"),
        (lambda: _network(likelihood="normal"), TypeError, r"likelihood must be a Likelihood such as Normal\(\)"),
    ],
)
def test_what_cannot_be_built_raises_an_error_of_one_line(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_training_goes_downhill_for_every_kind() -> None:
    x = RNG.normal(size=(60, 3)).astype(np.float32)
    y = np.stack([np.sin(2 * x[:, 0]), x[:, 1]], axis=1)
    for kind in by_hand.KINDS:
        model = by_hand.build(kind, _network(hidden_units=(5,)), 60)
        model.compile(tf_keras.optimizers.Adam(0.02), loss=negative_log_likelihood)
        losses = model.fit(x, y, batch_size=20, epochs=60, verbose=0).history["loss"]
        assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
