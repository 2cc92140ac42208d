"""What the data are that `tf_keras.Model.fit` is given: the batches that they make, and those kept for validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from variational_bnn.models.backend import tf, tf_keras
from variational_bnn.models.batches import ArrayBatches, Batches, DatasetBatches, Structure, part_of


def batches_of(given: dict[str, Any]) -> Batches | None:
    """The batches that arguments of `tf_keras.Model.fit` describe; None if they cannot come in blocks.

    Args:
        given: The arguments of `fit` by name.
    """
    x, y, weight = (given.get(name) for name in ("x", "y", "sample_weight"))
    size, steps, shuffle = given.get("batch_size"), given.get("steps_per_epoch"), given.get("shuffle", True)
    if isinstance(x, Batches):
        return x
    if isinstance(x, tf.data.Dataset):
        specs = tf.nest.flatten(x.element_spec)
        # Batches whose rows have other sizes cannot be stacked.
        dense = all(isinstance(s, tf.TensorSpec) and s.shape.rank and s.shape[1:].is_fully_defined() for s in specs)
        # Otherwise Keras says what is wrong, as below.
        alone = y is None and weight is None and size is None and (steps is None or steps > 0)
        known = is_number_known(x, steps) and int(x.cardinality())
        return DatasetBatches(x) if dense and alone and known else None
    arrays = [value for value in (x, y, weight) if value is not None]
    leaves = tf.nest.flatten(arrays)
    in_memory = all(isinstance(leaf, (np.ndarray, tf.Tensor)) and len(leaf.shape) for leaf in leaves)
    valid = size is None or (isinstance(size, (int, np.integer)) and size > 0)
    plain = valid and shuffle in (True, False) and steps is None and x is not None and y is not None
    if not (in_memory and plain and len({len(leaf) for leaf in leaves}) == 1 and len(leaves[0])):
        return None
    return batches_of_arrays(arrays, size or 32, shuffle=shuffle)


def batches_of_arrays(arrays: Sequence[Structure], batch_size: int, *, shuffle: bool) -> ArrayBatches:
    """Batches of arrays `[N, ...]` in an order that TensorFlow's global seed decides, as in Keras.

    Args:
        arrays: Inputs, targets and, if there are any, weights of rows: a structure of arrays each.
        batch_size: Rows of a batch.
        shuffle: Whether each epoch has an order of its own.
    """
    # Keras, too, takes a list for a tuple; `tf.data` would take it for one tensor.
    tuples = tf.__internal__.nest.list_to_tuple(list(arrays))
    structure = tuple(tf.nest.map_structure(_tensor, part) for part in tuples)
    seed = tf.random.uniform([], maxval=2**31 - 1, dtype=tf.int32) if shuffle else 0
    return ArrayBatches(structure, batch_size, shuffle=shuffle, seed=seed)


def _tensor(values: Any) -> tf.Tensor:
    """Values as Keras takes them: floating point numbers of arrays, but not of tensors, in its own precision."""
    floating = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    return tf.convert_to_tensor(values, tf_keras.backend.floatx() if floating else None)


def split_for_validation(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` with the last rows of arrays as validation data, if there is to be a share of them.

    Args:
        given: The arguments of `fit` by name.
    """
    share, names = given.get("validation_split"), ("x", "y", "sample_weight")
    parts = {name: given[name] for name in names if given.get(name) is not None}
    arrays = tf.nest.flatten(parts)
    if not share or given.get("validation_data") is not None or not all(isinstance(a, np.ndarray) for a in arrays):
        return given
    kept = math.floor(len(arrays[0]) * (1 - share))
    if not 0 < kept < len(arrays[0]):
        return given
    first, last = (part_of(parts, rows) for rows in (slice(kept), slice(kept, None)))
    return {**given, **first, "validation_split": 0.0, "validation_data": tuple(last.values())}


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
