"""Grey images: in [0, 1] from any type, read-only and their own, and what is wrong said in one line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from small_images import ARRAYS, BAD, arrays, changed, images

from variational_bnn.datasets import Images


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
def test_whole_numbers_are_levels(dtype: str) -> None:
    """0 to 255 become 0 to 1, also where one of the two arrays reaches no further than 1."""
    made = images(x_train=changed(255, dtype), x_test=np.ones((4, 5, 4), dtype))
    assert made.x_train.dtype == made.x_test.dtype == np.float32
    assert made.x_train.max() == 1
    assert made.x_train.sum() == 1
    np.testing.assert_array_equal(made.x_test, np.full((4, 5, 4), np.float32(1) / np.float32(255)))
    made = images(x_train=np.ones((10, 5, 4), dtype), x_test=changed(255, dtype)[:4])
    np.testing.assert_array_equal(made.x_train, np.full((10, 5, 4), np.float32(1) / np.float32(255)))
    assert made.x_test.max() == 1
    levels = np.arange(256).astype("int64").reshape(16, 4, 4)
    made = Images(name="all", x_train=levels, y_train=np.zeros(16), x_test=levels[:1], y_test=[0])
    np.testing.assert_array_equal(made.x_train, (levels / 255).astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", "float32", "float64"])
def test_what_is_in_0_to_1_is_taken_as_it_is(dtype: str) -> None:
    """Whole numbers too, where none is above 1."""
    x = (np.arange(200).reshape(10, 5, 4) % 2).astype(dtype)
    made = images(x_train=x, x_test=x[:4])
    assert made.x_train.dtype == np.float32
    np.testing.assert_array_equal(made.x_train, x.astype(np.float32))


def test_a_last_axis_of_size_1_is_dropped() -> None:
    made = images(x_train=arrays()["x_train"][..., None])
    np.testing.assert_array_equal(made.x_train, images().x_train)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", "float32", "float64"])
def test_labels_of_any_type_that_are_whole(dtype: str) -> None:
    made = images(y_train=arrays()["y_train"].astype(dtype))
    assert made.y_train.dtype == np.int64
    np.testing.assert_array_equal(made.y_train, arrays()["y_train"])


def test_labels_are_those_of_training_and_test() -> None:
    assert images(y_test=[7, -1, 7, 0]).labels == (-1, 0, 1, 2, 7)


def test_arrays_are_read_only_and_their_own() -> None:
    """What is changed afterwards in the caller's arrays, which stay writable, is not changed in the images."""
    given = arrays(x_train=np.zeros((10, 5, 4), np.float32), x_test=np.zeros((4, 5, 4, 1), np.float32))
    made = images(**given)
    for each in (made, made.binarised(), made.without(0)):
        for name in ARRAYS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(each, name)[0] = 1
    for name in ARRAYS:
        before = getattr(made, name).copy()
        given[name][:] = 1
        np.testing.assert_array_equal(getattr(made, name), before)


def test_what_nobody_can_write_to_is_not_copied() -> None:
    made = images()
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
    whole = images(x_train=x, x_test=x[:4])
    made = whole.without(0)
    assert made.labels == (1, 2)
    assert made.y_train.tolist() == [1, 2, 1, 2, 1, 2]
    np.testing.assert_array_equal(made.x_train, whole.x_train[whole.y_train != 0])
    np.testing.assert_array_equal(made.x_test, whole.x_test[whole.y_test != 0])
    assert made.x_train.max() == np.float32(1) / np.float32(255)
    assert whole.without(np.int64(0)).labels == (1, 2)  # type: ignore[arg-type]
    assert images(y_test=[7, 0, 0, 0]).without(7).y_train.tolist() == arrays()["y_train"].tolist()


@pytest.mark.parametrize("label", [11, np.int64(11), -1, 0.5, "0", None, [0]])
def test_without_an_unknown_label(label: Any) -> None:
    shown = re.escape(repr(11 if label == 11 else label))
    with pytest.raises(ValueError, match=rf"^unknown label {shown}; known: 0, 1, 2$"):
        images().without(label)


def test_without_must_leave_images() -> None:
    with pytest.raises(ValueError, match=r"^images 'noise' have nothing to train on without label 4$"):
        images(y_train=np.full(10, 4)).without(4)
    with pytest.raises(ValueError, match=r"^images 'noise' need at least 2 training .* 1 test image, got 10 and 0$"):
        images(y_test=np.full(4, 4)).without(4)


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays(case: str) -> None:
    fields, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        images(**fields)
    assert "\n" not in str(caught.value)
