"""Checks of arguments. Each raises an error of one line, which says what must be and what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""An array in double precision."""

Float32Array = npt.NDArray[np.float32]
"""An array in single precision, in which Keras computes."""

Floats = npt.NDArray[np.floating[Any]]
"""An array in single or double precision. Values with a large offset, such as y in its units, need double."""


def require(condition: bool, message: str) -> None:
    """Raise `ValueError(message)` unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_all(good: npt.NDArray[np.bool_], values: npt.NDArray[Any], rule: str) -> None:
    """Raise a `ValueError` unless all values of an array are good.

    Args:
        good: Whether each value is good, in the shape of the values.
        values: The values, of which the message names the first that is not good.
        rule: What the values must be, with which the message begins, such as "y must be > 0".
    """
    if not good.all():
        raise ValueError(f"{rule}, got {values[~good][0]}")


def is_number(value: object) -> bool:
    """Whether the value is a finite real number, of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: object) -> bool:
    """Whether the value is a finite number above zero."""
    return is_number(value) and value > 0  # type: ignore[operator]


def require_count(name: str, value: object) -> None:
    """Raise a `ValueError` unless the value is a whole number >= 1."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    require(whole and value >= 1, f"{name} must be a whole number >= 1, got {value!r}")  # type: ignore[operator]


def require_kl_weight(weight: object) -> None:
    """Raise a `ValueError` unless the weight of the KL divergence is a finite number >= 0."""
    require(is_number(weight) and weight >= 0, f"kl_weight must be >= 0, got {weight!r}")  # type: ignore[operator]


def require_sizes(name: str, sizes: object) -> tuple[int, ...]:
    """Return sizes as a tuple; raise a `ValueError` unless they are a tuple or list of whole numbers >= 1."""
    require(isinstance(sizes, (tuple, list)), f"{name} must be a tuple of whole numbers, got {sizes!r}")
    for size in sizes:  # type: ignore[attr-defined]
        require_count(name, size)
    return tuple(int(size) for size in sizes)  # type: ignore[attr-defined]


def require_seed(seed: object) -> None:
    """Raise a `ValueError` unless the seed is a whole number from 0 to 2^63 - 1."""
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    require(whole and seed >= 0, f"seed must be a whole number >= 0, got {seed!r}")  # type: ignore[operator]
    require(seed < 2**63, f"seed must be below 2^63, got {seed!r}")  # type: ignore[operator]


def require_known(kind: str, name: object, known: Sequence[str]) -> None:
    """Raise a `ValueError` unless the name is among the known ones, which the message lists."""
    require(name in known, f"unknown {kind} {name!r}; known: {', '.join(known)}")


def flattened(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return values `[N, ...]` of three or more axes, such as images, as `[N, D]`, and tables and vectors unchanged."""
    array = np.asarray(values)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def finite_table(name: str, values: npt.ArrayLike, columns: Sequence[str] = ()) -> Array:
    """Return the values as a read-only `[N, columns]` float64 table: a copy, unless they are one that is read-only.

    Args:
        name: Name of the table, for the message.
        values: Numbers `[N]` or `[N, C]`; a vector becomes one column.
        columns: Names of the columns, for the message; by default it has the column's number.

    Raises:
        ValueError: If a value is not a number, is NaN or infinite (the message has its row, counted from 0, and its
            column), or if the shape is neither `[N]` nor `[N, C]`, or a size is 0.
    """
    try:
        table = values if _is_read_only(values) else np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error
    table = table[:, None] if table.ndim == 1 else table
    require(table.ndim == 2 and table.size > 0, f"{name} must have shape [N, columns], got {list(table.shape)}")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        label = repr(columns[column]) if column < len(columns) else str(column)
        raise ValueError(f"{name} must be finite, got {table[row, column]} in row {row}, column {label}")
    table.flags.writeable = False
    return table


def _is_read_only(values: object) -> TypeGuard[Array]:
    """Whether nobody can change the values without asking for it, so that they need no copy."""
    if not isinstance(values, np.ndarray) or values.dtype != np.float64:
        return False
    return values.flags.owndata and not values.flags.writeable
