"""The control that has seen no data."""

from __future__ import annotations

from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.builders.weights import build_weight_variation
from variational_bnn.models.losses import stochastic_layers
from variational_bnn.models.mean_field import MeanFieldDense


@dataclass(frozen=True, kw_only=True)
class Prior(NetworkMethod):
    """A control: the prior of the weights, which has seen no targets; trained methods must be closer than this."""

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """The prior, in the units of the dataset.

        Raises:
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        model = build_weight_variation(problem.network, len(problem.x), initial_scale=1.0, seed=seed)
        for layer in stochastic_layers(model):
            assert isinstance(layer, MeanFieldDense)
            layer.loc.assign(tf.zeros_like(layer.loc))
        return problem.posterior(model, num_parameters=0)
