"""Near, between and beyond: against what one says by eye, brute force, and closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Array, Dataset
from variational_bnn.datasets import lecture, uci
from variational_bnn.regions import RegionMap, growth, queries, ratio_interval, split


def _dataset(x: Array) -> Dataset:
    return Dataset(name="made", x=x, y=np.arange(len(x)))


def _normal(num_rows: int, num_features: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(num_rows, num_features))


@st.composite
def tables(draw: st.DrawFn) -> Array:
    """Inputs of any shape, continuous or of few values, no feature constant."""
    num_rows, num_features = draw(st.integers(2, 40)), draw(st.integers(1, 20))
    x = _normal(num_rows, num_features, draw(st.integers(0, 2**32 - 1))) * 10.0 ** draw(st.integers(-6, 6))
    if draw(st.booleans()):
        x = np.sign(x)
    x[0], x[1] = -np.abs(x).max(axis=0) - 1, np.abs(x).max(axis=0) + 1
    return x


# The map.


@pytest.mark.parametrize(
    ("x", "region"),
    [
        (-1.5, BEYOND),
        (-0.54, BEYOND),
        (-0.53, NEAR),
        (-0.5, NEAR),
        (-0.36, NEAR),
        (-0.18, NEAR),
        (-0.17, BETWEEN),
        (0.0, BETWEEN),
        (0.17, BETWEEN),
        (0.18, NEAR),
        (0.53, NEAR),
        (0.54, BEYOND),
        (1.5, BEYOND),
    ],
)
def test_lecture_regions_are_those_one_sees(x: float, region: str) -> None:
    """Near the points, between the two clusters, beyond both ends; one spacing of the points, 1/31, is near."""
    assert RegionMap.of(lecture().x).label([x]).tolist() == [region]


def test_lecture_radius_is_the_spacing_of_its_points() -> None:
    """The points of each cluster are 1/31 apart; an input halfway across the gap is 6.5 spacings from both."""
    regions = RegionMap.of(lecture().x)
    assert regions.radius * regions.scale[0] == pytest.approx(1 / 31)
    assert regions.distance([0.0]) == pytest.approx([6.5])


@settings(max_examples=50, deadline=None)
@given(x=tables(), seed=st.integers(0, 2**32 - 1))
def test_map_agrees_with_brute_force(x: Array, seed: int) -> None:
    """Distances are those of a loop over all pairs, in units of its own radius."""
    scaled = x / x.std(axis=0)
    pairs = np.array([[math.dist(a, b) for b in scaled] for a in scaled])
    np.fill_diagonal(pairs, np.inf)
    radius = np.quantile(pairs.min(axis=1), 0.95)
    regions = RegionMap.of(x)
    assert regions.radius == pytest.approx(radius, rel=1e-6, abs=1e-9)
    if radius == 0:
        return
    asked = _normal(5, x.shape[1], seed) * x.std(axis=0) * 2
    expected = [min(math.dist(a, b) for b in scaled) / radius for a in asked / x.std(axis=0)]
    assert regions.distance(asked) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(x=tables())
def test_map_does_not_depend_on_units_or_order(x: Array) -> None:
    """Rescaled, shifted and reordered features and rows give the same distances."""
    asked = np.concatenate([x * 1.5, x * 0.5])
    distance = RegionMap.of(x).distance(asked)
    factor = 2.0 ** np.arange(-3, x.shape[1] - 3)
    np.testing.assert_allclose(RegionMap.of(x[::-1] * factor).distance(asked * factor), distance, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(RegionMap.of(x[:, ::-1]).distance(asked[:, ::-1]), distance, rtol=1e-6, atol=1e-7)


@settings(max_examples=50, deadline=None)
@given(x=tables())
def test_training_inputs_are_at_distance_zero(x: Array) -> None:
    """Each training input is its own nearest one: at 0 to the last bit, and near."""
    regions = RegionMap.of(x)
    assert (regions.distance(x) == 0).all()
    assert (regions.label(x) == NEAR).all()


def test_about_a_twentieth_of_new_inputs_is_not_near() -> None:
    """Fresh inputs from the same distribution are as far as the training inputs are from each other: 95 % are near."""
    regions = RegionMap.of(_normal(4000, 3))
    n = 4000
    share = np.mean(regions.label(_normal(n, 3, seed=1)) == NEAR)
    assert abs(share - 0.95) < 4 * math.sqrt(2 * 0.95 * 0.05 / n)


def test_between_is_inside_the_range_in_every_feature() -> None:
    """Two clusters on a diagonal: the middle and the empty corners are between, one step out is beyond."""
    corner = np.random.default_rng(0).uniform(size=(200, 2))
    regions = RegionMap.of(np.concatenate([corner, corner + 9]))
    assert regions.label([[5, 5], [1, 9], [0.5, 0.5]]).tolist() == [BETWEEN, BETWEEN, NEAR]
    assert regions.label([[5, 12], [-2, 5], [12, 12]]).tolist() == [BEYOND] * 3


def test_repeated_inputs_are_near_and_nothing_else_is() -> None:
    """With radius 0, a repeat is at 0, and all else at infinity, by the range between or beyond."""
    regions = RegionMap.of(np.repeat([[0.0], [1.0], [5.0]], 4, axis=0))
    assert regions.radius == 0
    np.testing.assert_array_equal(regions.distance([0, 0.5, 5, 6]), [0, np.inf, 0, np.inf])
    assert regions.label([0, 0.5, 5, 6]).tolist() == [NEAR, BETWEEN, NEAR, BEYOND]


@pytest.mark.parametrize(
    ("x_train", "message"),
    [([[1.0]], "at least 2 rows, got 1"), ([[1.0, 2.0], [1.0, 3.0]], "no constant feature"), ([1.0, np.nan], "finite")],
)
def test_map_refuses_inputs_without_distances(x_train: list[float], message: str) -> None:
    """One row has no neighbour, and a constant feature no scale."""
    with pytest.raises(ValueError, match=message):
        RegionMap.of(x_train)


def test_map_refuses_queries_of_another_kind() -> None:
    """Queries have the training inputs' features, and are finite."""
    regions = RegionMap.of(_normal(5, 2))
    with pytest.raises(ValueError, match="x must have 2 features, got 3"):
        regions.distance(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="x must be finite"):
        regions.label([[0.0, np.inf]])


