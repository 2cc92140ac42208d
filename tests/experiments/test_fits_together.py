"""Fits of a method from several seeds are made together where it can do that, and measured, kept and failed apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from quick_methods import Line, Together

import variational_bnn as vbnn
from variational_bnn.base.progress import watching
from variational_bnn.experiments.compare import compare, default_network
from variational_bnn.experiments.table_run import TableRun
from variational_bnn.experiments.tables import groups_of

CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]
DATASET = vbnn.lecture_sample(10, seed=0)  # With a larger sample of 40 rows.
QUIET: dict[str, Any] = {"num_samples": 10, "progress": False}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def _results(method: Any, seeds: int = 3, **settings: Any) -> pd.DataFrame:
    return compare(DATASET, methods={"mine": method}, seeds=range(seeds), **{**QUIET, **settings}).results


def _assert_as_alone(results: pd.DataFrame, seeds: int = 3) -> None:
    alone = _results(Line(), seeds)
    pd.testing.assert_frame_equal(results.drop(columns=CLOCKS), alone.drop(columns=CLOCKS), check_exact=True)


def test_all_seeds_are_fitted_together_to_the_data_and_to_the_larger_sample(notes: Path) -> None:
    method = Together(notes, seconds=0.3)
    results = _results(method)
    assert method.notes == ["10 together 0 1 2", "40 together 0 1 2"]
    _assert_as_alone(results)
    assert results["fit_seconds"].nunique() == 1
    assert results["fit_seconds"][0] == pytest.approx(0.1, abs=0.05)  # A third of all.


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_seeds_at_a_time_whatever_the_workers(workers: int, notes: Path) -> None:
    method = Together(notes)
    _assert_as_alone(_results(method, 11, workers=workers), 11)
    ten = "0 1 2 3 4 5 6 7 8 9"
    assert sorted(method.notes) == [f"10 together {ten}", "10 together 10", f"40 together {ten}", "40 together 10"]


def test_an_error_of_one_seed_is_its_own(notes: Path) -> None:
    diagnostics = vbnn.Diagnostics(num_parameters=7)
    diverged, other = vbnn.FitError("diverged: the loss became nan", diagnostics), ZeroDivisionError("by zero")
    method = Together(notes, fails={(10, 1): diverged, (10, 2): other, (40, 3): vbnn.FitError("diverged")})
    results = _results(method, 5)
    assert method.notes == ["10 together 0 1 2 3 4", "40 together 0 3 4"]
    first = results.groupby("seed").first()
    assert list(first["status"])[:2] == ["ok", "diverged: the loss became nan"]
    assert first["status"][2].startswith("error: ZeroDivisionError: by zero (")
    assert list(first["status"])[3:] == ["ok", "ok"]
    assert first["parameters"][1] == 7
    assert list(first["contraction_status"]) == ["ok", "ok", "ok", "diverged", "ok"]
    assert list(first["contraction"].notna()) == [True, False, False, False, True]
    _assert_as_alone(results[results["seed"] == 0].reset_index(drop=True), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"raises": ValueError("no such\nstack")}, r"mine could not be .* together \(ValueError: no such stack\)"),
        ({"lost": 1}, r"mine could not be .* together \(ValueError: it returned 2 results for 3 seeds\)"),
    ],
)
def test_what_cannot_be_fitted_together_is_fitted_alone(settings: dict[str, Any], message: str, notes: Path) -> None:
    method = Together(notes, **settings)
    with pytest.warns(UserWarning, match=message):
        results = _results(method)
    alone = [f"{rows} alone {seed}" for seed in range(3) for rows in (10, 40)]
    assert method.notes == ["10 together 0 1 2", *alone]
    _assert_as_alone(results)


class _Undecided(Together):
    """It cannot say whether it fits several seeds together."""

    def fits_together(self, dataset: vbnn.Dataset, network: vbnn.Network) -> bool:
        raise ValueError("no such\nnetwork")


def test_a_method_that_cannot_say_whether_it_fits_together_is_fitted_alone(notes: Path) -> None:
    """The comparison goes on, and one line says why."""
    method = _Undecided(notes)
    message = r"mine could not be fitted from several seeds together \(ValueError: no such network\)"
    with pytest.warns(UserWarning, match=message) as caught:
        results = _results(method)
    assert len([warning for warning in caught if warning.category is UserWarning]) == 1
    assert method.notes == [f"{rows} alone {seed}" for seed in range(3) for rows in (10, 40)]
    _assert_as_alone(results)


def test_only_the_seeds_that_are_not_finished_are_fitted(notes: Path, tmp_path: Path) -> None:
    failing = Together(notes, fails={(10, 0): MemoryError("full"), (10, 3): vbnn.FitError("diverged")})
    results = _results(failing, 4, directory=tmp_path / "out")
    assert list(results.groupby("seed").first()["status"]) == ["out of memory: full", "ok", "ok", "diverged"]
    again = _results(failing, 6, directory=tmp_path / "out")
    assert failing.notes == ["10 together 0 1 2 3", "40 together 1 2", "10 together 0 4 5", "40 together 4 5"]
    both = [rows[rows["seed"].isin([1, 2])].reset_index(drop=True) for rows in (results, again)]
    pd.testing.assert_frame_equal(*both, check_exact=True)  # The clocks, too.
    _results(failing, 6, directory=tmp_path / "out", retry=True)
    assert failing.notes[4:] == ["10 together 0 3"]


@pytest.mark.parametrize("together", [True, False])
def test_a_group_reports_its_fits_and_its_measuring(together: bool, notes: Path) -> None:
    method = Together(notes, raises=None if together else ValueError("no"))
    common: dict[str, Any] = {"dataset": DATASET, "network": default_network(DATASET), "num_samples": 5}
    (group,) = groups_of([TableRun(name="mine", method=method, seed=seed, **common) for seed in (0, 1)])
    reports: list[tuple[float, str]] = []
    with watching(lambda share, text: reports.append((share, text))):
        if together:
            list(group.outcomes())
        else:
            with pytest.warns(UserWarning, match="together"):
                list(group.outcomes())
    shares, words = [share for share, _ in reports], list(dict.fromkeys(text for _, text in reports))
    larger = "fitting the larger sample"
    if together:
        assert words == ["fitting", "fitting, 1 of 2 steps", larger, f"{larger}, 1 of 2 steps", "measuring"]
    else:
        assert words == ["fitting", "measuring", larger]
    assert shares == sorted(shares)
    assert 0.85 < shares[-1] < 1
