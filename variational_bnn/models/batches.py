"""Batches of training data: an endless stream that one seed decides, and whether the number of batches is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.models.backend import tf


def shuffled_batches(arrays: tuple[npt.NDArray[np.float32], ...], batch_size: int, seed: int) -> tf.data.Dataset:
    """Make endless batches of rows, shuffled anew in each round, in an order that the seed alone decides.

    The shuffling of Keras and of `tf.data` also depends on TensorFlow's global seed; this one does not. In one round
    every row comes once; a batch may hold the end of one round and the beginning of the next. If all rows fit into one
    batch, each batch holds all of them, in the order of the arrays.

    Args:
        arrays: Arrays `[N, ...]` with the same number of rows, such as `(x, y)`.
        batch_size: Rows of each batch.
        seed: Seed of the order of the rows.

    Returns:
        A dataset of tuples of tensors `[batch_size, ...]`, of infinite cardinality.
    """
    count, tensors = len(arrays[0]), [tf.constant(array) for array in arrays]
    if count <= batch_size:
        return tf.data.Dataset.from_tensors(tuple(tensors)).repeat()

    def one_round(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, number])
        return tf.data.Dataset.from_tensor_slices(order)

    rows = tf.data.Dataset.counter().flat_map(one_round).batch(batch_size)
    endless = rows.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.map(lambda chosen: tuple(tf.gather(tensor, chosen) for tensor in tensors)).prefetch(4)


def is_number_known(data: Any, steps: int | None) -> bool:
    """Whether it is certain how many batches there will be, so that a call of several steps cannot run out of data.

    Args:
        data: Anything that `tf_keras.Model.fit` takes as `x`.
        steps: Batches of an epoch, or None for all.

    Returns:
        True for arrays and sequences, for datasets of known size without `steps`, and for endless datasets with
        `steps`; False for generators, for datasets of unknown size and where data may end before `steps`.
    """
    if isinstance(data, tf.data.Dataset):
        size = int(data.cardinality())
        return size >= 0 if steps is None else size == tf.data.INFINITE_CARDINALITY
    return steps is None and not hasattr(data, "__next__") and not isinstance(data, tf.distribute.DistributedDataset)
