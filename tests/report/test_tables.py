"""The tables and the verdicts of a comparison of methods are what the rows say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from table_parts import lines_of, printed, summary_of

from variational_bnn.base import REGIONS
from variational_bnn.report.cells import short
from variational_bnn.report.tables import failures, legend, verdicts

TWO = {("flipout", 0): (1.0, 0.25, 16.0), ("flipout", 1): (4.0, 1.0, 25.0)}


def test_the_table_holds_geometric_means_of_the_sds_and_their_intervals() -> None:
    text, _ = printed(summary_of(TWO))
    assert text[0].strip() == "Sd over draws on data"
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
    (line,) = verdicts(summary_of(TWO))
    ratios = {"between": [0.25, 0.25], "beyond": [16.0, 6.25]}
    logs = np.log(ratios["beyond"])
    half = stats.t.ppf(0.975, 1) * logs.std(ddof=1) / math.sqrt(2)
    low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
    assert line == (
        "flipout: epistemic variance 0.25 [0.25, 0.25] times as much between the data as near it, "
        f"10 [{low:.2g}, {high:.0f}] times as much beyond the data as near it"
    )


def test_one_seed_has_no_interval() -> None:
    summary = summary_of({("flipout", 0): (1.0, 0.25, 16.0)})
    assert verdicts(summary) == [
        "flipout: epistemic variance 0.25 times as much between the data as near it, "
        "16 times as much beyond the data as near it"
    ]
    assert not any("[" in line for line in printed(summary)[0])


def test_no_variance_is_said_and_is_not_small_variance() -> None:
    none, some = verdicts(summary_of({("output", 0): (0.0, 0.0, 0.0), ("flipout", 0): (1e-9, 1e-9, 1e-9)}))
    assert none == "output: no epistemic variance anywhere: it reports no uncertainty of the function"
    assert "1 times as much beyond" in some


def test_failures_are_counted() -> None:
    runs = {("a", 0): (1.0, 1.0, 9.0), ("a", 1): "diverged", ("b", 0): "diverged", ("b", 1): "diverged"}
    some, all_ = verdicts(summary_of(runs))
    assert some.endswith("(1 seed failed)")
    assert all_ == "b: no seed succeeded (2 seeds failed)"
    row = next(line for line in printed(summary_of(runs))[0] if line.strip().startswith("b "))
    assert row.split() == ["b", *"-----"]


def test_failures_are_told_by_method_and_seed() -> None:
    rows = pd.DataFrame(
        {"method": "hmc", "seed": seed, "region": region, "status": status, "contraction_status": again}
        for seed, status, again in ((0, "ok", "ok"), (1, "not converged: R-hat 1.2", "ok"), (2, "ok", "diverged"))
        for region in REGIONS[:1]
    )
    failed = "hmc, seed 1: not converged: R-hat 1.2"
    assert failures(rows) == [failed, "hmc, seed 2, with four times the data: diverged"]
    for unknown in (rows.drop(columns="contraction_status"), rows.assign(contraction_status=math.nan)):
        assert failures(unknown) == [failed]


def test_the_contraction_is_shown_and_said_where_there_is_one() -> None:
    runs = {("flipout", 0): (1.0, 0.25, 16.0)}
    text, _ = printed(summary_of(runs, contraction=3.6))
    assert next(line for line in text if "method" in line).rstrip().endswith("data")
    assert lines_of(text, "flipout")[0][-1] == "3.6"
    assert verdicts(summary_of(runs, contraction=3.6))[0].endswith("; 3.6 times less near it with four times the data")
    assert "4 x" not in "".join(printed(summary_of(runs))[0])


def test_what_a_fit_costs_is_shown() -> None:
    costs = {"predict_seconds": 0.5, "parameters": 302, "random_variables": 151, "peak_memory": 12.0}
    *_, text = printed(summary_of({("flipout", 0): (1.0, 1.0, 1.0)}, **costs))
    heading = next(line for line in text if "method" in line)
    assert heading.split() == ["method", "fit,", "s", "predict,", "s", "parameters", "random", "MiB"]
    assert lines_of(text, "flipout") == [["flipout", "2.5", "0.5", "302", "151", "12"]]


def test_markov_chains_have_a_table_of_their_own() -> None:
    chains = {"acceptance": 0.8, "r_hat": 1.004, "ess": 2395.0, "ess_tail": 1234.0}
    summary = pd.concat([summary_of({("hmc", 0): (1.0, 1.0, 1.0)}, **chains), summary_of({("flipout", 0): (1.0, 1.0)})])
    *_, text = printed(summary)
    assert text[0].strip() == "Markov chains"
    heading = next(line for line in text if "method" in line)
    assert heading.split() == ["method", "acceptance", "R-hat", "ESS", "tail", "ESS"]
    assert lines_of(text, "hmc") == [["hmc", "0.8", "1.004", "2395", "1234"]]
    assert not lines_of(text, "flipout")
    *_, text = printed(summary.drop(columns="ess_tail"))
    assert lines_of(text, "hmc") == [["hmc", "0.8", "1.004", "2395", "-"]]


def test_chains_that_disagree_are_named() -> None:
    runs = {("metropolis", 0): (1.0, 1.0, 1.0)}
    for (r_hat, ess), said in (((1.2, 900.0), "R-hat 1.2, ESS 900"), ((1.0, 50.0), "R-hat 1, ESS 50")):
        assert verdicts(summary_of(runs, r_hat=r_hat, ess=ess))[0].endswith(f"; chains not converged, {said}")
    assert verdicts(summary_of(runs, acceptance=0.2))[0].endswith("; chains not converged, R-hat -, ESS -")
    assert "converged" not in verdicts(summary_of(runs, r_hat=1.005, ess=900.0))[0]
    assert "converged" not in verdicts(summary_of(runs, r_hat=1.005, ess=900.0, ess_tail=401.0))[0]
    tails = verdicts(summary_of(runs, r_hat=1.005, ess=900.0, ess_tail=399.0))[0]
    assert tails.endswith("; chains not converged, R-hat 1.005, ESS 900, tail ESS 399")
    assert "converged" not in verdicts(summary_of(runs))[0]


def test_distances_are_shown_with_their_intervals_where_there_is_a_reference() -> None:
    summary = summary_of({("flipout", 0): (1.0, 1.0, 1.0), ("output", 0): (0.0, 0.0, 0.0)})
    for measure, value in (("sd_ratio", 2.5), ("wasserstein", 0.25), ("mean_error", 0.125)):
        for region in REGIONS:
            values = {measure: value, f"{measure}_low": value / 5, f"{measure}_high": value * 4}
            for name, number in values.items():
                summary[f"{measure}_{region}{name.removeprefix(measure)}"] = [number, math.nan]
    _, text, _ = printed(summary, reference="hmc")
    assert text[0].strip() == "Distance to hmc, the reference"
    assert all(word in legend(summary) for word in ("sd ratio:", "distance:", "mean error:", "the reference's sd"))
    assert lines_of(text, "flipout") == [["flipout", "sd", "ratio", "2.5", "2.5", "2.5"]]
    assert lines_of(text, "distance")[0] == ["distance", "0.25", "0.25", "0.25"]
    assert lines_of(text, "mean")[0] == ["mean", "error", "0.12", "0.12", "0.12"]
    assert sum("[0.05, 1]" in line for line in text) == 1
    assert not lines_of(text, "output")  # Nothing is known of it.


def test_regions_without_query_points_are_left_out() -> None:
    assert verdicts(summary_of({("a", 0): (1.0,)})) == ["a: epistemic variance near the data alone"]
    (line,) = verdicts(summary_of({("a", 0): (1.0, 3.0)}))
    assert line == "a: epistemic variance 3 times as much between the data as near it"


def test_held_out_scores_are_shown_where_there_are_any() -> None:
    scores = {"rmse": 1.5, "log_likelihood": -123.4, "joint_log_likelihood": -2.5, "crps": 0.75, "width_95": 8.0}
    scores |= {"coverage_50": 0.48, "coverage_80": 0.8, "coverage_90": 0.914, "coverage_95": 1.0}
    _, text, _ = printed(summary_of({("a", 0): (1.0, 1.0, 1.0), ("b", 0): (1.0, 1.0, 1.0)}, **scores))
    assert text[0].strip() == "Further scores of held-out rows"
    scored = ["-2.5", "0.75", "8", "48", "80", "91.4"]
    assert lines_of(text, "a") == [["a", "near", *scored]]
    assert lines_of(text, "b") == [["b", "near", *scored]]
    assert [line.split() for line in text if line.split()[:1] == ["beyond"]] == [["beyond", *scored]] * 2
    _, near_alone, *_ = printed(summary_of({("a", 0): (1.0,)}, **scores))
    assert not any(region in line for line in near_alone for region in ("between", "beyond"))


def test_classes_have_a_table_of_their_own() -> None:
    scores = {"rmse": 0.25, "log_likelihood": -0.5, "joint_log_likelihood": -0.375, "accuracy": 0.9375}
    classes = {"entropy": 0.75, "mutual_information": 0.2, "train_accuracy": 0.96875}
    runs = {("a", 0): (1.0, 1.0, 1.0), ("b", 0): (1.0, 1.0, 1.0)}
    first, text, held_out, _ = printed(summary_of(runs, **scores, **classes))
    assert first[0].strip() == "Sd over draws of the probabilities on data"
    assert text[0].strip().startswith("Classes: mutual information")
    assert next(line for line in text if "method" in line).split() == ["method", *REGIONS, "entropy", "accuracy"]
    assert lines_of(text, "a") == [["a", "0.2", "0.2", "0.2", "0.75", "0.969"]]
    assert lines_of(held_out, "a") == [["a", "near", "-0.38", "0.25"]]
    nothing = printed(summary_of(runs, **{**classes, "mutual_information": 0.0}))[1]
    assert lines_of(nothing, "a")[0][1:4] == ["0"] * 3


def test_of_classes_distances_are_those_of_probabilities() -> None:
    summary = summary_of({("flipout", 0): (1.0, 1.0, 1.0)}, entropy=0.5)
    measures = {"sd_ratio": 2.5, "wasserstein": 0.25, "mean_error": 9.0, "total_variation": 0.375, "agreement": 0.875}
    for measure, value in measures.items():
        for region in REGIONS:
            bounds = ("",) if measure == "agreement" else ("", "_low", "_high")
            summary = summary.assign(**{f"{measure}_{region}{bound}": value for bound in bounds})
    *_, text, _ = printed(summary, reference="hmc")
    assert text[0].strip() == "Distance to hmc, the reference"
    assert all(word in legend(summary) for word in ("of probabilities", "tot. var.:", "agreement:"))
    assert "mean error" not in legend(summary)
    assert lines_of(text, "tot.")[0] == ["tot.", "var.", *["0.38"] * 3]
    assert lines_of(text, "agreement")[0] == ["agreement", *["0.88"] * 3]
    assert "mean error" not in "".join(text)


@pytest.mark.parametrize("name", ["[bold]loud[/bold].csv", "[/]", "a :smile: b"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    assert printed(summary_of(TWO), about=name)[0][0].strip() == f"Sd over draws on {name}"


def test_the_legend_explains_every_column_that_there_is() -> None:
    runs = {("a", 0): (1.0, 1.0, 9.0)}
    every = (*REGIONS, "noise:", "rmse:", "95 %")
    contracted = legend(summary_of(runs, contraction=3.0))
    assert all(word in contracted for word in (*every, "4 x data:", "units of y"))
    classes = legend(summary_of(runs, entropy=0.5, mutual_information=0.1))
    assert all(word in classes for word in (*every, "probabilities", "mutual information", "entropy:", "accuracy:"))
    assert not any(word in classes for word in ("units of y", "4 x data"))
    assert not any(word in legend(summary_of(runs)) for word in ("joint:", "distance:", "mean error:"))
    held_out = legend(summary_of(runs, rmse=1.0))
    assert "joint: the log predictive density of 10 held-out rows at a time" in held_out


def test_everything_fits_a_screen_of_eighty_columns() -> None:
    chains = {"acceptance": 0.8, "r_hat": 12.3456, "ess": 123456.0, "ess_tail": 123456.0}
    costs = {"fit_seconds": 12345.0, "predict_seconds": 12345.0, "parameters": 1234567, "peak_memory": 12345.0}
    scores = {"rmse": -1234.0, "log_likelihood": -9797.0, "joint_log_likelihood": -9797.0, "crps": 1234.0}
    scores |= {"width_95": 1234.0, **{f"coverage_{level}": 1.0 for level in (50, 80, 90, 95)}}
    runs = {("local_reparameterization", 0): (1e-9, 1.0, 1e9)}
    summary = summary_of(runs, contraction=123.4, **{**chains, **costs, **scores})
    for name in (f"{measure}_{region}" for measure in ("sd", "sd_ratio") for region in REGIONS):
        summary = summary.assign(**{name: 1.23e-5, f"{name}_low": 1.23e-8, f"{name}_high": 123456.0})
    whole, narrow = (printed(summary, reference="hmc", width=width) for width in (400, 80))
    assert len(whole) == len(narrow) == 5
    for wide, thin in zip(whole, narrow, strict=True):
        assert max(map(len, thin)) <= 80
        assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(thin)
        words = {word for line in wide for word in line.split() if "\N{BOX DRAWINGS LIGHT HORIZONTAL}" not in word}
        assert words <= {word for line in thin for word in line.split()}, "no number and no heading is broken"


def test_columns_may_be_missing() -> None:
    summary = pd.DataFrame({"method": ["flipout"], "seeds_ok": [1], "sd_near": [0.5]})
    first, cost = printed(summary)
    assert lines_of(first, "flipout") == [["flipout", "0.5", "-", "-", "-", "-"]]
    assert lines_of(cost, "flipout") == [["flipout", *"-----"]]
    assert verdicts(summary) == ["flipout: epistemic variance near the data alone"]
    assert verdicts(pd.DataFrame({"method": ["flipout"]})) == ["flipout: no seed succeeded"]
    assert legend(summary).startswith("near, between, beyond: the sd over draws")
    assert len(printed(summary, reference="hmc")) == 3


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.01234, 2, "0.012"),
        (0.001, 2, "0.001"),
        (0.00012345, 2, "1.2e-4"),
        (-5e-11, 2, "-5e-11"),
        (99.4, 2, "99"),
        (99.6, 2, "100"),
        (1234.5, 2, "1234"),
        (137.94, 4, "137.9"),
        (-150.33, 4, "-150.3"),
        (12345.6, 4, "12,350"),
        (123456.789, 2, "123,000"),
        (-45678.9, 2, "-45,700"),
        (9999.7, 2, "10,000"),
        (999999.0, 2, "1,000,000"),
        (3.65e20, 2, "3.6e20"),
        (0.0, 2, "0"),
        (math.inf, 2, "inf"),
        (math.nan, 2, "-"),
    ],
)
def test_numbers_have_a_few_digits_and_an_exponent_where_they_are_extreme(value: float, digits: int, text: str) -> None:
    assert short(value, digits) == text
