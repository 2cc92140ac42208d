"""A dataset: its names and shapes, arrays of its own, held-out rows, and the larger sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from variational_bnn.base import Dataset

X = np.arange(6.0).reshape(3, 2)
Y = np.array([1.0, 2.0, 4.0])
HELD_OUT: dict[str, Any] = {"x_test": X[:1], "y_test": Y[:1], "test_regions": ["near"]}


def _dataset(**fields: Any) -> Dataset:
    return Dataset(**{"name": "d", "x": X, "y": Y, **fields})


def test_vectors_are_columns_and_columns_have_names() -> None:
    dataset = _dataset(x=[0, 1, 3])
    assert (dataset.x.shape, dataset.y.shape) == ((3, 1), (3, 1))
    assert dataset.x.dtype == dataset.y.dtype == np.float64
    assert (dataset.feature_names, dataset.target_names) == (("x",), ("y",))
    assert _dataset(y=X).target_names == ("y0", "y1")
    assert _dataset(feature_names=["a", "b"]).feature_names == ("a", "b")


def test_arrays_are_read_only_and_their_own() -> None:
    given = {"x": X.copy(), "y": Y.copy(), "x_test": X.copy(), "y_test": Y.copy()}
    dataset = _dataset(**given, test_regions=["near", "between", "beyond"])
    for name, array in given.items():
        before = getattr(dataset, name).copy()
        array[:] = 7
        np.testing.assert_array_equal(getattr(dataset, name), before)
        with pytest.raises(ValueError, match="read-only"):
            getattr(dataset, name)[0] = 1


def test_a_larger_sample_has_four_times_as_many_rows_of_the_same_columns() -> None:
    more = _dataset(x=np.tile(X, (4, 1)), y=np.tile(Y, 4))
    assert _dataset(larger_sample=more).larger_sample is more
    narrow = dataclasses.replace(more, x=more.x[:, :1], feature_names=())
    for wrong in (_dataset(), narrow, "x"):
        with pytest.raises(ValueError, match=r"^larger_sample must (have x and y of shapes|be a Dataset or None)"):
            _dataset(larger_sample=wrong)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"feature_names": ("a",)}, "^feature_names must have 2 names, got 1$"),
        ({"target_names": ("a", "b")}, "^target_names must have 1 names, got 2$"),
        ({"x": X[:, :, None]}, r"^x must have shape \[N, columns\], got \[3, 2, 1\]$"),
        ({"x": X[:2]}, r"^x and y must have as many rows, got \[2, 2\] and \[3, 1\]$"),
        ({"x": X * np.nan, "feature_names": ("a",)}, "^x must be finite, got nan in row 0, column 'a'$"),
        ({**HELD_OUT, "x_test": [[1, 2, np.inf]]}, "^x_test must be finite, got inf in row 0, column 2$"),
        ({"noise_scale": 0.0}, r"^noise_scale must be None or > 0, got 0\.0$"),
        ({**HELD_OUT, "y_test": None}, "must be given together, got x_test, test_regions alone$"),
        ({**HELD_OUT, "x_test": None}, "must be given together, got y_test, test_regions alone$"),
        ({**HELD_OUT, "x_test": X[:1, :1]}, "^x_test must have as many columns as x, 2, got 1$"),
        ({**HELD_OUT, "y_test": X[:1]}, "^y_test must have as many columns as y, 1, got 2$"),
        ({**HELD_OUT, "x_test": X}, r"^x_test, y_test and test_regions must have as many rows, got \[1, 3\]$"),
        ({**HELD_OUT, "test_regions": ["far"]}, "^unknown region 'far'; known: near, between, beyond$"),
    ],
)
def test_what_does_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _dataset(**fields)


NAMES = ("ash", "birch", "oak")
CLASSES = np.array([0, 2, 0])


def test_classes_are_columns_of_the_output() -> None:
    """Each class is one, also without training rows."""
    dataset = _dataset(y=CLASSES, class_names=NAMES, target_names=("tree",))
    assert dataset.output_names == ("tree=ash", "tree=birch", "tree=oak")
    np.testing.assert_array_equal(dataset.outputs(dataset.y), [[1, 0, 0], [0, 0, 1], [1, 0, 0]])
    assert _dataset().output_names == ("y",)
    np.testing.assert_array_equal(_dataset().outputs(Y[:, None]), Y[:, None])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"y": CLASSES + 0.5}, r"^y must hold the numbers 0 to 2 of classes, got \[0\.5\]$"),
        ({"class_names": NAMES[:2]}, r"^y must hold the numbers 0 to 1 of classes, got \[2\.0\]$"),
        ({"y": CLASSES - 1}, r"^y must hold the numbers 0 to 2 of classes, got \[-1\.0\]$"),
        ({"class_names": ("ash",)}, "^target 'y' must have two or more classes of different names, got ash$"),
        ({"class_names": ("ash", "oak", "oak")}, "two or more classes of different names, got ash, oak, oak$"),
        ({"y": np.stack([CLASSES, CLASSES], 1)}, "^y must have one column, that of the class, got 2$"),
        ({"noise_scale": 1.0}, r"^a class has no noise_scale, got 1\.0$"),
        ({**HELD_OUT, "y_test": [3]}, r"^y_test must hold the numbers 0 to 2 of classes, got \[3\.0\]$"),
    ],
)
def test_what_are_not_classes(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _dataset(**{"y": CLASSES, "class_names": NAMES, **fields})


def test_a_larger_sample_has_the_same_classes() -> None:
    more = {"x": np.tile(X, (4, 1)), "y": np.tile(CLASSES, 4)}
    assert _dataset(y=CLASSES, class_names=NAMES, larger_sample=_dataset(**more, class_names=NAMES))
    message = r"^larger_sample must have the class_names \['ash', 'birch', 'oak'\], got \[.*'yew'\]$"
    with pytest.raises(ValueError, match=message):
        _dataset(y=CLASSES, class_names=NAMES, larger_sample=_dataset(**more, class_names=(*NAMES, "yew")))
