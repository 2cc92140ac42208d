"""Effective samples a second of `hmc`, beside numpyro's NUTS: `python benchmarks/mcmc.py --peer-python PATH`.

Both sample the same two posteriors: that of the lecture's 20 points and of the network that `compare` takes by default,
with known noise and in standardised units; and that of two clusters of 50 points each in the plane, with prior scale 4
and in raw units (`two_clusters.py`; `VARIATIONAL_BNN_DATA` is a folder that holds `two_clusters/origin_x.txt` and
`origin_y.txt`), in which trajectories are as long as they may be. They have the same chains, warm-up, draws, target
acceptance, tree depth and precision, and the effective sample size is the same: of the functions' values at the query
points, in the bulk of their distribution (Vehtari et al. 2021). Ours and theirs take turns, each in a new process.
Theirs runs its chains in both of its ways on a CPU, and the faster one counts. `PATH` is a Python that has numpyro;
nothing else of it is used.

The seconds are from the start of the chains to the last draw, without diagnostics. JAX itself says how many of them it
compiled. Ours is the first of two equal and short runs of chains minus the second, which does not compile any more.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from clusters import diagonal
from races import machine
from rich.console import Console
from rich.table import Table
from two_clusters import SETTINGS, VARIABLE, dataset_of, network_of

import variational_bnn as vbnn
from variational_bnn.base.checks import Array, Float32Array
from variational_bnn.evaluation.convergence import effective_sample_sizes, rank_normalised_r_hat
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, propose_query_points
from variational_bnn.experiments.compare import default_network
from variational_bnn.methods.chains import function_values
from variational_bnn.methods.hmc import TARGET_ACCEPTANCE
from variational_bnn.methods.nuts import MAX_TREE_DEPTH
from variational_bnn.methods.problem import Problem

OUT = Path(__file__).parent / "results" / "mcmc.csv"
PEER = Path(__file__).parent / "peers" / "numpyro_nuts.py"
CHAIN_METHODS = ("vectorized", "parallel")
POSTERIORS = ("lecture", "two_clusters")
TURNS, CHAINS, STEPS = 5, 4, 1000
QUERY_POINTS = 60
TARGET = 1.5
ERRORS = 4.0
"""Monte Carlo errors by which two samplers of one posterior may differ."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison of medians over the turns; `theirs` may be a limit, and the target is of the ratio.

    `lowest` and `highest` are of the ratios of single turns, between which another run may well be.
    """

    posterior: str
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
        functions: Values at the query points `[draws, chains, M]`.
        seconds: From the start of the chains to the last draw.
        compiling: How many of these seconds it traced and compiled.
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What both samplers have to do.

    Attributes:
        hmc: The chains, and how long they are.
        problem: The network and the rows, in standardised units.
        x: Query points `[M, F]`, in the units of the problem.
    """

    hmc: vbnn.HMC
    problem: Problem
    x: Float32Array

    @classmethod
    def of(cls, posterior: str, steps: int) -> Task:
        """The task on one of the posteriors."""
        if posterior == "lecture":
            dataset, hmc = vbnn.lecture(), vbnn.HMC(chains=CHAINS, warmup=steps, draws=steps)
            network, points = default_network(dataset), propose_query_points(dataset, QUERY_POINT_SEED, QUERY_POINTS).x
        else:
            setting = SETTINGS[0]
            dataset, network = dataset_of(Path(os.environ[VARIABLE]), setting), network_of(setting)
            hmc = vbnn.HMC(chains=CHAINS, warmup=steps, draws=steps, standardise=False)
            points = setting.sigma_w * diagonal()[:: len(diagonal()) // QUERY_POINTS]
        problem = hmc.problem(dataset, network)
        return cls(hmc=hmc, problem=problem, x=problem.x_scaler.transform(points).astype(np.float32))


def effective(functions: Array) -> Array:
    """Bulk effective sample sizes `[M]` of `[draws, chains, M]`, all chains together, as `hmc` diagnoses itself."""
    bulk, _ = effective_sample_sizes(functions)
    return bulk


def ours(posterior: str, steps: int, seed: int) -> Run:
    """A run of the chains of `hmc`, in a new process."""
    task = Task.of(posterior, steps)
    short = dataclasses.replace(task.hmc, chains=1, warmup=1, draws=1)
    ends = [time.perf_counter()]
    for hmc in (short, short, task.hmc):
        *_, window = hmc.windows(task.problem, seed)
        ends.append(time.perf_counter())
    first, second, sampling = np.diff(ends)
    functions = function_values(task.problem.space, window.z, task.x)[..., 0]
    compiling = float(first - second)
    return Run(functions=functions, seconds=sampling + compiling, compiling=compiling, ess=effective(functions))


def theirs(python: str, task: Task, chain_method: str, seed: int) -> tuple[Run, str]:
    """A run of numpyro in a process of its own, and its versions."""
    space, likelihood = task.problem.space, task.problem.network.likelihood
    assert isinstance(likelihood, vbnn.Normal)
    (fan_in, units), (_, outputs) = space.shapes
    hidden, last = np.split(space.prior_scales.astype(np.float32), [fan_in * units])
    with tempfile.TemporaryDirectory() as folder:
        problem, answer = Path(folder) / "problem.npz", Path(folder) / "answer.npz"
        np.savez(
            problem,
            x=task.problem.x,
            y=task.problem.y,
            query_points=task.x,
            noise=np.array(likelihood.scale),
            hidden_scales=hidden.reshape(fan_in, units),
            last_scales=last.reshape(-1, outputs),
            chains=np.array(task.hmc.chains),
            warmup=np.array(task.hmc.warmup),
            draws=np.array(task.hmc.draws),
            target_acceptance=np.array(TARGET_ACCEPTANCE),
            max_tree_depth=np.array(MAX_TREE_DEPTH),
            chain_method=np.array(chain_method),
            seed=np.array(seed),
        )
        subprocess.run([python, str(PEER), str(problem), str(answer)], check=True)
        saved = dict(np.load(answer))
    functions, seconds, compiling = saved["functions"], float(saved["seconds"]), float(saved["compiling"])
    run = Run(functions=functions, seconds=seconds, compiling=compiling, ess=effective(functions))
    return run, str(saved["versions"])


# The rows


def rate(runs: list[Run], quantile: float = 0.0, *, compiling: bool = False) -> float:
    """Median over the runs of effective samples a second, at a quantile of the query points: 0 is the worst of them."""
    seconds = [run.seconds if compiling else run.sampling for run in runs]
    return float(np.median([np.quantile(run.ess, quantile) / s for run, s in zip(runs, seconds, strict=True)]))


def rows_of(posterior: str, own: list[Run], peer: list[Run]) -> Iterator[Row]:
    """Speed, then what makes it, then whether both sample the same posterior."""
    for compiling, quantile in itertools.product((False, True), (0.0, 0.5)):
        here, there = (rate(runs, quantile, compiling=compiling) for runs in (own, peer))
        what = f"{'median' if quantile else 'worst'} query point, {'with' if compiling else 'without'} compilation"
        by_turn = ([rate([run], quantile, compiling=compiling) for run in runs] for runs in (own, peer))
        turns = [one / other for one, other in zip(*by_turn, strict=True)]
        ends = {"lowest": min(turns), "highest": max(turns), "target": None if quantile else TARGET}
        row = Row(posterior=posterior, what=what, unit="ESS/s", ours=here, theirs=there, ratio=here / there)
        yield dataclasses.replace(row, **ends)
    measures: dict[str, tuple[str, Callable[[Run], float]]] = {
        "worst query point": ("ESS", lambda run: run.ess.min()),
        "largest R-hat": ("", lambda run: rank_normalised_r_hat(run.functions).max()),
        "warm-up and draws": ("s", lambda run: run.sampling),
        "compilation": ("s", lambda run: run.compiling),
    }
    for what, (unit, measure) in measures.items():
        here, there = (float(np.median([measure(run) for run in runs])) for runs in (own, peer))
        ratio = here / there if unit == "ESS" else there / here
        yield Row(posterior=posterior, what=what, unit=unit, ours=here, theirs=there, ratio=ratio)
    for what, errors in differences(own, peer):
        what = f"largest difference of the functions' {what}, against its limit"
        ratio = ERRORS / errors
        yield Row(posterior=posterior, what=what, unit="errors", ours=errors, theirs=ERRORS, ratio=ratio, target=1)


def differences(own: list[Run], peer: list[Run]) -> Iterator[tuple[str, float]]:
    """The largest difference over the query points, in Monte Carlo errors: of the means, and of the sds.

    Sds are compared by the mean squared deviations from one and the same centre.
    """
    here, there = (np.concatenate([run.functions for run in runs], axis=1).astype(np.float64) for runs in (own, peer))
    centre = (here.mean(axis=(0, 1)) + there.mean(axis=(0, 1))) / 2
    for what, one, other in (("mean", here, there), ("sd", (here - centre) ** 2, (there - centre) ** 2)):
        variances = sum(states.var(axis=(0, 1)) / effective(states) for states in (one, other))
        gap = np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1)))
        yield what, float((gap / np.sqrt(variances)).max())


