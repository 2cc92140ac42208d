"""In what the settings of a directory and those of a comparison differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from variational_bnn.base.checks import require


def require_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise a `ValueError` that names the first few settings in which the directory differs from what is to be kept.

    Versions and formats may differ, and so may the names of the methods; a method's settings may not.
    """
    both = old["methods"].keys() & new["methods"].keys()
    before, after = (
        _flat({**settings, "methods": {name: settings["methods"][name] for name in sorted(both)}})
        for settings in (old, new)
    )
    names = [name for name in {**after, **before} if name.split(".")[0] not in ("versions", "files", "format")]
    other = [
        f"{name} is {before.get(name, 'not set')} there, {after.get(name, 'not set')} here"
        for name in names
        if before.get(name) != after.get(name)
    ]
    more = f"; and {len(other) - 3} more" if len(other) > 3 else ""
    require(not other, f"{folder} holds other settings: {'; '.join(other[:3])}{more}; choose another directory")


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names to JSON text."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        nested = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: json.dumps(value, ensure_ascii=False)}
    return flat