# The queries.


def test_one_feature_is_asked_on_an_even_grid() -> None:
    """The lecture's grid is [-1.5, 1.5], and its regions are runs: beyond, near, between, near, beyond."""
    asked = queries(lecture(), seed=0)
    np.testing.assert_allclose(asked.x[:, 0], np.linspace(-1.5, 1.5, 600))
    changes = np.flatnonzero(asked.regions[1:] != asked.regions[:-1])
    assert asked.regions[[0, *(changes + 1)]].tolist() == [BEYOND, NEAR, BETWEEN, NEAR, BEYOND]
    assert asked.y is None


@settings(max_examples=60, deadline=None)
@given(x=tables(), seed=st.integers(0, 2**32 - 1), num_queries=st.integers(1, 50))
def test_queries_are_labelled_by_the_map(x: Array, seed: int, num_queries: int) -> None:
    """Whatever was proposed: as many as asked for, finite, within a range's width of the range, and labelled anew."""
    asked = queries(_dataset(x), seed, num_queries)
    regions = RegionMap.of(x)
    assert asked.x.shape == (num_queries, x.shape[1])
    np.testing.assert_array_equal(asked.regions, regions.label(asked.x))
    np.testing.assert_array_equal(asked.distance, regions.distance(asked.x))
    near = (asked.distance <= 1 + 1e-9) == (asked.regions == NEAR)
    assert near.all()
    reach = np.ptp(x, axis=0) + regions.radius * regions.scale
    assert (asked.x >= x.min(axis=0) - reach * (1 + 1e-9)).all()
    assert (asked.x <= x.max(axis=0) + reach * (1 + 1e-9)).all()


@pytest.mark.parametrize("num_features", [2, 10, 100])
def test_two_clusters_are_asked_about_in_all_regions(num_features: int) -> None:
    """Where there is something between and beyond, queries are found there, in any number of features."""
    cluster = _normal(100, num_features) / 10
    asked = queries(_dataset(np.concatenate([cluster - 10, cluster + 10])), seed=0)
    for region in REGIONS:
        assert (asked.regions == region).sum() > 50
    assert not np.isin(asked.regions, REGIONS, invert=True).any()


def test_a_region_that_is_not_there_is_absent() -> None:
    """A full square has no between: nothing is put there."""
    axis = np.linspace(0, 1, 20)
    square = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert set(queries(_dataset(square), seed=0).regions) == {NEAR, BEYOND}


@pytest.mark.parametrize("num_features", [1, 2, 5])
def test_repeated_inputs_are_asked_about_in_all_regions(num_features: int) -> None:
    """Features of two values, all rows repeated: the repeats are near, and the other regions are reached too."""
    corners = np.random.default_rng(0).integers(0, 2, size=(500, num_features)).astype(float)
    assert set(queries(_dataset(corners), seed=0).regions) == set(REGIONS)


def test_queries_are_given_by_their_seed() -> None:
    """The same seed gives the same queries, another seed others."""
    dataset = _dataset(_normal(30, 2))
    np.testing.assert_array_equal(queries(dataset, 1).x, queries(dataset, 1).x)
    assert not np.array_equal(queries(dataset, 1).x, queries(dataset, 2).x)
    with pytest.raises(ValueError, match="num_queries must be >= 1, got 0"):
        queries(dataset, 1, num_queries=0)


