"""Methods report how far their fits are, and parts of a work are put together."""

from __future__ import annotations

import pytest

import variational_bnn as vbnn
from variational_bnn.base.progress import part, report, watching
from variational_bnn.experiments.compare import default_network

METHODS = {
    "steps": (vbnn.OutputVariation(steps=500), [(0.5, "250 of 500 steps"), (1.0, "500 of 500 steps")]),
    "chains": (
        vbnn.Metropolis(chains=2, warmup=100, draws=300, thinning=1),
        [(n / 32, f"{25 * n} of 800 steps of all chains") for n in range(1, 33)],
    ),
}


@pytest.mark.parametrize("case", METHODS)
def test_a_method_reports_its_steps(case: str) -> None:
    method, expected = METHODS[case]
    dataset, reports = vbnn.lecture(), []
    with watching(lambda share, text: reports.append((share, text))):
        method.fit(dataset, default_network(dataset), seed=0)
    method.fit(dataset, default_network(dataset), seed=0)  # Nobody watches.
    assert reports == expected


def test_a_part_of_a_work_is_a_part_of_its_share() -> None:
    reports = []
    with part(0.5, 1.0):
        report(1, 2)  # Nobody watches.
    with watching(lambda share, text: reports.append((share, text))):
        with part(0.2, 0.6), part(0.5, 1.0):
            report(1_000, 2_000, "epochs")
        report(5, 4)
    assert reports == [(pytest.approx(0.5), "1,000 of 2,000 epochs"), (1.0, "5 of 4 steps")]
