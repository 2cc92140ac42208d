"""The first table and its lines say how good and how calibrated methods are on held-out rows."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console
from scipy import stats
from table_parts import lines_of, printed

from variational_bnn.base import REGIONS
from variational_bnn.evaluation.classes import class_frequencies, confidences
from variational_bnn.evaluation.summary import summarise
from variational_bnn.report.answer import answer, explained, findings

ROWS = 31


def _scores(methods: dict[str, dict[str, Any]], seeds: int = 2) -> pd.DataFrame:
    """The summary of methods; seed 1 has twice the log-likelihood, if it is a number for each region."""
    run = {"dataset": "d", "epistemic_variance": 1.0, "query_points": ROWS, "rmse": 2.0, "status": "ok"}
    return summarise(
        pd.DataFrame(
            {**run, "method": method, "seed": seed, "region": region}
            | {name: value[i] * (1 + seed if name == "log_likelihood" else 1) for name, value in fields.items()}
            for method, fields in methods.items()
            for seed in range(seeds)
            for i, region in enumerate(REGIONS)
        )
    )


def _printed(scores: pd.DataFrame, width: int = 100) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(answer(scores, "data"))
    return console.file.getvalue().splitlines()


CALIBRATED = {"coverage_95": (0.95, 0.95, 0.95), "log_likelihood": (-2.0, -2.0, -2.0)}


def test_scores_stand_with_their_intervals_over_seeds() -> None:
    text = _printed(_scores({"a": {"coverage_95": (0.95, 0.5, 0.12), "log_likelihood": (-593.0, -2.0, -30e3)}}))
    assert text[0].strip() == "Held-out rows of data"
    half = stats.t.ppf(0.975, 1) * np.std([-2, -4], ddof=1) / math.sqrt(2)
    assert lines_of(text, "a")[0][:3] == ["a", "near", "-890"]
    interval = [f"[{-3 - half:.0f},", f"{-3 + half:.2g}]"]
    assert lines_of(text, "between") == [["between", "-3", *interval, "2", "[2,", "2]", "50", "%"]]
    assert lines_of(text, "beyond")[0][:2] == ["beyond", "-45,000"]
    assert any(line.rstrip().endswith("12 %") for line in text)
    (one,) = lines_of(_printed(_scores({"a": CALIBRATED}, seeds=1)), "a")
    assert one == ["a", "near", "-2", "2", "95", "%"]


def test_a_method_is_certain_and_wrong_where_chance_does_not_explain_it() -> None:
    """The limit is the smallest count that a binomial of 95 % reaches or falls below with more than 0.5 %."""
    below = np.cumsum([math.comb(ROWS, k) * 0.95**k * 0.05 ** (ROWS - k) for k in range(ROWS + 1)])
    least = int(np.argmax(below >= 0.005))
    shares = {"coverage_95": (1.0, least / ROWS, (least - 1) / ROWS), "log_likelihood": (-1.0, -1.0, -9.0)}
    first, second = findings(_scores({"linear": CALIBRATED, "hidden": shares}, seeds=1))
    percents = [f"{100 * count / ROWS:.0f} %" for count in (least, least - 1)]
    assert first == (
        f"hidden: certain and wrong beyond the data, where its 95 % intervals hold {percents[1]} of {ROWS} rows "
        f"(if calibrated, at least {percents[0]}); not so near and between the data: 100 % of {ROWS} rows and "
        f"{percents[0]} of {ROWS}; log-likelihood below that of linear: -9 against -2 beyond"
    )
    assert second.startswith(f"linear: not certain and wrong: its 95 % intervals hold 95 % of {ROWS} rows near, 95 %")
    assert "log-likelihood" not in second


def test_without_a_baseline_or_rows_this_is_said() -> None:
    alone = findings(_scores({"a": CALIBRATED}))
    assert alone[-1] == "No baseline takes part: add linear to the methods."
    nothing = _scores({"a": CALIBRATED}).drop(columns=[f"rmse_{region}" for region in REGIONS])
    assert answer(nothing, "data") is None
    assert explained(nothing) == ""
    (line,) = findings(nothing)
    assert line.startswith("No rows are held out")
    failed = _scores({"a": CALIBRATED, "b": CALIBRATED})
    failed.loc[1, [f"rmse_{region}" for region in REGIONS]] = math.nan
    assert findings(failed.assign(seeds_failed=[0, 2]))[-2:] == ["b: no seed succeeded (2 seeds failed)", alone[-1]]


def _classes() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three training rows of a and one of b, and four held-out rows beyond, of which three are b."""
    data = pd.DataFrame({"x": range(4), "y=a": [1.0, 1, 1, 0], "y=b": [0.0, 0, 0, 1]})
    right = {"y=a": [1.0, 0, 0, 0], "y=b": [0.0, 1, 1, 1]}
    means = {"y=a": [0.9, 0.8, 0.9, 0.4], "y=b": [0.1, 0.2, 0.1, 0.6]}
    run = {"method": "m", "seed": 0, "region": "beyond", "query_point": range(4)}
    parts = [pd.DataFrame({**run, "output": name, "y": right[name], "mean": means[name]}) for name in right]
    return data, pd.concat(parts, ignore_index=True)


