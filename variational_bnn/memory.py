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
    """Watch the process from now on; call what this gives for the most it has held since, in MiB.

    Looked at a hundred times a second. It is the whole process, TensorFlow and earlier work included: what was freed
    within it cannot be told from what is used.
    """
    process, stop = psutil.Process(), threading.Event()
    peak = process.memory_info().rss

    def look() -> float:
        nonlocal peak
        peak = max(peak, process.memory_info().rss)
        return peak / _MIB

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
