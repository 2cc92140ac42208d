"""A summary of autoencoders equals means over the seeds, computed by hand, and SciPy's t interval in logs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from variational_bnn.evaluation.autoencoder_summary import summarise_autoencoders


def _row(model: str, seed: int, status: str = "ok", **fields: Any) -> dict[str, Any]:
    measured = {"nll": 80.0 + seed, "predictive_sd_seen": 0.1, "predictive_sd_held_out": 0.2 + 0.1 * seed}
    failed = dict.fromkeys(measured, math.nan)
    run = {"images": "digits", "model": model, "seed": seed, "confused": "4 and 9", "parameters": 7}
    return {**run, **(measured if status == "ok" else failed), "status": status, **fields}


def test_measures_are_means_over_the_seeds_that_succeeded() -> None:
    rows = [_row("vae", 0), _row("vae", 1, "the loss is nan"), _row("vae", 2, confused="3 and 5"), _row("ae", 0)]
    summary = summarise_autoencoders(pd.DataFrame(rows))
    assert summary["model"].tolist() == ["vae", "ae"]
    assert summary["seeds_ok"].tolist() == [2, 1]
    assert summary["seeds_failed"].tolist() == [1, 0]
    assert summary["nll"].tolist() == [81.0, 80.0]
    assert summary["parameters"].tolist() == [7, 7]
    assert summary["confused"].tolist() == ["4 and 9; 3 and 5", "4 and 9"]
    assert "seed" not in summary


def test_the_ratio_of_predictive_sds_is_a_geometric_mean_with_its_t_interval() -> None:
    summary = summarise_autoencoders(pd.DataFrame([_row("vae", seed) for seed in range(4)])).iloc[0]
    logs = np.log([2.0, 3.0, 4.0, 5.0])
    expected = np.exp([logs.mean(), *stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs))])
    names = ["predictive_sd_ratio", "predictive_sd_ratio_low", "predictive_sd_ratio_high"]
    np.testing.assert_allclose(summary[names].tolist(), expected)


def test_missing_measures_are_nan_and_unknown_ones_are_kept() -> None:
    rows = pd.DataFrame([_row("vae", seed, sharpness=float(seed)) for seed in range(2)])
    summary = summarise_autoencoders(rows.drop(columns=["predictive_sd_seen", "confused"])).iloc[0]
    assert summary["sharpness"] == pytest.approx(0.5)
    assert summary["confused"] == ""
    for name in ("predictive_sd_seen", "predictive_sd_ratio", "silhouette", "fit_seconds"):
        assert math.isnan(summary[name])


def test_a_model_without_successful_seeds_has_no_measures() -> None:
    summary = summarise_autoencoders(pd.DataFrame([_row("vae", 0, "the loss is nan")])).iloc[0]
    assert (summary["seeds_ok"], summary["seeds_failed"]) == (0, 1)
    assert math.isnan(summary["nll"])
    assert math.isnan(summary["predictive_sd_ratio"])
