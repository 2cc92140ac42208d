"""All figures of a comparison of methods on one dataset, from its tables alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd
from matplotlib.figure import Figure

from variational_bnn.report.figures.axes import Style, styles
from variational_bnn.report.figures.bands import plot_bands
from variational_bnn.report.figures.distance import plot_distance
from variational_bnn.report.figures.entropy import plot_entropy
from variational_bnn.report.figures.inputs import complete_rows
from variational_bnn.report.figures.names import DrawnNames
from variational_bnn.report.figures.reference import plot_reference
from variational_bnn.report.figures.reference_distance import plot_reference_distance
from variational_bnn.report.figures.regions import plot_regions
from variational_bnn.report.figures.reliability import plot_reliability
from variational_bnn.report.figures.traces import Traces, plot_traces


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparisonRows:
    """The tables that the figures of a comparison are made from.

    A column that is missing counts as NaN, and one of latents as 0.

    Attributes:
        results: A row for each method, seed and region of one dataset, as in `Comparison.results`.
        predictions: A row for each method, seed, query point and output, as in `Comparison.predictions`; it may be
            empty.
        data: Training rows; columns are the features and then the outputs.
        summary: A row for each method, as in `Comparison.table`.
        reference: The method that the others are compared with, or None.
        traces: From (dataset, method, seed) to the arrays of a run, with `trace` and `warmup` where it has Markov
            chains.
    """

    results: pd.DataFrame
    predictions: pd.DataFrame
    data: pd.DataFrame
    summary: pd.DataFrame
    reference: str | None = None
    traces: Traces = field(default_factory=dict)


FIGURES: dict[str, Callable[[ComparisonRows, Mapping[str, Style]], Figure | None]] = {
    "regions": lambda rows, style_of: plot_regions(rows.summary, style_of),
    "entropy": lambda rows, style_of: plot_entropy(rows.results, style_of),
    "distance": lambda rows, style_of: plot_distance(rows.predictions, style_of),
    "bands": lambda rows, style_of: plot_bands(rows.predictions, rows.data, style_of),
    "reference": lambda rows, style_of: plot_reference(rows.predictions, rows.data, rows.reference, style_of),
    "reference_distance": lambda rows, style_of: plot_reference_distance(rows.summary, rows.reference, style_of),
    "reliability": lambda rows, style_of: plot_reliability(rows.predictions, style_of),
    "traces": lambda rows, style_of: plot_traces(rows.traces, style_of),
}
"""From the name of a figure to the function that draws it, which returns None where the figure does not apply."""


def plot_comparison(rows: ComparisonRows) -> dict[str, Figure]:
    """Draw every figure of `FIGURES` that applies to the rows.

    A method has the same colour, marker and line in all figures. Figures are made without pyplot, so that no window is
    opened and no global state is changed. Names may be of any script: see `DrawnNames`.

    Args:
        rows: The tables of a comparison.

    Returns:
        The figures by name, without those that do not apply; empty if there are no results.
    """
    methods, outputs = _methods(rows), complete_rows(rows.predictions, ("output",))["output"].unique()
    features = [name for name in rows.data.columns if name not in outputs]
    names = DrawnNames.of([*methods, *outputs, *(features if len(features) == 1 else [])])  # Of several, none is drawn.
    rows = _renamed(rows, names.shown)
    style_of = styles(_methods(rows))
    drawn = {name: draw(rows, style_of) for name, draw in FIGURES.items()}
    figures = {name: figure for name, figure in drawn.items() if figure is not None}
    for figure in figures.values():
        names.dress(figure)
    return figures


def _methods(rows: ComparisonRows) -> list[str]:
    tables = (rows.results, rows.summary, rows.predictions)
    named = [name for table in tables for name in complete_rows(table, ("method",))["method"].unique()]
    return [*named, *(method for _, method, _ in rows.traces)]


def _renamed(rows: ComparisonRows, shown: Mapping[str, str]) -> ComparisonRows:
    """Return the rows with names of methods, features and outputs as they are drawn."""

    def table(of: pd.DataFrame) -> pd.DataFrame:
        columns = [column for column in ("method", "output") if column in of]
        return of.assign(**{column: of[column].map(shown) for column in columns})

    return replace(
        rows,
        results=table(rows.results),
        predictions=table(rows.predictions),
        summary=table(rows.summary),
        data=rows.data.rename(columns=dict(shown)),
        reference=None if rows.reference is None else shown.get(rows.reference, rows.reference),
        traces={(dataset, shown[method], seed): run for (dataset, method, seed), run in rows.traces.items()},
    )
