"""What is printed is what the rows say."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from variational_bnn.base import REGIONS
from variational_bnn.evaluation.summary import summarise
from variational_bnn.experiments.result import Result
from variational_bnn.report.tables import failures, legend, short, tables, verdicts


def _summary(cells: dict[tuple[str, int], tuple[float, ...] | str], **scores: float) -> pd.DataFrame:
    """The summary of cells, each with its epistemic variances near, between and beyond, or its failure."""
    rows = []
    for (method, seed), variances in cells.items():
        for i, region in enumerate(REGIONS):
            row = {"dataset": "d", "method": method, "seed": seed, "region": region, "fit_seconds": 2.5}
            if isinstance(variances, str):
                rows.append(Result(**row, status=variances))
            elif i < len(variances):
                measures = {"aleatoric_variance": 9.0, "train_rmse": 1.25, **scores}
                rows.append(Result(**row, epistemic_variance=variances[i], **measures))
    return summarise(pd.DataFrame([vars(row) for row in rows]))


def _lines(table: list[str], name: str) -> list[list[str]]:
    """The words of a method's lines in a printed table."""
    return [line.split() for line in table if line.strip().startswith(f"{name} ")]


def _printed(summary: pd.DataFrame, about: str = "data", reference: str | None = None) -> list[list[str]]:
    """The lines of each table."""
    printed = []
    for table in tables(summary, about, reference):
        console = Console(width=150, file=io.StringIO())
        console.print(table)
        printed.append(console.file.getvalue().splitlines())
    return printed


TWO = {("flipout", 0): (1.0, 0.25, 16.0), ("flipout", 1): (4.0, 1.0, 25.0)}


def test_the_table_holds_geometric_means_of_the_sds_and_their_intervals() -> None:
    text, _ = _printed(_summary(TWO))
    assert text[0].strip() == "Epistemic sd on data"
    heading = next(line for line in text if "method" in line)
    assert heading.split() == ["method", *REGIONS, "noise", "rmse"]
    row = next(line for line in text if "flipout" in line)
    near, between, beyond = math.sqrt(1 * 2), math.sqrt(0.5 * 1), math.sqrt(4 * 5)
    assert row.split() == ["flipout", *(f"{v:.2g}" for v in (near, between, beyond, 3.0, 1.25))]
    logs = np.log([1.0, 2.0])
    half = stats.t.ppf(0.975, 1) * logs.std(ddof=1) / math.sqrt(2)
    low, high = near * math.exp(-half), near * math.exp(half)
    assert f"[{low:.2g}, {high:.0f}]" in text[text.index(row) + 1]


def test_the_verdict_holds_ratios_of_the_variances_and_their_intervals() -> None:
    (line,) = verdicts(_summary(TWO))
    ratios = {"between": [0.25, 0.25], "beyond": [16.0, 6.25]}
    logs = np.log(ratios["beyond"])
    half = stats.t.ppf(0.975, 1) * logs.std(ddof=1) / math.sqrt(2)
    low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
    assert line == (
        "flipout: epistemic variance 0.25 [0.25, 0.25] times as much between the data as near it, "
        f"10 [{low:.2g}, {high:.0f}] times as much beyond the data as near it"
    )


def test_one_seed_has_no_interval() -> None:
    summary = _summary({("flipout", 0): (1.0, 0.25, 16.0)})
    assert verdicts(summary) == [
        "flipout: epistemic variance 0.25 times as much between the data as near it, "
        "16 times as much beyond the data as near it"
    ]
    assert not any("[" in line for line in _printed(summary)[0])


def test_no_variance_is_said_and_is_not_small_variance() -> None:
    none, some = verdicts(_summary({("output", 0): (0.0, 0.0, 0.0), ("flipout", 0): (1e-9, 1e-9, 1e-9)}))
    assert none == "output: no epistemic variance anywhere, so it never knows that it does not know"
    assert "1 times as much beyond" in some


def test_noise_of_units_is_not_called_uncertainty() -> None:
    weights, units = verdicts(_summary({("flipout", 0): (1.0, 1.0, 9.0), ("hidden", 0): (1.0, 1.0, 9.0)}))
    assert units.endswith("; noise of its units, not uncertainty about parameters")
    assert units.removeprefix("hidden").startswith(weights.removeprefix("flipout"))


def test_failures_are_counted() -> None:
    cells = {("a", 0): (1.0, 1.0, 9.0), ("a", 1): "diverged", ("b", 0): "diverged", ("b", 1): "diverged"}
    some, all_ = verdicts(_summary(cells))
    assert some.endswith("(1 seed failed)")
    assert all_ == "b: no seed succeeded (2 seeds failed)"
    row = next(line for line in _printed(_summary(cells))[0] if line.strip().startswith("b "))
    assert row.split() == ["b", *"-----"]


