"""How well the classes are apart in the latent code, as numbers."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from variational_bnn.base.checks import Array

NEIGHBOURS = 10
ACTIVE = 0.01
"""Variance of a latent's mean over the images, above which it is active (Burda et al. 2015, arXiv 1509.00519)."""

Labels = npt.NDArray[np.integer]


def vote(train_codes: Array, train_labels: Labels, codes: Array) -> Labels:
    """The class `[M]` of most of the 10 training images whose codes are nearest to each of the codes `[M, L]`."""
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(train_codes))).fit(train_codes, train_labels)
    return np.asarray(neighbours.predict(codes))


def silhouette(codes: Array, labels: Labels) -> float:
    """Mean silhouette of codes `[M, L]` by class, from -1 to 1 (Rousseeuw 1987); NaN where it is not defined."""
    classes = len(np.unique(labels))
    return float(silhouette_score(codes, labels)) if 1 < classes < len(labels) else np.nan


def active_units(codes: Array) -> int:
    """How many latents tell something of the images: Var_x(E_q[z given x]) > 0.01 (Burda et al. 2015)."""
    return int((codes.var(axis=0) > ACTIVE).sum())


def confusion(labels: Labels, voted: Labels, pair: tuple[int, int]) -> float:
    """The share of the images of two classes whose vote is for the other of the two."""
    one, other = pair
    of_pair = (labels == one) | (labels == other)
    swapped = (labels == one) & (voted == other) | (labels == other) & (voted == one)
    return float(swapped.sum() / of_pair.sum())


def most_confused(labels: Labels, voted: Labels) -> tuple[int, int] | None:
    """The two classes with the largest `confusion`; None of a single class."""
    pairs = list(itertools.combinations(np.unique(labels).tolist(), 2))
    return max(pairs, key=lambda pair: confusion(labels, voted, pair), default=None)
