"""Autoencoders on one set of images: what is to be run, and what the runs say together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.base.checks import require
from variational_bnn.evaluation.autoencoder_summary import summarise_autoencoders
from variational_bnn.experiments.autoencoder_result import AUTOENCODER_COLUMNS
from variational_bnn.experiments.comparison import save_outcomes, stacked
from variational_bnn.experiments.run import Key, Outcome
from variational_bnn.experiments.store import Store
from variational_bnn.report.figures.autoencoders import AutoencoderRows, plot_autoencoders

KIND = "autoencoders"
"""What the settings of such a directory call it."""

SHOWN_ARRAYS = ("labels", "shown", "shown_labels", "apart", "apart_labels", "apart_seen")
RUN_ARRAYS = ("codes", "reconstructions", "apart_reconstructions", "apart_sds", "history_nll")
"""Arrays that the figures need of every run that went well."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoencoderComparison:
    """Autoencoders on one set of images, with what was measured of each.

    `compare_autoencoders` and `AutoencoderComparison.read` make it.

    Attributes:
        settings: What made the rows, as plain values.
        images: The labels of the test images, and the images that are shown, by name.
        outcomes: Row and arrays of each run, by (model, seed).

    Example:
        >>> import variational_bnn as vbnn
        >>> models = {"vae": vbnn.Autoencoder(variational=True, epochs=1)}
        >>> images = vbnn.digits().binarised()
        >>> comparison = vbnn.compare_autoencoders(images, models=models, num_samples=2, progress=False)
        >>> list(comparison.table["model"])
        ['vae']
    """

    settings: dict[str, Any]
    images: dict[str, npt.NDArray[Any]]
    outcomes: Mapping[Key, Outcome]

    @classmethod
    def read(cls, directory: str | Path) -> AutoencoderComparison:
        """The comparison that is kept in a directory, with the runs that are finished.

        Warns of runs that were made with other versions of the packages that numbers depend on.

        Raises:
            ValueError: If this is not a directory of comparisons of autoencoders, or a file in it is missing, damaged
                or was changed.
        """
        store = store_in(directory)
        settings, images = store.settings(), store.input_arrays("images")
        about = settings.get("images")
        described = isinstance(about, dict) and {"name", "test"} <= about.keys()
        require(described, f"{directory} is not a results directory of this package: it does not describe the images")
        missing = ", ".join(name for name in SHOWN_ARRAYS if name not in images)
        require(not missing, f"{directory} lacks the arrays {missing}")
        store.warn_of_other_versions()
        outcomes = {key: store.read(folder) for key, folder in store.finished().items()}
        return cls(settings=settings, images=images, outcomes=outcomes)

    @functools.cached_property
    def results(self) -> pd.DataFrame:
        """A row for each model and seed; columns are the fields of `AutoencoderResult`."""
        return stacked([outcome.rows for outcome in self.outcomes.values()], AUTOENCODER_COLUMNS)

    @property
    def arrays(self) -> dict[Key, dict[str, npt.NDArray[Any]]]:
        """What the figures show of each (model, seed)."""
        return {key: dict(outcome.arrays) for key, outcome in self.outcomes.items()}

    @property
    def table(self) -> pd.DataFrame:
        """One row a model, over its seeds: see `summarise_autoencoders`."""
        return summarise_autoencoders(self.results)

    def plot(self) -> dict[str, Figure]:
        """The figures by name, of each model's first seed that went well; none if every run failed.

        "reconstructions", "latents", "loss" and "predictive_sd"; "predictive_sd_by_class" if any is above zero;
        "latent_grid" if the latents of a model have a prior.

        Raises:
            ValueError: If no run is finished.
        """
        require(len(self.results) > 0, "there are no finished runs to plot")
        return plot_autoencoders(AutoencoderRows(results=self.results, images=self.images, arrays=self.arrays))

    def save(self, directory: str | Path) -> list[Path]:
        """Keep rows, settings, arrays and figures in a directory.

        Returns:
            The figures' paths.

        Raises:
            ValueError: If the directory cannot be written or holds other settings.
        """
        store = store_in(directory)
        store.prepare(self.settings, tables={}, arrays={"images": self.images})
        return save_outcomes(store, self.outcomes, self.plot())


def store_in(directory: str | Path) -> Store:
    """The store of such a comparison in a directory."""
    return Store(directory=Path(directory), kind=KIND, columns={"rows": AUTOENCODER_COLUMNS}, arrays=RUN_ARRAYS)
