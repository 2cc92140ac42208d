"""The control: nothing varies but a constant noise."""

from __future__ import annotations

import dataclasses

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.builders import build_output_variation
from variational_bnn.likelihoods import Normal
from variational_bnn.methods._fitting import FittedPosterior, fit


def deterministic(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """A control: point weights and one noise level, known or learned."""
    heteroscedastic = network.likelihood == Normal()
    likelihood = Normal(scale="learned") if heteroscedastic else network.likelihood
    return fit(
        build_output_variation, dataset, dataclasses.replace(network, likelihood=likelihood), training, seed
    )
