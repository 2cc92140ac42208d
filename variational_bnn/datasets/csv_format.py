"""How a CSV file is written: its encoding, its separator and its decimal mark, named by the user or found."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from variational_bnn.base.checks import require, require_known
from variational_bnn.base.table import normal_form

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": r"\s+"}
"""Separators by name; `space` is any number of spaces and tabs, and is only found where there is no other."""

DECIMALS = {"point": ".", "comma": ","}
"""Decimal marks by name."""

GROUP_MARKS = "[ \u00a0\u2009\u202f'\u2019]"
"""What may stand between groups of three digits, beside the comma or the point that is not the decimal mark."""

_FOUND = ("comma", "semicolon", "tab", "pipe")
_NO_SCORE = (0.0, 0.0, 0)
_SAMPLE_LINES = 1000
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SAVE_AS = "save the table as a CSV file in UTF-8"


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """How a file is written; made by `CsvFormat.of`.

    Attributes:
        encoding: Name of the encoding.
        separator: Between cells: a character, or the pattern of `SEPARATORS["space"]`.
        decimal: "." or ",".
        certain: Whether the decimal mark was named, or shows in the file or by its separator.
        names: The column names, in normal form; "" for one that has none.
    """

    encoding: str
    separator: str
    decimal: str
    certain: bool
    names: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, sep: str | None, decimal: str | None) -> CsvFormat:
        """Look at the first lines of a file.

        Of the separators, that one is taken by which most lines have as many cells as the first, then by which most
        cells are numbers, then by which there are most columns.

        Raises:
            ValueError: If the file cannot be read, is no text or has no column names, a mark is unknown, or numbers are
                written in both ways.
        """
        separator = _named_mark("sep", sep, SEPARATORS)
        mark = _named_mark("decimal", decimal, DECIMALS)
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as file:
            lines = list(itertools.islice(file, _SAMPLE_LINES))
        require(bool(lines) and bool(lines[0].strip("\r\n")), f"{path} is empty, or its first line is")
        require("\0" not in "".join(lines), f"{path} is not text, or UTF-16 without a byte-order mark: {_SAVE_AS}")
        separator = _separator(lines) if separator is None else separator
        names, *rows = _rows(lines, separator)
        require(any(names), f"{path} has no column names in its first line")
        found, certain = _decimal(path, [cell for row in rows for cell in row]) if mark is None else (mark, True)
        return cls(
            encoding=encoding,
            separator=separator,
            decimal=found,
            certain=certain or separator == ",",
            names=tuple(map(normal_form, names)),
        )


def number_pattern(decimal: str, group: str) -> str:
    """What numbers look like, with or without groups of three digits: a pattern for the whole of a text."""
    grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
    mark = re.escape(decimal)
    return rf"[+-]?(?:{grouped}(?:{mark}\d*)?|(?:\d+{mark}?\d*|{mark}\d+)(?:[eE][+-]?\d+)?)"


def group_marks(decimal: str) -> tuple[str, str]:
    """Patterns of the marks between groups of three digits: the comma or point that is not decimal, and spaces."""
    return (r"\." if decimal == "," else ",", GROUP_MARKS)


def _named_mark(name: str, value: str | None, known: dict[str, str]) -> str | None:
    if value is None or value in known.values():
        return value
    value = {"\\t": "tab", " ": "space"}.get(value, value)
    require_known(name, value, list(known))
    return known[value]


def _encoding(path: Path) -> str:
    """By the byte-order mark; without one it must be UTF-8.

    Raises:
        ValueError: If the file cannot be read, or is no text.
    """
    try:
        with path.open("rb") as file:
            first = file.read(4)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    require(not first.startswith(b"PK"), f"{path} is a workbook or an archive, not text: {_SAVE_AS}")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if first.startswith(mark)), "utf-8")
    try:
        with path.open(encoding=encoding) as file:
            while file.read(1 << 20):
                pass
    except UnicodeError as error:
        command = "iconv -f WINDOWS-1252 -t UTF-8"
        raise ValueError(f"{path} is not UTF-8 text: {_SAVE_AS}, or convert it, as with `{command}`") from error
    return encoding


def _rows(lines: Iterable[str], separator: str) -> list[list[str]]:
    """The cells of lines that are not blank."""
    if separator == SEPARATORS["space"]:
        rows = [line.split() for line in lines]
    else:
        try:
            rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
        except csv.Error:
            rows = [[]]
    return [[cell.strip() for cell in row] for row in rows if row] or [[]]


def _separator(lines: list[str]) -> str:
    scores = {SEPARATORS[name]: _score(_rows(lines, SEPARATORS[name])) for name in _FOUND}
    same, *_ = _score(_rows(lines, SEPARATORS["space"]))
    return (
        SEPARATORS["space"] if same == 1 and max(scores.values()) == _NO_SCORE else max(scores, key=lambda m: scores[m])
    )


def _score(rows: list[list[str]]) -> tuple[float, float, int]:
    """The share of lines of as many cells as the first, the share of cells that are numbers, and how many cells."""
    names, *rows = rows
    if len(names) < 2:
        return _NO_SCORE
    cells = [cell for row in rows for cell in row]
    same = sum(len(row) == len(names) for row in rows)
    pattern = re.compile("|".join(number_pattern(mark, group) for mark in ".," for group in group_marks(mark)))
    numbers = sum(bool(pattern.fullmatch(cell)) for cell in cells)
    return same / max(1, len(rows)), numbers / max(1, len(cells)), len(names)


def _decimal(path: Path, cells: Sequence[str]) -> tuple[str, bool]:
    """The decimal mark that the cells show, and whether they show one; a point if they do not.

    A comma between digits shows it unless three digits follow it, as in 1,234, which may be a thousand or one.
    """
    shown = {mark: next(filter(_shows(mark), cells), None) for mark in ".,"}
    both = f"{path} has numbers such as {shown['.']} and {shown[',']}: say which mark is the decimal one"
    require(None in shown.values(), f"{both} by decimal='.' or decimal=',' (--decimal)")
    return ("," if shown[","] else "."), any(shown.values())


def _shows(mark: str) -> Callable[[str], object]:
    """Whether a text is a number that has this decimal mark for certain."""
    other = "," if mark == "." else "."
    by_groups = rf"[1-9]\d{{0,2}}(?:{re.escape(other)}\d{{3}})+{re.escape(mark)}\d+"
    by_spaces = rf"[1-9]\d{{0,2}}(?:{GROUP_MARKS}\d{{3}})+{re.escape(mark)}\d+"
    plain = rf"(?![1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}$)\d*{re.escape(mark)}\d+(?:[eE][+-]?\d+)?"
    return re.compile(rf"[+-]?(?:{by_groups}|{by_spaces}|{plain})").fullmatch
