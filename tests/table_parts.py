"""Summaries of runs made by hand, and what is printed of them."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from rich.console import Console

from variational_bnn.base import REGIONS
from variational_bnn.evaluation.summary import summarise
from variational_bnn.report.tables import tables


def summary_of(runs: dict[tuple[str, int], tuple[float, ...] | str], **measures: Any) -> pd.DataFrame:
    """The summary of runs, each with its epistemic variances near, between and beyond, or its failure."""
    rows: list[dict[str, object]] = []
    for (method, seed), variances in runs.items():
        for i, region in enumerate(REGIONS):
            row = {"dataset": "d", "method": method, "seed": seed, "region": region, "fit_seconds": 2.5}
            if isinstance(variances, str):
                rows.append({**row, "status": variances})
            elif i < len(variances):
                known = {
                    "aleatoric_variance": 9.0,
                    "train_rmse": 1.25,
                    "parameters": 7,
                    "random_variables": 0,
                    **measures,
                }
                rows.append({**row, "epistemic_variance": variances[i], "status": "ok", **known})
    return summarise(pd.DataFrame(rows))


def lines_of(table: list[str], name: str) -> list[list[str]]:
    """The words of a method's lines in a printed table."""
    return [line.split() for line in table if line.strip().startswith(f"{name} ")]


def printed(
    summary: pd.DataFrame, about: str = "data", reference: str | None = None, width: int = 150
) -> list[list[str]]:
    """The lines of each table."""
    texts = []
    for table in tables(summary, about, reference):
        console = Console(width=width, file=io.StringIO())
        console.print(table)
        texts.append(console.file.getvalue().splitlines())
    return texts
