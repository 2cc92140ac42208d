"""Where `fit` takes its batches from, many at a time: arrays in memory, an endless stream, or a `tf.data.Dataset`."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.models.backend import as_written, tf

Structure = Any
"""A tensor, or tuples, lists and dictionaries of tensors, as Keras takes them: such as `(x, y)`."""


@dataclass(frozen=True, eq=False)
class Block:
    """Batches that follow each other and have as many rows; after them, a batch may come that has fewer.

    Attributes:
        batches: A structure of tensors `[k, B, ...]`.
        count: How many of the k batches there are; others follow that are not to be used.
        rows: B.
        last: A structure of tensors `[1, r, ...]`, the last batch of an epoch, of r < B rows. All blocks of an epoch
            hold it, so that one program takes them all. None if no batch has fewer rows, or such batches come in blocks
            of their own.
        num_last: How many batches of `last` belong to this block: 1 in the last block of an epoch, otherwise 0.
    """

    batches: Structure
    count: int
    rows: int
    last: Structure | None = None
    num_last: int = 0

    @property
    def steps(self) -> int:
        """How many batches there are."""
        return self.count + self.num_last


UNKNOWN_SIZE = 128
"""What a size of a batch is taken for that is not known before there is one."""


class Batches(abc.ABC):
    """Batches of training data, which come in blocks.

    Attributes:
        steps: Batches of an epoch; None if there is no end.
        batch_size: B, the largest number of rows of a batch.
        numbers: How many numbers a batch holds, about.
        even: Whether it is certain that all batches have B rows.
        last_rows: Rows of the last batch of an epoch; None if it is not known.
    """

    steps: int | None
    batch_size: int
    numbers: int
    even: bool
    last_rows: int | None

    @abc.abstractmethod
    def blocks(self, steps: int, size: int) -> Iterator[Block]:
        """The blocks of one epoch after the other, without end.

        Args:
            steps: Batches of an epoch; those of one pass through the rows, unless all batches have as many.
            size: The number k of batches of a block; a block of batches that have fewer rows than others may be
                smaller.
        """

    def one_by_one(self, steps: int) -> Iterator[Structure]:
        """The batches one after the other, without end.

        Args:
            steps: Batches of an epoch.
        """
        for block in self.blocks(steps, 1):
            yield part_of(block.batches if block.count else block.last, 0)


class ArrayBatches(Batches):
    """Batches of arrays: all rows once an epoch, and a last batch that may have fewer rows.

    Args:
        arrays: A structure of tensors `[N, ...]`.
        batch_size: Rows of a batch.
        shuffle: Whether each epoch has an order of its own, which the seed decides.
        seed: Of the orders.
    """

    def __init__(self, arrays: Structure, batch_size: int, *, shuffle: bool, seed: Any) -> None:
        self._arrays, self._shuffle, self._seed = arrays, shuffle, tf.cast(seed, tf.int64)
        leaves = tf.nest.flatten(arrays)
        self._count = len(leaves[0])
        self.batch_size = min(batch_size, self._count)
        self.steps = self._steps = math.ceil(self._count / self.batch_size)
        self.last_rows = self._count - (self._steps - 1) * self.batch_size
        self.even = self.last_rows == self.batch_size
        self.numbers = self.batch_size * sum(math.prod(leaf.shape[1:]) for leaf in leaves)

    def blocks(self, steps: int, size: int) -> Iterator[Block]:
        """The blocks of one epoch after the other, without end."""
        count, batch_size, whole = self._count, self.batch_size, steps - (not self.even)
        passes = math.ceil(steps / self._steps)  # An epoch may be several passes through the rows.

        def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            orders = tf.tile(tf.range(count)[None], [passes, 1])
            if self._shuffle:
                orders = _orders(count, self._seed, epoch * passes + tf.range(passes, dtype=tf.int64))
            firsts = tf.data.Dataset.range(0, steps, size)
            return firsts.map(as_written(lambda first: of_block(orders, tf.cast(first, tf.int32))))

        def of_block(orders: tf.Tensor, first: tf.Tensor) -> tuple[Structure, Structure | None, tf.Tensor]:
            numbers = first + tf.range(min(size, whole))
            places = batch_size * (numbers % self._steps)[:, None] + tf.range(batch_size)
            places = tf.minimum(places + count * (numbers // self._steps)[:, None], passes * count - 1)
            batches = _rows(self._arrays, tf.gather(tf.reshape(orders, [-1]), places))
            last = None if self.even else _rows(self._arrays, orders[:1, batch_size * (self._steps - 1) :])
            stop = tf.minimum(first + size, steps)
            stop_of_whole = tf.minimum(stop, whole)
            return batches, last, tf.stack([stop_of_whole - first, stop - stop_of_whole])

        return _in_turn(whole_numbers().flat_map(as_written(of_epoch)), batch_size)


class ShuffledBatches(Batches):
    """An endless stream of batches, shuffled anew in each round, in an order that the seed alone decides.

    The shuffling of Keras and of `tf.data` also depends on TensorFlow's global seed; this one does not. In one round
    every row comes once; a batch may hold the end of one round and the beginning of the next. If all rows fit into one
    batch, each batch holds all of them, in the order of the arrays.

    Args:
        arrays: Arrays `[N, ...]` with the same number of rows, such as `(x, y)`.
        batch_size: Rows of each batch, if there are as many.
        seed: Seed of the order of the rows.
    """

    steps = None
    even = True

    def __init__(self, arrays: tuple[npt.NDArray[np.float32], ...], batch_size: int, seed: int) -> None:
        self._arrays, self._seed = tuple(tf.convert_to_tensor(array) for array in arrays), seed
        self._count = len(arrays[0])
        self.batch_size = self.last_rows = min(batch_size, self._count)
        self.numbers = self.batch_size * sum(math.prod(array.shape[1:]) for array in arrays)

    def blocks(self, steps: int, size: int) -> Iterator[Block]:
        """The blocks of one epoch after the other, without end."""
        count, batch_size, per_epoch = self._count, self.batch_size, math.ceil(steps / size)

        def of_block(number: tf.Tensor) -> tuple[Structure, None, tf.Tensor]:
            epoch, within = number // per_epoch, number % per_epoch
            first = epoch * steps + within * size
            places = first * batch_size + tf.range(size * batch_size, dtype=tf.int64)
            rows = self._in_rounds(places) if count > batch_size else tf.cast(places % count, tf.int32)
            batches = _rows(self._arrays, tf.reshape(rows, [size, batch_size]))
            return batches, None, tf.stack([tf.minimum(size, tf.cast(steps - within * size, tf.int32)), 0])

        return _in_turn(whole_numbers().map(as_written(of_block)), batch_size)

    def _in_rounds(self, places: tf.Tensor) -> tf.Tensor:
        """The rows at places of the stream, which are successive numbers."""
        first, last = places[0] // self._count, places[-1] // self._count
        orders = _orders(self._count, self._seed, tf.range(first, last + 1))
        return tf.gather(tf.reshape(orders, [-1]), places - first * self._count)


class DatasetBatches(Batches):
    """The batches of a `tf.data.Dataset`.

    Args:
        dataset: Of dense tensors; it has a known number of batches, or no end.
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        size = int(dataset.cardinality())
        self.steps = None if size == tf.data.INFINITE_CARDINALITY else size
        shapes = [spec.shape.as_list() for spec in tf.nest.flatten(dataset.element_spec)]
        self.batch_size = shapes[0][0] or UNKNOWN_SIZE
        self.numbers = sum(math.prod(size or UNKNOWN_SIZE for size in shape) for shape in shapes)
        self._dataset, self.even, self.last_rows = dataset, False, None

    def blocks(self, steps: int, size: int) -> Iterator[Block]:
        """The blocks of one epoch after the other, without end."""
        per_epoch, is_tuple = math.ceil(steps / size), isinstance(self._dataset.element_spec, tuple)

        def counted(number: tf.Tensor, *batch: Any) -> Any:
            structure = batch if is_tuple else batch[0]
            return number, (structure, tf.shape(tf.nest.flatten(batch)[0])[0])

        def block_of(number: tf.Tensor, *_: Any) -> tf.Tensor:
            return (number // steps) * per_epoch + (number % steps) // size

        def batches_in(block: tf.Tensor) -> tf.Tensor:
            return tf.minimum(tf.cast(size, tf.int64), steps - (block % per_epoch) * size)

        def padded_batches(_: tf.Tensor, batches: tf.data.Dataset) -> tf.data.Dataset:
            return batches.map(as_written(lambda _, batch: batch)).padded_batch(size)

        endless = self._dataset if self.steps is None else self._dataset.repeat()
        numbered = endless.enumerate().map(
            as_written(lambda number, batch: counted(number, *batch if is_tuple else [batch]))
        )
        blocks = numbered.group_by_window(
            as_written(block_of), as_written(padded_batches), None, as_written(batches_in)
        )
        whole = 0
        for batches, rows in made_ahead(blocks):
            start = 0
            for number, same in itertools.groupby(rows.numpy().tolist()):
                stop = start + len(list(same))
                whole = whole or number
                part = part_of(batches, slice(start, stop), slice(number))
                yield Block(padded(part, size - (stop - start)) if number == whole else part, stop - start, number)
                start = stop


def _orders(count: int, seed: Any, numbers: tf.Tensor) -> tf.Tensor:
    """The whole numbers below `count` in random orders `[n, count]`, each of which the seed and a number decide."""

    def order(number: tf.Tensor) -> tf.Tensor:
        seeds = tf.stack([tf.cast(seed, tf.int64), number])
        return tf.random.experimental.stateless_shuffle(tf.range(count), seed=seeds, alg="philox")

    return tf.map_fn(order, numbers, fn_output_signature=tf.TensorSpec([count], tf.int32))


def whole_numbers() -> tf.data.Dataset:
    """The whole numbers from 0 on; `tf.data.Dataset.counter` would leave a graph behind."""
    return tf.data.Dataset.range(2**63 - 1)


def _in_turn(blocks: tf.data.Dataset, rows: int) -> Iterator[Block]:
    """The blocks of a dataset of `(batches, last, [count, num_last])`, of which some are made ahead."""
    for batches, last, counts in made_ahead(blocks):
        count, num_last = counts.numpy().tolist()
        yield Block(batches, count, rows, last, num_last)


def made_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset with two elements made ahead.

    It is without autotuning: the end of an iterator would wait for the thread that tunes it, up to seconds.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def padded(batches: Structure, missing: int) -> Structure:
    """Batches followed by as many of zeros.

    Args:
        batches: A structure of tensors `[k, ...]`.
        missing: How many batches of zeros.
    """
    if not missing:
        return batches
    return tf.nest.map_structure(lambda v: tf.pad(v, [[0, missing]] + [[0, 0]] * (len(v.shape) - 1)), batches)


def _rows(arrays: Structure, rows: tf.Tensor) -> Structure:
    return tf.nest.map_structure(lambda array: tf.gather(array, rows), arrays)


def part_of(arrays: Structure, *slices: slice | int) -> Structure:
    """The same part of each array of a structure.

    Args:
        arrays: A structure of arrays or tensors.
        *slices: A slice of each of the first axes, or a place on it.
    """
    return tf.nest.map_structure(lambda array: array[slices], arrays)
