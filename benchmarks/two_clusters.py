"""Uncertainty between two clusters, after Foong et al. 2020 (arXiv 1909.00719): `python benchmarks/two_clusters.py`.

100 points in the plane lie in two clusters. Along the diagonal through both, how much less certain is each kind of
variation, and each other method, between the clusters than at them, and how far is it from the posterior of infinitely
many hidden units, a Gaussian process? `VARIATIONAL_BNN_DATA` is a folder that holds `two_clusters/origin_x.txt` and
`origin_y.txt`.

The paper's prior is on raw units: weights N(0, sigma_w^2 / fan-in), biases N(0, 1). A `Network` has one prior scale for
both. For ReLUs that is the same prior in other units: with s = sigma_w, and x and y measured in units of 1 / sigma_w,
dividing the weights and biases of hidden layer i by sigma_w^i changes no function and gives the paper's prior, the last
bias's included. Mean-field normals, dropout and Laplace's approximation keep their form under such a change too. So
the dataset holds x and y times sigma_w, its noise is sigma_w times the paper's, methods take it as it is
(`standardise=False`), and standard deviations are divided by sigma_w before they are reported.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from clusters import NOISE, POSITIONS, Setting, diagonal, read_clusters
from rich.console import Console
from rich.table import Table
from two_clusters_figure import plot_curves

import variational_bnn as vbnn
from variational_bnn.base.checks import Array
from variational_bnn.evaluation.regions import RegionMap
from variational_bnn.evaluation.scores import rmse
from variational_bnn.methods.problem import ModelPosterior

OUT = Path(__file__).parent / "results" / "two_clusters.csv"
VARIABLE = "VARIATIONAL_BNN_DATA"
WIDTH = 50
LIMIT = "infinite width"
COMPARED = (
    "hmc",
    "output",
    "flipout",
    "local_reparameterization",
    "hidden",
    "hidden_shared",
    "hidden_conditional",
    "dropout",
    "ensemble",
    "laplace",
    "prior",
)
MEAN_FIELD = ("flipout", "local_reparameterization")
STEPS, MEMBERS, SAMPLES = 100_000, 20, 2_000
MANY_TIMES = 10.0

SETTINGS = (
    Setting(layers=1, sigma_w=4.0, draws=3000),
    Setting(layers=2, sigma_w=3.0, draws=3000),
    Setting(layers=1, sigma_w=math.sqrt(2), draws=1000),
    Setting(layers=2, sigma_w=math.sqrt(2), draws=1000),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method in a setting; standard deviations are those over draws of the mean of y, in the paper's units of y.

    They are epistemic, but for the latents of `hidden` and `hidden_conditional`, which are noise of the row.

    Attributes:
        layers: Hidden layers.
        sigma_w: The prior of a weight is N(0, sigma_w^2 / fan-in).
        method: Its name, or `LIMIT`.
        at: Root mean square of the sd at the two clusters' middles on the diagonal.
        between: Sd halfway between these.
        lowest: The smallest over the diagonal of sd(limit) / sd(method), the paper's measure; below 1 the method is too
            uncertain.
        highest: The largest over the diagonal of sd(limit) / sd(method); above 1 the method is too certain.
        latent_share: Share of the latent variance in the variance over draws, over the diagonal.
        train_rmse: Root mean squared error of the mean, over the training rows.
        elbo: Evidence lower bound after `STEPS` steps, in nats.
        elbo_half: Evidence lower bound after half as many steps, in nats.
        r_hat: Largest R-hat over the diagonal.
        ess: Smallest bulk effective sample size over the diagonal.
        seconds: Of the fit.
        status: "ok", or why there is no posterior.
    """

    layers: int
    sigma_w: float
    method: str
    at: float = math.nan
    between: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan
    latent_share: float = math.nan
    train_rmse: float = math.nan
    elbo: float = math.nan
    elbo_half: float = math.nan
    r_hat: float = math.nan
    ess: float = math.nan
    seconds: float = math.nan
    status: str = "ok"

    @property
    def ratio(self) -> float:
        """How many times less certain the method is between the clusters than at them."""
        return self.between / self.at if self.at else math.nan

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the ratio: for hmc what the paper saw, for the others its theorems on one hidden layer of ReLUs.

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
        """Whether the ratio is within its bounds, up to three standard errors of so many function samples."""
        low, high = self.bounds
        if (low, high) == (0.0, math.inf):
            return ""
        return "yes" if low <= self.ratio <= high * (1 + 3 / math.sqrt(2 * SAMPLES)) else "no"


# One method in one setting


