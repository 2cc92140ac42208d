"""How many random numbers make one function: counted from the layers, and seen in the rank of the function samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import by_hand
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.shared_units import SharedUnits
from variational_bnn.prediction.predict import sample_functions
from variational_bnn.prediction.random_variables import num_random_variables

NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(6, 5), likelihood=Normal())
WEIGHTS = (3 + 1) * 6 + (6 + 1) * 5 + (5 + 1) * 4
X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
random_biases = {"bias_posterior_fn": tfp.layers.default_mean_field_normal_fn()}
plain_weights = {"kernel_posterior_fn": lambda dtype, shape, *_: tfp.distributions.Normal(tf.zeros(shape, dtype), 1.0)}
point_weights = {"kernel_posterior_fn": tfp.layers.default_mean_field_normal_fn(is_singular=True)}


def _sequential(*layers: Any) -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input((3,)), *layers])


class _Subclassed(tf_keras.Model):
    """A dense layer and a mask, each called twice, as somebody may write it."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.dropout = tfp.layers.DenseFlipout(3), tf_keras.layers.Dropout(0.5)
        self.unused = tf_keras.layers.Dropout(0.5)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.dropout(self.dense(self.dropout(self.dense(x))))


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("output", 0),
        *((kind, WEIGHTS) for kind in by_hand.ESTIMATORS),
        ("shared", 6 + 5),
        ("amortized", 2),
        ("conditional", 2),
    ],
)
def test_the_kinds_of_variation_draw_weights_and_biases_or_units_or_latents_or_nothing(kind: str, count: int) -> None:
    assert num_random_variables(by_hand.build(kind, NETWORK, 12)) == count


@pytest.mark.parametrize(("kind", "count"), [("flipout", 151), ("shared", 50), ("amortized", 2), ("conditional", 2)])
def test_a_network_of_fifty_units_needs_one_number_a_weight_or_a_unit_or_two_a_row(kind: str, count: int) -> None:
    """A training draw of "conditional" has ten times as many latents; a function sample has one."""
    network = Network(input_shape=(1,), output_size=1, hidden_units=(50,), likelihood=Normal(scale=1.0))
    assert num_random_variables(by_hand.build(kind, network, 12)) == count


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        ([tfp.layers.DenseFlipout(4)], 3 * 4),
        ([tfp.layers.DenseReparameterization(4, **random_biases)], 3 * 4 + 4),
        ([tfp.layers.DenseReparameterization(4, **random_biases, **point_weights)], 4),
        ([tfp.layers.DenseReparameterization(4, kernel_divergence_fn=None, **plain_weights)], 3 * 4),
        ([tfp.layers.DenseLocalReparameterization(4, bias_posterior_fn=None), tfp.layers.DenseFlipout(1)], 3 * 4 + 4),
        ([tf_keras.layers.Dense(7), tf_keras.layers.Dropout(0.2), tf_keras.layers.Dense(1)], 7),
        ([tf_keras.layers.Dropout(0.0)], 0),
        ([tfp.layers.DenseFlipout(4), NormalUnits()], 3 * 4 + 2),
        ([SharedUnits(12), tfp.layers.DenseFlipout(6), ConditionalUnits()], 3 + 3 * 6 + 3),
        ([tf_keras.layers.RepeatVector(5), tf_keras.layers.Dropout(0.2)], 5 * 3),
        ([tf_keras.layers.RepeatVector(5), tf_keras.layers.SpatialDropout1D(0.2)], 3),
        ([tf_keras.layers.RepeatVector(5), tf_keras.layers.Dropout(0.2, noise_shape=(None, 5, 1))], 5),
        ([tf_keras.layers.GaussianNoise(1.0), tf_keras.layers.Dense(1)], 0),
        ([tf_keras.layers.Lambda(lambda t: t + tf.random.normal([])), tf_keras.layers.Dropout(0.2)], 3),
    ],
)
def test_layers_of_tfp_and_keras_are_counted(layers: list[Any], count: int) -> None:
    model = _sequential(*layers)
    weights = model.get_weights()
    assert num_random_variables(model) == count
    assert num_random_variables(_sequential(model)) == count, "in a nested model too"
    assert all("call" not in vars(layer) for layer in model.submodules)
    assert all(np.array_equal(one, two) for one, two in zip(weights, model.get_weights(), strict=True))


def test_a_layer_draws_once_however_often_it_is_called() -> None:
    model = _Subclassed()
    model(X)
    assert num_random_variables(model) == 3 * 3 + 3


@pytest.mark.parametrize(
    "model",
    [
        lambda: _sequential(tfp.layers.DenseFlipout(2)),
        lambda: _sequential(tfp.layers.DenseFlipout(2, **random_biases)),
        lambda: _sequential(tf_keras.layers.Dropout(0.5), tf_keras.layers.Dense(1)),
        lambda: by_hand.build(
            "flipout", Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=1.0)), 20
        ),
    ],
)
def test_the_function_samples_of_a_linear_model_span_as_many_dimensions(model: Callable[[], tf_keras.Model]) -> None:
    built = model()
    functions = sample_functions(built, X, num_samples=50).reshape(50, -1).astype(np.float64)
    spanned = np.linalg.matrix_rank(functions - functions.mean(axis=0), tol=1e-4)
    assert spanned == num_random_variables(built)


def test_a_model_whose_numbers_cannot_be_counted_raises() -> None:
    with pytest.raises(ValueError, match="the model must have inputs of known shape: call it once"):
        num_random_variables(_Subclassed())
    masks = tf_keras.Sequential([tf_keras.Input((None, 3)), tf_keras.layers.Dropout(0.5, name="masks")])
    with pytest.raises(ValueError, match=r"masks must have inputs of known shape, got \(None, None, 3\)"):
        num_random_variables(masks)
    with pytest.raises(TypeError, match="a Keras 3 model"):
        num_random_variables(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
