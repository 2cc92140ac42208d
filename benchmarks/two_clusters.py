"""Uncertainty between two clusters, after Foong et al. 2020 (arXiv 1909.00719): `python benchmarks/two_clusters.py`.

100 points in the plane, in two clusters. Along the diagonal through both, how much less certain is each method between
the clusters than at them, and how far is it from the posterior of infinitely many hidden units, a Gaussian process?
`VARIATIONAL_BNN_DATA` is a folder that holds `two_clusters/origin_x.txt` and `origin_y.txt`.

The paper's prior is on raw units: weights N(0, sigma_w^2 / fan-in), biases N(0, 1). A `Network` has one prior scale for
both. For ReLUs that is the same prior in other units: with s = sigma_w, and x and y measured in units of 1 / sigma_w,
dividing the weights and biases of hidden layer i by sigma_w^i changes no function and gives the paper's prior, the last
bias's included. Mean-field normals, dropout and Laplace's approximation keep their form under such a change too.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import math
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import variational_bnn as vbnn
from variational_bnn.base import Posterior
from variational_bnn.base.checks import Array
from variational_bnn.evaluation.regions import RegionMap
from variational_bnn.evaluation.scores import rmse
from variational_bnn.methods import METHODS, FitError
from variational_bnn.methods import fitting as _fitting
from variational_bnn.models.losses import stochastic_layers
from variational_bnn.models.mean_field import MeanFieldDense
from variational_bnn.prediction.predict import mean_log_prob
from variational_bnn.report.figures import axes as _axes

OUT = Path(__file__).parent / "results" / "two_clusters.csv"
VARIABLE = "VARIATIONAL_BNN_DATA"
NOISE, WIDTH, BIAS_SCALE = 0.1, 50, 1.0
POSITIONS = np.linspace(-1.2, 1.2, 300)
"""Both coordinates of the queries."""

LIMIT = "infinite width"
COMPARED = ("hmc", "flipout", "local_reparameterization", "dropout", "ensemble", "laplace", "prior")
MEAN_FIELD = ("flipout", "local_reparameterization")
STEPS, MEMBERS, SAMPLES = 100_000, 20, 2_000
MANY_TIMES = 10.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network and its prior, of the paper's.

    Attributes:
        layers: Hidden layers.
        sigma_w: Of the weights' prior.
        draws: Of each chain of hmc; with the warm-up, enough for its gate.
        warmup: Of each chain of hmc.
    """

    layers: int
    sigma_w: float
    draws: int
    warmup: int = 1000


