"""Tables from CSV files: read to the last bit, as people write them, and what is wrong said with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from variational_bnn.base import Dataset
from variational_bnn.datasets import read_csv


def _written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


def test_csv_gives_back_what_pandas_wrote(tmp_path: Path) -> None:
    """A written table is read back to the last bit, with the target taken out of the middle."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(11, 3)) * [1e-9, 1, 1e9], columns=["a", "y", "b c"])
    table.to_csv(tmp_path / "some.csv", index=False)
    dataset = read_csv(tmp_path / "some.csv", target="y")
    np.testing.assert_array_equal(dataset.x, table[["a", "b c"]].to_numpy())
    np.testing.assert_array_equal(dataset.y, table[["y"]].to_numpy())
    assert (dataset.name, dataset.feature_names, dataset.target_names) == ("some", ("a", "b c"), ("y",))
    assert dataset.x_test is None
    assert read_csv(tmp_path / "some.csv", target="y", name="other").name == "other"


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,2\n3,4\n",
        "\ufeffx,y\r\n1,2\r\n3,4\r\n",
        'x, y\n "1", 2 \n3,4e0',
        "x,y\n\n1,2\n\n\n3,4\n\n",
    ],
    ids=["plain", "windows", "spaces", "blank lines"],
)
def test_csv_is_read_as_people_write_it(tmp_path: Path, text: str) -> None:
    """Byte order mark, line ends, spaces, quotes and blank lines do not change the table."""
    dataset = read_csv(_written(tmp_path, text), target="y")
    np.testing.assert_array_equal(dataset.x, [[1], [3]])
    np.testing.assert_array_equal(dataset.y, [[2], [4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (" , \n", "has no column names"),
        ("x,y\n", "has no rows below"),
        ("x,z\n1,2\n3,4\n", "no column 'y'; columns: x, z"),
        ("y\n1\n2\n", "no feature columns beside the target 'y'"),
        ("x,x,y\n1,2,3\n4,5,6\n", "more than one column named 'x'"),
        (",x,y\n0,1,2\n1,2,3\n", "column 1 of 3 has no name"),
        ("x,y\n1,2\n\n3,red\nblue,4\n", "column 'y' must hold finite numbers, line 4 has 'red'"),
        ("x,y\n1,2\n,4\n", "column 'x' must hold finite numbers, line 3 has an empty cell"),
        ("x,y\n1,2\n3\n", "column 'y' must hold finite numbers, line 3 has an empty cell"),
        ("x,y\n1,NA\n3,4\n", "column 'y' must hold finite numbers, line 2 has 'NA'"),
        ("x,y\n1,2\n3,nan\n", "line 3 has 'nan'"),
        ("x,y\n-inf,2\n3,4\n", "line 2 has '-inf'"),
        ("x,y\n1,2\n3,1e999\n", "line 3 has '1e999'"),
        ("x,y\n1,True\n3,0\n", "line 2 has 'True'"),
        ("x,y\n1_000,1\n3,0\n", "line 2 has '1_000'"),
        ("x,y\n1,2\n3,4,5\n", "cannot parse .*: Expected 2 fields in line 3, saw 3$"),
        ('x,y\n1,"2\n3,4\n', "cannot parse .*: EOF inside string"),
        ("x,y\n1,2\n", "at least 2 training rows, got 1"),
        ("x,y\n1,2\n1,3\n", "feature 'x' is constant"),
        ("x,y\n1,2\n2,2\n", "target 'y' is constant"),
    ],
)
def test_csv_says_what_is_wrong_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_csv(_written(tmp_path, text), target="y")
    assert "\n" not in str(caught.value)


def test_csv_that_is_not_text(tmp_path: Path) -> None:
    """The message names a missing file, a folder and a binary file."""
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"image\.csv is not UTF-8 text"):
        read_csv(tmp_path / "image.csv", target="y")
    with pytest.raises(ValueError, match=r"cannot read .*none\.csv: No such file"):
        read_csv(tmp_path / "none.csv", target="y")
    with pytest.raises(ValueError, match="cannot read "):
        read_csv(tmp_path, target="y")


def test_every_number_is_the_nearest_float(tmp_path: Path) -> None:
    """As Python reads it, where pandas' own parser is wrong in the last bit."""
    texts = [repr(value) for value in (np.random.default_rng(1).normal(size=500) * 1e-7).tolist()]
    texts += ["0.1234567890123456789", "1.7976931348623157e99", "2.2250738585072011e-308", "+.5", "5.E-1"]
    path = _written(tmp_path, "x,y\n" + "".join(f"{text},{i}\n" for i, text in enumerate(texts)))
    assert read_csv(path, target="y").x[:, 0].tolist() == [float(text) for text in texts]


def _column(folder: Path, cells: list[str], classes: bool | None) -> Dataset:
    rows = "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    return read_csv(_written(folder, f"x,y\n{rows}"), target="y", classes=classes)


@pytest.mark.parametrize(
    ("cells", "classes", "names"),
    [
        (["no", "yes", "no", "No"] * 2, None, ("No", "no", "yes")),
        (["10", "9", "2", "10"] * 2, True, ("2", "9", "10")),
        (["10", "9", "b", "10"] * 2, True, ("10", "9", "b")),
        (["True", "False"] * 2, None, ("False", "True")),
        (["1_0", "1_1"] * 2, None, ("1_0", "1_1")),
    ],
)
def test_classes_are_sorted_and_numbered(
    cells: list[str], classes: bool | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    dataset = _column(tmp_path, cells, classes)
    assert dataset.class_names == names
    assert [names[int(number)] for number in dataset.y[:, 0]] == cells


@pytest.mark.parametrize("classes", [None, False])
def test_numbers_are_not_classes_by_themselves(classes: bool | None, tmp_path: Path) -> None:
    dataset = _column(tmp_path, ["1", "0", "1", "0"], classes)
    assert dataset.class_names == ()
    assert dataset.y[:, 0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("cells", "classes", "message"),
    [
        (["a", "b", "a", "b"], False, "column 'y' must hold finite numbers, line 2 has 'a'$"),
        (["1", "1", "a", "2"], None, "column 'y' must hold finite numbers, line 4 has 'a'$"),
        (["nan", "nan", "a", "a"], None, "column 'y' must hold finite numbers, line 2 has 'nan'$"),
        (["a", "", "a", "b"], None, "column 'y' must hold a class, line 3 has an empty cell$"),
        (
            ["a", "b", "c", "a", "d"],
            None,
            "'y' must have at most half as many classes as rows, got 4 classes in 5 rows$",
        ),
        (["a", "a", "a", "a"], None, "target 'y' must have two or more classes of different names, got a$"),
    ],
)
def test_what_is_not_a_class(cells: list[str], classes: bool | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        _column(tmp_path, cells, classes)
