"""What the compiled loss of a model is: a weight of a log-likelihood, of which one, and of the KL.

The loss of small batches is compared with their exact negative log-likelihood (nll) from the same passes. The batches
differ in rows, draws and, by small changes, in the trained weights, so that what varies with any of them is told from a
constant. Batches of two sizes tell a sum over the batch from a mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array
from variational_bnn.prediction.loss_terms import Measurement, Terms

OWN, NORMAL, LAPLACE, NONE = "own", "Normal", "Laplace", "none"
"""Likelihoods of which a loss may be: that of the model's own distribution, noise about its output, or none known."""

RESIDUAL = 2e-3
"""Largest root mean square residual of a linear relation, relative to the standard deviation of the loss."""

CLOSE = 0.01
"""Largest relative deviation of a weight or a constant that counts as none."""

TINY = 1e-7
"""The smallest probability of a class, as in Keras."""

Rows = dict[str, Array]
"""The nll of each row of a batch by each likelihood that may be meant, up to a constant and a factor."""


@dataclass(frozen=True, kw_only=True)
class CompiledLoss:
    """The data's part of a loss, `weight * nll + constant + kl_weight * KL`, of a batch.

    Attributes:
        likelihood: "own" for that of the model's distribution, "Normal" or "Laplace" for noise about the output,
            "Categorical" or "Bernoulli" for a class, of which the output is probabilities, or "Categorical of logits"
            or "Bernoulli of logits"; "none" for a loss that is not of this family.
        weight: Weight of each row's nll: in the sum over the rows, if `summed`, otherwise in their mean. For Normal and
            Laplace the nll is the sum over the outputs of the squared and the absolute errors.
        constant: What is added in any case; per row, if `summed`.
        kl_weight: Weight of the layers' KL in the compiled loss itself: of what they add, or of their KL if they add
            nothing.
        other_weight: Weight in the compiled loss itself of what else is added to it, such as weight decay.
        summed: Whether the loss is summed over the batch.
        own_weight: The weight of the own nll that the same loss amounts to: `weight` if the likelihood is the own one,
            otherwise that of noise of a constant scale; NaN if there is none.
        about_mean: Whether the output that the loss is of is the mean of the model's distribution, not a draw from it.
    """

    likelihood: str
    weight: float = math.nan
    constant: float = 0.0
    kl_weight: float = 0.0
    other_weight: float = 0.0
    summed: bool = False
    own_weight: float = math.nan
    about_mean: bool = True

    @property
    def scale(self) -> float:
        """Scale of the noise about the output that is implied: the sd of a Normal, the scale of a Laplace."""
        return math.sqrt(0.5 / self.weight) if self.likelihood == NORMAL else 1 / self.weight

    def nll(self, y: npt.NDArray[Any], output: Array) -> Array:
        """The nll `[n]` of targets by the implied noise about the output `[n, D]`, or by the class probabilities."""
        loss, size = _rows_by_likelihood(y, output)[self.likelihood], output.shape[1]
        if self.likelihood == NORMAL:
            return self.weight * loss + size * math.log(self.scale * math.sqrt(2 * math.pi))
        return self.weight * loss + size * math.log(2 * self.scale) if self.likelihood == LAPLACE else loss


def read(passes: Measurement, y: npt.NDArray[Any], sample_weight: Array) -> CompiledLoss:
    """Tell what a compiled loss is from passes of batches of two sizes.

    Args:
        passes: The passes.
        y: Targets `[N, ...]`.
        sample_weight: Weights of the rows `[N]`.
    """
    finite = [[terms for terms in kind if np.isfinite(terms.compiled_loss)] for kind in (passes.small, passes.large)]
    if not all(finite):
        return CompiledLoss(likelihood=NONE)
    batches = [_Batches(kind, y, sample_weight, passes.precise) for kind in finite]
    own, *others = [_reading(name, *batches) for name in batches[0].names if name in batches[1].names]
    found = [loss for loss in (own, *others) if loss]
    exact = [loss for loss in found if abs(loss.constant) <= batches[0].close * abs(loss.weight)]
    if own and (own in exact or abs(own.weight - 1) <= batches[0].close):
        return own
    return next(iter([*exact, *found]), CompiledLoss(likelihood=NONE))


