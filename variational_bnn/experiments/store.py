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

What was damaged or changed is named, and `repair` moves it to `set-aside/`. The outcome of a run that failed goes
there, too, when the run is executed again.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from variational_bnn.base.checks import require
from variational_bnn.experiments.differences import require_same
from variational_bnn.experiments.files import (
    FORMAT,
    Columns,
    document_bytes,
    in_one_line,
    npz_bytes,
    parse_document,
    parse_npz,
    parse_table,
    read_checked,
    sha256,
    table_bytes,
    write_folder_file,
    write_whole,
)
from variational_bnn.experiments.run import OK, STATUSES, Arrays, Key, Outcome, is_status, label
from variational_bnn.stopping import writing

SETTINGS, RESULTS, RUNS, ASIDE = "settings.json", "results.csv", "runs", "set-aside"
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
        arrays: Names of the arrays that each run has whose status is "ok".
    """

    directory: Path
    kind: str
    columns: Mapping[str, Columns]
    arrays: Sequence[str] = ()

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
                require_same(folder, old, new)
                missing = [name for name in old["files"] if not (folder / name).exists()]  # After a kill.
                for name in old["files"].keys() - missing:
                    self._input(name)
                contents = {name: contents[name] for name in missing if digests.get(name) == old["files"][name]}
                new = {**old, "methods": {**old["methods"], **new["methods"]}}
            else:
                others = [name for name in (*contents, RUNS, RESULTS) if (folder / name).exists()]
                no_settings = f"{folder} holds {', '.join(others)} but no {SETTINGS}"
                require(not others, f"{no_settings}: it is not a results directory of this package")
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / SETTINGS, document_bytes(new))
        with in_one_line("use", folder):
            (folder / RUNS).mkdir(exist_ok=True)
            _remove_unfinished(folder / RUNS)
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
        with self._repairable("that run"):
            runs = {_key(folder): folder for folder in self.folders()}
        return {key: runs[key] for key in self._ordered(runs)}

    def folders(self) -> list[Path]:
        """What there is among the runs, of them or not."""
        with in_one_line("read", self.directory):
            return sorted(path for path in (self.directory / RUNS).glob("*") if not path.name.startswith("."))

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
        contents[RUN] = document_bytes(about)
        beside = place.with_name(f".{place.name}.{os.getpid()}")
        with writing(), in_one_line("write", place):
            require(not place.exists(), f"{label(key)} is finished already in {self.directory}")
            try:
                beside.mkdir()
                for name, data in contents.items():
                    write_folder_file(beside / name, data)
                os.rename(beside, place)
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def set_aside(self, path: Path) -> Path:
        """Move a file or a folder to where nothing is read, and say where."""
        numbers = itertools.count(2)
        place = first = self.directory / ASIDE / path.name
        while place.exists():
            place = first.with_name(f"{path.name}-{next(numbers)}")
        with in_one_line("move", path):
            place.parent.mkdir(exist_ok=True)
            os.rename(path, place)
        return place

    def read(self, folder: Path) -> Outcome:
        """The outcome that is kept in a run's folder.

        Raises:
            ValueError: If a file is missing, damaged, was changed since it was written, or is none of the run's.
        """
        with self._repairable("that run"):
            return self.checked(folder)[1]

    def checked(self, folder: Path) -> tuple[Key, Outcome]:
        """A run's folder, as `read`, with the run that it is of."""
        key, digests = _key(folder), _about(folder)["files"]
        contents = {name: read_checked(folder / name, digest) for name, digest in digests.items()}
        require({ROWS, ARRAYS} <= contents.keys(), f"{folder / RUN} is damaged: it must name {ROWS} and {ARRAYS}")
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        others = names - contents.keys() - {RUN}
        require(not others, f"{folder} holds {', '.join(sorted(others))}, which is not of the run")
        tables = {
            name: parse_table(folder / f"{name}.csv", contents[f"{name}.csv"], columns)
            for name, columns in self.columns.items()
            if f"{name}.csv" in contents
        }
        arrays = parse_npz(folder / ARRAYS, contents[ARRAYS])
        rows = tables.pop(Path(ROWS).stem)
        for column in rows.columns.intersection(["status", "contraction_status"]):
            unknown = [status for status in rows[column] if not is_status(str(status))]
            if unknown:
                known = f"unknown {column} {unknown[0]!r}; known: {', '.join(STATUSES)}"
                raise ValueError(f"{folder / ROWS} is damaged: {known}")
        missing = ", ".join(name for name in self.arrays if name not in arrays)
        require(not missing or bool((rows["status"] != OK).any()), f"{folder / ARRAYS} lacks the arrays {missing}")
        return key, Outcome(rows=rows, tables=tables, arrays=arrays)

    @contextmanager
    def _repairable(self, what: str) -> Iterator[None]:
        """Say with an error of files what can be done."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{error}; `variational-bnn repair {self.directory}` sets {what} aside") from error

    def damaged_inputs(self) -> dict[Path, str]:
        """The files of the inputs that were damaged or changed, and what is wrong with them."""
        damaged = {}
        for path, digest in ((self.directory / name, digest) for name, digest in self.settings()["files"].items()):
            try:
                if path.parent == self.directory and path.exists():
                    read_checked(path, digest)
            except ValueError as error:
                damaged[path] = str(error)
        return damaged

    def input_table(self, name: str) -> pd.DataFrame:
        """An input that is a table, as `prepare` was given it."""
        return parse_table(self.directory / f"{name}.csv", self._input(f"{name}.csv"), self.columns.get(name, {}))

    def input_arrays(self, name: str) -> dict[str, Any]:
        """Inputs that are arrays, as `prepare` was given them."""
        return parse_npz(self.directory / f"{name}.npz", self._input(f"{name}.npz"))

    def _input(self, file: str) -> bytes:
        digests = self.settings()["files"]
        require(file in digests, f"{self.directory / SETTINGS} must name {file} among its files")
        path = self.directory / file
        require(path.exists(), f"cannot read {path}: No such file or directory; the same comparison writes it again")
        with self._repairable("that file"):
            return read_checked(path, digests[file])

    def write_results(self, rows: Mapping[Key, pd.DataFrame]) -> None:
        """Write `results.csv` from the rows of all runs, in the order of the methods in the settings and the seeds."""
        tables = [rows[key] for key in self._ordered(rows)] or [pd.DataFrame(columns=list(self.columns["rows"]))]
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
    types = {"format": int, "kind": str, "methods": dict, "versions": dict, "files": dict}
    otherwise = f"{directory} is not a results directory of this package: {SETTINGS}"
    return parse_document(Path(directory) / SETTINGS, types, otherwise)


def _folder_name(key: Key) -> str:
    """A name that any file system takes, and that differs where only the characters differ that it leaves out."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", f"{key[0]}-{key[1]}")[:80]
    return f"{readable}-{zlib.crc32(label(key).encode()):08x}"


def _about(folder: Path) -> dict[str, Any]:
    """The contents of `run.json`."""
    require((folder / RUN).exists(), f"{folder} has no {RUN}: it is not a run of this package")
    types = {"format": int, "name": str, "seed": int, "versions": dict, "files": dict}
    return parse_document(folder / RUN, types, f"{folder / RUN} is damaged: it")


def _key(folder: Path) -> Key:
    about = _about(folder)
    key = about["name"], about["seed"]
    require(folder.name == _folder_name(key), f"{folder} is damaged: it should be the folder of {label(key)}")
    return key


def _remove_unfinished(runs: Path) -> None:
    """Remove what processes left that were killed as they wrote a run's folder."""
    for left in runs.glob(".*.*"):
        process = left.suffix[1:]
        if left.is_dir() and process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left)
