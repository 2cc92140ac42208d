"""Probabilistic backpropagation: a mean-field normal posterior by one closed-form update for each row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from variational_bnn.base import Dataset, FitError, Network
from variational_bnn.base.checks import Array, Float32Array, require, require_count
from variational_bnn.base.progress import report
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod, reason_against_moments
from variational_bnn.models.backend import tf
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.stochastic import softplus_inverse
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.models.whole_networks import normal_model

ROUNDING = 1e-6
"""The least share of a weight's precision that counts as said by the rows."""

GAMMA_PRIOR = 6.0, 6.0
"""Shape and rate of the gamma priors of the precision of the noise and of the weights, those of the paper."""


class Beliefs(NamedTuple):
    """The posterior so far: z[p] is N(mean[p], variance[p]), each output's noise precision Gamma(shape, rate).

    Attributes:
        mean: `[P]`, in units of the prior's standard deviations.
        variance: `[P]`.
        shape: `[D]`.
        rate: `[D]`.
    """

    mean: Any
    variance: Any
    shape: Any
    rate: Any


@dataclass(frozen=True, kw_only=True)
class ProbabilisticBackpropagation(NetworkMethod):
    """Probabilistic backpropagation: a mean-field normal posterior by closed-form updates.

    Row by row, the means and variances of the weights are carried through the network in closed form, each layer's
    outputs being taken as normal and independent. With Z the density of the row's target that follows, the weights are
    updated so that they have the mean and the variance that they have given the row (assumed density filtering;
    Hernandez-Lobato & Adams 2015, arXiv 1502.05336):

        mean + variance dlog(Z)/dmean,    variance - variance^2 ((dlog(Z)/dmean)^2 - 2 dlog(Z)/dvariance).

    If the noise is not known, its precision has the prior Gamma(6, 6), in standardised units, and a gamma posterior, by
    the same rule; predictions have the mean noise variance. A second pass counts each row a second time, and so on: the
    mean fits better, and variances shrink.

    No weights are drawn. The seed decides the order of the rows, and small random means at the start, by which the
    units of a layer differ; they act as means of the prior.

    Args:
        passes: How often all rows are gone through, >= 1.
        learn_prior: Whether a precision of all weights, relative to the prior's, is learned too, with the prior
            Gamma(6, 6), as in the paper; otherwise the prior's standard deviations are the network's.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if a mean or a variance is not finite at the end.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset,
            the likelihood is not `Normal`, or the activation is not "linear" or "relu".

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.ProbabilisticBackpropagation(passes=5).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    passes: int = 40
    learn_prior: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("passes", self.passes)
        require(isinstance(self.learn_prior, bool), f"learn_prior must be True or False, got {self.learn_prior!r}")

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network has no moments in closed form; None if it has."""
        return reason_against_moments(network)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Go through the rows.

        Raises:
            FitError: If a mean or a variance is not finite at the end.
            ValueError: If the network does not fit the dataset, or the method does not support it.
        """
        problem = self.problem(dataset, network)
        likelihood = problem.network.likelihood
        assert isinstance(likelihood, Normal)
        known = likelihood.scale if isinstance(likelihood.scale, float) else None
        if known is None:
            learned = dataclasses.replace(problem.network, likelihood=dataclasses.replace(likelihood, scale="learned"))
            problem = dataclasses.replace(problem, network=learned)
        space, outputs, rng = problem.space, problem.y.shape[1], np.random.default_rng(seed)
        shared = 0 if known else outputs
        size = space.size - shared
        shape, rate = GAMMA_PRIOR
        variance = rate / (shape - 1) if self.learn_prior else 1.0
        beliefs = Beliefs(
            _initial_means(space, rng), np.full(size, variance), np.full(outputs, shape), np.full(outputs, rate)
        )
        prior = _LearnedPrior(size, variance) if self.learn_prior else None
        update = _compiled(space, problem.x, problem.y, known)
        for number in range(self.passes):
            beliefs = Beliefs(*(part.numpy() for part in update(*beliefs, rng.permutation(len(problem.x)))))
            if prior:
                beliefs = prior.refined(beliefs)
            report(number + 1, self.passes, "passes")
        if not all(np.isfinite(part).all() for part in beliefs):
            raise FitError("diverged: a mean or a variance is not finite")
        noise = np.sqrt(beliefs.rate / (beliefs.shape - 1))[:shared]
        raw = [softplus_inverse(max(scale - likelihood.floor, 1e-6)) / space.prior_scales[-1] for scale in noise]
        loc, scale = np.append(beliefs.mean, raw), np.append(np.sqrt(beliefs.variance), np.zeros(shared))
        return problem.posterior(normal_model(problem.network, loc, scale=scale), 2 * size + 2 * shared)


def _initial_means(space: WeightSpace, rng: np.random.Generator) -> Array:
    """Random means, so that the units of a layer differ, of standard deviation (fan-in + 1)^-1/2; zeros without units.

    The parameters that all rows share are left out.
    """
    if len(space.shapes) == 1:
        return np.zeros(math.prod(space.shapes[0]))
    return np.concatenate([rng.standard_normal(rows * units) / math.sqrt(rows) for rows, units in space.shapes])


def output_moments(space: WeightSpace, mean: tf.Tensor, variance: tf.Tensor, x: tf.Tensor) -> list[Any]:
    """Means and variances of the outputs of each layer before its activation, `[(mean [U], variance [U]), ...]`.

    Args:
        space: The space of the weights.
        mean: Means of the weights `[P]`.
        variance: Variances of the weights `[P]`.
        x: Inputs `[F]`.
    """
    sizes = [math.prod(shape) for shape in space.shapes]
    scales = tf.constant(space.prior_scales[: sum(sizes)], mean.dtype)
    means, variances = tf.split(mean * scales, sizes), tf.split(variance * scales**2, sizes)
    h, h_variance, found = x, tf.zeros_like(x), list[Any]()
    for i, shape in enumerate(space.shapes):
        if i and space.network.activation == "relu":
            h, h_variance = relu_moments(h, h_variance)
        h, h_variance = tf.concat([h, [1.0]], 0), tf.concat([h_variance, [0.0]], 0)  # The input of the biases.
        w, w_variance = tf.reshape(means[i], shape), tf.reshape(variances[i], shape)
        h, h_variance = (
            tf.linalg.matvec(w, h, transpose_a=True),
            tf.linalg.matvec(w_variance, h**2 + h_variance, transpose_a=True)
            + tf.linalg.matvec(w**2, h_variance, transpose_a=True),
        )
        found.append((h, h_variance))
    return found


def relu_moments(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of max(a, 0), where a is N(mean, variance)."""
    sd = tf.sqrt(variance)
    ratio = mean / sd
    above = tf.math.erfc(-ratio / math.sqrt(2)) / 2
    density = tf.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    first = mean * above + sd * density
    return first, tf.maximum((mean**2 + variance) * above + mean * sd * density - first**2, 0.0)


