"""A comparison has the figures that its rows allow, and a method looks alike in all of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd
import pytest
from figure_parts import assert_large, axes, drawn, lines_of, panel, title_colour
from matplotlib.colors import to_hex
from report_rows import (
    DATA,
    REFERENCE_METHODS,
    predictions,
    reference_predictions,
    reference_summary,
    results,
    traces,
)

from variational_bnn.evaluation.summary import summarise
from variational_bnn.report.figures.comparison import FIGURES, ComparisonRows, plot_comparison

BASIC = {"bands", "regions", "distance"}
PREDICTED = ["dataset", "method", "seed", "query_point", "output", "region", "distance", "x", "pit", "mean"]


def _rows(methods: Any = REFERENCE_METHODS, **others: Any) -> ComparisonRows:
    """Rows of all methods, with a summary of their results alone unless another is given."""
    rows: dict[str, Any] = {"results": results(methods), "predictions": reference_predictions(methods), "data": DATA}
    if "summary" not in others:
        rows["summary"] = summarise(others.get("results", rows["results"]))
    return ComparisonRows(**{**rows, **others})


def _full(methods: Any = REFERENCE_METHODS, **others: Any) -> ComparisonRows:
    """Rows with a reference, distances to it, held-out targets and Markov chains."""
    summary = summarise(results(methods)).drop(columns=["fit_seconds", "predict_seconds"])
    rows: dict[str, Any] = {
        "predictions": reference_predictions(methods, pit=0.5),
        "summary": summary.merge(reference_summary(), on="method", how="left"),
        "reference": "hmc",
        "traces": traces(["hmc"]),
    }
    return _rows(methods, **{**rows, **others})


def test_every_figure_has_its_name() -> None:
    classes = results(REFERENCE_METHODS, entropy=1.0, mutual_information=0.5)
    assert list(plot_comparison(_full(results=classes))) == list(FIGURES)
    assert list(FIGURES) == [
        "regions",
        "entropy",
        "distance",
        "bands",
        "reference",
        "reference_distance",
        "reliability",
        "traces",
    ]


def test_all_figures_that_the_rows_allow() -> None:
    rows = _rows(["output", "flipout", "hidden"], predictions=predictions())
    assert set(plot_comparison(rows)) == BASIC
    several = predictions().assign(x=math.nan)
    assert set(plot_comparison(_rows(predictions=several))) == {"regions", "distance"}
    assert set(plot_comparison(_rows(["output"], predictions=predictions().iloc[:0]))) == {"regions"}


def test_all_figures_that_a_reference_allows() -> None:
    rest = {"reference", "reference_distance", "reliability", "traces"}
    held_out = reference_predictions(pit=0.5)
    assert set(plot_comparison(_rows(predictions=held_out))) == BASIC | {"reliability"}
    assert set(plot_comparison(_full())) == BASIC | rest
    several = _full(predictions=held_out.assign(x=math.nan))
    assert set(plot_comparison(several)) == (BASIC | rest) - {"bands", "reference"}
    assert set(plot_comparison(_rows(reference="hmc"))) == BASIC | {"reference"}


def test_a_reference_that_failed_or_is_alone_makes_no_figure() -> None:
    for methods in (["output", "flipout"], ["hmc"]):
        rows = _rows(predictions=reference_predictions(methods), reference="hmc")
        assert set(plot_comparison(rows)) == BASIC
    for nothing in (reference_predictions().iloc[:0], pd.DataFrame()):
        assert set(plot_comparison(_rows(predictions=nothing, reference="hmc"))) == {"regions"}
    unknown = reference_summary()
    unknown.loc[unknown["method"] != "hmc", unknown.columns[3:]] = math.nan
    assert "reference_distance" not in plot_comparison(_full(summary=unknown))


def test_without_results_there_are_no_figures() -> None:
    nothing = pd.DataFrame()
    assert plot_comparison(_rows(results=results().iloc[:0], predictions=nothing)) == {}
    assert plot_comparison(ComparisonRows(results=nothing, predictions=nothing, data=DATA, summary=nothing)) == {}


def test_if_every_run_failed_the_methods_are_still_named() -> None:
    failed = results(REFERENCE_METHODS).assign(status="diverged", epistemic_variance=math.nan)
    rows = _rows(results=failed, predictions=pd.DataFrame(columns=PREDICTED), reference=None)
    figures = plot_comparison(rows)
    assert set(figures) == {"regions"}
    assert drawn(figures["regions"])


COLUMNS = {
    "results": ["method", "seed", "region", "status", "entropy", "mutual_information"],
    "predictions": [*PREDICTED, "epistemic_variance", "aleatoric_variance"],
    "summary": ["method", "seeds_ok", "seeds_failed", "sd_near", "sd_beyond_low", "fit_seconds", "wasserstein_near"],
}


@pytest.mark.parametrize("table", COLUMNS)
def test_any_column_may_be_unknown(table: str) -> None:
    rows = _full(results=results(REFERENCE_METHODS, entropy=1.0, mutual_information=0.5))
    whole = getattr(rows, table)
    for column in COLUMNS[table]:
        part = dataclasses.replace(rows, **{table: whole.assign(**{column: math.nan})})
        assert all(figure.axes for figure in plot_comparison(part).values())


def test_a_method_keeps_its_colour_where_another_failed() -> None:
    rows = _rows(["output", "flipout", "hidden"], predictions=predictions(["flipout", "hidden"]))
    figures = plot_comparison(rows)
    line = lines_of(figures["distance"].axes[0], "hidden")[0]
    point = figures["regions"].axes[-1].lines[-1]
    colours = {title_colour(figures["bands"], "hidden"), to_hex(line.get_color()), to_hex(point.get_color())}
    assert colours == {"#009e73"}


def test_a_method_looks_alike_in_all_figures() -> None:
    figures = plot_comparison(_full(predictions=reference_predictions(["flipout", "hmc"], pit=0.5)))
    every = (
        *lines_of(panel(figures["reference"], "flipout"), "method"),
        *lines_of(axes(figures["reference_distance"])[0], "flipout"),
        *lines_of(axes(figures["reliability"])[0], "flipout"),
    )
    assert {to_hex(line.get_color()) for line in every} == {"#d55e00"}
    assert title_colour(figures["traces"], "hmc") == "#009e73"


def test_texts_can_be_read_at_half_size() -> None:
    basic = plot_comparison(_rows(["output", "flipout", "hidden"], predictions=predictions()))
    full = plot_comparison(_full(traces=traces()))
    for figure in (*basic.values(), *full.values()):
        assert_large(figure)
