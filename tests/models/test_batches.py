"""Endless batches: every row once a round, in an order that the seed alone decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from variational_bnn.models.batches import shuffled_batches

X = np.arange(23, dtype=np.float32)


def _taken(count: int, seed: int, batch_size: int = 5) -> npt.NDArray[np.float32]:
    batches = shuffled_batches((X, -X), batch_size, seed).take(count)
    pairs = [(x.numpy(), y.numpy()) for x, y in batches]
    for x, y in pairs:
        assert len(x) == batch_size
        np.testing.assert_array_equal(y, -x)
    return np.concatenate([x for x, _ in pairs])


def test_each_round_has_every_row_once_and_an_order_of_its_own() -> None:
    rounds = _taken(23, seed=0).reshape(5, 23)
    np.testing.assert_array_equal(np.sort(rounds, axis=1), np.tile(X, (5, 1)))
    assert len({tuple(order) for order in rounds}) == 5
    assert tuple(X) not in {tuple(order) for order in rounds}


def test_the_order_is_the_seeds_for_any_other_seed() -> None:
    first = _taken(6, seed=1)
    tf_keras.utils.set_random_seed(7)
    np.testing.assert_array_equal(_taken(6, seed=1), first)
    assert not np.array_equal(_taken(6, seed=2), first)


def test_rows_that_fit_into_a_batch_are_ever_the_same_one() -> None:
    for batch_size in (23, 100):
        for x, y in shuffled_batches((X, -X), batch_size, 0).take(3):
            np.testing.assert_array_equal(x, X)
            np.testing.assert_array_equal(y, -X)


def test_keras_knows_that_they_do_not_end() -> None:
    for batch_size in (5, 23):
        assert shuffled_batches((X,), batch_size, 0).cardinality() == tf.data.INFINITE_CARDINALITY
