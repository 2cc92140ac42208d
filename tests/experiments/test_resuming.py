"""A comparison that was stopped costs no finished run, and its directory takes no rows of other settings or data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quick_methods import Line, Noting

from variational_bnn.base import Dataset
from variational_bnn.datasets import lecture, lecture_sample
from variational_bnn.experiments.compare import compare, default_network
from variational_bnn.experiments.comparison import KIND, Comparison
from variational_bnn.experiments.result import PREDICTION_COLUMNS, RESULT_COLUMNS
from variational_bnn.experiments.run import Outcome
from variational_bnn.experiments.store import Store

QUIET: dict[str, Any] = {"num_samples": 10, "progress": False}
DATASET = dataclasses.replace(lecture_sample(10, seed=0), larger_sample=None)


def _files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_comparison_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    first, second, third = Noting({1: KeyboardInterrupt()}), Noting(), Noting()
    with pytest.raises(KeyboardInterrupt):
        compare(DATASET, methods={"mine": first}, seeds=range(3), directory=tmp_path, **QUIET)
    assert first.seeds == [0, 1]
    assert list(Comparison.read(tmp_path).results["seed"].unique()) == [0]
    resumed = compare(DATASET, methods={"mine": second}, seeds=range(3), directory=tmp_path, **QUIET)
    assert second.seeds == [1, 2]
    again = compare(DATASET, methods={"mine": third}, seeds=range(3), directory=tmp_path, **QUIET)
    assert third.seeds == []
    pd.testing.assert_frame_equal(again.results, resumed.results, check_exact=True)  # The clocks, too.
    pd.testing.assert_frame_equal(again.predictions, resumed.predictions, check_exact=True)
    elsewhere = compare(DATASET, methods={"mine": third}, seeds=range(3), **QUIET)
    assert third.seeds == [0, 1, 2]
    pd.testing.assert_frame_equal(elsewhere.predictions, resumed.predictions, check_exact=True)


def test_a_directory_may_hold_more_than_a_comparison_needs(tmp_path: Path) -> None:
    compare(DATASET, methods={"mine": Line()}, seeds=[0, 1], directory=tmp_path, **QUIET)
    less = compare(DATASET, methods={"mine": Line()}, seeds=[1], directory=tmp_path, **QUIET)
    assert list(less.results["seed"].unique()) == list(less.predictions["seed"].unique()) == [1]
    assert set(Comparison.read(tmp_path).results["seed"]) == {0, 1}
    assert set(pd.read_csv(tmp_path / "results.csv")["seed"]) == {0, 1}


def test_runs_are_read_in_the_order_of_methods_and_seeds_however_they_were_finished(tmp_path: Path) -> None:
    """As with workers, or after the directory was copied."""
    methods = {"another": Line(sd=1.0), "one": Line()}
    for seed in (1, 0):
        compare(DATASET, methods={"one": Line()}, seeds=[seed], directory=tmp_path, **QUIET)
    compare(DATASET, methods=methods, seeds=[1, 0], directory=tmp_path, **QUIET).save(tmp_path)
    read = Comparison.read(tmp_path)
    assert list(read.outcomes) == [("one", 0), ("one", 1), ("another", 0), ("another", 1)]
    assert list(read.table["method"]) == ["one", "another"]
    read.save(tmp_path)
    rows = pd.read_csv(tmp_path / "results.csv")
    assert list(zip(rows["method"], rows["seed"], strict=True))[::3] == list(read.outcomes)


def test_a_further_method_is_added_and_another_setting_of_the_same_is_an_error_that_names_it(tmp_path: Path) -> None:
    noting = Noting()
    compare(DATASET, methods={"mine": Line(), "noting": noting}, seeds=[0], directory=tmp_path, **QUIET)
    compare(DATASET, methods={"other": Line(sd=0.5)}, seeds=[0], directory=tmp_path, **QUIET)
    together = compare(
        DATASET, methods={"other": Line(sd=0.5), "noting": noting}, seeds=[0], directory=tmp_path, **QUIET
    )
    assert noting.seeds == [0]
    assert list(together.results["method"].unique()) == ["other", "noting"]
    assert list(Comparison.read(tmp_path).results["method"].unique()) == ["mine", "noting", "other"]
    kept = json.loads((tmp_path / "settings.json").read_text())["methods"]
    assert (kept["mine"]["sd"], kept["other"]["sd"], kept["noting"]) == (3.0, 0.5, {"class": "Noting"})
    before = _files(tmp_path)
    with pytest.raises(
        ValueError, match=r"holds other settings: methods\.other\.sd is 0\.5 there, 0\.6 here"
    ) as caught:
        compare(DATASET, methods={"mine": Line(), "other": Line(sd=0.6)}, seeds=[1], directory=tmp_path, **QUIET)
    assert "\n" not in str(caught.value)
    assert _files(tmp_path) == before


@pytest.fixture(scope="module")
def held_out() -> Dataset:
    rows = lecture_sample(10, seed=1)
    regions = np.repeat(["near", "beyond"], 5)
    return dataclasses.replace(lecture(), x_test=rows.x, y_test=rows.y, test_regions=regions)


@pytest.fixture(scope="module")
def kept(held_out: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("kept")
    compare(held_out, methods={"mine": Line()}, seeds=[0], directory=directory, **QUIET)
    return directory


def _plus(table: Any, row: int) -> Any:
    changed = np.array(table)
    changed[row] += 1e-9
    return changed


CHANGES: dict[str, Any] = {
    "x": lambda d: {"x": _plus(d.x, 3)},
    "y": lambda d: {"y": _plus(d.y, 3)},
    "x_test": lambda d: {"x_test": _plus(d.x_test, 9)},
    "y_test": lambda d: {"y_test": _plus(d.y_test, 9)},
    "larger_sample": lambda d: {"larger_sample": dataclasses.replace(d.larger_sample, y=_plus(d.larger_sample.y, 79))},
    "test_regions": lambda d: {"test_regions": np.repeat(["beyond", "near"], 5)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_other_number_in_the_rows_is_another_dataset(change: str, held_out: Dataset, kept: Path) -> None:
    before, noting = _files(kept), Noting()
    changed = dataclasses.replace(held_out, **CHANGES[change](held_out))
    with pytest.raises(ValueError, match=r"holds other settings: dataset\.digest is .* there, .* here"):
        compare(changed, methods={"another": noting}, seeds=[0], directory=kept, **QUIET)
    assert noting.seeds == []
    assert _files(kept) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples": 11}, "num_samples is 10 there, 11 here"),
        ({"network": dataclasses.replace(default_network(lecture()), prior_scale=2.0)}, "network.prior_scale is 1.0"),
        ({"methods": {"mine": Line(noise=1.0)}}, "methods.mine.noise is 2.0 there, 1.0 here"),
    ],
)
def test_other_settings_are_named(change: dict[str, Any], message: str, held_out: Dataset, kept: Path) -> None:
    before = _files(kept)
    settings = {**QUIET, "methods": {"mine": Line()}, "seeds": [0, 1], **change}
    with pytest.raises(ValueError, match=message) as caught:
        compare(held_out, directory=kept, **settings)
    assert "\n" not in str(caught.value)
    assert _files(kept) == before


def test_a_directory_of_rows_with_other_columns_is_read_drawn_and_gone_on_with(tmp_path: Path) -> None:
    """As an earlier or a later version may have written them: one column is missing, and one is unknown."""
    made = compare(DATASET, methods={"mine": Line()}, seeds=[0, 1], directory=tmp_path / "made", **QUIET)
    columns = {"rows": RESULT_COLUMNS, "predictions": PREDICTION_COLUMNS, "data": {}}
    store = Store(directory=tmp_path / "old", kind=KIND, columns=columns)
    store.prepare(made.settings, tables={"data": made.data}, arrays={})
    first = made.outcomes["mine", 0]
    rows = first.rows.drop(columns=["ess_tail", "contraction_status"]).assign(brier=[0.1, 0.2, 0.3])
    predictions = first.tables["predictions"].drop(columns="pit").assign(note="!")
    store.save(("mine", 0), Outcome(rows=rows, tables={"predictions": predictions}, arrays=first.arrays))

    read = Comparison.read(tmp_path / "old")
    assert read.results["ess_tail"].isna().all()
    assert set(read.results["contraction_status"]) == {"ok"}
    assert list(read.results["brier"]) == [0.1, 0.2, 0.3]
    assert read.predictions["pit"].isna().all()
    assert set(read.predictions["note"]) == {"!"}
    assert set(read.plot()) == {"regions", "distance", "bands"}
    pd.testing.assert_frame_equal(read.results[list(first.rows)], first.rows, check_exact=True)

    noting = compare(DATASET, methods={"mine": Line()}, seeds=[0, 1], directory=tmp_path / "old", **QUIET)
    assert list(noting.results["brier"].isna()) == [False] * 3 + [True] * 3
    assert noting.results.loc[0, "fit_seconds"] == first.rows.loc[0, "fit_seconds"]  # It was not fitted again.
    assert len(noting.save(tmp_path / "old")) == 3
    assert list(pd.read_csv(tmp_path / "old" / "results.csv")["brier"].dropna()) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": 1}, "it describes no dataset or method"),
        ({"dataset": {}}, "it describes no dataset or method"),
        ({"methods": {"mine": 1}}, "it describes no dataset or method"),
        ({"kind": "autoencoders"}, "must hold a comparison of tables, got one of autoencoders"),
        ({"methods": []}, "settings.json lacks methods"),
    ],
)
def test_settings_of_something_else_are_not_read(kept: Path, tmp_path: Path, change: Any, message: str) -> None:
    settings = json.loads((kept / "settings.json").read_text())
    del settings["digest"]
    (tmp_path / "settings.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(ValueError, match=message) as caught:
        Comparison.read(tmp_path)
    assert "\n" not in str(caught.value)
