"""Scores on arrays."""

from __future__ import annotations

import numpy as np

from variational_bnn.checks import Array, require


def rmse(y: Array, mean: Array) -> float:
    """Root mean squared error over all N examples and D outputs, in the units of y.

    Args:
        y: Targets `[N, D]`.
        mean: Predictions `[N, D]`.

    Raises:
        ValueError: If the shapes differ, or there are no examples.
    """
    require(y.shape == mean.shape, f"y and mean must have the same shape, got {list(y.shape)} and {list(mean.shape)}")
    require(y.size > 0, f"y must hold at least one target, got shape {list(y.shape)}")
    return float(np.sqrt(np.mean((y - mean) ** 2)))
