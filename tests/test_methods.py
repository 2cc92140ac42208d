"""One contract for every method of `METHODS`: a posterior in the units of the data, made again by its seed."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from scipy.integrate import trapezoid

from variational_bnn.base import Dataset, Network, Training
from variational_bnn.likelihoods import Normal
from variational_bnn.methods import METHODS
from variational_bnn.predictive import sample_functions

RNG = np.random.default_rng(0)
N, SHIFT, SCALE, NOISE = 40, 1000.0, 50.0, 5.0
X = np.column_stack([RNG.uniform(-1, 1, N), 1e4 * RNG.normal(size=N)])
Y = (SHIFT + SCALE * np.sin(3 * X[:, 0]) + NOISE * RNG.normal(size=N))[:, None]
DATASET = Dataset(name="made", x=X, y=Y)
NETWORK = Network(
    input_shape=(2,), output_size=1, hidden_units=(16,), activation="tanh", likelihood=Normal(scale=NOISE)
)
TRAINING = Training(steps=600, batch_size=64, learning_rate=0.03)
POINT = ("deterministic", "output")
everywhere = pytest.mark.parametrize("name", METHODS)


@functools.cache
def _fitted(name: str) -> Any:
    return METHODS[name](DATASET, NETWORK, TRAINING, 0)


@everywhere
def test_a_posterior_keeps_its_promises(name: str) -> None:
    posterior = _fitted(name)
    predictive = posterior.predict(X[:7], num_samples=150, seed=0)
    functions = posterior.sample_functions(X[:7], num_samples=150, seed=0)
    assert functions.shape == (150, 7, 1)
    assert functions.dtype == np.float32
    assert predictive.mean.shape == predictive.variance.shape == (7, 1)
    assert isinstance(posterior.num_parameters, int)
    assert posterior.num_parameters >= 16 * 3 + 17
    np.testing.assert_allclose(predictive.mean, functions.mean(0), rtol=1e-5)
    np.testing.assert_allclose(predictive.epistemic_variance, functions.var(0, dtype=np.float64), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(predictive.variance, predictive.epistemic_variance + predictive.aleatoric_variance)


@everywhere
def test_the_fit_is_in_the_units_of_y_and_an_untrained_one_is_not_good_enough(name: str) -> None:
    """Unseen inputs are met far better than by the mean of y; after one step they are not."""
    x = np.column_stack([np.linspace(-0.9, 0.9, 50), np.zeros(50)])
    truth = SHIFT + SCALE * np.sin(3 * x[:, :1])
    errors = [
        np.sqrt(np.mean((posterior.predict(x, num_samples=100, seed=0).mean - truth) ** 2))
        for posterior in (_fitted(name), METHODS[name](DATASET, NETWORK, Training(steps=1), 0))
    ]
    assert errors[0] < 0.5 * truth.std() < errors[1]


@everywhere
def test_the_density_is_in_the_units_of_y(name: str) -> None:
    """It integrates to one over y, and has the predictive's mean."""
    grid = np.linspace(SHIFT - 12 * SCALE, SHIFT + 12 * SCALE, 4001)
    posterior = _fitted(name)
    predictive = posterior.predict(np.repeat(X[:1], len(grid), axis=0), num_samples=50, seed=0)
    density = np.exp(predictive.log_prob(grid))
    assert trapezoid(density, grid) == pytest.approx(1, rel=1e-3)
    assert trapezoid(density * grid, grid) == pytest.approx(predictive.mean[0, 0], rel=1e-4)
    variance = trapezoid(density * (grid - predictive.mean[0, 0]) ** 2, grid)
    assert variance == pytest.approx(predictive.variance[0, 0], rel=1e-2)


@everywhere
def test_point_weights_have_no_epistemic_variance_and_all_others_have(name: str) -> None:
    variance = _fitted(name).predict(X, num_samples=30, seed=0).epistemic_variance
    assert (variance == 0.0).all() if name in POINT else (variance > 0).all()


@everywhere
def test_known_noise_stays_what_the_network_says(name: str) -> None:
    """In the units of y; the output method alone learns a noise of its own."""
    noise = np.sqrt(_fitted(name).predict(X, num_samples=5, seed=0).aleatoric_variance)
    if name == "output":
        assert np.ptp(noise) > 0
    else:
        np.testing.assert_allclose(noise, NOISE, rtol=1e-5)


@everywhere
def test_the_same_seed_gives_the_same_posterior_and_another_another(name: str) -> None:
    short = Training(steps=20, batch_size=16)
    draws = [METHODS[name](DATASET, NETWORK, short, s).sample_functions(X, num_samples=4, seed=1) for s in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.isclose(draws[0], draws[2], rtol=1e-7).all()


@pytest.mark.parametrize("name", ["flipout", "hidden"])
def test_the_units_of_the_data_do_not_matter(name: str) -> None:
    """Inputs and targets in other units give the same posterior in those units."""
    other = Dataset(name="made", x=X * [3.0, 1e-3] + [5.0, 2.0], y=7.0 + 0.25 * Y)
    network = Network(
        input_shape=(2,), output_size=1, hidden_units=(16,), activation="tanh", likelihood=Normal(scale=0.25 * NOISE)
    )
    short = Training(steps=50, batch_size=64)
    first = METHODS[name](DATASET, NETWORK, short, 0).predict(DATASET.x, num_samples=30, seed=0)
    second = METHODS[name](other, network, short, 0).predict(other.x, num_samples=30, seed=0)
    np.testing.assert_allclose(second.mean, 7.0 + 0.25 * first.mean, rtol=1e-3)
    np.testing.assert_allclose(second.epistemic_variance, first.epistemic_variance / 16, rtol=2e-2)
    np.testing.assert_allclose(second.log_prob(other.y), first.log_prob(Y) + np.log(4), atol=0.1)


@everywhere
def test_a_network_of_other_sizes_is_refused(name: str) -> None:
    network = Network(input_shape=(3,), output_size=1, likelihood=Normal())
    with pytest.raises(ValueError, match=r"network must have input_shape, output_size = \(\(2,\), 1\) for the dataset"):
        METHODS[name](DATASET, network, TRAINING, 0)


@everywhere
def test_a_diverged_training_says_so(name: str) -> None:
    with pytest.raises(RuntimeError, match="diverged: the loss became"):
        METHODS[name](DATASET, NETWORK, Training(steps=50, learning_rate=1e30), 0)


def test_the_training_of_a_method_is_the_builders_own() -> None:
    """The posterior's draws are those of its model, moved to the units of y."""
    posterior = _fitted("flipout")
    standard = sample_functions(posterior.model, (X - X.mean(0)) / X.std(0), num_samples=3, seed=0)
    found = posterior.sample_functions(X, num_samples=3, seed=0)
    np.testing.assert_allclose(found, Y.mean() + Y.std() * standard, rtol=1e-5)
