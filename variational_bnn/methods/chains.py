"""Markov chains over all the weights of a network, side by side, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from variational_bnn.base import Dataset, Diagnostics, Training
from variational_bnn.base.checks import Array
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, propose_query_points
from variational_bnn.methods.fitting import FittedPosterior, Problem
from variational_bnn.models.backend import tf, tfp
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.models.whole_networks import sampled_model

WINDOW = 100
"""Steps a compiled call; between calls of the warm-up a sampler adapts."""

NUMBERS = 2**22
"""Values of hidden units that are held together, of some queries and all draws of a chain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """What a sampler did in one compiled call.

    Attributes:
        z: States `[WINDOW, C, P]` of C chains, in the order of the steps.
        log_density: `[WINDOW, C]`, of the posterior, up to a constant.
        acceptance: Mean acceptance rate.
    """

    z: npt.NDArray[np.float32]
    log_density: npt.NDArray[np.float32]
    acceptance: float


Sampler = Callable[[Problem, Training, int], Iterator[Window]]
"""`(problem, training, seed) -> windows`, those of the warm-up and then those whose draws are kept."""


def windows(steps: int) -> int:
    """Calls that it takes to make so many steps."""
    return -(-steps // WINDOW)


def run(sampler: Sampler, dataset: Dataset, problem: Problem, training: Training, seed: int) -> FittedPosterior:
    """Run the chains, keep their last draws, and diagnose the functions that these are at the dataset's queries."""
    space = problem.space
    warmup, kept = windows(training.warmup), windows(training.draws)
    z, trace, acceptance = [], [], []
    for number, window in enumerate(sampler(problem, training, seed)):
        trace.append(window.log_density)
        if number >= warmup:
            z.append(window.z)
            acceptance.append(window.acceptance)
    assert len(z) == kept, "a sampler makes the windows that it is asked for"
    draws = np.concatenate(z)[: training.draws]
    x = problem.x_units(propose_query_points(dataset, QUERY_POINT_SEED).x).astype(np.float32)
    r_hat, ess = diagnose(space, draws, x)
    diagnostics = Diagnostics(
        acceptance=float(np.mean(acceptance)),
        r_hat=r_hat,
        ess=ess,
        trace=np.concatenate(trace)[: warmup * WINDOW + training.draws].astype(np.float64),
        warmup=warmup * WINDOW,
    )
    model = sampled_model(problem.network, draws.reshape(-1, space.size))
    return FittedPosterior(
        model=model,
        x_units=problem.x_units,
        y_units=problem.y_units,
        num_parameters=space.size,
        num_random_variables=space.size,
        diagnostics=diagnostics,
    )


def log_posterior(problem: Problem) -> Callable[[tf.Tensor], tf.Tensor]:
    """The log density of z `[..., P]` given all rows, up to a constant."""
    space, x, y = problem.space, tf.constant(problem.x), tf.constant(problem.y)
    return lambda z: space.log_prior(z) + space.log_likelihood(z, x, y)


def diagnose(space: WeightSpace, draws: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Largest split R-hat and smallest effective sample size of the functions at inputs, all in standard units.

    Of weights they would say little: hidden units that change places are other weights and the same function. Fewer
    than four draws, the least that can be split, say nothing: NaN. So does one chain of R-hat. A function that is the
    same in all draws of all chains, such as a probability that rounds to 1, has chains that agree: R-hat 1, and as many
    effective draws as there are.

    Args:
        space: Of the weights.
        draws: `[draws, C, P]` of C chains.
        x: `[M, F]`.
    """
    rows = max(1, NUMBERS // (len(draws) * max(units for _, units in space.shapes)))
    parts = [_of_functions(_functions(space, draws, x[i : i + rows])) for i in range(0, len(x), rows)]
    r_hats, sizes = zip(*parts, strict=True)
    return float(np.max(r_hats)), float(np.min(sizes))


def _functions(space: WeightSpace, draws: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> Array:
    """E[y given x, z] `[draws, C, M, D]`."""
    mean = tf.function(lambda z: space.distribution(space.outputs(z, tf.constant(x))).mean())
    return np.stack([mean(tf.constant(draws[:, chain])).numpy() for chain in range(draws.shape[1])], axis=1)


def _of_functions(functions: Array) -> tuple[float, float]:
    draws, chains = functions.shape[:2]
    if draws < 4:
        return np.nan, np.nan
    states = tf.constant(functions, tf.float64)
    constant = (functions == functions[0, 0]).all(axis=(0, 1))
    across = 1 if chains > 1 else None
    ess = tfp.mcmc.effective_sample_size(states, cross_chain_dims=across, filter_beyond_positive_pairs=True)
    smallest = float(np.min(np.where(constant, draws * chains, ess)))
    if chains == 1:
        return np.nan, smallest
    r_hat = tfp.mcmc.potential_scale_reduction(states, independent_chain_ndims=1, split_chains=True)
    return float(np.max(np.where(constant, 1.0, r_hat))), smallest
