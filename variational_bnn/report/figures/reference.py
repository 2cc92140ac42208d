"""The epistemic sd of each method over one feature, beside that of a reference posterior: a panel a method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from variational_bnn.report.figures.axes import (
    GREY,
    TEXT,
    TITLE,
    Style,
    log_scale,
    plain,
    positive_range,
    rounded,
    styles,
    zero_strip,
)
from variational_bnn.report.figures.inputs import complete_rows, with_columns, with_latent
from variational_bnn.report.figures.panels import (
    label_feature,
    mark_leaving,
    panels_of,
    region_handles,
    shade_regions,
    target_of,
)

REFERENCE_COLOUR = "black"
BAND_ALPHA = 0.3
WIDE, NARROW = 4.5, 1.8
"""Line widths of the reference and of a method: where the two agree, both lines are seen."""

REACH = 30.0
"""The y axis follows the methods up to this many times beyond the range of the reference."""


def plot_reference(
    predictions: pd.DataFrame,
    data: pd.DataFrame,
    reference: str | None,
    style_of: Mapping[str, Style] | None = None,
    target: str | None = None,
) -> Figure | None:
    """Draw each method's epistemic sd over one feature, on a logarithmic scale, with the reference's in black.

    A dotted line adds the latent variance, which is noise of the row, where a method has any. Lines are geometric means
    over seeds; bands reach from the smallest to the largest epistemic sd of a seed. An epistemic sd of exactly zero is
    drawn in a strip of its own. Where a line of the epistemic sd leaves the axis, which reaches 30 times beyond the
    range of the reference, triangles mark the place and the panel states the range of the sd.

    Args:
        predictions: A row for each `method`, `seed`, `query_point` and `output`, with `x`, `region`,
            `epistemic_variance` and `latent_variance` (0 if it is missing), as in `Comparison.predictions`.
        data: Training rows; columns are the feature and then the outputs.
        reference: The method that the others are compared with, or None.
        style_of: The style of each method; by default in the order of the predictions.
        target: The output to show; by default the first.

    Returns:
        The figure; None without predictions over exactly one feature of the reference and of another method.

    Raises:
        ValueError: If the target is unknown.
    """
    rows = complete_rows(predictions, ("method", "seed", "query_point", "output", "x", "epistemic_variance"))
    if rows.empty:
        return None
    target = target_of(rows, target)
    rows = with_latent(with_columns(rows[rows["output"] == target], ("region",)))
    style_of = style_of or styles(rows["method"])
    methods = [method for method in style_of if (rows["method"] == method).any() and method != reference]
    if reference is None or not (rows["method"] == reference).any() or not methods:
        return None
    sds = {method: _over_seeds(rows[rows["method"] == method]) for method in (*methods, reference)}
    own = sds[reference]
    zeros = any((sd["sd"] == 0).any() for sd in sds.values())
    figure, panels, strips = panels_of(len(methods), strips=zeros)
    low, high = _limits(sds.values(), own)
    for ax, strip, method in zip(panels.flat, strips.flat, methods, strict=False):
        log_scale(ax, "y", low, high)
        if zeros:
            zero_strip(strip, "y")
            ax.tick_params(axis="x", length=0)
            ax.spines["bottom"].set_visible(False)
        plain(ax)
        colour = style_of[method].colour
        _draw_panel(ax, strip, sds[method], own, colour)
        ax.plot(data.iloc[:, 0], [0.03] * len(data), "|", color=GREY, markersize=9, transform=ax.get_xaxis_transform())
        ax.set_title(method, loc="left", pad=22, fontsize=TITLE, fontweight="bold", color=colour)
    for ax in panels[:, 0]:
        ax.set_ylabel(f"sd of {target} over draws", fontsize=TEXT)
    label_feature(strips, len(methods), data.columns[0])
    handles = _legend(reference, rows["seed"].nunique(), latent=bool(rows["latent_variance"].any()))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=TEXT)
    return figure


def _over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each query point, in ascending order of x.

    The column `sd` is the geometric mean over seeds of the epistemic sd; `lowest` and `highest` are the smallest and
    largest sd of a seed. `over_draws` is the geometric mean of the sd of epistemic and latent variance together, or NaN
    where no variance is latent.
    """
    over_draws = np.sqrt(rows["epistemic_variance"] + rows["latent_variance"])
    rows = rows.assign(sd=np.sqrt(rows["epistemic_variance"]))
    with np.errstate(divide="ignore"):
        rows = rows.assign(log=np.log(rows["sd"]), log_over_draws=np.log(over_draws))
    points = rows.groupby("query_point")
    sds = {"lowest": points["sd"].min(), "sd": np.exp(points["log"].mean()), "highest": points["sd"].max()}
    latent = points["latent_variance"].max() > 0
    sds["over_draws"] = np.exp(points["log_over_draws"].mean()).where(latent)
    return pd.DataFrame({"x": points["x"].first(), "region": points["region"].first(), **sds}).sort_values("x")


