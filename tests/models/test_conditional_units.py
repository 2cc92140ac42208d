"""The bound of K draws of a learned prior, and the mixture of K likelihoods that it is made of."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.likelihood_head import LikelihoodHead, MixtureHead
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal

ROWS, TIMES = 6, 1000
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(ROWS, 2)).astype(np.float32), RNG.normal(size=(ROWS, 1)).astype(np.float32)
NETWORK = Network(
    input_shape=(2,), output_size=1, hidden_units=(5,), activation="tanh", likelihood=Normal(scale="learned")
)
LIKELIHOODS = (
    Normal(),
    Normal(scale="learned"),
    Normal(scale=0.7),
    MixtureNormal(num_components=2),
    Bernoulli(),
    Categorical(num_classes=4),
)
everywhere = pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)


@functools.cache
def _weights(quiet: bool) -> list[Any]:
    """Of latents that matter for y, or of latents without variance."""
    model = by_hand.build("conditional", NETWORK, 10, latent_size=1)
    by_hand.widen(model, seed=1)
    for variable in model.trainable_variables:
        variable.assign(2 * variable)
    if quiet:
        by_hand.quieten(model)
    return model.get_weights()


def _model(num_draws: int, quiet: bool = False) -> Any:
    model = by_hand.build("conditional", NETWORK, 10, latent_size=1, num_draws=num_draws)
    model.set_weights(_weights(quiet))
    return model


def _bound(num_draws: int, quiet: bool = False) -> tuple[float, float]:
    """The mean of log 1/K sum_k p(y given x, z_k) over the rows and many draws of each, and its standard error."""
    x, y = (np.repeat(values, TIMES, axis=0) for values in (X, Y))
    values = _model(num_draws, quiet)(x).log_prob(y).numpy().astype(np.float64).reshape(ROWS, TIMES)
    return values.mean(), values.mean(0).std(ddof=1) / np.sqrt(TIMES)


def _nodes(count: int = 200) -> tuple[by_hand.Array, by_hand.Array]:
    """Nodes and weights of Gauss-Hermite quadrature for N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def _log_densities(count: int = 200, stretch: float = 1.0) -> by_hand.Array:
    """log p(y given x, z) `[N, nodes]` at the nodes of the prior p(z given x), by NumPy."""
    model = _model(count)
    nodes = stretch * _nodes(count)[0]
    outputs, _ = by_hand.put_out(
        "conditional", model, NETWORK, X, lambda _, shape: np.broadcast_to(nodes[:, None], shape)
    )
    return -by_hand.row_nll(model, NETWORK, outputs, Y[:, None].astype(np.float64))


def _exact(count: int = 200, stretch: float = 1.0) -> by_hand.Array:
    """log p(y given x) `[N]` by quadrature."""
    return logsumexp(_log_densities(count, stretch), axis=-1, b=_nodes(count)[1])


def test_the_bound_rises_with_the_number_of_draws_up_to_the_log_density() -> None:
    bounds = [_bound(count) for count in (1, 5, 50)]
    for (low, low_error), (high, high_error) in itertools.pairwise(bounds):
        assert high - low > 10 * np.hypot(low_error, high_error)
    top, error = bounds[-1]
    assert top < _exact().mean() + 4 * error
    assert bounds[1][0] < _exact().mean() - 10 * bounds[1][1], "that of 5 draws is below it"


def test_without_variance_of_the_latents_one_draw_is_as_good_as_many() -> None:
    (one, _), (many, _) = _bound(1, quiet=True), _bound(50, quiet=True)
    assert one == pytest.approx(many, abs=1e-4)


def test_with_many_draws_it_is_the_log_density_by_quadrature() -> None:
    """Within 4.5 standard errors of the mean over K draws, which NumPy has by quadrature, too."""
    exact = _exact()
    np.testing.assert_allclose(exact, _exact(count=150), rtol=0, atol=2e-4, err_msg="the quadrature has converged")
    num_draws = 20_000
    squares = logsumexp(2 * _log_densities(), axis=-1, b=_nodes()[1])
    error = np.sqrt(np.expm1(squares - 2 * exact) / num_draws)
    results = _model(num_draws)(X).log_prob(Y).numpy()
    assert (np.abs(results - exact) < 4.5 * error).all()
    assert (np.abs(results - _exact(stretch=1.1)) > 4.5 * error).any(), "latents of another sd"


def _parameters(likelihood: Likelihood, num_draws: int) -> tuple[Any, Any]:
    """Parameters `[5, K, P]` of two outputs, or of a class, and targets `[5, D]`."""
    rng = np.random.default_rng(1)
    size = 1 if isinstance(likelihood, Categorical) else 2
    parameters = rng.normal(size=(5, num_draws, likelihood.num_parameters(size))).astype(np.float32)
    y = rng.integers(2, size=(5, size)) if likelihood.discrete else rng.normal(size=(5, size))
    return parameters, y.astype(np.float32)


def _density(kind: type[LikelihoodHead], likelihood: Likelihood, parameters: Any, size: int) -> Any:
    """By a head whose shared parameters are not 0."""
    head = kind(likelihood, size)
    head(parameters)
    if head.shared is not None:
        head.shared.assign([0.4, -0.9])
    return head(parameters)


@everywhere
def test_one_draw_is_the_likelihood_itself(likelihood: Likelihood) -> None:
    parameters, y = _parameters(likelihood, 1)
    one = _density(MixtureHead, likelihood, parameters, y.shape[1])
    plain = _density(LikelihoodHead, likelihood, parameters[:, 0], y.shape[1])
    assert type(one) is type(plain)
    assert (one.batch_shape, one.event_shape) == (plain.batch_shape, plain.event_shape)
    np.testing.assert_array_equal(one.log_prob(y), plain.log_prob(y))
    np.testing.assert_array_equal(one.mean(), plain.mean())
    np.testing.assert_array_equal(one.variance(), plain.variance())


@everywhere
def test_density_and_moments_are_those_of_an_equal_mixture(likelihood: Likelihood) -> None:
    """Mean and variance by the law of total variance: the mean of the variances and the variance of the means."""
    parameters, y = _parameters(likelihood, 7)
    mixture = _density(MixtureHead, likelihood, parameters, y.shape[1])
    assert (mixture.batch_shape, mixture.event_shape) == ([5], [y.shape[1]])
    draws = [_density(LikelihoodHead, likelihood, parameters[:, k], y.shape[1]) for k in range(7)]
    log_densities = np.array([draw.log_prob(y) for draw in draws], np.float64)
    means = np.array([draw.mean() for draw in draws], np.float64)
    variances = np.array([draw.variance() for draw in draws], np.float64)
    np.testing.assert_allclose(mixture.log_prob(y), logsumexp(log_densities, axis=0) - np.log(7), rtol=1e-5)
    assert not np.allclose(mixture.log_prob(y), log_densities.mean(0), atol=0.01), "the log of the mean is another one"
    np.testing.assert_allclose(mixture.mean(), means.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tf.convert_to_tensor(mixture), means.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mixture.variance(), variances.mean(0) + means.var(0), rtol=1e-4)
    assert not np.allclose(mixture.variance(), variances.mean(0), rtol=0.05), "the variances alone"
