"""How a peer takes its turns: a line on its standard input is a turn, and a line on its output the seconds of it.

The first line of output says which versions it has, once it is ready.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def take_turns(turn: Callable[[], float], versions: str) -> None:
    """Take a turn for each line, until there are no more."""
    print(versions, flush=True)
    for _ in sys.stdin:
        print(turn(), flush=True)
