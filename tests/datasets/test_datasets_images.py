"""Grey images: complete, in [0, 1], the same each time; read without pickle, and downloaded into Keras's cache once."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest

from variational_bnn.datasets import IMAGES, Images, digits, images, load_images, mnist, read_npz

MNIST_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def _arrays(**fields: Any) -> dict[str, Any]:
    """Ten training images of 5 x 4 and four test images, of three labels; the fields replace what they name."""
    rng = np.random.default_rng(0)
    good = {
        "x_train": rng.integers(0, 256, size=(10, 5, 4), dtype=np.uint8),
        "y_train": np.arange(10) % 3,
        "x_test": rng.integers(0, 256, size=(4, 5, 4), dtype=np.uint8),
        "y_test": np.arange(4) % 3,
    }
    return {**good, **fields}


def _images(**fields: Any) -> Images:
    return Images(name="noise", **_arrays(**fields))


def _changed(value: float, dtype: str = "float64", image: int = 3) -> np.ndarray:
    """Ten images of which one has this pixel."""
    x = np.zeros((10, 5, 4), dtype)
    x[image, 2, 1] = value
    return x


def test_digits_are_complete_and_split_by_label() -> None:
    """All 1797 images in 16 levels, each digit with four fifths of its images in training; the same split each time."""
    made = digits()
    assert made.x_train.shape == (1437, 8, 8)
    assert made.x_test.shape == (360, 8, 8)
    assert made.image_shape == (8, 8)
    assert made.labels == tuple(range(10))
    assert made.x_train.min() == 0
    assert made.x_train.max() == 1
    np.testing.assert_array_equal(np.unique(made.x_train * 16), np.arange(17))
    train, test = np.bincount(made.y_train), np.bincount(made.y_test)
    np.testing.assert_array_equal(train + test, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])  # As published.
    np.testing.assert_allclose(test, (train + test) / 5, atol=1)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(digits(), name), getattr(made, name))


def test_mnist_is_complete(data_dir: Path) -> None:
    """The published counts of each digit, and pixels that reach both ends of [0, 1]."""
    made = mnist()
    assert made.name == "mnist"
    assert made.x_train.shape == (60000, 28, 28)
    assert made.x_test.shape == (10000, 28, 28)
    assert np.bincount(made.y_train).tolist() == MNIST_COUNTS["train"]
    assert np.bincount(made.y_test).tolist() == MNIST_COUNTS["test"]
    assert (made.x_train.min(), made.x_train.max()) == (0, 1)
    assert made.x_train.mean() == pytest.approx(0.1307, abs=5e-5)  # As published.
    assert made.x_train.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)


def test_mnist_refuses_a_folder_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIATIONAL_BNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"^VARIATIONAL_BNN_DATA is .*, but there is no file .*mnist\.npz$"):
        mnist()


def test_each_name_is_loaded(data_dir: Path) -> None:
    """And its line has the number of images and their size."""
    for name, line in IMAGES.items():
        made = load_images(name)
        assert made.name == name
        size = " x ".join(map(str, made.image_shape))
        assert line.startswith(f"{len(made.x_train) + len(made.x_test)} images of {size}: ")


class _FromFile:
    """Stands for `pooch.HTTPDownloader`: gives a local file, or fails as a machine without a network does."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.addresses: list[str] = []

    def __call__(self, url: str, output_file: str, _: object) -> None:
        self.addresses.append(url)
        if self.path is None:
            Path(output_file).write_bytes(b"half of the")
            raise ConnectionError("a long story\nin two lines")
        Path(output_file).write_bytes(self.path.read_bytes())


