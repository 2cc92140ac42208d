"""The builders: what they put together, and which arguments raise errors."""

from __future__ import annotations

import itertools
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
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.likelihood_head import MixtureHead
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood, variational_layers
from variational_bnn.models.shared_units import SharedUnits

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
    assert all(any(name in line for line in lines) for name in by_hand.dense_layers(kind, model, _network()))


OF_HIDDEN = {
    "amortized": ["encoder_1", "encoder_2", "latent_parameters", "latents", "decoder_1", "decoder_2"],
    "shared": ["hidden_1", "hidden_1_factors", "hidden_2", "hidden_2_factors"],
    "conditional": ["encoder_1", "encoder_2", "latent_parameters", "latents", "decoder_1", "decoder_2"],
}


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_the_layers_are_those_that_are_documented(kind: str) -> None:
    layers = by_hand.build(kind, _network(), 10).layers
    assert [layer.name for layer in layers] == ["x", *OF_HIDDEN.get(kind, ["hidden_1", "hidden_2"]), "parameters", "y"]


ENCODER, DECODER = 20 + 24 + (4 + 1) * 4, (2 + 1) * 4 + (4 + 1) * 5


@pytest.mark.parametrize(
    ("kind", "parameters", "output"),
    [
        ("output", 20 + 24 + 20, 10),
        *((estimator, 2 * (20 + 24 + 20), 20) for estimator in by_hand.ESTIMATORS),
        ("shared", 20 + 24 + 20 + 2 * (5 + 4), 10),
        *((kind, ENCODER + DECODER + (5 + 1) * 4, 12) for kind in ("amortized", "conditional")),
    ],
)
def test_the_trained_parameters_are_those_one_counts(kind: str, parameters: int, output: int) -> None:
    model = by_hand.build(kind, _network(), 10)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == parameters
    learned = by_hand.build(kind, _network(likelihood=Normal(scale="learned")), 10)
    shared = 2  # Two outputs less, with their weights, and two shared scales.
    assert sum(np.prod(variable.shape) for variable in learned.trainable_variables) == parameters - output + shared


def test_latents_and_decoder_have_the_sizes_of_the_arguments() -> None:
    for kind in ("amortized", "conditional"):
        model = by_hand.build(kind, _network(), 10, latent_size=3, decoder_units=(7,))
        kernels = {name: model.get_layer(name).kernel.shape for name in by_hand.dense_layers(kind, model, _network())}
        assert (kernels["latent_parameters"], kernels["decoder_1"], kernels["parameters"]) == ([4, 6], [3, 7], [7, 4])
        assert "decoder_2" not in kernels
        linear = by_hand.build(kind, _network(), 10, decoder_units=())
        assert linear.get_layer("parameters").kernel.shape == [2, 4]
    draws = by_hand.build("conditional", _network(), 10, num_draws=7).get_layer("latents").output_shape
    assert draws == (None, 7, 2)


def test_each_kind_builds_its_own_stochastic_layers() -> None:
    for name, kind in ESTIMATORS.items():
        results = variational_layers(build_weight_variation(_network(), 10, estimator=name))
        assert [type(layer) for layer in results] == [kind] * 3
    hidden = {kind: by_hand.build(kind, _network(), 10) for kind in by_hand.HIDDEN}
    assert [type(layer) for layer in variational_layers(hidden["amortized"])] == [NormalUnits]
    assert [type(layer) for layer in variational_layers(hidden["shared"])] == [SharedUnits] * 2
    assert (
        variational_layers(hidden["conditional"]) == variational_layers(by_hand.build("output", _network(), 10)) == []
    )
    assert type(hidden["conditional"].get_layer("latents")) is ConditionalUnits
    assert type(hidden["conditional"].get_layer("y")) is MixtureHead
    assert build_hidden_variation(_network(), 10).name == "hidden_variation_amortized", "the default"


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
    kernels = [v[:3, :2].numpy() for v in models[0].trainable_variables if len(v.shape) == 2 and "raw" not in v.name]
    pairs = [(a, b) for a, b in itertools.combinations(kernels, 2) if a.shape == b.shape]
    assert len(pairs) >= 3
    assert not any(np.isclose(a, b).any() for a, b in pairs)


