"""One cell, a method on a dataset from one seed, and the measure of its epistemic variance away from the data."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base import BETWEEN, BEYOND, NEAR, Dataset, Network, Predictive, Result, Training
from variational_bnn.checks import require
from variational_bnn.methods import METHODS, DivergedError
from variational_bnn.metrics import rmse
from variational_bnn.predictive import predict
from variational_bnn.regions import Queries, growth, queries

QUERY_SEED = 0
"""All methods and seeds answer the same queries."""


@dataclass(frozen=True, kw_only=True)
class EpistemicReport:
    """Where a model is uncertain of its function; region by region, in squared units of y.

    Attributes:
        epistemic_variance: Mean over each region's inputs and outputs.
        aleatoric_variance: Likewise.
        queries: How many inputs each region has; regions without any are absent from all three.
        growth: p in epistemic sd ~ distance^p beyond the data; NaN if undefined.
    """

    epistemic_variance: dict[str, float]
    aleatoric_variance: dict[str, float]
    queries: dict[str, int]
    growth: float

    @property
    def between_near(self) -> float:
        """Ratio of the epistemic variance between the data to that near it; NaN if undefined."""
        return self._to_near(BETWEEN)

    @property
    def beyond_near(self) -> float:
        """Ratio of the epistemic variance beyond the data to that near it; NaN if undefined."""
        return self._to_near(BEYOND)

    def _to_near(self, region: str) -> float:
        near = self.epistemic_variance.get(NEAR, 0.0)
        return self.epistemic_variance.get(region, np.nan) / near if near > 0 else np.nan

    def __str__(self) -> str:
        """A line for each region, and the ratios."""
        lines = [
            f"{region:8} epistemic sd {np.sqrt(variance):.4g}, aleatoric sd "
            f"{np.sqrt(self.aleatoric_variance[region]):.4g}, {self.queries[region]} inputs"
            for region, variance in self.epistemic_variance.items()
        ]
        if not any(self.epistemic_variance.values()):
            return "\n".join([*lines, "no epistemic variance anywhere"])
        ratios = f"between/near {self.between_near:.3g}, beyond/near {self.beyond_near:.3g}"
        return "\n".join([*lines, f"epistemic variance {ratios}; beyond, sd ~ distance^{self.growth:.2g}"])


def measure_epistemic_variance(
    model: Any, dataset: Dataset, *, num_samples: int = 200, seed: int = 0
) -> EpistemicReport:
    """Measure a model's epistemic variance near its training data, between it and beyond it.

    Queries are the dataset's held-out rows in the regions of its split, or else inputs proposed near, between and
    beyond the training rows and labelled by their distance to them. For stochastic hidden units what is measured is
    noise of the units, which is not uncertainty about parameters.

    Args:
        model: A tf_keras model trained on `dataset.x` and `dataset.y` as they are.
        dataset: What it was trained on.
        num_samples: Draws.
        seed: Of the draws.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the dataset does not fit the model.
    """
    asked = queries(dataset, QUERY_SEED)
    predictive = predict(model, asked.x, num_samples=num_samples, seed=seed)
    outputs = predictive.mean.shape[1]
    require(outputs == dataset.y.shape[1], f"the model must have {dataset.y.shape[1]} outputs, got {outputs}")
    regions = asked.inside
    return EpistemicReport(
        epistemic_variance={r: float(predictive.epistemic_variance[rows].mean()) for r, rows in regions.items()},
        aleatoric_variance={r: float(predictive.aleatoric_variance[rows].mean()) for r, rows in regions.items()},
        queries={r: int(rows.sum()) for r, rows in regions.items()},
        growth=_growth_in(BEYOND, asked, predictive),
    )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A method and a seed, to be run on a dataset; everything that its rows depend on."""

    method: str
    seed: int
    dataset: Dataset
    network: Network
    training: Training
    num_samples: int


def run_cell(cell: Cell) -> tuple[list[Result], pd.DataFrame]:
    """Fit, ask and measure; a fit that diverges is a row that says so.

    Returns:
        A row for each region, and the predictions, a row for each query and output (see `results.Saved`).
    """
    asked = queries(cell.dataset, QUERY_SEED)
    names: dict[str, Any] = {"dataset": cell.dataset.name, "method": cell.method, "seed": cell.seed}
    start = time.perf_counter()
    try:
        posterior = METHODS[cell.method](cell.dataset, cell.network, cell.training, cell.seed)
    except DivergedError as error:
        spent = time.perf_counter() - start
        rows = [Result(**names, region=region, fit_seconds=spent, status=str(error)) for region in asked.inside]
        return rows, pd.DataFrame()
    fitted = time.perf_counter()
    predictive = posterior.predict(asked.x, num_samples=cell.num_samples, seed=cell.seed)
    predicted = time.perf_counter()
    on_training = posterior.predict(cell.dataset.x, num_samples=cell.num_samples, seed=cell.seed)
    common = Result(
        **names,
        region="",
        train_rmse=rmse(cell.dataset.y, on_training.mean),
        parameters=posterior.num_parameters,
        fit_seconds=fitted - start,
        predict_seconds=predicted - fitted,
    )
    log_prob = predictive.log_prob(asked.y) if asked.y is not None else None
    rows = [_measured(common, region, asked, predictive, log_prob) for region in asked.inside]
    return rows, _predictions(names, cell.dataset, asked, predictive)


def _measured(
    common: Result, region: str, asked: Queries, predictive: Predictive, log_prob: Any
) -> Result:
    inside = asked.inside[region]
    scores: dict[str, Any] = {}
    if asked.y is not None:
        scores = {
            "rmse": rmse(asked.y[inside], predictive.mean[inside]),
            "log_likelihood": float(log_prob[inside].mean()),
        }
    return dataclasses.replace(
        common,
        region=region,
        queries=int(inside.sum()),
        epistemic_variance=float(predictive.epistemic_variance[inside].mean()),
        aleatoric_variance=float(predictive.aleatoric_variance[inside].mean()),
        growth=_growth_in(region, asked, predictive),
        **scores,
    )


def _growth_in(region: str, asked: Queries, predictive: Predictive) -> float:
    inside = asked.regions == region
    return growth(asked.distance[inside], predictive.epistemic_variance[inside])


def _predictions(names: dict[str, Any], dataset: Dataset, asked: Queries, predictive: Predictive) -> pd.DataFrame:
    one_feature = dataset.x.shape[1] == 1
    tables = [
        pd.DataFrame(
            {
                **names,
                "query": np.arange(len(asked.x)),
                "output": output,
                "region": asked.regions,
                "distance": asked.distance,
                "x": asked.x[:, 0] if one_feature else np.nan,
                "y": asked.y[:, column] if asked.y is not None else np.nan,
                "mean": predictive.mean[:, column],
                "epistemic_variance": predictive.epistemic_variance[:, column],
                "aleatoric_variance": predictive.aleatoric_variance[:, column],
            }
        )
        for column, output in enumerate(dataset.target_names)
    ]
    return pd.concat(tables, ignore_index=True)
