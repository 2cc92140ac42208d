"""Variation in the hidden units: a distribution over what they put out, as in a variational autoencoder."""

from __future__ import annotations

from typing import Any

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import require
from variational_bnn.models.builders.assembly import assemble, dense
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.variational_model import VariationalModel


def build_hidden_variation(
    network: Network,
    num_examples: int,
    *,
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalModel:
    """Build the network with normal hidden units, q(z given x), and point weights.

    Each hidden unit's value before its activation is drawn from N(loc, scale^2), which the layer below gives, with
    prior N(0, 1) (Kingma & Welling 2014, arXiv 1312.6114). **This is noise of the units, not uncertainty about
    parameters**: it need not shrink with more data, nor grow away from it.

    Args:
        network: What to build; its prior on weights plays no part here.
        num_examples: N, taken so that the builders are interchangeable; the latents' KL is one per example already.
        initial_scale: Scale of the units' noise at the start; the prior's is 1.
        kl_weight: Of the KL in the loss; 1 for the ELBO, and below it the information bottleneck of Alemi et al. 2017
            (arXiv 1612.00410).
        seed: Of the initial values and the noise; None for fresh ones.

    Returns:
        A model to compile with `negative_log_likelihood`, from inputs `[N, *input_shape]` to a distribution of
        `[N, D]` targets.

    Raises:
        TypeError: If the network is none.
        ValueError: If the network has no hidden units, or a number is out of its range.
    """
    require_network(network)
    require(bool(network.hidden_units), "hidden variation needs hidden units, got hidden_units=()")

    def stochastic(units: int, activation: str | None, seed: int, name: str) -> Any:
        parameters = dense(2 * units, None, seed, f"{name}_parameters")
        draw = NormalUnits(activation, initial_scale=initial_scale, seed=seed, kl_weight=kl_weight, name=name)
        return lambda values: draw(parameters(values))

    return assemble(network, num_examples, seed, "hidden_variation", hidden=stochastic, output=dense)
