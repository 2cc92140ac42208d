"""Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788) of the two methods that claim to be exact.

With parameters drawn from the prior and data from the likelihood, the rank of the true function's value among those of
posterior draws is uniform, at any input; so is that of any number that is computed from parameters and data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from variational_bnn import HMC, Dataset, LinearRegression, Network, Normal
from variational_bnn.methods.linear import NOISE_PRIOR
from variational_bnn.models.weight_space import WeightSpace

DRAWS, BINS = 99, 10
"""Ranks are from 0 to 99, ten a bin."""

ACCEPTED, REJECTED = 0.01, 1e-6
"""P-values of uniform ranks are above the first, those of other ranks below the second."""

NOISE = 0.5


def _p_value(ranks: npt.NDArray[np.int64]) -> float:
    """Of ranks `[R]` under the hypothesis that they are uniform, by a chi-squared test."""
    return float(stats.chisquare(np.bincount(ranks // BINS, minlength=(DRAWS + 1) // BINS)).pvalue)


def _ranks_of_linear(known: bool, factor: float, replications: int = 1000) -> npt.NDArray[np.int64]:
    """At two inputs `[R, 2]`, where the method is told of a noise or a prior this many times as large as it is."""
    shape, rate = NOISE_PRIOR
    rng = np.random.default_rng(0)
    likelihood = Normal(scale=factor * NOISE) if known else Normal()
    told = 1.3 if known else 1.3 * factor
    network = Network(input_shape=(2,), output_size=1, likelihood=likelihood, prior_scale=told)
    x_new, ranks = np.array([[0.5, 0.0], [3.0, -2.0]]), []
    for _ in range(replications):
        x = rng.normal(size=(8, 2))
        noise = NOISE if known else np.sqrt(rate / rng.gamma(shape))
        weights = 1.3 * (1.0 if known else noise) * rng.normal(size=3) / np.sqrt([2, 2, 1])
        truth = x_new @ weights[:2] + weights[2]
        y = (x @ weights[:2] + weights[2] + noise * rng.normal(size=8))[:, None]
        posterior = LinearRegression(standardise=False).fit(Dataset(name="simulated", x=x, y=y), network, 0)
        functions = posterior.sample_functions(x_new, num_samples=DRAWS, seed=int(rng.integers(2**31)))[..., 0]
        ranks.append((functions < truth).sum(0))
    return np.array(ranks)


@pytest.mark.parametrize("known", [True, False])
def test_linear_is_calibrated_and_with_a_wrong_noise_or_prior_it_is_not(known: bool) -> None:
    """Unknown noise is drawn from its prior, too; there it is the weights' prior that is wrong."""
    right, wrong = (_ranks_of_linear(known, factor) for factor in (1.0, 2.0 if known else 0.4))
    for point in range(2):
        assert _p_value(right[:, point]) > ACCEPTED
        assert _p_value(wrong[:, point]) < REJECTED


def test_the_chains_of_hmc_are_calibrated_and_with_a_wrong_noise_they_are_not() -> None:
    """Each replication is a chain of its own, which adapts by itself.

    Those of the second half have more noise than the sampler is told of. Besides two functions' values, the data's
    log density is ranked, which tells more of the weights (Modrák et al. 2023, arXiv 2211.02383).
    """
    replications, thinning = 120, 5
    network = Network(
        input_shape=(1,), output_size=1, hidden_units=(2,), activation="tanh", likelihood=Normal(scale=NOISE)
    )
    space = WeightSpace.of(network)
    rng = np.random.default_rng(1)
    z = rng.standard_normal((2 * replications, space.size)).astype(np.float32)
    x = rng.uniform(-2, 2, (2 * replications, 8, 1)).astype(np.float32)
    noise = np.repeat([NOISE, 4 * NOISE], replications)[:, None, None]
    y = (space.outputs(z, x).numpy() + noise * rng.standard_normal(x.shape)).astype(np.float32)
    method = HMC(chains=1, warmup=300, draws=(DRAWS + 1) * thinning, standardise=False)
    draws = np.empty((DRAWS, *z.shape), np.float32)
    for i in range(len(z)):
        problem = method.problem(Dataset(name="simulated", x=x[i], y=y[i]), network)
        *_, window = method.windows(problem, i)
        draws[:, i] = window.z[thinning - 1 :: thinning, 0][:DRAWS]

    x_new = np.array([[0.5], [3.0]], np.float32)
    numbers = [
        lambda z: space.outputs(z, x_new).numpy()[..., 0, 0],
        lambda z: space.outputs(z, x_new).numpy()[..., 1, 0],
        lambda z: space.log_likelihood(z, x, y).numpy(),
    ]
    for number in numbers:
        ranks = (np.stack([number(draw) for draw in draws]) < number(z)).sum(0)
        assert _p_value(ranks[:replications]) > ACCEPTED
        assert _p_value(ranks[replications:]) < REJECTED


def test_the_test_accepts_uniform_ranks_and_refuses_those_of_too_narrow_draws() -> None:
    rng = np.random.default_rng(0)
    assert _p_value(rng.integers(DRAWS + 1, size=1000)) > ACCEPTED
    narrow = (0.8 * rng.normal(size=(DRAWS, 1000)) < rng.normal(size=1000)).sum(0)
    assert _p_value(narrow) < REJECTED