@pytest.mark.parametrize("kind", [*by_hand.ESTIMATORS, "shared"])
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


@pytest.mark.parametrize("kind", ["output", *by_hand.ESTIMATORS])
def test_without_hidden_units_the_model_is_linear(kind: str) -> None:
    model = by_hand.build(kind, _network(hidden_units=()), 10)
    by_hand.quieten(model)
    x = RNG.normal(size=(3, 3)).astype(np.float32)
    rows = np.vstack([x[:1], x[1:2], (x[:1] + x[1:2]) / 2])
    means = model(rows).mean().numpy()
    np.testing.assert_allclose(means[2], means[:2].mean(0), atol=1e-4)


def test_the_initial_scale_is_the_argument() -> None:
    """For weights and factors relative to the prior's."""
    models = {kind: by_hand.build(kind, _network(), 10, initial_scale=0.3) for kind in by_hand.KINDS[1:]}
    for estimator in by_hand.ESTIMATORS:
        np.testing.assert_allclose(
            by_hand.posterior(models[estimator], "hidden_1")["kernel"][1], 0.3 / np.sqrt(3), 1e-3
        )
    zeros = np.zeros((1, 4), np.float32)
    np.testing.assert_allclose(models["amortized"].get_layer("latents").posterior(zeros).stddev(), 0.3, 1e-3)
    np.testing.assert_allclose(models["conditional"].get_layer("latents").prior(zeros).stddev(), 0.3, 1e-3)
    loc, scale = by_hand.factors(models["shared"], "hidden_1_factors")
    np.testing.assert_allclose((loc, scale), np.repeat([[1.0], [0.3]], 5, axis=1), 1e-3)
    narrow = by_hand.build("shared", _network(), 10, initial_scale=0.3, latent_prior_scale=0.5)
    np.testing.assert_allclose(by_hand.factors(narrow, "hidden_1_factors")[1], 0.15, 1e-3)


BAD_HIDDEN = {
    "kind": ({"latents": "vae"}, "unknown kind of hidden units 'vae'; known: amortized, shared, conditional"),
    "latent_size": ({"latent_size": 0}, "latent_size must be a whole number >= 1, got 0"),
    "latent_size of shared": ({"latents": "shared", "latent_size": 1.5}, r"latent_size must be .* >= 1, got 1\.5"),
    "num_draws": ({"latents": "conditional", "num_draws": 0}, "num_draws must be a whole number >= 1, got 0"),
    "decoder_units": ({"decoder_units": (5, 0)}, "decoder_units must be a whole number >= 1, got 0"),
    "decoder_units as a number": ({"decoder_units": 5}, "decoder_units must be a tuple of whole numbers, got 5"),
    "latent_prior_scale": ({"latents": "shared", "latent_prior_scale": 0.0}, r"prior_scale must be > 0, got 0\.0"),
    "initial_scale": ({"initial_scale": -0.1}, r"initial_scale must be > 0, got -0\.1"),
    "initial_scale of shared": ({"latents": "shared", "initial_scale": 0}, "initial_scale must be > 0, got 0"),
    "initial_scale of conditional": (
        {"latents": "conditional", "initial_scale": 0},
        "initial_scale must be > 0, got 0",
    ),
    "kl_weight of shared": ({"latents": "shared", "kl_weight": -1}, "kl_weight must be >= 0, got -1"),
    "point_prior": ({"point_prior": None}, "point_prior must be True or False, got None"),
    "point_prior as a number": ({"point_prior": 2.0}, r"point_prior must be True or False, got 2\.0"),
    "num_examples": ({"num_examples": 0}, "num_examples must be a whole number >= 1, got 0"),
}


@pytest.mark.parametrize("case", BAD_HIDDEN)
def test_bad_arguments_of_hidden_variation_raise_an_error_of_one_line(case: str) -> None:
    arguments, message = BAD_HIDDEN[case]
    with pytest.raises(ValueError, match=message) as caught:
        build_hidden_variation(_network(), **{"num_examples": 9, **arguments})
    assert "\n" not in str(caught.value)


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
        (
            lambda: build_output_variation(_network(), 9, point_prior="no"),
            ValueError,
            "point_prior must be True or False, got 'no'",
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
