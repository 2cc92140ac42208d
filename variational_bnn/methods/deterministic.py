"""The control: nothing varies but a constant noise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


@dataclass(frozen=True, kw_only=True)
class Deterministic(GradientMethod):
    """A control: point weights and one noise level, known or learned."""

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the network by maximum likelihood.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        likelihood = network.likelihood
        if isinstance(likelihood, Normal) and likelihood.scale is None:
            likelihood = dataclasses.replace(likelihood, scale="learned")
        constant = dataclasses.replace(network, likelihood=likelihood)
        return self.train(build_output_variation, dataset, constant, seed)
