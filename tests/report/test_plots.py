"""The figures show the rows: bands are mean +- 2 sd, zeros are shown as zeros, and nothing leaves its axes unseen."""

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
from variational_bnn.base.checks import Array
from variational_bnn.experiments.csv_tables import results_table
from variational_bnn.experiments.result import Result
from variational_bnn.report.figures.figures import plot_all, plot_bands, plot_distance, plot_regions

METHODS = ("output", "flipout", "hidden")
X = np.linspace(-1.5, 1.5, 61)
REGION = np.where(np.abs(X) > 0.5, "beyond", np.where(np.abs(X) < 0.19, "between", "near"))
DISTANCE = np.where(REGION == "near", 0.5, 1 + 10 * np.abs(X))
DATA = pd.DataFrame({"x": [-0.5, -0.2, 0.2, 0.5], "y": [0.0, -10.0, 10.0, 0.0]})


def _predictions(
    methods: Sequence[str] = METHODS, *, sd: float = 0.5, seeds: int = 2, outputs: Sequence[str] = ("y",)
) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "dataset": "lecture",
                    "method": method,
                    "seed": seed,
                    "query_point": range(len(X)),
                    "output": output,
                    "region": REGION,
                    "distance": DISTANCE,
                    "x": X,
                    "y": math.nan,
                    "mean": X + seed,
                    "epistemic_variance": 0.0 if method == "output" else (sd * DISTANCE) ** 2,
                    "aleatoric_variance": 1.0,
                }
            )
            for method in methods
            for seed in range(seeds)
            for output in outputs
        ],
        ignore_index=True,
    )


def _results(methods: Sequence[str] = METHODS, seeds: int = 3) -> pd.DataFrame:
    return results_table(
        Result(
            dataset="lecture",
            method=method,
            seed=seed,
            region=region,
            epistemic_variance=0.0 if method == "output" else (1 + seed) * 10.0**power,
        )
        for method in methods
        for seed in range(seeds)
        for power, region in enumerate(REGIONS)
    )


def _axes(figure: Figure) -> list[Any]:
    return list(figure.axes)


