"""Tables and arrays for the report, made by hand: no method is run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import REGIONS

Array = npt.NDArray[np.float64]

METHODS = ("output", "flipout", "hidden")
X = np.linspace(-1.5, 1.5, 61)
REGION = np.where(np.abs(X) > 0.5, "beyond", np.where(np.abs(X) < 0.19, "between", "near"))
DISTANCE = np.where(REGION == "near", 0.5, 1 + 10 * np.abs(X))
DATA = pd.DataFrame({"x": [-0.5, -0.2, 0.2, 0.5], "y": [0.0, -10.0, 10.0, 0.0], "b": [0.0, 1.0, 2.0, 3.0]})

REFERENCE_METHODS = ("output", "flipout", "hmc")
SDS = {"output": 0 * X, "flipout": 0.5 + np.abs(X), "hmc": 1 + X**2}

MODELS = ("ae", "vae", "flipout-ae", "flipout-vae")
COLOURS = {"ae": "#0072b2", "vae": "#d55e00", "flipout-ae": "#009e73", "flipout-vae": "#cc79a7"}
IMAGES = np.random.default_rng(0).uniform(size=(6, 4, 5))
LABELS = np.array([3, 9, 0, 9, 1, 2])
SEEN = LABELS != 9
QUANTILES = np.linspace(0.01, 0.99, 15)


def predictions(
    methods: Sequence[str] = METHODS, *, sd: float = 0.5, seeds: int = 2, outputs: Sequence[str] = ("y",)
) -> pd.DataFrame:
    """Rows whose mean is x + seed and whose epistemic sd is `sd` times the distance; `output` has none, nor latents."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "dataset": "lecture",
                    "method": method,
                    "seed": seed,
                    "query_point": range(len(X)),
                    "output": output,
                    "region": REGION,
                    "distance": DISTANCE,
                    "x": X,
                    "y": math.nan,
                    "mean": X + seed,
                    "epistemic_variance": 0.0 if method == "output" else (sd * DISTANCE) ** 2,
                    "latent_variance": 0.0,
                    "aleatoric_variance": 1.0,
                }
            )
            for method in methods
            for seed in range(seeds)
            for output in outputs
        ],
        ignore_index=True,
    )


def with_latents(rows: pd.DataFrame, share: Any, methods: Sequence[str] = ("hidden",)) -> pd.DataFrame:
    """The same variance over draws of every row, of which this share is latent in the rows of these methods."""
    part = np.where(rows["method"].isin(methods), share, 0.0)
    variance = rows["epistemic_variance"]
    return rows.assign(epistemic_variance=(1 - part) * variance, latent_variance=part * variance)


def reference_predictions(
    methods: Sequence[str] = REFERENCE_METHODS,
    *,
    seeds: int = 3,
    outputs: Sequence[str] = ("y",),
    pit: Any = math.nan,
) -> pd.DataFrame:
    """Rows in no order of x: seed s has 2^s times the sd of `SDS`, and output k has 1 + k times that."""
    parts = [
        pd.DataFrame(
            {
                "dataset": "lecture",
                "method": method,
                "seed": seed,
                "query_point": range(len(X)),
                "output": output,
                "region": REGION,
                "distance": 1 + np.abs(X),
                "x": X,
                "y": math.nan,
                "pit": pit,
                "mean": 0.0,
                "epistemic_variance": (SDS.get(method, 1 + X**2) * 2**seed * (1 + place)) ** 2,
                "aleatoric_variance": 1.0,
            }
        ).sample(frac=1, random_state=0)
        for method in methods
        for seed in range(seeds)
        for place, output in enumerate(outputs)
    ]
    return pd.concat(parts, ignore_index=True)


def results(methods: Sequence[str] = METHODS, seeds: int = 3, **measures: Any) -> pd.DataFrame:
    """Rows whose epistemic variance is 1 + seed near the data, and ten times as much in each next region."""
    return pd.DataFrame(
        {
            "dataset": "lecture",
            "method": method,
            "seed": seed,
            "region": region,
            "epistemic_variance": 0.0 if method == "output" else (1 + seed) * 10.0**power,
            "contraction_status": "ok",
            "status": "ok",
            **measures,
        }
        for method in methods
        for seed in range(seeds)
        for power, region in enumerate(REGIONS)
    )


