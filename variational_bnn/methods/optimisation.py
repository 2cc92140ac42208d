"""Training by Adam of all the weights of a network at once, or of the variables of a distribution of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from variational_bnn.methods.problem import Problem, require_finite
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf, tfp
from variational_bnn.models.weight_space import WeightSpace

Weights = npt.NDArray[np.float32]


def log_posterior_of_batch(
    space: WeightSpace, z: tf.Tensor, x: tf.Tensor, y: tf.Tensor, num_examples: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log p(z) and an estimate of log p(y given x, z), `[M]` both, of weights `[M, P]`.

    The estimate is N / B times the log likelihood of B of the N = `num_examples` rows. It is unbiased if they were
    drawn at random, and exact of all rows.
    """
    return space.log_prior(z), num_examples / x.shape[0] * space.log_likelihood(z, x, y)


def draw_batch(problem: Problem, batch_size: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Inputs and targets of `batch_size` rows drawn at random, with replacement; of all rows if there are no more."""
    x, y = tf.constant(problem.x), tf.constant(problem.y)
    if len(problem.x) <= batch_size:
        return x, y
    rows = tf.random.stateless_uniform([batch_size], seed, maxval=len(problem.x), dtype=tf.int32, alg="philox")
    return tf.gather(x, rows), tf.gather(y, rows)


def batch_log_posterior(
    problem: Problem, z: tf.Tensor, batch_size: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log p(z) and an unbiased estimate of log p(y given x, z), `[M]` both, of weights `[M, P]` and a drawn batch."""
    return log_posterior_of_batch(problem.space, z, *draw_batch(problem, batch_size, seed), len(problem.x))


def optimise(problem: Problem, z: Weights, settings: GradientMethod, seed: int, *, prior: bool) -> Weights:
    """Weights `[M, P]` of highest posterior density, or of highest likelihood without the prior, by Adam from `z`.

    Args:
        problem: The network and the rows.
        z: Where M searches start, `[M, P]`.
        settings: Settings of Adam and of the batches.
        seed: Seed of the batches.
        prior: Whether the prior's density counts.

    Raises:
        FitError: If the loss is not finite at the end.
    """
    variable = tf.Variable(z)

    def loss(seed: tf.Tensor) -> tf.Tensor:
        log_prior, log_likelihood = batch_log_posterior(problem, variable, settings.batch_size, seed)
        return -tf.reduce_sum(log_likelihood + (log_prior if prior else 0.0)) / len(problem.x)

    minimise(loss, [variable], settings, seed)
    return variable.numpy()


def minimise(
    loss: Callable[[tf.Tensor], tf.Tensor], variables: Sequence[tf.Variable], settings: GradientMethod, seed: int
) -> None:
    """Take the steps of Adam that the settings say on a loss, in one program.

    Args:
        loss: From a seed `[2]`, another in each step, to the loss of the variables.
        variables: What is trained.
        settings: Settings of Adam.
        seed: Seed of the steps.

    Raises:
        FitError: If the loss is not finite at the end.
    """
    losses = tfp.math.minimize(
        loss,
        settings.steps,
        settings.optimizer(),
        trainable_variables=variables,
        jit_compile=True,
        seed=[seed % 2**31, 0],
    )
    require_finite(losses.numpy()[-1])