def _drawn(figure: Figure) -> bytes:
    """The figure as PNG, which fails if anything in it cannot be drawn."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _panel(figure: Figure, method: str) -> Any:
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == method)


def _band(ax: Any, label: str) -> tuple[Array, Array]:
    """Lower and upper edge of a band, at each x."""
    (filled,) = (collection for collection in ax.collections if collection.get_label() == label)
    x, y = filled.get_paths()[0].vertices.T
    edges = [(y[np.isclose(x, at)].min(), y[np.isclose(x, at)].max()) for at in X]
    low, high = np.array(edges).T
    return low, high


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 12])
def test_a_panel_a_method(count: int) -> None:
    methods = [f"method {i}" for i in range(count)]
    figure = plot_bands(_predictions(methods), DATA)
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.axison] == methods
    assert _drawn(figure)


def test_bands_are_the_first_seeds_mean_and_two_sd() -> None:
    ax = _panel(plot_bands(_predictions().sample(frac=1, random_state=0).sort_values("seed"), DATA), "hidden")
    sd = 0.5 * DISTANCE
    np.testing.assert_allclose(_band(ax, "epistemic"), (X - 2 * sd, X + 2 * sd))
    total = np.sqrt(sd**2 + 1.0)
    np.testing.assert_allclose(_band(ax, "total"), (X - 2 * total, X + 2 * total))
    (mean,) = (line for line in ax.lines if line.get_label() == "mean")
    np.testing.assert_allclose(mean.get_xydata(), np.column_stack([X, X]))
    (points,) = (line for line in ax.lines if line.get_label() == "training data")
    np.testing.assert_allclose(points.get_xydata(), DATA.to_numpy())


def test_regions_are_shaded_where_they_are() -> None:
    ax = _panel(plot_bands(_predictions(), DATA), "hidden")
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)
    wanted = [(-1.5, -0.525), (-0.525, -0.175), (-0.175, 0.175), (0.175, 0.525), (0.525, 1.5)]
    np.testing.assert_allclose(spans, wanted)


def test_a_band_that_explodes_is_marked_and_does_not_flatten_the_others() -> None:
    rows = pd.concat([_predictions(["hidden"]), _predictions(["flipout"], sd=1e4)])
    figure = plot_bands(rows, DATA)
    low, high = figure.axes[0].get_ylim()
    assert -33 <= low < -10
    assert 10 < high <= 33
    exploding, calm = _panel(figure, "flipout"), _panel(figure, "hidden")
    assert {line.get_marker() for line in exploding.lines} >= {"^", "v"}
    assert [text.get_text() for text in exploding.texts] == ["band spans \N{MINUS SIGN}320000 to 320000"]
    assert not any(len(line.get_xdata()) for line in calm.lines if line.get_marker() in ("^", "v"))
    assert [text.get_text() for text in calm.texts] == [""]


def test_bands_that_fit_set_the_axis() -> None:
    low, high = plot_bands(_predictions(["output"]), DATA).axes[0].get_ylim()
    assert (low, high) == pytest.approx((-11, 11))


def test_no_epistemic_variance_is_said() -> None:
    assert _panel(plot_bands(_predictions(), DATA), "output").texts[0].get_text() == "epistemic sd is 0"


def test_unknown_names_and_tables_of_many_features_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown target 'z'; known: y"):
        plot_bands(_predictions(), DATA, target="z")
    with pytest.raises(ValueError, match="unknown method 'hmc'; known: output, flipout, hidden"):
        plot_bands(_predictions(), DATA, methods=["hmc"])
    with pytest.raises(ValueError, match="exactly one feature"):
        plot_bands(_predictions().assign(x=math.nan), DATA)


def test_regions_show_the_geometric_mean_and_zeros_apart() -> None:
    figure = plot_regions(_results())
    strip, ax = _axes(figure)
    assert [tick.get_text() for tick in strip.get_yticklabels()] == list(METHODS)
    assert [tick.get_text() for tick in strip.get_xticklabels()] == ["0"]
    zeros = [line for line in strip.lines if line.get_label() in REGIONS]
    assert [float(line.get_xdata()[0]) for line in zeros] == [0.0, 0.0, 0.0]
    points = {line.get_label(): line for line in ax.lines if line.get_label() in REGIONS and len(line.get_xdata()) == 1}
    for power, region in enumerate(REGIONS):
        assert points[region].get_xdata()[0] == pytest.approx(np.sqrt(6 ** (1 / 3) * 10**power))
    assert _drawn(figure)


def test_without_zeros_there_is_no_place_for_them() -> None:
    assert len(plot_regions(_results(["hidden"])).axes) == 1
    assert len(plot_distance(_predictions(["hidden"])).axes) == 2


def test_an_interval_that_leaves_the_axis_is_marked() -> None:
    wild = _results(["hidden"], seeds=2)
    wild.loc[wild["seed"] == 1, "epistemic_variance"] *= 1e6
    markers = [line.get_marker() for line in _axes(plot_regions(wild))[-1].lines]
    assert markers.count("<") == 3
    assert markers.count(">") == 3
    calm = [line.get_marker() for line in plot_regions(_results()).axes[-1].lines]
    assert not {"<", ">"} & set(calm)


def test_failed_methods_keep_their_row() -> None:
    rows = _results()
    rows.loc[rows["method"] == "flipout", "status"] = "diverged"
    labels = [tick.get_text() for tick in plot_regions(rows).axes[0].get_yticklabels()]
    assert labels == ["output", "flipout\n(3 of 3 failed)", "hidden"]


def test_distance_shows_the_rows_and_zeros_apart() -> None:
    figure = plot_distance(_predictions())
    between, beyond, *strips = _axes(figure)
    assert [between.get_title(), beyond.get_title()] == ["near and between", "near and beyond"]
    for ax in (between, beyond):
        lines = [line for line in ax.lines if line.get_label() == "hidden"]
        assert len(lines) == 2
        for line in lines:
            np.testing.assert_allclose(line.get_ydata(), 0.5 * np.asarray(line.get_xdata()), rtol=1e-9)
    zeros = [line for line in strips[1].lines if line.get_marker() == "o"]
    assert max(float(np.max(line.get_xdata())) for line in zeros) > 10
    assert _drawn(figure)


def test_sds_as_good_as_none_are_marked_and_leave_the_scale_to_the_others() -> None:
    rows = pd.concat([_predictions(["hidden"]), _predictions(["flipout"], sd=1e-9)])
    figure = plot_distance(rows)
    for ax in _axes(figure)[:2]:
        low, high = ax.get_ylim()
        assert high / low < 1e5
        for line in (line for line in ax.lines if line.get_label() == "flipout"):
            assert np.isnan(line.get_ydata()).all()
        triangles = [line for line in ax.lines if line.get_marker() == "v" and line.get_xdata().size]
        assert triangles
    assert _drawn(figure)


def test_many_outputs_are_one_mean_variance_and_infinite_distances_are_left_out() -> None:
    rows = _predictions(["hidden"], outputs=("a", "b"))
    rows.loc[rows["output"] == "b", "epistemic_variance"] = 0.0
    rows.loc[rows["region"] == "between", "distance"] = math.inf
    figure = plot_distance(rows)
    assert [ax.get_title() for ax in figure.axes] == ["near and beyond"]
    for line in (line for line in _axes(figure)[0].lines if line.get_label() == "hidden"):
        np.testing.assert_allclose(line.get_ydata(), 0.5 * np.asarray(line.get_xdata()) / np.sqrt(2))


def test_all_figures_that_the_rows_allow() -> None:
    assert set(plot_all(_results(), _predictions(), DATA)) == {"bands", "regions", "distance"}
    assert set(plot_all(_results(), _predictions().assign(x=math.nan), DATA)) == {"regions", "distance"}
    assert set(plot_all(_results(["output"]), _predictions().iloc[:0], DATA)) == {"regions"}


def test_a_method_keeps_its_colour_where_another_failed() -> None:
    figures = plot_all(_results(), _predictions(["flipout", "hidden"]), DATA)
    title: Any = _panel(figures["bands"], "hidden")._left_title.get_color()
    line = next(line for line in figures["distance"].axes[0].lines if line.get_label() == "hidden")
    point = figures["regions"].axes[-1].lines[-1]
    assert {to_hex(title), to_hex(line.get_color()), to_hex(point.get_color())} == {"#009e73"}


def test_texts_can_be_read_at_half_size() -> None:
    for figure in plot_all(_results(), _predictions(), DATA).values():
        _drawn(figure)
        ticks = [tick for ax in figure.axes for tick in (*ax.get_xticklabels(), *ax.get_yticklabels())]
        texts = [*ticks, *(text for legend in figure.legends for text in legend.get_texts())]
        assert min(float(text.get_fontsize()) for text in texts) >= 11
