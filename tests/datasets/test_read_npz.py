"""Images from an .npz archive: what its arrays give, nothing executed, and what is wrong said with the file's name."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_images import ARRAYS, BAD, arrays, images

from variational_bnn.datasets import load_images, read_npz


@pytest.mark.parametrize("case", [case for case in BAD if case not in ("ragged", "objects")])
def test_bad_arrays_in_a_file(case: str, tmp_path: Path) -> None:
    fields, message = BAD[case]
    path = tmp_path / "file.npz"
    np.savez(path, **arrays(**fields))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .*{re.escape(message)}$") as caught:
        read_npz(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_gives_what_its_arrays_give(save: Any, tmp_path: Path) -> None:
    """Other arrays in the file are ignored."""
    path = tmp_path / "noise.npz"
    save(path, **arrays(), classes=np.array(["a", "b", "c"]))
    for made, name in ((read_npz(path), "noise"), (load_images(str(path)), "noise"), (read_npz(str(path), "n"), "n")):
        assert made.name == name
        for array in ARRAYS:
            np.testing.assert_array_equal(getattr(made, array), getattr(images(), array))


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_no_pickle_is_executed(suffix: str, tmp_path: Path) -> None:
    """An array of objects is not opened; opened, it would have left a folder."""
    path, sprung = tmp_path / f"trap.{suffix}", tmp_path / "sprung"
    trap = np.array([_Trap(sprung)], dtype=object)
    np.save(path, trap) if suffix == "npy" else np.savez(path, **arrays(y_test=trap))
    message = (
        "is not an .npz archive" if suffix == "npy" else f"cannot read y_test of {path}: Object arrays cannot be loaded"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        read_npz(path)
    assert not sprung.exists()
    opened = np.load(path, allow_pickle=True)
    if suffix == "npz":
        with opened:
            opened["y_test"]
    assert sprung.exists()


def _raises(path: Path, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_npz(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_lacks_arrays(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    rule = f"{path} must hold x_train, y_train, x_test, y_test; it lacks "
    np.savez(path, **{name: array for name, array in arrays().items() if name != "y_test"})
    _raises(path, f"{rule}y_test and holds x_train, y_train, x_test")
    np.savez(path, np.arange(3))
    _raises(path, f"{rule}x_train, y_train, x_test, y_test and holds arr_0")
    np.savez(path)
    _raises(path, f"{rule}x_train, y_train, x_test, y_test and holds no array")


def test_what_is_not_an_archive(tmp_path: Path) -> None:
    """No file, a folder, an empty file, text, a single array, and archives with pieces missing."""
    path = tmp_path / "file.npz"
    _raises(path, f"cannot read {path}: No such file or directory")
    _raises(tmp_path, f"cannot read {tmp_path}: Is a directory")
    for content in (b"", b"x_train,y_train\n1,2\n", b"PK\x03\x04", b"\x93NUMPY"):
        path.write_bytes(content)
        _raises(path, f"{path} is not an .npz archive, or is damaged")
    np.save(tmp_path / "one.npy", np.arange(3))
    _raises(tmp_path / "one.npy", "must be an .npz archive, but is a single array")
    np.savez_compressed(path, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    _raises(path, f"{path} is not an .npz archive, or is damaged")
    path.write_bytes(whole[:60] + bytes(40) + whole[100:])
    _raises(path, f"cannot read x_train of {path}: ")
    with zipfile.ZipFile(path, "w") as archive:
        for name in ARRAYS:
            archive.writestr(name, "1, 2, 3")
    _raises(path, f"{path}: x_train must hold numbers, got |S7")
