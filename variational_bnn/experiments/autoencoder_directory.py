"""Rows of autoencoders, and files: saved cell by cell, so that a run that was stopped goes on. Nothing stored is code.

A cell is one (model, seed). The directory holds

- `settings.json`: what made the rows
- `images.npz`: the test images' labels, and the images that the figures show
- `arrays/`: an npz file for each cell, what the figures show of it
- `results.csv`: a row for each cell; written last, it says which are finished

Every file is written beside its place and moved there whole.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from variational_bnn.base.checks import require
from variational_bnn.evaluation.regions import ratio_interval
from variational_bnn.evaluation.summary import with_bounds
from variational_bnn.experiments.csv_tables import read_table, to_csv
from variational_bnn.experiments.directory import RESULTS, make_ready, read_settings, require_usable
from variational_bnn.experiments.draws_files import read_npz, to_npz
from variational_bnn.experiments.files import read_text, write_whole

IMAGES, ARRAYS = "images.npz", "arrays"

SHOWN = ("labels", "shown", "shown_labels", "apart", "apart_labels", "apart_seen")
KEPT = ("codes", "reconstructions", "apart_reconstructions", "apart_sds", "history_nll")
"""What the figures show of every model."""

Arrays = Mapping[str, npt.NDArray[Any]]
ModelCell = tuple[str, int]
"""A model's name and a seed."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderResult:
    """One row: an autoencoder on a set of images, from one seed.

    Densities are in nats per image. A second fit, to all classes but one, tells what is seen away from the data.

    Attributes:
        images: Their name.
        model: Its name in `MODELS`.
        seed: Of the initial values, the training noise and the draws.
        nll: Mean of E_q[-log p(x given z)] over the test images.
        kl_latents: Mean KL of their latents; NaN without random latents, likewise for the two bounds.
        kl_weights: KL of the weights over the number of training images; NaN where they are points.
        negative_elbo: The sum of the three.
        negative_importance_weighted: The mean importance-weighted bound, negated likewise.
        importance_samples: K of that bound.
        rmse: Of the mean reconstruction, over test images and pixels, which are in [0, 1].
        knn_accuracy: Share of the test images whose class is that of most of the 10 training images of nearest code.
        silhouette: Mean silhouette of the test images' codes by class, from -1 to 1.
        active_units: Latents whose mean varies over the images.
        code_centre: Largest distance from 0 of a latent's mean over the test images.
        code_sd: Root of the codes' mean variance over the test images.
        confused: The two classes of which the neighbours' vote takes most for each other.
        confusion: The share of their test images that it does.
        held_out: The label that the second fit has not seen.
        rmse_seen: Of the second fit, over the test images of classes that it has seen.
        rmse_held_out: Over all images of the class that it has not.
        predictive_sd_seen: Root of the mean variance of a pixel's reconstruction over draws, over test images of seen classes.
        predictive_sd_held_out: Likewise, over the images of the class that it has not seen.
        parameters: Trained numbers.
        fit_seconds: Wall clock of the first fit.
        status: "ok", or what went wrong; the measures are NaN then.
    """

    images: str
    model: str
    seed: int
    nll: float = math.nan
    kl_latents: float = math.nan
    kl_weights: float = math.nan
    negative_elbo: float = math.nan
    negative_importance_weighted: float = math.nan
    importance_samples: int = 0
    rmse: float = math.nan
    knn_accuracy: float = math.nan
    silhouette: float = math.nan
    active_units: int = 0
    code_centre: float = math.nan
    code_sd: float = math.nan
    confused: str = ""
    confusion: float = math.nan
    held_out: int = 0
    rmse_seen: float = math.nan
    rmse_held_out: float = math.nan
    predictive_sd_seen: float = math.nan
    predictive_sd_held_out: float = math.nan
    parameters: int = 0
    fit_seconds: float = math.nan
    status: str = "ok"


TYPES = {field.name: str(field.type) for field in dataclasses.fields(AutoencoderResult)}


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedAutoencoders:
    """A directory as it was read.

    Attributes:
        settings: What made the rows, plain values.
        images: The test images' labels and those that are shown, by name.
        results: One row per cell, columns as the fields of `AutoencoderResult`, in the order they were finished in.
        arrays: What the figures show of each cell.
    """

    settings: dict[str, Any]
    images: dict[str, npt.NDArray[Any]]
    results: pd.DataFrame
    arrays: dict[ModelCell, dict[str, npt.NDArray[Any]]]


