"""Variation in the weights, by each of the three estimators."""

from __future__ import annotations

from functools import partial

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.fitting import FittedPosterior, fit
from variational_bnn.models.builders.weights import build_weight_variation


def reparameterization(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Variation in the weights: Bayes by Backprop, one draw of them a training step."""
    return fit(partial(build_weight_variation, estimator="reparameterization"), dataset, network, training, seed)


def flipout(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Variation in the weights: Flipout, one draw a step, its signs flipped for each row."""
    return fit(partial(build_weight_variation, estimator="flipout"), dataset, network, training, seed)


def local_reparameterization(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Variation in the weights: local reparameterisation, the layers' outputs drawn for each row."""
    return fit(partial(build_weight_variation, estimator="local_reparameterization"), dataset, network, training, seed)
