"""What the rows of results say of each method, over its seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, NEAR, REGIONS
from variational_bnn.base.checks import require
from variational_bnn.evaluation.intervals import mean_interval, ratio_interval

_INTERVALS = [f"{measure}_{100 * level:.0f}" for measure in ("coverage", "width") for level in LEVELS]
_MEANS = ("entropy", "joint_log_likelihood", "crps", *_INTERVALS)
_BOUNDED = {"log_likelihood": (-np.inf, np.inf), "rmse": (0.0, np.inf), "accuracy": (0.0, 1.0)}
"""Scores whose means have an interval, with the least and the largest value that they can have."""
_COUNTS = ("parameters", "random_variables")
_TEXTS = ("likelihood", "note")
_ZEROS = (*_COUNTS, "latent_variance", "latent_information")
_OTHERS = (
    "query_points",
    "epistemic_variance",
    "latent_variance",
    "aleatoric_variance",
    "mutual_information",
    "latent_information",
    "growth_exponent",
    "contraction",
    "train_rmse",
    "train_accuracy",
    "fit_seconds",
    "predict_seconds",
    "peak_memory",
    "acceptance",
    "r_hat",
    "ess",
    "ess_tail",
)


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise the results of each method over its seeds; a failed run is counted, and left out of all other measures.

    Args:
        results: Rows of one dataset, one for each region of each run, with the columns of `Comparison.results`:
            `dataset`, `method`, `seed`, `region`, `status`, and measures. A measure whose column is missing is NaN.

    Returns:
        One row for each method, in the order in which the methods first appear. Geometric means have columns with
        `_low` and `_high` appended, for the bounds of a 95 % t interval over seeds, computed in logs (see
        `ratio_interval`). The columns:

        - `method`, and `seeds_ok` and `seeds_failed`: numbers of seeds
        - `parameters` and `random_variables`: the largest over seeds
        - `likelihood` and `note`: those of the first seed that has any; the note says of how many seeds it is, unless
          it is of all
        - `fit_seconds` and `predict_seconds`: means; `peak_memory`: the largest, in MiB
        - `sd_<region>` with bounds: geometric mean of the sd over draws, in the units of y: the root of the region's
          mean epistemic plus latent variance. It is 0 and has no bounds if a seed has exactly no variance
        - `latent_share_<region>`: mean share of the latent variance in that sum; 0 where there is no variance
        - `information_<region>` with bounds: geometric mean of the information that y gives on the draw, of its
          parameters and latents together, in nats. It is 0 and has no bounds if a seed has exactly none; NaN if y is a
          number. `latent_information_share_<region>`: mean share of the latents in it
        - `<region>_near` with bounds, for the regions `between` and `beyond`: geometric mean of the ratio of variances
          over draws. NaN if a seed has exactly no variance in both regions
        - `contraction` with bounds: geometric mean of the variance over draws near the data, divided by that with four
          times as many data. NaN if it is NaN for a seed
        - `growth_exponent`: mean of p in sd over draws ~ distance^p, of query points beyond the data
        - `aleatoric_sd_near`: geometric mean, in the units of y
        - `train_rmse`, in the units of y, and `train_accuracy`: means
        - `entropy_<region>`: mean, in nats; NaN if y is a number
        - `log_likelihood_<region>`, `rmse_<region>` and `accuracy_<region>`, with bounds: means, and their 95 % t
          intervals over seeds, cut off where the score cannot be; NaN without held-out targets
        - `joint_log_likelihood_<region>`, `crps_<region>` and, for the levels in percent, `coverage_<percent>_<region>`
          and `width_<percent>_<region>`: means; NaN without held-out targets
        - `query_points_<region>`: how many there are; with held-out rows, how many of these
        - `acceptance` (mean), `r_hat` (largest), `ess` and `ess_tail` (smallest): over all seeds that have any. Failed
          runs are included, because a run fails if its chains have not converged

    Raises:
        ValueError: If there are rows of more than one dataset.
    """
    datasets = list(results["dataset"].unique())
    require(len(datasets) <= 1, f"results must be of one dataset, got {', '.join(datasets)}")
    numbers = dict.fromkeys([*_MEANS, *_BOUNDED, *_OTHERS], np.nan)
    defaults: dict[str, Any] = {**numbers, **dict.fromkeys(_ZEROS, 0), **dict.fromkeys(_TEXTS, "")}
    complete = results.assign(**{name: value for name, value in defaults.items() if name not in results})
    rows = [{"method": method, **_summary(group)} for method, group in complete.groupby("method", sort=False)]
    return pd.DataFrame(rows, columns=None if rows else ["method", *_summary(complete)])


