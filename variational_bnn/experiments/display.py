"""How far runs and their groups are, on standard error: bars on a terminal or in a notebook, elsewhere lines."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from variational_bnn.experiments.run import Group, Key

MOST_OFTEN, MOST_SELDOM = 10.0, 600.0
"""Seconds between two lines; between these, they are a twentieth of the time since the start."""

_TICK = 0.25


@dataclasses.dataclass
class _Progress:
    """How far a group is: the share of its work, in words, and how many of its runs came to an end."""

    share: float = 0.0
    text: str = ""
    ended: int = 0


class Display:
    """How far the runs are; shows nothing.

    Args:
        total: How many runs there are.
        finished: How many of them were finished before.
    """

    def __init__(self, total: int, finished: int) -> None:
        self._total, self._finished, self._before = total, finished, finished
        self._running: dict[Group[Any], _Progress] = {}
        self._start = time.monotonic()
        self._lock = threading.RLock()

    def started(self, group: Group[Any]) -> None:
        """Note that a group is being executed."""
        with self._lock:
            self._running[group] = _Progress()

    def reported(self, group: Group[Any], share: float, text: str) -> None:
        """Note how far a group is."""
        with self._lock:
            if group in self._running:
                self._running[group].share, self._running[group].text = share, text

    def ended(self, key: Key) -> None:
        """Note that a run came to an end."""
        with self._lock:
            self._finished += 1
            for group, progress in self._running.items():
                progress.ended += any(run.key == key for run in group.runs)

    def stopped(self, group: Group[Any]) -> None:
        """Note that a group is no longer executed."""
        with self._lock:
            self._running.pop(group, None)

    def tick(self) -> None:
        """Show what the time alone has changed."""

    @property
    def _done(self) -> float:
        """How many runs are done, with what is done of the others."""
        running = self._running.items()
        return self._finished + sum(max(len(group.runs) * now.share - now.ended, 0.0) for group, now in running)

    @property
    def _state(self) -> str:
        """How many runs are finished, and how long the others will take if they are like these."""
        text = f"{self._finished}/{self._total} runs finished"
        done = self._done - self._before
        if done > 0 and self._finished < self._total:
            left = (time.monotonic() - self._start) * (self._total - self._before - done) / done
            text += f", about {timedelta(seconds=round(left))} left"
        return text


class _Bars(Display):
    """A bar of all runs, and one of each group that is being executed."""

    def __init__(self, total: int, finished: int, bars: Progress) -> None:
        super().__init__(total, finished)
        self._bars = bars
        self._tasks: dict[Group[Any], TaskID] = {}
        self._all = bars.add_task("all", total=total, completed=finished, text=self._state)

    def started(self, group: Group[Any]) -> None:
        super().started(group)
        self._tasks[group] = self._bars.add_task(group.label, total=None, text="")  # Until it is known how far it is.
        self.tick()

    def reported(self, group: Group[Any], share: float, text: str) -> None:
        super().reported(group, share, text)
        if group in self._tasks:
            self._bars.update(self._tasks[group], completed=share, total=1.0 if share > 0 else None, text=text)

    def ended(self, key: Key) -> None:
        super().ended(key)
        self.tick()

    def stopped(self, group: Group[Any]) -> None:
        super().stopped(group)
        if group in self._tasks:
            self._bars.remove_task(self._tasks.pop(group))

    def tick(self) -> None:
        """Show how much time is left."""
        with self._lock:
            self._bars.update(self._all, completed=self._done, text=self._state)


class _Lines(Display):
    """A line at the start, one at the end, and one now and then."""

    def __init__(self, total: int, finished: int) -> None:
        super().__init__(total, finished)
        self._latest = self._start
        self._say()

    def tick(self) -> None:
        """Say how far the runs are, if it is time to."""
        now = time.monotonic()
        if self._finished == self._total:
            return
        if now - self._latest >= min(max((now - self._start) / 20, MOST_OFTEN), MOST_SELDOM):
            self._latest = now
            with self._lock:
                groups = self._running.items()
                running = [group.label + (f" ({now.text})" if now.text else "") for group, now in groups]
                self._say(f"; running: {'; '.join(running)}" if running else "")

    def ended(self, key: Key) -> None:
        super().ended(key)
        if self._finished == self._total:
            self._say(f" in {timedelta(seconds=round(time.monotonic() - self._start))}")

    def _say(self, more: str = "") -> None:
        print(self._state + more, file=sys.stderr, flush=True)


@contextmanager
def display(progress: bool, total: int, finished: int) -> Iterator[Display]:
    """Show how far the runs are, while this lasts, unless `progress` is false."""
    console = Console(stderr=True)
    if not progress:
        yield Display(total, finished)
    elif console.is_terminal or console.is_jupyter:
        name, text = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[text]}", markup=False)
        with Progress(name, BarColumn(), TimeElapsedColumn(), text, console=console) as bars:
            shown = _Bars(total, finished, bars)
            with _ticking(shown):
                yield shown
    else:
        lines = _Lines(total, finished)
        with _ticking(lines):
            yield lines


@contextmanager
def _ticking(shown: _Bars | _Lines) -> Iterator[None]:
    """Go on showing while compiled code keeps this thread busy."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(_TICK):
            shown.tick()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
