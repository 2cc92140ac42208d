"""Both bounds of an autoencoder and their terms against draws of NumPy, also with uncertain weights."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
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
from scipy.special import logsumexp

from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.likelihoods import Normal
from variational_bnn.prediction.bounds import measure_bounds

FEW = X[:5]


def _log_ratios(
    model: Any,
    network: AutoencoderNetwork,
    shape: tuple[int, int],
    weights: Any = mean_weights,
    images: np.ndarray = FEW,
) -> tuple[by_hand.Array, by_hand.Array, by_hand.Array]:
    """For `[draws, K]` latents of each image, `[draws, K, N]`: log p(x given z) p(z) / q(z given x), nll and KL."""
    count = len(images)
    flat = np.broadcast_to(images.reshape(count, -1), (shape[0], 1, count, images[0].size)).astype(np.float64)
    loc, scale = latents_of(through(model, network, "encoder", flat, weights))
    noise = np.random.default_rng(0).normal(size=(*shape, count, network.latent_size))
    z = loc + scale * noise
    nll = pixels_nll(model, network, through(model, network, "decoder", z, weights), images)
    log_ratio = (-(z**2) / 2 + noise**2 / 2 + np.log(scale)).sum(-1)
    return log_ratio - nll, nll, by_hand.normal_kl(loc, scale, 1.0).sum(-1)


def _log_mean_exp(log_ratios: by_hand.Array) -> by_hand.Array:
    return logsumexp(log_ratios, axis=-2) - np.log(log_ratios.shape[-2])


def _of_copies(values: by_hand.Array) -> by_hand.Array:
    """Values of many copies of the few images as `[copies, 5]`."""
    return values.reshape(-1, len(FEW))


def _agree(measured: by_hand.Array, expected: by_hand.Array) -> bool:
    """Whether means over the first axis are within 4.5 standard errors, for every image."""
    error = np.sqrt(measured.var(axis=0) / (len(measured) - 1) + expected.var(axis=0) / (len(expected) - 1))
    return bool((np.abs(measured.mean(axis=0) - expected.mean(axis=0)) < 4.5 * error).all())


@pytest.mark.parametrize("count", [1, 7])
def test_terms_and_log_mean_weights_are_those_of_numpys_own_draws(count: int) -> None:
    network = network_of()
    model = build("vae", network)
    measured = measure_bounds(model, np.tile(FEW, (2000, 1, 1)), num_samples=count)
    log_ratios, nll, kl = _log_ratios(model, network, (4000, count))
    assert _agree(_of_copies(measured.nll), nll.mean(axis=-2))
    assert _agree(_of_copies(measured.log_importance), _log_mean_exp(log_ratios))
    np.testing.assert_allclose(_of_copies(measured.kl_latents), np.broadcast_to(kl[0], (2000, 5)), rtol=1e-5)
    assert (measured.kl_weights, measured.num_samples) == (0, count)
    np.testing.assert_array_equal(measured.importance_weighted, measured.log_importance)
    np.testing.assert_array_equal(measured.elbo, -(measured.nll + measured.kl_latents))
    assert _agree(_of_copies(measured.importance_weighted), _of_copies(measured.elbo)) == (count == 1)
    for other in (log_ratios.mean(axis=-2), logsumexp(log_ratios, axis=-2)):  # The controls, where they are no equals.
        assert _agree(_of_copies(measured.log_importance), other) == (count == 1)


def test_the_importance_weighted_bound_lies_above_the_elbo_and_does_not_fall_as_it_takes_more_latents() -> None:
    model = build("vae", network_of(), weights="flipout")
    measured = {count: measure_bounds(model, X, num_samples=count) for count in (1, 5, 50, 500)}
    for fewer, more in ((1, 5), (5, 50), (50, 500)):
        rise = measured[more].importance_weighted - measured[fewer].importance_weighted
        assert rise.mean() > -4 * rise.std() / np.sqrt(N - 1)
    for count in (50, 500):
        assert (measured[count].importance_weighted > measured[count].elbo).all()
        assert measured[count].num_samples == count


def test_more_latents_than_are_decoded_together_have_equal_weights() -> None:
    """4,097 latents are decoded as 4,096 and 1, so the last one must not count for more than the others."""
    network, copies, draws = network_of(), 40, 4097
    model = build("vae", network)
    code = model.get_layer("encoder").get_layer("parameters")
    code.bias.assign_add([0.0, 0.0, 2.0, 2.0])  # A q that is wider than the prior: the importances have light tails.
    bounds = measure_bounds(model, np.tile(FEW, (copies, 1, 1)), num_samples=draws)
    log_ratios, nll, kl = _log_ratios(model, network, (1, 40_000))
    ratios = np.exp(log_ratios[0] - log_ratios[0].max(axis=0))
    sds = {"nll": nll[0].std(axis=0), "log_importance": ratios.std(axis=0) / ratios.mean(axis=0)}
    expected = {"nll": nll[0].mean(axis=0), "log_importance": _log_mean_exp(log_ratios)[0]}
    for name, sd in sds.items():
        values = _of_copies(getattr(bounds, name))
        error = sd * np.sqrt(1 / (copies * draws) + 1 / 40_000)
        assert (np.abs(values.mean(axis=0) - expected[name]) < 4.5 * error).all(), name
        variance = values.var(axis=0, ddof=1) / (sd**2 / draws)
        assert (np.abs(variance - 1) < 4.5 * np.sqrt(2 / (copies - 1))).all(), name
    np.testing.assert_allclose(_of_copies(bounds.kl_latents), np.broadcast_to(kl[0], (copies, 5)), rtol=1e-5)


PIXELS = 400


@pytest.fixture(scope="module")
def one_pixel_each() -> tuple[Any, AutoencoderNetwork, np.ndarray]:
    """A linear variational autoencoder, and images of one pixel each, which see different weights of its encoder.

    All images have equal posteriors, and the decoder has points for weights and is the same for all pixels. So in one
    draw of the weights the images are as different draws.
    """
    likelihood = Normal(scale=1.0)
    shape = {"image_shape": (PIXELS,), "encoder_units": (), "decoder_units": (), "latent_size": 1}
    network = network_of(likelihood, **shape)
    model = build("vae", network, weights="flipout", decoder_weights="point")
    encoder, decoder = (model.get_layer(half).get_layer("parameters") for half in ("encoder", "decoder"))
    raw_scales = np.full((PIXELS + 1, 2), np.log(np.expm1(1.5)))
    raw_scales[-1] = by_hand.QUIET
    encoder.loc.assign(np.full((PIXELS + 1, 2), 0.3))
    encoder.raw_scale.assign(raw_scales)
    decoder.kernel.assign(np.full((1, PIXELS), 1.5 / np.sqrt(PIXELS)))
    decoder.bias.assign(np.zeros(PIXELS))
    return model, network, np.eye(PIXELS, dtype=np.float32)


def _weights_of_one_pixel(draws: int) -> Any:
    """Draws `[draws, 1, 1, ...]` of the encoder's kernel for the first pixel, in images whose other pixels are 0."""
    rng = np.random.default_rng(5)

    def drawn(half: Any, layer: str) -> Any:
        if "posterior_loc" not in by_hand.variables(half, layer):
            return by_hand.variables(half, layer).values()
        (kernel, kernel_sd), (bias, _) = by_hand.posterior(half, layer).values()
        kernels = np.zeros((draws, 1, 1, *kernel.shape))
        kernels[..., 0, :] = kernel[0] + kernel_sd[0] * rng.normal(size=(draws, 1, 1, 2))
        return kernels, bias

    return drawn


