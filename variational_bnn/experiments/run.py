"""A run: one method, one seed, one dataset; its outcome, which is rows, tables and arrays; and groups of runs."""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
import math
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from variational_bnn.base import FitError

Arrays = Mapping[str, npt.NDArray[Any]]

Key = tuple[str, int]
"""The name of a method and a seed: what tells the runs of a comparison apart."""

OK = "ok"

STATUSES = {
    OK: "the run was executed, and everything was measured",
    "diverged": "the loss, or the log density of a chain, became infinite or NaN",
    "not converged": "Markov chains do not agree, or have too few effective draws",
    "not finite": "a prediction is infinite or NaN",
    "no posterior": "the method found none, for another reason, which it says",
    "not supported": "the method does not support the data, for the reason it says",
    "error": "the method raised an error: its kind, its message and its place",
    "out of memory": "there was not enough memory",
    "killed": "the worker process ended before the run did",
    "not loaded": "the worker process could not load the run",
}
"""What a status can be, and what it means. More may follow after a colon, but for "ok"."""


FEW = 5
"""Seeds that are named one by one."""


def label(key: Key) -> str:
    """What messages call a run."""
    return f"{key[0]}, seed {key[1]}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a run leaves.

    Attributes:
        rows: What is measured: a few rows, whose column `status` is one of `STATUSES`.
        tables: Longer tables by name, such as the predictions at each query point.
        arrays: Arrays of numbers by name.
        finished: Whether the run came to an end of its own; False if there was not enough memory, or its worker died or
            could not load it. Such a run is not kept, and executed again next time.
    """

    rows: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    finished: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Run(abc.ABC):
    """What tells a run from the others; that it can fail is all that the engine knows of it.

    Attributes:
        name: Name of the method.
        seed: Seed of everything that is random in the run.
    """

    name: str
    seed: int

    @property
    def key(self) -> Key:
        """What tells this run from the others."""
        return self.name, self.seed

    @abc.abstractmethod
    def failure(self, status: str) -> Outcome:
        """The rows of a run that went wrong."""

    def outcome_of(self, work: Callable[[], Outcome]) -> Outcome:
        """Do the work of the run; whatever goes wrong becomes the status of its rows."""
        try:
            return work()
        except Exception as error:  # A method may be anybody's: its faults are reported, and the other runs go on.
            return self.failed_by(error)

    def failed_by(self, error: Exception) -> Outcome:
        """The outcome of a run that this error has ended."""
        return dataclasses.replace(self.failure(status_of(error)), finished=not _is_lack_of_memory(error))


AnyRun = TypeVar("AnyRun", bound=Run)

Executed = Generator[tuple[AnyRun, Outcome], None, None]
"""Runs as they come to an end, each with its outcome."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group(Generic[AnyRun]):
    """Runs of one method that are executed together, here or by a worker; often it is one alone.

    Attributes:
        runs: The runs, at least one.
        execute: Executes these runs, or some of them, and gives each with its outcome as soon as it came to an end. The
            outcome of a run does not depend on which others it is executed with. It reports how far it is with all of
            them (see `base.progress`).
    """

    runs: Sequence[AnyRun]
    execute: Callable[[Sequence[AnyRun]], Executed[AnyRun]]

    @property
    def label(self) -> str:
        """What messages call the group, such as "flipout, seeds 0 to 4"."""
        (name, seed), seeds = self.runs[0].key, sorted(run.seed for run in self.runs)
        if len(seeds) == 1:
            return label((name, seed))
        if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
            return f"{name}, seeds {seeds[0]} to {seeds[-1]}"
        return f"{name}, {len(seeds)} seeds" if len(seeds) > FEW else f"{name}, seeds {', '.join(map(str, seeds))}"

    def of(self, runs: Sequence[AnyRun]) -> Group[AnyRun]:
        """The group of some of the runs."""
        return dataclasses.replace(self, runs=runs)

    def outcomes(self) -> Executed[AnyRun]:
        """Execute the runs; what goes wrong with all of them becomes the status of those that are left."""
        left = {run.key: run for run in self.runs}
        try:
            for run, outcome in self.execute(self.runs):
                del left[run.key]
                yield run, outcome
        except Exception as error:
            for run in left.values():
                yield run, run.failed_by(error)


def status_of(error: Exception) -> str:
    """What went wrong in a run: one of `STATUSES`, with the details."""
    if isinstance(error, FitError):
        return str(error) if is_status(str(error)) and str(error) != OK else f"no posterior: {error}"
    if _is_lack_of_memory(error):
        return f"out of memory: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"error: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def is_status(text: str) -> bool:
    """Whether a text is one of `STATUSES`, with or without details."""
    kind, colon, _ = text.partition(":")
    return kind in STATUSES and not (kind == OK and colon)


def _is_lack_of_memory(error: Exception) -> bool:
    """Python's error, and TensorFlow's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def settings_of(method: object) -> dict[str, Any]:
    """A method's class and settings as plain values that JSON can hold; methods that differ have other ones.

    They are what its `to_dict` gives, or the fields of a dataclass, or else its attributes whose names begin with no
    underscore.
    """
    if hasattr(method, "to_dict"):
        settings = method.to_dict()
    elif dataclasses.is_dataclass(method):
        settings = {entry.name: getattr(method, entry.name) for entry in dataclasses.fields(method)}
    else:
        attributes = getattr(method, "__dict__", {})
        settings = {name: value for name, value in attributes.items() if not name.startswith("_")}
    return {"class": type(method).__qualname__, **{str(name): _plain(value) for name, value in settings.items()}}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: an array by its digest, a function by its name, an object by its settings."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, np.generic)):
        number = value.item() if isinstance(value, np.generic) else value
        return number if not isinstance(number, float) or math.isfinite(number) else repr(number)
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"{value.dtype} {list(value.shape)} {digest}"
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, functools.partial):
        return {"function": _plain(value.func), "arguments": _plain(value.args), "keywords": _plain(value.keywords)}
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "get_params"):  # As the estimators and kernels of scikit-learn.
        return {"class": type(value).__qualname__, **_plain(value.get_params())}
    text = repr(value)
    return f"{type(value).__module__}.{type(value).__qualname__}" if " at 0x" in text else " ".join(text.split())