def test_failures_are_told_by_method_and_seed() -> None:
    rows = [
        Result(dataset="d", method="hmc", seed=seed, region=region, status=status, contraction_status=again)
        for seed, status, again in ((0, "ok", "ok"), (1, "not converged: R-hat 1.2", "ok"), (2, "ok", "diverged"))
        for region in REGIONS[:1]
    ]
    assert failures(pd.DataFrame([vars(row) for row in rows])) == [
        "hmc, seed 1: not converged: R-hat 1.2",
        "hmc, seed 2, with four times the data: diverged",
    ]


def test_the_contraction_is_shown_and_said_where_there_is_one() -> None:
    cells = {("flipout", 0): (1.0, 0.25, 16.0)}
    text, _ = _printed(_summary(cells, contraction=3.6))
    assert next(line for line in text if "method" in line).rstrip().endswith("4 x data")
    assert _lines(text, "flipout")[0][-1] == "3.6"
    assert verdicts(_summary(cells, contraction=3.6))[0].endswith("; 3.6 times less near it with four times the data")
    assert "4 x data" not in "".join(_printed(_summary(cells))[0])


def test_what_a_fit_costs_is_shown() -> None:
    costs = {"predict_seconds": 0.5, "parameters": 302, "random_variables": 151, "peak_memory": 12.0}
    cells = {("flipout", 0): (1.0, 1.0, 1.0)}
    *_, text = _printed(_summary(cells, **costs))
    heading = next(line for line in text if "method" in line)
    assert heading.split() == ["method", "fit,", "s", "predict", "weights", "random", "MiB"]
    assert _lines(text, "flipout") == [["flipout", "2.5", "0.5", "302", "151", "12"]]
    *_, text = _printed(_summary(cells, **costs, acceptance=0.8, r_hat=1.004, ess=2395.0))
    assert next(line for line in text if "method" in line).split()[-3:] == ["accept", "R-hat", "ESS"]
    assert _lines(text, "flipout")[0][-3:] == ["0.8", "1.004", "2395"]


def test_chains_that_disagree_are_named() -> None:
    cells = {("metropolis", 0): (1.0, 1.0, 1.0)}
    for (r_hat, ess), said in (((1.2, 900.0), "R-hat 1.2, ESS 900"), ((1.0, 50.0), "R-hat 1, ESS 50")):
        assert verdicts(_summary(cells, r_hat=r_hat, ess=ess))[0].endswith(f"; chains not converged, {said}")
    assert verdicts(_summary(cells, acceptance=0.2))[0].endswith("; chains not converged, R-hat -, ESS -")
    assert "converged" not in verdicts(_summary(cells, r_hat=1.005, ess=900.0))[0]
    assert "converged" not in verdicts(_summary(cells))[0]


def test_closeness_is_shown_with_its_intervals_where_there_is_a_reference() -> None:
    summary = _summary({("flipout", 0): (1.0, 1.0, 1.0), ("output", 0): (0.0, 0.0, 0.0)})
    for measure, value in (("sd_ratio", 2.5), ("wasserstein", 0.25), ("mean_error", 0.125)):
        for region in REGIONS:
            values = {measure: value, f"{measure}_low": value / 5, f"{measure}_high": value * 4}
            for name, number in values.items():
                summary[f"{measure}_{region}{name.removeprefix(measure)}"] = [number, math.nan]
    _, text, _ = _printed(summary, reference="hmc")
    assert text[0].strip().startswith("Closeness to hmc")
    assert _lines(text, "flipout") == [["flipout", "sd", "ratio", "2.5", "2.5", "2.5"]]
    assert _lines(text, "distance")[0] == ["distance", "0.25", "0.25", "0.25"]
    assert _lines(text, "mean")[0] == ["mean", "error", "0.12", "0.12", "0.12"]
    assert sum("[0.05, 1]" in line for line in text) == 1
    assert not _lines(text, "output")  # Nothing is known of it.


def test_regions_that_were_not_asked_about_are_left_out() -> None:
    assert verdicts(_summary({("a", 0): (1.0,)})) == ["a: epistemic variance near the data alone"]
    (line,) = verdicts(_summary({("a", 0): (1.0, 3.0)}))
    assert line == "a: epistemic variance 3 times as much between the data as near it"


