"""The command `autoencoder`: what it prints and keeps, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from variational_bnn.cli import commands
from variational_bnn.datasets import digits
from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison
from variational_bnn.experiments.autoencoders import MODELS

CHATTER = re.compile("oneDNN|cuda|warning|absl|tensorrt|AVX|Traceback", re.IGNORECASE)
FIGURES = ["reconstructions", "latents", "loss", "predictive_sd", "predictive_sd_summary", "latent_grid"]


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
    out = tmp_path_factory.mktemp("ran") / "out"
    command = _command("--epochs", "1", "--out", out)
    return subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=300), out


def test_it_prints_rows_verdicts_and_where_everything_is(ran: Any) -> None:
    done, out = ran
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "Bounds on digits, 360 test images, 1 seed"
    for model in MODELS:
        assert sum(line.split()[:1] == [model] for line in lines) == 3, "a row in each of three tables"
    words = " ".join(done.stdout.split())
    assert "- ae: its draws do not differ, so it never knows that it does not know" in words
    assert re.search(r"- vae: its reconstructions of class 9, not seen, spread \S+ times as far as of others", words)
    assert [line for line in lines if line.startswith("figure ")] == [f"figure {out / f}.png" for f in FIGURES]
    assert lines[-1] == f"rows {out / 'results.csv'}"


def test_it_keeps_every_file_and_says_nothing_of_tensorflows(ran: Any) -> None:
    done, out = ran
    kept = {"settings.json", "images.npz", "arrays", "results.csv", *(f"{name}.png" for name in FIGURES)}
    assert {path.name for path in out.iterdir()} == kept
    assert {path.name for path in (out / "arrays").iterdir()} == {f"{model}-0.npz" for model in MODELS}
    assert not CHATTER.search(done.stderr), done.stderr
    assert not CHATTER.search(done.stdout)
    assert "100%" in done.stderr


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
    options = ["--models", "vae, ae", "--latent", "3", "--seeds", "2", "--epochs", "2", "--held-out", "0"]
    done = _invoke("autoencoder", "--data", tmp_path / "ones.npz", *options, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = AutoencoderComparison.read(tmp_path / "out")
    assert list(zip(found.results["model"], found.results["seed"], strict=True)) == [
        ("vae", 0),
        ("vae", 1),
        ("ae", 0),
        ("ae", 1),
    ]
    assert found.settings["network"]["latent_size"] == 3
    assert found.settings["training"]["epochs"] == 2
    assert found.settings["images"]["name"] == "ones"
    assert (found.results["held_out"] == 0).all()
    assert found.arrays["ae", 1]["codes"].shape == (30, 3)
    assert set(np.unique(found.images["shown"])) == {0, 1}, "in black and white"


def test_it_has_a_directory_of_its_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _invoke("autoencoder", "--models", "ae", "--epochs", "1").exit_code == 0
    assert (tmp_path / "variational-bnn-results" / "autoencoder-digits" / "results.csv").is_file()


def test_an_interrupt_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--models", "ae", "--seeds", "300", "--epochs", "1", "--out", out]
    running = subprocess.Popen(
        _command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    )
    results = out / "results.csv"
    deadline = time.monotonic() + 120
    while not (results.exists() and results.read_text().count("\n") > 1):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 1
    assert stderr.splitlines()[-1] == f"Error: stopped; the same command goes on from {out}"
    assert "Traceback" not in stderr
    before = AutoencoderComparison.read(out).results
    assert 1 <= len(before) < 300
    arguments[arguments.index("300")] = str(len(before) + 1)
    assert _invoke("autoencoder", *arguments).exit_code == 0
    after = AutoencoderComparison.read(out).results
    pd.testing.assert_frame_equal(after[: len(before)], before, check_exact=True)
    assert len(after) == len(before) + 1


REFUSED: dict[str, tuple[list[str], str]] = {
    "models": (["--models", "ae,gan"], "unknown model 'gan'; known: ae, vae, flipout-ae, flipout-vae"),
    "no model": (["--models", ""], "unknown model ''; known: ae"),
    "data": (["--data", "fashion"], "unknown images 'fashion'; known: digits, mnist, or the path of an .npz file"),
    "file": (["--data", "no/such.npz"], "unknown images 'no/such.npz'; known: digits, mnist"),
    "latent": (["--latent", "0"], "latent_size must be a whole number >= 1, got 0"),
    "latent word": (["--latent", "two"], "'two' is not a valid integer"),
    "epochs": (["--epochs", "0"], "epochs must be a whole number >= 1, got 0"),
    "seeds": (["--seeds", "0"], "--seeds must be >= 1, got 0"),
    "label": (["--held-out", "10"], "unknown label 10; known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    "option": (["--colour", "red"], "No such option"),
}


def _refused(message: str, *arguments: str | Path) -> None:
    """The command ends with status 2 and this as all that it says."""
    done = _invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


@pytest.mark.parametrize("case", REFUSED)
def test_bad_names_and_numbers(case: str, tmp_path: Path) -> None:
    options, message = REFUSED[case]
    _refused(message, "autoencoder", *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


FILES: dict[str, tuple[dict[str, Any], str]] = {
    "missing keys": (
        {"y_train": None, "x_test": None},
        "lacks y_train, x_test; keys wanted: x_train, y_train, x_test, y_test; got: x_train, y_test",
    ),
    "beyond 1": ({"x_train": np.full((30, 8, 8), 1.5)}, "x_train must hold values in [0, 1], got 1.5 in image 0"),
    "below 0": ({"x_test": np.full((30, 8, 8), -3)}, "x_test must hold whole levels from 0 to 255, got -3 in image 0"),
    "NaN": ({"x_train": np.full((30, 8, 8), np.nan)}, "x_train must hold values in [0, 1], got nan in image 0"),
    "flat": ({"x_train": np.zeros((30, 64))}, "x_train must have shape [N, height, width], got [30, 64]"),
    "colours": ({"x_train": np.zeros((30, 8, 8, 3))}, "x_train must have shape [N, height, width], got [30, 8, 8, 3]"),
    "other test images": (
        {"x_test": np.zeros((30, 9, 8))},
        "x_train and x_test must have one image shape, got [8, 8] and [9, 8]",
    ),
    "too few labels": ({"y_train": np.arange(29)}, "y_train must have a label for each of the 30 images, got [29]"),
    "labels with fractions": ({"y_test": np.full(30, 0.5)}, "y_test must hold whole numbers, got 0.5 for image 0"),
    "words": ({"y_test": np.full(30, "one")}, "y_test must hold numbers, got <U3"),
    "one class": (
        {"y_train": np.zeros(30, int), "y_test": np.zeros(30, int)},
        "have nothing to train on without label 0",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file(case: str, tmp_path: Path) -> None:
    others, message = FILES[case]
    np.savez(tmp_path / "bad.npz", **_arrays(**others))
    _refused(message, "autoencoder", "--data", tmp_path / "bad.npz", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_pickled_images_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "run",))

    np.savez(tmp_path / "bad.npz", **_arrays(x_train=np.array([Trap()], dtype=object)))
    _refused("cannot read x_train of", "autoencoder", "--data", tmp_path / "bad.npz", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_place_that_will_not_do(ran: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    _refused("it is a file, not a directory", "autoencoder", "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    _refused("other settings", "autoencoder", "--epochs", "2", "--out", ran[1])
    assert json.loads((ran[1] / "settings.json").read_text())["training"]["epochs"] == 1
    _refused("other settings", "compare", "--out", ran[1])
    (tmp_path / "empty").mkdir()
    _refused("settings.json", "plot", tmp_path / "empty")


def test_plot_of_nothing_finished(ran: Any, tmp_path: Path) -> None:
    shutil.copytree(ran[1], tmp_path / "out")
    first = (tmp_path / "out" / "results.csv").read_text().splitlines(keepends=True)[0]
    (tmp_path / "out" / "results.csv").write_text(first)
    _refused("holds no finished cells", "plot", tmp_path / "out")
