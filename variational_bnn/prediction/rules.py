"""How each kind of stochastic layer draws a block of B function samples, and how many random numbers one takes.

Most layers draw once for all rows: kernels, masks, factors of units, whole networks. A sample is then one function of
x, and what samples disagree on is epistemic. Latents are drawn for each row apart, and are noise of the row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from variational_bnn.base.checks import require
from variational_bnn.models.backend import layers_of, tf, tf_keras, tfd, tfp
from variational_bnn.models.generated_network import GeneratedNetwork
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.random_matrix import RandomMatrix
from variational_bnn.models.random_numbers import standard_normal, standard_uniform
from variational_bnn.models.shared_units import SharedUnits
from variational_bnn.models.whole_networks import NormalNetwork, RandomNetwork, SampledNetwork


@dataclass(frozen=True, eq=False)
class Block:
    """B function samples that are drawn together, at the same R rows.

    Attributes:
        size: Number of samples that noise is drawn for. It does not depend on B, so that fewer samples are the first of
            many.
        count: B, a scalar tensor; the first B of the block are computed.
        seed: Seed `[2]` of the noise, a tensor.
        start: Number of the first of the R rows among all rows, a scalar tensor: with the seed it decides what is drawn
            for each row.
    """

    size: int
    count: tf.Tensor
    seed: tf.Tensor
    start: tf.Tensor

    def by_sample(self, values: tf.Tensor, *sizes: Any) -> tf.Tensor:
        """Values `[B * R, ...]` as `[B, R, *sizes]`: the rows of each sample."""
        return tf.reshape(values, [self.count, -1, *sizes])


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a kind of stochastic layer draws.

    Attributes:
        draw: `(layer, block, inputs [B * R, ...]) -> outputs [B * R, ...]`.
        count: `(layer, inputs) -> number of random numbers` of one function sample, of each row if it is `per_row`.
        per_row: Whether each row has random numbers of its own; otherwise all rows of a sample share them.
    """

    draw: Callable[[Any, Block, tf.Tensor], tf.Tensor]
    count: Callable[[Any, tf.Tensor], int]
    per_row: bool = False


def _dense(layer: Any, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a kernel and a bias of its own."""
    kernel_seed, bias_seed = tf.unstack(tf.random.split(block.seed, alg="philox"))
    inputs = tf.convert_to_tensor(inputs, layer.compute_dtype)
    kernels = _drawn(layer.kernel_posterior, block, kernel_seed, inputs.dtype)
    outputs = tf.matmul(block.by_sample(inputs, inputs.shape[-1]), kernels)
    if layer.bias_posterior is not None:
        outputs += _drawn(layer.bias_posterior, block, bias_seed, inputs.dtype)[:, None, :]
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [layer.units]], 0))
    return outputs if layer.activation is None else layer.activation(outputs)


def _convolution(layer: Any, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a kernel and a bias of its own; the samples are convolved one after the other."""
    kernel_seed, bias_seed = tf.unstack(tf.random.split(block.seed, alg="philox"))
    inputs = tf.convert_to_tensor(inputs, layer.compute_dtype)
    kernels = _drawn(layer.kernel_posterior, block, kernel_seed, inputs.dtype)
    axis = "DHW"[3 - layer.rank :]
    data_format = f"N{axis}C" if layer.data_format == "channels_last" else f"NC{axis}"

    def convolved(of_sample: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        images, kernel = of_sample
        padding = layer.padding.upper()
        return tf.nn.convolution(images, kernel, layer.strides, padding, data_format, layer.dilation_rate)

    images = block.by_sample(inputs, *tf.unstack(tf.shape(inputs))[1:])
    signature = tf.TensorSpec(layer.compute_output_shape(inputs.shape), inputs.dtype)
    outputs = tf.map_fn(convolved, (images, kernels), fn_output_signature=signature)
    if layer.bias_posterior is not None:
        last = layer.data_format == "channels_last"
        ones = [1] * layer.rank
        shape = [-1, 1, *ones, layer.filters] if last else [-1, 1, layer.filters, *ones]
        outputs += tf.reshape(_drawn(layer.bias_posterior, block, bias_seed, inputs.dtype), shape)
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:1], tf.shape(outputs)[2:]], 0))
    return outputs if layer.activation is None else layer.activation(outputs)


