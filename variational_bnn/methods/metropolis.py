"""Random-walk Metropolis, to stand beside NUTS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.methods.chains import WINDOW, Window, log_posterior, run, windows
from variational_bnn.methods.fitting import FittedPosterior, Problem
from variational_bnn.models.backend import tf, tfp

TARGET_ACCEPTANCE = 0.234
"""Optimal in many dimensions (Roberts, Gelman & Gilks 1997)."""


def metropolis(dataset: Dataset, network: Network, training: Training, seed: int) -> FittedPosterior:
    """Random-walk Metropolis over the weights, as far as it gets: its R-hat says how far that is.

    Normal proposals of one scale for all weights, in units of their prior's, adapted in the warm-up; chains start from
    the prior (Metropolis et al. 1953). Unlike `hmc` it is never taken for a reference, so chains that do not converge
    are measured like any other approximation.

    Raises:
        ValueError: If the network does not fit the dataset.
    """
    return run(_random_walk, dataset, Problem.of(dataset, network), training, seed)


def _random_walk(problem: Problem, training: Training, seed: int) -> Iterator[Window]:
    log_density = log_posterior(problem)

    @tf.function(jit_compile=True)
    def window(z: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kernel = tfp.mcmc.RandomWalkMetropolis(log_density, tfp.mcmc.random_walk_normal_fn(scale))
        states, (log_accept, densities) = tfp.mcmc.sample_chain(
            WINDOW,
            z,
            kernel=kernel,
            num_steps_between_results=training.thinning - 1,
            trace_fn=lambda _, r: (r.log_accept_ratio, r.accepted_results.target_log_prob),
            seed=seed,
        )
        return states, densities, tf.reduce_mean(tf.exp(tf.minimum(log_accept, 0.0)))

    z = problem.space.prior_draws(training.chains, seed)
    scale, warmup = np.float32(2.38 / np.sqrt(z.shape[1])), windows(training.warmup)
    for number in range(warmup + windows(training.draws)):
        found = window(tf.constant(z), scale, tf.constant([seed % 2**31, number]))
        states, densities, acceptance = (value.numpy() for value in found)
        yield Window(z=states, log_density=densities, acceptance=float(acceptance))
        z = states[-1]
        if number < warmup:
            scale = np.float32(scale * _change(float(acceptance)))


def _change(acceptance: float) -> float:
    """The factor that brings the acceptance to its target if it is 2 Phi(-a scale), as it is in many dimensions."""
    wanted, found = stats.norm.ppf([TARGET_ACCEPTANCE / 2, np.clip(acceptance, 1e-3, 0.99) / 2])
    return float(wanted / found)
