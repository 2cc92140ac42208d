"""Where the exact posterior is known: `python benchmarks/linear_gaussian.py`.

A linear network with known noise, whose exact posterior is normal, in closed form (`LinearRegression`). Each method is
fitted to the same 40 rows with three correlated features, with several seeds, and its function samples are compared
with the exact posterior at 400 points: the ratio of the sds, and the error of the mean in exact sds.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
import pandas as pd
from rich.console import Console

import variational_bnn as vbnn

OUT = Path(__file__).parent / "results" / "linear_gaussian.csv"
ROWS, NOISE, POINTS, SAMPLES = 40, 5.0, 400, 2000
METHODS: dict[str, vbnn.Method] = {
    "flipout": vbnn.Flipout(),
    "matrix_gaussian": vbnn.MatrixGaussian(),
    "full_covariance": vbnn.FullCovariance(),
    "alpha, alpha = 0.001": vbnn.AlphaDivergence(alpha=0.001),
    "alpha, alpha = 0.5": vbnn.AlphaDivergence(),
    "alpha, alpha = 1": vbnn.AlphaDivergence(alpha=1.0),
    "pbp, 1 pass": vbnn.ProbabilisticBackpropagation(passes=1),
    "pbp, 40 passes": vbnn.ProbabilisticBackpropagation(),
    "hypernet, 5 draws a step": vbnn.Hypernet(num_draws=5),
    "hypernet, 20 draws a step": vbnn.Hypernet(),
    "hypernet, 200 draws a step": vbnn.Hypernet(num_draws=200),
    "swag": vbnn.SWAG(),
    "laplace": vbnn.Laplace(),
    "sgld": vbnn.SGLD(),
    "hmc": vbnn.HMC(),
}


def problem() -> tuple[vbnn.Dataset, vbnn.Network]:
    """The rows, and the network without hidden units."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(ROWS, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.7]])
    y = 3 * x[:, :1] - 2 * x[:, 1:2] + 4 + NOISE * rng.normal(size=(ROWS, 1))
    likelihood = vbnn.Normal(scale=NOISE)
    network = vbnn.Network(input_shape=(3,), output_size=1, hidden_units=(), likelihood=likelihood)
    return vbnn.Dataset(name="line", x=x, y=y), network


def measured(name: str, seed: int) -> dict[str, float | str | int]:
    """A method's posterior beside the exact one."""
    dataset, network = problem()
    exact = vbnn.LinearRegression().fit(dataset, network, 0)
    points = np.random.default_rng(2).normal(size=(POINTS, 3)) * 2
    predictive = exact.predict(points, num_samples=1, seed=0)
    functions = METHODS[name].fit(dataset, network, seed).sample_functions(points, num_samples=SAMPLES, seed=seed)
    sd = np.sqrt(predictive.epistemic_variance)
    ratio = functions.std(axis=0) / sd
    error = np.abs(functions.mean(axis=0) - predictive.mean) / sd
    values = {"sd_ratio": np.median(ratio), "smallest": ratio.min(), "largest": ratio.max(), "mean_error": error.mean()}
    return {"method": name, "seed": seed, **{column: float(value) for column, value in values.items()}}


@click.command()
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
def main(seeds: int, out: Path) -> None:
    """Measure, write the rows, and print their means over the seeds."""
    table = pd.DataFrame([measured(name, seed) for name in METHODS for seed in range(seeds)])
    table.to_csv(out, index=False, float_format="%.4g")
    means = table.groupby("method", sort=False)[["sd_ratio", "smallest", "largest", "mean_error"]].mean()
    Console().print(means.to_string(float_format=lambda value: f"{value:.2g}"), highlight=False)


if __name__ == "__main__":
    main()
