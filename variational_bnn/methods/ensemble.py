"""Deep ensembles."""

from __future__ import annotations

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.fitting import FittedPosterior, Problem
from variational_bnn.methods.optimisation import optimise
from variational_bnn.models.whole_networks import sampled_model


def ensemble(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """An ensemble: networks of highest likelihood, each started from a draw of the prior, all trained at once.

    Lakshminarayanan, Pritzel & Blundell 2017, arXiv 1612.01474, without adversarial examples.

    Raises:
        FitError: If the loss is not finite at the end.
        ValueError: If the network does not fit the dataset.
    """
    problem = Problem.of(dataset, network)
    members = optimise(problem, problem.space.prior_draws(training.members, seed), training, seed, prior=False)
    return problem.posterior(sampled_model(problem.network, members), members.size)
