"""Intervals over seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats


def mean_interval(values: npt.ArrayLike) -> tuple[float, float, float]:
    """Mean over seeds, and its 95 % Student t interval.

    Args:
        values: Numbers `[seeds]`, in any unit.

    Returns:
        The mean of those that are known, its lower bound and its upper bound. The bounds are NaN with one seed, and if
        a value is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    mean = float(known.mean()) if known.size else np.nan
    if array.size < 2 or not np.isfinite(array).all():
        return mean, np.nan, np.nan
    half_width = stats.t.ppf(0.975, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size)
    return mean, float(mean - half_width), float(mean + half_width)


def ratio_interval(ratios: npt.ArrayLike) -> tuple[float, float, float]:
    """Geometric mean over seeds, and its 95 % Student t interval, computed in logs.

    Args:
        ratios: Numbers >= 0 `[seeds]`, in any unit: ratios, or standard deviations.

    Returns:
        The estimate, its lower bound and its upper bound. If a ratio is NaN (0 / 0, say) or negative, or there is none,
        all three are NaN, because no seed is left out. The bounds are NaN also with one seed, and if a ratio is 0 or
        infinite.
    """
    values = np.asarray(ratios, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        mean = logs.mean() if values.size else np.nan
    if values.size < 2 or not np.isfinite(logs).all():
        return float(np.exp(mean)), np.nan, np.nan
    half_width = stats.t.ppf(0.975, values.size - 1) * logs.std(ddof=1) / np.sqrt(values.size)
    return float(np.exp(mean)), float(np.exp(mean - half_width)), float(np.exp(mean + half_width))
