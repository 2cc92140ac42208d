"""The random numbers of stochastic layers: each is a function of a layer's seed, the number of the call and its place.

So a training step draws the same numbers whether they are drawn in the step or for many steps at once before it. All
come from random words of 32 bits, made by the counter-based generator Philox 4x32-10 (Salmon et al. 2011, Parallel
Random Numbers: As Easy as 1, 2, 3), which is named since XLA would take a slow one otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from variational_bnn.models.backend import tf

PHILOX = 1
"""The number of the generator among TensorFlow's raw operations."""

BITS = 32

Shape = Sequence[Any]
"""Sizes, whole numbers or scalar tensors."""


def sizes_of(values: tf.Tensor) -> list[Any]:
    """The shape of a tensor: whole numbers, and scalar tensors where they are not known while it is traced."""
    return [tf.shape(values)[axis] if size is None else size for axis, size in enumerate(values.shape)]


def signed(seed: int) -> int:
    """The last 64 bits of a seed, as a number of int64."""
    return (seed + 2**63) % 2**64 - 2**63


def random_words(seed: tf.Tensor, first: tf.Tensor, stream: tf.Tensor, calls: Any, count: Any) -> tf.Tensor:
    """Random words `[calls, count]` of 32 bits, as int32, of successive calls; `count` is a multiple of four.

    Args:
        seed: A scalar of int64.
        first: Number of the first call, a scalar of int64.
        stream: What tells these words from others of the same calls, a scalar of int64. It depends on `count`.
        calls: How many calls.
        count: Words of each call.
    """
    # The generator makes four words for each value of its counter of twice 64 bits.
    counter = tf.stack([first * tf.cast(count // 4, tf.int64), stream])
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.stack([calls, count]),
        key=tf.bitcast(seed, tf.uint64)[None],
        counter=tf.bitcast(counter, tf.uint64),
        alg=PHILOX,
        dtype=tf.int32,
    )


def _uniform(words: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Uniform values in (0, 1]: the middles of 2^24 intervals, of which single precision rounds the last to 1."""
    high = tf.bitwise.right_shift(tf.bitcast(words, tf.uint32), tf.constant(8, tf.uint32))
    return (tf.cast(tf.bitcast(high, tf.int32), dtype) + 0.5) / 2**24


@tf.function(autograph=False, jit_compile=True)
def _normals(words: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """As many N(0, 1) values as words: the quantiles of the middles of 2^23 intervals of the same probability.

    XLA compiles it alone, too, since it reads and writes memory once; it has no fast sine, as other methods need.
    """
    middles = tf.cast(tf.bitwise.right_shift(words, 9), dtype) + 0.5
    return math.sqrt(2) * tf.math.erfinv(middles / 2**22)


def _signs(words: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """32 signs, 1 or -1, of each word, along the last axis."""
    bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(words[..., None], tf.range(BITS)), 1)
    return tf.cast(tf.reshape(2 * bits - 1, tf.concat([tf.shape(words)[:-1], [BITS * tf.shape(words)[-1]]], 0)), dtype)


@dataclass(frozen=True)
class Law:
    """A distribution of random numbers.

    Attributes:
        of_words: `(words [..., n], dtype) -> values [..., n * per_word]`.
        per_word: Values that a word gives.
    """

    of_words: Callable[[tf.Tensor, tf.DType], tf.Tensor]
    per_word: int

    def num_words(self, shape: Shape) -> Any:
        """How many words values of a shape take, a multiple of four."""
        return -(-math.prod(shape) // (4 * self.per_word)) * 4


NORMAL, SIGNS, UNIFORM = Law(_normals, 1), Law(_signs, BITS), Law(_uniform, 1)


class RandomNumbers:
    """The random numbers of one call of a layer.

    Args:
        seed: Of the layer, a whole number or a scalar of int64.
        call: Number of the call, a scalar of int64.
        replica: Number of the replica of a distributed model.
    """

    def __init__(self, seed: Any, call: Any, replica: Any = 0) -> None:
        self._seed = tf.constant(signed(seed), tf.int64) if isinstance(seed, int) else seed
        self._call, self._replica = tf.cast(call, tf.int64), tf.cast(replica, tf.int64)
        self._draws = 0

    def normal(self, shape: Shape, dtype: tf.DType) -> tf.Tensor:
        """Independent N(0, 1) values of a shape."""
        return self._next(NORMAL, shape, dtype)

    def signs(self, shape: Shape, dtype: tf.DType) -> tf.Tensor:
        """Independent values of a shape that are 1 or -1, each with probability 1/2."""
        return self._next(SIGNS, shape, dtype)

    def uniform(self, shape: Shape, dtype: tf.DType) -> tf.Tensor:
        """Independent values of a shape that are uniform in (0, 1]."""
        return self._next(UNIFORM, shape, dtype)

    def _next(self, law: Law, shape: Shape, dtype: tf.DType) -> tf.Tensor:
        self._draws += 1
        return self._drawn(law, self._draws, shape, dtype)

    def _drawn(self, law: Law, number: int, shape: Shape, dtype: tf.DType) -> tf.Tensor:
        """The values of the draw of this number within the call."""
        return _values_of_call(law, number, tuple(shape), dtype, self._seed, self._call, self._replica)

    def words(self, law: Law, number: int, shape: Shape, calls: Any) -> tf.Tensor:
        """The words `[calls, n]` of the draws of this number in this call and in those that follow it."""
        return _words(law, number, shape, self._seed, self._call, self._replica, calls)


def _words(
    law: Law, number: int, shape: Shape, seed: tf.Tensor, call: tf.Tensor, replica: tf.Tensor, calls: Any
) -> tf.Tensor:
    count = law.num_words(shape)
    # No two draws of a layer have the same stream and counter: draws of one stream have words of one number.
    stream = (tf.cast(count, tf.int64) * 2**8 + number) * 2**16 + replica
    return random_words(seed, call, stream, calls, count)


@tf.function(autograph=False)
def _values_of_call(
    law: Law, number: int, shape: Shape, dtype: tf.DType, seed: tf.Tensor, call: tf.Tensor, replica: tf.Tensor
) -> tf.Tensor:
    """Compiled, so that it is traced once, and not in each model anew."""
    return _values(law, _words(law, number, shape, seed, call, replica, 1)[0], shape, dtype)


def _values(law: Law, words: tf.Tensor, shape: Shape, dtype: tf.DType) -> tf.Tensor:
    """Values `[..., *shape]` of words `[..., n]`."""
    precision = dtype if dtype in (tf.float32, tf.float64) else tf.float32
    values = law.of_words(words, precision)[..., : math.prod(shape)]
    return tf.cast(tf.reshape(values, [*sizes_of(words)[:-1], *shape]), dtype)


class DrawnAhead(RandomNumbers):
    """The random numbers of one call among many, all of which were drawn before, of one layer or of a stack of layers.

    Args:
        first: The random numbers of the first of the calls, of each layer of the stack.
        calls: How many calls there are.
        graphs: The graph in which the words of all are drawn, and the one within it that makes numbers of them.
        step: Number of this call among them, a scalar tensor of a graph within these.
        member: Number of the layer in the stack, a scalar tensor of a graph within these.
    """

    def __init__(self, first: Sequence[RandomNumbers], calls: Any, graphs: Any, step: tf.Tensor, member: Any) -> None:
        self._draws = 0
        self._first, self._calls, self._step, self._member = first, calls, step, member
        self._of_words, self._of_numbers = graphs

    def _drawn(self, law: Law, number: int, shape: Shape, dtype: tf.DType) -> tf.Tensor:
        with self._of_words.as_default():
            words = tf.stack([one.words(law, number, shape, self._calls) for one in self._first], axis=1)
        with self._of_numbers.as_default():
            values = _values(law, words, shape, dtype)
        return tf.gather(values[self._step], self._member)


def standard_normal(shape: Shape, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Independent N(0, 1) values of a shape, as a function of a stateless seed `[2]` alone."""
    return _stateless(NORMAL, tuple(shape), seed, dtype)


def standard_uniform(shape: Shape, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Independent values that are uniform in (0, 1], as a function of a stateless seed `[2]` alone."""
    return _stateless(UNIFORM, tuple(shape), seed, dtype)


@tf.function(autograph=False)
def _stateless(law: Law, shape: Shape, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    key, stream = tf.unstack(tf.cast(seed, tf.int64))
    words = random_words(key, tf.constant(0, tf.int64), stream, 1, law.num_words(shape))
    return _values(law, words[0], shape, dtype)


Source = Callable[[Any], RandomNumbers | None]
"""`(layer) -> random numbers` of its next call; None if the layer is to draw them itself."""

_source: ContextVar[Source | None] = ContextVar("source", default=None)


def drawn_ahead(layer: Any) -> RandomNumbers | None:
    """The random numbers of a layer's next call, if they were drawn ahead."""
    source = _source.get()
    return None if source is None else source(layer)


@contextmanager
def drawing_from(source: Source) -> Iterator[None]:
    """Within the context, layers take their random numbers from a source."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)
