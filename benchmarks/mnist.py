"""The lecture's autoencoders on MNIST, pixels binarised at 0.5: `VARIATIONAL_BNN_DATA=DIR python benchmarks/mnist.py`.

DIR holds `mnist.npz`; without the variable it is downloaded. Each model is trained for 15 epochs from each seed. On the
test images are measured:

- the negative ELBO and the importance-weighted bound, in nats per image. "vae, KL twice" is trained on the loss of the
  lecture's printed code, where TFP counts the latents' KL twice; it is measured by the same bounds as the others
- how far the classes are apart in the 2-D code: the vote of the 10 nearest training codes, the silhouette, and how
  often that vote takes a 4 for a 9 or a 9 for a 4
- the predictive sd of reconstructions: that of a pixel over 100 draws

`--speed` measures instead how long an epoch of `fit` takes, beside the same VAE as the lecture prints it.
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
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from rich.console import Console
from rich.table import Table
from speed import Row, machine, race, seconds_of, table, write
from tensorflow_probability import distributions as tfd

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


# Speed


def as_printed(image_shape: tuple[int, int]) -> tf_keras.Model:
    """The lecture's VAE as it prints it, of tfp's layers."""
    shape, size = (*image_shape, 1), 2
    prior = tfd.Independent(tfd.Normal(loc=tf.zeros(size), scale=1), reinterpreted_batch_ndims=1)
    layers, tfpl = tf_keras.layers, tfp.layers
    encoder = tf_keras.Sequential(
        [
            layers.InputLayer(input_shape=shape),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(tfpl.IndependentNormal.params_size(size)),
            tfpl.IndependentNormal(size, activity_regularizer=tfpl.KLDivergenceRegularizer(prior, weight=1.0)),
        ]
    )
    decoder = tf_keras.Sequential(
        [
            layers.InputLayer(input_shape=[size]),
            layers.Dense(32, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(tfpl.IndependentBernoulli.params_size(shape)),
            tfpl.IndependentBernoulli(shape, tfd.Bernoulli.logits),
        ]
    )
    model = tf_keras.Model(inputs=encoder.inputs, outputs=decoder(encoder.outputs[0]))
    model.compile(tf_keras.optimizers.Adam(LEARNING_RATE), loss=lambda x, rv_x: -rv_x.log_prob(x))
    return model


def seconds_an_epoch(model: tf_keras.Model, x: npt.NDArray[np.float32]) -> list[float]:
    """The seconds of each epoch of `fit` but the first, which may trace and compile."""
    ends: list[float] = []
    end = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.fit(x, x, batch_size=BATCH_SIZE, epochs=4, verbose=0, callbacks=[end])
    return np.diff(ends).tolist()


def speed(images: vbnn.Images) -> Iterator[Row]:
    """An epoch of `fit`, by default and with XLA, against the printed code; and draws against a loop of calls."""
    x = images.x_train
    network = vbnn.AutoencoderNetwork(image_shape=images.image_shape)
    theirs = partial(seconds_an_epoch, as_printed(images.image_shape), x[..., None])
    for how, settings in (("", {}), (", jit_compile=True", {"jit_compile": True})):
        model = vbnn.build_variational_autoencoder(network, len(x), seed=0)
        model.compile(tf_keras.optimizers.Adam(LEARNING_RATE), loss=vbnn.negative_log_likelihood, **settings)
        medians = race(partial(seconds_an_epoch, model, x), theirs)
        what = f"an epoch of the VAE on MNIST{how}, against the code that the lecture prints"
        yield Row(what=what, unit="s", **medians, target=1.5)
    few = images.x_test[:100]
    for name in ("vae", "flipout-ae"):
        model = MODELS[name](network, len(x), seed=0)

        def loop(model: tf_keras.Model = model) -> None:
            np.var([model(few).mean().numpy() for _ in range(100)], axis=0)

        ours = partial(seconds_of, partial(vbnn.predict, model, few, num_samples=100), calls=5)
        what = f"predictive sd of 100 reconstructions, 100 draws, {name}, against a loop of calls of the same model"
        yield Row(what=what, unit="s", **race(ours, partial(seconds_of, loop)))


@click.command()
@click.option("--seeds", default=3, show_default=True, help="Fits of each model.")
@click.option("--speed", "only_speed", is_flag=True, help="Measure speed instead.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def main(seeds: int, only_speed: bool, out: Path) -> None:
    """Measure, print a table and write its rows."""
    console, images = Console(), vbnn.mnist().binarised()
    out.mkdir(parents=True, exist_ok=True)
    if only_speed:
        raced = list(speed(images))
        console.print(table(raced))
        write(raced, out / "mnist_speed.csv")
        return
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
