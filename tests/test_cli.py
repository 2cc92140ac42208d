"""The command line: what it prints and keeps, in this process and in processes of its own."""

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

from variational_bnn.base import ACTIVATIONS
from variational_bnn.cli import commands
from variational_bnn.datasets import DATASETS, IMAGES
from variational_bnn.experiments.comparison import Comparison
from variational_bnn.methods import METHODS

CHATTER = re.compile("oneDNN|cuda|warning|absl|tensorrt|AVX|Traceback", re.IGNORECASE)
TINY = ["--steps", "20", "--samples", "5"]
CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]


def _environment() -> dict[str, str]:
    """As a user's: without what a test run may have set to quieten TensorFlow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TF_")}


def _invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def _python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=300)


def _settings(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "settings.json").read_text())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A small comparison, by two workers, with all else as it is by default; and where it was kept."""
    out = tmp_path_factory.mktemp("ran") / ("a name so long that the path does not fit into one line " * 2)
    return _python("-m", "variational_bnn", "compare", *TINY, "--seeds", "1", "--workers", "2", "--out", out), out


def test_compare_prints_the_table_the_verdicts_and_where_everything_is(ran: Any) -> None:
    done, out = ran
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["Epistemic", "sd", "on", "lecture,", "20", "training", "rows,", "1", "seed"]
    for method in ("output", "flipout", "hidden"):
        assert any(line.split()[:1] == [method] for line in lines), method
    verdicts = " ".join(done.stdout.split())
    assert "- output: no epistemic variance anywhere, so it never knows that it does not know" in verdicts
    assert re.search(r"- flipout: epistemic variance \S+ times as much between the data as near it, ", verdicts)
    assert re.search(r"- hidden: .*; noise of its units, not uncertainty about parameters", verdicts)
    figures = [line.removeprefix("figure ") for line in lines if line.startswith("figure ")]
    assert figures == [str(out / f"{name}.png") for name in ("regions", "distance", "bands")]
    assert lines[-1] == f"rows {out / 'results.csv'}"


