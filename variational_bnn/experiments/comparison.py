"""Methods on one dataset: what is to be run, and what the runs say together."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.base import Dataset, Method, Network, require_compatible, require_network
from variational_bnn.base.checks import require, require_count, require_known, require_seed
from variational_bnn.evaluation.reference_distance import reference_distances, summarise_reference_distances
from variational_bnn.evaluation.summary import summarise
from variational_bnn.experiments.engine import execute
from variational_bnn.experiments.result import PREDICTION_COLUMNS, RESULT_COLUMNS
from variational_bnn.experiments.run import Key, Outcome, settings_of
from variational_bnn.experiments.store import Store
from variational_bnn.experiments.tables import TableRun
from variational_bnn.methods import METHODS
from variational_bnn.methods.keras_models import TrainedModel
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.likelihoods import Categorical, Normal
from variational_bnn.report.figures.comparison import ComparisonRows, plot_comparison

KIND = "tables"
"""What the settings of such a directory call it."""

THREE_KINDS = ("output", "flipout", "hidden")
"""Variation in the output, the weights and the hidden units."""

EXACT = ("linear", "hmc")
"""Methods that the others can be measured against; the first only where it is the network's own posterior."""

DOTS_PER_INCH = 150

Methods = Iterable[str | Method] | Mapping[str, str | Method]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Methods on one dataset, with what was measured of each.

    `compare` and `Comparison.read` make it.

    Attributes:
        settings: What made the rows, as plain values: dataset, network, methods, number of function samples.
        data: The training rows. Columns are the features and then the outputs, which are the targets, or 0 or 1 for
            each class.
        outcomes: Rows, predictions and arrays of each run, by (method, seed).

    Example:
        >>> import variational_bnn as vbnn
        >>> methods = {"flipout": vbnn.Flipout(steps=20)}
        >>> comparison = vbnn.compare(vbnn.lecture_sample(10, seed=0), methods=methods, seeds=[0], progress=False)
        >>> list(comparison.table["method"])
        ['flipout']
        >>> sorted(comparison.plot())
        ['bands', 'distance', 'regions']
    """

    settings: dict[str, Any]
    data: pd.DataFrame
    outcomes: Mapping[Key, Outcome]

    @classmethod
    def read(cls, directory: str | Path) -> Comparison:
        """The comparison that is kept in a directory, with the runs that are finished.

        Warns of runs that were made with other versions of the packages that numbers depend on.

        Raises:
            ValueError: If this is not a directory of comparisons of methods, or a file in it is missing, damaged or was
                changed.
        """
        store = _store(directory)
        settings = store.settings()
        known = isinstance(settings.get("dataset"), dict) and isinstance(settings.get("network"), dict)
        require(known, f"{directory} is not a results directory of this package: it names no dataset and network")
        store.warn_of_other_versions()
        outcomes = {key: store.read(folder) for key, folder in store.finished().items()}
        return cls(settings=settings, data=store.input_table("data"), outcomes=outcomes)

    @functools.cached_property
    def results(self) -> pd.DataFrame:
        """A row for each method, seed and region; columns are the fields of `Result`."""
        return stacked([outcome.rows for outcome in self.outcomes.values()], RESULT_COLUMNS)

    @functools.cached_property
    def predictions(self) -> pd.DataFrame:
        """A row for each method, seed, query point and output; columns are `result.PREDICTION_COLUMNS`."""
        tables = [outcome.tables.get("predictions") for outcome in self.outcomes.values()]
        return stacked([table for table in tables if table is not None], PREDICTION_COLUMNS)

    @property
    def draws(self) -> dict[tuple[str, str, int], dict[str, npt.NDArray[Any]]]:
        """Arrays of each (dataset, method, seed).

        `functions` `[S, M, D]` are function samples at the M query points, in the order of their numbers. Of Markov
        chains there are also `trace` `[steps, chains]`, their log posterior density in nats, and `warmup`, how many of
        the steps are warm-up.
        """
        name = self.settings["dataset"]["name"]
        return {(name, *key): dict(outcome.arrays) for key, outcome in self.outcomes.items()}

    @property
    def reference(self) -> str | None:
        """The method that the others are measured against, if one of them is exact.

        That is `linear` where it is exact (no hidden units, known noise), else `hmc`, from the seeds whose chains
        converged.
        """
        network = self.settings["network"]
        closed_form = not network.get("hidden_units") and isinstance(network.get("likelihood", {}).get("scale"), float)
        good = set(self.results.loc[self.results["status"] == "ok", "method"])
        return next((name for name in EXACT[0 if closed_form else 1 :] if name in good), None)

    @functools.cached_property
    def reference_distances(self) -> pd.DataFrame:
        """Distances of each method to the reference posterior, for each seed and region: see `reference_distances`."""
        return reference_distances(self.results, self.predictions, self.draws, self.reference or "")

    @property
    def table(self) -> pd.DataFrame:
        """One row a method, over its seeds: see `summarise` and `summarise_reference_distances`."""
        summary = summarise(self.results)
        return summary.merge(summarise_reference_distances(self.reference_distances), on="method", how="left")

    def plot(self) -> dict[str, Figure]:
        """The figures by name, as far as they apply.

        "regions" and "distance"; "entropy" of classes; "bands" for one feature; "reference" and "reference_distance"
        with a reference (the first for one feature), "reliability" with held-out numbers, "traces" with Markov chains.

        Raises:
            ValueError: If no run is finished.
        """
        require(len(self.results) > 0, "there are no finished runs to plot")
        rows = ComparisonRows(
            results=self.results,
            predictions=self.predictions,
            data=self.data,
            summary=self.table,
            reference=self.reference,
            traces={run: arrays for run, arrays in self.draws.items() if "trace" in arrays},
        )
        return plot_comparison(rows)

    def save(self, directory: str | Path) -> list[Path]:
        """Keep rows, settings and figures in a directory.

        Returns:
            The figures' paths.

        Raises:
            ValueError: If the directory cannot be written or holds other settings.
        """
        store = _store(directory)
        store.prepare(self.settings, tables={"data": self.data}, arrays={})
        return save_outcomes(store, self.outcomes, self.plot())


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


def compare(
    dataset: Dataset,
    *,
    methods: Methods = THREE_KINDS,
    seeds: Sequence[int] = range(5),
    network: Network | None = None,
    num_samples: int = 200,
    workers: int = 1,
    directory: str | Path | None = None,
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
        seeds: Each method is run once from each.
        network: The same for every method; `default_network` if None. Its prior scale is in standardised units, its
            known noise in the units of y.
        num_samples: Function samples of each predictive.
        workers: Processes.
        directory: Where to keep finished runs while the others go on. Runs that are there already, of the same
            settings and data, are not executed again.
        progress: Whether to show it, on standard error.

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
    chosen = _named(methods, dataset)
    for name, method in chosen.items():
        reason = method.supports(dataset, network)
        require(reason is None, f"method {name!r} does not support this: {reason}")
    runs = [
        TableRun(name=name, method=method, seed=seed, dataset=dataset, network=network, num_samples=num_samples)
        for name, method in chosen.items()
        for seed in seeds_of(seeds)
    ]
    settings = _settings(dataset, network, chosen, num_samples)
    data = _training_rows(dataset)
    store = None
    if directory is not None:
        store = _store(directory)
        store.prepare(settings, tables={"data": data}, arrays={})
        store.warn_of_other_versions()
    outcomes = execute([run.as_run() for run in runs], workers=workers, store=store, progress=progress)
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


def stacked(tables: list[pd.DataFrame], columns: Mapping[str, object]) -> pd.DataFrame:
    """Tables of the same columns, one below the other; a table without rows where there is none."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))


