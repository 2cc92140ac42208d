"""Rows and files: a comparison is saved cell by cell, goes on after a kill, and is summarised. Nothing stored is code.

A cell is one (dataset, method, seed). The directory of a comparison holds

- `settings.json`: what made the rows; written first, it marks the directory as one of ours
- `data.csv`: the training rows, features and then targets
- `predictions/`: a file for each cell, a row for each query and output
- `results.csv`: a row for each `Result`; written last, it says which cells are finished

Every file is written beside its place and moved there whole, so that a kill loses no finished cell. The predictions of
a cell that `results.csv` does not name are as good as absent. Floats come back exactly as they were.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from variational_bnn.base import Result
from variational_bnn.checks import require
from variational_bnn.results._files import in_one_line, read_text, write_whole

Cell = tuple[str, str, int]

SETTINGS, DATA, PREDICTIONS, RESULTS = "settings.json", "data.csv", "predictions", "results.csv"
RESULT_TYPES = {field.name: str(field.type) for field in dataclasses.fields(Result)}
CELL_TYPES = {"dataset": "str", "method": "str", "seed": "int"}
PREDICTION_TYPES = {
    **CELL_TYPES,
    "query": "int",
    "output": "str",
    "region": "str",
    "distance": "float",
    "x": "float",
    "y": "float",
    "mean": "float",
    "epistemic_variance": "float",
    "aleatoric_variance": "float",
}
_FROM_TEXT: dict[str, Callable[[str], object]] = {"str": str, "int": int, "float": lambda text: float(text or "nan")}


@dataclass(frozen=True, kw_only=True, eq=False)
class Saved:
    """A directory as it was read.

    Attributes:
        settings: What made the rows, plain values.
        data: The training rows; columns are the features and then the targets.
        results: One row per `Result`, columns as its fields, in the order in which cells were finished.
        predictions: One row per finished cell, query and output: `dataset`, `method`, `seed`, `query` (a number),
            `output` (a target's name), `region`, `distance` (relative to the training inputs' own; 1 is the edge of
            `near`), `x` (NaN unless there is one feature), `y` (the held-out target or NaN), `mean`,
            `epistemic_variance` and `aleatoric_variance`.
    """

    settings: dict[str, Any]
    data: pd.DataFrame
    results: pd.DataFrame
    predictions: pd.DataFrame


def results_table(results: Iterable[Result]) -> pd.DataFrame:
    """One row per result, one column per field of `Result`; a status is folded into one line."""
    rows = [{**dataclasses.asdict(result), "status": " ".join(result.status.split())} for result in results]
    return pd.DataFrame(rows, columns=list(RESULT_TYPES)).astype(RESULT_TYPES)


def open_directory(directory: str | Path, *, settings: Mapping[str, Any], data: pd.DataFrame) -> None:
    """Make the directory ready for cells: a new one, or one to go on with.

    Args:
        directory: Made with its parents if it is missing.
        settings: Plain values that JSON can hold; an earlier run's must be the same.
        data: The training rows; an earlier run's must be the same.

    Raises:
        ValueError: If the directory is a file, cannot be written, or holds other settings, other training rows, or
            files of these names that are not from here. The first few differences are named.
    """
    folder = Path(directory)
    plain: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
    rows = _to_csv(data)
    with in_one_line("use", folder):
        require(folder.is_dir() or not folder.exists(), f"cannot use {folder}: it is a file, not a directory")
        if (folder / SETTINGS).exists():
            _refuse_differences(folder, _read_settings(folder), plain)
            same = not (folder / DATA).exists() or read_text(folder / DATA) == rows
            require(same, f"{folder} holds other training rows in {DATA}, so choose another directory")
        else:
            foreign = [name for name in (DATA, PREDICTIONS, RESULTS) if (folder / name).exists()]
            require(not foreign, f"{folder} holds {', '.join(foreign)} but no {SETTINGS}: it is not from here")
        (folder / PREDICTIONS).mkdir(parents=True, exist_ok=True)
    write_whole(folder / SETTINGS, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    write_whole(folder / DATA, rows)
    if not (folder / RESULTS).exists():
        write_whole(folder / RESULTS, _header(RESULT_TYPES))


def finished_cells(directory: str | Path) -> list[Cell]:
    """The cells that need not be run again, in the order in which they were finished; failed ones are among them.

    Raises:
        ValueError: If `results.csv` is missing, foreign or truncated.
    """
    return _cells(_read_table(Path(directory) / RESULTS, RESULT_TYPES))


def append_cell(directory: str | Path, results: Iterable[Result], predictions: pd.DataFrame) -> None:
    """Save a finished cell, whole or not at all. One process writes at a time.

    Args:
        directory: One that `open_directory` made ready.
        results: The rows of one cell, a row for each region.
        predictions: Its predictions, with the columns of `Saved.predictions` in any order; rows are optional for a
            cell that failed.

    Raises:
        ValueError: If the rows are not of one new cell, the predictions are another cell's or not those of the
            queries that the rows count, or a file cannot be written.
    """
    folder, rows = Path(directory), results_table(results)
    cells, finished = _cells(rows), finished_cells(folder)
    require(len(cells) == 1, f"the rows of one cell are wanted, got {len(cells)} cells")
    require(cells[0] not in finished, f"{_label(cells[0])} is finished already in {folder}")
    missing = set(PREDICTION_TYPES) - set(predictions.columns)
    require(predictions.empty or not missing, f"predictions lack the columns {', '.join(sorted(missing))}")
    table = predictions.reindex(columns=list(PREDICTION_TYPES)).astype(PREDICTION_TYPES)
    require(set(_cells(table)) <= set(cells), f"the predictions must be of {_label(cells[0])}")
    _require_all_queries("cannot save", rows, table)
    write_whole(folder / PREDICTIONS / _file_name(cells[0]), _to_csv(table))
    write_whole(folder / RESULTS, read_text(folder / RESULTS) + _to_csv(rows, header=False))


def read_directory(directory: str | Path) -> Saved:
    """Read what `open_directory` and `append_cell` wrote; the cells finished so far if there are more to come.

    Raises:
        ValueError: If a file is missing, foreign, truncated or lacks queries that the results count.
    """
    folder = Path(directory)
    settings = _read_settings(folder)
    data = _checked(folder / DATA)
    results = _read_table(folder / RESULTS, RESULT_TYPES)
    paths = [folder / PREDICTIONS / _file_name(cell) for cell in _cells(results)]
    parts = [_checked(path, _header(PREDICTION_TYPES)) for path in paths]
    body = "".join(part.removeprefix(_header(PREDICTION_TYPES)) for part in parts)
    predictions = _parse(folder / PREDICTIONS, _header(PREDICTION_TYPES) + body, PREDICTION_TYPES)
    _require_all_queries(f"{folder / PREDICTIONS} is not whole", results, predictions)
    return Saved(
        settings=settings,
        data=_parse(folder / DATA, data, {}),
        results=results,
        predictions=predictions,
    )


def _cells(table: pd.DataFrame) -> list[Cell]:
    rows = table[list(CELL_TYPES)].drop_duplicates()
    return list(zip(rows["dataset"], rows["method"], rows["seed"].tolist(), strict=True))


def _label(cell: Cell) -> str:
    return f"{cell[0]} / {cell[1]} / seed {cell[2]}"


def _file_name(cell: Cell) -> str:
    """A name that any file system takes, and that differs where only refused characters do."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", f"{cell[1]}-{cell[2]}-{cell[0]}")[:80]
    return f"{readable}-{zlib.crc32(_label(cell).encode()):08x}.csv"


