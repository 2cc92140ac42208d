"""The figures against a reference show the tables: sds, distances, coverages and chains as they are, zeros apart."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from variational_bnn.base import REGIONS
from variational_bnn.experiments.csv_tables import results_table
from variational_bnn.experiments.result import Result
from variational_bnn.report.figures.figures import (
    plot_all,
    plot_reference,
    plot_reference_distance,
    plot_reliability,
    plot_traces,
)

X = np.linspace(-1.5, 1.5, 61)
REGION = np.where(np.abs(X) > 0.5, "beyond", np.where(np.abs(X) < 0.19, "between", "near"))
DATA = pd.DataFrame({"x": [-0.5, -0.2, 0.2, 0.5], "y": [0.0, -10.0, 10.0, 0.0], "b": [0.0, 1.0, 2.0, 3.0]})
METHODS = ("output", "flipout", "hmc")
SDS = {"output": 0 * X, "flipout": 0.5 + np.abs(X), "hmc": 1 + X**2}


def _predictions(
    methods: Sequence[str] = METHODS, *, seeds: int = 3, outputs: Sequence[str] = ("y",), pit: Any = math.nan
) -> pd.DataFrame:
    """Seed s has 2^s times the sd of `SDS`, and output k 1 + k times that; rows are in no order of x."""
    parts = [
        pd.DataFrame(
            {
                "dataset": "lecture",
                "method": method,
                "seed": seed,
                "query_point": range(len(X)),
                "output": output,
                "region": REGION,
                "distance": 1 + np.abs(X),
                "x": X,
                "y": math.nan,
                "pit": pit,
                "mean": 0.0,
                "epistemic_variance": (SDS.get(method, 1 + X**2) * 2**seed * (1 + place)) ** 2,
                "aleatoric_variance": 1.0,
            }
        ).sample(frac=1, random_state=0)
        for method in methods
        for seed in range(seeds)
        for place, output in enumerate(outputs)
    ]
    return pd.concat(parts, ignore_index=True)


def _results(methods: Sequence[str] = METHODS) -> pd.DataFrame:
    return results_table(
        Result(dataset="lecture", method=method, seed=0, region=region, epistemic_variance=1.0)
        for method in methods
        for region in REGIONS
    )


def _summary(methods: Sequence[str] = METHODS) -> pd.DataFrame:
    """Method k is at a distance of k + 1 near, twice that between and four times that beyond, and takes 10^k + 1 s."""
    rows = [
        {"method": method, "fit_seconds": 10.0**place, "predict_seconds": 1.0}
        | {
            f"wasserstein_{region}{bound}": (place + 1) * 2.0**number * factor
            for number, region in enumerate(REGIONS)
            for bound, factor in (("", 1.0), ("_low", 0.8), ("_high", 1.25))
        }
        for place, method in enumerate(methods)
    ]
    return pd.DataFrame(rows)


def _traces(methods: Sequence[str] = ("hmc", "sgld"), steps: int = 300) -> dict[Any, Any]:
    """Two chains from -100 000 that settle at -80 +- 5 within the first third, the warm-up."""
    start = -1e5 * np.exp(-np.arange(steps) / 3)[:, None]
    chains = start - 80 + 5 * np.sin(np.arange(steps)[:, None] + [0, 2])
    cell = {"warmup": np.array(steps // 3)}
    return {("lecture", method, seed): {**cell, "trace": chains + seed} for method in methods for seed in (1, 0)}


def _drawn(figure: Figure) -> bytes:
    """The figure as PNG, which fails if anything in it cannot be drawn."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def _axes(figure: Figure) -> list[Any]:
    return list(figure.axes)


def _panel(figure: Figure, title: str, loc: str = "left") -> Any:
    return next(ax for ax in figure.axes if ax.get_title(loc=loc) == title)


def _lines(ax: Any, label: str) -> list[Any]:
    return [line for line in ax.lines if line.get_label() == label]