def test_held_out_rows_are_the_queries() -> None:
    """With labels to test with, the split says the region, and the map only how far it is."""
    dataset = split(_dataset(_normal(100, 2)), gap="x0", tail="x1", seed=0)
    asked = queries(dataset, seed=0)
    assert asked.x is dataset.x_test
    assert asked.y is dataset.y_test
    assert asked.regions is dataset.test_regions
    np.testing.assert_array_equal(asked.distance, RegionMap.of(dataset.x).distance(asked.x))


def test_the_largest_table_is_asked_about(data_dir: Path) -> None:
    """All 45,730 rows of protein, repeats and outliers included."""
    assert set(queries(uci("protein"), seed=0).regions) == set(REGIONS)


# The split.


def _rows(dataset: Dataset, region: str | None) -> Array:
    """Targets, which number the rows in `_dataset`, of a region or of the training rows."""
    if region is None:
        return dataset.y[:, 0]
    assert dataset.y_test is not None
    return dataset.y_test[dataset.test_regions == region, 0]


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
    order = np.concatenate([_rows(dataset, None), dataset.y_test[:, 0]]).astype(int)  # type: ignore[index]
    assert sorted(order) == list(range(num_rows))
    np.testing.assert_array_equal(np.concatenate([dataset.x, dataset.x_test]), whole.x[order])
    beyond = num_rows // 10 if tail else 0
    between = 2 * (num_rows - beyond) // 3 - (num_rows - beyond) // 3 if gap else 0
    near = max(1, (num_rows - beyond - between) // 10)
    assert [len(_rows(dataset, region)) for region in REGIONS] == [near, between, beyond]


def test_split_holds_out_the_middle_third_and_the_upper_tenth() -> None:
    """Ranks say who is where: of 0..99, the tail is 90..99, and the gap is the middle third of 0..89."""
    rank = np.random.default_rng(0).permutation(100)
    whole = Dataset(name="ranks", x=np.stack([rank, -rank], axis=1), y=rank, feature_names=("up", "down"))
    dataset = split(whole, gap="up", tail="up", seed=0)
    assert sorted(_rows(dataset, BEYOND)) == list(range(90, 100))
    assert sorted(_rows(dataset, BETWEEN)) == list(range(30, 60))
    assert set(_rows(dataset, NEAR)) < {*range(30), *range(60, 90)}
    assert sorted(_rows(split(whole, tail="down", seed=0), BEYOND)) == list(range(10))


def test_split_breaks_ties_by_row() -> None:
    """With few values, rows keep their order: the cut runs through the equal ones."""
    x = np.array([[1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]]).T
    dataset = split(_dataset(x), gap="x", seed=0)
    assert sorted(_rows(dataset, BETWEEN)) == [0, 2, 9, 11]


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
    asked = queries(split(uci("yacht"), gap="prismatic_coefficient", tail="prismatic_coefficient", seed=0), seed=0)
    near, between, beyond = (np.median(asked.distance[asked.regions == region]) for region in REGIONS)
    assert between > 2 * near
    assert beyond > 2 * near


# Growth and intervals.


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_growth_is_the_power_of_a_power_law(power: float) -> None:
    """The variance of sd = c distance^p has growth p, for any c and any unit of distance."""
    distance = np.array([0.1, 1.0, 3.0, 50.0])
    assert growth(distance, (7 * distance**power) ** 2) == pytest.approx(power, abs=1e-12)
    assert growth(1000 * distance, distance ** (2 * power)) == pytest.approx(power, abs=1e-12)


def test_growth_is_the_slope_of_linear_regression() -> None:
    """Least squares in logs, as another library has it; with outputs [M, D] every one counts at its distance."""
    rng = np.random.default_rng(0)
    distance, variance = rng.uniform(0.1, 5, size=40), rng.gamma(2, size=(40, 3))
    for d in (1, 3):
        slope = stats.linregress(np.repeat(np.log(distance), d), np.log(np.sqrt(variance[:, :d])).ravel()).slope
        assert growth(distance, variance[:, :d]) == pytest.approx(slope)
    assert growth(distance, variance[:, 0]) == pytest.approx(growth(distance, variance[:, :1]))


def test_growth_is_over_finite_positive_pairs() -> None:
    """Zero, infinite and missing values have no logs and do not count."""
    distance = np.array([1.0, 2.0, 4.0, 0.0, np.inf, 8.0, 8.0, 8.0])
    variance = np.array([1.0, 4.0, 16.0, 9.0, 9.0, 0.0, np.nan, np.inf])
    assert growth(distance, variance) == pytest.approx(1)


@pytest.mark.parametrize(
    "distance", [[], [1.0, 2.0], [3.0, 3.0, 3.0], [0.3, 0.1 + 0.2, 0.3], [0.0, 0.0, 1.0, 2.0], [np.inf] * 5]
)
def test_growth_is_undefined_without_spread(distance: list[float]) -> None:
    """Fewer than three usable points, or one distance, have no slope."""
    assert math.isnan(growth(np.array(distance), np.arange(1.0, len(distance) + 1)))


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
