"""The datasets: what is built in, what is kept in files, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from variational_bnn.datasets import DATASETS, lecture, lecture_sample, load, read_csv, uci
from variational_bnn.evaluation.regions import split


def _written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


def test_lecture_is_the_file_read_off_the_plot(data_dir: Path) -> None:
    """The built-in points are those of toy.csv, whose inputs have ten decimals."""
    file = read_csv(data_dir / "lecture" / "toy.csv", target="y")
    np.testing.assert_allclose(lecture().x, file.x, rtol=0, atol=5e-11)
    np.testing.assert_array_equal(lecture().y, file.y)
    assert (lecture().feature_names, lecture().target_names) == (("x",), ("y",))


def test_lecture_has_a_gap_and_agrees_with_its_formula() -> None:
    """The 20 targets are within 3 sd of 10 sin(2 pi x), and their residuals have a sd of about 1; a cosine has not."""
    x, y = lecture().x, lecture().y
    assert len(x) == 20
    assert np.abs(x).min() > 0.2
    residual = y - 10 * np.sin(2 * np.pi * x)
    assert np.abs(residual).max() < 3
    assert 0.7 < residual.std() < 1.4
    assert (y - 10 * np.cos(2 * np.pi * x)).std() > 5


def test_a_sample_of_20_has_the_lectures_inputs() -> None:
    """The sample's inputs, at the lecture's size, are the lecture's."""
    np.testing.assert_allclose(lecture_sample(20, seed=0).x, lecture().x, atol=1e-15)


@pytest.mark.parametrize("num_examples", [2, 3, 21, 80])
def test_a_sample_keeps_to_the_two_intervals(num_examples: int) -> None:
    """At any size, the inputs are in the lecture's two intervals, split as evenly as can be."""
    x = lecture_sample(num_examples, seed=0).x[:, 0]
    low, high = np.abs(lecture().x).min(), 0.5
    assert len(x) == num_examples
    assert ((np.abs(x) >= low - 1e-12) & (np.abs(x) <= high)).all()
    assert (np.diff(x) > 0).all()
    assert (x < 0).sum() - (x > 0).sum() == num_examples % 2


def test_a_samples_noise_is_standard_normal() -> None:
    """Over n residuals, mean and variance are within 4 standard errors of 0 and 1."""
    n = 10_000
    sample = lecture_sample(n, seed=1)
    residual = sample.y - 10 * np.sin(2 * np.pi * sample.x)
    assert abs(residual.mean()) < 4 / np.sqrt(n)
    assert abs(residual.var() - 1) < 4 * np.sqrt(2 / n)


def test_a_sample_is_given_by_its_seed() -> None:
    """The same seed gives the same targets, another seed others."""
    np.testing.assert_array_equal(lecture_sample(9, seed=3).y, lecture_sample(9, seed=3).y)
    assert not np.array_equal(lecture_sample(9, seed=3).y, lecture_sample(9, seed=4).y)


@pytest.mark.parametrize("num_examples", [0, -1, 2.5, True, 1])
def test_a_sample_wants_two_examples(num_examples: int) -> None:
    """Anything but a whole number of at least 2 is refused."""
    with pytest.raises(ValueError, match=r"must be a whole number|at least 2 training rows"):
        lecture_sample(num_examples, seed=0)


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
        ("x,y\n1,2\n3,4,5\n", "cannot parse .*: Expected 2 fields in line 3, saw 3$"),
        ('x,y\n1,"2\n3,4\n', "cannot parse .*: EOF inside string"),
        ("x,y\n1,2\n", "at least 2 training rows, got 1"),
        ("x,y\n1,2\n1,3\n", "feature 'x' is constant"),
        ("x,y\n1,2\n2,2\n", "target 'y' is constant"),
    ],
)
def test_csv_says_what_is_wrong_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """What cannot be a regression table is refused, with the place of the fault."""
    with pytest.raises(ValueError, match=message) as caught:
        read_csv(_written(tmp_path, text), target="y")
    assert "\n" not in str(caught.value)


def test_csv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a binary file are named."""
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"image\.csv is not UTF-8 text"):
        read_csv(tmp_path / "image.csv", target="y")
    with pytest.raises(ValueError, match=r"cannot read .*none\.csv: No such file"):
        read_csv(tmp_path / "none.csv", target="y")
    with pytest.raises(ValueError, match="cannot read "):
        read_csv(tmp_path, target="y")


def test_load_by_name(data_dir: Path, tmp_path: Path) -> None:
    """A name or a path gives what its own function gives."""
    np.testing.assert_array_equal(load("lecture").y, lecture().y)
    np.testing.assert_array_equal(load("uci:yacht").y, uci("yacht").y)
    np.testing.assert_array_equal(load(str(_written(tmp_path, "x,y\n1,2\n3,4\n")), "y").y, [[2], [4]])


def test_load_refuses_what_it_cannot_find(tmp_path: Path) -> None:
    """The message lists every known name, or the columns to choose a target from."""
    with pytest.raises(ValueError, match="unknown dataset 'uci:iris'; known: ") as caught:
        load("uci:iris")
    assert all(name in str(caught.value) for name in DATASETS)
    path = _written(tmp_path, "x,y\n1,2\n3,4\n")
    with pytest.raises(ValueError, match="needs a target; columns: x, y"):
        load(str(path))
    with pytest.raises(ValueError, match="no column 'z'; columns: x, y"):
        load(str(path), "z")


@pytest.mark.parametrize("spec", ["lecture", "uci:yacht"])
def test_load_refuses_a_target_that_is_not_to_choose(spec: str) -> None:
    """Named datasets have their own target."""
    with pytest.raises(ValueError, match=f"dataset '{spec}' has its own target, got 'y'"):
        load(spec, "y")


def test_four_times_the_rows_are_just_that() -> None:
    assert lecture().larger_sample is not None
    assert lecture().larger_sample.x.shape == (80, 1)
    for wrong in (lecture(), lecture_sample(79, 0), "x"):
        with pytest.raises(ValueError, match="larger_sample must"):
            dataclasses.replace(lecture(), larger_sample=wrong)
    assert split(lecture(), gap="x", seed=0).larger_sample is None  # Its rows would fill the gap.