def test_reference_lines_are_geometric_means_over_seeds_and_bands_the_extremes() -> None:
    figure = plot_reference(_predictions(), DATA, "hmc")
    ax = _panel(figure, "flipout")
    for label, method in (("method", "flipout"), ("reference", "hmc")):
        (line,) = _lines(ax, label)
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([X, 2 * SDS[method]]))
        (band,) = (filled for filled in ax.collections if filled.get_label() == f"{label}'s seeds")
        x, y = band.get_paths()[0].vertices.T
        edges = np.array([(y[np.isclose(x, at)].min(), y[np.isclose(x, at)].max()) for at in X])
        np.testing.assert_allclose(edges, np.column_stack([SDS[method], 4 * SDS[method]]))
    assert to_hex(_lines(ax, "reference")[0].get_color()) == "#000000"
    assert not any(ax.get_title(loc="left") == "hmc" for ax in figure.axes)
    assert _drawn(figure)


def test_no_variance_is_drawn_at_zero_beside_the_axis() -> None:
    panels, strips = np.split(np.array(_axes(plot_reference(_predictions(), DATA, "hmc"))), 2)
    (line,) = _lines(strips[0], "method")
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([X, 0 * X]))
    assert np.isnan(_lines(panels[0], "method")[0].get_ydata()).all()
    assert not _lines(strips[1], "method")
    assert [text.get_text() for text in strips[0].get_yticklabels()] == ["0"]
    assert len(_axes(plot_reference(_predictions(["flipout", "hmc"]), DATA, "hmc"))) == 1


def test_the_training_inputs_are_a_rug() -> None:
    (rug,) = (line for line in _axes(plot_reference(_predictions(), DATA, "hmc"))[0].lines if line.get_marker() == "|")
    np.testing.assert_array_equal(rug.get_xdata(), DATA["x"])


def test_a_target_can_be_chosen() -> None:
    figure = plot_reference(_predictions(outputs=("y", "b")), DATA, "hmc", "b")
    np.testing.assert_allclose(_lines(_panel(figure, "flipout"), "method")[0].get_ydata(), 4 * SDS["flipout"])
    assert _axes(figure)[0].get_ylabel() == "epistemic sd of b"


def test_a_method_far_from_the_reference_does_not_flatten_it() -> None:
    rows = _predictions(["flipout", "hidden", "hmc"], seeds=1)
    rows.loc[rows["method"] == "hidden", "epistemic_variance"] *= np.where(REGION == "near", 1e-12, 1e12)[
        rows.loc[rows["method"] == "hidden", "query_point"]
    ]
    figure = plot_reference(rows, DATA, "hmc")
    wild, calm = _panel(figure, "hidden"), _panel(figure, "flipout")
    low, high = wild.get_ylim()
    assert low > 1 / 50
    assert high < 3.25 * 50
    assert [len(line.get_xdata()) for line in wild.lines if line.get_marker() in "v^" and line.get_marker()] == [2, 3]
    assert wild.texts[0].get_text() == "sd spans 1.04e\N{MINUS SIGN}06 to 3.25e+06"
    assert calm.texts[0].get_text() == ""


@pytest.mark.parametrize("count", [1, 2, 4, 13])
def test_a_panel_for_every_method_but_the_reference(count: int) -> None:
    methods = [f"method {place}" for place in range(count)]
    figure = plot_reference(_predictions(["hmc", *methods], seeds=1), DATA, "hmc")
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.axison] == methods
    assert _drawn(figure)


def test_a_reference_needs_one_feature_and_another_method() -> None:
    with pytest.raises(ValueError, match="exactly one feature, x has NaN"):
        plot_reference(_predictions().assign(x=math.nan), DATA, "hmc")
    with pytest.raises(ValueError, match="unknown reference 'nuts'; known: output, flipout, hmc"):
        plot_reference(_predictions(), DATA, "nuts")
    with pytest.raises(ValueError, match="unknown target 'z'; known: y"):
        plot_reference(_predictions(), DATA, "hmc", "z")
    with pytest.raises(ValueError, match="methods other than the reference 'hmc' are wanted, got none"):
        plot_reference(_predictions(["hmc"]), DATA, "hmc")


