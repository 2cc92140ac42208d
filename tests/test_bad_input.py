"""What cannot be is named in one line that says what must be and what came, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from variational_bnn.base import Dataset, Network
from variational_bnn.cli import commands
from variational_bnn.datasets import lecture, load, read_csv, uci
from variational_bnn.evaluation.split import split
from variational_bnn.experiments.compare import compare, default_network
from variational_bnn.experiments.comparison import Comparison
from variational_bnn.methods.linear import LinearRegression
from variational_bnn.methods.output import OutputVariation
from variational_bnn.models.builders.weights import build_weight_variation
from variational_bnn.models.likelihoods import Normal

QUIET: dict[str, Any] = {"num_samples": 2, "progress": False}
LINEAR = ["--methods", "linear", "--seeds", "1", "--samples", "2"]
GOOD = "a,b,y\n1,2,3\n2,3,5\n3,5,8\n4,4,9\n"


def _assert_error(message: str, *arguments: str | Path) -> None:
    """The command ends with status 2 and this as all that it says."""
    done = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


def _tree(directory: Path) -> dict[str, bytes | None]:
    """All that a directory holds."""
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


FILES = {
    "no such column": (GOOD, "z", "has no column 'z'; columns: a, b, y"),
    "text": ("a,y\n1,2\n2,high\n", "y", "column 'y' must hold finite numbers, line 3 has 'high'"),
    "text in a feature": ("a,y\n1,2\nx,3\n", "y", "column 'a' must hold finite numbers, line 3 has 'x'"),
    "NaN": ("a,y\n1,2\n\nnan,3\n", "y", "column 'a' must hold finite numbers, line 4 has 'nan'"),
    "infinite": ("a,y\n1,-inf\n2,3\n", "y", "column 'y' must hold finite numbers, line 2 has '-inf'"),
    "empty cell": ("a,b,y\n1,2,3\n2,,4\n", "y", "column 'b' must hold finite numbers, line 3 has an empty cell"),
    "constant feature": ("a,b,y\n1,7,3\n2,7,4\n", "y", "feature 'b' is constant over the training rows (always 7)"),
    "constant target": ("a,y\n1,7\n2,7\n", "y", "target 'y' is constant over the training rows (always 7)"),
    "too large": ("a,y\n1,2\n1e300,3\n", "y", "feature 'a' is too large to be standardised: 1e+300"),
    "one row": ("a,y\n1,2\n", "y", "needs at least 2 training rows, got 1"),
    "no rows": ("a,y\n", "y", "has no rows below its column names"),
    "empty": ("", "y", "is empty"),
    "target alone": ("y\n1\n2\n", "y", "has no feature columns beside the target 'y'"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_table(case: str, tmp_path: Path) -> None:
    text, target, message = FILES[case]
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_csv(path, target)
    _assert_error(message, "compare", "--data", path, "--target", target, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1.0, 2.0], [3.0, np.nan]], [1.0, 2.0], "x must be finite, got nan in row 1, column 'b'"),
        ([[1.0, 2.0], [3.0, 4.0]], [np.inf, 2.0], "y must be finite, got inf in row 0, column 't'"),
        ([[1.0, 2.0], [3.0, 2.0]], [1.0, 2.0], r"feature 'b' is constant over the training rows \(always 2\)"),
        ([[1.0, 2.0], [3.0, 4.0]], [5.0, 5.0], r"target 't' is constant over the training rows \(always 5\)"),
        ([[1.0, 2.0]], [1.0], "needs at least 2 training rows, got 1"),
        ([["1", "two"], ["3", "4"]], [1.0, 2.0], "x must hold numbers"),
        ([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0, 3.0], r"as many rows, got \[2, 2\] and \[3, 1\]"),
    ],
)
def test_bad_arrays(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset(name="d", x=x, y=y, feature_names=("a", "b"), target_names=("t",))


def _network(**fields: Any) -> Network:
    return dataclasses.replace(default_network(lecture()), **fields)


NAMES_AND_NUMBERS: dict[str, tuple[list[str], Callable[[], Any], str]] = {
    "missing file": (["--data", "no/such.csv", "--target", "y"], lambda: load("no/such.csv", "y"), "'no/such.csv'"),
    "dataset": (["--data", "iris"], lambda: load("iris"), "unknown dataset 'iris'; known: lecture, digits, uci:boston"),
    "UCI dataset": (["--data", "uci:iris"], lambda: load("uci:iris"), "unknown dataset 'uci:iris'; known: lecture"),
    "target": (["--target", "y"], lambda: load("lecture", "y"), "dataset 'lecture' has its own target, got 'y'"),
    "gap": (["--gap", "z"], lambda: split(lecture(), gap="z", seed=0), "unknown feature 'z'; known: x"),
    "tail": (["--tail", "z"], lambda: split(lecture(), tail="z", seed=0), "unknown feature 'z'; known: x"),
    "method": (
        ["--methods", "output,mcmc"],
        lambda: compare(lecture(), methods=["output", "mcmc"]),
        "unknown method 'mcmc'; known: deterministic, output",
    ),
    "no method": (["--methods", ""], lambda: compare(lecture(), methods=[""]), "unknown method ''; known:"),
    "activation": (["--activation", "step"], lambda: _network(activation="step"), "unknown activation 'step'; known: "),
    "seeds": (["--seeds", "0"], lambda: compare(lecture(), seeds=range(0)), "got"),
    "steps": (
        ["--set", "output.steps=0"],
        lambda: OutputVariation(steps=0),
        "steps must be a whole number >= 1, got 0",
    ),
    "samples": (["--samples", "0"], lambda: compare(lecture(), num_samples=0), "num_samples must be a whole number"),
    "workers": (["--workers", "0"], lambda: compare(lecture(), workers=0), "workers must be a whole number >= 1"),
    "noise": (["--noise", "-1"], lambda: Normal(scale=-1), "scale must be None, 'learned' or a number > 0, got -1"),
    "no noise": (["--noise", "nan"], lambda: Normal(scale=np.nan), "a number > 0, got nan"),
    "noise word": (["--noise", "foo"], lambda: Normal(scale="foo"), "got 'foo'"),  # type: ignore[arg-type]
    "prior": (["--prior-scale", "0"], lambda: _network(prior_scale=0.0), "prior_scale must be > 0, got 0.0"),
    "endless prior": (["--prior-scale", "inf"], lambda: _network(prior_scale=np.inf), "must be > 0, got inf"),
    "no units": (["--hidden-units", "3,0"], lambda: _network(hidden_units=(3, 0)), "whole number >= 1, got 0"),
    "units": (["--hidden-units", "a"], lambda: _network(hidden_units="a"), "must be"),
}


@pytest.mark.parametrize("case", NAMES_AND_NUMBERS)
def test_bad_names_and_numbers(case: str, tmp_path: Path) -> None:
    options, call, message = NAMES_AND_NUMBERS[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
    _assert_error(message, "compare", *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds must be >= 1, got 0"),
        (["--noise", "foo"], "--noise must be heteroscedastic, learned or a number, got 'foo'"),
        (["--hidden-units", "4,a"], "--hidden-units must be whole numbers separated by commas, got '4,a'"),
        (["--seeds", "many"], "'many' is not a valid integer"),
        (["--set", "output.steps"], "--set must be METHOD.SETTING=VALUE, got 'output.steps'"),
        (["--set", "steps=3"], "--set must be METHOD.SETTING=VALUE, got 'steps=3'"),
        (["--set", ""], "--set must be METHOD.SETTING=VALUE, got ''"),
        (["--set", "hmc.draws=3"], "unknown method in --set 'hmc'; known: output, flipout, hidden"),
        (["--set", "output.draws=3"], "unknown setting 'draws' of output; known: standardise, steps, batch_size, "),
        (["--set", "*.draws=3"], "unknown setting 'draws' of *; known: standardise, steps, batch_size, "),
        (["--set", "output.=3"], "unknown setting '' of output; known: "),
        (["--set", "output.steps=many"], "steps must be a whole number >= 1, got 'many'"),
        (["--set", "output.steps=2.5"], "steps must be a whole number >= 1, got 2.5"),
        (["--set", "output.steps=[3]"], "steps must be a whole number >= 1, got [3]"),
        (["--set", "output.steps="], "steps must be a whole number >= 1, got ''"),
        (["--set", "*.learning_rate=NaN"], "learning_rate must be > 0, got nan"),
        (["--set", "*.schedule=linear"], "unknown schedule 'linear'; known: cosine, constant"),
        (["--set", "*.standardise=no"], "standardise must be True or False, got 'no'"),
        (["--steps", "20"], "No such option"),
        (["--colour", "red"], "No such option"),
    ],
)
def test_what_only_the_command_line_can_get_wrong(options: list[str], message: str, tmp_path: Path) -> None:
    _assert_error(message, "compare", *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_target_and_a_command_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(GOOD)
    _assert_error(
        "needs a target; columns: a, b, y", "compare", "--data", tmp_path / "table.csv", "--out", tmp_path / "out"
    )
    _assert_error("No such command 'fit'", "fit")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_names_that_only_the_api_takes() -> None:
    with pytest.raises(ValueError, match="unknown estimator 'vogn'; known: reparameterization, flipout"):
        build_weight_variation(default_network(lecture()), 20, estimator="vogn")
    with pytest.raises(ValueError, match="unknown UCI dataset 'iris'; known: boston"):
        uci("iris")
    with pytest.raises(ValueError, match=r"network must have input_shape, output_size = \(\(1,\), 1\) for the dataset"):
        compare(lecture(), network=_network(input_shape=(2,)))
    with pytest.raises(ValueError, match="seed must be a whole number >= 0, got -1"):
        compare(lecture(), seeds=[-1])
    with pytest.raises(ValueError, match="methods must hold at least one method, got none"):
        compare(lecture(), methods=[])


@pytest.mark.parametrize("place", ["{}/file", "{}/file/below", "/dev/null/x", "/proc/x"])
def test_a_place_that_cannot_be_written(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    out = place.format(tmp_path)
    with pytest.raises(ValueError, match=f"cannot use {out}: "):
        compare(lecture(), methods=["linear"], seeds=[0], directory=out, **QUIET)
    _assert_error(f"cannot use {out}: ", "compare", *LINEAR, "--out", out)
    assert _tree(tmp_path) == {"file": b"mine"}


def test_a_directory_of_somebody_elses_or_of_another_comparison(tmp_path: Path) -> None:
    another, other = tmp_path / "another", tmp_path / "other"
    another.mkdir()
    (another / "results.csv").write_text("a,b\n1,2\n")
    compare(lecture(), methods={"linear": LinearRegression()}, seeds=[0], directory=other, **QUIET)
    before = _tree(tmp_path)
    message = "holds results.csv but no settings.json: it is not a results directory of this package"
    _assert_error(message, "compare", *LINEAR, "--out", another)
    message = "holds other settings: methods.linear.standardise is true there, false here"
    _assert_error(message, "compare", *LINEAR, "--set", "linear.standardise=false", "--out", other)
    assert _tree(tmp_path) == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished")
    compare(lecture(), methods=["linear"], seeds=[0], directory=directory, **QUIET)
    return directory


def _run(directory: Path) -> Path:
    (run,) = (directory / "runs").iterdir()
    return run


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "missing": shutil.rmtree,
    "no settings": lambda d: (d / "settings.json").unlink(),
    "settings of something else": lambda d: (d / "settings.json").write_text("[1]"),
    "half the settings": lambda d: (d / "settings.json").write_text((d / "settings.json").read_text()[:40]),
    "no data": lambda d: (d / "data.csv").unlink(),
    "no rows": lambda d: (_run(d) / "rows.csv").unlink(),
    "no description of the run": lambda d: (_run(d) / "run.json").unlink(),
    "other rows": lambda d: (_run(d) / "rows.csv").write_text("a,b\n1,2\n"),
    "half the rows": lambda d: _cut(_run(d) / "rows.csv"),
    "half the predictions": lambda d: _cut(_run(d) / "predictions.csv"),
    "half the arrays": lambda d: _cut(_run(d) / "arrays.npz"),
    "no text": lambda d: (_run(d) / "run.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_directory_that_cannot_be_drawn(case: str, finished: Path, tmp_path: Path) -> None:
    directory = tmp_path / "d"
    shutil.copytree(finished, directory)
    DAMAGES[case](directory)
    before = _tree(tmp_path)
    with pytest.raises(ValueError, match=str(directory)):
        Comparison.read(directory)
    _assert_error(str(directory), "plot", directory)
    assert _tree(tmp_path) == before


def test_the_table_of_all_rows_is_not_read_and_comes_again(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "d")
    (tmp_path / "d" / "results.csv").unlink()
    Comparison.read(tmp_path / "d").save(tmp_path / "d")
    assert (tmp_path / "d" / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_a_directory_of_settings_alone_has_nothing_to_draw(finished: Path, tmp_path: Path) -> None:
    """As a comparison leaves it that was stopped before its first run was finished."""
    directory = tmp_path / "d"
    shutil.copytree(finished, directory)
    shutil.rmtree(directory / "runs")
    before = _tree(tmp_path)
    with pytest.raises(ValueError, match="no finished runs"):
        Comparison.read(directory).plot()
    _assert_error("holds no finished runs", "plot", directory)
    assert _tree(tmp_path) == before


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"seeds": 5}, ValueError, "seeds must be a sequence, got 5"),
        ({"seeds": [1.7]}, ValueError, "seed must be a whole number >= 0, got 1.7"),
        ({"seeds": [2**63]}, ValueError, "seed must be below 2^63, got 9223372036854775808"),
        ({"methods": "output"}, ValueError, "methods must be a sequence or a mapping, got 'output'"),
        ({"network": {"hidden_units": (5,)}}, TypeError, "network must be a Network, got dict"),
        ({"methods": {"output": {"steps": 5}}}, TypeError, "a method must be a name or have the methods `fit` and"),
        ({"num_samples": 1}, ValueError, "num_samples must be at least 2 for a variance, got 1"),
        (
            {"network": _network(hidden_units=())},
            ValueError,
            "method 'hidden' does not support this: it needs hidden units",
        ),
    ],
)
def test_what_cannot_be_compared(settings: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=re.escape(message)):
        compare(lecture(), directory=tmp_path / "out", **{**QUIET, **settings})
    assert list(tmp_path.iterdir()) == []


def test_hidden_units_without_any_are_named_before_anything_is_written(tmp_path: Path) -> None:
    _assert_error("method 'hidden' does not support this: ", "compare", "--hidden-units", "", "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_likelihood_is_an_object_not_a_class() -> None:
    with pytest.raises(TypeError, match="likelihood must be a Likelihood such as"):
        _network(likelihood=Normal)


def test_numbers_of_numpy_are_numbers() -> None:
    scale = Normal(scale=np.float32(0.5))  # type: ignore[arg-type]
    network = _network(likelihood=scale, prior_scale=np.float32(2), hidden_units=(np.int64(3),))
    assert (scale.scale, network.prior_scale, network.hidden_units) == (0.5, 2.0, (3,))