def test_confidence_is_the_mean_of_the_largest_probability() -> None:
    _, predictions = _classes()
    row = confidences(predictions).iloc[0]
    assert row["confidence_beyond"] == pytest.approx(np.mean([0.9, 0.8, 0.9, 0.6]))
    assert math.isnan(row["confidence_near"])


def test_frequencies_are_the_baseline_of_classes() -> None:
    row = class_frequencies(*_classes())
    a, b = 4 / 6, 2 / 6
    assert row["log_likelihood_beyond"] == pytest.approx((math.log(a) + 3 * math.log(b)) / 4)
    assert (row["accuracy_beyond"], row["confidence_beyond"]) == pytest.approx((0.25, a))
    assert row["rmse_beyond"] == pytest.approx(math.sqrt((b**2 + 3 * a**2) / 4))
    assert "rmse_near" not in row


def test_of_classes_the_accuracy_is_beside_the_certainty() -> None:
    known = {"accuracy": (0.9, 0.9, 0.5), "entropy": (0.5, 0.5, 0.5), "log_likelihood": (-0.5, -0.5, -3.0)}
    scores = _scores({"m": known}, seeds=1).assign(
        confidence_near=0.92, confidence_between=0.92, confidence_beyond=0.99
    )
    scores = pd.concat([scores, pd.DataFrame([class_frequencies(*_classes())])], ignore_index=True)
    (line,) = findings(scores)
    assert line.startswith(
        f"m: certain and wrong beyond the data, where it is right in 50 % of {ROWS} rows, certain to 99 %"
    )
    assert line.endswith("log-likelihood below that of class frequencies: -3 against -0.925 beyond")
    assert lines_of(_printed(scores), "m") == [["m", "near", "-0.5", "0.9", "92", "%"]]
    assert lines_of(_printed(scores), "class")[0][:3] == ["class", "frequencies", "beyond"]


def test_names_of_any_script_and_length_leave_the_columns_aligned() -> None:
    long = "сверточная " * 9
    scores = _scores({"数据方法": CALIBRATED, long + "1": CALIBRATED, long + "2": CALIBRATED, "two\nlines": CALIBRATED})
    for text in (_printed(scores), printed(scores)[0]):
        rows = [line for line in text if "near" in line or "..." in line or "\N{HORIZONTAL ELLIPSIS}" in line]
        assert len({line.split()[0] for line in rows}) > 1
        assert len({cell_len(line) for line in text if line.strip()}) == 1
        assert sum("сверточная" in line for line in text) == 2
        assert any(line.split()[:2] == ["two", "lines"] for line in text)
