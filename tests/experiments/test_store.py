"""The directory of finished runs: it comes back as it was, takes no harm from kills, and says what is wrong with it."""

from __future__ import annotations

import json
import math
import os
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy_runs
from sklearn.gaussian_process.kernels import RBF
from toy_runs import COLUMNS, DATA, SETTINGS, outcome, prepared, store_in

from variational_bnn.experiments.run import Outcome, settings_of
from variational_bnn.experiments.store import OtherVersionsWarning, Store


def _settings(store: Store) -> dict:
    return json.loads((store.directory / "settings.json").read_text())


def _edit_settings(store: Store, **changes: object) -> None:
    """As an earlier version may have written them, which wrote no digest."""
    _edit(store.directory / "settings.json", **changes)


def _edit(path: Path, **changes: object) -> None:
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in values.items() if name != "digest"}))


def _only_run(store: Store) -> Path:
    (folder,) = store.finished().values()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = prepared(tmp_path / "results")
    store.save(("a", 0), outcome("a", 0))
    return store


def test_what_is_saved_comes_back_to_the_last_digit(store: Store) -> None:
    saved, read = outcome("a", 0), store.read(_only_run(store))
    pd.testing.assert_frame_equal(read.rows, saved.rows, check_exact=True, check_dtype=False)
    predictions = read.tables["predictions"]
    pd.testing.assert_frame_equal(predictions, saved.tables["predictions"], check_exact=True, check_dtype=False)
    np.testing.assert_array_equal(read.arrays["functions"], saved.arrays["functions"])
    pd.testing.assert_frame_equal(store.input_table("data"), DATA, check_exact=True)


def test_texts_that_look_like_missing_values_stay_texts(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    store.save(("nan", 0), Outcome(rows=outcome("nan", 0).rows.assign(note="NA")))
    rows = store.read(_only_run(store)).rows
    assert rows["method"].tolist() == ["nan"] * 3
    assert rows["note"].tolist() == ["NA"] * 3


def test_a_column_that_is_missing_has_its_default_and_one_that_is_unknown_is_kept(tmp_path: Path) -> None:
    store, made = prepared(tmp_path), outcome("a", 0)
    older = Outcome(rows=made.rows.drop(columns=["value", "status"]).assign(later=[1.5, 2.5, 3.5]), arrays=made.arrays)
    store.save(("a", 0), older)
    rows = store.read(_only_run(store)).rows
    assert list(rows.columns) == [*COLUMNS, "later"]
    assert rows["value"].isna().all()
    assert rows["status"].tolist() == ["ok"] * 3
    assert rows["later"].tolist() == [1.5, 2.5, 3.5]


def test_a_column_that_must_be_there_is_named(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    store.save(("a", 0), Outcome(rows=outcome("a", 0).rows.drop(columns="method")))
    with pytest.raises(ValueError, match=r"rows\.csv lacks the columns method"):
        store.read(_only_run(store))


@pytest.mark.parametrize("file", ["rows.csv", "predictions.csv", "arrays.npz"])
@pytest.mark.parametrize("change", ["truncated", "edited", "missing"])
def test_a_file_that_was_changed_is_named_in_one_line(store: Store, file: str, change: str) -> None:
    path = _only_run(store) / file
    data = path.read_bytes()
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-7] if change == "truncated" else data.replace(data[-9:-8], b"7"))
    message = f"cannot read .*{file}" if change == "missing" else f"{file} was changed or truncated"
    with pytest.raises(ValueError, match=message) as error:
        store.read(_only_run(store))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("{", r"run\.json is damaged or not of this package"),
        ("[]", r"run\.json is damaged or not of this package: it must hold an object"),
        ("{}", r"run\.json is damaged: it lacks format, name, seed, versions, files"),
        ('{"format": 1, "name": "b", "seed": 0, "versions": {}, "files": {}}', "should be the folder of b, seed 0"),
        ('{"format": 99, "name": "a", "seed": 0, "versions": {}, "files": {}}', "format 99 of a later version"),
        ('{"format": 1, "name": "a", "seed": 0, "versions": {}, "files": {}}', r"must name rows\.csv and arrays\.npz"),
    ],
)
def test_a_damaged_description_of_a_run_is_named_in_one_line(store: Store, contents: str, message: str) -> None:
    (_only_run(store) / "run.json").write_text(contents)
    with pytest.raises(ValueError, match=message) as error:
        store.read(_only_run(store))
    assert "\n" not in str(error.value)


def test_pickled_arrays_are_not_read(store: Store, tmp_path: Path) -> None:
    harm = tmp_path / "harm"

    class Harm:
        def __reduce__(self) -> tuple:
            return Path.touch, (harm,)

    np.savez(tmp_path / "arrays.npz", functions=np.array([Harm()], dtype=object))
    store.save(("b", 0), outcome("b", 0))
    (folder,) = (folder for key, folder in store.finished().items() if key == ("b", 0))
    (folder / "arrays.npz").write_bytes((tmp_path / "arrays.npz").read_bytes())
    files = json.loads((folder / "run.json").read_text())["files"]
    digest = subprocess.check_output(["sha256sum", folder / "arrays.npz"]).decode().split()[0]
    _edit(folder / "run.json", files={**files, "arrays.npz": digest})
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged"):
        store.read(folder)
    assert not harm.exists()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (None, r"cannot read .*settings\.json: No such file"),
        ("", r"settings\.json is damaged or not of this package"),
        ("{}", r"is not a results directory of this package: settings\.json lacks format, kind"),
        ('{"format": 9, "kind": "tables", "methods": {}, "versions": {}, "files": {}}', "format 9 of a later version"),
        (
            '{"format": 1, "kind": "other", "methods": {}, "versions": {}, "files": {}}',
            "must hold a comparison of tables",
        ),
    ],
)
def test_settings_of_another_kind_are_named_in_one_line(store: Store, contents: str | None, message: str) -> None:
    path = store.directory / "settings.json"
    path.unlink()
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(ValueError, match=message) as error:
        store.settings()
    assert "\n" not in str(error.value)


