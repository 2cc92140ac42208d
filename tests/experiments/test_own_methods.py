"""A method of one's own is measured, drawn, kept and taken up again like those of the package, and so is a model."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from quick_methods import Line, Noting
from user_methods import GaussianProcess, build

import variational_bnn as vbnn
from variational_bnn.base import REGIONS

CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]
DATASET = dataclasses.replace(vbnn.lecture_sample(10, seed=0), larger_sample=None)
LINE = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=1.0))
QUIET: dict[str, Any] = {"network": LINE, "num_samples": 20, "progress": False}


def _methods() -> dict[str, Any]:
    trained = build(10, 0)
    trained.set_weights([np.full(weight.shape, 0.5) for weight in trained.get_weights()])
    untrained = vbnn.UntrainedModel(build=build, epochs=2)
    return {"linear": "linear", "gp": GaussianProcess(), "keras": untrained, "trained": trained}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[vbnn.Comparison, Path]:
    """By two workers."""
    place = tmp_path_factory.mktemp("own")
    return vbnn.compare(DATASET, methods=_methods(), seeds=[0, 1], workers=2, directory=place, **QUIET), place


def test_it_is_in_the_table_the_figures_and_the_distances_to_the_reference(ran: Any) -> None:
    comparison = ran[0]
    assert set(comparison.results["status"]) == {"ok"}, comparison.results["status"].unique()
    table = comparison.table.set_index("method")
    assert list(table.index) == ["linear", "gp", "keras", "trained"]
    assert (table["seeds_ok"] == 2).all()
    assert (table.loc[["gp", "keras", "trained"], "sd_beyond"] > 0).all()
    assert comparison.reference == "linear"
    for region in REGIONS:
        assert np.isfinite(table[f"wasserstein_{region}"]).all()
        assert table.loc["gp", f"wasserstein_{region}"] > table.loc["linear", f"wasserstein_{region}"]
    figures = comparison.plot()
    assert set(figures) == {"regions", "distance", "bands", "reference", "reference_distance"}
    for figure in figures.values():
        assert "gp" in {text.get_text() for text in figure.findobj(Text)}


def test_its_rows_are_what_its_posterior_says(ran: Any) -> None:
    comparison = ran[0]
    posterior = GaussianProcess().fit(DATASET, LINE, 1)
    own = comparison.predictions.query("method == 'gp' and seed == 1")
    functions = posterior.sample_functions(own[["x"]].to_numpy(), num_samples=20, seed=1)
    np.testing.assert_allclose(own["mean"], functions.mean(axis=0)[:, 0], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(own["epistemic_variance"], functions.var(axis=0)[:, 0], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(own["aleatoric_variance"], 1.0)
    np.testing.assert_allclose(comparison.draws[DATASET.name, "gp", 1]["functions"], functions, atol=1e-6)


def test_a_keras_model_is_trained_anew_from_each_seed(ran: Any) -> None:
    x = ran[0].predictions.query("method == 'keras' and seed == 0")[["x"]].to_numpy()
    posteriors = [vbnn.UntrainedModel(build=build, epochs=2).fit(DATASET, LINE, seed) for seed in (0, 1)]
    for seed, posterior in enumerate(posteriors):
        functions = ran[0].draws[DATASET.name, "keras", seed]["functions"]
        np.testing.assert_allclose(functions, posterior.sample_functions(x, num_samples=20, seed=seed), rtol=1e-4)
    first, second = (posterior.sample_functions(x, num_samples=20, seed=0) for posterior in posteriors)
    assert not np.allclose(first, second, rtol=0.01)  # The same units are left out, of other weights.


def test_a_trained_model_is_measured_as_it_is(ran: Any) -> None:
    x = ran[0].predictions.query("method == 'trained' and seed == 0")["x"].to_numpy()
    values = np.unique(ran[0].draws[DATASET.name, "trained", 0]["functions"][:, -1, 0])
    units = np.arange(9)  # Of 8 equal units so many survive, each 1 / 0.8 times as large: 0.5 (0.5 x + 0.5) each.
    possible = 0.5 + units / 0.8 * 0.5 * max(0.5 * x[-1] + 0.5, 0)
    assert np.abs(values[:, None] - possible).min(axis=1).max() < 1e-5
    assert len(values) > 1


def test_the_workers_rows_are_those_of_this_process(ran: Any) -> None:
    """To the bit where TensorFlow computes; NumPy's linear algebra rounds otherwise with other numbers of threads."""
    methods = {"keras": vbnn.UntrainedModel(build=build, epochs=2), "gp": GaussianProcess()}
    here = vbnn.compare(DATASET, methods=methods, seeds=[1], **QUIET)
    for table in ("results", "predictions"):
        for name in methods:
            both = [getattr(comparison, table).drop(columns=CLOCKS, errors="ignore") for comparison in (ran[0], here)]
            rows = [each[(each["method"] == name) & (each["seed"] == 1)].reset_index(drop=True) for each in both]
            pd.testing.assert_frame_equal(*rows, check_exact=name == "keras", rtol=1e-6)


