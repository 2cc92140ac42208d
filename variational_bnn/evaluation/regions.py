"""Away from the data: near it, between it, or beyond it, and the queries and splits that reach each region."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Dataset
from variational_bnn.base.checks import Array, finite_table, require, require_known

QUERY_POINT_SEED = 0
"""All methods and seeds answer the same queries."""

_OWN_DISTANCES = 0.95
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionMap:
    """Where any input lies, as seen from the training inputs; made by `RegionMap.of`.

    Attributes:
        scale: Standard deviation `[F]` of each feature over the training inputs, in its units.
        low: Smallest training input `[F]`.
        high: Largest training input `[F]`.
        radius: 95 % quantile, over the training inputs, of the distance to the nearest other one; in units of `scale`.
        neighbours: The search among `inputs`.
        inputs: The training inputs `[N, F]`, from `low` on, in units of `scale`.
    """

    scale: Array
    low: Array
    high: Array
    radius: float
    neighbours: NearestNeighbors
    inputs: Array

    @classmethod
    def of(cls, x_train: npt.ArrayLike) -> RegionMap:
        """The map of training inputs `[N, F]`.

        Raises:
            ValueError: If there are fewer than two rows, a value is not finite, or a feature is constant.
        """
        x = finite_table("x_train", x_train)
        require(len(x) >= 2, f"x_train must have at least 2 rows, got {len(x)}")
        scale = x.std(axis=0)
        require(bool((scale > 0).all()), "x_train must have no constant feature")
        low, high = x.min(axis=0), x.max(axis=0)
        inputs = (x - low) / scale
        neighbours = NearestNeighbors(n_neighbors=1).fit(inputs)
        nearest_other = neighbours.kneighbors(return_distance=False)[:, 0]
        own = np.linalg.norm(inputs - inputs[nearest_other], axis=1)
        radius = float(np.quantile(own, _OWN_DISTANCES))
        return cls(scale=scale, low=low, high=high, radius=radius, neighbours=neighbours, inputs=inputs)

    def distance(self, x: npt.ArrayLike) -> Array:
        """Distance `[M]` of inputs `[M, F]` to the nearest training input, in radii.

        If the radius is 0, because the training inputs are repeated, a repeat of one is at 0 and all else at infinity.

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

        `near` is within one radius of a training input. Of the rest, `between` is inside the range of the training
        inputs in every feature, `beyond` is outside it in one or more.

        Raises:
            ValueError: If the inputs are not finite or do not have F features.
        """
        near = self.distance(x) <= 1 + _ROUNDING
        table, slack = finite_table("x", x), _ROUNDING * self.scale
        inside = ((table >= self.low - slack) & (table <= self.high + slack)).all(axis=1)
        return np.where(near, NEAR, np.where(inside, BETWEEN, BEYOND))


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryPoints:
    """Inputs to ask a posterior about.

    Attributes:
        x: `[M, F]`.
        regions: `[M]` strings of `REGIONS`.
        distance: `[M]`, to the nearest training input, in radii of the `RegionMap`.
        y: Targets `[M, D]` where they are known, or None.
    """

    x: Array
    regions: npt.NDArray[np.str_]
    distance: Array
    y: Array | None = None

    @property
    def inside(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which inputs `[M]` are in each region that has any, in the order of `REGIONS`."""
        return {region: self.regions == region for region in REGIONS if (self.regions == region).any()}


def propose_query_points(dataset: Dataset, seed: int, num_queries: int = 600) -> QueryPoints:
    """Inputs in every region that can be reached; a region without any is absent.

    Held-out rows, if the dataset has them, are the queries, in the regions where its split put them. If it has none,
    queries are proposed, and `RegionMap` says where they are. For one feature they are an even grid, from one width of
    the training inputs' range below it to one above. For more features (and for one whose values are so repeated that
    the radius is 0, which a grid would miss) there are three equal shares: training inputs moved by up to a radius,
    points between two training inputs, and training inputs moved away from the middle of the range, past it by up to
    its width.

    Args:
        dataset: Whose training rows say what is away.
        seed: Of the proposals.
        num_queries: M, without held-out rows.

    Raises:
        ValueError: If `num_queries` is below 1.
    """
    require(num_queries >= 1, f"num_queries must be >= 1, got {num_queries}")
    regions = RegionMap.of(dataset.x)
    if dataset.x_test is not None and dataset.test_regions is not None:
        distance = regions.distance(dataset.x_test)
        return QueryPoints(x=dataset.x_test, regions=dataset.test_regions, distance=distance, y=dataset.y_test)
    if dataset.x.shape[1] == 1 and regions.radius > 0:
        width = regions.high - regions.low
        x = np.linspace(regions.low - width, regions.high + width, num_queries)
    else:
        rng = np.random.default_rng(seed)
        share = num_queries // 3
        near = _moved_within_radius(dataset.x, regions, num_queries - 2 * share, rng)
        between = _between_pairs(dataset.x, share, rng)
        x = np.concatenate([near, between, _moved_past_range(dataset.x, regions, share, rng)])
    return QueryPoints(x=x, regions=regions.label(x), distance=regions.distance(x))


def _moved_within_radius(x: Array, regions: RegionMap, count: int, rng: np.random.Generator) -> Array:
    direction: Array = rng.standard_normal((count, x.shape[1]))
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    length: Array = regions.radius * rng.uniform(size=(count, 1))
    start: Array = x[rng.integers(len(x), size=count)]
    return start + length * direction * regions.scale


