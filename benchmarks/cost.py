"""What time and memory grow with: `python benchmarks/cost.py`, and `--quick` for small sizes, to see that it runs.

One size of a network, a dataset or a prediction grows at a time, the others stay at 1-50-50-2, 10,000 rows, batches of
128, and 200 draws at 400 points. Each point is measured in a process of its own:

- the seconds of an epoch of `fit` (`fit_together` where seeds grow) after compilation, and of a call of `predict`; all
  training is compiled by XLA, as that of long fits is, so that every point of a curve is the same kind of program
- how many seconds all calls together took beyond that: they trace and compile
- the peak of memory above what the process had before the first call

An exponent is the slope of log seconds, or log memory, against log size, by least squares over the upper decade of
sizes, with its 95 % interval. Below that the costs that do not grow prevail.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import matplotlib as mpl
import numpy as np
import pandas as pd
import tf_keras
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from races import machine
from rich.console import Console
from rich.table import Table
from scipy import stats

import variational_bnn as vbnn
from variational_bnn.base.progress import watching

RESULTS = Path(__file__).parent / "results"
BATCH_SIZE = 128
SECONDS, MOST_CALLS = 2.0, 200
"""How long a point is measured, about, and how many calls or epochs that is at most."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done at one point; every size but one is as here."""

    what: str
    width: int = 50
    depth: int = 2
    rows: int = 10_000
    points: int = 400
    draws: int = 200
    features: int = 1
    seeds: int = 1


CURVES: dict[tuple[str, str], tuple[int, ...]] = {
    ("fit", "width"): (16, 32, 64, 128, 256, 512, 768, 1024),
    ("fit", "depth"): (1, 2, 4, 8, 12, 16),
    ("fit", "rows"): (1_000, 3_000, 10_000, 20_000, 30_000, 50_000, 100_000),
    ("fit", "features"): (1, 10, 30, 100, 200, 300, 500, 1_000),
    ("predict", "width"): (16, 32, 64, 128, 256, 512, 768, 1024),
    ("predict", "depth"): (1, 2, 4, 8, 12, 16),
    ("predict", "points"): (100, 1_000, 3_000, 10_000, 20_000, 50_000, 100_000),
    ("predict", "draws"): (10, 100, 300, 1_000, 2_000, 5_000, 10_000),
    ("predict", "features"): (1, 10, 30, 100, 200, 300, 500, 1_000),
    ("fit", "seeds"): (2, 3, 5, 10, 20),
}
COLORS = {"fit": "C0", "predict": "C1"}
QUICK_SIZES = 2
"""Of each curve with `--quick`: the smallest ones."""


# One point


def measured(work: Work) -> dict[str, float]:
    """Seconds and the peak of memory of the work, in this process."""
    call = fitting(work) if work.what == "fit" else predicting(work)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # The peak is from here on.
    at_rest = memory("VmRSS")
    start = time.perf_counter()
    few = 4
    calls = int(np.clip(SECONDS / call(few), few, MOST_CALLS))
    each = call(calls)
    beyond = time.perf_counter() - start - each * (few + calls)
    return {"seconds": each, "compiling": max(beyond, 0.0), "mib": memory("VmHWM") - at_rest}


def fitting(work: Work) -> Callable[[int], float]:
    """Train for as many epochs; it returns the seconds of one, of the last three quarters of them.

    All shapes that are compiled for are those of the first epoch.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (work.rows, work.features)).astype(np.float32)
    y = np.sin(3 * x[:, :1]) + 0.1 * rng.normal(size=(work.rows, 1)).astype(np.float32)
    models = [model(work, seed) for seed in range(work.seeds)]

    def epochs(number: int) -> float:
        reached = [(0.0, time.perf_counter())]  # The share of the epochs that is done, and when.

        def note(share: float, _: str = "") -> None:
            reached.append((share, time.perf_counter()))

        if work.seeds == 1:
            end = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: note((epoch + 1) / number))
            models[0].fit(x, y, epochs=number, batch_size=BATCH_SIZE, callbacks=[end], verbose=0)
        else:
            with watching(note):
                vbnn.fit_together(models, x, y, epochs=number, batch_size=BATCH_SIZE)
        share, start = next(mark for mark in reached if mark[0] >= 1 / 4)
        return (reached[-1][1] - start) / ((1 - share) * number)

    return epochs


def predicting(work: Work) -> Callable[[int], float]:
    """Predict as often; it returns the median seconds of a call."""
    x = np.random.default_rng(0).uniform(-1, 1, (work.points, work.features)).astype(np.float32)
    trained = model(work, 0)

    def calls(number: int) -> float:
        ends = [time.perf_counter()]
        for _ in range(number):
            vbnn.predict(trained, x, num_samples=work.draws)
            ends.append(time.perf_counter())
        return float(np.median(np.diff(ends)))

    return calls


def model(work: Work, seed: int) -> tf_keras.Model:
    """A compiled model of the work's network."""
    network = vbnn.Network(
        input_shape=(work.features,),
        output_size=1,
        hidden_units=(work.width,) * work.depth,
        activation="relu",
        likelihood=vbnn.Normal(),
    )
    made = vbnn.build_weight_variation(network, work.rows, seed=seed)
    made.compile("adam", loss=vbnn.negative_log_likelihood, jit_compile=True)
    return made


