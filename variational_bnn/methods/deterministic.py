"""The control: nothing varies but a constant noise."""

from __future__ import annotations

import dataclasses

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.fitting import FittedPosterior, fit
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


def deterministic(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """A control: point weights and one noise level, known or learned."""
    likelihood = network.likelihood
    if isinstance(likelihood, Normal) and likelihood.scale is None:
        likelihood = dataclasses.replace(likelihood, scale="learned")
    constant = dataclasses.replace(network, likelihood=likelihood)
    return fit(build_output_variation, dataset, constant, training, seed)
