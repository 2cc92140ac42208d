"""How many random numbers make one function sample of a model."""

from __future__ import annotations

import functools
import math
from typing import Any

from variational_bnn.base.checks import require
from variational_bnn.models.backend import require_model, tf, tf_keras, tfd
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.whole_networks import LinearisedNetwork, SampledNetwork
from variational_bnn.prediction.function_samples import Block, Rule, calling, layers_with_rules, mask_shape


def num_random_variables(model: tf_keras.Model) -> int:
    """Count the random numbers of one function sample of a model.

    Counted are each weight and bias that is not a point estimate, each latent unit, each element of a dropout mask, and
    1 for the choice among the weight vectors of an ensemble or a Markov chain. A layer that is called twice draws once.
    Randomness for which `function_samples` has no rule is not counted.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If the shape of the model's inputs is unknown because it was never called and has no `Input`, or if
            the size of a dropout mask depends on the inputs.
    """
    require_model(model)
    spec = model.save_spec()
    require(spec is not None, "the model must have inputs of known shape: call it once, or give it an Input")
    block = Block(1, tf.constant(1), tf.zeros(2, tf.int32))
    counts: dict[Any, int] = {}

    def count(layer: Any, rule: Rule, inputs: tf.Tensor) -> tf.Tensor:
        counts[layer] = _count(layer, inputs)
        return rule(layer, block, inputs)

    def call(rows: tf.Tensor) -> None:
        with calling([(layer, functools.partial(count, layer, rule)) for layer, rule in layers_with_rules(model)]):
            model(rows, training=False)

    tf.function(call).get_concrete_function(spec[0][0])
    return sum(counts.values())


def _count(layer: Any, inputs: tf.Tensor) -> int:
    """The random numbers of one layer."""
    if isinstance(layer, NormalUnits):
        return int(inputs.shape[-1]) // 2
    if isinstance(layer, tf_keras.layers.Dropout):
        shape = mask_shape(layer, inputs, inputs.shape[1:])
        require(None not in shape, f"{layer.name} must have inputs of known shape, got {inputs.shape}")
        return math.prod(shape) if layer.rate else 0
    if isinstance(layer, SampledNetwork):
        return 1
    if isinstance(layer, LinearisedNetwork):
        return int(layer.space.size)
    numbers = [(layer.kernel_posterior, int(inputs.shape[-1]) * layer.units), (layer.bias_posterior, layer.units)]
    return sum(number for posterior, number in numbers if not _is_point(posterior))


def _is_point(posterior: tfd.Distribution | None) -> bool:
    """Whether there is nothing random: no bias at all, or a point estimate, as TFP's biases are by default."""
    q = getattr(posterior, "distribution", posterior)
    return q is None or isinstance(q, (tfd.Deterministic, tfd.VectorDeterministic))