def test_it_is_kept_read_back_and_not_fitted_again(ran: Any) -> None:
    comparison, place = ran
    kept = vbnn.Comparison.read(place)
    assert set(kept.outcomes) == set(comparison.outcomes)
    assert kept.settings["methods"]["gp"] == {"class": "GaussianProcess", "length_scale": 0.3}
    assert kept.settings["methods"]["keras"]["build"].endswith(".build")
    assert len(kept.settings["methods"]["trained"]["weights"]) == 64
    again = vbnn.compare(DATASET, methods=_methods(), seeds=[0, 1], directory=place, **QUIET)
    pd.testing.assert_frame_equal(again.results, comparison.results, check_exact=True)  # The clocks, too.
    with pytest.raises(ValueError, match=r"methods\.gp\.length_scale is 0\.3 there, 0\.4 here"):
        vbnn.compare(DATASET, methods={"gp": GaussianProcess(0.4)}, seeds=[0], directory=place, **QUIET)
    other = build(10, 0)
    other.set_weights([np.full(weight.shape, 0.4) for weight in other.get_weights()])
    with pytest.raises(ValueError, match=r"methods\.trained\.weights is .* there, .* here"):
        vbnn.compare(DATASET, methods={"trained": other}, seeds=[0], directory=place, **QUIET)


def test_a_method_that_raises_is_a_row_with_its_status_and_the_others_go_on(tmp_path: Path) -> None:
    broken = Noting({0: TypeError("unsupported\noperand"), 1: ZeroDivisionError("by zero")})
    methods = {"broken": broken, "line": Line()}
    comparison = vbnn.compare(DATASET, methods=methods, seeds=[0, 1, 2], directory=tmp_path, **QUIET)
    status = comparison.results.groupby(["method", "seed"])["status"].unique().map(list)
    place = r"\(.*quick_methods\.py, line \d+\)"
    assert re.fullmatch(rf"error: TypeError: unsupported operand {place}", status["broken", 0][0])
    assert status["broken", 1][0].startswith("error: ZeroDivisionError: by zero (")
    assert [status[key] for key in (("broken", 2), ("line", 0), ("line", 1), ("line", 2))] == [["ok"]] * 4
    assert comparison.table.set_index("method").loc["broken", "seeds_failed"] == 2
    assert broken.seeds == [0, 1, 2]
    assert set(vbnn.Comparison.read(tmp_path).results["status"]) == set(comparison.results["status"])


