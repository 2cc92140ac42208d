"""A predictive of function samples: an equal mixture of normal distributions, against SciPy's densities and moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from variational_bnn.base import Predictive

S, N, D = 7, 6, 2
RNG = np.random.default_rng(0)
FUNCTIONS = RNG.normal(size=(S, N, D)) * [1.0, 30.0] + [0.0, 1e4]
Y = FUNCTIONS.mean(axis=0) + RNG.normal(size=(N, D))
NOISE = {
    "a number": 0.7,
    "of outputs": RNG.gamma(2, size=D),
    "of rows": RNG.gamma(2, size=(N, D)),
    "of samples": RNG.gamma(2, size=(S, N, D)),
}


@pytest.mark.parametrize("kind", NOISE)
def test_moments_are_those_of_the_mixture(kind: str) -> None:
    """The first two moments of y, about zero, are means over the samples; their parts add up to the variance."""
    noise = np.broadcast_to(NOISE[kind], FUNCTIONS.shape)
    predictive = Predictive.from_functions(FUNCTIONS, NOISE[kind])
    np.testing.assert_allclose(predictive.mean, FUNCTIONS.mean(axis=0), rtol=1e-13)
    second = (norm(FUNCTIONS, np.sqrt(noise)).moment(2)).mean(axis=0)
    np.testing.assert_allclose(predictive.variance, second - predictive.mean**2, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(predictive.epistemic_variance, np.var(FUNCTIONS, axis=0), rtol=1e-10)
    np.testing.assert_allclose(predictive.aleatoric_variance, noise.mean(axis=0), rtol=1e-13)
    assert (predictive.latent_variance == 0).all()
    assert predictive.latent_variance.shape == (N, D)
    assert (predictive.entropy, predictive.latent_information) == (None, None)


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("tau", [1, 2, 4, N])
def test_densities_are_the_log_of_the_mean_over_samples(kind: str, tau: int) -> None:
    """The mean over samples of the product of tau rows; the mean of logs and the product of means are other numbers."""
    predictive = Predictive.from_functions(FUNCTIONS, NOISE[kind])
    rows = norm.logpdf(Y, FUNCTIONS, np.sqrt(NOISE[kind])).sum(axis=-1)
    groups = [rows[:, start : start + tau].sum(axis=1) for start in range(0, N - tau + 1, tau)]
    expected = [logsumexp(group) - np.log(S) for group in groups]
    np.testing.assert_allclose(predictive.joint_log_prob(Y, tau=tau), expected, rtol=1e-12)
    assert not np.allclose(expected, np.mean(groups, axis=1))
    if tau == 1:
        np.testing.assert_allclose(predictive.log_prob(Y), expected, rtol=1e-12)
    else:
        assert not np.allclose(expected[0], predictive.log_prob(Y)[:tau].sum())


def test_densities_far_away_do_not_underflow() -> None:
    functions = FUNCTIONS + 1e3
    far = Predictive.from_functions(functions, 1e-2).log_prob(Y)
    assert np.isfinite(far).all()
    assert far.max() < -1e6


def test_equal_samples_have_no_epistemic_variance() -> None:
    """It is exactly 0, also where the mean of equal numbers is rounded; one sample has none either."""
    same = np.repeat(RNG.normal(size=(1, N, D)) + 1e8 / 3, 7, axis=0)
    assert (Predictive.from_functions(same, 1.0).epistemic_variance == 0).all()
    assert (Predictive.from_functions(same, 1.0).mean == same[0]).all()
    assert (Predictive.from_functions(same[:1], 1.0).epistemic_variance == 0).all()


def test_samples_of_y_are_functions_with_noise_of_their_own() -> None:
    """Residuals, in standard units, are standard normal and independent of samples, rows and outputs."""
    count = 4000
    functions = np.random.default_rng(1).normal(size=(count, N, D))
    noise = np.random.default_rng(2).gamma(2, size=(count, N, D))
    draws = Predictive.from_functions(functions, noise).sample(seed=3)
    standard = ((draws - functions) / np.sqrt(noise)).reshape(count, -1)
    error = 4.5 / np.sqrt(count)
    assert np.abs(standard.mean(axis=0)).max() < error
    assert np.abs(standard.var(axis=0) - 1).max() < np.sqrt(2) * error
    together = np.corrcoef(np.concatenate([standard, functions.reshape(count, -1)], axis=1), rowvar=False)
    assert np.abs(together - np.eye(len(together)))[: N * D].max() < error


def test_samples_of_y_are_given_by_their_seed() -> None:
    """The seed of the functions is not the noise's: noise of seed 0 is not the normal numbers of seed 0."""
    predictive = Predictive.from_functions(FUNCTIONS, 0.25)
    np.testing.assert_array_equal(predictive.sample(seed=4), predictive.sample(seed=4))
    assert not np.array_equal(predictive.sample(seed=4), predictive.sample(seed=5))
    noise = 2 * (predictive.sample(seed=0) - FUNCTIONS)
    assert not np.allclose(noise, np.random.default_rng(0).standard_normal(noise.shape), atol=1e-3)


