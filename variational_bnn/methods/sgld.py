"""Stochastic gradient Langevin dynamics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from variational_bnn.base import Dataset, FitError, Network
from variational_bnn.base.checks import require_count
from variational_bnn.methods.chains import WINDOW, ChainMethod, Window, log_posterior, num_windows
from variational_bnn.methods.optimisation import batch_log_posterior, optimise
from variational_bnn.methods.problem import ModelPosterior, Problem
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf

DECAY = 0.55
"""Power of the steps' decay: between 1/2 and 1, so that they add up to infinity and their squares do not."""

POWER_ITERATIONS = 50


@dataclass(frozen=True, kw_only=True)
class SGLD(ChainMethod, GradientMethod):
    """Stochastic gradient Langevin dynamics: noisy steps along minibatch gradients, from modes.

    Each chain starts from a mode of the posterior, found by Adam, and makes steps z += e/2 gradient of log p(z given x,
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

    def windows(self, problem: Problem, seed: int) -> Iterator[Window]:
        """Find a mode for each chain, and run the Langevin steps."""
        return _langevin(problem, self, seed)


def step_size(time: tf.Tensor, first: float, length: float) -> tf.Tensor:
    """The size e of the step at a time: a (1 + t/b)^-0.55 with a the first size and b a length, constant from b on."""
    return first * (1 + tf.minimum(time / length, 1.0)) ** -DECAY


def _langevin(problem: Problem, settings: SGLD, seed: int) -> Iterator[Window]:
    modes = optimise(problem, problem.space.prior_draws(settings.chains, seed), settings, seed, prior=True)
    warmup = num_windows(settings.warmup)
    length = warmup * WINDOW * settings.thinning
    first = 1 / _largest_curvature(problem, modes, seed)
    log_density = log_posterior(problem)

    def step(z: tf.Tensor, time: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        batch_seed, noise_seed = tf.unstack(tf.random.experimental.stateless_split(seed))
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prior, log_likelihood = batch_log_posterior(problem, z, settings.batch_size, batch_seed)
            density = log_prior + log_likelihood
        size = step_size(time, first, length)
        noise = tf.random.stateless_normal(z.shape, noise_seed)
        return z + size / 2 * tape.gradient(density, z) + tf.sqrt(size) * noise

    @tf.function(jit_compile=True)
    def window(z: tf.Tensor, start: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        states = tf.TensorArray(tf.float32, WINDOW, element_shape=z.shape)
        for draw in tf.range(WINDOW):
            for i in tf.range(settings.thinning):
                number = draw * settings.thinning + i
                z = step(z, start + tf.cast(number, tf.float32), tf.random.experimental.stateless_fold_in(seed, number))
            states = states.write(draw, z)
        kept = states.stack()
        return kept, tf.map_fn(log_density, kept)

    z = modes
    for number in range(warmup + num_windows(settings.draws)):
        start = tf.constant(number * WINDOW * settings.thinning, tf.float32)
        made = window(tf.constant(z), start, tf.constant([seed % 2**31, number]))
        states, densities = (value.numpy() for value in made)
        if not np.isfinite(densities).all():
            raise FitError("diverged: the log density of a chain became infinite or NaN")
        yield Window(z=states, log_density=densities, acceptance=np.nan)
        z = states[-1]


def _largest_curvature(problem: Problem, z: np.ndarray, seed: int) -> float:
    """Largest eigenvalue of the Hessian of -log p(z given x, y) over weights `[M, P]`, by power iteration."""
    log_density = log_posterior(problem)
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

    direction = tf.random.stateless_normal(z.shape, [seed % 2**31, 1])
    for _ in range(POWER_ITERATIONS):
        direction = times_hessian(tf.linalg.normalize(direction, axis=-1)[0])
    return float(np.linalg.norm(direction.numpy(), axis=-1).max())
