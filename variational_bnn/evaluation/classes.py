"""Of classes: how certain predictions are, and what the classes' frequencies alone predict."""

from __future__ import annotations

import numpy as np
import pandas as pd

from variational_bnn.base import REGIONS

FREQUENCIES = "class frequencies"
"""The name of the baseline whose predictions are the frequencies of the classes in the training rows."""


def confidences(predictions: pd.DataFrame) -> pd.DataFrame:
    """The mean probability of the most probable class over each region's held-out rows and over the seeds.

    Where predictions are calibrated, it is their accuracy.

    Args:
        predictions: A row for each method, seed, query point and class, as in `Comparison.predictions`.

    Returns:
        A row for each `method`, with `confidence_<region>`; NaN in a region without held-out rows.
    """
    held_out = predictions[predictions["y"].notna()]
    rows = held_out.groupby(["method", "region", "seed", "query_point"], sort=False)["mean"].max()
    means = rows.groupby(["method", "region"], sort=False).mean().unstack("region").reindex(columns=list(REGIONS))
    return means.add_prefix("confidence_").rename_axis(columns=None).reset_index()


def class_frequencies(data: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, str | float]:
    """The scores of a baseline that predicts the frequencies of the classes in the training rows for every row.

    A frequency is (rows of the class + 1) / (rows + classes), the mean of its posterior from a uniform prior, so that a
    class without training rows has one, too.

    Args:
        data: The training rows, with a column of 0 and 1 for each class.
        predictions: As for `confidences`.

    Returns:
        The row of a summary: `method`, and `log_likelihood_<region>`, `rmse_<region>`, `accuracy_<region>` and
        `confidence_<region>` for the regions with held-out rows.
    """
    classes = list(predictions["output"].unique())
    counts = data[classes].sum().to_numpy(dtype=np.float64)
    frequencies = (counts + 1) / (counts.sum() + len(classes))
    row: dict[str, str | float] = {"method": FREQUENCIES}
    held_out = predictions[predictions["y"].notna()].drop_duplicates(["region", "query_point", "output"])
    for region, rows in held_out.groupby("region"):
        right = rows.pivot(index="query_point", columns="output", values="y")[classes].to_numpy()
        row[f"log_likelihood_{region}"] = float((right @ np.log(frequencies)).mean())
        row[f"rmse_{region}"] = float(np.sqrt(((right - frequencies) ** 2).mean()))
        row[f"accuracy_{region}"] = float(right[:, frequencies.argmax()].mean())
        row[f"confidence_{region}"] = float(frequencies.max())
    return row
