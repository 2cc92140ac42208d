"""The engine: every run is executed once, here or by workers, whatever raises, dies or is killed."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest
import toy_runs
from toy_runs import group, prepared, run

from variational_bnn.experiments.engine import execute
from variational_bnn.experiments.run import Outcome

KEYS = [("a", 0), ("a", 1), ("b", 0)]


def _rows(outcomes: dict[tuple[str, int], Outcome]) -> pd.DataFrame:
    return pd.concat([outcome.rows for outcome in outcomes.values()], ignore_index=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_are_executed_once_kept_and_not_executed_again(tmp_path: Path, workers: int) -> None:
    store, notes = prepared(tmp_path / "results"), tmp_path / "notes"
    notes.mkdir()
    runs = [run(name, seed, partial(toy_runs.noted, notes, name, seed, 0.0)) for name, seed in KEYS]
    first = execute(runs[:2], workers=workers, store=store, progress=False)
    again = execute(runs[::-1], workers=workers, store=store, progress=False)
    assert list(first) == KEYS[:2]
    assert list(again) == KEYS[::-1]  # In the order that was asked for, whichever was finished first.
    executed = sorted(note.name.split("-")[:2] for note in notes.iterdir())
    assert executed == [["a", "0"], ["a", "1"], ["b", "0"]]
    here = {note.name.split("-")[2] == str(os.getpid()) for note in notes.iterdir()}
    assert here == {workers == 1}
    results = pd.read_csv(tmp_path / "results" / "results.csv")
    assert results.groupby(["method", "seed"], sort=False).size().to_dict() == dict.fromkeys(KEYS, 3)
    nothing_kept = execute([run(*key) for key in KEYS], workers=1, progress=False)
    pd.testing.assert_frame_equal(
        _rows(again).sort_values(["method", "seed"]).reset_index(drop=True), _rows(nothing_kept), check_dtype=False
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_raises_is_a_row_that_says_where_and_the_others_go_on(tmp_path: Path, workers: int) -> None:
    store = prepared(tmp_path)
    outcomes = execute([run("a", 0, toy_runs.raising), run("b", 0)], workers=workers, store=store, progress=False)
    (status,) = set(outcomes["a", 0].rows["status"])
    assert status.startswith("error: TypeError: no such")
    assert "toy_runs.py, line" in status
    assert (outcomes["b", 0].rows["status"] == "ok").all()
    assert set(store.finished()) == set(outcomes)  # Failed runs are results, too.


def test_a_worker_that_dies_is_a_row_and_is_tried_again_next_time(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    runs = [run("a", 0, toy_runs.dying), run("a", 1, toy_runs.leaving), *(run("b", seed) for seed in range(4))]
    outcomes = execute(runs, workers=2, store=store, progress=False)
    (dead,), (left,) = (set(outcomes["a", seed].rows["status"]) for seed in (0, 1))
    assert dead == "killed: the worker process was ended by SIGKILL, as for lack of memory"
    assert left == "killed: the worker process ended with exit status 3"
    assert all((outcomes["b", seed].rows["status"] == "ok").all() for seed in range(4))
    assert set(store.finished()) == {("b", seed) for seed in range(4)}
    assert "SIGKILL" in (tmp_path / "results.csv").read_text()
    outcomes = execute([run("a", 0), run("a", 1), *runs[2:]], workers=2, store=store, progress=False)
    assert all((outcomes["a", seed].rows["status"] == "ok").all() for seed in (0, 1))
    assert "SIGKILL" not in (tmp_path / "results.csv").read_text()


def test_each_run_of_a_group_is_kept_as_soon_as_it_is_finished(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        execute([group("a", {0: None, 1: None, 2: toy_runs.stopping, 3: None})], store=store, progress=False)
    assert set(store.finished()) == {("a", 0), ("a", 1)}
    whole = group("a", {0: toy_runs.stopping, 1: toy_runs.stopping, 2: None, 3: toy_runs.raising})
    outcomes = execute([whole], store=store, progress=False)  # The first two are not executed again.
    assert [set(outcome.rows["status"]) == {"ok"} for outcome in outcomes.values()] == [True, True, True, False]


def test_of_a_group_whose_worker_dies_what_was_finished_stays_and_the_others_are_executed_one_by_one(
    tmp_path: Path,
) -> None:
    store, notes = prepared(tmp_path / "results"), tmp_path / "notes"
    notes.mkdir()
    works = {seed: partial(toy_runs.noted, notes, "a", seed, 0.0) for seed in (0, 3, 4)}
    works |= {1: partial(toy_runs.dying_once, notes, "a", 1), 2: toy_runs.dying}
    groups = [group("a", dict(sorted(works.items()))), group("b", {0: None})]
    outcomes = execute(groups, workers=2, store=store, progress=False)
    status = {key: set(outcome.rows["status"]) for key, outcome in outcomes.items()}
    assert status.pop(("a", 2)) == {"killed: the worker process was ended by SIGKILL, as for lack of memory"}
    assert status == {key: {"ok"} for key in [("a", 0), ("a", 1), ("a", 3), ("a", 4), ("b", 0)]}
    assert set(store.finished()) == set(status)
    executed = sorted(note.name.split("-")[1] for note in notes.iterdir())
    assert executed == ["0", "1", "1", "3", "4"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_whole_group_is_the_status_of_the_runs_that_are_left(workers: int) -> None:
    whole = dataclasses.replace(group("a", {0: None, 1: None, 2: None}), execute=toy_runs.first_alone)
    outcomes = execute([whole, group("b", {0: None})], workers=workers, progress=False)
    kinds = {key: next(iter(outcome.rows["status"]))[:16] for key, outcome in outcomes.items()}
    error = "error: TypeError"
    assert kinds == {("a", 0): "ok", ("a", 1): error, ("a", 2): error, ("b", 0): "ok"}


def test_what_cannot_be_pickled_is_executed_here() -> None:
    with open(os.devnull) as unpicklable:
        runs = [run("a", 0, lambda: (unpicklable.name, toy_runs.outcome("a", 0))[1]), run("b", 0)]
        outcomes = execute(runs, workers=2, progress=False)
    assert list(outcomes) == [("a", 0), ("b", 0)]


def test_runs_of_one_name_and_seed_and_no_workers_are_named() -> None:
    with pytest.raises(ValueError, match="runs must differ in name or seed"):
        execute([run("a", 0), run("a", 0)], progress=False)
    with pytest.raises(ValueError, match="workers must be a whole number >= 1, got 0"):
        execute([run("a", 0)], workers=0, progress=False)


KILLS, SLOW = 2, [("slow", seed) for seed in range(16)]


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere a worker ends only when it has Python's lock.")
def test_a_worker_that_holds_pythons_lock_ends_with_its_parent(tmp_path: Path) -> None:
    code = f"import pathlib, functools, toy_runs; place = pathlib.Path({str(tmp_path)!r})\n"
    code += "stuck = toy_runs.run('a', 0, functools.partial(toy_runs.stuck, place))\n"
    code += "from variational_bnn.experiments.engine import execute; execute([stuck], workers=2, progress=False)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "TOY_RUNS": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while not (tmp_path / "stuck").exists():
        assert process.poll() is None
        time.sleep(0.02)
    assert len(_processes_of(tmp_path)) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while (left := _processes_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _kill(process: subprocess.Popen[bytes], rng: random.Random) -> None:
    """Kill a process, or one of its workers and then the process, in one of the ways in which that is done."""
    workers = psutil.Process(process.pid).children(recursive=True)
    if workers and rng.random() < 0.4:
        rng.choice(workers).kill()
        time.sleep(rng.uniform(0, 1))
    process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
    process.wait()


def test_kills_lose_no_finished_run_execute_none_twice_and_leave_no_process(tmp_path: Path) -> None:
    directory, notes, rng = tmp_path / "results", tmp_path / "notes", random.Random(0)
    notes.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "TOY_RUNS": str(directory)}
    finished: set[tuple[str, int]] = set()
    for attempt in range(KILLS + 1):
        command = [sys.executable, __file__, str(directory), str(notes)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        started, goal = len(list(notes.iterdir())), rng.randint(0, 4)
        while attempt < KILLS and process.poll() is None and len(list(notes.iterdir())) < started + goal:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if attempt < KILLS and process.poll() is None:
            _kill(process, rng)
        process.wait()
        now = set(prepared(directory).finished()) if directory.exists() else set()
        assert finished <= now  # Nothing that was finished is lost.
        finished = now
    assert finished == set(SLOW)
    store = prepared(directory)
    outcomes = execute([run(*key, toy_runs.raising) for key in SLOW], store=store, progress=False)
    assert (_rows(outcomes)["status"] == "ok").all()  # None is executed again, and each is whole.
    results = pd.read_csv(directory / "results.csv")
    assert results.groupby(["method", "seed"]).size().to_dict() == dict.fromkeys(SLOW, 3)
    deadline = time.monotonic() + 20
    while (left := _processes_of(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def _processes_of(directory: Path) -> list[int]:
    """The processes that were started for a directory, workers included, by their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            found += [process.pid] if process.environ().get("TOY_RUNS") == str(directory) else []
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


if __name__ == "__main__":
    place, notes = map(Path, sys.argv[1:])
    slow = [run(name, seed, partial(toy_runs.noted, notes, name, seed, 0.3)) for name, seed in SLOW]
    execute(slow, workers=2, store=prepared(place), progress=False)
