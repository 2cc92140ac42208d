"""The measure of a model's epistemic variance near its training data, between it and beyond it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variational_bnn.base import BETWEEN, BEYOND, NEAR, Dataset
from variational_bnn.base.checks import require
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, growth_exponent, propose_query_points
from variational_bnn.models.backend import tf_keras
from variational_bnn.prediction.predict import predict


@dataclass(frozen=True, kw_only=True)
class EpistemicReport:
    """How uncertain a model is in each region, by source; `str(report)` is a summary of a few lines.

    Variances are in squared units of y, or of probabilities if y is a class. A region without query points is absent
    from all dictionaries, whose keys are "near", "between" and "beyond".

    Attributes:
        epistemic_variance: For each region, the variance of the mean of y over what is drawn once for all rows
            (weights, masks, factors of units), averaged over the region's query points and the outputs.
        latent_variance: For each region, the variance of the mean of y over latents that are drawn for each row,
            averaged over the region's query points and the outputs. It is noise of the row.
        aleatoric_variance: For each region, the mean over function samples of the variance of y, averaged over the
            region's query points and the outputs.
        query_points: For each region, the number of its query points.
        growth_exponent: The exponent p of epistemic sd ~ distance^p, without latents, over the query points beyond the
            data, where the distance is that to the nearest training input. NaN if it is undefined: with fewer than
            three query points of positive variance beyond the data, or with all at one distance.

    Example:
        >>> import variational_bnn as vbnn
        >>> variances = {"near": 2.0, "beyond": 30.0}
        >>> counts = {"near": 200, "beyond": 400}
        >>> report = vbnn.EpistemicReport(
        ...     epistemic_variance=variances,
        ...     latent_variance={"near": 0.0, "beyond": 0.0},
        ...     aleatoric_variance=variances,
        ...     query_points=counts,
        ...     growth_exponent=1.1,
        ... )
        >>> report.beyond_near
        15.0
    """

    epistemic_variance: dict[str, float]
    latent_variance: dict[str, float]
    aleatoric_variance: dict[str, float]
    query_points: dict[str, int]
    growth_exponent: float

    @property
    def between_near(self) -> float:
        """Ratio of the epistemic variance between the data to that near it; NaN if a region is absent or near is 0."""
        return self._ratio_to_near(BETWEEN)

    @property
    def beyond_near(self) -> float:
        """Ratio of the epistemic variance beyond the data to that near it; NaN if a region is absent or near is 0."""
        return self._ratio_to_near(BEYOND)

    def _ratio_to_near(self, region: str) -> float:
        near = self.epistemic_variance.get(NEAR, 0.0)
        return self.epistemic_variance.get(region, np.nan) / near if near > 0 else np.nan

    def __str__(self) -> str:
        """A line for each region, and one for the ratios and the growth exponent."""
        lines = [
            f"{region:8} epistemic sd {np.sqrt(variance):.4g}, latent sd {np.sqrt(self.latent_variance[region]):.4g}, "
            f"aleatoric sd {np.sqrt(self.aleatoric_variance[region]):.4g}, {self.query_points[region]} query points"
            for region, variance in self.epistemic_variance.items()
        ]
        if not any(self.epistemic_variance.values()):
            return "\n".join([*lines, "no epistemic variance in any region"])
        ratios = f"between/near {self.between_near:.3g}, beyond/near {self.beyond_near:.3g}"
        return "\n".join([*lines, f"epistemic variance {ratios}; beyond, sd ~ distance^{self.growth_exponent:.2g}"])


def measure_epistemic_variance(
    model: tf_keras.Model, dataset: Dataset, *, num_samples: int = 200, seed: int = 0
) -> EpistemicReport:
    """Measure the epistemic variance of a model near its training data, between it and beyond it.

    The query points are the held-out rows of the dataset, in the regions of its split. For a dataset without held-out
    rows they are inputs proposed near, between and beyond the training inputs, and put into regions by their distance
    to these. The variance of latents that are drawn for each row, as by `build_hidden_variation`, is reported apart: it
    is noise of the row, not uncertainty about parameters.

    Args:
        model: Any tf_keras model that was trained on `dataset.x` and `dataset.y` in the units in which they are given.
        dataset: The dataset that it was trained on.
        num_samples: Number of function samples, a whole number >= 1.
        seed: Seed of the function samples, >= 0.

    Returns:
        The mean variances, their ratios and the growth exponent, by region.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If the model does not take the dataset's features or does not put out as many values as the dataset
            has targets or classes, num_samples < 1 or seed < 0.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_weight_variation(network, num_examples=20, seed=0)
        >>> report = vbnn.measure_epistemic_variance(model, vbnn.lecture(), num_samples=50)
        >>> report.query_points
        {'near': 142, 'between': 70, 'beyond': 388}
        >>> report.beyond_near > 1
        True
    """
    query_points = propose_query_points(dataset, QUERY_POINT_SEED)
    predictive = predict(model, query_points.x, num_samples=num_samples, seed=seed)
    expected, outputs = len(dataset.output_names), predictive.mean.shape[1]
    require(outputs == expected, f"the model must have {expected} outputs, got {outputs}")
    regions, beyond = query_points.inside, query_points.regions == BEYOND
    return EpistemicReport(
        epistemic_variance={r: float(predictive.epistemic_variance[rows].mean()) for r, rows in regions.items()},
        latent_variance={r: float(predictive.latent_variance[rows].mean()) for r, rows in regions.items()},
        aleatoric_variance={r: float(predictive.aleatoric_variance[rows].mean()) for r, rows in regions.items()},
        query_points={r: int(rows.sum()) for r, rows in regions.items()},
        growth_exponent=growth_exponent(query_points.distance[beyond], predictive.epistemic_variance[beyond]),
    )
