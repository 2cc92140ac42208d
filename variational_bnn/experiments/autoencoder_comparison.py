"""Autoencoders side by side: a grid of cells, run, kept and shown."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from variational_bnn import results
from variational_bnn.base.checks import require, require_count, require_known, require_seed
from variational_bnn.datasets import Images
from variational_bnn.experiments.autoencoders import (
    MODELS,
    QUANTILES,
    AutoencoderCell,
    AutoencoderTraining,
    run_autoencoder,
    shown,
)
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.report.figures.images import (
    plot_latent_grid,
    plot_latents,
    plot_loss_terms,
    plot_predictive_sd,
    plot_predictive_sd_summary,
    plot_reconstructions,
)

KIND = "autoencoders"
"""What the settings of such a directory call it."""

LATENTS = 2
"""Of the default network, as in the lecture: they can be drawn."""

HISTORY = ("nll", "kl_latents", "kl_weights")


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoencoderComparison:
    """Autoencoders on one set of images.

    Attributes:
        settings: What made the rows, plain values.
        images: The test images' labels and the images that are shown, by name: see `experiment.shown`.
        results: A row for each model and seed; columns are the fields of `AutoencoderResult`.
        arrays: What the figures show of each (model, seed).
    """

    settings: dict[str, Any]
    images: dict[str, npt.NDArray[Any]]
    results: pd.DataFrame
    arrays: dict[tuple[str, int], dict[str, npt.NDArray[Any]]]

    @classmethod
    def read(cls, directory: str | Path) -> AutoencoderComparison:
        """The comparison kept in a directory, with the cells that are finished.

        Raises:
            ValueError: If a file is missing, foreign or truncated.
        """
        settings = results.read_settings(Path(directory))
        require(settings.get("kind") == KIND, f"{directory} is foreign: its settings are not of autoencoders")
        about = settings.get("images")
        described = isinstance(about, dict) and {"name", "test"} <= about.keys()
        require(described, f"{directory} is foreign: its settings do not describe the images")
        saved = results.read_autoencoders(directory)
        return cls(settings=saved.settings, images=saved.images, results=saved.results, arrays=saved.arrays)

    @property
    def table(self) -> pd.DataFrame:
        """One row a model, over its seeds: see `results.summarise_autoencoders`."""
        return results.summarise_autoencoders(self.results)

    def plot(self) -> dict[str, Figure]:
        """The figures, by name, of each model's first seed that went well.

        "reconstructions", "latents", "loss" and "predictive_sd"; "predictive_sd_summary" if there is any; "latent_grid" if a model's
        latents have a prior; none at all if every one failed.

        Raises:
            ValueError: If no cell is finished.
        """
        require(len(self.results) > 0, "there are no finished autoencoders to plot")
        good = self.results[self.results["status"] == "ok"]
        if good.empty:
            return {}
        first = good.drop_duplicates("model")
        cells = {model: self.arrays[model, seed] for model, seed in zip(first["model"], first["seed"], strict=True)}
        images = self.images

        def each(name: str) -> dict[str, npt.NDArray[Any]]:
            return {model: arrays[name] for model, arrays in cells.items() if name in arrays}

        apart = (images["apart"], images["apart_labels"], images["apart_seen"])
        grids = each("grid")
        figures = {
            "reconstructions": plot_reconstructions(images["shown"], images["shown_labels"], each("reconstructions")),
            "latents": plot_latents(each("codes"), images["labels"], with_prior=list(grids)),
            "loss": plot_loss_terms(_history(cells)),
            "predictive_sd": plot_predictive_sd(*apart, each("apart_reconstructions"), each("apart_sds")),
        }
        spreads = good[["predictive_sd_seen", "predictive_sd_held_out"]]
        if (spreads > 0).any(axis=None):
            figures["predictive_sd_summary"] = plot_predictive_sd_summary(good[["model", "seed", *spreads]])
        if grids:
            figures["latent_grid"] = plot_latent_grid(grids, QUANTILES, among=list(cells))
        return figures

    def save(self, directory: str | Path) -> list[Path]:
        """Keep rows, settings, arrays and figures in a directory.

        Returns:
            The figures' paths.

        Raises:
            ValueError: If the directory cannot be written or holds other settings.
        """
        results.open_autoencoders(directory, settings=self.settings, images=self.images)
        kept = results.finished_autoencoders(directory)
        for row in self.results.to_dict("records"):
            result = results.AutoencoderResult(**{str(name): value for name, value in row.items()})
            if (result.model, result.seed) not in kept:
                results.append_autoencoder(directory, result, self.arrays[result.model, result.seed])
        paths = []
        for name, figure in self.plot().items():
            paths.append(Path(directory) / f"{name}.png")
            figure.savefig(paths[-1])
        return paths


def compare_autoencoders(
    images: Images,
    *,
    models: Sequence[str] = tuple(MODELS),
    seeds: Sequence[int] = (0,),
    latent_size: int | None = None,
    network: AutoencoderNetwork | None = None,
    training: AutoencoderTraining | None = None,
    held_out: int | None = None,
    num_samples: int = 100,
    directory: str | Path | None = None,
    progress: bool = True,
) -> AutoencoderComparison:
    """Fit autoencoders to the same images, and measure bounds, latent codes, and where reconstructions are uncertain.

    Each model is fitted twice from each seed: to all images, and to those of all classes but one, to see what it makes
    of what it has not seen.

    Args:
        images: What to learn from; `images.binarised()` for a likelihood of zeros and ones.
        models: Names in `MODELS`.
        seeds: One cell a model and seed.
        latent_size: L, of the default network; by default 2.
        network: Instead of the default one, which is the lecture's, with a Bernoulli likelihood. The same for every
            model.
        training: The same for every model; by default the lecture's 15 epochs, or more if the images are few.
        held_out: The label that the second fit does not see; by default the largest that there is to train on.
        num_samples: Draws of reconstructions and codes.
        directory: Where to keep finished cells while the rest run. Cells that are there already, of the same settings
            and images, are not run again.
        progress: Whether to show it, on standard error.

    Raises:
        TypeError: If the images are none.
        ValueError: If a model or a label is unknown, a number is out of range, the network does not fit the images, or
            the directory cannot be written or holds other settings.
    """
    if not isinstance(images, Images):
        raise TypeError(f"images must be Images, got {type(images).__name__}")
    require(network is None or latent_size is None, "latent_size is the network's own where one is given, got both")
    latents = LATENTS if latent_size is None else latent_size
    label = images.y_train.max() if held_out is None else held_out
    label = int(label) if isinstance(label, np.integer) else label
    for name, values in (("models", models), ("seeds", seeds)):
        listed = isinstance(values, Iterable) and not isinstance(values, str)
        require(listed, f"{name} must be a sequence, got {values!r}")
    cells = [
        AutoencoderCell(
            model=model,
            seed=seed,
            images=images,
            network=network or AutoencoderNetwork(image_shape=images.image_shape, latent_size=latents),
            training=training or AutoencoderTraining.for_images(len(images.x_train)),
            held_out=label,
            num_samples=num_samples,
        )
        for model in dict.fromkeys(models)
        for seed in dict.fromkeys(seeds)
    ]
    _check(cells)
    with contextlib.nullcontext(directory) if directory is not None else tempfile.TemporaryDirectory() as place:
        results.open_autoencoders(place, settings=_settings(cells[0]), images=shown(images, cells[0].held_out))
        finished = set(results.finished_autoencoders(place))
        waiting = [cell for cell in cells if (cell.model, cell.seed) not in finished]
        with _shown(progress, waiting) as bar:
            for cell in waiting:
                result, arrays = run_autoencoder(cell, bar(cell))
                results.append_autoencoder(place, result, arrays)
        return _only(AutoencoderComparison.read(place), cells)


def _check(cells: list[AutoencoderCell]) -> None:
    """Refuse what would only fail later, in every cell."""
    require(bool(cells), "at least one model and one seed are wanted, got none")
    first = cells[0]
    shape, wanted = first.network.image_shape, first.images.image_shape
    require(shape == wanted, f"network must have image_shape {wanted} for the images, got {shape}")
    require_count("num_samples", first.num_samples)
    require(first.num_samples > 1, "num_samples must be at least 2 for a variance, got 1")
    first.images.without(first.held_out)
    known = ", ".join(map(str, np.unique(first.images.y_train)))
    require(first.held_out in first.images.y_train, f"no training image has label {first.held_out}; known: {known}")
    first.network.likelihood.require_targets(first.images.x_train)
    for cell in cells:
        require_known("model", cell.model, tuple(MODELS))
        require_seed(cell.seed)


@contextlib.contextmanager
def _shown(progress: bool, cells: list[AutoencoderCell]) -> Iterator[Callable[[AutoencoderCell], Callable[[], None]]]:
    """A bar of epochs on standard error; of a cell, what is called after each of them."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("fitting", total=sum(2 * cell.training.epochs for cell in cells))

        def of(cell: AutoencoderCell) -> Callable[[], None]:
            bar.update(task, description=f"{cell.model}, seed {cell.seed}")
            return lambda: bar.advance(task)

        yield of


