"""Tables of rows, as text and back: every value comes back exactly as it was."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from variational_bnn.base.checks import require
from variational_bnn.experiments.files import read_text
from variational_bnn.experiments.result import Result

Cell = tuple[str, str, int]

RESULT_TYPES = {field.name: str(field.type) for field in dataclasses.fields(Result)}
CELL_TYPES = {"dataset": "str", "method": "str", "seed": "int"}
PREDICTION_TYPES = {
    **CELL_TYPES,
    "query_point": "int",
    "output": "str",
    "region": "str",
    "distance": "float",
    "x": "float",
    "y": "float",
    "pit": "float",
    "mean": "float",
    "epistemic_variance": "float",
    "aleatoric_variance": "float",
}
_FROM_TEXT: dict[str, Callable[[str], object]] = {"str": str, "int": int, "float": lambda text: float(text or "nan")}


def results_table(results: Iterable[Result]) -> pd.DataFrame:
    """One row per result, one column per field of `Result`; a status is folded into one line."""
    rows = [dataclasses.asdict(result) for result in results]
    folded = [
        {**row, **{name: " ".join(row[name].split()) for name in ("contraction_status", "status")}} for row in rows
    ]
    return pd.DataFrame(folded, columns=list(RESULT_TYPES)).astype(RESULT_TYPES)


def cells_in(table: pd.DataFrame) -> list[Cell]:
    """The cells of results or predictions, in first-seen order."""
    rows = table[list(CELL_TYPES)].drop_duplicates()
    return list(zip(rows["dataset"], rows["method"], rows["seed"].tolist(), strict=True))


def label(cell: Cell) -> str:
    """What messages call a cell."""
    return f"{cell[0]} / {cell[1]} / seed {cell[2]}"


def failed_cells(results: pd.DataFrame) -> set[Cell]:
    """The cells of which a row is not ok."""
    return set(cells_in(results[results["status"] != "ok"]))


def header(types: Mapping[str, str]) -> str:
    """The first line of a table with these columns."""
    return ",".join(types) + "\n"


def to_csv(table: pd.DataFrame, *, with_header: bool = True) -> str:
    """The table as text."""
    return table.to_csv(index=False, header=with_header, lineterminator="\n")


def read_table(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """The table in a file, or a refusal in one line."""
    return parse(path, read_whole(path, header(types)), types)


def read_whole(path: Path, first_line: str = "") -> str:
    """The text of a table's file, if it begins as it should and its last line ends."""
    text = read_text(path)
    require(text.startswith(first_line), f"{path} is foreign: its columns are not {first_line.strip()}")
    require(text.endswith("\n"), f"{path} is truncated: its last line has no end")
    return text


def parse(path: Path, text: str, types: Mapping[str, str]) -> pd.DataFrame:
    """Exact floats, an empty field for NaN, and strings as they are; columns without a type are floats."""
    try:
        names, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        kinds = [types.get(name, "float") for name in names]
        values = [[_FROM_TEXT[kind](field) for kind, field in zip(kinds, row, strict=True)] for row in rows]
        return pd.DataFrame(values, columns=names).astype(dict(zip(names, kinds, strict=True)))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is foreign or truncated: {error}") from error
