"""The distance of each method's function samples to those of a reference posterior, at every query point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import REGIONS
from variational_bnn.base.checks import Array, require
from variational_bnn.evaluation.intervals import ratio_interval
from variational_bnn.evaluation.scores import wasserstein

Run = tuple[str, str, int]
"""The names of a dataset and of a method, and a seed."""

_RUN_COLUMNS = ("dataset", "method", "seed")
_MEASURES = ("log_sd_ratio", "wasserstein", "mean_error", "total_variation", "agreement")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """Function samples `[S, M, D]`, with their mean and standard deviation `[M, D]` over the samples."""

    draws: Array
    mean: Array
    sd: Array

    @classmethod
    def of(cls, functions: Array) -> _Sample:
        """Equal draws have an sd of exactly 0: they are centred on the first draw, not on a mean that is rounded."""
        centred = functions - functions[0]
        return cls(draws=functions, mean=functions[0] + centred.mean(axis=0), sd=centred.std(axis=0))


def reference_distances(
    results: pd.DataFrame,
    predictions: pd.DataFrame,
    draws: Mapping[Run, Mapping[str, npt.NDArray[Any]]],
    reference: str,
) -> pd.DataFrame:
    """Measure how far the function samples of each run are from those of the reference posterior, region by region.

    The reference's draws are those of all its seeds together, except the run's own draws. The reference is measured
    like all other methods, so that its own rows show which distances arise by chance. With a single seed of the
    reference, its own rows are NaN, and all other methods are compared with that seed.

    Args:
        results: Rows of results, one for each region of each run, with the columns of `Comparison.results`. Runs whose
            status is not "ok" are left out.
        predictions: Rows of predictions, with the columns of `Comparison.predictions`, which say in which region each
            query point is.
        draws: For each run `(dataset, method, seed)` an array "functions" `[S, M, D]`: function samples at the M query
            points, in the order of the query points' numbers.
        reference: Name of the method that the others are compared with.

    Returns:
        One row for each region of each successful run of a dataset on which the reference has a successful run. Means
        are over the region's query points and over the outputs; standard deviations (sd) are over the draws:

        - `dataset`, `method`, `seed`, `region`, `reference`
        - `log_sd_ratio`: mean of log(sd / the reference's sd), in nats; -inf where the draws agree exactly
        - `sd_ratio`: exp of `log_sd_ratio`
        - `wasserstein`: mean of the Wasserstein-1 distance between the draws and the reference's draws, in units of the
          reference's sd at that query point (Izmailov et al. 2021, arXiv 2104.14421, leave it in the units of y)
        - `mean_error`: mean of |mean - the reference's mean|, in units of the reference's sd at that query point
        - `total_variation`: mean of half the sum over the classes of |mean - the reference's mean| (Izmailov et al.
          2021). NaN unless the outputs are probabilities of classes, which add up to 1
        - `agreement`: share of the query points whose most probable class, by the mean, is that of the reference
          (Izmailov et al. 2021). NaN unless the outputs are probabilities of classes, which add up to 1

        Where y is a class, `wasserstein` and `mean_error` are in units of probability: where the reference is certain
        of the class its sd is almost 0, and distances in units of it would measure nothing else. Query points and
        outputs at which the reference's sd is 0 are then left out of `log_sd_ratio`, and of no other measure.

    Raises:
        ValueError: If a successful run has no draws, if runs of one dataset have different query points or outputs, or
            if y is a number and the reference's draws agree exactly at a query point.
    """
    runs = _successful_runs(results)
    for run in runs:
        require("functions" in draws.get(run, {}), f"draws of {_label(run)} must have an array 'functions', got none")
    functions: dict[Run, Array] = {run: draws[run]["functions"] for run in runs}
    regions = _regions(predictions)
    classes = "entropy" in results and bool(results["entropy"].notna().any())
    rows = []
    for dataset in results["dataset"].unique():
        of_reference = [run for run in runs if run[:2] == (dataset, reference)]
        if not of_reference:
            continue
        all_seeds = _reference([functions[run] for run in of_reference], reference, classes)
        without = {seed: [functions[run] for run in of_reference if run[2] != seed] for *_, seed in of_reference}
        other_seeds = {seed: _reference(kept, reference, classes) for seed, kept in without.items() if kept}
        for run in [run for run in runs if run[0] == dataset]:
            expected, got = all_seeds.sd.shape, functions[run].shape[1:]
            message = f"{_label(run)} must have the reference's query points and outputs {expected}, got {got}"
            require(got == expected, message)
            if_no_other_seed = None if run in of_reference else all_seeds
            measures = _measures(_Sample.of(functions[run]), other_seeds.get(run[2], if_no_other_seed), classes)
            rows += _rows(run, reference, regions[run], measures)
    return pd.DataFrame(rows, columns=[*_RUN_COLUMNS, "region", "reference", "sd_ratio", *_MEASURES])


def summarise_reference_distances(distances: pd.DataFrame) -> pd.DataFrame:
    """Summarise the distances to the reference over the seeds of each method.

    Args:
        distances: Rows of one dataset, as `reference_distances` returns them.

    Returns:
        One row for each method, in the order in which the methods first appear. The columns are `method` and, for every
        region,

        - `sd_ratio_<region>`, `wasserstein_<region>`, `mean_error_<region>` and `total_variation_<region>`: geometric
          means over seeds. `_low` and `_high` are appended for the bounds of a 95 % t interval over seeds, computed in
          logs; the bounds are NaN with one seed, and where the measure of a seed is 0
        - `agreement_<region>`: mean over seeds

    Raises:
        ValueError: If there are rows of more than one dataset.
    """
    datasets = list(distances["dataset"].unique())
    require(len(datasets) <= 1, f"distances must be of one dataset, got {', '.join(datasets)}")
    rows = [{"method": method, **_summary(group)} for method, group in distances.groupby("method", sort=False)]
    return pd.DataFrame(rows, columns=["method", *_summary(distances.iloc[:0])])


def _successful_runs(results: pd.DataFrame) -> list[Run]:
    """The runs of which every row is "ok", in the order in which they first appear."""
    failed = set(_runs(results[results["status"] != "ok"]))
    return [run for run in _runs(results) if run not in failed]


def _runs(results: pd.DataFrame) -> list[Run]:
    rows = results[list(_RUN_COLUMNS)].drop_duplicates()
    return list(zip(rows["dataset"], rows["method"], rows["seed"].tolist(), strict=True))


def _label(run: Run) -> str:
    dataset, method, seed = run
    return f"{dataset} / {method} / seed {seed}"


def _reference(functions: list[Array], name: str, classes: bool) -> _Sample:
    """The draws of several seeds together."""
    shapes = {each.shape[1:] for each in functions}
    require(
        len(shapes) == 1,
        f"all seeds of the reference {name!r} must have the same query points and outputs, got {sorted(shapes)}",
    )
    sample = _Sample.of(np.concatenate(functions))
    got = f"got none at {(sample.sd == 0).any(axis=1).sum()} of {len(sample.sd)} query points"
    positive = bool((sample.sd > 0).all())
    require(classes or positive, f"the reference {name!r} must have variance at every query point, {got}")
    return sample


def _regions(predictions: pd.DataFrame) -> dict[Run, npt.NDArray[np.str_]]:
    """The region `[M]` of each query point of each run, in the order of the query points' numbers."""
    by = list(_RUN_COLUMNS)
    points = predictions.drop_duplicates([*by, "query_point"]).sort_values("query_point")
    return {cast(Run, run): group.to_numpy(dtype=np.str_) for run, group in points.groupby(by)["region"]}


