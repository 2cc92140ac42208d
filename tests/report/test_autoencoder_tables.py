"""The tables and the verdicts of a comparison of autoencoders are what the rows say."""

from __future__ import annotations

import io
import math
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from variational_bnn.report.autoencoder_tables import LEGEND, failures, tables, verdicts

RESULTS = pd.DataFrame({"model": "vae", "seed": [0, 1], "held_out": 9, "importance_samples": 50, "status": "ok"})
SUMMARY: dict[str, Any] = {
    "model": "vae",
    "seeds_ok": 2,
    "seeds_failed": 0,
    "nll": 123.456,
    "kl_latents": 6.5,
    "kl_weights": math.nan,
    "negative_elbo": 130.0,
    "negative_importance_weighted": 128.0,
    "rmse": 0.25,
    "knn_accuracy": 0.9375,
    "silhouette": 0.5,
    "active_units": 2,
    "code_centre": 0.125,
    "code_sd": 1.5,
    "confused": "4 and 9",
    "confusion": 0.0625,
    "predictive_sd_seen": 0.02,
    "predictive_sd_held_out": 0.03,
    "predictive_sd_ratio": 1.5,
    "predictive_sd_ratio_low": 1.25,
    "predictive_sd_ratio_high": 1.75,
    "rmse_seen": 0.125,
    "rmse_held_out": 0.375,
}


def _summary(*others: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{**SUMMARY, **other} for other in (others or ({},))])


def _printed(summary: pd.DataFrame, results: pd.DataFrame = RESULTS, width: int = 120) -> list[list[str]]:
    """The lines of each table."""
    printed = []
    for table in tables(summary, results, "digits, 360 test images, 2 seeds"):
        console = Console(width=width, file=io.StringIO())
        console.print(table)
        printed.append(console.file.getvalue().splitlines())
    return printed


def _row(table: list[str], model: str = "vae") -> list[str]:
    return next(line for line in table if line.strip().startswith(f"{model} ")).split()


def test_each_table_has_its_values() -> None:
    bounds, code, away = _printed(_summary())
    assert bounds[0].strip() == "Bounds on digits, 360 test images, 2 seeds"
    assert _row(bounds) == ["vae", "123.5", "6.5", "-", "130", "128", "0.25"]
    assert any("IW, 50" in line for line in bounds)
    assert _row(code) == ["vae", "0.938", "0.5", "2", "0.12", "1.5", "4", "and", "9,", "6", "%"]
    assert away[0].strip() == "Reconstructions by a fit from which class 9 was held out"
    assert _row(away) == ["vae", "0.02", "0.03", "1.5", "0.125", "0.375"]
    assert sum("[1.25, 1.75]" in line for line in away) == 1
    assert all(f"{word}:" in LEGEND for word in ("-ELBO", "IW", "rmse", "neighbours", "confused", "pred. sd", "ratio"))
    assert "pred. sd: the sd of a pixel over draws of weights and latents together" in LEGEND


def test_tables_fit_a_screen_of_eighty_columns() -> None:
    long = {"model": "flipout-vae", "kl_weights": 1234.5, "nll": -12345.6, "confused": "0 and 4; 2 and 3"}
    for table in _printed(_summary(long), width=80):
        assert max(map(len, table)) <= 80
        assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(table)
        assert _row(table, "flipout-vae")


def test_columns_may_be_missing() -> None:
    bare = pd.DataFrame({"model": ["vae"], "seeds_ok": [1]})
    results = pd.DataFrame({"model": ["vae"], "seed": [0], "status": ["ok"]})
    for table in _printed(bare, results):
        assert {*_row(table)} == {"vae", "-"}
    assert verdicts(bare, results) == ["vae: no test image is of a class that it was trained on, to compare with"]


@pytest.mark.parametrize(
    ("others", "caveat"),
    [
        ({"kl_latents": math.nan, "kl_weights": 3.0}, ""),
        (
            {},
            "; its draws differ by latents of each image alone, which is noise of the image and not uncertainty about "
            "weights",
        ),
        (
            {"kl_weights": 3.0},
            "; its draws differ by latents of each image, which is noise of the image, as well as by uncertainty about "
            "weights",
        ),
    ],
    ids=["weights", "latents", "both"],
)
def test_the_verdict_holds_the_ratio_and_where_the_sd_comes_from(others: dict[str, float], caveat: str) -> None:
    (line,) = verdicts(_summary(others), RESULTS)
    assert line == (
        f"vae: its predictive sd is 1.5 [1.25, 1.75] times as large for class 9, held out, as for the others{caveat}"
    )


def test_one_seed_is_stated() -> None:
    one = {"seeds_ok": 1, "predictive_sd_ratio_low": math.nan, "predictive_sd_ratio_high": math.nan}
    (line,) = verdicts(_summary({**one, "kl_latents": math.nan}), RESULTS)
    assert line == "vae: its predictive sd is 1.5 times as large for class 9, held out, as for the others, by one seed"


def test_no_sd_and_no_seed_are_stated() -> None:
    none, failed, partly = verdicts(
        _summary(
            {"model": "ae", "predictive_sd_seen": 0.0},
            {"seeds_ok": 0, "seeds_failed": 2, "predictive_sd_seen": math.nan},
            {"seeds_failed": 1},
        ),
        RESULTS,
    )
    assert none == "ae: its draws do not differ: it reports no uncertainty of its reconstructions"
    assert failed == "vae: no seed succeeded (2 seeds failed)"
    assert partly.endswith("(1 seed failed)")


def test_failures_are_told_by_model_and_seed() -> None:
    assert failures(RESULTS.assign(status=["ok", "diverged"])) == ["vae, seed 1: diverged"]
    assert failures(RESULTS) == []
