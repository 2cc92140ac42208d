"""Votes, silhouettes and confusions of codes, against loops over all pairs and numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from variational_bnn.base.checks import Array
from variational_bnn.evaluation.separability import active_units, confusion, most_confused, silhouette, vote


def _vote_by_loop(train_codes: Array, train_labels: Array, codes: Array) -> list[int]:
    """Sort the training codes by distance, and count the classes of the first ten; of a tie the smallest class."""
    votes = []
    for code in codes:
        nearest = sorted(range(len(train_codes)), key=lambda i: math.dist(code, train_codes[i]))[:10]
        classes = [int(train_labels[i]) for i in nearest]
        votes.append(max(sorted(set(classes)), key=classes.count))
    return votes


@pytest.mark.parametrize("latents", [1, 2, 5])
def test_the_vote_is_that_of_a_loop_over_the_training_codes(latents: int) -> None:
    rng = np.random.default_rng(latents)
    train_codes, train_labels = rng.normal(size=(200, latents)), rng.integers(0, 3, 200)
    codes = rng.normal(size=(100, latents)) + 0.5
    expected = _vote_by_loop(train_codes, train_labels, codes)
    np.testing.assert_array_equal(vote(train_codes, train_labels, codes), expected)


def test_only_training_codes_vote() -> None:
    """Test codes of one class are among training codes of another: all are given the training codes' class."""
    rng = np.random.default_rng(0)
    train_codes = np.concatenate([rng.normal(size=(30, 2)), 50 + rng.normal(size=(30, 2))])
    codes = rng.normal(size=(40, 2))
    assert (vote(train_codes, np.repeat([1, 2], 30), codes) == 1).all()
    assert (vote(train_codes, np.repeat([2, 1], 30), codes) == 2).all()
    np.testing.assert_array_equal(vote(train_codes, np.repeat([1, 2], 30), codes[:1]), [1])


def test_with_fewer_than_ten_training_codes_all_of_them_vote() -> None:
    line = np.arange(3.0)[:, None]
    np.testing.assert_array_equal(vote(line, np.array([1, 2, 2]), np.array([[0.0]])), [2])


def test_the_silhouette_of_four_points_by_hand() -> None:
    codes, labels = np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1])
    assert silhouette(codes, labels) == pytest.approx((3.5 / 4.5 + 2.5 / 3.5) / 2)
    assert silhouette(codes, labels[[0, 2, 1, 3]]) == pytest.approx((-1 / 4 - 2 / 4) / 2)
    assert math.isnan(silhouette(codes, np.zeros(4, int)))
    assert math.isnan(silhouette(codes, np.arange(4)))


def test_active_units_are_those_whose_variance_is_above_a_hundredth() -> None:
    sides = np.array([-1.0, 1.0] * 10)[:, None]
    codes = sides * [0.0999, 0.1001, 0.0, 3.0] + [0.0, 0.0, 5.0, 1.0]
    assert active_units(codes) == 2


def test_confusion_is_the_share_that_is_taken_for_the_other_class() -> None:
    labels = np.array([4, 4, 4, 4, 9, 9, 1, 1, 1, 1])
    voted = np.array([9, 4, 4, 1, 4, 9, 4, 1, 1, 1])
    assert confusion(labels, voted, (4, 9)) == 2 / 6
    assert confusion(labels, voted, (1, 4)) == 2 / 8
    assert confusion(labels, voted, (1, 9)) == 0
    assert most_confused(labels, voted) == (4, 9)
    assert most_confused(labels[:4], voted[:4]) is None
