"""`compare`: methods on one dataset, each run from several seeds."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variational_bnn.base import BASELINE, Dataset, DatasetWarning, Method, Network, require_compatible, require_network
from variational_bnn.base.checks import require, require_count, require_known, require_seed
from variational_bnn.evaluation.subsample import MOST_ROWS, some_rows
from variational_bnn.experiments.comparison import Comparison, store_in
from variational_bnn.experiments.engine import execute, require_workers
from variational_bnn.experiments.run import settings_of
from variational_bnn.experiments.table_run import TableRun
from variational_bnn.experiments.tables import groups_of
from variational_bnn.methods import METHODS
from variational_bnn.methods.keras_models import TrainedModel
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.likelihoods import Categorical, Normal

DEFAULT_METHODS = ("output", "flipout", "hidden", "hidden_shared")
"""Variation in the output, the weights and the hidden units, of each row and shared by all rows."""

Methods = Iterable[str | Method] | Mapping[str, str | Method]


def default_network(dataset: Dataset) -> Network:
    """One hidden layer of 50 ReLUs, with a likelihood that suits the dataset.

    Of classes it is categorical. Of numbers it is normal: with the dataset's known noise, or else with a noise level
    that the network gives for each row.
    """
    classes = len(dataset.class_names)
    return Network(
        input_shape=(dataset.x.shape[1],),
        output_size=dataset.y.shape[1],
        hidden_units=(50,),
        activation="relu",
        likelihood=Categorical(num_classes=classes) if classes else Normal(scale=dataset.noise_scale),
    )


def default_methods(dataset: Dataset, network: Network) -> tuple[str, ...]:
    """`DEFAULT_METHODS`, and where rows are held out a plain baseline for their scores, if it supports the network."""
    scored = dataset.x_test is not None and METHODS[BASELINE].supports(dataset, network) is None
    return (*DEFAULT_METHODS, BASELINE) if scored else DEFAULT_METHODS


def compare(
    dataset: Dataset,
    *,
    methods: Methods | None = None,
    seeds: Sequence[int] = range(5),
    network: Network | None = None,
    num_samples: int = 200,
    workers: int | None = 1,
    directory: str | Path | None = None,
    retry: bool = False,
    progress: bool = True,
) -> Comparison:
    """Fit every method from every seed to the same data, and measure where each is uncertain.

    The methods of this package standardise inputs and targets on the training rows, unless their settings say
    otherwise; everything is reported in the original units. Of classes, what is reported is of their probabilities.

    Args:
        dataset: What to learn from.
        methods: Names (`variational-bnn list` shows them), methods (anybody's: see `Method`), or a mapping from names
            to either. A `tf_keras.Model` in a mapping is one that was trained on `dataset.x` and `dataset.y`: see
            `TrainedModel`, and `UntrainedModel` for one to be trained. A method without a name has that of its class.
            If None, `output`, `flipout`, `hidden` and `hidden_shared`, and where rows with numbers are held out
            `linear`, a plain baseline for the scores.
        seeds: Each method is run once from each.
        network: The same for every method; `default_network` if None. Its prior scale is in standardised units, its
            known noise in the units of y.
        num_samples: Function samples of each predictive.
        workers: Processes; 1 for this one alone. None for as many as there are cores, if there is work for them.
        directory: Where to keep finished runs while the others go on. Runs that are there already, of the same
            settings and data, are not executed again.
        retry: Whether runs that failed, and are kept in the directory, are executed again. Those that lacked memory or
            whose worker died are in any case.
        progress: Whether to show how far the runs are, on standard error.

    Returns:
        The comparison. A run that failed has rows whose status says why.

    Raises:
        TypeError: If `dataset` is not a `Dataset`, `network` not a `Network`, or a method not a `Method`.
        ValueError: If a method is unknown or does not support the dataset or the network, a number is out of range, the
            network does not fit the dataset, or the directory cannot be written or holds other settings or data.

    Example:
        >>> import variational_bnn as vbnn
        >>> dataset = vbnn.lecture_sample(10, seed=0)
        >>> methods = {"linear": "linear", "short": vbnn.Flipout(steps=20)}
        >>> comparison = vbnn.compare(dataset, methods=methods, seeds=[0], progress=False)
        >>> comparison.results.groupby("method").size().to_dict()
        {'linear': 3, 'short': 3}
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset must be a Dataset, got {type(dataset).__name__}")
    network = default_network(dataset) if network is None else network
    require_network(network)
    require_compatible(network, dataset)
    require_count("num_samples", num_samples)
    require(num_samples > 1, "num_samples must be at least 2 for a variance, got 1")
    require_workers(workers)
    chosen = _named(default_methods(dataset, network) if methods is None else methods, dataset)
    for name, method in chosen.items():
        reason = method.supports(dataset, network)
        require(reason is None, f"method {name!r} does not support this: {reason}")
    seeds = seeds_of(seeds)
    common: dict[str, Any] = {"dataset": dataset, "network": network, "num_samples": num_samples}
    groups = [
        group
        for name, method in chosen.items()
        for group in groups_of([TableRun(name=name, method=method, seed=seed, **common) for seed in seeds])
    ]
    settings = _settings(dataset, network, chosen, num_samples)
    data = _training_rows(dataset)
    _warn_of_subsamples(dataset)
    store = None
    if directory is not None:
        store = store_in(directory)
        store.prepare(settings, tables={"data": data}, arrays={})
        store.warn_of_other_versions()
    outcomes = execute(groups, workers=workers, store=store, retry=retry, progress=progress)
    return Comparison(settings=settings, data=data, outcomes=outcomes)


def seeds_of(seeds: Iterable[int]) -> list[int]:
    """Different seeds, each checked.

    Raises:
        ValueError: If there is none, or one is not a whole number >= 0.
    """
    require(isinstance(seeds, Iterable) and not isinstance(seeds, str), f"seeds must be a sequence, got {seeds!r}")
    listed = list(dict.fromkeys(seeds))
    require(bool(listed), "seeds must hold at least one seed, got none")
    for seed in listed:
        require_seed(seed)
    return [int(seed) for seed in listed]


def _named(methods: Methods, dataset: Dataset) -> dict[str, Method]:
    """The methods by name."""
    listed = isinstance(methods, Iterable) and not isinstance(methods, str)
    require(listed, f"methods must be a sequence or a mapping, got {methods!r}")
    pairs = list(methods.items()) if isinstance(methods, Mapping) else [(None, method) for method in methods]
    found: dict[str, Method] = {}
    for given, value in pairs:
        if isinstance(value, str):
            require_known("method", value, tuple(METHODS))
            name, method = value, METHODS[value]
        elif isinstance(value, tf_keras.Model):
            name, method = value.name, TrainedModel(model=value, num_examples=len(dataset.x))
        else:
            if isinstance(value, type) or not isinstance(value, Method):
                raise TypeError(f"a method must be a name or have the methods `fit` and `supports`, got {value!r}")
            name, method = type(value).__name__, value
        name = name if given is None else given
        require(isinstance(name, str) and bool(name.strip()), f"the name of a method must be a text, got {name!r}")
        same = name not in found or found[name] is method
        require(same, f"two methods are named {name!r}: pass a mapping from names to methods")
        found[name] = method
    require(bool(found), "methods must hold at least one method, got none")
    return found


def _settings(dataset: Dataset, network: Network, methods: Mapping[str, Method], num_samples: int) -> dict[str, Any]:
    held_out = {} if dataset.test_regions is None else Counter(dataset.test_regions.tolist())
    return {
        "dataset": {
            "name": dataset.name,
            "rows": len(dataset.x),
            "features": list(dataset.feature_names),
            "targets": list(dataset.target_names),
            "class_names": list(dataset.class_names),
            "held_out": dict(held_out),
            "noise_scale": dataset.noise_scale,
            "larger_sample": None if dataset.larger_sample is None else dataset.larger_sample.name,
            "digest": _digest(dataset),
        },
        "network": network.to_dict(),
        "num_samples": num_samples,
        "methods": {name: settings_of(method) | _exact(method, network) for name, method in methods.items()},
    }


def _exact(method: Method, network: Network) -> dict[str, bool]:
    """Whether a method says that its posterior is the exact one."""
    exact = getattr(method, "exact", None)
    return {"exact": True} if callable(exact) and exact(network) else {}


def _digest(dataset: Dataset) -> str:
    """Of all rows: other training or held-out rows give other results."""
    more = dataset.larger_sample
    tables = [dataset.x, dataset.y, dataset.x_test, dataset.y_test, dataset.test_regions]
    tables += [] if more is None else [more.x, more.y]
    digests = [hashlib.sha256(np.ascontiguousarray(table).data).hexdigest() for table in tables if table is not None]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _training_rows(dataset: Dataset) -> pd.DataFrame:
    """The training rows, or some of very many."""
    columns, rows = [*dataset.feature_names, *dataset.output_names], some_rows(len(dataset.x))
    return pd.DataFrame(np.hstack([dataset.x[rows], dataset.outputs(dataset.y[rows])]), columns=columns)


def _warn_of_subsamples(dataset: Dataset) -> None:
    """Say what is measured on some of the rows."""
    rows, regions = len(dataset.x), Counter([] if dataset.test_regions is None else dataset.test_regions.tolist())
    parts = [f"{rows:,} training rows"] if rows > MOST_ROWS else []
    parts += [f"{count:,} held-out rows {region}" for region, count in regions.items() if count > MOST_ROWS]
    if parts:
        message = f"of {' and '.join(parts)}, {MOST_ROWS:,} random ones each stand for all in distances and scores"
        warnings.warn(f"{message}; fits are to all training rows", DatasetWarning, stacklevel=3)
