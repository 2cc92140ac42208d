"""The parts of a Matplotlib figure, by what is seen of them."""

from __future__ import annotations

import io
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text


def drawn(figure: Figure) -> bytes:
    """The figure as PNG, which fails if anything in it cannot be drawn."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def axes(figure: Figure) -> list[Any]:
    return list(figure.axes)


def panel(figure: Figure, title: str, loc: str = "left") -> Any:
    """The axes of this title."""
    return next(ax for ax in figure.axes if ax.get_title(loc=loc) == title)


def title_colour(figure: Figure, title: str) -> str:
    """The colour of the title to the left of a panel."""
    (text,) = (text for text in panel(figure, title).findobj(Text) if text.get_text() == title)
    return to_hex(text.get_color())


def lines_of(ax: Any, label: str) -> list[Any]:
    return [line for line in ax.lines if line.get_label() == label]


def band(ax: Any, label: str, at: Any) -> npt.NDArray[np.float64]:
    """Lower and upper edge `[N, 2]` of a filled band at each of the places."""
    (filled,) = (collection for collection in ax.collections if collection.get_label() == label)
    x, y = filled.get_paths()[0].vertices.T
    return np.array([(y[np.isclose(x, place)].min(), y[np.isclose(x, place)].max()) for place in at])


def texts_of(figure: Figure) -> list[tuple[Text, Any]]:
    """The texts that are seen, and where, in dots."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    every = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text() and text.get_visible()]
    places = [(text, text.get_window_extent(canvas.get_renderer())) for text in every]
    ticks = {
        text: ax.get_window_extent().padded(1)
        for ax in [*figure.axes, *(child for ax in figure.axes for child in ax.child_axes)]
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        for text in (tick.label1, tick.label2)
    }
    off = {text for ax in figure.axes if not ax.axison for text in ax.findobj(Text)}
    shown = []
    for text, place in places:
        own = ticks.get(text)
        x, y = (place.x0 + place.x1) / 2, (place.y0 + place.y1) / 2
        beside = own is None or own.x0 <= x <= own.x1 or own.y0 <= y <= own.y1
        if beside and text not in off:
            shown.append((text, place))
    return shown


def rows_of_images(ax: Any) -> list[list[Any]]:
    """The images by row from the top, each from the left."""
    tiles = {(round(image.get_extent()[0], 6), round(image.get_extent()[3], 6)): image for image in ax.images}
    return [[tiles[place] for place in sorted(tiles) if place[1] == top] for top in sorted({top for _, top in tiles})]


def assert_readable(name: str, figure: Figure) -> None:
    """Assert that texts are large enough, and none is cut off or upon another, unless it has an outline."""
    seen = texts_of(figure)
    assert len(seen) > 4
    for text, place in seen:
        assert text.get_fontsize() >= 11, (name, text)
        assert place.x0 > -1, (name, text)
        assert place.y0 > -1, (name, text)
        assert place.x1 < figure.bbox.width + 1, (name, text)
        assert place.y1 < figure.bbox.height + 1, (name, text)
    apart = [(text, place) for text, place in seen if not text.get_path_effects()]
    for (one, its), (other, others) in combinations(apart, 2):
        assert not its.padded(-1).overlaps(others.padded(-1)), (name, one, other)


def assert_large(figure: Figure) -> None:
    """Assert that ticks and legends can be read at half size."""
    drawn(figure)
    ticks = [tick for ax in figure.axes for tick in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    every = [*ticks, *(text for legend in figure.legends for text in legend.get_texts())]
    assert min(float(text.get_fontsize()) for text in every) >= 11