def _measures(sample: _Sample, reference: _Sample | None, classes: bool) -> dict[str, Array]:
    """Each measure by query point and output `[M, D]`, or by query point `[M]`; NaN is left out of the rows' means."""
    unknown = np.full_like(sample.sd, np.nan)
    if reference is None:
        return dict.fromkeys(_MEASURES, unknown)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_sd_ratio = np.where(reference.sd > 0, np.log(sample.sd / reference.sd), np.nan)
    unit = 1.0 if classes else reference.sd
    difference = np.abs(sample.mean - reference.mean)
    add_up = classes and np.allclose(reference.mean.sum(axis=1), 1)
    agreement = (sample.mean.argmax(axis=1) == reference.mean.argmax(axis=1)).astype(np.float64)
    return {
        "log_sd_ratio": log_sd_ratio,
        "wasserstein": wasserstein(sample.draws, reference.draws) / unit,
        "mean_error": difference / unit,
        "total_variation": difference.sum(axis=1) / 2 if add_up else unknown,
        "agreement": agreement if add_up else unknown,
    }


def _rows(
    run: Run, reference: str, regions: npt.NDArray[np.str_], measures: dict[str, Array]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for region in REGIONS:
        inside = regions == region
        if inside.any():
            means = {name: _mean_of_known(values[inside]) for name, values in measures.items()}
            names = dict(zip(_RUN_COLUMNS, run, strict=True))
            sd_ratio = float(np.exp(means["log_sd_ratio"]))
            rows.append({**names, "region": region, "reference": reference, **means, "sd_ratio": sd_ratio})
    return rows


def _mean_of_known(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _summary(rows: pd.DataFrame) -> dict[str, float]:
    """The columns of `summarise_reference_distances` for one method."""
    columns: dict[str, float] = {}
    for region in REGIONS:
        inside = rows[rows["region"] == region]
        for measure in ("sd_ratio", "wasserstein", "mean_error", "total_variation"):
            name = f"{measure}_{region}"
            interval = ratio_interval(inside[measure])
            columns |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
        columns[f"agreement_{region}"] = inside["agreement"].mean()
    return columns
