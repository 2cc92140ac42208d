"""Rows that stand for all rows of a large table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST_ROWS = 10_000
"""How many rows stand for all: of the training rows, in distances and in scores on them, and of the held-out rows of a
region."""


def some_rows(count: int) -> npt.NDArray[np.intp]:
    """Numbers of rows in their order: of all, or of `MOST_ROWS` random ones where there are more, always the same."""
    if count <= MOST_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, size=MOST_ROWS, replace=False))