def test_closeness_shows_distance_and_interval_against_cost() -> None:
    figure = plot_reference_distance(_summary(), "hmc")
    assert [ax.get_title() for ax in figure.axes] == list(REGIONS)
    for number, ax in enumerate(_axes(figure)):
        (point,) = _lines(ax, "flipout")
        assert (point.get_xdata()[0], point.get_ydata()[0]) == (11.0, 2.0 * 2**number)
        bars = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 2 and line.get_xdata()[0] == 11.0]
        np.testing.assert_allclose(bars, [[1.6 * 2**number, 2.5 * 2**number]])
    assert _drawn(figure)


def test_the_reference_is_a_line_and_no_point() -> None:
    ax = _axes(plot_reference_distance(_summary(), "hmc"))[0]
    assert not _lines(ax, "hmc")
    assert set(_lines(ax, "itself")[0].get_ydata()) == {3.0}
    assert set(_lines(ax, "cost")[0].get_xdata()) == {101.0}
    alone = _summary()
    alone.loc[alone["method"] == "hmc", alone.columns[3:]] = math.nan
    figure = plot_reference_distance(alone, "hmc")
    assert not [line for ax in _axes(figure) for line in _lines(ax, "itself") + _lines(ax, "cost")]
    assert "hmc against itself" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_what_has_no_distance_is_left_out() -> None:
    summary = _summary(["output", "flipout", "hmc"])
    summary.loc[0, [name for name in summary if name.startswith("wasserstein_near")]] = math.nan
    summary.loc[:, [name for name in summary if name.startswith("wasserstein_between")]] = math.nan
    near, beyond = _axes(plot_reference_distance(summary, "hmc"))
    assert [near.get_title(), beyond.get_title()] == ["near", "beyond"]
    assert not _lines(near, "output")
    assert _lines(beyond, "output")


def test_a_distance_of_zero_is_beside_the_axis_and_wide_intervals_are_marked() -> None:
    summary = _summary()
    summary.loc[0, ["wasserstein_near", "wasserstein_near_low", "wasserstein_near_high"]] = 0.0, math.nan, math.nan
    summary.loc[1, ["wasserstein_near_low", "wasserstein_near_high"]] = 1e-9, 1e9
    figure = plot_reference_distance(summary, "hmc")
    panels, strips = np.split(np.array(_axes(figure)), 2)
    assert not _lines(panels[0], "output")
    assert _lines(strips[0], "output")[0].get_ydata()[0] == 0.0
    assert {"v", "^"} <= {line.get_marker() for line in panels[0].lines}
    low, high = panels[0].get_ylim()
    assert low > 0.05
    assert high < 200
    assert _drawn(figure)


def test_closeness_refuses_what_it_cannot_show() -> None:
    with pytest.raises(ValueError, match="summary lacks the columns wasserstein_near_low, wasserstein_between"):
        plot_reference_distance(_summary().drop(columns=["wasserstein_near_low", "wasserstein_between"]), "hmc")
    with pytest.raises(ValueError, match="unknown reference 'nuts'; known: output, flipout, hmc"):
        plot_reference_distance(_summary(), "nuts")
    with pytest.raises(ValueError, match="no method has a distance to hmc"):
        plot_reference_distance(_summary(["hmc"]), "hmc")


