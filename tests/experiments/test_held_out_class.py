"""A digit that was never seen: who knows that it does not know what it is?"""

from __future__ import annotations

import numpy as np
import pytest

from variational_bnn.base import BEYOND, NEAR, Training
from variational_bnn.datasets import digits, labelled, load
from variational_bnn.experiments.comparison import default_network
from variational_bnn.experiments.result import Result
from variational_bnn.experiments.tables import Cell, run_cell

HELD_OUT = 9
DATASET = labelled(digits(), HELD_OUT)


def _rows(method: str) -> dict[str, Result]:
    network = default_network(DATASET)
    cell = Cell(method=method, seed=0, dataset=DATASET, network=network, training=Training(steps=1500), num_samples=100)
    return {row.region: row for row in run_cell(cell).rows}


@pytest.mark.parametrize("method", ["reparameterization", "flipout", "local_reparameterization"])
def test_uncertain_weights_tell_more_of_a_digit_never_seen_than_of_test_digits(method: str) -> None:
    rows = _rows(method)
    assert rows[NEAR].accuracy > 0.9, "it can read the digits that it has seen"
    assert rows[BEYOND].accuracy == 0
    assert rows[BEYOND].mutual_information > 1.5 * rows[NEAR].mutual_information > 0
    assert rows[BEYOND].entropy > rows[NEAR].entropy


def test_a_variation_of_the_output_tells_nothing() -> None:
    rows = _rows("output")
    assert rows[NEAR].accuracy > 0.9
    assert rows[NEAR].mutual_information == rows[BEYOND].mutual_information == 0
    assert rows[BEYOND].entropy > rows[NEAR].entropy, "it doubts the class, and no draw disagrees with another"


def test_what_has_seen_no_data_cannot_tell_them_apart() -> None:
    """The control: under the prior, all digits are as unknown."""
    rows = _rows("prior")
    assert rows[BEYOND].mutual_information == pytest.approx(rows[NEAR].mutual_information, rel=0.1)


def test_the_table_has_every_image_where_it_belongs() -> None:
    images = digits()
    assert DATASET.x.shape[0] == len(DATASET.y) == (images.y_train != HELD_OUT).sum()
    assert set(DATASET.y[:, 0]) == set(range(9))
    assert DATASET.class_names == tuple("0123456789")
    regions, y_test = DATASET.test_regions, DATASET.y_test
    assert regions is not None
    assert y_test is not None
    assert DATASET.x_test is not None
    assert set(y_test[regions == BEYOND, 0]) == {HELD_OUT}
    np.testing.assert_array_equal(y_test[regions == NEAR, 0], images.y_test[images.y_test != HELD_OUT])
    shown = DATASET.x_test[regions == BEYOND]
    columns = [8 * int(name.split("_")[1]) + int(name.split("_")[2]) for name in DATASET.feature_names]
    np.testing.assert_array_equal(shown, images.x_test[images.y_test == HELD_OUT].reshape(len(shown), -1)[:, columns])
    left_out = np.delete(images.x_train[images.y_train != HELD_OUT].reshape(len(DATASET.x), -1), columns, axis=1)
    assert np.ptp(left_out, axis=0).max() == 0, "only constant pixels are left out"
    assert load("digits").name == DATASET.name


def test_a_label_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown label 11; known: 0, 1"):
        labelled(digits(), 11)
