"""Distances to a reference posterior equal those of an independent loop, and closed forms where these are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import QUERY_POINTS, failed_rows, predictions_table, results_table, run_rows
from scipy import stats

from variational_bnn.base import REGIONS
from variational_bnn.base.checks import Array
from variational_bnn.evaluation.reference_distance import reference_distances, summarise_reference_distances

MEASURES = ["log_sd_ratio", "sd_ratio", "wasserstein", "mean_error"]


def _functions(seed: int, draws: int = 40, outputs: int = 1) -> Array:
    """Function samples whose mean and sd differ from query point to query point."""
    rng = np.random.default_rng(seed)
    unit = rng.standard_normal((draws, QUERY_POINTS, outputs))
    return 10 + np.arange(QUERY_POINTS)[:, None] + np.geomspace(0.1, 10, QUERY_POINTS)[:, None] * unit


def _distances(runs: dict[tuple[str, int], Array], reference: str = "hmc", failed: Any = ()) -> pd.DataFrame:
    """Distances of these runs (method, seed), beside others that failed."""
    good = [row for method, seed in runs for row in run_rows(method, seed)]
    bad = [row for method, seed in failed for row in failed_rows(method, seed)]
    names = {f.shape[2] for f in runs.values()} or {1}
    outputs = tuple(f"y{i}" for i in range(max(names)))
    predictions = pd.concat(
        [predictions_table(*run, outputs=outputs) for run in runs] or [predictions_table().iloc[:0]]
    )
    draws = {("lecture", *run): {"functions": functions} for run, functions in runs.items()}
    return reference_distances(results_table([*bad, *good]), predictions, draws, reference)


def _measured(table: pd.DataFrame, method: str, seed: int = 0) -> Array:
    """`[regions, measures]`."""
    own = table[(table["method"] == method) & (table["seed"] == seed)].set_index("region")
    return own.loc[list(REGIONS), MEASURES].to_numpy(dtype=np.float64)


def _by_loop(functions: Array, reference: Array) -> Array:
    """`[regions, measures]`, one query point and output at a time."""
    each: dict[str, list[list[float]]] = {region: [] for region in REGIONS}
    for point in range(QUERY_POINTS):
        for output in range(functions.shape[2]):
            a, b = (draws[:, point, output].astype(np.float64) for draws in (functions, reference))
            log_ratio = math.log(a.std()) - math.log(b.std())
            distance, error = stats.wasserstein_distance(a, b), abs(a.mean() - b.mean())
            each[REGIONS[point // 2]].append([log_ratio, distance / b.std(), error / b.std()])
    means = [np.mean(each[region], axis=0) for region in REGIONS]
    return np.array([[log_ratio, math.exp(log_ratio), *others] for log_ratio, *others in means])


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_measures_are_those_of_an_independent_loop(outputs: int) -> None:
    reference = {("hmc", seed): _functions(seed, 30 + 10 * seed, outputs) for seed in range(3)}
    others = {("flipout", seed): 2 * _functions(10 + seed, 25, outputs) for seed in range(2)}
    table = _distances({**others, **reference})
    assert list(table["method"]) == ["flipout"] * 6 + ["hmc"] * 9
    assert set(table["reference"]) == {"hmc"}
    for (method, seed), functions in others.items():
        pooled = np.concatenate([draws for (_, other), draws in reference.items() if other != seed])
        np.testing.assert_allclose(_measured(table, method, seed), _by_loop(functions, pooled), rtol=1e-9)
        one_seed_only = _by_loop(functions, reference["hmc", 0])
        assert not np.allclose(_measured(table, method, seed), one_seed_only, rtol=1e-3)


def test_the_reference_is_compared_with_its_other_seeds() -> None:
    reference = {("hmc", seed): _functions(seed, 500) for seed in range(4)}
    table = _distances(reference)
    for seed in range(4):
        others = np.concatenate([reference["hmc", other] for other in range(4) if other != seed])
        np.testing.assert_allclose(_measured(table, "hmc", seed), _by_loop(reference["hmc", seed], others), rtol=1e-9)
        with_its_own = _by_loop(reference["hmc", seed], np.concatenate(list(reference.values())))
        assert not np.allclose(_measured(table, "hmc", seed), with_its_own, rtol=1e-3)
    # Standard errors at one query point: sqrt(1 / 500 + 1 / 1500) for the mean, over sqrt(2) for the log sd.
    assert np.abs(table["log_sd_ratio"]).max() < 5 * 0.052 / math.sqrt(2)
    assert table["mean_error"].max() < 5 * 0.052
    assert table["wasserstein"].max() < 5 * 0.052


def test_a_shifted_sample_is_at_the_distance_of_the_shift() -> None:
    reference = _functions(0)
    sd = reference.astype(np.float64).std(axis=0)
    table = _distances({("hmc", 0): reference, ("flipout", 0): (reference - 1.5 * sd)})
    expected = np.tile([0.0, 1.0, 1.5, 1.5], (3, 1))
    np.testing.assert_allclose(_measured(table, "flipout"), expected, atol=1e-4)


def test_a_sample_scaled_about_its_mean_has_that_ratio_of_sds() -> None:
    reference = _functions(0)
    mean = reference.mean(axis=0)
    table = _distances({("hmc", 0): reference, ("flipout", 0): mean + 3 * (reference - mean)})
    measured = _measured(table, "flipout")
    np.testing.assert_allclose(measured[:, :2], np.tile([math.log(3), 3.0], (3, 1)), rtol=1e-4)
    np.testing.assert_allclose(measured[:, 3], 0, atol=1e-4)
    absolute = np.abs(reference - mean).mean(axis=0) / reference.std(axis=0)
    np.testing.assert_allclose(measured[:, 2], 2 * absolute.reshape(3, 2).mean(axis=1), rtol=1e-4)


def test_the_same_draws_in_another_order_are_at_distance_zero() -> None:
    reference = _functions(0)
    table = _distances({("hmc", 0): reference, ("flipout", 0): reference[::-1], ("output", 0): reference + 1})
    np.testing.assert_allclose(_measured(table, "flipout"), np.tile([0.0, 1.0, 0.0, 0.0], (3, 1)), atol=1e-12)
    assert (_measured(table, "output")[:, 2:] > 0.05).all()


def test_distances_do_not_depend_on_the_units_of_y() -> None:
    runs = {("hmc", 0): _functions(0), ("hmc", 1): _functions(1), ("flipout", 0): 2 * _functions(2)}
    table, other = _distances(runs), _distances({run: 1024 * functions for run, functions in runs.items()})
    pd.testing.assert_frame_equal(table, other)


def test_a_method_without_variance_has_ratio_zero() -> None:
    reference = _functions(0)
    point = np.repeat(reference[:1] + 0.1, 7, axis=0)
    table = _distances({("hmc", 0): reference, ("output", 0): point, ("output", 1): point})
    measured = _measured(table, "output")
    assert (measured[:, 0] == -math.inf).all()
    assert (measured[:, 1] == 0).all()
    assert np.isfinite(measured[:, 2:]).all()
    distance = np.abs(reference.astype(np.float64) - point[0]).mean(axis=0) / reference.astype(np.float64).std(axis=0)
    np.testing.assert_allclose(measured[:, 2], distance.reshape(3, 2).mean(axis=1), rtol=1e-9)
    summary = summarise_reference_distances(table).set_index("method").loc["output"]
    assert summary["sd_ratio_beyond"] == 0
    assert math.isnan(summary["sd_ratio_beyond_low"])
    assert summary["wasserstein_beyond"] == pytest.approx(measured[2, 2])


def test_a_copy_of_a_reference_seed_has_the_distances_of_that_seed() -> None:
    """All are measured against as many draws, or the reference would look farther from itself than others do."""
    runs = {(name, seed): _functions(10 * seed + i, 50) for i, name in enumerate(("hmc", "sgld")) for seed in range(2)}
    counts = _distances(runs | {("sgld", 0): runs["hmc", 0]})
    np.testing.assert_array_equal(_measured(counts, "sgld", 0), _measured(counts, "hmc", 0))


def test_a_single_seed_of_the_reference_has_no_distance_to_itself() -> None:
    table = _distances({("hmc", 0): _functions(0), ("flipout", 0): _functions(1)}, failed=[("hmc", 1)])
    assert np.isnan(_measured(table, "hmc")).all()
    assert np.isfinite(_measured(table, "flipout")).all()
    summary = summarise_reference_distances(table).set_index("method")
    assert summary.loc["hmc"].isna().all()
    assert summary.loc["flipout"].notna().sum() == 9


def test_failed_runs_have_no_rows() -> None:
    runs = {("hmc", 0): _functions(0), ("hmc", 1): _functions(1), ("flipout", 0): _functions(2)}
    with_failed = _distances(runs, failed=[("hmc", 2), ("flipout", 1), ("hidden", 0)])
    pd.testing.assert_frame_equal(with_failed, _distances(runs))


def test_without_a_reference_there_are_columns_and_no_rows() -> None:
    some = _distances({("hmc", 0): _functions(0)})
    for none in (
        _distances({}),
        _distances({("flipout", 0): _functions(0)}),
        _distances({("flipout", 0): _functions(0)}, failed=[("hmc", 0)]),
    ):
        assert len(none) == 0
        assert list(none.columns) == list(some.columns)
        assert len(summarise_reference_distances(none)) == 0
        assert list(summarise_reference_distances(none).columns) == list(summarise_reference_distances(some).columns)


def test_a_reference_without_variance_raises() -> None:
    point = _functions(0)
    point[:, 4] = 0.1
    with pytest.raises(
        ValueError, match="'hmc' must have variance at every query point, got none at 1 of 6 query points"
    ):
        _distances({("hmc", 0): point, ("flipout", 0): _functions(1)})
    moved = point + 1
    with pytest.raises(ValueError, match="got none at 1 of 6"):
        _distances({("hmc", 0): point, ("hmc", 1): moved})


def _probabilities(seed: int, draws: int = 40) -> Array:
    """Probabilities of three classes at six query points; at the first, the third class has probability 0."""
    logits = np.random.default_rng(seed).normal(size=(draws, QUERY_POINTS, 3))
    logits[:, 0, 2] = -np.inf
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_distances_of_classes_are_in_probabilities_and_only_sd_ratio_leaves_points_out() -> None:
    mine, other = _probabilities(0), _probabilities(1) ** 2
    other /= other.sum(axis=-1, keepdims=True)
    runs = {("hmc", 0): mine, ("flipout", 0): other}
    results = results_table([row for run in runs for row in run_rows(*run, entropy=0.5)])
    predictions = pd.concat([predictions_table(*run, outputs=("a", "b", "c")) for run in runs])
    draws = {("lecture", *run): {"functions": functions} for run, functions in runs.items()}
    table = reference_distances(results, predictions, draws, "hmc")
    near = table[(table["method"] == "flipout") & (table["region"] == "near")].iloc[0]
    pairs = [(point, k) for point in range(2) for k in range(3)]
    known = [pair for pair in pairs if pair != (0, 2)]
    logs = [math.log(other[:, q, k].std() / mine[:, q, k].std()) for q, k in known]
    assert near["sd_ratio"] == pytest.approx(math.exp(np.mean(logs)))
    distances = [stats.wasserstein_distance(other[:, q, k], mine[:, q, k]) for q, k in pairs]
    assert near["wasserstein"] == pytest.approx(np.mean(distances))
    difference = np.abs(other.mean(axis=0) - mine.mean(axis=0))[:2]
    assert near["mean_error"] == pytest.approx(difference.mean())
    assert near["total_variation"] == pytest.approx(difference.sum(axis=1).mean() / 2)
    best = [functions.mean(axis=0)[:2].argmax(axis=1) for functions in (other, mine)]
    assert near["agreement"] == np.mean(best[0] == best[1])
    itself = table[table["method"] == "hmc"][["sd_ratio", "total_variation", "agreement"]]
    assert itself.isna().all(axis=None)  # There is one seed of it.
    with pytest.raises(ValueError, match="'hmc' must have variance at every query point, got none at 1 of 6"):
        reference_distances(results.assign(entropy=math.nan), predictions, draws, "hmc")


def test_numbers_have_no_total_variation() -> None:
    table = _distances({("hmc", 0): _functions(0), ("flipout", 0): _functions(1)})
    assert table[["total_variation", "agreement"]].isna().all(axis=None)


def test_missing_draws_and_draws_at_other_query_points_raise() -> None:
    results, predictions = results_table([*run_rows("hmc", 0), *run_rows("flipout", 0)]), predictions_table("hmc", 0)
    draws = {("lecture", "hmc", 0): {"functions": _functions(0)}}
    with pytest.raises(
        ValueError, match="draws of lecture / flipout / seed 0 must have an array 'functions', got none"
    ):
        reference_distances(results, predictions, draws, "hmc")
    for method, other in (
        ("flipout", "lecture / flipout / seed 0 must"),
        ("hmc", "all seeds of the reference 'hmc' must"),
    ):
        with pytest.raises(ValueError, match=other) as caught:
            _distances({("hmc", 0): _functions(0), (method, 0 if method == "flipout" else 1): _functions(1)[:, 1:]})
        assert "\n" not in str(caught.value)


def test_query_points_are_in_the_order_of_their_numbers() -> None:
    runs = [("hmc", 0), ("flipout", 0)]
    results = results_table([row for run in runs for row in run_rows(*run)])
    predictions = pd.concat([predictions_table(*run) for run in runs])
    draws = {("lecture", *run): {"functions": _functions(i)} for i, run in enumerate(runs)}
    shuffled = predictions.sample(frac=1, random_state=0)
    expected = reference_distances(results, predictions, draws, "hmc")
    pd.testing.assert_frame_equal(reference_distances(results, shuffled, draws, "hmc"), expected)
    renumbered = predictions.assign(query_point=QUERY_POINTS - 1 - predictions["query_point"])
    assert not reference_distances(results, renumbered, draws, "hmc").equals(expected)


def test_each_dataset_has_its_own_reference() -> None:
    runs = {
        (dataset, method): _functions(i) for i, (dataset, method) in enumerate([("a", "hmc"), ("a", "m"), ("b", "m")])
    }
    results = results_table([row for dataset, method in runs for row in run_rows(method, dataset=dataset)])
    predictions = pd.concat([predictions_table(method, dataset=dataset) for dataset, method in runs])
    draws = {(*run, 0): {"functions": functions} for run, functions in runs.items()}
    assert set(reference_distances(results, predictions, draws, "hmc")["dataset"]) == {"a"}
    both = reference_distances(results, predictions, draws, "m")
    assert set(both["dataset"]) == {"a", "b"}
    with pytest.raises(ValueError, match="distances must be of one dataset, got a, b"):
        summarise_reference_distances(both)


def test_the_summary_is_the_geometric_mean_and_its_t_interval() -> None:
    reference = {("hmc", seed): _functions(seed) for seed in range(2)}
    table = _distances({**reference, **{("flipout", seed): _functions(10 + seed) for seed in range(3)}})
    summary = summarise_reference_distances(table)
    assert list(summary["method"]) == ["hmc", "flipout"]
    assert list(summary.columns)[:4] == ["method", "sd_ratio_near", "sd_ratio_near_low", "sd_ratio_near_high"]
    assert len(summary.columns) == 1 + 3 * (4 * 3 + 1)
    for region in REGIONS:
        own = table[(table["method"] == "flipout") & (table["region"] == region)]
        for measure in ("sd_ratio", "wasserstein", "mean_error"):
            logs = np.log(own[measure].to_numpy())
            expected = np.exp([logs.mean(), *stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))])
            names = [f"{measure}_{region}{suffix}" for suffix in ("", "_low", "_high")]
            np.testing.assert_allclose(summary.loc[1, names].tolist(), expected)
