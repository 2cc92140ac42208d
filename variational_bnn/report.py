"""Rows in words: the table and the verdicts on the screen."""

from __future__ import annotations

import math

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS

LATENT_NOISE = ("hidden",)
"""Methods whose draws differ by noise of the units: it need not shrink with more data, nor grow away from it."""

LEGEND = (
    "near, between, beyond: epistemic sd, how far apart the functions lie that a method holds possible, in the units "
    "of y, [95 % interval over seeds], at inputs as close to training rows as they are to each other; inside their "
    "range but farther off; and outside it. noise: the sd near that it takes for noise. rmse: on the training rows."
)


def summary_table(summary: pd.DataFrame, title: str) -> Table:
    """What `summarise` found, to be read on a screen."""
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE)
    held_out = [region for region in REGIONS if summary[f"rmse_{region}"].notna().any()]
    table.add_column("method", no_wrap=True)
    scores = (f"held out {region}: rmse, log-lik." for region in held_out)
    for heading in (*REGIONS, "noise", "rmse", *scores, "fit, s"):
        table.add_column(heading, justify="right")
    for _, row in summary.iterrows():
        table.add_row(
            row["method"],
            *(_with_interval(row, f"sd_{region}", "\n") for region in REGIONS),
            _short(row["aleatoric_sd_near"]),
            _short(row["train_rmse"]),
            *(f"{_short(row[f'rmse_{r}'])}, {_short(row[f'log_likelihood_{r}'])}" for r in held_out),
            _short(row["fit_seconds"]),
        )
    return table


def verdicts(summary: pd.DataFrame) -> list[str]:
    """For each method, a line that says what its epistemic variance does away from the data."""
    return [f"{row['method']}: {_verdict(row)}" for _, row in summary.iterrows()]


def _verdict(row: pd.Series[float]) -> str:
    failed = f" ({row['seeds_failed']:.0f} seeds failed)" if row["seeds_failed"] else ""
    if not row["seeds_ok"]:
        return f"no seed succeeded{failed}"
    sds = [row[f"sd_{region}"] for region in REGIONS if not math.isnan(row[f"sd_{region}"])]
    if not any(sds):
        return f"no epistemic variance anywhere, so it never knows that it does not know{failed}"
    ratios = [
        f"{_with_interval(row, f'{region}_{NEAR}')} times as much {region} the data as near it"
        for region in (BETWEEN, BEYOND)
        if not math.isnan(row[f"{region}_{NEAR}"])
    ]
    caveat = "; noise of its units, not uncertainty about parameters" if str(row["method"]) in LATENT_NOISE else ""
    return f"epistemic variance {', '.join(ratios) or 'near the data alone'}{caveat}{failed}"


def _with_interval(row: pd.Series[float], name: str, separator: str = " ") -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if math.isnan(low) or math.isnan(high) else f"{separator}[{_short(low)}, {_short(high)}]"
    return _short(row[name]) + interval


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"
