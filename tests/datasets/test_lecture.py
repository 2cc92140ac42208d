"""The lecture's data: the points read off its plot, and samples of any size from its formula."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from variational_bnn.datasets import lecture, lecture_sample, read_csv
from variational_bnn.evaluation.split import split


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
def test_a_sample_has_at_least_two_examples(num_examples: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a whole number|at least 2 training rows"):
        lecture_sample(num_examples, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_sample_has_a_seed(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"^seed must be a whole number >= 0, got "):
        lecture_sample(20, seed=seed)


def test_the_larger_sample_has_four_times_the_rows_and_noise_of_its_own() -> None:
    for dataset in (lecture(), lecture_sample(20, seed=0)):
        assert dataset.larger_sample is not None
        assert dataset.larger_sample.x.shape == (80, 1)
        assert dataset.larger_sample.larger_sample is None
    more = lecture_sample(5, seed=0).larger_sample
    assert more is not None
    assert not np.isin(more.y, lecture_sample(20, seed=0).y).any()
    assert split(lecture(), gap="x", seed=0).larger_sample is None  # Its rows would fill the gap.
