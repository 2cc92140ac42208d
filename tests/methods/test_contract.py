"""One contract for every method of `METHODS`: a posterior in the units of the data, whose draws are functions."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import trapezoid

import variational_bnn as vbnn
from variational_bnn.methods import METHODS

RNG = np.random.default_rng(0)
N, SHIFT, SCALE, NOISE = 60, 1000.0, 50.0, 8.0
X = np.column_stack([RNG.uniform(-1, 1, N), 1e4 * RNG.normal(size=N)])
Y = (SHIFT + SCALE * np.sin(3 * X[:, 0]) + NOISE * RNG.normal(size=N))[:, None]
DATASET = vbnn.Dataset(name="made", x=X, y=Y)
UNITS = 16
NETWORK = vbnn.Network(input_shape=(2,), output_size=1, hidden_units=(UNITS,), likelihood=vbnn.Normal(scale=NOISE))

WEIGHTS = 4 * UNITS + 1
LATENT_WEIGHTS = 3 * UNITS + 4 * (UNITS + 1) + 3 * UNITS + UNITS + 1  # To two latents and from them.
COUNTS = {  # How many numbers are trained or sampled, and how many make one function sample.
    "deterministic": (WEIGHTS, 0),
    "output": (WEIGHTS, 0),
    "reparameterization": (2 * WEIGHTS, WEIGHTS),
    "flipout": (2 * WEIGHTS, WEIGHTS),
    "local_reparameterization": (2 * WEIGHTS, WEIGHTS),
    "matrix_gaussian": (WEIGHTS + 9 + 3 + UNITS**2 + UNITS + (UNITS + 1) ** 2 + (UNITS + 1) + 1 + 1, WEIGHTS),
    "full_covariance": (WEIGHTS + WEIGHTS * (WEIGHTS + 1) // 2, WEIGHTS),
    "hypernet": (32 * 64 + 64 + 65 * WEIGHTS, 32),
    "alpha": (2 * WEIGHTS, WEIGHTS),
    "pbp": (2 * WEIGHTS, WEIGHTS),
    "hidden": (LATENT_WEIGHTS, 2),
    "hidden_shared": (WEIGHTS + 2 * UNITS, UNITS),
    "hidden_conditional": (LATENT_WEIGHTS, 2),
    "dropout": (WEIGHTS, UNITS),
    "variational_dropout": (WEIGHTS + 2 + UNITS, WEIGHTS - UNITS - 1),
    "ensemble": (5 * WEIGHTS, 1),
    "laplace": (WEIGHTS, WEIGHTS),
    "swag": (WEIGHTS, WEIGHTS + 20),
    "sgld": (WEIGHTS, WEIGHTS),
    "metropolis": (WEIGHTS, WEIGHTS),
    "hmc": (WEIGHTS, WEIGHTS),
    "gp": (0, 4097),
    "linear": (3, 3),
    "prior": (0, WEIGHTS),
}
POINT = ("deterministic", "output")
CHAINS = ("sgld", "metropolis", "hmc")
NOT_TRAINED = (
    "pbp",
    "metropolis",
    "hmc",
    "gp",
    "linear",
    "prior",
)  # They take no gradient steps, whose rate may be too high.
CLOSED_FORMS = ("gp", "linear")
NO_SINE = ("linear", "prior")  # A linear function does not bend, and the prior has seen no targets.
LATENTS = ("hidden", "hidden_conditional")  # Their draws differ by latents of each row, and their weights are points.

everywhere = pytest.mark.parametrize("name", METHODS)


def _without(*left: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in METHODS if name not in left])


def _method(name: str, **settings: Any) -> Any:
    """The method with those of the settings that it has."""
    fields = {field.name for field in dataclasses.fields(METHODS[name])}  # type: ignore[arg-type]
    return dataclasses.replace(METHODS[name], **{k: v for k, v in settings.items() if k in fields})  # type: ignore


@functools.cache
def _fitted(name: str) -> Any:
    draws, steps = 300 if name == "hmc" else 700, 5000 if name == "alpha" else 1000  # Its gradients vary more.
    method = _method(name, steps=steps, batch_size=32, learning_rate=0.03, warmup=300, draws=draws, thinning=10)
    return method.fit(DATASET, NETWORK, 0)


def test_every_method_is_counted() -> None:
    assert list(COUNTS) == list(METHODS)


@everywhere
def test_a_method_and_its_posterior_are_those_of_the_protocols(name: str) -> None:
    """Settings are fields of a frozen dataclass; the method supports the network."""
    method = METHODS[name]
    assert isinstance(method, vbnn.Method)
    assert method.supports(DATASET, NETWORK) is None
    assert isinstance(_fitted(name), vbnn.Posterior)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.standardise = False  # type: ignore[attr-defined]


@everywhere
def test_a_posterior_has_predictions_and_functions_in_their_shapes(name: str) -> None:
    posterior = _fitted(name)
    predictive = posterior.predict(X[:7], num_samples=150, seed=0)
    functions = posterior.sample_functions(X[:7], num_samples=150, seed=0)
    assert functions.shape == (150, 7, 1)
    assert functions.dtype == np.float64
    parts = predictive.epistemic_variance, predictive.latent_variance, predictive.aleatoric_variance
    for values in (predictive.mean, *parts, predictive.variance):
        assert values.shape == (7, 1)
        assert np.isfinite(values).all()
    assert np.isfinite(functions).all()
    assert np.isfinite(predictive.log_prob(Y[:7])).all()
    np.testing.assert_array_equal(predictive.variance, sum(parts))


@everywhere
def test_the_diagnostics_have_the_size_of_the_posterior(name: str) -> None:
    """Only chains have a trace, and draws of weights; all say which likelihood they fitted."""
    diagnostics = _fitted(name).diagnostics
    assert (diagnostics.num_parameters, diagnostics.num_random_variables) == COUNTS[name]
    assert isinstance(diagnostics.num_parameters, int)
    assert diagnostics.likelihood == "Normal(scale=8)"
    assert (diagnostics.trace is not None) == (name in CHAINS)
    assert math.isnan(diagnostics.r_hat) == (name not in CHAINS)
    assert (getattr(_fitted(name), "weights", None) is not None) == (name in CHAINS)


@everywhere
def test_the_predictive_is_that_of_its_functions(name: str) -> None:
    """Of the very same draws; a closed form is met within 5 standard errors of many draws."""
    posterior, draws = _fitted(name), 4000 if name in CLOSED_FORMS else 150
    predictive = posterior.predict(X[:7], num_samples=draws, seed=0)
    functions = posterior.sample_functions(X[:7], num_samples=draws, seed=0)
    sd = np.sqrt(predictive.variance_over_draws)
    if name in CLOSED_FORMS:
        assert (np.abs(functions.mean(0) - predictive.mean) < 5 * sd / np.sqrt(draws)).all()
        assert (np.abs(functions.var(0) / sd**2 - 1) < 5 * np.sqrt(2 / draws)).all()
    else:
        np.testing.assert_allclose(predictive.mean, functions.mean(0), rtol=1e-5)
        np.testing.assert_allclose(predictive.variance_over_draws, functions.var(0), rtol=1e-3, atol=1e-6)


@everywhere
def test_a_draw_is_one_function_unless_it_has_latents(name: str) -> None:
    """Equal rows, wherever they stand, have equal values in each draw; the first of more draws are the same ones."""
    posterior = _fitted(name)
    functions = posterior.sample_functions(np.vstack([X[:5], X[:5]]), num_samples=30, seed=2)
    assert (functions[:, :5] == functions[:, 5:]).all() == (name not in LATENTS)
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
    """They are of the same function samples, so that they differ by the noise alone; closed forms are not."""
    draws = 4000
    predictive = _fitted(name).predict(X[:7], num_samples=draws, seed=0)
    noise = predictive.variance if name in CLOSED_FORMS else predictive.aleatoric_variance
    errors = (
        np.sqrt(noise / draws),
        np.sqrt((2 * noise**2 + (name not in CLOSED_FORMS) * 4 * noise * predictive.variance_over_draws) / draws),
    )
    samples = predictive.sample(seed=1).astype(np.float64)
    assert samples.shape == (draws, 7, 1)
    assert _agree(samples, predictive.mean, predictive.variance, *errors)
    functions = _fitted(name).sample_functions(X[:7], num_samples=draws, seed=0)
    assert not _agree(functions, predictive.mean, predictive.variance, *errors), "functions have no noise"
    np.testing.assert_array_equal(predictive.sample(seed=1), samples)
    assert (predictive.sample(seed=2) != samples).any()


def _error(posterior: Any) -> float:
    """Root mean squared error of the mean at new inputs, in standard deviations of the true function there."""
    x = np.column_stack([np.linspace(-0.9, 0.9, 50), np.zeros(50)])
    truth = SHIFT + SCALE * np.sin(3 * x[:, :1])
    mean = posterior.predict(x, num_samples=100, seed=0).mean
    return float(np.sqrt(np.mean((mean - truth) ** 2)) / truth.std())


@_without(*NO_SINE)
def test_the_fit_is_in_the_units_of_y(name: str) -> None:
    """A linear function is off by half an sd, and all others find the sine; infinitely many units bend it less."""
    assert _error(_fitted(name)) < (0.25 if name == "gp" else 0.15)


@_without(*NOT_TRAINED, "sgld", "swag")
def test_an_untrained_network_is_not_good_enough(name: str) -> None:
    assert _error(_method(name, steps=1).fit(DATASET, NETWORK, 0)) > 0.8


def test_the_controls_are_not_good_enough() -> None:
    assert _error(_fitted("prior")) > 0.8
    assert 0.4 < _error(_fitted("linear")) < 0.7


@everywhere
def test_the_density_is_in_the_units_of_y(name: str) -> None:
    """It integrates to one over y, and has the predictive's mean.

    With latents each row of the grid has draws of its own, so that the integrals have their Monte Carlo error.
    """
    draws, error = (4000, 10) if name in LATENTS else (50, 1)
    grid = np.linspace(SHIFT - 12 * SCALE, SHIFT + 12 * SCALE, 4001)
    posterior = _fitted(name)
    predictive = posterior.predict(np.repeat(X[:1], len(grid), axis=0), num_samples=draws, seed=0)
    density = np.exp(predictive.log_prob(grid))
    assert trapezoid(density, grid) == pytest.approx(1, rel=1e-3 * error)
    assert trapezoid(density * grid, grid) == pytest.approx(predictive.mean[0, 0], rel=1e-4 * error)
    variance = trapezoid(density * (grid - predictive.mean[0, 0]) ** 2, grid)
    assert variance == pytest.approx(predictive.variance[0, 0], rel=1e-2 * error)


@everywhere
def test_variance_has_its_source(name: str) -> None:
    """Point weights alone have no variance over draws; that of latents is not epistemic, and all other variance is."""
    predictive = _fitted(name).predict(X, num_samples=30, seed=0)
    assert (predictive.epistemic_variance > 0).all() == (name not in (*POINT, *LATENTS))
    assert (predictive.latent_variance > 0).all() == (name in LATENTS)
    assert (predictive.epistemic_variance == 0).any() == (name in (*POINT, *LATENTS))
    assert (predictive.latent_variance == 0).all() == (name not in LATENTS)


def _fans_out(name: str) -> bool:
    """Whether, eight times as far from the middle, the draws disagree more than twice as much."""
    posterior, far = _fitted(name), X.mean(0) + 8 * (X - X.mean(0))
    near, beyond = (np.sqrt(posterior.predict(x, num_samples=200, seed=0).epistemic_variance).mean() for x in (X, far))
    return bool(beyond > 2 * near)


@everywhere
def test_relus_with_uncertain_weights_are_less_certain_far_away(name: str) -> None:
    """Each draw is linear far from the data, with a slope of its own; latents of rows are another thing."""
    assert _fans_out(name) == (name not in (*POINT, *LATENTS))


@everywhere
def test_known_noise_stays_what_the_network_says(name: str) -> None:
    """In the units of y: no method swaps the likelihood."""
    noise = np.sqrt(_fitted(name).predict(X, num_samples=5, seed=0).aleatoric_variance)
    np.testing.assert_allclose(noise, NOISE, rtol=1e-5)


def test_output_is_fitted_as_in_the_lecture_where_the_dataset_asks_for_it() -> None:
    """By maximum likelihood, with a noise level for each x; so its row says."""
    method = _method("output", steps=50)
    dataset = dataclasses.replace(DATASET, output_as_in_lecture=True)
    as_given, as_in_lecture = (method.fit(data, NETWORK, 0) for data in (DATASET, dataset))
    noise = np.sqrt(as_in_lecture.predict(X, num_samples=5, seed=0).aleatoric_variance)
    assert np.ptp(noise) > 0
    assert [p.diagnostics.likelihood for p in (as_given, as_in_lecture)] == ["Normal(scale=8)", "Normal()"]
    assert "maximum likelihood" in as_in_lecture.diagnostics.note
    assert as_given.diagnostics.note == ""
    by_mode = dataclasses.replace(method, point_prior=True).fit(dataset, NETWORK, 0)
    assert [float(sum(p.model.losses)) > 0 for p in (as_given, as_in_lecture, by_mode)] == [True, False, True]
    assert by_mode.diagnostics.note == "fitted as in the lecture"


@pytest.mark.parametrize("name", CHAINS)
def test_chains_say_how_they_went(name: str) -> None:
    found, draws = _fitted(name).diagnostics, 300 if name == "hmc" else 700
    assert found.trace.shape == (300 + draws, 4)
    assert found.warmup == 300
    assert np.isfinite(found.trace).all()
    assert found.r_hat > 0.99
    assert found.ess > 0
    assert found.ess_tail > 0
    assert math.isnan(found.acceptance) if name == "sgld" else 0 < found.acceptance < 1
    assert _fitted(name).weights.shape == (draws, 4, WEIGHTS)


def test_the_functions_of_a_posterior_are_those_of_its_model() -> None:
    """They are moved to the units of y."""
    posterior = _fitted("flipout")
    standard = vbnn.sample_functions(posterior.model, (X - X.mean(0)) / X.std(0), num_samples=3, seed=0)
    found = posterior.sample_functions(X, num_samples=3, seed=0)
    np.testing.assert_allclose(found, Y.mean() + Y.std() * standard, rtol=1e-5)
