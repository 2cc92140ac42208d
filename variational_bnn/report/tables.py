"""The results of a comparison of methods in text: tables, their legend, and a verdict for each method."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from rich.table import Table
from rich.text import Text

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, MAX_R_HAT, MIN_ESS, NEAR, REGIONS, TAU
from variational_bnn.evaluation.summary import of_classes
from variational_bnn.report.cells import failed, new_table, short, text, value, with_interval
from variational_bnn.report.latent_share import as_percent
from variational_bnn.report.names import WIDTH, shortened

IS_NOISE = "which is noise of the row and not uncertainty about the function"
"""What verdicts say of the variance over draws that comes from latents. It need not shrink with more data."""

_PERCENTS = [f"{100 * level:.0f}" for level in LEVELS]
_OF_NUMBERS = "the sd over draws of the mean of y, in the units of y,"
_OF_CLASSES = "the sd over draws of the probabilities, and the mutual information of the class and the draw,"
_PLACES = (
    "at inputs as close to training rows as these are to each other; farther off but inside their range; and outside "
    "their range. [ ]: 95 % interval over seeds."
)
_EPISTEMIC = "Draws differ by parameters alone, which are drawn once for all rows: all of it is epistemic."
_LATENT = (
    "latent: the share of the variance over draws{information} that comes from latents, which are drawn for each row. "
    "It is noise of the row, and not uncertainty about the function. The rest comes from parameters, which are drawn "
    "once for all rows: it is epistemic."
)
_NOISE = "noise: the aleatoric sd near the data, which is that of the likelihood."
_FIT_OF_NUMBERS = "train rmse: on the training rows."
_FIT_OF_CLASSES = (
    "train rmse: of the probabilities, on the training rows. entropy: of the class, near the data; its largest value "
    "is the log of the number of classes. train accuracy: on the training rows."
)
_CONTRACTED = "4 x data: the variance over draws near the data, divided by that with four times as many data."
_REFERENCE = "sd ratio: the sd over draws{latents}, divided by that of the reference, a geometric mean."
_DISTANCE = (
    "distance: the Wasserstein distance to the reference. mean error: the distance between the two means. Both are in "
    "units of the reference's sd."
)
_DISTANCE_OF_CLASSES = (
    "distance: the Wasserstein distance to the reference, of probabilities. tot. var.: the total variation between "
    "the two mean predictions. agreement: how often these have the same most probable class."
)
_HELD_OUT = f"joint: the log predictive density of {TAU} held-out rows at a time, in nats per row."
_INSIDE = "in 50 %: how many percent of these rows are inside their central 50 % predictive interval."
_MEASURES = {"sd_ratio": "sd ratio", "wasserstein": "distance", "mean_error": "mean error"}
_MEASURES_OF_CLASSES = {
    "sd_ratio": "sd ratio",
    "wasserstein": "distance",
    "total_variation": "tot. var.",
    "agreement": "agreement",
}


def tables(summary: pd.DataFrame, about: str, reference: str | None = None) -> list[Table]:
    """Return the tables of a comparison, with one row for each method, to be printed by rich.

    They hold the sd over draws by region, and how much of its variance is latent; for classes, the mutual information;
    the likelihoods, if they differ; with a reference, the distances to it; with held-out rows, those scores that
    `answer` does not show; the cost of a fit; and how Markov chains have converged, if there are any. An unknown value
    is a dash.

    Args:
        summary: A row for each `method`, as in `Comparison.table`. A column that is missing counts as NaN, and a share
            of latents as 0.
        about: What the title of the first table says of the data.
        reference: The method that the others are compared with, or None.
    """
    summary = summary.assign(method=summary["method"].map(shortened(summary["method"], WIDTH)))
    parts = [_over_draws(summary, about)]
    if of_classes(summary):
        parts.append(_information(summary))
    if len(set(_likelihoods(summary).values())) > 1:
        parts.append(_likelihood(summary))
    if reference is not None:
        parts.append(_reference_distance(summary, reference))
    if _any(summary, "rmse"):
        parts.append(_scores(summary))
    parts.append(_cost(summary))
    if any(_has_chains(row) for _, row in summary.iterrows()):
        parts.append(_markov_chains(summary))
    return parts


def legend(summary: pd.DataFrame) -> str:
    """Return what the columns of the tables mean, in one paragraph."""
    classes = of_classes(summary)
    latent = any(_share(row, region) for _, row in summary.iterrows() for region in REGIONS)
    parts = [", ".join(REGIONS) + ":", _OF_CLASSES if classes else _OF_NUMBERS, _PLACES]
    parts.append(
        _LATENT.format(information=", or of the mutual information," if classes else "") if latent else _EPISTEMIC
    )
    parts += [_NOISE, _FIT_OF_CLASSES if classes else _FIT_OF_NUMBERS]
    if _contracted(summary):
        parts.append(_CONTRACTED)
    if _any(summary, "wasserstein"):
        reference = _REFERENCE.format(latents=", latents included" if latent else "")
        parts += [reference, _DISTANCE_OF_CLASSES if classes else _DISTANCE]
    if _any(summary, "rmse"):
        parts += [_HELD_OUT] if classes else [_HELD_OUT, _INSIDE]
    likelihoods = set(_likelihoods(summary).values())
    if "Normal()" in likelihoods:
        parts.append("Normal(): its sd depends on x.")
    if len(likelihoods) == 1 and "" not in likelihoods:
        parts.append(f"All methods have the likelihood {likelihoods.pop()}.")
    return " ".join(parts)


def verdicts(summary: pd.DataFrame) -> list[str]:
    """Return one line for each method: how its variance over draws grows away from the data, and what it comes from."""
    return [f"{row['method']}: {_verdict(row)}" for _, row in summary.iterrows()]


def failures(results: pd.DataFrame) -> list[str]:
    """Return a line for each method and seed that failed, or that failed with four times as many data."""
    lines = []
    for (method, seed), rows in results.groupby(["method", "seed"], sort=False):
        if rows["status"].iloc[0] != "ok":
            lines.append(f"{method}, seed {seed}: {rows['status'].iloc[0]}")
        statuses = rows["contraction_status"].dropna() if "contraction_status" in rows else ()
        lines += [f"{method}, seed {seed}, with four times the data: {text}" for text in statuses if text != "ok"]
    return lines


def _any(summary: pd.DataFrame, measure: str) -> bool:
    """Return whether any method has this measure in any region."""
    names = [f"{measure}_{region}" for region in REGIONS if f"{measure}_{region}" in summary]
    return bool(summary[names].notna().any(axis=None))


def _contracted(summary: pd.DataFrame) -> bool:
    return "contraction" in summary and bool(summary["contraction"].notna().any())


def _share(row: pd.Series[float], region: str, of: str = "latent_share") -> float:
    """Return the share of the latents in a region; 0 if it is unknown, as in results from before it was measured."""
    share = value(row, f"{of}_{region}")
    return 0.0 if math.isnan(share) else share


def _with_share(row: pd.Series[float], measure: str, of: str, region: str) -> str:
    """Return a cell: the measure in a region, its interval, and how much of it is latent, if any."""
    share = as_percent(_share(row, region, of))
    return with_interval(row, f"{measure}_{region}", "\n") + (f"\n{share} latent" if share else "")


def _over_draws(summary: pd.DataFrame, about: str) -> Table:
    columns = {"noise": "aleatoric_sd_near", "train\nrmse": "train_rmse"}
    columns |= {"4 x\ndata": "contraction"} if _contracted(summary) else {}
    what = "Sd over draws of the probabilities" if of_classes(summary) else "Sd over draws"
    table = new_table(f"{what} on {about}", *REGIONS, *columns)
    for _, row in summary.iterrows():
        sds = [_with_share(row, "sd", "latent_share", region) for region in REGIONS]
        table.add_row(row["method"], *sds, *(short(value(row, name)) for name in columns.values()))
    return table


def _information(summary: pd.DataFrame) -> Table:
    table = new_table("Classes: mutual information of y and the draw, in nats", *REGIONS, "entropy", "train\naccuracy")
    for _, row in summary.iterrows():
        of = "latent_information_share"
        information = [_with_share(row, "information", of, region) for region in REGIONS]
        entropy, accuracy = value(row, "entropy_near"), value(row, "train_accuracy")
        table.add_row(row["method"], *information, short(entropy), short(accuracy, 3))
    return table


def _likelihoods(summary: pd.DataFrame) -> dict[str, str]:
    """Return the likelihood of each method that has been fitted; "" if it is not known."""
    fitted = [row for _, row in summary.iterrows() if value(row, "seeds_ok") > 0]
    return {str(row["method"]): text(row, "likelihood") for row in fitted}


def _likelihood(summary: pd.DataFrame) -> Table:
    table = new_table("Likelihoods, which differ", "likelihood")
    for method, likelihood in _likelihoods(summary).items():
        table.add_row(method, Text(likelihood or "-"))
    return table


def _reference_distance(summary: pd.DataFrame, reference: str) -> Table:
    measures = _MEASURES_OF_CLASSES if of_classes(summary) else _MEASURES
    table = new_table(f"Distance to {reference}, the reference", "", *REGIONS)
    for _, row in summary.iterrows():
        known = [not math.isnan(value(row, f"{measure}_{region}")) for measure in measures for region in REGIONS]
        for position, (measure, label) in enumerate(measures.items() if any(known) else ()):
            values = [with_interval(row, f"{measure}_{region}", "\n") for region in REGIONS]
            table.add_row("" if position else row["method"], label, *values)
    return table


def _scores(summary: pd.DataFrame) -> Table:
    measures = {"joint": "joint_log_likelihood", "rmse": "rmse"}
    if not of_classes(summary):
        measures = {"joint": "joint_log_likelihood", "CRPS": "crps", "95 %\nwidth": f"width_{_PERCENTS[-1]}"}
    inside = [] if of_classes(summary) else _PERCENTS[:-1]
    table = new_table("Further scores of held-out rows", "", *measures, *(f"in\n{percent} %" for percent in inside))
    for method, region, row in _held_out(summary):
        scores = [short(value(row, f"{measure}_{region}")) for measure in measures.values()]
        covered = [100 * value(row, f"coverage_{percent}_{region}") for percent in inside]
        table.add_row(method, region, *scores, *(short(share, 3) for share in covered))
    return table


def _held_out(summary: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series[float]]]:
    """Yield each method's row for each region with held-out rows; the method is named with its first region."""
    for _, row in summary.iterrows():
        regions = [region for region in REGIONS if not math.isnan(value(row, f"rmse_{region}"))]
        for position, region in enumerate(regions):
            yield "" if position else str(row["method"]), region, row


