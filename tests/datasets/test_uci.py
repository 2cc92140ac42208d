"""The UCI tables: complete, in the columns of their names, and downloaded once or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest

from variational_bnn.datasets import DATASETS, uci

ROWS_AND_FEATURES = {
    "boston": (506, 13),
    "concrete": (1030, 8),
    "energy": (768, 8),
    "kin8nm": (8192, 8),
    "naval": (11934, 14),
    "power": (9568, 4),
    "protein": (45730, 9),
    "wine": (1599, 11),
    "yacht": (308, 6),
}


@pytest.mark.parametrize("name", ROWS_AND_FEATURES)
def test_uci_tables_are_complete(data_dir: Path, name: str) -> None:
    """Each table has its published number of rows and features, and says so in its line."""
    dataset = uci(name)
    assert dataset.x.shape == ROWS_AND_FEATURES[name]
    assert dataset.y.shape == (len(dataset.x), 1)
    assert len(set(dataset.feature_names)) == len(dataset.feature_names)
    assert DATASETS[f"uci:{name}"].about.startswith("{} rows, {} features: ".format(*ROWS_AND_FEATURES[name]))


@pytest.mark.parametrize(("name", "folder"), [("naval", "naval-propulsion-plant"), ("yacht", "yacht")])
def test_uci_columns_are_those_of_the_index_files(data_dir: Path, name: str, folder: str) -> None:
    """Features and target are the published columns, less the constant ones; naval's target is not the last column."""
    path = data_dir / "uci" / folder
    values = np.loadtxt(path / "data.txt")
    features = values[:, np.loadtxt(path / "index_features.txt", dtype=int)]
    target = values[:, int(np.loadtxt(path / "index_target.txt"))]
    dataset = uci(name)
    np.testing.assert_array_equal(dataset.x, features[:, features.std(axis=0) > 1e-9])
    np.testing.assert_array_equal(dataset.y[:, 0], target)


def test_naval_leaves_out_what_is_constant(data_dir: Path) -> None:
    """The air at the compressor's inlet has one temperature and one pressure throughout."""
    names = uci("naval").feature_names
    assert "compressor_inlet_temperature" not in names
    assert "compressor_inlet_pressure" not in names
    assert "compressor_outlet_pressure" in names


def test_known_values_are_in_the_columns_of_their_names(data_dir: Path) -> None:
    """Landmarks that anyone can look up: Boston's prices are capped at 50, wine scores are whole, pH is near 3.3."""
    boston, wine = uci("boston"), uci("wine")
    assert boston.y.max() == 50
    assert set(boston.x[:, boston.feature_names.index("chas")]) == {0.0, 1.0}
    assert set(wine.y[:, 0]) == {3.0, 4.0, 5.0, 6.0, 7.0, 8.0}
    assert wine.x[:, wine.feature_names.index("ph")].mean() == pytest.approx(3.31, abs=0.01)


def test_an_unknown_name() -> None:
    """The message lists the known tables."""
    with pytest.raises(ValueError, match=r"unknown UCI dataset 'iris'; known: boston, concrete, .*, yacht"):
        uci("iris")


def test_a_copy_that_is_not_the_published_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or that is missing."""
    monkeypatch.setenv("VARIATIONAL_BNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"VARIATIONAL_BNN_DATA is .*, but there is no file .*data.txt"):
        uci("yacht")
    (tmp_path / "uci" / "yacht").mkdir(parents=True)
    (tmp_path / "uci" / "yacht" / "data.txt").write_text("1 2 3 4 5 6 7\n")
    with pytest.raises(ValueError, match=r"must have sha256 00dfecc0.*, got "):
        uci("yacht")


def test_uci_is_downloaded_into_the_cache(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable; the published file gives the rows that the copy gives."""
    from_copy, calls = uci("yacht"), []

    def retrieve(address: str, **options: Any) -> str:
        calls.append({"address": address, **options})
        return str(data_dir / "uci" / "yacht" / "data.txt")

    monkeypatch.delenv("VARIATIONAL_BNN_DATA")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    np.testing.assert_array_equal(uci("yacht").x, from_copy.x)
    (call,) = calls
    assert call["address"].endswith("/UCI_Datasets/yacht/data/data.txt")
    assert call["known_hash"].startswith("sha256:00dfecc0")
    assert Path(call["path"]) / call["fname"] == tmp_path / "variational_bnn" / "yacht.txt"


def test_uci_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the name of the table."""

    def retrieve(address: str, **options: Any) -> str:
        raise ConnectionError

    monkeypatch.delenv("VARIATIONAL_BNN_DATA", raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(ValueError, match=r"^cannot download dataset 'yacht' from https://.*VARIATIONAL_BNN_DATA"):
        uci("yacht")