def dataset_of(folder: Path, setting: Setting) -> vbnn.Dataset:
    """The two clusters in units of 1 / sigma_w.

    Held out is the diagonal, with the limit's mean for targets: there hmc is to converge.

    Raises:
        OSError: If the files are not there.
    """
    x, y = read_clusters(folder)
    mean, _ = infinite_width(setting, x, y)
    return vbnn.Dataset(
        name="two_clusters",
        x=setting.sigma_w * x,
        y=setting.sigma_w * y,
        noise_scale=setting.sigma_w * NOISE,
        x_test=setting.sigma_w * diagonal(),
        y_test=setting.sigma_w * mean,
        test_regions=RegionMap.of(x).label(diagonal()),
    )


def network_of(setting: Setting) -> vbnn.Network:
    """The network whose prior is the setting's in units of 1 / sigma_w."""
    return vbnn.Network(
        input_shape=(2,),
        output_size=1,
        hidden_units=(WIDTH,) * setting.layers,
        activation="relu",
        likelihood=vbnn.Normal(scale=setting.sigma_w * NOISE),
        prior_scale=setting.sigma_w,
    )


def infinite_width(setting: Setting, x: Array, y: Array) -> tuple[Array, Array]:
    """Mean `[300, 1]` and sd `[300]` along the diagonal of the posterior with infinitely many hidden units."""
    scale = setting.sigma_w
    clusters = vbnn.Dataset(name="two_clusters", x=scale * x, y=scale * y)
    limit = vbnn.GaussianProcess(standardise=False).fit(clusters, network_of(setting), seed=0)
    predictive = limit.predict(scale * diagonal(), num_samples=1, seed=0)
    return predictive.mean / scale, np.sqrt(predictive.epistemic_variance[:, 0]) / scale


def method_of(name: str, setting: Setting, steps: int = STEPS) -> vbnn.Method:
    """The method of that name, which takes the data as they are."""
    training: dict[str, Any] = {"steps": steps, "standardise": False}
    methods: dict[str, vbnn.Method] = {
        "hmc": vbnn.HMC(warmup=setting.warmup, draws=setting.draws, standardise=False),
        "output": vbnn.OutputVariation(**training),
        "flipout": vbnn.Flipout(**training),
        "local_reparameterization": vbnn.LocalReparameterization(**training),
        "hidden": vbnn.HiddenVariation(**training),
        "hidden_shared": vbnn.SharedHiddenVariation(**training),
        "hidden_conditional": vbnn.ConditionalHiddenVariation(**training),
        "dropout": vbnn.Dropout(**training),
        "ensemble": vbnn.Ensemble(members=MEMBERS, **training),
        "laplace": vbnn.Laplace(**training),
        "prior": vbnn.Prior(standardise=False),
    }
    return methods[name]