def test_other_units() -> None:
    """Of `shift + scale y`: the samples moved, and densities divided by the scale."""
    shift, scale = np.array([3.0, -1.0]), np.array([0.1, 20.0])
    moved = Predictive.from_functions(FUNCTIONS, NOISE["of rows"]).in_units(shift=shift, scale=scale)
    direct = Predictive.from_functions(shift + scale * FUNCTIONS, scale**2 * NOISE["of rows"])
    for name in ("mean", "epistemic_variance", "aleatoric_variance", "variance"):
        np.testing.assert_allclose(getattr(moved, name), getattr(direct, name), rtol=1e-9)
    y = shift + scale * Y
    for tau in (1, 3):
        np.testing.assert_allclose(moved.joint_log_prob(y, tau=tau), direct.joint_log_prob(y, tau=tau), rtol=1e-10)
    np.testing.assert_allclose(moved.sample(seed=1), direct.sample(seed=1), rtol=1e-12)


def test_a_predictive_of_ones_own_has_no_latents_unless_they_are_given() -> None:
    own: dict[str, Any] = {"mean": Y, "epistemic_variance": Y**2, "aleatoric_variance": 2 * Y**2}
    functions: dict[str, Any] = {"log_likelihood": lambda y, tau: y[:, 0], "sampler": lambda seed: Y[None]}
    entropies = {"entropy": np.full((N, 1), 1.0), "expected_entropy": np.full((N, 1), 0.25)}
    plain = Predictive(**own, **functions, **entropies)
    np.testing.assert_array_equal(plain.latent_variance, np.zeros((N, D)))
    np.testing.assert_array_equal(plain.latent_information, np.zeros((N, 1)))
    np.testing.assert_array_equal(plain.variance, 3 * Y**2)
    np.testing.assert_array_equal(plain.mutual_information, np.full((N, 1), 0.75))
    latents = {"latent_variance": 4 * Y**2, "latent_information": np.full((N, 1), 0.5)}
    given = Predictive(**own, **functions, **entropies, **latents)
    np.testing.assert_array_equal(given.variance_over_draws, 5 * Y**2)
    np.testing.assert_allclose(given.variance, 7 * Y**2, rtol=1e-14)
    np.testing.assert_array_equal(given.mutual_information, np.full((N, 1), 0.25))
    scale = np.array([0.1, 20.0])
    moved = given.in_units(shift=np.zeros(D), scale=scale)
    np.testing.assert_allclose(moved.latent_variance, scale**2 * 4 * Y**2, rtol=1e-14)
    np.testing.assert_allclose(moved.variance, scale**2 * 7 * Y**2, rtol=1e-14)


def test_no_noise() -> None:
    """Moments and samples are those of the functions; there is no density."""
    predictive = Predictive.from_functions(FUNCTIONS, 0)
    np.testing.assert_array_equal(predictive.variance, predictive.epistemic_variance)
    np.testing.assert_array_equal(predictive.sample(seed=0), FUNCTIONS)
    for variances in (0, [1.0, 0.0]):
        with pytest.raises(ValueError, match=r"^y has no density: noise_variance must be > 0, got 0\.0$"):
            Predictive.from_functions(FUNCTIONS, variances).log_prob(Y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_that_change_afterwards(dtype: Any) -> None:
    """They are copied, and computed with in double precision."""
    functions, noise = FUNCTIONS.astype(dtype), NOISE["of samples"].astype(dtype)
    predictive = Predictive.from_functions(functions, noise)
    before = predictive.log_prob(Y)
    functions[:] = 0
    noise[:] = 1
    np.testing.assert_array_equal(predictive.log_prob(Y), before)
    assert predictive.mean.dtype == before.dtype == np.float64


@pytest.mark.parametrize(
    ("functions", "noise_variance", "message"),
    [
        (FUNCTIONS[0], 1.0, r"^functions must have shape \[S, N, D\], got \[6, 2\]$"),
        (FUNCTIONS[:0], 1.0, r"^functions must have shape \[S, N, D\], got \[0, 6, 2\]$"),
        (np.where(np.arange(N)[:, None] == 3, np.nan, FUNCTIONS), 1.0, r"^functions must be finite, got nan$"),
        ([[["a"]]], 1.0, r"^functions must hold numbers: could not convert"),
        (FUNCTIONS, -0.5, r"^noise_variance must be >= 0, got -0\.5$"),
        (FUNCTIONS, [1.0, np.inf], r"^noise_variance must be finite, got inf$"),
        (FUNCTIONS, None, r"^noise_variance must be finite, got nan$"),
        (FUNCTIONS, [1.0], r"^noise_variance must be a number, or have shape .* \[7, 6, 2\], got shape \[1\]$"),
        (FUNCTIONS, np.ones((N, 1)), r"got shape \[6, 1\]$"),
        (FUNCTIONS, np.ones((1, N, D)), r"got shape \[1, 6, 2\]$"),
    ],
)
def test_what_is_no_predictive(functions: Any, noise_variance: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictive.from_functions(functions, noise_variance)


@pytest.mark.parametrize(
    ("y", "tau", "message"),
    [
        (Y[:, :1], 1, r"^y must have shape \[6, 2\], got \[6, 1\]$"),
        (
            np.where(np.indices(Y.shape)[0] == 2, np.inf, Y),
            1,
            r"^y must be finite, got inf in row 2, column 0$",
        ),
        (Y, 7, "^tau must be at most the number of rows, 6, got 7$"),
        (Y, 0, "^tau must be a whole number >= 1, got 0$"),
    ],
)
def test_targets_that_do_not_fit(y: Any, tau: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictive.from_functions(FUNCTIONS, 1.0).joint_log_prob(y, tau=tau)