def _settings(cell: AutoencoderCell) -> dict[str, Any]:
    images = cell.images
    tables = (images.x_train, images.y_train, images.x_test, images.y_test)
    digests = [hashlib.sha256(table.tobytes()).digest() for table in tables]
    return {
        "kind": KIND,
        "images": {
            "name": images.name,
            "shape": list(images.image_shape),
            "train": len(images.x_train),
            "test": len(images.x_test),
            "digest": hashlib.sha256(b"".join(digests)).hexdigest(),
        },
        "network": cell.network.to_dict(),
        "training": dataclasses.asdict(cell.training),
        "held_out": cell.held_out,
        "num_samples": cell.num_samples,
        "versions": results.versions(),
    }


def _history(cells: dict[str, dict[str, npt.NDArray[Any]]]) -> pd.DataFrame:
    """A row for each model and epoch."""
    tables = []
    for model, arrays in cells.items():
        epochs = len(arrays["history_nll"])
        terms = {name: arrays.get(f"history_{name}", np.full(epochs, np.nan)) for name in HISTORY}
        tables.append(pd.DataFrame({"model": model, "epoch": np.arange(1, epochs + 1), **terms}))
    return pd.concat(tables, ignore_index=True)


def _only(comparison: AutoencoderComparison, cells: list[AutoencoderCell]) -> AutoencoderComparison:
    """The rows of these cells, in their order."""
    rows = comparison.results.set_index(["model", "seed"], drop=False)
    kept = [(cell.model, cell.seed) for cell in cells]
    return dataclasses.replace(
        comparison,
        results=rows.loc[kept].reset_index(drop=True),
        arrays={cell: comparison.arrays[cell] for cell in kept},
    )
