"""How many random numbers make one function sample of a model."""

from __future__ import annotations

import functools
from typing import Any

from variational_bnn.base.checks import require
from variational_bnn.models.backend import require_model, tf, tf_keras
from variational_bnn.prediction.replaced_calls import calling
from variational_bnn.prediction.rules import Block, Rule, layers_with_rules


def num_random_variables(model: tf_keras.Model) -> int:
    """Count the random numbers of one function sample of a model, at one row.

    Counted are each weight and bias that is not a point estimate, each factor of a unit, each latent unit of a row,
    each element of a dropout mask, and 1 for the choice among the weight vectors of an ensemble or a Markov chain. A
    layer that is called twice draws once. Randomness for which `rules` has no rule is not counted.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If the shape of the model's inputs is unknown because it was never called and has no `Input`, or if
            the size of a dropout mask depends on the inputs.
    """
    require_model(model)
    layers = layers_with_rules(model)
    try:
        return sum(rule.count(layer, layer.get_input_at(0)) for layer, rule in layers)
    except (AttributeError, RuntimeError):  # The model is not functional: what its layers are called with is not known.
        return _counted_in_a_call(model)


def _counted_in_a_call(model: tf_keras.Model) -> int:
    spec = model.save_spec()
    require(spec is not None, "the model must have inputs of known shape: call it once, or give it an Input")
    block = Block(1, tf.constant(1), tf.zeros(2, tf.int32), tf.constant(0))
    counts: dict[Any, int] = {}

    def count(layer: Any, rule: Rule, inputs: tf.Tensor) -> tf.Tensor:
        counts[layer] = rule.count(layer, inputs)
        return rule.draw(layer, block, inputs)

    def call(rows: tf.Tensor) -> None:
        with calling(
            model, [(layer, functools.partial(count, layer, rule)) for layer, rule in layers_with_rules(model)]
        ):
            model(rows, training=False)

    tf.function(call, autograph=False).get_concrete_function(spec[0][0])
    return sum(counts.values())
