"""Hold out labelled rows of a table by region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from variational_bnn.base import BETWEEN, BEYOND, NEAR, Dataset
from variational_bnn.base.checks import Array, require, require_known
from variational_bnn.base.table import normal_form


def split(dataset: Dataset, *, gap: str | None = None, tail: str | None = None, seed: int) -> Dataset:
    """Hold out labelled rows of a table by region, to measure predictions near, between and beyond the training rows.

    The upper tenth of the rows by one feature is held out first as `beyond`, then the middle third of the remaining
    rows by one feature as `between`, and then a random tenth of the remaining rows as `near`. All other rows are for
    training. The middle third is the gap of Foong, Li, Hernández-Lobato and Turner (2019, arXiv 1909.02736).

    Rows with equal values of the feature are taken in their order in the table, so that of a feature with few values,
    rows of one value may be both held out and trained on. Rows in which the feature has no value are not held out by
    it. Features that were made by `encode` or `missing` (see `Dataset.from_frame`) are made again, by what the training
    rows alone show; `gap` and `tail` are then columns of numbers of the table.

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
    x, y, rest = dataset.x, dataset.y, np.arange(len(dataset.x))
    values = {feature: _values(dataset, feature) for feature in (gap, tail) if feature is not None}
    held: dict[str, npt.NDArray[np.intp]] = {}
    if tail is not None:
        unknown, known = _sorted_by(values[tail], rest)
        known, held[BEYOND] = np.split(known, [len(known) - max(1, len(known) // 10)])
        rest = np.concatenate([known, unknown])
    if gap is not None:
        unknown, known = _sorted_by(values[gap], rest)
        below, held[BETWEEN], above = np.split(known, [len(known) // 3, 2 * len(known) // 3])
        rest = np.concatenate([below, above, unknown])
    num_near = max(1, len(rest) // 10)
    held[NEAR], rest = np.split(np.random.default_rng(seed).permutation(rest), [num_near])
    require(len(rest) >= 2, f"the split must leave at least 2 training rows, got {len(rest)} of {len(x)} rows")
    train, test = np.sort(rest), np.concatenate(list(held.values()))
    regions = np.repeat(list(held), [len(rows) for rows in held.values()])
    x_train, x_test, names = x[train], x[test], dataset.feature_names
    if dataset.table is not None:
        x_train, x_test, names = dataset.table.features(train, test)
    for part in (x_train, x_test):
        part.flags.writeable = False  # So that the dataset takes it without a copy.
    return replace(
        dataset,
        x=x_train,
        y=y[train],
        feature_names=names,
        x_test=x_test,
        y_test=y[test],
        test_regions=regions,
        larger_sample=None,
        table=None,
    )


def _values(dataset: Dataset, feature: str) -> Array:
    """The values `[N]` of a feature; NaN where there was none."""
    names = dataset.feature_names if dataset.table is None else dataset.table.numbers
    known = {normal_form(name): name for name in names}
    feature = known.get(normal_form(feature), feature)
    require_known("feature" if dataset.table is None else "feature of numbers", feature, names)
    if dataset.table is None:
        return dataset.x[:, names.index(feature)]
    return dataset.table.columns[feature].to_numpy(dtype=np.float64)


def _sorted_by(values: Array, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The rows without a value, and the others in the order of their values, equal ones in their order in the table."""
    rows = np.sort(rows)
    ordered = rows[np.argsort(values[rows], kind="stable")]
    unknown = np.isnan(values[ordered])
    return ordered[unknown], ordered[~unknown]
