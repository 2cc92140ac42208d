"""How good and how calibrated each method is on held-out rows: the table that comes first, and a line a method."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table
from scipy import stats

from variational_bnn.base import BASELINE, REGIONS
from variational_bnn.evaluation.classes import FREQUENCIES
from variational_bnn.evaluation.summary import of_classes
from variational_bnn.report.cells import failed, interval, new_table, short, value
from variational_bnn.report.names import WIDTH, shortened

CHANCE = 0.005
"""How likely a calibrated method may be called certain and wrong in a region."""

NOTHING_HELD_OUT = (
    "No rows are held out, so how good the predictions are is not known: --gap FEATURE and --tail FEATURE, or "
    "vbnn.split, hold some out."
)
LEGEND = (
    "log-lik.: the mean log predictive density of a held-out row, in nats; more is better. {rmse} {calibration} "
    "[ ]: 95 % interval over seeds. Certain and wrong: {less}, by more than chance would leave of a calibrated method "
    "in 199 of 200 cases."
)
_OF_NUMBERS = {
    "rmse": "rmse: of the predictive mean.",
    "calibration": "in 95 %: the share of rows inside the central 95 % predictive interval.",
    "less": "fewer rows are inside than 95 %",
}
_OF_CLASSES = {
    "rmse": "accuracy: the share of rows whose most probable class is right.",
    "calibration": "certain: the mean probability of the most probable class, which is the accuracy if calibrated.",
    "less": "the accuracy is lower than that probability",
}


def answer(scores: pd.DataFrame, about: str) -> Table | None:
    """Return the table of log-likelihood, error and calibration on held-out rows, by method and region.

    Args:
        scores: A row for each `method`, as in `Comparison.scores`. A column that is missing counts as NaN.
        about: What the title says of the data.

    Returns:
        The table, to be printed by rich; None without held-out rows.
    """
    if not any(_regions(row) for _, row in scores.iterrows()):
        return None
    classes = of_classes(scores)
    scores = scores.assign(method=scores["method"].map(shortened(scores["method"], WIDTH)))
    error = "accuracy" if classes else "rmse"
    measures = {"log-lik.": "log_likelihood", error: error}
    seeds = {name: _any_low(scores, measure) for name, measure in measures.items()}
    headings = [heading for name in measures for heading in ([name, "[ ]"] if seeds[name] else [name])]
    table = new_table(f"Held-out rows of {about}", "", *headings, "certain" if classes else "in 95 %")
    for _, row in scores.iterrows():
        for position, region in enumerate(_regions(row)):
            cells = []
            for name, measure in measures.items():
                cells += [short(value(row, f"{measure}_{region}"), 3)]
                cells += [interval(row, f"{measure}_{region}")] if seeds[name] else []
            shown = f"confidence_{region}" if classes else f"coverage_95_{region}"
            table.add_row("" if position else row["method"], region, *cells, _percent(value(row, shown)))
    return table


def findings(scores: pd.DataFrame) -> list[str]:
    """Return a line for each method: whether it is certain and wrong, and whether it is better than the baseline.

    Those that are certain and wrong come first. Without held-out rows, one line says so.
    """
    rows = [row for _, row in scores.iterrows()]
    if not any(_regions(row) for row in rows):
        return [NOTHING_HELD_OUT]
    baseline = next((row for row in rows if row["method"] in (BASELINE, FREQUENCIES)), None)
    judged = [row for row in rows if row["method"] != FREQUENCIES]
    judged.sort(key=lambda row: not _wrong(row))
    lines = [f"{row['method']}: {_finding(row, baseline)}{failed(row)}" for row in judged]
    known = baseline is not None or of_classes(scores)
    return lines if known else [*lines, f"No baseline takes part: add {BASELINE} to the methods."]


def explained(scores: pd.DataFrame) -> str:
    """Return what the columns of the first table mean; "" without held-out rows."""
    if not any(_regions(row) for _, row in scores.iterrows()):
        return ""
    return LEGEND.format_map(_OF_CLASSES if of_classes(scores) else _OF_NUMBERS)


def _regions(row: pd.Series[float]) -> list[str]:
    """Return the regions with held-out rows."""
    return [region for region in REGIONS if not math.isnan(value(row, f"rmse_{region}"))]


def _finding(row: pd.Series[float], baseline: pd.Series[float] | None) -> str:
    regions = _regions(row)
    if not regions:
        return "no seed succeeded"
    parts = [_calibration(row, regions)]
    if baseline is not None and row["method"] != baseline["method"]:
        parts.append(_beside(row, baseline, regions))
    return "; ".join(part for part in parts if part)


def _calibrated(row: pd.Series[float], region: str) -> tuple[float, float, float]:
    """Return the share of rows that are as the method says, what it says, and the least that chance would leave."""
    accuracy, coverage = value(row, f"accuracy_{region}"), value(row, f"coverage_95_{region}")
    share, said = (accuracy, value(row, f"confidence_{region}")) if math.isnan(coverage) else (coverage, 0.95)
    count = value(row, f"query_points_{region}")
    least = stats.binom.ppf(CHANCE, count, min(said, 1.0)) / count if count > 0 else math.nan
    return share, said, float(least)


def _wrong(row: pd.Series[float]) -> list[str]:
    """Return the regions in which fewer rows are as the method says than chance would leave."""
    found = {region: _calibrated(row, region) for region in _regions(row)}
    return [region for region, (share, _, least) in found.items() if share < least]


def _calibration(row: pd.Series[float], regions: list[str]) -> str:
    """Return in words where the method is certain and wrong, with the numbers."""
    wrong = _wrong(row)
    right = [region for region in regions if region not in wrong and not math.isnan(sum(_calibrated(row, region)))]
    if not wrong and not right:
        return "how calibrated it is cannot be said"
    numbers = not all(math.isnan(value(row, f"coverage_95_{region}")) for region in regions)
    what = "its 95 % intervals hold" if numbers else "it is right in"
    parts = []
    if wrong:
        least = _and([_percent(_calibrated(row, region)[2]) for region in wrong])
        parts.append(f"certain and wrong {_and(wrong)} the data, where {what} {_shares(row, wrong)}")
        parts[-1] += f" (if calibrated, at least {least})"
    if right:
        start = f"not so {_and(right)} the data: " if wrong else f"not certain and wrong: {what} "
        parts.append(start + _shares(row, right, named=not wrong))
    return "; ".join(parts)


def _shares(row: pd.Series[float], regions: list[str], named: bool = False) -> str:
    """Return in words how many rows are as the method says, for each of the regions."""
    words: list[str] = []
    for region in regions:
        share, said, _ = _calibrated(row, region)
        certain = f", certain to {_percent(said)}" if math.isnan(value(row, f"coverage_95_{region}")) else ""
        where = f" {region}" if named else ""
        rows = "" if words else " rows"
        words.append(f"{_percent(share)} of {value(row, f'query_points_{region}'):,.0f}{rows}{where}{certain}")
    return _and(words)


def _beside(row: pd.Series[float], baseline: pd.Series[float], regions: list[str]) -> str:
    """Return in words where its log-likelihood is below the baseline's."""
    name = str(baseline["method"])
    names = {region: f"log_likelihood_{region}" for region in regions}
    pairs = {region: (value(row, measure), value(baseline, measure)) for region, measure in names.items()}
    known = {region: pair for region, pair in pairs.items() if not any(map(math.isnan, pair))}
    if not known:
        return "no log-likelihood"
    below = [region for region, (own, other) in known.items() if own < other]
    if not below:
        return f"log-likelihood above that of {name}" + (" everywhere" if len(known) > 1 else "")
    numbers = _and([f"{short(known[region][0], 3)} against {short(known[region][1], 3)} {region}" for region in below])
    return f"log-likelihood below that of {name}: {numbers}"


def _and(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _any_low(scores: pd.DataFrame, measure: str) -> bool:
    """Return whether the measure has an interval in any region."""
    return bool(scores.filter(regex=f"^{measure}_.*_low$").notna().any(axis=None))