def _between_pairs(x: Array, count: int, rng: np.random.Generator) -> Array:
    first = rng.integers(len(x), size=count)
    second = (first + rng.integers(1, len(x), size=count)) % len(x)
    start: Array = x[first]
    step: Array = x[second] - start
    return start + rng.uniform(size=(count, 1)) * step


def _moved_past_range(x: Array, regions: RegionMap, count: int, rng: np.random.Generator) -> Array:
    middle, half_width = (regions.low + regions.high) / 2, (regions.high - regions.low) / 2
    from_middle = (x - middle) / half_width
    farthest = np.abs(from_middle).max(axis=1, keepdims=True)
    off_middle = farthest[:, 0] > 0
    on_range = from_middle[off_middle] / farthest[off_middle]
    start: Array = on_range[rng.integers(len(on_range), size=count)]
    return middle + (1 + 2 * rng.uniform(size=(count, 1))) * start * half_width


def split(dataset: Dataset, *, gap: str | None = None, tail: str | None = None, seed: int) -> Dataset:
    """Hold out labelled rows by region: first the tail, then the gap in what is left, then a tenth of the rest.

    Rows with equal values of a feature keep their order, so that a feature of few values may put rows of one value on
    both sides of a cut. Without gap and tail, the dataset stays as it is. The middle third is the gap of Foong, Li,
    Hernandez-Lobato and Turner 2019 (arXiv 1909.02736).

    Args:
        dataset: All rows, none held out if any are to be.
        gap: Feature whose middle third is held out as `between`.
        tail: Feature whose upper tenth is held out as `beyond`.
        seed: Of the random tenth (at least one row) of the rest that is held out as `near`.

    Raises:
        ValueError: If a feature is unknown, rows are held out already, fewer than two would train, or a feature or
            the target is constant over those that would.
    """
    if gap is None and tail is None:
        return dataset
    require(dataset.x_test is None, f"dataset {dataset.name!r} has held-out rows already")
    for feature in (gap, tail):
        if feature is not None:
            require_known("feature", feature, dataset.feature_names)
    x, y, rest = dataset.x, dataset.y, np.arange(len(dataset.x))
    held: dict[str, npt.NDArray[np.intp]] = {}
    if tail is not None:
        rest, held[BEYOND] = np.split(_sorted_by(dataset, tail, rest), [len(rest) - max(1, len(rest) // 10)])
    if gap is not None:
        below, held[BETWEEN], above = np.split(_sorted_by(dataset, gap, rest), [len(rest) // 3, 2 * len(rest) // 3])
        rest = np.concatenate([below, above])
    num_near = max(1, len(rest) // 10)
    held[NEAR], rest = np.split(np.random.default_rng(seed).permutation(rest), [num_near])
    require(len(rest) >= 2, f"the split wants at least 2 training rows, got {len(rest)} of the {len(x)} rows")
    train, test = np.sort(rest), np.concatenate(list(held.values()))
    regions = np.repeat(list(held), [len(rows) for rows in held.values()])
    held_out = {"x_test": x[test], "y_test": y[test], "test_regions": regions}
    return replace(dataset, x=x[train], y=y[train], larger_sample=None, **held_out)


def _sorted_by(dataset: Dataset, feature: str, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    rows = np.sort(rows)
    return rows[np.argsort(dataset.x[rows, dataset.feature_names.index(feature)], kind="stable")]


def growth_exponent(distance: Array, variance: Array) -> float:
    """The power p in sd ~ distance^p, by least squares in logs over finite distances > 0 and finite variances > 0.

    Args:
        distance: `[M]`, in any unit.
        variance: `[M]` or `[M, D]`, in any unit.

    Returns:
        p, or NaN with fewer than three such pairs or where all distances are equal.
    """
    distances = np.broadcast_to(distance, variance.T.shape).ravel()
    variances = variance.T.ravel()
    usable = np.isfinite(distances) & (distances > 0) & np.isfinite(variances) & (variances > 0)
    log_distance, log_sd = np.log(distances[usable]), np.log(variances[usable]) / 2
    if len(log_distance) < 3 or np.ptp(log_distance) < _ROUNDING:
        return np.nan
    centred = log_distance - log_distance.mean()
    return float(centred @ log_sd / (centred @ centred))


def ratio_interval(ratios: npt.ArrayLike) -> tuple[float, float, float]:
    """Geometric mean over seeds, and its 95 % Student t interval, taken in logs.

    Args:
        ratios: `[seeds]` numbers >= 0, of any unit: ratios, or standard deviations.

    Returns:
        Estimate, lower and upper bound. A NaN or negative ratio (a failed seed, or 0 over 0) makes all three NaN,
        because seeds are never dropped; the bounds are NaN too with one seed, and where a ratio is 0 or infinite.
    """
    values = np.asarray(ratios, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        mean = logs.mean() if values.size else np.nan
    if values.size < 2 or not np.isfinite(logs).all():
        return float(np.exp(mean)), np.nan, np.nan
    half_width = stats.t.ppf(0.975, values.size - 1) * logs.std(ddof=1) / np.sqrt(values.size)
    return float(np.exp(mean)), float(np.exp(mean - half_width)), float(np.exp(mean + half_width))
