"""What a run on a table does: fit a method to a dataset from one seed, and measure it."""

from __future__ import annotations

import dataclasses
import gc
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import (
    LEVELS,
    NEAR,
    TAU,
    Dataset,
    Diagnostics,
    FitError,
    Method,
    Network,
    Posterior,
    Predictive,
)
from variational_bnn.base.checks import Array, Floats, require
from variational_bnn.base.progress import part
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, QueryPoints, growth_exponent, propose_query_points
from variational_bnn.evaluation.scores import accuracy, coverage, crps, interval_width, pit, rmse
from variational_bnn.evaluation.subsample import MOST_ROWS, some_rows
from variational_bnn.experiments.memory import peak_memory
from variational_bnn.experiments.result import NO_PREDICTIONS, RESULT_COLUMNS, Result, diagnosed, table_of, trace_of
from variational_bnn.experiments.run import Outcome, Run, status_of


@dataclass(frozen=True, kw_only=True)
class TableRun:
    """A method and a seed, to be fitted to a dataset; everything that its rows depend on.

    Attributes:
        name: Name of the method in the comparison.
        method: The method.
        seed: Seed of the fit and of the function samples.
        dataset: What to learn from.
        network: What to fit.
        num_samples: Number of function samples of each predictive.
    """

    name: str
    method: Method
    seed: int
    dataset: Dataset
    network: Network
    num_samples: int

    def as_run(self) -> Run:
        """This as a run that the engine executes."""
        failure = partial(_failed, self.dataset, self.name, self.seed)
        return Run(name=self.name, seed=self.seed, execute=self.execute, failure=failure)

    @property
    def share_of_fit(self) -> float:
        """The share of the work that the fit is, about; a fit to a larger sample comes after it."""
        return 0.9 if self.dataset.larger_sample is None else 0.5

    def fit(self, dataset: Dataset) -> Posterior:
        """The posterior of the run's method, given a dataset."""
        posterior = self.method.fit(dataset, self.network, self.seed)
        if not isinstance(posterior, Posterior):
            needed = "diagnostics, predict and sample_functions"
            raise TypeError(f"fit must return a Posterior, with {needed}, got {type(posterior).__name__}")
        return posterior

    def predict(self, posterior: Posterior, x: Array) -> Predictive:
        """What the posterior predicts at inputs, from the run's function samples."""
        return posterior.predict(x, num_samples=self.num_samples, seed=self.seed)

    def execute(self) -> Outcome:
        """Fit, predict and measure; a fit that fails has rows that say so."""
        if len(self.dataset.x) > MOST_ROWS:
            gc.collect()  # A model that is no longer used keeps the rows of its fit until its cycles are collected.
        points = propose_query_points(self.dataset, QUERY_POINT_SEED)
        with peak_memory() as peak:
            start = time.perf_counter()
            try:
                with part(0.0, self.share_of_fit):
                    posterior = self.fit(self.dataset)
                fitted = time.perf_counter()
                with np.errstate(over="ignore", invalid="ignore"):
                    predictive = self.predict(posterior, points.x)
                predicted = time.perf_counter()
                functions = posterior.sample_functions(points.x, num_samples=self.num_samples, seed=self.seed)
                functions = _checked(self, predictive, functions, len(points.x))
            except FitError as error:
                measured = {"fit_seconds": time.perf_counter() - start, "peak_memory": peak()}
                return _failed(self.dataset, self.name, self.seed, status_of(error), error.diagnostics, measured)
            common = Result(
                dataset=self.dataset.name,
                method=self.name,
                seed=self.seed,
                region="",
                **self._training_scores(posterior),
                fit_seconds=fitted - start,
                predict_seconds=predicted - fitted,
                peak_memory=peak(),
                **diagnosed(posterior.diagnostics),
            )
        scored = _Scored.of(self, posterior, predictive, points) if points.y is not None else None
        rows = [
            dataclasses.replace(
                common,
                region=region,
                query_points=int(inside.sum()),
                epistemic_variance=float(predictive.epistemic_variance[inside].mean()),
                latent_variance=float(predictive.latent_variance[inside].mean()),
                aleatoric_variance=float(predictive.aleatoric_variance[inside].mean()),
                growth_exponent=growth_exponent(points.distance[inside], predictive.variance_over_draws[inside]),
                **_information(predictive, inside),
                **(scored.measures(inside) if scored else {}),
                **(_contraction(self, predictive, points) if region == NEAR else {}),
            )
            for region, inside in points.inside.items()
        ]
        return Outcome(
            rows=table_of(rows, RESULT_COLUMNS),
            tables={"predictions": _predictions(self, points, predictive, scored)},
            arrays={"functions": functions, **trace_of(posterior.diagnostics)},
        )

    def _training_scores(self, posterior: Posterior) -> dict[str, Any]:
        """Scores on the training rows, or on some of very many."""
        rows = some_rows(len(self.dataset.x))
        predictive, y = self.predict(posterior, self.dataset.x[rows]), self.dataset.y[rows]
        scores = {"train_rmse": rmse(self.dataset.outputs(y), predictive.mean)}
        if predictive.entropy is not None:
            scores["train_accuracy"] = accuracy(y, predictive.probabilities)
        return scores