def _compiled(space: WeightSpace, x: Float32Array, y: Float32Array, known: float | None) -> Any:
    """A compiled function that updates beliefs by rows in an order, given as an array of their numbers."""
    inputs, targets = tf.constant(x, tf.float64), tf.constant(y, tf.float64)

    def by_row(x: tf.Tensor, y: tf.Tensor, beliefs: Beliefs) -> Beliefs:
        mean, variance, shape, rate = beliefs

        def log_z(predicted: Any, more: float = 0.0) -> tf.Tensor:
            noise = known**2 if known else rate / (shape - 1 + more)
            return log_normal(y, predicted[0], predicted[1] + noise)

        with tf.GradientTape() as tape:
            tape.watch((mean, variance))
            predicted = output_moments(space, mean, variance, x)[-1]
            total = tf.reduce_sum(log_z(predicted))
        by_mean, by_variance = tape.gradient(total, (mean, variance))
        narrowed = variance - variance**2 * (by_mean**2 - 2 * by_variance)
        valid = narrowed > 0  # The others are left as they are, as in the paper's own code.
        mean, narrowed = tf.where(valid, mean + variance * by_mean, mean), tf.where(valid, narrowed, variance)
        if not known:
            shape, rate = gamma_update([log_z(predicted, more) for more in (0.0, 1.0, 2.0)], shape, rate)
        return Beliefs(mean, narrowed, shape, rate)

    @tf.function(autograph=False, jit_compile=True)
    def update(mean: tf.Tensor, variance: tf.Tensor, shape: tf.Tensor, rate: tf.Tensor, rows: tf.Tensor) -> Beliefs:
        # In their order before the loop: XLA would compile a loop over the numbers of rows anew for each order.
        xs, ys = tf.gather(inputs, rows), tf.gather(targets, rows)

        def body(number: tf.Tensor, beliefs: Beliefs) -> tuple[tf.Tensor, Beliefs]:
            return number + 1, by_row(xs[number], ys[number], beliefs)

        start = tf.constant(0), Beliefs(mean, variance, shape, rate)
        _, beliefs = tf.while_loop(lambda number, _: number < tf.shape(rows)[0], body, start)
        return beliefs

    return update


