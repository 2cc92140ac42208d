"""Runs that need no model, for tests of the engine and the store."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from variational_bnn.base.progress import report
from variational_bnn.experiments.run import Executed, Group, Outcome, Run
from variational_bnn.experiments.store import Store

COLUMNS = {"method": str, "seed": int, "value": float("nan"), "status": "ok"}
SETTINGS = {"dataset": {"name": "toy"}, "methods": {"a": {"class": "A", "steps": 3}}}
DATA = pd.DataFrame({"x": [0.1, 1 / 3, 1e-300], "y": [-1.0, 2.0, np.pi]})


def store_in(directory: Path) -> Store:
    return Store(directory=directory, kind="tables", columns={"rows": COLUMNS, "predictions": {}, "data": {}})


def prepared(directory: Path, settings: dict = SETTINGS) -> Store:
    store = store_in(directory)
    store.prepare(settings, tables={"data": DATA}, arrays={})
    return store


def outcome(name: str, seed: int, status: str = "ok") -> Outcome:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"method": [name] * 3, "seed": seed, "value": rng.normal(size=3) * 1e-3, "status": status})
    predictions = pd.DataFrame({"query_point": [0, 1], "mean": [1 / 3, np.nan], "region": ["near", 'a,"b"\nNA']})
    return Outcome(rows=rows, tables={"predictions": predictions}, arrays={"functions": rng.normal(size=(2, 3, 1))})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ToyRun(Run):
    """A run whose work is a function."""

    work: Callable[[], Outcome]

    def failure(self, status: str) -> Outcome:
        return outcome(self.name, self.seed, status)


def run(name: str, seed: int, execute: Callable[[], Outcome] | None = None) -> Group[ToyRun]:
    """The group of one run."""
    return group(name, {seed: execute})


def group(name: str, works: Mapping[int, Callable[[], Outcome] | None]) -> Group[ToyRun]:
    """A group of runs, by their seeds."""
    runs = [ToyRun(name=name, seed=seed, work=work or partial(_work, name, seed)) for seed, work in works.items()]
    return Group(runs=runs, execute=_execute)


def _execute(runs: Sequence[ToyRun]) -> Executed[ToyRun]:
    for one in runs:
        yield one, one.outcome_of(one.work)


def _work(name: str, seed: int) -> Outcome:
    return outcome(name, seed)


def noted(place: Path, name: str, seed: int, seconds: float) -> Outcome:
    """Note down that the run was executed, by whom, and take a while."""
    (place / f"{name}-{seed}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(seconds)
    return outcome(name, seed)


def stopping() -> Outcome:
    raise KeyboardInterrupt


def dying_once(place: Path, name: str, seed: int) -> Outcome:
    """End the process, unless there is a note that says that it did."""
    if not list(place.glob(f"{name}-{seed}-*")):
        noted(place, name, seed, 0.0)
        dying()
    return noted(place, name, seed, 0.0)


def first_alone(runs: Sequence[ToyRun]) -> Executed[ToyRun]:
    """Execute the first run, and raise an error that is of none of the others in particular."""
    yield runs[0], runs[0].outcome_of(runs[0].work)
    raise TypeError("not of any run")


def raising() -> Outcome:
    raise TypeError("no such\nthing")


def reporting(name: str, seed: int) -> Outcome:
    """Report eight steps, slowly enough to be seen."""
    for step in range(1, 9):
        report(step, 8)
        time.sleep(0.2)
    return outcome(name, seed)


def stuck(place: Path) -> Outcome:
    """Say so, and hold Python's lock for ever."""
    (place / "stuck").touch()
    re.match("(a+)+$", "a" * 100 + "b")
    raise AssertionError("unreachable")


def leaving() -> Outcome:
    sys.exit(3)


def dying() -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")
