"""An ordinary Keras model made variational: what is replaced, what stays, and that it works like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_probability as tfp
import tf_keras

import variational_bnn as vbnn

L = tf_keras.layers
CLASSES = vbnn.Categorical(num_classes=3)
X = np.random.default_rng(0).normal(size=(30, 8, 8, 1)).astype(np.float32)
Y = np.arange(30) % 3


@pytest.fixture(scope="module")
def lenet() -> Any:
    """A small network of images, with point weights, trained a little."""
    model = tf_keras.Sequential(
        [
            tf_keras.Input((8, 8, 1)),
            L.Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer="l2", name="first"),
            L.MaxPool2D(),
            L.BatchNormalization(name="normalised"),
            L.Conv2D(4, 3, use_bias=False, activation=tf_keras.layers.LeakyReLU(0.1), name="second"),
            L.Flatten(),
            L.Dense(5, activation="tanh", name="third"),
            L.Dense(3, activation="softmax", name="classes"),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_kept_weights_and_no_variance_give_the_ordinary_model(lenet: Any, estimator: str) -> None:
    before = lenet.get_weights()
    settings: Any = {"estimator": estimator, "likelihood": CLASSES, "keep_weights": True, "initial_scale": 1e-4}
    model = vbnn.to_variational(lenet, 30, **settings)
    probabilities = vbnn.predict(model, X, num_samples=5, seed=0).probabilities
    np.testing.assert_allclose(probabilities, lenet.predict(X, verbose=0), atol=2e-3)
    assert all(map(np.array_equal, before, lenet.get_weights()))
    names = ["first", "second", "third", "classes"]
    kinds = [type(model.get_layer(name)).__name__.lower() for name in names]
    assert kinds == [f"convolution2d{estimator}"] * 2 + [f"dense{estimator}"] * 2
    assert [layer.name for layer in model.layers[1:]] == [layer.name for layer in lenet.layers] + ["y"]


def test_without_kept_weights_the_others_stay_and_the_seed_decides(lenet: Any) -> None:
    models = [vbnn.to_variational(lenet, 30, seed=seed) for seed in (0, 0, 1)]
    for model in models:
        assert isinstance(model, tf_keras.Sequential)
        for mine, theirs in zip(
            model.get_layer("normalised").weights, lenet.get_layer("normalised").weights, strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    first, again, other = (model.get_layer("third").loc.numpy() for model in models)
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first[:-1], other[:-1]).any()
    scales = [model.get_layer("third").noise_seed for model in models]
    assert scales[0] == scales[1] != scales[2]
    assert models[0].get_layer("third").noise_seed != models[0].get_layer("classes").noise_seed


def test_it_trains_on_its_lower_bound_and_is_saved(lenet: Any, tmp_path: Path) -> None:
    model = vbnn.to_variational(lenet, 30, likelihood=CLASSES, prior_scale=2.0, seed=0)
    model.compile(tf_keras.optimizers.Adam(0.01), loss=vbnn.negative_log_likelihood)
    losses = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    audit = vbnn.audit_elbo(model, X, Y, num_samples=20)
    assert audit.warnings == ()
    layers = [model.get_layer(name) for name in ("first", "second", "third", "classes")]
    kl = sum(
        tfp.distributions.kl_divergence(q, p).numpy()
        for layer in layers
        for q, p in ((layer.kernel_posterior, layer.kernel_prior), (layer.bias_posterior, layer.bias_prior))
        if q is not None
    )
    np.testing.assert_allclose(audit.kl, kl / 30, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    functions = [vbnn.sample_functions(m, X, num_samples=4, seed=0) for m in (model, loaded)]
    np.testing.assert_array_equal(*functions)


def test_the_last_layer_alone_and_an_ordinary_loss(lenet: Any) -> None:
    model = vbnn.to_variational(lenet, 30, layers=["classes"], keep_weights=True, seed=0)
    assert [layer.name for layer in model.layers if hasattr(layer, "kernel_posterior")] == ["classes"]
    for name in ("first", "second", "third"):
        assert all(map(np.array_equal, model.get_layer(name).get_weights(), lenet.get_layer(name).get_weights()))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] > model.losses[0].numpy() > 0


def test_models_within_models_are_copied_and_take_part_in_a_comparison() -> None:
    def build(num_examples: int, seed: int) -> tf_keras.Model:
        tf_keras.utils.set_random_seed(seed)
        inputs = tf_keras.Input((1,))
        within = tf_keras.Sequential([tf_keras.Input((1,)), L.Dense(4, activation="relu"), L.Dense(4)])
        ordinary = tf_keras.Model(inputs, L.Dense(2)(L.Concatenate()([within(inputs), inputs])))
        model = vbnn.to_variational(ordinary, num_examples, likelihood=vbnn.Normal(), seed=seed)
        model.compile(tf_keras.optimizers.Adam(0.01), loss=vbnn.negative_log_likelihood)
        return model

    within = next(layer for layer in build(20, 0).layers if isinstance(layer, tf_keras.Sequential))
    assert [type(layer).__name__ for layer in within.layers] == ["DenseFlipout"] * 2
    mine = vbnn.UntrainedModel(build=build, epochs=2)
    comparison = vbnn.compare(vbnn.lecture(), methods={"mine": mine}, seeds=[0], num_samples=5, progress=False)
    assert set(comparison.results["status"]) == {"ok"}
    assert (comparison.results["epistemic_variance"] > 0).all()


def test_layers_of_one_name_are_all_replaced_and_those_in_wrappers_are_not() -> None:
    within = tf_keras.Sequential([tf_keras.Input((6,)), L.Dense(4, name="same")])
    layers = [L.TimeDistributed(L.Dense(6)), L.Flatten(), L.Dense(6), within, L.Dense(3, name="same")]
    model = vbnn.to_variational(tf_keras.Sequential([tf_keras.Input((5, 6)), *layers]), 40, layers=["same"])
    assert [type(layer).__name__ for layer in model.layers] == [
        "TimeDistributed",
        "Flatten",
        "Dense",
        "Sequential",
        "DenseFlipout",
    ]
    assert isinstance(model.layers[3].layers[0], vbnn.DenseFlipout)


def test_a_model_that_is_called_twice_within_another_is_an_error() -> None:
    inputs = tf_keras.Input((3,))
    within = tf_keras.Sequential([tf_keras.Input((3,)), L.Dense(3)], name="within")
    with pytest.raises(ValueError, match="within must be called once, since each call adds its KL to the loss"):
        vbnn.to_variational(tf_keras.Model(inputs, within(within(inputs))), 40)
    wrapped = tf_keras.Sequential([tf_keras.Input((5, 6)), L.TimeDistributed(L.Dense(4))])
    with pytest.raises(ValueError, match="the model must have a layer of Dense, Conv1D, Conv2D, Conv3D to be replaced"):
        vbnn.to_variational(wrapped, 40)
