"""Bayes by Hypernet: how far its KL is off where it is known, and what it finds of a linear network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from variational_bnn.methods.hypernet import entropy

Array = npt.NDArray[np.float64]
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
