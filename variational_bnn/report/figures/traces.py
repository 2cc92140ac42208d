"""Log posterior density along Markov chains: a panel a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from variational_bnn.base.checks import Array, require
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, LIGHT, TEXT, TITLE, Style, plain, rounded, styles

Traces = Mapping[tuple[str, str, int], Mapping[str, npt.NDArray[Any]]]
"""From (dataset, method, seed) to the arrays of a run, by name."""

MARK: dict[str, Any] = {"color": GREY, "markersize": 9, "clip_on": False, "zorder": 5}
NOTE: dict[str, Any] = {"fontsize": TEXT - 1, "color": GREY, "in_layout": False}
WARMUP: dict[str, Any] = {"color": LIGHT, "alpha": 0.6, "linewidth": 0}
TAILS = (0.005, 0.995)
"""Quantiles of the kept steps; the axis reaches beyond each by half their distance."""


def plot_traces(traces: Traces, style_of: Mapping[str, Style] | None = None) -> Figure | None:
    """Draw the log posterior density along the Markov chains of each method's first seed: a line a chain.

    The y axis shows the kept steps, from their 0.5 % to their 99.5 % quantile and half as much again on either side.
    Where chains leave it, as in their warm-up, a triangle marks the first such step and the panel states the extreme
    value. A recorded step of one method is not as much work as one of another.

    Args:
        traces: From (dataset, method, seed) to `trace` `[steps, chains]`, in nats, and `warmup`, the number of steps
            that are not kept. Entries without a `trace` are left out.
        style_of: The style of each method; by default in the order of the traces.

    Returns:
        The figure; None without traces.

    Raises:
        ValueError: If a trace has another shape, or a warm-up is longer than its trace.
    """
    first: dict[str, tuple[Array, int]] = {}
    for (dataset, method, seed), chains in traces.items():
        if method not in first and "trace" in chains:
            first[method] = _checked(f"{dataset} / {method} / seed {seed}", chains)
    if not first:
        return None
    style_of = style_of or styles(first)
    layout = ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.08)
    figure = Figure(figsize=(9, 2.7 * len(first) + 0.8), dpi=DOTS_PER_INCH, layout=layout)
    axes = figure.subplots(len(first), 1, squeeze=False)[:, 0]
    for ax, (method, (trace, warmup)) in zip(axes, first.items(), strict=True):
        colour = style_of[method].colour
        _draw_chains(ax, trace, warmup, colour)
        ax.set_title(method, loc="left", pad=22, fontsize=TITLE, fontweight="bold", color=colour)
    axes[-1].set_xlabel("recorded step", fontsize=TEXT)
    figure.supylabel("log posterior density", fontsize=TEXT)
    shade = Patch(label="warm-up, not kept", **WARMUP)
    figure.legend(handles=[shade], loc="outside lower center", frameon=False, fontsize=TEXT)
    return figure


def _checked(run: str, chains: Mapping[str, npt.NDArray[Any]]) -> tuple[Array, int]:
    """Return the trace `[steps, chains]` of a run and its warm-up; raise `ValueError` if they do not fit."""
    trace, warmup = np.asarray(chains["trace"], dtype=np.float64), int(chains.get("warmup", np.zeros(())))
    require(trace.ndim == 2, f"the trace of {run} must have shape [steps, chains], got {list(trace.shape)}")
    require(trace.size > 0, f"the trace of {run} must have steps and chains, got shape {list(trace.shape)}")
    require(0 <= warmup <= len(trace), f"the warm-up of {run} must be from 0 to {len(trace)} steps, got {warmup}")
    return trace, warmup


def _draw_chains(ax: Axes, trace: Array, warmup: int, colour: str) -> None:
    steps = np.arange(1, len(trace) + 1)
    ax.axvspan(0, warmup + 0.5, zorder=0, **WARMUP)
    shades = _shades(colour, trace.shape[1])
    for chain, shade in zip(trace.T, shades, strict=True):
        ax.plot(steps, chain, color=shade, linewidth=0.9, label="chain")
    low, high = _limits(trace, warmup)
    ax.set(xlim=(0, len(trace) + 0.5), ylim=(low, high))
    words = [f"{trace.shape[1]} chain{'s' if trace.shape[1] > 1 else ''}"]
    for height, marker, outside, word, far in (
        (0.05, "v", trace < low, "low", np.nanmin),
        (0.95, "^", trace > high, "high", np.nanmax),
    ):
        if outside.any():
            first = steps[outside.any(axis=1)][:1]
            ax.plot(first, [height], marker, transform=ax.get_xaxis_transform(), **MARK)
            words.append(f"as {word} as {rounded(far(trace))}")
    ax.annotate(", ".join(words), (0, 1), (0, 5), "axes fraction", "offset points", **NOTE)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    plain(ax)


def _limits(trace: Array, warmup: int) -> tuple[float, float]:
    """Return the limits of the y axis: from the kept steps, or from all steps if no kept one is finite."""
    kept = next((part for part in (trace[warmup:], trace) if np.isfinite(part).any()), np.zeros(1))
    low, high = np.quantile(kept[np.isfinite(kept)], TAILS)
    margin = 0.5 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _shades(colour: str, count: int) -> list[Array]:
    """Return so many shades of the colour, from light to dark."""
    own, places = np.array(to_rgb(colour)), np.linspace(0.5, -0.45, count) if count > 1 else np.zeros(1)
    return [own + place * (1 - own) if place > 0 else own * (1 + place) for place in places]
