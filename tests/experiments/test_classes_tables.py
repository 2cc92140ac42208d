"""Which tables have classes: a dataset's own, and what a CSV file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from variational_bnn.base import Dataset
from variational_bnn.datasets import lecture, read_csv

NAMES = ("ash", "birch", "oak")
X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.arange(12.0) % 3


def _dataset(**fields: Any) -> Dataset:
    return Dataset(**{"name": "trees", "x": X, "y": Y, "class_names": NAMES, "target_names": ("tree",), **fields})


def test_classes_are_seen_as_columns_of_zeros_and_ones() -> None:
    dataset = _dataset(class_names=np.array([*NAMES, "yew"]))  # Of which there is none.
    assert dataset.output_names == ("tree=ash", "tree=birch", "tree=oak", "tree=yew")
    columns = dataset.outputs(dataset.y)
    np.testing.assert_array_equal(columns, np.arange(4) == dataset.y)
    assert columns[:, 3].sum() == 0
    numbers = lecture()
    assert numbers.output_names == ("y",)
    assert numbers.outputs(numbers.y) is numbers.y


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "between": ({"y": Y + 0.5}, "y must hold the numbers 0 to 2 of classes, got [0.5]"),
    "unknown": ({"class_names": NAMES[:2]}, "y must hold the numbers 0 to 1 of classes, got [2.0]"),
    "negative": ({"y": Y - 1}, "y must hold the numbers 0 to 2 of classes, got [-1.0]"),
    "one": ({"class_names": ("ash",)}, "target 'tree' must have two or more classes of different names, got ash"),
    "same": ({"class_names": ("ash", "oak", "oak")}, "two or more classes of different names, got ash, oak, oak"),
    "columns": ({"y": np.stack([Y, Y], 1), "target_names": ()}, "y must have one column, that of the class"),
    "noise": ({"noise_scale": 1.0}, "a class has no noise_scale, got 1.0"),
    "constant": ({"y": np.ones(12)}, "target 'tree' is constant over the training rows (always 1)"),
    "held out": (
        {"x_test": np.zeros((2, 2)), "y_test": [1, 3], "test_regions": ["near", "near"]},
        "y_test must hold the numbers 0 to 2 of classes, got [3.0]",
    ),
    "larger_sample": (
        {"larger_sample": Dataset(name="more", x=np.tile(X, (4, 1)), y=np.tile(Y, 4), class_names=(*NAMES, "yew"))},
        "larger_sample must have the class_names ['ash', 'birch', 'oak'], got ['ash', 'birch', 'oak', 'yew']",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_are_no_classes_is_refused(case: str) -> None:
    fields, message = REFUSED[case]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        _dataset(**fields)
    assert message in str(caught.value)


def _read(folder: Path, cells: list[str], **settings: Any) -> Dataset:
    path = folder / "table.csv"
    path.write_text("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    return read_csv(path, "y", **settings)


@pytest.mark.parametrize(
    ("cells", "classes", "names"),
    [
        (["no", "yes", "no", "No"] * 2, None, ("No", "no", "yes")),
        (["10", "9", "2", "10"] * 2, True, ("2", "9", "10")),
        (["2", "1", "0", "2"] * 2, True, ("0", "1", "2")),
        (["10", "9", "b", "10"] * 2, True, ("10", "9", "b")),
        (["True", "False"] * 2, None, ("False", "True")),
    ],
)
def test_each_cell_of_a_class_is_the_number_of_its_name(
    cells: list[str], classes: bool | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    dataset = _read(tmp_path, cells, classes=classes)
    assert dataset.class_names == names
    assert [names[int(number)] for number in dataset.y[:, 0]] == cells


def test_numbers_are_numbers_unless_they_are_said_to_be_classes(tmp_path: Path) -> None:
    for classes in (None, False):
        dataset = _read(tmp_path, ["1", "0", "1", "0"], classes=classes)
        assert dataset.class_names == ()
        np.testing.assert_array_equal(dataset.y[:, 0], [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("cells", "classes", "message"),
    [
        (["a", "b", "a", "b"], False, "column 'y' must hold finite numbers, line 2 has 'a'"),
        (["1", "1", "a", "2"], None, "column 'y' must hold finite numbers, line 4 has 'a'"),
        (["nan", "nan", "a", "a"], None, "column 'y' must hold finite numbers, line 2 has 'nan'"),
        (["a", "", "a", "b"], None, "column 'y' must hold a class, line 3 has an empty cell"),
        (["1", "2", "", "1"], True, "column 'y' must hold a class, line 4 has an empty cell"),
        (["a", "b", "c", "a", "d"], None, "target 'y' has 4 classes in 5 rows, at most half as many are wanted"),
        (["a", "a", "a", "a"], None, "target 'y' must have two or more classes of different names, got a"),
    ],
)
def test_a_column_that_is_no_class_is_refused_in_one_line(
    cells: list[str], classes: bool | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        _read(tmp_path, cells, classes=classes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