def test_compare_keeps_every_file_and_says_nothing_of_tensorflows(ran: Any) -> None:
    done, out = ran
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("settings.json", "data.csv", "results.csv", "predictions", "draws"),
        *("regions.png", "distance.png", "bands.png"),
    }
    assert all((out / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("regions", "distance", "bands"))
    assert len(list((out / "predictions").iterdir())) == len(list((out / "draws").iterdir())) == 3
    assert not CHATTER.search(done.stderr), done.stderr
    assert not CHATTER.search(done.stdout)
    assert "3/3" in done.stderr


def test_the_same_command_gives_the_same_rows_in_this_process(ran: Any, tmp_path: Path) -> None:
    _, out = ran
    assert _invoke("compare", *TINY, "--seeds", "1", "--out", tmp_path / "here").exit_code == 0
    here, there = Comparison.read(tmp_path / "here"), Comparison.read(out)

    def ordered(table: pd.DataFrame) -> pd.DataFrame:
        return table.drop(columns=CLOCKS, errors="ignore").sort_values("method", kind="stable", ignore_index=True)

    pd.testing.assert_frame_equal(ordered(here.results), ordered(there.results), check_exact=True)
    pd.testing.assert_frame_equal(ordered(here.predictions), ordered(there.predictions), check_exact=True)
    assert here.settings == there.settings


def test_plot_draws_and_prints_the_same_again(ran: Any, tmp_path: Path) -> None:
    done, out = ran
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    for figure in copy.glob("*.png"):
        figure.unlink()
    again = _invoke("plot", copy)
    assert again.exit_code == 0
    assert {path.name for path in copy.glob("*.png")} == {"regions.png", "distance.png", "bands.png"}
    assert (copy / "results.csv").read_bytes() == (out / "results.csv").read_bytes()

    def words(text: str) -> list[str]:
        return sorted(text.replace(str(copy), str(out)).split())

    assert words(again.stdout) == words(done.stdout)  # Workers finish in any order.


@pytest.mark.parametrize(
    ("options", "noise", "wanted"),
    [
        (["--noise", "learned", "--hidden-units", "7, 5"], "learned", {"hidden_units": [7, 5]}),
        (["--noise", "0.5", "--hidden-units", ""], 0.5, {"hidden_units": []}),
        (["--noise", "heteroscedastic", "--activation", "tanh"], None, {"activation": "tanh"}),
        (["--prior-scale", "2.5"], 1.0, {"prior_scale": 2.5, "hidden_units": [50], "activation": "relu"}),
    ],
)
def test_options_arrive(options: list[str], noise: Any, wanted: dict[str, Any], tmp_path: Path) -> None:
    few = ["--methods", "deterministic", "--seeds", "1", "--steps", "3", "--samples", "7"]
    done = _invoke("compare", *few, *options, "--out", tmp_path / "o")
    assert done.exit_code == 0, done.output
    settings = _settings(tmp_path / "o")
    assert settings["training"]["steps"] == 3
    assert settings["num_samples"] == 7
    assert settings["network"]["likelihood"]["scale"] == noise
    assert settings["network"] | wanted == settings["network"]


def test_anybodys_table_with_rows_held_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=(2, 60))
    table = tmp_path / "[bold]mine.csv"
    pd.DataFrame({"a": a, "price": 100 * a - 20 * b, "b": b}).to_csv(table, index=False)
    options = ["--data", table, "--target", "price", "--gap", "a", "--tail", "b", "--methods", "output, output"]
    done = _invoke("compare", *options, "--seeds", "2", *TINY, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    about = _settings(tmp_path / "out")["dataset"]
    assert about["features"] == ["a", "b"]
    assert about["targets"] == ["price"]
    assert about["held_out"] == {"beyond": 6, "between": 18, "near": 3}
    assert "on [bold]mine, 33 training rows, 2 seeds" in " ".join(done.stdout.split())
    assert "Held-out rows" in done.stdout
    assert not (tmp_path / "out" / "bands.png").exists()


def test_list_names_every_method_and_dataset_in_a_line_each() -> None:
    done = _python("-m", "variational_bnn", "list")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert lines == [*METHODS, *DATASETS, "FILE.csv", *IMAGES, "FILE.npz"]
    assert all(len(line.split()) > 3 for line in done.stdout.splitlines() if line.startswith("  "))


def test_help_does_not_wait_for_tensorflow() -> None:
    code = (
        "import sys; from variational_bnn.cli import commands\n"
        "for arguments in (['--help'], ['compare', '--help'], ['plot', '-h'], ['--version']):\n"
        "    commands(arguments, standalone_mode=False)\n"
        "print([name for name in ('tensorflow', 'tf_keras') if name in sys.modules])"
    )
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("data", "target", "gap", "tail", "methods", "seeds", "workers", "out", "prior-scale", "noise"):
        assert f"--{name}" in done.stdout
    assert all(name in " ".join(done.stdout.split()) for name in ACTIVATIONS)


def test_an_interrupt_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """The interrupt's own handler is set, since a process started in the background may ignore it."""
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{start}; from variational_bnn.__main__ import main; main()"
    arguments = ["compare", "--methods", "output", "--seeds", "4", "--steps", "400", "--out", str(tmp_path / "out")]
    rows = tmp_path / "out" / "results.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (rows.exists() and rows.read_text().count("\n") > 1):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = (text.decode() for text in process.communicate(timeout=60))
    assert process.returncode == 1
    assert out == ""
    assert err.splitlines()[-1] == f"Error: stopped; the same command goes on from {tmp_path / 'out'}"
    assert not CHATTER.search(err), err
    kept = Comparison.read(tmp_path / "out").results
    assert 1 <= kept["seed"].nunique() < 4
    assert _invoke(*arguments).exit_code == 0
    whole = Comparison.read(tmp_path / "out").results
    assert sorted(whole["seed"].unique()) == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(whole.head(len(kept)), kept, check_exact=True)  # Their clocks, too: not run again.


def test_each_dataset_has_a_directory_of_its_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b,y\n1,2,3\n2,3,5\n3,5,8\n4,4,9\n")
    quick = ("--steps", "2", "--samples", "2", "--seeds", "1", "--methods", "output")
    assert _invoke("compare", *quick).exit_code == 0
    assert _invoke("compare", *quick, "--data", "table.csv", "--target", "y").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "variational-bnn-results").iterdir()) == ["lecture", "table"]
