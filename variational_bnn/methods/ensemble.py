"""Deep ensembles."""

from __future__ import annotations

from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import require_count
from variational_bnn.methods.optimisation import optimise
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.whole_networks import sampled_model


@dataclass(frozen=True, kw_only=True)
class Ensemble(GradientMethod):
    """An ensemble: networks of highest likelihood, each started from a draw of the prior, all trained at once.

    Lakshminarayanan, Pritzel & Blundell 2017, arXiv 1612.01474, without adversarial examples.

    Attributes:
        members: How many networks.
    """

    members: int = 5

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("members", self.members)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train all members by maximum likelihood.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        members = optimise(problem, problem.space.prior_draws(self.members, seed), self, seed, prior=False)
        return problem.posterior(sampled_model(problem.network, members), members.size)