def _failed(
    dataset: Dataset,
    name: str,
    seed: int,
    status: str,
    diagnostics: Diagnostics | None = None,
    measured: dict[str, Any] | None = None,
) -> Outcome:
    """The outcome of a run that went wrong: a row for each region, with the status."""
    row = Result(
        dataset=dataset.name,
        method=name,
        seed=seed,
        region="",
        status=status,
        **diagnosed(diagnostics),
        **(measured or {}),
    )
    regions = propose_query_points(dataset, QUERY_POINT_SEED).inside
    rows = [dataclasses.replace(row, region=region) for region in regions]
    table = table_of(rows, RESULT_COLUMNS)
    return Outcome(rows=table, tables={"predictions": NO_PREDICTIONS}, arrays=trace_of(diagnostics))


def _information(predictive: Predictive, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Mean entropy and its parts over some query points; empty unless y is a class."""
    if predictive.entropy is None or predictive.latent_information is None:
        return {}
    parts = {
        "entropy": predictive.entropy,
        "mutual_information": predictive.mutual_information,
        "latent_information": predictive.latent_information,
    }
    return {name: float(values[inside].mean()) for name, values in parts.items()}


def _checked(run: TableRun, predictive: Predictive, functions: Any, num_points: int) -> Floats:
    """The function samples as an array of numbers.

    Raises:
        FitError: If a prediction is infinite or NaN.
        TypeError: If `predict` returned something else than a `Predictive`.
        ValueError: If a shape is wrong.
    """
    if not isinstance(predictive, Predictive):
        raise TypeError(f"predict must return a Predictive, got {type(predictive).__name__}")
    functions = np.asarray(functions)
    functions = functions if functions.dtype.kind == "f" else functions.astype(np.float64)
    shape = (num_points, len(run.dataset.output_names))
    got, needed = predictive.mean.shape, (run.num_samples, *shape)
    require(got == shape, f"predict must return a mean of shape {list(shape)}, got {list(got)}")
    wrong = f"sample_functions must return shape {list(needed)}, got {list(functions.shape)}"
    require(functions.shape == needed, wrong)
    parts = predictive.mean, predictive.variance, functions
    if not all(np.isfinite(part).all() for part in parts):
        raise FitError("not finite: a prediction is infinite or NaN")
    return functions


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """A run's predictive and the held-out targets: `[N, D]` each, or `[S, N, D]`.

    Attributes:
        run: The run.
        posterior: What it fitted.
        x: The held-out inputs.
        y: The held-out targets.
        outputs: The targets as `Dataset.outputs` has them, which the mean is compared with.
        predictive: At the held-out inputs.
        classes: Whether y is a class: it has no order, so there are neither intervals nor `pit`, which is NaN then.
        log_prob: Log densities of the targets `[N]`; NaN where the predictive has no density, since it has no noise.
        samples: Draws of y; None of classes, and without noise.
        pit: Probability integral transform of the targets.
    """

    run: TableRun
    posterior: Posterior
    x: Array
    y: Array
    outputs: Array
    predictive: Predictive
    classes: bool
    log_prob: Array
    samples: Floats | None
    pit: Array

    @classmethod
    def of(cls, run: TableRun, posterior: Posterior, predictive: Predictive, points: QueryPoints) -> _Scored:
        assert points.y is not None
        has_density = predictive.entropy is not None or bool((predictive.aleatoric_variance > 0).all())
        samples = predictive.sample(seed=run.seed) if has_density and predictive.entropy is None else None
        return cls(
            run=run,
            posterior=posterior,
            x=points.x,
            y=points.y,
            outputs=run.dataset.outputs(points.y),
            predictive=predictive,
            classes=predictive.entropy is not None or bool(run.dataset.class_names),
            log_prob=predictive.log_prob(points.y) if has_density else np.full(len(points.y), np.nan),
            samples=samples,
            pit=np.full_like(predictive.mean, np.nan) if samples is None else pit(samples, points.y),
        )

    def measures(self, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """The fields of `Result` that are scores, over some of the rows."""
        y, mean = self.y[inside], self.predictive.mean[inside]
        scores = {
            "rmse": rmse(self.outputs[inside], mean),
            "log_likelihood": float(self.log_prob[inside].mean()),
            "joint_log_likelihood": self._joint_log_likelihood(np.flatnonzero(inside)),
        }
        if self.classes:
            scores["accuracy"] = accuracy(y, mean)
        if self.samples is None:
            return scores
        samples = self.samples[:, inside]
        scores["crps"] = float(crps(samples, y).mean())
        for level in LEVELS:
            scores[f"coverage_{100 * level:.0f}"] = coverage(self.pit[inside], level)
            scores[f"width_{100 * level:.0f}"] = float(interval_width(samples, level).mean())
        return scores

    def _joint_log_likelihood(self, rows: npt.NDArray[np.intp]) -> float:
        """In nats per row, of `TAU` random rows at a time."""
        if len(rows) < TAU or np.isnan(self.log_prob).all():
            return math.nan
        shuffled = np.random.default_rng(QUERY_POINT_SEED).permutation(rows)
        predictive = self.run.predict(self.posterior, self.x[shuffled])
        return float(predictive.joint_log_prob(self.y[shuffled], tau=TAU).mean()) / TAU


def _contraction(run: TableRun, predictive: Predictive, points: QueryPoints) -> dict[str, Any]:
    """How many times less variance over draws there is near the data with four times as much of it."""
    more = run.dataset.larger_sample
    if more is None:
        return {}
    if (reason := run.method.supports(more, run.network)) is not None:
        return {"contraction_status": f"not supported: {reason}"}
    near = points.inside[NEAR]
    try:
        with part(run.share_of_fit, 1.0):
            posterior = run.fit(more)
        after = float(run.predict(posterior, points.x[near]).variance_over_draws.mean())
    except Exception as error:  # A method may be anybody's; what was measured before stays.
        return {"contraction_status": status_of(error)}
    before = float(predictive.variance_over_draws[near].mean())
    return {"contraction": before / after if after > 0 else math.nan}


def _predictions(run: TableRun, points: QueryPoints, predictive: Predictive, scored: _Scored | None) -> pd.DataFrame:
    one_feature = run.dataset.x.shape[1] == 1
    tables = [
        pd.DataFrame(
            {
                "dataset": run.dataset.name,
                "method": run.name,
                "seed": run.seed,
                "query_point": np.arange(len(points.x)),
                "output": output,
                "region": points.regions,
                "distance": points.distance,
                "x": points.x[:, 0] if one_feature else np.nan,
                "y": scored.outputs[:, column] if scored else np.nan,
                "pit": scored.pit[:, column] if scored else np.nan,
                "mean": predictive.mean[:, column],
                "epistemic_variance": predictive.epistemic_variance[:, column],
                "latent_variance": predictive.latent_variance[:, column],
                "aleatoric_variance": predictive.aleatoric_variance[:, column],
            }
        )
        for column, output in enumerate(run.dataset.output_names)
    ]
    return pd.concat(tables, ignore_index=True)