def memory(field: str) -> float:
    """Memory of this process in MiB, as Linux reports it: "VmRSS" now, "VmHWM" at its peak."""
    (size,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(size) / 2**10


# All points


def points(quick: bool) -> Iterator[tuple[str, Work]]:
    """What grows, and the work at each of its sizes."""
    for (what, grows), sizes in CURVES.items():
        for size in sizes[:QUICK_SIZES] if quick else sizes:
            sizes_of: dict[str, Any] = {grows: size}
            yield grows, Work(what=what, **sizes_of)


def exponent(sizes: Any, values: Any) -> tuple[float, float]:
    """Slope of the logarithms over the upper decade, and half the width of its 95 % interval."""
    upper = (np.asarray(sizes) >= max(sizes) / 10) & (np.asarray(values) > 0)
    if upper.sum() < 3:
        return math.nan, math.nan
    line = stats.linregress(np.log(np.asarray(sizes)[upper]), np.log(np.asarray(values)[upper]))
    return float(line.slope), float(stats.t.ppf(0.975, upper.sum() - 2) * line.stderr)


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each curve: from the least to the most, and the exponents."""
    curves = []
    for (what, grows), curve in rows.groupby(["what", "grows"], sort=False):
        row: dict[str, Any] = {"what": what, "grows": grows}
        row["sizes"] = f"{curve['size'].min():,} to {curve['size'].max():,}"
        for measure, unit, factor in (("seconds", "ms", 1e3), ("mib", "MiB", 1.0)):
            slope, half = exponent(curve["size"], curve[measure])
            ends = curve.sort_values("size")[measure].iloc[[0, -1]] * factor
            row[unit] = " to ".join(f"{float(f'{value:.3g}'):,g}" for value in ends)
            row[f"exponent of {unit}"] = "" if math.isnan(slope) else f"{slope:.2f} ± {half:.2f}"
        curves.append(row)
    return pd.DataFrame(curves)


def figure(rows: pd.DataFrame) -> Figure:
    """Time above and memory below, a column for each size that grows; both axes are logarithmic."""
    order = ["width", "depth", "features", "seeds", "rows", "points", "draws"]
    labels = {
        "rows": "training rows",
        "points": "points of predict",
        "width": "units a layer",
        "depth": "hidden layers",
    }
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        drawn = Figure(figsize=(14, 5), layout="constrained")
        axes = drawn.subplots(2, len(order), sharex="col", sharey="row")
        for column, grows in enumerate(order):
            for row, measure in enumerate(("seconds", "mib")):
                plot(axes[row][column], rows[rows["grows"] == grows], measure)
            axes[1][column].set_xlabel(labels.get(grows, grows))
        axes[0][0].set_ylabel("seconds")
        axes[1][0].set_ylabel("peak memory, MiB")
        lines = [Line2D([], [], color=color, marker="o", markersize=3.5, label=what) for what, color in COLORS.items()]
        axes[1][0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 4)))
        axes[1][0].yaxis.set_major_formatter(FuncFormatter(lambda mib, _: f"{mib:,.0f}"))
        axes[1][0].yaxis.set_minor_formatter(NullFormatter())
        drawn.legend(handles=lines, frameon=False, loc="outside upper right", ncols=2)
        drawn.suptitle(
            "An epoch of fit and a call of predict; dashed, and as numbers: the exponents of the upper decade"
        )
    return drawn


def plot(axes: Axes, rows: pd.DataFrame, measure: str) -> None:
    """The curves of `fit` and `predict`, and their slopes."""
    for height, (what, color) in zip((0.89, 0.8), COLORS.items(), strict=True):
        curve = rows[rows["what"] == what].sort_values("size")
        if curve.empty:
            continue
        sizes, values = curve["size"].to_numpy(np.float64), curve[measure].to_numpy(np.float64)
        axes.loglog(sizes, values, "o-", color=color, markersize=3.5)
        slope, _ = exponent(sizes, values)
        upper = sizes >= sizes.max() / 10
        if not math.isnan(slope):
            middle = np.exp(np.log(values[upper]).mean() + slope * (np.log(sizes[upper]) - np.log(sizes[upper]).mean()))
            axes.loglog(sizes[upper], middle, "--", color=color, linewidth=1, alpha=0.7)
            axes.text(0.04, height, f"{slope:.2f}", transform=axes.transAxes, color=color)
        middle_size = sizes[np.abs(np.log(sizes / np.sqrt(sizes[0] * sizes[-1]))).argmin()]
        axes.set_xticks([sizes[0], middle_size, sizes[-1]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


@click.command()
@click.option("--quick", is_flag=True, help="The smallest sizes of each curve only.")
@click.option("--only", multiple=True, type=click.Choice(sorted({grows for _, grows in CURVES})), help="What grows.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def main(quick: bool, only: tuple[str, ...], out: Path) -> None:
    """Measure, and write rows and a figure. Curves that are not measured stay as they are."""
    console, path = Console(), out / "cost.csv"
    out.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(path) if only and path.exists() else pd.DataFrame(columns=["what", "grows", "size"])
    rows = rows[~rows["grows"].isin(only)]
    for grows, work in points(quick):
        if only and grows not in only:
            continue
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            numbers = process.submit(measured, work).result()
        size = asdict(work)[grows]
        row = {"what": work.what, "grows": grows, "size": size, **numbers, "machine": machine()}
        rows = pd.DataFrame([*rows.to_dict("records"), row])
        rows.to_csv(path, index=False)
        told = ", ".join(f"{value:.3g} {name}" for name, value in numbers.items())
        console.print(f"{work.what}, {grows} {size:,}: {told}", highlight=False)
    figure(rows).savefig(out / "cost.png", dpi=110)
    summary = exponents(rows)
    shown = Table(*summary.columns, title=machine(), title_justify="left")
    for values in summary.itertuples(index=False):
        shown.add_row(*map(str, values))
    console.print(shown)


if __name__ == "__main__":
    main()
