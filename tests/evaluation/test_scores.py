"""The scores equal their definitions, closed forms, and other libraries' numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from variational_bnn.evaluation.scores import accuracy, coverage, crps, interval_width, pit, rmse, wasserstein

RNG = np.random.default_rng(0)
LEVELS = (0.5, 0.8, 0.9, 0.95)


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
    """A NaN prediction is not left out."""
    assert math.isnan(rmse(np.zeros((2, 1)), np.array([[0.0], [np.nan]])))


def test_rmse_does_not_broadcast() -> None:
    """Targets [N] against predictions [N, 1] would silently compare all pairs."""
    with pytest.raises(ValueError, match=r"same shape, got \[3\] and \[3, 1\]"):
        rmse(np.zeros(3), np.zeros((3, 1)))


def test_accuracy_is_the_share_of_classes_that_are_most_probable() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.0, 1.0, 0.0]])
    assert accuracy(np.array([[0.0], [2.0], [0.0], [1.0]]), probabilities) == 0.75
    assert accuracy(probabilities.argmin(axis=1, keepdims=True).astype(float), probabilities) == 0
    yes_or_no = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert accuracy(yes_or_no, np.array([[0.9, 0.4], [0.2, 0.6]])) == 0.75
    assert math.isnan(accuracy(yes_or_no, np.array([[0.9, 0.4], [np.nan, 0.6]])))


def test_accuracy_of_other_shapes_raises() -> None:
    for y, probabilities in (((3, 1), (2, 4)), ((3, 2), (3, 4)), ((0, 1), (0, 2))):
        with pytest.raises(ValueError, match=r"y .*must have"):
            accuracy(np.zeros(y), np.zeros(probabilities))


def test_rmse_without_targets_raises() -> None:
    """Without targets there is no score."""
    with pytest.raises(ValueError, match="at least one target"):
        rmse(np.zeros((0, 1)), np.zeros((0, 1)))


def _normal_crps(y: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Of N(0, scale^2), in closed form (Gneiting & Raftery 2007, equation 21)."""
    z = y / scale
    return scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))


@pytest.mark.parametrize("count", [2, 3, 20])
def test_crps_is_the_error_less_half_the_difference_of_two_samples(count: int) -> None:
    """The mean of |sample - y| less half that of |sample - other sample|, over pairs of two."""
    samples, y = RNG.normal(100, 1, size=(count, 6, 2)).astype(np.float32), RNG.normal(100, 1, size=(6, 2))
    wide = samples.astype(np.float64)
    pairs = np.abs(wide[:, None] - wide[None]).sum(axis=(0, 1))
    error = np.abs(wide - y).mean(axis=0)
    score = crps(samples, y)
    np.testing.assert_allclose(score, error - pairs / (2 * count * (count - 1)), atol=1e-11)
    assert not np.allclose(score, error - pairs / (2 * count**2), rtol=1e-3), "the other estimator is not fair"


def test_crps_of_a_normal_has_its_closed_form_however_few_samples() -> None:
    """Within 4.5 standard errors over repeated ensembles: it is fair."""
    y = np.array([[-2.0], [0.0], [0.7]])
    for count in (2, 50):
        rows = np.repeat(y, 4000, axis=0)
        score = crps(RNG.normal(size=(count, len(rows), 1)), rows).reshape(3, 4000)
        error = score.std(axis=1) / math.sqrt(4000)
        assert (np.abs(score.mean(axis=1) - _normal_crps(y[:, 0])) < 4.5 * error).all()
        assert (np.abs(score.mean(axis=1) - _normal_crps(y[:, 0], 1.2)) > 4.5 * error).any(), (
            "the check must be able to fail"
        )


def test_crps_is_least_for_the_right_predictive() -> None:
    """It is proper: narrower, wider and shifted predictives score worse on the average."""
    y, noise = RNG.normal(size=(20000, 1)), RNG.normal(size=(50, 20000, 1))
    right = crps(noise, y)
    for other in (0.6 * noise, 1.6 * noise, noise + 0.5):
        more = crps(other, y) - right
        assert more.mean() > 4.5 * more.std() / math.sqrt(len(y))


def test_crps_of_a_point_is_the_absolute_error() -> None:
    y = RNG.normal(size=(5, 1))
    np.testing.assert_allclose(crps(np.full((4, 5, 1), 3.0), y), np.abs(y - 3), rtol=1e-12)


def test_pit_counts_the_samples_below_and_is_linear_between() -> None:
    samples = np.array([10.0, 20, 40])[:, None, None] * np.ones((3, 7, 1))
    y = np.array([[5.0], [10], [15], [20], [25], [40], [41]])
    np.testing.assert_allclose(pit(samples, y)[:, 0] * 4, [0, 1, 1.5, 2, 2.25, 3, 4])
    ties = np.array([10.0, 20, 20, 20, 40])[:, None, None]
    assert pit(ties, np.array([[20.0]])) == 3 / 6
    assert pit(np.ones((5, 1, 1)), np.array([[1.0]])) == 0.5


def test_the_pit_of_one_more_sample_is_uniform() -> None:
    """Kolmogorov and Smirnov's distance at the level of 1 in 1000; a predictive that is too narrow is above it."""
    samples, y = RNG.normal(size=(99, 20000, 1)), RNG.normal(size=(20000, 1))
    critical = stats.kstwo.isf(0.001, 20000)
    assert stats.kstest(pit(samples, y).ravel(), "uniform").statistic < critical
    assert stats.kstest(pit(0.9 * samples, y).ravel(), "uniform").statistic > critical


