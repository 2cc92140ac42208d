"""The penalty of the prior makes the loss of point weights that of the mode of their posterior."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy import stats

from variational_bnn.base import Network
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import MixtureNormal, Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.point_prior import NormalPrior
from variational_bnn.models.weight_space import WeightSpace

N = 25
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 3)).astype(np.float32), RNG.normal(size=(N, 2)).astype(np.float32)
BASE = Network(input_shape=(3,), output_size=2, hidden_units=(5, 4), activation="tanh", likelihood=Normal())
LEARNED = dataclasses.replace(BASE, likelihood=Normal(scale="learned"), prior_scale=1.6)
NETWORKS = {
    "heteroscedastic": dataclasses.replace(BASE, prior_scale=0.7),
    "learned": LEARNED,
    "learned, not by fan-in": dataclasses.replace(LEARNED, scale_prior_by_fan_in=False),
    "known": dataclasses.replace(BASE, likelihood=Normal(scale=0.4), prior_scale=2.0),
    "mixture": dataclasses.replace(BASE, likelihood=MixtureNormal(num_components=2), scale_prior_by_fan_in=False),
    "line": dataclasses.replace(BASE, hidden_units=(), likelihood=Normal(scale="learned"), prior_scale=0.5),
}


def _model(kind: str, network: Network, **arguments: Any) -> Any:
    """A compiled model of scattered variables."""
    model = by_hand.build(kind, network, N, **arguments)
    by_hand.widen(model)
    model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood)
    return model


def _logs(model: Any, x: Any = X, y: Any = Y) -> dict[str, float]:
    return model.evaluate(x, y, verbose=0, return_dict=True)


def _vector(model: Any, space: WeightSpace) -> by_hand.Array:
    """All weights of the model, each divided by its prior's standard deviation."""
    names = by_hand.layer_names(space.network)
    values = [values.ravel() for name in names for values in by_hand.variables(model, name).values()]
    shared = by_hand.variables(model, "y").get("shared", np.zeros(0))
    return np.concatenate([*values, shared]) / space.prior_scales


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_loss_is_minus_the_log_posterior_over_n(network: Network) -> None:
    """That of the network as a vector, up to the same constant; the learned noise has the prior of a bias."""
    model, space = _model("output", network), WeightSpace.of(network)
    z = tf.constant(_vector(model, space), tf.float32)
    log_likelihood, log_prior = (float(v) for v in (space.log_likelihood(z, X, Y), space.log_prior(z)))
    logs = _logs(model)
    assert logs["loss"] == pytest.approx(-(log_likelihood + log_prior) / N, rel=1e-5)
    assert logs["prior_penalty"] == pytest.approx(-log_prior / N, rel=1e-5)
    assert logs["nll"] == pytest.approx(-log_likelihood / N, rel=1e-5)
    flipped = dataclasses.replace(network, scale_prior_by_fan_in=not network.scale_prior_by_fan_in)
    other = float(space.log_prior(tf.constant(_vector(model, WeightSpace.of(flipped)), tf.float32)))
    assert logs["prior_penalty"] != pytest.approx(-other / N, rel=1e-2), "of another prior"


@pytest.mark.parametrize("kind", by_hand.POINT)
def test_without_a_prior_there_is_no_term_and_no_metric(kind: str) -> None:
    model = _model(kind, LEARNED, point_prior=False)
    assert set(_logs(model)) == {"loss", "nll", "kl"}
    logs = model.fit(X, Y, verbose=0).history
    assert set(logs) == {"loss", "nll", "kl"}
    assert logs["loss"][0] == pytest.approx(logs["nll"][0] + logs["kl"][0], rel=1e-6)
    assert len(model.losses) == {"output": 0, "amortized": 1, "shared": 2, "conditional": 0}[kind], "KLs alone"


@pytest.mark.parametrize("kind", by_hand.POINT)
def test_a_saved_model_keeps_its_penalty(kind: str, tmp_path: Path) -> None:
    """From a file of plain values, also of an uncompiled model."""
    model = _model(kind, LEARNED)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        text = archive.read("config.json").decode()
    names = ["kernel_regularizer", "bias_regularizer", "shared_regularizer"]
    layers = {layer["config"]["name"]: layer["config"] for layer in json.loads(text)["config"]["layers"]}
    found = [layers["parameters"][names[0]], layers["parameters"][names[1]], layers["y"][names[2]]]
    assert [prior["registered_name"] for prior in found] == ["variational_bnn>NormalPrior"] * 3
    assert [prior["config"]["scale_by_fan_in"] for prior in found] == [True, False, False]
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    expected = by_hand.prior_penalty(kind, model, LEARNED, N)
    assert _logs(loaded)["prior_penalty"] == pytest.approx(expected, rel=1e-5)
    again = _logs(loaded)
    assert again["loss"] == pytest.approx(again["nll"] + again["kl"] + expected, rel=1e-5)


