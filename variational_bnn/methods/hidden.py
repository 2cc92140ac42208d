"""Variation in the hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_kl_weight
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.builders.hidden import build_hidden_variation


@dataclass(frozen=True, kw_only=True)
class HiddenVariation(GradientMethod):
    """Variation in the hidden units: noise of the units, which is not uncertainty about parameters.

    Attributes:
        initial_scale: Scale of the units' noise at the start; the prior's is 1.
        kl_weight: Weight of the KL in the loss; 1 for the ELBO.
    """

    initial_scale: float = 0.1
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")
        require_kl_weight(self.kl_weight)

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """It needs hidden units."""
        return None if network.hidden_units else "it needs hidden units, got hidden_units=()"

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the network with normal hidden units by the negative evidence lower bound.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset or has no hidden units.
        """
        build = partial(build_hidden_variation, initial_scale=self.initial_scale, kl_weight=self.kl_weight)
        return self.train(build, dataset, network, seed)
