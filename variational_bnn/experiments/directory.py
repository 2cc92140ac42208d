"""Rows and files: a comparison is saved cell by cell, goes on after a kill, and is summarised. Nothing stored is code.

A cell is one (dataset, method, seed). The directory of a comparison holds

- `settings.json`: what made the rows; written first, it marks the directory as one of ours
- `data.csv`: the training rows, features and then outputs: the targets, or 0 or 1 for each class
- `predictions/`: a CSV file for each cell, a row for each query and output
- `draws/`: an npz file for each cell, the functions that its posterior drew and the trace of its Markov chains, if any
- `results.csv`: a row for each `Result`; written last, it says which cells are finished

Every file is written beside its place and moved there whole, so that a kill loses no finished cell. The predictions and
draws of a cell that `results.csv` does not name are as good as absent. Floats come back exactly as they were.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import require
from variational_bnn.experiments.csv_tables import (
    CELL_TYPES,
    PREDICTION_TYPES,
    RESULT_TYPES,
    Cell,
    cells_in,
    failed_cells,
    header,
    label,
    parse,
    read_table,
    read_whole,
    results_table,
    to_csv,
)
from variational_bnn.experiments.draws_files import Draws, read_npz, require_draws, to_npz
from variational_bnn.experiments.files import in_one_line, read_text, write_whole
from variational_bnn.experiments.result import Result

SETTINGS, DATA, RESULTS = "settings.json", "data.csv", "results.csv"
PREDICTIONS, DRAWS = "predictions", "draws"


@dataclass(frozen=True, kw_only=True, eq=False)
class Saved:
    """A directory as it was read.

    Attributes:
        settings: What made the rows, plain values.
        data: The training rows; columns are the features and then the outputs.
        results: One row per `Result`, columns as its fields, in the order in which cells were finished.
        predictions: One row per finished cell, query and output: `dataset`, `method`, `seed`, `query` (a number),
            `output` (a target's name, or `target=class`), `region`, `distance` (relative to the training inputs' own; 1
            is the edge of `near`), `x` (NaN unless there is one feature), `y` (the held-out target, 0 or 1 for each
            class, or NaN), `pit` (its probability integral transform or NaN), `mean` (of a class its probability),
            `epistemic_variance` and `aleatoric_variance`.
        draws: All in memory, of each finished cell that has any, which is every one that is ok: `functions`, float64
            `[S, M, D]`, coherent draws of E[y given x, draw] at the M queries in the order of their numbers, and D
            outputs in theirs; of Markov chains also `trace`, floats `[steps, chains]`, their log posterior density,
            and `warmup`, how many of its steps are warm-up. A failed cell may have a trace without functions.
    """

    settings: dict[str, Any]
    data: pd.DataFrame
    results: pd.DataFrame
    predictions: pd.DataFrame
    draws: dict[Cell, dict[str, npt.NDArray[Any]]]


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
    folder, rows = Path(directory), to_csv(data)
    plain = require_usable(folder, settings, (DATA, PREDICTIONS, DRAWS, RESULTS))
    with in_one_line("use", folder):
        same = not (folder / DATA).exists() or read_text(folder / DATA) == rows
    require(same, f"{folder} holds other training rows in {DATA}, so choose another directory")
    make_ready(folder, plain, folders=(PREDICTIONS, DRAWS), files={DATA: rows}, types=RESULT_TYPES)


def require_usable(folder: Path, settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Refuse a folder with other settings, or with things of these names and none; the settings as JSON has them."""
    plain: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
    with in_one_line("use", folder):
        require(folder.is_dir() or not folder.exists(), f"cannot use {folder}: it is a file, not a directory")
        if (folder / SETTINGS).exists():
            require_same_settings(folder, plain)
        else:
            foreign = [name for name in names if (folder / name).exists()]
            require(not foreign, f"{folder} holds {', '.join(foreign)} but no {SETTINGS}: it is not from here")
    return plain


