"""What the benchmarks of speed share: how two take turns, the rows that come of it, and their table."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from rich.table import Table

Times = list[float]
PEERS = Path(__file__).parent / "peers"
COLUMNS = ("group", "what", "unit", "ours", "theirs", "ratio", "lowest", "highest", "target", "met", "machine")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the rows are measured with.

    Attributes:
        turns: How often each takes its turn, after one that warms it up.
        peer_python: A Python that has the peers; without it the rows against them are left out.
        before: A checkout of an earlier revision of this project; without it the rows against it are left out.
        say: Shows a line.
    """

    turns: int
    peer_python: Path | None
    before: Path | None
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison of medians over the turns; `theirs` may be a limit, and the target is one of the ratio.

    `ratio` is how many times less ours is. `lowest` and `highest` are of the ratios of single turns.
    """

    what: str
    unit: str
    ours: float
    theirs: float
    lowest: float | None = None
    highest: float | None = None
    target: float | None = None

    @classmethod
    def of(cls, what: str, ours: Times, theirs: Times, *, unit: str = "s", target: float | None = None) -> Row:
        """The row of two that took turns."""
        by_turn = [one / other for one, other in zip(theirs, ours, strict=True)]
        medians = {"ours": float(np.median(ours)), "theirs": float(np.median(theirs))}
        return cls(what=what, unit=unit, **medians, lowest=min(by_turn), highest=max(by_turn), target=target)

    @property
    def ratio(self) -> float:
        """How many times less ours is."""
        return self.theirs / self.ours if self.ours else math.inf

    @property
    def met(self) -> str:
        """Whether the ratio reaches its target."""
        return "" if self.target is None else "yes" if self.ratio >= self.target else "no"


def race(runs: Mapping[str, Callable[[], float]], turns: int) -> dict[str, Times]:
    """The seconds of each turn of each; they take turns in their order, after one round that warms them up."""
    rounds = [{name: run() for name, run in runs.items()} for _ in range(1 + turns)]
    return {name: [seconds[name] for seconds in rounds[1:]] for name in runs}


def seconds_of(function: Callable[[], Any], calls: int = 1) -> float:
    """The median seconds of a call."""
    ends = [time.perf_counter()]
    for _ in range(calls):
        function()
        ends.append(time.perf_counter())
    return float(np.median(np.diff(ends)))


@contextlib.contextmanager
def peer(python: Path, script: str, **problem: Any) -> Iterator[Callable[[], float]]:
    """Turns of a peer in a process of its own, which stays alive between them (see `peers/turns.py`)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, **problem)
        command, pipe = [str(python), str(PEERS / script), str(path)], subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
            sent, answers = process.stdin, process.stdout
            assert sent is not None
            assert answers is not None
            answers.readline()  # It says its versions once it is ready.

            def turn() -> float:
                sent.write("turn\n")
                return float(answers.readline())

            yield turn


# The table


def machine() -> str:
    """The machine and the versions with which the numbers were measured."""
    versions = f"Python {platform.python_version()}, TensorFlow {tf.__version__}, TFP {tfp.__version__}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {versions}"


def cells(row: Row) -> dict[str, Any]:
    """A row as it is written."""
    values = {name: getattr(row, name, "") for name in COLUMNS if name not in ("group", "machine")}
    return {name: "" if value is None else value for name, value in values.items()}


def shown(value: float, unit: str) -> str:
    """A number with three digits, of seconds with a prefix."""
    if not unit.startswith("s"):
        return f"{value:.3g} {unit}"
    power, prefix = next(((p, s) for p, s in ((0, ""), (-3, "m"), (-6, "µ")) if value >= 10.0**p), (-9, "n"))
    return f"{value / 10.0**power:.3g} {prefix}{unit}"


def table(rows: list[Row]) -> Table:
    """All rows."""
    columns = Table(title=machine(), title_justify="left")
    columns.add_column("what")
    for heading in ("ours", "theirs", "ratio", "by turn", "target", "met"):
        columns.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}"
        by_turn = "" if row.lowest is None else f"{row.lowest:.3g} to {row.highest:.3g}"
        values = (shown(row.ours, row.unit), shown(row.theirs, row.unit), f"{row.ratio:.3g}", by_turn, target, row.met)
        columns.add_row(row.what, *values)
    return columns


def write(rows: Mapping[str, list[Row]], path: Path, order: list[str]) -> None:
    """Write the rows of these groups in the place of the old ones; those of other groups stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    lines = [line for line in kept if line["group"] not in rows]
    lines += [{"group": group, **cells(row), "machine": machine()} for group in rows for row in rows[group]]
    lines.sort(key=lambda line: order.index(line["group"]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
