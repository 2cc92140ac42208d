"""Intervals over seeds, against SciPy, closed forms, and their own promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from variational_bnn.evaluation.intervals import ratio_interval


def test_interval_is_the_t_interval_of_the_logs() -> None:
    """The bounds are those of SciPy, and the geometric mean is in the middle of their logs."""
    ratios = np.random.default_rng(0).lognormal(size=6)
    estimate, low, high = ratio_interval(ratios)
    mean, error = np.log(ratios).mean(), stats.sem(np.log(ratios))
    assert estimate == pytest.approx(stats.gmean(ratios))
    assert (low, high) == pytest.approx(tuple(np.exp(stats.t.interval(0.95, df=5, loc=mean, scale=error))))
    assert estimate**2 == pytest.approx(low * high)


def test_interval_covers_as_often_as_it_says() -> None:
    """Over repeats with a known ratio, 95 % of the intervals hold it, within 4 standard errors."""
    repeats = 2000
    logs = np.random.default_rng(0).normal(loc=1, scale=0.5, size=(repeats, 4))
    covered = [low < math.e < high for _, low, high in map(ratio_interval, np.exp(logs))]
    assert abs(np.mean(covered) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / repeats)


@settings(max_examples=50, deadline=None)
@given(ratios=st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=8), factor=st.floats(1e-3, 1e3))
def test_the_interval_is_inverted_and_scaled_with_its_ratios(ratios: list[float], factor: float) -> None:
    """The interval of 1 / r is 1 / (interval of r), with the bounds exchanged; that of c r is c times as large."""
    estimate, low, high = ratio_interval(ratios)
    assert low <= estimate * (1 + 1e-9)
    assert estimate <= high * (1 + 1e-9)
    assert np.log(ratio_interval(1 / np.array(ratios))) == pytest.approx(-np.log([estimate, high, low]), abs=1e-6)
    scaled = np.log(ratio_interval(factor * np.array(ratios)))
    assert scaled == pytest.approx(np.log([estimate, low, high]) + math.log(factor), abs=1e-6)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([2.0], (2, math.nan, math.nan)),
        ([3.0, 3.0, 3.0], (3, 3, 3)),
        ([0.0, 1.0], (0, math.nan, math.nan)),
        ([math.inf, 1.0], (math.inf, math.nan, math.nan)),
        ([0.0, math.inf], (math.nan, math.nan, math.nan)),
        ([1.0, math.nan, 2.0], (math.nan, math.nan, math.nan)),
        ([1.0, -1.0], (math.nan, math.nan, math.nan)),
        ([], (math.nan, math.nan, math.nan)),
    ],
)
def test_interval_of_ratios_without_logs(ratios: list[float], expected: tuple[float, float, float]) -> None:
    """Zeros, infinities and failed seeds show in the result; they are not left out."""
    assert ratio_interval(ratios) == pytest.approx(expected, nan_ok=True)
