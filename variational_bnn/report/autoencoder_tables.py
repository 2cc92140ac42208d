"""The results of a comparison of autoencoders in text: tables, their legend, and a verdict for each model."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from variational_bnn.report.cells import failed, new_table, short, value, with_interval

LEGEND = (
    "nll, KL, -ELBO, IW: nats per test image. -ELBO: the sum of nll and KLs. IW: the negative importance-weighted "
    "bound, which is closer to -log p(x). rmse: of a pixel's mean reconstruction. neighbours: the share of test images "
    "whose class is that of most of the 10 nearest codes. silhouette: from -1 to 1, how far apart the codes of the "
    "classes are. active: the number of latents that vary over the images. centre, sd: the largest distance of a "
    "latent's mean from 0, and the sd of the codes. confused: the two classes most often taken for each other, "
    "and the share of their images that are. pred. sd: the sd of a pixel over draws of weights and latents together, "
    "from 0 to 1, by a second fit from which one class was held out; ratio: of that class to the others, "
    "[95 % interval over seeds]."
)

NATS = ("nll", "kl_latents", "kl_weights", "negative_elbo", "negative_importance_weighted")
APART = ("seen", "held_out")
OF_LATENTS = (
    "; its draws differ by latents of each image alone, which is noise of the image and not uncertainty about weights"
)
OF_BOTH = (
    "; its draws differ by latents of each image, which is noise of the image, as well as by uncertainty about weights"
)


def tables(summary: pd.DataFrame, results: pd.DataFrame, about: str) -> list[Table]:
    """Return three tables, with one row for each model, to be printed by rich.

    They hold the bounds on the likelihood, the latent codes of the test images, and the reconstructions by a second
    fit from which one class was held out. An unknown value is a dash.

    Args:
        summary: A row for each `model`, as in `AutoencoderComparison.table`. A column that is missing counts as NaN.
        results: A row for each model and seed, as in `AutoencoderComparison.results`.
        about: What the title of the first table says of the images.
    """
    held_out = _held_out(results)
    samples = results["importance_samples"].max() if "importance_samples" in results else math.nan
    bound = "IW" if math.isnan(samples) else f"IW, {samples:.0f}"
    terms = ("nll", "KL latents", "KL weights", "-ELBO", bound, "rmse")
    of_code = ("neighbours", "silhouette", "active", "centre", "sd", "confused")
    apart = ("pred. sd, seen", held_out, "ratio", "rmse, seen", held_out)
    bounds = new_table(f"Bounds on {about}", *terms, heading="model")
    code = new_table("Latent code of the test images", *of_code, heading="model")
    away = new_table(f"Reconstructions by a fit from which {held_out} was held out", *apart, heading="model")
    for _, row in summary.iterrows():
        bounds.add_row(row["model"], *(short(value(row, name), 4) for name in NATS), short(value(row, "rmse"), 3))
        measures = [short(value(row, "knn_accuracy"), 3), short(value(row, "silhouette"))]
        place = [short(value(row, name)) for name in ("active_units", "code_centre", "code_sd")]
        code.add_row(row["model"], *measures, *place, _confused(row))
        sds = [short(value(row, f"predictive_sd_{group}")) for group in APART]
        errors = [short(value(row, f"rmse_{group}"), 3) for group in APART]
        away.add_row(row["model"], *sds, with_interval(row, "predictive_sd_ratio", "\n", 3), *errors)
    return [bounds, code, away]


def verdicts(summary: pd.DataFrame, results: pd.DataFrame) -> list[str]:
    """Return one line for each model: how much larger its predictive sd is for the class that was held out."""
    held_out = _held_out(results)
    return [f"{row['model']}: {_verdict(row, held_out)}{failed(row)}" for _, row in summary.iterrows()]


def failures(results: pd.DataFrame) -> list[str]:
    """Return a line for each model and seed that failed."""
    bad = results[results["status"] != "ok"]
    return [f"{row['model']}, seed {row['seed']}: {row['status']}" for _, row in bad.iterrows()]


def _held_out(results: pd.DataFrame) -> str:
    known = results["held_out"].dropna() if "held_out" in results else results["model"].iloc[:0]
    return f"class {known.iloc[0]:g}" if len(known) else "one class"


def _verdict(row: pd.Series[float], held_out: str) -> str:
    if not value(row, "seeds_ok") > 0:
        return "no seed succeeded"
    if value(row, "predictive_sd_seen") == 0:
        return "its draws do not differ: it reports no uncertainty of its reconstructions"
    if math.isnan(value(row, "predictive_sd_ratio")):
        return "no test image is of a class that it was trained on, to compare with"
    times = with_interval(row, "predictive_sd_ratio", digits=3)
    one = ", by one seed" if value(row, "seeds_ok") == 1 else ""
    latents, weights = (not math.isnan(value(row, f"kl_{kind}")) for kind in ("latents", "weights"))
    caveat = "" if not latents else OF_BOTH if weights else OF_LATENTS
    return f"its predictive sd is {times} times as large for {held_out}, held out, as for the others{one}{caveat}"


def _confused(row: pd.Series[float]) -> str:
    pair, share = row.get("confused"), value(row, "confusion")
    return f"{pair}, {100 * share:.0f} %" if pair and not math.isnan(share) else "-"
