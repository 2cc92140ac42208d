"""What the rows of results say of each autoencoder, over its seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.evaluation.intervals import ratio_interval
from variational_bnn.evaluation.summary import with_bounds

_MEASURES = (
    "nll",
    "kl_latents",
    "kl_weights",
    "negative_elbo",
    "negative_importance_weighted",
    "importance_samples",
    "rmse",
    "knn_accuracy",
    "silhouette",
    "active_units",
    "code_centre",
    "code_sd",
    "confusion",
    "held_out",
    "rmse_seen",
    "rmse_held_out",
    "predictive_sd_seen",
    "predictive_sd_held_out",
    "parameters",
    "fit_seconds",
)
"""What every results directory of autoencoders is summarised by, also one written before a measure was added."""


def summarise_autoencoders(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise the results of each autoencoder over its seeds; a failed run is counted, and left out of the measures.

    Args:
        results: One row for each run, with the columns of `AutoencoderComparison.results`: `model`, `seed`, `status`,
            `confused`, and measures, which are all other columns of numbers. A measure whose column is missing is NaN.

    Returns:
        One row for each model, in the order in which the models first appear, with the columns

        - `model`, and `seeds_ok` and `seeds_failed`: numbers of seeds
        - the measures of `results` under their own names: means over seeds
        - `predictive_sd_ratio`: geometric mean of the ratio of `predictive_sd_held_out` to `predictive_sd_seen`, with
          `predictive_sd_ratio_low` and `predictive_sd_ratio_high` for the bounds of a 95 % t interval over seeds,
          computed in logs (see `ratio_interval`)
        - `confused`: the pairs of classes that are most often confused, each once; the seeds' pairs are joined by "; "
    """
    complete = results.assign(**dict.fromkeys([name for name in _MEASURES if name not in results], np.nan))
    complete = complete if "confused" in complete else complete.assign(confused="")
    measures = complete.select_dtypes("number").columns.drop("seed")
    rows: list[dict[str, Any]] = []
    for model, group in complete.groupby("model", sort=False):
        good = group[group["status"] == "ok"]
        counts = {"seeds_ok": len(good), "seeds_failed": len(group) - len(good)}
        means = {name: good[name].mean() for name in measures}
        ratio = with_bounds(
            "predictive_sd_ratio", ratio_interval(good["predictive_sd_held_out"] / good["predictive_sd_seen"])
        )
        rows.append(
            {"model": model, **counts, **means, **ratio, "confused": "; ".join(dict.fromkeys(good["confused"]))}
        )
    return pd.DataFrame(rows)
