"""The directory of a comparison: finished runs, each a folder that is moved into place whole.

The directory holds

- `settings.json`: what made the runs, and the digests of the inputs; written first, it marks the directory as one of
  this package
- the inputs: tables as `NAME.csv` and arrays as `NAME.npz`
- `runs/`: a folder for each finished run, with `run.json` (its name, its seed and the digests of its files),
  `rows.csv`, `NAME.csv` for each of its tables, and `arrays.npz`
- `results.csv`: the rows of all finished runs, to be opened by the user. It is written anew from the runs' own rows and
  never read.

That a run's folder is there means that the run is finished, even if the process is killed meanwhile. Tables are read by
the names of their columns: one that is missing has its default, and one that is unknown is kept. Floats come back
exactly as they were. Nothing that is read is executed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from variational_bnn.base.checks import require
from variational_bnn.experiments.files import (
    Columns,
    in_one_line,
    npz_bytes,
    parse_npz,
    parse_table,
    read_checked,
    sha256,
    table_bytes,
    write_folder_file,
    write_whole,
)
from variational_bnn.experiments.run import Arrays, Key, Outcome

FORMAT = 1
"""Of the directory. A larger number is of a later version of this package, and is not read."""

SETTINGS, RESULTS, RUNS = "settings.json", "results.csv", "runs"
RUN, ROWS, ARRAYS = "run.json", "rows.csv", "arrays.npz"
PACKAGES = ("variational-bnn", "tensorflow", "tf-keras", "tensorflow-probability", "numpy")
"""The packages that numbers depend on."""


class OtherVersionsWarning(UserWarning):
    """A directory has runs that were made with other versions of the packages that numbers depend on."""


def versions() -> dict[str, str]:
    """The installed version of each package that numbers depend on."""
    return {package: version(package) for package in PACKAGES}


@dataclass(frozen=True, kw_only=True)
class Store:
    """A directory of finished runs. One process writes to it at a time.

    Attributes:
        directory: The place.
        kind: What is compared, as the settings name it: "tables" or "autoencoders".
        columns: For each table by name, its columns and their defaults; see `files.Columns`. Those of the rows are
            named "rows".
    """

    directory: Path
    kind: str
    columns: Mapping[str, Columns]

    def prepare(
        self, settings: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, Arrays]
    ) -> None:
        """Make the directory ready for runs: a new one, or one to go on with.

        Args:
            settings: Plain values that JSON can hold. Those of an earlier call must be the same, but for `methods`, a
                mapping from a name to its settings, to which new names are added.
            tables: The inputs that are tables, by name.
            arrays: The inputs that are arrays, by name.

        Raises:
            ValueError: If the directory is a file, cannot be written, holds other settings or files of these names that
                are not of this package. The first few differences are named.
        """
        folder = self.directory
        contents = {f"{name}.csv": table_bytes(table) for name, table in tables.items()}
        contents |= {f"{name}.npz": npz_bytes(named) for name, named in arrays.items()}
        digests = {name: sha256(data) for name, data in contents.items()}
        new = {"format": FORMAT, "kind": self.kind, **settings, "versions": versions(), "files": digests}
        new = json.loads(json.dumps(new, allow_nan=False))
        with in_one_line("use", folder):
            require(folder.is_dir() or not folder.exists(), f"cannot use {folder}: it is a file, not a directory")
            if (folder / SETTINGS).exists():
                old = self.settings()
                _require_same(folder, old, new)
                missing = [name for name in old["files"] if not (folder / name).exists()]  # After a kill.
                for name in old["files"].keys() - missing:
                    read_checked(folder / name, old["files"][name])
                contents = {name: contents[name] for name in missing if digests.get(name) == old["files"][name]}
                new = {**old, "methods": {**old["methods"], **new["methods"]}}
            else:
                others = [name for name in (*contents, RUNS, RESULTS) if (folder / name).exists()]
                no_settings = f"{folder} holds {', '.join(others)} but no {SETTINGS}"
                require(not others, f"{no_settings}: it is not a results directory of this package")
            (folder / RUNS).mkdir(parents=True, exist_ok=True)
            _remove_unfinished(folder / RUNS)
        write_whole(folder / SETTINGS, json.dumps(new, indent=2, ensure_ascii=False).encode() + b"\n")
        for name, data in contents.items():
            write_whole(folder / name, data)

    def settings(self) -> dict[str, Any]:
        """What made the runs.

        Raises:
            ValueError: If this is not a directory of this kind, or one of a later version of this package.
        """
        settings = read_settings(self.directory)
        kind = settings["kind"]
        require(kind == self.kind, f"{self.directory} must hold a comparison of {self.kind}, got one of {kind}")
        return settings

    def finished(self) -> dict[Key, Path]:
        """The finished runs and their folders, in the order of the methods in the settings, and of the seeds."""
        with in_one_line("read", self.directory):
            folders = [f for f in (self.directory / RUNS).glob("*") if f.is_dir() and not f.name.startswith(".")]
        runs = {_key(folder): folder for folder in folders}
        return {key: runs[key] for key in self._ordered(runs)}

    def save(self, key: Key, outcome: Outcome) -> None:
        """Keep a finished run, whole or not at all.

        Raises:
            ValueError: If the run is finished already, or a file cannot be written.
        """
        place = self.directory / RUNS / _folder_name(key)
        contents = {ROWS: table_bytes(outcome.rows), ARRAYS: npz_bytes(outcome.arrays)}
        contents |= {f"{name}.csv": table_bytes(table) for name, table in outcome.tables.items()}
        digests = {name: sha256(data) for name, data in contents.items()}
        about = {"format": FORMAT, "name": key[0], "seed": key[1], "versions": versions(), "files": digests}
        contents[RUN] = json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n"
        beside = place.with_name(f".{place.name}.{os.getpid()}")
        with in_one_line("write", place):
            require(not place.exists(), f"{label(key)} is finished already in {self.directory}")
            try:
                beside.mkdir()
                for name, data in contents.items():
                    write_folder_file(beside / name, data)
                os.rename(beside, place)
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def read(self, folder: Path) -> Outcome:
        """The outcome that is kept in a run's folder.

        Raises:
            ValueError: If a file is missing, damaged, or was changed since it was written.
        """
        digests = _about(folder)["files"]
        contents = {name: read_checked(folder / name, digest) for name, digest in digests.items()}
        require({ROWS, ARRAYS} <= contents.keys(), f"{folder / RUN} is damaged: it must name {ROWS} and {ARRAYS}")
        tables = {
            name: parse_table(folder / f"{name}.csv", contents[f"{name}.csv"], columns)
            for name, columns in self.columns.items()
            if f"{name}.csv" in contents
        }
        arrays = parse_npz(folder / ARRAYS, contents[ARRAYS])
        return Outcome(rows=tables.pop(Path(ROWS).stem), tables=tables, arrays=arrays)

    def input_table(self, name: str) -> pd.DataFrame:
        """An input that is a table, as `prepare` was given it."""
        return parse_table(self.directory / f"{name}.csv", self._input(f"{name}.csv"), self.columns.get(name, {}))

    def input_arrays(self, name: str) -> dict[str, Any]:
        """Inputs that are arrays, as `prepare` was given them."""
        return parse_npz(self.directory / f"{name}.npz", self._input(f"{name}.npz"))

    def _input(self, file: str) -> bytes:
        digests = self.settings()["files"]
        require(file in digests, f"{self.directory / SETTINGS} must name {file} among its files")
        return read_checked(self.directory / file, digests[file])

    def write_results(self, rows: Mapping[Key, pd.DataFrame]) -> None:
        """Write `results.csv` from the rows of all runs, in the order of the methods in the settings and the seeds."""
        if rows:
            tables = [rows[key] for key in self._ordered(rows)]
            write_whole(self.directory / RESULTS, table_bytes(pd.concat(tables, ignore_index=True)))

    def _ordered(self, keys: Iterable[Key]) -> list[Key]:
        """The runs in the order of the methods in the settings, and of the seeds."""
        places = {name: place for place, name in enumerate(self.settings()["methods"])}
        return sorted(keys, key=lambda key: (places.get(key[0], len(places)), key))

    def warn_of_other_versions(self) -> None:
        """Warn if versions of packages that made the runs differ from those that are installed."""
        stored = [self.settings()["versions"], *(_about(folder)["versions"] for folder in self.finished().values())]
        differences = []
        for package, installed in versions().items():
            others = sorted({str(made[package]) for made in stored if made.get(package, installed) != installed})
            differences += [f"{package} {', '.join(others)} ({installed} is installed)"] if others else []
        if differences:
            message = f"{self.directory} has runs that were made with {'; '.join(differences)}"
            warnings.warn(message, OtherVersionsWarning, stacklevel=3)


def read_settings(directory: str | Path) -> dict[str, Any]:
    """What made the runs in a directory.

    Raises:
        ValueError: If this is not a results directory of this package, or one of a later version.
    """
    path = Path(directory) / SETTINGS
    settings = _json(path)
    types = {"format": int, "kind": str, "methods": dict, "versions": dict, "files": dict}
    wrong = [name for name, kind in types.items() if not isinstance(settings.get(name), kind)]
    require(not wrong, f"{directory} is not a results directory of this package: {SETTINGS} lacks {', '.join(wrong)}")
    _require_format(path, settings["format"])
    return settings


def label(key: Key) -> str:
    """What messages call a run."""
    return f"{key[0]}, seed {key[1]}"


def _folder_name(key: Key) -> str:
    """A name that any file system takes, and that differs where only the characters differ that it leaves out."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", f"{key[0]}-{key[1]}")[:80]
    return f"{readable}-{zlib.crc32(label(key).encode()):08x}"


