"""The command `autoencoder`: what it prints and keeps, how it goes on, and what it does not support."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from variational_bnn.cli import commands
from variational_bnn.datasets import digits
from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison
from variational_bnn.methods.autoencoders import AUTOENCODERS

CHATTER = re.compile("oneDNN|cuda|warning|absl|tensorrt|AVX|Traceback", re.IGNORECASE)
FIGURES = ["reconstructions", "latents", "loss", "predictive_sd", "predictive_sd_by_class", "latent_grid"]


def _invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "variational_bnn", "autoencoder", *map(str, arguments)]


def _environment() -> dict[str, str]:
    """As a user's: without what a test run may have set to quieten TensorFlow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TF_")}


def _arrays(**others: Any) -> dict[str, Any]:
    """A few of the digits 0 and 1, in the file's own form."""
    images = digits()
    train, test = (np.flatnonzero(y < 2)[:30] for y in (images.y_train, images.y_test))
    arrays = {
        "x_train": np.round(images.x_train[train] * 255).astype(np.uint8),
        "y_train": images.y_train[train],
        "x_test": np.round(images.x_test[test] * 255).astype(np.uint8),
        "y_test": images.y_test[test],
    }
    return {name: array for name, array in {**arrays, **others}.items() if array is not None}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """All models, with an epoch each and all else as it is by default; and where it was kept."""
    folder = tmp_path_factory.mktemp("ran")
    np.savez(folder / "ones.npz", **_arrays())
    command = _command("--data", folder / "ones.npz", "--set", "*.epochs=1", "--out", folder / "out")
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=300)
    return done, folder / "out"


def test_it_prints_rows_verdicts_and_where_everything_is(ran: Any) -> None:
    done, out = ran
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "Bounds on ones, 30 test images, 1 seed"
    for model in AUTOENCODERS:
        assert sum(line.split()[:1] == [model] for line in lines) == 3, "a row in each of three tables"
    words = " ".join(done.stdout.split())
    assert "- ae: " in words
    assert re.search(r"- vae: its predictive sd is \S+ times as large for class 1, held out, as for the others", words)
    assert [line for line in lines if line.startswith("figure ")] == [f"figure {out / f}.png" for f in FIGURES]
    assert lines[-1] == f"rows {out / 'results.csv'}"


def test_it_keeps_every_file_and_is_silent_about_tensorflow(ran: Any) -> None:
    done, out = ran
    kept = {"settings.json", "images.npz", "runs", "results.csv", *(f"{name}.png" for name in FIGURES)}
    assert {path.name for path in out.iterdir()} == kept
    for run in (out / "runs").iterdir():
        assert {path.name for path in run.iterdir()} == {"run.json", "rows.csv", "arrays.npz"}
    assert {run.name.rsplit("-", 2)[0] for run in (out / "runs").iterdir()} == set(AUTOENCODERS)
    assert not CHATTER.search(done.stderr), done.stderr
    assert not CHATTER.search(done.stdout)
    assert "4/4" in done.stderr


def test_plot_draws_and_prints_the_same_again(ran: Any, tmp_path: Path) -> None:
    done, out = ran
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    for figure in copy.glob("*.png"):
        figure.unlink()
    again = _invoke("plot", copy)
    assert again.exit_code == 0
    assert {path.stem for path in copy.glob("*.png")} == set(FIGURES)
    assert again.stdout.replace(str(copy), str(out)).split() == done.stdout.split()


