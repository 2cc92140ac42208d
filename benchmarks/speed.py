"""Speed and memory, against the same networks as tutorials write them: `python benchmarks/speed.py`.

Each row is a ratio of medians of one run, in which ours and theirs take turns (A B A B) once both are warm. Times
depend on what else the machine does, ratios less so. Targets are of the ratio theirs / ours.
"""

from __future__ import annotations

import csv
import dataclasses
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from rich.console import Console
from rich.table import Table
from tensorflow_probability import distributions as tfd

import variational_bnn as vbnn

Rows = npt.NDArray[np.float32]

OUT = Path(__file__).parent / "results" / "speed.csv"
REPEATS = 7
NETWORK = vbnn.Network(
    input_shape=(1,), output_size=1, hidden_units=(50, 50), activation="relu", likelihood=vbnn.Normal()
)
BARE = {
    "flipout": tfp.layers.DenseFlipout,
    "reparameterization": tfp.layers.DenseReparameterization,
    "local_reparameterization": tfp.layers.DenseLocalReparameterization,
}
DRAWS, POINTS = 200, 400
EXAMPLES, BATCH_SIZE = 10_000, 32
LARGE_DRAWS, LARGE_POINTS = 1_000, 1_000_000
LARGE_GIB = 1.5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison; `theirs` may be a limit, and the target is one of the ratio."""

    what: str
    unit: str
    ours: float
    theirs: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        """How many times less ours is."""
        return self.theirs / self.ours

    @property
    def met(self) -> str:
        """Whether the ratio reaches its target."""
        return "" if self.target is None else "yes" if self.ratio >= self.target else "no"


def race(ours: Callable[[], list[float]], theirs: Callable[[], list[float]]) -> dict[str, float]:
    """The median seconds of both; they take turns, and the first turn warms them up."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(1 + REPEATS):
        for name, run in (("ours", ours), ("theirs", theirs)):
            times = run()
            seconds[name] += times if turn else []
    return {name: float(np.median(times)) for name, times in seconds.items()}


def seconds_of(function: Callable[[], Any], calls: int = 1) -> list[float]:
    """The seconds of each call."""
    ends = [time.perf_counter()]
    for _ in range(calls):
        function()
        ends.append(time.perf_counter())
    return np.diff(ends).tolist()


# 1. predict


def bare_network(layer: Any, num_examples: int) -> tf_keras.Model:
    """The same network of TFP's own layers, the KL scaled as it should be."""

    def divergence(q: tfd.Distribution, prior: tfd.Distribution, _: Any) -> tf.Tensor:
        return tfd.kl_divergence(q, prior) / num_examples

    hidden = [layer(50, activation="relu", kernel_divergence_fn=divergence) for _ in range(2)]
    parameters = layer(2, kernel_divergence_fn=divergence)
    return tf_keras.Sequential([tf_keras.Input((1,)), *hidden, parameters, tfp.layers.IndependentNormal(1)])


def dropout_network() -> tf_keras.Model:
    """The same network with point weights and Dropout; its output is a tensor."""
    dense, dropout = partial(tf_keras.layers.Dense, 50, "relu"), partial(tf_keras.layers.Dropout, 0.1)
    return tf_keras.Sequential([tf_keras.Input((1,)), dense(), dropout(), dense(), dropout(), tf_keras.layers.Dense(1)])


def loop_of_calls(call: Callable[[Rows], Any], x: Rows) -> tuple[Rows, Rows]:
    """Mean and variance of the means over as many calls, as tutorials write it."""
    outputs = [call(x) for _ in range(DRAWS)]
    means = [(y.mean() if isinstance(y, tfd.Distribution) else y).numpy() for y in outputs]
    return np.mean(means, axis=0), np.var(means, axis=0)


def prediction() -> Iterator[Row]:
    """`predict` against the loop of calls."""
    x = np.linspace(-1, 1, POINTS, dtype=np.float32)[:, None]
    flipout, reparameterization = (
        vbnn.build_weight_variation(NETWORK, POINTS, estimator=name, seed=0) for name in list(BARE)[:2]
    )
    hidden, dropout = vbnn.build_hidden_variation(NETWORK, POINTS, seed=0), dropout_network()
    cases: list[tuple[str, tf_keras.Model, Callable[[Rows], Any], float | None]] = [
        ("tfp DenseFlipout", flipout, bare_network(BARE["flipout"], POINTS), 300),
        ("tfp DenseReparameterization", reparameterization, bare_network(BARE["reparameterization"], POINTS), 300),
        ("our flipout", flipout, flipout, 300),
        ("our hidden", hidden, hidden, None),
        ("tf_keras Dropout", dropout, partial(dropout, training=True), None),
    ]
    for name, model, call, target in cases:
        ours, theirs = partial(vbnn.predict, model, x, num_samples=DRAWS), partial(loop_of_calls, call, x)
        medians = race(partial(seconds_of, ours, calls=10), partial(seconds_of, theirs))
        yield Row(what=f"predict, against a loop of {name}", unit="s", **medians, target=target)


# 2. fit