def _about(folder: Path) -> dict[str, Any]:
    """The contents of `run.json`."""
    require((folder / RUN).exists(), f"{folder} has no {RUN}: it is not a run of this package, move it away")
    about = _json(folder / RUN)
    types = {"format": int, "name": str, "seed": int, "versions": dict, "files": dict}
    wrong = [name for name, kind in types.items() if not isinstance(about.get(name), kind)]
    require(not wrong, f"{folder / RUN} is damaged: it lacks {', '.join(wrong)}")
    _require_format(folder / RUN, about["format"])
    return about


def _key(folder: Path) -> Key:
    about = _about(folder)
    key = about["name"], about["seed"]
    require(folder.name == _folder_name(key), f"{folder} is damaged: it should be the folder of {label(key)}")
    return key


def _require_format(path: Path, number: int) -> None:
    require(number <= FORMAT, f"{path} has format {number} of a later version of this package; {FORMAT} is known here")


def _json(path: Path) -> dict[str, Any]:
    with in_one_line("read", path):
        text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged or not of this package: {error}") from error
    require(isinstance(values, dict), f"{path} is damaged or not of this package: it must hold an object")
    return dict(values)


def _remove_unfinished(runs: Path) -> None:
    """Remove what processes left that were killed as they wrote a run's folder."""
    for left in runs.glob(".*.*"):
        process = left.suffix[1:]
        if left.is_dir() and process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left)


def _require_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
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
