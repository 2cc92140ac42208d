"""Regions of the input space, as seen from the training inputs: near them, between them, and beyond them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Dataset
from variational_bnn.base.checks import Array, finite_table, require
from variational_bnn.evaluation.subsample import some_rows

QUERY_POINT_SEED = 0
"""Seed of the query points: all methods and all seeds of a comparison predict at the same points."""

_RADIUS_QUANTILE = 0.95
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionMap:
    """A map from any input to its distance from the training inputs and to its region; made by `RegionMap.of`.

    Distances are Euclidean, after each feature has been divided by its standard deviation over the training inputs. Of
    more than 10,000 training inputs, that many random ones stand for all in distances.

    Attributes:
        scale: Standard deviation `[F]` of each feature over the training inputs, in the feature's units.
        low: Smallest value `[F]` of each feature over the training inputs, in the feature's units.
        high: Largest value `[F]` of each feature over the training inputs, in the feature's units.
        radius: The 95 % quantile, over the training inputs, of the distance to the nearest other training input, in
            units of `scale`.
        neighbours: Nearest-neighbour search among `inputs`.
        inputs: The training inputs `[N, F]`, at most 10,000 of them, as (x - `low`) / `scale`.
    """

    scale: Array
    low: Array
    high: Array
    radius: float
    neighbours: NearestNeighbors
    inputs: Array

    @classmethod
    def of(cls, x_train: npt.ArrayLike) -> RegionMap:
        """Make the map of training inputs `[N, F]`.

        Raises:
            ValueError: If there are fewer than two rows, a value is not finite, or a feature is constant.
        """
        x = finite_table("x_train", x_train)
        require(len(x) >= 2, f"x_train must have at least 2 rows, got {len(x)}")
        scale = x.std(axis=0)
        require(bool((scale > 0).all()), "x_train must have no constant feature")
        low, high = x.min(axis=0), x.max(axis=0)
        inputs = (x[some_rows(len(x))] - low) / scale
        neighbours = NearestNeighbors(n_neighbors=1).fit(inputs)
        nearest_other = neighbours.kneighbors(return_distance=False)[:, 0]
        own = np.linalg.norm(inputs - inputs[nearest_other], axis=1)
        radius = float(np.quantile(own, _RADIUS_QUANTILE))
        return cls(scale=scale, low=low, high=high, radius=radius, neighbours=neighbours, inputs=inputs)

    def distance(self, x: npt.ArrayLike) -> Array:
        """Distance `[M]` of inputs `[M, F]` to the nearest training input, in units of the radius.

        If the radius is 0, because the training inputs are repeated, the distance is 0 at a training input and infinite
        at all other inputs.

        Raises:
            ValueError: If the inputs are not finite or do not have F features.
        """
        table = finite_table("x", x)
        require(table.shape[1] == len(self.scale), f"x must have {len(self.scale)} features, got {table.shape[1]}")
        scaled = (table - self.low) / self.scale
        nearest = self.neighbours.kneighbors(scaled, return_distance=False)[:, 0]
        distance: Array = np.linalg.norm(scaled - self.inputs[nearest], axis=1)
        if self.radius > 0:
            return distance / self.radius
        return np.where(distance == 0, 0.0, np.inf)

    def label(self, x: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """The region `[M]` of inputs `[M, F]`.

        An input is `near` if it is within one radius of a training input. Of the other inputs, those inside the range
        of the training inputs in every feature are `between`, and those outside it in one or more features `beyond`.

        Raises:
            ValueError: If the inputs are not finite or do not have F features.
        """
        near = self.distance(x) <= 1 + _ROUNDING
        table, slack = finite_table("x", x), _ROUNDING * self.scale
        inside = ((table >= self.low - slack) & (table <= self.high + slack)).all(axis=1)
        return np.where(near, NEAR, np.where(inside, BETWEEN, BEYOND))


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryPoints:
    """Inputs at which the predictions of all methods are compared.

    Attributes:
        x: Inputs `[M, F]`, in the units of the dataset.
        regions: Region of each input `[M]`, strings of `REGIONS`.
        distance: Distance `[M]` to the nearest training input, in units of the radius of the `RegionMap`.
        y: Targets `[M, D]` where they are known, or None.
    """

    x: Array
    regions: npt.NDArray[np.str_]
    distance: Array
    y: Array | None = None

    @property
    def inside(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Booleans `[M]` that say which inputs are in a region, for each region that has any, in order of `REGIONS`."""
        return {region: self.regions == region for region in REGIONS if (self.regions == region).any()}


