"""The tables and the verdicts say how much of the variance over draws is latent, and which likelihood was fitted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from table_parts import lines_of, printed, summary_of

from variational_bnn.base import REGIONS
from variational_bnn.report.tables import legend, verdicts

IS_NOISE = "which is noise of the row and not uncertainty about the function"


def _of_latents(*shares: float, **measures: Any) -> pd.DataFrame:
    """The summary of `flipout` and of `mine`, with these shares of latent variance in the three regions."""
    runs = {("flipout", 0): (1.0, 1.0, 9.0), ("mine", 0): (1.0, 1.0, 9.0)}
    columns = {f"latent_share_{region}": [0.0, share] for region, share in zip(REGIONS, shares, strict=True)}
    return summary_of(runs, **measures).assign(**columns)


def test_latents_alone_are_no_epistemic_variance() -> None:
    summary = _of_latents(1.0, 1.0, 1.0, contraction=1.25)
    weights, latents = verdicts(summary)
    growth = (
        "1 times as much between the data as near it, 9 times as much beyond the data as near it; "
        "1.2 times less near it with four times the data"
    )
    assert weights == f"flipout: epistemic variance {growth}"
    assert latents == (
        f"mine: no epistemic variance: its draws differ by latents of each row alone, {IS_NOISE}; "
        f"this variance is {growth}"
    )
    text, _ = printed(summary)
    assert lines_of(text, "flipout")[0][1:4] == lines_of(text, "mine")[0][1:4] == ["1", "1", "3"]
    assert [line.split() for line in text if "latent" in line] == [["100", "%", "latent"] * 3]
    assert text.index(next(line for line in text if "latent" in line)) > text.index(
        next(line for line in text if "mine" in line)
    )


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.8, 0.604, 0.0), "80 % of it near, 60 % between and 0 % beyond the data is from latents of each row"),
        ((0.4, 0.4, 0.4), "40 % of it is from latents of each row"),
        ((0.999, 0.999, 0.001), ">99 % of it near, >99 % between and <1 % beyond the data is from latents of each row"),
        ((1.0, 1.0, 0.999), "100 % of it near, 100 % between and >99 % beyond the data is from latents of each row"),
    ],
)
def test_a_share_of_latents_is_said_and_shown_by_region(shares: tuple[float, ...], said: str) -> None:
    _, line = verdicts(_of_latents(*shares))
    assert line.startswith("mine: variance over draws 1 times as much between the data as near it, 9 times")
    assert line.endswith(f"; {said}, {IS_NOISE}")
    (cells,) = [row for row in printed(_of_latents(*shares))[0] if "latent" in row]
    assert cells.count("latent") == sum(share > 0 for share in shares)


def test_results_from_before_latents_were_measured_have_none() -> None:
    summary = _of_latents(1.0, 1.0, 1.0)
    for unknown in (summary.drop(columns=list(summary.filter(like="latent"))), _of_latents(*[math.nan] * 3)):
        assert all(line.split(": ")[1].startswith("epistemic variance") for line in verdicts(unknown))
        assert "latent" not in legend(unknown) + "".join(printed(unknown)[0])
    assert "all of it is epistemic" in legend(_of_latents(0.0, 0.0, 0.0))
    assert "all of it" not in legend(summary)
    assert "latent: the share of the variance over draws that comes from latents" in legend(summary)
    assert "It is noise of the row, and not uncertainty about the function." in legend(summary)


def test_regions_without_variance_do_not_make_a_share_mixed() -> None:
    runs = {("mine", 0): (1.0, 1.0, 0.0)}
    (line,) = verdicts(
        summary_of(runs).assign(latent_share_near=1.0, latent_share_between=1.0, latent_share_beyond=0.0)
    )
    assert line.startswith("mine: no epistemic variance: its draws differ by latents")


def test_what_a_reader_should_know_ends_the_verdict() -> None:
    runs = {("a", 0): (1.0, 1.0, 9.0), ("a", 1): "diverged", ("b", 0): (0.0, 0.0, 0.0)}
    some, none = verdicts(summary_of(runs, note="latents ignore x"))
    assert some.endswith("as near it; latents ignore x (1 seed failed)")
    assert none.endswith("no uncertainty of the function; latents ignore x")
    assert verdicts(summary_of(runs, note="")) == verdicts(summary_of(runs))


def test_likelihoods_have_a_table_where_they_differ_and_a_sentence_where_not() -> None:
    runs = {("a", 0): (1.0, 1.0, 9.0), ("b", 0): (1.0, 1.0, 9.0), ("c", 0): "diverged"}
    summary = summary_of(runs, likelihood="Normal(scale=1)")
    assert len(printed(summary)) == 2
    assert legend(summary).endswith("All methods have the likelihood Normal(scale=1).")
    for other, shown in (("Normal()", "Normal()"), ("", "-"), ("[bold]", "[bold]")):
        differing = summary.assign(likelihood=["Normal(scale=1)", other, ""])
        _, text, _ = printed(differing)
        assert text[0].strip() == "Likelihoods, which differ"
        assert [lines_of(text, name) for name in "abc"] == [[["a", "Normal(scale=1)"]], [["b", shown]], []]
        assert "All methods" not in legend(differing)
        assert ("Normal(): its sd depends on x." in legend(differing)) == (other == "Normal()")
    assert "likelihood " not in legend(summary_of(runs))


def test_the_share_of_latents_in_the_information_is_shown_with_it() -> None:
    runs = {("a", 0): (1.0, 1.0, 1.0), ("b", 0): (1.0, 1.0, 1.0)}
    summary = summary_of(runs, entropy=0.75, mutual_information=0.2)
    columns = {f"latent_information_share_{region}": [0.0, 0.25] for region in REGIONS}
    columns |= {f"latent_share_{region}": [0.0, 0.5] for region in REGIONS}
    first, text, _ = printed(summary.assign(**columns))
    for table, percent in ((first, "50"), (text, "25")):
        assert [line.split() for line in table if "latent" in line] == [[percent, "%", "latent"] * 3]
    assert "variance over draws, or of the mutual information, that comes from latents" in legend(
        summary.assign(**columns)
    )
