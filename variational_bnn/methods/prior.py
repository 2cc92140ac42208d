"""The control that has seen no data."""

from __future__ import annotations

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.fitting import FittedPosterior, Problem
from variational_bnn.models.backend import tf
from variational_bnn.models.builders.weights import build_weight_variation
from variational_bnn.models.layers import MeanFieldDense
from variational_bnn.models.losses import stochastic_layers


def prior(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """A control: the prior of the weights, which has seen no targets; what is trained must be closer than this.

    Raises:
        ValueError: If the network does not fit the dataset.
    """
    problem = Problem.of(dataset, network)
    model = build_weight_variation(problem.network, len(problem.x), initial_scale=1.0, seed=seed)
    for layer in stochastic_layers(model):
        assert isinstance(layer, MeanFieldDense)
        layer.loc.assign(tf.zeros_like(layer.loc))
    return problem.posterior(model, num_parameters=0)
