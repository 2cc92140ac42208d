"""Rows of `speed.py`: the seconds a step of `fit`, after compilation."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from races import Row, Setting, peer, race
from tensorflow_probability import distributions as tfd

import variational_bnn as vbnn

Float32Array = npt.NDArray[np.float32]

EXAMPLES = 10_000
STEPS, IMAGE_STEPS = 12_500, 1_250
"""Of each `fit`: about as many as a user takes. Whether `fit` compiles by XLA depends on how many there are."""

PEER_STEPS = 2_500
"""Of a turn of the others, for which it does not matter."""

INITIAL_SCALE = 0.1
IMAGE_UNITS = (400, 400)
BARE = {
    "reparameterization": tfp.layers.DenseReparameterization,
    "flipout": tfp.layers.DenseFlipout,
    "local_reparameterization": tfp.layers.DenseLocalReparameterization,
}
AGAINST_NUMPYRO = {"reparameterization": 1.2, "flipout": 1.0, "local_reparameterization": 1.0}


def seconds_a_step(
    model: tf_keras.Model, x: Float32Array, y: npt.NDArray[Any], batch_size: int, steps: int = STEPS
) -> float:
    """Of the last three quarters of the epochs of one `fit`; in the others it may trace and compile."""
    ends: list[float] = []
    end = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    steps_an_epoch = math.ceil(len(x) / batch_size)
    epochs = max(4, math.ceil(steps / steps_an_epoch))
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[end])
    first = epochs // 4
    return (ends[-1] - ends[first - 1]) / ((epochs - first) * steps_an_epoch)


def noisy_sine(features: int) -> tuple[Float32Array, Float32Array]:
    """Inputs and targets, `[N, F]` and `[N, 1]`."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (EXAMPLES, features)).astype(np.float32)
    return x, (np.sin(3 * x[:, :1]) + 0.1 * rng.normal(size=(EXAMPLES, 1))).astype(np.float32)


def network(features: int, units: tuple[int, ...]) -> vbnn.Network:
    """Of one target with noise that depends on the input."""
    likelihood = vbnn.Normal()
    return vbnn.Network(
        input_shape=(features,), output_size=1, hidden_units=units, activation="relu", likelihood=likelihood
    )


def ours(shape: vbnn.Network, estimator: str) -> tf_keras.Model:
    """A model of this package."""
    model = vbnn.build_weight_variation(shape, EXAMPLES, estimator=estimator, initial_scale=INITIAL_SCALE, seed=0)
    model.compile("adam", loss=vbnn.negative_log_likelihood)
    return model


def bare(layer: Any, num_examples: int, units: tuple[int, ...] = (50, 50)) -> tf_keras.Model:
    """A network of TFP's own layers, the KL scaled as it should be."""

    def divergence(q: tfd.Distribution, prior: tfd.Distribution, _: Any) -> tf.Tensor:
        return tfd.kl_divergence(q, prior) / num_examples

    hidden = [layer(width, activation="relu", kernel_divergence_fn=divergence) for width in units]
    parameters = layer(2, kernel_divergence_fn=divergence)
    model = tf_keras.Sequential([tf_keras.Input((1,)), *hidden, parameters, tfp.layers.IndependentNormal(1)])
    model.compile("adam", loss=lambda y_true, y_pred: -y_pred.log_prob(y_true))
    return model


def fit_small(setting: Setting) -> Iterator[Row]:
    """1-50-50-2, batches of 32: against bare layers of TFP, and numpyro."""
    (x, y), units, batch_size = noisy_sine(1), (50, 50), 32
    with contextlib.ExitStack() as stack:
        runs: dict[str, Callable[[], float]] = {}
        for name, layer in BARE.items():
            runs[name] = partial(seconds_a_step, ours(network(1, units), name), x, y, batch_size)
            runs[f"tfp {name}"] = partial(seconds_a_step, bare(layer, EXAMPLES, units), x, y, batch_size, PEER_STEPS)
        if setting.peer_python:
            epochs = math.ceil(PEER_STEPS / (EXAMPLES // batch_size))
            problem: dict[str, Any] = {"x": x, "y": y, "units": units, "batch_size": batch_size, "epochs": epochs}
            svi = peer(setting.peer_python, "numpyro_svi.py", initial_scale=INITIAL_SCALE, **problem)
            runs["numpyro"] = stack.enter_context(svi)
        times = race(runs, setting.turns)
    for name, layer in BARE.items():
        what = f"fit, 1-50-50-2, {name}, against tfp {layer.__name__}"
        yield Row.of(what, times[name], times[f"tfp {name}"], unit="s/step", target=6)
    if "numpyro" in runs:
        for name, target in AGAINST_NUMPYRO.items():
            what = f"fit, 1-50-50-2, {name}, against numpyro's SVI"
            yield Row.of(what, times[name], times["numpyro"], unit="s/step", target=target)


def fit_features(setting: Setting) -> Iterator[Row]:
    """13-50-2, batches of 128: against numpyro and bayesian-torch."""
    if not setting.peer_python:
        return
    (x, y), units, batch_size = noisy_sine(13), (50,), 128
    problem: dict[str, Any] = {"x": x, "y": y, "units": units, "batch_size": batch_size, "initial_scale": INITIAL_SCALE}
    epochs = math.ceil(PEER_STEPS / math.ceil(EXAMPLES / batch_size))
    torch = ("reparameterization", "flipout")
    with contextlib.ExitStack() as stack:
        runs: dict[str, Callable[[], float]] = {
            name: partial(seconds_a_step, ours(network(13, units), name), x, y, batch_size) for name in BARE
        }
        runs["numpyro"] = stack.enter_context(peer(setting.peer_python, "numpyro_svi.py", epochs=epochs, **problem))
        for name in torch:
            loop = peer(setting.peer_python, "bayesian_torch_fit.py", estimator=name, epochs=epochs // 3, **problem)
            runs[f"torch {name}"] = stack.enter_context(loop)
        times = race(runs, setting.turns)
    for name in BARE:
        what, target = f"fit, 13-50-2, {name}, against numpyro's SVI", AGAINST_NUMPYRO[name]
        yield Row.of(what, times[name], times["numpyro"], unit="s/step", target=target)
    for name in torch:
        what = f"fit, 13-50-2, {name}, against bayesian-torch's"
        yield Row.of(what, times[name], times[f"torch {name}"], unit="s/step", target=8)


def image_network() -> vbnn.Network:
    """784-400-400-10."""
    return vbnn.Network(
        input_shape=(784,),
        output_size=1,
        hidden_units=IMAGE_UNITS,
        activation="relu",
        likelihood=vbnn.Categorical(num_classes=10),
    )


def fit_images(setting: Setting) -> Iterator[Row]:
    """784-400-400-10, batches of 128: against the same network of deterministic layers."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(EXAMPLES, 784)).astype(np.float32)
    y = rng.integers(10, size=(EXAMPLES, 1))
    dense = [tf_keras.layers.Dense(units, "relu") for units in IMAGE_UNITS]
    plain = tf_keras.Sequential([tf_keras.Input((784,)), *dense, tf_keras.layers.Dense(10)])
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile("adam", loss=loss, steps_per_execution=32)
    models = {"plain": plain, **{name: ours(image_network(), name) for name in BARE}}
    runs = {name: partial(seconds_a_step, model, x, y, 128, IMAGE_STEPS) for name, model in models.items()}
    times = race(runs, setting.turns)
    for name in BARE:
        what = f"fit, 784-400-400-10, {name}, against Keras's Dense layers, 32 steps a call"
        yield Row.of(what, times[name], times["plain"], unit="s/step", target=0.5)