def test_both_bounds_are_means_over_eight_draws_of_the_weights_each_of_which_serves_all_latents(
    one_pixel_each: tuple[Any, AutoencoderNetwork, np.ndarray],
) -> None:
    """So a bound is the mean over weights of the log of the mean over latents; weights for each latent give more."""
    model, network, images = one_pixel_each
    bounds, draws = measure_bounds(model, images, num_samples=6), 3000
    log_ratios, nll, kl = _log_ratios(model, network, (draws, 6), _weights_of_one_pixel(draws), images[:1])

    def agree(values: by_hand.Array, draws_of_one: by_hand.Array) -> bool:
        """Whether the mean over images is that of the draws, and the variance an eighth of theirs."""
        error = draws_of_one.std() * np.sqrt(1 / (8 * PIXELS) + 1 / draws)
        squares, eighths = (values - draws_of_one.mean()) ** 2, (draws_of_one - draws_of_one.mean()) ** 2 / 8
        of_variance = np.sqrt(squares.var() / len(values) + eighths.var() / draws)
        same_variance = abs(squares.mean() - eighths.mean()) < 4.5 * of_variance
        return bool(abs(values.mean() - draws_of_one.mean()) < 4.5 * error and same_variance)

    assert agree(bounds.nll, nll.mean(axis=1)[:, 0])
    assert agree(bounds.kl_latents, kl[:, 0, 0])
    assert agree(bounds.log_importance, _log_mean_exp(log_ratios)[:, 0])
    apart = np.stack([np.roll(log_ratios[:, k], k, axis=0) for k in range(6)], axis=1)
    assert not agree(bounds.log_importance, _log_mean_exp(apart)[:, 0]), "the control: other weights for each latent"
    assert not agree(bounds.kl_latents[::2] / 2 + bounds.kl_latents[1::2] / 2, kl[:, 0, 0]), "the control: 16 draws"


