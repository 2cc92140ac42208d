"""Coherent draws of any model, compiled, in bounded chunks.

A draw is one function: whatever is random in the model is drawn once, `[B, in, out]` for B draws, and serves every row.
So rows can be chunked at will, and the three estimators of weight variation, which share one posterior family, share
one sampler.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array, Float32Array, require, require_count, require_seed
from variational_bnn.models.backend import layers_of, require_model, tf, tf_keras, tfd
from variational_bnn.models.likelihoods import Bernoulli, Categorical, as_labels, of_classes
from variational_bnn.prediction.coherence import drawing, inlined, numbers_a_draw, random_layers

BLOCK = 100
"""Draws whose noise is made together, if it is not too much."""

NOISE = 2**23
"""How much noise is made together: numbers of all the model's weights, times the draws."""

ROWS = 1024
"""Rows computed together."""

NO_DENSITY = "the model puts out a tensor, not a distribution, so it has neither density nor noise"


class Sampler:
    """A model compiled to make B draws of rows `[R, ...]` a call, B <= `block`.

    A model whose every random layer has a rule makes up to `BLOCK` draws, or the one that there is where nothing is
    random. Any other is given a `graph_seed` and draws in its own way, row by row or not: one draw a call, of all rows
    together.
    """

    def __init__(self, model: tf_keras.Model, row_shape: tuple[int, ...], graph_seed: int | None = None) -> None:
        self._model = weakref.ref(model)
        self.graph_seed = graph_seed
        self.row_shape = row_shape
        self.variables = list(model.variables)
        self.block = max(1, min(BLOCK, NOISE // max(numbers_a_draw(model), 1))) if graph_seed is None else 1
        self.deterministic = not random_layers(model) and graph_seed is None
        self.has_density = False
        self.of_classes: Bernoulli | Categorical | None = None
        self.num_targets = 0
        self.moments = self._compile(self._moments)

    def repeats(self, rows: Float32Array) -> bool:
        """Whether a draw of the same seed is the same each time: whether rules have taken over all that is random."""
        draw, seed = tf.constant(1), tf.constant([0, 0], tf.int64)
        first, *others = (self.moments(tf.constant(rows), tf.zeros(0), draw, seed, seed) for _ in range(8))
        pairs = [pair for other in others for pair in zip(first, other, strict=True)]
        return all(np.allclose(one, two, rtol=1e-4, atol=0, equal_nan=True) for one, two in pairs)

    @functools.cached_property
    def log_prob(self) -> Any:
        """Compiled when it is first asked for."""
        return self._compile(self._log_prob)

    @functools.cached_property
    def sample(self) -> Any:
        """Likewise."""
        return self._compile(self._sample)

    def _compile(self, function: Callable[..., Any]) -> Any:
        """With the arguments of all three alike, their graphs begin alike, and so draw alike."""
        rows, targets = tf.TensorSpec([None, *self.row_shape]), tf.TensorSpec(None)
        draws, seed = tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int64)
        return tf.function(function).get_concrete_function(rows, targets, draws, seed, seed)

    def _outputs(self, rows: tf.Tensor, draws: tf.Tensor, seed: tf.Tensor) -> Any:
        if self.graph_seed is not None:
            tf.compat.v1.set_random_seed(self.graph_seed)  # Inside a function it seeds that function's graph alone.
        model: Any = self._model()
        tiled = tf.tile(rows, [draws] + [1] * len(self.row_shape))
        with drawing(model, self.block, draws, seed), inlined():
            outputs = model(tf.ensure_shape(tiled, [None, *self.row_shape]), training=False)
        return as_labels(outputs)

    def _moments(
        self, rows: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """E[y given x, draw] and Var[y given x, draw], `[B, R, D]` each; a tensor is a mean without noise."""
        outputs = self._outputs(rows, draws, seed)
        self.has_density = isinstance(outputs, tfd.Distribution)
        require(self.has_density or tf.is_tensor(outputs), f"the model must have one output, got {outputs!r}")
        self.of_classes = of_classes(outputs)
        mean = outputs.mean() if self.has_density else outputs
        variance = outputs.variance() if self.has_density else tf.zeros_like(mean)
        shape = [draws, tf.shape(rows)[0], -1]
        one_y = outputs.batch_shape.concatenate(outputs.event_shape) if self.has_density else mean.shape
        self.num_targets = int(one_y[1:].num_elements())
        return tf.reshape(mean, shape), tf.reshape(variance, shape)

    def _log_prob(
        self, rows: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tf.Tensor:
        """Log p(y given x, draw), `[B, R]`."""
        density = self._outputs(rows, draws, seed)
        dtype = density.dtype if density.dtype.is_floating else tf.float32  # A target between 0 and 1 stays one.
        tiled = tf.cast(tf.tile(targets, [draws, 1]), dtype)
        shape = tf.concat([density.batch_shape_tensor(), density.event_shape_tensor()], 0)
        log_prob = density.log_prob(tf.reshape(tiled, shape))
        return tf.reduce_sum(tf.reshape(log_prob, [draws, tf.shape(rows)[0], -1]), -1)

    def _sample(
        self, rows: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tf.Tensor:
        """A y of each draw, `[B, R, D]`."""
        density = self._outputs(rows, draws, seed)
        apart = tf.random.experimental.stateless_fold_in(noise_seed, -1)  # The layers' seeds fold in 0, 1, ...
        y = tf.cast(density.sample(seed=apart), tf.float32)
        return tf.reshape(y, [draws, tf.shape(rows)[0], -1])


def _state(model: tf_keras.Model, rows: Float32Array) -> list[Any]:
    """What a compiled sampler depends on, besides the values of variables."""
    layers = layers_of(model)
    settings = [(weakref.ref(x), getattr(x, "rate", None), getattr(x, "activation", None)) for x in layers]
    return [rows.shape[1:], *settings]


_SAMPLERS: weakref.WeakKeyDictionary[tf_keras.Model, tuple[list[Any], Sampler | None]] = weakref.WeakKeyDictionary()
"""The compiled sampler of each living model and the state it is of; None for a model that draws in its own way.

Compiling one takes longer than most uses of it.
"""


@dataclass(frozen=True, eq=False)
class Draws:
    """S draws of a model at N inputs, made anew, and the same, each time they are gone through."""

    model: tf_keras.Model
    x: Float32Array
    num_samples: int
    seed: int

    @classmethod
    def of(cls, model: tf_keras.Model, x: npt.ArrayLike, num_samples: int, seed: int) -> Draws:
        """Check the arguments, and build a model that has not been called yet."""
        require_model(model)
        require_count("num_samples", num_samples)
        require_seed(seed)
        rows = _inputs(model, x)
        if not model.built:
            model(rows[:1])
        return cls(model, rows, int(num_samples), int(seed))

    def sampler(self) -> Sampler:
        """The model's compiled sampler; where the model draws by itself, a fresh one, so that it draws the same."""
        state, sampler = _SAMPLERS.get(self.model, ([], None))
        now = _state(self.model, self.x)
        if state != now:
            sampler = Sampler(self.model, self.x.shape[1:])
            _SAMPLERS[self.model] = now, sampler if sampler.repeats(self.x[:32]) else None
            _, sampler = _SAMPLERS[self.model]
        return sampler or Sampler(self.model, self.x.shape[1:], graph_seed=self.seed)

    def chunks(
        self, sampler: Sampler, *, score: Array | None = None, tau: int = 1, noise_seed: int | None = None
    ) -> Iterator[Iterator[list[Float32Array]]]:
        """Chunk by chunk of rows, block by block of draws, by what `sampler` gave.

        A block is means and variances `[B, R, D]`, or the log densities `[B, R]` of the targets to score, tau rows of
        which are never in two chunks, or, with a seed of the noise, y `[B, R, D]`.
        """
        rows = max(ROWS // tau, 1) * tau if sampler.graph_seed is None else len(self.x)
        for start in range(0, len(self.x), rows):
            yield self._blocks(sampler, range(start, min(start + rows, len(self.x))), score, noise_seed)

    def _blocks(
        self, sampler: Sampler, rows: range, score: Array | None, noise_seed: int | None
    ) -> Iterator[list[Float32Array]]:
        samples = noise_seed is not None
        function = sampler.sample if samples else sampler.moments if score is None else sampler.log_prob
        parts = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)] if sampler.graph_seed is None else [rows]
        count = 1 if sampler.deterministic and not samples else self.num_samples
        for start in range(0, count, sampler.block):
            draws = tf.constant(min(count - start, sampler.block))
            seed = tf.constant([self.seed, start // sampler.block], tf.int64)
            outputs = []
            for part in parts:
                x = tf.constant(self.x[part.start : part.stop])
                targets = tf.zeros(0) if score is None else tf.constant(score[part.start : part.stop], tf.float32)
                first = tf.constant([noise_seed or 0, part.start * count + start], tf.int64)
                outputs.append(tf.nest.flatten(function(x, targets, draws, seed, first)))
            yield [np.concatenate(values, axis=1) for values in zip(*outputs, strict=True)]


@contextlib.contextmanager
def values_of(variables: list[tf.Variable], values: list[Any]) -> Iterator[None]:
    """Give the variables these values for a while."""
    present = [variable.numpy() for variable in variables]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    try:
        yield
    finally:
        for variable, value in zip(variables, present, strict=True):
            variable.assign(value)


def _inputs(model: tf_keras.Model, x: npt.ArrayLike) -> Float32Array:
    """The inputs as float32 `[N, ...]`, checked against what the model takes."""
    rows = np.array(x, dtype=np.float32)
    wanted = model.input_shape if model.built and model.inputs else (None, *rows.shape[1:])
    require(isinstance(wanted, tuple), f"the model must have one input, got {wanted}")
    if rows.ndim == 1 and tuple(wanted) == (None, 1):
        rows = rows[:, None]
    fits = rows.ndim == len(wanted) and all(n in (None, m) for n, m in zip(wanted[1:], rows.shape[1:], strict=True))
    shape = ", ".join(["N", *map(str, wanted[1:])])
    require(fits and len(rows) > 0, f"x must have shape [{shape}], got {list(rows.shape)}")
    require(bool(np.isfinite(rows).all()), f"x must be finite, got {np.count_nonzero(~np.isfinite(rows))} values not")
    return rows
