"""Rows of autoencoders in words: the tables and the verdicts on the screen."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from variational_bnn.report import failed, new_table, short

LEGEND = (
    "nll, KL, bounds: nats per test image; the negative ELBO is the sum of nll and KLs, and of the importance-weighted "
    "bound less is nearer to -log p(x). rmse: of a pixel's mean reconstruction. neighbours: share of test images whose "
    "class is that of most of the 10 nearest codes; silhouette: from -1 to 1, how far apart the classes' codes are; "
    "confused: the two classes taken most for each other, and how often. spread: sd of a pixel's reconstruction over "
    "draws, in the units of pixels from 0 to 1, by a second fit that has not seen one class."
)


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
        nats = [row[name] for name in ("nll", "kl_latents", "kl_weights", "negative_elbo", "importance_weighted")]
        bounds.add_row(row["model"], *(short(value, 4) for value in nats), short(row["rmse"], 3))
        measures = [short(row["knn_accuracy"], 3), short(row["silhouette"], 2), short(row["active_units"])]
        place = [short(row["code_centre"]), short(row["code_sd"])]
        code.add_row(row["model"], *measures, *place, _confused(results, row["model"]))
        spreads = [short(row["spread_seen"]), short(row["spread_held_out"]), short(_ratio(row))]
        away.add_row(row["model"], *spreads, short(row["rmse_seen"], 3), short(row["rmse_held_out"], 3))
    return [bounds, code, away]


def verdicts(summary: pd.DataFrame, results: pd.DataFrame) -> list[str]:
    """For each model, a line that says whether its reconstructions spread more of what it has not seen."""
    held_out = results["held_out"].iloc[0]
    lines = []
    for _, row in summary.iterrows():
        ratio = _ratio(row)
        if not row["seeds_ok"]:
            line = "no seed succeeded"
        elif math.isnan(ratio):
            line = "its draws do not differ, so it never knows that it does not know"
        else:
            line = f"its reconstructions of class {held_out}, not seen, spread {short(ratio)} times as far as of others"
        lines.append(f"{row['model']}: {line}{failed(int(row['seeds_failed']))}")
    return lines


def failures(results: pd.DataFrame) -> list[str]:
    """A line for each model and seed that failed."""
    bad = results[results["status"] != "ok"]
    return [f"{row['model']}, seed {row['seed']}: {row['status']}" for _, row in bad.iterrows()]


def _ratio(row: pd.Series[float]) -> float:
    return row["spread_held_out"] / row["spread_seen"] if row["spread_seen"] > 0 else math.nan


def _confused(results: pd.DataFrame, model: str) -> str:
    """The first seed's pair, and how often."""
    good = results[(results["model"] == model) & (results["status"] == "ok")]
    return f"{good['confused'].iloc[0]}, {100 * good['confusion'].iloc[0]:.0f} %" if len(good) else "-"
