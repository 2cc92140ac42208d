"""Rows held out by region, growth with distance, and intervals over seeds: against ranks and closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Dataset
from variational_bnn.base.checks import Array
from variational_bnn.datasets import uci
from variational_bnn.evaluation.regions import growth_exponent, propose_query_points, ratio_interval, split


def _dataset(x: Array) -> Dataset:
    return Dataset(name="made", x=x, y=np.arange(len(x), dtype=np.float64))


def _normal(num_rows: int, num_features: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(num_rows, num_features))


def _rows(dataset: Dataset, region: str | None) -> Array:
    """Targets, which number the rows in `_dataset`, of a region or of the training rows."""
    if region is None:
        return dataset.y[:, 0]
    assert dataset.y_test is not None
    rows: Array = dataset.y_test[dataset.test_regions == region, 0]
    return rows


@settings(max_examples=50, deadline=None)
@given(
    num_rows=st.integers(12, 200),
    gap=st.sampled_from([None, "x0", "x1"]),
    tail=st.sampled_from([None, "x0", "x1"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_puts_every_row_in_one_place(num_rows: int, gap: str | None, tail: str | None, seed: int) -> None:
    """Nothing is lost, repeated or torn apart, and the shares are a tenth, a third of the rest, a tenth of the rest."""
    whole = _dataset(_normal(num_rows, 2, seed))
    dataset = split(whole, gap=gap, tail=tail, seed=seed)
    if gap is None and tail is None:
        assert dataset is whole
        return
    assert dataset.x_test is not None
    assert dataset.test_regions is not None
    held = list(dict.fromkeys(dataset.test_regions))
    order = np.concatenate([_rows(dataset, None), *(_rows(dataset, region) for region in held)]).astype(int)
    assert sorted(order) == list(range(num_rows))
    np.testing.assert_array_equal(np.concatenate([dataset.x, dataset.x_test]), whole.x[order])
    beyond = num_rows // 10 if tail else 0
    between = 2 * (num_rows - beyond) // 3 - (num_rows - beyond) // 3 if gap else 0
    near = max(1, (num_rows - beyond - between) // 10)
    assert [len(_rows(dataset, region)) for region in REGIONS] == [near, between, beyond]


def test_split_holds_out_the_middle_third_and_the_upper_tenth() -> None:
    """Ranks say who is where: of 0..99, the tail is 90..99, and the gap is the middle third of 0..89."""
    rank = np.random.default_rng(0).permutation(100).astype(np.float64)
    whole = Dataset(name="ranks", x=np.stack([rank, -rank], axis=1), y=rank, feature_names=("up", "down"))
    dataset = split(whole, gap="up", tail="up", seed=0)
    assert sorted(_rows(dataset, BEYOND)) == list(range(90, 100))
    assert sorted(_rows(dataset, BETWEEN)) == list(range(30, 60))
    assert set(_rows(dataset, NEAR)) < {*range(30), *range(60, 90)}
    assert sorted(_rows(split(whole, tail="down", seed=0), BEYOND)) == list(range(10))


def test_split_breaks_ties_by_row() -> None:
    """With few values, rows keep their order: the cut runs through the equal ones."""
    ones_at_even_rows = (np.arange(120.0) + 1) % 2
    dataset = split(_dataset(ones_at_even_rows[:, None]), gap="x", seed=0)
    assert sorted(_rows(dataset, BETWEEN)) == [*range(0, 40, 2), *range(81, 120, 2)]


def test_split_is_given_by_its_seed() -> None:
    """The seed moves the random tenth, and only that."""
    whole = _dataset(_normal(90, 2))
    first, again, other = (split(whole, gap="x0", tail="x1", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(_rows(first, NEAR), _rows(again, NEAR))
    assert set(_rows(first, NEAR)) != set(_rows(other, NEAR))
    for region in (BETWEEN, BEYOND):
        np.testing.assert_array_equal(_rows(first, region), _rows(other, region))


def test_split_refuses_what_it_cannot_do() -> None:
    """Unknown features are answered with the known ones; what is left must be able to train."""
    whole = _dataset(_normal(30, 2))
    with pytest.raises(ValueError, match="unknown feature 'z'; known: x0, x1"):
        split(whole, gap="z", seed=0)
    with pytest.raises(ValueError, match="unknown feature 'z'; known: x0, x1"):
        split(whole, tail="z", seed=0)
    with pytest.raises(ValueError, match="has held-out rows already"):
        split(split(whole, gap="x0", seed=0), gap="x1", seed=0)
    with pytest.raises(ValueError, match="at least 2 training rows, got 1 of the 3 rows"):
        split(_dataset(_normal(3, 1)), gap="x", seed=0)
    with pytest.raises(ValueError, match="feature 'x' is constant over the training rows"):
        split(_dataset(np.array([0.0] * 19 + [1.0])), tail="x", seed=0)


def test_gap_rows_are_farther_than_random_ones(data_dir: Path) -> None:
    """On yacht, rows of the gap and of the tail are farther from the training rows than the random tenth is."""
    asked = propose_query_points(
        split(uci("yacht"), gap="prismatic_coefficient", tail="prismatic_coefficient", seed=0), seed=0
    )
    near, between, beyond = (np.median(asked.distance[asked.regions == region]) for region in REGIONS)
    assert between > 2 * near
    assert beyond > 2 * near


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_growth_is_the_power_of_a_power_law(power: float) -> None:
    """The variance of sd = c distance^p has growth p, for any c and any unit of distance."""
    distance = np.array([0.1, 1.0, 3.0, 50.0])
    assert growth_exponent(distance, (7 * distance**power) ** 2) == pytest.approx(power, abs=1e-12)
    assert growth_exponent(1000 * distance, distance ** (2 * power)) == pytest.approx(power, abs=1e-12)


def test_growth_is_the_slope_of_linear_regression() -> None:
    """Least squares in logs, as another library has it; with outputs [M, D] every one counts at its distance."""
    rng = np.random.default_rng(0)
    distance, variance = rng.uniform(0.1, 5, size=40), rng.gamma(2, size=(40, 3))
    for d in (1, 3):
        slope = stats.linregress(np.repeat(np.log(distance), d), np.log(np.sqrt(variance[:, :d])).ravel()).slope
        assert growth_exponent(distance, variance[:, :d]) == pytest.approx(slope)
    assert growth_exponent(distance, variance[:, 0]) == pytest.approx(growth_exponent(distance, variance[:, :1]))


def test_growth_is_over_finite_positive_pairs() -> None:
    """Zero, infinite and missing values have no logs and do not count."""
    distance = np.array([1.0, 2.0, 4.0, 0.0, np.inf, 8.0, 8.0, 8.0])
    variance = np.array([1.0, 4.0, 16.0, 9.0, 9.0, 0.0, np.nan, np.inf])
    assert growth_exponent(distance, variance) == pytest.approx(1)


@pytest.mark.parametrize(
    "distance", [[], [1.0, 2.0], [3.0, 3.0, 3.0], [0.3, 0.1 + 0.2, 0.3], [0.0, 0.0, 1.0, 2.0], [np.inf] * 5]
)
def test_growth_is_undefined_without_spread(distance: list[float]) -> None:
    """Fewer than three usable points, or one distance, have no slope."""
    assert math.isnan(growth_exponent(np.array(distance), np.arange(1.0, len(distance) + 1)))


def test_interval_is_the_t_interval_of_the_logs() -> None:
    """As another library has it, and the geometric mean in the middle of the logs."""
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
def test_interval_turns_over_and_scales_with_its_ratios(ratios: list[float], factor: float) -> None:
    """The interval of 1/r is 1 over the interval of r, the other way round; that of c r is c times it."""
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
def test_interval_of_what_has_no_logs(ratios: list[float], expected: tuple[float, float, float]) -> None:
    """Zeros, infinities and failed seeds show in the result; they are not dropped."""
    assert ratio_interval(ratios) == pytest.approx(expected, nan_ok=True)
