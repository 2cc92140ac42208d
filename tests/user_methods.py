"""A method of a user's own, another library's Gaussian process, and a Keras model of his own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy.typing as npt
import tf_keras
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

import variational_bnn as vbnn


@dataclasses.dataclass(frozen=True)
class GaussianProcessPosterior:
    process: GaussianProcessRegressor
    noise: float
    diagnostics = None

    def sample_functions(self, x: npt.NDArray[Any], *, num_samples: int, seed: int) -> npt.NDArray[Any]:
        return self.process.sample_y(x, num_samples, random_state=seed).T[:, :, None]

    def predict(self, x: npt.NDArray[Any], *, num_samples: int, seed: int) -> vbnn.Predictive:
        functions = self.sample_functions(x, num_samples=num_samples, seed=seed)
        return vbnn.Predictive.from_functions(functions, noise_variance=self.noise**2)


@dataclasses.dataclass(frozen=True)
class GaussianProcess:
    length_scale: float = 0.3

    def supports(self, dataset: vbnn.Dataset, network: vbnn.Network) -> str | None:
        return None if dataset.noise_scale else "it needs a dataset whose noise is known"

    def fit(self, dataset: vbnn.Dataset, network: vbnn.Network, seed: int) -> GaussianProcessPosterior:
        kernel = 50 * RBF(self.length_scale)
        process = GaussianProcessRegressor(kernel, alpha=dataset.noise_scale**2, optimizer=None)
        return GaussianProcessPosterior(process.fit(dataset.x, dataset.y[:, 0]), dataset.noise_scale)


def build(num_examples: int, seed: int) -> tf_keras.Model:
    layers = [tf_keras.Input((1,)), tf_keras.layers.Dense(8, "relu"), tf_keras.layers.Dropout(0.2)]
    model = tf_keras.Sequential([*layers, tf_keras.layers.Dense(1)], name="mine")
    model.compile("adam", loss="mse")
    return model
