"""Draws, as bytes and back: arrays of numbers, and nothing that could be executed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import require
from variational_bnn.experiments.files import read_bytes

Draws = Mapping[str, npt.NDArray[Any]]

FUNCTIONS, TRACE, WARMUP = NAMES = ("functions", "trace", "warmup")
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")  # With arrays and without.


def to_npz(draws: Draws) -> bytes:
    """The arrays as a file; equal arrays give equal bytes."""
    arrays: dict[str, Any] = {name: draws[name] for name in sorted(draws)}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a file, or a refusal in one line."""
    stored = read_bytes(path)
    require(stored.startswith(_ARCHIVES), f"{path} is foreign or truncated: it is no npz archive")
    try:
        file = np.load(io.BytesIO(stored), allow_pickle=False)
        draws = {name: file[name] for name in file.files}
    except Exception as error:  # Damaged archives, members and headers fail in more ways than NumPy documents.
        raise ValueError(f"{path} is foreign or truncated: {' '.join(str(error).split())}") from error
    for name, array in draws.items():
        require(isinstance(array, np.ndarray), f"{path} is foreign: {name!r} is no array")
    return draws


def require_draws(problem: str, draws: Draws, shape: tuple[int, int], *, failed: bool) -> None:
    """Refuse draws that are not those of a cell with so many queries and outputs; a failed cell may have fewer."""
    for name in draws:
        require(name in NAMES, f"{problem}: unknown draws {name!r}; known: {', '.join(NAMES)}")
    require(failed or FUNCTIONS in draws, f"{problem}: an array 'functions' is wanted, got none")
    if FUNCTIONS in draws:
        _require_functions(problem, draws[FUNCTIONS], shape)
    given = [name for name in (TRACE, WARMUP) if name in draws]
    require(len(given) != 1, f"{problem}: 'trace' and 'warmup' come together, got only {' '.join(given)!r}")
    if given:
        _require_trace(problem, draws[TRACE], draws[WARMUP])


def _require_functions(problem: str, functions: npt.NDArray[Any], shape: tuple[int, int]) -> None:
    right = functions.dtype == np.float64 and functions.ndim == 3 and len(functions) > 0
    wanted = f"float64 [S, {shape[0]}, {shape[1]}]"
    require(right and functions.shape[1:] == shape, f"{problem}: functions must be {wanted}, got {_kind(functions)}")
    bad = np.argwhere(~np.isfinite(functions))
    where = f"{functions[tuple(bad[0])]} in draw {bad[0][0]}, query {bad[0][1]}" if len(bad) else ""
    require(not where, f"{problem}: functions must be finite, got {where}")


def _require_trace(problem: str, trace: npt.NDArray[Any], warmup: npt.NDArray[Any]) -> None:
    right = trace.dtype.kind == "f" and trace.ndim == 2
    require(right, f"{problem}: trace must be floats [steps, chains], got {_kind(trace)}")
    whole = warmup.dtype.kind in "iu" and warmup.ndim == 0
    require(whole, f"{problem}: warmup must be one whole number, got {_kind(warmup)}")
    within = 0 <= int(warmup) <= len(trace)
    require(within, f"{problem}: warmup must be from 0 to the trace's {len(trace)} steps, got {int(warmup)}")


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
