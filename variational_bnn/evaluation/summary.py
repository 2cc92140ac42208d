"""Results, summed up: one row a method, over its seeds, with intervals. No file is read or written."""

from __future__ import annotations

import numpy as np
import pandas as pd

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, NEAR, REGIONS
from variational_bnn.base.checks import require
from variational_bnn.evaluation.regions import ratio_interval

_INTERVALS = [f"{measure}_{100 * level:.0f}" for measure in ("coverage", "width") for level in LEVELS]
_MEANS = ("entropy", "accuracy", "rmse", "log_likelihood", "joint_log_likelihood", "crps", *_INTERVALS)


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """One row a method, in first-seen order, over its seeds that went well.

    Columns, with `_low` and `_high` for the bounds of a 95 % t interval over seeds, taken in logs:

    - `method`, `seeds_ok`, `seeds_failed`, `parameters` and `random_variables` (largest), `fit_seconds` and
      `predict_seconds` (means), `peak_memory` (largest, MiB)
    - `sd_<region>` and its bounds: geometric mean of the epistemic sd, units of y; the sd is the root of the region's
      mean variance. 0 without bounds if a seed has exactly no variance.
    - `<region>_near` and its bounds, for `between` and `beyond`: geometric mean of the ratio of epistemic variances;
      NaN if a seed has exactly no variance in both.
    - `contraction` and its bounds: geometric mean of the ratio of epistemic variances near the data, before and after
      there are four times as many; NaN if a seed has none
    - `growth`: mean of p in epistemic sd ~ distance^p, beyond the data
    - `aleatoric_sd_near`: geometric mean, units of y
    - `train_rmse` (units of y) and `train_accuracy`: means
    - `mutual_information_<region>` and its bounds: geometric mean, nats, 0 without bounds if a seed has exactly none;
      `entropy_<region>`: mean, nats; NaN if y is a number
    - `accuracy_<region>`, `rmse_<region>`, `log_likelihood_<region>`, `joint_log_likelihood_<region>`, `crps_<region>`,
      and for the percents of `LEVELS` `coverage_<percent>_<region>` and `width_<percent>_<region>`: means; NaN without
      held-out targets
    - `acceptance` (mean), `r_hat` (largest) and `ess` (smallest) over those seeds that have any, the failed ones too:
      chains that did not agree are told by them

    Args:
        results: Rows of one dataset, as `results_table` and `read_directory` give them.

    Raises:
        ValueError: If there are rows of more than one dataset.
    """
    datasets = list(results["dataset"].unique())
    require(len(datasets) <= 1, f"results of one dataset are wanted, got {', '.join(datasets)}")
    rows = [{"method": method, **_summary(group)} for method, group in results.groupby("method", sort=False)]
    return pd.DataFrame(rows, columns=None if rows else ["method", *_summary(results)])


def of_classes(summary: pd.DataFrame) -> bool:
    """Whether what is summed up are classes: they have an entropy."""
    return bool(summary.filter(regex="^entropy_").notna().any(axis=None))


def _summary(rows: pd.DataFrame) -> dict[str, float]:
    """The columns of `summarise` for one method."""
    failed = set(rows.loc[rows["status"] != "ok", "seed"])
    good = rows[~rows["seed"].isin(failed)]

    def by_seed(measure: str) -> pd.DataFrame:
        return good.pivot(index="seed", columns="region", values=measure).reindex(columns=list(REGIONS))

    epistemic, aleatoric = by_seed("epistemic_variance"), by_seed("aleatoric_variance")
    information = by_seed("mutual_information")
    ratios = epistemic.div(epistemic[NEAR], axis=0)
    columns: dict[str, float] = {
        "seeds_ok": good["seed"].nunique(),
        "seeds_failed": len(failed),
        "parameters": int(good["parameters"].max()) if len(good) else 0,
        "random_variables": int(good["random_variables"].max()) if len(good) else 0,
        "fit_seconds": good.groupby("seed")["fit_seconds"].first().mean(),
        "predict_seconds": good.groupby("seed")["predict_seconds"].first().mean(),
        "peak_memory": good["peak_memory"].max(),
    }
    for region in REGIONS:
        columns |= with_bounds(f"sd_{region}", ratio_interval(np.sqrt(epistemic[region])))
        columns |= with_bounds(f"mutual_information_{region}", ratio_interval(information[region]))
    for region in (BETWEEN, BEYOND):
        columns |= with_bounds(f"{region}_near", ratio_interval(ratios[region]))
    columns |= with_bounds("contraction", ratio_interval(by_seed("contraction")[NEAR]))
    columns["growth_exponent"] = by_seed("growth_exponent")[BEYOND].mean()
    columns["aleatoric_sd_near"], *_ = ratio_interval(np.sqrt(aleatoric[NEAR]))
    columns |= {name: good.groupby("seed")[name].first().mean() for name in ("train_rmse", "train_accuracy")}
    for measure in _MEANS:
        columns |= {f"{measure}_{region}": mean for region, mean in by_seed(measure).mean().items()}
    columns["acceptance"] = rows.groupby("seed")["acceptance"].first().mean()
    columns |= {"r_hat": rows["r_hat"].max(), "ess": rows["ess"].min()}
    return columns


def with_bounds(name: str, interval: tuple[float, float, float]) -> dict[str, float]:
    """An estimate and its bounds as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
