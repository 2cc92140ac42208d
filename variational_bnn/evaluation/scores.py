"""Scores of predictions, and distances between samples, on arrays."""

from __future__ import annotations

import numpy as np
import scoringrules

from variational_bnn.base.checks import Array, Floats, is_number, require


def rmse(y: Array, mean: Array) -> float:
    """Root mean squared error over all N rows and D outputs, in the units of y.

    Args:
        y: Targets `[N, D]`.
        mean: Predictions `[N, D]`.

    Raises:
        ValueError: If the shapes differ, or there are no rows.
    """
    require(y.shape == mean.shape, f"y and mean must have the same shape, got {list(y.shape)} and {list(mean.shape)}")
    require(y.size > 0, f"y must hold at least one target, got shape {list(y.shape)}")
    return float(np.sqrt(np.mean((y - mean) ** 2)))


def accuracy(y: Array, probabilities: Array) -> float:
    """Share of the targets whose most probable class is the right one; NaN if a probability is NaN.

    Args:
        y: Numbers 0 to K - 1 of K classes `[N, 1]`, or targets of 0 or 1 `[N, D]`.
        probabilities: Probabilities of the classes `[N, K]`, or of a 1 `[N, D]`.

    Raises:
        ValueError: If the shapes do not fit each other, or there are no rows.
    """
    shapes = f"got {list(y.shape)} and {list(probabilities.shape)}"
    require(y.size > 0 and len(y) == len(probabilities), f"y and probabilities must have as many rows, {shapes}")
    of_classes = y.shape[1] == 1 < probabilities.shape[1]
    require(of_classes or y.shape == probabilities.shape, f"y must have one column, or as many, {shapes}")
    guess = probabilities.argmax(1, keepdims=True) if of_classes else probabilities > 0.5
    return float(np.mean(np.where(np.isnan(probabilities).any(axis=1, keepdims=True), np.nan, guess == y)))


def crps(samples: Floats, y: Array) -> Array:
    """Continuous ranked probability score `[N, D]`, in the units of y: E|Y - y| - E|Y - Y'| / 2.

    Gneiting and Raftery 2007, doi 10.1198/016214506000001437. The estimator is fair: its expectation does not depend on
    the number of samples (Ferro 2014, doi 10.1002/qj.2270), so a single estimate may be below 0. NaN where a sample is
    NaN.

    Args:
        samples: Samples of the predictive distribution `[S, N, D]`, S >= 2.
        y: Targets `[N, D]`.

    Raises:
        ValueError: If an array has another shape.
    """
    _require_samples(samples, 2)
    _require_targets(samples, y)
    # Probability-weighted moments give the fair estimator with one sort (Zamo and Naveau 2018).
    ensemble = np.moveaxis(samples.astype(np.float64), 0, -1)
    score: Array = scoringrules.crps_ensemble(y, ensemble, estimator="pwm", backend="numpy")
    return score


def pit(samples: Floats, y: Array) -> Array:
    """Probability integral transform `[N, D]`: the distribution function of the predictive at the targets.

    It is i / (S + 1) at the i-th smallest of the S samples, because one more sample is equally likely to be in any of
    the S + 1 gaps. It is linear between two samples, 0 below all samples and 1 above all. So y is inside the central
    interval of `interval_width` exactly where |pit - 1/2| <= level / 2. Where several samples equal y, it is the mean
    of their values. NaN where a sample or a target is NaN.

    Args:
        samples: Samples of the predictive distribution `[S, N, D]`.
        y: Targets `[N, D]`.

    Raises:
        ValueError: If an array has another shape.
    """
    _require_samples(samples, 1)
    _require_targets(samples, y)
    ordered = np.sort(samples.astype(np.float64), axis=0)
    last = len(ordered) - 1
    below, up_to = (ordered < y).sum(axis=0), (ordered <= y).sum(axis=0)
    lower, upper = (np.take_along_axis(ordered, i.clip(0, last)[None], 0)[0] for i in (below - 1, up_to))
    between = (lower < y) & (y < upper)
    share = np.divide(y - lower, upper - lower, out=np.zeros(y.shape), where=between & (below == up_to))
    rank = np.where(below < up_to, (below + 1 + up_to) / 2, below + share + (below > last))
    return np.where(np.isnan(ordered[-1] + y), np.nan, rank / (last + 2))


