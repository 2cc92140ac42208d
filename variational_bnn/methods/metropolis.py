"""Random-walk Metropolis, to be compared with NUTS."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import Float32Array, require_count
from variational_bnn.methods.chains import ChainMethod, log_posterior
from variational_bnn.methods.problem import ModelPosterior, Problem
from variational_bnn.methods.samplers import Sampler, State, Steps, make_steps, steps_of_a_call, traced_for
from variational_bnn.models.backend import tf
from variational_bnn.models.weight_space import WeightSpace

TARGET_ACCEPTANCE = 0.234
"""Optimal in many dimensions (Roberts, Gelman & Gilks 1997)."""


@dataclass(frozen=True, kw_only=True)
class Metropolis(ChainMethod):
    """Random-walk Metropolis over all weights, reported whether or not it converged.

    Chains start from draws of the prior, and run on as many threads as there are cores, with the same draws on any
    number of them. Proposals are normal, with one scale for all weights in units of their prior,
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

    def sampler(self, problem: Problem, seed: int) -> Sampler:
        """The random walk."""
        return _RandomWalk(problem, self, seed)


class _RandomWalk(Sampler):
    """Normal proposals. A state is z `[P]`, and the scale of the proposals."""

    def __init__(self, problem: Problem, settings: Metropolis, seed: int) -> None:
        self._first = problem.space.prior_draws(settings.chains, seed)
        self._rows = tf.constant(problem.x), tf.constant(problem.y)
        self._size, self._thinning = problem.space.size, settings.thinning
        self.steps = steps_of_a_call(self._size * self._thinning)
        state, noise = self.start()[0], self._noise(np.random.default_rng())
        self._advance = traced_for(_compiled(problem.network), (*state, *noise, *self._rows))

    def start(self) -> list[State]:
        """Draws of the prior, and the scale that is best for a normal of as many dimensions."""
        return [(z, np.float32(2.38 / np.sqrt(self._size))) for z in self._first]

    def advance(self, state: State, rng: np.random.Generator) -> tuple[State, Steps]:
        """Make `thinning` proposals a step."""
        _, scale = state
        made = self._advance(*map(tf.constant, (*state, *self._noise(rng))), *self._rows)
        end, z, density, acceptance = (value.numpy() for value in made)
        return (end, scale), Steps(z, density, acceptance, np.full(self.steps, scale))

    def adapt(self, states: list[State], windows: Sequence[Steps], *, last: bool) -> list[State]:
        """The scale, from the acceptance of all chains."""
        change = _change(float(windows[-1].acceptance.mean(dtype=np.float64)))
        return [(z, np.float32(scale * change)) for z, scale in states]

    def _noise(self, rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
        moves = rng.standard_normal((self.steps, self._thinning, self._size), np.float32)
        return moves, rng.random((self.steps, self._thinning), np.float32)


@functools.lru_cache(maxsize=4)
def _compiled(network: Network) -> Any:
    """Proposals of a chain as a compiled function, which serves all rows and chains of the network."""
    space = WeightSpace.of(network)

    @tf.function(jit_compile=True, autograph=False)
    def advance(
        z: tf.Tensor, scale: tf.Tensor, moves: tf.Tensor, uniforms: tf.Tensor, x: tf.Tensor, y: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        log_density = log_posterior(space, x, y)
        steps, thinning = uniforms.shape

        def step(number: tf.Tensor, state: tuple[Any, ...]) -> tuple[Any, ...]:
            def propose(i: tf.Tensor, z: tf.Tensor, density: tf.Tensor, acceptance: tf.Tensor) -> tuple[Any, ...]:
                proposed = z + scale * moves[number, i]
                proposed_density = log_density(proposed)
                ratio = tf.exp(tf.minimum(proposed_density - density, 0.0))
                ratio = tf.where(tf.math.is_nan(ratio), 0.0, ratio)
                taken = uniforms[number, i] < ratio
                z, density = tf.where(taken, proposed, z), tf.where(taken, proposed_density, density)
                return i + 1, z, density, acceptance + ratio / thinning

            start = tf.constant(0), *state, tf.constant(0.0)
            _, *kept = tf.while_loop(lambda i, *_: i < thinning, propose, start)
            return tuple(kept[:2]), kept

        (z, _), *kept = make_steps(step, (z, log_density(z)), steps, (z.shape, (), ()))
        return z, *kept

    return advance


def _change(acceptance: float) -> float:
    """The factor that brings the acceptance to its target if it is 2 Phi(-a scale), as it is in many dimensions."""
    target, current = stats.norm.ppf([TARGET_ACCEPTANCE / 2, np.clip(acceptance, 1e-3, 0.99) / 2])
    return float(target / current)
