"""The engine: it executes runs, in this process or spread over workers, and keeps each as it is finished."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from queue import SimpleQueue

import cloudpickle

from variational_bnn.base.checks import require, require_count
from variational_bnn.base.progress import watching
from variational_bnn.experiments.display import Display, display
from variational_bnn.experiments.run import OK, Key, Outcome, Run, label
from variational_bnn.experiments.store import Store
from variational_bnn.experiments.worker import Died, Done, Message, Report, Worker
from variational_bnn.stopping import writing


def execute(
    runs: Sequence[Run],
    *,
    workers: int = 1,
    store: Store | None = None,
    retry: bool = False,
    progress: bool = True,
) -> dict[Key, Outcome]:
    """Execute runs, and keep each in the store as soon as it is finished.

    A run that goes wrong has rows that say so, and so has one whose worker dies; the others go on. Failed runs are kept
    like any other. One that lacked memory, or whose worker died or could not load it, is not kept, so that it is
    executed again next time.

    Args:
        runs: To execute; those that the store has already are read instead.
        workers: Processes at a time; 1 for this one.
        store: Where to keep the outcomes; None for nowhere.
        retry: Whether runs that the store has are executed again if they failed. Their earlier outcomes are set aside.
        progress: Whether to show it, on standard error.

    Returns:
        The outcome of each run, in the order of the runs.

    Raises:
        ValueError: If `workers` is not a whole number >= 1, two runs have one name and seed, or the store cannot be
            read or written.
    """
    require_count("workers", workers)
    keys = [run.key for run in runs]
    require(len(set(keys)) == len(keys), f"runs must differ in name or seed, got {', '.join(map(label, keys))}")
    folders = {} if store is None else store.finished()
    stored = {} if store is None else {key: store.read(folder) for key, folder in folders.items()}
    rows = {key: outcome.rows for key, outcome in stored.items()}
    again = {key for key in stored.keys() & set(keys) if retry and (rows[key]["status"] != OK).any()}
    outcomes = {key: outcome for key, outcome in stored.items() if key in keys and key not in again}
    del stored
    waiting = [run for run in runs if run.key not in outcomes]
    with display(progress, len(runs), len(outcomes)) as shown, closing(_executed(waiting, workers, shown)) as executed:
        for run, outcome in executed:
            outcomes[run.key] = outcome
            rows[run.key] = outcome.rows
            if store is not None:
                with writing():
                    if outcome.finished and run.key in again:
                        store.set_aside(folders[run.key])
                    if outcome.finished:
                        store.save(run.key, outcome)
                    store.write_results(rows)
            shown.ended(run.key)
    if store is not None:
        store.write_results(rows)
    return {key: outcomes[key] for key in keys}


Executed = Generator[tuple[Run, Outcome], None, None]
"""Runs as they come to an end, each with its outcome."""


def _executed(runs: list[Run], workers: int, shown: Display) -> Executed:
    """Execute runs here with one worker; otherwise by workers, and afterwards here those that cannot be pickled."""
    here = deque(runs if workers == 1 else ())
    if workers > 1:
        yield from _by_workers(deque(runs), workers, shown, here)
    for run in here:
        shown.started(run.key)
        with watching(partial(shown.reported, run.key)):
            outcome = run.outcome()
        yield run, outcome


def _by_workers(waiting: deque[Run], workers: int, shown: Display, here: deque[Run]) -> Executed:
    """Spread runs over worker processes, each of which is given one at a time: so it is known which run it died of.

    Args:
        waiting: The runs.
        workers: How many processes.
        shown: Shows how far they are.
        here: Where runs are put that cannot be pickled, such as those of a model that cannot be saved.
    """
    inbox: SimpleQueue[tuple[Worker, Message]] = SimpleQueue()
    threads = max(1, (os.cpu_count() or 1) // workers)
    active: dict[Worker, Run] = {}
    idle: list[Worker] = []

    def start(worker: Worker | None) -> None:
        """Give a worker, or a new one, the next run that can be pickled; let it end if there is none."""
        while waiting:
            run = waiting.popleft()
            try:
                data = cloudpickle.dumps(run)
            except Exception:  # What cannot be pickled fails in as many ways as there are objects.
                here.append(run)
                continue
            if worker is None or not worker.give(data):
                worker = Worker(inbox, threads)
                worker.give(data)
            active[worker] = run
            shown.started(run.key)
            return
        if worker is not None:
            worker.end()
            idle.append(worker)

    try:
        for _ in range(min(workers, len(waiting))):
            start(None)
        while active:
            worker, message = inbox.get()
            if worker not in active:  # It ended after its last run.
                continue
            if isinstance(message, Report):
                shown.reported(active[worker].key, message.share, message.text)
                continue
            run = active.pop(worker)
            if isinstance(message, Done):
                outcome = message.outcome
            else:
                status = f"killed: {message}" if isinstance(message, Died) else message.status
                outcome = dataclasses.replace(run.failure(status), finished=False)
            if isinstance(message, Died):
                worker.end()
            start(None if isinstance(message, Died) else worker)
            yield run, outcome
        for worker in idle:
            worker.join()
    finally:
        for worker in (*active, *idle):
            worker.kill()
