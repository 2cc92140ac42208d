"""MNIST: complete, and downloaded as Keras does, to where Keras does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
from small_images import arrays

from variational_bnn.datasets import mnist

MNIST_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


def test_mnist_is_complete(data_dir: Path) -> None:
    """The published counts of each digit, and pixels that reach both ends of [0, 1]."""
    made = mnist()
    assert made.name == "mnist"
    assert made.x_train.shape == (60000, 28, 28)
    assert made.x_test.shape == (10000, 28, 28)
    assert np.bincount(made.y_train).tolist() == MNIST_COUNTS["train"]
    assert np.bincount(made.y_test).tolist() == MNIST_COUNTS["test"]
    assert (made.x_train.min(), made.x_train.max()) == (0, 1)
    assert made.x_train.mean() == pytest.approx(0.1307, abs=5e-5)  # As published.
    assert made.x_train.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)


def test_a_folder_without_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIATIONAL_BNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"^VARIATIONAL_BNN_DATA is .*, but there is no file .*mnist\.npz$"):
        mnist()


@pytest.mark.parametrize("variable", ["KERAS_HOME", "HOME"])
def test_mnist_is_the_download_of_keras(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked for and kept where Keras does, and its address and checksum are those of Keras's source."""
    calls: list[dict[str, Any]] = []

    def retrieve(address: str, **options: Any) -> str:
        calls.append({"address": address, **options})
        np.savez(tmp_path / "small.npz", **arrays())
        return str(tmp_path / "small.npz")

    for name in ("VARIATIONAL_BNN_DATA", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert mnist().image_shape == arrays()["x_train"].shape[1:]
    (call,) = calls
    keras = tmp_path / ("" if variable == "KERAS_HOME" else ".keras")
    assert Path(call["path"]) / call["fname"] == keras / "datasets" / "mnist.npz"
    tf_keras = importlib.util.find_spec("tf_keras")
    assert tf_keras is not None
    assert tf_keras.origin is not None
    source = (Path(tf_keras.origin).parent / "src" / "datasets" / "mnist.py").read_text()
    folder, _, file = call["address"].rpartition("/")
    algorithm, _, checksum = call["known_hash"].partition(":")
    assert (algorithm, len(checksum)) == ("sha256", 64)
    for text in (checksum, f'"{folder}/"', f'"{file}"'):
        assert text in source
