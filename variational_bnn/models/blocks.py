"""Training on a block of batches in one compiled program, whose random numbers are all drawn before its loop."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from variational_bnn.models.backend import NEEDS_AUTOGRAPH, as_written, tf
from variational_bnn.models.batches import Block, Structure
from variational_bnn.models.random_numbers import DrawnAhead, RandomNumbers, Source, drawing_from
from variational_bnn.models.stochastic import stochastic_layers

Logs = dict[str, tf.Tensor]

STEPS_PER_EXECUTION = 256
"""The most training steps in one compiled call, and batches between two calls of per-batch callbacks."""

BLOCK_NUMBERS = 2**24
"""The most numbers, of data and random ones, that a block of batches holds, unless it has a single batch."""


def block_size(steps: int, most: int, numbers: int) -> int:
    """How many batches a block has: as many in each as in the others, but for the last of an epoch.

    Args:
        steps: Batches of an epoch.
        most: The most batches of a block.
        numbers: How many numbers a batch and the random numbers of its step are.
    """
    blocks = math.ceil(steps / max(1, min(most, BLOCK_NUMBERS // numbers)))
    return math.ceil(steps / blocks)


class CalledTwiceError(Exception):
    """A layer is called twice in one training step, so that its random numbers cannot be drawn ahead."""


class BlockProgram:
    """Training steps of a model on the batches of a block, compiled.

    The random numbers of all steps are drawn before the loop over the steps: by TensorFlow's own kernels, which use all
    cores and are much faster than what XLA makes of the generator on a CPU. They are the same as if each step drew its
    own.

    Args:
        model: Whose `train_step` it runs. It is not kept alive.
        jit_compile: Whether the loop over the batches of one size is compiled by XLA; otherwise it is a loop of
            TensorFlow's graph, as the step on a last batch of fewer rows always is.
    """

    def __init__(self, model: Any, *, jit_compile: bool) -> None:
        self._model, self._jit_compile = weakref.ref(model), jit_compile
        self._ahead, self._autograph = True, False
        self._run = self._compiled()

    def __call__(self, block: Block, start: int, stop: int) -> Logs:
        """Run the steps on some batches of a block, from `start` up to `stop`, and return the model's metrics."""
        whole = min(stop, block.count)
        places = tf.constant([start, whole, stop - whole])
        while True:
            try:
                return self._run(block.batches, block.last, places)
            except CalledTwiceError:
                self._ahead = False
            except NEEDS_AUTOGRAPH:
                if self._autograph:
                    raise
                self._autograph = True
            self._run = self._compiled()

    def _compiled(self) -> Any:
        traced = self._traced if self._autograph else as_written(self._traced)
        return tf.function(traced, autograph=self._autograph)

    def _traced(self, batches: Structure, last: Structure | None, places: tf.Tensor) -> Logs:
        start, stop, num_last = tf.unstack(places)
        self._steps(batches, start, stop, tf.shape(tf.nest.flatten(batches)[0])[0], jit_compile=self._jit_compile)
        if last is not None:  # XLA would compile each shape apart.
            self._steps(last, tf.constant(0), num_last, num_last, jit_compile=False)
        model: Any = self._model()
        return dict(model.get_metrics_result())

    def _steps(
        self, batches: Structure, start: tf.Tensor, stop: tf.Tensor, most: tf.Tensor, *, jit_compile: bool
    ) -> None:
        """Run the steps on the batches from `start` up to `stop`, which are at most so many."""
        model: Any = self._model()
        layers = stochastic_layers(model) if self._ahead else []
        outer = tf.compat.v1.get_default_graph()
        first = {layer: [RandomNumbers(layer.noise_seed, layer.draws + 1)] for layer in layers}

        @tf.function(jit_compile=jit_compile, autograph=self._autograph)
        def loop(batches: Structure, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
            graphs = outer, tf.compat.v1.get_default_graph()

            def step(number: tf.Tensor) -> tf.Tensor:
                with drawing_from(numbers_drawn_ahead(first, most, graphs, number - start, 0)):
                    model.train_step(tf.nest.map_structure(lambda values: values[number], batches))
                return number + 1

            (end,) = tf.while_loop(lambda number: number < stop, step, [start], parallel_iterations=1)
            return end

        with tf.control_dependencies([loop(batches, start, stop)]):  # Not counted if they could not be run.
            count = tf.cast(stop - start, tf.int64)
            for layer in layers:
                layer.draws.assign_add(count)
            model._train_counter.assign_add(count)  # By which Keras's callbacks number the steps.


class BlockTraining:
    """What Keras's `fit` calls to train: it runs the next steps on the batches of blocks.

    Args:
        model: The model that is trained. It is not kept alive.
        programs: The programs that were made for the model before, by whether XLA compiles them. New ones are added.
        blocks: The blocks, in the order of the batches.
        jit_compile: Whether XLA compiles the steps on all batches but those that have fewer rows than the first.
        required: Whether it is an error if XLA cannot compile it; otherwise TensorFlow's graph runs it then.

    Attributes:
        batch_by_batch: What trains the model otherwise, on batches that come alone.
    """

    def __init__(
        self,
        model: Any,
        programs: dict[bool, BlockProgram],
        blocks: Iterator[Block],
        *,
        jit_compile: bool,
        required: bool,
    ) -> None:
        self._model, self._programs, self._blocks = weakref.ref(model), programs, blocks
        self._jit_compile, self._required = jit_compile, required
        self.batch_by_batch = model.train_function
        self._block, self._start, self._rows = Block(None, 0, 0), 0, 0

    def __call__(self, iterator: Any) -> Logs:
        """Run as many steps as the model's `steps_per_execution` says, and return the model's metrics.

        Args:
            iterator: Keras's, which is not used.
        """
        model: Any = self._model()
        left, logs = int(model.steps_per_execution.numpy()), Logs()
        while left:
            if self._start == self._block.steps:
                self._block, self._start = next(self._blocks), 0
                self._rows = self._rows or self._block.rows
            # XLA compiles a program for each shape.
            jit_compile = self._jit_compile and self._block.rows == self._rows
            if jit_compile not in self._programs:
                self._programs[jit_compile] = BlockProgram(model, jit_compile=jit_compile)
            stop, before = min(self._start + left, self._block.steps), int(model._train_counter)
            try:
                logs = self._programs[jit_compile](self._block, self._start, stop)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
                if self._required or not jit_compile or int(model._train_counter) > before:
                    raise  # It could be compiled: a step has failed.
                self._jit_compile = False  # XLA does not know every operation.
                continue
            left, self._start = left - (stop - self._start), stop
        return logs


def numbers_drawn_ahead(
    first: Mapping[Any, Sequence[RandomNumbers]], calls: tf.Tensor, graphs: Any, step: tf.Tensor, member: Any
) -> Source:
    """The source of random numbers that were drawn ahead, of layers that are called once in a step.

    Args:
        first: The layers, each with the random numbers of the first of the steps, of each member of a stack.
        calls: How many steps there are.
        graphs: The graph in which the words of all are drawn, and the one within it that makes numbers of them.
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
