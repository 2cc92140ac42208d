"""Training on a block of batches in one compiled program, whose random numbers are all drawn before its loop."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from variational_bnn.models.backend import layers_of, tf
from variational_bnn.models.batches import Structure, part_of
from variational_bnn.models.random_numbers import DrawnAhead, RandomNumbers, Source, drawing_from
from variational_bnn.models.stochastic import Stochastic

Logs = dict[str, tf.Tensor]

STEPS_PER_EXECUTION = 256
"""The most training steps in one compiled call, and batches between two calls of per-batch callbacks."""

BLOCK_NUMBERS = 2**24
"""The most numbers, of data and random ones, that a block of batches holds, unless it has a single batch."""


class CalledTwiceError(Exception):
    """A layer is called twice in one training step, so that its random numbers cannot be drawn ahead."""


class BlockProgram:
    """Training steps of a model on many batches `[k, B, ...]` of one shape, compiled.

    The random numbers of all steps are drawn before the loop over the steps: by TensorFlow's own kernels, which use all
    cores and are much faster than what XLA makes of the generator on a CPU. They are the same as if each step drew its
    own.

    Args:
        model: Whose `train_step` it runs. It is not kept alive.
        jit_compile: Whether the loop is compiled by XLA; otherwise it is a loop of TensorFlow's graph.
    """

    def __init__(self, model: Any, *, jit_compile: bool) -> None:
        self._model, self._jit_compile, self._ahead = weakref.ref(model), jit_compile, True
        self._run = tf.function(self._traced, autograph=False)

    def __call__(self, batches: Structure, start: int, stop: int) -> Logs:
        """Run the steps on some of the batches, from `start` up to `stop`, and return the model's metrics."""
        between = tf.constant(start), tf.constant(stop)
        try:
            return self._run(batches, *between)
        except CalledTwiceError:
            self._ahead = False
            self._run = tf.function(self._traced, autograph=False)
            return self._run(batches, *between)

    def _traced(self, batches: Structure, start: tf.Tensor, stop: tf.Tensor) -> Logs:
        model: Any = self._model()
        layers = [layer for layer in layers_of(model) if isinstance(layer, Stochastic)] if self._ahead else []
        steps, outer = tf.shape(tf.nest.flatten(batches)[0])[0], tf.compat.v1.get_default_graph()
        first = {layer: [RandomNumbers(layer.noise_seed, layer.draws + 1)] for layer in layers}

        @tf.function(jit_compile=self._jit_compile, autograph=False)
        def loop(batches: Structure, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
            graphs = outer, tf.compat.v1.get_default_graph()

            def step(number: tf.Tensor) -> tf.Tensor:
                with drawing_from(each_once(first, steps, graphs, number - start, 0)):
                    model.train_step(tf.nest.map_structure(lambda values: values[number], batches))
                return number + 1

            return tf.while_loop(lambda number: number < stop, step, [start], parallel_iterations=1)

        loop(batches, start, stop)
        count = tf.cast(stop - start, tf.int64)
        for layer in layers:
            layer.draws.assign_add(count)
        model._train_counter.assign_add(count)  # By which Keras's callbacks number the steps.
        return dict(model.get_metrics_result())


class BlockTraining:
    """What Keras's `fit` calls to train: it takes blocks from an iterator, and runs steps on their batches.

    Args:
        model: The model that is trained. It is not kept alive.
        programs: The programs that were made for the model before, by whether XLA compiles them. New ones are added.
        size: The largest number of batches in a block.
        jit_compile: Whether XLA compiles the program of all batches but those that have fewer rows than others.

    Attributes:
        batch_by_batch: What trains the model otherwise, on batches that come alone.
    """

    def __init__(self, model: Any, programs: dict[bool, BlockProgram], size: int, *, jit_compile: bool) -> None:
        self._model, self._programs, self._size, self._jit_compile = weakref.ref(model), programs, size, jit_compile
        self.batch_by_batch = model.train_function
        self._parts: Iterator[tuple[Structure, int, int]] = iter(())
        self._batches: Structure = None
        self._start, self._stop, self._rows = 0, 0, 0

    def __call__(self, iterator: Iterator[tuple[Structure, tf.Tensor]]) -> Logs:
        """Run the next steps, as many as the model's `steps_per_execution` says, and return the model's metrics."""
        model: Any = self._model()
        left, logs = int(model.steps_per_execution.numpy()), Logs()
        while left:
            if self._start == self._stop:
                self._take(iterator)
            stop = min(self._start + left, self._stop)
            logs = self._program(self._batches, self._start, stop)
            left, self._start = left - (stop - self._start), stop
        return logs

    def _take(self, iterator: Iterator[tuple[Structure, tf.Tensor]]) -> None:
        """Take the next batches that have as many rows: those of a block, or what follows in it."""
        part = next(self._parts, None)
        if part is None:
            self._parts = parts_of(*next(iterator))
            part = next(self._parts)
        self._batches, self._stop, rows = part
        self._start, self._rows = 0, self._rows or rows
        jit_compile = self._jit_compile and rows == self._rows
        if jit_compile:  # XLA compiles a program for each shape.
            self._batches = padded(self._batches, self._size - self._stop)
        model: Any = self._model()
        if jit_compile not in self._programs:
            self._programs[jit_compile] = BlockProgram(model, jit_compile=jit_compile)
        self._program = self._programs[jit_compile]


def parts_of(batches: Structure, rows: tf.Tensor, *, stacked: bool = False) -> Iterator[tuple[Structure, int, int]]:
    """The batches of a block that follow each other and have as many rows.

    Args:
        batches: Tensors `[k, B, ...]`, or of a stack `[k, M, B, ...]`.
        rows: How many rows each batch has, `[k]`.
        stacked: Whether they are those of a stack.

    Yields:
        The batches, how many they are, and how many rows each of them has.
    """
    start = 0
    for number, same in itertools.groupby(rows.numpy().tolist()):
        stop = start + len(list(same))
        between = [slice(None)] * stacked
        yield part_of(batches, slice(start, stop), *between, slice(number)), stop - start, number
        start = stop


def padded(batches: Structure, missing: int) -> Structure:
    """Batches followed by as many of zeros."""
    if not missing:
        return batches
    return tf.nest.map_structure(lambda v: tf.pad(v, [[0, missing]] + [[0, 0]] * (len(v.shape) - 1)), batches)


def each_once(
    first: dict[Any, Sequence[RandomNumbers]], calls: tf.Tensor, graphs: Any, step: tf.Tensor, member: Any
) -> Source:
    """The source of random numbers that were drawn ahead, of layers that are called once in a step.

    Args:
        first: The layers, each with the random numbers of the first of the steps, of each member of a stack.
        calls: How many steps there are.
        graphs: As of `DrawnAhead`.
        step: Number of the step.
        member: Number of the member of the stack.
    """
    left = set(first)

    def source(layer: Any) -> RandomNumbers | None:
        if not first:
            return None
        if layer not in left:
            raise CalledTwiceError
        left.remove(layer)
        return DrawnAhead(first[layer], calls, graphs, step, member)

    return source
