"""Regions, query points and growth exponents, against what one sees by eye, brute force, and closed forms."""

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
from variational_bnn.datasets import lecture, uci
from variational_bnn.evaluation.regions import RegionMap, growth_exponent, propose_query_points
from variational_bnn.evaluation.split import split


def _dataset(x: Array) -> Dataset:
    return Dataset(name="made", x=x, y=np.arange(len(x), dtype=np.float64))


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
def test_lecture_regions_are_those_that_one_sees(x: float, region: str) -> None:
    """Near the points, between the two clusters, beyond both ends; one spacing of the points, 1/31, is near."""
    assert RegionMap.of(lecture().x).label([x]).tolist() == [region]


def test_lecture_radius_is_the_spacing_of_its_points() -> None:
    """The points of each cluster are 1/31 apart; an input halfway across the gap is 6.5 spacings from both."""
    regions = RegionMap.of(lecture().x)
    assert regions.radius * regions.scale[0] == pytest.approx(1 / 31)
    assert regions.distance([0.0]) == pytest.approx([6.5])


def test_rounding_does_not_decide_what_is_near() -> None:
    """On an even grid every neighbour is a radius away; all points a radius past a training input are near."""
    x = np.linspace(0, 1, 11)
    for step in (0.1, -0.1):
        assert (RegionMap.of(x).label(x + step) == NEAR).all()
        assert (RegionMap.of(x).label(x + 1.001 * step) == NEAR).sum() == 10


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
    points = _normal(5, x.shape[1], seed) * x.std(axis=0) * 2
    expected = [min(math.dist(a, b) for b in scaled) / radius for a in points / x.std(axis=0)]
    assert regions.distance(points) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(x=tables())