def log_normal(y: Any, mean: Any, variance: Any) -> Any:
    """Log density of N(mean, variance) at y."""
    return -((y - mean) ** 2) / (2 * variance) - tf.math.log(2 * math.pi * variance) / 2


def gamma_update(log_z: Sequence[Any], shape: Any, rate: Any) -> tuple[Any, Any]:
    """Shape and rate of a precision given a value, so that its first two moments are those given the value.

    Args:
        log_z: Log densities of the value under Gamma(shape, rate), Gamma(shape + 1, rate) and Gamma(shape + 2, rate).
        shape: Shape before.
        rate: Rate before.
    """
    log_z0, log_z1, log_z2 = log_z
    new_shape = 1 / (tf.exp(log_z2 + log_z0 - 2 * log_z1) * (shape + 1) / shape - 1)
    new_rate = 1 / (tf.exp(log_z2 - log_z1) * (shape + 1) / rate - tf.exp(log_z1 - log_z0) * shape / rate)
    valid = (new_shape > 1) & (new_rate > 0)
    return tf.where(valid, new_shape, shape), tf.where(valid, new_rate, rate)


class _LearnedPrior:
    """The prior's factors N(z[p] | 0, 1 / precision), where the precision has a gamma posterior.

    Each factor is approximated by a normal and a gamma factor, which expectation propagation refines after each pass:
    all at once, where the paper's code takes them one after the other.

    Args:
        size: P.
        variance: Variance of the normal factors at first.
    """

    def __init__(self, size: int, variance: float) -> None:
        self._precision, self._shift = np.full(size, 1 / variance), np.zeros(size)
        self._shape, self._rate = np.zeros(size), np.zeros(size)

    def refined(self, beliefs: Beliefs) -> Beliefs:
        """The beliefs with each factor replaced by what it should be given all others."""
        shape, rate = (
            prior + factors.sum() - factors
            for prior, factors in zip(GAMMA_PRIOR, (self._shape, self._rate), strict=True)
        )
        precision = 1 / beliefs.variance - self._precision
        # Of a weight of which the rows say nothing, the difference is rounding.
        valid = (precision > ROUNDING / beliefs.variance) & (shape > 1) & (rate > 0)
        variance = 1 / np.where(valid, precision, 1.0)  # Without the factor.
        mean = variance * (beliefs.mean / beliefs.variance - self._shift)
        of_prior = rate / (shape - 1)
        share = of_prior / (variance + of_prior)
        new_mean, new_variance = share * mean, share * variance
        log_z = [log_normal(0.0, mean, variance + rate / (shape - 1 + more)).numpy() for more in (0, 1, 2)]
        new_shape, new_rate = (part.numpy() for part in gamma_update(log_z, shape, rate))
        self._precision = np.where(valid, 1 / new_variance - 1 / variance, self._precision)
        self._shift = np.where(valid, new_mean / new_variance - mean / variance, self._shift)
        self._shape = np.where(valid, new_shape - shape, self._shape)
        self._rate = np.where(valid, new_rate - rate, self._rate)
        return beliefs._replace(
            mean=np.where(valid, new_mean, beliefs.mean), variance=np.where(valid, new_variance, beliefs.variance)
        )
