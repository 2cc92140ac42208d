"""Point estimates of all the weights of a network, for many copies of it at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variational_bnn.methods.problem import Problem, require_finite
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf, tfp
from variational_bnn.models.weight_space import WeightSpace

Weights = npt.NDArray[np.float32]


def log_posterior_of_rows(
    space: WeightSpace, z: tf.Tensor, x: tf.Tensor, y: tf.Tensor, rows: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log p(z) and log p(y given x, z), `[M]` both, of weights `[M, P]`; the latter from some of the N rows, or all.

    If numbers of rows `[B]` are given, it is their log likelihood times N / B: an unbiased estimate if they were drawn
    at random, with replacement.
    """
    scale = 1.0
    if rows is not None:
        scale = x.shape[0] / rows.shape[0]
        x, y = tf.gather(x, rows), tf.gather(y, rows)
    return space.log_prior(z), scale * space.log_likelihood(z, x, y)


def batch_log_posterior(
    problem: Problem, z: tf.Tensor, batch_size: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log p(z) and an unbiased estimate of log p(y given x, z), `[M]` both, of weights `[M, P]`.

    The estimate is from `batch_size` rows drawn at random, with replacement; or from all N rows where the batch can
    hold them.
    """
    x, y, rows = tf.constant(problem.x), tf.constant(problem.y), None
    if len(problem.x) > batch_size:
        rows = tf.random.stateless_uniform([batch_size], seed, maxval=len(problem.x), dtype=tf.int32, alg="philox")
    return log_posterior_of_rows(problem.space, z, x, y, rows)


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

    losses = tfp.math.minimize(
        loss,
        settings.steps,
        settings.optimizer(),
        trainable_variables=[variable],
        jit_compile=True,
        seed=[seed % 2**31, 0],
    )
    require_finite(losses.numpy()[-1])
    return variable.numpy()
