"""Codes of images and images of codes against NumPy, and the variance of reconstructions."""

from __future__ import annotations

import by_hand
import numpy as np
import pytest
from autoencoders_by_hand import BUILDERS, N, X, build, latents_of, mean_weights, network_of, through
from scipy.special import expit
from scipy.stats import norm

from variational_bnn.models.likelihoods import MixtureNormal, Normal
from variational_bnn.prediction.bounds import decode, encode
from variational_bnn.prediction.predict import predict

FLAT = X.reshape(N, -1).astype(np.float64)
Z = np.random.default_rng(3).normal(size=(30, 2))


@pytest.mark.parametrize("kind", BUILDERS)
def test_codes_and_decoded_images_of_point_weights_are_numpys_whatever_the_seed(kind: str) -> None:
    network = network_of()
    model = build(kind, network)
    code = through(model, network, "encoder", FLAT, mean_weights)
    loc = latents_of(code)[0] if kind == "vae" else code
    codes, images = encode(model, X), decode(model, Z)
    assert codes.shape == (N, 2)
    np.testing.assert_allclose(codes, loc, atol=1e-5)
    logits = through(model, network, "decoder", Z, mean_weights)
    np.testing.assert_allclose(images, expit(logits).reshape(30, 3, 2), atol=1e-5)
    for settings in ({"seed": 7}, {"num_samples": 3}):
        np.testing.assert_array_equal(encode(model, X, **settings), codes)
        np.testing.assert_array_equal(decode(model, Z, **settings), images)


def test_codes_of_uncertain_weights_are_means_over_draws_the_same_of_the_same_seed() -> None:
    network, draws = network_of(), 3000
    model = build("vae", network, weights="flipout")
    rng = np.random.default_rng(0)

    def drawn(half: object, layer: str) -> object:
        own = by_hand.posterior(half, layer).values()
        return (loc + scale * rng.normal(size=(draws, 1, *loc.shape)) for loc, scale in own)

    expected, _ = latents_of(through(model, network, "encoder", np.broadcast_to(FLAT, (draws, *FLAT.shape)), drawn))
    measured = encode(model, X, num_samples=draws)
    error = expected.std(axis=0) * np.sqrt(2 / draws)
    assert (np.abs(measured - expected.mean(axis=0)) < 4.5 * error).all()
    at_the_means = latents_of(through(model, network, "encoder", FLAT, mean_weights))[0]
    assert (np.abs(measured - at_the_means) > 10 * error).any(), "the control: the means' code is another"
    for function, values in ((encode, X), (decode, Z)):
        first, again, other = (function(model, values, num_samples=4, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other, rtol=1e-3)


def test_a_grid_is_decoded_by_draws_that_serve_all_of_it() -> None:
    """So one point decoded alone is what it is within the grid, and blending is continuous in every draw."""
    model = build("vae", network_of(), weights="flipout")
    sides = norm.ppf(np.linspace(0.01, 0.99, 15))
    z = np.stack(np.meshgrid(sides, sides), axis=-1).reshape(-1, 2)
    grid = decode(model, z, num_samples=5)
    assert grid.shape == (225, 3, 2)
    for i in (0, 17, 224):
        np.testing.assert_allclose(decode(model, z[i : i + 1], num_samples=5)[0], grid[i], rtol=1e-4)
    near = decode(model, np.array([[0.3, 0.4], [0.3, 0.4001]]), num_samples=1)
    assert np.abs(near[0] - near[1]).max() < 1e-3
    apart = [decode(model, np.array([[0.3, 0.4]]), num_samples=1, seed=seed) for seed in (0, 1)]
    assert np.abs(apart[0] - apart[1]).max() > 0.01, "the control: draws of their own would not be so near"


@pytest.mark.parametrize(
    ("kind", "settings", "sources"),
    [
        ("ae", {}, set()),
        ("vae", {}, {"latent"}),
        ("ae", {"weights": "flipout", "decoder_weights": "point"}, {"epistemic"}),
        ("vae", {"weights": "flipout"}, {"epistemic", "latent"}),
    ],
)
def test_reconstructions_vary_by_what_is_random(kind: str, settings: dict[str, str], sources: set[str]) -> None:
    predictive = predict(build(kind, network_of(), **settings), X, num_samples=20)
    assert predictive.mean.shape == (N, 6)
    for source in ("epistemic", "latent"):
        variance = getattr(predictive, f"{source}_variance")
        assert (variance == 0).all() == (source not in sources)
        assert (np.median(variance) > 1e-6) == (source in sources)


@pytest.mark.parametrize("shape", [(12,), (2, 3, 2)])
@pytest.mark.parametrize("likelihood", [Normal(), MixtureNormal(num_components=2)])
def test_images_of_any_shape(shape: tuple[int, ...], likelihood: Normal | MixtureNormal) -> None:
    network = network_of(likelihood, image_shape=shape, latent_size=3, encoder_units=(), decoder_units=())
    model = build("vae", network)
    x = np.random.default_rng(0).normal(size=(4, *shape))
    assert encode(model, x).shape == (4, 3)
    assert decode(model, np.zeros((5, 3))).shape == (5, *shape)
    assert model(x.astype(np.float32)).log_prob(x.astype(np.float32)).shape == (4,)
