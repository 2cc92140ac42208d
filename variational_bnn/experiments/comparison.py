"""Methods side by side: a grid of cells, run, kept and shown."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from variational_bnn import results
from variational_bnn.base import Dataset, Network, Training, require_fit, require_network
from variational_bnn.base.checks import require, require_count, require_known, require_seed
from variational_bnn.experiments.result import Result
from variational_bnn.experiments.tables import Cell, Finished, run_cell
from variational_bnn.methods import METHODS
from variational_bnn.models.likelihoods import Categorical, MixtureNormal, Normal
from variational_bnn.report.figures.figures import plot_all

THREE_KINDS = ("output", "flipout", "hidden")
"""Variation in the output, the weights and the hidden units."""

EXACT = ("linear", "hmc")
"""Methods that the others can be measured against; the first only where it is the network's own posterior."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Methods on one dataset.

    Attributes:
        settings: What made the rows, plain values.
        data: The training rows; columns are the features and then the outputs, which are the targets, or 0 or 1 for
            each class.
        results: A row for each method, seed and region; columns are the fields of `Result`.
        predictions: A row for each method, seed, query and output.
        draws: Functions at the queries, and traces of Markov chains, of each (dataset, method, seed): see
            `results.Saved`.
    """

    settings: dict[str, Any]
    data: pd.DataFrame
    results: pd.DataFrame
    predictions: pd.DataFrame
    draws: dict[tuple[str, str, int], dict[str, npt.NDArray[Any]]]

    @classmethod
    def read(cls, directory: str | Path) -> Comparison:
        """The comparison kept in a directory, with the cells that are finished.

        Raises:
            ValueError: If a file is missing, foreign or truncated.
        """
        saved = results.read_directory(directory)
        known = isinstance(saved.settings.get("dataset"), dict) and isinstance(saved.settings.get("network"), dict)
        require(known, f"{directory} is foreign: its settings name no dataset and network")
        return cls(**{field.name: getattr(saved, field.name) for field in dataclasses.fields(cls)})

    @property
    def reference(self) -> str | None:
        """The method that the others are measured against, if one of them is exact.

        `linear` where it is (no hidden units, known noise), else `hmc`, from the seeds whose chains converged.
        """
        network = self.settings["network"]
        closed_form = not network.get("hidden_units") and isinstance(network.get("likelihood", {}).get("scale"), float)
        good = set(self.results.loc[self.results["status"] == "ok", "method"])
        return next((name for name in EXACT[0 if closed_form else 1 :] if name in good), None)

    @functools.cached_property
    def reference_distances(self) -> pd.DataFrame:
        """How close each method comes to the reference, seed by seed: see `results.reference_distances`."""
        return results.reference_distances(self.results, self.predictions, self.draws, self.reference or "")

    @property
    def table(self) -> pd.DataFrame:
        """One row a method, over its seeds: see `results.summarise` and `results.summarise_reference_distances`."""
        summary = results.summarise(self.results)
        return summary.merge(results.summarise_reference_distances(self.reference_distances), on="method", how="left")

    def plot(self) -> dict[str, Figure]:
        """The figures, by name.

        Always "regions" and "distance"; "entropy" of classes; "bands" for one feature; "reference" and "reference_distance" with
        a reference (the first for one feature), "reliability" with held-out numbers, "traces" with Markov chains.

        Raises:
            ValueError: If no cell is finished.
        """
        require(len(self.results) > 0, "there are no finished cells to plot")
        traces = {cell: draws for cell, draws in self.draws.items() if "trace" in draws}
        return plot_all(
            self.results,
            self.predictions,
            self.data,
            summary=self.table,
            reference=self.reference,
            traces=traces,
        )

    def save(self, directory: str | Path) -> list[Path]:
        """Keep rows, settings and figures in a directory.

        Returns:
            The figures' paths.

        Raises:
            ValueError: If the directory cannot be written or holds other settings.
        """
        results.open_directory(directory, settings=self.settings, data=self.data)
        kept = results.finished_cells(directory)
        by = ["dataset", "method", "seed"]
        for (dataset, method, seed), rows in self.results.groupby(by, sort=False):
            key = str(dataset), str(method), int(str(seed))
            if key not in kept:
                own = (self.predictions[by] == list(key)).all(axis=1)
                cell = [Result(**{str(name): value for name, value in row.items()}) for row in rows.to_dict("records")]
                results.append_cell(directory, cell, self.predictions[own], self.draws.get(key, {}))
        paths = []
        for name, figure in self.plot().items():
            paths.append(Path(directory) / f"{name}.png")
            figure.savefig(paths[-1], dpi=150)
        return paths


def default_network(dataset: Dataset) -> Network:
    """One hidden layer of 50 ReLUs; noise as known of the dataset, or else given by the network for each row.

    Where y is a class, its probabilities are.
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
    methods: Sequence[str] = THREE_KINDS,
    seeds: Sequence[int] = range(5),
    network: Network | None = None,
    training: Training | None = None,
    num_samples: int = 200,
    workers: int = 1,
    directory: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Fit every method from every seed to the same data, and measure where each is uncertain.

    Inputs and targets are standardised on the training rows; everything is reported in the original units. Classes
    are not: what is reported is of their probabilities.

    Args:
        dataset: What to learn from.
        methods: Names, as `variational-bnn list` gives them.
        seeds: One cell a method and seed.
        network: The same for every method; `default_network` if None. Its prior scale is in standard units; known
            noise is in the units of y.
        training: The same for every method.
        num_samples: Draws for each predictive.
        workers: Processes.
        directory: Where to keep finished cells while the rest run. Cells that are there already, of the same settings
            and data, are not run again.
        progress: Whether to show it, on standard error.

    Raises:
        ValueError: If a method is unknown, a number is out of range, the network does not fit the dataset, or the
            directory cannot be written or holds other settings or data.
    """
    require(isinstance(dataset, Dataset), f"dataset must be a Dataset, got {type(dataset).__name__}")
    for name, values in (("methods", methods), ("seeds", seeds)):
        listed = isinstance(values, Iterable) and not isinstance(values, str)
        require(listed, f"{name} must be a sequence, got {values!r}")
    cells = [
        Cell(
            method=method,
            seed=seed,
            dataset=dataset,
            network=network or default_network(dataset),
            training=training or Training(),
            num_samples=num_samples,
        )
        for method in dict.fromkeys(methods)
        for seed in dict.fromkeys(seeds)
    ]
    _check(cells, workers)
    with contextlib.nullcontext(directory) if directory is not None else tempfile.TemporaryDirectory() as place:
        results.open_directory(place, settings=_settings(cells[0]), data=_training_rows(dataset))
        finished = set(results.finished_cells(place))
        waiting = [cell for cell in cells if (dataset.name, cell.method, cell.seed) not in finished]
        with _shown(progress, len(cells), len(cells) - len(waiting)) as advance:
            for cell in _run(waiting, workers):
                results.append_cell(place, cell.rows, cell.predictions, cell.draws)
                advance(f"{cell.rows[0].method}, seed {cell.rows[0].seed}")
        return _only(Comparison.read(place), cells)


def _check(cells: list[Cell], workers: int) -> None:
    """Refuse what would only fail later, in every cell."""
    require(bool(cells), "at least one method and one seed are wanted, got none")
    network, training = cells[0].network, cells[0].training
    require(isinstance(training, Training), f"training must be a Training, got {type(training).__name__}")
    require_network(network)
    require_fit(network, cells[0].dataset)
    require_count("workers", workers)
    require_count("num_samples", cells[0].num_samples)
    require(cells[0].num_samples > 1, "num_samples must be at least 2 for a variance, got 1")
    for cell in cells:
        require_known("method", cell.method, tuple(METHODS))
        require_seed(cell.seed)
        needs_units = cell.method in ("hidden", "dropout")
        require(not needs_units or bool(network.hidden_units), f"method {cell.method!r} needs hidden units, got none")
        only_normal = cell.method != "linear" or isinstance(network.likelihood, Normal)
        require(only_normal, f"method 'linear' needs a Normal likelihood, got {network.likelihood!r}")
        no_mixture = cell.method != "laplace" or not isinstance(network.likelihood, MixtureNormal)
        require(no_mixture, f"method 'laplace' needs a likelihood that is no mixture, got {network.likelihood!r}")


def _run(cells: list[Cell], workers: int) -> Iterator[Finished]:
    """What the cells leave, as they come."""
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    yield from parallel(joblib.delayed(run_cell)(cell) for cell in cells)


@contextlib.contextmanager
def _shown(progress: bool, total: int, done: int) -> Iterator[Callable[[str], None]]:
    """A bar of cells on standard error."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"{done} cells were finished already" if done else "fitting", total=total, completed=done)
        yield lambda label: bar.update(task, advance=1, description=label)


