"""How much memory a piece of work takes, and how much there may be."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterator

import psutil

_PERIOD = 0.01
_MIB = 2**20
GIB = 2**30

LEAST_ADDRESS_SPACE = 3.0
"""In GiB, of a fit of a small network: TensorFlow aborts or crashes with less, wherever it happens to be."""


def held_memory() -> float:
    """How much memory the process holds, in MiB."""
    return float(psutil.Process().memory_info().rss) / _MIB


@contextlib.contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Watch the process; call what this gives for the most it has held since, beyond what it held before, in MiB.

    Looked at a hundred times a second. What earlier work has freed within the process, and is used again, is not
    counted.
    """
    process, stop = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def look() -> float:
        nonlocal peak
        peak = max(peak, process.memory_info().rss)
        return (peak - before) / _MIB

    def watch() -> None:
        while not stop.wait(_PERIOD):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield look
    finally:
        stop.set()
        watcher.join()


def address_space() -> float:
    """How many bytes of address space the process may have; infinity where there is no limit."""
    if sys.platform == "win32":
        return math.inf
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if limit == resource.RLIM_INFINITY else float(limit)
