"""The command line, killed at random: no finished run is lost, no process is left, and the rows come out the same.

One kill in two is within the first seconds, in which TensorFlow is imported; the others are when runs were finished.
`VARIATIONAL_BNN_KILLS=20 pytest -s tests/experiments/test_kills.py` kills more often than there is time for every time
that the tests are run, and prints what it did.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil

from variational_bnn.experiments.comparison import Comparison

KILLS = int(os.environ.get("VARIATIONAL_BNN_KILLS", "2"))
WAYS = ["parent", "worker", signal.SIGINT, signal.SIGTERM]
CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # A process that was started in the background may ignore it.
from variational_bnn.__main__ import main
main()
"""
METHODS = ["linear", "output"]
MANY = 10_000
SHARED_MEMORY = Path("/dev/shm")


def _started(out: Path, seeds: int, method: str) -> subprocess.Popen[str]:
    options = ["--methods", method, "--samples", "5", "--workers", "2"]
    options += ["--set", "output.steps=50"] if method == "output" else []
    command = [sys.executable, "-c", START, "compare", *options, "--seeds", str(seeds), "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**environment, "KILLED": str(out)})


def _processes(out: Path) -> list[psutil.Process]:
    """The processes that were started for a directory, workers included, by their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            found += [process] if process.environ().get("KILLED") == str(out) else []
    return found


def _finished(out: Path) -> int:
    return len([run for run in out.glob("runs/*") if not run.name.startswith(".")])


def _shared() -> set[str]:
    return set(os.listdir(SHARED_MEMORY)) if SHARED_MEMORY.exists() else set()


def _kill(process: subprocess.Popen[str], way: str | int, rng: random.Random, out: Path, before: set[Path]) -> None:
    """Kill a process, or one of its workers and somewhat later the process, and look at what it says."""
    if way == "worker":
        workers = [worker for worker in _processes(out) if worker.pid != process.pid]
        if workers:
            rng.choice(workers).kill()
            time.sleep(rng.uniform(0, 4))
        assert process.poll() is None  # The others go on.
        way = rng.choice([signal.SIGINT, signal.SIGTERM])
    process.send_signal(signal.SIGKILL if way == "parent" else way)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    if way == "parent":
        return
    assert process.returncode == 128 + way, said
    lines = [line for line in said.splitlines() if "runs finished" not in line]
    goes_on = f"; the same command goes on from {out}"
    assert lines == ["Error: stopped" + (goes_on if goes_on in said else "")]
    assert set(out.rglob(".*")) <= before  # It leaves nothing half written.


def test_kills_lose_no_finished_run_leave_nothing_behind_and_change_no_row(tmp_path: Path) -> None:
    out, rng, shared = tmp_path / "out", random.Random(KILLS), _shared()
    finished: set[tuple[str, int]] = set()
    for number in range(KILLS):
        before = set(out.rglob(".*"))
        process = _started(out, MANY, METHODS[number // 3 % 2])
        early, way = bool(number % 2), WAYS[number % 5 % 4]
        more = 0 if early else rng.randint(1, 4)
        deadline = time.monotonic() + 120
        while _finished(out) < len(finished) + more and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.2, 4) if early else rng.uniform(0, 0.5))
        _kill(process, way, rng, out, before)
        deadline = time.monotonic() + 5
        while (left := _processes(out)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, (way, left)
        assert not _shared() - shared
        now = set(Comparison.read(out).outcomes) if (out / "settings.json").exists() else set()
        assert finished <= now
        finished = now
        print(f"kill {number}: {way}, {'early' if early else 'late'}, {len(now)} runs finished")
    for method in METHODS[: 1 + (KILLS > 3)]:
        seeds = max((seed for name, seed in finished if name == method), default=0) + 2
        for place in (out, tmp_path / "undisturbed"):
            process = _started(place, seeds, method)
            _, said = process.communicate(timeout=900)
            assert process.returncode == 0, said
    kept, undisturbed = Comparison.read(out), Comparison.read(tmp_path / "undisturbed")
    assert list(kept.outcomes) == list(undisturbed.outcomes)
    for table in ("results", "predictions"):
        both = [getattr(comparison, table).drop(columns=CLOCKS, errors="ignore") for comparison in (kept, undisturbed)]
        pd.testing.assert_frame_equal(*both, check_exact=True)
    rows = pd.read_csv(out / "results.csv")
    assert set(rows["status"]) == {"ok"}
    assert not rows.duplicated(["method", "seed", "region"]).any()
