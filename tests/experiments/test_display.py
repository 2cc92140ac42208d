"""How far the runs are: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from functools import partial

import pytest
import toy_runs
from toy_runs import group, run

from variational_bnn.experiments.display import Display, display
from variational_bnn.experiments.engine import execute


@pytest.mark.parametrize("workers", [1, 2])
def test_bars_show_the_steps_of_each_run(
    workers: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # So that standard error is taken for a terminal.
    monkeypatch.setenv("COLUMNS", "120")
    runs = [run("a", seed, partial(toy_runs.reporting, "a", seed)) for seed in (0, 1)]
    execute([*runs, group("b", {0: None, 1: partial(toy_runs.reporting, "b", 1)})], workers=workers)
    shown = capfd.readouterr().err
    assert all(name in shown for name in ("a, seed 0", "a, seed 1", "b, seeds 0, 1"))
    assert any(f"{step} of 8 steps" in shown for step in range(2, 8))
    assert "4/4 runs finished" in shown


def test_elsewhere_a_line_comes_at_the_start_at_the_end_and_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.monotonic", clock := _Clock())
    with display(True, total=3, finished=1) as shown:
        _pass(shown, clock, 9.0)
        shown.started(a := run("a", 0))
        shown.reported(a, 0.25, "1 of 4 steps")
        _pass(shown, clock, 1.5)
        _pass(shown, clock, 9.0)
        shown.ended(("a", 0))
        shown.stopped(a)
        _pass(shown, clock, 3_000_000.0)
        _pass(shown, clock, 599.0)
        _pass(shown, clock, 2.0)
        shown.ended(("b", 0))
    assert capfd.readouterr().err.splitlines() == [
        "1/3 runs finished",
        "1/3 runs finished, about 0:01:14 left; running: a, seed 0 (1 of 4 steps)",
        "2/3 runs finished, about 34 days, 17:20:20 left",
        "2/3 runs finished, about 34 days, 17:30:20 left",
        "3/3 runs finished in 34 days, 17:30:20",
    ]


@pytest.mark.parametrize(
    ("seeds", "name"),
    [
        ([3], "a, seed 3"),
        ([0, 1], "a, seeds 0, 1"),
        ([4, 0, 1, 3, 2, 5], "a, seeds 0 to 5"),
        ([0, 2, 9], "a, seeds 0, 2, 9"),
        ([0, 1, 2, 3, 4, 6], "a, 6 seeds"),
    ],
)
def test_a_group_is_named_by_its_seeds(seeds: list[int], name: str) -> None:
    assert group("a", dict.fromkeys(seeds)).label == name


def test_the_work_of_a_group_counts_as_that_of_its_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.monotonic", clock := _Clock())
    with display(True, total=6, finished=1) as shown:
        shown.started(a := group("a", dict.fromkeys(range(4))))
        shown.reported(a, 0.5, "fitting, 1 of 2 steps")
        _pass(shown, clock, 10.0)  # For two of four.
        shown.ended(("a", 0))
        shown.reported(a, 0.75, "measuring")
        _pass(shown, clock, 10.0)  # For three of four.
        for seed in (1, 2, 3):
            shown.ended(("a", seed))
        shown.stopped(a)
        _pass(shown, clock, 12.0)
        shown.ended(("b", 0))
    assert capfd.readouterr().err.splitlines() == [
        "1/6 runs finished",
        "1/6 runs finished, about 0:00:15 left; running: a, seeds 0 to 3 (fitting, 1 of 2 steps)",
        "2/6 runs finished, about 0:00:13 left; running: a, seeds 0 to 3 (measuring)",
        "5/6 runs finished, about 0:00:08 left",
        "6/6 runs finished in 0:00:32",
    ]


def test_nothing_is_shown_without_progress(capfd: pytest.CaptureFixture[str]) -> None:
    execute([run("a", 0)], progress=False)
    assert capfd.readouterr().err == ""


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _pass(shown: Display, clock: _Clock, seconds: float) -> None:
    clock.now += seconds
    shown.tick()
