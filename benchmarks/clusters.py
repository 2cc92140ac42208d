"""The two clusters of Foong et al. 2020 (arXiv 1909.00719), and the networks that the paper fits to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from variational_bnn.base.checks import Array

NOISE = 0.1
POSITIONS = np.linspace(-1.2, 1.2, 300)
"""Both coordinates of the query points."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network and its prior, one of the paper's.

    Attributes:
        layers: Hidden layers.
        sigma_w: The prior of a weight is N(0, sigma_w^2 / fan-in).
        draws: Draws of each chain of `hmc`; with the warm-up, enough for it to converge.
        warmup: Warm-up of each chain of `hmc`.
    """

    layers: int
    sigma_w: float
    draws: int
    warmup: int = 1000


def read_clusters(folder: Path) -> tuple[Array, Array]:
    """The 100 inputs `[100, 2]` and targets `[100, 1]` of the paper.

    Raises:
        OSError: If the files are not there.
    """
    x, y = (np.loadtxt(folder / "two_clusters" / f"origin_{name}.txt", ndmin=2) for name in "xy")
    return x, y.reshape(len(x), 1)


def diagonal() -> Array:
    """The query points `[300, 2]`, on the diagonal through both clusters."""
    return np.column_stack([POSITIONS, POSITIONS])
