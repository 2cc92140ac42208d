"""Variation in the weights, by each of the three estimators."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_kl_weight
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.builders.weights import build_weight_variation


@dataclass(frozen=True, kw_only=True)
class WeightVariation(GradientMethod, abc.ABC):
    """A mean-field normal posterior over all weights and biases.

    Attributes:
        initial_scale: Posterior standard deviation at the start, relative to the prior's.
        kl_weight: Weight of the KL in the loss; 1 for the ELBO.
    """

    estimator: ClassVar[str]

    initial_scale: float = 0.1
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")
        require_kl_weight(self.kl_weight)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the mean-field posterior by the negative evidence lower bound.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        build = partial(
            build_weight_variation,
            estimator=self.estimator,
            initial_scale=self.initial_scale,
            kl_weight=self.kl_weight,
        )
        return self.train(build, dataset, network, seed)


@dataclass(frozen=True, kw_only=True)
class Reparameterization(WeightVariation):
    """Variation in the weights: Bayes by Backprop, one draw of them a training step.

    Blundell et al. 2015, arXiv 1505.05424.
    """

    estimator = "reparameterization"


@dataclass(frozen=True, kw_only=True)
class Flipout(WeightVariation):
    """Variation in the weights: Flipout, one draw a step, its signs flipped for each row.

    Wen et al. 2018, arXiv 1803.04386.
    """

    estimator = "flipout"


@dataclass(frozen=True, kw_only=True)
class LocalReparameterization(WeightVariation):
    """Variation in the weights: local reparameterisation, the layers' outputs drawn for each row.

    Kingma et al. 2015, arXiv 1506.02557.
    """

    estimator = "local_reparameterization"
