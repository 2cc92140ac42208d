"""The columns of results and predictions: what a run on a table measures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base import Diagnostics
from variational_bnn.experiments.files import Columns, types_of
from variational_bnn.experiments.run import Arrays


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of results: a method on a dataset, from one seed, in one region. Its fields are the columns.

    Means are over the region's query points and the outputs. A measure that is not defined is NaN: scores without
    held-out targets, intervals of classes, entropies of numbers, and everything where the run failed.

    Attributes:
        dataset: Name of the dataset.
        method: Name of the method in the comparison.
        seed: Seed of the initial values, the training noise and the function samples.
        region: "near", "between" or "beyond".
        query_points: How many query points the region has.
        epistemic_variance: Mean epistemic variance, squared units of y; of classes, that of their probabilities.
        latent_variance: Mean variance of the mean of y over latents that are drawn for each row, squared units of y; of
            classes, that of their probabilities. It is noise of the row.
        aleatoric_variance: Mean aleatoric variance, squared units of y; of classes, that of their probabilities.
        growth_exponent: p in sd over draws ~ distance^p, of epistemic and latent variance together, over the region's
            query points, by least squares in logs.
        entropy: Mean entropy of the predicted class, nats.
        mutual_information: Mean mutual information of the class and the parameters, nats: the epistemic part of the
            entropy.
        latent_information: Mean mutual information of the class and the latents given the parameters, nats.
        train_accuracy: Share of the training rows whose most probable class is right.
        train_rmse: Root mean squared error of the mean over the training rows, units of y. Of K classes, that of their
            probabilities: the root of the Brier score over K.
        accuracy: Share of the region's held-out rows whose most probable class is right.
        rmse: Root mean squared error of the mean over the region's held-out rows, units of y; of classes, that of their
            probabilities.
        log_likelihood: Mean log predictive density of the held-out targets, nats per row.
        joint_log_likelihood: Mean joint log predictive density of 10 held-out rows at a time, nats per row; NaN with
            fewer rows. It comes from function samples, and is too low where the noise is far below the epistemic sd.
        crps: Mean continuous ranked probability score of the held-out targets, units of y.
        coverage_50: Share of the held-out targets inside their central 50 % predictive interval (PICP).
        coverage_80: Share of the held-out targets inside their central 80 % predictive interval.
        coverage_90: Share of the held-out targets inside their central 90 % predictive interval.
        coverage_95: Share of the held-out targets inside their central 95 % predictive interval.
        width_50: Mean width of the central 50 % predictive intervals (MPIW), units of y.
        width_80: Mean width of the central 80 % predictive intervals, units of y.
        width_90: Mean width of the central 90 % predictive intervals, units of y.
        width_95: Mean width of the central 95 % predictive intervals, units of y.
        contraction: Mean epistemic and latent variance near the data over that of a fit to four times as many rows, at
            the same query points; about 4 where the data determine all parameters. NaN in other regions.
        contraction_status: "ok", or why there is no contraction although the dataset has a larger sample.
        likelihood: The likelihood of y that the method fitted, such as "Normal(scale=1)"; empty if it is not known.
        note: What a reader should know of the run, such as that its latents ignore x; empty if nothing.
        parameters: Trained or sampled numbers.
        random_variables: Random numbers that make one function sample.
        fit_seconds: Wall clock of the fit; of fits from several seeds together, that of all over their number.
        predict_seconds: Wall clock of the prediction at all query points.
        peak_memory: The most memory that the process held meanwhile, beyond what it held before, MiB; of fits from
            several seeds together, of all of them. Memory that earlier fits had freed within the process is not counted
            again.
        acceptance: Mean acceptance rate of Markov chains.
        r_hat: Largest rank-normalised split R-hat of function values over the query points; 1 where chains agree.
        ess: Smallest bulk effective sample size of function values over the query points.
        ess_tail: Smallest tail effective sample size of function values over the query points.
        status: "ok", or what went wrong.

    Example:
        >>> import variational_bnn as vbnn
        >>> row = vbnn.Result(dataset="lecture", method="flipout", seed=0, region="near", epistemic_variance=2.2)
        >>> row.status
        'ok'
    """

    dataset: str
    method: str
    seed: int
    region: str
    query_points: int = 0
    epistemic_variance: float = math.nan
    latent_variance: float = math.nan
    aleatoric_variance: float = math.nan
    growth_exponent: float = math.nan
    entropy: float = math.nan
    mutual_information: float = math.nan
    latent_information: float = math.nan
    train_accuracy: float = math.nan
    train_rmse: float = math.nan
    accuracy: float = math.nan
    rmse: float = math.nan
    log_likelihood: float = math.nan
    joint_log_likelihood: float = math.nan
    crps: float = math.nan
    coverage_50: float = math.nan
    coverage_80: float = math.nan
    coverage_90: float = math.nan
    coverage_95: float = math.nan
    width_50: float = math.nan
    width_80: float = math.nan
    width_90: float = math.nan
    width_95: float = math.nan
    contraction: float = math.nan
    contraction_status: str = "ok"
    likelihood: str = ""
    note: str = ""
    parameters: int = 0
    random_variables: int = 0
    fit_seconds: float = math.nan
    predict_seconds: float = math.nan
    peak_memory: float = math.nan
    acceptance: float = math.nan
    r_hat: float = math.nan
    ess: float = math.nan
    ess_tail: float = math.nan
    status: str = "ok"


