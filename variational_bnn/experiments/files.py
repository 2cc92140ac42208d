"""Files: tables and arrays as bytes and back, written whole or not at all, and errors in one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import require
from variational_bnn.stopping import writing

Columns = Mapping[str, Any]
"""Columns of a table, each with the value that it has where a file lacks it; the type of a value is its column's. A
column whose value is a type (`str`, `int` or `float`) must be there. Columns that are not named are kept as they come.
"""

FORMAT = 1
"""Of the directory. A larger number is of a later version of this package, and is not read."""

DIGEST = "digest"
"""Name under which a JSON file has the digest of the rest."""

_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")  # An archive with arrays, and one without.


_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
"""How a text begins that a spreadsheet would take for a formula, or that an apostrophe was put before."""


def table_bytes(table: pd.DataFrame) -> bytes:
    """The table as CSV; an apostrophe is put before each text that a spreadsheet would take for a formula."""
    texts = {str(name): table[name].map(_as_text) for name in table.select_dtypes(exclude="number")}
    return table.assign(**texts).rename(columns=_as_text).to_csv(index=False, lineterminator="\n").encode()


def _as_text(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _as_it_was(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def parse_table(path: Path, data: bytes, columns: Columns) -> pd.DataFrame:
    """The table whose CSV is given; `path` is for the message.

    Raises:
        ValueError: If the bytes are no such table, or lack a column that must be there.
    """
    try:
        table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False).rename(columns=_as_it_was)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    missing = [name for name, value in columns.items() if isinstance(value, type) and name not in table]
    require(not missing, f"{path} lacks the columns {', '.join(missing)}")
    parsed: dict[str, Any] = {}
    try:
        for name, value in columns.items():
            kind = value if isinstance(value, type) else type(value)
            parsed[name] = [_PARSERS[kind](text) for text in table[name]] if name in table else [value] * len(table)
        for name in table.columns.difference(list(columns), sort=False):
            parsed[name] = _numbers_or_texts(table[name])
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return pd.DataFrame(parsed, columns=list(parsed)).astype(types_of(columns))


def types_of(columns: Columns) -> dict[str, type]:
    """The type of each column."""
    return {name: value if isinstance(value, type) else type(value) for name, value in columns.items()}


def _float(text: str) -> float:
    """Exactly the number that was written, which pandas' own parser does not promise in all of its versions."""
    return float(text or "nan")


_PARSERS: dict[type, Callable[[str], Any]] = {str: _as_it_was, int: int, float: _float}


def _numbers_or_texts(texts: pd.Series[str]) -> list[Any]:
    try:
        return [_float(text) for text in texts]
    except ValueError:
        return [_as_it_was(text) for text in texts]


def document_bytes(values: Mapping[str, Any]) -> bytes:
    """The values as JSON, with a digest of them, so that it is known when they were changed."""
    signed = {**values, DIGEST: _digest_of(values)}
    return json.dumps(signed, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def parse_document(path: Path, types: Mapping[str, type], otherwise: str) -> dict[str, Any]:
    """The values of a JSON file.

    Args:
        path: Of the file.
        types: What it must hold, and of which types; `format` among them.
        otherwise: What to say where it lacks one.

    Raises:
        ValueError: If it cannot be read, lacks something, was changed since it was written, or has a later format.
    """
    with in_one_line("read", path):
        text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or not of this package: {error}") from error
    require(isinstance(values, dict), f"{path} is damaged or not of this package: it must hold an object")
    wrong = [name for name, kind in types.items() if not isinstance(values.get(name), kind)]
    require(not wrong, f"{otherwise} lacks {', '.join(wrong)}")
    known = values["format"] <= FORMAT
    require(known, f"{path} has format {values['format']} of a later version of this package; {FORMAT} is known here")
    digest = values.pop(DIGEST, None)  # Earlier files have none.
    require(digest in (None, _digest_of(values)), f"{path} was changed since it was written")
    return values


def _digest_of(values: Mapping[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode())


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as an archive; equal arrays give equal bytes."""
    named: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def parse_npz(path: Path, data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an archive; `path` is for the message. Nothing in it is executed.

    Raises:
        ValueError: If the bytes are no archive of arrays of numbers.
    """
    require(data.startswith(_ARCHIVES), f"{path} is damaged: it is not an npz archive")
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        return {name: archive[name] for name in archive.files}
    except Exception as error:  # Damaged archives, members and headers fail in more ways than NumPy documents.
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def sha256(data: bytes) -> str:
    """The digest that tells whether a file is as it was written."""
    return hashlib.sha256(data).hexdigest()


def read_checked(path: Path, digest: object) -> bytes:
    """The bytes of a file that must have this digest.

    Raises:
        ValueError: If the file cannot be read, or is another than the one that was written.
    """
    with in_one_line("read", path):
        data = path.read_bytes()
    require(sha256(data) == digest, f"{path} was changed or truncated since it was written")
    return data


def write_folder_file(path: Path, data: bytes) -> None:
    """Write a file, and see to it that it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place at once: it is the old one or the new one, even if the process is killed meanwhile."""
    beside = path.with_name(f".{path.name}.partial")
    with writing(), in_one_line("write", path):
        try:
            write_folder_file(beside, data)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def in_one_line(action: str, path: Path) -> Iterator[None]:
    """Say in one line what the file system does not allow, and that a file is not text.

    Raises:
        ValueError: Instead of an `OSError` or a `UnicodeDecodeError`.
    """
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"cannot {action} {path}: {reason}") from error
