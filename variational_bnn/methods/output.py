"""Variation in the output."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


@dataclass(frozen=True, kw_only=True)
class OutputVariation(GradientMethod):
    """Variation in the output: point weights, and a noise level that depends on x, whatever noise the network names."""

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the network by maximum likelihood.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        likelihood = network.likelihood
        if isinstance(likelihood, Normal):
            likelihood = dataclasses.replace(likelihood, scale=None)
        heteroscedastic = dataclasses.replace(network, likelihood=likelihood)
        return self.train(build_output_variation, dataset, heteroscedastic, seed)