def _settings(cell: Cell) -> dict[str, Any]:
    dataset = cell.dataset
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
        "network": cell.network.to_dict(),
        "training": dataclasses.asdict(cell.training),
        "num_samples": cell.num_samples,
        "versions": results.versions(),
    }


def _digest(dataset: Dataset) -> str:
    """Of all rows but those that train, which are kept: other held-out rows give other scores."""
    more = dataset.larger_sample
    tables = [dataset.x_test, dataset.y_test, dataset.test_regions, more and more.x, more and more.y]
    found = [hashlib.sha256(np.asarray(table).tobytes()).hexdigest() for table in tables if table is not None]
    return hashlib.sha256("".join(found).encode()).hexdigest()


def _training_rows(dataset: Dataset) -> pd.DataFrame:
    columns = [*dataset.feature_names, *dataset.output_names]
    return pd.DataFrame(np.hstack([dataset.x, dataset.outputs(dataset.y)]), columns=columns)


def _only(comparison: Comparison, cells: list[Cell]) -> Comparison:
    """The rows of these cells, in their order: workers finish in any."""
    order = {(cell.method, cell.seed): i for i, cell in enumerate(cells)}

    def ordered(table: pd.DataFrame) -> pd.DataFrame:
        place = [order.get(key, -1) for key in zip(table["method"], table["seed"], strict=True)]
        table = table.assign(place=place).query("place >= 0").sort_values("place", kind="stable")
        return table.drop(columns="place").reset_index(drop=True)

    return dataclasses.replace(
        comparison,
        results=ordered(comparison.results),
        predictions=ordered(comparison.predictions),
        draws={cell: draws for cell, draws in comparison.draws.items() if cell[1:] in order},
    )
