"""Variation in the hidden units."""

from __future__ import annotations

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.fitting import FittedPosterior, fit
from variational_bnn.models.builders.hidden import build_hidden_variation


def hidden(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Variation in the hidden units: noise of the units, which is not uncertainty about parameters."""
    return fit(build_hidden_variation, dataset, network, training, seed)
