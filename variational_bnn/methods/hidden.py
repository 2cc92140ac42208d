"""Variation in the hidden units."""

from __future__ import annotations

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.builders import build_hidden_variation
from variational_bnn.methods._fitting import FittedPosterior, fit


def hidden(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Variation in the hidden units: noise of the units, which is not uncertainty about parameters."""
    return fit(build_hidden_variation, dataset, network, training, seed)
