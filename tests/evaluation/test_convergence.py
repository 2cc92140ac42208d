"""R-hat and effective sample sizes equal those of ArviZ, and notice chains that drift, disagree or mix slowly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from variational_bnn.base.checks import Array
from variational_bnn.evaluation.convergence import effective_sample_sizes, rank_normalised_r_hat


def _noise(seed: int, draws: int = 500, chains: int = 4) -> Array:
    """Independent normal draws `[draws, chains]`."""
    return np.random.default_rng(seed).standard_normal((draws, chains))


def _autoregressive(seed: int, correlation: float, draws: int = 500, chains: int = 4) -> Array:
    """Chains `[draws, chains]` of unit variance whose autocorrelation at lag t is correlation^t."""
    noise = _noise(seed, draws, chains)
    states = [noise[0]]
    for step in noise[1:]:
        states.append(correlation * states[-1] + np.sqrt(1 - correlation**2) * step)
    return np.array(states)


EXAMPLES: dict[str, Callable[[], Array]] = {
    "independent": lambda: _noise(0),
    "correlated": lambda: _autoregressive(1, 0.9),
    "negatively correlated": lambda: _autoregressive(2, -0.5),
    "Cauchy": lambda: np.random.default_rng(3).standard_cauchy((500, 4)),
    "other location": lambda: _noise(4) + np.array([0.0, 0.0, 0.0, 1.0]),
    "other scale": lambda: _noise(5) * np.array([1.0, 1.0, 1.0, 5.0]),
    "drift": lambda: _noise(6) + np.linspace(-2, 2, 500)[:, None],
    "two chains of an odd number of draws": lambda: _autoregressive(7, 0.5, draws=77, chains=2),
    "few values": lambda: np.random.default_rng(8).integers(0, 3, (101, 3)).astype(np.float64),
    "few draws": lambda: _noise(9, draws=5, chains=3),
}

ARVIZ = {
    "independent": (1.0005854497424216, 1832.4255980343723, 1932.0149971664882),
    "correlated": (1.0546128690867385, 93.5019606164834, 296.1397211694761),
    "negatively correlated": (1.002586745301387, 6602.059991327962, 2055.7246893190595),
    "Cauchy": (1.0012204532598754, 1976.809019095182, 1900.3130431991049),
    "other location": (1.1002006494757564, 27.679491888434963, 104.66091097026334),
    "other scale": (1.2445687086840296, 1523.3936149531132, 30.813542782665195),
    "drift": (1.3704872039351519, 8.873489090351068, 106.60960421840022),
    "two chains of an odd number of draws": (1.007838876319662, 63.17532831789562, 56.402080409317875),
    "few values": (0.9977921010845462, 321.6557032948895, 300.0),
    "few draws": (1.1185588750657849, 12.9501749525715, 12.9501749525715),
}
"""`rhat(method="rank")`, `ess(method="bulk")` and `ess(method="tail")` of ArviZ 0.23.4 on the same draws."""


def _unsplit_r_hat(draws: Array) -> float:
    """The R-hat of Gelman and Rubin (1992) for whole chains."""
    within, between = draws.var(axis=0, ddof=1).mean(), draws.mean(axis=0).var(ddof=1)
    return math.sqrt(between / within + 1 - 1 / len(draws))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_numbers_are_those_of_arviz(name: str) -> None:
    draws = EXAMPLES[name]()
    found = rank_normalised_r_hat(draws), *effective_sample_sizes(draws)
    np.testing.assert_allclose(np.array(found), ARVIZ[name], rtol=1e-9)


def test_each_quantity_is_measured_by_itself() -> None:
    draws = np.stack([EXAMPLES[name]() for name in list(EXAMPLES)[:6]], axis=2).reshape(500, 4, 2, 3)
    found = np.array([rank_normalised_r_hat(draws), *effective_sample_sizes(draws)])
    assert found.shape == (3, 2, 3)
    np.testing.assert_allclose(found.reshape(3, 6).T, list(ARVIZ.values())[:6], rtol=1e-9)


def test_many_quantities_are_measured_like_one() -> None:
    """There are more values than are held at once; all quantities are the same but a few that disagree."""
    draws = np.repeat(_noise(0)[..., None], 1100, axis=2)
    others = [0, 523, 524, 525, 1099]
    draws[:, 0, others] += 1
    r_hat, (bulk, tail) = rank_normalised_r_hat(draws), effective_sample_sizes(draws)
    for values, one_at_a_time in zip((r_hat, bulk, tail), ARVIZ["independent"], strict=True):
        np.testing.assert_allclose(np.delete(values, others), one_at_a_time, rtol=1e-9)
    np.testing.assert_allclose(r_hat[others], rank_normalised_r_hat(draws[..., 0]), rtol=1e-9)
    assert (r_hat[others] > 1.05).all()


def test_r_hat_notices_chains_that_drift_alike() -> None:
    """All chains drift from -2 to 2, so that whole chains agree: only halves of chains disagree."""
    draws = _noise(0) + np.linspace(-2, 2, 500)[:, None]
    assert _unsplit_r_hat(draws) < 1.01
    assert rank_normalised_r_hat(draws) > 1.2
    assert rank_normalised_r_hat(_noise(0)) < 1.01


def test_r_hat_is_the_larger_one_of_bulk_and_folded_draws() -> None:
    """Chains that differ in location disagree in the bulk, those that differ in scale only if they are folded."""
    location, scale = (EXAMPLES[name]() for name in ("other location", "other scale"))
    assert _unsplit_r_hat(scale) < 1.01
    assert rank_normalised_r_hat(scale) > 1.2
    assert rank_normalised_r_hat(location) > 1.05


def test_r_hat_of_heavy_tails_notices_another_location() -> None:
    """One of four Cauchy chains is shifted; without ranks the outliers hide it."""
    draws = np.random.default_rng(0).standard_cauchy((500, 4)) + np.array([0.0, 0.0, 0.0, 3.0])
    assert _unsplit_r_hat(draws) < 1.01
    assert rank_normalised_r_hat(draws) > 1.1


def test_the_effective_size_of_an_autoregression_has_its_closed_form() -> None:
    """The bulk size of S draws is S (1 - a) / (1 + a), within a tenth over 50 quantities; of a = 0.6 it is not."""
    for correlation, matches in ((0.5, True), (0.6, False)):
        draws = _autoregressive(0, correlation, draws=2000, chains=4 * 50).reshape(2000, 4, 50)
        bulk, tail = effective_sample_sizes(draws)
        expected = 8000 * (1 - 0.5) / (1 + 0.5)
        assert (abs(bulk.mean() / expected - 1) < 0.1) == matches
        assert (tail > bulk.min()).all()


def test_the_tail_size_notices_tails_that_mix_slowly() -> None:
    """The sign is new in each draw, the size of the draw lasts: the bulk mixes well and the tails do not."""
    signs = np.sign(_noise(1, draws=2000))
    draws = signs * np.exp(_autoregressive(0, 0.995, draws=2000))
    bulk, tail = effective_sample_sizes(draws)
    assert bulk > 4000
    assert tail < 400


def test_sizes_do_not_depend_on_the_scale_of_measurement() -> None:
    """They are of ranks and of quantiles, which any rising function leaves as they are."""
    draws = EXAMPLES["correlated"]()
    for rising in (np.exp, np.cbrt, lambda x: 1e6 + 3 * x):
        np.testing.assert_allclose(effective_sample_sizes(rising(draws)), ARVIZ["correlated"][1:], rtol=1e-9)
    single = draws.astype(np.float32)
    np.testing.assert_allclose(rank_normalised_r_hat(single), ARVIZ["correlated"][0], rtol=1e-5)


def test_equal_draws_have_converged() -> None:
    """A probability that rounds to 1 in all draws has R-hat 1, and as many effective draws as there are draws."""
    draws = np.stack([_noise(0, draws=101), np.full((101, 4), 0.1)], axis=2)
    r_hat, (bulk, tail) = rank_normalised_r_hat(draws), effective_sample_sizes(draws)
    assert (r_hat[1], bulk[1], tail[1]) == (1, 404, 404)
    assert r_hat[0] != 1


def test_chains_that_stand_still_at_different_values_have_not_converged() -> None:
    draws = np.broadcast_to(np.array([0.1, 0.2, 0.3, 0.4]), (100, 4))
    assert rank_normalised_r_hat(draws) == math.inf
    assert (np.array(effective_sample_sizes(draws)) < 10).all()


def test_two_values_in_equal_shares_have_folded_draws_that_are_equal() -> None:
    """At distance 1 from the median in every draw, the chains agree; only the bulk tells whether they do."""
    draws = np.tile([[-1.0, 1.0], [1.0, -1.0]], (50, 2))
    assert rank_normalised_r_hat(draws) == 1
    assert rank_normalised_r_hat(np.sort(draws, axis=0)) > 1.2


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_fewer_than_four_draws_have_no_numbers(draws: int) -> None:
    few = _noise(0, draws=draws)[..., None]
    assert np.isnan([rank_normalised_r_hat(few), *effective_sample_sizes(few)]).all()


def test_one_chain_has_sizes_and_no_r_hat() -> None:
    one = _noise(0, chains=1)[..., None]
    assert np.isnan(rank_normalised_r_hat(one)).all()
    bulk, tail = effective_sample_sizes(one)
    assert 300 < bulk < 700
    assert 300 < tail < 700


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_draw_that_is_not_finite_makes_its_quantity_nan(value: float) -> None:
    draws = np.repeat(_noise(0)[..., None], 3, axis=2)
    draws[7, 2, 1] = value
    for values in (rank_normalised_r_hat(draws), *effective_sample_sizes(draws)):
        np.testing.assert_array_equal(np.isnan(values), [False, True, False])


@pytest.mark.parametrize("shape", [(5,), (0, 4), (5, 0, 3)])
def test_draws_of_another_shape_raise(shape: tuple[int, ...]) -> None:
    for function in (rank_normalised_r_hat, effective_sample_sizes):
        with pytest.raises(ValueError, match=r"draws must have shape \[draws, chains, \.\.\.\], got \["):
            function(np.zeros(shape))
