"""Grey images with labels: scikit-learn's digits, MNIST, and any .npz archive of NumPy's."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base import BEYOND, NEAR, Dataset
from variational_bnn.base.checks import Array, require
from variational_bnn.datasets.downloads import copy_of, download

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_MNIST = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

IMAGES: dict[str, str] = {
    "digits": "1797 images of 8 x 8: handwritten digits, which scikit-learn brings along",
    "mnist": "70000 images of 28 x 28: handwritten digits, in the file that Keras downloads",
}
"""The names that `load_images` knows besides .npz files, each with a line that says what it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Grey images with labels, to train on and to test with. The arrays are made read-only.

    Pixels may be given as floats or bools in [0, 1], or as whole numbers. These are levels from 0 to 255, and are
    divided by 255, unless the largest in `x_train` and `x_test` is 1: then they are taken as they are. A last axis of
    size 1 is dropped from `[N, H, W, 1]`. Labels may be of any type whose values are whole.

    Attributes:
        name: What tables and figures call it.
        x_train: Training images `[N, H, W]`, float32 in [0, 1].
        y_train: Their labels `[N]`, int64.
        x_test: Test images `[M, H, W]`, float32 in [0, 1].
        y_test: Their labels `[M]`, int64.

    Raises:
        ValueError: If a shape, a pixel or a label is another than that, the shapes of the training and the test
            images differ, or there are fewer than two training images or no test image.
    """

    name: str
    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check the arrays and convert them."""
        x_train, x_test = _grey("x_train", self.x_train), _grey("x_test", self.x_test)
        wanted = f"images {self.name!r} need at least 2 training images and 1 test image"
        require(len(x_train) > 1 and len(x_test) > 0, f"{wanted}, got {len(x_train)} and {len(x_test)}")
        shape, other = list(x_train.shape[1:]), list(x_test.shape[1:])
        require(shape == other, f"x_train and x_test must have one image shape, got {shape} and {other}")
        top = 255 if max(x_train.max(), x_test.max()) > 1 else 1
        for part, x, y in (("train", x_train, self.y_train), ("test", x_test, self.y_test)):
            object.__setattr__(self, f"x_{part}", _pixels(f"x_{part}", x, top))
            object.__setattr__(self, f"y_{part}", _labels(f"y_{part}", y, len(x)))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.x_train.shape[1:]
        return height, width

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels that occur in training or in test, each once, in rising order."""
        return tuple(np.union1d(self.y_train, self.y_test).tolist())

    def binarised(self) -> Images:
        """The same images in black and white: pixels above 0.5 become 1, the others 0."""
        x_train, x_test = ((x > 0.5).astype(np.float32) for x in (self.x_train, self.x_test))
        return dataclasses.replace(self, x_train=_frozen(x_train), x_test=_frozen(x_test))

    def without(self, label: int) -> Images:
        """The training and the test images of all other labels, under the same name.

        Raises:
            ValueError: If no image has the label (the message lists those there are), or too few are left.
        """
        label = int(label) if isinstance(label, np.integer) else label
        known = isinstance(label, int) and label in self.labels
        require(known, f"unknown label {label!r}; known: {', '.join(map(str, self.labels))}")
        train, test = self.y_train != label, self.y_test != label
        require(bool(train.any()), f"images {self.name!r} have nothing to train on without label {label}")
        rows = {"x_train": train, "y_train": train, "x_test": test, "y_test": test}
        kept: dict[str, Any] = {key: _frozen(getattr(self, key)[chosen]) for key, chosen in rows.items()}
        return dataclasses.replace(self, **kept)


def labelled(images: Images, held_out: int) -> Dataset:
    """Images to classify, as a table of a row an image: where is it known that a class was never seen?

    Training images of all labels but one train. Test images of those labels are `near`, those of the one that was held
    out `beyond`, with a class of its own, which no training image has. Pixels that are the same in all images that
    train are left out.

    Args:
        images: Of whose labels every one is a class.
        held_out: The label that is kept from training.

    Raises:
        ValueError: If no test image has the label, too few images or classes are left, or all pixels are constant.
    """
    seen = images.without(held_out)
    out = images.x_test[images.y_test == held_out]
    require(len(out) > 0, f"images {images.name!r} have no test image of label {held_out}")
    tables = [x.reshape(len(x), -1) for x in (seen.x_train, seen.x_test, out)]
    varies = tables[0].min(axis=0) < tables[0].max(axis=0)
    require(bool(varies.any()), f"images {images.name!r} have no pixel that varies")
    x_train, x_test, x_out = (table[:, varies].astype(np.float64) for table in tables)
    height, width = images.image_shape
    names = [f"pixel_{row}_{column}" for row in range(height) for column in range(width)]

    def numbers(labels: npt.NDArray[np.int64]) -> Array:
        return np.searchsorted(images.labels, labels)[:, None].astype(np.float64)

    return Dataset(
        name=f"{images.name}_without_{held_out}",
        x=x_train,
        y=numbers(seen.y_train),
        feature_names=tuple(np.array(names)[varies].tolist()),
        target_names=("label",),
        class_names=tuple(map(str, images.labels)),
        x_test=np.concatenate([x_test, x_out]),
        y_test=numbers(np.concatenate([seen.y_test, np.full(len(out), held_out)])),
        test_regions=np.repeat([NEAR, BEYOND], [len(x_test), len(out)]),
    )


def load_images(spec: str) -> Images:
    """The images that a name or a path stands for.

    Args:
        spec: A name in `IMAGES`, or the path of an .npz file.

    Raises:
        ValueError: If there are neither such images (the message lists them) nor such a file, or for what `mnist` and
            `read_npz` refuse.
    """
    if spec in IMAGES:
        return digits() if spec == "digits" else mnist()
    known = ", ".join(IMAGES)
    require(Path(spec).exists(), f"unknown images {spec!r}; known: {known}, or the path of an .npz file")
    return read_npz(spec)


def digits() -> Images:
    """Scikit-learn's handwritten digits, 8 x 8 in 16 levels: 1437 to train on and 360 to test with, always the same.

    Each digit has its share of both.
    """
    # Imported here since it takes longer than all else that datasets need.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images.reshape(-1, 8, 8) / 16, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return Images(name="digits", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def mnist() -> Images:
    """MNIST, handwritten digits of 28 x 28: 60000 to train on and 10000 to test with.

    The file is `$VARIATIONAL_BNN_DATA/mnist.npz` if that variable is set. It is otherwise the file of Keras's own
    loader, in Keras's own cache: `$KERAS_HOME/datasets/mnist.npz`, by default in `~/.keras`. What Keras has downloaded
    is used, and the other way round.

    Raises:
        ValueError: If the file cannot be had, if a download has not the published checksum (a copy may have its own),
            or for what `read_npz` refuses.
    """
    path = copy_of("mnist.npz")
    if path is None:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        to = home / "datasets" / "mnist.npz"
        path = download("images 'mnist'", _MNIST, sha256=_MNIST_SHA256, to=to, copy="mnist.npz")
    return read_npz(path, name="mnist")


def read_npz(path: str | Path, name: str | None = None) -> Images:
    """Read an archive of NumPy's with the arrays x_train, y_train, x_test and y_test, as `Images` takes them.

    Nothing in the file is run: pickled objects are refused.

    Args:
        path: The file.
        name: Of the images; the file's name without its ending by default.

    Raises:
        ValueError: If the file cannot be read, is damaged or no such archive, lacks an array or has one of Python
            objects, or if `Images` refuses the arrays.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            arrays = _arrays(path, file)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    try:
        return Images(name=name or path.stem, **arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _arrays(path: Path, file: Any) -> dict[str, Any]:
    # NumPy and zipfile have no common error for what is damaged.
    try:
        archive = np.load(file, allow_pickle=False)
    except Exception as error:
        raise ValueError(f"{path} is no .npz archive, or is damaged") from error
    require(isinstance(archive, np.lib.npyio.NpzFile), f"{path} is no .npz archive but a single array")
    arrays = {}
    with archive:
        missing = ", ".join(key for key in _KEYS if key not in archive.files)
        found = ", ".join(archive.files) or "none"
        require(not missing, f"{path} lacks {missing}; keys wanted: {', '.join(_KEYS)}; got: {found}")
        for key in _KEYS:
            try:
                arrays[key] = _frozen(np.asarray(archive[key]))
            except Exception as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                raise ValueError(f"cannot read {key} of {path}: {reason}") from error
    return arrays


def _grey(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """The values as `[N, H, W]` numbers of any type."""
    images = _numbers(name, values)
    shape = f"{name} must have shape [N, height, width], got {list(images.shape)}"
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    require(images.ndim == 3 and min(images.shape[1:]) > 0, shape)
    return images


def _pixels(name: str, images: npt.NDArray[Any], top: int) -> npt.NDArray[np.float32]:
    """The images as float32 in [0, 1]; `top` is the level that becomes 1, where they are whole numbers."""
    whole = images.dtype.kind in "iu"
    wanted, largest = ("whole levels from 0 to 255", 255) if whole else ("values in [0, 1]", 1)
    if not (images.min() >= 0 and images.max() <= largest):  # Nor is it so where there is a NaN.
        image, row, column = np.argwhere(~((images >= 0) & (images <= largest)))[0]
        raise ValueError(f"{name} must hold {wanted}, got {images[image, row, column]} in image {image}")
    if whole:
        return _frozen(np.divide(images, top, dtype=np.float32))
    return _own(images.astype(np.float32, copy=False), images)


def _labels(name: str, values: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    labels = _numbers(name, values)
    wanted = f"{name} must have a label for each of the {count} images"
    require(labels.shape == (count,), f"{wanted}, got {list(labels.shape)}")
    floats = labels.astype(np.float64)
    for image in np.flatnonzero(~((np.abs(floats) < 2.0**63) & (floats == np.floor(floats))))[:1]:
        raise ValueError(f"{name} must hold whole numbers, got {labels[image]} for image {image}")
    return _own(labels.astype(np.int64, copy=False), labels)


def _numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error
    require(array.dtype.kind in "biuf", f"{name} must hold numbers, got {array.dtype}")
    return array


def _own(array: npt.NDArray[Any], given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, read-only: a copy where the caller could still write to it."""
    shared = array.flags.writeable and np.may_share_memory(array, given)
    return _frozen(array.copy() if shared else array)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array
