"""Datasets and images by name, as the command line takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from variational_bnn.base import Dataset
from variational_bnn.base.checks import require
from variational_bnn.datasets.digits import digits
from variational_bnn.datasets.images import Images
from variational_bnn.datasets.labelled import labelled
from variational_bnn.datasets.lecture import lecture
from variational_bnn.datasets.mnist import mnist
from variational_bnn.datasets.npz import read_npz
from variational_bnn.datasets.tables import column_names, read_table
from variational_bnn.datasets.uci import SOURCES, uci

Loaded = TypeVar("Loaded", Dataset, Images)


@dataclass(frozen=True, kw_only=True)
class NamedDataset(Generic[Loaded]):
    """An entry of `DATASETS` or `IMAGES`.

    Attributes:
        about: What the dataset is, in one line, for the command `variational-bnn list`.
        load: A function without arguments that returns the dataset or the images.

    Example:
        >>> from variational_bnn.datasets import DATASETS
        >>> DATASETS["lecture"].about
        '20 points of a noisy sine with a gap in the middle'
        >>> DATASETS["lecture"].load().x.shape
        (20, 1)
    """

    about: str
    load: Callable[[], Loaded]


DATASETS: dict[str, NamedDataset[Dataset]] = {
    "lecture": NamedDataset(about="20 points of a noisy sine with a gap in the middle", load=lecture),
    "digits": NamedDataset(
        about="1293 images of 8 x 8, of the digits 0 to 8, to be classified; 9 is held out, as `beyond`",
        load=lambda: labelled(digits(), held_out=9),
    ),
    **{f"uci:{name}": NamedDataset(about=source.about, load=partial(uci, name)) for name, source in SOURCES.items()},
}
"""The datasets that `load` knows by name. A new one is a line here and a function that returns it."""

IMAGES: dict[str, NamedDataset[Images]] = {
    "digits": NamedDataset(about="1797 images of 8 x 8: handwritten digits, which come with scikit-learn", load=digits),
    "mnist": NamedDataset(
        about="70000 images of 28 x 28: handwritten digits, in the file that Keras downloads", load=mnist
    ),
}
"""The images that `load_images` knows by name. New ones are a line here and a function that returns them."""


def load(spec: str, target: str | None = None, **rules: Any) -> Dataset:
    """The dataset of a name or of a CSV or Parquet file.

    All rows of a file are training rows; `split` makes held-out rows of a part of them.

    Args:
        spec: A name in `DATASETS`, or the path of a file.
        target: The column of the file to predict. Named datasets have their own target.
        rules: For a file, any of the settings of `read_csv`; those that are None or False may be given for a named
            dataset, too.

    Returns:
        The dataset.

    Raises:
        ValueError: If there is neither a dataset of that name (the message lists the known ones) nor such a file, if
            `target` is missing for a file, if `target` or a rule is given for a named dataset, or if `read_csv` or the
            loader raises one.

    Example:
        >>> from variational_bnn.datasets import load
        >>> load("lecture").x.shape
        (20, 1)
        >>> load("measurements.csv", target="y")  # doctest: +SKIP
    """
    if spec in DATASETS:
        require(target is None, f"dataset {spec!r} has its own target, got {target!r}")
        classes = rules.pop("classes", None)
        require(not classes, f"dataset {spec!r} knows by itself whether its target is a class")
        given = [name for name, rule in rules.items() if rule]
        require(not given, f"dataset {spec!r} is ready as it is: leave out {', '.join(given)}")
        return DATASETS[spec].load()
    known = ", ".join(DATASETS)
    require(Path(spec).exists(), f"unknown dataset {spec!r}; known: {known}, or the path of a CSV or Parquet file")
    if target is None:
        columns = ", ".join(column_names(spec, rules.get("sep")))
        raise ValueError(f"{spec} needs a target; columns: {columns}: name one by target= (--target)")
    return read_table(spec, target, **rules)


def load_images(spec: str) -> Images:
    """The images of a name or of an .npz file.

    Args:
        spec: A name in `IMAGES`, or the path of an .npz file, as for `read_npz`.

    Returns:
        The images.

    Raises:
        ValueError: If there are neither images of that name (the message lists the known ones) nor such a file, or if
            `read_npz` or the loader raises one.

    Example:
        >>> from variational_bnn.datasets import load_images
        >>> load_images("digits").image_shape
        (8, 8)
    """
    if spec in IMAGES:
        return IMAGES[spec].load()
    known = ", ".join(IMAGES)
    require(Path(spec).exists(), f"unknown images {spec!r}; known: {known}, or the path of an .npz file")
    return read_npz(spec)
