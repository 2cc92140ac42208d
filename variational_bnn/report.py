"""Rows in words: the table and the verdicts on the screen."""

from __future__ import annotations

import math

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS

LATENT_NOISE = ("hidden",)
"""Methods whose draws differ by noise of the units: it need not shrink with more data, nor grow away from it."""

LEGEND = (
    "near, between, beyond: epistemic sd, how far apart the functions lie that a method holds possible, in the units "
    "of y, [95 % interval over seeds], at inputs as close to training rows as they are to each other; inside their "
    "range but farther off; and outside it. noise: the sd near that it takes for noise. rmse: on the training rows."
)


def tables(summary: pd.DataFrame, about: str) -> list[Table]:
    """What `summarise` found, to be read on a screen: the epistemic sd, and the scores where rows were held out."""
    regions = _table(f"Epistemic sd on {about}", *REGIONS, "noise", "rmse", "fit, s")
    for _, row in summary.iterrows():
        sds = [_with_interval(row, f"sd_{region}", "\n") for region in REGIONS]
        rest = [_short(row[name]) for name in ("aleatoric_sd_near", "train_rmse", "fit_seconds")]
        regions.add_row(row["method"], *sds, *rest)
    held_out = [region for region in REGIONS if summary[f"rmse_{region}"].notna().any()]
    if not held_out:
        return [regions]
    scores = _table("Held-out rows: rmse / log-likelihood per row", *held_out)
    for _, row in summary.iterrows():
        pairs = [f"{_short(row[f'rmse_{region}'])} / {_short(row[f'log_likelihood_{region}'])}" for region in held_out]
        scores.add_row(row["method"], *pairs)
    return [regions, scores]


def _table(title: str, *headings: str) -> Table:
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=SIMPLE)
    table.add_column("method", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def verdicts(summary: pd.DataFrame) -> list[str]:
    """For each method, a line that says what its epistemic variance does away from the data."""
    return [f"{row['method']}: {_verdict(row)}" for _, row in summary.iterrows()]


def _verdict(row: pd.Series[float]) -> str:
    count = int(row["seeds_failed"])
    failed = f" ({count} seed{'s' if count > 1 else ''} failed)" if count else ""
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
