"""Tables from CSV files."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from variational_bnn.base import Dataset
from variational_bnn.base.checks import Array, require


def read_csv(path: str | Path, target: str, name: str | None = None, *, classes: bool | None = None) -> Dataset:
    """Read a dataset from a CSV file.

    The file is comma-separated UTF-8 text: a line of column names, then one line of numbers for each row. Every column
    but the target is a feature. Blank lines are ignored. The target may be a class: each different value is one class,
    and classes are sorted as numbers if all values are numbers, and otherwise as text. All rows are training rows;
    `split` makes held-out rows of a part of them.

    Args:
        path: The file.
        target: Name of the column to predict.
        name: Name of the dataset; by default that of the file without its suffix.
        classes: Whether the target is a class. If None, it is a class where no cell of the column is a number.

    Returns:
        The dataset, with x `[N, F]` and y `[N, 1]`.

    Raises:
        ValueError: If the file cannot be read or parsed; if a column has no name, or two have the same; if the target
            is not among the columns, or is the only one; if a cell is empty, or must be a number and is not finite
            (the message has its column and its line in the file, where the column names are line 1); if there are more
            classes than half the rows; or if `Dataset` raises one for the table.

    Example:
        >>> import pathlib, tempfile
        >>> import pandas as pd
        >>> import variational_bnn as vbnn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "walks.csv"
        ...     table = pd.DataFrame({"distance": [1, 4, 9], "slope": [0, 2, 1], "hours": [0.3, 1.4, 2.5]})
        ...     table.to_csv(path, index=False)
        ...     dataset = vbnn.read_csv(path, target="hours")
        >>> dataset.name, dataset.feature_names, dataset.x.shape
        ('walks', ('distance', 'slope'), (3, 2))
    """
    path = Path(path)
    cells = _cells(path)
    names = _names(path, cells)
    require(target in names, f"{path} has no column {target!r}; columns: {', '.join(names)}")
    require(len(names) > 1, f"{path} has no feature columns beside the target {target!r}")
    rows, column = cells.iloc[1:].copy(), names.index(target)
    require(len(rows) > 0, f"{path} has no rows below its column names")
    class_names: tuple[str, ...] = ()
    if classes or (classes is None and not any(map(_is_number, rows[column]))):
        class_names = _class_names(path, target, rows[column])
        rows[column] = rows[column].map({name: str(number) for number, name in enumerate(class_names)})
    values = _numbers(path, names, rows)
    return Dataset(
        name=name or path.stem,
        x=np.delete(values, column, axis=1),
        y=values[:, [column]],
        feature_names=names[:column] + names[column + 1 :],
        target_names=(target,),
        class_names=class_names,
    )


def column_names(path: str | Path) -> tuple[str, ...]:
    """The names of the columns of a CSV file.

    Raises:
        ValueError: If the file cannot be read or parsed, or a column has no name, or two have the same.
    """
    path = Path(path)
    return _names(path, _cells(path))


def _cells(path: Path) -> pd.DataFrame:
    """The cells of the file as text; the index is the line in the file, and missing cells are empty."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            cells = pd.read_csv(
                file, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False, skipinitialspace=True
            )
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} is empty, or its first line is") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text") from error
    except pd.errors.ParserError as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise ValueError(f"cannot parse {path}: {reason}") from error
    cells = pd.DataFrame({position: cells[position].fillna("").str.strip() for position in cells})
    cells.index = pd.RangeIndex(1, len(cells) + 1)
    return cells.loc[(cells != "").any(axis=1)]


def _names(path: Path, cells: pd.DataFrame) -> tuple[str, ...]:
    require(len(cells) > 0, f"{path} has no column names")
    names = tuple(str(name) for name in cells.iloc[0])
    for position, name in enumerate(names, start=1):
        require(name != "", f"{path}: column {position} of {len(names)} has no name")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    require(not repeated, f"{path} has more than one column named {', '.join(map(repr, repeated))}")
    return names


def _class_names(path: Path, target: str, cells: pd.Series[str]) -> tuple[str, ...]:
    for line in cells.index[cells == ""][:1]:
        raise ValueError(f"{path}: column {target!r} must hold a class, line {line} has an empty cell")
    different = sorted(set(cells))
    rule = f"target {target!r} must have at most half as many classes as rows"
    require(2 * len(different) <= len(cells), f"{path}: {rule}, got {len(different)} classes in {len(cells)} rows")
    are_numbers = all(math.isfinite(_number(name)) for name in different)
    return tuple(sorted(different, key=_number) if are_numbers else different)


def _numbers(path: Path, names: tuple[str, ...], rows: pd.DataFrame) -> Array:
    # Not by pandas' exact parser, float_precision="round_trip": its errors name neither the line nor the column.
    values = np.array([[_number(cell) for cell in row] for row in rows.itertuples(index=False)])
    for row, column in np.argwhere(~np.isfinite(values))[:1]:
        content = repr(rows.iat[row, column]) if rows.iat[row, column] else "an empty cell"
        where = f"column {names[column]!r} must hold finite numbers, line {rows.index[row]}"
        raise ValueError(f"{path}: {where} has {content}")
    return values


def _number(cell: str) -> float:
    """The nearest float; NaN if the text is not a number."""
    return float(cell) if _is_number(cell) else math.nan


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000 as a number; in a table it is a name.
