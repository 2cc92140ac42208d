"""Grey images with labels, checked and converted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import require


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Grey images with labels: training images and test images.

    Pixels may be given as floats or booleans in [0, 1], or as whole numbers. Whole numbers are levels from 0 to 255 and
    are divided by 255, unless no level in `x_train` and `x_test` is above 1: they are then used unchanged. Images may
    have a last axis of size 1, `[N, H, W, 1]`, which is dropped. Labels may be of any numeric type with whole values.
    The arrays are made read-only, and are copied where the caller could still write to them.

    Attributes:
        name: Name of the images, for tables and figures.
        x_train: Training images `[N, H, W]`, stored as float32 in [0, 1].
        y_train: Labels of the training images `[N]`, stored as int64.
        x_test: Test images `[M, H, W]`, stored as float32 in [0, 1].
        y_test: Labels of the test images `[M]`, stored as int64.

    Raises:
        ValueError: If an array has another shape, a pixel is outside the range above, a label is not a whole number,
            training and test images differ in height or width, or there are fewer than two training images or no test
            image.

    Example:
        >>> import variational_bnn as vbnn
        >>> levels = np.random.default_rng(0).integers(0, 256, size=(6, 4, 4))
        >>> labels = np.array([0, 1, 2, 0, 1, 2])
        >>> images = vbnn.Images(
        ...     name="noise", x_train=levels, y_train=labels, x_test=levels[:3], y_test=labels[:3]
        ... )
        >>> images.image_shape, images.labels
        ((4, 4), (0, 1, 2))
        >>> images.without(2).x_train.shape
        (4, 4, 4)
        >>> np.unique(images.binarised().x_train).tolist()
        [0.0, 1.0]
    """

    name: str
    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check the arrays and convert them."""
        x_train, x_test = _grey("x_train", self.x_train), _grey("x_test", self.x_test)
        needed = f"images {self.name!r} need at least 2 training images and 1 test image"
        require(len(x_train) > 1 and len(x_test) > 0, f"{needed}, got {len(x_train)} and {len(x_test)}")
        shape, other = list(x_train.shape[1:]), list(x_test.shape[1:])
        require(shape == other, f"x_train and x_test must have images of the same shape, got {shape} and {other}")
        top = 255 if max(x_train.max(), x_test.max()) > 1 else 1
        for part, x, y in (("train", x_train, self.y_train), ("test", x_test, self.y_test)):
            object.__setattr__(self, f"x_{part}", _pixels(f"x_{part}", x, top))
            object.__setattr__(self, f"y_{part}", _labels(f"y_{part}", y, len(x)))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        height, width = self.x_train.shape[1:]
        return height, width

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of the training and the test images, each once, in increasing order."""
        return tuple(np.union1d(self.y_train, self.y_test).tolist())

    def binarised(self) -> Images:
        """The same images in black and white: pixels above 0.5 become 1, all others 0."""
        x_train, x_test = ((x > 0.5).astype(np.float32) for x in (self.x_train, self.x_test))
        return dataclasses.replace(self, x_train=_frozen(x_train), x_test=_frozen(x_test))

    def without(self, label: int) -> Images:
        """The training and the test images of all other labels, with the same name.

        Raises:
            ValueError: If no image has the label (the message lists the labels), or fewer than two training images or
                no test image are left.
        """
        label = int(label) if isinstance(label, np.integer) else label
        known = isinstance(label, int) and label in self.labels
        require(known, f"unknown label {label!r}; known: {', '.join(map(str, self.labels))}")
        train, test = self.y_train != label, self.y_test != label
        require(bool(train.any()), f"images {self.name!r} have nothing to train on without label {label}")
        rows = {"x_train": train, "y_train": train, "x_test": test, "y_test": test}
        kept: dict[str, Any] = {key: _frozen(getattr(self, key)[chosen]) for key, chosen in rows.items()}
        return dataclasses.replace(self, **kept)


def _grey(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """The values as `[N, H, W]` numbers of any type."""
    images = _numbers(name, values)
    shape = f"{name} must have shape [N, height, width], got {list(images.shape)}"
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    require(images.ndim == 3 and min(images.shape[1:]) > 0, shape)
    return images


def _pixels(name: str, images: npt.NDArray[Any], top: int) -> npt.NDArray[np.float32]:
    """The images as float32 in [0, 1]; whole numbers are divided by `top`."""
    whole = images.dtype.kind in "iu"
    rule, largest = ("whole levels from 0 to 255", 255) if whole else ("values in [0, 1]", 1)
    if not (images.min() >= 0 and images.max() <= largest):  # NaN is caught too: it compares false.
        image, row, column = np.argwhere(~((images >= 0) & (images <= largest)))[0]
        raise ValueError(f"{name} must hold {rule}, got {images[image, row, column]} in image {image}")
    if whole:
        return _frozen(np.divide(images, top, dtype=np.float32))
    return _own(images.astype(np.float32, copy=False), images)


def _labels(name: str, values: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    labels = _numbers(name, values)
    rule = f"{name} must have a label for each of the {count} images"
    require(labels.shape == (count,), f"{rule}, got shape {list(labels.shape)}")
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
    """The array, made read-only, or a read-only copy where the caller could still write to it."""
    shared = array.flags.writeable and np.may_share_memory(array, given)
    return _frozen(array.copy() if shared else array)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array
