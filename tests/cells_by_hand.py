"""Finished and failed cells, made by hand: no method is run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import REGIONS
from variational_bnn.experiments.directory import append_cell
from variational_bnn.experiments.result import Result

SETTINGS = {"dataset": {"name": "lecture"}, "training": {"steps": 100, "learning_rate": 0.01}, "hidden_units": [50]}
DATA = pd.DataFrame({"x": [0.1, 1 / 3, 1e-300], "y": [-1.0, 2.0, math.pi]})
QUERIES = 6


def rows(
    method: str = "flipout",
    seed: int = 0,
    variances: tuple[float, ...] = (1 / 3, 0.9, 81.0),
    dataset: str = "lecture",
    **fields: Any,
) -> list[Result]:
    """The rows of a cell that went well, two queries a region."""
    measured = {
        "aleatoric_variance": 4.0,
        "growth_exponent": 0.1 + seed,
        "parameters": 7,
        "fit_seconds": 3.0 + seed,
        **fields,
    }
    return [
        Result(
            dataset=dataset,
            method=method,
            seed=seed,
            region=region,
            query_points=QUERIES // len(REGIONS),
            epistemic_variance=variance,
            **measured,
        )
        for region, variance in zip(REGIONS, variances, strict=True)
    ]


def failed_rows(method: str, seed: int, **fields: Any) -> list[Result]:
    """The rows of a cell that failed, with a status of several lines."""
    status = 'loss, "nan"\r\nat step 3\r'
    return [
        Result(dataset="lecture", method=method, seed=seed, region=region, status=status, **fields)
        for region in REGIONS
    ]


def predictions(
    method: str = "flipout", seed: int = 0, dataset: str = "lecture", outputs: tuple[str, ...] = ("y",)
) -> pd.DataFrame:
    """Six queries, two a region."""
    rng = np.random.default_rng(seed)
    names = ("distance", "x", "pit", "mean", "epistemic_variance")
    tables = [
        pd.DataFrame(
            {
                **{"dataset": dataset, "method": method, "seed": seed, "query_point": range(QUERIES), "output": output},
                "region": np.repeat(REGIONS, QUERIES // len(REGIONS)),
                **{name: rng.standard_normal(QUERIES) for name in names},
                "y": math.nan,
                "aleatoric_variance": 1 / 3,
            }
        )
        for output in outputs
    ]
    return pd.concat(tables, ignore_index=True)


def draws(seed: int = 0, shape: tuple[int, ...] = (5, QUERIES, 1)) -> dict[str, npt.NDArray[Any]]:
    """Functions, and the trace of two chains."""
    rng = np.random.default_rng(seed)
    return {
        "functions": rng.standard_normal(shape).astype(np.float64),
        "trace": rng.standard_normal((7, 2)),
        "warmup": np.asarray(3),
    }


def save(directory: Path, method: str, seed: int) -> None:
    """Append a cell that went well."""
    append_cell(directory, rows(method, seed), predictions(method, seed), draws(seed))


def contents(directory: Path) -> dict[str, bytes]:
    """Every file by its path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
