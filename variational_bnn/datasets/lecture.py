"""The lecture's dataset: 20 points of a noisy sine, with a gap in the middle.

Source: Harvard CS109B 2021, lecture 27. The inputs are given by a formula; the targets are read off the plot, to about
0.1, and agree with y = 10 sin(2 pi x) + N(0, 1).
"""

from __future__ import annotations

import numpy as np

from variational_bnn.base import Dataset
from variational_bnn.base.checks import Array, require_count, require_seed

_NOISE = 1.0
_X = np.delete(np.linspace(-0.5, 0.5, 32), slice(10, 22))
_Y = np.array(
    [
        *(0.65, -1.47, -3.61, -4.93, -6.78, -7.71, -8.42, -10.86, -9.85, -11.44),
        *(8.62, 11.31, 9.11, 10.68, 7.03, 7.38, 5.57, 3.95, 2.21, -0.94),
    ]
)


def lecture() -> Dataset:
    """The 20 points of the lecture: a noisy sine with a gap in the middle.

    x is `[20, 1]`, in the intervals [-0.5, -0.21] and [0.21, 0.5]; y is `[20, 1]`, and agrees with
    10 sin(2 pi x) + N(0, 1), so that `noise_scale` is 1. The `larger_sample`
    of 80 points is drawn from that formula. Variation in the output is shown as in the lecture
    (`output_as_in_lecture`).

    Source: Harvard CS109B 2021, lecture 27, read off the plot to about 0.1.

    Example:
        >>> import variational_bnn as vbnn
        >>> dataset = vbnn.lecture()
        >>> dataset.x.shape, dataset.y.shape, dataset.larger_sample.x.shape
        ((20, 1), (20, 1), (80, 1))
    """
    return _dataset("lecture", _X, _Y, larger_sample=_sample(4 * len(_X), seed=0))


def lecture_sample(num_examples: int, seed: int) -> Dataset:
    """A sample of any size from the formula of the lecture's points, for larger and repeated datasets.

    The inputs are equally spaced in each of the lecture's two intervals, including their ends; with 20 examples they
    are the lecture's inputs. The targets are 10 sin(2 pi x) + N(0, 1). The `larger_sample` has other noise.

    Args:
        num_examples: N, >= 2; if it is odd, the left interval has one input more.
        seed: Seed of the noise, >= 0.

    Returns:
        The dataset, with x and y `[N, 1]`.

    Raises:
        ValueError: If `num_examples` is not a whole number >= 2, or the seed is not a whole number >= 0.

    Example:
        >>> import variational_bnn as vbnn
        >>> vbnn.lecture_sample(200, seed=1).x.shape
        (200, 1)
    """
    require_count("num_examples", num_examples)
    require_seed(seed)
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
        output_as_in_lecture=True,
        larger_sample=larger_sample,
    )
