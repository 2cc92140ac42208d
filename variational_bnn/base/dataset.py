"""The data: rows to train on, and rows to be measured at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array, finite_table, is_positive, require, require_known
from variational_bnn.base.constants import LARGEST, REGIONS


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A table: the rows to train on and, where there are labels to test with, held-out rows by region.

    Attributes:
        name: What tables and figures call it.
        x: Training inputs `[N, F]`.
        y: Training targets `[N, D]`, in the units that everything is reported in.
        feature_names: F names.
        target_names: D names.
        class_names: Names of the classes, if y holds their numbers 0, 1, ...; one without training rows is fine.
        x_test: Held-out inputs `[M, F]`, or None.
        y_test: Held-out targets `[M, D]`, or None.
        test_regions: `[M]` strings of `REGIONS`, where the split put each held-out row; None without such rows.
        noise_scale: Standard deviation of the noise in y where it is known, in its units, or None.
        larger_sample: Four times as many rows from the same source, to measure the contraction of a posterior with; None
            where the data cannot be made larger.

    Raises:
        ValueError: If a value is missing or infinite, a size does not fit, there are fewer than two training rows,
            a feature or a target is constant over the training rows, there is one class, or y is none of them.
    """

    name: str
    x: Array
    y: Array
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    x_test: Array | None = None
    y_test: Array | None = None
    test_regions: npt.NDArray[np.str_] | None = None
    noise_scale: float | None = None
    larger_sample: Dataset | None = None

    def __post_init__(self) -> None:
        """Check the tables and give unnamed columns their names."""
        self._set(x=finite_table("x", self.x, self.feature_names), y=finite_table("y", self.y, self.target_names))
        self._set(
            feature_names=tuple(self.feature_names) or _numbered("x", self.x.shape[1]),
            target_names=tuple(self.target_names) or _numbered("y", self.y.shape[1]),
            class_names=tuple(map(str, self.class_names)),
        )
        sizes = f"got {list(self.x.shape)} and {list(self.y.shape)}"
        require(len(self.x) == len(self.y), f"x and y must have as many rows, {sizes}")
        require(len(self.x) >= 2, f"dataset {self.name!r} needs at least 2 training rows, got {len(self.x)}")
        self._check_classes("y", self.y)
        for kind, table, names in (("feature", self.x, self.feature_names), ("target", self.y, self.target_names)):
            require(len(names) == table.shape[1], f"{table.shape[1]} {kind} names are wanted, got {len(names)}")
            for column, name in enumerate(names):
                values = table[:, column]
                high = np.abs(values).max()
                require(high < LARGEST, f"{kind} {name!r} is too large to be standardised: {high:g}")
                constant = values.min() == values.max()
                require(not constant, f"{kind} {name!r} is constant over the training rows (always {values[0]:g})")
        self._check_larger_sample()
        known = self.noise_scale is None or is_positive(self.noise_scale)
        require(known, f"noise_scale must be None or > 0, got {self.noise_scale!r}")
        if self.x_test is not None:
            self._check_held_out()

    @property
    def output_names(self) -> tuple[str, ...]:
        """What a predictive has a mean of: each target, or each class of the one target."""
        return tuple(f"{self.target_names[0]}={name}" for name in self.class_names) or self.target_names

    def outputs(self, y: Array) -> Array:
        """Targets `[N, D]` as that mean would have them: themselves, or one-hot `[N, K]` if they are of K classes."""
        return np.eye(len(self.class_names))[y[:, 0].astype(int)] if self.class_names else y

    def _check_classes(self, name: str, y: Array) -> None:
        names, count = self.class_names, len(self.class_names)
        if count:
            different = count == len(set(names)) >= 2
            wanted = f"target {self.target_names[0]!r} must have two or more classes of different names"
            require(different, f"{wanted}, got {', '.join(names)}")
            require(self.noise_scale is None, f"a class has no noise_scale, got {self.noise_scale!r}")
            require(y.shape[1] == 1, f"{name} must have one column, that of the class, got {y.shape[1]}")
            bad = y[~np.isin(y, np.arange(count))]
            require(not bad.size, f"{name} must hold the numbers 0 to {count - 1} of classes, got {bad[:1].tolist()}")

    def _check_larger_sample(self) -> None:
        more = self.larger_sample
        require(more is None or isinstance(more, Dataset), f"larger_sample must be a Dataset or None, got {more!r}")
        if more is not None:
            (rows, features), outputs = self.x.shape, self.y.shape[1]
            wanted, got = ([4 * rows, features], [4 * rows, outputs]), (list(more.x.shape), list(more.y.shape))
            require(got == wanted, f"larger_sample must have x and y of shape {wanted}, got {got}")
            classes, there = list(self.class_names), list(more.class_names)
            require(there == classes, f"larger_sample must have the class_names {classes}, got {there}")

    def _check_held_out(self) -> None:
        require(
            self.y_test is not None and self.test_regions is not None,
            "x_test comes with y_test and test_regions",
        )
        self._set(
            x_test=finite_table("x_test", self.x_test, self.feature_names),  # type: ignore[arg-type]
            y_test=finite_table("y_test", self.y_test, self.target_names),  # type: ignore[arg-type]
            test_regions=np.asarray(self.test_regions, dtype=np.str_),
        )
        rows = {len(self.x_test), len(self.y_test), len(self.test_regions)}  # type: ignore[arg-type]
        require(len(rows) == 1, f"x_test, y_test and test_regions must have as many rows, got {sorted(rows)}")
        self._check_classes("y_test", self.y_test)  # type: ignore[arg-type]
        for region in np.unique(self.test_regions):  # type: ignore[arg-type]
            require_known("region", region, REGIONS)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _numbered(letter: str, count: int) -> tuple[str, ...]:
    return (letter,) if count == 1 else tuple(f"{letter}{i}" for i in range(count))
