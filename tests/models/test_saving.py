"""Whole models in safe mode: saved and loaded they predict the same and go on training bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import KLAnnealing, negative_log_likelihood
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.prediction.predict import predict, sample_functions

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 2)).astype(np.float32), RNG.normal(size=(20, 1)).astype(np.float32)
LIKELIHOODS = {"shared": Normal(scale="learned"), "conditional": Normal(scale="learned")}
LIKELIHOODS |= {"flipout": Normal(scale=0.3), "reparameterization": Normal(scale="learned")}


def _trained(kind: str) -> Any:
    likelihood = LIKELIHOODS.get(kind, Normal())
    network = Network(
        input_shape=(2,), output_size=1, hidden_units=(4,), likelihood=likelihood, scale_prior_by_fan_in=False
    )
    model = by_hand.build(kind, network, 20)
    model.compile(tf_keras.optimizers.Adam(0.02), loss=negative_log_likelihood)
    callbacks = [] if kind in by_hand.WITHOUT_KL else [KLAnnealing(4)]
    model.fit(X, Y, epochs=3, batch_size=7, verbose=0, callbacks=callbacks)
    return model


@pytest.fixture(scope="module", params=by_hand.KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, np.ndarray]:
    """A trained model, its file and its draws as it was saved."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model = _trained(request.param)
    model.save(path)
    return model, path, sample_functions(model, X, num_samples=20, seed=1)


def test_a_loaded_model_predicts_the_same_and_trains_on_bit_for_bit(saved: tuple[Any, Path, np.ndarray]) -> None:
    """Noise, optimiser and annealed KL weight go on where they were; predicting or saving does not move them."""
    model, path, functions = saved
    loaded = tf_keras.models.load_model(path)
    assert type(loaded) is VariationalModel
    calls = [[m(X).log_prob(Y).numpy() for _ in range(2)] for m in (model, loaded)]
    np.testing.assert_array_equal(*calls)
    assert np.array_equal(*calls[0]) == (model.name == "output_variation"), "each call has a draw of its own"
    np.testing.assert_array_equal(sample_functions(loaded, X, num_samples=20, seed=1), functions)
    np.testing.assert_array_equal(
        predict(loaded, X, num_samples=20).log_prob(Y), predict(model, X, num_samples=20).log_prob(Y)
    )
    histories = [m.fit(X, Y, epochs=3, batch_size=7, verbose=0, shuffle=False).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    for own, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    assert not np.array_equal(sample_functions(loaded, X, num_samples=20, seed=1), functions), "it did train"


def test_the_file_holds_plain_values_and_no_code(saved: tuple[Any, Path, np.ndarray]) -> None:
    with zipfile.ZipFile(saved[1]) as archive:
        text = archive.read("config.json").decode()
    assert not any(word in text for word in ("__lambda__", "bytecode", "marshal", "pickle"))
    assert json.loads(text)["registered_name"] == "variational_bnn>VariationalModel"


@pytest.mark.parametrize("bare", [True, False])
def test_the_check_finds_the_code_in_a_bare_tfp_layer(bare: bool) -> None:
    """Fact 10: TFP's configuration stores its functions as marshalled bytecode."""
    head = tfp.layers.DistributionLambda(lambda t: tfd.Normal(t, 1.0))
    ours = _trained("output").get_layer("y")
    config = str((head if bare else ours).get_config())
    assert ("\\x" in config or "lambda" in config) == bare


def test_layers_are_made_again_from_their_configuration(saved: tuple[Any, Path, np.ndarray]) -> None:
    for layer in saved[0].layers:
        again = type(layer).from_config(layer.get_config())
        assert json.dumps(again.get_config()) == json.dumps(layer.get_config())


def test_weights_alone_can_be_saved_and_loaded(saved: tuple[Any, Path, np.ndarray], tmp_path: Path) -> None:
    model = saved[0]
    model.save_weights(tmp_path / "model.weights.h5")
    other = tf_keras.models.clone_model(model)
    assert not np.array_equal(*(sample_functions(m, X, num_samples=5) for m in (model, other)))
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(*(sample_functions(m, X, num_samples=5) for m in (model, other)))


@pytest.mark.parametrize("saved", ["flipout"], indirect=True)
def test_half_a_file_raises_an_error(saved: tuple[Any, Path, np.ndarray], tmp_path: Path) -> None:
    whole = saved[1].read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((ValueError, OSError, zipfile.BadZipFile)):
        tf_keras.models.load_model(tmp_path / "half.keras")


@pytest.mark.parametrize("saved", ["local_reparameterization"], indirect=True)
def test_a_fresh_interpreter_that_imports_the_package_alone_can_load(
    saved: tuple[Any, Path, np.ndarray], tmp_path: Path
) -> None:
    _, path, functions = saved
    np.save(tmp_path / "x.npy", X)
    script = (
        "import sys, numpy as np, variational_bnn as vbnn, tf_keras\n"
        "model = tf_keras.models.load_model(sys.argv[1])\n"
        "np.save(sys.argv[3], vbnn.sample_functions(model, np.load(sys.argv[2]), num_samples=20, seed=1))\n"
    )
    arguments = [path, tmp_path / "x.npy", tmp_path / "y.npy"]
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=True, cwd=root, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), functions)


def test_an_uncompiled_model_can_be_saved_too(tmp_path: Path) -> None:
    network = Network(input_shape=(2,), output_size=1, likelihood=Normal())
    model = by_hand.build("flipout", network, 20)
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(*(sample_functions(m, X, num_samples=5) for m in (model, loaded)))


def test_a_loaded_model_takes_batches_of_unknown_number(tmp_path: Path) -> None:
    model = _trained("conditional")
    model.save(tmp_path / "model.keras")
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).filter(lambda x, y: True)
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    assert np.isfinite(loaded.fit(data, verbose=0).history["loss"]).all()


def test_keras_3_and_hdf5_say_what_to_do(saved: tuple[Any, Path, np.ndarray]) -> None:
    model, path, _ = saved
    with pytest.raises(ValueError, match=r"^the file is of tf_keras \(Keras 2\): load it by tf_keras\."):
        tf.keras.models.load_model(path)
    for name, settings in {"model.h5": {}, "model": {"save_format": "h5"}}.items():
        with pytest.raises(ValueError, match=r"cannot be saved in HDF5: save the whole model as \.keras, or"):
            model.save(path.with_name(name), **settings)
    assert [file.name for file in path.parent.iterdir()] == ["model.keras"]
    model.save_weights(path.with_name("weights.h5"))
    path.with_name("weights.h5").unlink()


def test_a_trained_model_is_saved_in_tensorflows_format_and_trains_on(tmp_path: Path) -> None:
    model = _trained("flipout")
    model.save(tmp_path / "model", save_format="tf")
    loaded = tf_keras.models.load_model(tmp_path / "model")
    draws = [sample_functions(m, X, num_samples=20, seed=1) for m in (model, loaded)]
    np.testing.assert_array_equal(*draws)
    assert np.isfinite(loaded.fit(X, Y, verbose=0).history["loss"]).all()
