"""Rows in words: the tables and the verdicts on the screen."""

from __future__ import annotations

import math

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, MAX_R_HAT, MIN_ESS, NEAR, REGIONS, TAU
from variational_bnn.evaluation.summary import of_classes

LATENT_NOISE = "; noise of its units, not uncertainty about parameters"
"""Which need not shrink with more data, nor grow away from it."""

_OF_NUMBERS = "epistemic sd, how far apart the functions lie that a method holds possible, in the units of y"
_OF_CLASSES = (
    "epistemic sd, how far apart the probabilities lie that a method holds possible, and mutual information, how much "
    "of the class's entropy comes of that"
)
_PLACES = (
    "[95 % interval over seeds], at inputs as close to training rows as they are to each other; inside their range but "
    "farther off; and outside it. noise: the sd near that it takes for noise."
)
_FIT_OF_NUMBERS = "rmse: on the training rows."
_FIT_OF_CLASSES = (
    "rmse: of the probabilities, on the training rows, where they should be 0 or 1. entropy: near; the log of the "
    "number of classes if all are as likely. accuracy: share of the training rows whose most probable class is right."
)
_CONTRACTED = "4 x data: how many times less epistemic variance there is near, with four times the data."

_RATIO_AND_DISTANCE = {"sd_ratio": "sd ratio", "wasserstein": "distance"}
_CLOSENESS = {**_RATIO_AND_DISTANCE, "mean_error": "mean error"}
_CLOSENESS_OF_CLASSES = {**_RATIO_AND_DISTANCE, "total_variation": "tot. var.", "agreement": "agreement"}


def tables(summary: pd.DataFrame, about: str, reference: str | None = None) -> list[Table]:
    """What was found, to be read on a screen: one row a method, as in `Comparison.table`.

    Epistemic sd by region; mutual information, of classes; closeness to the reference, if there is one; scores, where
    rows were held out; and cost.
    """
    found = [_epistemic(summary, about)]
    if of_classes(summary):
        found.append(_information(summary))
    if reference is not None:
        found.append(_closeness(summary, reference))
    if any(summary[f"rmse_{region}"].notna().any() for region in REGIONS):
        found.append(_scores(summary))
    return [*found, _cost(summary)]


def legend(summary: pd.DataFrame) -> str:
    """What the columns of the first tables mean."""
    what, fit = (_OF_CLASSES, _FIT_OF_CLASSES) if of_classes(summary) else (_OF_NUMBERS, _FIT_OF_NUMBERS)
    more = f" {_CONTRACTED}" if _contracted(summary) else ""
    return f"{', '.join(REGIONS)}: {what}, {_PLACES} {fit}{more}"


def _contracted(summary: pd.DataFrame) -> bool:
    return bool(summary["contraction"].notna().any())


def _epistemic(summary: pd.DataFrame, about: str) -> Table:
    contracted = _contracted(summary)
    more = ("4 x data",) if contracted else ()
    what = "Epistemic sd of the probabilities" if of_classes(summary) else "Epistemic sd"
    table = new_table(f"{what} on {about}", *REGIONS, "noise", "rmse", *more)
    for _, row in summary.iterrows():
        sds = [with_interval(row, f"sd_{region}", "\n") for region in REGIONS]
        rest = [short(row[name]) for name in ("aleatoric_sd_near", "train_rmse")]
        table.add_row(row["method"], *sds, *rest, *([short(row["contraction"])] if contracted else []))
    return table


def _information(summary: pd.DataFrame) -> Table:
    table = new_table("Classes: mutual information, in nats", *REGIONS, "entropy", "accuracy")
    for _, row in summary.iterrows():
        information = [with_interval(row, f"mutual_information_{region}", "\n") for region in REGIONS]
        table.add_row(row["method"], *information, short(row["entropy_near"]), short(row["train_accuracy"], 3))
    return table


def _closeness(summary: pd.DataFrame, reference: str) -> Table:
    measures, title = _CLOSENESS, "Wasserstein distance and mean's error in its sds"
    if of_classes(summary):
        measures, title = _CLOSENESS_OF_CLASSES, "Wasserstein distance of probabilities; the means' total variation"
    table = new_table(f"Closeness to {reference}: ratio of epistemic sds; {title}", "", *REGIONS)
    for _, row in summary.iterrows():
        if any(not math.isnan(row[f"{measure}_{region}"]) for measure in measures for region in REGIONS):
            for measure, label in measures.items():
                name = row["method"] if label == "sd ratio" else ""
                values = [with_interval(row, f"{measure}_{region}", "\n") for region in REGIONS]
                table.add_row(name, label, *values)
    return table