def noisy_sine() -> tuple[Rows, Rows]:
    """Inputs and targets, `[N, 1]` each."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (EXAMPLES, 1)).astype(np.float32)
    return x, (np.sin(3 * x) + 0.1 * rng.normal(size=x.shape)).astype(np.float32)


def seconds_a_step(model: tf_keras.Model, x: Rows, y: Rows) -> list[float]:
    """Of each epoch of `fit` but the first, which may trace and compile."""
    ends: list[float] = []
    end = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(x, y, batch_size=BATCH_SIZE, epochs=4, verbose=0, callbacks=[end])
    return (np.diff(ends) / np.ceil(len(x) / BATCH_SIZE)).tolist()


def training() -> Iterator[Row]:
    """`fit` with default settings, against `fit` of bare layers with default settings."""
    x, y = noisy_sine()
    for estimator, layer in BARE.items():
        ours, theirs = (
            vbnn.build_weight_variation(NETWORK, EXAMPLES, estimator=estimator, seed=0),
            bare_network(layer, EXAMPLES),
        )
        ours.compile("adam", loss=vbnn.negative_log_likelihood)
        theirs.compile("adam", loss=lambda y_true, y_pred: -y_pred.log_prob(y_true))
        medians = race(partial(seconds_a_step, ours, x, y), partial(seconds_a_step, theirs, x, y))
        yield Row(what=f"fit, against tfp {layer.__name__}", unit="s/step", **medians, target=2)


# 3. The harness


def harness() -> Iterator[Row]:
    """How a comparison trains, against `fit` with one epoch for each step.

    Building and compiling take as long for few steps as for many, so the difference of a long fit and a short one is
    the time of the steps alone.
    """
    dataset, short, more, epochs = vbnn.lecture(), 500, 20_000, 1_000
    x, y = ((values - values.mean(axis=0)) / values.std(axis=0) for values in (dataset.x, dataset.y))
    model = vbnn.build_weight_variation(NETWORK, len(x), seed=0)
    model.compile("adam", loss=vbnn.negative_log_likelihood)

    def ours() -> list[float]:
        methods = (vbnn.Flipout(steps=steps) for steps in (short, short + more))
        (few,), (many,) = (seconds_of(partial(method.fit, dataset, NETWORK, seed=0)) for method in methods)
        return [(many - few) / more]

    def theirs() -> list[float]:
        return [s / epochs for s in seconds_of(partial(model.fit, x, y, epochs=epochs, batch_size=len(x), verbose=0))]

    what = f"the harness on {len(x)} rows, against fit(epochs={epochs:,}) of the same model"
    yield Row(what=what, unit="s/step", **race(ours, theirs), target=5)


# 4. Large inputs


def large_prediction(points: int, draws: int) -> tuple[float, float]:
    """Seconds, and the peak of memory in GiB above what the process had before its first prediction."""
    model = vbnn.build_weight_variation(NETWORK, points, seed=0)
    x = np.linspace(-1, 1, points, dtype=np.float32)[:, None]
    at_rest = memory("VmRSS")
    vbnn.predict(model, x[:POINTS], num_samples=DRAWS)
    (seconds,) = seconds_of(partial(vbnn.predict, model, x, num_samples=draws))
    return seconds, memory("VmHWM") - at_rest


def memory(field: str) -> float:
    """Memory of this process in GiB, as Linux reports it: "VmRSS" now, "VmHWM" at its peak."""
    (size,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(size) / 2**20


def large() -> Iterator[Row]:
    """Whether time is linear in points and draws, and memory is bounded: each size once, in a process of its own."""
    quarter, half = (LARGE_POINTS // 4, LARGE_DRAWS), (LARGE_POINTS // 2, LARGE_DRAWS)
    for points, draws in (quarter, half, (LARGE_POINTS, LARGE_DRAWS // 2), (LARGE_POINTS, LARGE_DRAWS)):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            seconds, gib = process.submit(large_prediction, points, draws).result()
        size, each = f"predict, {draws:,} draws at {points:,} points ({seconds:.0f} s)", seconds / (points * draws)
        if (points, draws) == quarter:
            first, baseline = each, size
        else:
            yield Row(what=f"{size}, against {baseline}", unit="s each", ours=each, theirs=first, target=0.8)
    yield Row(what=f"{size}, peak memory against its limit", unit="GiB", ours=gib, theirs=LARGE_GIB, target=1)


# The table


def machine() -> str:
    """The machine and the versions with which the numbers were measured."""
    versions = f"Python {platform.python_version()}, TensorFlow {tf.__version__}, TFP {tfp.__version__}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {versions}"


def shown(value: float, unit: str) -> str:
    """A number with three digits and a prefix of its unit."""
    power, prefix = next(((p, s) for p, s in ((0, ""), (-3, "m"), (-6, "µ")) if value >= 10.0**p), (-9, "n"))
    return f"{value / 10.0**power:.3g} {prefix}{unit}"


def table(rows: list[Row]) -> Table:
    """All rows."""
    columns = Table(title=machine(), title_justify="left")
    columns.add_column("what")
    for heading in ("ours", "theirs", "ratio", "target", "met"):
        columns.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}"
        values = (shown(row.ours, row.unit), shown(row.theirs, row.unit), f"{row.ratio:.3g}", target, row.met)
        columns.add_row(row.what, *values)
    return columns


def write(rows: list[Row], path: Path) -> None:
    """Write a line for each row, with the machine in each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(field.name for field in dataclasses.fields(Row)), "ratio", "met", "machine"])
        writer.writerows([*dataclasses.astuple(row), row.ratio, row.met, machine()] for row in rows)


@click.command()
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--large", "with_large", is_flag=True, help="Memory and linearity too; this takes minutes.")
def main(out: Path, with_large: bool) -> None:
    """Measure, print a table and write its rows."""
    console, rows = Console(), list[Row]()
    with console.status("predict") as status:
        for part in (prediction, training, harness, *([large] if with_large else [])):
            status.update(part.__name__)
            for row in part():
                rows.append(row)
                console.print(f"{row.what}: {row.ratio:.3g}", highlight=False)
    console.print(table(rows))
    write(rows, out)
    console.print(f"{out}: {len(rows)} rows", highlight=False)


if __name__ == "__main__":
    main()
