"""The reference: the exact posterior of all weights, sampled by Hamiltonian Monte Carlo."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from variational_bnn.base import MAX_R_HAT, MIN_ESS, Dataset, FitError, Network
from variational_bnn.base.checks import Array, Float32Array
from variational_bnn.methods.chains import ChainMethod, log_posterior
from variational_bnn.methods.nuts import MAX_TREE_DEPTH, point_at, transition
from variational_bnn.methods.problem import ModelPosterior, Problem
from variational_bnn.methods.samplers import Sampler, State, Steps, make_steps, steps_of_a_call, traced_for
from variational_bnn.models.backend import tf
from variational_bnn.models.weight_space import WeightSpace

TARGET_ACCEPTANCE = 0.8
FIRST_STEP_SIZE = 0.02
SHRINKAGE, DELAY, DECAY = 0.05, 10.0, 0.75
"""Constants of dual averaging, as in Hoffman & Gelman (2014, section 3.2)."""

IN_UNITS_OF_SCALE = np.array([1, 1, 0, 0, 1], np.float32)
"""What dual averaging keeps is a log step size, where this is 1."""


@dataclass(frozen=True, kw_only=True)
class HMC(ChainMethod):
    """The reference: the exact posterior, sampled by NUTS; fails unless the chains converged.

    The No-U-Turn sampler of Hamiltonian Monte Carlo (Hoffman & Gelman 2014, arXiv 1111.4246) uses all training rows in
    each step. Chains start from draws of the prior, and run on as many threads as there are cores, with the same draws
    on any number of them. In the warm-up the step size and the mass of each weight are adapted, every hundred steps
    from all chains together; then they stay as they are. The other methods are measured against this one.

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

    def sampler(self, problem: Problem, seed: int) -> Sampler:
        """NUTS."""
        return _Nuts(problem, self.chains, seed)


class _Nuts(Sampler):
    """NUTS, adapted as in Stan. A state is z `[P]`, the scale of each weight `[P]`, and what the step size is made of.

    That is what dual averaging keeps: the log step size, its average, the mean error of the acceptance, the number of
    steps that were counted, and the log step size to which it is drawn; and whether it goes on.
    """

    def __init__(self, problem: Problem, chains: int, seed: int) -> None:
        self._first = problem.space.prior_draws(chains, seed)
        self._rows = tf.constant(problem.x), tf.constant(problem.y)
        self._size = problem.space.size
        self.steps = steps_of_a_call(self._size)
        state, noise = self.start()[0], self._noise(np.random.default_rng())
        self._advance = traced_for(_compiled(problem.network), (*state, *noise, *self._rows))

    def start(self) -> list[State]:
        """Draws of the prior, and a first step size."""
        return [(z, np.ones_like(z), _from_step_size(np.log(FIRST_STEP_SIZE)), np.bool_(True)) for z in self._first]

    def advance(self, state: State, rng: np.random.Generator) -> tuple[State, Steps]:
        """Make a few transitions."""
        _, scale, _, adapting = state
        made = self._advance(*map(tf.constant, (*state, *self._noise(rng))), *self._rows)
        z, step_size, *steps = (value.numpy() for value in made)
        return (z, scale, step_size, adapting), Steps(*steps)

    def adapt(self, states: list[State], windows: Sequence[Steps], *, last: bool) -> list[State]:
        """One step size for all chains, and masses from the latter half of the windows.

        The first window is on its way from the prior; the last fits the step size.
        """
        scale = new_scale = states[0][1]
        if len(windows) > 1 and not last:
            new_scale = _scale(np.concatenate([window.z for window in windows[len(windows) // 2 :]]))
        step_size = np.mean([state[2] for state in states], axis=0)
        step_size += np.log(scale / new_scale).mean() * IN_UNITS_OF_SCALE
        return [(z, new_scale, step_size, np.bool_(not last)) for z, *_ in states]

    def _noise(self, rng: np.random.Generator) -> tuple[Float32Array, Array]:
        momenta = rng.standard_normal((self.steps, self._size), np.float32)
        return momenta, rng.random((self.steps, MAX_TREE_DEPTH, 3))


@functools.lru_cache(maxsize=4)
def _compiled(network: Network) -> Any:
    """Transitions of a chain as a compiled function, which serves all rows and chains of the network."""
    space = WeightSpace.of(network)

    @tf.function(jit_compile=True, autograph=False)
    def advance(
        z: tf.Tensor,
        scale: tf.Tensor,
        step_size: tf.Tensor,
        adapting: tf.Tensor,
        momenta: tf.Tensor,
        uniforms: tf.Tensor,
        x: tf.Tensor,
        y: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        log_density = log_posterior(space, x, y)

        def step(number: tf.Tensor, state: tuple[Any, ...]) -> tuple[Any, ...]:
            point, step_size = state
            current = tf.exp(tf.where(adapting, step_size[0], step_size[1]))
            made = transition(
                log_density,
                point,
                step_size=current,
                scale=scale,
                momentum=momenta[number],
                uniforms=uniforms[number],
            )
            step_size = tf.where(adapting, _averaged(step_size, made.acceptance), step_size)
            return (made.point, step_size), (made.point.z, made.point.log_density, made.acceptance, current)

        start, shapes = (point_at(log_density, z), step_size), (z.shape, (), (), ())
        (point, step_size), *kept = make_steps(step, start, momenta.shape[0], shapes)
        return point.z, step_size, *kept

    return advance


def _from_step_size(log_step_size: float) -> Float32Array:
    """Dual averaging from the start: it tries steps about ten times as large first, which cost little."""
    return np.array([log_step_size, log_step_size, 0.0, 0.0, np.log(10) + log_step_size], np.float32)


def _averaged(step_size: tf.Tensor, acceptance: tf.Tensor) -> tf.Tensor:
    """Dual averaging after one more step, of that acceptance."""
    _, average, error, count, drawn_to = tf.unstack(step_size)
    count += 1
    error += (TARGET_ACCEPTANCE - acceptance - error) / (count + DELAY)
    current = drawn_to - tf.sqrt(count) / SHRINKAGE * error
    average += count**-DECAY * (current - average)
    return tf.stack([current, average, error, count, drawn_to])


def _scale(z: Array) -> Float32Array:
    """Standard deviation of each weight `[P]` over steps and chains, regularised as in Stan."""
    count = z.shape[0] * z.shape[1]
    variance = z.reshape(count, -1).var(axis=0)
    return np.sqrt((count * variance + 5 * 1e-3) / (count + 5)).astype(np.float32)
