"""Bayes by Hypernet: how far its KL is off where it is known, and what it finds of a linear network."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

import variational_bnn as vbnn
from variational_bnn.methods.hypernet import entropy

RNG = np.random.default_rng(0)


def _estimates(size: int, draws: int, count: int = 50) -> tuple[float, float]:
    """Mean error of the entropy of N(0, I) of `size` numbers, in nats a number, and its standard error."""
    exact = size * np.log(2 * np.pi * np.e) / 2
    found = [float(entropy(tf.constant(RNG.normal(size=(draws, size)), tf.float32))) - exact for _ in range(count)]
    return float(np.mean(found)) / size, float(np.std(found)) / np.sqrt(count) / size


def test_the_entropy_is_right_of_few_numbers_and_many_draws_and_too_large_of_many_numbers() -> None:
    for size in (1, 3):
        error, standard_error = _estimates(size, 500)
        assert abs(error) < 4.5 * standard_error + 0.02
    few, _ = _estimates(10, 20)
    many, _ = _estimates(100, 20)
    assert 0.02 < few < 0.1 < many


def test_of_a_linear_network_many_draws_find_the_exact_posterior() -> None:
    """Of four weights, within a tenth; without the KL nothing keeps the weights apart."""
    x = RNG.normal(size=(40, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.7]])
    dataset = vbnn.Dataset(name="line", x=x, y=3 * x[:, :1] + 4 + 5 * RNG.normal(size=(40, 1)))
    network = vbnn.Network(input_shape=(3,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=5.0))
    exact = vbnn.LinearRegression().fit(dataset, network, 0).predict(x, num_samples=1, seed=0)
    sd = np.sqrt(exact.epistemic_variance)
    for kl_weight, agrees in ((1.0, True), (0.0, False)):
        method = vbnn.Hypernet(num_draws=100, steps=2000, kl_weight=kl_weight)
        functions = method.fit(dataset, network, 0).sample_functions(x, num_samples=2000, seed=0)
        assert (np.abs(functions.std(0) / sd - 1) < 0.1).all() == agrees
        if agrees:
            assert (np.abs(functions.mean(0) - exact.mean) < 0.15 * sd).all()