def _scores(summary: pd.DataFrame) -> Table:
    levels = [f"{100 * level:.0f}" for level in LEVELS]
    within = f"; covered: by {', '.join(levels[:-1])} and {levels[-1]} % intervals"
    classes = of_classes(summary)
    title = f"Held-out rows: joint: log-likelihood of {TAU} at a time, per row{'' if classes else within}"
    more = ("accuracy",) if classes else ("CRPS", "covered, %", "95 % width")
    table = new_table(title, "", "rmse", "log-lik.", "joint", *more)
    for _, row in summary.iterrows():
        held_out = [region for region in REGIONS if not math.isnan(row[f"rmse_{region}"])]
        for region in held_out:
            values = [short(row[f"{score}_{region}"]) for score in ("rmse", "log_likelihood", "joint_log_likelihood")]
            if classes:
                values.append(short(row[f"accuracy_{region}"], 3))
            else:
                covered = " ".join(f"{100 * row[f'coverage_{level}_{region}']:.0f}" for level in levels)
                values += [short(row[f"crps_{region}"]), covered, short(row[f"width_95_{region}"])]
            table.add_row(row["method"] if region == held_out[0] else "", region, *values)
    return table


def _cost(summary: pd.DataFrame) -> Table:
    chains = any(_has_chains(row) for _, row in summary.iterrows())
    more = ("accept", "R-hat", "ESS") if chains else ()
    table = new_table("Cost of a fit", "fit, s", "predict", "weights", "random", "MiB", *more)
    for _, row in summary.iterrows():
        values = [short(row["fit_seconds"]), short(row["predict_seconds"])]
        counts = [f"{row['parameters']:.0f}", f"{row['random_variables']:.0f}", short(row["peak_memory"])]
        of_chains = [short(row["acceptance"]), short(row["r_hat"], 4), short(row["ess"])] if chains else []
        table.add_row(row["method"], *values, *counts, *of_chains)
    return table


def new_table(title: str, *headings: str, heading: str = "method") -> Table:
    """A table to be read on a screen, without lines; its first column is text."""
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column(heading, no_wrap=True)
    for name in headings:
        table.add_column(name, justify="right")
    return table


def verdicts(summary: pd.DataFrame) -> list[str]:
    """For each method, a line that says what its epistemic variance does away from the data."""
    return [f"{row['method']}: {_verdict(row)}" for _, row in summary.iterrows()]


def failures(results: pd.DataFrame) -> list[str]:
    """A line for each method and seed that failed, or failed with four times the data."""
    lines = []
    for (method, seed), rows in results.groupby(["method", "seed"], sort=False):
        (status, *_), contraction = rows["status"], rows.loc[rows["contraction_status"] != "ok", "contraction_status"]
        if status != "ok":
            lines.append(f"{method}, seed {seed}: {status}")
        lines += [f"{method}, seed {seed}, with four times the data: {text}" for text in contraction]
    return lines


def _verdict(row: pd.Series[float]) -> str:
    note = failed(int(row["seeds_failed"]))
    if not row["seeds_ok"]:
        return f"no seed succeeded{note}"
    sds = [row[f"sd_{region}"] for region in REGIONS if not math.isnan(row[f"sd_{region}"])]
    if not any(sds):
        return f"no epistemic variance anywhere, so it never knows that it does not know{note}"
    ratios = [
        f"{with_interval(row, f'{region}_{NEAR}')} times as much {region} the data as near it"
        for region in (BETWEEN, BEYOND)
        if not math.isnan(row[f"{region}_{NEAR}"])
    ]
    caveat = LATENT_NOISE if str(row["method"]) == "hidden" else ""
    contraction = ""
    if not math.isnan(row["contraction"]):
        contraction = f"; {short(row['contraction'])} times less near it with four times the data"
    apart = ""
    if _has_chains(row) and not note and not (row["r_hat"] <= MAX_R_HAT and row["ess"] >= MIN_ESS):
        apart = f"; chains not converged, R-hat {short(row['r_hat'], 4)}, ESS {short(row['ess'])}"
    return f"epistemic variance {', '.join(ratios) or 'near the data alone'}{contraction}{caveat}{apart}{note}"


def failed(seeds: int) -> str:
    """That so many seeds failed, if any."""
    return f" ({seeds} seed{'s' if seeds > 1 else ''} failed)" if seeds else ""


def _has_chains(row: pd.Series[float]) -> bool:
    return not all(math.isnan(row[name]) for name in ("acceptance", "r_hat", "ess"))


def with_interval(row: pd.Series[float], name: str, separator: str = " ", digits: int = 2) -> str:
    """A column's estimate, and its bounds where they are known."""
    low, high = (row.get(f"{name}_{bound}", math.nan) for bound in ("low", "high"))
    known = not (math.isnan(low) or math.isnan(high))
    interval = f"{separator}[{short(low, digits)}, {short(high, digits)}]" if known else ""
    return short(row[name], digits) + interval


def short(value: float, digits: int = 2) -> str:
    """A number of a few digits, whole if it is larger; a dash for none."""
    if math.isnan(value):
        return "-"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if 10**digits <= abs(float(text)) < math.inf else text
