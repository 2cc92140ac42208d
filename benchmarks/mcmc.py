"""Effective samples a second of `hmc`, beside numpyro's NUTS: `python benchmarks/mcmc.py --peer-python PATH`.

The same posterior for both: the lecture's 20 points and the network that `compare` takes by default, known noise, in
standard units; the same chains, warm-up, draws, target acceptance, tree depth and precision; the same effective sample
size, of the functions at the queries. Ours and theirs take turns. Theirs is asked for in both of its ways to run
chains on a CPU, and the faster one counts. `PATH` is a Python that has numpyro; nothing else of it is used.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp
from rich.console import Console
from rich.table import Table
from speed import machine

import variational_bnn as vbnn
from variational_bnn.base.checks import Array
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, propose_query_points
from variational_bnn.experiments.comparison import default_network
from variational_bnn.methods import chains as _chains
from variational_bnn.methods.fitting import Problem
from variational_bnn.methods.hmc import MAX_TREE_DEPTH, TARGET_ACCEPTANCE, _nuts

OUT = Path(__file__).parent / "results" / "mcmc.csv"
PEER = Path(__file__).parent / "peers" / "numpyro_nuts.py"
CHAIN_METHODS = ("vectorized", "parallel")
TURNS = 9
TRAINING = vbnn.Training(chains=4, warmup=1000, draws=1000)
QUERIES = 60
TARGET = 1.0
ERRORS = 4.0
"""Monte Carlo errors by which two samplers of one posterior may differ."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison of medians over the turns; `theirs` may be a limit, and the target is of the ratio.

    `lowest` and `highest` are of the turns' own ratios: what another run may well find.
    """

    what: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    lowest: float = math.nan
    highest: float = math.nan
    target: float | None = None

    @property
    def met(self) -> str:
        """Whether the ratio reaches its target."""
        return "" if self.target is None else "yes" if self.ratio >= self.target else "no"


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One run of a sampler.

    Attributes:
        functions: At the queries, `[draws, chains, M]`.
        seconds: From the call to the last draw.
        compiling: Of these, to trace and compile.
        ess: Effective sample sizes `[M]` of the functions.
    """

    functions: Array
    seconds: float
    compiling: float
    ess: Array

    @property
    def sampling(self) -> float:
        """Seconds without compilation."""
        return self.seconds - self.compiling


def posed() -> tuple[Problem, npt.NDArray[np.float32]]:
    """The problem, and the queries `[M, 1]` in its units."""
    dataset = vbnn.lecture()
    problem = Problem.of(dataset, default_network(dataset))
    return problem, problem.x_units(propose_query_points(dataset, QUERY_POINT_SEED, QUERIES).x).astype(np.float32)


def effective(functions: Array) -> Array:
    """Effective sample sizes `[M]` of `[draws, chains, M]`, all chains together, as `hmc` diagnoses itself."""
    states = tf.constant(functions, tf.float64)
    found = tfp.mcmc.effective_sample_size(states, cross_chain_dims=1, filter_beyond_positive_pairs=True)
    return np.asarray(found.numpy())


def r_hat(functions: Array) -> float:
    """Largest split R-hat over the queries."""
    states = tf.constant(functions, tf.float64)
    return float(np.max(tfp.mcmc.potential_scale_reduction(states, independent_chain_ndims=1, split_chains=True)))


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """Let the samplers that are made inside, of one problem, share what the first of them compiles."""
    original, made = tf.function, list[Any]()

    def function(func: Any = None, **options: Any) -> Any:
        if func is not None or options != {"jit_compile": True}:
            return original(func, **options)

        def compiled(window: Callable[..., Any]) -> Any:
            made.extend([] if made else [original(window, **options)])
            return made[0]

        return compiled

    with mock.patch.object(tf, "function", function):
        yield


def ours(problem: Problem, x: npt.NDArray[np.float32], seed: int) -> Run:
    """A run of the chains of `hmc`; its first window compiles, and is run once more to see for how long."""
    with compiled_once():
        ends, kept = [time.perf_counter()], []
        for window in _nuts(problem, TRAINING, seed):
            ends.append(time.perf_counter())
            kept.append(window.z)
        start = time.perf_counter()
        again = next(_nuts(problem, TRAINING, seed))
        first = time.perf_counter() - start
    assert np.array_equal(again.z, kept[0]), "the same seed gives the same window"
    draws = np.concatenate(kept[_chains.windows(TRAINING.warmup) :])
    functions = _chains._functions(problem.space, draws, x)[..., 0]
    compiling = ends[1] - ends[0] - first
    return Run(functions=functions, seconds=ends[-1] - ends[0], compiling=compiling, ess=effective(functions))


def theirs(python: str, problem: Problem, x: npt.NDArray[np.float32], chain_method: str, seed: int) -> tuple[Run, str]:
    """A run of numpyro in a process of its own, and its versions."""
    space = problem.space
    (fan_in, units), (_, outputs) = space.shapes
    hidden, last = np.split(space.prior_scales.astype(np.float32), [fan_in * units])
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "problem.npz", Path(folder) / "answer.npz"
        np.savez(
            asked,
            x=problem.x,
            y=problem.y,
            query_points=x,
            noise=np.array(problem.network.likelihood.scale),  # type: ignore[attr-defined]
            hidden_scales=hidden.reshape(fan_in, units),
            last_scales=last.reshape(-1, outputs),
            chains=np.array(TRAINING.chains),
            warmup=np.array(TRAINING.warmup),
            draws=np.array(TRAINING.draws),
            target_acceptance=np.array(TARGET_ACCEPTANCE),
            max_tree_depth=np.array(MAX_TREE_DEPTH),
            chain_method=np.array(chain_method),
            seed=np.array(seed),
        )
        subprocess.run([python, str(PEER), str(asked), str(answered)], check=True)
        answer = dict(np.load(answered))
    functions, seconds, compiling = answer["functions"], float(answer["seconds"]), float(answer["compiling"])
    run = Run(functions=functions, seconds=seconds, compiling=compiling, ess=effective(functions))
    return run, str(answer["versions"])


