"""Small images for tests, good ones and the ways in which they can be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from variational_bnn.datasets import Images

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def arrays(**fields: Any) -> dict[str, Any]:
    """Ten training images of 5 x 4 and four test images, of three labels; the fields replace what they name."""
    rng = np.random.default_rng(0)
    good = {
        "x_train": rng.integers(0, 256, size=(10, 5, 4), dtype=np.uint8),
        "y_train": np.arange(10) % 3,
        "x_test": rng.integers(0, 256, size=(4, 5, 4), dtype=np.uint8),
        "y_test": np.arange(4) % 3,
    }
    return {**good, **fields}


def images(**fields: Any) -> Images:
    return Images(name="noise", **arrays(**fields))


def changed(value: float, dtype: str = "float64", image: int = 3) -> np.ndarray:
    """Ten images of which one has this pixel."""
    x = np.zeros((10, 5, 4), dtype)
    x[image, 2, 1] = value
    return x


SHAPE = "x_train must have shape [N, height, width], got "
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "flat": ({"x_train": np.zeros((10, 784))}, f"{SHAPE}[10, 784]"),
    "colour": ({"x_train": np.zeros((10, 5, 4, 3))}, f"{SHAPE}[10, 5, 4, 3]"),
    "number": ({"x_train": 3}, f"{SHAPE}[]"),
    "five axes": ({"x_train": np.zeros((10, 5, 4, 1, 1))}, f"{SHAPE}[10, 5, 4, 1, 1]"),
    "no pixels": ({"x_train": np.zeros((10, 0, 4))}, f"{SHAPE}[10, 0, 4]"),
    "other size": (
        {"x_test": np.zeros((4, 8, 8))},
        "x_train and x_test must have images of the same shape, got [5, 4] and [8, 8]",
    ),
    "one image": ({"x_train": np.zeros((1, 5, 4))}, "need at least 2 training images and 1 test image, got 1 and 4"),
    "no images": ({"x_train": np.zeros((0, 5, 4))}, "need at least 2 training images and 1 test image, got 0 and 4"),
    "no test": ({"x_test": np.zeros((0, 5, 4))}, "need at least 2 training images and 1 test image, got 10 and 0"),
    "levels as floats": ({"x_train": changed(255.0)}, "x_train must hold values in [0, 1], got 255.0 in image 3"),
    "below": ({"x_test": changed(-0.5)[:4]}, "x_test must hold values in [0, 1], got -0.5 in image 3"),
    "NaN": ({"x_train": changed(np.nan, image=9)}, "x_train must hold values in [0, 1], got nan in image 9"),
    "infinite": ({"x_train": changed(np.inf)}, "x_train must hold values in [0, 1], got inf in image 3"),
    "level": ({"x_train": changed(256, "int16")}, "x_train must hold whole levels from 0 to 255, got 256 in image 3"),
    "low level": ({"x_train": changed(-1, "int8")}, "x_train must hold whole levels from 0 to 255, got -1 in image 3"),
    "complex": ({"x_train": np.zeros((10, 5, 4), complex)}, "x_train must hold numbers, got complex128"),
    "text": ({"x_train": [[["a"]]]}, "x_train must hold numbers, got <U1"),
    "ragged": ({"x_train": [[1], [1, 2]]}, "x_train must hold numbers: "),
    "objects": ({"y_train": np.array([None] * 10)}, "y_train must hold numbers, got object"),
    "few labels": ({"y_train": np.zeros(9)}, "y_train must have a label for each of the 10 images, got shape [9]"),
    "one-hot": ({"y_test": np.eye(4)}, "y_test must have a label for each of the 4 images, got shape [4, 4]"),
    "halves": ({"y_test": [0, 1, 1.5, 2]}, "y_test must hold whole numbers, got 1.5 for image 2"),
    "NaN label": ({"y_test": [0, np.nan, 1, 2]}, "y_test must hold whole numbers, got nan for image 1"),
    "endless label": ({"y_test": [0, 1, 1, -np.inf]}, "y_test must hold whole numbers, got -inf for image 3"),
    "text labels": ({"y_test": list("abcd")}, "y_test must hold numbers, got <U1"),
}
"""Fields that `Images` cannot have, and its message."""
