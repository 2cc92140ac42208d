"""What a posterior says of y."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array, Floats, finite_table, flattened, require, require_count, require_seed
from variational_bnn.base.constants import TAU


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictive:
    """What a posterior says of y at N inputs, D outputs each.

    The law of total variance, over the draws: Var[y] = Var_draws(E[y given draw]) + E_draws(Var[y given draw]).

    Where y is a class, mean and variances are those of its one-hot vector, `[N, K]` for K classes (of several outputs
    that are 0 or 1, `[N, D]` still), and its entropy is split likewise, as mutual information and expected entropy:
    H[y] = I[y, draw] + E_draws(H[y given draw]) (Depeweg et al. 2018, arXiv 1710.07283). Images are flattened.

    Attributes:
        mean: `[N, D]`, the units of y.
        epistemic_variance: `[N, D]`, squared units of y: how much the draws disagree.
        aleatoric_variance: `[N, D]`, squared units of y: the noise that the draws agree there is.
        log_likelihood: `[N, D]` targets and tau to `[N // tau]` log densities of tau rows at a time, in their order:
            the log of the mean over the same draws of the product over the rows.
        sampler: A seed to `[S, N, D]` draws of y, one from each of the same draws; rows of one draw share its function
            and have noise of their own.
        entropy: Of y where it is a class, of each output apart, `[N, D]`, in nats; else None.
        expected_entropy: Likewise, the mean over the draws of the entropy of y given the draw: what more data cannot
            tell.
    """

    mean: Array
    epistemic_variance: Array
    aleatoric_variance: Array
    log_likelihood: Callable[[Array, int], Array] = field(repr=False)
    sampler: Callable[[int], Floats] = field(repr=False)
    entropy: Array | None = None
    expected_entropy: Array | None = None

    @property
    def probabilities(self) -> Array:
        """Of the classes `[N, K]`, or of a 1 in each output `[N, D]`.

        Raises:
            ValueError: If y is a number.
        """
        require(self.entropy is not None, "y is a number here: it has a mean, and no probabilities of classes")
        return self.mean

    @property
    def mutual_information(self) -> Array:
        """Of y and the draw, `[N, D]`, in nats: how much the draws disagree on the class, the epistemic part.

        Raises:
            ValueError: If y is a number.
        """
        if self.entropy is None or self.expected_entropy is None:
            raise ValueError("y is a number here: its epistemic part is epistemic_variance")
        return np.maximum(self.entropy - self.expected_entropy, 0.0)

    @property
    def variance(self) -> Array:
        """Total variance `[N, D]`, the exact sum of its two parts."""
        return self.epistemic_variance + self.aleatoric_variance

    def log_prob(self, y: npt.ArrayLike) -> Array:
        """Log predictive density `[N]` of targets `[N, D]`, or `[N]` if D = 1, in nats; of a class, by its number.

        Raises:
            ValueError: If the targets' shape is not the predictive's, a target is not finite, or is no class.
        """
        return self.joint_log_prob(y, tau=1)

    def joint_log_prob(self, y: npt.ArrayLike, *, tau: int = TAU) -> Array:
        """Joint log predictive density `[N // tau]` of tau rows at a time, in their order, in nats.

        Two posteriors may agree at every row and yet not on what rows have in common: this tells them apart (Osband et
        al. 2022, arXiv 2110.04629). Rows that are left over are not scored.

        Args:
            y: Targets `[N, D]`, or `[N]` if D = 1.
            tau: Rows scored together; 1 for `log_prob`.

        Raises:
            ValueError: If the targets' shape is not the predictive's, a target is not finite, or tau is not a whole
                number from 1 to N.
        """
        targets = finite_table("y", flattened(y))
        shape = (self.mean if self.entropy is None else self.entropy).shape
        require(targets.shape == shape, f"y must have shape {list(shape)}, got {list(targets.shape)}")
        require_count("tau", tau)
        require(tau <= len(targets), f"tau must be at most the number of rows, {len(targets)}, got {tau}")
        return self.log_likelihood(targets, tau)

    def sample(self, *, seed: int) -> Floats:
        """Draws of y `[S, N, D]`: one from each draw of the posterior, with noise from the seed."""
        require_seed(seed)
        return self.sampler(seed)

    def in_units(self, *, shift: Array, scale: Array) -> Predictive:
        """The predictive of `shift + scale * y`; shift and scale are `[D]`, scale > 0; of a class, 0 and 1."""
        return dataclasses.replace(
            self,
            mean=shift + scale * self.mean,
            epistemic_variance=scale**2 * self.epistemic_variance,
            aleatoric_variance=scale**2 * self.aleatoric_variance,
            log_likelihood=lambda y, tau: self.log_likelihood((y - shift) / scale, tau) - tau * np.log(scale).sum(),
            sampler=lambda seed: shift + scale * self.sampler(seed),
        )
