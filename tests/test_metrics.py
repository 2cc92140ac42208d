"""The scores, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from variational_bnn.metrics import rmse


def test_rmse_of_known_errors() -> None:
    """Errors of 3 and 4 have a root mean square of sqrt(12.5)."""
    assert rmse(np.array([[1.0], [2.0]]), np.array([[4.0], [-2.0]])) == pytest.approx(math.sqrt(12.5))


def test_rmse_is_the_norm_over_the_root_of_the_count() -> None:
    """Over all examples and outputs, rmse is the Frobenius norm of the errors over sqrt(N D)."""
    rng = np.random.default_rng(0)
    y, mean = rng.normal(size=(2, 7, 3))
    assert rmse(y, mean) == pytest.approx(np.linalg.norm(y - mean) / math.sqrt(21))


def test_rmse_is_zero_only_for_the_targets() -> None:
    """The targets themselves score 0, and anything else scores more."""
    y = np.array([[1.0], [2.0]])
    assert rmse(y, y) == 0
    assert rmse(y, y + 0.1) == pytest.approx(0.1)


def test_rmse_of_a_failed_prediction_is_nan() -> None:
    """A NaN prediction is not passed over."""
    assert math.isnan(rmse(np.zeros((2, 1)), np.array([[0.0], [np.nan]])))


def test_rmse_does_not_broadcast() -> None:
    """Targets [N] against predictions [N, 1] would silently compare all pairs."""
    with pytest.raises(ValueError, match=r"same shape, got \[3\] and \[3, 1\]"):
        rmse(np.zeros(3), np.zeros((3, 1)))


def test_rmse_of_nothing_is_refused() -> None:
    """Without targets there is no score."""
    with pytest.raises(ValueError, match="at least one target"):
        rmse(np.zeros((0, 1)), np.zeros((0, 1)))
