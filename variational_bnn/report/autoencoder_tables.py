"""Rows of autoencoders in words: the tables and the verdicts on the screen."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from variational_bnn.report.tables import LATENT_NOISE, failed, new_table, short, with_interval

LEGEND = (
    "nll, KL, bounds: nats per test image. -ELBO is the sum of nll and KLs; IW is the importance-weighted bound, "
    "negated too, and of the two the nearer to -log p(x). rmse: of a pixel's mean reconstruction. neighbours: share of "
    "test images whose class is that of most of the 10 nearest codes; silhouette: from -1 to 1, how far apart the "
    "classes' codes are; confused: the two classes taken most for each other, and how often in the mean over seeds. "
    "spread: sd of a pixel over draws, in the units of pixels from 0 to 1, by a second fit that has not seen one "
    "class; ratio: [95 % interval over seeds]."
)

NATS = ("nll", "kl_latents", "kl_weights", "negative_elbo", "negative_importance_weighted")
APART = ("seen", "held_out")
OF_BOTH = "; noise of its units as well as uncertainty about weights"


def tables(summary: pd.DataFrame, results: pd.DataFrame, about: str) -> list[Table]:
    """Bounds, latent codes, and reconstructions away from the data; one row a model, means over its seeds."""
    held_out = f"class {results['held_out'].iloc[0]}"
    samples = int(results["importance_samples"].max())
    terms = ("nll", "KL latents", "KL weights", "-ELBO", f"IW, {samples}", "rmse")
    of_code = ("neighbours", "silhouette", "active", "centre", "sd", "confused")
    apart = ("spread, seen", held_out, "ratio", "rmse, seen", held_out)
    bounds = new_table(f"Bounds on {about}", *terms, heading="model")
    code = new_table("Latent code of the test images", *of_code, heading="model")
    away = new_table(f"Reconstructions by a fit that has not seen {held_out}", *apart, heading="model")
    for _, row in summary.iterrows():
        bounds.add_row(row["model"], *(short(row[name], 4) for name in NATS), short(row["rmse"], 3))
        measures = [short(row["knn_accuracy"], 3), short(row["silhouette"], 2), short(row["active_units"])]
        place = [short(row["code_centre"]), short(row["code_sd"])]
        code.add_row(row["model"], *measures, *place, _confused(row))
        spreads = [short(row[f"spread_{group}"]) for group in APART]
        errors = [short(row[f"rmse_{group}"], 3) for group in APART]
        away.add_row(row["model"], *spreads, with_interval(row, "predictive_sd_ratio", "\n", 3), *errors)
    return [bounds, code, away]


def verdicts(summary: pd.DataFrame, results: pd.DataFrame) -> list[str]:
    """For each model, a line that says whether its reconstructions spread more of what it has not seen."""
    label = results["held_out"].iloc[0]
    rows = [row for _, row in summary.iterrows()]
    return [f"{row['model']}: {_verdict(row, label)}{failed(int(row['seeds_failed']))}" for row in rows]


def _verdict(row: pd.Series[float], label: int) -> str:
    if not row["seeds_ok"]:
        return "no seed succeeded"
    if row["predictive_sd_seen"] == 0:
        return "its draws do not differ, so it never knows that it does not know"
    if math.isnan(row["predictive_sd_ratio"]):
        return "no test image is of a class that it has seen, to compare with"
    times = with_interval(row, "predictive_sd_ratio", digits=3)
    one = ", by one seed" if row["seeds_ok"] == 1 else ""
    caveat = "" if math.isnan(row["kl_latents"]) else LATENT_NOISE if math.isnan(row["kl_weights"]) else OF_BOTH
    return f"its reconstructions of class {label}, not seen, spread {times} times as far as of others{one}{caveat}"


def failures(results: pd.DataFrame) -> list[str]:
    """A line for each model and seed that failed."""
    bad = results[results["status"] != "ok"]
    return [f"{row['model']}, seed {row['seed']}: {row['status']}" for _, row in bad.iterrows()]


def _confused(row: pd.Series[float]) -> str:
    return f"{row['confused']}, {100 * row['confusion']:.0f} %" if row["confused"] else "-"
