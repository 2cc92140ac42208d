"""Variation in the output: point weights and a distribution as the last layer."""

from __future__ import annotations

from variational_bnn.base import Network
from variational_bnn.models.builders.assembly import assemble, dense
from variational_bnn.models.variational_model import VariationalModel


def build_output_variation(network: Network, num_examples: int, *, seed: int | None = None) -> VariationalModel:
    """Build the network with point weights: all that varies is y around the likelihood's parameters.

    There is no posterior, so the KL is 0, the loss is maximum likelihood and the epistemic variance is 0 everywhere.

    Args:
        network: What to build; its prior plays no part here.
        num_examples: N, taken so that the builders are interchangeable; without a KL it plays no part.
        seed: Of the initial values; None for fresh ones.

    Returns:
        A model to compile with `negative_log_likelihood`, from inputs `[N, *input_shape]` to a distribution of
        `[N, D]` targets.

    Raises:
        TypeError: If the network is none.
        ValueError: If num_examples is not a whole number >= 1, or the seed is not one >= 0.
    """
    return assemble(network, num_examples, seed, "output_variation", hidden=dense, output=dense)
