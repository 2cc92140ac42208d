"""LeNet on MNIST, made variational by `to_variational`: `VARIATIONAL_BNN_DATA=DIR python benchmarks/lenet.py`.

DIR holds `mnist.npz`; without the variable it is downloaded. An ordinary LeNet-5 and its variational copies are trained
on the 60,000 training images, scaled to [0, 1], by Adam with a learning rate that falls to zero. On the 10,000 test
images are measured the accuracy, the mean negative log-likelihood of the predictive of 50 function samples, and the
seconds of training. Beside them stand the published numbers of uncertainty-baselines (Nado et al. 2021,
arXiv 2106.04015): variational LeNet-5, accuracy 98.5 %, negative log-likelihood 0.048.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
import pandas as pd
import tf_keras
from tf_keras import layers

import variational_bnn as vbnn

RESULTS = Path(__file__).parent / "results"
CLASSES = vbnn.Categorical(num_classes=10)
BATCH_SIZE, LEARNING_RATE, NUM_SAMPLES = 128, 2e-3, 50
ESTIMATORS = ("none", "flipout", "reparameterization")


def lenet() -> tf_keras.Model:
    """LeNet-5 as Keras users write it."""
    return tf_keras.Sequential(
        [
            tf_keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPool2D(),
            layers.Conv2D(16, 5, padding="same", activation="relu"),
            layers.MaxPool2D(),
            layers.Conv2D(120, 5, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def measured(estimator: str, images: vbnn.Images, epochs: int, seed: int) -> dict[str, float | str | int]:
    """Train one network, and measure it on the test images."""
    tf_keras.utils.set_random_seed(seed)
    x, x_test = (np.asarray(pixels, np.float32)[..., None] for pixels in (images.x_train, images.x_test))
    model = lenet()
    schedule = tf_keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * len(x) // BATCH_SIZE)
    if estimator == "none":
        model.compile(tf_keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy")
    else:
        model = vbnn.to_variational(model, len(x), estimator=estimator, likelihood=CLASSES, seed=seed)
        model.compile(tf_keras.optimizers.Adam(schedule), loss=vbnn.negative_log_likelihood)
    start = time.perf_counter()
    model.fit(x, images.y_train, batch_size=BATCH_SIZE, epochs=epochs, verbose=2)
    seconds = time.perf_counter() - start
    if estimator == "none":
        probabilities = model.predict(x_test, verbose=0)
    else:
        probabilities = vbnn.predict(model, x_test, num_samples=NUM_SAMPLES, seed=seed).probabilities
    right = probabilities[np.arange(len(x_test)), images.y_test]
    return {
        "estimator": estimator,
        "seed": seed,
        "epochs": epochs,
        "accuracy": float((probabilities.argmax(1) == images.y_test).mean()),
        "nll": float(-np.log(right).mean()),
        "seconds": seconds,
    }


@click.command()
@click.option("--epochs", default=20, show_default=True, help="Passes over the training images.")
@click.option("--estimators", default="none,flipout", show_default=True, help=f"Of {', '.join(ESTIMATORS)}.")
@click.option("--seeds", default=1, show_default=True, help="How many fits of each.")
def main(epochs: int, estimators: str, seeds: int) -> None:
    """Train, measure, and add the rows to `results/lenet.csv`, in place of those of an earlier run."""
    images = vbnn.mnist()
    rows = [measured(name, images, epochs, seed) for name in estimators.split(",") for seed in range(seeds)]
    path = RESULTS / "lenet.csv"
    before = [pd.read_csv(path)] if path.exists() else []
    table = pd.concat([*before, pd.DataFrame(rows)]).drop_duplicates(["estimator", "seed", "epochs"], keep="last")
    table.to_csv(path, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
