"""The columns of a data frame as numbers, or as words that become numbers when asked."""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import Array, require, require_known
from variational_bnn.base.table import MAX_WORDS, MISSING_RULES, Table, normal_form

FEW_ROWS = 10
"""Fewer rows than these are remarked upon."""

NUMBERS, DATES, TRUTH_VALUES, WORDS = "numbers", "dates", "true and false", "words"
SECONDS_A_DAY = 86400.0
EPOCH = pd.Timestamp("1970-01-01")


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """What a data frame gives a dataset; made by `Frame.of`.

    Attributes:
        table: The feature columns, of as many rows as `y`.
        y: Targets `[N, 1]`.
        class_names: Names of the classes, if the target is one.
        target: Name of the target, in its normal form.
        remarks: What the owner of the table should look at.
    """

    table: Table
    y: Array
    class_names: tuple[str, ...]
    target: str
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, target: str, classes: bool | None, encode: bool, missing: str | None) -> Frame:
        """Check and convert the columns; see `Dataset.from_frame`."""
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"frame must be a pandas DataFrame, got {type(frame).__name__}")
        if missing is not None:
            require_known("rule for missing values", missing, MISSING_RULES)
        (frame, remarks), target = _named(frame), normal_form(target)
        columns = ", ".join(frame.columns)
        require(target in frame.columns, f"the table has no column {target!r}; columns: {columns}")
        require(len(frame.columns) > 1, f"the table has no feature columns beside the target {target!r}")
        require(len(frame) > 0, "the table has no rows below its column names")
        read = {name: _Column.of(frame[name]) for name in frame.columns}
        of_target = read.pop(target)
        for column in read.values():
            column.require_usable(encode)
        kept = _kept_rows(of_target, list(read.values()), missing)
        chosen = slice(None) if kept.all() else kept  # A slice does not copy.
        features = pd.DataFrame({name: column.values[chosen] for name, column in read.items()}, copy=False)
        words = tuple(name for name, column in read.items() if column.kind == WORDS)
        for name in words:
            _require_few_words(name, features[name].dropna())
        y, class_names = of_target.as_target(kept, classes)
        table = Table(columns=features, words=words, missing=missing)
        remarks += _remarks(table, kept)
        if classes is None and not class_names and len(y) > 2 and set(np.unique(y)) == {0.0, 1.0}:
            number = f"target {target!r} holds 0 and 1, and is read as a number"
            remarks.append(f"{number}: say classes=True (--classes) if it is a class")
        return cls(table=table, y=y, class_names=class_names, target=target, remarks=tuple(remarks))

    @property
    def needs_fit(self) -> bool:
        """Whether features are made by what is learned of the training rows."""
        return bool(self.table.words) or bool(self.table.columns.isna().any(axis=None))

    def numbers(self) -> Array:
        """The features `[N, F]`, if all are numbers."""
        columns = self.table.columns
        x = np.empty(columns.shape)
        for place, name in enumerate(columns):
            x[:, place] = columns[name]
        return x


