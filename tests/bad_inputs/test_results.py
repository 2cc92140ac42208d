"""Results directories that are damaged, changed or of something else: named in one line, repaired as far as can be."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_input import assert_error, files_below
from click.testing import CliRunner
from quick_methods import Noting

import variational_bnn as vbnn
from variational_bnn.cli import commands
from variational_bnn.datasets import lecture
from variational_bnn.methods.linear import LinearRegression

QUIET: dict[str, Any] = {"num_samples": 2, "progress": False}
LINEAR = ["--methods", "linear", "--samples", "2"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished")
    vbnn.compare(lecture(), methods=["linear"], seeds=[0, 1], directory=directory, **QUIET)
    return directory


def _run(directory: Path) -> Path:
    """The folder of seed 0."""
    return next(run for run in sorted((directory / "runs").iterdir()) if run.name.startswith("linear-0"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _forge(path: Path, **changes: object) -> None:
    """Edit a JSON file, and take its digest away."""
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in values.items() if name != "digest"}))


def _forge_rows(directory: Path, **columns: object) -> None:
    """Other rows, whose digest is right."""
    run = _run(directory)
    pd.read_csv(run / "rows.csv").assign(**columns).to_csv(run / "rows.csv", index=False)
    files = json.loads((run / "run.json").read_text())["files"]
    _forge(run / "run.json", files={**files, "rows.csv": hashlib.sha256((run / "rows.csv").read_bytes()).hexdigest()})


def _twice(directory: Path) -> None:
    shutil.copytree(_run(directory), directory / "runs" / "copy")


RUNS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no rows": (lambda d: (_run(d) / "rows.csv").unlink(), "cannot read {run}/rows.csv: No such file or directory"),
    "no arrays": (lambda d: (_run(d) / "arrays.npz").unlink(), "cannot read {run}/arrays.npz: No such file"),
    "no description": (lambda d: (_run(d) / "run.json").unlink(), "{run} has no run.json: it is not a run of this"),
    "an empty folder": (lambda d: (d / "runs" / "mine").mkdir(), "/runs/mine has no run.json: it is not a run of this"),
    "a file": (lambda d: (d / "runs" / "notes.txt").write_text("x"), "/runs/notes.txt has no run.json: it is not"),
    "a file more": (lambda d: (_run(d) / "x.csv").write_text("x"), "{run} holds x.csv, which is not of the run"),
    "a copy": (_twice, "/runs/copy is damaged: it should be the folder of linear, seed 0"),
    "other rows": (lambda d: (_run(d) / "rows.csv").write_text("a,b\n1,2\n"), "{run}/rows.csv was changed or trunca"),
    "a number": (lambda d: _edit(_run(d) / "rows.csv", "near,", "near,1"), "{run}/rows.csv was changed or truncated"),
    "half the rows": (lambda d: _cut(_run(d) / "rows.csv"), "{run}/rows.csv was changed or truncated since it was"),
    "half the predictions": (lambda d: _cut(_run(d) / "predictions.csv"), "{run}/predictions.csv was changed or"),
    "half the arrays": (lambda d: _cut(_run(d) / "arrays.npz"), "{run}/arrays.npz was changed or truncated since"),
    "no text": (lambda d: (_run(d) / "run.json").write_bytes(b"\xff\xfe\x00"), "{run}/run.json: it is not text"),
    "half the description": (lambda d: _cut(_run(d) / "run.json"), "{run}/run.json is damaged or not of this package"),
    "a list": (lambda d: (_run(d) / "run.json").write_text("[1]"), "{run}/run.json is damaged or not of this package"),
    "nested": (lambda d: (_run(d) / "run.json").write_text("[" * 10**5), "{run}/run.json is damaged or not of this"),
    "another seed": (lambda d: _edit(_run(d) / "run.json", '"seed": 0', '"seed": 7'), "{run}/run.json was changed"),
    "another version": (lambda d: _edit(_run(d) / "run.json", '"numpy": "', '"numpy": "9'), "{run}/run.json was cha"),
    "a later format": (lambda d: _forge(_run(d) / "run.json", format=9), "has format 9 of a later version of this"),
    "no files": (lambda d: _forge(_run(d) / "run.json", files={}), "it must name rows.csv and arrays.npz"),
    "unknown status": (
        lambda d: _forge_rows(d, status="splendid"),
        "{run}/rows.csv is damaged: unknown status 'splendid'; known: ok, diverged, not converged, not finite",
    ),
    "more than ok": (lambda d: _forge_rows(d, status="ok: almost"), "unknown status 'ok: almost'; known: ok"),
    "no number": (lambda d: _forge_rows(d, seed="one"), "{run}/rows.csv is damaged: invalid literal for int()"),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_damaged_run_is_named_and_set_aside_and_executed_again(case: str, finished: Path, tmp_path: Path) -> None:
    directory, (damage, message) = tmp_path / "d", RUNS[case]
    shutil.copytree(finished, directory)
    damage(directory)
    message = message.format(run=_run(directory))
    before = files_below(tmp_path)
    line = rf"{re.escape(message)}.*; `variational-bnn repair {re.escape(str(directory))}` sets that run aside$"
    with pytest.raises(ValueError, match=line):
        vbnn.Comparison.read(directory)
    with pytest.raises(ValueError, match=line):
        vbnn.compare(lecture(), methods=["linear"], seeds=[0, 1], directory=directory, **QUIET)
    assert_error(message, "plot", directory)
    assert_error(message, "compare", *LINEAR, "--seeds", "2", "--out", directory)
    assert files_below(tmp_path) == before

    done = CliRunner().invoke(commands, ["repair", str(directory)])
    (moved,) = done.stdout.splitlines()
    (place,) = (directory / "set-aside").iterdir()
    assert moved.startswith(f"set aside {place}: ")
    assert message in moved
    damaged = {name: data for name, data in before.items() if f"/{place.name}" in name}
    after = {name.replace("/set-aside/", "/runs/"): data for name, data in files_below(tmp_path).items()}
    assert after.items() >= damaged.items()  # Nothing is deleted.
    assert set(pd.read_csv(directory / "results.csv")["seed"]) == set(vbnn.Comparison.read(directory).results["seed"])
    again = vbnn.compare(lecture(), methods=["linear"], seeds=[0, 1], directory=directory, **QUIET)
    assert again.results.groupby("seed").size().to_dict() == {0: 3, 1: 3}
    assert vbnn.repair(directory) == {}


NOT_MENDED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (shutil.rmtree, "cannot read {}/settings.json: No such file or directory"),
    "no settings": (
        lambda d: (d / "settings.json").unlink(),
        "cannot read {}/settings.json: No such file or directory",
    ),
    "no text": (lambda d: (d / "settings.json").write_bytes(b"\xff\xfe\x00"), "read {}/settings.json: it is not text"),
    "a list": (lambda d: (d / "settings.json").write_text("[1]"), "{}/settings.json is damaged or not of this package"),
    "half the settings": (lambda d: _cut(d / "settings.json"), "{}/settings.json is damaged or not of this package"),
    "another number": (
        lambda d: _edit(d / "settings.json", '"num_samples": 2', '"num_samples": 3'),
        "{}/settings.json was changed since it was written",
    ),
    "of something else": (
        lambda d: _forge(d / "settings.json", kind=1),
        "not a results directory of this package: set",
    ),
    "a later format": (lambda d: _forge(d / "settings.json", format=9), "has format 9 of a later version of this"),
}


@pytest.mark.parametrize("case", NOT_MENDED)
def test_damaged_settings_are_named_and_cannot_be_mended(case: str, finished: Path, tmp_path: Path) -> None:
    directory, (damage, message) = tmp_path / "d", NOT_MENDED[case]
    shutil.copytree(finished, directory)
    damage(directory)
    message = message.format(directory)
    before = files_below(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        vbnn.Comparison.read(directory)
    with pytest.raises(ValueError, match=f"{re.escape(message)}.*only settings.json says what made the runs"):
        vbnn.repair(directory)
    assert_error(message, "plot", directory)
    assert_error(message, "repair", directory)
    if (directory / "settings.json").exists():
        assert_error(message, "compare", *LINEAR, "--out", directory)
    assert files_below(tmp_path) == before


def test_a_kind_that_is_not_known(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "d")
    _forge(tmp_path / "d" / "settings.json", kind="poems")
    assert_error("unknown kind of comparison 'poems'; known: tables, autoencoders", "repair", tmp_path / "d")
    assert_error("must hold a comparison of tables, got one of poems", "plot", tmp_path / "d")


@pytest.mark.parametrize("damage", [Path.unlink, _cut])
def test_an_input_is_named_set_aside_and_written_again(damage: Any, finished: Path, tmp_path: Path) -> None:
    directory = tmp_path / "d"
    shutil.copytree(finished, directory)
    damage(directory / "data.csv")
    gone = not (directory / "data.csv").exists()
    message = (
        "the same comparison writes it again" if gone else "data.csv was changed or truncated since it was written"
    )
    with pytest.raises(ValueError, match=message):
        vbnn.Comparison.read(directory)
    assert_error(message, "plot", directory)
    if not gone:
        assert_error(message, "compare", *LINEAR, "--out", directory)
        assert list(vbnn.repair(directory)) == [directory / "set-aside" / "data.csv"]
    vbnn.compare(lecture(), methods=["linear"], seeds=[0], directory=directory, **QUIET)
    assert (directory / "data.csv").read_bytes() == (finished / "data.csv").read_bytes()
    assert len(vbnn.Comparison.read(directory).data) == 20


def test_what_is_whole_is_left_as_it_is(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "d")
    (tmp_path / "d" / "runs" / ".DS_Store").write_text("of a file manager")
    before = files_below(tmp_path)
    done = CliRunner().invoke(commands, ["repair", str(tmp_path / "d")])
    assert (done.exit_code, done.stdout) == (0, f"nothing is damaged in {tmp_path / 'd'}\n")
    assert files_below(tmp_path) == before


def test_a_file_elsewhere_is_not_moved_whatever_the_settings_say(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "d")
    (tmp_path / "mine.csv").write_text("mine")
    _forge(tmp_path / "d" / "settings.json", files={"../mine.csv": "0"})
    assert vbnn.repair(tmp_path / "d") == {}
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_failed_runs_are_executed_again_when_asked_to_and_their_rows_set_aside(tmp_path: Path) -> None:
    settings = {"seeds": [0, 1, 2], "directory": tmp_path, **QUIET}
    first = Noting({0: vbnn.FitError("diverged: it is gone"), 1: MemoryError("no room"), 2: TypeError("no")})
    failed = vbnn.compare(lecture(), methods={"mine": first}, **settings)
    statuses = failed.results.groupby("seed")["status"].first()
    assert statuses[:1].tolist() == ["diverged: it is gone"]
    assert statuses[1] == "out of memory: no room"
    assert statuses[2].startswith("error: TypeError: no (")
    second, third, fourth = Noting(), Noting({2: TypeError("still no")}), Noting()
    vbnn.compare(lecture(), methods={"mine": second}, **settings)
    assert set(second.seeds) == {1}  # It lacked memory, which is not the method's fault.
    again = vbnn.compare(lecture(), methods={"mine": third}, retry=True, **settings)
    assert set(third.seeds) == {0, 2}
    assert again.results.groupby("seed")["status"].first().map(lambda text: text[:10]).tolist() == [
        "ok",
        "ok",
        "error: Typ",
    ]
    assert len(list((tmp_path / "set-aside").iterdir())) == 2
    last = vbnn.compare(lecture(), methods={"mine": fourth}, retry=True, **settings)
    assert set(fourth.seeds) == {2}
    assert set(last.results["status"]) == {"ok"}
    assert set(vbnn.Comparison.read(tmp_path).results["status"]) == {"ok"}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1.5", "@SUM(A1)", "\t=1", "'=1", "''+", "'", "'quoted'", "a=b"])
def test_names_that_a_spreadsheet_would_take_for_formulas_are_written_as_texts(name: str, tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 5)[:, None]
    feature, target = f"{name}x", f"{name}y"
    dataset = vbnn.Dataset(name=name, x=x, y=-1.5 - x, feature_names=(feature,), target_names=(target,))
    failing = Noting({1: vbnn.FitError(name)})
    made = vbnn.compare(dataset, methods={name: LinearRegression(), "other": failing}, directory=tmp_path, **QUIET)
    read = vbnn.Comparison.read(tmp_path)
    for table in ("results", "predictions", "data"):
        pd.testing.assert_frame_equal(getattr(read, table), getattr(made, table), check_dtype=False)
    assert list(read.data.columns) == [feature, target]
    texts = pd.concat(
        [
            pd.read_csv(path, header=None, dtype=str, keep_default_na=False).stack()
            for path in (*tmp_path.rglob("*.csv"),)
        ]
    )
    odd = texts[texts.str.match(r"[=+\-@\t\r]")]
    assert pd.to_numeric(odd, errors="coerce").notna().all(), odd
    assert (odd == "-1.5").any()  # A number stays one.


@pytest.mark.parametrize("place", ["{}/file", "{}/file/below", "/dev/null/x", "/proc/x"])
def test_a_place_that_cannot_be_written(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    out = place.format(tmp_path)
    with pytest.raises(ValueError, match=f"cannot use {out}: "):
        vbnn.compare(lecture(), methods=["linear"], seeds=[0], directory=out, **QUIET)
    assert_error(f"cannot use {out}: ", "compare", *LINEAR, "--out", out)
    assert files_below(tmp_path) == {"file": b"mine"}


def test_a_directory_of_somebody_elses_or_of_another_comparison(tmp_path: Path) -> None:
    another, other = tmp_path / "another", tmp_path / "other"
    another.mkdir()
    (another / "results.csv").write_text("a,b\n1,2\n")
    vbnn.compare(lecture(), methods={"linear": LinearRegression()}, seeds=[0], directory=other, **QUIET)
    before = files_below(tmp_path)
    message = "holds results.csv but no settings.json: it is not a results directory of this package"
    assert_error(message, "compare", *LINEAR, "--out", another)
    message = "holds other settings: methods.linear.standardise is true there, false here"
    assert_error(message, "compare", *LINEAR, "--set", "linear.standardise=false", "--out", other)
    assert files_below(tmp_path) == before


def test_the_table_of_all_rows_is_not_read_and_comes_again(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "d")
    (tmp_path / "d" / "results.csv").unlink()
    vbnn.Comparison.read(tmp_path / "d").save(tmp_path / "d")
    assert (tmp_path / "d" / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_a_directory_of_settings_alone_has_nothing_to_draw(finished: Path, tmp_path: Path) -> None:
    """As a comparison leaves it that was stopped before its first run was finished."""
    directory = tmp_path / "d"
    shutil.copytree(finished, directory)
    shutil.rmtree(directory / "runs")
    before = files_below(tmp_path)
    with pytest.raises(ValueError, match="no finished runs"):
        vbnn.Comparison.read(directory).plot()
    assert_error("holds no finished runs", "plot", directory)
    assert files_below(tmp_path) == before
