"""Rows of `speed.py`: ten fits as one, against ten fits one after the other, compilation included.

Each side runs in a fresh process each turn, so that nothing is compiled before its clock starts.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import tf_keras
from races import Row, Setting, race

import variational_bnn as vbnn

SEEDS, STEPS, UNITS = 10, 5_000, 50
TURNS = 3


def task() -> tuple[vbnn.Dataset, vbnn.Network]:
    """The lecture's 20 rows and 1-50-1, the noise's sd known."""
    dataset = vbnn.lecture()
    likelihood = vbnn.Normal(scale=0.2)
    network = vbnn.Network(
        input_shape=(1,), output_size=1, hidden_units=(UNITS,), activation="relu", likelihood=likelihood
    )
    return dataset, network


def models(dataset: vbnn.Dataset, network: vbnn.Network) -> list[tf_keras.Model]:
    """A compiled model of each seed."""
    made = [vbnn.build_weight_variation(network, len(dataset.x), seed=seed) for seed in range(SEEDS)]
    for model in made:
        model.compile("adam", loss=vbnn.negative_log_likelihood)
    return made


def together() -> float:
    """Seconds to build, compile and train all models as one program."""
    dataset, network = task()
    start = time.perf_counter()
    made = models(dataset, network)
    vbnn.fit_together(made, dataset.x, dataset.y, epochs=STEPS, batch_size=len(dataset.x))
    checked(made)
    return time.perf_counter() - start


def by_fit() -> float:
    """Seconds to build, compile and train them one after the other by `fit`."""
    dataset, network = task()
    start = time.perf_counter()
    made = models(dataset, network)
    for model in made:
        model.fit(dataset.x, dataset.y, epochs=STEPS, batch_size=len(dataset.x), verbose=0)
    checked(made)
    return time.perf_counter() - start


def by_method() -> float:
    """Seconds to train them one after the other by the method of a comparison."""
    dataset, network = task()
    start = time.perf_counter()
    for seed in range(SEEDS):
        vbnn.Flipout(steps=STEPS, batch_size=len(dataset.x)).fit(dataset, network, seed=seed)
    return time.perf_counter() - start


def checked(made: list[tf_keras.Model]) -> None:
    """Every model was trained, and none diverged."""
    assert all(np.isfinite(weights).all() for model in made for weights in model.get_weights())
    assert all(int(model.optimizer.iterations) == STEPS for model in made)


def in_a_fresh_process(function: Callable[[], Any]) -> Any:
    """What a function of no arguments returns in a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function).result()


def seeds_together(setting: Setting) -> Iterator[Row]:
    """10 seeds of 1-50-1 on 20 rows, 5,000 steps."""
    names = {"together": together, "fit": by_fit, "method": by_method}
    times = race({name: partial(in_a_fresh_process, run) for name, run in names.items()}, min(TURNS, setting.turns))
    work = f"{SEEDS} seeds together, 1-50-1, 20 rows, {STEPS:,} steps, compilation included"
    yield Row.of(f"{work}, against fit one after the other", times["together"], times["fit"], target=6)
    yield Row.of(f"{work}, against Flipout.fit one after the other", times["together"], times["method"])
