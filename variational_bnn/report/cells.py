"""The cells of tables: numbers and texts of a row, and how they are written."""

from __future__ import annotations

import math

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text


def new_table(title: str, *headings: str, heading: str = "method") -> Table:
    """Return an empty table without vertical lines; all columns but the first are aligned to the right."""
    table = Table(
        title=Text(title), title_justify="left", header_style="bold", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column(heading, no_wrap=True)
    for name in headings:
        table.add_column(name, justify="right", overflow="fold")
    return table


def failed(row: pd.Series[float]) -> str:
    """Return a note on the number of seeds that failed, or nothing if none did."""
    seeds = value(row, "seeds_failed")
    return f" ({seeds:.0f} seed{'s' if seeds > 1 else ''} failed)" if seeds > 0 else ""


def value(row: pd.Series[float], name: str) -> float:
    """Return a column of the row as a number; NaN if it is missing."""
    return float(row.get(name, math.nan))


def text(row: pd.Series[float], name: str) -> str:
    """Return a column of the row as text; "" if it is missing."""
    found: object = row.get(name)
    return found if isinstance(found, str) else ""


def with_interval(row: pd.Series[float], name: str, separator: str = " ", digits: int = 2) -> str:
    """Return a column's estimate as text, with its bounds `_low` and `_high` where both are known."""
    bounds = interval(row, name, digits)
    return short(value(row, name), digits) + (separator + bounds if bounds else "")


def interval(row: pd.Series[float], name: str, digits: int = 2) -> str:
    """Return a column's bounds `_low` and `_high` in brackets; "" unless both are known."""
    low, high = (value(row, f"{name}_{bound}") for bound in ("low", "high"))
    if math.isnan(low) or math.isnan(high):
        return ""
    texts = short(low, digits), short(high, digits)
    separator = "; " if "," in "".join(texts) else ", "
    return f"[{separator.join(texts)}]"


def short(number: float, digits: int = 2) -> str:
    """Return a number as text with so many significant digits, or as a whole number if it is larger.

    Numbers from 10 000 on are rounded to three digits, or to as many if they are more, with separators of thousands.
    Numbers below 0.001 and from a million on have a power of ten. NaN is a dash.
    """
    if math.isnan(number):
        return "-"
    if 0 < abs(number) < 1e-3 or 1e6 <= abs(number) < math.inf:
        mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if math.isfinite(number) and abs(round(number)) >= 10_000:
        return f"{float(f'{number:.{max(digits, 3)}g}'):,.0f}"
    text = f"{number:.{digits}g}"
    return f"{number:.0f}" if 10**digits <= abs(float(text)) < math.inf else text
