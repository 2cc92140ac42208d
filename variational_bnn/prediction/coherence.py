"""How each kind of random layer makes coherent draws: what is random in it is drawn once, and serves every row."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from variational_bnn.base.checks import require
from variational_bnn.models.backend import layers_of, require_model, tf, tf_keras, tfd, tfp
from variational_bnn.models.layers import NormalUnits
from variational_bnn.models.whole_networks import LinearisedNetwork, RandomNetwork, SampledNetwork


def _dense(
    layer: Any, block: int, draws: tf.Tensor, seed: tf.Tensor, inputs: tf.Tensor, *_: Any, **__: Any
) -> tf.Tensor:
    """Each draw's own weights, for the rows of that draw."""
    kernel_seed, bias_seed = tf.unstack(tf.random.split(seed))
    inputs = tf.convert_to_tensor(inputs, layer.compute_dtype)
    rows = tf.reshape(inputs, [draws, -1, inputs.shape[-1]])
    outputs = tf.matmul(rows, layer.kernel_posterior.sample(block, seed=kernel_seed)[:draws])
    if layer.bias_posterior is not None:
        outputs += layer.bias_posterior.sample(block, seed=bias_seed)[:draws, None, :]
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [layer.units]], 0))
    return outputs if layer.activation is None else layer.activation(outputs)


def _number_of_weights(layer: Any, inputs: tf.Tensor) -> int:
    """Those of the kernel and the bias, unless they are points, as TFP's biases are by default."""
    sizes = [(layer.kernel_posterior, int(inputs.shape[-1])), (layer.bias_posterior, 1)]
    return sum(size * int(layer.units) for posterior, size in sizes if not _is_point(posterior))


def _is_point(posterior: tfd.Distribution | None) -> bool:
    q = getattr(posterior, "distribution", posterior)
    return q is None or isinstance(q, (tfd.Deterministic, tfd.VectorDeterministic))


def _units(
    layer: NormalUnits, block: int, draws: tf.Tensor, seed: tf.Tensor, inputs: tf.Tensor, *_: Any, **__: Any
) -> tf.Tensor:
    """Each draw's own noise, shared by its rows."""
    q = layer.posterior(inputs).distribution
    noise = tf.random.stateless_normal([block, 1, q.loc.shape[-1]], seed, dtype=q.loc.dtype)[:draws]
    loc, scale = (tf.reshape(value, [draws, -1, q.loc.shape[-1]]) for value in (q.loc, q.scale))
    return layer.activation(tf.reshape(loc + scale * noise, tf.shape(q.loc)))


def _number_of_units(layer: NormalUnits, inputs: tf.Tensor) -> int:
    """One each, whatever the inputs' other axes."""
    return int(inputs.shape[-1]) // 2


def _dropout(
    layer: Any, block: int, draws: tf.Tensor, seed: tf.Tensor, inputs: tf.Tensor, *_: Any, **__: Any
) -> tf.Tensor:
    """Each draw's own mask, shared by its rows (Gal & Ghahramani 2016, arXiv 1506.02142)."""
    sizes = tf.unstack(tf.shape(inputs))[1:]
    shape = _mask_shape(layer, inputs, sizes)
    kept = tf.random.stateless_uniform([block, 1, *shape], seed, dtype=inputs.dtype)[:draws] >= layer.rate
    rows = tf.reshape(inputs, [draws, -1, *sizes])
    return tf.reshape(tf.where(kept, rows / (1 - layer.rate), 0), tf.shape(inputs))


def _number_of_mask(layer: Any, inputs: tf.Tensor) -> int:
    """Elements of a mask, if any can be dropped."""
    shape = _mask_shape(layer, inputs, inputs.shape[1:])
    require(None not in shape, f"{layer.name} must have inputs of known shape, got {inputs.shape}")
    return int(np.prod(shape)) if layer.rate else 0


def _mask_shape(layer: Any, inputs: tf.Tensor, sizes: Any) -> list[Any]:
    """The sizes of a row, but 1 along the axes whose elements are dropped together."""
    wanted = layer.noise_shape or layer._get_noise_shape(inputs) or [None, *sizes]
    together = [isinstance(size, int) and size == 1 for size in wanted[1:]]
    return [1 if one else size for one, size in zip(together, sizes, strict=True)]


