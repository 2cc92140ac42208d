"""What is measured: a row."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row: a method on a dataset, from one seed, in one region.

    Attributes:
        dataset: Its name.
        method: Its name in `METHODS`.
        seed: Of the initial values, the training noise and the draws.
        region: One of `REGIONS`.
        queries: How many inputs the means below are over.
        epistemic_variance: Mean over the region's inputs and outputs, squared units of y; of classes, those of their
            probabilities.
        aleatoric_variance: Likewise.
        growth: p in epistemic sd ~ distance^p over the region's inputs, by least squares in logs; NaN if undefined.
        entropy: Of the class, mean over the region's inputs and outputs, nats; NaN if y is a number, as the next two.
        mutual_information: Of the class and the draw, likewise: the epistemic part of the entropy.
        train_accuracy: As `accuracy`, of the training rows.
        train_rmse: Of the mean over the training rows, units of y: whether the method fits at all. Of K classes, of
            their probabilities: the root of the Brier score over K.
        accuracy: Share of the held-out targets whose most probable class is right; NaN without, or if y is a number.
        rmse: Of the mean over the region, units of y, or as `train_rmse`; NaN without held-out targets.
        log_likelihood: Mean log predictive density, nats per row; NaN without held-out targets.
        joint_log_likelihood: Mean joint log predictive density of `TAU` rows at a time, nats per row; NaN without as
            many held-out targets. From the draws, so an underestimate where their noise is far below their spread.
        crps: Mean continuous ranked probability score, units of y; NaN without held-out targets, and for classes, as
            are coverage and width.
        coverage_50: Share of the held-out targets inside their central 50 % predictive interval (PICP); likewise for
            the other levels.
        width_50: Mean width of those intervals (MPIW), units of y; likewise.
        contraction: Mean epistemic variance near the data over that with four times as much of it, at the same inputs;
            about 4 where the data settle all parameters. NaN in other regions, and where the data cannot be made
            larger.
        contraction_status: "ok", or why there is no contraction although the data can be made larger.
        parameters: Trained or sampled numbers.
        random_variables: Random numbers that make one function.
        fit_seconds: Wall clock.
        predict_seconds: Wall clock, all regions together.
        peak_memory: Most memory that the process held meanwhile, beyond what it held before, MiB; what earlier fits
            had freed is not counted again.
        acceptance: Of Markov chains; NaN for other methods. See `Diagnostics`, also for the next two.
        r_hat: Largest over queries.
        ess: Smallest over queries.
        status: "ok", or what went wrong; the measures are NaN then.
    """

    dataset: str
    method: str
    seed: int
    region: str
    query_points: int = 0
    epistemic_variance: float = math.nan
    aleatoric_variance: float = math.nan
    growth_exponent: float = math.nan
    entropy: float = math.nan
    mutual_information: float = math.nan
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
    parameters: int = 0
    random_variables: int = 0
    fit_seconds: float = math.nan
    predict_seconds: float = math.nan
    peak_memory: float = math.nan
    acceptance: float = math.nan
    r_hat: float = math.nan
    ess: float = math.nan
    status: str = "ok"
