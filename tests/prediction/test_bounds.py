"""Both bounds of an autoencoder, and their terms, by draws of NumPy's own; with uncertain weights, too."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
from scipy.special import logsumexp
from autoencoders_by_hand import (
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

from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.prediction import bounds
from variational_bnn.prediction.bounds import measure_bounds

FEW = X[:5]


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
    """What gives so many draws of each layer's kernel and bias from its posterior, `[count, 1, 1, ...]`."""
    rng = np.random.default_rng(5)

    def drawn(half: Any, layer: str) -> Any:
        own = by_hand.posterior(half, layer).values()
        return (loc + scale * rng.normal(size=(count, 1, 1, *loc.shape)) for loc, scale in own)

    return drawn


@pytest.mark.parametrize("weights", ["flipout", "local_reparameterization"])
def test_a_draw_of_the_weights_serves_all_latents_of_that_draw(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the bound is the mean over weights of the log of the mean over latents; fresh weights for each give more."""
    network, draws = network_of(), 1500
    model = build("vae", network, weights=weights)
    monkeypatch.setattr(bounds, "WEIGHT_DRAWS", draws)
    found = measure_bounds(model, FEW, num_samples=6)
    log_ratios, nll, kl = _log_ratios(model, network, (draws, 6), _drawn_weights(model, draws))

    def agree(measured: by_hand.Array, wanted: by_hand.Array) -> bool:
        return bool((np.abs(measured - wanted.mean(axis=0)) < 4.5 * wanted.std(axis=0) * np.sqrt(2 / draws)).all())

    assert agree(found.nll, nll.mean(axis=1))
    assert agree(found.kl_latents, kl[:, 0])
    assert agree(found.log_importance, _log_mean_exp(log_ratios))
    apart = np.stack([np.roll(log_ratios[:, k], k, axis=0) for k in range(6)], axis=1)
    assert not agree(found.log_importance, _log_mean_exp(apart)), "the control: a draw of the weights for each latent"
    assert found.kl_weights == pytest.approx(weights_kl(model, network) / N, rel=1e-5)
    np.testing.assert_array_equal(found.elbo, -(found.nll + found.kl_latents + found.kl_weights))
    np.testing.assert_array_equal(found.importance_weighted, found.log_importance - found.kl_weights)


def test_a_draw_of_the_weights_serves_all_images() -> None:
    """Equal images have equal KLs, which depend on the encoder's weights, in whatever part of many they come."""
    model = build("vae", network_of(), weights="flipout")
    found = measure_bounds(model, np.repeat(FEW[:1], 300, axis=0), num_samples=50)
    np.testing.assert_allclose(found.kl_latents, found.kl_latents[0], rtol=1e-5)
    assert found.nll.std() > 0.01, "their latents are drawn apart"
    other = measure_bounds(model, FEW[:1], num_samples=50, seed=1)
    assert other.kl_latents != pytest.approx(found.kl_latents[0], rel=1e-3), "another seed draws other weights"


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_weights_that_hardly_vary_are_as_good_as_points(kind: str) -> None:
    network = network_of()
    model = build(kind, network, weights="flipout")
    for variable in model.trainable_variables:
        if "raw_scale" in variable.name:
            variable.assign(np.full(variable.shape, -20.0))
    found, terms = measure_bounds(model, X, num_samples=500), terms_of(kind, model, network, X)
    assert found.kl_weights == pytest.approx(terms["kl_weights"], rel=1e-4)
    if kind == "ae":
        assert found.nll.mean() == pytest.approx(terms["nll"], rel=1e-4)
        np.testing.assert_array_equal(found.kl_latents, 0)
        np.testing.assert_array_equal(found.log_importance, -found.nll)
        return
    assert found.kl_latents.mean() == pytest.approx(terms["kl_latents"], rel=1e-4)


def test_the_same_seed_measures_the_same_and_another_does_not() -> None:
    model = build("vae", network_of())
    first, again, other = (measure_bounds(model, X, num_samples=3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.nll, again.nll)
    np.testing.assert_array_equal(first.log_importance, again.log_importance)
    assert (first.nll != other.nll).all()


def test_a_plain_autoencoder_has_the_nll_of_each_image_given_its_code() -> None:
    model = build("ae", network_of())
    found = measure_bounds(model, X)
    assert found.nll.mean() == pytest.approx(terms_of("ae", model, network_of(), X)["nll"], rel=1e-5)
    assert found.nll[3] == pytest.approx(terms_of("ae", model, network_of(), X[3:4])["nll"], rel=1e-5)
    assert (found.kl_weights, found.kl_latents.max()) == (0, 0)


def test_measuring_leaves_the_training_to_come_as_it_was() -> None:
    model = build("vae", network_of(), weights="flipout")
    before = [variable.numpy() for variable in model.variables]
    measure_bounds(model, X, num_samples=np.int64(3), seed=np.int64(1))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
