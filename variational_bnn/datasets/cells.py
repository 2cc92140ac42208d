"""Cells of text as numbers, dates, true and false, or words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base.checks import require
from variational_bnn.datasets.csv_format import CsvFormat, group_marks, number_pattern

MISSING = ("", "na", "n/a", "nan", "null", "?", "-")
"""What a cell holds that has no value, in small or capital letters."""

_DATES = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S")
_DAY_OR_MONTH_FIRST = ("%d/%m/%Y", "%m/%d/%Y")
_YEAR_FIRST = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?"
_ANY_DATE = r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[T ].*)?"


def typed(cells: pd.Series[Any], written: CsvFormat) -> pd.Series[Any]:
    """A column of texts as what all its cells are: numbers, true or false, dates, or words; missing cells are missing.

    Numbers may have groups of three digits, with one mark between them in the whole column.

    Raises:
        ValueError: If numbers such as 1,234 could be a thousand or one, dates such as 1/2/2024 be of two days, or
            all are numbers with the other decimal mark.
    """
    missing = cells.str.lower().isin(MISSING)
    present = cells[~missing]
    values: Any = _numbers(present, written)
    if values is None and set(present.str.lower().unique()) <= {"true", "false"}:
        values = pd.Series(present.str.lower() == "true", dtype="boolean")
    if values is None:
        values = _dates(present)
    if values is None:
        other = "," if written.decimal == "." else "."
        marked = present[present.str.contains(other, regex=False)]
        numeric = any(present.str.fullmatch(number_pattern(other, group)).all() for group in group_marks(other))
        if len(marked) and numeric:
            advice = f"decimal={other!r} (--decimal) reads them"
            raise ValueError(f"column {cells.name!r} has numbers such as {marked.iloc[0]}: {advice}")
        values = present.astype(object)
    return values.reindex(cells.index).rename(cells.name)


def _numbers(cells: pd.Series[Any], written: CsvFormat) -> pd.Series[Any] | None:
    """The nearest floats, if all cells are finite numbers."""
    for group in group_marks(written.decimal):
        if not cells.str.fullmatch(number_pattern(written.decimal, group)).all():
            continue
        plain = cells.str.replace(group, "", regex=True)
        if group == "," and not written.certain and (plain != cells).any():
            first = cells[plain != cells].iloc[0]
            either = f"{first}, which is {plain[plain != cells].iloc[0]} or {first.replace(',', '.')}"
            say = "say which by decimal='.' or decimal=',' (--decimal)"
            raise ValueError(f"column {cells.name!r} has {either}: {say}")
        values = plain.str.replace(written.decimal, ".", regex=False).map(float).astype(np.float64)
        return values if np.isfinite(values).all() else None
    return None


def _dates(cells: pd.Series[Any]) -> pd.Series[Any] | None:
    """Days and times, if all cells are dates of one form."""
    if len(cells) == 0 or not cells.str.fullmatch(_ANY_DATE).all():
        return None
    if cells.str.fullmatch(_YEAR_FIRST).all():
        return pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True).pipe(_if_whole)
    found = [dates for form in _DATES if (dates := _as_dates(cells, form)) is not None]
    either = [dates for form in _DAY_OR_MONTH_FIRST if (dates := _as_dates(cells, form)) is not None]
    two = len(either) == 2 and bool((either[0] != either[1]).any())
    require(
        not two,
        f"column {cells.name!r} has dates such as {cells.iloc[0]}, of two possible days: write them as 2024-12-31",
    )
    return next(iter(found + either), None)


def _as_dates(cells: pd.Series[Any], form: str) -> pd.Series[Any] | None:
    return _if_whole(pd.to_datetime(cells, format=form, errors="coerce"))


def _if_whole(dates: pd.Series[Any]) -> pd.Series[Any] | None:
    return dates if bool(dates.notna().all()) else None
