"""One contract for every method of `METHODS`: a posterior in the units of the data, made again by its seed."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import trapezoid

from variational_bnn.base import BEYOND, NEAR, Dataset, Network, Training
from variational_bnn.experiments.tables import Cell, Finished, run_cell
from variational_bnn.methods import METHODS, FitError
from variational_bnn.methods.laplace import MAX_WEIGHTS
from variational_bnn.models.likelihoods import Normal
from variational_bnn.prediction.predict import sample_functions

RNG = np.random.default_rng(0)
N, SHIFT, SCALE, NOISE = 60, 1000.0, 50.0, 8.0
X = np.column_stack([RNG.uniform(-1, 1, N), 1e4 * RNG.normal(size=N)])
Y = (SHIFT + SCALE * np.sin(3 * X[:, 0]) + NOISE * RNG.normal(size=N))[:, None]
DATASET = Dataset(name="made", x=X, y=Y)
UNITS = 16
NETWORK = Network(input_shape=(2,), output_size=1, hidden_units=(UNITS,), likelihood=Normal(scale=NOISE))
TRAINING = Training(steps=1000, batch_size=32, learning_rate=0.03, warmup=300, draws=700, thinning=10)
LINE = dataclasses.replace(NETWORK, hidden_units=())
SHORT = Training(steps=20, batch_size=16, warmup=1, draws=4, thinning=1)

WEIGHTS = 4 * UNITS + 1
COUNTS = {  # Numbers trained or sampled, and numbers that make one function.
    "deterministic": (WEIGHTS, 0),
    "output": (WEIGHTS + UNITS + 1, 0),
    "reparameterization": (2 * WEIGHTS, WEIGHTS),
    "flipout": (2 * WEIGHTS, WEIGHTS),
    "local_reparameterization": (2 * WEIGHTS, WEIGHTS),
    "hidden": (7 * UNITS + 1, UNITS),
    "dropout": (WEIGHTS, UNITS),
    "ensemble": (5 * WEIGHTS, 1),
    "laplace": (WEIGHTS, WEIGHTS),
    "sgld": (WEIGHTS, WEIGHTS),
    "metropolis": (WEIGHTS, WEIGHTS),
    "hmc": (WEIGHTS, WEIGHTS),
    "linear": (3, 3),
    "prior": (0, WEIGHTS),
}
POINT = ("deterministic", "output")
CHAINS = ("sgld", "metropolis", "hmc")
NOT_TRAINED = ("metropolis", "hmc", "linear", "prior")  # They take no gradient steps, whose rate may be too high.
NO_SINE = ("linear", "prior")  # A line does not bend, and the prior has seen nothing.
NO_FAN = (*POINT, "hidden")  # They have no doubt of their weights; latent noise may do anything.

everywhere = pytest.mark.parametrize("name", METHODS)
without = functools.partial(lambda *left: pytest.mark.parametrize("name", [m for m in METHODS if m not in left]))


@functools.cache
def _fitted(name: str) -> Any:
    return METHODS[name](DATASET, NETWORK, TRAINING, 0)


@functools.cache
def _cell(name: str, network: Network = NETWORK, training: Training = SHORT) -> Finished:
    return run_cell(Cell(method=name, seed=0, dataset=DATASET, network=network, training=training, num_samples=10))


def test_every_method_is_counted() -> None:
    assert list(COUNTS) == list(METHODS)


@everywhere
def test_a_posterior_keeps_its_promises(name: str) -> None:
    posterior = _fitted(name)
    predictive = posterior.predict(X[:7], num_samples=150, seed=0)
    functions = posterior.sample_functions(X[:7], num_samples=150, seed=0)
    assert functions.shape == (150, 7, 1)
    assert functions.dtype == np.float64
    for values in (predictive.mean, predictive.epistemic_variance, predictive.aleatoric_variance, predictive.variance):
        assert values.shape == (7, 1)
        assert np.isfinite(values).all()
    assert np.isfinite(functions).all()
    assert np.isfinite(predictive.log_prob(Y[:7])).all()
    assert (posterior.num_parameters, posterior.num_random_variables) == COUNTS[name]
    assert isinstance(posterior.num_parameters, int)
    assert (posterior.diagnostics is not None) == (name in CHAINS)
    np.testing.assert_array_equal(predictive.variance, predictive.epistemic_variance + predictive.aleatoric_variance)


@everywhere
def test_the_predictive_is_that_of_its_functions(name: str) -> None:
    """Of the very same draws; that of `linear` is exact, and so is met within 5 standard errors of many draws."""
    posterior, draws = _fitted(name), 4000 if name == "linear" else 150
    predictive = posterior.predict(X[:7], num_samples=draws, seed=0)
    functions = posterior.sample_functions(X[:7], num_samples=draws, seed=0).astype(np.float64)
    sd = np.sqrt(predictive.epistemic_variance)
    if name == "linear":
        assert (np.abs(functions.mean(0) - predictive.mean) < 5 * sd / np.sqrt(draws)).all()
        assert (np.abs(functions.var(0) / sd**2 - 1) < 5 * np.sqrt(2 / draws)).all()
    else:
        np.testing.assert_allclose(predictive.mean, functions.mean(0), rtol=1e-5)
        np.testing.assert_allclose(predictive.epistemic_variance, functions.var(0), rtol=1e-3, atol=1e-6)


@everywhere
def test_a_draw_is_one_function(name: str) -> None:
    """Equal rows, wherever they stand, have equal values in each draw; the first of more draws are the same ones."""
    posterior = _fitted(name)
    functions = posterior.sample_functions(np.vstack([X[:5], X[:5]]), num_samples=30, seed=2)
    np.testing.assert_array_equal(functions[:, :5], functions[:, 5:])
    np.testing.assert_array_equal(posterior.sample_functions(X[:5], num_samples=30, seed=2), functions[:, :5])
    np.testing.assert_array_equal(posterior.sample_functions(X[:5], num_samples=20, seed=2), functions[:20, :5])
    other = posterior.sample_functions(X[:5], num_samples=30, seed=3)
    assert (other == functions[:, :5]).all() == (name in POINT)


def _agree(samples: Any, mean: Any, variance: Any, mean_error: Any, variance_error: Any) -> bool:
    """Whether samples' mean and variance are these, within 5 standard errors."""
    off = np.abs(samples.mean(0) - mean) / mean_error, np.abs(samples.var(0) - variance) / variance_error
    return bool((off[0] < 5).all() and (off[1] < 5).all())


