"""A run on a table: a method and a seed; and what is measured of the posterior that was fitted."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from variational_bnn.base import NEAR, Dataset, Diagnostics, FitError, Method, Network, Posterior, Predictive
from variational_bnn.base.checks import Array, Floats, require
from variational_bnn.base.progress import reached
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, QueryPoints, growth_exponent, propose_query_points
from variational_bnn.evaluation.scores import accuracy, rmse
from variational_bnn.evaluation.subsample import some_rows
from variational_bnn.experiments.memory import peak_memory
from variational_bnn.experiments.result import NO_PREDICTIONS, RESULT_COLUMNS, Result, diagnosed, table_of, trace_of
from variational_bnn.experiments.run import Outcome, Run, status_of
from variational_bnn.experiments.table_scores import Scored, information, predictions

LARGER_FITTED = 0.6
"""The share of what follows a fit that a further one to the larger sample is, about."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """What came of a fit.

    Attributes:
        result: What the method returned, which should be a posterior, or the error that it raised.
        seconds: Wall clock; of fits from several seeds together, its share of it.
        peak_memory: The most memory that the process held meanwhile, beyond what it held before, MiB; of fits together,
            of all of them.
        kept_memory: The memory that it held afterwards, beyond what it held before, MiB.
    """

    result: object
    seconds: float
    peak_memory: float
    kept_memory: float

    @property
    def posterior(self) -> Posterior:
        """The posterior.

        Raises:
            Exception: The error that the method raised.
            TypeError: If it returned something else than a posterior.
        """
        if isinstance(self.result, Exception):
            raise self.result
        if not isinstance(self.result, Posterior):
            needed = "diagnostics, predict and sample_functions"
            raise TypeError(f"fit must return a Posterior, with {needed}, got {type(self.result).__name__}")
        return self.result


@dataclass(frozen=True, kw_only=True, eq=False)
class TableRun(Run):
    """A method and a seed, to be fitted to a dataset; everything that its rows depend on.

    Attributes:
        method: The method.
        dataset: What to learn from.
        network: What to fit.
        num_samples: Number of function samples of each predictive.
    """

    method: Method
    dataset: Dataset
    network: Network
    num_samples: int

    def failure(self, status: str) -> Outcome:
        """The outcome of a run that went wrong: a row for each region, with the status."""
        return self._failure(status, None, {})

    def measure(self, fit: Fit, fit_to_larger_sample: Callable[[Dataset], Fit]) -> Outcome:
        """Predict and measure; a fit that failed has rows that say so.

        Args:
            fit: To the dataset.
            fit_to_larger_sample: Gives the one to a larger sample; called if there is one that the method supports.
        """
        reached(0.0, "measuring")
        points = propose_query_points(self.dataset, QUERY_POINT_SEED)
        costs = {"fit_seconds": fit.seconds, "peak_memory": fit.peak_memory}
        try:
            with peak_memory() as peak:
                posterior, start = fit.posterior, time.perf_counter()
                with np.errstate(over="ignore", invalid="ignore"):
                    predictive = self._predict(posterior, points.x)
                costs["predict_seconds"] = time.perf_counter() - start
                functions = posterior.sample_functions(points.x, num_samples=self.num_samples, seed=self.seed)
                functions = self._checked(predictive, functions, len(points.x))
                training_scores = self._training_scores(posterior)
                costs["peak_memory"] = max(fit.peak_memory, fit.kept_memory + peak())
        except FitError as error:
            return self._failure(status_of(error), error.diagnostics, costs)
        contraction = self._contraction(fit_to_larger_sample, predictive, points)
        reached(LARGER_FITTED, "measuring")
        scored = Scored.of(self.dataset, self.seed, points, predictive, partial(self._predict, posterior))
        common = self._row(**training_scores, **costs, **diagnosed(posterior.diagnostics))
        rows = [
            dataclasses.replace(
                common,
                region=region,
                query_points=int(inside.sum()),
                epistemic_variance=float(predictive.epistemic_variance[inside].mean()),
                latent_variance=float(predictive.latent_variance[inside].mean()),
                aleatoric_variance=float(predictive.aleatoric_variance[inside].mean()),
                growth_exponent=growth_exponent(points.distance[inside], predictive.variance_over_draws[inside]),
                **information(predictive, inside),
                **(scored.measures(inside) if scored else {}),
                **(contraction if region == NEAR else {}),
            )
            for region, inside in points.inside.items()
        ]
        return Outcome(
            rows=table_of(rows, RESULT_COLUMNS),
            tables={"predictions": predictions(self.dataset, self.key, points, predictive, scored)},
            arrays={"functions": functions, **trace_of(posterior.diagnostics)},
        )

    def _predict(self, posterior: Posterior, x: Array) -> Predictive:
        """What a posterior predicts at inputs, from the run's function samples."""
        return posterior.predict(x, num_samples=self.num_samples, seed=self.seed)

    def _row(self, **measured: Any) -> Result:
        return Result(dataset=self.dataset.name, method=self.name, seed=self.seed, region="", **measured)

    def _failure(self, status: str, diagnostics: Diagnostics | None, costs: dict[str, float]) -> Outcome:
        """The outcome of a run that went wrong, with what is known of the fit."""
        row = self._row(status=status, **diagnosed(diagnostics), **costs)
        regions = propose_query_points(self.dataset, QUERY_POINT_SEED).inside
        table = table_of([dataclasses.replace(row, region=region) for region in regions], RESULT_COLUMNS)
        return Outcome(rows=table, tables={"predictions": NO_PREDICTIONS}, arrays=trace_of(diagnostics))

    def _checked(self, predictive: Predictive, functions: Any, num_points: int) -> Floats:
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
        shape = (num_points, len(self.dataset.output_names))
        got, needed = predictive.mean.shape, (self.num_samples, *shape)
        require(got == shape, f"predict must return a mean of shape {list(shape)}, got {list(got)}")
        wrong = f"sample_functions must return shape {list(needed)}, got {list(functions.shape)}"
        require(functions.shape == needed, wrong)
        parts = predictive.mean, predictive.variance, functions
        if not all(np.isfinite(part).all() for part in parts):
            raise FitError("not finite: a prediction is infinite or NaN")
        return functions

    def _training_scores(self, posterior: Posterior) -> dict[str, Any]:
        """Scores on the training rows, or on some of very many."""
        rows = some_rows(len(self.dataset.x))
        predictive, y = self._predict(posterior, self.dataset.x[rows]), self.dataset.y[rows]
        scores = {"train_rmse": rmse(self.dataset.outputs(y), predictive.mean)}
        if predictive.entropy is not None:
            scores["train_accuracy"] = accuracy(y, predictive.probabilities)
        return scores

    def _contraction(
        self, fit_to_larger_sample: Callable[[Dataset], Fit], predictive: Predictive, points: QueryPoints
    ) -> dict[str, Any]:
        """How many times less variance over draws there is near the data with four times as much of it."""
        more = self.dataset.larger_sample
        if more is None:
            return {}
        if (reason := self.method.supports(more, self.network)) is not None:
            return {"contraction_status": f"not supported: {reason}"}
        near = points.inside[NEAR]
        try:
            posterior = fit_to_larger_sample(more).posterior
            after = float(self._predict(posterior, points.x[near]).variance_over_draws.mean())
        except Exception as error:  # A method may be anybody's; what was measured before stays.
            return {"contraction_status": status_of(error)}
        before = float(predictive.variance_over_draws[near].mean())
        return {"contraction": before / after if after > 0 else math.nan}
