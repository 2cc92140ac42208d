"""Bad options on the command line: one line on standard error, exit status 2, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_input import assert_error

OPTIONS: dict[str, tuple[list[str], str]] = {
    "no such file": (["--data", "no/such.csv", "--target", "y"], "'no/such.csv'"),
    "no such dataset": (["--data", "iris"], "unknown dataset 'iris'; known: lecture, digits, uci:boston"),
    "no such UCI dataset": (["--data", "uci:iris"], "unknown dataset 'uci:iris'; known: lecture"),
    "a target of its own": (["--target", "y"], "dataset 'lecture' has its own target, got 'y'"),
    "gap in no feature": (["--gap", "z"], "unknown feature 'z'; known: x"),
    "tail of no feature": (["--tail", "z"], "unknown feature 'z'; known: x"),
    "no such method": (["--methods", "output,mcmc"], "unknown method 'mcmc'; known: deterministic, output"),
    "no method": (["--methods", ""], "unknown method ''; known:"),
    "activation": (["--activation", "step"], "unknown activation 'step'; known: "),
    "no seeds": (["--seeds", "0"], "--seeds must be >= 1, got 0"),
    "seeds in words": (["--seeds", "many"], "'many' is not a valid integer"),
    "no samples": (["--samples", "0"], "num_samples must be a whole number >= 1, got 0"),
    "one sample": (["--samples", "1"], "num_samples must be at least 2 for a variance, got 1"),
    "no workers": (["--workers", "0"], "workers must be a whole number >= 1, got 0"),
    "noise below zero": (["--noise", "-1"], "scale must be None, 'learned' or a number > 0, got -1"),
    "noise not a number": (["--noise", "nan"], "a number > 0, got nan"),
    "noise in words": (["--noise", "foo"], "--noise must be heteroscedastic, learned or a number, got 'foo'"),
    "prior of width zero": (["--prior-scale", "0"], "prior_scale must be > 0, got 0.0"),
    "endless prior": (["--prior-scale", "inf"], "prior_scale must be > 0, got inf"),
    "no units": (["--hidden-units", "3,0"], "hidden_units must be a whole number >= 1, got 0"),
    "units in words": (
        ["--hidden-units", "4,a"],
        "--hidden-units must be whole numbers separated by commas, got '4,a'",
    ),
    "no hidden units": (["--hidden-units", ""], "method 'hidden' does not support this: it needs hidden units"),
    "no value": (["--set", "output.steps"], "--set must be METHOD.SETTING=VALUE, got 'output.steps'"),
    "no method of the setting": (["--set", "steps=3"], "--set must be METHOD.SETTING=VALUE, got 'steps=3'"),
    "nothing to set": (["--set", ""], "--set must be METHOD.SETTING=VALUE, got ''"),
    "setting of no method": (["--set", "hmc.draws=3"], "unknown method in --set 'hmc'; known: output, flipout, hidden"),
    "no such setting": (["--set", "output.draws=3"], "unknown setting 'draws' of output; known: standardise, steps, "),
    "no such setting of all": (["--set", "*.draws=3"], "unknown setting 'draws' of *; known: standardise, steps, "),
    "setting without a name": (["--set", "output.=3"], "unknown setting '' of output; known: "),
    "no steps": (["--set", "output.steps=0"], "steps must be a whole number >= 1, got 0"),
    "steps in words": (["--set", "output.steps=many"], "steps must be a whole number >= 1, got 'many'"),
    "steps not whole": (["--set", "output.steps=2.5"], "steps must be a whole number >= 1, got 2.5"),
    "steps in a list": (["--set", "output.steps=[3]"], "steps must be a whole number >= 1, got [3]"),
    "steps left empty": (["--set", "output.steps="], "steps must be a whole number >= 1, got ''"),
    "learning rate not a number": (["--set", "*.learning_rate=NaN"], "learning_rate must be > 0, got nan"),
    "no such schedule": (["--set", "*.schedule=linear"], "unknown schedule 'linear'; known: cosine, constant"),
    "neither true nor false": (["--set", "*.standardise=no"], "standardise must be True or False, got 'no'"),
    "a setting as an option": (["--steps", "20"], "No such option"),
    "no such option": (["--colour", "red"], "No such option"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_options_of_compare(case: str, tmp_path: Path) -> None:
    options, message = OPTIONS[case]
    assert_error(message, "compare", *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


COMMANDS: dict[str, tuple[list[str], str]] = {
    "no such command": (["fit"], "No such command 'fit'"),
    "a file without a target": (
        ["compare", "--data", "{}/table.csv", "--out", "{}/out"],
        "needs a target; columns: a, b, y",
    ),
    "plot of nothing": (["plot"], "Missing argument 'DIRECTORY'"),
    "plot of a table": (["plot", "{}/table.csv"], "cannot read {}/table.csv/settings.json: "),
    "repair of nothing": (["repair"], "Missing argument 'DIRECTORY'"),
    "repair of what is not there": (["repair", "{}/none"], "cannot read {}/none/settings.json: No such file or"),
    "repair of a directory of other things": (["repair", "{}"], "{}/settings.json: No such file or directory; only"),
    "repair of a table": (["repair", "{}/table.csv"], "cannot read {}/table.csv/settings.json: "),
    "results in place of a table": (
        ["compare", "--methods", "linear", "--seeds", "1", "--samples", "2", "--out", "{}/table.csv"],
        "cannot use {}/table.csv: it is a file, not a directory",
    ),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_bad_arguments_beside_a_table(case: str, tmp_path: Path) -> None:
    arguments, message = COMMANDS[case]
    table = tmp_path / "table.csv"
    table.write_text("a,b,y\n1,2,3\n2,3,5\n3,5,8\n4,4,9\n")
    assert_error(message.format(tmp_path), *(argument.format(tmp_path) for argument in arguments))
    assert list(tmp_path.iterdir()) == [table]
