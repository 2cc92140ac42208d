"""The engine: it executes runs, in this process or spread over workers, and keeps each as it is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing

import cloudpickle
from loky import ProcessPoolExecutor
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from variational_bnn.base.checks import require, require_count
from variational_bnn.experiments.run import Advance, Key, Outcome, Run
from variational_bnn.experiments.store import Store, label

WATCH_SECONDS = 0.5
"""How often a worker looks whether the process that started it is still there."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def execute(
    runs: Sequence[Run], *, workers: int = 1, store: Store | None = None, progress: bool = True
) -> dict[Key, Outcome]:
    """Execute runs, and keep each in the store as soon as it is finished.

    A run that goes wrong has rows that say so, and so has one whose worker dies; the others go on. Failed runs are kept
    like any other; that of a worker that died, or could not load the run, is not, so that it is executed again next
    time.

    Args:
        runs: To execute; those that the store has already are read instead.
        workers: Processes at a time; 1 for this one.
        store: Where to keep the outcomes; None for nowhere.
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
    stored = {} if store is None else {key: store.read(folder) for key, folder in store.finished().items()}
    rows = {key: outcome.rows for key, outcome in stored.items()}
    outcomes = {key: outcome for key, outcome in stored.items() if key in keys}
    del stored
    waiting = [run for run in runs if run.key not in outcomes]
    with _shown(progress, len(runs), len(outcomes)) as show, closing(_executed(waiting, workers, show)) as executed:
        for run, outcome in executed:
            outcomes[run.key] = outcome
            rows[run.key] = outcome.rows
            if store is not None:
                if outcome.finished:
                    store.save(run.key, outcome)
                store.write_results(rows)
    if store is not None:
        store.write_results(rows)
    return {key: outcomes[key] for key in keys}


Executed = Generator[tuple[Run, Outcome], None, None]
"""Runs as they come to an end, each with its outcome."""

Show = Callable[[Run], Advance]
"""Says that a run is being executed, and returns what its progress is reported to."""


def _executed(runs: list[Run], workers: int, show: Show) -> Executed:
    """Execute runs here with one worker; otherwise by workers, and afterwards here those that cannot be pickled."""
    here = deque(runs if workers == 1 else ())
    if workers > 1:
        yield from _by_workers(deque(runs), workers, show, here)
    for run in here:
        advance = show(run)
        yield run, run.outcome(advance)
        advance(1.0)


def _by_workers(waiting: deque[Run], workers: int, show: Show, here: deque[Run]) -> Executed:
    """Spread runs over worker processes, each an executor of its own: so it is known which run a worker died of.

    Args:
        waiting: The runs.
        workers: How many processes.
        show: Shows the progress.
        here: Where runs are put that cannot be pickled, such as those of a model that cannot be saved.
    """
    active: dict[Future[Outcome], tuple[Run, ProcessPoolExecutor]] = {}

    def start(executor: ProcessPoolExecutor) -> None:
        """Give the executor the next run that can be pickled; shut it down if there is none."""
        while waiting:
            run = waiting.popleft()
            try:
                data = cloudpickle.dumps(run)
            except Exception:  # What cannot be pickled fails in as many ways as there are objects.
                here.append(run)
                continue
            try:
                future = executor.submit(_outcome_of, data)
            except BrokenProcessPool:  # The worker died after its last run.
                executor = _worker(workers)
                future = executor.submit(_outcome_of, data)
            active[future] = run, executor
            return
        executor.shutdown(wait=False)

    try:
        for _ in range(min(workers, len(waiting))):
            start(_worker(workers))
        while active:
            done, _ = wait(active, return_when=FIRST_COMPLETED)
            for future in done:
                run, executor = active.pop(future)
                error = future.exception()
                died = isinstance(error, BrokenProcessPool)
                if error is None:
                    outcome = future.result()
                else:
                    status = _death(error) if died else f"the worker process failed: {error!r}"
                    outcome = dataclasses.replace(run.failure(status), finished=False)
                start(_worker(workers) if died else executor)
                advance = show(run)
                yield run, outcome
                advance(1.0)
    finally:
        for _, executor in active.values():
            executor.shutdown(wait=True, kill_workers=True)


def _worker(workers: int) -> ProcessPoolExecutor:
    """An executor of one process, which has its share of the cores and ends with this process."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    return ProcessPoolExecutor(
        max_workers=1,
        timeout=None,
        initializer=_end_with_parent,
        initargs=(os.getpid(),),
        env={name: os.environ.get(name, threads) for name in THREAD_VARIABLES},
    )


def _end_with_parent(parent: int) -> None:
    """Watch, in a worker, the process that started it, which may be killed without a word."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _outcome_of(data: bytes) -> Outcome:
    """Execute a pickled run in a worker."""
    run: Run = pickle.loads(data)  # Made by this process's own parent; never read from a file.
    return run.outcome(lambda share: None)


def _death(error: BaseException) -> str:
    """That a worker died, and by which signal, if that is known."""
    signals = re.search(r"\{(.+?)\}", str(error))
    return f"the worker process died: {signals[1]}" if signals else "the worker process died"


@contextlib.contextmanager
def _shown(progress: bool, total: int, done: int) -> Iterator[Show]:
    """A bar of runs on standard error."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"{done} runs were finished already" if done else "fitting", total=total, completed=done)

        def show(run: Run) -> Advance:
            bar.update(task, description=label(run.key))
            shares = [0.0]

            def advance(share: float) -> None:
                share = min(share, 1.0 - shares[0])
                shares[0] += share
                bar.advance(task, share)

            return advance

        yield show
