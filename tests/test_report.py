"""What is printed is what the rows say."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from variational_bnn.base import REGIONS, Result
from variational_bnn.report import LEGEND, tables, verdicts
from variational_bnn.results import summarise


def _summary(cells: dict[tuple[str, int], tuple[float, ...] | str], **scores: float) -> pd.DataFrame:
    """The summary of cells, each with its epistemic variances near, between and beyond, or its failure."""
    rows = []
    for (method, seed), variances in cells.items():
        for i, region in enumerate(REGIONS):
            row = {"dataset": "d", "method": method, "seed": seed, "region": region, "fit_seconds": 2.5}
            if isinstance(variances, str):
                rows.append(Result(**row, status=variances))
            elif i < len(variances):
                measures = {"aleatoric_variance": 9.0, "train_rmse": 1.25, **scores}
                rows.append(Result(**row, epistemic_variance=variances[i], **measures))
    return summarise(pd.DataFrame([vars(row) for row in rows]))


def _printed(summary: pd.DataFrame, about: str = "data") -> list[list[str]]:
    """The lines of each table."""
    printed = []
    for table in tables(summary, about):
        console = Console(width=150, file=io.StringIO())
        console.print(table)
        printed.append(console.file.getvalue().splitlines())
    return printed


TWO = {("flipout", 0): (1.0, 0.25, 16.0), ("flipout", 1): (4.0, 1.0, 25.0)}


def test_the_table_holds_geometric_means_of_the_sds_and_their_intervals() -> None:
    (text,) = _printed(_summary(TWO))
    assert text[0].strip() == "Epistemic sd on data"
    heading = next(line for line in text if "method" in line)
    assert heading.split() == ["method", *REGIONS, "noise", "rmse", "fit,", "s"]
    row = next(line for line in text if "flipout" in line)
    near, between, beyond = math.sqrt(1 * 2), math.sqrt(0.5 * 1), math.sqrt(4 * 5)
    assert row.split() == ["flipout", *(f"{v:.2g}" for v in (near, between, beyond, 3.0, 1.25, 2.5))]
    logs = np.log([1.0, 2.0])
    half = stats.t.ppf(0.975, 1) * logs.std(ddof=1) / math.sqrt(2)
    low, high = near * math.exp(-half), near * math.exp(half)
    assert f"[{low:.2g}, {high:.0f}]" in text[text.index(row) + 1]


def test_the_verdict_holds_ratios_of_the_variances_and_their_intervals() -> None:
    (line,) = verdicts(_summary(TWO))
    ratios = {"between": [0.25, 0.25], "beyond": [16.0, 6.25]}
    logs = np.log(ratios["beyond"])
    half = stats.t.ppf(0.975, 1) * logs.std(ddof=1) / math.sqrt(2)
    low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
    assert line == (
        "flipout: epistemic variance 0.25 [0.25, 0.25] times as much between the data as near it, "
        f"10 [{low:.2g}, {high:.0f}] times as much beyond the data as near it"
    )


def test_one_seed_has_no_interval() -> None:
    summary = _summary({("flipout", 0): (1.0, 0.25, 16.0)})
    assert verdicts(summary) == [
        "flipout: epistemic variance 0.25 times as much between the data as near it, "
        "16 times as much beyond the data as near it"
    ]
    assert not any("[" in line for line in _printed(summary)[0])


def test_no_variance_is_said_and_is_not_small_variance() -> None:
    none, some = verdicts(_summary({("output", 0): (0.0, 0.0, 0.0), ("flipout", 0): (1e-9, 1e-9, 1e-9)}))
    assert none == "output: no epistemic variance anywhere, so it never knows that it does not know"
    assert "1 times as much beyond" in some


def test_noise_of_units_is_not_called_uncertainty() -> None:
    weights, units = verdicts(_summary({("flipout", 0): (1.0, 1.0, 9.0), ("hidden", 0): (1.0, 1.0, 9.0)}))
    assert units.endswith("; noise of its units, not uncertainty about parameters")
    assert units.removeprefix("hidden").startswith(weights.removeprefix("flipout"))


def test_failures_are_counted() -> None:
    cells = {("a", 0): (1.0, 1.0, 9.0), ("a", 1): "diverged", ("b", 0): "diverged", ("b", 1): "diverged"}
    some, all_ = verdicts(_summary(cells))
    assert some.endswith("(1 seed failed)")
    assert all_ == "b: no seed succeeded (2 seeds failed)"
    row = next(line for line in _printed(_summary(cells))[0] if line.strip().startswith("b "))
    assert row.split() == ["b", *"------"]


def test_regions_that_were_not_asked_about_are_left_out() -> None:
    assert verdicts(_summary({("a", 0): (1.0,)})) == ["a: epistemic variance near the data alone"]
    (line,) = verdicts(_summary({("a", 0): (1.0, 3.0)}))
    assert line == "a: epistemic variance 3 times as much between the data as near it"


def test_held_out_scores_are_shown_where_there_are_any() -> None:
    scores = {"rmse": 1.5, "log_likelihood": -123.4}
    _, text = _printed(_summary({("a", 0): (1.0, 1.0, 1.0), ("b", 0): (1.0, 1.0, 1.0)}, **scores))
    assert text[0].strip() == "Held-out rows: rmse / log-likelihood per row"
    assert next(line for line in text if "method" in line).split() == ["method", *REGIONS]
    for method in "ab":
        row = next(line for line in text if line.strip().startswith(f"{method} "))
        assert row.split() == [method, *["1.5", "/", "-123"] * 3]
    _, near_alone = _printed(_summary({("a", 0): (1.0,)}, **scores))
    assert next(line for line in near_alone if "method" in line).split() == ["method", "near"]


@pytest.mark.parametrize("name", ["[bold]loud[/bold].csv", "[/]", "a :smile: b"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    assert _printed(_summary(TWO), about=name)[0][0].strip() == f"Epistemic sd on {name}"


def test_the_legend_explains_every_column() -> None:
    assert all(f"{word}" in LEGEND for word in (*REGIONS, "noise:", "rmse:", "95 %", "units of y"))
