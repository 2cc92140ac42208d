"""A comparison's rows are what its predictions say; they come again from the same seed, and a stop costs none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from variational_bnn.base import BEYOND, REGIONS, Dataset, Network, Training
from variational_bnn.datasets import lecture
from variational_bnn.evaluation.split import split
from variational_bnn.experiments.comparison import Comparison, compare, default_network
from variational_bnn.methods import METHODS, FitError
from variational_bnn.models.likelihoods import Normal

OUTPUT = METHODS["output"]
CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]
FEW: dict[str, Any] = {"training": Training(steps=20), "num_samples": 10, "progress": False}


def _same(left: Comparison, right: Comparison) -> None:
    """All but the clocks, and the memory, is equal, to the last bit."""
    rows = [comparison.results.drop(columns=CLOCKS) for comparison in (left, right)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)
    pd.testing.assert_frame_equal(left.predictions, right.predictions, check_exact=True)
    pd.testing.assert_frame_equal(left.data, right.data, check_exact=True)
    assert left.settings == right.settings
    assert set(left.draws) == set(right.draws)
    for cell, arrays in left.draws.items():
        assert set(arrays) == set(right.draws[cell])
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, right.draws[cell][name])


def _table() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(80, 2))
    y = 30 * x[:, :1] - 7 * x[:, 1:] + rng.normal(size=(80, 1))
    return split(Dataset(name="table", x=x, y=y, feature_names=("a", "b")), gap="a", tail="b", seed=0)


@pytest.fixture(scope="module")
def small() -> Comparison:
    return compare(lecture(), methods=["output", "flipout"], seeds=[0, 4], **FEW)


def test_the_rows_are_the_regions_means_of_the_predictions(small: Comparison) -> None:
    assert list(zip(small.results["method"], small.results["seed"], strict=True))[::3] == [
        ("output", 0),
        ("output", 4),
        ("flipout", 0),
        ("flipout", 4),
    ]
    for _, row in small.results.iterrows():
        p = small.predictions
        mine = p[(p["method"] == row["method"]) & (p["seed"] == row["seed"]) & (p["region"] == row["region"])]
        assert row["query_points"] == len(mine)
        for measure in ("epistemic_variance", "aleatoric_variance"):
            assert row[measure] == pytest.approx(mine[measure].mean(), rel=1e-12)
    own = small.results[small.results["method"] == "flipout"]
    per_seed = np.sqrt(own[own["region"] == BEYOND]["epistemic_variance"].to_numpy())
    assert small.table.set_index("method").loc["flipout", "sd_beyond"] == pytest.approx(np.sqrt(per_seed.prod()))


def test_the_training_rows_are_kept_and_their_rmse_is_that_of_the_mean(small: Comparison) -> None:
    np.testing.assert_array_equal(small.data.to_numpy(), np.hstack([lecture().x, lecture().y]))
    posterior = METHODS["flipout"](lecture(), default_network(lecture()), FEW["training"], 4)
    mean = posterior.sample_functions(lecture().x, num_samples=10, seed=4).mean(axis=0)
    wanted = np.sqrt(((mean - lecture().y) ** 2).mean())
    row = small.results.query("method == 'flipout' and seed == 4").iloc[0]
    assert row["train_rmse"] == pytest.approx(wanted, rel=1e-5)


def test_the_same_seed_gives_the_same_rows_in_any_order_and_from_any_process(small: Comparison) -> None:
    _same(small, compare(lecture(), methods=["output", "flipout"], seeds=[0, 4], **FEW))
    _same(small, compare(lecture(), methods=["output", "flipout"], seeds=[0, 4], workers=2, **FEW))
    means = [group["mean"].to_numpy() for _, group in small.predictions.groupby(["method", "seed"])]
    assert not any(np.array_equal(a, b) for i, a in enumerate(means) for b in means[:i])


def test_rows_are_in_the_units_of_y(small: Comparison) -> None:
    scaled = dataclasses.replace(lecture(), y=1000 * lecture().y, noise_scale=1000.0)
    rows = compare(scaled, methods=["output", "flipout"], seeds=[0, 4], **FEW).results
    for measure, factor in {"epistemic_variance": 1e6, "aleatoric_variance": 1e6, "train_rmse": 1e3}.items():
        np.testing.assert_allclose(rows[measure], factor * small.results[measure], rtol=1e-3, err_msg=measure)
    np.testing.assert_allclose(rows["growth_exponent"], small.results["growth_exponent"], rtol=1e-3)


def test_held_out_rows_are_scored_in_the_regions_of_their_split() -> None:
    dataset = _table()
    found = compare(dataset, methods=["output", "flipout"], seeds=[1], **FEW)
    assert found.settings["dataset"]["held_out"] == {r: int((dataset.test_regions == r).sum()) for r in REGIONS}
    p = found.predictions
    for (method, region), mine in p.groupby(["method", "region"]):
        row = found.results.query("method == @method and region == @region").iloc[0]
        np.testing.assert_array_equal(mine["y"], dataset.y_test[dataset.test_regions == region, 0])
        assert row["rmse"] == pytest.approx(np.sqrt(((mine["y"] - mine["mean"]) ** 2).mean()), rel=1e-9)
        assert np.isfinite(row["log_likelihood"])
        if method == "output":  # One draw is all there is: a normal density.
            v = mine["aleatoric_variance"]
            density = -0.5 * np.log(2 * np.pi * v) - (mine["y"] - mine["mean"]) ** 2 / (2 * v)
            assert row["log_likelihood"] == pytest.approx(density.mean(), rel=1e-4)
    assert found.table.set_index("method").loc["output", "rmse_between"] > 0
    assert set(found.plot()) == {"regions", "distance", "reliability"}


class _Counter:
    """A method that notes its seeds, once a cell, and stops or diverges at some."""

    def __init__(self, stop_at: int | None = None, diverge_at: int | None = None) -> None:
        self.seeds: list[int] = []
        self.stop_at, self.diverge_at = stop_at, diverge_at

    def __call__(self, dataset: Dataset, network: Network, training: Training, seed: int) -> Any:
        if seed == self.stop_at:
            raise KeyboardInterrupt
        if seed == self.diverge_at:
            raise FitError("diverged: the loss\nbecame nan")
        if dataset.larger_sample is not None:
            self.seeds.append(seed)
        return OUTPUT(dataset, network, training, seed)


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def patch(**settings: int) -> _Counter:
        counter = _Counter(**settings)
        monkeypatch.setitem(METHODS, "output", counter)
        return counter

    return patch


def test_a_stopped_run_goes_on_where_it_was_and_ends_as_if_it_had_not_been(patched: Any, tmp_path: Path) -> None:
    arguments = {"methods": ["output"], "seeds": range(3), **FEW}
    first = patched(stop_at=1)
    with pytest.raises(KeyboardInterrupt):
        compare(lecture(), directory=tmp_path, **arguments)
    assert first.seeds == [0]
    assert sorted(Comparison.read(tmp_path).results["seed"].unique()) == [0]
    second = patched()
    resumed = compare(lecture(), directory=tmp_path, **arguments)
    assert second.seeds == [1, 2]
    third = patched()
    _same(resumed, compare(lecture(), directory=tmp_path, **arguments))
    assert third.seeds == []
    _same(resumed, compare(lecture(), **arguments))
    assert third.seeds == [0, 1, 2]


def test_other_settings_or_data_are_not_mixed_into_a_directory(patched: Any, tmp_path: Path) -> None:
    patched()
    compare(lecture(), methods=["output"], seeds=[0], directory=tmp_path, **FEW)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    counter = patched()
    for change, named in (
        ({"training": Training(steps=21)}, "training.steps is 20 there, 21 here"),
        ({"num_samples": 11}, "num_samples is 10 there, 11 here"),
        ({"network": dataclasses.replace(default_network(lecture()), prior_scale=2.0)}, "network.prior_scale is 1.0"),
    ):
        with pytest.raises(ValueError, match=named):
            compare(lecture(), methods=["output"], seeds=[0], directory=tmp_path, **{**FEW, **change})
    other = dataclasses.replace(lecture(), y=lecture().y + 0.1)
    with pytest.raises(ValueError, match="other training rows"):
        compare(other, methods=["output"], seeds=[0], directory=tmp_path, **FEW)
    held_out = {"x_test": lecture().x[:3], "y_test": lecture().y[:3], "test_regions": ["near"] * 3}
    more = dataclasses.replace(lecture().larger_sample, y=3 * lecture().larger_sample.y)
    for changed in (dataclasses.replace(lecture(), **held_out), dataclasses.replace(lecture(), larger_sample=more)):
        with pytest.raises(ValueError, match=r"dataset\.(digest|held_out)"):
            compare(changed, methods=["output"], seeds=[0], directory=tmp_path, **FEW)
    assert counter.seeds == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_directory_may_hold_more_than_is_asked_for(tmp_path: Path, patched: Any) -> None:
    patched()
    compare(lecture(), methods=["output"], seeds=[0, 1], directory=tmp_path, **FEW)
    less = compare(lecture(), methods=["output"], seeds=[1], directory=tmp_path, **FEW)
    assert list(less.results["seed"].unique()) == list(less.predictions["seed"].unique()) == [1]
    assert set(Comparison.read(tmp_path).results["seed"]) == {0, 1}


def test_a_fit_that_diverges_is_a_row_that_says_so_and_the_others_go_on(patched: Any, tmp_path: Path) -> None:
    patched(diverge_at=0)
    found = compare(lecture(), methods=["output"], seeds=[0, 1], directory=tmp_path, **FEW)
    failed = found.results[found.results["seed"] == 0]
    assert list(failed["region"]) == list(REGIONS)
    assert set(failed["status"]) == {"diverged: the loss became nan"}
    assert failed[["epistemic_variance", "train_rmse", "growth_exponent"]].isna().all(axis=None)
    assert set(found.results[found.results["seed"] == 1]["status"]) == {"ok"}
    table = found.table.set_index("method").loc["output"]
    assert (table["seeds_ok"], table["seeds_failed"]) == (1, 1)
    assert set(found.plot()) == {"regions", "distance", "bands"}
    counter = patched()
    _same(found, compare(lecture(), methods=["output"], seeds=[0, 1], directory=tmp_path, **FEW))
    assert counter.seeds == []  # A failure is not tried again until it succeeds.


def test_where_nothing_succeeds_there_is_still_a_table_and_a_figure(tmp_path: Path) -> None:
    explosive = {**FEW, "training": Training(steps=20, learning_rate=1e30)}
    found = compare(lecture(), methods=["output", "flipout"], seeds=[0], **explosive)
    assert found.results["status"].str.startswith("diverged: the loss became").all()
    assert list(found.table["seeds_failed"]) == [1, 1]
    assert list(found.plot()) == ["regions"]
    found.save(tmp_path)
    _same(found, Comparison.read(tmp_path))


def test_what_is_saved_is_read_back(small: Comparison, tmp_path: Path) -> None:
    figures = small.save(tmp_path / "deep" / "er")
    assert [path.name for path in figures] == ["regions.png", "distance.png", "bands.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures)
    again = Comparison.read(tmp_path / "deep" / "er")
    _same(small, again)
    pd.testing.assert_frame_equal(small.table, again.table)
    assert again.save(tmp_path / "deep" / "er") == figures  # Once more is no harm.
    _same(small, Comparison.read(tmp_path / "deep" / "er"))


def test_any_column_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    named = dataclasses.replace(lecture(), feature_names=("a $^$",), target_names=("in $ of $_",))
    found = compare(named, methods=["output"], seeds=[0], **FEW)
    assert len(found.save(tmp_path)) == 3
    axes = found.plot()["bands"].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a $^$", "in $ of $_")


def test_the_settings_say_what_made_the_rows(small: Comparison) -> None:
    network = default_network(lecture()).to_dict()
    assert small.settings["network"] == network | {"input_shape": [1], "hidden_units": [50]}
    assert small.settings["training"] == dataclasses.asdict(Training(steps=20))
    assert small.settings["dataset"]["larger_sample"] == "lecture_80_0"
    assert small.settings["network"]["likelihood"]["scale"] == 1.0
    assert {"variational-bnn", "tensorflow", "numpy"} <= set(small.settings["versions"])
    assert default_network(_table()).likelihood == Normal()  # Noise that is not known is left to the network.


SHORT = Training(steps=300, warmup=300, draws=500)


@pytest.fixture(scope="module")
def referred() -> Comparison:
    """A line, whose posterior is known in closed form and sampled, and two methods to be measured against it."""
    network = dataclasses.replace(default_network(lecture()), hidden_units=())
    dataset = dataclasses.replace(lecture(), larger_sample=None)
    methods = ["prior", "flipout", "hmc", "linear"]
    settings = {"training": SHORT, "num_samples": 400, "progress": False}
    return compare(dataset, methods=methods, seeds=[0, 1], network=network, **settings)


def test_what_is_exact_is_what_the_others_are_measured_against(referred: Comparison) -> None:
    assert referred.reference == "linear"
    table = referred.table.set_index("method")
    error = np.sqrt(2 / referred.settings["num_samples"])  # Of a difference of means, in sds; a ratio of sds has less.
    for region in REGIONS:
        for method in ("hmc", "linear"):  # The closed form's own draws differ from seed to seed, too.
            assert table.loc[method, f"sd_ratio_{region}"] == pytest.approx(1, abs=3 * error), (method, region)
            assert table.loc[method, f"wasserstein_{region}"] < 4 * error
            assert table.loc[method, f"mean_error_{region}"] < 4 * error
        assert table.loc["prior", f"sd_ratio_{region}"] > 3
        assert table.loc["prior", f"wasserstein_{region}"] > 3
    assert set(referred.plot()) == {"regions", "distance", "bands", "reference", "reference_distance", "traces"}


def test_without_the_closed_form_the_reference_is_sampled_and_without_both_there_is_none(referred: Comparison) -> None:
    def without(*methods: str) -> Comparison:
        kept = referred.results[~referred.results["method"].isin(methods)]
        predictions = referred.predictions[~referred.predictions["method"].isin(methods)]
        draws = {cell: arrays for cell, arrays in referred.draws.items() if cell[1] not in methods}
        return dataclasses.replace(referred, results=kept, predictions=predictions, draws=draws)

    assert without("linear").reference == "hmc"
    nothing = without("linear", "hmc")
    assert nothing.reference is None
    assert nothing.reference_distances.empty
    assert nothing.table.filter(like="wasserstein").isna().all(axis=None)
    assert not {"reference", "reference_distance"} & set(nothing.plot())


def test_a_line_is_no_reference_for_a_network_with_hidden_units() -> None:
    found = compare(lecture(), methods=["linear", "output"], seeds=[0], **FEW)
    assert found.reference is None


def test_chains_that_have_not_converged_are_a_row_and_no_reference(tmp_path: Path) -> None:
    dataset = dataclasses.replace(lecture(), larger_sample=None)
    few = {**FEW, "training": Training(steps=20, warmup=100, draws=20)}
    found = compare(dataset, methods=["hmc", "flipout"], seeds=[0], directory=tmp_path, **few)
    rows = found.results[found.results["method"] == "hmc"]
    assert rows["status"].str.startswith("not converged: R-hat").all()
    assert rows["epistemic_variance"].isna().all()
    assert np.isfinite(rows[["r_hat", "ess", "acceptance"]]).all(axis=None)
    assert found.reference is None
    assert found.table.filter(like="sd_ratio").isna().all(axis=None)
    assert "traces" in found.plot()  # To see why.
    _same(found, Comparison.read(tmp_path))
    assert found.save(tmp_path / "copy")


def test_two_draws_are_the_fewest_that_have_a_variance() -> None:
    with pytest.raises(ValueError, match="num_samples must be at least 2 for a variance, got 1"):
        compare(lecture(), **{**FEW, "num_samples": 1})


def test_scores_do_not_depend_on_where_the_targets_are() -> None:
    """Single precision would lose a spread of one beside an offset of a billion."""
    table = dataclasses.replace(_table(), noise_scale=1.0)
    far = dataclasses.replace(table, y=table.y + 1e9, y_test=table.y_test + 1e9)
    settings = {**FEW, "num_samples": 100}
    here, there = (compare(data, methods=["linear", "flipout"], seeds=[0], **settings) for data in (table, far))
    scores = ["rmse", "log_likelihood", "crps", "coverage_50", "width_95", "epistemic_variance"]
    np.testing.assert_allclose(there.results[scores], here.results[scores], rtol=2e-3, atol=1e-3)


def test_a_prediction_that_is_not_finite_is_a_row_that_says_so() -> None:
    network = dataclasses.replace(default_network(lecture()), prior_scale=1e30)
    found = compare(lecture(), methods=["prior", "output"], seeds=[0], network=network, **FEW)
    assert set(found.results.query("method == 'prior'")["status"]) == {"not finite: a prediction is infinite or NaN"}
    assert set(found.results.query("method == 'output'")["status"]) == {"ok"}


@pytest.mark.parametrize("settings", ["{}", '{"dataset": 1, "network": {}}'])
def test_settings_of_something_else_are_refused(small: Comparison, tmp_path: Path, settings: str) -> None:
    small.save(tmp_path)
    (tmp_path / "settings.json").write_text(settings)
    with pytest.raises(ValueError, match="is foreign: its settings name no dataset and network"):
        Comparison.read(tmp_path)