@everywhere
def test_samples_have_the_predictives_mean_and_variance(name: str) -> None:
    """They go through the same draws, so that they differ by the noise alone; those of `linear` by the draws too."""
    draws = 4000
    predictive = _fitted(name).predict(X[:7], num_samples=draws, seed=0)
    noise = predictive.variance if name == "linear" else predictive.aleatoric_variance
    errors = (
        np.sqrt(noise / draws),
        np.sqrt((2 * noise**2 + (name != "linear") * 4 * noise * predictive.epistemic_variance) / draws),
    )
    samples = predictive.sample(seed=1).astype(np.float64)
    assert samples.shape == (draws, 7, 1)
    assert _agree(samples, predictive.mean, predictive.variance, *errors)
    functions = _fitted(name).sample_functions(X[:7], num_samples=draws, seed=0)
    assert not _agree(functions, predictive.mean, predictive.variance, *errors), "functions have no noise"
    np.testing.assert_array_equal(predictive.sample(seed=1), samples)
    assert (predictive.sample(seed=2) != samples).any()


@without(*NO_SINE)
def test_the_fit_is_in_the_units_of_y_and_an_untrained_one_is_not_good_enough(name: str) -> None:
    """Unseen inputs are met far better than by the mean of y; by the prior they are not, nor after one step."""
    x = np.column_stack([np.linspace(-0.9, 0.9, 50), np.zeros(50)])
    truth = SHIFT + SCALE * np.sin(3 * x[:, :1])
    untrained = ["prior"] if name in NOT_TRAINED + CHAINS else ["prior", name]
    posteriors = [_fitted(name), *(METHODS[u](DATASET, NETWORK, Training(steps=1), 0) for u in untrained)]
    error, *others = [
        np.sqrt(np.mean((posterior.predict(x, num_samples=100, seed=0).mean - truth) ** 2)) for posterior in posteriors
    ]
    assert error < 0.6 * truth.std() < min(others)


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


def _fans_out(name: str) -> bool:
    """Whether, eight times as far from the middle, the draws disagree more than twice as much."""
    posterior, far = _fitted(name), X.mean(0) + 8 * (X - X.mean(0))
    near, beyond = (np.sqrt(posterior.predict(x, num_samples=200, seed=0).epistemic_variance).mean() for x in (X, far))
    return bool(beyond > 2 * near)


@everywhere
def test_of_relus_with_doubtful_weights_far_away_is_less_certain(name: str) -> None:
    """Each draw is linear far from the data, with a slope of its own; noise of hidden units is no such doubt."""
    assert _fans_out(name) == (name not in NO_FAN)


@everywhere
def test_known_noise_stays_what_the_network_says(name: str) -> None:
    """In the units of y; the output method alone learns a noise of its own."""
    noise = np.sqrt(_fitted(name).predict(X, num_samples=5, seed=0).aleatoric_variance)
    if name == "output":
        assert np.ptp(noise) > 0
    else:
        np.testing.assert_allclose(noise, NOISE, rtol=1e-5)