def save_outcomes(store: Store, outcomes: Mapping[Key, Outcome], figures: Mapping[str, Figure]) -> list[Path]:
    """Keep those runs that a store does not have yet, all rows together in `results.csv`, and figures.

    Returns:
        The figures' paths.
    """
    finished = store.finished()
    for key, outcome in outcomes.items():
        if outcome.finished and key not in finished:
            store.save(key, outcome)
    others = [store.read(folder).rows for key, folder in finished.items() if key not in outcomes]
    store.write_results([*others, *(outcome.rows for outcome in outcomes.values())])
    paths = []
    for name, figure in figures.items():
        paths.append(store.directory / f"{name}.png")
        figure.savefig(paths[-1], dpi=DOTS_PER_INCH)
    return paths


def _store(directory: str | Path) -> Store:
    columns = {"rows": RESULT_COLUMNS, "predictions": PREDICTION_COLUMNS, "data": {}}
    return Store(directory=Path(directory), kind=KIND, columns=columns)


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
        "methods": {name: settings_of(method) for name, method in methods.items()},
    }


def _digest(dataset: Dataset) -> str:
    """Of all rows: other training or held-out rows give other results."""
    more = dataset.larger_sample
    tables = [dataset.x, dataset.y, dataset.x_test, dataset.y_test, dataset.test_regions]
    tables += [] if more is None else [more.x, more.y]
    digests = [hashlib.sha256(np.asarray(table).tobytes()).hexdigest() for table in tables if table is not None]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _training_rows(dataset: Dataset) -> pd.DataFrame:
    columns = [*dataset.feature_names, *dataset.output_names]
    return pd.DataFrame(np.hstack([dataset.x, dataset.outputs(dataset.y)]), columns=columns)