class _Rule(NamedTuple):
    """How a kind of layer makes a block of coherent draws, and how many random numbers one of them takes."""

    draw: Callable[..., tf.Tensor]
    size: Callable[[Any, tf.Tensor], int]


def _network(
    layer: RandomNetwork, block: int, draws: tf.Tensor, seed: tf.Tensor, inputs: tf.Tensor, *_: Any, **__: Any
) -> tf.Tensor:
    """Each draw's own network, for the rows of that draw."""
    outputs = layer.draw(tf.reshape(inputs, [draws, -1, inputs.shape[-1]]), block, seed)
    return tf.reshape(outputs, [-1, layer.space.num_outputs])


_DENSE = _Rule(_dense, _number_of_weights)

_COHERENT = {
    tfp.layers.DenseReparameterization: _DENSE,
    tfp.layers.DenseFlipout: _DENSE,
    tfp.layers.DenseLocalReparameterization: _DENSE,
    NormalUnits: _Rule(_units, _number_of_units),
    tf_keras.layers.Dropout: _Rule(_dropout, _number_of_mask),
    SampledNetwork: _Rule(_network, lambda *_: 1),
    LinearisedNetwork: _Rule(_network, lambda layer, _: layer.space.size),
}
"""The rule of each kind of layer; our layers are instances of TFP's."""


def random_layers(model: tf_keras.Model) -> list[tuple[Any, _Rule]]:
    """The model's layers that there is a rule for, nested ones too, each with its rule."""
    return [(layer, rule) for layer in layers_of(model) for kind, rule in _COHERENT.items() if isinstance(layer, kind)]


@contextlib.contextmanager
def _calling(layers: Sequence[tuple[Any, Callable[..., tf.Tensor]]]) -> Iterator[None]:
    """While this lasts, each of the layers is called so, from whatever kind of model calls it."""
    for layer, call in layers:
        object.__setattr__(layer, "call", tf.autograph.experimental.do_not_convert(call))
    try:
        yield
    finally:
        for layer, _ in layers:
            object.__delattr__(layer, "call")


def drawing(
    model: tf_keras.Model, block: int, draws: tf.Tensor, seed: tf.Tensor
) -> contextlib.AbstractContextManager[None]:
    """While this lasts, the model's random layers make coherent draws."""
    layers = enumerate(random_layers(model))
    seeds = tf.random.experimental.stateless_fold_in
    return _calling([(x, functools.partial(rule.draw, x, block, draws, seeds(seed, i))) for i, (x, rule) in layers])


@contextlib.contextmanager
def inlined() -> Iterator[None]:
    """While this lasts, what a user compiled is traced anew as part of our graph: a trace of before draws as before."""
    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eagerly)


def num_random_variables(model: tf_keras.Model) -> int:
    """How many random numbers make one coherent draw of the model, one function.

    Each weight and bias that is not a point, each latent unit, and each element of a dropout mask; a layer that is
    called twice draws once. Randomness that no rule of this package covers is not counted.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the model has never been called or given an input, or the size of a mask depends on the inputs.
    """
    require_model(model)
    spec = model.save_spec()
    require(spec is not None, "the model must have inputs of known shape: call it once, or give it an Input")
    counts: dict[Any, int] = {}

    def count(layer: Any, rule: _Rule, inputs: tf.Tensor, *_: Any, **__: Any) -> tf.Tensor:
        counts[layer] = rule.size(layer, inputs)
        return rule.draw(layer, 1, tf.constant(1), tf.zeros(2, tf.int32), inputs)

    def call(rows: tf.Tensor) -> None:
        layers = [(layer, functools.partial(count, layer, rule)) for layer, rule in random_layers(model)]
        with _calling(layers), inlined():
            model(rows, training=False)

    tf.function(call).get_concrete_function(spec[0][0])
    return sum(counts.values())


def numbers_a_draw(model: tf_keras.Model) -> int:
    """How many numbers a draw handles, at most: all of the model's, but one weight vector of a whole network."""
    networks = [layer for layer in layers_of(model) if isinstance(layer, RandomNetwork)]
    whole = {id(variable) for layer in networks for variable in layer.variables}
    others = sum(int(np.prod(variable.shape)) for variable in model.variables if id(variable) not in whole)
    return others + sum(layer.space.size for layer in networks)