def test_coverage_is_the_share_of_rows_inside() -> None:
    pit = np.random.default_rng(0).uniform(size=len(X)) ** 2
    rows = _predictions(["flipout"], pit=pit, outputs=("y", "b"))
    rows.loc[rows["region"] == "between", "pit"] = math.nan
    figure = plot_reliability(rows)
    assert [ax.get_title() for ax in figure.axes] == ["near, 14 rows", "beyond, 40 rows"]
    for ax, region in zip(_axes(figure), ("near", "beyond"), strict=True):
        (line,) = _lines(ax, "flipout")
        own = rows[(rows["region"] == region)]["pit"]
        for level, coverage in line.get_xydata()[::10]:
            assert coverage == pytest.approx((abs(2 * own - 1) <= level).mean())
    assert _drawn(figure)


def test_a_calibrated_forecast_is_within_the_band_and_a_narrow_one_is_not() -> None:
    levels = (np.argsort(np.random.default_rng(0).permutation(len(X))) + 0.5) / len(X)
    rows = pd.concat([_predictions(["flipout"], pit=levels), _predictions(["hidden"], pit=np.round(levels))])
    ax = _panel(plot_reliability(rows.assign(region="near")), "near, 61 rows", "center")
    (band,) = (filled for filled in ax.collections if filled.get_label() == "binomial")
    x, y = band.get_paths()[0].vertices.T
    edges = np.array([(y[np.isclose(x, at)].min(), y[np.isclose(x, at)].max()) for at in (0.305, 0.505, 0.705)])
    for method, inside in (("flipout", True), ("hidden", False)):
        coverage = _lines(ax, method)[0].get_ydata()[[30, 50, 70]]
        assert bool(((edges[:, 0] <= coverage) & (coverage <= edges[:, 1])).all()) == inside


def test_the_band_narrows_with_rows_but_not_with_seeds() -> None:
    def width(rows: pd.DataFrame) -> float:
        ax = _axes(plot_reliability(rows.assign(region="near")))[0]
        (band,) = (filled for filled in ax.collections if filled.get_label() == "binomial")
        x, y = band.get_paths()[0].vertices.T
        return float(np.ptp(y[np.isclose(x, 0.505)]))

    rows = _predictions(["flipout"], seeds=1, pit=0.5)
    assert width(rows) == width(_predictions(["flipout"], seeds=5, pit=0.5))
    assert width(rows[rows["query_point"] < 15]) > 1.5 * width(rows)


def test_reliability_needs_a_pit_from_zero_to_one() -> None:
    with pytest.raises(ValueError, match="needs held-out targets"):
        plot_reliability(_predictions())
    with pytest.raises(ValueError, match="needs held-out targets"):
        plot_reliability(_predictions().drop(columns="pit"))
    with pytest.raises(ValueError, match=r"pit must be from 0 to 1, got \[1.5\]"):
        plot_reliability(_predictions(pit=1.5))


def test_traces_are_the_first_seeds_chains_on_the_scale_of_what_is_kept() -> None:
    traces = _traces()
    figure = plot_traces(traces)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["hmc", "sgld"]
    ax = _panel(figure, "hmc")
    chains = _lines(ax, "chain")
    np.testing.assert_array_equal(chains[0].get_xdata(), np.arange(1, 301))
    wanted = traces["lecture", "hmc", 1]["trace"]
    np.testing.assert_array_equal(np.transpose([line.get_ydata() for line in chains]), wanted)
    low, high = ax.get_ylim()
    assert -95 < low < -84
    assert -74 < high < -60
    (shade,) = ax.patches
    assert (shade.get_x(), shade.get_width()) == (0, 100.5)
    assert ax.texts[0].get_text() == "2 chains, as low as \N{MINUS SIGN}100000"
    assert _drawn(figure)


def test_a_chain_that_is_stuck_stays_in_sight() -> None:
    traces = _traces(["hmc"])
    traces["lecture", "hmc", 1]["trace"][:, 1] = -5000.0
    assert _axes(plot_traces(traces))[0].get_ylim()[0] < -5000


@pytest.mark.parametrize("value", [math.nan, -math.inf, -3.0])
def test_traces_of_a_failed_fit_are_drawn(value: float) -> None:
    chains = {"trace": np.full((50, 3), value), "warmup": np.array(50)}
    figure = plot_traces({("lecture", "hmc", 0): chains})
    assert np.isfinite(_axes(figure)[0].get_ylim()).all()
    assert _drawn(figure)