def table(rows: list[Row], title: str) -> Table:
    """All rows."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("what", min_width=30)
    for heading in ("ours", "theirs", "ratio", "by turn", "target", "met"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        values = (f"{value:.4g} {row.unit}".strip() for value in (row.ours, row.theirs))
        target = "" if row.target is None else f"{row.target:g}"
        turns = "" if math.isnan(row.lowest) else f"{row.lowest:.2g}..{row.highest:.2g}"
        shown.add_row(f"{row.posterior}: {row.what}", *values, f"{row.ratio:.3g}", turns, target, row.met)
    return shown


def race(posterior: str, python: str, turns: int, steps: int, console: Console) -> tuple[list[Row], str]:
    """The rows of a posterior, and the peer's versions and its faster way to run chains."""
    own: list[Run] = []
    peers: dict[str, list[Run]] = {chain_method: [] for chain_method in CHAIN_METHODS}
    task = Task.of(posterior, steps)
    for turn in range(turns):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            own.append(pool.submit(ours, posterior, steps, turn).result())
        console.print(
            f"{posterior}, turn {turn}, ours: {rate(own[-1:]):.3g} effective samples a second", highlight=False
        )
        for chain_method, runs in peers.items():
            run, versions = theirs(python, task, chain_method, seed=turn)
            runs.append(run)
            console.print(f"{posterior}, turn {turn}, numpyro {chain_method}: {rate([run]):.3g}", highlight=False)
    best = max(peers, key=lambda chain_method: rate(peers[chain_method]))
    return list(rows_of(posterior, own, peers[best])), f"{versions} ({best})"


@click.command()
@click.option("--peer-python", required=True, type=click.Path(exists=True, dir_okay=False), help="One with numpyro.")
@click.option("--only", multiple=True, type=click.Choice(POSTERIORS), default=POSTERIORS, help="Both by default.")
@click.option("--turns", default=TURNS, show_default=True, type=click.IntRange(1))
@click.option("--steps", default=STEPS, show_default=True, type=click.IntRange(200), help="Warm-up, and as many draws.")
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
def main(peer_python: str, only: tuple[str, ...], turns: int, steps: int, out: Path) -> None:
    """Measure, print a table and write its rows."""
    console, rows, titles = Console(), list[Row](), dict[str, str]()
    for posterior in only:
        of_posterior, peer = race(posterior, peer_python, turns, steps, console)
        rows += of_posterior
        titles[posterior] = f"{machine()}, {peer}"
    console.print(table(rows, "; ".join(dict.fromkeys(titles.values()))))
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(field.name for field in dataclasses.fields(Row)), "met", "machine"])
        writer.writerows([*dataclasses.astuple(row), row.met, titles[row.posterior]] for row in rows)
    console.print(f"{out}: {len(rows)} rows", highlight=False)


if __name__ == "__main__":
    main()