def run(folder: Path, setting: Setting, name: str, steps: int = STEPS) -> tuple[Row, Array]:
    """Fit a method and measure it: its row, and its sd over draws `[300]` along the diagonal, NaN if the fit failed."""
    x, y = read_clusters(folder)
    _, limit = infinite_width(setting, x, y)
    row = Row(layers=setting.layers, sigma_w=setting.sigma_w, method=name)
    if name == LIMIT:
        return measured(row, x, limit, limit), limit
    dataset, network, start = dataset_of(folder, setting), network_of(setting), time.perf_counter()
    try:
        posterior = method_of(name, setting, steps).fit(dataset, network, seed=0)
    except vbnn.FitError as error:
        row = dataclasses.replace(row, status=str(error), seconds=time.perf_counter() - start)
        return row, np.full_like(limit, np.nan)
    seconds, samples = time.perf_counter() - start, 4 * setting.draws if name == "hmc" else SAMPLES
    predictive = posterior.predict(setting.sigma_w * diagonal(), num_samples=samples, seed=0)
    fitted = posterior.predict(dataset.x, num_samples=samples, seed=0).mean / setting.sigma_w
    row = dataclasses.replace(row, seconds=seconds, train_rmse=rmse(y, fitted))
    if (diagnostics := posterior.diagnostics) is not None:
        row = dataclasses.replace(row, r_hat=diagnostics.r_hat, ess=diagnostics.ess)
    if name in MEAN_FIELD:
        half = method_of(name, setting, steps // 2).fit(dataset, network, seed=0)
        bounds = [elbo(fit, dataset, setting) for fit in (posterior, half)]
        row = dataclasses.replace(row, elbo=bounds[0], elbo_half=bounds[1])
    sd, total = np.sqrt(predictive.variance_over_draws[:, 0]) / setting.sigma_w, predictive.variance_over_draws.sum()
    row = dataclasses.replace(row, latent_share=float(predictive.latent_variance.sum() / total) if total else 0.0)
    return measured(row, x, sd, limit), sd


def measured(row: Row, x: Array, sd: Array, limit: Array) -> Row:
    """The row with what the sd `[300]` along the diagonal says."""
    variance, along = sd**2, projected(x)
    relative = np.divide(limit, sd, out=np.full_like(limit, math.inf), where=sd != 0)
    ends = [int(np.abs(POSITIONS - cluster.mean()).argmin()) for cluster in (along[along < 0], along[along > 0])]
    middle = [len(POSITIONS) // 2 - 1, len(POSITIONS) // 2]  # The origin is halfway between these two.
    at, between = (float(np.sqrt(variance[places].mean())) for places in (ends, middle))
    return dataclasses.replace(row, at=at, between=between, lowest=float(relative.min()), highest=float(relative.max()))


def projected(x: Array) -> Array:
    """The inputs `[N, 2]`, projected on the diagonal: `[N]`."""
    return np.asarray(x.mean(axis=1))


def elbo(posterior: vbnn.Posterior, dataset: vbnn.Dataset, setting: Setting) -> float:
    """The evidence lower bound of a mean-field posterior, in nats, of y in the paper's units."""
    assert isinstance(posterior, ModelPosterior)
    audit = vbnn.audit_elbo(posterior.model, dataset.x, dataset.y, num_samples=SAMPLES, seed=0)
    return len(dataset.y) * (audit.elbo + math.log(setting.sigma_w))


# All methods and settings


def table(rows: Sequence[Row]) -> Table:
    """The columns that are read first."""
    shown = Table(box=None)
    for heading in (
        "layers",
        "sigma_w",
        "method",
        "at",
        "between",
        "latent",
        "ratio",
        "bound",
        "met",
        "limit / method",
    ):
        shown.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=heading != "method")
    for row in rows:
        low, high = row.bounds
        bound = f">= {low:.3g}" if low else f"<= {high:.3g}" if high < math.inf else ""
        if row.status == "ok":
            latent = "" if math.isnan(row.latent_share) else f"{row.latent_share:.0%}"
            numbers = [f"{row.at:.2g}", f"{row.between:.2g}", latent, f"{row.ratio:.2g}"]
        else:
            numbers = ["failed"] * 4  # The file says why.
        relative = f"{row.lowest:.2g}..{row.highest:.2g}"
        shown.add_row(str(row.layers), f"{row.sigma_w:.3g}", row.method, *numbers, bound, row.met, relative)
    return shown


def write(rows: Sequence[Row], path: Path) -> None:
    """Write a line for each row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(field.name for field in dataclasses.fields(Row)), "ratio", "met"])
        writer.writerows([*dataclasses.astuple(row), row.ratio, row.met] for row in rows)


class DataMissingError(click.ClickException):
    """Shown as one line on standard error, with exit status 2."""

    exit_code = 2


@click.command()
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--settings", "count", default=4, show_default=True, type=click.IntRange(1, 4), help="The first so many.")
@click.option("--steps", default=STEPS, show_default=True, type=click.IntRange(2), help="Gradient steps of a fit.")
@click.option(
    "--methods", multiple=True, type=click.Choice(COMPARED), default=COMPARED, help="Once each; all by default."
)
def main(out: Path, workers: int, count: int, steps: int, methods: tuple[str, ...]) -> None:
    """Measure, print a table, and write its rows and the figure."""
    folder = os.environ.get(VARIABLE)
    if not folder or not (Path(folder) / "two_clusters" / "origin_x.txt").is_file():
        raise DataMissingError(f"{VARIABLE} must be a folder that holds two_clusters/origin_x.txt, got {folder!r}")
    console, settings, names = Console(), SETTINGS[:count], (LIMIT, *methods)
    runs = sorted(itertools.product(settings, names), key=lambda pair: (pair[1] != "hmc", -pair[0].layers))
    results: dict[tuple[Setting, str], tuple[Row, Array]] = {}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending = {pool.submit(run, Path(folder), *pair, steps): pair for pair in runs}
        for number, future in enumerate(as_completed(pending), 1):
            row, _ = results[pending[future]] = future.result()
            which = f"{row.layers} hidden, sigma_w {row.sigma_w:.3g}, {row.method}"
            console.print(f"{number}/{len(runs)} {which}: {row.status}, ratio {row.ratio:.3g}", highlight=False)
    rows = [results[setting, name][0] for setting in settings for name in names]
    curves = {(s.layers, s.sigma_w): {name: results[s, name][1] for name in names} for s in settings}
    console.print(table(rows))
    out.parent.mkdir(parents=True, exist_ok=True)
    write(rows, out)
    x, _ = read_clusters(Path(folder))
    plot_curves(curves, projected(x)).savefig(out.with_suffix(".png"), dpi=120)
    console.print(f"{out}: {len(rows)} rows; {out.with_suffix('.png')}", highlight=False)


if __name__ == "__main__":
    main()
