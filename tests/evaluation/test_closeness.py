"""How close functions come to a reference's is what an independent loop says, and what is known in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from cells_by_hand import QUERIES, failed_rows, predictions, rows
from scipy import stats

from variational_bnn.base import REGIONS
from variational_bnn.evaluation.reference_distance import reference_distances, summarise_reference_distances
from variational_bnn.experiments.csv_tables import results_table

MEASURES = ["log_sd_ratio", "sd_ratio", "wasserstein", "mean_error"]


def _functions(seed: int, draws: int = 40, outputs: int = 1) -> Functions:
    """Draws whose mean and sd differ from query to query."""
    rng = np.random.default_rng(seed)
    unit = rng.standard_normal((draws, QUERIES, outputs))
    return 10 + np.arange(QUERIES)[:, None] + np.geomspace(0.1, 10, QUERIES)[:, None] * unit


def _closeness(cells: dict[tuple[str, int], Float32Array], reference: str = "hmc", failed: Any = ()) -> pd.DataFrame:
    """Of these (method, seed), and of other (method, seed) that failed."""
    good = [row for method, seed in cells for row in rows(method, seed)]
    bad = [row for method, seed in failed for row in failed_rows(method, seed)]
    names = {f.shape[2] for f in cells.values()} or {1}
    outputs = tuple(f"y{i}" for i in range(max(names)))
    asked = pd.concat([predictions(*cell, outputs=outputs) for cell in cells] or [predictions().iloc[:0]])
    draws = {("lecture", *cell): {"functions": functions} for cell, functions in cells.items()}
    return reference_distances(results_table([*bad, *good]), asked, draws, reference)


def _measured(table: pd.DataFrame, method: str, seed: int = 0) -> npt.NDArray[np.float64]:
    """`[regions, measures]`."""
    own = table[(table["method"] == method) & (table["seed"] == seed)].set_index("region")
    return own.loc[list(REGIONS), MEASURES].to_numpy(dtype=np.float64)


def _by_loop(functions: Float32Array, reference: Float32Array) -> npt.NDArray[np.float64]:
    """`[regions, measures]`, one query and output at a time."""
    each: dict[str, list[list[float]]] = {region: [] for region in REGIONS}
    for query in range(QUERIES):
        for output in range(functions.shape[2]):
            a, b = (draws[:, query, output].astype(np.float64) for draws in (functions, reference))
            log_ratio = math.log(a.std()) - math.log(b.std())
            distance, error = stats.wasserstein_distance(a, b), abs(a.mean() - b.mean())
            each[REGIONS[query // 2]].append([log_ratio, distance / b.std(), error / b.std()])
    means = [np.mean(each[region], axis=0) for region in REGIONS]
    return np.array([[log_ratio, math.exp(log_ratio), *others] for log_ratio, *others in means])


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_measures_are_those_of_an_independent_loop(outputs: int) -> None:
    reference = {("hmc", seed): _functions(seed, 30 + 10 * seed, outputs) for seed in range(3)}
    others = {("flipout", seed): 2 * _functions(10 + seed, 25, outputs) for seed in range(2)}
    table = _closeness({**others, **reference})
    assert list(table["method"]) == ["flipout"] * 6 + ["hmc"] * 9
    assert set(table["reference"]) == {"hmc"}
    for (method, seed), functions in others.items():
        pooled = np.concatenate([draws for (_, other), draws in reference.items() if other != seed])
        np.testing.assert_allclose(_measured(table, method, seed), _by_loop(functions, pooled), rtol=1e-9)
        one_seed_only = _by_loop(functions, reference["hmc", 0])
        assert not np.allclose(_measured(table, method, seed), one_seed_only, rtol=1e-3)


def test_the_reference_is_compared_with_its_other_seeds() -> None:
    reference = {("hmc", seed): _functions(seed, 500) for seed in range(4)}
    table = _closeness(reference)
    for seed in range(4):
        others = np.concatenate([reference["hmc", other] for other in range(4) if other != seed])
        np.testing.assert_allclose(_measured(table, "hmc", seed), _by_loop(reference["hmc", seed], others), rtol=1e-9)
        with_its_own = _by_loop(reference["hmc", seed], np.concatenate(list(reference.values())))
        assert not np.allclose(_measured(table, "hmc", seed), with_its_own, rtol=1e-3)
    # Standard errors of one query: sqrt(1 / 500 + 1 / 1500) for the mean, over sqrt(2) for the log sd.
    assert np.abs(table["log_sd_ratio"]).max() < 5 * 0.052 / math.sqrt(2)
    assert table["mean_error"].max() < 5 * 0.052
    assert table["wasserstein"].max() < 5 * 0.052


def test_a_method_that_is_shifted_is_off_by_the_shift() -> None:
    reference = _functions(0)
    sd = reference.astype(np.float64).std(axis=0)
    table = _closeness({("hmc", 0): reference, ("flipout", 0): (reference - 1.5 * sd)})
    wanted = np.tile([0.0, 1.0, 1.5, 1.5], (3, 1))
    np.testing.assert_allclose(_measured(table, "flipout"), wanted, atol=1e-4)


def test_a_method_that_is_scaled_about_its_mean_has_that_ratio_of_sds() -> None:
    reference = _functions(0)
    mean = reference.mean(axis=0)
    table = _closeness({("hmc", 0): reference, ("flipout", 0): mean + 3 * (reference - mean)})
    measured = _measured(table, "flipout")
    np.testing.assert_allclose(measured[:, :2], np.tile([math.log(3), 3.0], (3, 1)), rtol=1e-4)
    np.testing.assert_allclose(measured[:, 3], 0, atol=1e-4)
    absolute = np.abs(reference - mean).mean(axis=0) / reference.std(axis=0)
    np.testing.assert_allclose(measured[:, 2], 2 * absolute.reshape(3, 2).mean(axis=1), rtol=1e-4)


def test_the_same_draws_in_any_order_are_no_distance_away() -> None:
    reference = _functions(0)
    table = _closeness({("hmc", 0): reference, ("flipout", 0): reference[::-1], ("output", 0): reference + 1})
    np.testing.assert_allclose(_measured(table, "flipout"), np.tile([0.0, 1.0, 0.0, 0.0], (3, 1)), atol=1e-12)
    assert (_measured(table, "output")[:, 2:] > 0.05).all()


def test_units_do_not_matter() -> None:
    cells = {("hmc", 0): _functions(0), ("hmc", 1): _functions(1), ("flipout", 0): 2 * _functions(2)}
    table, other = _closeness(cells), _closeness({cell: 1024 * functions for cell, functions in cells.items()})
    pd.testing.assert_frame_equal(table, other)


def test_a_method_without_variance_has_ratio_zero() -> None:
    reference = _functions(0)
    point = np.repeat(reference[:1] + 0.1, 7, axis=0)
    table = _closeness({("hmc", 0): reference, ("output", 0): point, ("output", 1): point})
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


def test_what_is_as_good_as_the_reference_measures_as_close_as_the_reference_itself() -> None:
    """All are measured against as many draws, else the reference would look farther from itself than others do."""
    cells = {(name, seed): _functions(10 * seed + i, 50) for i, name in enumerate(("hmc", "sgld")) for seed in range(2)}
    counts = _closeness(cells | {("sgld", 0): cells["hmc", 0]})
    np.testing.assert_array_equal(_measured(counts, "sgld", 0), _measured(counts, "hmc", 0))


def test_one_seed_of_the_reference_is_compared_with_nothing() -> None:
    table = _closeness({("hmc", 0): _functions(0), ("flipout", 0): _functions(1)}, failed=[("hmc", 1)])
    assert np.isnan(_measured(table, "hmc")).all()
    assert np.isfinite(_measured(table, "flipout")).all()
    summary = summarise_reference_distances(table).set_index("method")
    assert summary.loc["hmc"].isna().all()
    assert summary.loc["flipout"].notna().sum() == 9


def test_failed_cells_have_no_rows() -> None:
    cells = {("hmc", 0): _functions(0), ("hmc", 1): _functions(1), ("flipout", 0): _functions(2)}
    with_failed = _closeness(cells, failed=[("hmc", 2), ("flipout", 1), ("hidden", 0)])
    pd.testing.assert_frame_equal(with_failed, _closeness(cells))


def test_no_reference_has_no_rows_but_its_columns() -> None:
    some = _closeness({("hmc", 0): _functions(0)})
    for none in (
        _closeness({}),
        _closeness({("flipout", 0): _functions(0)}),
        _closeness({("flipout", 0): _functions(0)}, failed=[("hmc", 0)]),
    ):
        assert len(none) == 0
        assert list(none.columns) == list(some.columns)
        assert len(summarise_reference_distances(none)) == 0
        assert list(summarise_reference_distances(none).columns) == list(summarise_reference_distances(some).columns)


def test_a_reference_without_variance_is_none() -> None:
    point = _functions(0)
    point[:, 4] = 0.1
    with pytest.raises(ValueError, match="'hmc' must have variance at every query, got none at 1 of 6 queries"):
        _closeness({("hmc", 0): point, ("flipout", 0): _functions(1)})
    moved = point + 1
    with pytest.raises(ValueError, match="got none at 1 of 6"):
        _closeness({("hmc", 0): point, ("hmc", 1): moved})


def _probabilities(seed: int, draws: int = 40) -> Functions:
    """Of three classes, at six queries; at the first the third class is out of the question."""
    logits = np.random.default_rng(seed).normal(size=(draws, QUERIES, 3))
    logits[:, 0, 2] = -np.inf
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_of_classes_distances_are_of_probabilities_and_only_the_ratio_of_sds_leaves_queries_out() -> None:
    mine, other = _probabilities(0), _probabilities(1) ** 2
    other /= other.sum(axis=-1, keepdims=True)
    cells = {("hmc", 0): mine, ("flipout", 0): other}
    results = results_table([row for cell in cells for row in rows(*cell, entropy=0.5)])
    asked = pd.concat([predictions(*cell, outputs=("a", "b", "c")) for cell in cells])
    draws = {("lecture", *cell): {"functions": functions} for cell, functions in cells.items()}
    table = reference_distances(results, asked, draws, "hmc")
    near = table[(table["method"] == "flipout") & (table["region"] == "near")].iloc[0]
    pairs = [(query, k) for query in range(2) for k in range(3)]
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
    with pytest.raises(ValueError, match="'hmc' must have variance at every query, got none at 1 of 6"):
        reference_distances(results.assign(entropy=math.nan), asked, draws, "hmc")


def test_of_numbers_there_is_no_total_variation() -> None:
    table = _closeness({("hmc", 0): _functions(0), ("flipout", 0): _functions(1)})
    assert table[["total_variation", "agreement"]].isna().all(axis=None)


def test_draws_that_are_missing_or_of_other_queries_are_refused() -> None:
    results, asked = results_table([*rows("hmc", 0), *rows("flipout", 0)]), predictions("hmc", 0)
    draws = {("lecture", "hmc", 0): {"functions": _functions(0)}}
    with pytest.raises(ValueError, match="draws of lecture / flipout / seed 0 are wanted, got none"):
        reference_distances(results, asked, draws, "hmc")
    for method, other in (("flipout", "lecture / flipout / seed 0"), ("hmc", "seeds of the reference 'hmc'")):
        with pytest.raises(ValueError, match=other) as caught:
            _closeness({("hmc", 0): _functions(0), (method, 0 if method == "flipout" else 1): _functions(1)[:, 1:]})
        assert "\n" not in str(caught.value)


def test_queries_are_in_the_order_of_their_numbers() -> None:
    cells = [("hmc", 0), ("flipout", 0)]
    results = results_table([row for cell in cells for row in rows(*cell)])
    asked = pd.concat([predictions(*cell) for cell in cells])
    draws = {("lecture", *cell): {"functions": _functions(i)} for i, cell in enumerate(cells)}
    shuffled = asked.sample(frac=1, random_state=0)
    wanted = reference_distances(results, asked, draws, "hmc")
    pd.testing.assert_frame_equal(reference_distances(results, shuffled, draws, "hmc"), wanted)
    renumbered = asked.assign(query=QUERIES - 1 - asked["query_point"])
    assert not reference_distances(results, renumbered, draws, "hmc").equals(wanted)


def test_each_dataset_has_its_own_reference() -> None:
    cells = {
        (dataset, method): _functions(i) for i, (dataset, method) in enumerate([("a", "hmc"), ("a", "m"), ("b", "m")])
    }
    results = results_table([row for dataset, method in cells for row in rows(method, dataset=dataset)])
    asked = pd.concat([predictions(method, dataset=dataset) for dataset, method in cells])
    draws = {(*cell, 0): {"functions": functions} for cell, functions in cells.items()}
    assert set(reference_distances(results, asked, draws, "hmc")["dataset"]) == {"a"}
    both = reference_distances(results, asked, draws, "m")
    assert set(both["dataset"]) == {"a", "b"}
    with pytest.raises(ValueError, match="on one dataset is wanted, got a, b"):
        summarise_reference_distances(both)


def test_the_summary_is_the_geometric_mean_and_its_t_interval() -> None:
    reference = {("hmc", seed): _functions(seed) for seed in range(2)}
    table = _closeness({**reference, **{("flipout", seed): _functions(10 + seed) for seed in range(3)}})
    summary = summarise_reference_distances(table)
    assert list(summary["method"]) == ["hmc", "flipout"]
    assert list(summary.columns)[:4] == ["method", "sd_ratio_near", "sd_ratio_near_low", "sd_ratio_near_high"]
    assert len(summary.columns) == 1 + 3 * (4 * 3 + 1)
    for region in REGIONS:
        own = table[(table["method"] == "flipout") & (table["region"] == region)]
        for measure in ("sd_ratio", "wasserstein", "mean_error"):
            logs = np.log(own[measure].to_numpy())
            wanted = np.exp([logs.mean(), *stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))])
            names = [f"{measure}_{region}{suffix}" for suffix in ("", "_low", "_high")]
            np.testing.assert_allclose(summary.loc[1, names].tolist(), wanted)