@dataclass(frozen=True, kw_only=True, eq=False)
class _Column:
    """A column by its kind.

    Attributes:
        kind: `NUMBERS`, `DATES`, `TRUTH_VALUES` or `WORDS`.
        values: Numbers as float64, of dates the days since 1970, or words as objects; NaN or None where missing.
        declared: Whether words are known to be categories by the type of the column.
    """

    kind: str
    values: pd.Series[Any]
    declared: bool = False

    @classmethod
    def of(cls, column: pd.Series[Any]) -> _Column:
        types = pd.api.types
        if types.is_complex_dtype(column):
            raise ValueError(f"column {column.name!r} must hold real numbers, got complex ones")
        if types.is_bool_dtype(column) and column.dtype != object:
            return cls(kind=TRUTH_VALUES, values=_floats(column))
        if types.is_numeric_dtype(column):
            return cls(kind=NUMBERS, values=_floats(column))
        if types.is_datetime64_any_dtype(column):
            return cls(kind=DATES, values=_days(column))
        if types.is_timedelta64_dtype(column):
            return cls(kind=DATES, values=column.dt.total_seconds() / SECONDS_A_DAY)
        if not isinstance(column.dtype, pd.CategoricalDtype):
            present = column.dropna()
            for kinds, kind in ((bool, TRUTH_VALUES), ((Real, Decimal), NUMBERS)):
                if len(present) and all(isinstance(value, kinds) for value in present):
                    return cls(kind=kind, values=_floats(column))
            if len(present) and all(isinstance(value, datetime.date) for value in present):
                return cls(kind=DATES, values=_days(pd.to_datetime(column, utc=True)))
        known = zip(column, column.notna(), strict=True)
        words = [normal_form(value) or None if present else None for value, present in known]
        values = pd.Series(words, index=column.index, name=column.name, dtype=object)
        return cls(kind=WORDS, values=values, declared=isinstance(column.dtype, pd.CategoricalDtype))

    @property
    def present(self) -> pd.Series[bool]:
        """Whether there is a value in each row."""
        return self.values.notna()

    def require_values(self) -> None:
        """Raise a `ValueError` if a value is missing."""
        for place in np.flatnonzero(~self.present)[:1]:
            where = f"column {self.values.name!r} has no value in {_place(self.values, place)}"
            raise ValueError(f"{where}: fill it in, or name a rule by missing= (--missing): {', '.join(MISSING_RULES)}")

    def require_usable(self, encode: bool) -> None:
        """Raise a `ValueError` unless the column can be a feature."""
        name = self.values.name
        require(bool(self.present.any()), f"column {name!r} has no value in any row: remove it")
        if self.kind == WORDS:
            numeric = self._numeric_cells()
            if not self.declared and 2 * numeric.sum() >= len(numeric):
                self._raise_for_first_word(numeric, "mend that cell, or leave it empty and name a rule for missing=")
            if not encode:
                advice = "write numbers without units, or make features of words by encode=True (--encode)"
                self._raise_for_first_word(numeric, advice)
        elif self.kind != NUMBERS:
            become = "numbers of days" if self.kind == DATES else "1 and 0"
            require(encode, f"column {name!r} holds {self.kind}: encode=True (--encode) makes {become} of them")
        else:
            self._require_finite()

    def as_target(self, kept: Any, classes: bool | None) -> tuple[Array, tuple[str, ...]]:
        """Targets `[N, 1]`, and the names of the classes if the target is one."""
        values, name = self.values[kept], self.values.name
        undeclared = self.kind == WORDS and not self.declared
        if classes is None:
            classes = self.kind in (WORDS, TRUTH_VALUES) and not (undeclared and self._numeric_cells().any())
        if not classes:
            if undeclared:
                self._raise_for_first_word(self._numeric_cells(), "mend that cell, or say classes=True (--classes)")
            advice = "make numbers of them" if self.kind == DATES else "say classes=True"
            require(self.kind == NUMBERS, f"target {name!r} must hold numbers, got {self.kind}: {advice}")
            self._require_finite()
            return values.to_numpy(dtype=np.float64)[:, None], ()
        labels = values.map(_label)
        if self.kind == TRUTH_VALUES:
            labels = values.map({0.0: "False", 1.0: "True"})
        different = sorted(set(labels))
        rule = f"target {name!r} must have at most half as many classes as rows"
        require(2 * len(different) <= len(labels), f"{rule}, got {len(different)} classes in {len(labels)} rows")
        if all(_is_number(label) for label in different):
            different = sorted(different, key=float)
        numbers = labels.map({label: number for number, label in enumerate(different)})
        return numbers.to_numpy(dtype=np.float64)[:, None], tuple(different)

    def _require_finite(self) -> None:
        for place in np.flatnonzero(np.isinf(self.values.to_numpy()))[:1]:
            raise ValueError(_wrong_cell(self.values, place, f"{self.values.iloc[place]}"))

    def _numeric_cells(self) -> pd.Series[bool]:
        """Whether each value that there is reads as a number."""
        return self.values.dropna().map(_is_number).astype(bool)

    def _raise_for_first_word(self, numeric: pd.Series[bool], advice: str) -> None:
        if numeric.all() and not self.declared:
            raise ValueError(f"column {self.values.name!r} holds numbers as text: convert it with pandas.to_numeric")
        place = np.flatnonzero(self.present)[np.argmin(numeric)]
        raise ValueError(f"{_wrong_cell(self.values, place, repr(self.values.iloc[place]))}: {advice}")


