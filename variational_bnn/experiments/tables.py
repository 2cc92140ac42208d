"""One cell: a method fitted to a dataset from one seed, and everything that is measured of it."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import LEVELS, NEAR, TAU, Dataset, Diagnostics, Network, Posterior, Predictive, Training
from variational_bnn.base.checks import Array, Floats
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, QueryPoints, propose_query_points
from variational_bnn.evaluation.scores import accuracy, coverage, crps, interval_width, pit, rmse
from variational_bnn.experiments.memory import peak_memory
from variational_bnn.experiments.result import Result
from variational_bnn.methods import METHODS, FitError
from variational_bnn.prediction.epistemic import growth_exponent_in


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A method and a seed, to be run on a dataset; everything that its rows depend on."""

    method: str
    seed: int
    dataset: Dataset
    network: Network
    training: Training
    num_samples: int

    def fit(self, dataset: Dataset) -> Posterior:
        """The posterior of the cell's method, given a dataset."""
        return METHODS[self.method](dataset, self.network, self.training, self.seed)

    def predict(self, posterior: Posterior, x: Array) -> Predictive:
        """What the posterior says by the cell's draws."""
        return posterior.predict(x, num_samples=self.num_samples, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a cell leaves; see `results.Saved`.

    Attributes:
        rows: One a region.
        predictions: A row a query and output; none if the fit failed.
        draws: Functions at the queries, and the trace of Markov chains.
    """

    rows: list[Result]
    predictions: pd.DataFrame
    draws: dict[str, npt.NDArray[Any]]


def run_cell(cell: Cell) -> Finished:
    """Fit, ask and measure; a fit that fails is a row that says so."""
    asked = propose_query_points(cell.dataset, QUERY_POINT_SEED)
    common = Result(dataset=cell.dataset.name, method=cell.method, seed=cell.seed, region="")
    with peak_memory() as peak:
        start = time.perf_counter()
        try:
            posterior = cell.fit(cell.dataset)
            fitted = time.perf_counter()
            with np.errstate(over="ignore", invalid="ignore"):
                predictive = cell.predict(posterior, asked.x)
            predicted = time.perf_counter()
            functions = posterior.sample_functions(asked.x, num_samples=cell.num_samples, seed=cell.seed)
            _require_finite(predictive, functions)
        except FitError as error:
            failed = dataclasses.replace(
                common,
                fit_seconds=time.perf_counter() - start,
                peak_memory=peak(),
                status=str(error),
                **_diagnosed(error.diagnostics),
            )
            rows = [dataclasses.replace(failed, region=region) for region in asked.inside]
            return Finished(rows=rows, predictions=pd.DataFrame(), draws=_trace(error.diagnostics))
        common = dataclasses.replace(
            common,
            **_training_scores(cell.dataset, cell.predict(posterior, cell.dataset.x)),
            parameters=posterior.num_parameters,
            random_variables=posterior.num_random_variables,
            fit_seconds=fitted - start,
            predict_seconds=predicted - fitted,
            peak_memory=peak(),
            **_diagnosed(posterior.diagnostics),
        )
    scored = _Scored.of(cell, posterior, predictive, asked) if asked.y is not None else None
    rows = [
        dataclasses.replace(
            common,
            region=region,
            query_points=int(inside.sum()),
            epistemic_variance=float(predictive.epistemic_variance[inside].mean()),
            aleatoric_variance=float(predictive.aleatoric_variance[inside].mean()),
            growth_exponent=growth_exponent_in(region, asked, predictive),
            **_information(predictive, inside),
            **(scored.measures(inside) if scored else {}),
            **(_contraction(cell, predictive, asked) if region == NEAR else {}),
        )
        for region, inside in asked.inside.items()
    ]
    return Finished(
        rows=rows,
        predictions=_predictions(cell, asked, predictive, scored),
        draws={"functions": functions, **_trace(posterior.diagnostics)},
    )


def _training_scores(dataset: Dataset, predictive: Predictive) -> dict[str, Any]:
    scores = {"train_rmse": rmse(dataset.outputs(dataset.y), predictive.mean)}
    if predictive.entropy is not None:
        scores["train_accuracy"] = accuracy(dataset.y, predictive.probabilities)
    return scores


def _information(predictive: Predictive, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The means over some of the queries of what only classes have."""
    if predictive.entropy is None:
        return {}
    parts = {"entropy": predictive.entropy, "mutual_information": predictive.mutual_information}
    return {name: float(values[inside].mean()) for name, values in parts.items()}


def _require_finite(predictive: Predictive, functions: Floats) -> None:
    parts = predictive.mean, predictive.epistemic_variance, predictive.aleatoric_variance, functions
    if not all(np.isfinite(part).all() for part in parts):
        raise FitError("not finite: a prediction is infinite or NaN")


def _diagnosed(found: Diagnostics | None) -> dict[str, Any]:
    return {} if found is None else {"acceptance": found.acceptance, "r_hat": found.r_hat, "ess": found.ess}


def _trace(found: Diagnostics | None) -> dict[str, npt.NDArray[Any]]:
    return {} if found is None else {"trace": found.trace, "warmup": np.array(found.warmup)}


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """A cell's predictive beside the held-out targets: `[N, D]` each, or `[S, N, D]`.

    Attributes:
        outputs: As `Dataset.outputs` has the targets, which the mean is compared with.
        samples: None where y is a class: it has no order, so neither intervals nor `pit`, which is NaN then.
    """

    cell: Cell
    posterior: Posterior
    x: Array
    y: Array
    outputs: Array
    mean: Array
    log_prob: Array
    samples: Floats | None
    pit: Array

    @classmethod
    def of(cls, cell: Cell, posterior: Posterior, predictive: Predictive, asked: QueryPoints) -> _Scored:
        assert asked.y is not None
        samples = predictive.sample(seed=cell.seed) if predictive.entropy is None else None
        return cls(
            cell=cell,
            posterior=posterior,
            x=asked.x,
            y=asked.y,
            outputs=cell.dataset.outputs(asked.y),
            mean=predictive.mean,
            log_prob=predictive.log_prob(asked.y),
            samples=samples,
            pit=np.full_like(predictive.mean, np.nan) if samples is None else pit(samples, asked.y),
        )

    def measures(self, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """The fields of `Result` that are scores, over some of the rows."""
        y, mean = self.y[inside], self.mean[inside]
        scores = {
            "rmse": rmse(self.outputs[inside], mean),
            "log_likelihood": float(self.log_prob[inside].mean()),
            "joint_log_likelihood": self._joint_log_likelihood(np.flatnonzero(inside)),
        }
        if self.samples is None:
            return {**scores, "accuracy": accuracy(y, mean)}
        samples = self.samples[:, inside]
        scores["crps"] = float(crps(samples, y).mean())
        for level in LEVELS:
            scores[f"coverage_{100 * level:.0f}"] = coverage(self.pit[inside], level)
            scores[f"width_{100 * level:.0f}"] = float(interval_width(samples, level).mean())
        return scores

    def _joint_log_likelihood(self, rows: npt.NDArray[np.intp]) -> float:
        """In nats per row, of `TAU` random rows at a time."""
        if len(rows) < TAU:
            return math.nan
        shuffled = np.random.default_rng(QUERY_POINT_SEED).permutation(rows)
        predictive = self.cell.predict(self.posterior, self.x[shuffled])
        return float(predictive.joint_log_prob(self.y[shuffled], tau=TAU).mean()) / TAU


def _contraction(cell: Cell, predictive: Predictive, asked: QueryPoints) -> dict[str, Any]:
    """How many times less epistemic variance there is near the data with four times as much of it."""
    if cell.dataset.larger_sample is None:
        return {}
    try:
        posterior = cell.fit(cell.dataset.larger_sample)
    except FitError as error:
        return {"contraction_status": str(error)}
    near = asked.inside[NEAR]
    after = float(cell.predict(posterior, asked.x[near]).epistemic_variance.mean())
    before = float(predictive.epistemic_variance[near].mean())
    return {"contraction": before / after if after > 0 else math.nan}


def _predictions(cell: Cell, asked: QueryPoints, predictive: Predictive, scored: _Scored | None) -> pd.DataFrame:
    one_feature = cell.dataset.x.shape[1] == 1
    tables = [
        pd.DataFrame(
            {
                "dataset": cell.dataset.name,
                "method": cell.method,
                "seed": cell.seed,
                "query_point": np.arange(len(asked.x)),
                "output": output,
                "region": asked.regions,
                "distance": asked.distance,
                "x": asked.x[:, 0] if one_feature else np.nan,
                "y": scored.outputs[:, column] if scored else np.nan,
                "pit": scored.pit[:, column] if scored else np.nan,
                "mean": predictive.mean[:, column],
                "epistemic_variance": predictive.epistemic_variance[:, column],
                "aleatoric_variance": predictive.aleatoric_variance[:, column],
            }
        )
        for column, output in enumerate(cell.dataset.output_names)
    ]
    return pd.concat(tables, ignore_index=True)
