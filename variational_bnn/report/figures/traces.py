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
from variational_bnn.report.figures.axes import DOTS_PER_INCH, GREY, LIGHT, TEXT, TITLE, Style, plain, rounded

Traces = Mapping[tuple[str, str, int], Mapping[str, npt.NDArray[Any]]]
MARK: dict[str, Any] = {"color": GREY, "markersize": 9, "clip_on": False, "zorder": 5}
NOTE: dict[str, Any] = {"fontsize": TEXT - 1, "color": GREY, "in_layout": False}
WARMUP: dict[str, Any] = {"color": LIGHT, "alpha": 0.6, "linewidth": 0}
TAILS = (0.005, 0.995)
"""Quantiles of the kept steps that the axis reaches half their distance beyond."""


def chain_traces(traces: Traces, looks: Mapping[str, Style]) -> Figure:
    require(len(traces) > 0, "traces of at least one cell are wanted, got none")
    first: dict[str, tuple[Array, int]] = {}
    for (dataset, method, seed), chains in traces.items():
        if method not in first:
            first[method] = _checked(f"{dataset} / {method} / seed {seed}", chains)
    layout = ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.08)
    figure = Figure(figsize=(9, 2.7 * len(first) + 0.8), dpi=DOTS_PER_INCH, layout=layout)
    axes = figure.subplots(len(first), 1, squeeze=False)[:, 0]
    for ax, (method, (trace, warmup)) in zip(axes, first.items(), strict=True):
        _draw_chains(ax, trace, warmup, looks[method].colour)
        ax.set_title(method, loc="left", pad=22, fontsize=TITLE, fontweight="bold", color=looks[method].colour)
    axes[-1].set_xlabel("recorded step", fontsize=TEXT)
    figure.supylabel("log posterior density", fontsize=TEXT)
    shade = Patch(label="warm-up, not kept", **WARMUP)
    figure.legend(handles=[shade], loc="outside lower center", frameon=False, fontsize=TEXT)
    return figure


def _checked(cell: str, chains: Mapping[str, npt.NDArray[Any]]) -> tuple[Array, int]:
    trace, warmup = np.asarray(chains["trace"], dtype=np.float64), int(chains["warmup"])
    require(trace.ndim == 2, f"the trace of {cell} must have shape [steps, chains], got {list(trace.shape)}")
    require(trace.size > 0, f"the trace of {cell} must have steps and chains, got shape {list(trace.shape)}")
    require(0 <= warmup <= len(trace), f"the warm-up of {cell} must be from 0 to {len(trace)} steps, got {warmup}")
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
    """Of the kept steps; of all if none of them is finite, as in a fit that failed."""
    kept = next((part for part in (trace[warmup:], trace) if np.isfinite(part).any()), np.zeros(1))
    low, high = np.quantile(kept[np.isfinite(kept)], TAILS)
    margin = 0.5 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _shades(colour: str, count: int) -> list[Array]:
    """From a light to a dark shade of the colour."""
    own, places = np.array(to_rgb(colour)), np.linspace(0.5, -0.45, count) if count > 1 else np.zeros(1)
    return [own + place * (1 - own) if place > 0 else own * (1 + place) for place in places]