def _online(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> _FromFile:
    downloader = _FromFile(path)
    monkeypatch.delenv("VARIATIONAL_BNN_DATA", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda timeout: downloader)
    return downloader


def _published(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    """A small file that stands for the published one."""
    np.savez(path, **_arrays())
    monkeypatch.setattr(images, "_MNIST_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.mark.parametrize("variable", ["KERAS_HOME", "HOME"])
def test_mnist_is_downloaded_once_into_the_cache_of_keras(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call reads the file where Keras looks for it: in its home, which is in the user's by default."""
    downloader = _online(monkeypatch, _published(monkeypatch, tmp_path / "published.npz"))
    monkeypatch.setenv(variable, str(tmp_path / "home"))
    for _ in range(2):
        np.testing.assert_array_equal(mnist().y_train, _arrays()["y_train"])
    assert downloader.addresses == ["https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"]
    keras = tmp_path / "home" / (".keras" if variable == "HOME" else "")
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == [keras / "datasets" / "mnist.npz"]


def test_what_keras_has_downloaded_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloader = _online(monkeypatch, None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    _published(monkeypatch, tmp_path / "datasets" / "mnist.npz")
    assert mnist().image_shape == (5, 4)
    assert downloader.addresses == []


def test_a_failed_download_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network, and with another file than the published one."""
    changed = tmp_path / "changed.npz"
    np.savez(changed, **_arrays())
    monkeypatch.setattr(images, "_MNIST_SHA256", "0" * 64)
    for path, reason in ((None, "ConnectionError"), (changed, "its checksum is wrong")):
        _online(monkeypatch, path)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
        message = rf"^cannot download images 'mnist' from https://.* \({reason}\); VARIATIONAL_BNN_DATA .* mnist\.npz$"
        with pytest.raises(ValueError, match=message) as caught:
            mnist()
        assert "\n" not in str(caught.value)
        assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_the_checksum_is_that_of_keras() -> None:
    """It stands in the source of Keras's own loader, which asks for the same address."""
    tf_keras = importlib.util.find_spec("tf_keras")
    assert tf_keras is not None
    assert tf_keras.origin is not None
    source = Path(tf_keras.origin).parent / "src" / "datasets" / "mnist.py"
    folder, _, file = images._MNIST.rpartition("/")
    for text in (images._MNIST_SHA256, f'"{folder}/"', f'"{file}"'):
        assert text in source.read_text()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
def test_whole_numbers_are_levels(dtype: str) -> None:
    """0 to 255 become 0 to 1, also where one of the two arrays reaches no further than 1."""
    made = _images(x_train=_changed(255, dtype), x_test=np.ones((4, 5, 4), dtype))
    assert made.x_train.dtype == made.x_test.dtype == np.float32
    assert made.x_train.max() == 1
    assert made.x_train.sum() == 1
    np.testing.assert_array_equal(made.x_test, np.full((4, 5, 4), np.float32(1) / np.float32(255)))
    made = _images(x_train=np.ones((10, 5, 4), dtype), x_test=_changed(255, dtype)[:4])
    np.testing.assert_array_equal(made.x_train, np.full((10, 5, 4), np.float32(1) / np.float32(255)))
    assert made.x_test.max() == 1
    levels = np.arange(256).astype("int64").reshape(16, 4, 4)
    made = Images(name="all", x_train=levels, y_train=np.zeros(16), x_test=levels[:1], y_test=[0])
    np.testing.assert_array_equal(made.x_train, (levels / 255).astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", "float32", "float64"])
def test_what_is_in_0_to_1_is_taken_as_it_is(dtype: str) -> None:
    """Whole numbers too, where none is above 1."""
    x = (np.arange(200).reshape(10, 5, 4) % 2).astype(dtype)
    made = _images(x_train=x, x_test=x[:4])
    assert made.x_train.dtype == np.float32
    np.testing.assert_array_equal(made.x_train, x.astype(np.float32))


def test_a_last_axis_of_size_1_is_dropped() -> None:
    arrays = _arrays()
    made = _images(x_train=arrays["x_train"][..., None])
    np.testing.assert_array_equal(made.x_train, _images().x_train)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", "float32", "float64"])
def test_labels_of_any_type_that_are_whole(dtype: str) -> None:
    made = _images(y_train=_arrays()["y_train"].astype(dtype))
    assert made.y_train.dtype == np.int64
    np.testing.assert_array_equal(made.y_train, _arrays()["y_train"])


def test_labels_are_those_of_training_and_test() -> None:
    assert _images(y_test=[7, -1, 7, 0]).labels == (-1, 0, 1, 2, 7)


def test_arrays_are_read_only_and_their_own() -> None:
    """What is changed afterwards in the caller's arrays, which stay writable, is not changed in the images."""
    given = _arrays(x_train=np.zeros((10, 5, 4), np.float32), x_test=np.zeros((4, 5, 4, 1), np.float32))
    made = _images(**given)
    for each in (made, made.binarised(), made.without(0)):
        for name in ARRAYS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(each, name)[0] = 1
    for name in ARRAYS:
        before = getattr(made, name).copy()
        given[name][:] = 1
        np.testing.assert_array_equal(getattr(made, name), before)


def test_what_nobody_can_write_to_is_not_copied() -> None:
    made = _images()
    again = Images(name="again", **{name: getattr(made, name) for name in ARRAYS})
    assert all(np.shares_memory(getattr(again, name), getattr(made, name)) for name in ARRAYS)


def test_binarised() -> None:
    """Above a half is white: a half itself is not, and level 128 of 255 is."""
    x = np.zeros((2, 1, 3))
    x[0] = 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1
    made = Images(name="x", x_train=x, y_train=[0, 1], x_test=x, y_test=[0, 1]).binarised()
    assert made.x_train.tolist() == made.x_test.tolist() == [[[0, 1, 1]], [[0, 0, 0]]]
    assert made.name == "x"
    levels = np.arange(256, dtype=np.uint8).reshape(64, 2, 2)
    made = Images(name="x", x_train=levels, y_train=np.zeros(64), x_test=levels, y_test=np.zeros(64)).binarised()
    np.testing.assert_array_equal(made.x_train, levels >= 128)
    assert made.x_train.dtype == np.float32


def test_without() -> None:
    """The other images stay as they are and in their order, even if all that is left is dark."""
    x = np.full((10, 5, 4), 1, np.uint8)
    x[::3] = 255
    whole = _images(x_train=x, x_test=x[:4])
    made = whole.without(0)
    assert made.labels == (1, 2)
    assert made.y_train.tolist() == [1, 2, 1, 2, 1, 2]
    np.testing.assert_array_equal(made.x_train, whole.x_train[whole.y_train != 0])
    np.testing.assert_array_equal(made.x_test, whole.x_test[whole.y_test != 0])
    assert made.x_train.max() == np.float32(1) / np.float32(255)
    assert whole.without(np.int64(0)).labels == (1, 2)  # type: ignore[arg-type]
    assert _images(y_test=[7, 0, 0, 0]).without(7).y_train.tolist() == _arrays()["y_train"].tolist()


@pytest.mark.parametrize("label", [11, np.int64(11), -1, 0.5, "0", None, [0]])
def test_without_refuses_an_unknown_label(label: Any) -> None:
    shown = re.escape(repr(11 if label == 11 else label))
    with pytest.raises(ValueError, match=rf"^unknown label {shown}; known: 0, 1, 2$"):
        _images().without(label)


def test_without_refuses_to_leave_nothing() -> None:
    with pytest.raises(ValueError, match=r"^images 'noise' have nothing to train on without label 4$"):
        _images(y_train=np.full(10, 4)).without(4)
    with pytest.raises(ValueError, match=r"^images 'noise' need at least 2 training .* 1 test image, got 10 and 0$"):
        _images(y_test=np.full(4, 4)).without(4)


SHAPE = "x_train must have shape [N, height, width], got "
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "flat": ({"x_train": np.zeros((10, 784))}, f"{SHAPE}[10, 784]"),
    "colour": ({"x_train": np.zeros((10, 5, 4, 3))}, f"{SHAPE}[10, 5, 4, 3]"),
    "number": ({"x_train": 3}, f"{SHAPE}[]"),
    "five axes": ({"x_train": np.zeros((10, 5, 4, 1, 1))}, f"{SHAPE}[10, 5, 4, 1, 1]"),
    "no pixels": ({"x_train": np.zeros((10, 0, 4))}, f"{SHAPE}[10, 0, 4]"),
    "other size": (
        {"x_test": np.zeros((4, 8, 8))},
        "x_train and x_test must have one image shape, got [5, 4] and [8, 8]",
    ),
    "one image": ({"x_train": np.zeros((1, 5, 4))}, "need at least 2 training images and 1 test image, got 1 and 4"),
    "no images": ({"x_train": np.zeros((0, 5, 4))}, "need at least 2 training images and 1 test image, got 0 and 4"),
    "no test": ({"x_test": np.zeros((0, 5, 4))}, "need at least 2 training images and 1 test image, got 10 and 0"),
    "levels as floats": ({"x_train": _changed(255.0)}, "x_train must hold values in [0, 1], got 255.0 in image 3"),
    "below": ({"x_test": _changed(-0.5)[:4]}, "x_test must hold values in [0, 1], got -0.5 in image 3"),
    "NaN": ({"x_train": _changed(np.nan, image=9)}, "x_train must hold values in [0, 1], got nan in image 9"),
    "infinite": ({"x_train": _changed(np.inf)}, "x_train must hold values in [0, 1], got inf in image 3"),
    "level": ({"x_train": _changed(256, "int16")}, "x_train must hold whole levels from 0 to 255, got 256 in image 3"),
    "low level": ({"x_train": _changed(-1, "int8")}, "x_train must hold whole levels from 0 to 255, got -1 in image 3"),
    "complex": ({"x_train": np.zeros((10, 5, 4), complex)}, "x_train must hold numbers, got complex128"),
    "text": ({"x_train": [[["a"]]]}, "x_train must hold numbers, got <U1"),
    "ragged": ({"x_train": [[1], [1, 2]]}, "x_train must hold numbers: "),
    "objects": ({"y_train": np.array([None] * 10)}, "y_train must hold numbers, got object"),
    "few labels": ({"y_train": np.zeros(9)}, "y_train must have a label for each of the 10 images, got [9]"),
    "one-hot": ({"y_test": np.eye(4)}, "y_test must have a label for each of the 4 images, got [4, 4]"),
    "halves": ({"y_test": [0, 1, 1.5, 2]}, "y_test must hold whole numbers, got 1.5 for image 2"),
    "NaN label": ({"y_test": [0, np.nan, 1, 2]}, "y_test must hold whole numbers, got nan for image 1"),
    "endless label": ({"y_test": [0, 1, 1, -np.inf]}, "y_test must hold whole numbers, got -inf for image 3"),
    "text labels": ({"y_test": list("abcd")}, "y_test must hold numbers, got <U1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_arrays_and_files(case: str, tmp_path: Path) -> None:
    """They are refused in one line, which a file's name precedes."""
    fields, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        _images(**fields)
    assert "\n" not in str(caught.value)
    if case not in ("ragged", "objects"):
        path = tmp_path / "file.npz"
        np.savez(path, **_arrays(**fields))
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .*{re.escape(message)}$"):
            read_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_gives_what_its_arrays_give(save: Any, tmp_path: Path) -> None:
    """Whatever else the file holds."""
    path = tmp_path / "noise.npz"
    save(path, **_arrays(), classes=np.array(["a", "b", "c"]))
    for made, name in ((read_npz(path), "noise"), (load_images(str(path)), "noise"), (read_npz(str(path), "n"), "n")):
        assert made.name == name
        for array in ARRAYS:
            np.testing.assert_array_equal(getattr(made, array), getattr(_images(), array))


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_no_pickle_is_executed(suffix: str, tmp_path: Path) -> None:
    """An array of objects is refused unopened; opened, it would have left a folder."""
    path, sprung = tmp_path / f"trap.{suffix}", tmp_path / "sprung"
    trap = np.array([_Trap(sprung)], dtype=object)
    np.save(path, trap) if suffix == "npy" else np.savez(path, **_arrays(y_test=trap))
    message = (
        "is no .npz archive" if suffix == "npy" else f"cannot read y_test of {path}: Object arrays cannot be loaded"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        read_npz(path)
    assert not sprung.exists()
    opened = np.load(path, allow_pickle=True)
    if suffix == "npz":
        with opened:
            opened["y_test"]
    assert sprung.exists()


def _refused_file(path: Path, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_npz(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_lacks_arrays(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    wanted = "keys wanted: x_train, y_train, x_test, y_test; got: "
    arrays = _arrays()
    del arrays["y_test"]
    np.savez(path, **arrays)
    _refused_file(path, f"{path} lacks y_test; {wanted}x_train, y_train, x_test")
    np.savez(path, np.arange(3))
    _refused_file(path, f"{path} lacks x_train, y_train, x_test, y_test; {wanted}arr_0")
    np.savez(path)
    _refused_file(path, f"{path} lacks x_train, y_train, x_test, y_test; {wanted}none")


def test_what_is_no_archive(tmp_path: Path) -> None:
    """No file, a folder, an empty file, text, a single array, and archives with pieces missing."""
    path = tmp_path / "file.npz"
    _refused_file(path, f"cannot read {path}: No such file or directory")
    _refused_file(tmp_path, f"cannot read {tmp_path}: Is a directory")
    for content in (b"", b"x_train,y_train\n1,2\n", b"PK\x03\x04", b"\x93NUMPY"):
        path.write_bytes(content)
        _refused_file(path, f"{path} is no .npz archive, or is damaged")
    np.save(tmp_path / "one.npy", np.arange(3))
    _refused_file(tmp_path / "one.npy", "is no .npz archive but a single array")
    np.savez_compressed(path, **_arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    _refused_file(path, f"{path} is no .npz archive, or is damaged")
    path.write_bytes(whole[:60] + bytes(40) + whole[100:])
    _refused_file(path, f"cannot read x_train of {path}: ")
    with zipfile.ZipFile(path, "w") as archive:
        for name in ARRAYS:
            archive.writestr(name, "1, 2, 3")
    _refused_file(path, f"{path}: x_train must hold numbers, got |S7")


def test_unknown_images() -> None:
    with pytest.raises(ValueError, match=r"^unknown images 'x'; known: digits, mnist, or the path of an \.npz file$"):
        load_images("x")
