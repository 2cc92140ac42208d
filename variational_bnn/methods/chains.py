"""Markov chains over all the weights of a network, several at once, and their diagnostics."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import Array, Float32Array, require_count
from variational_bnn.base.progress import report
from variational_bnn.evaluation.convergence import effective_sample_sizes, rank_normalised_r_hat
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, propose_query_points
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod, Problem
from variational_bnn.models.backend import tf
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.models.whole_networks import sampled_model

WINDOW = 100
"""Steps a compiled call; between calls of the warm-up a sampler adapts."""

HIDDEN_VALUES = 2**22
"""Values of hidden units that are computed together, of some query points and all draws of a chain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """What a sampler did in one compiled call.

    Attributes:
        z: States `[WINDOW, C, P]` of C chains, in the order of the steps.
        log_density: `[WINDOW, C]`, of the posterior, up to a constant.
        acceptance: Mean acceptance rate.
        step_sizes: Step size of each step `[WINDOW]`, of samplers that adapt it; None for others.
    """

    z: Float32Array
    log_density: Float32Array
    acceptance: float
    step_sizes: Float32Array | None = None


def num_windows(steps: int) -> int:
    """How many compiled calls it takes to make so many steps."""
    return -(-steps // WINDOW)


@dataclass(frozen=True, kw_only=True)
class ChainMethod(NetworkMethod):
    """A method that samples all the weights by Markov chains, started from draws of the prior.

    Attributes:
        chains: Markov chains.
        warmup: Steps of each chain that are discarded, in which samplers adapt; rounded up to whole hundreds.
        draws: Draws kept of each chain.
    """

    chains: int = 4
    warmup: int = 1000
    draws: int = 1000

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        for name in ("chains", "warmup", "draws"):
            require_count(name, getattr(self, name))

    @abc.abstractmethod
    def windows(self, problem: Problem, seed: int) -> Iterator[Window]:
        """Run the chains: the windows of the warm-up, then those whose draws are kept."""

    def sample(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Run the chains, keep their last draws, and diagnose the functions that these are at the query points."""
        problem = self.problem(dataset, network)
        space, warmup = problem.space, num_windows(self.warmup)
        total, windows = warmup + num_windows(self.draws), []
        for window in self.windows(problem, seed):
            windows.append(window)
            report(WINDOW * len(windows), WINDOW * total, "steps of each chain")
        draws = np.concatenate([window.z for window in windows[warmup:]])[: self.draws]
        points = problem.x_scaler.transform(propose_query_points(dataset, QUERY_POINT_SEED).x).astype(np.float32)
        trace = np.concatenate([window.log_density for window in windows]).astype(np.float64)
        posterior = problem.posterior(sampled_model(problem.network, draws.reshape(-1, space.size)), space.size)
        diagnostics = dataclasses.replace(
            posterior.diagnostics,
            num_random_variables=space.size,
            acceptance=float(np.mean([window.acceptance for window in windows[warmup:]])),
            trace=trace[: warmup * WINDOW + self.draws],
            warmup=warmup * WINDOW,
            **diagnose(space, draws, points),
        )
        return dataclasses.replace(posterior, diagnostics=diagnostics, weights=draws)


def log_posterior(problem: Problem) -> Any:
    """The function from z `[..., P]` to its log density given all rows, up to a constant."""
    space, x, y = problem.space, tf.constant(problem.x), tf.constant(problem.y)
    return lambda z: space.log_prior(z) + space.log_likelihood(z, x, y)


def diagnose(
    space: WeightSpace, draws: Float32Array, x: Float32Array, *, hidden_values: int = HIDDEN_VALUES
) -> dict[str, Any]:
    """Largest R-hat and smallest effective sample sizes of the functions at inputs, all in standardised units.

    Those of weights would say little: hidden units that change places are other weights and the same function. Fewer
    than four draws, the least that can be split, give NaN, and so does the R-hat of one chain. A function value that is
    the same in all draws of all chains, such as a probability that rounds to 1, has R-hat 1 and as many effective draws
    as there are draws.

    Args:
        space: Space of the weights.
        draws: `[draws, C, P]` of C chains.
        x: `[M, F]`.
        hidden_values: How many values of hidden units are computed together; the inputs come in chunks accordingly.

    Returns:
        `r_hat`, `ess` and `ess_tail`; NaN if one of them is NaN at any of the inputs.
    """
    rows = max(1, hidden_values // (len(draws) * max(units for _, units in space.shapes)))
    r_hats, sizes, tail_sizes = [], [], []
    for start in range(0, len(x), rows):
        functions = function_values(space, draws, x[start : start + rows])
        r_hats.append(rank_normalised_r_hat(functions).max())
        bulk, tail = effective_sample_sizes(functions)
        sizes.append(bulk.min())
        tail_sizes.append(tail.min())
    return {"r_hat": float(np.max(r_hats)), "ess": float(np.min(sizes)), "ess_tail": float(np.min(tail_sizes))}


def function_values(space: WeightSpace, draws: Float32Array, x: Float32Array) -> Array:
    """E[y given x, z] `[draws, C, M, D]` of the functions whose weights are `[draws, C, P]`, at inputs `[M, F]`."""
    mean = tf.function(lambda z: space.distribution(space.outputs(z, tf.constant(x))).mean())
    return np.stack([mean(tf.constant(draws[:, chain])).numpy() for chain in range(draws.shape[1])], axis=1)
