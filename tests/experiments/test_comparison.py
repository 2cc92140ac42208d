"""A comparison's rows are what its predictions say, in the units of y, and come again from the same seeds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quick_methods import Line, Noting

from variational_bnn.base import BEYOND, REGIONS, TAU, Dataset, Diagnostics, FitError
from variational_bnn.datasets import lecture, lecture_sample
from variational_bnn.evaluation.split import split
from variational_bnn.experiments.compare import DEFAULT_METHODS, compare, default_methods, default_network
from variational_bnn.experiments.comparison import Comparison
from variational_bnn.methods.linear import LinearRegression
from variational_bnn.methods.output import OutputVariation
from variational_bnn.methods.weights import Flipout
from variational_bnn.models.likelihoods import Bernoulli, Normal

CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]
QUIET: dict[str, Any] = {"num_samples": 10, "progress": False}
DATASET = dataclasses.replace(lecture_sample(10, seed=0), larger_sample=None)
METHODS = {"output": OutputVariation(steps=20), "flipout": Flipout(steps=20)}


def _made_by(comparison: Comparison) -> dict[str, Any]:
    """The settings as a file has them, without what it has beside them."""
    settings = json.loads(json.dumps(comparison.settings))
    return {name: value for name, value in settings.items() if name not in ("format", "kind", "versions", "files")}


def _assert_same(left: Comparison, right: Comparison) -> None:
    """All but the clocks and the memory is equal, to the last bit."""
    rows = [comparison.results.drop(columns=CLOCKS) for comparison in (left, right)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)
    pd.testing.assert_frame_equal(left.predictions, right.predictions, check_exact=True)
    pd.testing.assert_frame_equal(left.data, right.data, check_exact=True)
    assert _made_by(left) == _made_by(right)
    assert set(left.draws) == set(right.draws)
    for run, arrays in left.draws.items():
        assert set(arrays) == set(right.draws[run])
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, right.draws[run][name])


@pytest.fixture(scope="module")
def small() -> Comparison:
    return compare(DATASET, methods=METHODS, seeds=[0, 4], **QUIET)


def test_a_plain_baseline_takes_part_by_default_where_rows_are_held_out_that_it_supports() -> None:
    held_out = split(DATASET, tail="x", seed=0)
    network = default_network(DATASET)
    assert default_methods(held_out, network) == (*DEFAULT_METHODS, "linear")
    assert default_methods(DATASET, network) == DEFAULT_METHODS
    assert default_methods(held_out, dataclasses.replace(network, likelihood=Bernoulli())) == DEFAULT_METHODS


def test_the_rows_are_the_regions_means_of_the_predictions(small: Comparison) -> None:
    runs = list(zip(small.results["method"], small.results["seed"], strict=True))[::3]
    assert runs == [("output", 0), ("output", 4), ("flipout", 0), ("flipout", 4)]
    for _, row in small.results.iterrows():
        p = small.predictions
        own = p[(p["method"] == row["method"]) & (p["seed"] == row["seed"]) & (p["region"] == row["region"])]
        assert row["query_points"] == len(own)
        for measure in ("epistemic_variance", "aleatoric_variance"):
            assert row[measure] == pytest.approx(own[measure].mean(), rel=1e-12)
    own = small.results[small.results["method"] == "flipout"]
    per_seed = np.sqrt(own[own["region"] == BEYOND]["epistemic_variance"].to_numpy())
    assert small.table.set_index("method").loc["flipout", "sd_beyond"] == pytest.approx(np.sqrt(per_seed.prod()))


def test_the_training_rows_are_kept_and_their_rmse_is_that_of_the_mean(small: Comparison) -> None:
    np.testing.assert_array_equal(small.data.to_numpy(), np.hstack([DATASET.x, DATASET.y]))
    posterior = METHODS["flipout"].fit(DATASET, default_network(DATASET), 4)
    mean = posterior.sample_functions(DATASET.x, num_samples=10, seed=4).mean(axis=0)
    row = small.results.query("method == 'flipout' and seed == 4").iloc[0]
    assert row["train_rmse"] == pytest.approx(np.sqrt(((mean - DATASET.y) ** 2).mean()), rel=1e-5)


def test_the_same_seed_gives_the_same_rows_in_any_order(small: Comparison) -> None:
    again = compare(DATASET, methods=dict(reversed(METHODS.items())), seeds=[4], **QUIET)
    for table in ("results", "predictions"):
        first, second = (
            getattr(comparison, table).drop(columns=CLOCKS, errors="ignore") for comparison in (small, again)
        )
        for method in METHODS:
            own = first[(first["method"] == method) & (first["seed"] == 4)].reset_index(drop=True)
            other = second[second["method"] == method].reset_index(drop=True)
            pd.testing.assert_frame_equal(own, other, check_exact=True)
    means = [group["mean"].to_numpy() for _, group in small.predictions.groupby(["method", "seed"])]
    assert not any(np.array_equal(a, b) for i, a in enumerate(means) for b in means[:i])


def test_rows_are_in_the_units_of_y(small: Comparison) -> None:
    scaled = dataclasses.replace(DATASET, y=1000 * DATASET.y, noise_scale=1000.0)
    rows = compare(scaled, methods=METHODS, seeds=[0], **QUIET).results
    before = small.results[small.results["seed"] == 0].reset_index(drop=True)
    for measure, factor in {"epistemic_variance": 1e6, "aleatoric_variance": 1e6, "train_rmse": 1e3}.items():
        np.testing.assert_allclose(rows[measure], factor * before[measure], rtol=1e-3, err_msg=measure)
    np.testing.assert_allclose(rows["growth_exponent"], before["growth_exponent"], rtol=1e-3)


def _table() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(80, 2))
    y = 30 * x[:, :1] - 7 * x[:, 1:] + rng.normal(size=(80, 1))
    return split(Dataset(name="table", x=x, y=y, feature_names=("a", "b")), gap="a", tail="b", seed=0)


def test_held_out_rows_are_scored_in_the_regions_of_their_split() -> None:
    dataset = _table()
    comparison = compare(dataset, methods={"output": METHODS["output"], "linear": "linear"}, seeds=[1], **QUIET)
    held_out = {region: int((dataset.test_regions == region).sum()) for region in REGIONS}
    assert comparison.settings["dataset"]["held_out"] == held_out
    results = comparison.results.set_index(["method", "region"])
    for (method, region), own in comparison.predictions.groupby(["method", "region"]):
        row = results.loc[(method, region)]
        np.testing.assert_array_equal(own["y"], dataset.y_test[dataset.test_regions == region, 0])
        assert row["rmse"] == pytest.approx(np.sqrt(((own["y"] - own["mean"]) ** 2).mean()), rel=1e-9)
        assert np.isfinite(row["log_likelihood"])
        assert np.isfinite(row["joint_log_likelihood"]) == (len(own) >= TAU)
        if method == "output":  # All its function samples are equal: the predictive is normal.
            v = own["aleatoric_variance"]
            density = -0.5 * np.log(2 * np.pi * v) - (own["y"] - own["mean"]) ** 2 / (2 * v)
            assert row["log_likelihood"] == pytest.approx(density.mean(), rel=1e-4)
    assert comparison.table.set_index("method").loc["output", "rmse_between"] > 0
    assert set(comparison.plot()) == {"regions", "distance", "reliability"}


def test_what_is_saved_is_read_back(small: Comparison, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "er"
    figures = small.save(place)
    assert [path.name for path in figures] == ["regions.png", "distance.png", "bands.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures)
    again = Comparison.read(place)
    _assert_same(small, again)
    pd.testing.assert_frame_equal(small.table, again.table)
    assert again.save(place) == figures  # To save once more does no harm.
    _assert_same(small, Comparison.read(place))
    results = pd.read_csv(place / "results.csv")
    pd.testing.assert_frame_equal(
        results[["method", "seed", "region"]], small.results[["method", "seed", "region"]], check_dtype=False
    )


def test_any_column_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    named = dataclasses.replace(DATASET, feature_names=("a $^$",), target_names=("in $ of $_",))
    comparison = compare(named, methods={"line": Line()}, seeds=[0], **QUIET)
    assert len(comparison.save(tmp_path)) == 3
    axes = comparison.plot()["bands"].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a $^$", "in $ of $_")


def test_the_settings_say_what_made_the_rows() -> None:
    comparison = compare(lecture(), methods={"mine": Line(sd=2.0), "linear": "linear"}, seeds=[0], **QUIET)
    settings, network = _made_by(comparison), default_network(lecture()).to_dict()
    assert settings["network"] == network | {"input_shape": [1], "hidden_units": [50]}
    assert settings["network"]["likelihood"]["scale"] == 1.0
    assert settings["methods"]["mine"] == {"class": "Line", "sd": 2.0, "noise": 2.0, "reason": None}
    assert settings["methods"]["linear"] == {"class": "LinearRegression", "standardise": True}
    assert settings["dataset"]["larger_sample"] == "lecture_80_0"
    assert settings["num_samples"] == 10
    assert default_network(_table()).likelihood == Normal()  # Noise that is not known is left to the network.


@pytest.fixture(scope="module")
def referred() -> Comparison:
    """A line, whose posterior is known in closed form, beside two methods that are measured against it."""
    network = dataclasses.replace(default_network(DATASET), hidden_units=())
    methods = ["prior", "linear", Line()]
    return compare(DATASET, methods=methods, seeds=[0, 1], network=network, num_samples=400, progress=False)


def test_the_exact_posterior_is_the_reference_of_the_others(referred: Comparison) -> None:
    assert referred.reference == "linear"
    table = referred.table.set_index("method")
    error = np.sqrt(2 / referred.settings["num_samples"])  # Of a difference of means, in sds; a ratio of sds has less.
    for region in REGIONS:
        assert table.loc["linear", f"sd_ratio_{region}"] == pytest.approx(1, abs=3 * error)  # Its other seed's draws.
        assert table.loc["linear", f"wasserstein_{region}"] < 4 * error
        assert table.loc["linear", f"mean_error_{region}"] < 4 * error
        assert table.loc["prior", f"sd_ratio_{region}"] > 2
        assert table.loc["prior", f"wasserstein_{region}"] > 1
        assert np.isfinite(table.loc["Line", f"wasserstein_{region}"])
    assert set(referred.plot()) == {"regions", "distance", "bands", "reference", "reference_distance"}


def test_the_reference_is_exact_by_its_method_whatever_its_name(referred: Comparison) -> None:
    def with_exact(*names: str, sampled: str = "") -> Comparison:
        methods = {name: {**method, "exact": name in names} for name, method in referred.settings["methods"].items()}
        outcomes = {
            (name, seed): dataclasses.replace(
                outcome, rows=outcome.rows.assign(r_hat=1.0 if name == sampled else np.nan)
            )
            for (name, seed), outcome in referred.outcomes.items()
        }
        return dataclasses.replace(referred, settings={**referred.settings, "methods": methods}, outcomes=outcomes)

    assert referred.reference == "linear"
    assert with_exact("Line").reference == "Line"
    assert with_exact("Line", "linear", sampled="Line").reference == "linear"  # The closed form comes first,
    assert with_exact("Line", "linear", sampled="linear").reference == "Line"  # whichever that is.
    nothing = with_exact()
    assert nothing.reference is None
    assert nothing.reference_distances.empty
    assert nothing.table.filter(like="wasserstein").isna().all(axis=None)


def test_a_method_is_exact_for_some_networks_and_its_name_does_not_matter() -> None:
    linear = dataclasses.replace(default_network(DATASET), hidden_units=())
    named = {"exact": LinearRegression(), "linear": Line(), "hmc": Line(sd=0.5)}
    assert compare(DATASET, methods=named, seeds=[0], network=linear, **QUIET).reference == "exact"
    assert compare(DATASET, methods=named, seeds=[0], **QUIET).reference is None  # A line is none of a network.


def test_a_run_that_fails_is_a_row_that_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    failing = Noting({0: FitError("diverged: the loss\nbecame nan")})
    comparison = compare(DATASET, methods={"mine": failing}, seeds=[0, 1], directory=tmp_path, **QUIET)
    failed = comparison.results[comparison.results["seed"] == 0]
    assert list(failed["region"]) == list(REGIONS)
    assert set(failed["status"]) == {"diverged: the loss became nan"}
    assert failed[["epistemic_variance", "train_rmse", "growth_exponent"]].isna().all(axis=None)
    assert set(comparison.results[comparison.results["seed"] == 1]["status"]) == {"ok"}
    summary = comparison.table.set_index("method").loc["mine"]
    assert (summary["seeds_ok"], summary["seeds_failed"]) == (1, 1)
    assert set(comparison.plot()) == {"regions", "distance", "bands"}
    again = Noting()
    _assert_same(comparison, compare(DATASET, methods={"mine": again}, seeds=[0, 1], directory=tmp_path, **QUIET))
    assert again.seeds == []  # A failure is a result: it is not tried again until it succeeds.


def test_chains_that_have_not_converged_are_a_row_and_no_reference(tmp_path: Path) -> None:
    trace = np.random.default_rng(0).normal(size=(20, 2))
    diagnostics = Diagnostics(r_hat=1.5, ess=12.0, ess_tail=9.0, acceptance=0.7, trace=trace, warmup=10)
    chains = Noting({0: FitError("not converged: R-hat 1.5", diagnostics)})
    methods = {"hmc": chains, "line": Line()}
    comparison = compare(DATASET, methods=methods, seeds=[0], directory=tmp_path, **QUIET)
    rows = comparison.results[comparison.results["method"] == "hmc"]
    assert set(rows["status"]) == {"not converged: R-hat 1.5"}
    assert rows["epistemic_variance"].isna().all()
    assert rows[["r_hat", "ess", "ess_tail", "acceptance"]].drop_duplicates().values.tolist() == [[1.5, 12, 9, 0.7]]
    assert comparison.reference is None
    assert comparison.table.filter(like="sd_ratio").isna().all(axis=None)
    assert "traces" in comparison.plot()  # They show why.
    np.testing.assert_array_equal(comparison.draws[DATASET.name, "hmc", 0]["trace"], trace)
    _assert_same(comparison, Comparison.read(tmp_path))
    assert comparison.save(tmp_path / "copy")


def test_where_nothing_succeeds_there_is_still_a_table_and_a_figure(tmp_path: Path) -> None:
    methods = {"output": OutputVariation(steps=20, learning_rate=1e30), "mine": Noting({0: FitError("no")})}
    comparison = compare(DATASET, methods=methods, seeds=[0], **QUIET)
    status = comparison.results.groupby("method", sort=False)["status"].first()
    assert status["output"].startswith("diverged: the loss became")
    assert status["mine"] == "no posterior: no"
    assert list(comparison.table["seeds_failed"]) == [1, 1]
    assert list(comparison.plot()) == ["regions"]
    comparison.save(tmp_path)
    _assert_same(comparison, Comparison.read(tmp_path))