def _matrix(layer: RandomMatrix, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a matrix of its own, of weights and biases."""
    inputs = tf.convert_to_tensor(inputs, layer.compute_dtype)
    noise = standard_normal([block.size, *layer.loc.shape], block.seed, inputs.dtype)[: block.count]
    with_one = tf.concat([inputs, tf.ones_like(inputs[..., :1])], -1)
    outputs = tf.matmul(block.by_sample(with_one, with_one.shape[-1]), layer.weights_of(noise))
    return layer.activation(tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [layer.units]], 0)))


def _drawn(posterior: tfd.Distribution, block: Block, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Values `[B, ...]` of weights or biases, one for each sample."""
    if not _is_normal(posterior):
        return tf.cast(posterior.sample(block.size, seed=seed)[: block.count], dtype)
    normal = posterior.distribution
    noise = standard_normal([block.size, *posterior.event_shape], seed, normal.dtype)[: block.count]
    return tf.cast(normal.loc + normal.scale * noise, dtype)


def _is_normal(posterior: tfd.Distribution) -> bool:
    """Whether all values are independent and normal, as those of this package's layers are, and TFP's by default."""
    if type(posterior) is not tfd.Independent or type(posterior.distribution) is not tfd.Normal:
        return False
    return bool(posterior.distribution.batch_shape == posterior.event_shape)


def _weights(layer: Any, inputs: tf.Tensor) -> int:
    """The weights and biases that are not point estimates."""
    posteriors = [q for q in (layer.kernel_posterior, layer.bias_posterior) if not _is_point(q)]
    return sum(math.prod([*posterior.batch_shape, *posterior.event_shape]) for posterior in posteriors)


def _is_point(posterior: tfd.Distribution | None) -> bool:
    """Whether there is nothing random: no bias at all, or a point estimate, as TFP's biases are by default."""
    q = getattr(posterior, "distribution", posterior)
    return q is None or isinstance(q, (tfd.Deterministic, tfd.VectorDeterministic))


def _factors(layer: SharedUnits, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a factor of its own for each unit, which its rows share."""
    q = layer.posterior().distribution
    units = inputs.shape[-1]
    noise = standard_normal([block.size, 1, units], block.seed, inputs.dtype)[: block.count]
    return tf.reshape(block.by_sample(inputs, units) * (q.loc + q.scale * noise), tf.shape(inputs))


def _latents(distribution: tfd.Distribution, block: Block) -> tf.Tensor:
    """Latents `[B * R, ..., units]` of normal distributions, drawn for each row and sample apart."""
    q = distribution.distribution
    loc, scale = (block.by_sample(values, q.loc.shape[-1]) for values in (q.loc, q.scale))
    # The rows come first, so that fewer rows are the first of many, to the last digit: each value is computed alone.
    shape = [tf.shape(loc)[1], block.size, loc.shape[-1]]
    seed = tf.random.experimental.stateless_fold_in(block.seed, block.start)
    noise = tf.random.stateless_normal(shape, seed, dtype=loc.dtype, alg="philox")[:, : block.count]
    return tf.reshape(loc + scale * tf.transpose(noise, [1, 0, 2]), tf.shape(q.loc))


def _units(layer: NormalUnits, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has latents of its own for each row."""
    return layer.activation(_latents(layer.posterior(inputs), block))


def _conditional_units(layer: ConditionalUnits, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has latents of its own for each row: one draw of them, not the K draws of training."""
    return _latents(layer.prior(inputs), block)[..., None, :]


def _half_the_inputs(layer: Any, inputs: tf.Tensor) -> int:
    """The latents, each with a loc and a scale among the inputs."""
    return int(inputs.shape[-1]) // 2


def _dropout(layer: Any, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a mask of its own, which its rows share (Gal & Ghahramani 2016, arXiv 1506.02142)."""
    sizes = tf.unstack(tf.shape(inputs))[1:]
    shape = [block.size, 1, *_mask_shape(layer, inputs, sizes)]
    kept = standard_uniform(shape, block.seed, inputs.dtype)[: block.count] >= layer.rate
    rows = block.by_sample(inputs, *sizes)
    return tf.reshape(tf.where(kept, rows / (1 - layer.rate), 0), tf.shape(inputs))


def _mask_shape(layer: Any, inputs: tf.Tensor, sizes: Any) -> list[Any]:
    """Shape of a dropout layer's mask: the sizes of a row, but 1 along axes whose elements are dropped together."""
    noise_shape = layer.noise_shape or layer._get_noise_shape(inputs) or [None, *sizes]
    together = [isinstance(size, int) and size == 1 for size in noise_shape[1:]]
    return [1 if one else size for one, size in zip(together, sizes, strict=True)]


def _mask_elements(layer: Any, inputs: tf.Tensor) -> int:
    """The elements of the mask."""
    shape = _mask_shape(layer, inputs, inputs.shape[1:])
    require(None not in shape, f"{layer.name} must have inputs of known shape, got {inputs.shape}")
    return math.prod(shape) if layer.rate else 0


def _network(layer: RandomNetwork, block: Block, inputs: tf.Tensor) -> tf.Tensor:
    """Each sample has a whole network of its own."""
    outputs = layer.draw(block.by_sample(inputs, inputs.shape[-1]), block.size, block.seed)
    return tf.reshape(outputs, [-1, layer.space.num_outputs])


DENSE = Rule(draw=_dense, count=_weights)
CONVOLUTION = Rule(draw=_convolution, count=_weights)

RULES: dict[type, Rule] = {
    tfp.layers.DenseReparameterization: DENSE,
    tfp.layers.DenseFlipout: DENSE,
    tfp.layers.DenseLocalReparameterization: DENSE,
    tfp.layers.Convolution1DReparameterization: CONVOLUTION,
    tfp.layers.Convolution2DReparameterization: CONVOLUTION,
    tfp.layers.Convolution3DReparameterization: CONVOLUTION,
    tfp.layers.Convolution1DFlipout: CONVOLUTION,
    tfp.layers.Convolution2DFlipout: CONVOLUTION,
    tfp.layers.Convolution3DFlipout: CONVOLUTION,
    RandomMatrix: Rule(draw=_matrix, count=lambda layer, inputs: layer.num_random),
    SharedUnits: Rule(draw=_factors, count=lambda layer, inputs: int(inputs.shape[-1])),
    NormalUnits: Rule(draw=_units, count=_half_the_inputs, per_row=True),
    ConditionalUnits: Rule(draw=_conditional_units, count=_half_the_inputs, per_row=True),
    tf_keras.layers.Dropout: Rule(draw=_dropout, count=_mask_elements),
    SampledNetwork: Rule(draw=_network, count=lambda layer, inputs: 1),
    GeneratedNetwork: Rule(draw=_network, count=lambda layer, inputs: int(layer.noise_size)),
    NormalNetwork: Rule(draw=_network, count=lambda layer, inputs: int(layer.num_random)),
}
"""The rule of each kind of layer and of its subclasses. The three estimators share one posterior, and so one rule."""


def layers_with_rules(model: tf_keras.Model) -> list[tuple[Any, Rule]]:
    """The stochastic layers of a model, those of nested models included, each with its rule."""
    return [(layer, rule) for layer in layers_of(model) for kind, rule in RULES.items() if isinstance(layer, kind)]
