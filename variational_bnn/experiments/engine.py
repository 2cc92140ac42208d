"""The engine: it executes groups of runs, here or spread over workers, and keeps each run as it is finished."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from queue import SimpleQueue
from typing import Any

import cloudpickle

from variational_bnn.base.checks import require, require_count
from variational_bnn.base.cores import available_cores
from variational_bnn.base.progress import watching
from variational_bnn.experiments.display import Display, display
from variational_bnn.experiments.run import OK, Executed, Group, Key, Outcome, Run, label
from variational_bnn.experiments.store import Store
from variational_bnn.experiments.worker import Died, Done, Failed, Message, Report, Worker
from variational_bnn.stopping import writing


def execute(
    groups: Sequence[Group[Any]],
    *,
    workers: int | None = 1,
    store: Store | None = None,
    retry: bool = False,
    progress: bool = True,
) -> dict[Key, Outcome]:
    """Execute the runs of groups, and keep each in the store as soon as it is finished.

    A run that goes wrong has rows that say so; the others go on. If a worker dies, those of its runs that are left are
    executed again, one at a time, so that only the one that it died of has rows that say so. Failed runs are kept like
    any other. One that lacked memory, or whose worker died or could not load it, is not kept, so that it is executed
    again next time.

    Args:
        groups: The runs to execute; those that the store has already are read instead.
        workers: Processes at a time; 1 for this one. None for as many as there are cores, or groups if they are fewer.
        store: Where to keep the outcomes; None for nowhere.
        retry: Whether runs that the store has are executed again if they failed. Their earlier outcomes are set aside.
        progress: Whether to show it, on standard error.

    Returns:
        The outcome of each run, in the order of the runs.

    Raises:
        ValueError: If `workers` is not a whole number >= 1, two runs have one name and seed, or the store cannot be
            read or written.
    """
    require_workers(workers)
    keys = [run.key for group in groups for run in group.runs]
    require(len(set(keys)) == len(keys), f"runs must differ in name or seed, got {', '.join(map(label, keys))}")
    folders = {} if store is None else store.finished()
    stored = {} if store is None else {key: store.read(folder) for key, folder in folders.items()}
    rows = {key: outcome.rows for key, outcome in stored.items()}
    again = {key for key in stored.keys() & set(keys) if retry and (rows[key]["status"] != OK).any()}
    outcomes = {key: outcome for key, outcome in stored.items() if key in keys and key not in again}
    del stored
    waiting = [group.of([run for run in group.runs if run.key not in outcomes]) for group in groups]
    waiting = [group for group in waiting if group.runs]
    workers = workers or max(1, min(available_cores(), len(waiting)))
    with display(progress, len(keys), len(outcomes)) as shown, closing(_executed(waiting, workers, shown)) as executed:
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


def require_workers(workers: int | None) -> None:
    """Require a number of processes, or None."""
    if workers is not None:
        require_count("workers", workers)


def _executed(groups: list[Group[Any]], workers: int, shown: Display) -> Executed[Any]:
    """Execute groups here with one worker; otherwise by workers, and afterwards here those that cannot be pickled."""
    here = deque(groups if workers == 1 else ())
    if workers > 1:
        yield from _by_workers(deque(groups), workers, shown, here)
    for group in here:
        shown.started(group)
        with watching(partial(shown.reported, group)):
            yield from group.outcomes()
        shown.stopped(group)


@dataclasses.dataclass
class _Given:
    """What a worker was given: a group, and the runs of it that have no outcome yet."""

    group: Group[Any]
    left: dict[Key, Run]


def _by_workers(waiting: deque[Group[Any]], workers: int, shown: Display, here: deque[Group[Any]]) -> Executed[Any]:
    """Spread groups over worker processes, each of which is given one at a time: so it is known which it died of.

    Args:
        waiting: The groups.
        workers: How many processes.
        shown: Shows how far they are.
        here: Where groups are put that cannot be pickled, such as those of a model that cannot be saved.
    """
    inbox: SimpleQueue[tuple[Worker, Message]] = SimpleQueue()
    threads = max(1, available_cores() // workers)
    active: dict[Worker, _Given] = {}
    idle: list[Worker] = []

    def start(worker: Worker | None) -> None:
        """Give a worker, or a new one, the next group that can be pickled; let it end if there is none."""
        while waiting:
            group = waiting.popleft()
            try:
                data = cloudpickle.dumps(group)
            except Exception:  # What cannot be pickled fails in as many ways as there are objects.
                here.append(group)
                continue
            if worker is None or not worker.give(data):
                worker = Worker(inbox, threads)
                worker.give(data)
            active[worker] = _Given(group, {run.key: run for run in group.runs})
            shown.started(group)
            return
        if worker is not None:
            worker.end()
            idle.append(worker)

    try:
        while waiting or active:
            while waiting and len(active) < workers:
                start(None)
            if not active:  # No group could be pickled.
                break
            worker, message = inbox.get()
            if worker not in active:  # It ended after its last group.
                continue
            given = active[worker]
            if isinstance(message, Report):
                shown.reported(given.group, message.share, message.text)
                continue
            if isinstance(message, Done):
                yield given.left.pop(message.key), message.outcome
                continue
            del active[worker]
            shown.stopped(given.group)
            if isinstance(message, Died):
                worker.end()
            else:
                start(worker)
            if isinstance(message, Died) and len(given.group.runs) > 1:  # Which of its runs it died of is not known.
                waiting.extendleft(given.group.of([run]) for run in reversed(given.left.values()))
            elif isinstance(message, (Died, Failed)):
                status = f"killed: {message}" if isinstance(message, Died) else message.status
                for run in given.left.values():
                    yield run, dataclasses.replace(run.failure(status), finished=False)
        for worker in idle:
            worker.join()
    finally:
        for worker in (*active, *idle):
            worker.kill()
