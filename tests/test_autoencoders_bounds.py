"""Both bounds of an autoencoder, and their terms, by draws of NumPy's own; with uncertain weights, too."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
from scipy.special import logsumexp
from test_autoencoders_elbo import (
    N,
    X,
    build,
    latents_of,
    mean_weights,
    network_of,
    pixels_nll,
    terms_of,
    through,
    weights_kl,
)

from variational_bnn.autoencoders import AutoencoderNetwork, Bounds, bounds, measure_bounds

FEW = X[:5]
COPIES = 200


def _log_ratios(
    model: Any, network: AutoencoderNetwork, shape: tuple[int, ...], weights: Any = mean_weights, seed: int = 0
) -> tuple[by_hand.Array, by_hand.Array, by_hand.Array]:
    """Of so many latents of each of the few images, `[*shape, 5]`: log p(x given z) p(z) / q(z given x), nll and KL."""
    flat = np.broadcast_to(FEW.reshape(len(FEW), -1), (*shape[:-1], 1, len(FEW), 6)).astype(np.float64)
    loc, scale = latents_of(through(model, network, "encoder", flat, weights))
    noise = np.random.default_rng(seed).normal(size=(*shape, len(FEW), network.latent_size))
    z = loc + scale * noise
    nll = pixels_nll(model, network, through(model, network, "decoder", z, weights), FEW)
    log_ratio = (-(z**2) / 2 + noise**2 / 2 + np.log(scale)).sum(-1)
    return log_ratio - nll, nll, by_hand.normal_kl(loc, scale, 1.0).sum(-1)


def _log_mean_exp(log_ratios: by_hand.Array) -> by_hand.Array:
    return logsumexp(log_ratios, axis=-2) - np.log(log_ratios.shape[-2])


def _of_copies(values: by_hand.Array) -> by_hand.Array:
    """Values of many copies of the few images as `[copies, 5]`."""
    return values.reshape(-1, len(FEW))


def _agree(found: by_hand.Array, wanted: by_hand.Array) -> bool:
    """Whether means over the first axis are within 4.5 standard errors, for every image."""
    error = np.sqrt(found.var(axis=0) / (len(found) - 1) + wanted.var(axis=0) / (len(wanted) - 1))
    return bool((np.abs(found.mean(axis=0) - wanted.mean(axis=0)) < 4.5 * error).all())


@pytest.mark.parametrize("count", [1, 7])
def test_terms_and_log_mean_weights_are_those_of_numpys_own_draws(count: int) -> None:
    network = network_of()
    model = build("vae", network)
    found = measure_bounds(model, np.tile(FEW, (2000, 1, 1)), num_samples=count)
    log_ratios, nll, kl = _log_ratios(model, network, (4000, count))
    assert _agree(_of_copies(found.nll), nll.mean(axis=-2))
    assert _agree(_of_copies(found.log_importance), _log_mean_exp(log_ratios))
    np.testing.assert_allclose(_of_copies(found.kl_latents), np.broadcast_to(kl[0], (2000, 5)), rtol=1e-5)
    assert (found.kl_weights, found.num_samples) == (0, count)
    np.testing.assert_array_equal(found.importance_weighted, found.log_importance)
    np.testing.assert_array_equal(found.elbo, -(found.nll + found.kl_latents))
    assert _agree(_of_copies(found.importance_weighted), _of_copies(found.elbo)) == (count == 1)
    for other in (log_ratios.mean(axis=-2), logsumexp(log_ratios, axis=-2)):  # The controls, where they are no equals.
        assert _agree(_of_copies(found.log_importance), other) == (count == 1)


def test_the_importance_weighted_bound_lies_above_the_elbo_and_does_not_fall_as_it_takes_more_latents() -> None:
    model = build("vae", network_of(), weights="flipout")
    found = {count: measure_bounds(model, X, num_samples=count) for count in (1, 5, 50, 500)}
    for fewer, more in ((1, 5), (5, 50), (50, 500)):
        rise = found[more].importance_weighted - found[fewer].importance_weighted
        assert rise.mean() > -4 * rise.std() / np.sqrt(N - 1)
    for count in (50, 500):
        assert (found[count].importance_weighted > found[count].elbo).all()
        assert found[count].num_samples == count


def _drawn_weights(model: Any, count: int) -> Any:
    """What gives each layer so many draws of kernel and bias from its posterior, `[count, ...]`, the same each time."""
    rng, kept = np.random.default_rng(5), {}

    def drawn(half: Any, layer: str) -> Any:
        if (half.name, layer) not in kept:
            own = by_hand.posterior(half, layer).values()
            kernel, bias = (loc + scale * rng.normal(size=(count, *loc.shape)) for loc, scale in own)
            kept[half.name, layer] = kernel[:, None, None], bias[:, None, None, None]
        return kept[half.name, layer]

    def through_all(half: Any, layer: str) -> Any:
        kernel, bias = drawn(half, layer)
        return kernel[:, 0], bias[:, 0]

    return through_all


@pytest.mark.parametrize("weights", ["flipout", "reparameterization"])
def test_a_draw_of_the_weights_serves_all_latents_of_that_draw(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the bound is the mean over weights of the log of the mean over latents; fresh weights for each give more."""
    network, draws, count = network_of(), 1500, 6
    model = build("vae", network, weights=weights)
    each: list[Bounds] = []
    monkeypatch.setattr(bounds, "WEIGHT_DRAWS", draws)
    found = measure_bounds(model, FEW, num_samples=count)
    log_ratios, nll, kl = _log_ratios(model, network, (draws, count), _drawn_weights(model, draws))
    one, other = _log_mean_exp(log_ratios), log_ratios.mean(axis=-2)
