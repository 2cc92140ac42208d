"""Draws survive the disk bit by bit; a file that is not theirs is refused in one line; nothing in it is executed."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cells_by_hand import DATA, QUERIES, SETTINGS, contents, draws, failed_rows, predictions, rows, save

from variational_bnn.experiments.directory import append_cell, finished_cells, open_directory, read_directory

CELL = ("lecture", "flipout", 0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    open_directory(tmp_path / "out", settings=SETTINGS, data=DATA)
    return tmp_path / "out"


def _file_of_draws(directory: Path) -> Path:
    (path,) = (directory / "draws").iterdir()
    return path


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _assert_same_bits(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert list(got) == list(wanted)
    for name, array in wanted.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        assert got[name].tobytes() == array.tobytes()


def test_draws_come_back_bit_by_bit(directory: Path) -> None:
    extreme = np.array([-0.0, 1e-45, 3.4e38, 1 / 3, np.nextafter(1, 2), -7], dtype=np.float64)
    wanted = draws() | {"functions": np.stack([extreme, extreme[::-1]])[:, :, None]}
    wanted["trace"][2] = [np.nan, -np.inf]
    append_cell(directory, rows(), predictions(), wanted)
    _assert_same_bits(read_directory(directory).draws[CELL], wanted)
    other = wanted | {"functions": np.nextafter(wanted["functions"], np.float64(1))}
    with pytest.raises(AssertionError):
        _assert_same_bits(read_directory(directory).draws[CELL], other)


def test_every_cell_has_its_own(directory: Path) -> None:
    for seed in range(3):
        save(directory, "hmc", seed)
    saved = read_directory(directory).draws
    assert list(saved) == finished_cells(directory)
    for seed in range(3):
        _assert_same_bits(saved["lecture", "hmc", seed], draws(seed))


def test_several_outputs_and_no_chains(directory: Path) -> None:
    wanted = {"functions": draws(shape=(4, QUERIES, 2))["functions"]}
    append_cell(directory, rows(), predictions(outputs=("y", "z")), wanted)
    _assert_same_bits(read_directory(directory).draws[CELL], wanted)


def test_a_failed_cell_may_have_none_or_the_trace_that_shows_why(directory: Path) -> None:
    append_cell(directory, failed_rows("flipout", 0), pd.DataFrame(), {})
    trace = {name: draws()[name] for name in ("trace", "warmup")}
    append_cell(directory, failed_rows("hmc", 0), pd.DataFrame(), trace)
    saved = read_directory(directory).draws
    assert list(saved) == [("lecture", "hmc", 0)]
    _assert_same_bits(saved["lecture", "hmc", 0], trace)


def test_other_draws_than_the_cells_are_not_saved(directory: Path) -> None:
    functions = draws()["functions"]
    infinite = functions.copy()
    infinite[3, 2, 0] = np.inf
    before = contents(directory)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "cannot save lecture / flipout / seed 0: an array 'functions' is wanted, got none"),
        ({"functions": functions[:, :-1]}, r"must be float64 \[S, 6, 1\], got float64 \[5, 5, 1\]"),
        ({"functions": functions.repeat(2, axis=2)}, r"got float64 \[5, 6, 2\]"),
        ({"functions": functions[..., 0]}, r"got float64 \[5, 6\]"),
        ({"functions": functions[:0]}, r"got float64 \[0, 6, 1\]"),
        ({"functions": functions.astype(np.float32)}, r"got float32 \[5, 6, 1\]"),
        ({"functions": functions.astype(object)}, r"got object \[5, 6, 1\]"),
        ({"functions": infinite}, "must be finite, got inf in draw 3, query 2"),
        (draws() | {"weights": functions}, "unknown draws 'weights'; known: functions, trace, warmup"),
        ({"functions": functions, "trace": np.zeros((3, 2))}, "come together, got only 'trace'"),
        ({"functions": functions, "warmup": np.asarray(3)}, "come together, got only 'warmup'"),
        (draws() | {"trace": np.zeros(3)}, r"trace must be floats \[steps, chains\], got float64 \[3\]"),
        (draws() | {"trace": np.full((3, 2), None)}, r"got object \[3, 2\]"),
        (draws() | {"warmup": np.asarray(3.0)}, r"warmup must be one whole number, got float64 \[\]"),
        (draws() | {"warmup": np.asarray([3])}, r"warmup must be one whole number, got int64 \[1\]"),
        (draws() | {"warmup": np.asarray(8)}, "warmup must be from 0 to the trace's 7 steps, got 8"),
    ]
    for arrays, message in wrong:
        with pytest.raises(ValueError, match=message) as caught:
            append_cell(directory, rows(), predictions(), arrays)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"must be float64 \[S, 0, 0\]"):
        append_cell(directory, failed_rows("flipout", 0), pd.DataFrame(), draws())
    assert contents(directory) == before
    append_cell(directory, rows(), predictions(), draws())


def _flipped(whole: bytes) -> bytes:
    """One bit of the functions is another."""
    at = whole.index(draws()["functions"].tobytes())
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


def _with_member(name: str, contents: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, contents)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


HUGE = _npy(draws()["functions"]).replace(b"(5, 6, 1), }" + b" " * 14, b"(999999999999999, 6, 1), }")

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "short": lambda whole: whole[:-2],
    "half": lambda whole: whole[: len(whole) // 2],
    "the end": lambda whole: whole[len(whole) // 2 :],
    "one bit": _flipped,
    "a table": lambda _: b"dataset,method\n1,2\n",
    "one array": lambda _: _npy(draws()["functions"]),
    "no arrays": lambda _: _npz(),
    "other arrays": lambda _: _npz(mine=np.zeros(3)),
    "arrays without names": lambda _: _npz(arr_0=draws()["functions"]),
    "fewer queries": lambda _: _npz(functions=draws()["functions"][:, 1:]),
    "not finite": lambda _: _npz(functions=draws()["functions"] * np.nan),
    "other floats": lambda _: _npz(functions=draws()["functions"].astype(np.float32)),
    "other byte order": lambda _: _npz(functions=draws()["functions"].astype(">f8")),
    "trace without warm-up": lambda _: _npz(functions=draws()["functions"], trace=np.zeros((3, 2))),
    "a member that is no array": lambda _: _with_member("functions", b"text"),
    "a header that is none": lambda _: _with_member("functions.npy", b"\x93NUMPY\x01\x00\x02\x00{\n"),
    "a size that cannot be": lambda _: _with_member("functions.npy", HUGE),
}


@pytest.mark.parametrize("damage", [*DAMAGES, "missing"])
def test_a_damaged_file_is_refused_in_one_line(directory: Path, damage: str) -> None:
    save(directory, "flipout", 0)
    path = _file_of_draws(directory)
    whole = path.read_bytes()
    path.unlink()
    if damage in DAMAGES:
        path.write_bytes(DAMAGES[damage](whole))
    with pytest.raises(ValueError, match=r"draws/flipout-0-lecture-[0-9a-f]{8}\.npz") as caught:
        read_directory(directory)
    assert "\n" not in str(caught.value)
    assert "pickle" not in str(caught.value)
    path.write_bytes(whole)
    _assert_same_bits(read_directory(directory).draws[CELL], draws())


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["a pickle", "an array of objects", "an archive of objects"])
def test_nothing_in_a_file_is_executed(directory: Path, tmp_path: Path, kind: str) -> None:
    executed = tmp_path / "executed"
    objects = np.array([Touch(executed)], dtype=object)
    bomb = {"a pickle": pickle.dumps(objects), "an array of objects": _npy(objects)}.get(kind, _npz(functions=objects))
    save(directory, "flipout", 0)
    _file_of_draws(directory).write_bytes(bomb)
    with pytest.raises(ValueError, match=r"flipout-0-lecture.*is foreign or truncated") as caught:
        read_directory(directory)
    assert "\n" not in str(caught.value)
    assert not executed.exists()
    loaded = np.load(io.BytesIO(bomb), allow_pickle=True)
    if kind == "an archive of objects":
        loaded["functions"]
    assert executed.exists()


def test_somebodys_own_draws_are_not_mixed_with_ours(tmp_path: Path) -> None:
    (tmp_path / "draws").mkdir()
    (tmp_path / "draws" / "mine.npz").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"holds draws but no settings\.json"):
        open_directory(tmp_path, settings=SETTINGS, data=DATA)
    assert contents(tmp_path) == {"draws/mine.npz": b"precious"}
