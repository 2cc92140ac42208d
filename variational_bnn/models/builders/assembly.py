"""Shared by the builders: the layers of a network, put together to a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import require, require_count, require_seed
from variational_bnn.models.backend import as_written, tf, tf_keras
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.point_prior import NormalPrior
from variational_bnn.models.variational_model import VariationalModel

LayerMaker = Callable[[int, str | None, int, str], Callable[[tf.Tensor], tf.Tensor]]
"""A function `(units, activation, seed, name) -> layer`."""


@as_written
def assemble(
    network: Network,
    num_examples: int,
    seed: int | None,
    name: str,
    *,
    hidden: LayerMaker,
    output: LayerMaker,
    shared_prior: NormalPrior | None = None,
) -> VariationalModel:
    """Build the model of a network: inputs, hidden layers, output layer and likelihood.

    Args:
        network: The network.
        num_examples: Number of rows N that the model will be trained on.
        seed: From which every layer gets a seed of its own; None takes one from the entropy of the operating system.
        name: Name of the model.
        hidden: Makes each hidden layer.
        output: Makes the layer of the likelihood's parameters.
        shared_prior: Prior of the likelihood's parameters that all rows share; None for none.

    Raises:
        TypeError: If `network` is not a `Network`.
        ValueError: If `num_examples` is not a whole number >= 1, or `seed` is not a whole number >= 0.
    """
    require_network(network)
    seeds = layer_seeds(num_examples, seed, len(network.hidden_units) + 1)
    inputs = tf_keras.Input(network.input_shape, name="x")
    num_parameters = network.likelihood.num_parameters(network.output_size)
    units = network.hidden_units
    values = chain(flat(inputs), units, network.activation, num_parameters, seeds, hidden=hidden, output=output)
    head = LikelihoodHead(network.likelihood, network.output_size, shared_regularizer=shared_prior, name="y")
    return VariationalModel(inputs, head(values), name=name)


def layer_seeds(num_examples: int, seed: int | None, count: int) -> list[int]:
    """Check the arguments that all builders have, and return a seed for each of `count` layers.

    Raises:
        ValueError: If `num_examples` is not a whole number >= 1, or `seed` is not a whole number >= 0.
    """
    require_count("num_examples", num_examples)
    if seed is not None:
        require_seed(seed)
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(count)]


def flat(inputs: tf.Tensor) -> tf.Tensor:
    """Inputs `[N, ...]` of several axes as `[N, F]`."""
    return inputs if len(inputs.shape) == 2 else tf_keras.layers.Flatten(name="flatten")(inputs)


def chain(
    inputs: tf.Tensor,
    hidden_units: Sequence[int],
    activation: str,
    output_size: int,
    seeds: Sequence[int],
    *,
    hidden: LayerMaker,
    output: LayerMaker,
    names: tuple[str, str] = ("hidden", "parameters"),
) -> tf.Tensor:
    """Apply the layers of a network to inputs `[..., F]`.

    Args:
        inputs: A Keras tensor.
        hidden_units: Units of each hidden layer.
        activation: Activation of the hidden layers.
        output_size: Units of the output layer, which has no activation.
        seeds: A seed for each layer.
        hidden: Makes each hidden layer.
        output: Makes the output layer.
        names: Name of the hidden layers, to which their number is added, and of the output layer.

    Returns:
        The outputs `[..., output_size]`.
    """
    values = inputs
    for i, units in enumerate(hidden_units):
        values = hidden(units, activation, seeds[i], f"{names[0]}_{i + 1}")(values)
    return output(output_size, None, seeds[len(hidden_units)], names[1])(values)


def dense(units: int, activation: str | None, seed: int, name: str, **settings: Any) -> Any:
    """Make a dense layer of point weights.

    Args:
        units: Size of the output.
        activation: Name of a Keras activation, or None.
        seed: Seed of the initial values.
        name: Name of the layer.
        **settings: Further arguments of `tf_keras.layers.Dense`.
    """
    initializer = tf_keras.initializers.VarianceScaling(seed=seed)
    return tf_keras.layers.Dense(units, activation, kernel_initializer=initializer, name=name, **settings)


def point_weights(network: Network, num_examples: int, point_prior: bool) -> tuple[LayerMaker, NormalPrior | None]:
    """The maker of layers of point weights, and the prior of the likelihood's parameters that all rows share.

    Args:
        network: The network, with its prior.
        num_examples: Number of rows N by which the penalties are divided.
        point_prior: Whether the weights have the network's prior as a penalty; otherwise they have none.

    Raises:
        TypeError: If `network` is not a `Network`.
        ValueError: If `num_examples` is not a whole number >= 1, or `point_prior` is not True or False.
    """
    require_network(network)
    require_count("num_examples", num_examples)
    require(isinstance(point_prior, bool), f"point_prior must be True or False, got {point_prior!r}")
    if not point_prior:
        return dense, None
    prior = NormalPrior(network.prior_scale, num_examples)
    of_kernel = NormalPrior(network.prior_scale, num_examples, network.scale_prior_by_fan_in)
    return partial(dense, kernel_regularizer=of_kernel, bias_regularizer=prior), prior
