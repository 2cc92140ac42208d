"""What cannot be is named in one line that says what must be and what came, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from variational_bnn.base import Dataset, Network
from variational_bnn.cli import commands
from variational_bnn.datasets import lecture, load, uci
from variational_bnn.evaluation.split import split
from variational_bnn.experiments.compare import compare, default_network
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
