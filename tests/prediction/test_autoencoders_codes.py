"""Codes of images and images of codes, how they spread, and how far apart the classes are among them."""

from __future__ import annotations

import by_hand
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from autoencoders_by_hand import BUILDERS, N, X, build, latents_of, mean_weights, network_of, through

from variational_bnn.evaluation.separability import active_units, confusion, most_confused, silhouette, vote
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

    wanted, _ = latents_of(through(model, network, "encoder", np.broadcast_to(FLAT, (draws, *FLAT.shape)), drawn))
    found = encode(model, X, num_samples=draws)
    error = wanted.std(axis=0) * np.sqrt(2 / draws)
    assert (np.abs(found - wanted.mean(axis=0)) < 4.5 * error).all()
    at_the_means = latents_of(through(model, network, "encoder", FLAT, mean_weights))[0]
    assert (np.abs(found - at_the_means) > 10 * error).any(), "the control: the means' code is another"
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
    ("kind", "settings", "spreads"),
    [
        ("ae", {}, False),
        ("vae", {}, True),
        ("ae", {"weights": "flipout", "decoder_weights": "point"}, True),
        ("vae", {"weights": "flipout"}, True),
    ],
)
def test_reconstructions_spread_where_something_is_random(kind: str, settings: dict[str, str], spreads: bool) -> None:
    predictive = predict(build(kind, network_of(), **settings), X, num_samples=20)
    assert predictive.mean.shape == (N, 6)
    assert (predictive.epistemic_variance > 1e-6).all() == spreads
    assert (predictive.epistemic_variance == 0).all() == (not spreads)


@pytest.mark.parametrize("shape", [(12,), (2, 3, 2)])
@pytest.mark.parametrize("likelihood", [Normal(), MixtureNormal(num_components=2)])
def test_images_of_any_shape(shape: tuple[int, ...], likelihood: Normal | MixtureNormal) -> None:
    network = network_of(likelihood, image_shape=shape, latent_size=3, encoder_units=(), decoder_units=())
    model = build("vae", network)
    x = np.random.default_rng(0).normal(size=(4, *shape))
    assert encode(model, x).shape == (4, 3)
    assert decode(model, np.zeros((5, 3))).shape == (5, *shape)
    assert model(x.astype(np.float32)).log_prob(x.astype(np.float32)).shape == (4,)


def test_the_vote_is_that_of_most_of_ten_neighbours() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    labels = np.repeat([3, 7, 8], 40)
    codes = centres[np.repeat([0, 1, 2], 40)] + 0.3 * rng.normal(size=(120, 2))
    np.testing.assert_array_equal(vote(codes, labels, centres), [3, 7, 8])
    line, sides = np.arange(20.0)[:, None], np.repeat([1, 2], [6, 14])
    np.testing.assert_array_equal(vote(line, sides, np.array([[-1.0], [2.6], [19.0]])), [1, 1, 2])
    np.testing.assert_array_equal(vote(line, np.repeat([1, 2], [4, 16]), np.array([[-1.0]])), [2])
    np.testing.assert_array_equal(vote(line[:3], np.array([1, 2, 2]), np.array([[0.0]])), [2])
    shuffled = vote(codes, rng.permutation(labels), codes)
    assert (shuffled == labels).mean() < 0.75 < (vote(codes, labels, codes) == labels).mean() == 1.0


def test_the_silhouette_of_four_points_by_hand() -> None:
    codes, labels = np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1])
    assert silhouette(codes, labels) == pytest.approx((3.5 / 4.5 + 2.5 / 3.5) / 2)
    assert silhouette(codes, labels[[0, 2, 1, 3]]) == pytest.approx((-1 / 4 - 2 / 4) / 2)
    assert silhouette(codes * [[0], [0], [1], [0.8]], labels) == 1.0
    assert np.isnan(silhouette(codes, np.zeros(4, int)))
    assert np.isnan(silhouette(codes, np.arange(4)))


def test_active_units_are_those_whose_mean_varies_by_more_than_a_hundredth() -> None:
    sides = np.array([-1.0, 1.0] * 10)[:, None]
    codes = sides * [0.0999, 0.1001, 0.0, 3.0] + [0.0, 0.0, 5.0, 1.0]
    assert active_units(codes) == 2
    assert active_units(codes[:, :1]) == 0


def test_the_most_confused_are_taken_for_each_other_most_often() -> None:
    labels = np.array([4, 4, 4, 4, 9, 9, 1, 1, 1, 1])
    voted = np.array([9, 4, 4, 1, 4, 9, 4, 1, 1, 1])
    assert confusion(labels, voted, (4, 9)) == 2 / 6
    assert confusion(labels, voted, (1, 4)) == 2 / 8
    assert confusion(labels, voted, (1, 9)) == 0
    assert most_confused(labels, voted) == (4, 9)
    assert confusion(labels, labels, (4, 9)) == 0
    assert most_confused(labels[:4], voted[:4]) is None
    assert confusion(labels, np.where(labels == 4, 9, 4), (4, 9)) == 1