def of_classes(summary: pd.DataFrame) -> bool:
    """Whether the rows of a summary are of classes: only these have an entropy."""
    return bool(summary.filter(regex="^entropy_").notna().any(axis=None))


def _summary(rows: pd.DataFrame) -> dict[str, float | str]:
    """The columns of `summarise` for one method."""
    failed = set(rows.loc[rows["status"] != "ok", "seed"])
    good = rows[~rows["seed"].isin(failed)]

    def by_seed(measure: str) -> pd.DataFrame:
        return good.pivot(index="seed", columns="region", values=measure).reindex(columns=list(REGIONS))

    latent, latent_information = by_seed("latent_variance").fillna(0), by_seed("latent_information").fillna(0)
    over_draws, aleatoric = by_seed("epistemic_variance") + latent, by_seed("aleatoric_variance")
    information = by_seed("mutual_information") + latent_information
    ratios = over_draws.div(over_draws[NEAR], axis=0)
    columns: dict[str, float | str] = {"seeds_ok": good["seed"].nunique(), "seeds_failed": len(failed)}
    columns |= {name: int(good[name].max()) if len(good) else 0 for name in _COUNTS}
    columns |= {name: _text(good.groupby("seed")[name].first(), counted=name == "note") for name in _TEXTS}
    columns |= {name: good.groupby("seed")[name].first().mean() for name in ("fit_seconds", "predict_seconds")}
    columns["peak_memory"] = good["peak_memory"].max()
    for region in REGIONS:
        columns |= with_bounds(f"sd_{region}", ratio_interval(np.sqrt(over_draws[region])))
        columns[f"latent_share_{region}"] = _mean_share(latent[region], over_draws[region])
        columns |= with_bounds(f"information_{region}", ratio_interval(information[region]))
        columns[f"latent_information_share_{region}"] = _mean_share(latent_information[region], information[region])
    for region in (BETWEEN, BEYOND):
        columns |= with_bounds(f"{region}_near", ratio_interval(ratios[region]))
    columns |= with_bounds("contraction", ratio_interval(by_seed("contraction")[NEAR]))
    columns["growth_exponent"] = by_seed("growth_exponent")[BEYOND].mean()
    columns["aleatoric_sd_near"], *_ = ratio_interval(np.sqrt(aleatoric[NEAR]))
    columns |= {name: good.groupby("seed")[name].first().mean() for name in ("train_rmse", "train_accuracy")}
    for measure in _MEANS:
        columns |= {f"{measure}_{region}": mean for region, mean in by_seed(measure).mean().items()}
    for measure, limits in _BOUNDED.items():
        scores = by_seed(measure)
        for region in REGIONS:
            mean, *bounds = mean_interval(scores[region])
            low, high = np.clip(bounds, *limits).tolist()
            columns |= with_bounds(f"{measure}_{region}", (mean, low, high))
    columns |= {f"query_points_{region}": count for region, count in by_seed("query_points").max().items()}
    columns["acceptance"] = rows.groupby("seed")["acceptance"].first().mean()
    columns |= {"r_hat": rows["r_hat"].max(), "ess": rows["ess"].min(), "ess_tail": rows["ess_tail"].min()}
    return columns


def _text(texts: pd.Series[str], *, counted: bool) -> str:
    """The first of the seeds' texts that is not empty, with the number of seeds that have one if some have none."""
    known = [text for text in texts if isinstance(text, str) and text]
    of_some = f" (in {len(known)} of {len(texts)} seeds)" if counted and 0 < len(known) < len(texts) else ""
    return known[0] + of_some if known else ""


def _mean_share(part: pd.Series[float], whole: pd.Series[float]) -> float:
    """The mean over seeds of a part of a whole; 0 where both are 0, NaN where the whole is unknown."""
    shares = part / whole.where(whole > 0)
    return float(shares.mask(whole == 0, 0.0).mean())


def with_bounds(name: str, interval: tuple[float, float, float]) -> dict[str, float]:
    """The columns of an estimate and of the bounds of its interval."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
