"""How input is refused: one clear line that says what was wanted and what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Float32Array = npt.NDArray[np.float32]

Floats = npt.NDArray[np.floating[Any]]
"""Of either precision: in standard units single will do; in those of y, an offset may need double."""


def require(condition: bool, message: str) -> None:
    """Raise `ValueError(message)` unless the condition holds: the one way in which input is refused."""
    if not condition:
        raise ValueError(message)


def require_all(good: npt.NDArray[np.bool_], values: npt.NDArray[Any], wanted: str) -> None:
    """Refuse an array unless all of its values are good; the message has the first one that is not."""
    if not good.all():
        raise ValueError(f"{wanted}, got {values[~good][0]}")


def is_number(value: object) -> bool:
    """Whether the value is a finite real number, of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: object) -> bool:
    """Whether the value is a finite number above zero."""
    return is_number(value) and value > 0  # type: ignore[operator]


def require_count(name: str, value: object) -> None:
    """Refuse anything but a whole number of at least 1."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    require(whole and value >= 1, f"{name} must be a whole number >= 1, got {value!r}")  # type: ignore[operator]


def require_kl_weight(weight: object) -> None:
    """Refuse anything but a number of at least 0."""
    require(is_number(weight) and weight >= 0, f"kl_weight must be >= 0, got {weight!r}")  # type: ignore[operator]


def require_sizes(name: str, sizes: object) -> tuple[int, ...]:
    """Refuse anything but a tuple or list of whole numbers of at least 1; as a tuple."""
    require(isinstance(sizes, (tuple, list)), f"{name} must be a tuple of whole numbers, got {sizes!r}")
    for size in sizes:  # type: ignore[attr-defined]
        require_count(name, size)
    return tuple(int(size) for size in sizes)  # type: ignore[attr-defined]


def require_seed(seed: object) -> None:
    """Refuse anything but a whole number of at least 0."""
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    require(whole and seed >= 0, f"seed must be a whole number >= 0, got {seed!r}")  # type: ignore[operator]
    require(seed < 2**63, f"seed must be below 2^63, got {seed!r}")  # type: ignore[operator]


def require_known(kind: str, name: object, known: Sequence[str]) -> None:
    """Refuse a name that is not among the known ones, which the message lists."""
    require(name in known, f"unknown {kind} {name!r}; known: {', '.join(known)}")


def flattened(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """`[N, ...]` values, such as images, as `[N, D]`; tables and vectors as they are."""
    array = np.asarray(values)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def finite_table(name: str, values: npt.ArrayLike, columns: Sequence[str] = ()) -> Array:
    """Return the values as a read-only `[N, columns]` float64 table.

    Args:
        name: What the message calls the table.
        values: `[N]` or `[N, C]` numbers; a vector is taken for one column.
        columns: Names of the columns, for the message; their numbers by default.

    Raises:
        ValueError: If a value is not a number, is NaN or infinite (the row, counted from 0, and the column are
            named), or if the shape is neither `[N]` nor `[N, C]`, or a size is 0.
    """
    try:
        table = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error
    table = table[:, None] if table.ndim == 1 else table
    require(table.ndim == 2 and table.size > 0, f"{name} must have shape [N, columns], got {list(table.shape)}")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        label = repr(columns[column]) if columns else str(column)
        raise ValueError(f"{name} must be finite, got {table[row, column]} in row {row}, column {label}")
    table.flags.writeable = False
    return table