class _Batches:
    """Batches of one size: their losses, and what these may be made of."""

    def __init__(self, passes: Sequence[Terms], y: npt.NDArray[Any], sample_weight: Array, precise: bool) -> None:
        self.size, self._tolerance = len(passes[0].rows), RESIDUAL if precise else 30 * RESIDUAL
        self.close = CLOSE if precise else 5 * CLOSE
        self.losses = np.array([terms.compiled_loss for terms in passes])
        rows = [{OWN: terms.nll, **_rows_by_likelihood(y[terms.rows], terms.output)} for terms in passes]
        self.names = [name for name in rows[0] if all(name in of_row for of_row in rows)]
        weights = [sample_weight[terms.rows] for terms in passes]
        about_means = [_rows_by_likelihood(y[terms.rows], terms.mean) for terms in passes]
        self._nll, self._nll_about_mean = (
            {
                name: np.array([(w * of_row[name]).mean() for w, of_row in zip(weights, values, strict=True)])
                for name in self.names
                if name in values[0]
            }
            for values in (rows, about_means)
        )
        penalty, kl, added = (
            np.array(values)
            for values in zip(*((t.penalties.sum(), t.kls.sum(), t.added) for t in passes), strict=True)
        )
        self._others = [penalty if np.any(penalty) else kl, added - penalty]
        self.about_mean = all(np.allclose(terms.output, terms.mean, rtol=1e-3, atol=1e-6) for terms in passes)

    def fit(self, name: str) -> Array | None:
        """Weights of a nll, of the KL and of what else is added, and the constant; None if the loss is no such sum."""
        return self._fit(self.losses, np.stack([self._nll[name], *self._others], axis=1))

    def own_weight(self, name: str) -> float:
        """What the nll by noise of scale 1 about the mean has of the own nll; NaN if the own noise is not constant."""
        weights = self._fit(self._nll_about_mean[name], self._nll[OWN][:, None])
        return math.nan if weights is None else float(weights[0])

    def _fit(self, losses: Array, columns: Array) -> Array | None:
        """Least squares: the columns' weights and the constant; None if the residuals are not those of rounding."""
        rounding = 1e-6 * np.abs(losses).max()
        if not (np.isfinite(losses).all() and np.isfinite(columns).all()) or losses.std() <= 10 * rounding:
            return None
        spread = columns.std(axis=0)
        varies = spread > 1e-7 * np.abs(columns).max(axis=0)
        if not varies[0] or len(losses) < 2 * columns.shape[1] + 2:
            return None
        spread, centre = np.where(varies, spread, 1.0), columns.mean(axis=0)
        weights = np.linalg.lstsq((columns - centre) / spread * varies, losses - losses.mean())[0]
        residual = float(np.sqrt(np.mean((losses - losses.mean() - (columns - centre) / spread @ weights) ** 2)))
        if residual > self._tolerance * losses.std() + rounding:
            return None
        weights = np.where(np.abs(weights) > 5 * residual + rounding, weights, 0.0) / spread
        return np.append(weights, losses.mean() - centre @ weights)


def _reading(name: str, small: _Batches, large: _Batches) -> CompiledLoss | None:
    """The loss as one of this likelihood, or None if it is not."""
    weights, of_large = small.fit(name), large.fit(name)
    if weights is None or of_large is None or weights[0] == 0 or (name != OWN and weights[0] < 0):
        return None
    ratio, rows = of_large[0] / weights[0], large.size / small.size
    summed = abs(ratio / rows - 1) <= small.close and rows > 1
    if not summed and abs(ratio - 1) > small.close:
        return None
    weight, kl_weight, other_weight, constant = of_large / np.where([summed, False, False, summed], large.size, 1)
    own_weight = weight if name == OWN else math.nan
    if name == NORMAL or (name == LAPLACE and large.about_mean):
        own_weight = weight * large.own_weight(name)
    return CompiledLoss(
        likelihood=name,
        weight=float(weight),
        constant=float(constant),
        kl_weight=float(kl_weight),
        other_weight=float(other_weight),
        summed=summed,
        own_weight=float(own_weight),
        about_mean=large.about_mean,
    )


def _rows_by_likelihood(y: npt.NDArray[Any], output: Array) -> Rows:
    """The nll of each row by each likelihood that y and the output `[n, D]` allow, up to a constant and a factor."""
    losses, labels = {}, _labels(y, output)
    if labels is not None:
        own = np.arange(len(labels)), labels
        losses["Categorical of logits"] = np.logaddexp.reduce(output, axis=1) - output[own]
        if (output >= 0).all() and (output.sum(axis=1) > 0).all():
            losses["Categorical"] = -np.log(np.clip(output / output.sum(axis=1, keepdims=True), TINY, 1 - TINY)[own])
    if y.size == output.size:
        z = y.reshape(output.shape).astype(np.float64)
        losses |= {NORMAL: ((z - output) ** 2).sum(axis=1), LAPLACE: np.abs(z - output).sum(axis=1)}
        if ((z == 0) | (z == 1)).all():
            losses["Bernoulli of logits"] = (np.logaddexp(0, output) - z * output).sum(axis=1)
            if ((output >= 0) & (output <= 1)).all():
                p = np.clip(output, TINY, 1 - TINY)
                losses["Bernoulli"] = -(z * np.log(p) + (1 - z) * np.log1p(-p)).sum(axis=1)
    return losses


def _labels(y: npt.NDArray[Any], output: Array) -> npt.NDArray[np.int64] | None:
    """The class of each row by its number or by zeros and a one; None if y is neither."""
    size = output.shape[1]
    if size == 1 or y.size not in (len(output), output.size):
        return None
    if y.size == len(output):
        numbers = y.reshape(-1)
        is_class = (numbers >= 0) & (numbers < size) & (numbers == np.floor(numbers))
        return numbers.astype(np.int64) if is_class.all() else None
    z = y.reshape(output.shape)
    return z.argmax(axis=1) if ((z == 0) | (z == 1)).all() and (z.sum(axis=1) == 1).all() else None
