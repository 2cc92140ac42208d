"""Checks of arguments: where each one's limit is, and that its message has the value that came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import variational_bnn as vbnn
from variational_bnn.base import checks

GOOD: list[tuple[Any, Any]] = [
    (checks.require_seed, 0),
    (checks.require_seed, np.int64(3)),
    (checks.require_seed, 2**63 - 1),
    (checks.require_kl_weight, 0),
    (checks.require_kl_weight, np.float32(0.5)),
]
BAD: list[tuple[Any, Any, str]] = [
    *((checks.require_seed, seed, "^seed must be a whole number >= 0, got ") for seed in (-1, 1.0, True, "1", None)),
    (checks.require_seed, 2**63, r"^seed must be below 2\^63, got 9223372036854775808$"),
    *((checks.require_kl_weight, w, "^kl_weight must be >= 0, got ") for w in (-1e-9, np.nan, np.inf, "1", True, None)),
]


@pytest.mark.parametrize(("check", "value"), GOOD)
def test_what_is_in_range(check: Any, value: Any) -> None:
    check(value)


@pytest.mark.parametrize(("check", "value", "message"), BAD)
def test_what_is_out_of_range(check: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(value)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "2", None])
def test_counts_are_whole_numbers_from_1(value: Any) -> None:
    checks.require_count("tau", 1)
    checks.require_count("tau", np.int32(5))
    with pytest.raises(ValueError, match=r"^tau must be a whole number >= 1, got "):
        checks.require_count("tau", value)


def test_sizes_are_a_tuple_of_counts() -> None:
    sizes = checks.require_sizes("hidden_units", [np.int64(3), 4])
    assert sizes == (3, 4)
    assert all(type(size) is int for size in sizes)
    assert checks.require_sizes("hidden_units", ()) == ()
    for wrong in (3, "34", None, np.array([3, 4])):
        with pytest.raises(ValueError, match=r"^hidden_units must be a tuple of whole numbers, got "):
            checks.require_sizes("hidden_units", wrong)
    with pytest.raises(ValueError, match=r"^hidden_units must be a whole number >= 1, got 0$"):
        checks.require_sizes("hidden_units", (3, 0))


def test_the_first_bad_value_is_named() -> None:
    values = np.array([[1.0, -2.0], [-3.0, 4.0]])
    checks.require_all(values < 5, values, "y must be < 5")
    with pytest.raises(ValueError, match=r"^y must be > 0, got -2\.0$"):
        checks.require_all(values > 0, values, "y must be > 0")


def test_images_are_flattened_and_tables_are_not() -> None:
    assert checks.flattened(np.zeros((2, 3, 4, 1))).shape == (2, 12)
    for table in (np.zeros((2, 3)), np.zeros(2)):
        assert checks.flattened(table) is table


def test_numbers_of_numpy_are_numbers() -> None:
    scale = vbnn.Normal(scale=np.float32(0.5))  # type: ignore[arg-type]
    network = vbnn.Network(
        input_shape=(1,), output_size=1, likelihood=scale, prior_scale=np.float32(2), hidden_units=(np.int64(3),)
    )
    assert (scale.scale, network.prior_scale, network.hidden_units) == (0.5, 2.0, (3,))
