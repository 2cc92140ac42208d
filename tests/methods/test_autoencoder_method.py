"""The settings of autoencoders, and how they are trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tf_keras
from small_images import images

import variational_bnn as vbnn
from variational_bnn.base.progress import watching

NETWORK = vbnn.AutoencoderNetwork(image_shape=(5, 4), latent_size=2, encoder_units=(6,), decoder_units=(6,))
IMAGES = images()


@pytest.mark.parametrize("name", vbnn.AUTOENCODERS)
def test_each_of_the_lectures_autoencoders_is_trained(name: str) -> None:
    """The model puts out images, and what the name says is random is random."""
    method = dataclasses.replace(vbnn.AUTOENCODERS[name], epochs=2, batch_size=4)
    model, history = method.fit(IMAGES, NETWORK, 0)
    assert isinstance(model, vbnn.VariationalModel)
    assert len(history["loss"]) == len(history["nll"]) == 2
    assert np.isfinite(history["loss"]).all()
    predictive = vbnn.predict(model, IMAGES.x_test, num_samples=20, seed=0)
    assert predictive.mean.shape == (4, 20)
    assert (predictive.variance_over_draws > 0).any() == (name != "ae")
    assert (np.array(history["kl"]) > 0).all() == (name != "ae")


def test_the_loss_falls_and_other_rates_and_seeds_give_others() -> None:
    """The same seed gives the same losses to the bit."""
    method = vbnn.Autoencoder(epochs=5, batch_size=4, learning_rate=1e-2)
    losses = [
        each.fit(IMAGES, NETWORK, seed)[1]["loss"]
        for each, seed in ((method, 0), (method, 0), (method, 1), (dataclasses.replace(method, learning_rate=1e-3), 0))
    ]
    assert losses[0][-1] < 0.99 * losses[0][0]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0] != losses[3]


def test_each_epoch_is_reported() -> None:
    reports = []
    with watching(lambda share, text: reports.append((round(3 * share, 6), text))):
        vbnn.Autoencoder(epochs=3).fit(IMAGES, NETWORK, 0)
    assert reports == [(epoch, f"{epoch} of 3 epochs") for epoch in (1, 2, 3)]


@pytest.mark.parametrize(("count", "epochs"), [(10, 30_000), (1_000, 300), (60_000, 15), (20_000, 15), (10_000, 30)])
def test_without_a_number_of_epochs_there_are_fifteen_or_enough_for_3000_steps(count: int, epochs: int) -> None:
    """Steps of 100 images; a number that is given stays."""
    assert vbnn.Autoencoder().for_images(count) == vbnn.Autoencoder(epochs=epochs)
    assert vbnn.Autoencoder(epochs=4).for_images(count) == vbnn.Autoencoder(epochs=4)


def test_weights_of_encoder_and_decoder_are_chosen_apart() -> None:
    method = vbnn.Autoencoder(weights="flipout", decoder_weights="point", epochs=1)
    model, _ = method.fit(IMAGES, NETWORK, 0)
    flipout = [layer.name for layer in model.submodules if isinstance(layer, vbnn.DenseFlipout)]
    point = [layer.name for layer in model.submodules if type(layer) is tf_keras.layers.Dense]
    assert len(flipout) == 2
    assert len(point) == 2


def test_a_training_that_diverges_raises() -> None:
    with pytest.raises(vbnn.FitError, match=r"^diverged: the loss became "):
        vbnn.Autoencoder(epochs=2, learning_rate=1e30).fit(IMAGES, NETWORK, 0)


KINDS = "point, reparameterization, flipout, local_reparameterization"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variational": 1}, "variational must be True or False, got 1"),
        ({"weights": "random"}, f"unknown kind of weights 'random'; known: {KINDS}"),
        ({"decoder_weights": "none"}, f"unknown kind of weights 'none'; known: {KINDS}"),
        ({"epochs": 0}, "epochs must be a whole number >= 1, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be > 0, got -1.0"),
    ],
)
def test_wrong_settings_raise(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"must be|unknown") as raised:
        vbnn.Autoencoder(**settings)
    assert str(raised.value) == message


def test_images_of_another_shape_raise() -> None:
    other = dataclasses.replace(NETWORK, image_shape=(28, 28))
    with pytest.raises(ValueError, match=r"shape"):
        vbnn.Autoencoder(epochs=1).fit(IMAGES, other, 0)
