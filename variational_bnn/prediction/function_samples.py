"""Function samples: each is one draw of a model, for all inputs. The one place that draws them.

What is random in a model is drawn once for a sample and serves every row, so that rows may come in any number of
chunks and a sample is one function of x; latents alone are drawn for each row. This file reads from top to bottom:

1. `drawing` makes the stochastic layers of a model follow their rules (`rules.py`) for a while.
2. `Sampler` compiles a model under its rules. B copies of R rows pass through it as one batch `[B * R, ...]`.
3. `FunctionSamples` are all samples at all rows, computed by chunks of rows and blocks of samples of bounded size.

To tell what is drawn once for all rows from what is drawn for each row in a model that has both, each sample has K
copies of the rows: they share the former, and each has the latter for itself.

A model may have randomness that no rule covers. It then draws in its own way: one call a sample, of all rows together,
seeded by the seed of TensorFlow's graph. Whether it draws for each row is seen from copies of rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array, Floats, require, require_count, require_seed
from variational_bnn.models.backend import layers_of, require_model, tf, tf_keras, tfd, traced
from variational_bnn.models.discrete_likelihoods import Bernoulli, Categorical, as_labels, of_classes
from variational_bnn.models.whole_networks import RandomNetwork
from variational_bnn.prediction.inputs import require_inputs
from variational_bnn.prediction.replaced_calls import TRACING, calling
from variational_bnn.prediction.rules import Block, layers_with_rules

BLOCK = 100
"""The largest number of samples that are drawn together."""

NOISE = 2**23
"""The largest amount of noise that is drawn together: the numbers that one sample handles, times the samples."""

ROWS = 1024
"""The largest number of rows, and copies of rows, that are computed together."""

COPIES = 8
"""Copies K of each row in a sample, where a model draws both once for all rows and for each row."""


def drawing(model: tf_keras.Model, block: Block) -> contextlib.AbstractContextManager[None]:
    """Within the context, a call of the model with `[B * R, ...]` inputs draws a block of B function samples."""
    functions = []
    for number, (layer, rule) in enumerate(layers_with_rules(model)):
        seed = tf.random.experimental.stateless_fold_in(block.seed, number)
        functions.append((layer, functools.partial(rule.draw, layer, dataclasses.replace(block, seed=seed))))
    return calling(model, functions)


class Sampler:
    """A model compiled to draw blocks of function samples at rows `[R, ...]`.

    Its compiled functions all take rows, the number of the first row, targets, B and the seeds `[2]` of the samples and
    of the noise of y. So their graphs begin alike, and a model that draws in its own way draws the same samples in
    each. They return arrays `[B, K, R, ...]` of K copies of the rows in each sample.

    Attributes:
        graph_seed: None if rules cover all that is random in the model. Otherwise the model draws in its own way, with
            this seed: B is 1, and all rows come in one call.
        shared: Whether anything is drawn once for all rows, so that samples may be different functions.
        per_row: Whether anything is drawn for each row.
        copies: K; unless it is given, 1 for a model that is not, and may not be, both.
        variables: The model's variables.
        block_size: The largest B.
        has_density: Whether the model's output is a distribution; otherwise it is a tensor.
        classes: The likelihood, if y is a class; otherwise None.
        num_targets: D, the number of targets of a row.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        rows: tf.TensorSpec,
        graph_seed: int | None = None,
        own_per_row: bool = False,
        copies: int | None = None,
    ) -> None:
        self._model, self._rows, self.graph_seed = weakref.ref(model), rows, graph_seed
        self.variables = list(model.variables)
        self.block_size = max(1, min(BLOCK, NOISE // _numbers_a_sample(model))) if graph_seed is None else 1
        per_row = {rule.per_row for _, rule in layers_with_rules(model)}
        self.shared = False in per_row or graph_seed is not None
        self.per_row = True in per_row or own_per_row
        self.copies = copies or (COPIES if self.shared and self.per_row else 1)
        self.has_density, self.num_targets = False, 0
        self.classes: Bernoulli | Categorical | None = None
        self.moments = self._compiled(self._moments)

    @property
    def deterministic(self) -> bool:
        """Whether there is nothing random in the model."""
        return not (self.shared or self.per_row)

    @functools.cached_property
    def log_density(self) -> Any:
        """Compiled at its first use: log p(y given x, sample), `[B, K, R]`."""
        return self._compiled(self._log_density)

    @functools.cached_property
    def noisy(self) -> Any:
        """Compiled at its first use: a draw of y from each sample, `[B, K, R, D]`."""
        return self._compiled(self._noisy)

    def is_repeatable(self, rows: Floats) -> bool:
        """Whether the same seed gives the same sample, as it does if rules cover all that is random in the model."""
        return _all_close([self._once(rows) for _ in range(8)])

    def draws_for_each_row(self, rows: Floats) -> bool:
        """Whether copies of the rows differ within a sample."""
        return not _all_close(list(zip(*(np.moveaxis(moment, 1, 0) for moment in self._once(rows)), strict=True)))

    def _once(self, rows: Floats) -> list[Any]:
        one, seed = tf.constant(1), tf.constant([0, 0], tf.int64)
        moments = self.moments(tf.constant(rows), tf.constant(0), tf.zeros(0, rows.dtype), one, seed, seed)
        return [moment.numpy() for moment in moments]

    def _compiled(self, function: Callable[..., Any]) -> Any:
        targets = tf.TensorSpec(None, self._rows.dtype)
        number, seed = tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int64)
        return traced(function, self._rows, number, targets, number, seed, seed)

    def _outputs(self, rows: tf.Tensor, start: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> Any:
        """What the model puts out for B * K copies of the rows, K for each sample."""
        if self.graph_seed is not None:
            tf.compat.v1.set_random_seed(self.graph_seed)  # Within a function this seeds the function's graph alone.
        model: Any = self._model()
        copies = tf.tile(rows, [count * self.copies] + [1] * (len(self._rows.shape) - 1))
        with drawing(model, Block(self.block_size, count, seed, start)):
            return as_labels(model(tf.ensure_shape(copies, self._rows.shape), training=False))

    def _moments(
        self, rows: tf.Tensor, start: tf.Tensor, y: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """E[y given x, sample] and Var[y given x, sample]; a tensor is a mean without noise."""
        outputs = self._outputs(rows, start, count, seed)
        self.has_density = isinstance(outputs, tfd.Distribution)
        require(self.has_density or tf.is_tensor(outputs), f"the model must have one output, got {outputs!r}")
        self.classes = of_classes(outputs)
        mean = outputs.mean() if self.has_density else outputs
        variance = outputs.variance() if self.has_density else tf.zeros_like(mean)
        one_y = outputs.batch_shape.concatenate(outputs.event_shape) if self.has_density else mean.shape
        self.num_targets = int(one_y[1:].num_elements())
        return self._by_sample(mean, rows, count), self._by_sample(variance, rows, count)

    def _log_density(
        self, rows: tf.Tensor, start: tf.Tensor, y: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tf.Tensor:
        density = self._outputs(rows, start, count, seed)
        dtype = density.dtype if density.dtype.is_floating else tf.float32  # A target between 0 and 1 is not rounded.
        shape = tf.concat([density.batch_shape_tensor(), density.event_shape_tensor()], 0)
        copies = tf.tile(y, [count * self.copies, 1])
        log_density = density.log_prob(tf.reshape(tf.cast(copies, dtype), shape))
        return tf.reduce_sum(self._by_sample(log_density, rows, count), -1)

    def _noisy(
        self, rows: tf.Tensor, start: tf.Tensor, y: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tf.Tensor:
        density = self._outputs(rows, start, count, seed)
        noise_seed = tf.random.experimental.stateless_fold_in(noise_seed, -1)  # The layers' numbers are 0, 1, ...
        return self._by_sample(tf.cast(density.sample(seed=noise_seed), tf.float32), rows, count)

    def _by_sample(self, values: tf.Tensor, rows: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Values `[B * K * R, ...]` as `[B, K, R, D]`."""
        return tf.reshape(values, [count, self.copies, tf.shape(rows)[0], -1])


def _all_close(draws: Sequence[Any]) -> bool:
    """Whether all draws, each of one or several arrays, are equal but for rounding."""
    first, *others = draws
    pairs = [pair for other in others for pair in zip(first, other, strict=True)]
    return all(np.allclose(a, b, rtol=1e-4, atol=0, equal_nan=True) for a, b in pairs)


def _numbers_a_sample(model: tf_keras.Model) -> int:
    """How many numbers a sample handles, at most: all of the model's, but one weight vector of a whole network."""
    networks = [layer for layer in layers_of(model) if isinstance(layer, RandomNetwork)]
    of_networks = {id(variable) for layer in networks for variable in layer.variables}
    others = sum(int(np.prod(variable.shape)) for variable in model.variables if id(variable) not in of_networks)
    return max(1, others + sum(layer.space.size for layer in networks))


_SAMPLERS: weakref.WeakKeyDictionary[tf_keras.Model, tuple[list[Any], Sampler | bool]] = weakref.WeakKeyDictionary()
"""The sampler of each living model, and what it depends on; of a model that draws in its own way, whether it draws for
each row."""


def _sampler_of(model: tf_keras.Model, x: Floats, seed: int, copies: int | None) -> Sampler:
    """The model's sampler. For a model that draws in its own way it is new, so that it draws the same each time.

    So it is with another number of copies of the rows than the model needs.
    """
    layers = [(weakref.ref(x), getattr(x, "rate", None), getattr(x, "activation", None)) for x in layers_of(model)]
    rows = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
    state: list[Any] = [rows, *layers]  # All that a graph depends on, except the values of variables.
    with TRACING:
        if model not in _SAMPLERS or _SAMPLERS[model][0] != state:
            sampler = Sampler(model, rows)
            if sampler.is_repeatable(x[:32]):
                _SAMPLERS[model] = state, sampler
            else:
                in_copies = Sampler(model, rows, graph_seed=0, own_per_row=True)
                _SAMPLERS[model] = state, in_copies.draws_for_each_row(x[:32])
        known = _SAMPLERS[model][1]
    if not isinstance(known, Sampler):
        return Sampler(model, rows, graph_seed=seed, own_per_row=known, copies=copies)
    return known if copies in (None, known.copies) else Sampler(model, rows, copies=copies)


Blocks = Iterator[list[Floats]]
"""What is computed for R rows, one block of samples after the other; each array is `[B, K, R, ...]`."""


@dataclass(frozen=True, eq=False)
class FunctionSamples:
    """S function samples of a model at N inputs, computed chunk by chunk of rows when they are used.

    Attributes:
        model: Any tf_keras model.
        sampler: Its sampler.
        x: Inputs `[N, ...]`.
        num_samples: S.
        seed: Seed of the samples.
        copies: Copies K of the rows in each sample; None for as many as the sampler needs.
    """

    model: tf_keras.Model
    sampler: Sampler
    x: Floats
    num_samples: int
    seed: int
    copies: int | None = None

    @classmethod
    def of(
        cls, model: tf_keras.Model, x: npt.ArrayLike, num_samples: int, seed: int, copies: int | None = None
    ) -> FunctionSamples:
        """Check the arguments, and build a model that was never called."""
        require_model(model)
        require_count("num_samples", num_samples)
        require_seed(seed)
        rows = require_inputs(model, x)
        with TRACING:
            if not model.built:
                model(rows[:1])
        sampler = _sampler_of(model, rows, int(seed), copies)
        return cls(model, sampler, rows, int(num_samples), int(seed), copies)

    def again(self) -> FunctionSamples:
        """The same samples once more: the sampler of a model that draws in its own way can be used only once."""
        return dataclasses.replace(self, sampler=_sampler_of(self.model, self.x, self.seed, self.copies))

    def moments(self) -> Iterator[Blocks]:
        """Means and variances of y given the sample, `[B, K, R, D]` each; one sample where nothing is random."""
        return self._chunks(self.sampler.moments)

    def log_densities(self, y: Array) -> Iterator[Blocks]:
        """Log densities `[B, K, R]` of targets y `[N, D]`."""
        return self._chunks(self.sampler.log_density, y=y)

    def noisy(self, noise_seed: int) -> Iterator[Blocks]:
        """Draws of y, `[B, K, R, D]`: one from each sample and copy of the rows."""
        return self._chunks(self.sampler.noisy, noise_seed=noise_seed)

    def _chunks(self, function: Any, *, y: Array | None = None, noise_seed: int | None = None) -> Iterator[Blocks]:
        size = max(1, ROWS // self.sampler.copies) if self.sampler.graph_seed is None else len(self.x)
        for start in range(0, len(self.x), size):
            yield self._blocks(function, slice(start, start + size), y, noise_seed)

    def _blocks(self, function: Any, rows: slice, y: Array | None, noise_seed: int | None) -> Blocks:
        """Call the sampler's function with a chunk of rows, for each block."""
        size, start = self.sampler.block_size, tf.constant(rows.start)
        num_samples = 1 if self.sampler.deterministic and noise_seed is None else self.num_samples
        x = tf.constant(self.x[rows])
        targets = tf.zeros(0, x.dtype) if y is None else tf.constant(y[rows], x.dtype)
        for first in range(0, num_samples, size):
            count = tf.constant(min(num_samples - first, size))
            seed = tf.constant([self.seed, first // size], tf.int64)
            of_noise = tf.constant([noise_seed or 0, rows.start * num_samples + first], tf.int64)
            yield [part.numpy() for part in tf.nest.flatten(function(x, start, targets, count, seed, of_noise))]