def _after_a_short_fit(name: str, seed: int) -> Any:
    """Some draws, or of `hmc`, whose chains are too short to be a posterior, the whole trace."""
    short = dataclasses.replace(SHORT, batch_size=N) if name == "sgld" else SHORT  # Its batches take long to compile.
    if name != "hmc":
        return METHODS[name](DATASET, NETWORK, short, seed).sample_functions(X, num_samples=4, seed=1)
    with pytest.raises(FitError) as refused:
        METHODS[name](DATASET, LINE, SHORT, seed)
    assert refused.value.diagnostics is not None
    return refused.value.diagnostics.trace


@everywhere
def test_the_same_seed_gives_the_same_posterior_and_another_another(name: str) -> None:
    """Where something in the fit is random: what is exact, or has seen nothing, is the same from all seeds."""
    first = _cell(name, LINE).draws["trace"] if name == "hmc" else _after_a_short_fit(name, seed=0)
    again, other = _after_a_short_fit(name, seed=0), _after_a_short_fit(name, seed=1)
    np.testing.assert_array_equal(first, again)
    assert np.isclose(first, other, rtol=1e-7).all() == (name in NO_SINE)


@pytest.mark.parametrize("name", ["flipout", "hidden", "dropout"])
def test_the_units_of_the_data_do_not_matter(name: str) -> None:
    """Inputs and targets in other units give the same posterior in those units."""
    other = Dataset(name="made", x=X * [3.0, 1e-3] + [5.0, 2.0], y=7.0 + 0.25 * Y)
    network = dataclasses.replace(NETWORK, likelihood=Normal(scale=0.25 * NOISE))
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


@without(*NOT_TRAINED)
def test_a_diverged_training_says_so(name: str) -> None:
    with pytest.raises(FitError, match="diverged: the loss became"):
        METHODS[name](DATASET, NETWORK, dataclasses.replace(SHORT, learning_rate=1e30), 0)


@pytest.mark.parametrize("name", ["flipout", "ensemble"])
def test_a_diverged_training_is_a_row(name: str) -> None:
    finished = _cell(name, training=dataclasses.replace(SHORT, learning_rate=1e30))
    assert {row.region for row in finished.rows} == {row.region for row in _cell(name).rows} >= {NEAR, BEYOND}
    for row in finished.rows:
        assert row.status.startswith("diverged: the loss became")
        assert math.isnan(row.epistemic_variance)
        assert math.isnan(row.r_hat)
    assert finished.predictions.empty
    assert finished.draws == {}
    assert all(row.status == "ok" for row in _cell(name).rows), "at a rate that is not too high there is a posterior"


def test_chains_that_have_not_converged_are_no_reference() -> None:
    """The row says so and keeps what they said of themselves, and their trace is kept."""
    finished = _cell("hmc", LINE)
    for row in finished.rows:
        assert row.status.startswith("not converged: R-hat ")
        assert row.r_hat > 1.01 or row.ess < 400
        assert 0 < row.acceptance <= 1
        assert row.ess > 0
        assert math.isnan(row.epistemic_variance)
    assert finished.predictions.empty
    assert finished.draws["trace"].shape == (100 + SHORT.draws, SHORT.chains)
    assert finished.draws["warmup"] == 100
    found = _fitted("hmc").diagnostics
    assert found.r_hat <= 1.01
    assert found.ess >= 400


@pytest.mark.parametrize("name", CHAINS)
def test_chains_say_how_they_went(name: str) -> None:
    found = _fitted(name).diagnostics
    assert found.trace.shape == (1000, 4)
    assert found.warmup == 300
    assert np.isfinite(found.trace).all()
    assert found.r_hat > 0.99
    assert found.ess > 0
    assert math.isnan(found.acceptance) if name == "sgld" else 0 < found.acceptance < 1


def test_laplace_of_too_many_weights_is_a_row() -> None:
    units = MAX_WEIGHTS // 4
    large = dataclasses.replace(NETWORK, hidden_units=(units,))
    for row in _cell("laplace", network=large).rows:
        assert row.status == f"laplace wants at most {MAX_WEIGHTS} weights, got {4 * units + 1}"
        assert math.isnan(row.epistemic_variance)


def test_the_training_of_a_method_is_the_builders_own() -> None:
    """The posterior's draws are those of its model, moved to the units of y."""
    posterior = _fitted("flipout")
    standard = sample_functions(posterior.model, (X - X.mean(0)) / X.std(0), num_samples=3, seed=0)
    found = posterior.sample_functions(X, num_samples=3, seed=0)
    np.testing.assert_allclose(found, Y.mean() + Y.std() * standard, rtol=1e-5)
