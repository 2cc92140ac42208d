"""Rows of `speed.py`: `variational-bnn compare` with its defaults, against an earlier revision of this project.

The rows of both are compared, too: of each method, region and measure the means over the seeds, by Welch's test.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from races import Row, Setting, race
from scipy import stats

NOW = Path(__file__).parents[1]
TURNS = 3
MEASURES = (
    "epistemic_variance",
    "latent_variance",
    "aleatoric_variance",
    "growth_exponent",
    "contraction",
    "train_rmse",
    "rmse",
)
RUN = ["method", "region", "seed", "status"]
POSITIVE = ("epistemic_variance", "latent_variance", "aleatoric_variance", "contraction")
"""Measures that are compared by their logarithms, which vary over the seeds more like a normal distribution does."""

FAMILY_ERROR = 0.05
"""Probability that equal revisions miss the limit, over all comparisons together (Bonferroni)."""


def seconds_of_command(checkout: Path, out: Path) -> float:
    """Wall clock of a fresh process that makes all rows anew; `out` gets its results."""
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "variational_bnn", "compare", "--out", f"{folder}/results"]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
        seconds = time.perf_counter() - start
        shutil.copy(f"{folder}/results/results.csv", out)
    return seconds


def differences(now: pd.DataFrame, before: pd.DataFrame) -> dict[str, float]:
    """Of each method, region and measure, how many standard errors of their difference the means over seeds are apart.

    The error is that of a normal distribution with the p-value of Welch's test. It is infinite where there are not as
    many values, and where values that do not vary over the seeds disagree by more than one in a thousand. Tables whose
    methods, regions, seeds or statuses are not the same have one infinite error.
    """
    runs, runs_before = (table[RUN].reset_index(drop=True) for table in (now, before))
    if not runs.equals(runs_before):
        return {"methods, regions, seeds or statuses": math.inf}
    keys, errors = ["method", "region"], dict[str, float]()
    of_before = dict(list(before.groupby(keys)))
    for key, group in now.groupby(keys):
        for measure in MEASURES:
            pair = [table[measure].dropna().to_numpy(np.float64) for table in (group, of_before[key])]
            if measure in POSITIVE and all((values > 0).all() for values in pair):
                pair = [np.log(values) for values in pair]
            if any(map(len, pair)):
                errors[", ".join((*map(str, key), measure))] = errors_between(*pair)
    return errors


def errors_between(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """The difference of two means, in standard errors."""
    equal = partial(np.allclose, rtol=1e-3, atol=1e-9)
    if len(one) != len(other):
        return math.inf
    if equal(one, one[0]) and equal(other, other[0]):
        return 0.0 if equal(one[0], other[0]) else math.inf
    return float(stats.norm.isf(stats.ttest_ind(one, other, equal_var=False).pvalue / 2))


def compare(setting: Setting) -> Iterator[Row]:
    """Wall clock, and whether the rows agree within Monte Carlo error."""
    if not setting.before:
        return
    with tempfile.TemporaryDirectory() as folder:
        tables = [Path(folder) / name for name in ("now.csv", "before.csv")]
        now, before = (
            partial(seconds_of_command, checkout, table)
            for checkout, table in zip((NOW, setting.before), tables, strict=True)
        )
        times = race({"now": now, "before": before}, min(TURNS, setting.turns))
        rows = [pd.read_csv(table).sort_values(["method", "region", "seed"]) for table in tables]
    yield Row.of("variational-bnn compare, against an earlier revision", times["now"], times["before"], target=3)
    errors = differences(*rows)
    worst = max(errors, key=lambda name: errors[name])
    setting.say(f"compare: {worst}: {errors[worst]:.2g} standard errors apart, the largest of {len(errors)}")
    what = f"the rows of both, largest of {len(errors)} differences of means over seeds, against its limit"
    limit = float(stats.norm.isf(FAMILY_ERROR / 2 / len(errors)))
    yield Row(what=what, unit="errors", ours=errors[worst], theirs=limit, target=1)
