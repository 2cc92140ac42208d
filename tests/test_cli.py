"""The command line: what it prints and keeps, in this process and in processes of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from variational_bnn.base import ACTIVATIONS
from variational_bnn.cli import commands
from variational_bnn.datasets import DATASETS, IMAGES, lecture_sample
from variational_bnn.experiments.compare import compare
from variational_bnn.experiments.comparison import Comparison
from variational_bnn.methods import METHODS
from variational_bnn.screen import show

CHATTER = re.compile("oneDNN|cuda|warning|absl|tensorrt|AVX|Traceback", re.IGNORECASE)
TINY = ["--set", "*.steps=20", "--samples", "5"]
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
    assert lines[0].split() == ["Sd", "over", "draws", "on", "lecture,", "20", "training", "rows,", "1", "seed"]
    for method in ("output", "flipout", "hidden", "hidden_shared"):
        assert any(line.split()[:1] == [method] for line in lines), method
    verdicts = " ".join(done.stdout.split())
    assert verdicts.index("- No rows are held out") < verdicts.index("- output:") < verdicts.index("Cost of a fit")
    assert "- output: no epistemic variance" in verdicts
    assert re.search(r"- flipout: epistemic variance \S+", verdicts)
    assert re.search(r"- hidden: no epistemic variance: .*noise", verdicts)
    figures = [line.removeprefix("figure ") for line in lines if line.startswith("figure ")]
    assert figures == [str(out / f"{name}.png") for name in ("regions", "distance", "bands")]
    assert lines[-1] == f"rows {out / 'results.csv'}"


def test_a_name_that_the_terminal_has_no_letters_for_is_printed_nevertheless(tmp_path: Path) -> None:
    dataset = dataclasses.replace(lecture_sample(10, seed=0), name="данные")
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with contextlib.redirect_stdout(screen):
        show(compare(dataset, methods=["linear"], seeds=[0], progress=False), tmp_path / "out")
    screen.seek(0)
    assert screen.readline().startswith("Sd over draws on \\u0434\\u0430\\u043d")


def test_compare_keeps_every_file_and_is_silent_about_tensorflow(ran: Any) -> None:
    done, out = ran
    names = {path.name for path in out.iterdir()}
    figures = {"regions.png", "distance.png", "bands.png"}
    assert names == {"settings.json", "data.csv", "results.csv", "runs", *figures}
    assert all((out / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("regions", "distance", "bands"))
    for run in (out / "runs").iterdir():
        assert {path.name for path in run.iterdir()} == {"run.json", "rows.csv", "predictions.csv", "arrays.npz"}
    runs = sorted(run.name.rsplit("-", 1)[0] for run in (out / "runs").iterdir())
    assert runs == ["flipout-0", "hidden-0", "hidden_shared-0", "output-0"]
    assert not CHATTER.search(done.stderr), done.stderr
    assert not CHATTER.search(done.stdout)
    assert "4/4" in done.stderr


def test_the_same_command_gives_the_same_rows_in_this_process(ran: Any, tmp_path: Path) -> None:
    _, out = ran
    assert _invoke("compare", *TINY, "--seeds", "1", "--out", tmp_path / "here").exit_code == 0
    here, there = Comparison.read(tmp_path / "here"), Comparison.read(out)
    for table in ("results", "predictions"):
        both = [getattr(comparison, table).drop(columns=CLOCKS, errors="ignore") for comparison in (here, there)]
        ordered = [each.sort_values("method", kind="stable", ignore_index=True) for each in both]
        pd.testing.assert_frame_equal(*ordered, check_exact=True)
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
    ("options", "noise", "expected"),
    [
        (["--noise", "learned", "--hidden-units", "7, 5"], "learned", {"hidden_units": [7, 5]}),
        (["--noise", "0.5", "--hidden-units", ""], 0.5, {"hidden_units": []}),
        (["--noise", "heteroscedastic", "--activation", "tanh"], None, {"activation": "tanh"}),
        (["--prior-scale", "2.5"], 1.0, {"prior_scale": 2.5, "hidden_units": [50], "activation": "relu"}),
    ],
)
def test_the_networks_options_arrive(options: list[str], noise: Any, expected: dict[str, Any], tmp_path: Path) -> None:
    done = _invoke("compare", "--methods", "prior", "--seeds", "1", "--samples", "7", *options, "--out", tmp_path / "o")
    assert done.exit_code == 0, done.output
    settings = _settings(tmp_path / "o")
    assert settings["num_samples"] == 7
    assert settings["network"]["likelihood"]["scale"] == noise
    assert settings["network"] | expected == settings["network"]


def test_the_methods_settings_arrive_one_by_one_and_for_all_that_have_it(tmp_path: Path) -> None:
    """Later ones go before earlier ones; numbers, true, false and null are those of JSON."""
    settings = ["*.steps=50", "output.steps=4", " flipout.kl_weight = 1e-1", "*.standardise=false", "flipout.steps=3"]
    options = [text for setting in settings for text in ("--set", setting)]
    done = _invoke("compare", "--methods", "output,flipout,linear", "--seeds", "1", *options, "--out", tmp_path / "o")
    assert done.exit_code == 0, done.output
    methods = _settings(tmp_path / "o")["methods"]
    assert (methods["output"]["steps"], methods["flipout"]["steps"], methods["flipout"]["kl_weight"]) == (4, 3, 0.1)
    assert {name: method["standardise"] for name, method in methods.items()} == dict.fromkeys(methods, False)
    assert methods["flipout"]["schedule"] == "cosine"
    more = ["--methods", "linear,output", "--seeds", "1", "--out", tmp_path / "o"]
    done = _invoke("compare", *more, "--set", "*.standardise=false", "--set", "output.steps=5")
    (line,) = done.stderr.splitlines()
    assert done.exit_code == 2
    assert "holds other settings: methods.output.steps is 4 there, 5 here; choose another directory" in line


LINEAR = ["--methods", "linear", "--seeds", "1", "--samples", "5"]


def test_runs_of_other_versions_are_gone_on_with_and_drawn_with_a_note(tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert _invoke("compare", *LINEAR, "--out", out).stderr.count("Note") == 0
    settings = _settings(out)
    settings["versions"] |= {"tensorflow": "2.1.0"}
    del settings["digest"]  # As of an earlier version, which wrote none.
    (out / "settings.json").write_text(json.dumps(settings))
    before = (out / "results.csv").read_bytes()
    for arguments in (["compare", *LINEAR, "--out", out], ["plot", out]):
        done = _invoke(*arguments)
        assert done.exit_code == 0, done.output
        notes = [line for line in done.stderr.splitlines() if line.startswith("Note: ")]
        assert len(notes) == 1, done.stderr
        assert re.fullmatch(r"Note: .* has runs that were made with tensorflow 2\.1\.0 \(\S+ is installed\)", notes[0])
        assert (out / "results.csv").read_bytes() == before
    assert "regions.png" in done.stdout


def test_anybodys_table_with_rows_held_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=(2, 60))
    table = tmp_path / "[bold]mine.csv"
    pd.DataFrame({"a": a, "price": 100 * a - 20 * b, "b": b}).to_csv(table, index=False)
    options = ["--data", table, "--target", "price", "--gap", "a", "--tail", "b", "--methods", "linear, linear"]
    done = _invoke("compare", *options, "--seeds", "2", "--samples", "5", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    about = _settings(tmp_path / "out")["dataset"]
    assert about["features"] == ["a", "b"]
    assert about["targets"] == ["price"]
    assert about["held_out"] == {"beyond": 6, "between": 18, "near": 3}
    assert "on [bold]mine, 33 training rows, 2 seeds" in " ".join(done.stdout.split())
    assert done.stdout.startswith("Held-out rows of [bold]mine, 33 training rows, 2 seeds")
    assert done.stdout.index("- linear: not certain and wrong") < done.stdout.index("Sd over draws")
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


INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # A background process may ignore it.
    "from variational_bnn.__main__ import main; main()"
)


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_interrupt_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path: Path) -> None:
    arguments = ["compare", "--methods", "output", "--seeds", "500", *TINY, "--out", str(tmp_path / "out")]
    rows = tmp_path / "out" / "results.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
    )
    _until(rows.exists, process)
    process.send_signal(signal.SIGINT)
    out, err = (text.decode() for text in process.communicate(timeout=120))
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == f"Error: stopped; the same command goes on from {tmp_path / 'out'}"
    assert not CHATTER.search(err), err
    kept = Comparison.read(tmp_path / "out").results
    count = kept["seed"].nunique()
    assert 1 <= count < 500
    arguments[arguments.index("500")] = str(count + 1)
    assert _invoke(*arguments).exit_code == 0
    whole = Comparison.read(tmp_path / "out").results
    assert sorted(whole["seed"].unique()) == list(range(count + 1))
    pd.testing.assert_frame_equal(whole.head(len(kept)), kept, check_exact=True)  # Their clocks, too: not run again.


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="It is read there whether TensorFlow is loaded.")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_tensorflow_is_imported_ends_in_one_line_and_leaves_nothing(number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTIBLE, "compare", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment())
    _until(lambda: "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text(), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + number, b"", b"Error: stopped\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="There is no limit of the address space.")
def test_too_little_address_space_for_tensorflow_is_said_in_one_line(tmp_path: Path) -> None:
    code = "import resource as r; r.setrlimit(r.RLIMIT_AS, (2 * 2**30, r.RLIM_INFINITY))"
    done = _python(
        "-c", f"{code}; from variational_bnn.__main__ import main; main()", "compare", "--out", tmp_path / "o"
    )
    little = "Error: the address space is limited to 2.0 GiB (ulimit -v), and TensorFlow needs about 3.0 GiB\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", little)
    assert list(tmp_path.iterdir()) == []


def test_each_dataset_has_a_directory_of_its_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b,y\n1,2,3\n2,3,5\n3,5,8\n4,4,9\n")
    assert _invoke("compare", *LINEAR).exit_code == 0
    assert _invoke("compare", *LINEAR, "--data", "table.csv", "--target", "y").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "variational-bnn-results").iterdir()) == ["lecture", "table"]
