"""Bad arguments in Python: an error of one line that says what must be and what came, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import assert_raises

import variational_bnn as vbnn
from variational_bnn.datasets import load

CALLS: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {}
"""For each case a call, which gets an empty directory, and the error and the words that it must raise."""


def _dataset(x: Any, y: Any) -> vbnn.Dataset:
    return vbnn.Dataset(name="d", x=x, y=y, feature_names=("a", "b"), target_names=("t",))


CALLS |= {
    "x not finite": (
        lambda _: _dataset([[1, 2], [3, np.nan]], [1, 2]),
        ValueError,
        "x must be finite, got nan in row 1, column 'b'",
    ),
    "y not finite": (
        lambda _: _dataset([[1, 2], [3, 4]], [np.inf, 2]),
        ValueError,
        "y must be finite, got inf in row 0, column 't'",
    ),
    "constant feature": (
        lambda _: _dataset([[1, 2], [3, 2]], [1, 2]),
        ValueError,
        "feature 'b' is constant over the training rows (always 2)",
    ),
    "constant target": (
        lambda _: _dataset([[1, 2], [3, 4]], [5, 5]),
        ValueError,
        "target 't' is constant over the training rows (always 5)",
    ),
    "one row": (lambda _: _dataset([[1, 2]], [1]), ValueError, "needs at least 2 training rows, got 1"),
    "words": (lambda _: _dataset([["1", "two"], ["3", "4"]], [1, 2]), ValueError, "x must hold numbers: could not"),
    "more targets than rows": (
        lambda _: _dataset([[1, 2], [3, 4]], [1, 2, 3]),
        ValueError,
        "as many rows, got [2, 2] and [3, 1]",
    ),
    "no such file": (lambda _: load("no/such.csv", "y"), ValueError, "'no/such.csv'"),
    "no such dataset": (
        lambda _: load("iris"),
        ValueError,
        "unknown dataset 'iris'; known: lecture, digits, uci:boston",
    ),
    "no such UCI dataset": (lambda _: vbnn.uci("iris"), ValueError, "unknown UCI dataset 'iris'; known: boston"),
    "no such UCI dataset by name": (
        lambda _: load("uci:iris"),
        ValueError,
        "unknown dataset 'uci:iris'; known: lecture",
    ),
    "gap in no feature": (
        lambda _: vbnn.split(vbnn.lecture(), gap="z", seed=0),
        ValueError,
        "unknown feature 'z'; known: x",
    ),
    "tail of no feature": (
        lambda _: vbnn.split(vbnn.lecture(), tail="z", seed=0),
        ValueError,
        "unknown feature 'z'; known: x",
    ),
}


def _network(**fields: Any) -> vbnn.Network:
    return vbnn.Network(**{"input_shape": (1,), "output_size": 1, "likelihood": vbnn.Normal(scale=0.1), **fields})


CALLS |= {
    "activation": (lambda _: _network(activation="step"), ValueError, "unknown activation 'step'; known: "),
    "noise below zero": (
        lambda _: vbnn.Normal(scale=-1),
        ValueError,
        "scale must be None, 'learned' or a number > 0, got -1",
    ),
    "noise not a number": (lambda _: vbnn.Normal(scale=np.nan), ValueError, "a number > 0, got nan"),
    "noise in words": (lambda _: vbnn.Normal(scale="foo"), ValueError, "got 'foo'"),  # type: ignore[arg-type]
    "prior of width zero": (
        lambda _: _network(prior_scale=0.0),
        ValueError,
        "prior_scale must be > 0, got 0.0",
    ),
    "endless prior": (lambda _: _network(prior_scale=np.inf), ValueError, "prior_scale must be > 0, got inf"),
    "no units": (
        lambda _: _network(hidden_units=(3, 0)),
        ValueError,
        "hidden_units must be a whole number >= 1, got 0",
    ),
    "units in words": (
        lambda _: _network(hidden_units="a"),
        ValueError,
        "hidden_units must be a tuple of whole numbers, got 'a'",
    ),
    "likelihood a class": (
        lambda _: _network(likelihood=vbnn.Normal),
        TypeError,
        "likelihood must be a Likelihood such as",
    ),
    "no such estimator": (
        lambda _: vbnn.build_weight_variation(_network(), 20, estimator="vogn"),
        ValueError,
        "unknown estimator 'vogn'; known: reparameterization, flipout",
    ),
    "no steps": (lambda _: vbnn.OutputVariation(steps=0), ValueError, "steps must be a whole number >= 1, got 0"),
}


def _compare(**settings: Any) -> Callable[[Path], Any]:
    def call(directory: Path) -> None:
        vbnn.compare(vbnn.lecture(), directory=directory / "out", **{"num_samples": 2, "progress": False, **settings})

    return call


CALLS |= {
    "no such method": (
        _compare(methods=["output", "mcmc"]),
        ValueError,
        "unknown method 'mcmc'; known: deterministic, output",
    ),
    "method without a name": (_compare(methods=[""]), ValueError, "unknown method ''; known:"),
    "no method": (_compare(methods=[]), ValueError, "methods must hold at least one method, got none"),
    "methods in one word": (
        _compare(methods="output"),
        ValueError,
        "methods must be a sequence or a mapping, got 'output'",
    ),
    "settings in place of a method": (
        _compare(methods={"output": {"steps": 5}}),
        TypeError,
        "a method must be a name or have the methods `fit` and",
    ),
    "a method that does not support the network": (
        _compare(network=_network(hidden_units=())),
        ValueError,
        "method 'hidden' does not support this: it needs hidden units",
    ),
    "no seeds": (_compare(seeds=range(0)), ValueError, "seeds must hold at least one seed, got none"),
    "seeds not a sequence": (_compare(seeds=5), ValueError, "seeds must be a sequence, got 5"),
    "seed below zero": (_compare(seeds=[-1]), ValueError, "seed must be a whole number >= 0, got -1"),
    "seed not whole": (_compare(seeds=[1.7]), ValueError, "seed must be a whole number >= 0, got 1.7"),
    "seed too large": (_compare(seeds=[2**63]), ValueError, "seed must be below 2^63, got 9223372036854775808"),
    "no samples": (_compare(num_samples=0), ValueError, "num_samples must be a whole number"),
    "one sample": (_compare(num_samples=1), ValueError, "num_samples must be at least 2 for a variance, got 1"),
    "no workers": (_compare(workers=0), ValueError, "workers must be a whole number >= 1, got 0"),
    "network of another shape": (
        _compare(network=_network(input_shape=(2,))),
        ValueError,
        "network must have input_shape, output_size = ((1,), 1) for the dataset",
    ),
    "network a dict": (_compare(network={"hidden_units": (5,)}), TypeError, "network must be a Network, got dict"),
    "repair of what is not there": (
        lambda path: vbnn.repair(path / "none"),
        ValueError,
        "none/settings.json: No such file or directory; only settings.json says what made the runs",
    ),
    "repair of an empty directory": (
        vbnn.repair,
        ValueError,
        "/settings.json: No such file or directory; only settings.json says what made the runs",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_bad_call(case: str, tmp_path: Path) -> None:
    assert_raises(*CALLS[case], tmp_path)