def make_ready(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    folders: Sequence[str],
    files: Mapping[str, str | bytes],
    types: Mapping[str, str],
) -> None:
    """Make the folders, and write settings, files and, if there is none yet, a table without rows."""
    with in_one_line("use", folder):
        for name in folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
    write_whole(folder / SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    for name, contents in files.items():
        write_whole(folder / name, contents)
    if not (folder / RESULTS).exists():
        write_whole(folder / RESULTS, header(types))


def finished_cells(directory: str | Path) -> list[Cell]:
    """The cells that need not be run again, in the order in which they were finished; failed ones are among them.

    Raises:
        ValueError: If `results.csv` is missing, foreign or truncated.
    """
    return cells_in(read_table(Path(directory) / RESULTS, RESULT_TYPES))


def append_cell(directory: str | Path, results: Iterable[Result], predictions: pd.DataFrame, draws: Draws) -> None:
    """Save a finished cell, whole or not at all. One process writes at a time.

    Args:
        directory: One that `open_directory` made ready.
        results: The rows of one cell, a row for each region.
        predictions: Its predictions, with the columns of `Saved.predictions` in any order; rows are optional for a
            cell that failed.
        draws: Its arrays, as in `Saved.draws`; optional likewise.

    Raises:
        ValueError: If the rows are not of one new cell, the predictions are another cell's or not those of the
            queries that the rows count, the draws are not finite or not of these queries and outputs, or a file cannot
            be written.
    """
    folder, rows = Path(directory), results_table(results)
    cells, finished = cells_in(rows), finished_cells(folder)
    require(len(cells) == 1, f"the rows of one cell are wanted, got {len(cells)} cells")
    require(cells[0] not in finished, f"{label(cells[0])} is finished already in {folder}")
    missing = set(PREDICTION_TYPES) - set(predictions.columns)
    require(predictions.empty or not missing, f"predictions lack the columns {', '.join(sorted(missing))}")
    table = predictions.reindex(columns=list(PREDICTION_TYPES)).astype(PREDICTION_TYPES)
    require(set(cells_in(table)) <= set(cells), f"the predictions must be of {label(cells[0])}")
    _require_all_queries("cannot save", rows, table)
    arrays, failed = {name: np.asarray(draws[name]) for name in draws}, bool(failed_cells(rows))
    require_draws(f"cannot save {label(cells[0])}", arrays, _sizes(table).get(cells[0], (0, 0)), failed=failed)
    write_whole(_path(folder, PREDICTIONS, cells[0]), to_csv(table))
    write_whole(_path(folder, DRAWS, cells[0]), to_npz(arrays))
    write_whole(folder / RESULTS, read_text(folder / RESULTS) + to_csv(rows, with_header=False))


def read_directory(directory: str | Path) -> Saved:
    """Read what `open_directory` and `append_cell` wrote; the cells finished so far if there are more to come.

    Raises:
        ValueError: If a file is missing, foreign, truncated or lacks queries that the results count. Nothing in one is
            executed.
    """
    folder = Path(directory)
    settings = read_settings(folder)
    data = read_whole(folder / DATA)
    results = read_table(folder / RESULTS, RESULT_TYPES)
    cells = cells_in(results)
    parts = [read_whole(_path(folder, PREDICTIONS, cell), header(PREDICTION_TYPES)) for cell in cells]
    body = "".join(part.removeprefix(header(PREDICTION_TYPES)) for part in parts)
    predictions = parse(folder / PREDICTIONS, header(PREDICTION_TYPES) + body, PREDICTION_TYPES)
    _require_all_queries(f"{folder / PREDICTIONS} is not whole", results, predictions)
    return Saved(
        settings=settings,
        data=parse(folder / DATA, data, {}),
        results=results,
        predictions=predictions,
        draws={cell: draws for cell, draws in _read_draws(folder, results, predictions).items() if draws},
    )


def _read_draws(
    folder: Path, results: pd.DataFrame, predictions: pd.DataFrame
) -> dict[Cell, dict[str, npt.NDArray[Any]]]:
    sizes, failed = _sizes(predictions), failed_cells(results)
    draws = {cell: read_npz(_path(folder, DRAWS, cell)) for cell in cells_in(results)}
    for cell, arrays in draws.items():
        problem = f"{_path(folder, DRAWS, cell)} is foreign"
        require_draws(problem, arrays, sizes.get(cell, (0, 0)), failed=cell in failed)
    return draws


def _sizes(predictions: pd.DataFrame) -> dict[Cell, tuple[int, int]]:
    """How many queries and outputs each cell has."""
    counts = predictions.groupby(list(CELL_TYPES))[["query_point", "output"]].nunique()
    return dict(zip(counts.index, counts.itertuples(index=False, name=None), strict=True))


def _path(folder: Path, kind: str, cell: Cell) -> Path:
    """A cell's file, by a name that any file system takes, and that differs where only refused characters do."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", f"{cell[1]}-{cell[2]}-{cell[0]}")[:80]
    suffix = {PREDICTIONS: "csv", DRAWS: "npz"}[kind]
    return folder / kind / f"{readable}-{zlib.crc32(label(cell).encode()):08x}.{suffix}"


def _require_all_queries(problem: str, results: pd.DataFrame, predictions: pd.DataFrame) -> None:
    """Refuse rows and predictions that do not count the same queries; a failed cell may have any."""
    failed, by = failed_cells(results), [*CELL_TYPES, "region"]
    counts = pd.concat(
        [results.groupby(by)["query_points"].sum(), predictions.groupby(by)["query_point"].nunique()], axis=1
    )
    for (dataset, method, seed, region), (rows, held) in zip(counts.index, counts.fillna(0).to_numpy(), strict=True):
        cell = (dataset, method, seed)
        message = f"{label(cell)} counts {rows:g} queries {region}, its predictions hold {held:g}"
        require(cell in failed or rows == held, f"{problem}: {message}")


def require_same_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse settings that are not those in a directory; the first few differences are named."""
    old, new = _flat(read_settings(folder)), _flat(settings)
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


def read_settings(folder: Path) -> dict[str, Any]:
    """What made the rows in a directory, or a refusal in one line."""
    text = read_text(folder / SETTINGS)
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / SETTINGS} is foreign or truncated: {error}") from error
    require(isinstance(settings, dict), f"{folder / SETTINGS} is foreign: it holds no settings")
    return cast(dict[str, Any], settings)
