"""Endless batches: every row once a round, in an order that the seed alone decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.models.batches import ArrayBatches, Batches, DatasetBatches, ShuffledBatches

X = np.arange(23, dtype=np.float32)


def _batches(batches: Batches, count: int, *, steps: int, size: int) -> list[npt.NDArray[np.float32]]:
    """The first `count` batches, which come in blocks of as many as `size` in epochs of as many as `steps`."""
    found, shapes = list[npt.NDArray[np.float32]](), set()
    for block in batches.blocks(steps, size):
        (x, y), of_block = block.batches, block.count
        np.testing.assert_array_equal(y[:of_block], -x[:of_block])
        assert len(found) % steps + block.steps <= steps, "no block spans two epochs"
        assert x.shape[1] == block.rows
        shapes.add((x.shape, block.last is not None and block.last[0].shape))
        found += list(x[:of_block].numpy())
        if block.num_last:
            x, y = block.last
            np.testing.assert_array_equal(y, -x)
            found += list(x.numpy())
        if len(found) >= count:
            break
    most_rows = max(shape[1] for shape, _ in shapes)
    assert len({shape for shape in shapes if shape[0][1] == most_rows}) == 1, "each shape is compiled apart"
    return found[:count]


def _taken(count: int, seed: int, *, steps: int = 23, size: int = 7) -> npt.NDArray[np.float32]:
    found = _batches(ShuffledBatches((X, -X), 5, seed), count, steps=steps, size=size)
    assert all(len(batch) == 5 for batch in found)
    return np.concatenate(found)


def test_each_round_has_every_row_once_and_an_order_of_its_own() -> None:
    rounds = _taken(23, seed=0).reshape(5, 23)
    np.testing.assert_array_equal(np.sort(rounds, axis=1), np.tile(X, (5, 1)))
    assert len({tuple(order) for order in rounds}) == 5
    assert tuple(X) not in {tuple(order) for order in rounds}


def test_the_order_is_the_seeds_for_any_other_seed_and_any_block() -> None:
    first = _taken(40, seed=1)
    tf_keras.utils.set_random_seed(7)
    for steps, size in ((23, 1), (23, 23), (10, 7), (1, 1)):
        np.testing.assert_array_equal(_taken(40, seed=1, steps=steps, size=size), first)
    assert not np.array_equal(_taken(40, seed=2), first)


def test_rows_that_fit_into_a_batch_are_ever_the_same_one() -> None:
    for batch_size in (23, 100):
        for batch in _batches(ShuffledBatches((X, -X), batch_size, 0), 7, steps=5, size=3):
            np.testing.assert_array_equal(batch, X)


def test_they_do_not_end() -> None:
    assert ShuffledBatches((X,), 5, 0).steps is None


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_of_arrays_are_all_rows_once_an_epoch_whatever_the_block(shuffle: bool) -> None:
    """Five batches an epoch, the last of three rows."""
    batches = ArrayBatches((tf.constant(X), tf.constant(-X)), 5, shuffle=shuffle, seed=3)
    assert (batches.steps, batches.batch_size) == (5, 5)
    first = _batches(batches, 15, steps=5, size=5)
    assert [len(batch) for batch in first] == [5, 5, 5, 5, 3] * 3
    epochs = np.concatenate(first).reshape(3, 23)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(X, (3, 1)))
    assert len({tuple(order) for order in [X, *epochs]}) == (4 if shuffle else 1)
    for size in (1, 2):
        for one, other in zip(first, _batches(batches, 15, steps=5, size=size), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("endless", [True, False])
def test_batches_of_a_dataset_are_its_own_whatever_the_block(endless: bool) -> None:
    data = tf.data.Dataset.from_tensor_slices((X, -X)).batch(5)
    expected = [X[start : start + 5] for start in range(0, 23, 5)] * 3
    for size in (1, 2, 5):
        found = _batches(DatasetBatches(data.repeat() if endless else data), 15, steps=5, size=size)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
