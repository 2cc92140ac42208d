"""Scikit-learn's digits: complete, and split by label."""

from __future__ import annotations

import numpy as np
from small_images import ARRAYS

from variational_bnn.datasets import digits


def test_digits_are_complete_and_split_by_label() -> None:
    """All 1797 images in 16 levels, each digit with four fifths of its images in training; the same split each time."""
    made = digits()
    assert made.x_train.shape == (1437, 8, 8)
    assert made.x_test.shape == (360, 8, 8)
    assert made.image_shape == (8, 8)
    assert made.labels == tuple(range(10))
    assert made.x_train.min() == 0
    assert made.x_train.max() == 1
    np.testing.assert_array_equal(np.unique(made.x_train * 16), np.arange(17))
    train, test = np.bincount(made.y_train), np.bincount(made.y_test)
    np.testing.assert_array_equal(train + test, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])  # As published.
    np.testing.assert_allclose(test, (train + test) / 5, atol=1)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(digits(), name), getattr(made, name))
