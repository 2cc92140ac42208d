"""A summary says what the rows say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from cells_by_hand import failed_rows, rows
from scipy import stats

from variational_bnn.base import NEAR, REGIONS
from variational_bnn.evaluation.summary import of_classes, summarise
from variational_bnn.experiments.csv_tables import results_table


def test_the_summary_is_the_geometric_mean_and_its_t_interval() -> None:
    variances = [(1.0, 2.0, 100.0), (2.0, 1.0, 300.0), (0.5, 4.0, 250.0)]
    cells = [row for seed, each in enumerate(variances) for row in rows("hidden", seed, each)]
    summary = summarise(results_table(cells)).iloc[0]
    near, _, beyond = np.log(np.array(variances)).T
    for name, logs in (("sd_near", near / 2), ("beyond_near", beyond - near)):
        low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
        wanted = np.exp([logs.mean(), low, high])
        np.testing.assert_allclose([summary[name], summary[f"{name}_low"], summary[f"{name}_high"]], wanted)
    assert summary["aleatoric_sd_near"] == pytest.approx(2.0)
    assert summary["growth_exponent"] == pytest.approx(1.1)
    assert summary["fit_seconds"] == pytest.approx(4.0)
    assert summary["parameters"] == 7
    assert math.isnan(summary["rmse_near"])


def test_a_method_without_epistemic_variance_has_sd_zero_and_no_ratio() -> None:
    cells = [row for seed in range(2) for row in rows("output", seed, (0.0, 0.0, 0.0))]
    summary = summarise(results_table(cells)).iloc[0]
    assert [summary["sd_near"], summary["sd_between"], summary["sd_beyond"]] == [0.0, 0.0, 0.0]
    assert math.isnan(summary["beyond_near"])
    assert math.isnan(summary["sd_near_low"])


def test_failed_seeds_are_counted_and_not_averaged() -> None:
    table = summarise(results_table([*rows("b", 0), *failed_rows("b", 1), *failed_rows("a", 0)]))
    assert list(table["method"]) == ["b", "a"]
    assert list(table["seeds_ok"]) == [1, 0]
    assert list(table["seeds_failed"]) == [1, 1]
    assert table["sd_beyond"].iloc[0] == pytest.approx(9.0)
    assert math.isnan(table["sd_beyond_low"].iloc[0])
    assert math.isnan(table["sd_beyond"].iloc[1])


def test_costs_are_means_or_the_largest_over_seeds() -> None:
    costs = [
        {"random_variables": 151, "predict_seconds": 1.0, "peak_memory": 900.0},
        {"random_variables": 151, "predict_seconds": 2.0, "peak_memory": 700.0},
    ]
    cells = [row for seed, each in enumerate(costs) for row in rows("hidden", seed, **each)]
    summary = summarise(results_table([*cells, *failed_rows("hidden", 2, peak_memory=5000.0)])).iloc[0]
    assert summary[["random_variables", "predict_seconds", "peak_memory"]].tolist() == [151, 1.5, 900.0]


def test_the_contraction_is_that_near_the_data_with_its_interval() -> None:
    contractions = np.array([3.0, 4.0, 6.0])
    cells = [row for seed, each in enumerate(contractions) for row in rows("hmc", seed, contraction=each)]
    elsewhere = [dataclasses.replace(row, contraction=row.contraction if row.region == NEAR else 99.0) for row in cells]
    logs = np.log(contractions)
    wanted = np.exp([logs.mean(), *stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))])
    for table in (cells, elsewhere):
        summary = summarise(results_table(table)).iloc[0]
        np.testing.assert_allclose(summary[["contraction", "contraction_low", "contraction_high"]].tolist(), wanted)


def test_a_seed_without_contraction_is_not_dropped() -> None:
    cells = [row for seed, each in enumerate([3.0, math.nan]) for row in rows("hmc", seed, contraction=each)]
    assert math.isnan(summarise(results_table(cells))["contraction"].iloc[0])


@pytest.mark.parametrize(
    "score",
    [
        *("entropy", "accuracy", "rmse", "log_likelihood", "joint_log_likelihood", "crps"),
        *("coverage_50", "coverage_80", "coverage_90", "coverage_95"),
        *("width_50", "width_80", "width_90", "width_95"),
    ],
)
def test_scores_are_means_over_the_seeds_by_region(score: str) -> None:
    cells = [
        dataclasses.replace(row, **{score: 10.0 * seed + REGIONS.index(row.region)})
        for seed in range(3)
        for row in rows("hmc", seed)
    ]
    summary = summarise(results_table([*cells, *failed_rows("hmc", 3)])).iloc[0]
    assert [summary[f"{score}_{region}"] for region in REGIONS] == [10.0, 11.0, 12.0]
    unscored = summarise(results_table(rows())).iloc[0]
    assert all(math.isnan(unscored[f"{score}_{region}"]) for region in REGIONS)


def test_mutual_information_is_a_geometric_mean_with_its_interval_and_zero_where_a_seed_has_none() -> None:
    found = np.array([0.1, 0.3, 0.2])
    cells = [row for seed, each in enumerate(found) for row in rows("hmc", seed, mutual_information=each)]
    summary = summarise(results_table(cells)).iloc[0]
    logs = np.log(found)
    wanted = np.exp([logs.mean(), *stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))])
    for region in REGIONS:
        names = [f"mutual_information_{region}{bound}" for bound in ("", "_low", "_high")]
        np.testing.assert_allclose(summary[names].tolist(), wanted)
    none = summarise(results_table(rows("output", mutual_information=0.0, train_accuracy=0.75))).iloc[0]
    assert (none["mutual_information_near"], none["train_accuracy"]) == (0.0, 0.75)
    assert math.isnan(none["mutual_information_near_low"])


def test_classes_are_told_by_their_entropy() -> None:
    assert of_classes(summarise(results_table(rows(entropy=0.0))))
    assert not of_classes(summarise(results_table(rows())))


def test_chains_that_did_not_agree_are_told_by_the_summary() -> None:
    agreed = rows("hmc", 0, r_hat=1.01, ess=800.0, acceptance=0.8)
    failed = failed_rows("hmc", 1, r_hat=1.7, ess=4.0, acceptance=0.2)
    diagnostics = ["acceptance", "r_hat", "ess"]
    for cells, wanted in ((agreed, [0.8, 1.01, 800.0]), ([*agreed, *failed], [0.5, 1.7, 4.0])):
        assert summarise(results_table(cells)).iloc[0][diagnostics].tolist() == pytest.approx(wanted)
    diverged = summarise(results_table([*agreed, *failed_rows("hmc", 1)])).iloc[0]
    assert diverged[diagnostics].tolist() == pytest.approx([0.8, 1.01, 800.0])
    assert summarise(results_table(rows("flipout"))).iloc[0][diagnostics].isna().all()


def test_two_datasets_are_not_summed_up_as_one() -> None:
    with pytest.raises(ValueError, match="one dataset are wanted, got a, b"):
        summarise(results_table([*rows(dataset="a"), *rows(dataset="b")]))


def test_no_rows_have_no_summary_but_its_columns() -> None:
    assert list(summarise(results_table([])).columns) == list(summarise(results_table(rows())).columns)
