"""Rows survive the disk exactly, a kill costs no finished cell, and a summary says what the rows say."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from variational_bnn.base import REGIONS, Result
from variational_bnn.results import (
    append_cell,
    finished_cells,
    open_directory,
    read_directory,
    results_table,
    summarise,
)

SETTINGS = {"dataset": {"name": "lecture"}, "training": {"steps": 100, "learning_rate": 0.01}, "hidden_units": [50]}
DATA = pd.DataFrame({"x": [0.1, 1 / 3, 1e-300], "y": [-1.0, 2.0, math.pi]})


def _rows(
    method: str = "flipout", seed: int = 0, variances: tuple[float, ...] = (1 / 3, 0.9, 81.0), **fields: str
) -> list[Result]:
    return [
        Result(
            dataset=fields.get("dataset", "lecture"),
            method=method,
            seed=seed,
            region=region,
            queries=2,
            epistemic_variance=variance,
            aleatoric_variance=4.0,
            growth=0.1 + seed,
            parameters=7,
            fit_seconds=3.0 + seed,
        )
        for region, variance in zip(REGIONS, variances, strict=True)
    ]


def _failed_rows(method: str, seed: int) -> list[Result]:
    return [
        Result(dataset="lecture", method=method, seed=seed, region=region, status='loss, "nan"\r\nat step 3\r')
        for region in REGIONS
    ]


def _predictions(method: str = "flipout", seed: int = 0, dataset: str = "lecture") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    fixed = {"dataset": dataset, "method": method, "seed": seed, "query": range(6), "output": "y"}
    measured = {name: rng.standard_normal(6) for name in ("distance", "x", "mean", "epistemic_variance")}
    return pd.DataFrame(
        {**fixed, "region": np.repeat(REGIONS, 2), **measured, "y": math.nan, "aleatoric_variance": 1 / 3}
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    open_directory(tmp_path / "out", settings=SETTINGS, data=DATA)
    return tmp_path / "out"


def _save(directory: Path, method: str, seed: int) -> None:
    append_cell(directory, _rows(method, seed), _predictions(method, seed))


def _contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_was_saved_comes_back_exactly(directory: Path) -> None:
    _save(directory, "flipout", 0)
    append_cell(directory, _failed_rows("NA", 1), pd.DataFrame())
    saved = read_directory(directory)
    assert saved.settings == SETTINGS
    pd.testing.assert_frame_equal(saved.data, DATA, check_exact=True)
    pd.testing.assert_frame_equal(saved.results, results_table([*_rows(), *_failed_rows("NA", 1)]), check_exact=True)
    wanted = _predictions()[saved.predictions.columns]
    pd.testing.assert_frame_equal(saved.predictions, wanted, check_exact=True, check_dtype=False)
    assert finished_cells(directory) == [("lecture", "flipout", 0), ("lecture", "NA", 1)]
    assert len((directory / "results.csv").read_text().splitlines()) == 7


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.floats(allow_nan=True, allow_infinity=True),
    status=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
)
def test_any_float_and_any_status_come_back(
    value: float, status: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("any")
    open_directory(directory, settings={}, data=DATA)
    row = Result(dataset="d", method="m", seed=0, region="near", epistemic_variance=value, status=f"!{status}")
    append_cell(directory, [row], pd.DataFrame())
    pd.testing.assert_frame_equal(read_directory(directory).results, results_table([row]), check_exact=True)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        open_directory(tmp_path / name, settings=SETTINGS, data=DATA)
        _save(tmp_path / name, "flipout", 0)
        _save(tmp_path / name, "hidden", 0)
    assert _contents(tmp_path / "first") == _contents(tmp_path / "second")


def test_opening_again_changes_nothing(directory: Path) -> None:
    _save(directory, "flipout", 0)
    before = _contents(directory)
    open_directory(directory, settings=SETTINGS, data=DATA)
    assert _contents(directory) == before


@pytest.mark.parametrize("killed", ["results.csv", "predictions"])
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_saving_loses_no_finished_cell(
    directory: Path, monkeypatch: pytest.MonkeyPatch, killed: str, moment: str
) -> None:
    _save(directory, "flipout", 0)
    writing = iter(["predictions", "results.csv"])
    call = getattr(os, moment)

    def killed_there(*arguments: object) -> None:
        if next(writing) == killed:
            raise KeyboardInterrupt
        call(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, killed_there)
        with pytest.raises(KeyboardInterrupt):
            _save(directory, "hidden", 3)

    open_directory(directory, settings=SETTINGS, data=DATA)
    saved = read_directory(directory)
    assert finished_cells(directory) == [("lecture", "flipout", 0)]
    assert set(saved.predictions["method"]) == {"flipout"}
    assert not list(directory.rglob("*.partial"))
    _save(directory, "hidden", 3)
    assert len(read_directory(directory).predictions) == 12


def test_other_settings_are_refused_by_name(directory: Path) -> None:
    other = {**SETTINGS, "training": {"steps": 5, "learning_rate": 0.01}, "hidden_units": [7], "a": 1, "b": None}
    with pytest.raises(ValueError, match=r"training\.steps is 100 there, 5 here.*\[50\] there.*and 1 more") as caught:
        open_directory(directory, settings=other, data=DATA)
    assert "\n" not in str(caught.value)
    assert "learning_rate" not in str(caught.value)


def test_a_missing_setting_is_a_difference(directory: Path) -> None:
    fewer = {name: value for name, value in SETTINGS.items() if name != "hidden_units"}
    with pytest.raises(ValueError, match=r"hidden_units is \[50\] there, nothing here"):
        open_directory(directory, settings=fewer, data=DATA)


def test_other_training_rows_are_refused(directory: Path) -> None:
    with pytest.raises(ValueError, match="other training rows"):
        open_directory(directory, settings=SETTINGS, data=DATA + 1e-15)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="it is a file"):
        open_directory(tmp_path / "out", settings=SETTINGS, data=DATA)
    with pytest.raises(ValueError, match="cannot use"):
        open_directory(tmp_path / "out" / "below", settings=SETTINGS, data=DATA)


def test_somebodys_own_table_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("precious\n")
    with pytest.raises(ValueError, match=r"holds data\.csv but no settings\.json"):
        open_directory(tmp_path, settings=SETTINGS, data=DATA)
    assert _contents(tmp_path) == {"data.csv": b"precious\n"}


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ValueError, match=r"cannot write .*settings\.json: No space left on device"):
        open_directory(tmp_path, settings=SETTINGS, data=DATA)
    assert not list(tmp_path.glob("*.partial"))


DAMAGES = [
    (name, damage)
    for name in ("settings.json", "data.csv", "results.csv", "predictions")
    for damage in ("missing", "short", "fewer lines", "foreign", "no text")
    if (name, damage) != ("data.csv", "fewer lines")  # Which is found when a run brings its own rows.
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_file_is_refused_in_one_line(directory: Path, name: str, damage: str) -> None:
    _save(directory, "flipout", 0)
    path = next((directory / name).iterdir()) if name == "predictions" else directory / name
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = {"short": whole[:-2], "fewer lines": b"".join(lines[:-1]), "foreign": b"[]\n[]\n", "no text": b"\xff\n"}
    path.unlink()
    if damage in damaged:
        path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=r"settings\.json|data\.csv|results\.csv|predictions") as caught:
        read_directory(directory)
    assert "\n" not in str(caught.value)


def test_an_undamaged_directory_is_read(directory: Path) -> None:
    _save(directory, "flipout", 0)
    assert len(read_directory(directory).predictions) == 6


def test_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*settings\.json: No such file"):
        read_directory(tmp_path / "nowhere")


def test_a_cell_is_saved_once_and_whole(directory: Path) -> None:
    _save(directory, "flipout", 0)
    before = _contents(directory)
    with pytest.raises(ValueError, match="lecture / flipout / seed 0 is finished already"):
        _save(directory, "flipout", 0)
    with pytest.raises(ValueError, match="one cell are wanted, got 2"):
        append_cell(directory, [*_rows(seed=1), *_rows(seed=2)], _predictions(seed=1))
    with pytest.raises(ValueError, match="must be of lecture / flipout / seed 1"):
        append_cell(directory, _rows(seed=1), _predictions(seed=2))
    with pytest.raises(ValueError, match="counts 2 queries beyond, its predictions hold 1"):
        append_cell(directory, _rows(seed=1), _predictions(seed=1).iloc[:-1])
    with pytest.raises(ValueError, match="lack the columns region"):
        append_cell(directory, _rows(seed=1), _predictions(seed=1).drop(columns="region"))
    assert _contents(directory) == before


def test_names_that_no_file_could_have(directory: Path) -> None:
    for dataset in ("../up/CON: " + "long" * 100, "../up?CON: " + "long" * 100):
        append_cell(directory, _rows(dataset=dataset), _predictions(dataset=dataset))
    assert len(read_directory(directory).predictions) == 12


def test_settings_are_plain_json(directory: Path) -> None:
    assert json.loads((directory / "settings.json").read_text()) == SETTINGS
    with pytest.raises(ValueError, match="not JSON compliant"):
        open_directory(directory, settings={"scale": math.nan}, data=DATA)


def test_the_summary_is_the_geometric_mean_and_its_t_interval() -> None:
    variances = [(1.0, 2.0, 100.0), (2.0, 1.0, 300.0), (0.5, 4.0, 250.0)]
    rows = [row for seed, each in enumerate(variances) for row in _rows("hidden", seed, each)]
    summary = summarise(results_table(rows)).iloc[0]
    near, _, beyond = np.log(np.array(variances)).T
    for name, logs in (("sd_near", near / 2), ("beyond_near", beyond - near)):
        low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
        wanted = np.exp([logs.mean(), low, high])
        np.testing.assert_allclose([summary[name], summary[f"{name}_low"], summary[f"{name}_high"]], wanted)
    assert summary["aleatoric_sd_near"] == pytest.approx(2.0)
    assert summary["growth"] == pytest.approx(1.1)
    assert summary["fit_seconds"] == pytest.approx(4.0)
    assert summary["parameters"] == 7
    assert math.isnan(summary["rmse_near"])


def test_a_method_without_epistemic_variance_has_sd_zero_and_no_ratio() -> None:
    summary = summarise(
        results_table([*_rows("output", 0, (0.0, 0.0, 0.0)), *_rows("output", 1, (0.0, 0.0, 0.0))])
    ).iloc[0]
    assert [summary["sd_near"], summary["sd_between"], summary["sd_beyond"]] == [0.0, 0.0, 0.0]
    assert math.isnan(summary["beyond_near"])
    assert math.isnan(summary["sd_near_low"])


def test_failed_seeds_are_counted_and_not_averaged() -> None:
    table = summarise(results_table([*_rows("b", 0), *_failed_rows("b", 1), *_failed_rows("a", 0)]))
    assert list(table["method"]) == ["b", "a"]
    assert list(table["seeds_ok"]) == [1, 0]
    assert list(table["seeds_failed"]) == [1, 1]
    assert table["sd_beyond"].iloc[0] == pytest.approx(9.0)
    assert math.isnan(table["sd_beyond_low"].iloc[0])
    assert math.isnan(table["sd_beyond"].iloc[1])


def test_two_datasets_are_not_summed_up_as_one() -> None:
    with pytest.raises(ValueError, match="one dataset are wanted, got a, b"):
        summarise(results_table([*_rows(dataset="a"), *_rows(dataset="b")]))


def test_no_rows_have_no_summary_but_its_columns() -> None:
    assert list(summarise(results_table([])).columns) == list(summarise(results_table(_rows())).columns)
