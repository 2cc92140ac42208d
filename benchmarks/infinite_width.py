"""The two clusters of Foong et al. 2020 (arXiv 1909.00719), and their posterior with infinitely many hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from variational_bnn.base.checks import Array

NOISE, BIAS_SCALE = 0.1, 1.0
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


def infinite_width(setting: Setting, x: Array, y: Array) -> tuple[Array, Array]:
    """Mean `[300, 1]` and sd `[300]` along the diagonal of the posterior with infinitely many hidden units.

    It is a Gaussian process (Neal 1996; Lee et al. 2018, arXiv 1711.00165), given inputs `[N, 2]` and targets `[N, 1]`.
    """
    points = diagonal()
    root = np.linalg.cholesky(arc_cosine(setting, x, x) + NOISE**2 * np.eye(len(x)))
    across, targets = np.linalg.solve(root, arc_cosine(setting, x, points)), np.linalg.solve(root, y)
    variance = np.diag(arc_cosine(setting, points, points)) - (across**2).sum(axis=0)
    return across.T @ targets, np.sqrt(variance)


def arc_cosine(setting: Setting, a: Array, b: Array) -> Array:
    """The prior's covariance `[N, M]` of function values at inputs `[N, F]` and `[M, F]` (Cho & Saul 2009)."""
    weight, bias = setting.sigma_w**2, BIAS_SCALE**2
    of_a, of_b = (bias + weight * (x**2).mean(axis=1) for x in (a, b))
    covariance: Array = bias + weight * (a @ b.T) / a.shape[1]
    for _ in range(setting.layers):
        size = np.sqrt(np.outer(of_a, of_b))
        cosine = np.clip(covariance / size, -1, 1)
        relu = np.sqrt(1 - cosine**2) + (np.pi - np.arccos(cosine)) * cosine
        covariance = bias + weight * size * relu / (2 * np.pi)
        of_a, of_b = bias + weight * of_a / 2, bias + weight * of_b / 2
    return covariance
