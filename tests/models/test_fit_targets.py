"""Targets of every likelihood in training: those without a density raise errors, the others can be fitted and saved."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy.special import logsumexp

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.prediction.audit import audit_elbo
from variational_bnn.prediction.predict import predict, sample_functions

N = 20
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
DIGITS, PIXELS = RNG.permutation(N) % 10, RNG.integers(256, size=(N, 2, 3))
LIKELIHOODS: dict[str, tuple[Any, np.ndarray]] = {
    "mixture": (MixtureNormal(num_components=3), RNG.normal(size=(N, 2))),
    "bernoulli": (Bernoulli(), RNG.choice([0.0, 0.4, 1.0], size=(N, 2))),
    "categorical": (Categorical(num_classes=10), DIGITS[:, None]),
}


def _compiled(model: Any, **settings: Any) -> Any:
    model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood, **settings)
    return model


def _model(name: str, kind: str = "output", **settings: Any) -> Any:
    """A model of scattered variables, and stay there in training."""
    likelihood, y = LIKELIHOODS[name]
    network = Network(input_shape=(3,), output_size=y.shape[1], hidden_units=(4,), likelihood=likelihood)
    model = by_hand.build(kind, network, N)
    by_hand.widen(model)
    return _compiled(model, **settings)


def _images(likelihood: Likelihood) -> Any:
    """A model of images of two rows of three pixels."""
    x = tf_keras.Input((3,))
    parameters = tf_keras.layers.Dense(likelihood.num_parameters(6), name="parameters")(x)
    model = VariationalModel(x, LikelihoodHead(likelihood, 6, event_shape=(2, 3), name="y")(parameters))
    by_hand.widen(model)
    return _compiled(model)


MISSING = np.where(np.arange(N) == 4, np.nan, DIGITS)
WITHOUT_DENSITY = {
    "pixels": (PIXELS, r"y must be in \[0, 1\] for Bernoulli, got \d+$"),
    "pixels as floats": (PIXELS.astype(np.float32), r"y must be in \[0, 1\] for Bernoulli, got \d+\.0$"),
    "negative pixels": (PIXELS / 255 - 0.5, r"y must be in \[0, 1\] for Bernoulli, got -0\.\d+$"),
    "missing pixels": (np.where(PIXELS > 200, np.nan, PIXELS / 255), r"y must be in \[0, 1\] for Bernoulli, got nan$"),
    "label 10": (DIGITS + 1, "y must be whole numbers from 0 to 9 for Categorical, got 10$"),
    "label 10 in a column": (DIGITS[:, None] + 1, "y must be whole numbers from 0 to 9 for Categorical, got 10$"),
    "label -1": (DIGITS - 1.0, r"y must be whole numbers from 0 to 9 for Categorical, got -1\.0$"),
    "fraction": (DIGITS + 0.5, r"y must be whole numbers from 0 to 9 for Categorical, got \d\.5$"),
    "missing label": (MISSING, "y must be whole numbers from 0 to 9 for Categorical, got nan$"),
    "infinite label": (np.where(DIGITS, np.inf, 0), "y must be whole numbers from 0 to 9 for Categorical, got inf$"),
}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """Of pixels and of labels, which are not to be trained."""
    return {"Bernoulli": _images(Bernoulli()), "Categorical": _model("categorical")}


@pytest.mark.parametrize("case", WITHOUT_DENSITY)
def test_targets_without_a_density_raise_an_error_of_one_line(models: dict[str, Any], case: str) -> None:
    """Before anything is trained, for every way to pass them."""
    y, message = WITHOUT_DENSITY[case]
    model = models["Bernoulli" if "Bernoulli" in message else "Categorical"]
    before = model.get_weights()
    for call in (
        lambda: model.fit(X, y, verbose=0),
        lambda: model.fit(x=X, y=y, epochs=2, verbose=0),
        lambda: model.fit(X, y, validation_split=0.2, verbose=0),
        lambda: model.evaluate(X, y, verbose=0),
        lambda: model.evaluate(x=X, y=y, verbose=0),
    ):
        with pytest.raises(ValueError, match="^" + message) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert model.optimizer.iterations.numpy() == 0


def test_validation_targets_without_a_density_raise_an_error() -> None:
    with pytest.raises(ValueError, match=r"^y must be whole numbers from 0 to 9 for Categorical, got 10$"):
        _model("categorical").fit(X, DIGITS, validation_data=(X, DIGITS + 1), verbose=0)


def test_targets_with_a_density_can_be_trained_on() -> None:
    """0, 1 and all between; the first class and the last; truth values; any number under a likelihood of numbers."""
    pixels, digits = _images(Bernoulli()), _model("categorical")
    for y in (PIXELS / 255, PIXELS > 99, (PIXELS > 99).astype(np.uint8)):
        assert np.isfinite(pixels.fit(X, y, verbose=0).history["loss"]).all()
    for y in (DIGITS, DIGITS.astype(np.uint8), DIGITS > 5):
        assert np.isfinite(digits.evaluate(X, y, verbose=0)).all()
    for likelihood in (Normal(), MixtureNormal(num_components=2)):
        assert np.isfinite(_images(likelihood).evaluate(X, PIXELS.astype(np.float32), verbose=0)).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int32", "uint8"])
def test_tensors_of_any_numbers_are_taken(dtype: str) -> None:
    model, y = _model("bernoulli"), tf.ones([N, 2])
    assert np.isfinite(model.evaluate(tf.cast(X, dtype), tf.cast(y, dtype), verbose=0)).all()
    assert np.isfinite(
        model.fit(tf.cast(X, dtype), y, validation_data=(tf.cast(X, dtype), y), verbose=0).history["loss"]
    )


def test_batches_of_a_dataset_are_not_checked() -> None:
    """Only arrays are looked through: pixels up to 255 then have what the formula gives, linear in the target."""
    model = _images(Bernoulli())
    data = tf.data.Dataset.from_tensor_slices((X, PIXELS.astype(np.float32))).batch(N)
    kernel, bias = by_hand.variables(model, "parameters").values()
    logits = X @ kernel + bias
    expected = (by_hand.softplus(logits) - PIXELS.reshape(N, 6) * logits).sum(-1).mean()
    assert model.fit(data, verbose=0).history["nll"] == pytest.approx([expected], rel=1e-4)
    assert model.evaluate(data, verbose=0)[0] == pytest.approx(expected, rel=1e-4)


def test_one_hot_vectors_raise_an_error_about_their_shape() -> None:
    model = _model("categorical")
    for call, rows in ((model.fit, "20"), (model.evaluate, "N")):  # Blocks know how many rows a batch has.
        with pytest.raises(ValueError, match=rf"targets must have shape \[{rows}, 1\], got \[{rows}, 10\]"):
            call(X, np.eye(10)[DIGITS], verbose=0)


def test_labels_of_any_number_and_shape_train_alike() -> None:
    """One after the other too, which makes Keras forget the rank."""
    nll, _ = by_hand.nll_and_kl("output", model := _model("categorical"), *_by_hand("categorical"))
    for y in (
        DIGITS,
        DIGITS[:, None],
        DIGITS.astype(np.float32),
        DIGITS[:, None].astype(np.float64),
        DIGITS.astype("u1"),
    ):
        (fitted,) = model.fit(X, y, batch_size=7, verbose=0).history["nll"]
        assert fitted == pytest.approx(nll.mean(), rel=1e-5)
        assert model.evaluate(X, y, verbose=0)[1] == pytest.approx(nll.mean(), rel=1e-5)
    assert model.evaluate(X, np.roll(DIGITS, 1), verbose=0)[1] != pytest.approx(nll.mean(), rel=1e-2)


def _by_hand(name: str) -> tuple[Network, np.ndarray, np.ndarray, int]:
    """The last arguments of `by_hand.nll_and_kl`."""
    likelihood, y = LIKELIHOODS[name]
    network = Network(input_shape=(3,), output_size=y.shape[1], hidden_units=(4,), likelihood=likelihood)
    return network, X, y, N


def test_classes_may_weigh_differently() -> None:
    """With weights that are not whole."""
    nll, _ = by_hand.nll_and_kl("output", model := _model("categorical"), *_by_hand("categorical"))
    weights = {label: 0.3 + 0.17 * label for label in range(10)}
    logs = model.fit(X, DIGITS, class_weight=weights, batch_size=7, verbose=0).history
    expected = (np.array([weights[label] for label in DIGITS]) * nll).mean()
    assert logs["nll"] == pytest.approx([expected], rel=1e-5)
    assert logs["loss"] == pytest.approx([expected + logs["prior_penalty"][0]], rel=1e-5)


@pytest.mark.parametrize("column", [True, False])
def test_keras_knows_what_accuracy_is(column: bool) -> None:
    """The share of rows whose most probable class is the label."""
    model = _model("categorical", metrics=["accuracy"])
    guess = predict(model, X).probabilities.argmax(-1)
    y = np.where(np.arange(N) % 4 > 0, guess, (guess + 1) % 10)
    y = y[:, None] if column else y
    assert model.evaluate(X, y, verbose=0, return_dict=True)["accuracy"] == pytest.approx(0.75)
    assert model.fit(X, y, batch_size=7, verbose=0).history["accuracy"] == pytest.approx([0.75])


def test_images_have_the_density_of_their_pixels_in_training_and_prediction() -> None:
    model, y = _images(Bernoulli()), PIXELS / 255
    kernel, bias = by_hand.variables(model, "parameters").values()
    p = 1 / (1 + np.exp(-(X @ kernel + bias)))
    flat = y.reshape(N, 6)
    expected = (flat * np.log(p) + (1 - flat) * np.log(1 - p)).sum(-1)
    assert model.evaluate(X, y, verbose=0)[0] == pytest.approx(-expected.mean(), rel=1e-5)
    assert model.predict(X, verbose=0).shape == y.shape
    predictive = predict(model, X)
    np.testing.assert_allclose(predictive.probabilities, p, rtol=1e-5)
    assert predictive.sample(seed=0).shape == (200, N, 6)
    for targets in (y, flat, y[..., None]):
        np.testing.assert_allclose(predictive.log_prob(targets), expected, rtol=1e-5)
    assert not np.allclose(predictive.log_prob(y.transpose(0, 2, 1)), expected, rtol=1e-2)
    with pytest.raises(ValueError, match=r"y must have shape \[20, 6\], got \[20, 3\]"):
        predictive.log_prob(y[:, :1])


def test_images_of_numbers_are_predicted_flat() -> None:
    """Of a mixture too, whose last axis of one channel TFP loses sight of."""
    x, likelihood = tf_keras.Input((3,)), MixtureNormal(num_components=2)
    parameters = tf_keras.layers.Dense(likelihood.num_parameters(6))(x)
    outputs = (LikelihoodHead(likelihood, 6, event_shape=shape)(parameters) for shape in ((2, 3, 1), None))
    images, rows = (predict(VariationalModel(x, y), X) for y in outputs)
    np.testing.assert_allclose(images.mean, rows.mean, rtol=1e-6)
    np.testing.assert_allclose(images.aleatoric_variance, rows.aleatoric_variance, rtol=1e-5)
    y = RNG.normal(size=(N, 2, 3, 1))
    np.testing.assert_allclose(images.log_prob(y), rows.log_prob(y), rtol=1e-5)


@pytest.mark.parametrize("name", [*LIKELIHOODS, "images"])
def test_a_loaded_model_predicts_the_same(name: str, tmp_path: Path) -> None:
    """In safe mode, from a file of plain values."""
    model, y = (
        (_images(Bernoulli()), PIXELS / 255) if name == "images" else (_model(name, "flipout"), LIKELIHOODS[name][1])
    )
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        text = archive.read("config.json").decode()
    assert not any(word in text for word in ("__lambda__", "bytecode", "marshal", "pickle"))
    assert json.dumps(model.get_layer("y").likelihood.to_dict()) in text
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    assert loaded(X).event_shape == model(X).event_shape == list(y.shape[1:])
    before, after = (predict(m, X, num_samples=20) for m in (model, loaded))
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.variance, before.variance)
    np.testing.assert_array_equal(after.log_prob(y), before.log_prob(y))
    np.testing.assert_array_equal(after.sample(seed=1), before.sample(seed=1))
    assert (after.entropy is None) == (name == "mixture")
    assert after.entropy is None or np.array_equal(after.mutual_information, before.mutual_information)
    loaded.set_weights([0.9 * values for values in loaded.get_weights()])
    assert not np.array_equal(predict(loaded, X, num_samples=20).log_prob(y), before.log_prob(y))


@pytest.mark.parametrize("kind", ["output", "flipout", "amortized"])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_audit_finds_nothing_wrong(kind: str, name: str) -> None:
    """And the nll of the draws, as NumPy has it where it is a function of their means."""
    model, (network, _, y, _) = _model(name, kind), _by_hand(name)
    audit = audit_elbo(model, X, y, num_samples=10)
    nll, kl = by_hand.nll_and_kl(kind, model, network, X, y, N)
    assert audit.kl == pytest.approx(kl, rel=1e-5)
    assert audit.warnings == ()
    if kind == "output":
        assert audit.nll == pytest.approx(nll.mean(), rel=1e-5)
    elif name != "mixture":
        p = sample_functions(model, X, num_samples=10).astype(np.float64)
        if name == "categorical":
            log_probabilities = np.log(np.take_along_axis(p, y[None], axis=-1)[..., 0])
        else:
            log_probabilities = (y * np.log(p) + (1 - y) * np.log(1 - p)).sum(-1)
        assert audit.nll == pytest.approx(-log_probabilities.mean(), rel=1e-4)
        log_of_mean = logsumexp(log_probabilities, axis=0) - np.log(10)
        assert -log_of_mean.mean() < audit.nll - 1e-3, "the log of the mean is another number"


@pytest.mark.parametrize("case", [name for name in WITHOUT_DENSITY if "missing" not in name and "infinite" not in name])
def test_the_audit_raises_an_error_for_targets_without_a_density(models: dict[str, Any], case: str) -> None:
    y, message = WITHOUT_DENSITY[case]
    with pytest.raises(ValueError, match=message.split(", got")[0]) as caught:
        audit_elbo(models["Bernoulli" if "Bernoulli" in message else "Categorical"], X, y)
    assert "\n" not in str(caught.value)
