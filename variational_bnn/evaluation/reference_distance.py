"""How close each method's functions come to those of a reference posterior, query by query. No file is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import REGIONS
from variational_bnn.base.checks import Array, require
from variational_bnn.evaluation.regions import ratio_interval
from variational_bnn.evaluation.scores import wasserstein
from variational_bnn.experiments.csv_tables import CELL_TYPES, Cell, cells_in, failed_cells, label
from variational_bnn.experiments.draws_files import FUNCTIONS, Draws

_MEASURES = ("log_sd_ratio", "wasserstein", "mean_error", "total_variation", "agreement")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """Draws `[S, M, D]`, with their mean and sd `[M, D]`."""

    draws: Array
    mean: Array
    sd: Array

    @classmethod
    def of(cls, functions: Array) -> _Sample:
        """Equal draws have an sd of exactly 0: they are centred on the first, not on a mean that is rounded."""
        centred = functions - functions[0]
        return cls(draws=functions, mean=functions[0] + centred.mean(axis=0), sd=centred.std(axis=0))


def reference_distances(
    results: pd.DataFrame, predictions: pd.DataFrame, draws: Mapping[Cell, Draws], reference: str
) -> pd.DataFrame:
    """One row for each region of each cell that went well, where the reference has any such cell of its dataset.

    The reference's draws are those of all its seeds together, but of the cell's own: so the reference's own rows, which
    are measured alike, show how close the measures come by chance. With a single seed those are NaN, and all other
    methods are compared with that seed.

    Columns; means are over the region's queries and outputs, and sds are over the draws:

    - `dataset`, `method`, `seed`, `region`, `reference`
    - `log_sd_ratio`: mean of log(sd / the reference's sd), nats; -inf where the draws agree exactly
    - `sd_ratio`: exp of that
    - `wasserstein`: mean of the Wasserstein-1 distance between the draws and the reference's, in units of the
      reference's sd there (Izmailov et al. 2021, arXiv 2104.14421, leave it in those of y)
    - `mean_error`: mean of |mean - the reference's mean|, in units of the reference's sd there
    - `total_variation`: mean of half the sum over the classes of that difference; `agreement`: share of the queries
      whose most probable class, by the mean, is the reference's (Izmailov et al. 2021). NaN unless the outputs are
      probabilities of classes, which add up to 1

    Where y is a class, `wasserstein` and `mean_error` are in units of probability: where the reference is certain of
    the class its sd is next to nothing, and distances in such units would measure that alone. Where it has no sd at
    all, queries are left out of the ratio of sds, and of that alone.

    Args:
        results: As in `Saved.results`.
        predictions: As in `Saved.predictions`, which say where each query is.
        draws: As in `Saved.draws`.
        reference: The method that the others are compared with.

    Raises:
        ValueError: If a cell that went well has no draws, cells of one dataset were asked other queries, or the
            reference's draws agree exactly somewhere and y is a number.
    """
    failed = failed_cells(results)
    cells = [cell for cell in cells_in(results) if cell not in failed]
    for cell in cells:
        require(FUNCTIONS in draws.get(cell, {}), f"draws of {label(cell)} are wanted, got none")
    functions = {cell: draws[cell][FUNCTIONS] for cell in cells}
    regions, classes = _regions(predictions), bool(results["entropy"].notna().any())
    rows = []
    for dataset in results["dataset"].unique():
        of_reference = [cell for cell in cells if cell[:2] == (dataset, reference)]
        if not of_reference:
            continue
        everywhere = _reference([functions[cell] for cell in of_reference], reference, classes)
        without = {seed: [functions[cell] for cell in of_reference if cell[2] != seed] for *_, seed in of_reference}
        others = {seed: _reference(kept, reference, classes) for seed, kept in without.items() if kept}
        for cell in [cell for cell in cells if cell[0] == dataset]:
            wanted, got = everywhere.sd.shape, functions[cell].shape[1:]
            require(got == wanted, f"{label(cell)} must have the reference's queries and outputs {wanted}, got {got}")
            alone = None if cell in of_reference else everywhere
            measures = _measures(_Sample.of(functions[cell]), others.get(cell[2], alone), classes)
            rows += _rows(cell, reference, regions[cell], measures)
    return pd.DataFrame(rows, columns=[*CELL_TYPES, "region", "reference", "sd_ratio", *_MEASURES])


def summarise_reference_distances(closeness: pd.DataFrame) -> pd.DataFrame:
    """One row a method, in first-seen order, over its seeds.

    Columns: `method` and, for every region, `sd_ratio_<region>` and likewise `wasserstein`, `mean_error` and
    `total_variation`: geometric means, with `_low` and `_high` for the bounds of a 95 % t interval over seeds, taken in
    logs; and `agreement_<region>`, a mean. The bounds are NaN with one seed, and where a seed's measure is 0.

    Args:
        closeness: Rows of one dataset, as `closeness` gives them.

    Raises:
        ValueError: If there are rows of more than one dataset.
    """
    datasets = list(closeness["dataset"].unique())
    require(len(datasets) <= 1, f"closeness on one dataset is wanted, got {', '.join(datasets)}")
    rows = [{"method": method, **_summary(group)} for method, group in closeness.groupby("method", sort=False)]
    return pd.DataFrame(rows, columns=["method", *_summary(closeness.iloc[:0])])


def _reference(functions: list[Array], name: str, classes: bool) -> _Sample:
    """The draws of several seeds together."""
    shapes = {each.shape[1:] for each in functions}
    require(len(shapes) == 1, f"seeds of the reference {name!r} were asked other queries: {sorted(shapes)}")
    sample = _Sample.of(np.concatenate(functions))
    none = f"got none at {(sample.sd == 0).any(axis=1).sum()} of {len(sample.sd)} queries"
    require(classes or bool((sample.sd > 0).all()), f"the reference {name!r} must have variance at every query, {none}")
    return sample


def _regions(predictions: pd.DataFrame) -> dict[Cell, npt.NDArray[np.str_]]:
    """The region `[M]` of each query of each cell, in the order of the queries' numbers."""
    by = list(CELL_TYPES)
    queries = predictions.drop_duplicates([*by, "query_point"]).sort_values("query_point")
    return {cast(Cell, cell): group.to_numpy(dtype=np.str_) for cell, group in queries.groupby(by)["region"]}


def _measures(sample: _Sample, reference: _Sample | None, classes: bool) -> dict[str, Array]:
    """Those of each query and output `[M, D]`, or query `[M]`, of which the rows give the means; NaN is left out."""
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
    cell: Cell, reference: str, regions: npt.NDArray[np.str_], measures: dict[str, Array]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for region in REGIONS:
        inside = regions == region
        if inside.any():
            means = {name: _mean_of_known(values[inside]) for name, values in measures.items()}
            names = dict(zip(CELL_TYPES, cell, strict=True))
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