def propose_query_points(dataset: Dataset, seed: int, num_points: int = 600) -> QueryPoints:
    """Propose inputs in every region that can be reached; a region that cannot be reached has no query points.

    If the dataset has held-out rows, these are the query points, in the regions where its split put them; of more than
    10,000 in a region, that many random ones. If it has
    none, inputs are proposed, and `RegionMap` says in which regions they are. For one feature they are an even grid,
    from one width of the training inputs' range below the range to one width above it. For more features (and for one
    feature whose values are so repeated that the radius is 0, which a grid would miss) they are three equal shares, in
    this order: training inputs moved by up to one radius; points on the line between two training inputs; training
    inputs moved away from the middle of the range, past its border by up to one width of the range.

    Args:
        dataset: The dataset from whose training rows distances are measured.
        seed: Seed of the proposals; not used for a grid or for held-out rows.
        num_points: Number M of query points, if the dataset has no held-out rows.

    Raises:
        ValueError: If `num_points` is below 1, or a feature is constant over the training rows.
    """
    require(num_points >= 1, f"num_points must be >= 1, got {num_points}")
    regions = RegionMap.of(dataset.x)
    if dataset.x_test is not None and dataset.test_regions is not None:
        rows = _held_out_rows(dataset.test_regions)
        x, y = dataset.x_test[rows], None if dataset.y_test is None else dataset.y_test[rows]
        return QueryPoints(x=x, regions=dataset.test_regions[rows], distance=regions.distance(x), y=y)
    if dataset.x.shape[1] == 1 and regions.radius > 0:
        width = regions.high - regions.low
        x = np.linspace(regions.low - width, regions.high + width, num_points)
    else:
        rng = np.random.default_rng(seed)
        share, seen = num_points // 3, dataset.x[some_rows(len(dataset.x))]
        near = _moved_within_radius(seen, regions, num_points - 2 * share, rng)
        between = _between_pairs(seen, share, rng)
        x = np.concatenate([near, between, _moved_past_range(seen, regions, share, rng)])
    return QueryPoints(x=x, regions=regions.label(x), distance=regions.distance(x))


def _held_out_rows(regions: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
    """Numbers of held-out rows in their order, with a limit in each region."""
    of_region = [np.flatnonzero(regions == region) for region in REGIONS]
    return np.sort(np.concatenate([rows[some_rows(len(rows))] for rows in of_region]))


def _moved_within_radius(x: Array, regions: RegionMap, count: int, rng: np.random.Generator) -> Array:
    """Training inputs, each moved in a random direction by up to one radius."""
    direction: Array = rng.standard_normal((count, x.shape[1]))
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    length: Array = regions.radius * rng.uniform(size=(count, 1))
    start: Array = x[rng.integers(len(x), size=count)]
    return start + length * direction * regions.scale


def _between_pairs(x: Array, count: int, rng: np.random.Generator) -> Array:
    """Points on the lines between two different training rows."""
    first = rng.integers(len(x), size=count)
    second = (first + rng.integers(1, len(x), size=count)) % len(x)
    start: Array = x[first]
    step: Array = x[second] - start
    return start + rng.uniform(size=(count, 1)) * step


def _moved_past_range(x: Array, regions: RegionMap, count: int, rng: np.random.Generator) -> Array:
    """Training inputs, each moved along the line from the middle of the range, past the border by up to a width."""
    middle, half_width = (regions.low + regions.high) / 2, (regions.high - regions.low) / 2
    from_middle = (x - middle) / half_width
    farthest = np.abs(from_middle).max(axis=1, keepdims=True)
    off_middle = farthest[:, 0] > 0
    on_range = from_middle[off_middle] / farthest[off_middle]
    start: Array = on_range[rng.integers(len(on_range), size=count)]
    return middle + (1 + 2 * rng.uniform(size=(count, 1))) * start * half_width


def growth_exponent(distance: Array, variance: Array) -> float:
    """The power p in sd ~ distance^p, by least squares in logs: how fast a standard deviation grows with distance.

    Pairs whose distance or variance is 0 or not finite are left out.

    Args:
        distance: Distances `[M]` to the training inputs, in any unit.
        variance: Variances `[M]` or `[M, D]`, in any unit.

    Returns:
        p; NaN if fewer than three pairs are left, or if all distances are equal.
    """
    distances = np.broadcast_to(distance, variance.T.shape).ravel()
    variances = variance.T.ravel()
    usable = np.isfinite(distances) & (distances > 0) & np.isfinite(variances) & (variances > 0)
    log_distance, log_sd = np.log(distances[usable]), np.log(variances[usable]) / 2
    if len(log_distance) < 3 or np.ptp(log_distance) < _ROUNDING:
        return np.nan
    centred = log_distance - log_distance.mean()
    return float(centred @ log_sd / (centred @ centred))