def _limits(sds: Iterable[pd.DataFrame], reference: pd.DataFrame) -> tuple[float, float]:
    """Return the limits of the y axis: all lines and bands, within `REACH` times the range of the reference."""
    lowest, highest = positive_range(np.concatenate([sd[["lowest", "highest", "over_draws"]] for sd in sds], axis=None))
    low, high = positive_range(reference["sd"].to_numpy())
    return max(lowest, low / REACH) / 1.5, min(highest, high * REACH) * 1.5


def _draw_panel(ax: Axes, strip: Axes, method: pd.DataFrame, reference: pd.DataFrame, colour: str) -> None:
    shade_regions(ax, reference["x"].to_numpy(), reference["region"].to_numpy(dtype=object))
    low, high = ax.get_ylim()
    for table, name, shade, width in (
        (reference, "reference", REFERENCE_COLOUR, WIDE),
        (method, "method", colour, NARROW),
    ):
        x, sd = table["x"].to_numpy(), table["sd"].to_numpy()
        if (table["highest"] > table["lowest"]).any():
            band = table[["lowest", "highest"]].clip(low / 10, high * 10).to_numpy().T
            ax.fill_between(x, *band, color=shade, alpha=BAND_ALPHA, linewidth=0, label=f"{name}'s seeds")
        ax.plot(x, np.where(sd > 0, sd, np.nan), color=shade, linewidth=width, label=name)
        if (sd == 0).any():
            strip.plot(x, np.where(sd == 0, 0.0, np.nan), color=shade, linewidth=width, label=name)
        if table["over_draws"].notna().any():
            ax.plot(x, table["over_draws"], ":", color=shade, linewidth=width + 0.6, label=f"{name} with latents")
    x, sd = method["x"].to_numpy(), method["sd"].to_numpy()
    below, above = (sd > 0) & (sd < low), sd > high
    mark_leaving(ax, x, below, above, colour)
    note = f"sd spans {rounded(sd.min())} to {rounded(sd.max())}" if (below | above).any() else ""
    ax.annotate(note, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=TEXT - 1, color=GREY, in_layout=False)


def _legend(reference: str, seeds: int, *, latent: bool) -> list[Line2D | Patch]:
    dotted = Line2D([], [], color=GREY, linestyle=":", linewidth=NARROW + 0.6, label="with latents, noise of the row")
    band = Patch(color=GREY, alpha=BAND_ALPHA, linewidth=0, label="smallest to largest of the seeds")
    return [
        Line2D([], [], color=REFERENCE_COLOUR, linewidth=WIDE, label=f"{reference}, the reference"),
        Line2D([], [], color=GREY, linewidth=NARROW, label="geometric mean over seeds" if seeds > 1 else "the method"),
        *([band] if seeds > 1 else []),
        *([dotted] if latent else []),
        *region_handles(),
        Line2D(
            [], [], label="training inputs", color=GREY, marker="|", linestyle="", markersize=10, markeredgewidth=1.5
        ),
    ]
