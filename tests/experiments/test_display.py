"""How far the runs are: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from functools import partial

import pytest
import toy_runs
from toy_runs import run

from variational_bnn.experiments.display import Display, display
from variational_bnn.experiments.engine import execute


@pytest.mark.parametrize("workers", [1, 2])
def test_bars_show_the_steps_of_each_run(
    workers: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # So that standard error is taken for a terminal.
    monkeypatch.setenv("COLUMNS", "120")
    execute([run("a", seed, partial(toy_runs.reporting, "a", seed)) for seed in (0, 1)], workers=workers)
    shown = capfd.readouterr().err
    assert all(f"a, seed {seed}" in shown for seed in (0, 1))
    assert any(f"{step} of 8 steps" in shown for step in range(2, 8))
    assert "2/2 runs finished" in shown


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
