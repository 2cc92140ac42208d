"""The convolutions with random weights: their distribution, their KL, and how they draw."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from variational_bnn.models import convolutions
from variational_bnn.models.builders.conversion import CONVOLUTIONS
from variational_bnn.prediction.predict import sample_functions
from variational_bnn.prediction.random_variables import num_random_variables

RANKS = {kind: rank for rank, kinds in enumerate(CONVOLUTIONS.values(), start=1) for kind in kinds.values()}
DRAWS = 400


def _images(rank: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, *[6] * rank, 2)).astype(np.float32)


def _layer(kind: Any, **settings: Any) -> Any:
    settings = {"strides": 2, "padding": "same", "initial_scale": 1.5, "prior_scale": 2.0, "seed": 1, **settings}
    return kind(3, 3, num_examples=10, **settings)


def _moments(layer: Any, x: np.ndarray, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each output: a convolution of the means, and one of the squares with the variances."""
    kernel, bias = layer.kernel_posterior.distribution, layer.bias_posterior.distribution
    mean = tf.nn.convolution(x, kernel.loc, **how) + bias.loc
    variance = tf.nn.convolution(x**2, kernel.scale**2, **how) + bias.scale**2
    return mean.numpy(), variance.numpy()


def _agree(draws: np.ndarray, mean: np.ndarray, variance: np.ndarray, k: float = 5.0) -> bool:
    near = np.abs(draws.mean(0) - mean) < k * np.sqrt(variance / len(draws))
    return bool(near.all() and (np.abs(draws.var(0) / variance - 1) < k * np.sqrt(2 / len(draws))).all())


@pytest.mark.parametrize("kind", RANKS)
def test_calls_and_function_samples_have_the_distribution_of_the_posterior(kind: Any) -> None:
    rank = RANKS[kind]
    x, layer = _images(rank), _layer(kind)
    model = tf_keras.Sequential([tf_keras.Input(x.shape[1:]), layer])
    layer.loc.assign(np.random.default_rng(1).normal(size=layer.loc.shape))
    mean, variance = _moments(layer, x, strides=2, padding="SAME")
    call = tf.function(lambda: layer(x))
    calls = np.array([call().numpy() for _ in range(DRAWS)])
    functions = sample_functions(model, x, num_samples=DRAWS, seed=0).reshape(calls.shape)
    for draws in (calls, functions):
        assert _agree(draws, mean, variance)
        assert not _agree(draws, mean, 1.5 * variance), "the check must be able to fail"
    in_parts = [sample_functions(model, part[None], num_samples=DRAWS, seed=0) for part in x]
    np.testing.assert_allclose(functions.reshape(DRAWS, 3, -1), np.concatenate(in_parts, 1), rtol=1e-4, atol=1e-5)
    assert num_random_variables(model) == 3**rank * 2 * 3 + 3


@pytest.mark.parametrize("kind", RANKS)
def test_each_is_one_of_tfps_and_its_kl_is_that_of_all_weights_and_biases(kind: Any) -> None:
    rank = RANKS[kind]
    layer = _layer(kind, kl_weight=0.5)
    layer(_images(rank))
    assert isinstance(layer, getattr(tfp.layers, kind.__name__))
    fan_in = 3**rank * 2
    assert layer.kernel_posterior.event_shape == (*[3] * rank, 2, 3)
    prior = np.array([[2 / np.sqrt(fan_in)]] * fan_in + [[2.0]])
    expected = by_hand.normal_kl(layer.loc.numpy(), by_hand.softplus(layer.raw_scale.numpy()) + 1e-5, prior).sum()
    np.testing.assert_allclose(layer.weights_kl(), expected, rtol=1e-5)
    np.testing.assert_allclose(layer.losses, [0.5 * expected / 10], rtol=1e-5)
    copy = kind.from_config(layer.get_config())
    copy(_images(rank))
    np.testing.assert_array_equal(copy.loc, layer.loc)


def test_flipout_turns_the_signs_of_each_image_apart() -> None:
    images = np.repeat(_images(2)[:1], 2, axis=0)
    noise = {}
    for kind in (convolutions.Convolution2DFlipout, convolutions.Convolution2DReparameterization):
        layer = _layer(kind, use_bias=False)
        call = tf.function(lambda layer=layer: layer(images))
        draws = np.array([call().numpy()[:, 1, 1, 0] for _ in range(DRAWS)])
        noise[kind.__name__] = np.corrcoef(draws.T)[0, 1]
    assert abs(noise["Convolution2DFlipout"]) < 5 / np.sqrt(DRAWS)
    assert noise["Convolution2DReparameterization"] > 0.999


def test_a_convolution_may_have_no_bias_and_a_dilated_window() -> None:
    layer = _layer(convolutions.Convolution2DFlipout, use_bias=False, strides=1, padding="valid", dilation_rate=2)
    x = _images(2)
    layer(x)
    assert layer.loc.shape == (18, 3)
    assert layer.bias_posterior is None
    layer.raw_scale.assign(tf.fill(layer.raw_scale.shape, -30.0))
    kernel = layer.loc.numpy().reshape(3, 3, 2, 3)
    expected = [
        sum(
            np.tensordot(image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], kernel[i, j], 1)
            for i in range(3)
            for j in range(3)
        )
        for image in x
    ]
    np.testing.assert_allclose(layer(x), expected, atol=1e-3)


def test_bare_convolutions_of_tfp_draw_functions() -> None:
    layers = [tfp.layers.Convolution2DFlipout(2, 3, activation="relu"), tf_keras.layers.Flatten()]
    model = tf_keras.Sequential([tf_keras.Input((6, 6, 2)), *layers, tfp.layers.DenseFlipout(1)])
    x = _images(2)
    functions = sample_functions(model, np.concatenate([x, x]), num_samples=20, seed=0)
    np.testing.assert_allclose(functions[:, :3], functions[:, 3:], rtol=1e-5)
    assert functions.std(0).min() > 0
