"""The reference: the exact posterior of all weights, sampled by Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from variational_bnn.base import MAX_R_HAT, MIN_ESS, Dataset, FitError, Network
from variational_bnn.methods.chains import WINDOW, ChainMethod, Window, log_posterior, num_windows
from variational_bnn.methods.problem import ModelPosterior, Problem
from variational_bnn.models.backend import tf, tfp

MAX_TREE_DEPTH = 10
TARGET_ACCEPTANCE = 0.8
FIRST_STEP_SIZE = 0.02


@dataclass(frozen=True, kw_only=True)
class HMC(ChainMethod):
    """The reference: the exact posterior, sampled by NUTS; fails unless the chains converged.

    The No-U-Turn sampler of Hamiltonian Monte Carlo (Hoffman & Gelman 2014, arXiv 1111.4246) uses all training rows in
    each step. Chains start from draws of the prior. In the warm-up the step size and the mass of each weight are
    adapted, from all chains together; then they stay as they are. The other methods are measured against this one.

    Args:
        chains: Number of Markov chains, >= 1.
        warmup: Steps of each chain that are discarded, >= 1; rounded up to whole hundreds. Step size and
            masses are adapted meanwhile.
        draws: Draws that are kept of each chain, >= 1.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if R-hat of the function values at the dataset's query points is above 1.01, or one of their
            effective sample sizes is below 400 (Vehtari et al. 2021, arXiv 1903.08008). It has the chains' diagnostics.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.HMC(chains=2, warmup=300, draws=600).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
        >>> posterior.diagnostics.converged, posterior.weights.shape
        (True, (600, 2, 2))
    """

    def exact(self, network: Network) -> bool:
        """Whether the posterior is the exact one of the network: it is, where the chains converge."""
        return True

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Sample the weights; a posterior only if the chains agree.

        Raises:
            FitError: If, at the dataset's query points, R-hat of the functions is above 1.01 or an effective sample
                size of theirs below 400.
            ValueError: If the network does not fit the dataset.
        """
        posterior = self.sample(dataset, network, seed)
        diagnostics = posterior.diagnostics
        if not diagnostics.converged:
            raise FitError(
                f"not converged: R-hat {diagnostics.r_hat:.5g} (must be at most {MAX_R_HAT}), effective sample size "
                f"{diagnostics.ess:.0f}, of the tails {diagnostics.ess_tail:.0f} (must be at least {MIN_ESS}); more "
                "warm-up or draws may help",
                diagnostics,
            )
        return posterior

    def windows(self, problem: Problem, seed: int) -> Iterator[Window]:
        """Run NUTS. Its states are z / scale: a mass for each weight is another unit to measure it in."""
        return _nuts(problem, self, seed)


def _nuts(problem: Problem, settings: HMC, seed: int) -> Iterator[Window]:
    log_density = log_posterior(problem)

    @tf.function(jit_compile=True)
    def window(
        state: tf.Tensor, scale: tf.Tensor, step_size: tf.Tensor, adapt: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        nuts = tfp.mcmc.NoUTurnSampler(lambda u: log_density(scale * u), step_size, max_tree_depth=MAX_TREE_DEPTH)
        kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(nuts, adapt, target_accept_prob=TARGET_ACCEPTANCE)
        states, (steps, log_accept, densities) = tfp.mcmc.sample_chain(
            WINDOW,
            state,
            kernel=kernel,
            trace_fn=lambda _, r: (r.new_step_size, r.inner_results.log_accept_ratio, r.inner_results.target_log_prob),
            seed=seed,
        )
        accepted = tf.reduce_mean(tf.exp(tf.minimum(log_accept, 0.0)))
        return scale * states, densities, accepted, steps

    z = problem.space.prior_draws(settings.chains, seed)
    scale, step_size = np.ones(z.shape[1], np.float32), np.float32(FIRST_STEP_SIZE)
    warmup = num_windows(settings.warmup)
    for number in range(warmup + num_windows(settings.draws)):
        adapt = tf.constant(WINDOW if number < warmup else 0)
        made = window(tf.constant(z / scale), scale, step_size, adapt, tf.constant([seed % 2**31, number]))
        states, densities, acceptance, step_sizes = (value.numpy() for value in made)
        yield Window(z=states, log_density=densities, acceptance=float(acceptance), step_sizes=step_sizes)
        z = states[-1]
        if number < warmup:
            step_size = step_sizes[-1]
        if 0 < number < warmup - 1:  # The first window is on its way from the prior; the last fits the step size.
            wider = _scale(states[WINDOW // 4 :])
            step_size, scale = np.float32(step_size * np.exp(np.log(scale / wider).mean())), wider


def _scale(states: np.ndarray) -> np.ndarray:
    """Standard deviation of each weight `[P]` over draws and chains, regularised as in Stan."""
    count = states.shape[0] * states.shape[1]
    variance = states.reshape(count, -1).var(axis=0)
    return np.sqrt((count * variance + 5 * 1e-3) / (count + 5)).astype(np.float32)