@pytest.mark.parametrize("count", [39, 200])
@pytest.mark.parametrize("level", LEVELS)
def test_coverage_is_the_share_of_targets_inside_the_interval_of_that_width(level: float, count: int) -> None:
    samples, y = RNG.standard_t(3, size=(count, 5000, 2)), RNG.standard_t(3, size=(5000, 2))
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    assert coverage(pit(samples, y), level) == ((low <= y) & (y <= high)).mean()
    np.testing.assert_array_equal(interval_width(samples, level), high - low)


@pytest.mark.parametrize("level", LEVELS)
def test_coverage_of_a_right_predictive_is_the_level(level: float) -> None:
    """Of 39 samples the quantiles are 1, 2, 4 and 10 from either end; within 4.5 standard errors, whatever the law."""
    for law in (RNG.standard_normal, RNG.standard_cauchy, RNG.standard_exponential):
        samples, y = law(size=(39, 40000, 1)), law(size=(40000, 1))
        error = math.sqrt(level * (1 - level) / 40000)
        assert abs(coverage(pit(samples, y), level) - level) < 4.5 * error
        centred = samples - np.median(samples, axis=0)
        narrow = np.median(samples, axis=0) + 0.8 * centred
        assert level - coverage(pit(narrow, y), level) > 4.5 * error, "the check must be able to fail"


def test_the_width_of_a_normals_interval() -> None:
    width = interval_width(2 * RNG.normal(size=(100_000, 1, 1)), 0.9)
    assert width == pytest.approx(4 * stats.norm.isf(0.05), rel=0.02)
    assert interval_width(RNG.normal(size=(5, 1, 1)), 0.99) < interval_width(RNG.normal(size=(500, 1, 1)), 0.99)


@pytest.mark.parametrize(("s", "t"), [(1, 1), (1, 9), (7, 7), (6, 9), (20, 33)])
def test_wasserstein_is_scipys_column_by_column(s: int, t: int) -> None:
    a, b = RNG.normal(size=(s, 4, 2)).astype(np.float32), RNG.normal(1, 2, size=(t, 4, 2)).astype(np.float32)
    expected = [[stats.wasserstein_distance(a[:, i, j], b[:, i, j]) for j in range(2)] for i in range(4)]
    np.testing.assert_allclose(wasserstein(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(wasserstein(b, a), expected, rtol=1e-12)


def test_wasserstein_of_shifted_and_of_scaled_draws() -> None:
    """A shift costs itself; N(0, 1) and N(0, 4) are E|Z| apart, their quantiles being z and 2 z."""
    a = RNG.normal(size=(500, 3))
    np.testing.assert_allclose(wasserstein(a, RNG.permuted(a, axis=0) - 3), 3)
    np.testing.assert_array_equal(wasserstein(a, RNG.permuted(a, axis=0)), 0)
    np.testing.assert_allclose(wasserstein(a, 2 * a), np.abs(a).mean(axis=0))
    assert wasserstein(np.zeros(3), np.ones(2)) == 1


def test_scores_of_failed_predictions_are_nan() -> None:
    samples, y = RNG.normal(size=(5, 2, 1)), np.zeros((2, 1))
    samples[1, 0] = np.nan
    for score in (crps(samples, y), pit(samples, y), interval_width(samples, 0.5), wasserstein(samples, samples)):
        np.testing.assert_array_equal(np.isnan(score), [[True], [False]])
    assert math.isnan(coverage(pit(samples, y), 0.5))


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda: crps(np.zeros((1, 2, 1)), np.zeros((2, 1))), r"\[S, N, D\] with S >= 2, got \[1, 2, 1\]"),
        (lambda: crps(np.zeros((3, 2, 1)), np.zeros(2)), r"y must have shape \[2, 1\], got \[2\]"),
        (lambda: pit(np.zeros((3, 2)), np.zeros(2)), r"\[S, N, D\] with S >= 1, got \[3, 2\]"),
        (lambda: pit(np.zeros((3, 0, 1)), np.zeros((0, 1))), r"with S >= 1, got \[3, 0, 1\]"),
        (lambda: pit(np.zeros((3, 2, 1)), np.zeros((1, 1))), r"y must have shape \[2, 1\], got \[1, 1\]"),
        (lambda: coverage(np.zeros((0, 1)), 0.5), r"at least one target, got shape \[0, 1\]"),
        (lambda: coverage(np.zeros(3), 1.0), r"level must be > 0 and < 1, got 1\.0"),
        (lambda: coverage(np.zeros(3), 95), "level must be > 0 and < 1, got 95"),
        (lambda: interval_width(np.zeros((3, 2, 1)), 0), "level must be > 0 and < 1, got 0"),
        (lambda: interval_width(np.zeros((3, 2)), 0.5), r"S >= 1, got \[3, 2\]"),
        (lambda: wasserstein(np.zeros((3, 2)), np.zeros((3, 1))), r"same columns, got \[3, 2\] and \[3, 1\]"),
        (lambda: wasserstein(np.zeros((3, 2)), np.zeros((0, 2))), r"each hold draws, got \[3, 2\] and \[0, 2\]"),
    ],
)
def test_arrays_that_cannot_be_scored_raise(score: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score()
