"""The lecture's autoencoders on MNIST, pixels binarised at 0.5: `VARIATIONAL_BNN_DATA=DIR python benchmarks/mnist.py`.

DIR holds `mnist.npz`; without the variable it is downloaded. Each model is trained for 15 epochs from each seed. On the
test images are measured:

- the negative ELBO and the importance-weighted bound, in nats per image. "vae, KL twice" is trained on the loss of the
  lecture's printed code, where TFP counts the latents' KL twice; it is measured by the same bounds as the others
- how far the classes are apart in the 2-D code: the vote of the 10 nearest training codes, the silhouette, and how
  often that vote takes a 4 for a 9 or a 9 for a 4
- the predictive sd of reconstructions: that of a pixel over 100 draws
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
import tf_keras
from races import machine
from rich.console import Console
from rich.table import Table

import variational_bnn as vbnn
from variational_bnn.evaluation.separability import confusion, silhouette, vote
from variational_bnn.report.cells import short
from variational_bnn.report.figures.latents import plot_latents

RESULTS = Path(__file__).parent / "results"
EPOCHS, BATCH_SIZE, LEARNING_RATE = 15, 100, 1e-3
CONFUSED = (4, 9)
MODELS: dict[str, Callable[..., tf_keras.Model]] = {
    "ae": vbnn.build_autoencoder,
    "vae": vbnn.build_variational_autoencoder,
    "vae, KL twice": partial(vbnn.build_variational_autoencoder, kl_weight=2.0),
    "flipout-ae": partial(vbnn.build_autoencoder, weights="flipout", decoder_weights="point"),
    "flipout-vae": partial(vbnn.build_variational_autoencoder, weights="flipout"),
}
BETTER = {"nll": -1, "knn_accuracy": 1, "silhouette": 1, "four_nine": -1}
"""Measures of reconstruction and of separation: 1 where larger values are better, -1 where smaller ones are."""

CLAIMS = (("vae", "ae"), ("flipout-ae", "vae"), ("flipout-ae", "ae"))
"""Pairs of models. The lecture says that the first separates better than the second, or works as well as it."""

Codes = npt.NDArray[np.float64]


# Bounds and codes


def measure(name: str, images: vbnn.Images, seed: int) -> tuple[dict[str, Any], Codes]:
    """Train a model and measure it on the test images: its row, and the codes of these images."""
    x = images.x_train
    network = vbnn.AutoencoderNetwork(image_shape=images.image_shape)
    model = MODELS[name](network, len(x), seed=seed)
    model.compile(tf_keras.optimizers.Adam(LEARNING_RATE), loss=vbnn.negative_log_likelihood)
    tf_keras.utils.set_random_seed(seed)  # Keras shuffles by it.
    start = time.perf_counter()
    model.fit(x, x, epochs=EPOCHS, batch_size=BATCH_SIZE, verbose=0)
    seconds = time.perf_counter() - start
    bounds = vbnn.measure_bounds(model, images.x_test, seed=seed)
    codes, train_codes = vbnn.encode(model, images.x_test, seed=seed), vbnn.encode(model, x, seed=seed)
    voted = vote(train_codes, images.y_train, codes)
    has_bound = bool(bounds.kl_latents.any())
    row = {
        "model": name,
        "seed": seed,
        "nll": bounds.nll.mean(),
        "kl_latents": bounds.kl_latents.mean() if has_bound else np.nan,
        "kl_weights": bounds.kl_weights or np.nan,
        "negative_elbo": -bounds.elbo.mean() if has_bound else np.nan,
        "negative_importance_weighted": -bounds.importance_weighted.mean() if has_bound else np.nan,
        "knn_accuracy": (voted == images.y_test).mean(),
        "silhouette": silhouette(codes, images.y_test),
        "four_nine": confusion(images.y_test, voted, CONFUSED),
        "pixel_sd": np.sqrt(vbnn.predict(model, images.x_test, num_samples=100, seed=seed).epistemic_variance.mean()),
        "code_centre": np.abs(codes.mean(axis=0)).max(),
        "code_sd": np.sqrt(codes.var(axis=0).mean()),
        "fit_seconds": seconds,
    }
    return row, codes


def shown(rows: pd.DataFrame) -> Table:
    """A column a model: of each measure the mean over the seeds, the smallest and the largest."""
    models = rows.groupby("model", sort=False)
    about = f"MNIST, {EPOCHS} epochs: mean, smallest and largest of {rows['seed'].nunique()} seeds; {machine()}"
    columns = Table(title=about, title_justify="left", padding=(0, 0), show_lines=True)
    for name in ("", *models.groups):
        columns.add_column(str(name), justify="right", no_wrap=not name)
    for name in [name for name in rows.columns if name not in ("model", "seed")]:
        columns.add_row(name, *(_range(group[name]) for _, group in models))
    return columns


def _range(values: pd.Series[float]) -> str:
    digits = 4 if values.mean() >= 100 else 2
    return "-" if values.isna().any() else "\n".join(short(float(f(values)), digits) for f in (np.mean, np.min, np.max))


def verdicts(rows: pd.DataFrame) -> Iterator[str]:
    """With how many seeds the first of two models is better than the second, by each measure."""
    for (one, other), (name, sign) in itertools.product(CLAIMS, BETTER.items()):
        by_seed = rows.pivot(index="seed", columns="model", values=name)
        better = int((sign * (by_seed[one] - by_seed[other]) > 0).sum())
        yield f"{one} better than {other} by {name}: with {better} of {len(by_seed)} seeds"


@click.command()
@click.option("--seeds", default=3, show_default=True, help="Fits of each model.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def main(seeds: int, out: Path) -> None:
    """Measure, print a table and write its rows."""
    console, images = Console(), vbnn.mnist().binarised()
    out.mkdir(parents=True, exist_ok=True)
    rows, codes = list[dict[str, Any]](), dict[str, Codes]()
    for name in MODELS:
        for seed in range(seeds):
            row, test_codes = measure(name, images, seed)
            rows.append(row)
            codes.setdefault(name, test_codes)
            console.print(", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
            pd.DataFrame(rows).to_csv(out / "mnist.csv", index=False)
    console.print(shown(pd.DataFrame(rows)))
    for line in verdicts(pd.DataFrame(rows)):
        console.print(line)
    scatter = plot_latents({name: codes[name] for name in ("ae", "vae")}, images.y_test, with_prior=["vae"])
    scatter.savefig(out / "mnist_latents.png")


if __name__ == "__main__":
    main()
