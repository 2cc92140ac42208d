"""Random-walk Metropolis, to be compared with NUTS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import require_count
from variational_bnn.methods.chains import WINDOW, ChainMethod, Window, log_posterior, num_windows
from variational_bnn.methods.problem import ModelPosterior, Problem
from variational_bnn.models.backend import tf, tfp

TARGET_ACCEPTANCE = 0.234
"""Optimal in many dimensions (Roberts, Gelman & Gilks 1997)."""


@dataclass(frozen=True, kw_only=True)
class Metropolis(ChainMethod):
    """Random-walk Metropolis over all weights, reported whether or not it converged.

    Chains start from draws of the prior. Proposals are normal, with one scale for all weights in units of their prior,
    which is adapted in the warm-up to an acceptance of 0.234 (Metropolis et al. 1953; Roberts, Gelman & Gilks 1997).
    Unlike `HMC` it is never taken for the reference, so that chains that did not converge are measured like any other
    approximation: R-hat and the effective sample sizes in the diagnostics say how far they are.

    Args:
        chains: Number of Markov chains, >= 1.
        warmup: Steps of each chain that are discarded, >= 1; rounded up to whole hundreds. The proposals
            are adapted meanwhile.
        draws: Draws that are kept of each chain, >= 1.
        thinning: Proposals for each one that counts as a step of the warm-up or as a draw, >= 1.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> method = vbnn.Metropolis(chains=2, warmup=100, draws=100, thinning=2)
        >>> posterior = method.fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    thinning: int = 100

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("thinning", self.thinning)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Sample the weights, converged or not.

        Raises:
            ValueError: If the network does not fit the dataset.
        """
        return self.sample(dataset, network, seed)

    def windows(self, problem: Problem, seed: int) -> Iterator[Window]:
        """Run the random walk."""
        return _random_walk(problem, self, seed)


def _random_walk(problem: Problem, settings: Metropolis, seed: int) -> Iterator[Window]:
    log_density = log_posterior(problem)

    @tf.function(jit_compile=True)
    def window(z: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kernel = tfp.mcmc.RandomWalkMetropolis(log_density, tfp.mcmc.random_walk_normal_fn(scale))
        states, (log_accept, densities) = tfp.mcmc.sample_chain(
            WINDOW,
            z,
            kernel=kernel,
            num_steps_between_results=settings.thinning - 1,
            trace_fn=lambda _, r: (r.log_accept_ratio, r.accepted_results.target_log_prob),
            seed=seed,
        )
        return states, densities, tf.reduce_mean(tf.exp(tf.minimum(log_accept, 0.0)))

    z = problem.space.prior_draws(settings.chains, seed)
    scale, warmup = np.float32(2.38 / np.sqrt(z.shape[1])), num_windows(settings.warmup)
    for number in range(warmup + num_windows(settings.draws)):
        made = window(tf.constant(z), scale, tf.constant([seed % 2**31, number]))
        states, densities, acceptance = (value.numpy() for value in made)
        yield Window(z=states, log_density=densities, acceptance=float(acceptance))
        z = states[-1]
        if number < warmup:
            scale = np.float32(scale * _change(float(acceptance)))


def _change(acceptance: float) -> float:
    """The factor that brings the acceptance to its target if it is 2 Phi(-a scale), as it is in many dimensions."""
    target, current = stats.norm.ppf([TARGET_ACCEPTANCE / 2, np.clip(acceptance, 1e-3, 0.99) / 2])
    return float(target / current)
