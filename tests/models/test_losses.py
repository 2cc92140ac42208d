"""The loss and its annealing, by themselves."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy import stats
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import KLAnnealing, negative_log_likelihood, variational_layers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 2)).astype(np.float32), RNG.normal(size=(12, 2)).astype(np.float32)


def _density(outputs: int) -> tfd.Distribution:
    return tfd.Independent(tfd.Normal(tf.constant(X[:, :outputs]), 0.5), 1)


def test_the_loss_is_minus_the_log_density_of_each_row() -> None:
    expected = -stats.norm(X, 0.5).logpdf(Y).sum(-1)
    np.testing.assert_allclose(negative_log_likelihood(Y, _density(2)), expected, rtol=1e-5)


def test_targets_of_one_output_may_be_a_vector_or_whole_numbers() -> None:
    column = negative_log_likelihood(Y[:, :1], _density(1))
    np.testing.assert_array_equal(negative_log_likelihood(Y[:, 0], _density(1)), column)
    assert column.shape == (12,), "a vector against a column would make a table"
    whole = np.arange(12)
    np.testing.assert_array_equal(
        negative_log_likelihood(whole, _density(1)), negative_log_likelihood(whole.astype(np.float32), _density(1))
    )


def test_targets_between_0_and_1_are_not_cut_by_a_distribution_of_integers() -> None:
    """-log density of 0.5 where the logit is 2: log(1 + e^2) - 0.5 * 2."""
    density = tfd.Independent(tfd.Bernoulli(logits=[[2.0]]), 1)
    assert density.dtype.is_integer
    assert negative_log_likelihood(np.array([[0.5]]), density).numpy() == pytest.approx(np.log1p(np.exp(2)) - 1)


@pytest.mark.parametrize(
    ("targets", "outputs", "message"),
    [
        (Y, 1, r"targets must have shape \[12, 1\], got \[12, 2\]"),
        (Y[:, 0], 2, r"targets must have shape \[12, 2\], got \[12\]"),
        (Y[:5], 2, r"targets must have shape \[12, 2\], got \[5, 2\]"),
        (Y[..., None], 2, r"targets must have shape \[12, 2\], got \[12, 2, 1\]"),
    ],
)
def test_targets_of_another_size_raise_an_error(targets: np.ndarray, outputs: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        negative_log_likelihood(targets, _density(outputs))


def test_fit_raises_the_same_error_for_targets_of_another_size() -> None:
    model = _model("flipout")
    with pytest.raises(ValueError, match=r"targets must have shape \[12, 2\], got \[12, 1\]"):
        model.fit(X, Y[:, :1], verbose=0)


def test_a_model_without_a_distribution_raises_an_error() -> None:
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile("sgd", loss=negative_log_likelihood)
    with pytest.raises(
        TypeError, match="the model's output must be a tfp distribution for negative_log_likelihood, got"
    ):
        model.fit(X, Y[:, :1], verbose=0)


def _model(kind: str) -> Any:
    network = Network(input_shape=(2,), output_size=2, hidden_units=(3,), likelihood=Normal())
    model = by_hand.build(kind, network, 12)
    model.compile("sgd", loss=negative_log_likelihood)
    return model


def test_the_kl_can_be_read_after_fit_where_the_models_own_losses_cannot() -> None:
    """Fact 11: `model.losses` of a functional model are symbolic once it was compiled into a function."""
    model = _model("flipout")
    kl = model.fit(X, Y, verbose=0).history["kl"][0]
    with pytest.raises(TypeError):
        float(model.losses[0])
    total = sum(float(layer.weights_kl()) for layer in variational_layers(model)) / 12
    assert 0 < total < kl * 1.5


@pytest.mark.parametrize("kind", ["amortized", "shared", "flipout"])
def test_annealing_runs_from_start_to_end_and_stays(kind: str) -> None:
    model = _model(kind)
    callback = KLAnnealing(4, start=0.5, end=2.5)
    callback.set_model(model)
    weights = []
    for epoch in range(6):
        callback.on_epoch_begin(epoch)
        weights.append([float(layer.kl_weight.numpy()) for layer in variational_layers(model)])
    expected = np.array([[0.5, 1.0, 1.5, 2.0, 2.5, 2.5]]).T
    np.testing.assert_allclose(weights, np.broadcast_to(expected, (6, {"flipout": 2}.get(kind, 1))))


def test_without_annealing_the_weight_of_the_kl_is_1() -> None:
    assert [float(layer.kl_weight.numpy()) for layer in variational_layers(_model("flipout"))] == [1.0, 1.0]


@pytest.mark.parametrize("kind", by_hand.WITHOUT_KL)
def test_annealing_needs_a_model_with_a_kl(kind: str) -> None:
    message = "^the model of KLAnnealing must have a layer of variational_bnn with a KL, got none$"
    with pytest.raises(ValueError, match=message):
        _model(kind).fit(X, Y, verbose=0, callbacks=[KLAnnealing(2)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "epochs must be a whole number >= 1, got 0"),
        ((2, -0.5), r"KL weights must be >= 0, got start=-0\.5"),
        ((2, 0.0, -1.0), r"got start=0\.0, end=-1\.0"),
    ],
)
def test_annealing_out_of_range_raises_an_error(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KLAnnealing(*arguments)  # type: ignore[arg-type]
