"""Function samples: each is one draw of a model, the same function at every x. The one place that draws them.

What is random in a model is drawn once for a sample and serves every row, so that rows may come in any number of
chunks. This file reads from top to bottom:

1. `RULES` says how each kind of stochastic layer draws for a block of B samples at once, for instance B kernels
   `[B, in, out]`. The three estimators of weight variation share one posterior family, and therefore one rule.
2. `drawing` makes the stochastic layers of a model follow their rules for a while.
3. `Sampler` compiles a model under its rules. B copies of R rows pass through it as one batch `[B * R, ...]`.
4. `FunctionSamples` are all samples at all rows, computed by chunks of rows and blocks of samples of bounded size.

A model may have randomness that no rule covers. It then draws in its own way: one call a sample, of all rows together,
seeded by the seed of TensorFlow's graph.
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

from variational_bnn.base.checks import Array, Float32Array, require, require_count, require_seed
from variational_bnn.models.backend import layers_of, require_model, tf, tf_keras, tfd, tfp
from variational_bnn.models.discrete_likelihoods import Bernoulli, Categorical, as_labels, of_classes
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.whole_networks import LinearisedNetwork, RandomNetwork, SampledNetwork
from variational_bnn.prediction.inputs import require_inputs

BLOCK = 100
"""The largest number of samples that are drawn together."""

NOISE = 2**23
"""The largest amount of noise that is drawn together: the numbers that one sample handles, times the samples."""

ROWS = 1024
"""The largest number of rows that are computed together."""


@dataclass(frozen=True, eq=False)
class Block:
    """B function samples that are drawn together.

    Attributes:
        size: Number of samples that noise is drawn for. It does not depend on B, so that fewer samples are the first of
            many.
        count: B, a scalar tensor; the first B of the block are computed.
        seed: Seed `[2]` of the noise, a tensor.
    """

    size: int
    count: tf.Tensor
    seed: tf.Tensor

    def by_sample(self, values: tf.Tensor, *sizes: Any) -> tf.Tensor:
        """Values `[B * R, ...]` as `[B, R, *sizes]`: the rows of each sample."""
        return tf.reshape(values, [self.count, -1, *sizes])


Rule = Callable[[Any, Block, tf.Tensor], tf.Tensor]
"""`(layer, block, inputs [B * R, ...]) -> outputs [B * R, ...]`."""


def _dense(layer: Any, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a kernel and a bias of its own."""
    kernel_seed, bias_seed = tf.unstack(tf.random.split(block.seed))
    inputs = tf.convert_to_tensor(inputs, layer.compute_dtype)
    kernels = layer.kernel_posterior.sample(block.size, seed=kernel_seed)[: block.count]
    outputs = tf.matmul(block.by_sample(inputs, inputs.shape[-1]), kernels)
    if layer.bias_posterior is not None:
        outputs += layer.bias_posterior.sample(block.size, seed=bias_seed)[: block.count, None, :]
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [layer.units]], 0))
    return outputs if layer.activation is None else layer.activation(outputs)


