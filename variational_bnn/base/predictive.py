"""The predictive distribution of y."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import (
    Array,
    Floats,
    finite_table,
    flattened,
    require,
    require_all,
    require_count,
    require_seed,
)
from variational_bnn.base.constants import TAU


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictive:
    """The distribution of y that a posterior predicts at N inputs with D outputs each.

    The law of total variance splits the variance of y over the draws of the posterior by its source. A draw has
    parameters w, which are drawn once for all rows (weights, masks, factors of units), and may have latents z, which
    are drawn for each row:

    - epistemic: Var_w(E[y given w]), how much the functions disagree, which more data can remove
    - latent: E_w(Var_z(E[y given w, z])), noise of the row inside the network
    - aleatoric: E(Var[y given w, z]), noise of the likelihood

    Where y is a class, mean and variances are those of its one-hot vector, `[N, K]` for K classes; where y holds
    several outputs that are each 0 or 1, they stay `[N, D]`. The entropy is then split in the same way:
    H[y] = I[y, w] + I[y, z given w] + E(H[y given w, z]) (Depeweg et al. 2018, arXiv 1710.07283). Images are flattened.

    `predict` returns this class for a Keras model. A method of your own makes it with `from_functions`, or passes the
    attributes below as keyword arguments.

    Attributes:
        mean: Predictive mean `[N, D]`, in the units of y.
        epistemic_variance: Variance over the parameters of the mean of y `[N, D]`, in squared units of y.
        latent_variance: Variance over the latents of the mean of y `[N, D]`, in squared units of y, a mean over the
            parameters; 0 unless given.
        aleatoric_variance: Mean over the draws of the variance of y given the draw `[N, D]`, in squared units of y.
        log_likelihood: A function of targets `[N, D]` and tau that returns `[N // tau]` log densities of tau rows at a
            time, in their order: the log of the mean over the draws of the product over the rows.
        sampler: A function of a seed that returns draws of y `[S, N, D]`, one from each draw of the posterior. The
            rows of one draw share its parameters, and each has latents and noise of its own.
        entropy: Entropy of each output `[N, D]`, in nats, where y is a class (D = 1) or each output is 0 or 1; None
            where y is a number.
        expected_entropy: Mean over the draws of the entropy of y given the draw `[N, D]`, in nats. None where y is a
            number.
        latent_information: Mutual information of y and the latents given the parameters `[N, D]`, in nats: the part of
            the entropy that comes from noise of the row inside the network. None where y is a number, and 0 unless
            given where it is a class.

    Example:
        Five hundred lines through the origin, with noise of standard deviation 0.1, at the inputs -1, 0 and 1:

        >>> import variational_bnn as vbnn
        >>> x = np.array([[-1.0], [0.0], [1.0]])
        >>> slopes = np.random.default_rng(0).normal(size=(500, 1, 1))
        >>> predictive = vbnn.Predictive.from_functions(slopes * x, noise_variance=0.01)
        >>> predictive.mean.shape
        (3, 1)
        >>> float(predictive.epistemic_variance[1, 0])  # All lines agree at the origin.
        0.0
        >>> predictive.log_prob([0.0, 0.0, 0.0]).shape
        (3,)
        >>> predictive.joint_log_prob([0.0, 0.0, 0.0], tau=3).shape
        (1,)
        >>> predictive.sample(seed=0).shape
        (500, 3, 1)
    """

    mean: Array
    epistemic_variance: Array
    aleatoric_variance: Array
    log_likelihood: Callable[[Array, int], Array] = field(repr=False)
    sampler: Callable[[int], Floats] = field(repr=False)
    latent_variance: Array = None  # type: ignore[assignment]
    entropy: Array | None = None
    expected_entropy: Array | None = None
    latent_information: Array | None = None

    def __post_init__(self) -> None:
        """Fill the latent parts with 0 where they were not given."""
        if self.latent_variance is None:
            object.__setattr__(self, "latent_variance", np.zeros_like(self.epistemic_variance))
        if self.latent_information is None and self.entropy is not None:
            object.__setattr__(self, "latent_information", np.zeros_like(self.entropy))

    @classmethod
    def from_functions(cls, functions: npt.ArrayLike, noise_variance: npt.ArrayLike) -> Predictive:
        """The predictive of function samples with independent normal noise.

        This is what the `predict` of a method of your own returns, where y is a number: for classes, use `Predictive`
        itself. Each sample has the same weight. Nothing here needs TensorFlow.

        Args:
            functions: Function samples `[S, N, D]`, in the units of y: draws of E[y given x, draw], where
                `functions[s]` is the same function at all N inputs.
            noise_variance: Variance of the noise in squared units of y, >= 0: a number, `[D]`, `[N, D]` or
                `[S, N, D]`.

        Returns:
            The predictive: an equal mixture of S normal distributions at each input. Its epistemic variance is the
            variance of the samples (exactly 0 if they are all equal), its aleatoric variance the mean of the noise
            variance over the samples. Where a noise variance is 0, y has no density, and `log_prob` and
            `joint_log_prob` raise a `ValueError`.

        Raises:
            ValueError: If a shape differs from the above, a value is NaN or infinite, or a variance is negative.

        Example:
            >>> import variational_bnn as vbnn
            >>> functions = np.array([[[0.0], [1.0]], [[0.0], [3.0]]])  # Two samples at two inputs.
            >>> predictive = vbnn.Predictive.from_functions(functions, noise_variance=0.25)
            >>> predictive.mean.tolist()
            [[0.0], [2.0]]
            >>> predictive.epistemic_variance.tolist()
            [[0.0], [1.0]]
            >>> predictive.variance.tolist()
            [[0.25], [1.25]]
        """
        samples = _finite("functions", functions)
        require(samples.ndim == 3 and samples.size > 0, f"functions must have shape [S, N, D], got {_shape(samples)}")
        noise = _noise_variances(noise_variance, samples)
        deviations = samples - samples[0]  # Of equal samples they are exactly 0, and so is their variance.

        def log_likelihood(y: Array, tau: int) -> Array:
            require_all(noise > 0, noise, "y has no density: noise_variance must be > 0")
            log_densities = -0.5 * ((y - samples) ** 2 / noise + np.log(2 * np.pi * noise)).sum(axis=-1)
            rows = log_densities.shape[1] // tau * tau
            joint = log_densities[:, :rows].reshape(len(samples), -1, tau).sum(axis=-1)
            return np.asarray(np.logaddexp.reduce(joint, axis=0) - np.log(len(samples)))

        def sampler(seed: int) -> Array:
            standard = np.random.default_rng([seed, 1]).standard_normal(samples.shape)
            return np.asarray(samples + np.sqrt(noise) * standard)

        return cls(
            mean=samples[0] + deviations.mean(axis=0),
            epistemic_variance=deviations.var(axis=0),
            aleatoric_variance=noise.mean(axis=0),
            log_likelihood=log_likelihood,
            sampler=sampler,
        )

    @property
    def probabilities(self) -> Array:
        """Probabilities of the classes `[N, K]`, or of the value 1 in each output `[N, D]`.

        Raises:
            ValueError: If y is a number.
        """
        require(self.entropy is not None, "y is a number here: it has a mean, and no probabilities of classes")
        return self.mean

    @property
    def mutual_information(self) -> Array:
        """Mutual information of y and the parameters `[N, D]`, in nats: how much functions disagree on the class.

        It is the epistemic part of the entropy: what is left of it without `latent_information` and
        `expected_entropy`.

        Raises:
            ValueError: If y is a number.
        """
        if self.entropy is None or self.expected_entropy is None or self.latent_information is None:
            raise ValueError("y is a number here: its epistemic part is epistemic_variance")
        return np.maximum(self.entropy - self.expected_entropy - self.latent_information, 0.0)

    @property
    def variance_over_draws(self) -> Array:
        """Variance over the draws of the mean of y `[N, D]`, in squared units of y: epistemic plus latent variance."""
        return self.epistemic_variance + self.latent_variance

    @property
    def variance(self) -> Array:
        """Total variance `[N, D]` in squared units of y: epistemic plus latent plus aleatoric variance."""
        return self.epistemic_variance + self.latent_variance + self.aleatoric_variance

    def log_prob(self, y: npt.ArrayLike) -> Array:
        """Log predictive density of each row, the log of the mean over the draws.

        Args:
            y: Targets `[N, D]`, or `[N]` if D = 1, in the units of y; the number of the class where y is a class.

        Returns:
            `[N]` log densities, in nats.

        Raises:
            ValueError: If the shape of the targets is not the predictive's, a target is NaN, infinite or not a class,
                or y has no density.
        """
        return self.joint_log_prob(y, tau=1)

    def joint_log_prob(self, y: npt.ArrayLike, *, tau: int = TAU) -> Array:
        """Joint log predictive density of tau rows at a time, in their order.

        Two posteriors may agree at every single row and still differ in how rows depend on each other; the joint
        density shows it (Osband et al. 2022, arXiv 2110.04629). The last N modulo tau rows are not scored.

        Args:
            y: Targets `[N, D]`, or `[N]` if D = 1, in the units of y; the number of the class where y is a class.
            tau: How many rows are scored together.

        Returns:
            `[N // tau]` log densities, in nats.

        Raises:
            ValueError: If the shape of the targets is not the predictive's, a target is NaN, infinite or not a class,
                tau is not a whole number from 1 to N, or y has no density.
        """
        targets = finite_table("y", flattened(y))
        shape = (self.mean if self.entropy is None else self.entropy).shape
        require(targets.shape == shape, f"y must have shape {list(shape)}, got {_shape(targets)}")
        require_count("tau", tau)
        require(tau <= len(targets), f"tau must be at most the number of rows, {len(targets)}, got {tau}")
        return self.log_likelihood(targets, tau)

    def sample(self, *, seed: int) -> Floats:
        """Draws of y `[S, N, D]`, in the units of y: one from each draw of the posterior, with noise from the seed.

        Raises:
            ValueError: If the seed is not a whole number >= 0, or y has no distribution given a draw.
        """
        require_seed(seed)
        return self.sampler(seed)

    def in_units(self, *, shift: Array, scale: Array) -> Predictive:
        """The predictive of `shift + scale * y`, for instance to go back from standardised units to those of y.

        Args:
            shift: `[D]`; 0 where y is a class.
            scale: `[D]`, > 0; 1 where y is a class.
        """
        return dataclasses.replace(
            self,
            mean=shift + scale * self.mean,
            epistemic_variance=scale**2 * self.epistemic_variance,
            latent_variance=scale**2 * self.latent_variance,
            aleatoric_variance=scale**2 * self.aleatoric_variance,
            log_likelihood=lambda y, tau: self.log_likelihood((y - shift) / scale, tau) - tau * np.log(scale).sum(),
            sampler=lambda seed: shift + scale * self.sampler(seed),
        )


def _finite(name: str, values: npt.ArrayLike) -> Array:
    """The values as a float64 array of their own, which must be finite."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error
    require_all(np.isfinite(array), array, f"{name} must be finite")
    return array


def _noise_variances(values: npt.ArrayLike, samples: Array) -> Array:
    """Noise variances as a view of the samples' shape `[S, N, D]`."""
    variances = _finite("noise_variance", values)
    shapes = [samples.shape[axis:] for axis in (3, 2, 1, 0)]
    described = "a number, or have shape [D], [N, D] or [S, N, D] for functions of shape"
    require(
        variances.shape in shapes,
        f"noise_variance must be {described} {_shape(samples)}, got shape {_shape(variances)}",
    )
    require_all(variances >= 0, variances, "noise_variance must be >= 0")
    return np.broadcast_to(variances, samples.shape)


def _shape(array: Array) -> list[int]:
    return list(array.shape)