def test_options_arrive_and_any_npz_will_do(tmp_path: Path) -> None:
    np.savez(tmp_path / "ones.npz", **_arrays())
    settings = ["--set", "*.epochs=9", "--set", "ae.epochs=2", "--set", "ae.decoder_weights=flipout"]
    options = ["--models", "ae", "--latent", "3", "--seeds", "2", "--held-out", "0", *settings]
    done = _invoke("autoencoder", "--data", tmp_path / "ones.npz", *options, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    kept = AutoencoderComparison.read(tmp_path / "out")
    assert list(kept.outcomes) == [("ae", 0), ("ae", 1)]
    assert kept.settings["network"]["latent_size"] == 3
    method = kept.settings["methods"]["ae"]
    assert (method["epochs"], method["weights"], method["decoder_weights"]) == (2, "point", "flipout")
    assert kept.settings["images"]["name"] == "ones"
    assert (kept.results["held_out"] == 0).all()
    assert kept.arrays["ae", 1]["codes"].shape == (30, 3)
    assert set(np.unique(kept.images["shown"])) == {0, 1}, "in black and white"


def test_it_has_a_directory_of_its_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _invoke("autoencoder", "--models", "ae", "--set", "ae.epochs=1").exit_code == 0
    assert (tmp_path / "variational-bnn-results" / "autoencoder-digits" / "results.csv").is_file()


BAD: dict[str, tuple[list[str], str]] = {
    "models": (["--models", "ae,gan"], "unknown model 'gan'; known: ae, vae, flipout-ae, flipout-vae"),
    "no model": (["--models", ""], "unknown model ''; known: ae"),
    "data": (["--data", "fashion"], "unknown images 'fashion'; known: digits, mnist, or the path of an .npz file"),
    "file": (["--data", "no/such.npz"], "unknown images 'no/such.npz'; known: digits, mnist"),
    "latent": (["--latent", "0"], "latent_size must be a whole number >= 1, got 0"),
    "latent word": (["--latent", "two"], "'two' is not a valid integer"),
    "epochs": (["--set", "ae.epochs=0"], "epochs must be a whole number >= 1, got 0"),
    "kind": (["--set", "vae.weights=mcmc"], "unknown kind of weights 'mcmc'; known: point, "),
    "model in --set": (
        ["--set", "gan.epochs=2"],
        "unknown model in --set 'gan'; known: ae, vae, flipout-ae, flipout-vae",
    ),
    "setting": (
        ["--set", "ae.steps=2"],
        "unknown setting 'steps' of ae; known: variational, weights, decoder_weights, ",
    ),
    "seeds": (["--seeds", "0"], "--seeds must be >= 1, got 0"),
    "label": (["--held-out", "10"], "unknown label 10; known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    "option": (["--colour", "red"], "No such option"),
}


def _assert_error(message: str, *arguments: str | Path) -> None:
    """The command ends with status 2 and this as all that it says."""
    done = _invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


@pytest.mark.parametrize("case", BAD)
def test_bad_names_and_numbers(case: str, tmp_path: Path) -> None:
    options, message = BAD[case]
    _assert_error(message, "autoencoder", *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


FILES: dict[str, tuple[dict[str, Any], str]] = {
    "missing keys": ({"y_train": None, "x_test": None}, "it lacks y_train, x_test and holds x_train, y_test"),
    "NaN": ({"x_train": np.full((30, 8, 8), np.nan)}, "x_train must hold values in [0, 1], got nan in image 0"),
    "one class": ({"y_train": np.zeros(30, int), "y_test": np.zeros(30, int)}, "without label 0"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file(case: str, tmp_path: Path) -> None:
    others, message = FILES[case]
    np.savez(tmp_path / "bad.npz", **_arrays(**others))
    _assert_error(message, "autoencoder", "--data", tmp_path / "bad.npz", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_pickled_images_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "run",))

    np.savez(tmp_path / "bad.npz", **_arrays(x_train=np.array([Trap()], dtype=object)))
    _assert_error("cannot read x_train of", "autoencoder", "--data", tmp_path / "bad.npz", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_place_that_will_not_do(ran: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    _assert_error("it is a file, not a directory", "autoencoder", "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    data = ["--data", ran[1].parent / "ones.npz"]
    _assert_error("methods.ae.epochs is 1 there, 2 here", "autoencoder", *data, "--set", "*.epochs=2", "--out", ran[1])
    assert json.loads((ran[1] / "settings.json").read_text())["methods"]["ae"]["epochs"] == 1
    _assert_error("must hold a comparison of tables", "compare", "--methods", "linear", "--out", ran[1])
    (tmp_path / "empty").mkdir()
    _assert_error("settings.json", "plot", tmp_path / "empty")


def test_plot_of_nothing_finished(ran: Any, tmp_path: Path) -> None:
    shutil.copytree(ran[1], tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "runs")
    _assert_error("holds no finished runs", "plot", tmp_path / "out")