def _units(layer: NormalUnits, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has noise of its own, which its rows share; mean and scale of the units are those of the row."""
    q = layer.posterior(inputs).distribution
    units = q.loc.shape[-1]
    noise = tf.random.stateless_normal([block.size, 1, units], block.seed, dtype=q.loc.dtype)[: block.count]
    values = block.by_sample(q.loc, units) + block.by_sample(q.scale, units) * noise
    return layer.activation(tf.reshape(values, tf.shape(q.loc)))


def _dropout(layer: Any, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a mask of its own, which its rows share (Gal & Ghahramani 2016, arXiv 1506.02142)."""
    sizes = tf.unstack(tf.shape(inputs))[1:]
    shape = [block.size, 1, *mask_shape(layer, inputs, sizes)]
    kept = tf.random.stateless_uniform(shape, block.seed, dtype=inputs.dtype)[: block.count] >= layer.rate
    rows = block.by_sample(inputs, *sizes)
    return tf.reshape(tf.where(kept, rows / (1 - layer.rate), 0), tf.shape(inputs))


def mask_shape(layer: Any, inputs: tf.Tensor, sizes: Any) -> list[Any]:
    """Shape of a dropout layer's mask: the sizes of a row, but 1 along axes whose elements are dropped together."""
    noise_shape = layer.noise_shape or layer._get_noise_shape(inputs) or [None, *sizes]
    together = [isinstance(size, int) and size == 1 for size in noise_shape[1:]]
    return [1 if one else size for one, size in zip(together, sizes, strict=True)]


def _network(layer: RandomNetwork, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a whole network of its own."""
    outputs = layer.draw(block.by_sample(inputs, inputs.shape[-1]), block.size, block.seed)
    return tf.reshape(outputs, [-1, layer.space.num_outputs])


RULES: dict[type, Rule] = {
    tfp.layers.DenseReparameterization: _dense,
    tfp.layers.DenseFlipout: _dense,
    tfp.layers.DenseLocalReparameterization: _dense,
    NormalUnits: _units,
    tf_keras.layers.Dropout: _dropout,
    SampledNetwork: _network,
    LinearisedNetwork: _network,
}
"""The rule of each kind of layer and of its subclasses; a new kind also needs a count in `random_variables`."""


def layers_with_rules(model: tf_keras.Model) -> list[tuple[Any, Rule]]:
    """The stochastic layers of a model, those of nested models included, each with its rule."""
    return [(layer, rule) for layer in layers_of(model) for kind, rule in RULES.items() if isinstance(layer, kind)]


@contextlib.contextmanager
def calling(functions: Sequence[tuple[Any, Callable[[tf.Tensor], tf.Tensor]]]) -> Iterator[None]:
    """Within the context, each layer is called by its function of the inputs instead of its own `call`."""
    eagerly = tf.config.functions_run_eagerly()
    for layer, function in functions:
        call = functools.partial(lambda function, inputs, *_, **__: function(inputs), function)  # No `training`.
        object.__setattr__(layer, "call", tf.autograph.experimental.do_not_convert(call))
    tf.config.run_functions_eagerly(True)  # Otherwise functions that a user compiled would keep their old calls.
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eagerly)
        for layer, _ in functions:
            object.__delattr__(layer, "call")


def drawing(model: tf_keras.Model, block: Block) -> contextlib.AbstractContextManager[None]:
    """Within the context, a call of the model with `[B * R, ...]` inputs draws a block of B function samples."""
    functions = []
    for number, (layer, rule) in enumerate(layers_with_rules(model)):
        seed = tf.random.experimental.stateless_fold_in(block.seed, number)
        functions.append((layer, functools.partial(rule, layer, dataclasses.replace(block, seed=seed))))
    return calling(functions)


class Sampler:
    """A model compiled to draw blocks of function samples at rows `[R, ...]`.

    Its compiled functions all take rows, targets, B and the seeds `[2]` of the samples and of the noise of y. So their
    graphs begin alike, and a model that draws in its own way draws the same samples in each.

    Attributes:
        graph_seed: None if rules cover all that is random in the model. Otherwise the model draws in its own way, with
            this seed: B is 1, and all rows come in one call.
        variables: The model's variables.
        block_size: The largest B.
        deterministic: Whether there is nothing random in the model.
        has_density: Whether the model's output is a distribution; otherwise it is a tensor.
        classes: The likelihood, if y is a class; otherwise None.
        num_targets: D, the number of targets of a row.
    """

    def __init__(self, model: tf_keras.Model, row_shape: tuple[int, ...], graph_seed: int | None = None) -> None:
        self._model, self._row_shape, self.graph_seed = weakref.ref(model), row_shape, graph_seed
        self.variables = list(model.variables)
        self.block_size = max(1, min(BLOCK, NOISE // _numbers_a_sample(model))) if graph_seed is None else 1
        self.deterministic = graph_seed is None and not layers_with_rules(model)
        self.has_density, self.num_targets = False, 0
        self.classes: Bernoulli | Categorical | None = None
        self.moments = self._compiled(self._moments)

    @functools.cached_property
    def log_density(self) -> Any:
        """Compiled at its first use: log p(y given x, sample), `[B, R]`."""
        return self._compiled(self._log_density)

    @functools.cached_property
    def noisy(self) -> Any:
        """Compiled at its first use: a draw of y from each sample, `[B, R, D]`."""
        return self._compiled(self._noisy)

    def is_repeatable(self, rows: Float32Array) -> bool:
        """Whether the same seed gives the same sample, as it does if rules cover all that is random in the model."""
        one, seed = tf.constant(1), tf.constant([0, 0], tf.int64)
        first, *others = (self.moments(tf.constant(rows), tf.zeros(0), one, seed, seed) for _ in range(8))
        pairs = [pair for other in others for pair in zip(first, other, strict=True)]
        return all(np.allclose(a, b, rtol=1e-4, atol=0, equal_nan=True) for a, b in pairs)

    def _compiled(self, function: Callable[..., Any]) -> Any:
        rows, targets = tf.TensorSpec([None, *self._row_shape]), tf.TensorSpec(None)
        count, seed = tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int64)
        return tf.function(function).get_concrete_function(rows, targets, count, seed, seed)

    def _outputs(self, rows: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> Any:
        """What the model puts out for B copies of the rows, one for each sample."""
        if self.graph_seed is not None:
            tf.compat.v1.set_random_seed(self.graph_seed)  # Within a function this seeds the function's graph alone.
        model: Any = self._model()
        copies = tf.tile(rows, [count] + [1] * len(self._row_shape))
        with drawing(model, Block(self.block_size, count, seed)):
            return as_labels(model(tf.ensure_shape(copies, [None, *self._row_shape]), training=False))

    def _moments(
        self, rows: tf.Tensor, y: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """E[y given x, sample] and Var[y given x, sample], `[B, R, D]` each; a tensor is a mean without noise."""
        outputs = self._outputs(rows, count, seed)
        self.has_density = isinstance(outputs, tfd.Distribution)
        require(self.has_density or tf.is_tensor(outputs), f"the model must have one output, got {outputs!r}")
        self.classes = of_classes(outputs)
        mean = outputs.mean() if self.has_density else outputs
        variance = outputs.variance() if self.has_density else tf.zeros_like(mean)
        shape = [count, tf.shape(rows)[0], -1]
        one_y = outputs.batch_shape.concatenate(outputs.event_shape) if self.has_density else mean.shape
        self.num_targets = int(one_y[1:].num_elements())
        return tf.reshape(mean, shape), tf.reshape(variance, shape)

    def _log_density(
        self, rows: tf.Tensor, y: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tf.Tensor:
        density = self._outputs(rows, count, seed)
        dtype = density.dtype if density.dtype.is_floating else tf.float32  # A target between 0 and 1 is not rounded.
        shape = tf.concat([density.batch_shape_tensor(), density.event_shape_tensor()], 0)
        log_density = density.log_prob(tf.reshape(tf.cast(tf.tile(y, [count, 1]), dtype), shape))
        return tf.reduce_sum(tf.reshape(log_density, [count, tf.shape(rows)[0], -1]), -1)

    def _noisy(
        self, rows: tf.Tensor, y: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, noise_seed: tf.Tensor
    ) -> tf.Tensor:
        density = self._outputs(rows, count, seed)
        noise_seed = tf.random.experimental.stateless_fold_in(noise_seed, -1)  # The layers' numbers are 0, 1, ...
        noisy = tf.cast(density.sample(seed=noise_seed), tf.float32)
        return tf.reshape(noisy, [count, tf.shape(rows)[0], -1])


def _numbers_a_sample(model: tf_keras.Model) -> int:
    """How many numbers a sample handles, at most: all of the model's, but one weight vector of a whole network."""
    networks = [layer for layer in layers_of(model) if isinstance(layer, RandomNetwork)]
    of_networks = {id(variable) for layer in networks for variable in layer.variables}
    others = sum(int(np.prod(variable.shape)) for variable in model.variables if id(variable) not in of_networks)
    return max(1, others + sum(layer.space.size for layer in networks))


_SAMPLERS: weakref.WeakKeyDictionary[tf_keras.Model, tuple[list[Any], Sampler | None]] = weakref.WeakKeyDictionary()
"""The sampler of each living model, and what it depends on; None if the model draws in its own way."""


def _sampler_of(model: tf_keras.Model, x: Float32Array, seed: int) -> Sampler:
    """The model's sampler. For a model that draws in its own way it is new, so that it draws the same each time."""
    layers = [(weakref.ref(x), getattr(x, "rate", None), getattr(x, "activation", None)) for x in layers_of(model)]
    state: list[Any] = [x.shape[1:], *layers]  # All that a graph depends on, except the values of variables.
    if model not in _SAMPLERS or _SAMPLERS[model][0] != state:
        sampler = Sampler(model, x.shape[1:])
        _SAMPLERS[model] = state, sampler if sampler.is_repeatable(x[:32]) else None
    return _SAMPLERS[model][1] or Sampler(model, x.shape[1:], graph_seed=seed)


Blocks = Iterator[list[Float32Array]]
"""What is computed for R rows, one block of samples after the other; each array is `[B, R, ...]`."""


@dataclass(frozen=True, eq=False)
class FunctionSamples:
    """S function samples of a model at N inputs, computed chunk by chunk of rows when they are used.

    Attributes:
        model: Any tf_keras model.
        sampler: Its sampler.
        x: Inputs `[N, ...]`.
        num_samples: S.
        seed: Seed of the samples.
    """

    model: tf_keras.Model
    sampler: Sampler
    x: Float32Array
    num_samples: int
    seed: int

    @classmethod
    def of(cls, model: tf_keras.Model, x: npt.ArrayLike, num_samples: int, seed: int) -> FunctionSamples:
        """Check the arguments, and build a model that was never called."""
        require_model(model)
        require_count("num_samples", num_samples)
        require_seed(seed)
        rows = require_inputs(model, x)
        if not model.built:
            model(rows[:1])
        return cls(model, _sampler_of(model, rows, int(seed)), rows, int(num_samples), int(seed))

    def again(self) -> FunctionSamples:
        """The same samples once more: the sampler of a model that draws in its own way can be used only once."""
        return dataclasses.replace(self, sampler=_sampler_of(self.model, self.x, self.seed))

    def moments(self) -> Iterator[Blocks]:
        """Means and variances of y given the sample, `[B, R, D]` each; one sample where nothing is random."""
        return self._chunks(self.sampler.moments)

    def log_densities(self, y: Array, tau: int = 1) -> Iterator[Blocks]:
        """Log densities `[B, R]` of targets y `[N, D]`; no chunk ends within tau consecutive rows."""
        return self._chunks(self.sampler.log_density, y=y, tau=tau)

    def noisy(self, noise_seed: int) -> Iterator[Blocks]:
        """Draws of y, `[B, R, D]`: one from each sample."""
        return self._chunks(self.sampler.noisy, noise_seed=noise_seed)

    def _chunks(self, function: Any, *, tau: int = 1, **settings: Any) -> Iterator[Blocks]:
        size = max(ROWS // tau, 1) * tau if self.sampler.graph_seed is None else len(self.x)
        for start in range(0, len(self.x), size):
            yield self._blocks(function, range(start, min(start + size, len(self.x))), **settings)

    def _blocks(self, function: Any, rows: range, *, y: Array | None = None, noise_seed: int | None = None) -> Blocks:
        """Call the sampler's function with the rows, in parts if they are more than `ROWS`, for each block."""
        size, block_size = ROWS if self.sampler.graph_seed is None else len(rows), self.sampler.block_size
        num_samples = 1 if self.sampler.deterministic and noise_seed is None else self.num_samples
        for first in range(0, num_samples, block_size):
            count = tf.constant(min(num_samples - first, block_size))
            seed = tf.constant([self.seed, first // block_size], tf.int64)
            parts = []
            for part in (rows[i : i + size] for i in range(0, len(rows), size)):
                x = tf.constant(self.x[part.start : part.stop])
                targets = tf.zeros(0) if y is None else tf.constant(y[part.start : part.stop], tf.float32)
                of_noise = tf.constant([noise_seed or 0, part.start * num_samples + first], tf.int64)
                parts.append(tf.nest.flatten(function(x, targets, count, seed, of_noise)))
            yield [np.concatenate(values, axis=1) for values in zip(*parts, strict=True)]