def _require_all_queries(problem: str, results: pd.DataFrame, predictions: pd.DataFrame) -> None:
    """Refuse rows and predictions that do not count the same queries; a failed cell may have any."""
    failed = set(_cells(results[results["status"] != "ok"]))
    by = [*CELL_TYPES, "region"]
    counts = pd.concat([results.groupby(by)["queries"].sum(), predictions.groupby(by)["query"].nunique()], axis=1)
    for (dataset, method, seed, region), (rows, held) in zip(counts.index, counts.fillna(0).to_numpy(), strict=True):
        cell = (dataset, method, seed)
        message = f"{_label(cell)} counts {rows:g} queries {region}, its predictions hold {held:g}"
        require(cell in failed or rows == held, f"{problem}: {message}")


def _refuse_differences(folder: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    old, new = _flat(there), _flat(here)
    pairs = {name: (old.get(name, "nothing"), new.get(name, "nothing")) for name in {**new, **old}}
    other = [f"{name} is {before} there, {now} here" for name, (before, now) in pairs.items() if before != now]
    more = f"; and {len(other) - 3} more" if len(other) > 3 else ""
    require(not other, f"{folder} holds other settings: {'; '.join(other[:3])}{more}; choose another directory")


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names to JSON text."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        nested = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: json.dumps(value, ensure_ascii=False)}
    return flat


def _header(types: Mapping[str, str]) -> str:
    return ",".join(types) + "\n"


def _to_csv(table: pd.DataFrame, header: bool = True) -> str:
    return table.to_csv(index=False, header=header, lineterminator="\n")


def _read_settings(folder: Path) -> dict[str, Any]:
    text = read_text(folder / SETTINGS)
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / SETTINGS} is foreign or truncated: {error}") from error
    require(isinstance(settings, dict), f"{folder / SETTINGS} is foreign: it holds no settings")
    return cast(dict[str, Any], settings)


def _read_table(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    return _parse(path, _checked(path, _header(types)), types)


def _checked(path: Path, header: str = "") -> str:
    text = read_text(path)
    require(text.startswith(header), f"{path} is foreign: its columns are not {header.strip()}")
    require(text.endswith("\n"), f"{path} is truncated: its last line has no end")
    return text


def _parse(path: Path, text: str, types: Mapping[str, str]) -> pd.DataFrame:
    """Exact floats, an empty field for NaN, and strings as they are; columns without a type are floats."""
    try:
        names, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        kinds = [types.get(name, "float") for name in names]
        values = [[_FROM_TEXT[kind](field) for kind, field in zip(kinds, row, strict=True)] for row in rows]
        return pd.DataFrame(values, columns=names).astype(dict(zip(names, kinds, strict=True)))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is foreign or truncated: {error}") from error
