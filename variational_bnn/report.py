"""Rows in words: the tables and the verdicts on the screen."""

from __future__ import annotations

import math

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, MAX_R_HAT, MIN_ESS, NEAR, REGIONS, TAU

LATENT_NOISE = ("hidden",)
"""Methods whose draws differ by noise of the units: it need not shrink with more data, nor grow away from it."""

LEGEND = (
    "near, between, beyond: epistemic sd, how far apart the functions lie that a method holds possible, in the units "
    "of y, [95 % interval over seeds], at inputs as close to training rows as they are to each other; inside their "
    "range but farther off; and outside it. noise: the sd near that it takes for noise. rmse: on the training rows. "
    "4 x data: how many times less epistemic variance there is near, with four times the data."
)

_CLOSENESS = {"sd_ratio": "sd ratio", "wasserstein": "distance", "mean_error": "mean error"}


def tables(summary: pd.DataFrame, about: str, reference: str | None = None) -> list[Table]:
    """What was found, to be read on a screen: one row a method, as in `Comparison.table`.

    Epistemic sd by region; closeness to the reference, if there is one; scores, where rows were held out; and cost.
    """
    found = [_epistemic(summary, about)]
    if reference is not None:
        found.append(_closeness(summary, reference))
    if any(summary[f"rmse_{region}"].notna().any() for region in REGIONS):
        found.append(_scores(summary))
    return [*found, _cost(summary)]


def _epistemic(summary: pd.DataFrame, about: str) -> Table:
    contracted = bool(summary["contraction"].notna().any())
    more = ("4 x data",) if contracted else ()
    table = _table(f"Epistemic sd on {about}", *REGIONS, "noise", "rmse", *more)
    for _, row in summary.iterrows():
        sds = [_with_interval(row, f"sd_{region}", "\n") for region in REGIONS]
        rest = [_short(row[name]) for name in ("aleatoric_sd_near", "train_rmse")]
        table.add_row(row["method"], *sds, *rest, *([_short(row["contraction"])] if contracted else []))
    return table


def _closeness(summary: pd.DataFrame, reference: str) -> Table:
    title = f"Closeness to {reference}: ratio of epistemic sds; Wasserstein distance and mean's error in its sds"
    table = _table(title, "", *REGIONS)
    for _, row in summary.iterrows():
        if any(not math.isnan(row[f"{measure}_{region}"]) for measure in _CLOSENESS for region in REGIONS):
            for measure, label in _CLOSENESS.items():
                name = row["method"] if label == "sd ratio" else ""
                values = [_with_interval(row, f"{measure}_{region}", "\n") for region in REGIONS]
                table.add_row(name, label, *values)
    return table


def _scores(summary: pd.DataFrame) -> Table:
    levels = [f"{100 * level:.0f}" for level in LEVELS]
    within = f"{', '.join(levels[:-1])} and {levels[-1]} %"
    title = f"Held-out rows: joint: log-likelihood of {TAU} at a time, per row; covered: by {within} intervals"
    table = _table(title, "", "rmse", "log-lik.", "joint", "CRPS", "covered, %", "95 % width")
    for _, row in summary.iterrows():
        held_out = [region for region in REGIONS if not math.isnan(row[f"rmse_{region}"])]
        for region in held_out:
            scores = ("rmse", "log_likelihood", "joint_log_likelihood", "crps")
            covered = " ".join(f"{100 * row[f'coverage_{level}_{region}']:.0f}" for level in levels)
            values = [_short(row[f"{score}_{region}"]) for score in scores]
            name = row["method"] if region == held_out[0] else ""
            table.add_row(name, region, *values, covered, _short(row[f"width_95_{region}"]))
    return table


def _cost(summary: pd.DataFrame) -> Table:
    chains = any(_has_chains(row) for _, row in summary.iterrows())
    more = ("accept", "R-hat", "ESS") if chains else ()
    table = _table("Cost of a fit", "fit, s", "predict", "weights", "random", "MiB", *more)
    for _, row in summary.iterrows():
        values = [_short(row["fit_seconds"]), _short(row["predict_seconds"])]
        counts = [f"{row['parameters']:.0f}", f"{row['random_variables']:.0f}", _short(row["peak_memory"])]
        of_chains = [_short(row["acceptance"]), _short(row["r_hat"], 4), _short(row["ess"])] if chains else []
        table.add_row(row["method"], *values, *counts, *of_chains)
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("method", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def verdicts(summary: pd.DataFrame) -> list[str]:
    """For each method, a line that says what its epistemic variance does away from the data."""
    return [f"{row['method']}: {_verdict(row)}" for _, row in summary.iterrows()]


def failures(results: pd.DataFrame) -> list[str]:
    """A line for each method and seed that failed, or failed with four times the data."""
    lines = []
    for (method, seed), rows in results.groupby(["method", "seed"], sort=False):
        (status, *_), contraction = rows["status"], rows.loc[rows["contraction_status"] != "ok", "contraction_status"]
        if status != "ok":
            lines.append(f"{method}, seed {seed}: {status}")
        lines += [f"{method}, seed {seed}, with four times the data: {text}" for text in contraction]
    return lines


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
    contraction = ""
    if not math.isnan(row["contraction"]):
        contraction = f"; {_short(row['contraction'])} times less near it with four times the data"
    apart = ""
    if _has_chains(row) and not failed and not (row["r_hat"] <= MAX_R_HAT and row["ess"] >= MIN_ESS):
        apart = f"; chains not converged, R-hat {_short(row['r_hat'], 4)}, ESS {_short(row['ess'])}"
    return f"epistemic variance {', '.join(ratios) or 'near the data alone'}{contraction}{caveat}{apart}{failed}"


def _has_chains(row: pd.Series[float]) -> bool:
    return not all(math.isnan(row[name]) for name in ("acceptance", "r_hat", "ess"))


def _with_interval(row: pd.Series[float], name: str, separator: str = " ") -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if math.isnan(low) or math.isnan(high) else f"{separator}[{_short(low)}, {_short(high)}]"
    return _short(row[name]) + interval


def _short(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"
