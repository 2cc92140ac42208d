"""The random numbers of layers: their law, and that no two draws have any in common, one by one or many calls ahead."""

from __future__ import annotations

import itertools
import math
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from variational_bnn.models.random_numbers import DrawnAhead, RandomNumbers

SEED, CALLS = 2**53 + 11, 5
SHAPES = ((), (3,), (4, 5), (1001,))
COUNT = 2**20
ERROR = COUNT**-0.5


def _draws(random: RandomNumbers) -> list[tf.Tensor]:
    """Normal numbers and signs of one call in turn, of each shape."""
    return [draw(shape, tf.float32) for shape in SHAPES for draw in (random.normal, random.signs)]


def _ahead(first_call: int, *, jit_compile: bool) -> list[list[Any]]:
    """The draws of successive calls of two layers, drawn before a loop over the calls."""
    first = [RandomNumbers(seed, first_call) for seed in (SEED, 3)]

    @tf.function(autograph=False)
    def program() -> Any:
        outer = tf.compat.v1.get_default_graph()

        @tf.function(autograph=False, jit_compile=jit_compile)
        def loop() -> Any:
            graphs = outer, tf.compat.v1.get_default_graph()

            def step(number: tf.Tensor, *arrays: tf.Tensor) -> Any:
                draws = [_draws(DrawnAhead(first, CALLS, graphs, number, member)) for member in (0, 1)]
                own = [tf.concat([tf.reshape(draw, [-1]) for draw in of_layer], 0) for of_layer in draws]
                return number + 1, *(a.write(number, o) for a, o in zip(arrays, own, strict=True))

            arrays = [tf.TensorArray(tf.float32, CALLS) for _ in first]
            return [a.stack() for a in tf.while_loop(lambda n, *_: n < CALLS, step, [0, *arrays])[1:]]

        return loop()

    return [of_layer.numpy() for of_layer in program()]


@pytest.mark.parametrize("jit_compile", [True, False])
def test_calls_drawn_ahead_have_the_numbers_of_single_calls(jit_compile: bool) -> None:
    for seed, found in zip((SEED, 3), _ahead(9, jit_compile=jit_compile), strict=True):
        for call, values in enumerate(found, 9):
            alone = np.concatenate([np.ravel(draw) for draw in _draws(RandomNumbers(seed, call))])
            np.testing.assert_allclose(values, alone, rtol=1e-5, atol=1e-6)
            signs = np.abs(alone) == 1
            np.testing.assert_array_equal(values[signs], alone[signs])


def test_they_are_quantiles_of_the_words_of_philox() -> None:
    """So a program of any version, XLA's among them, has the same."""
    random = RandomNumbers(SEED, tf.constant(7))
    for draw, shape in enumerate(SHAPES, 1):
        found = random.normal(shape, tf.float64)
        np.testing.assert_allclose(found, by_hand.normals(SEED, 7, draw, shape), rtol=1e-12, atol=1e-14)


@pytest.fixture(scope="module")
def normal() -> by_hand.Array:
    return RandomNumbers(SEED, 1).normal((COUNT,), tf.float32).numpy().astype(np.float64)


def test_normal_numbers_have_the_moments_and_the_distribution_of_a_normal(normal: by_hand.Array) -> None:
    for power in range(1, 7):
        moment, of_square = (stats.norm.moment(order) for order in (power, 2 * power))
        assert abs((normal**power).mean() - moment) < 4.5 * ERROR * math.sqrt(of_square - moment**2)
    # Kolmogorov's limit: 2 exp(-2 t^2) is 1e-5 at t = 2.47.
    assert stats.kstest(normal, "norm").statistic < 2.47 * ERROR
    assert stats.kstest(normal * 1.01, "norm").statistic > 2.47 * ERROR, "the control"
    assert 4.5 < np.abs(normal).max() < 6, "the tails are there"


def test_signs_are_balanced_and_independent_bit_by_bit() -> None:
    signs = RandomNumbers(SEED, 1).signs((COUNT,), tf.float32).numpy()
    assert set(np.unique(signs)) == {-1.0, 1.0}
    bits = signs.reshape(-1, 32)
    error = len(bits) ** -0.5
    assert np.abs(bits.mean(0)).max() < 5 * error
    assert np.abs(bits.T @ bits / len(bits) - np.eye(32)).max() < 5.5 * error
    assert abs((bits[1:] * bits[:-1]).mean()) < 4.5 * ERROR


def test_neighbours_are_independent(normal: by_hand.Array) -> None:
    """Neither they, nor their squares, go together."""
    for shift in (1, 2, 3, 4):
        first, second = normal[:-shift], normal[shift:]
        error = len(first) ** -0.5
        assert abs((first * second).mean()) < 4.5 * error
        assert abs(((first**2 - 1) * (second**2 - 1)).mean() / 2) < 4.5 * error


def test_no_two_draws_have_a_number_in_common() -> None:
    """Of other seeds, calls, replicas, shapes and places in a call, normal numbers or signs."""
    places = itertools.product((0, 1, 2**32, -1), (1, 2, 3), (0, 1))
    streams = dict[Any, by_hand.Array]()
    for seed, call, replica in places:
        random = RandomNumbers(seed, call, replica)
        for draw, size in enumerate((96, 96, 100, 48, 192)):
            streams[seed, call, replica, draw, size] = random.normal((size,), tf.float32).numpy()
    words = np.concatenate([np.abs(values) for values in streams.values()])
    # Of 12,768 numbers with 2^22 possible values, 19.4 agree by chance with another.
    assert len(words) - len(np.unique(words)) < 19.4 + 4 * 19.4**0.5
    table = np.stack([values[:48] for values in streams.values()])
    correlations = np.corrcoef(table)[np.triu_indices(len(table), 1)]
    assert np.abs(correlations).max() < 0.75, "of 7,140 pairs of 48 numbers"
    assert abs(correlations.mean()) < 4.5 * len(correlations) ** -0.5 * 48**-0.5


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_any_precision_has_the_same_numbers_rounded(dtype: tf.DType) -> None:
    found, expected = (RandomNumbers(SEED, 4).normal((50,), to) for to in (dtype, tf.float64))
    assert found.dtype == dtype
    np.testing.assert_allclose(tf.cast(found, tf.float64), expected, rtol=1e-2 if dtype.size == 2 else 1e-5, atol=5e-6)
    assert RandomNumbers(SEED, 4).signs((50,), dtype).dtype == dtype


def test_sizes_that_are_known_only_when_it_runs_have_the_same_numbers() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def draw(x: tf.Tensor) -> Any:
        random = RandomNumbers(SEED, 6)
        return random.normal([tf.shape(x)[0], 3], tf.float32), random.signs([tf.shape(x)[0], 3], tf.float32)

    for rows in (1, 7):
        random = RandomNumbers(SEED, 6)
        normal, signs = draw(tf.zeros([rows, 3]))
        np.testing.assert_allclose(normal, random.normal([rows, 3], tf.float32), rtol=1e-6)
        np.testing.assert_array_equal(signs, random.signs([rows, 3], tf.float32))
