"""Checks of what figures are made from: columns of tables, and the shapes of arrays by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import Array, require

ArraysByModel = Mapping[str, npt.NDArray[Any]]
"""From the name of a model to its array, in the order in which the models are shown."""


def with_columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the table with each of the named columns; a column that is missing is filled with NaN."""
    missing = [name for name in names if name not in table.columns]
    return table.reindex(columns=[*table.columns, *missing]) if missing else table


def complete_rows(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows that have a value in each of the named columns; none if a column is missing."""
    return with_columns(table, names).dropna(subset=list(names))


def with_latent(table: pd.DataFrame, name: str = "latent_variance") -> pd.DataFrame:
    """Return the table with a column of latents; 0 where it is unknown, as in results from before it was measured."""
    known = with_columns(table, (name,))
    return known.assign(**{name: known[name].astype(np.float64).fillna(0.0)})


def require_one_row(name: str, table: pd.DataFrame, keys: list[str]) -> None:
    """Raise `ValueError` if two rows of the table have the same keys."""
    twice = table.loc[table.duplicated(keys), keys]
    first = " / ".join(f"{key} {value}" for key, value in zip(keys, twice.iloc[0], strict=True)) if len(twice) else ""
    require(not first, f"{name} must have one row for each {' and '.join(keys)}, got two for {first}")


def require_not_negative(name: str, values: Array) -> None:
    """Raise `ValueError` if a value is below 0; NaN is allowed, as the value of a run that failed."""
    lowest = float(np.fmin.reduce(values, axis=None, initial=np.inf))
    require(not lowest < 0, f"{name} must be >= 0, got {lowest}")


def checked_images(name: str, images: npt.NDArray[Any]) -> Array:
    """Return the images as float64 `[P, H, W]`; raise `ValueError` if they have another shape or a size of 0."""
    checked = np.asarray(images, dtype=np.float64)
    fits = checked.ndim == 3 and checked.size > 0
    require(fits, f"{name} must have shape [images, height, width], none of them 0, got {list(checked.shape)}")
    return checked


def checked_labels(labels: npt.NDArray[Any], count: int, of: str) -> npt.NDArray[Any]:
    """Return the labels `[count]`; raise `ValueError` if there is not one for each of what `of` names."""
    checked = np.asarray(labels)
    got = list(checked.shape)
    require(checked.shape == (count,), f"labels must have shape [{count}], one for each of {of}, got {got}")
    return checked


def checked_arrays(name: str, arrays: ArraysByModel, shape: tuple[int, ...] | None = None) -> dict[str, Array]:
    """Return each model's array as float64.

    Raises:
        ValueError: If there is no model, or a shape is given and an array has another one.
    """
    require(len(arrays) > 0, f"{name} must be of at least one model, got none")
    checked = {model: np.asarray(array, dtype=np.float64) for model, array in arrays.items()}
    for model, array in checked.items():
        fits = shape is None or array.shape == shape
        require(fits, f"{name} of {model} must have shape {list(shape or ())}, got {list(array.shape)}")
    return checked
