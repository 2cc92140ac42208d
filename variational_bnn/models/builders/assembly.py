"""What the builders share: a network's layers, put together to a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import require_count, require_seed
from variational_bnn.models.backend import tf, tf_keras
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.variational_model import VariationalModel

LayerMaker = Callable[[int, str | None, int, str], Callable[[tf.Tensor], tf.Tensor]]
"""`(units, activation, seed, name) -> layer`."""


def assemble(
    network: Network, num_examples: int, seed: int | None, name: str, *, hidden: LayerMaker, output: LayerMaker
) -> VariationalModel:
    """Chain inputs, hidden layers, output layer and likelihood; every layer gets a seed of its own.

    Raises:
        TypeError: If the network is none.
        ValueError: If num_examples is not a whole number >= 1, or the seed is not one >= 0.
    """
    require_network(network)
    seeds = layer_seeds(num_examples, seed, len(network.hidden_units) + 1)
    inputs = tf_keras.Input(network.input_shape, name="x")
    num_parameters = network.likelihood.num_parameters(network.output_size)
    units = network.hidden_units
    values = chain(inputs, units, network.activation, num_parameters, seeds, hidden=hidden, output=output)
    y = LikelihoodHead(network.likelihood, network.output_size, name="y")(values)
    return VariationalModel(inputs, y, name=name)


def layer_seeds(num_examples: int, seed: int | None, count: int) -> list[int]:
    """Check what every builder is given, and make a seed for each of its layers."""
    require_count("num_examples", num_examples)
    if seed is not None:
        require_seed(seed)
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(count)]


def chain(
    inputs: tf.Tensor,
    hidden_units: Sequence[int],
    activation: str,
    output_size: int,
    seeds: Sequence[int],
    *,
    hidden: LayerMaker,
    output: LayerMaker,
) -> tf.Tensor:
    """Flatten the inputs, if they have more than one axis, and put them through the layers of a network."""
    values = inputs if len(inputs.shape) == 2 else tf_keras.layers.Flatten(name="flatten")(inputs)
    for i, units in enumerate(hidden_units):
        values = hidden(units, activation, seeds[i], f"hidden_{i + 1}")(values)
    return output(output_size, None, seeds[len(hidden_units)], "parameters")(values)


def dense(units: int, activation: str | None, seed: int, name: str, **settings: Any) -> Any:
    """A dense layer of point weights; other settings are Keras's own."""
    spread = tf_keras.initializers.VarianceScaling(seed=seed)
    return tf_keras.layers.Dense(units, activation, kernel_initializer=spread, name=name, **settings)
