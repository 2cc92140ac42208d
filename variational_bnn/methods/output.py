"""Variation in the output."""

from __future__ import annotations

import dataclasses

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.fitting import FittedPosterior, fit
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


def output(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Variation in the output: point weights, and a noise level that depends on x, whatever noise the network names."""
    likelihood = network.likelihood
    if isinstance(likelihood, Normal):
        likelihood = dataclasses.replace(likelihood, scale=None)
    heteroscedastic = dataclasses.replace(network, likelihood=likelihood)
    return fit(build_output_variation, dataset, heteroscedastic, training, seed)
