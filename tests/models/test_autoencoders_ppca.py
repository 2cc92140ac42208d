"""A linear VAE of known noise is probabilistic PCA: training finds the maximum that an eigendecomposition gives.

Tipping & Bishop 1999; that the ELBO has no maxima but the marginal likelihood's: Lucas et al. 2019 (arXiv 1911.02469).
"""

from __future__ import annotations

import itertools
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.autoencoders import build_variational_autoencoder
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.bounds import Bounds, encode, measure_bounds

D, L, N = 10, 2, 1000
RNG = np.random.default_rng(0)
LOADINGS, CENTRE = RNG.normal(size=(D, L)) * [2.0, 1.0], RNG.normal(size=D)
X = RNG.normal(size=(N, L)) @ LOADINGS.T + CENTRE + 0.5 * RNG.normal(size=(N, D))
X = X.astype(np.float32).astype(np.float64)


def _variances() -> by_hand.Array:
    """Eigenvalues of the data's covariance, from the largest down."""
    return np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]


VARIANCE = float(_variances()[L:].mean())
"""The maximum-likelihood noise: the mean of what the first L principal components leave."""


def _log_normal(loadings: by_hand.Array, centre: by_hand.Array) -> by_hand.Array:
    """Log N(x; centre, W W^T + noise) of each row, `[N]`."""
    covariance = loadings @ loadings.T + VARIANCE * np.eye(D)
    off = X - centre
    squares = np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
    return -(D * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + squares) / 2


def _best(latents: int) -> float:
    """The largest mean log density of so many latents, whose noise is that of L: in closed form."""
    kept, left = np.split(_variances(), [latents])
    log_determinant = np.log(kept).sum() + (D - latents) * np.log(VARIANCE)
    return -(D * np.log(2 * np.pi) + log_determinant + latents + left.sum() / VARIANCE) / 2


def _decoder(model: Any) -> tuple[by_hand.Array, by_hand.Array]:
    """W `[D, L]` and b."""
    kernel, bias = by_hand.variables(model.get_layer("decoder"), "parameters").values()
    return kernel.T, bias


def _exact_elbo(model: Any) -> by_hand.Array:
    """The bound of each row in closed form, `[N]`."""
    loadings, centre = _decoder(model)
    kernel, bias = by_hand.variables(model.get_layer("encoder"), "parameters").values()
    loc, raw = np.split(X @ kernel + bias, 2, axis=-1)
    scale = by_hand.POSTERIOR_FLOOR + by_hand.softplus(raw + np.log(np.expm1(1.0)))
    nll = by_hand.normal_nll(X, loc @ loadings.T + centre, np.full((N, D), np.sqrt(VARIANCE)))
    nll = nll + (scale**2 @ (loadings**2).sum(axis=0)) / (2 * VARIANCE)
    return -nll - by_hand.normal_kl(loc, scale, 1.0).sum(-1)


def _is_the_maximum(model: Any, bounds: Bounds) -> tuple[bool, str]:
    """Whether bound and marginal likelihood are within 1 % of the maximum, and not above it."""
    maximum = _best(L)
    marginal = _log_normal(*_decoder(model)).mean()
    error = (bounds.elbo - _exact_elbo(model)).std() / np.sqrt(N)
    results = [maximum - bounds.elbo.mean(), maximum - marginal]
    near = max(results) < 0.01 * abs(maximum)
    not_above = results[0] > -4 * error and results[1] > -1e-6
    return near and not_above, f"below the maximum {maximum:.4f} by {results}, standard error {error:.4f}"