def _cost(summary: pd.DataFrame) -> Table:
    table = new_table("Cost of a fit", "fit, s", "predict, s", "parameters", "random", "MiB")
    for _, row in summary.iterrows():
        seconds = [short(value(row, name)) for name in ("fit_seconds", "predict_seconds")]
        counts = [value(row, name) for name in ("parameters", "random_variables")]
        numbers = ["-" if math.isnan(count) else f"{count:,.0f}" for count in counts]
        table.add_row(row["method"], *seconds, *numbers, short(value(row, "peak_memory")))
    return table


def _markov_chains(summary: pd.DataFrame) -> Table:
    table = new_table("Markov chains", "acceptance", "R-hat", "ESS", "tail ESS")
    for _, row in summary.iterrows():
        if _has_chains(row):
            acceptance, r_hat, *sizes = (value(row, name) for name in ("acceptance", "r_hat", "ess", "ess_tail"))
            table.add_row(row["method"], short(acceptance), short(r_hat, 4), *map(short, sizes))
    return table


def _verdict(row: pd.Series[float]) -> str:
    ends = failed(row)
    if not value(row, "seeds_ok") > 0:
        return f"no seed succeeded{ends}"
    said = text(row, "note")
    note = f"; {said}" if said else ""
    regions = [region for region in REGIONS if value(row, f"sd_{region}") > 0]
    if not regions:
        return f"no epistemic variance anywhere: it reports no uncertainty of the function{note}{ends}"
    contraction = ""
    if not math.isnan(value(row, "contraction")):
        contraction = f"; {short(value(row, 'contraction'))} times less near it with four times the data"
    chains = "" if ends else _chains(row)
    return f"{_by_source(row, regions)}{contraction}{chains}{note}{ends}"


