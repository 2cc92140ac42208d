"""Tables from files: CSV in the ways in which people write it, and Parquet."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base import Dataset
from variational_bnn.base.checks import require
from variational_bnn.base.table import normal_form
from variational_bnn.datasets.cells import MISSING, typed
from variational_bnn.datasets.csv_format import CsvFormat

_NOT_A_VALUE = sorted({form for text in MISSING for form in (text, text.upper(), text.title(), "NaN")})
_VERSION = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {} if _VERSION >= (3, 1) else {"float_precision": "round_trip"}  # 3.1 always is exact.


def read_csv(
    path: str | Path,
    target: str,
    name: str | None = None,
    *,
    classes: bool | None = None,
    encode: bool = False,
    missing: str | None = None,
    sep: str | None = None,
    decimal: str | None = None,
) -> Dataset:
    r"""Read a dataset from a CSV file.

    The file is a line of column names, then one line for each row, in UTF-8, or in UTF-16 with a byte-order mark. Every
    column but the target is a feature. Blank lines are ignored. The target may be a class: each different value is one
    class, and classes are sorted as numbers if all values are numbers, and otherwise as text. All rows are training
    rows; `split` makes held-out rows of a part of them.

    Separator and decimal mark are found by the first thousand lines. Numbers may have groups of three digits, as in
    1,234.5 or 1.234,5 or 1 234, if all of a column are written so. A cell that is empty, or holds NA, N/A, nan, null,
    ? or -, has no value.

    Args:
        path: The file.
        target: Name of the column to predict.
        name: Name of the dataset; by default that of the file without its suffix.
        classes: Whether the target is a class. If None, it is a class where no cell of the column is a number.
        encode: Whether columns of words, dates, and true and false become features, as `Dataset.from_frame` says.
        missing: What becomes of rows and cells without a value, as `Dataset.from_frame` says; None if there are none.
        sep: Between cells: "," or "comma", ";" or "semicolon", "tab", "|" or "pipe", or "space"; None to find it.
        decimal: "." or "point", or "," or "comma"; None to find it.

    Returns:
        The dataset, with x `[N, F]` and y `[N, 1]`.

    Warns:
        DatasetWarning: As `Dataset.from_frame` does.

    Raises:
        ValueError: If the file cannot be read or parsed, if a number or a date can be read in two ways, or if
            `Dataset.from_frame` raises one for the table. Messages name the column and the line in the file, where the
            column names are line 1, and say what to do.

    Example:
        >>> import pathlib, tempfile
        >>> import variational_bnn as vbnn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "walks.csv"
        ...     lines = [f"{distance},5;{distance % 4};{distance / 3}" for distance in range(12)]
        ...     _ = path.write_text("distance;slope;hours\n" + "\n".join(lines).replace(".", ","))
        ...     dataset = vbnn.read_csv(path, target="hours")
        >>> dataset.name, dataset.feature_names, dataset.x[:2].tolist()
        ('walks', ('distance', 'slope'), [[0.5, 0.0], [1.5, 1.0]])
    """
    path = Path(path)
    frame = _frame(path, CsvFormat.of(path, sep, decimal))
    one = "has one column: say what is between its cells by sep= (--sep)"
    require(len(frame.columns) > 1 or normal_form(target) in frame, f"{path} {one}")
    return _dataset(path, frame, target, name=name, classes=classes, encode=encode, missing=missing)


def read_table(
    path: str | Path, target: str, *, sep: str | None = None, decimal: str | None = None, **rules: Any
) -> Dataset:
    """Read a dataset from a CSV file, as `read_csv` does, or from a Parquet file.

    Raises:
        ValueError: If `read_csv` raises one, the file is a damaged Parquet file or pyarrow is missing, which reads it.
    """
    path = Path(path)
    if not is_parquet(path):
        return read_csv(path, target, sep=sep, decimal=decimal, **rules)
    return _dataset(path, _parquet(path), target, **rules)


def column_names(path: str | Path, sep: str | None = None) -> tuple[str, ...]:
    """The names of the columns of a CSV or Parquet file.

    Raises:
        ValueError: If the file cannot be read or parsed.
    """
    path = Path(path)
    if is_parquet(path):
        return tuple(map(normal_form, _parquet(path).columns))
    return tuple(filter(None, CsvFormat.of(path, sep, None).names))


def is_parquet(path: Path) -> bool:
    """Whether the file is a Parquet file, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def _dataset(path: Path, frame: pd.DataFrame, target: str, *, name: str | None = None, **rules: Any) -> Dataset:
    try:
        return Dataset.from_frame(frame, target, name=name or path.stem, **rules)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise ValueError(f"{path} needs pyarrow to be read: pip install 'variational-bnn[parquet]'") from error
    except Exception as error:  # pyarrow has errors of its own, which are not to be imported here.
        raise ValueError(f"{path} is a damaged Parquet file: {' '.join(str(error).split())}") from error


def _frame(path: Path, written: CsvFormat) -> pd.DataFrame:
    """The typed columns of the file; the index is the line in the file.

    Columns of plain numbers are parsed as such. Others are read a second time, as text.
    """
    frame = _read(path, written, na_values=_NOT_A_VALUE)
    wanted, found = len(written.names), len(frame.columns)
    require(wanted == found, f"{path} has {wanted} column names, but the table has {found} columns")
    empty = frame.isna()
    keep = ~empty.all(axis=1)
    kinds = [_is_parsed(frame.iloc[:, place]) for place in range(wanted)]
    texts = [place for place, parsed in enumerate(kinds) if not parsed]
    as_text = _read(path, written, usecols=texts, dtype=str, na_filter=False) if texts else frame
    names = list(written.names)
    columns: dict[int, pd.Series[Any]] = {}
    for place, name in enumerate(names):
        if place in texts:
            cells = as_text.iloc[:, texts.index(place)].rename(name)[keep].fillna("").str.strip()
            columns[place] = _typed(path, cells, written)
        elif (
            name or not empty.iloc[:, place].all()
        ):  # A column without name and cells is left by separators at the ends.
            columns[place] = frame.iloc[:, place][keep] if not keep.all() else frame.iloc[:, place]
    table = pd.DataFrame(columns, copy=False).set_axis([names[place] for place in columns], axis=1)
    return table.set_axis(pd.Index(np.flatnonzero(keep) + 2, name="line"), axis=0)


def _typed(path: Path, cells: pd.Series[Any], written: CsvFormat) -> pd.Series[Any]:
    try:
        return typed(cells, written)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_parsed(column: pd.Series[Any]) -> bool:
    """Whether a column came out as numbers, none of which is infinite: such a cell is to be shown as it is written."""
    kinds = pd.api.types
    numeric = kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column)
    return numeric and not np.isinf(column.to_numpy(dtype=np.float64)).any()


def _read(path: Path, written: CsvFormat, **options: Any) -> pd.DataFrame:
    exact = {} if "dtype" in options else _EXACT
    try:
        with warnings.catch_warnings(), path.open(encoding=written.encoding, newline="") as file:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # Such a column is read again, as text.
            return pd.read_csv(
                file,
                sep=written.separator,
                decimal=written.decimal,
                header=0,
                index_col=False,
                keep_default_na=False,
                skip_blank_lines=False,
                skipinitialspace=True,
                **exact,
                **options,
            )
    except pd.errors.ParserWarning as error:
        advice = "remove lines above the names, name every column, or name the separator by sep= (--sep)"
        raise ValueError(f"{path} has more cells in line 2 than names in line 1: {advice}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise ValueError(
            f"cannot parse {path}: {reason}: mend that line, or name the separator by sep= (--sep)"
        ) from error
