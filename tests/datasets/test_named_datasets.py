"""Datasets and images by name: each entry's line agrees with what it loads, and unknown names are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from variational_bnn.datasets import DATASETS, IMAGES, digits, labelled, lecture, load, load_images, uci

TABLE = "x,y\n1,2\n3,4\n"


def _written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


@pytest.mark.filterwarnings("ignore:the table has . rows:variational_bnn.base.DatasetWarning")
def test_load_by_name(data_dir: Path, tmp_path: Path) -> None:
    """A name or a path gives what its own function gives."""
    np.testing.assert_array_equal(load("lecture").y, lecture().y)
    np.testing.assert_array_equal(load("uci:yacht").y, uci("yacht").y)
    np.testing.assert_array_equal(load("digits").x, labelled(digits(), held_out=9).x)
    np.testing.assert_array_equal(load(str(_written(tmp_path, TABLE)), "y").y, [[2], [4]])


@pytest.mark.parametrize("name", [name for name in DATASETS if not name.startswith("uci:")])
def test_the_line_of_a_dataset_has_its_rows(name: str) -> None:
    dataset = DATASETS[name].load()
    assert DATASETS[name].about.startswith(f"{len(dataset.x)} ")
    assert load(name).name == dataset.name


@pytest.mark.parametrize("name", IMAGES)
def test_the_line_of_images_has_their_number_and_size(name: str, data_dir: Path) -> None:
    made = load_images(name)
    assert made.name == name
    size = " x ".join(map(str, made.image_shape))
    assert IMAGES[name].about.startswith(f"{len(made.x_train) + len(made.x_test)} images of {size}: ")


def test_load_lists_what_it_knows(tmp_path: Path) -> None:
    """The message has every known name, or the columns to choose a target from."""
    with pytest.raises(ValueError, match="unknown dataset 'uci:iris'; known: ") as caught:
        load("uci:iris")
    assert all(name in str(caught.value) for name in DATASETS)
    path = str(_written(tmp_path, TABLE))
    with pytest.raises(ValueError, match="needs a target; columns: x, y"):
        load(path)
    with pytest.raises(ValueError, match="no column 'z'; columns: x, y"):
        load(path, "z")


@pytest.mark.parametrize("spec", ["lecture", "uci:yacht", "digits"])
def test_named_datasets_have_their_own_target(spec: str) -> None:
    with pytest.raises(ValueError, match=f"dataset '{spec}' has its own target, got 'y'"):
        load(spec, "y")
    with pytest.raises(ValueError, match=f"dataset '{spec}' knows by itself whether its target is a class"):
        load(spec, classes=True)


def test_unknown_images() -> None:
    with pytest.raises(ValueError, match=r"^unknown images 'x'; known: digits, mnist, or the path of an \.npz file$"):
        load_images("x")
