"""Rows survive the disk exactly, a kill costs no finished cell, and damage is refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pandas as pd
import pytest
from cells_by_hand import DATA, SETTINGS, contents, draws, failed_rows, predictions, rows, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from variational_bnn.experiments.csv_tables import results_table
from variational_bnn.experiments.directory import append_cell, finished_cells, open_directory, read_directory
from variational_bnn.experiments.result import Result


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    open_directory(tmp_path / "out", settings=SETTINGS, data=DATA)
    return tmp_path / "out"


def test_what_was_saved_comes_back_exactly(directory: Path) -> None:
    save(directory, "flipout", 0)
    append_cell(directory, failed_rows("NA", 1), pd.DataFrame(), {})
    saved = read_directory(directory)
    assert saved.settings == SETTINGS
    pd.testing.assert_frame_equal(saved.data, DATA, check_exact=True)
    pd.testing.assert_frame_equal(saved.results, results_table([*rows(), *failed_rows("NA", 1)]), check_exact=True)
    wanted = predictions()[saved.predictions.columns]
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
    statuses = {"status": f"!{status}", "contraction_status": status}
    row = Result(dataset="d", method="m", seed=0, region="near", epistemic_variance=value, ess=value, **statuses)
    append_cell(directory, [row], pd.DataFrame(), {})
    saved = read_directory(directory).results
    pd.testing.assert_frame_equal(saved, results_table([row]), check_exact=True)
    for name, text in statuses.items():
        assert saved[name].iloc[0] == " ".join(text.split())


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        open_directory(tmp_path / name, settings=SETTINGS, data=DATA)
        save(tmp_path / name, "flipout", 0)
        save(tmp_path / name, "hidden", 0)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_opening_again_changes_nothing(directory: Path) -> None:
    save(directory, "flipout", 0)
    before = contents(directory)
    open_directory(directory, settings=SETTINGS, data=DATA)
    assert contents(directory) == before


@pytest.mark.parametrize("killed", ["predictions", "draws", "results.csv"])
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_saving_loses_no_finished_cell(
    directory: Path, monkeypatch: pytest.MonkeyPatch, killed: str, moment: str
) -> None:
    save(directory, "flipout", 0)
    writing = iter(["predictions", "draws", "results.csv"])
    call = getattr(os, moment)

    def killed_there(*arguments: object) -> None:
        if next(writing) == killed:
            raise KeyboardInterrupt
        call(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, killed_there)
        with pytest.raises(KeyboardInterrupt):
            save(directory, "hidden", 3)

    open_directory(directory, settings=SETTINGS, data=DATA)
    saved = read_directory(directory)
    assert finished_cells(directory) == [("lecture", "flipout", 0)]
    assert set(saved.predictions["method"]) == {"flipout"}
    assert list(saved.draws) == [("lecture", "flipout", 0)]
    assert not list(directory.rglob("*.partial"))
    save(directory, "hidden", 3)
    assert len(read_directory(directory).predictions) == 12
    assert list(read_directory(directory).draws) == finished_cells(directory)


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
    assert contents(tmp_path) == {"data.csv": b"precious\n"}


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
    save(directory, "flipout", 0)
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
    save(directory, "flipout", 0)
    assert len(read_directory(directory).predictions) == 6


def test_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*settings\.json: No such file"):
        read_directory(tmp_path / "nowhere")


def test_a_cell_is_saved_once_and_whole(directory: Path) -> None:
    save(directory, "flipout", 0)
    before = contents(directory)
    with pytest.raises(ValueError, match="lecture / flipout / seed 0 is finished already"):
        save(directory, "flipout", 0)
    with pytest.raises(ValueError, match="one cell are wanted, got 2"):
        append_cell(directory, [*rows(seed=1), *rows(seed=2)], predictions(seed=1), draws())
    with pytest.raises(ValueError, match="must be of lecture / flipout / seed 1"):
        append_cell(directory, rows(seed=1), predictions(seed=2), draws())
    with pytest.raises(ValueError, match="counts 2 queries beyond, its predictions hold 1"):
        append_cell(directory, rows(seed=1), predictions(seed=1).iloc[:-1], draws())
    with pytest.raises(ValueError, match="lack the columns region"):
        append_cell(directory, rows(seed=1), predictions(seed=1).drop(columns="region"), draws())
    assert contents(directory) == before


def test_names_that_no_file_could_have(directory: Path) -> None:
    for dataset in ("../up/CON: " + "long" * 100, "../up?CON: " + "long" * 100):
        append_cell(directory, rows(dataset=dataset), predictions(dataset=dataset), draws())
    assert len(read_directory(directory).predictions) == 12


def test_settings_are_plain_json(directory: Path) -> None:
    assert json.loads((directory / "settings.json").read_text()) == SETTINGS
    with pytest.raises(ValueError, match="not JSON compliant"):
        open_directory(directory, settings={"scale": math.nan}, data=DATA)
