"""The lecture's sample dataset: 20 points of a noisy sine, with a gap in the middle.

Source: Harvard CS109B 2021, lecture 27. The inputs are given by formula; the targets are read off the plot, to about
0.1, and agree with y = 10 sin(2 pi x) + N(0, 1).
"""

from __future__ import annotations

import numpy as np

from variational_bnn.base import Dataset
from variational_bnn.base.checks import Array, require_count

_NOISE = 1.0
_X = np.delete(np.linspace(-0.5, 0.5, 32), slice(10, 22))
_Y = np.array(
    [
        *(0.65, -1.47, -3.61, -4.93, -6.78, -7.71, -8.42, -10.86, -9.85, -11.44),
        *(8.62, 11.31, 9.11, 10.68, 7.03, 7.38, 5.57, 3.95, 2.21, -0.94),
    ]
)


def lecture() -> Dataset:
    """The 20 points of the lecture: x is `[20, 1]`, in [-0.5, -0.21] and [0.21, 0.5]; y is `[20, 1]`.

    Four times as many are from the formula, `lecture_sample(80, seed=0)`.
    """
    return _dataset("lecture", _X, _Y, larger_sample=_sample(4 * len(_X), seed=0))


def lecture_sample(num_examples: int, seed: int) -> Dataset:
    """A sample of any size from the formula behind the lecture's points, for larger and repeated datasets.

    The inputs are spread evenly over the lecture's two intervals, whose ends they keep (20 of them are the lecture's
    own); the targets are 10 sin(2 pi x) + N(0, 1).

    Args:
        num_examples: N; the left interval has the odd one.
        seed: Of the noise.

    Raises:
        ValueError: If `num_examples` is not a whole number of at least 2.
    """
    require_count("num_examples", num_examples)
    return _sample(num_examples, seed, larger_sample=_sample(4 * num_examples, seed + 1))


def _sample(num_examples: int, seed: int, larger_sample: Dataset | None = None) -> Dataset:
    left = np.linspace(_X[0], _X[9], (num_examples + 1) // 2)
    right = -np.linspace(_X[0], _X[9], num_examples // 2)[::-1]
    x = np.concatenate([left, right])
    noise = np.random.default_rng(seed).normal(scale=_NOISE, size=num_examples)
    return _dataset(f"lecture_{num_examples}_{seed}", x, 10 * np.sin(2 * np.pi * x) + noise, larger_sample)


def _dataset(name: str, x: Array, y: Array, larger_sample: Dataset | None) -> Dataset:
    return Dataset(
        name=name,
        x=x[:, None],
        y=y[:, None],
        feature_names=("x",),
        target_names=("y",),
        noise_scale=_NOISE,
        larger_sample=larger_sample,
    )
