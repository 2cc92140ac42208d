"""A summary equals means, geometric means and t intervals over the rows, computed by hand or by SciPy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import failed_rows, results_table, run_rows
from scipy import stats

from variational_bnn.base import NEAR, REGIONS
from variational_bnn.evaluation.summary import of_classes, summarise


def test_the_summary_is_the_geometric_mean_and_its_t_interval() -> None:
    variances = [(1.0, 2.0, 100.0), (2.0, 1.0, 300.0), (0.5, 4.0, 250.0)]
    rows = [row for seed, each in enumerate(variances) for row in run_rows("hidden", seed, each)]
    summary = summarise(results_table(rows)).iloc[0]
    near, _, beyond = np.log(np.array(variances)).T
    for name, logs in (("sd_near", near / 2), ("beyond_near", beyond - near)):
        low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
        expected = np.exp([logs.mean(), low, high])
        np.testing.assert_allclose([summary[name], summary[f"{name}_low"], summary[f"{name}_high"]], expected)
    assert summary["aleatoric_sd_near"] == pytest.approx(2.0)
    assert summary["growth_exponent"] == pytest.approx(1.1)
    assert summary["fit_seconds"] == pytest.approx(4.0)
    assert summary["parameters"] == 7
    assert math.isnan(summary["rmse_near"])


def test_a_method_without_epistemic_variance_has_sd_zero_and_no_ratio() -> None:
    rows = [row for seed in range(2) for row in run_rows("output", seed, (0.0, 0.0, 0.0))]
    summary = summarise(results_table(rows)).iloc[0]
    assert [summary["sd_near"], summary["sd_between"], summary["sd_beyond"]] == [0.0, 0.0, 0.0]
    assert math.isnan(summary["beyond_near"])
    assert math.isnan(summary["sd_near_low"])


def test_failed_seeds_are_counted_and_not_averaged() -> None:
    table = summarise(results_table([*run_rows("b", 0), *failed_rows("b", 1), *failed_rows("a", 0)]))
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
    rows = [row for seed, each in enumerate(costs) for row in run_rows("hidden", seed, **each)]
    summary = summarise(results_table([*rows, *failed_rows("hidden", 2, peak_memory=5000.0)])).iloc[0]
    assert summary[["random_variables", "predict_seconds", "peak_memory"]].tolist() == [151, 1.5, 900.0]


def test_the_contraction_is_that_near_the_data_with_its_interval() -> None:
    contractions = np.array([3.0, 4.0, 6.0])
    rows = [row for seed, each in enumerate(contractions) for row in run_rows("hmc", seed, contraction=each)]
    elsewhere = [{**row, "contraction": row["contraction"] if row["region"] == NEAR else 99.0} for row in rows]
    logs = np.log(contractions)
    expected = np.exp([logs.mean(), *stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))])
    for table in (rows, elsewhere):
        summary = summarise(results_table(table)).iloc[0]
        np.testing.assert_allclose(summary[["contraction", "contraction_low", "contraction_high"]].tolist(), expected)


def test_a_seed_without_contraction_is_not_dropped() -> None:
    rows = [row for seed, each in enumerate([3.0, math.nan]) for row in run_rows("hmc", seed, contraction=each)]
    assert math.isnan(summarise(results_table(rows))["contraction"].iloc[0])


@pytest.mark.parametrize(
    "score",
    [
        *("entropy", "accuracy", "rmse", "log_likelihood", "joint_log_likelihood", "crps"),
        *("coverage_50", "coverage_80", "coverage_90", "coverage_95"),
        *("width_50", "width_80", "width_90", "width_95"),
    ],
)
def test_scores_are_means_over_the_seeds_by_region(score: str) -> None:
    rows = [
        {**row, score: 10.0 * seed + REGIONS.index(row["region"])} for seed in range(3) for row in run_rows("hmc", seed)
    ]
    summary = summarise(results_table([*rows, *failed_rows("hmc", 3)])).iloc[0]
    assert [summary[f"{score}_{region}"] for region in REGIONS] == [10.0, 11.0, 12.0]
    unscored = summarise(results_table(run_rows())).iloc[0]
    assert all(math.isnan(unscored[f"{score}_{region}"]) for region in REGIONS)


def test_mutual_information_is_a_geometric_mean_with_its_interval_and_zero_where_a_seed_has_none() -> None:
    information = np.array([0.1, 0.3, 0.2])
    rows = [row for seed, each in enumerate(information) for row in run_rows("hmc", seed, mutual_information=each)]
    summary = summarise(results_table(rows)).iloc[0]
    logs = np.log(information)
    expected = np.exp([logs.mean(), *stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))])
    for region in REGIONS:
        names = [f"information_{region}{bound}" for bound in ("", "_low", "_high")]
        np.testing.assert_allclose(summary[names].tolist(), expected)
    none = summarise(results_table(run_rows("output", mutual_information=0.0, train_accuracy=0.75))).iloc[0]
    assert (none["information_near"], none["train_accuracy"]) == (0.0, 0.75)
    assert math.isnan(none["information_near_low"])


def test_a_summary_of_classes_has_an_entropy() -> None:
    assert of_classes(summarise(results_table(run_rows(entropy=0.0))))
    assert not of_classes(summarise(results_table(run_rows())))


def test_the_summary_shows_chains_that_have_not_converged() -> None:
    agreed = run_rows("hmc", 0, r_hat=1.01, ess=800.0, ess_tail=700.0, acceptance=0.8)
    failed = failed_rows("hmc", 1, r_hat=1.7, ess=4.0, ess_tail=3.0, acceptance=0.2)
    diagnostics = ["acceptance", "r_hat", "ess", "ess_tail"]
    for rows, expected in ((agreed, [0.8, 1.01, 800.0, 700.0]), ([*agreed, *failed], [0.5, 1.7, 4.0, 3.0])):
        assert summarise(results_table(rows)).iloc[0][diagnostics].tolist() == pytest.approx(expected)
    diverged = summarise(results_table([*agreed, *failed_rows("hmc", 1)])).iloc[0]
    assert diverged[diagnostics].tolist() == pytest.approx([0.8, 1.01, 800.0, 700.0])
    assert summarise(results_table(run_rows("flipout"))).iloc[0][diagnostics].isna().all()


def test_rows_of_two_datasets_raise() -> None:
    with pytest.raises(ValueError, match="results must be of one dataset, got a, b"):
        summarise(results_table([*run_rows(dataset="a"), *run_rows(dataset="b")]))


def test_without_rows_there_are_columns_and_no_rows() -> None:
    assert list(summarise(results_table([])).columns) == list(summarise(results_table(run_rows())).columns)


def test_growth_is_that_of_query_points_beyond_the_data() -> None:
    exponents = {"near": 5.0, "between": -3.0, "beyond": 0.5}
    rows = [
        {**row, "growth_exponent": exponents[row["region"]] + seed}
        for seed in range(3)
        for row in run_rows("hmc", seed)
    ]
    assert summarise(results_table(rows))["growth_exponent"].iloc[0] == pytest.approx(1.5)


def test_the_sd_over_draws_and_its_ratios_are_of_epistemic_and_latent_variance_together() -> None:
    """Seed 0 has 1, 2 and 9 and seed 1 has 4, 4 and 9 of variance over draws, near, between and beyond."""
    latent = [(0.25, 0.0, 9.0), (1.0, 4.0, 4.5)]
    over_draws = np.array([(1.0, 2.0, 9.0), (4.0, 4.0, 9.0)])
    rows = [
        {**row, "latent_variance": part}
        for seed, parts in enumerate(latent)
        for row, part in zip(run_rows("mine", seed, tuple(over_draws[seed] - parts)), parts, strict=True)
    ]
    summary = summarise(results_table(rows)).iloc[0]
    assert summary[[f"sd_{region}" for region in REGIONS]].tolist() == pytest.approx([2**0.5, 8**0.25, 3.0])
    assert summary[["between_near", "beyond_near"]].tolist() == pytest.approx([2**0.5, (9 * 9 / 4) ** 0.5])
    shares = summary[[f"latent_share_{region}" for region in REGIONS]].tolist()
    assert shares == pytest.approx([(0.25 + 0.25) / 2, (0 + 1) / 2, (1 + 0.5) / 2])


def test_a_share_is_0_without_variance_of_the_successful_seeds_and_unknown_if_the_variance_is() -> None:
    shares = [f"latent_share_{region}" for region in REGIONS]
    none = run_rows("output", 0, (0.0, 0.0, 0.0), latent_variance=0.0)
    all_latent = run_rows("hidden", 0, (0.0, 0.0, 0.0), latent_variance=0.5)
    failed = failed_rows("hidden", 1, latent_variance=0.25, epistemic_variance=0.75)
    table = summarise(results_table([*none, *all_latent, *failed, *failed_rows("hmc", 0)])).set_index("method")
    assert table.loc["output", shares].tolist() == [0.0, 0.0, 0.0]
    assert table.loc["output", "sd_near"] == 0.0
    assert table.loc["hidden", shares].tolist() == [1.0, 1.0, 1.0]
    assert table.loc["hidden", "sd_near"] == pytest.approx(0.5**0.5)
    assert table.loc["hmc", shares].isna().all()


def test_the_information_of_the_draw_is_that_of_parameters_and_latents_together() -> None:
    parts = [(0.03, 0.01), (0.01, 0.03)]
    rows = [
        row
        for seed, (parameters, latents) in enumerate(parts)
        for row in run_rows("mine", seed, mutual_information=parameters, latent_information=latents)
    ]
    summary = summarise(results_table(rows)).iloc[0]
    assert summary["information_near"] == pytest.approx(0.04)
    assert summary["latent_information_share_near"] == pytest.approx((0.25 + 0.75) / 2)
    none = summarise(results_table(run_rows("output", mutual_information=0.0, latent_information=0.0))).iloc[0]
    assert (none["information_near"], none["latent_information_share_near"]) == (0.0, 0.0)
    assert math.isnan(summarise(results_table(run_rows())).iloc[0]["latent_information_share_near"])


def test_likelihood_and_note_are_those_of_the_first_seed_that_has_any() -> None:
    rows = [
        *failed_rows("hidden", 0, note="lost"),
        *run_rows("hidden", 1, likelihood="Normal(scale=1)"),
        *run_rows("hidden", 2, likelihood="Normal(scale=1)", note="latents ignore x"),
        *run_rows("output", 0, note="as in the lecture"),
        *run_rows("output", 1, note="as in the lecture"),
        *failed_rows("hmc", 0, likelihood="Normal()"),
    ]
    table = summarise(results_table(rows)).set_index("method")
    assert table["note"].to_dict() == {
        "hidden": "latents ignore x (in 1 of 2 seeds)",
        "output": "as in the lecture",
        "hmc": "",
    }
    assert table["likelihood"].to_dict() == {"hidden": "Normal(scale=1)", "output": "", "hmc": ""}


def test_a_missing_column_is_a_measure_that_is_nan() -> None:
    """Results written before a measure was added are summarised as if it had not been measured; a count is 0."""
    run = {"crps": 2.0, "latent_variance": 0.5, "likelihood": "Normal()", "note": "as in the lecture"}
    table = results_table([row for seed in range(2) for row in run_rows("hmc", seed, **run)])
    empty = {"parameters": 0, "random_variables": 0, "latent_variance": 0.0, "likelihood": "", "note": ""}
    for column in table.columns.drop(["dataset", "method", "seed", "region", "status"]):
        expected = summarise(table.assign(**{column: empty.get(column, math.nan)}))
        pd.testing.assert_frame_equal(summarise(table.drop(columns=column)), expected)
