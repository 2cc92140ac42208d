"""How much memory a piece of work takes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import psutil

_PERIOD = 0.01
_MIB = 2**20


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
