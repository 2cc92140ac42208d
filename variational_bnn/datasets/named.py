"""Datasets by name, as the command line asks for them."""

from __future__ import annotations

from pathlib import Path

from variational_bnn.base import Dataset
from variational_bnn.base.checks import require
from variational_bnn.datasets.images import digits, labelled
from variational_bnn.datasets.lecture import lecture
from variational_bnn.datasets.tables import column_names, read_csv
from variational_bnn.datasets.uci import SOURCES, uci

DATASETS: dict[str, str] = {
    "lecture": "20 points of a noisy sine with a gap in the middle",
    "digits": "1293 images of 8 x 8, of the digits 0 to 8, to be classified; 9 is held out, as `beyond`",
    **{f"uci:{name}": source.about for name, source in SOURCES.items()},
}
"""The names that `load` knows besides CSV files, each with a line that says what it is."""


def load(spec: str, target: str | None = None, *, classes: bool | None = None) -> Dataset:
    """The dataset that a name or a path stands for; all its rows train, but for those that `digits` holds out.

    Args:
        spec: A name in `DATASETS`, or the path of a CSV file.
        target: The column of the CSV file to predict; named datasets have their own.
        classes: Whether it is a class: see `read_csv`. Named datasets know.

    Raises:
        ValueError: If there is neither such a dataset (the message lists them) nor such a file, if a CSV file comes
            without a target or a named dataset with one or with classes, or for what `read_csv` and `uci` refuse.
    """
    if spec in DATASETS:
        require(target is None, f"dataset {spec!r} has its own target, got {target!r}")
        require(not classes, f"dataset {spec!r} knows by itself whether its target is a class")
        if spec == "digits":
            return labelled(digits(), held_out=9)
        return lecture() if spec == "lecture" else uci(spec.removeprefix("uci:"))
    known = ", ".join(DATASETS)
    require(Path(spec).exists(), f"unknown dataset {spec!r}; known: {known}, or the path of a CSV file")
    if target is None:
        raise ValueError(f"{spec} needs a target; columns: {', '.join(column_names(spec))}")
    return read_csv(spec, target, classes=classes)
