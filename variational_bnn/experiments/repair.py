"""`repair`: set aside what is damaged in a results directory."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from variational_bnn.base.checks import require_known
from variational_bnn.experiments import autoencoder_comparison, comparison
from variational_bnn.experiments.run import Key
from variational_bnn.experiments.store import RESULTS, SETTINGS, Store, read_settings


def repair(directory: str | Path) -> dict[Path, str]:
    """Set aside what is damaged or was changed in a results directory, so that the same comparison can go on.

    Runs and inputs are moved to `DIRECTORY/set-aside`, and nothing is deleted. The same comparison then executes those
    runs again, and writes those inputs again. What made the runs is in `settings.json` alone, so that it cannot be
    mended. `results.csv` is written anew from the runs that are left.

    Args:
        directory: Where a comparison was kept, which no other process writes to at the moment.

    Returns:
        What was wrong, by the places to which things were moved; empty if nothing was.

    Raises:
        ValueError: If this is not a results directory of this package, its settings are damaged, or a file cannot be
            moved.

    Example:
        >>> import pathlib, tempfile
        >>> import variational_bnn as vbnn
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     settings = {"methods": ["linear"], "seeds": [0], "directory": directory, "progress": False}
        ...     comparison = vbnn.compare(vbnn.lecture(), **settings)
        ...     (run,) = pathlib.Path(directory, "runs").iterdir()
        ...     (run / "rows.csv").write_text("method,seed")
        ...     moved = [place.parent.name for place in vbnn.repair(directory)]
        ...     again = vbnn.compare(vbnn.lecture(), **settings)
        11
        >>> moved, set(again.results["status"])
        (['set-aside'], {'ok'})
    """
    store = _store_in(Path(directory))
    rows: dict[Key, pd.DataFrame] = {}
    moved = {store.set_aside(path): error for path, error in store.damaged_inputs().items()}
    for path in store.folders():
        try:
            key, outcome = store.checked(path)
        except ValueError as error:
            moved[store.set_aside(path)] = str(error)
        else:
            rows[key] = outcome.rows
    if (store.directory / RESULTS).exists():
        store.write_results(rows)
    return moved


def _store_in(directory: Path) -> Store:
    """The store of whatever is compared there."""
    kinds = {comparison.KIND: comparison.store_in, autoencoder_comparison.KIND: autoencoder_comparison.store_in}
    try:
        kind = read_settings(directory)["kind"]
    except ValueError as error:
        alone = f"only {SETTINGS} says what made the runs, so that nothing can be repaired without it"
        raise ValueError(f"{error}; {alone}") from error
    require_known("kind of comparison", kind, tuple(kinds))
    return kinds[kind](directory)