def columns_of(row: type) -> Columns:
    """The columns that the fields of a dataclass are, with their defaults; those without one must be there."""
    types = {"str": str, "int": int, "float": float}
    return {
        field.name: types[str(field.type)] if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(row)
    }


def table_of(rows: Sequence[Any], columns: Columns) -> pd.DataFrame:
    """Rows, which are dataclasses, as a table; texts are folded into one line."""
    plain = [dataclasses.asdict(row) for row in rows]
    folded = [{name: " ".join(v.split()) if isinstance(v, str) else v for name, v in row.items()} for row in plain]
    return pd.DataFrame(folded, columns=list(columns)).astype(types_of(columns))


RESULT_COLUMNS = columns_of(Result)

PREDICTION_COLUMNS: Columns = {
    "dataset": str,
    "method": str,
    "seed": int,
    "query_point": int,
    "output": str,
    "region": str,
    "distance": math.nan,
    "x": math.nan,
    "y": math.nan,
    "pit": math.nan,
    "mean": math.nan,
    "epistemic_variance": math.nan,
    "latent_variance": math.nan,
    "aleatoric_variance": math.nan,
}
"""A row for each query point and output: `query_point` (a number), `output` (a target's name, or `target=class`),
`region`, `distance` (relative to the training inputs' own; 1 is the edge of `near`), `x` (NaN unless there is one
feature), `y` (the held-out target, 0 or 1 for each class, or NaN), `pit` (its probability integral transform or NaN),
`mean` (of a class its probability), `epistemic_variance`, `latent_variance` and `aleatoric_variance`."""

NO_PREDICTIONS = pd.DataFrame(columns=list(PREDICTION_COLUMNS)).astype(types_of(PREDICTION_COLUMNS))


def diagnosed(diagnostics: Diagnostics | None) -> dict[str, Any]:
    """The columns that diagnostics give."""
    if diagnostics is None:
        return {}
    return {
        "parameters": diagnostics.num_parameters,
        "random_variables": diagnostics.num_random_variables,
        "likelihood": diagnostics.likelihood,
        "note": diagnostics.note,
        **{name: getattr(diagnostics, name) for name in ("acceptance", "r_hat", "ess", "ess_tail")},
    }


def trace_of(diagnostics: Diagnostics | None) -> Arrays:
    """The trace of Markov chains, if there were any."""
    if diagnostics is None or diagnostics.trace is None:
        return {}
    return {"trace": diagnostics.trace, "warmup": np.array(diagnostics.warmup)}