def test_a_method_that_a_worker_cannot_import_is_a_row_and_is_executed_again_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a module that this process found elsewhere than on its path."""
    (tmp_path / "elsewhere.py").write_text("from quick_methods import Line\n\n\nclass Mine(Line):\n    pass\n")
    spec = importlib.util.spec_from_file_location("elsewhere", tmp_path / "elsewhere.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    settings = {"methods": [module.Mine()], "seeds": [0], "directory": tmp_path / "out", **QUIET}
    (status,) = set(vbnn.compare(DATASET, workers=2, **settings).results["status"])
    assert status.startswith("not loaded: ModuleNotFoundError")
    assert set(vbnn.compare(DATASET, **settings).results["status"]) == {"ok"}


class _ReturnsNothing(Noting):
    def fit(self, dataset: vbnn.Dataset, network: vbnn.Network, seed: int) -> Any:
        return None


def test_a_fit_that_returns_no_posterior_is_a_row_that_says_what_is_needed() -> None:
    results = vbnn.compare(DATASET, methods=[_ReturnsNothing()], seeds=[0], **QUIET).results
    (status,) = set(results["status"])
    needed = "fit must return a Posterior, with diagnostics, predict and sample_functions, got NoneType"
    assert status.startswith(f"error: TypeError: {needed}")


def test_a_method_without_a_name_has_that_of_its_class_and_a_model_has_its_own() -> None:
    model = build(10, 0)
    results = vbnn.compare(DATASET, methods=[Line(), "linear", "linear", model], seeds=[0], **QUIET).results
    assert list(results["method"].unique()) == ["Line", "linear", model.name]


UNKNOWN = "unknown method 'gaussian process'; known: deterministic, output, reparameterization, flipout, "
NO_METHODS: dict[str, tuple[Any, type[Exception], str]] = {
    "no method": ({"mine": 3}, TypeError, "a method must be a name or have the methods `fit` and `supports`, got 3"),
    "a class": ([Line], TypeError, "a method must be a name or have the methods `fit` and `supports`, got <class"),
    "one half": ([object()], TypeError, "a method must be a name or have the methods `fit` and `supports`, got <obj"),
    "same name": ([Line(), Line(sd=2.0)], ValueError, "two methods are named 'Line': pass a mapping from names to"),
    "unknown": (["gaussian process"], ValueError, UNKNOWN),
    "unknown in a mapping": ({"gp": "gaussian process"}, ValueError, UNKNOWN),
    "unsupported": (
        {"mine": Line(reason="it needs rain")},
        ValueError,
        "method 'mine' does not support this: it needs",
    ),
    "no name": ({"": Line()}, ValueError, "the name of a method must be a text, got ''"),
    "number": ({3: Line()}, ValueError, "the name of a method must be a text, got 3"),
    "none": ([], ValueError, "methods must hold at least one method, got none"),
    "one text": ("linear", ValueError, "methods must be a sequence or a mapping, got 'linear'"),
}


@pytest.mark.parametrize("case", NO_METHODS)
def test_what_is_not_a_method_is_named_before_any_run(case: str, tmp_path: Path) -> None:
    methods, error, message = NO_METHODS[case]
    with pytest.raises(error, match=re.escape(message)) as caught:
        vbnn.compare(DATASET, methods=methods, seeds=[0], directory=tmp_path / "out", **QUIET)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_other_rows_is_not_measured_on_these() -> None:
    method = vbnn.TrainedModel(model=build(20, 0), num_examples=20)
    with pytest.raises(ValueError, match="'old' does not support this: the model was trained on 20 rows, not 10"):
        vbnn.compare(DATASET, methods={"old": method}, seeds=[0], **QUIET)


def test_a_model_has_no_contraction_since_it_was_not_trained_on_the_larger_sample() -> None:
    whole = vbnn.lecture_sample(10, seed=0)
    results = vbnn.compare(whole, methods={"mine": build(10, 0)}, seeds=[0], **QUIET).results
    assert set(results["status"]) == {"ok"}
    assert results["contraction"].isna().all()
    assert results.loc[0, "contraction_status"] == "not supported: the model was trained on 10 rows, not 40"
