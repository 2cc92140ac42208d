"""How well the classes of images are separated in the latent codes of an autoencoder."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from variational_bnn.base.checks import Array

NEIGHBOURS = 10
"""Number of the nearest training codes that vote."""

ACTIVE = 0.01
"""Variance, over the images, of a latent's mean, above which the latent is active (Burda et al. 2015)."""

Labels = npt.NDArray[np.integer]


def vote(train_codes: Array, train_labels: Labels, codes: Array) -> Labels:
    """Classify codes by the vote of their nearest neighbours among the training codes.

    Args:
        train_codes: Codes `[N, L]` of the training images, of L latents.
        train_labels: Classes `[N]` of the training images.
        codes: Codes `[M, L]` of the images to classify.

    Returns:
        The class `[M]` of most of the 10 training images (or of all, if there are fewer) whose codes are nearest.
    """
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(train_codes))).fit(train_codes, train_labels)
    return np.asarray(neighbours.predict(codes))


def silhouette(codes: Array, labels: Labels) -> float:
    """Mean silhouette of codes by class, from -1 to 1: how much nearer codes are to their own class than to another.

    Rousseeuw 1987, doi 10.1016/0377-0427(87)90125-7.

    Args:
        codes: Codes `[M, L]`.
        labels: Classes `[M]`.

    Returns:
        The mean silhouette; NaN if all images are of one class, or each is of a class of its own.
    """
    classes = len(np.unique(labels))
    return float(silhouette_score(codes, labels)) if 1 < classes < len(labels) else np.nan


def active_units(codes: Array) -> int:
    """Number of latents that depend on the image: Var_x(E_q[z given x]) > 0.01 (Burda et al. 2015, arXiv 1509.00519).

    Args:
        codes: Means `[M, L]` of the latents of M images.
    """
    return int((codes.var(axis=0) > ACTIVE).sum())


def confusion(labels: Labels, voted: Labels, pair: tuple[int, int]) -> float:
    """Share of the images of two classes that are classified as the other one of the two.

    Args:
        labels: Classes `[M]`.
        voted: Classes `[M]` by the vote.
        pair: The two classes.
    """
    one, other = pair
    of_pair = (labels == one) | (labels == other)
    swapped = (labels == one) & (voted == other) | (labels == other) & (voted == one)
    return float(swapped.sum() / of_pair.sum())


def most_confused(labels: Labels, voted: Labels) -> tuple[int, int] | None:
    """The two classes with the largest `confusion`, or None if all images are of one class.

    Args:
        labels: Classes `[M]`.
        voted: Classes `[M]` by the vote.
    """
    pairs = list(itertools.combinations(np.unique(labels).tolist(), 2))
    return max(pairs, key=lambda pair: confusion(labels, voted, pair), default=None)