@pytest.mark.parametrize("kind", by_hand.HIDDEN)
def test_the_amortized_encoder_alone_has_no_prior(kind: str) -> None:
    """It is the posterior of the latents. Each layer that is set to 0 takes away its own share of the penalty."""
    model = _model(kind, LEARNED)
    for name in by_hand.dense_layers(kind, model, LEARNED):
        layer, before = model.get_layer(name), _logs(model)["prior_penalty"]
        layer.set_weights([np.zeros_like(values) for values in layer.get_weights()])
        of_q = kind == "amortized" and name.startswith(("encoder", "latent_parameters"))
        after = _logs(model)["prior_penalty"]
        assert (after == before) == of_q
        assert after == pytest.approx(by_hand.prior_penalty(kind, model, LEARNED, N), rel=1e-5)
    assert after > 0, "that of the learned noise is left"
    model.get_layer("y").shared.assign([0.0, 0.0])
    assert _logs(model)["prior_penalty"] == 0


def test_models_of_weight_variation_have_no_penalty() -> None:
    assert "prior_penalty" not in _logs(_model("flipout", LEARNED))


@pytest.mark.parametrize("point_prior", [True, False])
def test_training_finds_the_mode_in_closed_form(point_prior: bool) -> None:
    """Of a line with known noise: ridge regression with the prior, least squares without."""
    noise, prior = 0.5, 0.4
    network = Network(
        input_shape=(3,), output_size=1, hidden_units=(), likelihood=Normal(scale=noise), prior_scale=prior
    )
    features = np.column_stack([X, np.ones(N)]).astype(np.float64)
    y = features @ [1.0, -0.7, 0.4, 0.6] + noise * np.random.default_rng(1).normal(size=N)
    precision = np.array([3.0, 3.0, 3.0, 1.0]) / prior**2

    def closed_form(share: float) -> by_hand.Array:
        matrix = features.T @ features / noise**2 + share * np.diag(precision)
        return np.linalg.solve(matrix, features.T @ y / noise**2)

    model = build_output_variation(network, N, point_prior=point_prior, seed=0)
    model.compile(tf_keras.optimizers.SGD(0.05, momentum=0.9), loss=negative_log_likelihood, steps_per_execution=100)
    data = tf.data.Dataset.from_tensors((X, y[:, None].astype(np.float32))).repeat()
    model.fit(data, steps_per_epoch=400, verbose=0)
    results = np.concatenate([values.ravel() for values in by_hand.variables(model, "parameters").values()])
    np.testing.assert_allclose(results, closed_form(float(point_prior)), atol=1e-4)
    assert not np.allclose(results, closed_form(float(not point_prior)), atol=0.02)


@pytest.mark.parametrize("by_fan_in", [True, False])
def test_the_penalty_is_minus_the_log_prior_over_n_up_to_a_constant(by_fan_in: bool) -> None:
    prior = NormalPrior(prior_scale=1.3, num_examples=10, scale_by_fan_in=by_fan_in)
    again = NormalPrior.from_config(json.loads(json.dumps(prior.get_config())))
    first, second = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    density = stats.norm(0, 1.3 / (2 if by_fan_in else 1))
    expected = (density.logpdf(second) - density.logpdf(first)).sum() / 10
    for own in (prior, again):
        assert float(own(first) - own(second)) == pytest.approx(expected, rel=1e-4)
        assert float(own(np.zeros((4, 3), np.float32))) == 0.0
    vector = RNG.normal(size=4).astype(np.float32)
    assert float(NormalPrior(1.3, 10)(vector)) == pytest.approx((vector**2).sum() / (2 * 1.3**2) / 10, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 10), r"prior_scale must be > 0, got 0\.0"),
        ((np.inf, 10), "prior_scale must be > 0, got inf"),
        ((1.0, 0), "num_examples must be a whole number >= 1, got 0"),
        ((1.0, 2.5), r"num_examples must be a whole number >= 1, got 2\.5"),
    ],
)
def test_bad_arguments_raise_an_error_of_one_line(arguments: tuple[float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        NormalPrior(*arguments)
    assert "\n" not in str(caught.value)


def test_the_fan_in_of_a_convolution_is_all_that_a_unit_sees() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 2))
    penalty = float(NormalPrior(1.5, 40, scale_by_fan_in=True)(kernel))
    assert penalty == pytest.approx(3 * 3 * 5 * (kernel**2).sum() / (2 * 1.5**2) / 40)