def _by_source(row: pd.Series[float], regions: list[str]) -> str:
    """Return how the variance over draws grows away from the data, and how much of it is latent in these regions."""
    ratios = [
        f"{with_interval(row, f'{region}_{NEAR}')} times as much {region} the data as near it"
        for region in (BETWEEN, BEYOND)
        if not math.isnan(value(row, f"{region}_{NEAR}"))
    ]
    growth, shares = ", ".join(ratios) or "near the data alone", [_share(row, region) for region in regions]
    if max(shares) == 0:
        return f"epistemic variance {growth}"
    if min(shares) == 1:
        alone = f"its draws differ by latents of each row alone, {IS_NOISE}"
        return f"no epistemic variance: {alone}; this variance is {growth}"
    return f"variance over draws {growth}; {_listed(regions, shares)} is from latents of each row, {IS_NOISE}"


def _listed(regions: list[str], shares: list[float]) -> str:
    """Return how much of the variance is latent in each region; one number where all are written alike."""
    percents = [as_percent(share) or "0 %" for share in shares]
    if len(set(percents)) == 1:
        return f"{percents[0]} of it"
    first, *others, last = (f"{percent} {region}" for percent, region in zip(percents, regions, strict=True))
    return f"{', '.join([first.replace('%', '% of it'), *others])} and {last} the data"


def _has_chains(row: pd.Series[float]) -> bool:
    return not all(math.isnan(value(row, name)) for name in ("acceptance", "r_hat", "ess"))


def _chains(row: pd.Series[float]) -> str:
    """Return a note that the Markov chains have not converged, or nothing; a tail ESS may be unknown."""
    r_hat, ess, tail = (value(row, name) for name in ("r_hat", "ess", "ess_tail"))
    converged = r_hat <= MAX_R_HAT and ess >= MIN_ESS and not tail < MIN_ESS
    if converged or not _has_chains(row):
        return ""
    of_tails = "" if math.isnan(tail) else f", tail ESS {short(tail)}"
    return f"; chains not converged, R-hat {short(r_hat, 4)}, ESS {short(ess)}{of_tails}"
