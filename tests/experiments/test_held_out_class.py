"""A digit that was never seen: uncertain weights know that they do not know it, and other methods do not."""

from __future__ import annotations

from typing import Any

import pytest

from variational_bnn.base import BEYOND, NEAR, Method
from variational_bnn.datasets import digits, labelled
from variational_bnn.experiments.compare import compare
from variational_bnn.methods.output import OutputVariation
from variational_bnn.methods.prior import Prior
from variational_bnn.methods.weights import Flipout, LocalReparameterization, Reparameterization

DATASET = labelled(digits(), 9)


def _rows(method: Method) -> dict[str, Any]:
    results = compare(DATASET, methods=[method], seeds=[0], num_samples=100, progress=False).results
    return {row.region: row for row in results.itertuples()}


@pytest.mark.parametrize("method", [Reparameterization, Flipout, LocalReparameterization])
def test_uncertain_weights_know_a_digit_never_seen_from_test_digits(method: type) -> None:
    rows = _rows(method(steps=1000))
    assert rows[NEAR].accuracy > 0.9, "it can read the digits that it has seen"
    assert rows[BEYOND].accuracy == 0
    assert rows[BEYOND].mutual_information > 1.5 * rows[NEAR].mutual_information > 0
    assert rows[BEYOND].entropy > rows[NEAR].entropy


def test_variation_of_the_output_does_not_know_it() -> None:
    rows = _rows(OutputVariation(steps=1000))
    assert rows[NEAR].accuracy > 0.9
    assert rows[NEAR].mutual_information == rows[BEYOND].mutual_information == 0
    assert rows[BEYOND].entropy > rows[NEAR].entropy, "it doubts the class, and no draw disagrees with another"


def test_the_prior_cannot_tell_them_apart() -> None:
    """The control: under the prior, all digits are as unknown."""
    rows = _rows(Prior())
    assert rows[BEYOND].mutual_information == pytest.approx(rows[NEAR].mutual_information, rel=0.1)