def _named(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The frame with names in normal form, without an unnamed first column that counts the rows; and a remark on it."""
    names = ["" if name is None or name == "Unnamed: 0" else normal_form(name) for name in frame.columns]
    frame, remarks = frame.set_axis(names, axis=1), []
    if len(names) > 1 and names[0] == "" and _counts_rows(frame.iloc[:, 0]):
        frame, names = frame.iloc[:, 1:], names[1:]
        remarks = ["the first column has no name and only counts the rows: it is left out, as an index"]
    for place, name in enumerate(names, start=1):
        require(name != "", f"column {place} of {len(names)} has no name: give it one, or remove it")
    if all(re.fullmatch(r"[-+]?\d+([.,]\d+)?", name) for name in names) and len(names) > 1:
        remarks.append(f"all names of columns are numbers, such as {names[0]!r}: if that is a row, add a line of names")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    require(not repeated, f"more than one column is named {', '.join(map(repr, repeated))}: rename all but one")
    return frame, remarks


def _kept_rows(target: _Column, features: list[_Column], missing: str | None) -> npt.NDArray[np.bool_]:
    """Which rows have a value wherever the rule demands one; an error if there is no rule, or no such row."""
    if missing is None:
        for column in (target, *features):
            column.require_values()
    kept = target.present.to_numpy(dtype=bool, copy=True)
    for column in features if missing == "drop" else ():
        kept &= column.present.to_numpy(dtype=bool)
    advice = "name a rule that fills them, such as missing='mean'" if missing == "drop" else "the target has none"
    require(bool(kept.any()), f"no row has a value in every column that must have one: {advice}")
    return kept


def _remarks(table: Table, kept: npt.NDArray[np.bool_]) -> list[str]:
    """What the rows and the features look like."""
    remarks, rows = [], int(kept.sum())
    if rows < len(kept):
        remarks.append(f"{len(kept) - rows} of {len(kept)} rows are left out, since a value is missing")
    for name in table.numbers if len(table.names) > 1 else ():
        if _counts_rows(table.columns[name]):
            remarks.append(f"column {name!r} only counts the rows, and is a feature: remove it if it is an index")
    if rows < FEW_ROWS:
        remarks.append(f"the table has {rows} rows, from which hardly anything can be learned: add rows")
    return remarks


def _counts_rows(column: pd.Series[Any]) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    if len(column) < 3 or not pd.api.types.is_numeric_dtype(column):
        return False
    values = _floats(column).to_numpy()
    return values[0] in (0, 1) and bool((values == values[0] + np.arange(len(values))).all())


def _require_few_words(name: str, words: pd.Series[Any]) -> None:
    count = words.nunique()
    allowed = min(MAX_WORDS, max(2, len(words) // 2))
    rule = f"at most {MAX_WORDS}, and half as many as rows, can become features"
    require(
        count <= allowed, f"column {name!r} has {count} different words, {rule}: remove the column, or group its words"
    )


def _wrong_cell(column: pd.Series[Any], place: Any, content: str) -> str:
    return f"column {column.name!r} must hold finite numbers, {_place(column, place)} has {content}"


def _place(column: pd.Series[Any], place: Any) -> str:
    """Where a cell is, as its owner finds it."""
    return f"{column.index.name or 'row'} {column.index[place]}"


def _floats(column: pd.Series[Any]) -> pd.Series[Any]:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(values, index=column.index, name=column.name, copy=False)


def _days(dates: pd.Series[Any]) -> pd.Series[Any]:
    """Days since the first of January 1970, in universal time where there is a time zone."""
    if getattr(dates.dt, "tz", None) is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    return (dates - EPOCH).dt.total_seconds() / SECONDS_A_DAY


def _label(value: Any) -> str:
    """The name of a class: a whole number without a decimal point, which it has only for the sake of missing ones."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_number(text: Any) -> bool:
    """Whether a text is a finite number; 1_000, which Python reads as one, is a name."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False
