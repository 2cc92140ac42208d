"""Images to classify with a label held out: every image is where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from small_images import images

from variational_bnn.base import BEYOND, NEAR
from variational_bnn.datasets import digits, labelled

HELD_OUT = 9
DATASET = labelled(digits(), HELD_OUT)


def test_the_table_has_every_image_where_it_belongs() -> None:
    made = digits()
    assert DATASET.x.shape[0] == len(DATASET.y) == (made.y_train != HELD_OUT).sum()
    assert set(DATASET.y[:, 0]) == set(range(9))
    assert DATASET.class_names == tuple("0123456789")
    regions, y_test = DATASET.test_regions, DATASET.y_test
    assert regions is not None
    assert y_test is not None
    assert DATASET.x_test is not None
    assert set(y_test[regions == BEYOND, 0]) == {HELD_OUT}
    np.testing.assert_array_equal(y_test[regions == NEAR, 0], made.y_test[made.y_test != HELD_OUT])
    shown = DATASET.x_test[regions == BEYOND]
    columns = [8 * int(name.split("_")[1]) + int(name.split("_")[2]) for name in DATASET.feature_names]
    np.testing.assert_array_equal(shown, made.x_test[made.y_test == HELD_OUT].reshape(len(shown), -1)[:, columns])
    left_out = np.delete(made.x_train[made.y_train != HELD_OUT].reshape(len(DATASET.x), -1), columns, axis=1)
    assert np.ptp(left_out, axis=0).max() == 0, "only constant pixels are left out"


def test_a_label_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="unknown label 11; known: 0, 1"):
        labelled(digits(), 11)


def test_a_label_without_test_images() -> None:
    with pytest.raises(ValueError, match=r"^images 'noise' have no test image of label 0$"):
        labelled(images(y_test=[1, 2, 1, 2]), 0)


def test_images_that_are_all_the_same() -> None:
    with pytest.raises(ValueError, match=r"^images 'noise' have no pixel that varies$"):
        labelled(images(x_train=np.ones((10, 5, 4))), 0)
