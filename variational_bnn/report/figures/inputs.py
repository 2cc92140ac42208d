"""What the figures of autoencoders take: arrays by model that fit each other, and tables with their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import Array, require

Models = Mapping[str, npt.NDArray[Any]]
"""From a model's name to its array, in the order in which they are shown."""


def images_of(name: str, images: npt.NDArray[Any]) -> Array:
    """The images as float64 `[P, H, W]`, none of the sizes 0."""
    checked = np.asarray(images, dtype=np.float64)
    fits = checked.ndim == 3 and checked.size > 0
    require(fits, f"{name} must have shape [images, height, width], none of them 0, got {list(checked.shape)}")
    return checked


def labels_of(labels: npt.NDArray[Any], count: int, of: str) -> npt.NDArray[Any]:
    """The labels `[count]`, one for each of what they are of."""
    checked = np.asarray(labels)
    require(checked.shape == (count,), f"labels must have shape [{count}], one for each of {of}, got {_shape(checked)}")
    return checked


def models_of(name: str, arrays: Models, shape: tuple[int, ...] | None = None) -> dict[str, Array]:
    """Each model's array as float64, of this shape if one is given; there must be at least one model."""
    require(len(arrays) > 0, f"{name} of at least one model are wanted, got none")
    checked = {model: np.asarray(array, dtype=np.float64) for model, array in arrays.items()}
    for model, array in checked.items():
        fits = shape is None or array.shape == shape
        require(fits, f"{name} of {model} must have shape {list(shape or ())}, got {_shape(array)}")
    return checked


def require_columns(name: str, table: pd.DataFrame, wanted: Sequence[str]) -> None:
    """Refuse a table without one of the columns, or without rows."""
    missing = [column for column in wanted if column not in table.columns]
    require(not missing, f"{name} lacks the columns {', '.join(missing)}")
    require(len(table) > 0, f"{name} must have rows, got none")


def require_not_negative(name: str, values: Array) -> None:
    """Refuse values below 0; NaN is of a fit that failed."""
    lowest = float(np.fmin.reduce(values, axis=None))
    require(not lowest < 0, f"{name} must be >= 0, got {lowest}")


def _shape(array: npt.NDArray[Any]) -> str:
    return str(list(array.shape))