def test_held_out_scores_are_shown_where_there_are_any() -> None:
    scores = {"rmse": 1.5, "log_likelihood": -123.4, "joint_log_likelihood": -2.5, "crps": 0.75, "width_95": 8.0}
    scores |= {"coverage_50": 0.48, "coverage_80": 0.8, "coverage_90": 0.91, "coverage_95": 1.0}
    _, text, _ = _printed(_summary({("a", 0): (1.0, 1.0, 1.0), ("b", 0): (1.0, 1.0, 1.0)}, **scores))
    assert text[0].strip().startswith("Held-out rows")
    printed = ["1.5", "-123", "-2.5", "0.75", "48", "80", "91", "100", "8"]
    assert _lines(text, "a") == [["a", "near", *printed]]
    assert _lines(text, "b") == [["b", "near", *printed]]
    assert [line.split() for line in text if line.split()[:1] == ["beyond"]] == [["beyond", *printed]] * 2
    _, near_alone, _ = _printed(_summary({("a", 0): (1.0,)}, **scores))
    assert not any(region in line for line in near_alone for region in ("between", "beyond"))


def test_classes_have_a_table_of_their_own_and_accuracy_for_a_score() -> None:
    scores = {"rmse": 0.25, "log_likelihood": -0.5, "joint_log_likelihood": -0.375, "accuracy": 0.9375}
    classes = {"entropy": 0.75, "mutual_information": 0.2, "train_accuracy": 0.96875}
    cells = {("a", 0): (1.0, 1.0, 1.0), ("b", 0): (1.0, 1.0, 1.0)}
    first, text, held_out, _ = _printed(_summary(cells, **scores, **classes))
    assert first[0].strip() == "Epistemic sd of the probabilities on data"
    assert text[0].strip().startswith("Classes: mutual information")
    assert next(line for line in text if "method" in line).split() == ["method", *REGIONS, "entropy", "accuracy"]
    assert _lines(text, "a") == [["a", "0.2", "0.2", "0.2", "0.75", "0.969"]]
    assert next(line for line in held_out if "method" in line).split()[-1] == "accuracy"
    assert _lines(held_out, "a") == [["a", "near", "0.25", "-0.5", "-0.38", "0.938"]]
    nothing = _printed(_summary(cells, **{**classes, "mutual_information": 0.0}))[1]
    assert _lines(nothing, "a")[0][1:4] == ["0"] * 3


def test_of_classes_closeness_is_that_of_probabilities() -> None:
    summary = _summary({("flipout", 0): (1.0, 1.0, 1.0)}, entropy=0.5)
    measures = {"sd_ratio": 2.5, "wasserstein": 0.25, "mean_error": 9.0, "total_variation": 0.375, "agreement": 0.875}
    for measure, value in measures.items():
        for region in REGIONS:
            bounds = ("",) if measure == "agreement" else ("", "_low", "_high")
            summary = summary.assign(**{f"{measure}_{region}{bound}": value for bound in bounds})
    *_, text, _ = _printed(summary, reference="hmc")
    assert "distance of probabilities" in " ".join(" ".join(text[:2]).split())
    assert _lines(text, "tot.")[0] == ["tot.", "var.", *["0.38"] * 3]
    assert _lines(text, "agreement")[0] == ["agreement", *["0.88"] * 3]
    assert "mean error" not in "".join(text)


@pytest.mark.parametrize("name", ["[bold]loud[/bold].csv", "[/]", "a :smile: b"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    assert _printed(_summary(TWO), about=name)[0][0].strip() == f"Epistemic sd on {name}"


def test_the_legend_explains_every_column_that_there_is() -> None:
    cells = {("a", 0): (1.0, 1.0, 9.0)}
    every = (*REGIONS, "noise:", "rmse:", "95 %")
    contracted = legend(_summary(cells, contraction=3.0))
    assert all(word in contracted for word in (*every, "4 x data:", "units of y"))
    classes = legend(_summary(cells, entropy=0.5, mutual_information=0.1))
    assert all(word in classes for word in (*every, "probabilities", "mutual information", "entropy:", "accuracy:"))
    assert not any(word in classes for word in ("units of y", "4 x data"))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.01234, 2, "0.012"),
        (99.4, 2, "99"),
        (99.6, 2, "100"),
        (1234.5, 2, "1234"),
        (137.94, 4, "137.9"),
        (-150.33, 4, "-150.3"),
        (12345.6, 4, "12346"),
        (0.0, 2, "0"),
        (math.inf, 2, "inf"),
        (math.nan, 2, "-"),
    ],
)
def test_numbers_have_a_few_digits_and_no_exponent_where_they_are_large(value: float, digits: int, text: str) -> None:
    assert short(value, digits) == text
