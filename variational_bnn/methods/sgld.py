"""Stochastic gradient Langevin dynamics."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base import Dataset, FitError, Network
from variational_bnn.base.checks import Float32Array, require_count
from variational_bnn.methods.chains import ChainMethod, log_posterior
from variational_bnn.methods.optimisation import log_posterior_of_batch, optimise
from variational_bnn.methods.problem import ModelPosterior, Problem
from variational_bnn.methods.samplers import (
    WINDOW,
    Sampler,
    State,
    Steps,
    make_steps,
    num_windows,
    steps_of_a_call,
    traced_for,
)
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.weight_space import WeightSpace

DECAY = 0.55
"""Power of the steps' decay: between 1/2 and 1, so that they add up to infinity and their squares do not."""

POWER_ITERATIONS = 50


@dataclass(frozen=True, kw_only=True)
class SGLD(ChainMethod, GradientMethod):
    """Stochastic gradient Langevin dynamics: noisy steps along minibatch gradients, from modes.

    Chains run on as many threads as there are cores, with the same draws on any number of them. Each
    starts from a mode of the posterior, found by Adam, and makes steps z += e/2 gradient of log p(z given x,
    y) + N(0, e) of the weights z in units of their prior (Welling & Teh 2011). The step size is e = a (1 + t/b)^-0.55,
    where a is the inverse of the largest curvature at the modes and b the length of the warm-up. After the warm-up e is
    constant, so that all draws have the same weight. No step is rejected, so the acceptance is NaN. The chains need not
    converge: R-hat and the effective sample sizes in the diagnostics say how far they are.

    Args:
        chains: Number of Markov chains, >= 1.
        warmup: Steps of each chain that are discarded, >= 1; rounded up to whole hundreds. The step size
            shrinks meanwhile.
        draws: Draws that are kept of each chain, >= 1.
        thinning: Langevin steps for each one that counts as a step of the warm-up or as a draw, >= 1.
        steps: Number of gradient steps of the search for the modes, >= 1.
        batch_size: Rows of each step of the search and of each Langevin step, >= 1; all training rows if
            there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the search for the modes or a chain diverges.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> method = vbnn.SGLD(chains=2, warmup=100, draws=100, thinning=2, steps=20)
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
            FitError: If the chains diverge.
            ValueError: If the network does not fit the dataset.
        """
        return self.sample(dataset, network, seed)

    def sampler(self, problem: Problem, seed: int) -> Sampler:
        """Langevin steps, from a mode for each chain."""
        return _Langevin(problem, self, seed)


def step_size(time: tf.Tensor, first: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """The size e of the step at a time: a (1 + t/b)^-0.55 with a the first size and b a length, constant from b on."""
    return first * (1 + tf.minimum(time / length, 1.0)) ** -DECAY


class _Langevin(Sampler):
    """Langevin steps. A state is z `[P]`, and the number of the steps made so far."""

    def __init__(self, problem: Problem, settings: SGLD, seed: int) -> None:
        start = problem.space.prior_draws(settings.chains, seed)
        self._modes = optimise(problem, start, settings, seed, prior=True)
        self._size, self._settings = problem.space.size, settings
        self._num_examples = len(problem.x)
        self._rows = tf.constant(problem.x), tf.constant(problem.y)
        length = num_windows(settings.warmup) * WINDOW * settings.thinning
        self._schedule = tf.constant(1 / _largest_curvature(problem, self._modes, seed)), tf.constant(float(length))
        self.steps = steps_of_a_call(self._size * settings.thinning)
        state, noise = self.start()[0], self._noise(np.random.default_rng())
        self._advance = traced_for(_compiled(problem.network), (*state, *noise, *self._schedule, *self._rows))

    def start(self) -> list[State]:
        """Modes of the posterior."""
        return [(z, np.float32(0.0)) for z in self._modes]

    def advance(self, state: State, rng: np.random.Generator) -> tuple[State, Steps]:
        """Make `thinning` Langevin steps for each one that is kept."""
        made = self._advance(*map(tf.constant, (*state, *self._noise(rng))), *self._schedule, *self._rows)
        z, time, *steps = (value.numpy() for value in made)
        if not np.isfinite(steps[1]).all():
            raise FitError("diverged: the log density of a chain became infinite or NaN")
        return (z, time), Steps(*steps)

    def _noise(self, rng: np.random.Generator) -> tuple[Float32Array, npt.NDArray[np.int32]]:
        """Noise of each step, and the rows of its batch, with replacement; no rows where a batch can hold all."""
        each = self.steps, self._settings.thinning
        batch = 0 if self._num_examples <= self._settings.batch_size else self._settings.batch_size
        moves = rng.standard_normal((*each, self._size), np.float32)
        return moves, rng.integers(self._num_examples, size=(*each, batch), dtype=np.int32)


@functools.lru_cache(maxsize=4)
def _compiled(network: Network) -> Any:
    """Langevin steps of a chain as a compiled function, which serves all rows and chains of the network."""
    space = WeightSpace.of(network)

    @tf.function(jit_compile=True, autograph=False)
    def advance(
        z: tf.Tensor,
        time: tf.Tensor,
        moves: tf.Tensor,
        batches: tf.Tensor,
        first: tf.Tensor,
        length: tf.Tensor,
        x: tf.Tensor,
        y: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        steps, thinning, batch_size = batches.shape

        def step(number: tf.Tensor, state: tuple[Any, ...]) -> tuple[Any, ...]:
            def move(i: tf.Tensor, z: tf.Tensor, time: tf.Tensor) -> tuple[Any, ...]:
                rows = batches[number, i]
                batch = (tf.gather(x, rows), tf.gather(y, rows)) if batch_size else (x, y)
                with tf.GradientTape() as tape:
                    tape.watch(z)
                    density = sum(log_posterior_of_batch(space, z, *batch, x.shape[0]))
                size = step_size(time, first, length)
                return i + 1, z + size / 2 * tape.gradient(density, z) + tf.sqrt(size) * moves[number, i], time + 1

            _, z, time = tf.while_loop(lambda i, *_: i < thinning, move, (tf.constant(0), *state))
            density = log_posterior(space, x, y)(z)
            return (z, time), (z, density, tf.constant(np.nan), step_size(time - 1, first, length))

        (z, time), *kept = make_steps(step, (z, time), steps, (z.shape, (), (), ()))
        return z, time, *kept

    return advance


def _largest_curvature(problem: Problem, z: np.ndarray, seed: int) -> float:
    """Largest eigenvalue of the Hessian of -log p(z given x, y) over weights `[M, P]`, by power iteration."""
    log_density = log_posterior(problem.space, tf.constant(problem.x), tf.constant(problem.y))
    point = tf.constant(z)

    @tf.function(jit_compile=True)
    def times_hessian(direction: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as outer:
            outer.watch(point)
            with tf.GradientTape() as inner:
                inner.watch(point)
                density = -log_density(point)
            slope = tf.reduce_sum(inner.gradient(density, point) * direction)
        return outer.gradient(slope, point)

    direction = tf.random.stateless_normal(z.shape, [seed % 2**31, 1], alg="philox")
    for _ in range(POWER_ITERATIONS):
        direction = times_hessian(tf.linalg.normalize(direction, axis=-1)[0])
    return float(np.linalg.norm(direction.numpy(), axis=-1).max())