class Trained:
    """A linear VAE before, within and after its training, as bounds; and as it was within, the model."""

    def __init__(self) -> None:
        likelihood = Normal(scale=np.sqrt(VARIANCE))
        sizes = {"image_shape": (D,), "latent_size": L, "encoder_units": (), "decoder_units": ()}
        network = AutoencoderNetwork(likelihood=likelihood, **sizes)
        self.early, self.model = (build_variational_autoencoder(network, N, seed=0) for _ in range(2))
        self.fails = not _is_the_maximum(self.early, measure_bounds(self.early, X))[0]
        rate = tf_keras.optimizers.schedules.PiecewiseConstantDecay([1500, 2500], [0.02, 0.005, 0.001])
        optimizer = tf_keras.optimizers.Adam(rate)
        self.model.compile(optimizer, loss=negative_log_likelihood, steps_per_execution=250)
        data = tf.data.Dataset.from_tensors((X.astype(np.float32),) * 2).repeat()
        self.model.fit(data, steps_per_epoch=900, verbose=0)
        self.early.set_weights(self.model.get_weights())
        self.model.fit(data, steps_per_epoch=3000, verbose=0)
        self.bounds = measure_bounds(self.model, X)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained()


def test_the_maximum_is_that_of_the_principal_axes_and_fewer_latents_have_less() -> None:
    """The closed form against the density itself; no latents, or one less, would fail what is required of the model."""
    values, axes = np.linalg.eigh(np.cov(X.T, bias=True))
    for latents in range(L + 1):
        kept = slice(D - latents, D)
        loadings = axes[:, kept] * np.sqrt(values[kept] - VARIANCE)
        assert _log_normal(loadings, X.mean(axis=0)).mean() == pytest.approx(_best(latents), rel=1e-9)
    assert _best(L - 1) < 1.02 * _best(L)
    moved = _log_normal(1.1 * loadings, X.mean(axis=0)).mean(), _log_normal(loadings, CENTRE).mean()
    assert max(moved) < _best(L)


def test_training_finds_the_maximum(trained: Trained) -> None:
    agrees, message = _is_the_maximum(trained.model, trained.bounds)
    assert agrees, message
    assert trained.fails, "the untrained model must fail the check"
    assert not _is_the_maximum(trained.early, measure_bounds(trained.early, X))[0], "and half trained"


def test_the_measured_bound_is_its_closed_form(trained: Trained) -> None:
    for model, bounds in ((trained.model, trained.bounds), (trained.early, measure_bounds(trained.early, X, seed=3))):
        off = bounds.elbo - _exact_elbo(model)
        assert abs(off.mean()) < 4 * off.std() / np.sqrt(N)
        assert bounds.kl_weights == 0
    assert abs(off.mean() + bounds.kl_latents.mean()) > 10 * off.std() / np.sqrt(N), "the control: without its KL"


def test_the_codes_are_the_means_of_the_exact_posterior(trained: Trained) -> None:
    loadings, centre = _decoder(trained.model)
    precision = loadings.T @ loadings + VARIANCE * np.eye(L)
    exact = (X - centre) @ loadings @ np.linalg.inv(precision)
    sd = np.sqrt(VARIANCE * np.diag(np.linalg.inv(precision)))
    assert (np.abs(encode(trained.model, X) - exact).mean(axis=0) < 0.1 * sd).all()
    assert (np.abs(encode(trained.early, X) - exact).mean(axis=0) > 0.3 * sd).any()


def test_the_importance_weighted_bound_rises_to_the_log_density(trained: Trained) -> None:
    exact, elbo = _log_normal(*_decoder(trained.early)), _exact_elbo(trained.early)
    counts = (1, 5, 50, 500)
    results = {k: measure_bounds(trained.early, X, num_samples=k, seed=k).importance_weighted for k in counts}

    def gap(one: by_hand.Array, other: by_hand.Array) -> tuple[float, float]:
        return (other - one).mean(), (other - one).std() / np.sqrt(N)

    mean, error = gap(elbo, results[1])
    assert abs(mean) < 4 * error, "of one latent it is the ELBO"
    for fewer, more in itertools.pairwise(counts):
        mean, error = gap(results[fewer], results[more])
        assert mean > -4 * error
    assert gap(results[1], results[5])[0] > 4 * gap(results[1], results[5])[1], "it does rise"
    mean, error = gap(results[500], exact)
    assert abs(mean) < 4 * error
    assert (exact - elbo).mean() > 20 * 4 * error, "the control: the ELBO is far from it"
