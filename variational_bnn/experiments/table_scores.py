"""What is measured of a predictive at the query points: scores of held-out rows, entropies, and all predictions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import LEVELS, TAU, Dataset, Predictive
from variational_bnn.base.checks import Array, Floats
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, QueryPoints
from variational_bnn.evaluation.scores import accuracy, coverage, crps, interval_width, pit, rmse
from variational_bnn.experiments.run import Key


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A run's predictive and the held-out targets: `[N, D]` each, or `[S, N, D]`.

    Attributes:
        predict: What the posterior predicts at inputs.
        x: The held-out inputs.
        y: The held-out targets.
        outputs: The targets as `Dataset.outputs` has them, which the mean is compared with.
        predictive: At the held-out inputs.
        classes: Whether y is a class: it has no order, so there are neither intervals nor `pit`, which is NaN then.
        log_prob: Log densities of the targets `[N]`; NaN where the predictive has no density, since it has no noise.
        samples: Draws of y; None of classes, and without noise.
        pit: Probability integral transform of the targets.
    """

    predict: Callable[[Array], Predictive]
    x: Array
    y: Array
    outputs: Array
    predictive: Predictive
    classes: bool
    log_prob: Array
    samples: Floats | None
    pit: Array

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        seed: int,
        points: QueryPoints,
        predictive: Predictive,
        predict: Callable[[Array], Predictive],
    ) -> Scored | None:
        """The scores of a predictive at the query points, with draws of y from a seed; None if nothing is held out."""
        if points.y is None:
            return None
        has_density = predictive.entropy is not None or bool((predictive.aleatoric_variance > 0).all())
        samples = predictive.sample(seed=seed) if has_density and predictive.entropy is None else None
        return cls(
            predict=predict,
            x=points.x,
            y=points.y,
            outputs=dataset.outputs(points.y),
            predictive=predictive,
            classes=predictive.entropy is not None or bool(dataset.class_names),
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
        predictive = self.predict(self.x[shuffled])
        return float(predictive.joint_log_prob(self.y[shuffled], tau=TAU).mean()) / TAU


def information(predictive: Predictive, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Mean entropy and its parts over some query points; empty unless y is a class."""
    if predictive.entropy is None or predictive.latent_information is None:
        return {}
    parts = {
        "entropy": predictive.entropy,
        "mutual_information": predictive.mutual_information,
        "latent_information": predictive.latent_information,
    }
    return {name: float(values[inside].mean()) for name, values in parts.items()}


def predictions(
    dataset: Dataset, key: Key, points: QueryPoints, predictive: Predictive, scored: Scored | None
) -> pd.DataFrame:
    """The predictions of a run at each query point, with the columns `result.PREDICTION_COLUMNS`."""
    one_feature = dataset.x.shape[1] == 1
    tables = [
        pd.DataFrame(
            {
                "dataset": dataset.name,
                "method": key[0],
                "seed": key[1],
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
        for column, output in enumerate(dataset.output_names)
    ]
    return pd.concat(tables, ignore_index=True)
