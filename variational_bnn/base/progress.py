"""How far a piece of work is: whoever does it reports, and whoever waits for it watches.

A method may call `report` from its `fit`; without anybody who watches, nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[float, str], None]
"""Called with the share of the work that is done, from 0 to 1, and with words such as "300 of 2,000 steps"."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def report(done: int, total: int, unit: str = "steps") -> None:
    """Say how many of all steps are done."""
    reached(min(done / total, 1.0), f"{done:,} of {total:,} {unit}")


def reached(share: float, text: str) -> None:
    """Say which share of the work is done, and in words what was done or is done next."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(share, text)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Call this with what is reported meanwhile."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def part(start: float, end: float, what: str = "") -> Iterator[None]:
    """Take what is reported meanwhile as the part of the work from one share to another.

    Args:
        start: The share of the work that is done before.
        end: The share that is done afterwards.
        what: What is done meanwhile, in a word or a few: it is reported at once, and put before the words that follow.
    """
    outer = _watcher.get()
    if outer is None:
        yield
        return
    if what:
        reached(start, what)
    words = f"{what}, " if what else ""
    with watching(lambda share, text: outer(start + (end - start) * share, words + text)):
        yield
