"""Markov chains over all the weights of a network, several at once, and their diagnostics."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import Array, Float32Array, require_count
from variational_bnn.evaluation.convergence import effective_sample_sizes, rank_normalised_r_hat
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, propose_query_points
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod, Problem
from variational_bnn.methods.samplers import WINDOW, Sampler, Steps, num_windows, run
from variational_bnn.models.backend import tf
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.models.whole_networks import sampled_model

HIDDEN_VALUES = 2**22
"""Values of hidden units that are computed together, of some query points and all draws of a chain."""


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
    def sampler(self, problem: Problem, seed: int) -> Sampler:
        """What advances the chains."""

    def windows(self, problem: Problem, seed: int, *, threads: int | None = None) -> Iterator[Steps]:
        """Run the chains: the windows of the warm-up, then all draws that are kept.

        Args:
            problem: The network and the rows.
            seed: Seed of all random numbers.
            threads: Threads on which chains are advanced, by default one for each core; the draws are the same anyway.
        """
        sampler = self.sampler(problem, seed)
        return run(sampler, warmup=self.warmup, draws=self.draws, seed=seed, threads=threads)

    def sample(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Run the chains, keep their last draws, and diagnose the functions that these are at the query points."""
        problem = self.problem(dataset, network)
        space, log_densities = problem.space, []
        for window in self.windows(problem, seed):
            log_densities.append(window.log_density)
        draws, acceptance = window.z, window.acceptance
        points = problem.x_scaler.transform(propose_query_points(dataset, QUERY_POINT_SEED).x).astype(np.float32)
        posterior = problem.posterior(sampled_model(problem.network, draws.reshape(-1, space.size)), space.size)
        diagnostics = dataclasses.replace(
            posterior.diagnostics,
            num_random_variables=space.size,
            acceptance=float(acceptance.mean(dtype=np.float64)),
            trace=np.concatenate(log_densities).astype(np.float64),
            warmup=WINDOW * num_windows(self.warmup),
            **diagnose(space, draws, points),
        )
        return dataclasses.replace(posterior, diagnostics=diagnostics, weights=draws)


def log_posterior(space: WeightSpace, x: tf.Tensor, y: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function from z `[..., P]` to its log density given the rows, up to a constant."""
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
    mean, rows = _mean(space.network), tf.constant(x)
    return np.stack([mean(tf.constant(draws[:, chain]), rows).numpy() for chain in range(draws.shape[1])], axis=1)


@functools.lru_cache(maxsize=4)
def _mean(network: Network) -> Any:
    """E[y given x, z] by weights `[draws, P]` and inputs `[M, F]` as a compiled function, which is traced once."""
    space = WeightSpace.of(network)
    (rows, _), *_ = space.shapes  # The inputs and the bias.
    specs = tf.TensorSpec([None, space.size]), tf.TensorSpec([None, rows - 1])

    @tf.function(input_signature=specs, autograph=False)
    def mean(z: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return space.distribution(space.outputs(z, x)).mean()

    return mean
