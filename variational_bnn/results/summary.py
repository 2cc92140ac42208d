"""Results, summed up: one row a method, over its seeds, with intervals. No file is read or written."""

from __future__ import annotations

import numpy as np
import pandas as pd

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS
from variational_bnn.checks import require
from variational_bnn.regions import ratio_interval


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """One row a method, in first-seen order, over its seeds that went well.

    Columns, with `_low` and `_high` for the bounds of a 95 % t interval over seeds, taken in logs:

    - `method`, `seeds_ok`, `seeds_failed`, `parameters`, `fit_seconds` (mean)
    - `sd_<region>` and its bounds: geometric mean of the epistemic sd, units of y; the sd is the root of the region's
      mean variance. 0 without bounds if a seed has exactly no variance.
    - `<region>_near` and its bounds, for `between` and `beyond`: geometric mean of the ratio of epistemic variances;
      NaN if a seed has exactly no variance in both.
    - `growth`: mean of p in epistemic sd ~ distance^p, beyond the data
    - `aleatoric_sd_near`: geometric mean, units of y
    - `train_rmse`: mean, units of y
    - `rmse_<region>`, `log_likelihood_<region>`: means; NaN without held-out targets

    Args:
        results: Rows of one dataset, as `results_table` and `read_directory` give them.

    Raises:
        ValueError: If there are rows of more than one dataset.
    """
    datasets = list(results["dataset"].unique())
    require(len(datasets) <= 1, f"results of one dataset are wanted, got {', '.join(datasets)}")
    rows = [{"method": method, **_summary(group)} for method, group in results.groupby("method", sort=False)]
    return pd.DataFrame(rows, columns=None if rows else ["method", *_summary(results)])


def _summary(rows: pd.DataFrame) -> dict[str, float]:
    """The columns of `summarise` for one method."""
    failed = set(rows.loc[rows["status"] != "ok", "seed"])
    good = rows[~rows["seed"].isin(failed)]

    def by_seed(measure: str) -> pd.DataFrame:
        return good.pivot(index="seed", columns="region", values=measure).reindex(columns=list(REGIONS))

    epistemic, aleatoric = by_seed("epistemic_variance"), by_seed("aleatoric_variance")
    ratios = epistemic.div(epistemic[NEAR], axis=0)
    columns: dict[str, float] = {
        "seeds_ok": good["seed"].nunique(),
        "seeds_failed": len(failed),
        "parameters": int(good["parameters"].max()) if len(good) else 0,
        "fit_seconds": good.groupby("seed")["fit_seconds"].first().mean(),
    }
    for region in REGIONS:
        columns |= _with_bounds(f"sd_{region}", ratio_interval(np.sqrt(epistemic[region])))
    for region in (BETWEEN, BEYOND):
        columns |= _with_bounds(f"{region}_near", ratio_interval(ratios[region]))
    columns["growth"] = by_seed("growth")[BEYOND].mean()
    columns["aleatoric_sd_near"], *_ = ratio_interval(np.sqrt(aleatoric[NEAR]))
    columns["train_rmse"] = good.groupby("seed")["train_rmse"].first().mean()
    for measure in ("rmse", "log_likelihood"):
        columns |= {f"{measure}_{region}": mean for region, mean in by_seed(measure).mean().items()}
    return columns


def _with_bounds(name: str, interval: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