def coverage(pit: Array, level: float) -> float:
    """Share of the targets inside their central predictive interval (PICP of Khosravi et al. 2011).

    doi 10.1109/TNN.2011.2162110. Its expectation is the level if the predictive distribution is the right one, unless
    there are fewer than 2 / (1 - level) - 1 samples: then even the whole range of the samples covers less.

    Args:
        pit: Probability integral transforms of the targets, from `pit`, in an array of any shape.
        level: Probability of the interval, between 0 and 1.

    Returns:
        The share; NaN if a transform is NaN.

    Raises:
        ValueError: If there is no target, or the level is not between 0 and 1.
    """
    _require_level(level)
    require(pit.size > 0, f"pit must hold at least one target, got shape {list(pit.shape)}")
    return float(np.mean(np.where(np.isnan(pit), np.nan, np.abs(pit - 0.5) <= level / 2)))


def interval_width(samples: Floats, level: float) -> Array:
    """Width `[N, D]` of the central predictive interval, in the units of y.

    Its mean is the MPIW of Khosravi et al. 2011, doi 10.1109/TNN.2011.2162110. The quantiles are those of `pit`; a
    quantile that would be outside the range of the samples is the smallest or the largest sample.

    Args:
        samples: Samples of the predictive distribution `[S, N, D]`.
        level: Probability of the interval, between 0 and 1.

    Raises:
        ValueError: If the samples have another shape, or the level is not between 0 and 1.
    """
    _require_samples(samples, 1)
    _require_level(level)
    tails = [(1 - level) / 2, (1 + level) / 2]
    lower, upper = np.quantile(samples.astype(np.float64), tails, axis=0, method="weibull")
    return np.asarray(upper - lower)


def wasserstein(a: Floats, b: Floats) -> Array:
    """Wasserstein-1 distance `[...]` of two empirical distributions, column by column, in the units of the columns.

    It is the area between the two distribution functions, computed exactly. Izmailov et al. (2021, arXiv 2104.14421)
    compare the draws of two posteriors by it.

    Args:
        a: Draws `[S, ...]`.
        b: Draws `[T, ...]`.

    Raises:
        ValueError: If there are no draws, or the columns have different shapes.
    """
    shapes = f"got {list(a.shape)} and {list(b.shape)}"
    require(a.ndim > 0 and b.ndim > 0 and len(a) > 0 and len(b) > 0, f"a and b must each hold draws, {shapes}")
    require(a.shape[1:] == b.shape[1:], f"a and b must have the same columns, {shapes}")
    # Both quantile functions are step functions. Between two of these levels, in units of 1 / (S T), both are constant.
    levels = np.union1d(np.arange(len(a) + 1) * len(b), np.arange(len(b) + 1) * len(a))
    first, second = (np.sort(draws.astype(np.float64), axis=0) for draws in (a, b))
    total = np.zeros(a.shape[1:])
    for level, weight in zip(levels[:-1], np.diff(levels) / levels[-1], strict=True):
        total += weight * np.abs(first[level // len(b)] - second[level // len(a)])
    return total


def _require_samples(samples: Floats, least: int) -> None:
    fits = samples.ndim == 3 and len(samples) >= least and samples[0].size > 0
    require(fits, f"samples must have shape [S, N, D] with S >= {least}, got {list(samples.shape)}")


def _require_targets(samples: Floats, y: Array) -> None:
    require(y.shape == samples.shape[1:], f"y must have shape {list(samples.shape[1:])}, got {list(y.shape)}")


def _require_level(level: float) -> None:
    require(is_number(level) and 0 < level < 1, f"level must be > 0 and < 1, got {level!r}")
