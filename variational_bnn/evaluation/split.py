"""Hold out labelled rows of a table by region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from variational_bnn.base import BETWEEN, BEYOND, NEAR, Dataset
from variational_bnn.base.checks import require, require_known


def split(dataset: Dataset, *, gap: str | None = None, tail: str | None = None, seed: int) -> Dataset:
    """Hold out labelled rows of a table by region, to measure predictions near, between and beyond the training rows.

    The upper tenth of the rows by one feature is held out first as `beyond`, then the middle third of the remaining
    rows by one feature as `between`, and then a random tenth of the remaining rows as `near`. All other rows are for
    training. The middle third is the gap of Foong, Li, Hernández-Lobato and Turner (2019, arXiv 1909.02736).

    Rows with equal values of the feature are taken in their order in the table, so that of a feature with few values,
    rows of one value may be both held out and trained on.

    Args:
        dataset: All rows. It must not have held-out rows.
        gap: Name of the feature whose middle third is held out as `between`; None for no such rows.
        tail: Name of the feature whose upper tenth (at least one row) is held out as `beyond`; None for no such rows.
        seed: Seed of the random tenth (at least one row) that is held out as `near`.

    Returns:
        A dataset with the training rows in `x` and `y`, the held-out rows in `x_test` and `y_test`, and their regions
        in `test_regions`; it has no `larger_sample`. If both `gap` and `tail` are None, the dataset itself.

    Raises:
        ValueError: If a feature is unknown, if the dataset has held-out rows, if fewer than two training rows would be
            left, or if a feature or the target would be constant over the training rows.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> rows = vbnn.Dataset(name="plane", x=x, y=x.sum(axis=1), feature_names=("length", "width"))
        >>> dataset = vbnn.split(rows, gap="length", tail="width", seed=0)
        >>> len(dataset.x), len(dataset.x_test)
        (54, 46)
        >>> {region: int((dataset.test_regions == region).sum()) for region in ("near", "between", "beyond")}
        {'near': 6, 'between': 30, 'beyond': 10}
    """
    if gap is None and tail is None:
        return dataset
    held_out_already = 0 if dataset.x_test is None else len(dataset.x_test)
    message = f"dataset {dataset.name!r} must have no held-out rows before it is split, got {held_out_already}"
    require(held_out_already == 0, message)
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
    require(len(rest) >= 2, f"the split must leave at least 2 training rows, got {len(rest)} of {len(x)} rows")
    train, test = np.sort(rest), np.concatenate(list(held.values()))
    regions = np.repeat(list(held), [len(rows) for rows in held.values()])
    held_out = {"x_test": x[test], "y_test": y[test], "test_regions": regions}
    return replace(dataset, x=x[train], y=y[train], larger_sample=None, **held_out)


def _sorted_by(dataset: Dataset, feature: str, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The rows in the order of a feature's values; rows of equal value in their order in the table."""
    rows = np.sort(rows)
    return rows[np.argsort(dataset.x[rows, dataset.feature_names.index(feature)], kind="stable")]