def open_autoencoders(directory: str | Path, *, settings: Mapping[str, Any], images: Arrays) -> None:
    """Make the directory ready for cells: a new one, or one to go on with.

    Args:
        directory: Made with its parents if it is missing.
        settings: Plain values that JSON can hold; an earlier run's must be the same.
        images: See `SavedAutoencoders`.

    Raises:
        ValueError: If the directory is a file, cannot be written, or holds other settings or foreign files.
    """
    folder = Path(directory)
    plain = require_usable(folder, settings, (IMAGES, ARRAYS, RESULTS))
    make_ready(folder, plain, folders=(ARRAYS,), files={IMAGES: to_npz(images)}, types=TYPES)


def finished_autoencoders(directory: str | Path) -> list[ModelCell]:
    """The cells that need not be run again; failed ones are among them.

    Raises:
        ValueError: If `results.csv` is missing, foreign or truncated.
    """
    rows = read_table(Path(directory) / RESULTS, TYPES)
    return list(zip(rows["model"], rows["seed"].tolist(), strict=True))


def append_autoencoder(directory: str | Path, result: AutoencoderResult, arrays: Arrays) -> None:
    """Save a finished cell, whole or not at all. One process writes at a time.

    Raises:
        ValueError: If the cell is finished already, or a file cannot be written.
    """
    folder, cell = Path(directory), (result.model, result.seed)
    require(cell not in finished_autoencoders(folder), f"{cell[0]}, seed {cell[1]} is finished already in {folder}")
    row = {**dataclasses.asdict(result), "status": " ".join(result.status.split())}
    rows = pd.DataFrame([row], columns=list(TYPES)).astype(TYPES)
    write_whole(_path(folder, cell), to_npz(arrays))
    write_whole(folder / RESULTS, read_text(folder / RESULTS) + to_csv(rows, with_header=False))


def read_autoencoders(directory: str | Path) -> SavedAutoencoders:
    """Read what `open_autoencoders` and `append_autoencoder` wrote; the cells finished so far if more are to come.

    Raises:
        ValueError: If a file is missing, foreign or truncated. Nothing in one is executed.
    """
    folder = Path(directory)
    rows = read_table(folder / RESULTS, TYPES)
    return SavedAutoencoders(
        settings=read_settings(folder),
        images=_arrays(folder / IMAGES, SHOWN),
        results=rows,
        arrays={
            (model, seed): _arrays(_path(folder, (model, seed)), KEPT if status == "ok" else ())
            for model, seed, status in zip(rows["model"], rows["seed"].tolist(), rows["status"], strict=True)
        },
    )


def summarise_autoencoders(results: pd.DataFrame) -> pd.DataFrame:
    """One row a model, in first-seen order: means over its seeds that went well, and how many did and did not.

    `predictive_sd_ratio`, how many times further reconstructions spread of what was not seen, has the bounds of its 95 %
    interval over seeds (see `ratio_interval`) beside it. `confused` is what the seeds have, each once.
    """
    measures = [name for name, kind in TYPES.items() if kind in ("float", "int") and name != "seed"]
    rows: list[dict[str, Any]] = []
    for model, group in results.groupby("model", sort=False):
        good = group[group["status"] == "ok"]
        counts = {"seeds_ok": len(good), "seeds_failed": len(group) - len(good)}
        means = {name: good[name].mean() for name in measures}
        ratio = ratio_interval(good["predictive_sd_held_out"] / good["predictive_sd_seen"])
        confused = "; ".join(dict.fromkeys(good["confused"]))
        rows.append(
            {"model": model, **counts, **means, **with_bounds("predictive_sd_ratio", ratio), "confused": confused}
        )
    return pd.DataFrame(rows)


def _arrays(path: Path, wanted: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file, which has the wanted ones at least."""
    found = read_npz(path)
    missing = ", ".join(name for name in wanted if name not in found)
    require(not missing, f"{path} is foreign: it lacks {missing}")
    return found


def _path(folder: Path, cell: ModelCell) -> Path:
    return folder / ARRAYS / f"{cell[0]}-{cell[1]}.npz"