# The rows


def rate(runs: list[Run], quantile: float = 0.0, *, compiling: bool = False) -> float:
    """Median over the runs of effective samples a second, at a quantile of the queries: 0 is the worst of them."""
    seconds = [run.seconds if compiling else run.sampling for run in runs]
    return float(np.median([np.quantile(run.ess, quantile) / s for run, s in zip(runs, seconds, strict=True)]))


def rows_of(own: list[Run], peer: list[Run]) -> Iterator[Row]:
    """Speed, then what makes it, then whether both sample the same posterior."""
    for compiling, quantile in itertools.product((False, True), (0.0, 0.5)):
        here, there = (rate(runs, quantile, compiling=compiling) for runs in (own, peer))
        what = f"{'median' if quantile else 'worst'} query, {'with' if compiling else 'without'} compilation"
        by_turn = ([rate([run], quantile, compiling=compiling) for run in runs] for runs in (own, peer))
        turns = [one / other for one, other in zip(*by_turn, strict=True)]
        spread = {"lowest": min(turns), "highest": max(turns)}
        yield Row(what=what, unit="ESS/s", ours=here, theirs=there, ratio=here / there, target=TARGET, **spread)
    measures: dict[str, tuple[str, Callable[[Run], float]]] = {
        "worst query": ("ESS", lambda run: run.ess.min()),
        "largest R-hat": ("", lambda run: r_hat(run.functions)),
        "warm-up and draws": ("s", lambda run: run.sampling),
        "compilation": ("s", lambda run: run.compiling),
    }
    for what, (unit, measure) in measures.items():
        here, there = (float(np.median([measure(run) for run in runs])) for runs in (own, peer))
        yield Row(what=what, unit=unit, ours=here, theirs=there, ratio=here / there if unit == "ESS" else there / here)
    for what, errors in differences(own, peer):
        what = f"largest difference of the functions' {what}, against its limit"
        yield Row(what=what, unit="errors", ours=errors, theirs=ERRORS, ratio=ERRORS / errors, target=1)


def differences(own: list[Run], peer: list[Run]) -> Iterator[tuple[str, float]]:
    """The largest over the queries, in Monte Carlo errors: of the means, and of the sds through squared deviations."""
    here, there = (np.concatenate([run.functions for run in runs], axis=1).astype(np.float64) for runs in (own, peer))
    centre = (here.mean(axis=(0, 1)) + there.mean(axis=(0, 1))) / 2
    for what, one, other in (("mean", here, there), ("sd", (here - centre) ** 2, (there - centre) ** 2)):
        variances = sum(states.var(axis=(0, 1)) / effective(states) for states in (one, other))
        gap = np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1)))
        yield what, float((gap / np.sqrt(variances)).max())


def table(rows: list[Row], title: str) -> Table:
    """All rows."""
    found = Table(title=title, title_justify="left")
    found.add_column("what")
    for heading in ("ours", "theirs", "ratio", "by turn", "target", "met"):
        found.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        values = (f"{value:.4g} {row.unit}".strip() for value in (row.ours, row.theirs))
        target = "" if row.target is None else f"{row.target:g}"
        turns = "" if math.isnan(row.lowest) else f"{row.lowest:.2g}..{row.highest:.2g}"
        found.add_row(row.what, *values, f"{row.ratio:.3g}", turns, target, row.met)
    return found


@click.command()
@click.option("--peer-python", required=True, type=click.Path(exists=True, dir_okay=False), help="One with numpyro.")
@click.option("--turns", default=TURNS, show_default=True, type=click.IntRange(1))
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
def main(peer_python: str, turns: int, out: Path) -> None:
    """Measure, print a table and write its rows."""
    console, (problem, x) = Console(), posed()
    own: list[Run] = []
    peers: dict[str, list[Run]] = {chain_method: [] for chain_method in CHAIN_METHODS}
    for turn in range(turns):
        own.append(ours(problem, x, seed=turn))
        console.print(f"turn {turn}, ours: {rate(own[-1:]):.3g} effective samples a second", highlight=False)
        for chain_method, runs in peers.items():
            run, versions = theirs(peer_python, problem, x, chain_method, seed=turn)
            runs.append(run)
            console.print(f"turn {turn}, numpyro {chain_method}: {rate([run]):.3g}", highlight=False)
    best = max(peers, key=lambda chain_method: rate(peers[chain_method]))
    rows, title = list(rows_of(own, peers[best])), f"{machine()}, {versions} ({best})"
    console.print(table(rows, title))
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(field.name for field in dataclasses.fields(Row)), "met", "machine"])
        writer.writerows([*dataclasses.astuple(row), row.met, title] for row in rows)
    console.print(f"{out}: {len(rows)} rows", highlight=False)


if __name__ == "__main__":
    main()
