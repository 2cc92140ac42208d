"""Autoencoders saved and loaded in safe mode: the same densities, bounds and codes, and the same training."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from autoencoders_by_hand import BUILDERS, LIKELIHOODS, WEIGHTS, X, build, network_of

from variational_bnn.models.losses import KLAnnealing, variational_layers
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.prediction.bounds import decode, encode, measure_bounds
from variational_bnn.prediction.predict import predict

CODE = re.compile(r"lambda|bytecode|marshal|pickle|4w\w\wAAA")
"""The last is how the base 64 of a marshalled function begins."""


def _config(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("config.json").decode()


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", BUILDERS)
def test_every_model_comes_back_whole_with_every_likelihood(kind: str, weights: str, tmp_path: Path) -> None:
    for likelihood in LIKELIHOODS.values():
        network = network_of(likelihood, encoder_units=(), decoder_units=())
        model = build(kind, network, weights=weights, kl_weight=0.5)
        first = model(X).log_prob(X).numpy()  # A draw more: the noise to come is another than at the start.
        model.save(tmp_path / "model.keras")
        config = _config(tmp_path / "model.keras")
        assert not CODE.search(config)
        assert json.loads(config)["registered_name"] == "variational_bnn>VariationalModel"
        loaded = tf_keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
        assert type(loaded) is VariationalModel
        assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
        densities = [made(X).log_prob(X).numpy() for made in (model, loaded)]  # By a call, noise and all.
        np.testing.assert_array_equal(*densities)
        for own, other in zip(variational_layers(model), variational_layers(loaded), strict=True):
            assert float(own.kl_weight) == float(other.kl_weight) == 0.5
            assert float(own.kl) == float(other.kl)
        noisy = kind == "vae" or weights != "point"
        assert noisy == (not np.allclose(densities[0], first)), "the control: other noise has other densities"


@pytest.mark.parametrize(
    ("kind", "weights", "name"),
    [("vae", "flipout", "bernoulli"), ("vae", "point", "mixture"), ("ae", "reparameterization", "learned")],
)
def test_a_loaded_one_measures_the_same_and_trains_on_bit_for_bit(
    kind: str, weights: str, name: str, tmp_path: Path
) -> None:
    network = network_of(LIKELIHOODS[name], encoder_units=(), decoder_units=(3,))
    model = build(kind, network, tf_keras.optimizers.Adam(0.02), weights=weights)
    data = tf.data.Dataset.from_tensor_slices((X, X)).batch(7)
    model.fit(data, epochs=3, verbose=0, callbacks=[KLAnnealing(8)])
    model.save(tmp_path / "model.keras")
    measured = measure_bounds(model, X, num_samples=3)
    codes, pixels = encode(model, X), predict(model, X, num_samples=20)
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    results = measure_bounds(loaded, X, num_samples=3)
    for term in ("nll", "kl_latents", "kl_weights", "log_importance"):
        np.testing.assert_array_equal(getattr(results, term), getattr(measured, term))
    np.testing.assert_array_equal(encode(loaded, X), codes)
    np.testing.assert_array_equal(decode(loaded, codes), decode(model, codes))
    again = predict(loaded, X, num_samples=20)
    np.testing.assert_array_equal(again.mean, pixels.mean)
    np.testing.assert_array_equal(again.epistemic_variance, pixels.epistemic_variance)
    histories = [made.fit(data, epochs=2, verbose=0).history for made in (model, loaded)]
    # Compiled anew, the sums that are shown may be rounded either way; the weights may not.
    for term, values in histories[0].items():
        np.testing.assert_allclose(histories[1][term], values, rtol=1e-6)
    for own, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    assert not np.array_equal(encode(loaded, X), codes), "it did train"


def test_the_halves_are_models_that_can_be_saved_themselves(tmp_path: Path) -> None:
    model = build("vae", network_of(), weights="flipout")
    codes = encode(model, X, num_samples=2)
    model.get_layer("decoder").save(tmp_path / "decoder.keras")
    loaded = tf_keras.models.load_model(tmp_path / "decoder.keras")
    pixels = predict(loaded, codes, num_samples=5, seed=3).mean
    np.testing.assert_array_equal(pixels.reshape(X.shape), decode(model, codes, num_samples=5, seed=3))
    assert not CODE.search(_config(tmp_path / "decoder.keras"))


def test_the_check_finds_the_code_in_the_lectures_layers() -> None:
    """The control: TFP's own layers store their functions."""
    theirs: Any = tfp.layers.IndependentBernoulli((3, 2))
    ours = build("ae", network_of()).get_layer("decoder").get_layer("pixels")
    assert [bool(CODE.search(str(layer.get_config()))) for layer in (theirs, ours)] == [True, False]
