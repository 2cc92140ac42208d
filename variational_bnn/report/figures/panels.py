"""Panels of methods over one feature: their grid, the shades of the regions, and marks where lines leave the axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from variational_bnn.base import REGIONS
from variational_bnn.base.checks import Array, require_known
from variational_bnn.report.figures.axes import DOTS_PER_INCH, LIGHT, REGION_SHADES, TEXT, plain
from variational_bnn.report.figures.inputs import with_latent

Grid = npt.NDArray[Any]


def are_probabilities(predictions: pd.DataFrame) -> bool:
    """Return whether the means are probabilities of a y in {0, 1}: only then is the total variance mean (1 - mean)."""
    parts = with_latent(predictions)[["epistemic_variance", "latent_variance", "aleatoric_variance"]]
    variance = parts.sum(axis=1, skipna=False)
    return np.allclose(variance, predictions["mean"] * (1 - predictions["mean"]), atol=1e-5)


def panels_of(count: int, *, strips: bool = False) -> tuple[Figure, Grid, Grid]:
    """Make a figure of panels in rows of at most four; axes that are not needed are switched off.

    Args:
        count: Number of panels, at least 1.
        strips: Whether each panel has a strip below it in which zeros are drawn.

    Returns:
        The figure, the panels `[rows, columns]`, and the strips `[rows, columns]` below them; without strips, the last
        is the array of panels again. All panels share the x axis. Panels of one row share the y axis; without strips,
        all panels do.
    """
    columns = count if count < 4 else 2 if count == 4 else 3 if count < 10 else 4
    rows = math.ceil(count / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.04 if strips else 0.07, hspace=0 if strips else None)
    figure = Figure(figsize=(max(4.2 * columns, 8.4), 3.4 * rows + 0.9), dpi=DOTS_PER_INCH, layout=layout)
    heights = (12, 1.3) if strips else (1,)
    grid = figure.subplots(
        len(heights) * rows,
        columns,
        sharex=True,
        sharey="row" if strips else "all",
        squeeze=False,
        height_ratios=heights * rows,
    )
    panels, below = grid[:: len(heights)], grid[len(heights) - 1 :: len(heights)]
    for ax in (*panels.flat[count:], *below.flat[count:]):
        ax.set_axis_off()
    return figure, panels, below


def target_of(predictions: pd.DataFrame, target: str | None) -> str:
    """Return the target to show, by default the first output; raise `ValueError` if it is not an output."""
    outputs = [str(output) for output in predictions["output"].unique()]
    if target is None:
        return outputs[0]
    require_known("target", target, outputs)
    return target


def label_feature(below: Grid, count: int, feature: str) -> None:
    """Write the feature's name below the last panel of each column, and limit the number of ticks."""
    for position, ax in enumerate(below.flat[:count]):
        ax.margins(x=0)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        if position + below.shape[1] >= count:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel(feature, fontsize=TEXT)
        plain(ax)


def shade_regions(ax: Axes, x: Array, regions: npt.NDArray[Any]) -> None:
    """Shade the axes by region, for inputs `[N]` in ascending order and the region `[N]` of each."""
    edges = np.concatenate([x[:1], (x[1:] + x[:-1]) / 2, x[-1:]])
    for region in REGIONS:
        for start, stop in _runs(regions == region):
            ax.axvspan(edges[start], edges[stop], color=REGION_SHADES[region], linewidth=0, zorder=0)


def mark_leaving(ax: Axes, x: Array, below: npt.NDArray[np.bool_], above: npt.NDArray[np.bool_], colour: str) -> None:
    """Mark each interval of x `[N]` in which a line leaves the axes, below or above, with a triangle in its middle."""
    for outside, height, marker in ((below, 0.03, "v"), (above, 0.97, "^")):
        middles = [(x[start] + x[stop - 1]) / 2 for start, stop in _runs(outside)]
        ax.plot(
            middles, [height] * len(middles), marker, color=colour, markersize=9, transform=ax.get_xaxis_transform()
        )


def region_handles() -> list[Patch]:
    """Return the legend handles of the regions' shades."""
    return [Patch(facecolor=REGION_SHADES[region], edgecolor=LIGHT, label=region) for region in REGIONS]


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the start and the exclusive end of each sequence of true values."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))
