"""Variation in the weights: a distribution over every weight and bias."""

from __future__ import annotations

from typing import Any

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import require_known
from variational_bnn.models.builders.assembly import LayerMaker, assemble
from variational_bnn.models.mean_field import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
    MeanFieldDense,
)
from variational_bnn.models.variational_model import VariationalModel

ESTIMATORS: dict[str, type[MeanFieldDense]] = {
    "reparameterization": DenseReparameterization,
    "flipout": DenseFlipout,
    "local_reparameterization": DenseLocalReparameterization,
}


def build_weight_variation(
    network: Network,
    num_examples: int,
    *,
    estimator: str = "flipout",
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalModel:
    """Build the network with a mean-field normal posterior over its weights and biases.

    Args:
        network: What to build, prior included.
        num_examples: N, the rows that the model will be trained on; the weights' KL is divided by it.
        estimator: How training draws: "reparameterization" (Bayes by Backprop, Blundell et al. 2015,
            arXiv 1505.05424), "flipout" (Wen et al. 2018, arXiv 1803.04386) or "local_reparameterization" (Kingma et
            al. 2015, arXiv 1506.02557). The posterior family is the same.
        initial_scale: Posterior standard deviation at the start, relative to the prior's.
        kl_weight: Of the KL in the loss; 1 for the ELBO, below for a tempered ("cold") posterior.
        seed: Of the initial values and the training noise; None for fresh ones.

    Returns:
        A model to compile with `negative_log_likelihood`, from inputs `[N, *input_shape]` to a distribution of
        `[N, D]` targets.

    Raises:
        TypeError: If the network is none.
        ValueError: If a number is out of its range or the estimator is unknown.
    """
    require_network(network)
    stochastic = mean_field(
        estimator,
        num_examples,
        prior_scale=network.prior_scale,
        scale_prior_by_fan_in=network.scale_prior_by_fan_in,
        initial_scale=initial_scale,
        kl_weight=kl_weight,
    )
    return assemble(network, num_examples, seed, f"weight_variation_{estimator}", hidden=stochastic, output=stochastic)


def mean_field(estimator: str, num_examples: int, **settings: Any) -> LayerMaker:
    """What makes the variational layers of an estimator; settings are those of `MeanFieldDense`.

    Raises:
        ValueError: If the estimator is unknown.
    """
    require_known("estimator", estimator, tuple(ESTIMATORS))

    def layer(units: int, activation: str | None, seed: int, name: str) -> Any:
        return ESTIMATORS[estimator](units, num_examples, activation, seed=seed, name=name, **settings)

    return layer
