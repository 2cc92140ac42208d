"""Methods on one dataset: what is to be run, and what the runs say together."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.base.checks import require
from variational_bnn.evaluation.classes import class_frequencies, confidences
from variational_bnn.evaluation.reference_distance import reference_distances, summarise_reference_distances
from variational_bnn.evaluation.summary import summarise
from variational_bnn.experiments.files import write_whole
from variational_bnn.experiments.result import PREDICTION_COLUMNS, RESULT_COLUMNS
from variational_bnn.experiments.run import Key, Outcome
from variational_bnn.experiments.store import Store
from variational_bnn.report.figures.comparison import ComparisonRows, plot_comparison

KIND = "tables"
"""What the settings of such a directory call it."""


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
        store = store_in(directory)
        settings = store.settings()
        about = settings.get("dataset")
        known = isinstance(about, dict) and isinstance(about.get("name"), str)
        known &= all(isinstance(method, dict) for method in settings["methods"].values())
        require(known, f"{directory} is not a results directory of this package: it describes no dataset or method")
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

        A method says so itself (see `Method`). One in closed form comes before one that samples by Markov chains, of
        which only the seeds count whose chains converged.
        """
        good = self.results[self.results["status"] == "ok"]
        exact = [name for name, settings in self.settings["methods"].items() if settings.get("exact")]
        samples = {
            str(name): bool(rows["r_hat"].notna().any()) for name, rows in good.groupby("method") if name in exact
        }
        return min(samples, key=lambda name: samples[name], default=None)

    @functools.cached_property
    def reference_distances(self) -> pd.DataFrame:
        """Distances of each method to the reference posterior, for each seed and region: see `reference_distances`."""
        return reference_distances(self.results, self.predictions, self.draws, self.reference or "")

    @property
    def table(self) -> pd.DataFrame:
        """One row a method, over its seeds: see `summarise`, `summarise_reference_distances` and `confidences`."""
        summary = summarise(self.results)
        summary = summary.merge(summarise_reference_distances(self.reference_distances), on="method", how="left")
        return summary.merge(confidences(self.predictions), on="method", how="left") if self._classes else summary

    @property
    def scores(self) -> pd.DataFrame:
        """The rows of `table`; of classes, a row of the classes' frequencies is the last (see `class_frequencies`)."""
        table = self.table
        if not self._classes or self.predictions["y"].isna().all():
            return table
        baseline = pd.DataFrame([class_frequencies(self.data, self.predictions)])
        return pd.concat([table, baseline], ignore_index=True)

    @property
    def _classes(self) -> bool:
        return bool(self.settings["dataset"].get("class_names"))

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
        store = store_in(directory)
        store.prepare(self.settings, tables={"data": self.data}, arrays={})
        return save_outcomes(store, self.outcomes, self.plot())


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
    kept = {key: store.read(folder).rows for key, folder in store.finished().items()}
    lost = {key: outcome.rows for key, outcome in outcomes.items() if not outcome.finished}
    store.write_results({**lost, **kept})
    paths = []
    for name, figure in figures.items():
        paths.append(store.directory / f"{name}.png")
        image = io.BytesIO()
        figure.savefig(image, dpi="figure", format="png")
        write_whole(paths[-1], image.getvalue())
    return paths


def store_in(directory: str | Path) -> Store:
    """The store of such a comparison in a directory."""
    columns = {"rows": RESULT_COLUMNS, "predictions": PREDICTION_COLUMNS, "data": {}}
    return Store(directory=Path(directory), kind=KIND, columns=columns)
