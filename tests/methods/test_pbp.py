"""Probabilistic backpropagation: moments against Monte Carlo, updates against exact posteriors."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from scipy import stats

import variational_bnn as vbnn
from variational_bnn.methods.pbp import gamma_update, output_moments, relu_moments
from variational_bnn.models.weight_space import WeightSpace

Array = npt.NDArray[np.float64]

DRAWS = 20_000
RNG = np.random.default_rng(0)
DEEP = vbnn.Network(
    input_shape=(3,), output_size=2, hidden_units=(8, 5), likelihood=vbnn.Normal(scale=1.0), prior_scale=1.3
)
LINE = dataclasses.replace(DEEP, hidden_units=(), output_size=1, likelihood=vbnn.Normal(scale=0.5))


def test_the_moments_of_a_relu_are_those_of_draws() -> None:
    mean, variance = np.array([-6.0, -1.0, 0.0, 0.7, 5.0]), np.array([4.0, 0.5, 1.0, 2.0, 0.1])
    draws = np.maximum(mean + np.sqrt(variance) * RNG.standard_normal((10**6, 5)), 0)
    found = relu_moments(tf.constant(mean), tf.constant(variance))
    errors = draws.std(0) / 1e3, ((draws - draws.mean(0)) ** 2).std(0) / 1e3
    for moment, of_draws, error in zip(found, (draws.mean(0), draws.var(0)), errors, strict=True):
        assert (np.abs(moment.numpy() - of_draws) < 4.5 * error).all()


def test_the_moments_of_each_layer_are_those_of_drawn_networks() -> None:
    """Exact in the first two layers; in the third the units are neither normal nor independent, but nearly so."""
    space = WeightSpace.of(DEEP)
    mean, sd, x = RNG.normal(size=space.size), RNG.uniform(0.1, 1.5, space.size), RNG.normal(size=3)
    found = output_moments(space, *map(tf.constant, (mean, sd**2, x)))
    h = np.tile(x, (DRAWS, 1))
    weights = (mean + sd * RNG.standard_normal((DRAWS, space.size))) * space.prior_scales
    start = 0
    for layer, ((rows, units), (layer_mean, layer_variance)) in enumerate(zip(space.shapes, found, strict=True)):
        matrix = weights[:, start : start + rows * units].reshape(DRAWS, rows, units)
        start += rows * units
        h = np.einsum("si,siu->su", np.column_stack([h, np.ones(DRAWS)]), matrix)
        sd_of_layer, more = h.std(0), 0.0 if layer < 2 else 0.1
        assert (np.abs(layer_mean - h.mean(0)) < (4.5 / np.sqrt(DRAWS) + more) * sd_of_layer).all()
        error = ((h - h.mean(0)) ** 2).std(0) / np.sqrt(DRAWS)
        assert (np.abs(layer_variance - h.var(0)) < 4.5 * error + more * h.var(0)).all()
        h = np.maximum(h, 0)


def _fitted(x: Array, y: Array, **settings: Any) -> tuple[Array, Array]:
    """Means and variances of the weights and the bias of a linear network after one pass."""
    method = vbnn.ProbabilisticBackpropagation(passes=1, standardise=False, **settings)
    layer = method.fit(vbnn.Dataset(name="rows", x=x, y=y), LINE, 0).model.get_layer("network")
    scales = layer.space.prior_scales
    return scales * layer.loc.numpy(), (scales * layer.scale.numpy()) ** 2


def _exact(x: Array, y: Array) -> tuple[Array, Array]:
    """Means and variances of the exact posterior."""
    features, prior_variance = np.column_stack([x, np.ones(len(x))]), LINE.prior_scale**2 * np.array([1 / 3] * 3 + [1])
    cov = np.linalg.inv(features.T @ features / 0.5**2 + np.diag(1 / prior_variance))
    return cov @ features.T @ y[:, 0] / 0.5**2, np.diag(cov)


def test_a_pass_through_rows_of_which_only_the_bias_learns_gives_the_exact_posterior() -> None:
    x = 1e-6 * RNG.normal(size=(20, 3))
    y = 2 + RNG.normal(size=(20, 1))
    for found, expected in zip(_fitted(x, y), _exact(x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_pass_through_other_rows_is_near_the_exact_posterior() -> None:
    """Means to two sds and sds to a fifth: it leaves out the correlations that later rows would have corrected."""
    x = RNG.normal(size=(50, 3))
    y = x @ np.array([[1.0], [-1.0], [0.5]]) + 0.5 * RNG.normal(size=(50, 1))
    (mean, variance), (exact_mean, exact_variance) = _fitted(x, y), _exact(x, y)
    assert (np.abs(mean - exact_mean) < 2 * np.sqrt(exact_variance)).all()
    np.testing.assert_allclose(np.sqrt(variance), np.sqrt(exact_variance), rtol=0.2)
    twice = vbnn.ProbabilisticBackpropagation(passes=2, standardise=False)
    layer = twice.fit(vbnn.Dataset(name="rows", x=x, y=y), LINE, 0).model.get_layer("network")
    ratio = (layer.space.prior_scales * layer.scale.numpy()) ** 2 / variance
    np.testing.assert_allclose(ratio, 0.5, rtol=0.2)  # As of twice the rows.


def test_the_precision_of_known_errors_has_the_conjugate_update() -> None:
    """Of Student t densities, which the errors have if only the precision is not known."""
    shape, rate, error = 6.0, 4.0, 1.7

    def log_z(more: int) -> tf.Tensor:
        a = shape + more
        return tf.constant(stats.t.logpdf(error, 2 * a, scale=np.sqrt(rate / a)))

    found = gamma_update([log_z(0), log_z(1), log_z(2)], shape, rate)
    np.testing.assert_allclose(found, [shape + 0.5, rate + error**2 / 2], rtol=1e-10)


def test_noise_that_is_not_known_is_learned_of_each_output() -> None:
    x = RNG.normal(size=(400, 3))
    y = np.column_stack([x @ [1.0, -1.0, 1.0], x @ [1.0, 0.0, 0.0]]) + [0.5, 2.0] * RNG.normal(size=(400, 2))
    network = dataclasses.replace(LINE, output_size=2, likelihood=vbnn.Normal())
    method = vbnn.ProbabilisticBackpropagation(passes=3, standardise=False)
    posterior = method.fit(vbnn.Dataset(name="two outputs", x=x, y=y), network, 0)
    noise = np.sqrt(posterior.predict(x, num_samples=2, seed=0).aleatoric_variance)
    np.testing.assert_allclose(noise, np.tile([0.5, 2.0], (400, 1)), rtol=0.15)
    assert posterior.diagnostics.likelihood == "Normal(scale='learned')"


def test_a_prior_that_holds_the_weights_for_improbable_can_be_widened() -> None:
    """By a factor that all weights share."""
    x, truth = RNG.normal(size=(100, 3)), np.array([3.0, -3.0, 3.0])
    y = x @ truth[:, None] + 0.5 * RNG.normal(size=(100, 1))
    errors = []
    for learn_prior in (False, True):
        method = vbnn.ProbabilisticBackpropagation(passes=3, standardise=False, learn_prior=learn_prior)
        network = dataclasses.replace(LINE, prior_scale=0.03)
        found = method.fit(vbnn.Dataset(name="steep", x=x, y=y), network, 0)
        errors.append(np.abs(found.predict(np.eye(3), num_samples=400, seed=0).mean[:, 0] - truth).max())
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "tanh"}, "activation must be linear or relu, got tanh"),
        ({"likelihood": vbnn.Bernoulli()}, "needs a Normal likelihood, got Bernoulli"),
    ],
)
def test_what_has_no_closed_form_is_named(changes: dict[str, Any], message: str) -> None:
    network = dataclasses.replace(DEEP, output_size=1, **changes)
    dataset = vbnn.Dataset(name="signs", x=RNG.normal(size=(5, 3)), y=np.array([[0.0, 1.0, 0.0, 1.0, 1.0]]).T)
    with pytest.raises(ValueError, match=message):
        vbnn.ProbabilisticBackpropagation().fit(dataset, network, 0)
