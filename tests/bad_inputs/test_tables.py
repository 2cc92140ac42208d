"""Tables that cannot be read or learned from: each is named in one line, by the API and by the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_input import assert_error

from variational_bnn.base import Dataset
from variational_bnn.datasets import load
from variational_bnn.evaluation.split import split

GOOD = "a,b,y\n1,2,3\n2,3,5\n3,5,8\n4,4,9\n"
ENCODE, DROP, MEAN = {"encode": True}, {"missing": "drop"}, {"missing": "mean"}


def _rows(*cells: str, times: int = 4) -> str:
    """A table of these cells, over and over, and a target of its own in each row."""
    return "a,y\n" + "".join(f"{cell},{row / 7}\n" for row, cell in enumerate(cells * times))


FILES: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    # Not a table.
    "empty": ("", {}, "is empty, or its first line is"),
    "blank lines": ("\n\n", {}, "is empty, or its first line is"),
    "no names": (" , \n1,2\n", {}, "has no column names in its first line"),
    "no rows": ("a,y\n", {}, "has no rows below its column names"),
    "binary": (
        bytes(range(256)),
        {},
        "is not UTF-8 text: save the table as a CSV file in UTF-8, or convert it, as with",
    ),
    "Latin-1": ("größe,y\n1,2\n".encode("latin-1"), {}, "as with `iconv -f WINDOWS-1252 -t UTF-8`"),
    "UTF-16 without a mark": ("a,y\n1,2\n".encode("utf-16-le"), {}, "is not text, or UTF-16 without a byte-order mark"),
    "half of UTF-16": ("a,y\n1,2\n".encode("utf-16")[:-1], {}, "is not UTF-8 text"),
    "workbook": (b"PK\x03\x04rest", {}, "is a workbook or an archive, not text: save the table as a CSV file"),
    "damaged Parquet": (b"PAR1rest", {}, "arquet"),
    "a quote that does not end": ('a,y\n1,"2\n3,4\n', {}, "EOF inside string starting at row 1: mend that line"),
    "a cell too many": ("a,y\n1,2\n3,4,5\n", {}, "Expected 2 fields in line 3, saw 3: mend that line, or name the sep"),
    "a column without a name": (
        "a,y\n1,2,3\n4,5,7\n",
        {},
        "more cells in line 2 than names in line 1: remove lines above",
    ),
    "other separator": ("a/y\n1/2\n3/4\n", {}, "has one column: say what is between its cells by sep= (--sep)"),
    "separator named wrongly": (GOOD, {"sep": ";"}, "has one column: say what is between its cells"),
    "unknown separator": (GOOD, {"sep": "dot"}, "unknown sep 'dot'; known: comma, semicolon, tab, pipe, space"),
    "unknown decimal mark": (GOOD, {"decimal": "dot"}, "unknown decimal 'dot'; known: point, comma"),
    # Names.
    "no such column": (GOOD, {"target": "z"}, "has no column 'z'; columns: a, b, y"),
    "no target named": (GOOD, {"target": None}, "needs a target; columns: a, b, y: name one by target= (--target)"),
    "target alone": ("y\n1\n2\n", {}, "has no feature columns beside the target 'y'"),
    "a name twice": ("x,x,y\n1,2,3\n4,5,6\n", {}, "more than one column is named 'x': rename all but one"),
    "a name twice in two forms": ("\u00e9,e\u0301,y\n1,2,3\n4,5,6\n", {}, "more than one column is named '\u00e9'"),
    "no name": ("x,,y\n1,2,3\n4,5,6\n", {}, "column 2 of 3 has no name: give it one, or remove it"),
    "no name of what is no index": (",x,y\n1,2,3\n1,5,6\n", {}, "column 1 of 3 has no name: give it one"),
    # Numbers.
    "a word among numbers": ("a,y\n1,2\nx,3\n2,4\n", {}, "column 'a' must hold finite numbers, line 3 has 'x': mend"),
    "a word below": (_rows("1", times=1500) + "x,3\n", {}, "column 'a' must hold finite numbers, line 1502 has 'x'"),
    "a word among numbers, encoded": (
        "a,y\n1,2\nx,3\n2,4\n",
        ENCODE,
        "line 3 has 'x': mend that cell, or leave it empty",
    ),
    "a word among targets": ("a,y\n1,2\n2,high\n", {}, "column 'y' must hold finite numbers, line 3 has 'high': mend"),
    "infinite": ("a,y\n1,-inf\n2,3\n3,4\n", {}, "column 'y' must hold finite numbers, line 2 has '-inf'"),
    "infinite feature": ("a,y\n1,2\n2,3\ninf,4\n", ENCODE, "column 'a' must hold finite numbers, line 4 has 'inf'"),
    "beyond double": ("a,y\n1,2\n3,1e999\n4,3\n", {}, "line 3 has '1e999'"),
    "too large": (
        "a,y\n1,2\n1e300,3\n",
        {},
        "feature 'a' is too large to be standardised: 1e+300; choose another unit",
    ),
    "Python's underscore": ("a,y\n1_000,1\n3,0\n4,2\n", {}, "line 2 has '1_000'"),
    "a thousand or one": (
        "a;y\n1,234;1\n2,500;2\n",
        {},
        "column 'a' has 1,234, which is 1234 or 1.234: say which by dec",
    ),
    "both marks": ("a;y\n1,5;2.5\n2,5;3\n", {}, "has numbers such as 2.5 and 1,5: say which mark is the decimal one"),
    "the other mark": (
        "a;y\n1,5;2.5\n2,5;3.5\n",
        {"decimal": ","},
        "column 'y' has numbers such as 2.5: decimal='.' (--dec",
    ),
    "groups of two": ('a,y\n"1,23,4",1\n"1,22,3",2\n', {}, "line 2 has '1,23,4'"),
    # What is not a number.
    "words": (
        _rows("red", "blue"),
        {},
        "line 2 has 'red': write numbers without units, or make features of words by enc",
    ),
    "truth values": (
        _rows("true", "False"),
        {},
        "column 'a' holds true and false: encode=True (--encode) makes 1 and 0",
    ),
    "dates": (
        _rows("2024-01-31", "2024-02-01"),
        {},
        "column 'a' holds dates: encode=True (--encode) makes numbers of days",
    ),
    "dates in two ways": (
        _rows("1/2/2024", "3/4/2024"),
        ENCODE,
        "column 'a' has dates such as 1/2/2024, of two possible",
    ),
    "dates as targets": (
        "a,y\n1,2024-01-31\n2,2024-02-01\n",
        ENCODE,
        "target 'y' must hold numbers, got dates: make numbers",
    ),
    "names of rows": (
        _rows(*map("n{}".format, range(9)), times=1),
        ENCODE,
        "column 'a' has 9 different words, at most 50",
    ),
    "too many words": (
        _rows(*map("n{}".format, range(51))),
        ENCODE,
        "column 'a' has 51 different words, at most 50, and",
    ),
    "one word": (_rows("red"), ENCODE, "feature 'a=red' is constant over the training rows (always 1): leave it out"),
    # No value.
    "empty cell": (
        "a,b,y\n1,2,3\n2,,4\n",
        {},
        "column 'b' has no value in line 3: fill it in, or name a rule by missing=",
    ),
    "empty cell below a blank line": ("a,y\n1,2\n\n,3\n", {}, "column 'a' has no value in line 4"),
    "short line": ("a,y\n1,2\n3\n", {}, "column 'y' has no value in line 3"),
    "NA": ("a,y\n1,NA\n3,4\n", {}, "column 'y' has no value in line 2"),
    "NaN": ("a,y\n1,2\n\nnan,3\n", {}, "column 'a' has no value in line 4"),
    "question mark": ("a,y\n1,2\n?,3\n", {}, "column 'a' has no value in line 3"),
    "no word": (_rows("red", "blue", ""), ENCODE, "column 'a' has no value in line 4"),
    "empty column": ("a,b,y\n1,,3\n2,,4\n", MEAN, "column 'b' has no value in any row: remove it"),
    "unknown rule": (
        GOOD,
        {"missing": "zero"},
        "unknown rule for missing values 'zero'; known: drop, mean, median, most_f",
    ),
    "nothing left": ("a,b,y\n1,,3\n,2,4\n", DROP, "no row has a value in every column that must have one: name a rule"),
    "no target": ("a,y\n1,\n2,\n", MEAN, "no row has a value in every column that must have one: the target has none"),
    # Nothing to learn.
    "constant feature": (
        "a,b,y\n1,7,3\n2,7,4\n",
        {},
        "feature 'b' is constant over the training rows (always 7): leave",
    ),
    "constant target": (
        "a,y\n1,7\n2,7\n",
        {},
        "target 'y' is constant over the training rows (always 7): choose another",
    ),
    "one row": ("a,y\n1,2\n", {}, "needs at least 2 training rows, got 1"),
    "one class": ("a,y\n1,b\n2,b\n", {}, "target 'y' must have two or more classes of different names, got b"),
    "too many classes": ("a,y\n1,b\n2,c\n3,d\n", {}, "at most half as many classes as rows, got 3 classes in 3 rows"),
    # The split.
    "gap": (_rows("1", "2", "3"), {"gap": "z"}, "unknown feature 'z'; known: a"),
    "tail in words": (_rows("red", "blue", "red"), {"tail": "a", **ENCODE}, "unknown feature of numbers 'a'; known:"),
    "only the tail differs": (
        "a,y\n" + "0,1\n" * 19 + "1,2\n",
        {"tail": "a"},
        "feature 'a' is constant over the training",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file(case: str, tmp_path: Path) -> None:
    content, settings, message = FILES[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rules = {"target": "y", **settings}
    held_out = {name: rules.pop(name, None) for name in ("gap", "tail")}
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        split(load(str(path), **rules), **held_out, seed=0)
    assert "\n" not in str(caught.value)
    given = {name: value for name, value in {**rules, **held_out}.items() if value is not None}
    options = [text for name, value in given.items() for text in (f"--{name}", *(() if value is True else (value,)))]
    assert_error(message, "compare", "--data", path, *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "y"}, "dataset 'lecture' has its own target, got 'y'"),
        ({"classes": True}, "dataset 'lecture' knows by itself whether its target is a class"),
        ({"encode": True, "missing": "drop"}, "dataset 'lecture' is ready as it is: leave out encode, missing"),
    ],
)
def test_a_named_dataset_takes_no_rules_of_files(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load("lecture", **settings)
    options = [text for name, value in settings.items() for text in (f"--{name}", *(() if value is True else (value,)))]
    assert_error(message, "compare", *options, "--out", tmp_path / "out")


@pytest.mark.parametrize(("place", "message"), [("none.csv", "unknown dataset '"), ("", "cannot read ")])
def test_a_file_that_is_not_there(place: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / place
    with pytest.raises(ValueError, match=message):
        load(str(path), "y")
    assert_error(message, "compare", "--data", path, "--target", "y", "--out", tmp_path / "out")


NUMBERS = list(range(12))
FRAMES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "not a frame": ([[1, 2], [3, 4]], {}, "frame must be a pandas DataFrame, got list"),
    "no such column": ({"a": NUMBERS, "z": NUMBERS}, {}, "the table has no column 'y'; columns: a, z"),
    "complex numbers": ({"a": [1j] * 12, "y": NUMBERS}, {}, "column 'a' must hold real numbers, got complex ones"),
    "numbers as text": (
        {"a": ["1", "2", "3"] * 4, "y": NUMBERS},
        {},
        "column 'a' holds numbers as text: convert it with",
    ),
    "infinite": ({"a": [*range(11), np.inf], "y": NUMBERS}, {}, "column 'a' must hold finite numbers, row 11 has inf"),
    "missing": (
        {"a": pd.array([1, None] * 6, "Int64"), "y": NUMBERS},
        {},
        "column 'a' has no value in row 1: fill it in",
    ),
    "categories": ({"a": pd.Categorical([1, 2] * 6), "y": NUMBERS}, {}, "row 0 has '1': write numbers"),
    "dates": ({"a": pd.date_range("2024", periods=12), "y": NUMBERS}, {}, "column 'a' holds dates: encode=True"),
    "truth values": ({"a": [True, False] * 6, "y": NUMBERS}, {}, "column 'a' holds true and false: encode=True"),
    "words, not classes": (
        {"a": NUMBERS, "y": ["b", "c"] * 6},
        {"classes": False},
        "row 0 has 'b': mend that cell, or say",
    ),
    "truth, not classes": (
        {"a": NUMBERS, "y": [True, False] * 6},
        {"classes": False},
        "must hold numbers, got true and",
    ),
}


@pytest.mark.parametrize("case", FRAMES)
def test_a_bad_frame(case: str) -> None:
    columns, settings, message = FRAMES[case]
    frame = pd.DataFrame(columns) if isinstance(columns, dict) else columns
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        Dataset.from_frame(frame, "y", **settings)


def test_a_column_that_is_empty_where_it_is_trained_on() -> None:
    frame = pd.DataFrame({"a": range(30), "b": [np.nan] * 27 + [1, 2, 3], "y": np.arange(30) % 7})
    with pytest.warns(UserWarning, match="column 'a' only counts the rows"):
        dataset = Dataset.from_frame(frame, "y", missing="mean")
    with pytest.raises(ValueError, match="column 'b' has no value in any training row: remove it"):
        split(dataset, tail="a", seed=0)
