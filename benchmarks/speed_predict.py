"""Rows of `speed.py`: the seconds of `predict`, and the memory that it needs."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras
from races import Row, Setting, peer, race, seconds_of
from speed_fit import BARE, IMAGE_UNITS, bare, image_network, network
from tensorflow_probability import distributions as tfd

import variational_bnn as vbnn

Float32Array = npt.NDArray[np.float32]

UNITS = (50, 50)
DRAWS, POINTS, CALLS = 200, 400, 10
IMAGE_DRAWS, IMAGES = 50, 1_000
LARGE_DRAWS, LARGE_POINTS = 1_000, 1_000_000
LARGE_GIB = 1.5


def dropout_network() -> tf_keras.Model:
    """The network with point weights and Dropout; its output is a tensor."""
    dense, dropout = partial(tf_keras.layers.Dense, 50, "relu"), partial(tf_keras.layers.Dropout, 0.1)
    return tf_keras.Sequential([tf_keras.Input((1,)), dense(), dropout(), dense(), dropout(), tf_keras.layers.Dense(1)])


def loop_of_calls(call: Callable[[Float32Array], Any], x: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Mean and variance of the means over as many calls, as tutorials write it."""
    outputs = [call(x) for _ in range(DRAWS)]
    means = [(y.mean() if isinstance(y, tfd.Distribution) else y).numpy() for y in outputs]
    return np.mean(means, axis=0), np.var(means, axis=0)


def matrix_products(x: Float32Array, sizes: list[int], draws: int) -> Callable[[], Any]:
    """The products of a batch of networks with drawn kernels, and nothing else."""
    rng = np.random.default_rng(0)
    kernels = [tf.constant(rng.normal(size=(draws, *shape)).astype(np.float32)) for shape in itertools.pairwise(sizes)]

    @tf.function(autograph=False)
    def products(h: tf.Tensor) -> tf.Tensor:
        for kernel in kernels:
            h = tf.matmul(h, kernel)
        return h

    return partial(products, tf.constant(x))


def predict(setting: Setting) -> Iterator[Row]:
    """200 draws at 400 points, 1-50-50-2: against loops of calls, a vmap of JAX, and the matrix products alone."""
    x, shape = np.linspace(-1, 1, POINTS, dtype=np.float32)[:, None], network(1, UNITS)
    flipout, reparameterization = (
        vbnn.build_weight_variation(shape, POINTS, estimator=name, seed=0) for name in ("flipout", "reparameterization")
    )
    hidden, dropout = vbnn.build_hidden_variation(shape, POINTS, seed=0), dropout_network()
    layer, other_layer = BARE["flipout"], BARE["reparameterization"]
    loops: list[tuple[str, tf_keras.Model, Callable[[Float32Array], Any], float | None]] = [
        ("tfp DenseFlipout", flipout, bare(layer, POINTS), 500),
        ("tfp DenseReparameterization", reparameterization, bare(other_layer, POINTS), 500),
        ("our flipout", flipout, flipout, 300),
        ("our hidden", hidden, hidden, None),
        ("tf_keras Dropout", dropout, partial(dropout, training=True), None),
    ]
    for name, model, call, target in loops:
        ours = partial(seconds_of, partial(vbnn.predict, model, x, num_samples=DRAWS), CALLS)
        theirs = partial(seconds_of, partial(loop_of_calls, call, x))
        times = race({"ours": ours, "theirs": theirs}, setting.turns)
        yield Row.of(f"predict, 200 x 400, against a loop of {name}", times["ours"], times["theirs"], target=target)
    with contextlib.ExitStack() as stack:
        runs: dict[str, Callable[[], float]] = {
            "ours": partial(seconds_of, partial(vbnn.predict, flipout, x, num_samples=DRAWS), CALLS),
            "products": partial(seconds_of, matrix_products(x, [1, *UNITS, 2], DRAWS), CALLS),
        }
        if setting.peer_python:
            vmap = peer(setting.peer_python, "jax_predict.py", x=x, units=UNITS, draws=DRAWS, calls=CALLS)
            runs["jax"] = stack.enter_context(vmap)
        times = race(runs, setting.turns)
    if "jax" in runs:
        yield Row.of("predict, 200 x 400, against numpyro's jitted vmap", times["ours"], times["jax"], target=2.5)
    yield Row.of("predict, 200 x 400, against the matrix products alone", times["ours"], times["products"])


def predict_images(setting: Setting) -> Iterator[Row]:
    """50 draws at 1,000 points, 784-400-400-10: against the matrix products alone."""
    x = np.random.default_rng(0).uniform(size=(IMAGES, 784)).astype(np.float32)
    model = vbnn.build_weight_variation(image_network(), IMAGES, seed=0)
    runs = {
        "ours": partial(seconds_of, partial(vbnn.predict, model, x, num_samples=IMAGE_DRAWS)),
        "products": partial(seconds_of, matrix_products(x, [784, *IMAGE_UNITS, 10], IMAGE_DRAWS)),
    }
    times = race(runs, setting.turns)
    what = "predict, 50 x 1,000, 784-400-400-10, against the matrix products alone"
    yield Row.of(what, times["ours"], times["products"])


# Large inputs


def large_prediction(points: int, draws: int) -> tuple[float, float]:
    """Seconds, and the peak of memory in GiB above what the process had before its first prediction."""
    model = vbnn.build_weight_variation(network(1, UNITS), points, seed=0)
    x = np.linspace(-1, 1, points, dtype=np.float32)[:, None]
    at_rest = memory("VmRSS")
    vbnn.predict(model, x[:POINTS], num_samples=DRAWS)
    seconds = seconds_of(partial(vbnn.predict, model, x, num_samples=draws))
    return seconds, memory("VmHWM") - at_rest


def memory(field: str) -> float:
    """Memory of this process in GiB, as Linux reports it: "VmRSS" now, "VmHWM" at its peak."""
    (size,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(size) / 2**20


def large(_: Setting) -> Iterator[Row]:
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