def test_map_does_not_depend_on_units_or_order(x: Array) -> None:
    """Rescaled and reordered features and rows give the same distances."""
    points = np.concatenate([x * 1.5, x * 0.5])
    distance = RegionMap.of(x).distance(points)
    factor = 2.0 ** np.arange(-3, x.shape[1] - 3)
    np.testing.assert_allclose(RegionMap.of(x[::-1] * factor).distance(points * factor), distance, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(RegionMap.of(x[:, ::-1]).distance(points[:, ::-1]), distance, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("num_features", [1, 5, 30])
def test_map_finds_neighbours_far_from_the_origin(num_features: int) -> None:
    """A thousand million added to every input (a time stamp, say) changes no distance."""
    x = np.random.default_rng(0).integers(0, 1000, size=(200, num_features)).astype(np.float64)
    shifted, regions = RegionMap.of(x[:100] + 2.0**30), RegionMap.of(x[:100])
    assert shifted.radius == pytest.approx(regions.radius)
    np.testing.assert_allclose(shifted.distance(x[100:] + 2.0**30), regions.distance(x[100:]), rtol=1e-9)


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
    assert regions.label([[5.0, 5.0], [1.0, 9.0], [0.5, 0.5]]).tolist() == [BETWEEN, BETWEEN, NEAR]
    assert regions.label([[regions.low[0], 5.0], [5.0, regions.high[1]]]).tolist() == [BETWEEN, BETWEEN]
    assert regions.label([[5, 12], [-2, 5], [12, 12]]).tolist() == [BEYOND, BEYOND, BEYOND]


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
def test_inputs_without_distances_raise(x_train: list[float], message: str) -> None:
    """One row has no neighbour, and a constant feature no scale."""
    with pytest.raises(ValueError, match=message):
        RegionMap.of(x_train)


def test_query_points_with_other_features_raise() -> None:
    """Query points must have the training inputs' features, and must be finite."""
    regions = RegionMap.of(_normal(5, 2))
    with pytest.raises(ValueError, match="x must have 2 features, got 3"):
        regions.distance(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="x must be finite"):
        regions.label([[0.0, np.inf]])


def test_query_points_of_one_feature_are_an_even_grid() -> None:
    """The lecture's grid is [-1.5, 1.5], and its regions are runs: beyond, near, between, near, beyond."""
    points = propose_query_points(lecture(), seed=0)
    np.testing.assert_allclose(points.x[:, 0], np.linspace(-1.5, 1.5, 600))
    changes = np.flatnonzero(points.regions[1:] != points.regions[:-1])
    assert points.regions[[0, *(changes + 1)]].tolist() == [BEYOND, NEAR, BETWEEN, NEAR, BEYOND]
    assert points.y is None


@settings(max_examples=60, deadline=None)
@given(x=tables(), seed=st.integers(0, 2**32 - 1), num_points=st.integers(1, 50))
def test_query_points_are_labelled_by_the_map(x: Array, seed: int, num_points: int) -> None:
    """There are as many points as requested, within one width of the range; their labels are those of the map."""
    points = propose_query_points(_dataset(x), seed, num_points)
    regions = RegionMap.of(x)
    assert points.x.shape == (num_points, x.shape[1])
    np.testing.assert_array_equal(points.regions, regions.label(points.x))
    np.testing.assert_array_equal(points.distance, regions.distance(points.x))
    near = (points.distance <= 1 + 1e-9) == (points.regions == NEAR)
    assert near.all()
    reach = np.ptp(x, axis=0) + regions.radius * regions.scale
    assert (points.x >= x.min(axis=0) - reach * (1 + 1e-9)).all()
    assert (points.x <= x.max(axis=0) + reach * (1 + 1e-9)).all()


@pytest.mark.parametrize("num_features", [2, 10, 100])
def test_two_clusters_have_query_points_in_all_regions(num_features: int) -> None:
    """Where regions between and beyond exist, query points are proposed there, in any number of features."""
    cluster = _normal(100, num_features) / 10
    points = propose_query_points(_dataset(np.concatenate([cluster - 10, cluster + 10])), seed=0)
    for region in REGIONS:
        assert (points.regions == region).sum() > 50
    assert not np.isin(points.regions, REGIONS, invert=True).any()


def test_a_region_that_does_not_exist_has_no_query_points() -> None:
    """A full square has no region between."""
    axis = np.linspace(0, 1, 20)
    square = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert set(propose_query_points(_dataset(square), seed=0).regions) == {NEAR, BEYOND}


@pytest.mark.parametrize("num_features", [1, 2, 5])
def test_repeated_inputs_have_query_points_in_all_regions(num_features: int) -> None:
    """With features of two values and repeated rows, the repeats are near, and the other regions are reached too."""
    corners = np.random.default_rng(0).integers(0, 2, size=(500, num_features)).astype(float)
    assert set(propose_query_points(_dataset(corners), seed=0).regions) == set(REGIONS)


def test_query_points_are_given_by_their_seed() -> None:
    """The same seed gives the same query points, another seed other ones."""
    dataset = _dataset(_normal(30, 2))
    np.testing.assert_array_equal(propose_query_points(dataset, 1).x, propose_query_points(dataset, 1).x)
    assert not np.array_equal(propose_query_points(dataset, 1).x, propose_query_points(dataset, 2).x)
    with pytest.raises(ValueError, match="num_points must be >= 1, got 0"):
        propose_query_points(dataset, 1, num_points=0)


def test_held_out_rows_are_the_query_points() -> None:
    """With held-out rows, the split determines the regions, and the map only the distances."""
    dataset = split(_dataset(_normal(100, 2)), gap="x0", tail="x1", seed=0)
    points = propose_query_points(dataset, seed=0)
    for of_points, of_dataset in (("x", "x_test"), ("y", "y_test"), ("regions", "test_regions")):
        np.testing.assert_array_equal(getattr(points, of_points), getattr(dataset, of_dataset))
    np.testing.assert_array_equal(points.distance, RegionMap.of(dataset.x).distance(points.x))


def test_the_largest_table_has_query_points_in_all_regions(data_dir: Path) -> None:
    """All 45,730 rows of protein, repeats and outliers included."""
    assert set(propose_query_points(uci("protein"), seed=0).regions) == set(REGIONS)


def _shares(x: Array, num_points: int = 600) -> tuple[Array, Array, Array]:
    """The three shares of proposed query points: moved by up to a radius, between two rows, and past the range."""
    near, between, beyond = np.split(propose_query_points(_dataset(x), seed=0, num_points=num_points).x, 3)
    return near, between, beyond


@pytest.mark.parametrize("num_features", [2, 5])
def test_the_near_share_is_within_one_radius_and_reaches_it(num_features: int) -> None:
    """Rows come in pairs that are far from each other, so that the nearest row is often the one that was moved."""
    first = 100 * np.eye(num_features)[np.arange(20) % num_features] * np.arange(1, 21)[:, None]
    steps = _normal(20, num_features)
    x = np.concatenate([first, first + steps / np.linalg.norm(steps, axis=1, keepdims=True)])
    regions, (near, _, _) = RegionMap.of(x), _shares(x)
    distance = regions.distance(near)
    assert (regions.label(near) == NEAR).all()
    assert 0.9 < distance.max() <= 1 + 1e-9
    assert distance.min() < 0.1


@pytest.mark.parametrize("num_features", [2, 5])
def test_the_between_share_is_on_the_lines_between_two_different_rows(num_features: int) -> None:
    """With three rows, every point divides a side of the triangle at a uniform place, and none is at a corner."""
    corners = _normal(3, num_features, seed=2)
    _, between, _ = _shares(corners)
    sides = (corners[1:] - corners[0]).T
    others = np.linalg.lstsq(sides, (between - corners[0]).T, rcond=None)[0]
    weights = np.stack([1 - others.sum(axis=0), *others], axis=1)
    np.testing.assert_allclose(weights @ corners, between, atol=1e-9)
    opposite, shorter, _ = np.sort(weights, axis=1).T
    np.testing.assert_allclose(opposite, 0, atol=1e-9)
    assert 1e-6 < shorter.min() < 0.02
    assert 0.48 < shorter.max() <= 0.5
    assert abs(shorter.mean() - 0.25) < 4.5 * 0.5 / math.sqrt(12 * len(shorter))
    assert set(np.abs(weights).argmin(axis=1)) == {0, 1, 2}
    assert (RegionMap.of(corners).distance(between) > 1e-6).all()


@pytest.mark.parametrize("num_features", [2, 5])
def test_the_beyond_share_is_past_the_range_by_up_to_its_width(num_features: int) -> None:
    """In half widths from the middle, points are at 1 to 3, uniformly, on the rays through the training inputs."""
    x = np.concatenate([_normal(50, num_features) - 8, _normal(50, num_features, seed=1) + 8]) * 10.0**num_features
    low, high = x.min(axis=0), x.max(axis=0)
    regions, (_, _, beyond) = RegionMap.of(x), _shares(x)
    middle, half_width = (low + high) / 2, (high - low) / 2
    reach = np.abs((beyond - middle) / half_width).max(axis=1)
    assert 1 - 1e-9 <= reach.min() < 1.05
    assert 2.95 < reach.max() <= 3 + 1e-9
    assert abs(reach.mean() - 2) < 4.5 * 2 / math.sqrt(12 * len(reach))
    assert (regions.label(beyond)[regions.distance(beyond) > 1] == BEYOND).all()
    assert (regions.label(beyond) == BEYOND).mean() > 0.9
    rays, through = (
        table / np.linalg.norm(table, axis=1, keepdims=True)
        for table in ((beyond - middle) / half_width, (x - middle) / half_width)
    )
    np.testing.assert_allclose((rays @ through.T).max(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_growth_is_the_power_of_a_power_law(power: float) -> None:
    """The variance of sd = c distance^p has growth exponent p, for any c and any unit of distance."""
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
def test_growth_is_undefined_without_different_distances(distance: list[float]) -> None:
    """Fewer than three usable points, or one distance, have no slope."""
    assert math.isnan(growth_exponent(np.array(distance), np.arange(1.0, len(distance) + 1)))


def test_of_very_many_rows_some_stand_for_all() -> None:
    """Query points and distances of 300,000 rows need little, and all features keep their range and their scale."""
    x = np.random.default_rng(0).uniform(size=(300_000, 2))
    regions = RegionMap.of(x)
    assert len(regions.inputs) == 10_000
    np.testing.assert_array_equal(regions.low, x.min(axis=0))
    assert set(propose_query_points(_dataset(x), seed=0).regions) == set(REGIONS)
    points = propose_query_points(split(_dataset(x), gap="x0", tail="x1", seed=0), seed=0)
    assert [int((points.regions == region).sum()) for region in REGIONS] == [10_000] * 3
    assert points.y is not None
    np.testing.assert_array_equal(points.x, x[points.y[:, 0].astype(int)])
