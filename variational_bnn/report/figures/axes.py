"""What all figures share: the style of each method, sizes of text, and logarithmic axes with a place for zeros."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from variational_bnn.base import BETWEEN, BEYOND, NEAR
from variational_bnn.base.checks import Array
from variational_bnn.report.cells import short

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255")
"""Six colours of Okabe and Ito (2008) and a dark red of Tol; black and grey are left for data and references."""
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
REGION_MARKERS = {NEAR: "o", BETWEEN: "D", BEYOND: "^"}
REGION_SHADES = {NEAR: "#FFFFFF", BETWEEN: "#FBF0D9", BEYOND: "#EBEBEB"}
GREY, LIGHT = "#555555", "#D0D0D0"
HATCH = "//////"
"""The pattern of what is latent: noise of the row."""
TEXT, TITLE = 12, 14
DOTS_PER_INCH = 150


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a method is drawn.

    Attributes:
        colour: A Matplotlib colour.
        marker: A Matplotlib marker.
        line: A Matplotlib line style.
    """

    colour: str
    marker: str
    line: str

    @property
    def line_properties(self) -> dict[str, Any]:
        """The arguments of this style for `Axes.plot` and `Line2D`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "linewidth": 2.2,
            "markersize": 6,
        }


def styles(methods: Iterable[str]) -> dict[str, Style]:
    """Give each method a style, in the order in which the methods first appear.

    The first seven styles differ in colour; later ones repeat the colours with a dashed line.
    """
    return {
        name: Style(
            colour=COLOURS[position % len(COLOURS)],
            marker=METHOD_MARKERS[position % len(METHOD_MARKERS)],
            line="-" if position < len(COLOURS) else "--",
        )
        for position, name in enumerate(dict.fromkeys(methods))
    }


def plain(ax: Axes) -> None:
    """Keep only the left and the lower spine, and set the size of the tick labels."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=TEXT)


def log_scale(ax: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Make an axis logarithmic from low to high, with plain decimal numbers as tick labels."""
    ax.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: rounded(value)))
    axis.set_minor_locator(NullLocator())


def zero_strip(strip: Axes, which: Literal["x", "y"]) -> None:
    """Prepare narrow axes beside logarithmic ones, in which values that are exactly zero are drawn."""
    strip.set(**{f"{which}lim": (-1, 1), f"{which}ticks": [0], f"{which}ticklabels": ["0"]})
    strip.set_facecolor("#F3F3F3")


def positive_range(values: Array) -> tuple[float, float]:
    """Return the smallest and the largest finite value above zero; 0.1 and 10 if there is none."""
    positive = values[np.isfinite(values) & (values > 0)]
    return (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 10.0)


def rounded(value: float) -> str:
    """Format a number with three significant digits, as in tables (see `short`)."""
    return short(value, 3).replace("-", "\N{MINUS SIGN}")