def test_traces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="traces of at least one cell are wanted"):
        plot_traces({})
    with pytest.raises(
        ValueError, match=r"trace of lecture / hmc / seed 0 must have shape \[steps, chains\], got \[3\]"
    ):
        plot_traces({("lecture", "hmc", 0): {"trace": np.zeros(3), "warmup": np.array(1)}})
    with pytest.raises(ValueError, match=r"must have steps and chains, got shape \[0, 2\]"):
        plot_traces({("lecture", "hmc", 0): {"trace": np.zeros((0, 2)), "warmup": np.array(0)}})
    with pytest.raises(ValueError, match="warm-up of lecture / hmc / seed 0 must be from 0 to 3 steps, got 4"):
        plot_traces({("lecture", "hmc", 0): {"trace": np.zeros((3, 2)), "warmup": np.array(4)}})


def test_all_figures_that_a_reference_allows() -> None:
    basic, held_out = {"bands", "regions", "distance"}, _predictions(pit=0.5)
    full: dict[str, Any] = {"summary": _summary(), "reference": "hmc", "traces": _traces(["hmc"])}
    rest = {"reference", "reference_distance", "reliability", "traces"}
    assert set(plot_all(_results(), held_out, DATA)) == basic | {"reliability"}
    assert set(plot_all(_results(), held_out, DATA, **full)) == basic | rest
    several = held_out.assign(x=math.nan)
    assert set(plot_all(_results(), several, DATA, **full)) == (basic | rest) - {"bands", "reference"}
    assert set(plot_all(_results(), _predictions(), DATA, reference="hmc", traces={})) == basic | {"reference"}


def test_a_reference_that_failed_or_is_alone_makes_no_figure() -> None:
    basic = {"bands", "regions", "distance"}
    for methods in (["output", "flipout"], ["hmc"]):
        assert set(plot_all(_results(), _predictions(methods), DATA, reference="hmc")) == basic
    assert set(plot_all(_results(), _predictions().iloc[:0], DATA, reference="hmc")) == {"regions"}
    assert set(plot_all(_results(), pd.DataFrame(), DATA, reference="hmc")) == {"regions"}
    unknown = _summary()
    unknown.loc[unknown["method"] != "hmc", unknown.columns[3:]] = math.nan
    assert "reference_distance" not in plot_all(_results(), _predictions(), DATA, summary=unknown, reference="hmc")


def test_a_method_looks_alike_in_all_figures() -> None:
    full: dict[str, Any] = {"summary": _summary(), "reference": "hmc", "traces": _traces(["hmc"])}
    figures = plot_all(_results(), _predictions(["flipout", "hmc"], pit=0.5), DATA, **full)
    reference, closeness = _panel(figures["reference"], "flipout"), _axes(figures["reference_distance"])[0]
    lines = (
        *_lines(reference, "method"),
        *_lines(closeness, "flipout"),
        *_lines(_axes(figures["reliability"])[0], "flipout"),
    )
    assert {to_hex(line.get_color()) for line in lines} == {"#d55e00"}
    assert to_hex(_panel(figures["traces"], "hmc")._left_title.get_color()) == "#009e73"


def test_texts_can_be_read_at_half_size() -> None:
    full: dict[str, Any] = {"summary": _summary(), "reference": "hmc", "traces": _traces()}
    results = _results([*METHODS, "sgld"])
    for figure in plot_all(results, _predictions(pit=0.5), DATA, **full).values():
        _drawn(figure)
        ticks = [tick for ax in figure.axes for tick in (*ax.get_xticklabels(), *ax.get_yticklabels())]
        texts = [*ticks, *(text for legend in figure.legends for text in legend.get_texts())]
        assert min(float(text.get_fontsize()) for text in texts) >= 11