def reference_summary(methods: Sequence[str] = REFERENCE_METHODS) -> pd.DataFrame:
    """Method k is at a distance of k + 1 near, twice that between and four times that beyond, and takes 10^k + 1 s."""
    rows = [
        {"method": method, "fit_seconds": 10.0**place, "predict_seconds": 1.0}
        | {
            f"wasserstein_{region}{bound}": (place + 1) * 2.0**number * factor
            for number, region in enumerate(REGIONS)
            for bound, factor in (("", 1.0), ("_low", 0.8), ("_high", 1.25))
        }
        for place, method in enumerate(methods)
    ]
    return pd.DataFrame(rows)


def traces(methods: Sequence[str] = ("hmc", "sgld"), steps: int = 300) -> dict[Any, Any]:
    """Two chains from -100 000 that settle at -80 +- 5 within the first third, the warm-up."""
    start = -1e5 * np.exp(-np.arange(steps) / 3)[:, None]
    chains = start - 80 + 5 * np.sin(np.arange(steps)[:, None] + [0, 2])
    warmup = {"warmup": np.array(steps // 3)}
    return {("lecture", method, seed): {**warmup, "trace": chains + seed} for method in methods for seed in (1, 0)}


def reconstructions_of(models: Sequence[str] = MODELS) -> dict[str, Array]:
    """The images, darker with each model."""
    return {model: IMAGES * (position + 1) / 5 for position, model in enumerate(models)}


def sds_of(models: Sequence[str] = MODELS) -> dict[str, Array]:
    """Sds in proportion to the images; those of the first model are zero."""
    return {model: IMAGES * position / 10 for position, model in enumerate(models)}


def codes_of(count: int = 400, models: Sequence[str] = MODELS) -> tuple[dict[str, Array], npt.NDArray[np.int64]]:
    """Ten classes on a circle of radius 1, ten times as far from 0 for each next model."""
    labels = np.random.default_rng(0).integers(0, 10, count)
    angles = 2 * np.pi * labels / 10
    noise = np.random.default_rng(1).normal(scale=0.1, size=(count, 2))
    circle = np.column_stack([np.cos(angles), np.sin(angles)]) + noise
    return {model: circle * 10.0**position for position, model in enumerate(models)}, labels


def grids_of(models: Sequence[str] = MODELS, side: int = 15) -> dict[str, Array]:
    """Random tiles of 4 x 4 pixels."""
    return {model: np.random.default_rng(len(model)).uniform(size=(side, side, 4, 4)) for model in models}


def sd_results(models: Sequence[str] = MODELS, seeds: int = 3) -> pd.DataFrame:
    """The first model has no sd; seed s of the next has 2^s times 0.01 where seen, and three times that held out."""
    return pd.DataFrame(
        {
            "model": model,
            "seed": seed,
            "predictive_sd_seen": 0.01 * position * 2**seed,
            "predictive_sd_held_out": 0.03 * position * 2**seed,
            "status": "ok",
        }
        for position, model in enumerate(models)
        for seed in range(seeds)
    )


def history_of(models: Sequence[str] = MODELS, epochs: int = 40) -> pd.DataFrame:
    """Losses that settle: the KL of the latents rises and that of the weights falls, where a model has them."""
    epoch = np.arange(1, epochs + 1)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "model": model,
                    "epoch": epoch,
                    "nll": 20 + position + 30 * np.exp(-epoch / 6),
                    "kl_latents": 5 * (1 - np.exp(-epoch / 6)) if model.endswith("vae") else math.nan,
                    "kl_weights": 2 + 6 * np.exp(-epoch / 6) if model.startswith("flipout") else math.nan,
                }
            )
            for position, model in enumerate(models)
        ],
        ignore_index=True,
    )
