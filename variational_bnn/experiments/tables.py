"""How runs on a table are executed: fits of a method from several seeds, together if it can do that."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from variational_bnn.base import Dataset
from variational_bnn.base.checks import require
from variational_bnn.base.progress import part
from variational_bnn.evaluation.subsample import MOST_ROWS
from variational_bnn.experiments.memory import held_memory, peak_memory
from variational_bnn.experiments.run import Executed, Group, Key, Outcome
from variational_bnn.experiments.table_run import LARGER_FITTED, Fit, TableRun

MOST_TOGETHER = 10
"""Seeds that are fitted together. None is kept before all of them are fitted, and more would save little more time."""

FITTED, BOTH_FITTED = 0.5, 0.8
"""The share of the work that is done after the fits, and after those to the larger sample as well, about."""


def groups_of(runs: Sequence[TableRun]) -> list[Group[TableRun]]:
    """The runs of a method, which differ in the seed alone, as groups that are fitted together."""
    together = _can_fit_together(runs[0], runs[0].dataset)
    size, execute = MOST_TOGETHER if together else 1, partial(_execute, together=together)
    return [Group(runs=runs[first : first + size], execute=execute) for first in range(0, len(runs), size)]


def _can_fit_together(run: TableRun, dataset: Dataset) -> bool:
    """Whether a run's method fits the network to a dataset from several seeds together; not if it raises an error."""
    can: Any = getattr(run.method, "fits_together", None)
    try:
        return callable(can) and run.method.supports(dataset, run.network) is None and bool(can(dataset, run.network))
    except Exception as error:  # A method may be anybody's: what cannot say so is fitted alone.
        _warn_that_seeds_are_apart(run, error)
        return False


def _warn_that_seeds_are_apart(run: TableRun, error: Exception) -> None:
    """Say in one line that a method is fitted from each seed alone, and why."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    warnings.warn(f"{run.name} could not be fitted from several seeds together ({message})", stacklevel=3)


def _execute(runs: Sequence[TableRun], *, together: bool) -> Executed[TableRun]:
    """Fit all together, or each when it is measured, and measure one after the other."""
    dataset, more = runs[0].dataset, runs[0].dataset.larger_sample
    if len(dataset.x) > MOST_ROWS:
        gc.collect()  # A model that is no longer used keeps the rows of its fit until its cycles are collected.
    with part(0.0, _fitted(dataset), "fitting"):
        fits = _fit_together(runs, dataset) if together else {}
    larger_fits: dict[Key, Fit] = {}
    fitted = [run for run in runs if run.key in fits and not isinstance(fits[run.key].result, Exception)]
    if more is not None and fitted:
        with part(FITTED, BOTH_FITTED, "fitting the larger sample"):
            larger_fits = _fit_together(fitted, more)
    start = BOTH_FITTED if fits else 0.0
    each = (1 - start) / len(runs)
    for place, run in enumerate(runs):
        with part(start + place * each, start + (place + 1) * each):
            work = partial(_outcome, run, fits.pop(run.key, None), larger_fits.pop(run.key, None))
            outcome = run.outcome_of(work)
        yield run, outcome


def _outcome(run: TableRun, fit: Fit | None, larger_fit: Fit | None) -> Outcome:
    """Make the fits that are not yet made, and measure."""
    fitted = 0.0
    if fit is None:
        fitted = _fitted(run.dataset)
        with part(0.0, fitted, "fitting"):
            fit = _fit_alone(run, run.dataset)

    def fit_to_larger_sample(more: Dataset) -> Fit:
        if larger_fit is not None:
            return larger_fit
        with part(0.0, LARGER_FITTED, "fitting the larger sample"):
            return _fit_alone(run, more)

    with part(fitted, 1.0):
        return run.measure(fit, fit_to_larger_sample)


def _fitted(dataset: Dataset) -> float:
    """The share of the work that is done after the fits to a dataset."""
    return BOTH_FITTED if dataset.larger_sample is None else FITTED


def _fit_alone(run: TableRun, dataset: Dataset) -> Fit:
    """Fit from one seed, and keep the error if there is one."""
    result: object
    before, start = held_memory(), time.perf_counter()
    with peak_memory() as peak:
        try:
            result = run.method.fit(dataset, run.network, run.seed)
        except Exception as error:  # A method may be anybody's; the run that this is the fit of raises it.
            result = error
        seconds = time.perf_counter() - start
        return Fit(result=result, seconds=seconds, peak_memory=peak(), kept_memory=held_memory() - before)


def _fit_together(runs: Sequence[TableRun], dataset: Dataset) -> dict[Key, Fit]:
    """Fit from the seeds of all runs together; nothing if the method cannot do that, or raises an error."""
    run, seeds = runs[0], [run.seed for run in runs]
    before, start = held_memory(), time.perf_counter()
    try:
        if not _can_fit_together(run, dataset):
            return {}
        method: Any = run.method
        with peak_memory() as peak:
            results = method.fit_together(dataset, run.network, seeds)
            memory = {"peak_memory": peak(), "kept_memory": held_memory() - before}
        require(len(results) == len(seeds), f"it returned {len(results)} results for {len(seeds)} seeds")
    except Exception as error:  # A method may be anybody's: what it cannot do together it may do alone.
        _warn_that_seeds_are_apart(run, error)
        return {}
    seconds = (time.perf_counter() - start) / len(seeds)
    fits = [Fit(result=result, seconds=seconds, **memory) for result in results]
    return {run.key: fit for run, fit in zip(runs, fits, strict=True)}
