"""Rows of results and of predictions, made by hand as plain tables: no method is run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base import REGIONS

QUERY_POINTS = 6

Row = dict[str, Any]

MEASURES = (
    "epistemic_variance",
    "latent_variance",
    "aleatoric_variance",
    "growth_exponent",
    "entropy",
    "mutual_information",
    "latent_information",
    "train_accuracy",
    "train_rmse",
    "accuracy",
    "rmse",
    "log_likelihood",
    "joint_log_likelihood",
    "crps",
    *(f"{measure}_{percent}" for measure in ("coverage", "width") for percent in (50, 80, 90, 95)),
    "contraction",
    "fit_seconds",
    "predict_seconds",
    "peak_memory",
    "acceptance",
    "r_hat",
    "ess",
    "ess_tail",
)


def run_rows(
    method: str = "flipout",
    seed: int = 0,
    variances: tuple[float, ...] = (1 / 3, 0.9, 81.0),
    dataset: str = "lecture",
    **fields: Any,
) -> list[Row]:
    """The rows of a run that succeeded, with two query points in each region."""
    unmeasured = dict.fromkeys(MEASURES, math.nan)
    measured = {"aleatoric_variance": 4.0, "growth_exponent": 0.1 + seed, "fit_seconds": 3.0 + seed}
    counts = {"parameters": 7, "random_variables": 0, "query_points": QUERY_POINTS // len(REGIONS)}
    texts = {"likelihood": "", "note": "", "status": "ok"}
    run = {"dataset": dataset, "method": method, "seed": seed, **unmeasured, **measured, **counts, **texts}
    return [
        {**run, "region": region, "epistemic_variance": variance, **fields}
        for region, variance in zip(REGIONS, variances, strict=True)
    ]


def failed_rows(method: str, seed: int, **fields: Any) -> list[Row]:
    """The rows of a run that failed: all measures are NaN but those that are given."""
    failed = {**dict.fromkeys(MEASURES, math.nan), "query_points": 0, "parameters": 0, "status": "the loss is nan"}
    return [{**row, **failed, **fields} for row in run_rows(method, seed)]


def results_table(rows: list[Row]) -> pd.DataFrame:
    """One row per dictionary, with all columns even if there is no row."""
    return pd.DataFrame(rows, columns=list(run_rows()[0]))


def predictions_table(
    method: str = "flipout", seed: int = 0, dataset: str = "lecture", outputs: tuple[str, ...] = ("y",)
) -> pd.DataFrame:
    """Six query points, two in each region, with the columns that say where they are."""
    run = {"dataset": dataset, "method": method, "seed": seed}
    regions = np.repeat(REGIONS, QUERY_POINTS // len(REGIONS))
    tables = [
        pd.DataFrame({**run, "query_point": range(QUERY_POINTS), "output": output, "region": regions})
        for output in outputs
    ]
    return pd.concat(tables, ignore_index=True)