def test_a_directory_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("mine\n")
    with pytest.raises(ValueError, match=r"holds results\.csv but no settings\.json"):
        prepared(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv"}
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="it is a file, not a directory"):
        prepared(file)


def test_it_goes_on_with_the_same_settings_and_more_methods(store: Store) -> None:
    more = {**SETTINGS, "methods": {**SETTINGS["methods"], "b": {"class": "B"}}}
    prepared(store.directory, more)
    assert _settings(store)["methods"] == more["methods"]
    prepared(store.directory)  # With fewer methods, too; those that are there stay.
    assert _settings(store)["methods"] == more["methods"]
    assert list(store.finished()) == [("a", 0)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**SETTINGS, "methods": {"a": {"class": "A", "steps": 4}}}, "methods.a.steps is 3 there, 4 here"),
        ({**SETTINGS, "dataset": {"name": "other"}}, 'dataset.name is "toy" there, "other" here'),
        ({**SETTINGS, "extra": 1}, "extra is not set there, 1 here"),
    ],
)
def test_other_settings_are_named(store: Store, settings: dict, message: str) -> None:
    before = (store.directory / "settings.json").read_bytes()
    with pytest.raises(ValueError, match=message):
        prepared(store.directory, settings)
    assert (store.directory / "settings.json").read_bytes() == before


def test_inputs_that_were_changed_are_named(store: Store) -> None:
    path = store.directory / "data.csv"
    path.write_text(path.read_text().replace("2.0", "2.1"))
    with pytest.raises(ValueError, match=r"data\.csv was changed"):
        store.input_table("data")
    with pytest.raises(ValueError, match=r"data\.csv was changed"):
        prepared(store.directory)


def test_other_versions_are_reported_and_stop_nothing(store: Store) -> None:
    store.warn_of_other_versions()  # Warnings are errors in these tests: there is none.
    _edit_settings(store, versions={"tensorflow": "2.18.1", "extinct": "1"})
    _edit(_only_run(store) / "run.json", versions={"numpy": "1.26.0"})
    with pytest.warns(OtherVersionsWarning, match=r"tensorflow 2\.18\.1 \(.* is installed\); numpy 1\.26\.0"):
        store.warn_of_other_versions()
    prepared(store.directory)
    assert store.read(_only_run(store)).rows["seed"].tolist() == [0, 0, 0]


def test_a_run_is_saved_once(store: Store) -> None:
    with pytest.raises(ValueError, match="a, seed 0 is finished already"):
        store.save(("a", 0), outcome("a", 0))


def test_what_a_killed_process_left_is_no_run_and_is_removed(store: Store) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    left = store.directory / "runs" / f".b-0-00000000.{process.pid}"
    living = store.directory / "runs" / f".c-0-00000000.{os.getpid()}"
    for folder in (left, living):
        folder.mkdir()
        (folder / "rows.csv").write_text("half")
    assert list(store.finished()) == [("a", 0)]
    prepared(store.directory)
    assert not left.exists()
    assert living.exists()  # Another process may be writing there now.


def test_names_that_a_file_system_does_not_take_are_told_apart(tmp_path: Path) -> None:
    store, names = prepared(tmp_path), ["a/b", "a\\b", "../a", "A" * 300, "ä b"]
    for name in names:
        store.save((name, 0), outcome(name, 0))
    assert sorted(name for name, _ in store.finished()) == sorted(names)
    assert {folder.parent for folder in store.finished().values()} == {tmp_path / "runs"}


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(ValueError, match="holds runs but no settings"):
        prepared(tmp_path)
    store = store_in(tmp_path / "results")
    store.prepare(SETTINGS, tables={"data": DATA}, arrays={})
    (store.directory / "runs").rmdir()
    with pytest.raises(ValueError, match="cannot write"):
        store.save(("a", 0), toy_runs.outcome("a", 0))


def test_an_input_that_a_kill_kept_from_being_written_is_written_when_it_goes_on(store: Store) -> None:
    (store.directory / "data.csv").unlink()
    prepared(store.directory)
    pd.testing.assert_frame_equal(store.input_table("data"), DATA, check_exact=True)


def test_a_folder_of_somebody_elses_among_the_runs_is_named(store: Store) -> None:
    (store.directory / "runs" / "mine").mkdir()
    with pytest.raises(ValueError, match=r"mine has no run\.json: it is not a run of this package"):
        store.finished()


class _Plain:
    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_Plain(1), _Plain(2)),
        (_Plain(np.zeros(2000)), _Plain(np.arange(2000) == 1000)),
        (_Plain(RBF(0.2)), _Plain(RBF(0.20001))),
        (_Plain(partial(max, 1)), _Plain(partial(max, 2))),
        (_Plain(math.inf), _Plain(math.nan)),
    ],
)
def test_methods_that_differ_have_other_settings(one: object, other: object) -> None:
    texts = [json.dumps(settings_of(method), allow_nan=False) for method in (one, other)]
    assert texts[0] != texts[1]
    assert texts[0] == json.dumps(settings_of(one))
