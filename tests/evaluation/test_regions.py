"""Near, between and beyond: against what one says by eye, brute force, and closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Dataset
from variational_bnn.base.checks import Array
from variational_bnn.datasets import lecture, uci
from variational_bnn.evaluation.regions import RegionMap, propose_query_points, split


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
def test_lecture_regions_are_those_one_sees(x: float, region: str) -> None:
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
    asked = _normal(5, x.shape[1], seed) * x.std(axis=0) * 2
    expected = [min(math.dist(a, b) for b in scaled) / radius for a in asked / x.std(axis=0)]
    assert regions.distance(asked) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(x=tables())
def test_map_does_not_depend_on_units_or_order(x: Array) -> None:
    """Rescaled and reordered features and rows give the same distances."""
    asked = np.concatenate([x * 1.5, x * 0.5])
    distance = RegionMap.of(x).distance(asked)
    factor = 2.0 ** np.arange(-3, x.shape[1] - 3)
    np.testing.assert_allclose(RegionMap.of(x[::-1] * factor).distance(asked * factor), distance, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(RegionMap.of(x[:, ::-1]).distance(asked[:, ::-1]), distance, rtol=1e-6, atol=1e-7)


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


def test_one_feature_is_asked_on_an_even_grid() -> None:
    """The lecture's grid is [-1.5, 1.5], and its regions are runs: beyond, near, between, near, beyond."""
    asked = propose_query_points(lecture(), seed=0)
    np.testing.assert_allclose(asked.x[:, 0], np.linspace(-1.5, 1.5, 600))
    changes = np.flatnonzero(asked.regions[1:] != asked.regions[:-1])
    assert asked.regions[[0, *(changes + 1)]].tolist() == [BEYOND, NEAR, BETWEEN, NEAR, BEYOND]
    assert asked.y is None


@settings(max_examples=60, deadline=None)
@given(x=tables(), seed=st.integers(0, 2**32 - 1), num_queries=st.integers(1, 50))
def test_queries_are_labelled_by_the_map(x: Array, seed: int, num_queries: int) -> None:
    """Whatever was proposed: as many as asked for, finite, within a range's width of the range, and labelled anew."""
    asked = propose_query_points(_dataset(x), seed, num_queries)
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
    asked = propose_query_points(_dataset(np.concatenate([cluster - 10, cluster + 10])), seed=0)
    for region in REGIONS:
        assert (asked.regions == region).sum() > 50
    assert not np.isin(asked.regions, REGIONS, invert=True).any()


def test_a_region_that_is_not_there_is_absent() -> None:
    """A full square has no between: nothing is put there."""
    axis = np.linspace(0, 1, 20)
    square = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert set(propose_query_points(_dataset(square), seed=0).regions) == {NEAR, BEYOND}


@pytest.mark.parametrize("num_features", [1, 2, 5])
def test_repeated_inputs_are_asked_about_in_all_regions(num_features: int) -> None:
    """Features of two values, all rows repeated: the repeats are near, and the other regions are reached too."""
    corners = np.random.default_rng(0).integers(0, 2, size=(500, num_features)).astype(float)
    assert set(propose_query_points(_dataset(corners), seed=0).regions) == set(REGIONS)


def test_queries_are_given_by_their_seed() -> None:
    """The same seed gives the same queries, another seed others."""
    dataset = _dataset(_normal(30, 2))
    np.testing.assert_array_equal(propose_query_points(dataset, 1).x, propose_query_points(dataset, 1).x)
    assert not np.array_equal(propose_query_points(dataset, 1).x, propose_query_points(dataset, 2).x)
    with pytest.raises(ValueError, match="num_queries must be >= 1, got 0"):
        propose_query_points(dataset, 1, num_queries=0)


def test_held_out_rows_are_the_queries() -> None:
    """With labels to test with, the split says the region, and the map only how far it is."""
    dataset = split(_dataset(_normal(100, 2)), gap="x0", tail="x1", seed=0)
    asked = propose_query_points(dataset, seed=0)
    assert asked.x is dataset.x_test
    assert asked.y is dataset.y_test
    assert asked.regions is dataset.test_regions
    np.testing.assert_array_equal(asked.distance, RegionMap.of(dataset.x).distance(asked.x))


def test_the_largest_table_is_asked_about(data_dir: Path) -> None:
    """All 45,730 rows of protein, repeats and outliers included."""
    assert set(propose_query_points(uci("protein"), seed=0).regions) == set(REGIONS)
