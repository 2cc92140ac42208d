"""Tables from files: read to the last bit, as people write them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from variational_bnn.base import Dataset, DatasetWarning
from variational_bnn.datasets import load, read_csv

pytestmark = pytest.mark.filterwarnings("ignore:the table has . rows:variational_bnn.base.DatasetWarning")


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


WANTED = np.array([[1.5, 1234.0, 1.0], [-0.25, 2000.0, 2.0], [1e6, 12.0, 4.0], [3.0, 1234567.0, 8.0]])
GERMAN = "a;b;y\n1,5;1.234;1\n-0,25;2.000;2\n1.000.000,0;12;4\n3;1.234.567;8\n"
ENGLISH = 'a{0}b{0}y\n1.5{0}"1,234"{0}1\n-.25{0}"2,000"{0}2\n"1,000,000.0"{0}12{0}4\n3{0}"1,234,567"{0}8\n'
FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "semicolons and decimal commas": (GERMAN, "utf-8", {}),
    "the same, named": (GERMAN, "utf-8", {"sep": "semicolon", "decimal": "comma"}),
    "the same, from a spreadsheet": (GERMAN.replace("\n", "\r\n"), "utf-8-sig", {}),
    "tabs in UTF-16": (GERMAN.replace(";", "\t"), "utf-16", {"sep": "\\t"}),
    "UTF-16 with the other end first": ("\ufeff" + GERMAN, "utf-16-be", {}),
    "thousands in English": (ENGLISH.format(","), "utf-8", {}),
    "thousands between tabs": (ENGLISH.format("\t"), "utf-8", {}),
    "pipes": (ENGLISH.format("|"), "utf-8", {"decimal": "."}),
    "thousands by spaces": (GERMAN.replace(".", "\u202f"), "utf-8", {}),
    "thousands by apostrophes": (GERMAN.replace(".", "'").replace(",", "."), "utf-8", {"sep": ";"}),
    "aligned by spaces": ("a b y\n1.5   1234 1\n-.25  2000 2\n1e6\t12  4\n3 1234567 8\n", "utf-8", {}),
    "separators at the ends": (GERMAN.replace("\n", ";\n"), "utf-8", {}),
}


@pytest.mark.parametrize("case", FORMATS)
def test_separators_decimal_marks_and_encodings(case: str, tmp_path: Path) -> None:
    text, encoding, settings = FORMATS[case]
    path = tmp_path / "table.tsv"
    path.write_bytes(text.encode(encoding))
    dataset = read_csv(path, "y", **settings)
    np.testing.assert_array_equal(np.hstack([dataset.x, dataset.y]), WANTED)


def test_commas_are_decimal_where_that_is_said(tmp_path: Path) -> None:
    path = _written(tmp_path, "a;y\n1,234;1\n2,500;2\n")
    assert read_csv(path, "y", decimal=",").x.ravel().tolist() == [1.234, 2.5]
    assert read_csv(path, "y", decimal=".").x.ravel().tolist() == [1234, 2500]
    path = _written(tmp_path, 'a,y\n"1,5",1\n"2,5",2\n')
    assert read_csv(path, "y").x.ravel().tolist() == [1.5, 2.5]


def test_a_separator_leaves_numbers_between_it(tmp_path: Path) -> None:
    """By commas, too, all lines would have two cells."""
    dataset = read_csv(_written(tmp_path, "length,width;y\n1,5;2\n2,5;3\n"), "y")
    assert (dataset.feature_names, dataset.x.ravel().tolist()) == (("length,width",), [1.5, 2.5])


def test_names_are_found_in_either_form_of_unicode(tmp_path: Path) -> None:
    path = _written(tmp_path, "gr\u00f6\u00dfe,e\u0301te\u0301\n1,2\n3,4\n")
    for target in ("\u00e9t\u00e9", "e\u0301te\u0301"):
        dataset = read_csv(path, target)
        assert (dataset.target_names, dataset.feature_names) == (("\u00e9t\u00e9",), ("gr\u00f6\u00dfe",))


MIXED = "day;town;open;y\n" + "".join(
    f"{day:02}.03.2024;{('Bonn', 'Ulm', 'Trier')[day % 3]};{('true', 'FALSE')[day % 2]};{day},5\n"
    for day in range(1, 13)
)


def test_words_dates_and_truth_values_become_features_when_asked(tmp_path: Path) -> None:
    dataset = read_csv(_written(tmp_path, MIXED), "y", encode=True)
    assert dataset.feature_names == ("day", "town=Bonn", "town=Trier", "town=Ulm", "open")
    first = (np.datetime64("2024-03-01") - np.datetime64("1970-01-01")).astype(int)
    days = np.arange(1, 13)
    np.testing.assert_array_equal(dataset.x[:, 0], first + days - 1)
    np.testing.assert_array_equal(dataset.x[:, 1:4], np.eye(3)[np.array([0, 2, 1])[days % 3]])
    np.testing.assert_array_equal(dataset.x[:, 4], 1 - days % 2)


@pytest.mark.parametrize(
    ("form", "day"),
    [
        ("2024-02-{:02}", 0),
        ("2024/02/{:02}", 0),
        ("{:02}/02/2024", 0),
        ("02/{:02}/2024", 0),
        ("2024-02-{:02} 12:00", 0.5),
    ],
)
def test_dates_are_read_in_the_ways_in_which_they_are_written(form: str, day: float, tmp_path: Path) -> None:
    rows = "".join(f"{form.format(number)},{number % 5}\n" for number in range(9, 20))
    dataset = read_csv(_written(tmp_path, f"date,y\n{rows}"), "y", encode=True)
    first = (np.datetime64("2024-02-09") - np.datetime64("1970-01-01")).astype(int)
    np.testing.assert_array_equal(dataset.x[:, 0], first + np.arange(11) + day)


@pytest.mark.parametrize("mark", ["", "NA", "n/a", "nan", "NULL", "?", "-", " "])
def test_what_stands_for_no_value(mark: str, tmp_path: Path) -> None:
    rows = "".join(f"{2 * row},{row**2},{row % 5}\n" for row in range(11))
    path = _written(tmp_path, f"a,b,y\n{rows}{mark},7,1\n3,3,{mark}\n")
    with pytest.warns(DatasetWarning, match="^1 of 13 rows are left out, since a value is missing$"):
        dataset = read_csv(path, "y", missing="mean")
    assert dataset.x[-1].tolist() == [10, 7]
    with pytest.warns(DatasetWarning, match="^2 of 13 rows are left out, since a value is missing$"):
        assert len(read_csv(path, "y", missing="drop").x) == 11


ROWS = [(row, row**2 % 7, row % 2) for row in range(12)]


@pytest.mark.parametrize(
    ("names", "rows", "remarks"),
    [
        (",a,y", ROWS, ["no name and only counts the rows", "'y' holds 0 and 1, and is read as a number"]),
        ("id,a,y", ROWS, ["'id' only counts the rows, and is a feature: remove it", "'y' holds 0 and 1"]),
        ("id,a,y", [(row + 1, a, row % 5) for row, a, _ in ROWS], ["'id' only counts the rows"]),
        (
            "a,y",
            [(a, row % 5) for row, a, _ in ROWS[:3]],
            ["3 rows, from which hardly anything can be learned: add rows"],
        ),
        ("a,y", [(row, row % 5) for row, *_ in ROWS], []),
    ],
)
def test_what_is_remarked_upon(names: str, rows: list[Any], remarks: list[str], tmp_path: Path) -> None:
    path = _written(tmp_path, f"{names}\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_csv(path, "y")
    assert len(caught) == len(remarks)
    for warning, remark in zip(caught, remarks, strict=True):
        assert warning.category is DatasetWarning
        assert remark in str(warning.message)


def test_a_late_word_in_a_long_column(tmp_path: Path) -> None:
    """Pandas parses a long file in parts, and the types of the parts may differ."""
    cells = [str(row % 3) for row in range(300_000)]
    path = _written(tmp_path, "a,y\n" + "".join(f"{cell},{row % 7}\n" for row, cell in enumerate([*cells, "1 234"])))
    assert read_csv(path, "y").x[[0, 1, -1], 0].tolist() == [0, 1, 1234]


def test_a_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": np.arange(12.0) ** 2, "b": ["x", "y", "x"] * 4, "y": range(12)})
    frame.to_parquet(tmp_path / "table.parquet")
    dataset = load(str(tmp_path / "table.parquet"), "y", encode=True)
    assert (dataset.name, dataset.feature_names) == ("table", ("a", "b=y"))
    np.testing.assert_array_equal(dataset.x[:, 0], frame["a"])


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
    dataset = _column(tmp_path, ["1", "0", "2", "0"], classes)
    assert dataset.class_names == ()
    assert dataset.y[:, 0].tolist() == [1, 0, 2, 0]
