"""The data: rows to train on and, where there are, held-out rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import Array, finite_table, is_positive, require, require_known
from variational_bnn.base.constants import LARGEST, REGIONS
from variational_bnn.base.frames import Frame
from variational_bnn.base.table import DatasetWarning, Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A table of numbers: the rows to train on and, where there are, held-out rows with their regions.

    Values stay in the units in which they are given, and everything is reported in the units of y: methods standardise
    by themselves. The arrays are copied and made read-only. `split` makes held-out rows of a part of the rows.

    Attributes:
        name: Name of the dataset, for tables and figures.
        x: Training inputs `[N, F]`, or `[N]` for one feature; stored as float64 `[N, F]`.
        y: Training targets `[N, D]`, or `[N]` for one target; stored as float64 `[N, D]`.
        feature_names: Names of the F features; by default "x", or "x0", "x1", ...
        target_names: Names of the D targets; by default "y", or "y0", "y1", ...
        class_names: Names of K >= 2 classes, where y holds their numbers 0 to K - 1 in one column; empty (the default)
            where y is a number. A class may have no training rows.
        x_test: Held-out inputs `[M, F]`, or None.
        y_test: Held-out targets `[M, D]`; None without `x_test`.
        test_regions: Region of each held-out row, `[M]` strings: "near", "between" or "beyond"; None without `x_test`.
        noise_scale: Standard deviation of the noise in y, in the units of y, where it is known; otherwise None.
        output_as_in_lecture: Whether variation in the output is to be shown as in the lecture (CS109B, Harvard, 2021):
            by a noise level that the network gives for each x, although the noise is known to the other methods, and by
            maximum likelihood.
        larger_sample: A dataset of four times as many rows from the same source, with which the contraction of a
            posterior is measured; None where there is no such data.
        table: Columns of words or with missing values from which x was made, by what all its rows show; `split` makes x
            of them again, by what the training rows alone show. None where x is the columns themselves.

    Raises:
        ValueError: If a value is missing, NaN or infinite, shapes do not agree, there are fewer than two training
            rows, a feature or a target is constant over the training rows, or y does not hold the numbers of the
            classes.

    Example:
        >>> import variational_bnn as vbnn
        >>> x = np.linspace(-1, 1, 30)
        >>> dataset = vbnn.Dataset(name="parabola", x=x, y=x**2, target_names=("height",))
        >>> dataset.x.shape, dataset.feature_names, dataset.target_names
        ((30, 1), ('x',), ('height',))
        >>> vbnn.Dataset(name="flowers", x=x, y=x > 0, class_names=("iris", "rose")).output_names
        ('y=iris', 'y=rose')
        >>> vbnn.Dataset(name="flat", x=x, y=np.full(30, 7))
        Traceback (most recent call last):
        ValueError: target 'y' is constant over the training rows (always 7): choose another
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
    output_as_in_lecture: bool = False
    larger_sample: Dataset | None = None
    table: Table | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        target: str,
        *,
        name: str = "table",
        classes: bool | None = None,
        encode: bool = False,
        missing: str | None = None,
    ) -> Dataset:
        """Make a dataset of a pandas data frame; every column but the target is a feature, and the index is not.

        All rows are training rows; `split` makes held-out rows of a part of them. What is learned of the rows for
        `encode` and `missing` is then learned of the training rows alone.

        Args:
            frame: Columns of numbers and, with `encode`, of words, categories, dates, and true and false.
            target: Name of the column to predict.
            name: Name of the dataset.
            classes: Whether the target is a class. If None, it is one where it holds words, categories, or true and
                false.
            encode: Whether columns other than those of numbers become features. Of words (at most 50 different ones),
                each is a feature of zeros and ones, named "column=word"; of two words, the second is. Words that no
                training row has are zero in all of them. Dates become days since 1970, true and false 1 and 0.
            missing: What becomes of missing values: "drop" leaves out rows with any; "mean", "median" and
                "most_frequent" fill numbers by the training rows of their column, and words by the most frequent one.
                Rows without a target are left out in any case. If None, there must be none.

        Returns:
            The dataset, with x `[N, F]` and y `[N, 1]`.

        Warns:
            DatasetWarning: If rows are left out, a feature only counts the rows, a target of 0 and 1 is read as a
                number, there are fewer than ten rows, or, by `split`, held-out rows have words of their own.

        Raises:
            TypeError: If `frame` is not a pandas DataFrame.
            ValueError: If a name is missing, unknown or there twice, or a column does not hold what it must; the
                message names the column, and the row by the frame's index, and says what to do. Also if `Dataset`
                raises one.

        Example:
            >>> import pandas as pd
            >>> import variational_bnn as vbnn
            >>> rooms = [2.0, 3.0, None, 3.0, 5.0, 4.0] * 2
            >>> frame = pd.DataFrame({"rooms": rooms, "town": ["Bonn", "Ulm", "Trier"] * 4, "price": range(12)})
            >>> dataset = vbnn.Dataset.from_frame(frame, "price", encode=True, missing="median")
            >>> dataset.feature_names, dataset.x[2].tolist()
            (('rooms', 'town=Bonn', 'town=Trier', 'town=Ulm'), [3.0, 0.0, 1.0, 0.0])
        """
        parts = Frame.of(frame, target, classes, encode, missing)
        if parts.needs_fit:
            x, _, names = parts.table.features(np.arange(len(parts.y)), np.arange(0))
        else:
            x, names = parts.numbers(), parts.table.names
        x.flags.writeable = False  # So that the dataset takes it without a copy.
        dataset = cls(
            name=name,
            x=x,
            y=parts.y,
            feature_names=names,
            target_names=(parts.target,),
            class_names=parts.class_names,
            table=parts.table if parts.needs_fit else None,
        )
        for remark in parts.remarks:
            warnings.warn(remark, DatasetWarning, stacklevel=2)
        return dataset

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
            require(len(names) == table.shape[1], f"{kind}_names must have {table.shape[1]} names, got {len(names)}")
            for column, name in enumerate(names):
                values = table[:, column]
                high = np.abs(values).max()
                too_large = f"{kind} {name!r} is too large to be standardised: {high:g}; choose another unit"
                require(high < LARGEST, too_large)
                constant = values.min() == values.max()
                advice = "leave it out" if kind == "feature" else "choose another"
                message = f"{kind} {name!r} is constant over the training rows (always {values[0]:g}): {advice}"
                require(not constant, message)
        self._check_larger_sample()
        made_of_table = self.table is None or len(self.table.columns) == len(self.x)
        require(made_of_table, "table must be None or have as many rows as x, which is made of it")
        known = self.noise_scale is None or is_positive(self.noise_scale)
        require(known, f"noise_scale must be None or > 0, got {self.noise_scale!r}")
        held_out = [name for name in ("x_test", "y_test", "test_regions") if getattr(self, name) is not None]
        together = len(held_out) in (0, 3)
        require(together, f"x_test, y_test and test_regions must be given together, got {', '.join(held_out)} alone")
        if held_out:
            self._check_held_out()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the columns of a predictive's mean: the targets, or "target=class" for each class."""
        return tuple(f"{self.target_names[0]}={name}" for name in self.class_names) or self.target_names

    def outputs(self, y: Array) -> Array:
        """Targets `[N, D]` in the columns of `output_names`: unchanged, or one-hot `[N, K]` where y is a class."""
        return np.eye(len(self.class_names))[y[:, 0].astype(int)] if self.class_names else y

    def _check_classes(self, name: str, y: Array) -> None:
        names, count = self.class_names, len(self.class_names)
        if count:
            different = count == len(set(names)) >= 2
            rule = f"target {self.target_names[0]!r} must have two or more classes of different names"
            require(different, f"{rule}, got {', '.join(names)}")
            require(self.noise_scale is None, f"a class has no noise_scale, got {self.noise_scale!r}")
            require(y.shape[1] == 1, f"{name} must have one column, that of the class, got {y.shape[1]}")
            bad = y[~np.isin(y, np.arange(count))]
            require(not bad.size, f"{name} must hold the numbers 0 to {count - 1} of classes, got {bad[:1].tolist()}")

    def _check_larger_sample(self) -> None:
        more = self.larger_sample
        require(more is None or isinstance(more, Dataset), f"larger_sample must be a Dataset or None, got {more!r}")
        if more is not None:
            (rows, features), outputs = self.x.shape, self.y.shape[1]
            shapes, got = ([4 * rows, features], [4 * rows, outputs]), (list(more.x.shape), list(more.y.shape))
            require(got == shapes, f"larger_sample must have x and y of shapes {shapes}, got {got}")
            classes, others = list(self.class_names), list(more.class_names)
            require(others == classes, f"larger_sample must have the class_names {classes}, got {others}")

    def _check_held_out(self) -> None:
        self._set(
            x_test=finite_table("x_test", self.x_test, self.feature_names),  # type: ignore[arg-type]
            y_test=finite_table("y_test", self.y_test, self.target_names),  # type: ignore[arg-type]
            test_regions=np.asarray(self.test_regions, dtype=np.str_),
        )
        for name, table, held_out in (("x", self.x, self.x_test), ("y", self.y, self.y_test)):
            columns, got = table.shape[1], held_out.shape[1]  # type: ignore[union-attr]
            require(got == columns, f"{name}_test must have as many columns as {name}, {columns}, got {got}")
        rows = {len(self.x_test), len(self.y_test), len(self.test_regions)}  # type: ignore[arg-type]
        require(len(rows) == 1, f"x_test, y_test and test_regions must have as many rows, got {sorted(rows)}")
        self._check_classes("y_test", self.y_test)  # type: ignore[arg-type]
        for region in np.unique(self.test_regions).tolist():  # type: ignore[arg-type]
            require_known("region", region, REGIONS)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _numbered(letter: str, count: int) -> tuple[str, ...]:
    return (letter,) if count == 1 else tuple(f"{letter}{i}" for i in range(count))