SETTINGS = (
    Setting(layers=1, sigma_w=4.0, draws=3000),
    Setting(layers=2, sigma_w=3.0, draws=3000),
    Setting(layers=1, sigma_w=math.sqrt(2), draws=1000),
    Setting(layers=2, sigma_w=math.sqrt(2), draws=1000),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method in a setting; standard deviations are epistemic, in the units of y, `ratio` is between over at.

    Attributes:
        layers: Hidden layers.
        sigma_w: Of the weights' prior.
        method: Its name, or `LIMIT`.
        at: Root mean square of the sd at the two clusters' middles on the diagonal.
        between: Sd halfway between these.
        lowest: The smallest over the diagonal of sd(limit) / sd(method), the paper's measure; below 1 is too uncertain.
        highest: The largest; above 1 is too certain.
        train_rmse: Of the mean.
        elbo: After `STEPS` steps, in nats.
        elbo_half: After half as many.
        r_hat: Largest over the diagonal.
        ess: Smallest over the diagonal.
        seconds: To fit.
        status: "ok", or why there is no posterior.
    """

    layers: int
    sigma_w: float
    method: str
    at: float = math.nan
    between: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan
    train_rmse: float = math.nan
    elbo: float = math.nan
    elbo_half: float = math.nan
    r_hat: float = math.nan
    ess: float = math.nan
    seconds: float = math.nan
    status: str = "ok"

    @property
    def ratio(self) -> float:
        """How many times less certain it is between the clusters than at them."""
        return self.between / self.at

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the ratio: for hmc what the paper found, for the others its theorems on one hidden layer of ReLUs.

        A mean-field normal's variance at the origin is at most the sum of those at the ends of a line through it, so
        the ratio is at most the root of two. Dropout's variance is convex, so its ratio is at most 1.
        """
        if self.method == "hmc":
            return MANY_TIMES, math.inf
        if self.layers == 1 and self.method in (*MEAN_FIELD, "dropout"):
            return 0.0, 1.0 if self.method == "dropout" else math.sqrt(2)
        return 0.0, math.inf

    @property
    def met(self) -> str:
        """Whether the ratio keeps its bounds, but for the error of as many draws."""
        low, high = self.bounds
        if (low, high) == (0.0, math.inf):
            return ""
        return "yes" if low <= self.ratio <= high * (1 + 3 / math.sqrt(2 * SAMPLES)) else "no"


# The problem


def diagonal() -> Array:
    """The queries `[300, 2]`."""
    return np.column_stack([POSITIONS, POSITIONS])


def read(folder: Path, setting: Setting) -> vbnn.Dataset:
    """The two clusters; held out is the diagonal, with the limit's mean for targets, where hmc is to converge.

    Raises:
        OSError: If the files are not there.
    """
    x, y = (np.loadtxt(folder / "two_clusters" / f"origin_{name}.txt", ndmin=2) for name in "xy")
    y = y.reshape(len(x), 1)
    mean, _ = infinite_width(setting, x, y)
    regions = RegionMap.of(x).label(diagonal())
    return vbnn.Dataset(
        name="two_clusters", x=x, y=y, noise_scale=NOISE, x_test=diagonal(), y_test=mean, test_regions=regions
    )


def network_of(setting: Setting) -> vbnn.Network:
    """The network whose prior is the setting's in units of 1 / sigma_w."""
    return vbnn.Network(
        input_shape=(2,),
        output_size=1,
        hidden_units=(WIDTH,) * setting.layers,
        activation="relu",
        likelihood=vbnn.Normal(scale=NOISE),
        prior_scale=setting.sigma_w,
    )


@contextlib.contextmanager
def units_of(setting: Setting) -> Iterator[None]:
    """Let the methods measure x and y in units of 1 / sigma_w, instead of standardising them."""

    def fixed(values: Array) -> _fitting.Standardiser:
        columns = values.shape[1]
        return _fitting.Standardiser(shift=np.zeros(columns), scale=np.full(columns, 1 / setting.sigma_w))

    with mock.patch.object(_fitting.Standardiser, "of", fixed):
        yield


def infinite_width(setting: Setting, x: Array, y: Array) -> tuple[Array, Array]:
    """Mean `[300, 1]` and sd `[300]` along the diagonal of the posterior with infinitely many hidden units.

    A Gaussian process (Neal 1996; Lee et al. 2018, arXiv 1711.00165).
    """
    query = diagonal()
    root = np.linalg.cholesky(arc_cosine(setting, x, x) + NOISE**2 * np.eye(len(x)))
    across, targets = np.linalg.solve(root, arc_cosine(setting, x, query)), np.linalg.solve(root, y)
    variance = np.diag(arc_cosine(setting, query, query)) - (across**2).sum(axis=0)
    return across.T @ targets, np.sqrt(variance)


def arc_cosine(setting: Setting, a: Array, b: Array) -> Array:
    """The prior's covariance `[N, M]` of functions at inputs `[N, F]` and `[M, F]` (Cho & Saul 2009)."""
    weight, bias = setting.sigma_w**2, BIAS_SCALE**2
    of_a, of_b = (bias + weight * (x**2).mean(axis=1) for x in (a, b))
    covariance: Array = bias + weight * (a @ b.T) / a.shape[1]
    for _ in range(setting.layers):
        size = np.sqrt(np.outer(of_a, of_b))
        cosine = np.clip(covariance / size, -1, 1)
        relu = np.sqrt(1 - cosine**2) + (np.pi - np.arccos(cosine)) * cosine
        covariance = bias + weight * size * relu / (2 * np.pi)
        of_a, of_b = bias + weight * of_a / 2, bias + weight * of_b / 2
    return covariance


# One method


def run(folder: Path, setting: Setting, method: str, steps: int = STEPS) -> tuple[Row, Array]:
    """Fit a method and measure it: its row, and its epistemic sd along the diagonal, NaN if the fit failed."""
    dataset, start = read(folder, setting), time.perf_counter()
    _, limit = infinite_width(setting, dataset.x, dataset.y)
    row = Row(layers=setting.layers, sigma_w=setting.sigma_w, method=method)
    if method == LIMIT:
        return measured(row, dataset, limit, limit), limit
    try:
        with units_of(setting):
            posterior = fit(dataset, setting, method, steps)
    except FitError as error:
        row = dataclasses.replace(row, status=str(error), seconds=time.perf_counter() - start)
        return row, np.full_like(limit, np.nan)
    seconds, samples = time.perf_counter() - start, 4 * setting.draws if method == "hmc" else SAMPLES
    predictive = posterior.predict(diagonal(), num_samples=samples, seed=0)
    fitted = posterior.predict(dataset.x, num_samples=samples, seed=0).mean
    row = dataclasses.replace(row, seconds=seconds, train_rmse=rmse(dataset.y, fitted))
    if (found := posterior.diagnostics) is not None:
        row = dataclasses.replace(row, r_hat=found.r_hat, ess=found.ess)
    if method in MEAN_FIELD:
        with units_of(setting):
            half = fit(dataset, setting, method, steps // 2)
        row = dataclasses.replace(row, elbo=elbo(posterior, dataset), elbo_half=elbo(half, dataset))
    sd = np.sqrt(predictive.epistemic_variance[:, 0])
    return measured(row, dataset, sd, limit), sd


def fit(dataset: vbnn.Dataset, setting: Setting, method: str, steps: int) -> Posterior:
    """The method's posterior, in the units of the context."""
    training = vbnn.Training(steps=steps, members=MEMBERS, warmup=setting.warmup, draws=setting.draws)
    return METHODS[method](dataset, network_of(setting), training, 0)


def measured(row: Row, dataset: vbnn.Dataset, sd: Array, limit: Array) -> Row:
    """The row with what the sd `[300]` along the diagonal says."""
    variance, relative = sd**2, limit / sd
    along = positions_of(dataset)
    ends = [int(np.abs(POSITIONS - cluster.mean()).argmin()) for cluster in (along[along < 0], along[along > 0])]
    middle = [len(POSITIONS) // 2 - 1, len(POSITIONS) // 2]  # The origin is halfway between these two.
    at, between = (float(np.sqrt(variance[places].mean())) for places in (ends, middle))
    return dataclasses.replace(row, at=at, between=between, lowest=float(relative.min()), highest=float(relative.max()))


def positions_of(dataset: vbnn.Dataset) -> Array:
    """The inputs `[N]`, projected on the diagonal."""
    return np.asarray(dataset.x.mean(axis=1))


def elbo(posterior: Posterior, dataset: vbnn.Dataset) -> float:
    """The evidence lower bound of a mean-field posterior, in nats, of y in its own units."""
    assert isinstance(posterior, _fitting.FittedPosterior)
    x, y = posterior.x_units(dataset.x), posterior.y_units(dataset.y)
    densities = mean_log_prob(posterior.model, x, y, num_samples=SAMPLES, seed=0)
    layers = [layer for layer in stochastic_layers(posterior.model) if isinstance(layer, MeanFieldDense)]
    divergence = sum(float(layer.weights_kl()) for layer in layers)
    return float(densities.sum() - len(y) * np.log(posterior.y_units.scale).sum() - divergence)


# Rows, curves and the figure


def table(rows: Sequence[Row]) -> Table:
    """What is read first."""
    found = Table(box=None)
    for heading in ("layers", "sigma_w", "method", "at", "between", "ratio", "wanted", "met", "limit / method"):
        found.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=heading != "method")
    for row in rows:  # What failed has NaN for its numbers, and why in the file.
        low, high = row.bounds
        wanted = f">= {low:.3g}" if low else f"<= {high:.3g}" if high < math.inf else ""
        numbers = (
            [row.status] * 3 if row.status != "ok" else [f"{value:.2g}" for value in (row.at, row.between, row.ratio)]
        )
        relative = f"{row.lowest:.2g}..{row.highest:.2g}"
        found.add_row(str(row.layers), f"{row.sigma_w:.3g}", row.method, *numbers, wanted, row.met, relative)
    return found


def write(rows: Sequence[Row], path: Path) -> None:
    """A line for each row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(field.name for field in dataclasses.fields(Row)), "ratio", "met"])
        writer.writerows([*dataclasses.astuple(row), row.ratio, row.met] for row in rows)


Curves = dict[tuple[int, float], dict[str, Array]]


def draw(curves: Curves, along: Array) -> Figure:
    """Epistemic sd along the diagonal: a panel for each setting, a line for each method; `along` is where data are."""
    height = math.ceil(len(curves) / 2)
    figure = Figure(figsize=(13, 4.6 * height + 0.8), layout="constrained")
    panels = figure.subplots(height, min(2, len(curves)), squeeze=False)
    looks = _axes.styles(method for method in COMPARED if method not in ("hmc", "prior"))
    for ax in panels.flat[len(curves) :]:
        ax.set_axis_off()
    for ax, ((layers, sigma_w), lines) in zip(panels.flat, curves.items(), strict=False):
        draw_panel(ax, lines, looks)
        inside = along[np.abs(along) <= POSITIONS[-1]]
        ax.plot(inside, [0.02] * len(inside), "|", color="black", markersize=11, transform=ax.get_xaxis_transform())
        title = f"{layers} hidden layer{'s' if layers > 1 else ''}, $\\sigma_w$ = {sigma_w:.3g}"
        ax.set_title(title, loc="left", fontsize=_axes.TITLE)
        ax.set_xlabel("both coordinates; ticks: the data's projections", fontsize=_axes.TEXT)
        ax.set_ylabel("epistemic sd of y", fontsize=_axes.TEXT)
    handles = [line for line in panels[0, 0].get_lines() if not str(line.get_label()).startswith("_")]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=_axes.TEXT)
    return figure


def draw_panel(ax: Axes, lines: dict[str, Array], looks: dict[str, _axes.Style]) -> None:
    """The methods of one setting."""
    sure = np.concatenate([sd for sd in lines.values() if np.isfinite(sd).all()])
    _axes.log_scale(ax, "y", sure.min() / 1.8, sure.max() * 1.3)
    _axes.plain(ax)
    for method, sd in lines.items():
        if method in looks:
            ax.plot(POSITIONS, sd, color=looks[method].colour, linewidth=2, label=method)
        else:
            line = {"hmc": "-", "prior": ":"}.get(method, "--")
            colour, width = ("black", 3) if method == "hmc" else (_axes.GREY, 2)
            ax.plot(POSITIONS, sd, line, color=colour, linewidth=width, label=method)


class Refused(click.ClickException):
    """One line on standard error, and exit status 2."""

    exit_code = 2


@click.command()
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--settings", default=4, show_default=True, type=click.IntRange(1, 4), help="Only the first so many.")
def main(out: Path, workers: int, settings: int) -> None:
    """Measure, print a table, and write its rows, the curves and the figure."""
    folder = os.environ.get(VARIABLE)
    if not folder or not (Path(folder) / "two_clusters" / "origin_x.txt").is_file():
        raise Refused(f"{VARIABLE} must be set to a folder that holds two_clusters/origin_x.txt")
    console, asked = Console(), SETTINGS[:settings]
    cells = sorted(itertools.product(asked, (*COMPARED, LIMIT)), key=lambda cell: (cell[1] != "hmc", -cell[0].layers))
    found: dict[tuple[int, float, str], tuple[Row, Array]] = {}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(run, Path(folder), *cell) for cell in cells]
        for number, future in enumerate(as_completed(waiting), 1):
            row, sd = future.result()
            found[row.layers, row.sigma_w, row.method] = row, sd
            which = f"{row.layers} hidden, sigma_w {row.sigma_w:.3g}, {row.method}"
            console.print(f"{number}/{len(cells)} {which}: {row.status}, ratio {row.ratio:.3g}", highlight=False)
    names = [(setting, method) for setting in asked for method in (LIMIT, *COMPARED)]
    rows = [found[setting.layers, setting.sigma_w, method][0] for setting, method in names]
    curves: Curves = {
        (s.layers, s.sigma_w): {method: found[s.layers, s.sigma_w, method][1] for method in (LIMIT, *COMPARED)}
        for s in asked
    }
    console.print(table(rows))
    out.parent.mkdir(parents=True, exist_ok=True)
    write(rows, out)
    figure = draw(curves, positions_of(read(Path(folder), asked[0])))
    figure.savefig(out.with_suffix(".png"), dpi=120)
    console.print(f"{out}: {len(rows)} rows; {out.with_suffix('.png')}", highlight=False)


if __name__ == "__main__":
    main()
