"""Names of methods and columns as tables and figures show them: on one line, and not too long."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size

WIDTH = 28
"""The largest width of a name in a table, in columns of a terminal."""

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def shortened(names: Iterable[str], most: int) -> dict[str, str]:
    """Return each name on one line and at most so wide; different names stay different.

    Args:
        names: Names in any script.
        most: The largest width, in columns of a terminal, of which a Chinese character takes two. A number that tells
            names apart comes after it.
    """
    return distinct({name: _short(" ".join(name.split()), most) for name in names})


def distinct(shown: dict[str, str]) -> dict[str, str]:
    """Return the names with a number where two of them would be shown alike."""
    found: dict[str, str] = {}
    for name, text in shown.items():
        same = sum(shown[other] == text for other in found)
        found[name] = f"{text} ({same + 1})" if same else text
    return found


def _short(name: str, most: int) -> str:
    if cell_len(name) <= most:
        return name
    end = name[-(most // 4) :]
    return set_cell_size(name, most - 1 - cell_len(end)).rstrip() + ELLIPSIS + end