@pytest.mark.parametrize("weights", ["flipout", "local_reparameterization"])
def test_the_kl_of_the_weights_is_the_closed_form_and_a_part_of_both_bounds(weights: str) -> None:
    network = network_of()
    model = build("vae", network, weights=weights)
    bounds = measure_bounds(model, FEW, num_samples=6)
    assert bounds.kl_weights == pytest.approx(weights_kl(model, network) / N, rel=1e-5)
    np.testing.assert_array_equal(bounds.elbo, -(bounds.nll + bounds.kl_latents + bounds.kl_weights))
    np.testing.assert_array_equal(bounds.importance_weighted, bounds.log_importance - bounds.kl_weights)


def test_a_draw_of_the_weights_serves_all_images() -> None:
    """Equal images have equal KLs, which depend on the encoder's weights, wherever among the images they come."""
    model = build("vae", network_of(), weights="flipout")
    measured = measure_bounds(model, np.repeat(FEW[:1], 300, axis=0), num_samples=50)
    np.testing.assert_allclose(measured.kl_latents, measured.kl_latents[0], rtol=1e-5)
    assert measured.nll.std() > 0.01, "their latents are drawn apart"
    other = measure_bounds(model, FEW[:1], num_samples=50, seed=1)
    assert other.kl_latents != pytest.approx(measured.kl_latents[0], rel=1e-3), "another seed draws other weights"


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_weights_that_hardly_vary_are_as_good_as_points(kind: str) -> None:
    network = network_of()
    model = build(kind, network, weights="flipout")
    for variable in model.trainable_variables:
        if "raw_scale" in variable.name:
            variable.assign(np.full(variable.shape, -20.0))
    measured, terms = measure_bounds(model, X, num_samples=500), terms_of(kind, model, network, X)
    assert measured.kl_weights == pytest.approx(terms["kl_weights"], rel=1e-4)
    if kind == "ae":
        assert measured.nll.mean() == pytest.approx(terms["nll"], rel=1e-4)
        np.testing.assert_array_equal(measured.kl_latents, 0)
        np.testing.assert_array_equal(measured.log_importance, -measured.nll)
        return
    assert measured.kl_latents.mean() == pytest.approx(terms["kl_latents"], rel=1e-4)


def test_the_same_seed_measures_the_same_and_another_does_not() -> None:
    model = build("vae", network_of())
    first, again, other = (measure_bounds(model, X, num_samples=3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.nll, again.nll)
    np.testing.assert_array_equal(first.log_importance, again.log_importance)
    assert (first.nll != other.nll).all()


def test_a_plain_autoencoder_has_the_nll_of_each_image_given_its_code() -> None:
    model = build("ae", network_of())
    measured = measure_bounds(model, X)
    assert measured.nll.mean() == pytest.approx(terms_of("ae", model, network_of(), X)["nll"], rel=1e-5)
    assert measured.nll[3] == pytest.approx(terms_of("ae", model, network_of(), X[3:4])["nll"], rel=1e-5)
    assert (measured.kl_weights, measured.kl_latents.max()) == (0, 0)


def test_measuring_leaves_the_training_to_come_as_it_was() -> None:
    model = build("vae", network_of(), weights="flipout")
    before = [variable.numpy() for variable in model.variables]
    measure_bounds(model, X, num_samples=np.int64(3), seed=np.int64(1))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
