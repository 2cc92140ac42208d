"""Rows held out by region, against the ranks of a feature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Dataset
from variational_bnn.base.checks import Array
from variational_bnn.datasets import uci
from variational_bnn.evaluation.regions import propose_query_points
from variational_bnn.evaluation.split import split


def _dataset(x: Array) -> Dataset:
    return Dataset(name="made", x=x, y=np.arange(len(x), dtype=np.float64))


def _normal(num_rows: int, num_features: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(num_rows, num_features))


def _rows(dataset: Dataset, region: str | None) -> Array:
    """Targets, which number the rows in `_dataset`, of a region or of the training rows."""
    if region is None:
        return dataset.y[:, 0]
    assert dataset.y_test is not None
    rows: Array = dataset.y_test[dataset.test_regions == region, 0]
    return rows


@settings(max_examples=50, deadline=None)
@given(
    num_rows=st.integers(12, 200),
    gap=st.sampled_from([None, "x0", "x1"]),
    tail=st.sampled_from([None, "x0", "x1"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_puts_every_row_in_one_place(num_rows: int, gap: str | None, tail: str | None, seed: int) -> None:
    """No row is lost, repeated or changed; the shares are a tenth, a third of the rest, and a tenth of the rest."""
    whole = _dataset(_normal(num_rows, 2, seed))
    dataset = split(whole, gap=gap, tail=tail, seed=seed)
    if gap is None and tail is None:
        assert dataset is whole
        return
    assert dataset.x_test is not None
    assert dataset.test_regions is not None
    held = list(dict.fromkeys(dataset.test_regions))
    order = np.concatenate([_rows(dataset, None), *(_rows(dataset, region) for region in held)]).astype(int)
    assert sorted(order) == list(range(num_rows))
    np.testing.assert_array_equal(np.concatenate([dataset.x, dataset.x_test]), whole.x[order])
    beyond = num_rows // 10 if tail else 0
    between = 2 * (num_rows - beyond) // 3 - (num_rows - beyond) // 3 if gap else 0
    near = max(1, (num_rows - beyond - between) // 10)
    assert [len(_rows(dataset, region)) for region in REGIONS] == [near, between, beyond]


def test_split_holds_out_the_middle_third_and_the_upper_tenth() -> None:
    """Of the ranks 0 to 99, the tail is 90 to 99, and the gap is the middle third of 0 to 89."""
    rank = np.random.default_rng(0).permutation(100).astype(np.float64)
    whole = Dataset(name="ranks", x=np.stack([rank, -rank], axis=1), y=rank, feature_names=("up", "down"))
    dataset = split(whole, gap="up", tail="up", seed=0)
    assert sorted(_rows(dataset, BEYOND)) == list(range(90, 100))
    assert sorted(_rows(dataset, BETWEEN)) == list(range(30, 60))
    assert set(_rows(dataset, NEAR)) < {*range(30), *range(60, 90)}
    assert sorted(_rows(split(whole, tail="down", seed=0), BEYOND)) == list(range(10))


def test_a_split_dataset_has_no_larger_sample() -> None:
    """Its training rows are not a quarter of the larger sample's any more."""
    whole = replace(_dataset(_normal(30, 2)), larger_sample=_dataset(_normal(120, 2)))
    assert split(whole, gap="x0", seed=0).larger_sample is None
    assert split(whole, seed=0).larger_sample is whole.larger_sample


def test_split_breaks_ties_by_row() -> None:
    """With few values, rows keep their order: the cut runs through the equal ones."""
    ones_at_even_rows = (np.arange(120.0) + 1) % 2
    dataset = split(_dataset(ones_at_even_rows[:, None]), gap="x", seed=0)
    assert sorted(_rows(dataset, BETWEEN)) == [*range(0, 40, 2), *range(81, 120, 2)]


def test_split_is_given_by_its_seed() -> None:
    """The seed moves the random tenth, and only that."""
    whole = _dataset(_normal(90, 2))
    first, again, other = (split(whole, gap="x0", tail="x1", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(_rows(first, NEAR), _rows(again, NEAR))
    assert set(_rows(first, NEAR)) != set(_rows(other, NEAR))
    for region in (BETWEEN, BEYOND):
        np.testing.assert_array_equal(_rows(first, region), _rows(other, region))


def test_split_raises_for_unknown_features_and_too_few_rows() -> None:
    """The message for an unknown feature lists the known ones; training rows must be left."""
    whole = _dataset(_normal(30, 2))
    with pytest.raises(ValueError, match="unknown feature 'z'; known: x0, x1"):
        split(whole, gap="z", seed=0)
    with pytest.raises(ValueError, match="unknown feature 'z'; known: x0, x1"):
        split(whole, tail="z", seed=0)
    with pytest.raises(ValueError, match="'made' must have no held-out rows before it is split, got 12"):
        split(split(whole, gap="x0", seed=0), gap="x1", seed=0)
    with pytest.raises(ValueError, match="the split must leave at least 2 training rows, got 1 of 3 rows"):
        split(_dataset(_normal(3, 1)), gap="x", seed=0)
    with pytest.raises(ValueError, match="feature 'x' is constant over the training rows"):
        split(_dataset(np.array([0.0] * 19 + [1.0])), tail="x", seed=0)


def test_gap_rows_are_farther_than_random_ones(data_dir: Path) -> None:
    """On yacht, rows of the gap and of the tail are farther from the training rows than the random tenth is."""
    points = propose_query_points(
        split(uci("yacht"), gap="prismatic_coefficient", tail="prismatic_coefficient", seed=0), seed=0
    )
    near, between, beyond = (np.median(points.distance[points.regions == region]) for region in REGIONS)
    assert between > 2 * near
    assert beyond > 2 * near
