"""The measure of a model's epistemic variance away from its data, for a model of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from variational_bnn.base import BETWEEN, BEYOND, NEAR, Dataset, Predictive
from variational_bnn.base.checks import require
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, QueryPoints, growth_exponent, propose_query_points
from variational_bnn.prediction.predict import predict


@dataclass(frozen=True, kw_only=True)
class EpistemicReport:
    """Where a model is uncertain of its function; region by region, in squared units of y, or of probabilities.

    Attributes:
        epistemic_variance: Mean over each region's inputs and outputs.
        aleatoric_variance: Likewise.
        queries: How many inputs each region has; regions without any are absent from all three.
        growth: p in epistemic sd ~ distance^p beyond the data; NaN if undefined.
    """

    epistemic_variance: dict[str, float]
    aleatoric_variance: dict[str, float]
    query_points: dict[str, int]
    growth_exponent: float

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
            f"{np.sqrt(self.aleatoric_variance[region]):.4g}, {self.query_points[region]} inputs"
            for region, variance in self.epistemic_variance.items()
        ]
        if not any(self.epistemic_variance.values()):
            return "\n".join([*lines, "no epistemic variance anywhere"])
        ratios = f"between/near {self.between_near:.3g}, beyond/near {self.beyond_near:.3g}"
        return "\n".join([*lines, f"epistemic variance {ratios}; beyond, sd ~ distance^{self.growth_exponent:.2g}"])


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
    asked = propose_query_points(dataset, QUERY_POINT_SEED)
    predictive = predict(model, asked.x, num_samples=num_samples, seed=seed)
    wanted, outputs = len(dataset.output_names), predictive.mean.shape[1]
    require(outputs == wanted, f"the model must have {wanted} outputs, got {outputs}")
    regions = asked.inside
    return EpistemicReport(
        epistemic_variance={r: float(predictive.epistemic_variance[rows].mean()) for r, rows in regions.items()},
        aleatoric_variance={r: float(predictive.aleatoric_variance[rows].mean()) for r, rows in regions.items()},
        query_points={r: int(rows.sum()) for r, rows in regions.items()},
        growth_exponent=growth_exponent_in(BEYOND, asked, predictive),
    )


def growth_exponent_in(region: str, asked: QueryPoints, predictive: Predictive) -> float:
    """The power p in epistemic sd ~ distance^p over the queries of a region; NaN if undefined."""
    inside = asked.regions == region
    return growth_exponent(asked.distance[inside], predictive.epistemic_variance[inside])
