"""What autoencoders and comparisons of them do not support is named in one line, before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from patterns import NETWORK, patterns

from variational_bnn.base import Network
from variational_bnn.experiments.compare_autoencoders import compare_autoencoders
from variational_bnn.methods.autoencoders import Autoencoder
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.autoencoders import build_autoencoder, build_variational_autoencoder
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Bernoulli, Categorical
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.bounds import encode, measure_bounds

IMAGES = patterns()

BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no images": (
        lambda: compare_autoencoders(IMAGES.x_train),  # type: ignore[arg-type]
        TypeError,
        "images must be Images, got ndarray",
    ),
    "models": (
        lambda: compare_autoencoders(IMAGES, models="vae"),
        ValueError,
        "models must be a sequence or a mapping, got 'vae'",
    ),
    "model": (
        lambda: compare_autoencoders(IMAGES, models=["gan"]),
        ValueError,
        "unknown model 'gan'; known: ae, vae, flipout-ae, flipout-vae",
    ),
    "no model": (
        lambda: compare_autoencoders(IMAGES, models=[]),
        ValueError,
        "models must hold at least one model, got none",
    ),
    "seed": (lambda: compare_autoencoders(IMAGES, seeds=[-1]), ValueError, "seed must be"),
    "latents": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), latent_size=0),
        ValueError,
        "latent_size must be a whole number >= 1, got 0",
    ),
    "label": (lambda: compare_autoencoders(IMAGES, held_out=3), ValueError, "unknown label 3; known: 2, 5, 7"),
    "samples": (
        lambda: compare_autoencoders(IMAGES, num_samples=1),
        ValueError,
        "num_samples must be at least 2 for a variance, got 1",
    ),
    "epochs": (lambda: Autoencoder(epochs=0), ValueError, "epochs must be a whole number >= 1, got 0"),
    "batch": (lambda: Autoencoder(batch_size=0), ValueError, "batch_size must be a whole number >= 1, got 0"),
    "kind": (lambda: Autoencoder(weights="mcmc"), ValueError, "unknown kind of weights 'mcmc'; known: point, "),
    "variational": (
        lambda: Autoencoder(variational="yes"),  # type: ignore[arg-type]
        ValueError,
        "variational must be True or False, got 'yes'",
    ),
    "a method of tables": (
        lambda: compare_autoencoders(IMAGES, models={"mine": NETWORK}),  # type: ignore[dict-item]
        TypeError,
        "a model must be a name or an Autoencoder, got AutoencoderNetwork(",
    ),
    "unknown in a mapping": (
        lambda: compare_autoencoders(IMAGES, models={"mine": "gan"}),
        ValueError,
        "unknown model 'gan'; known: ae, vae, flipout-ae, flipout-vae",
    ),
    "workers": (lambda: compare_autoencoders(IMAGES, workers=0), ValueError, "workers must be a whole number >= 1"),
    "rate": (lambda: Autoencoder(learning_rate=0.0), ValueError, "learning_rate must be > 0, got 0.0"),
    "a network of other images": (
        lambda: compare_autoencoders(IMAGES, network=AutoencoderNetwork(image_shape=(8, 8))),
        ValueError,
        "network must have image_shape (6, 3) for the images, got (8, 8)",
    ),
    "image shape": (
        lambda: AutoencoderNetwork(image_shape=64),  # type: ignore[arg-type]
        ValueError,
        "image_shape must be a tuple of whole numbers, got 64",
    ),
    "no image shape": (lambda: AutoencoderNetwork(image_shape=()), ValueError, "image_shape must have at least one"),
    "units": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), decoder_units=(0,)),
        ValueError,
        "decoder_units must be a whole number >= 1, got 0",
    ),
    "empty images": (
        lambda: AutoencoderNetwork(image_shape=(0, 3)),
        ValueError,
        "image_shape must be a whole number >= 1, got 0",
    ),
    "activation": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), activation="step"),
        ValueError,
        "unknown activation 'step'",
    ),
    "prior": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), prior_scale=0.0),
        ValueError,
        "prior_scale must be > 0, got 0.0",
    ),
    "switch": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), scale_prior_by_fan_in="no"),  # type: ignore[arg-type]
        ValueError,
        "scale_prior_by_fan_in must be True or False, got 'no'",
    ),
    "a class as pixels": (
        lambda: AutoencoderNetwork(image_shape=(1,), likelihood=Categorical(num_classes=3)),
        ValueError,
        "likelihood must be one of pixels, such as Bernoulli(), got Categorical(num_classes=3)",
    ),
    "no KL weight": (
        lambda: build_variational_autoencoder(NETWORK, 40, kl_weight=None),  # type: ignore[arg-type]
        ValueError,
        "kl_weight must be >= 0, got None",
    ),
    "KL weight of a plain one": (
        lambda: build_autoencoder(NETWORK, 40, kl_weight=-1),
        ValueError,
        "kl_weight must be >= 0, got -1",
    ),
    "scale of point weights": (
        lambda: build_autoencoder(NETWORK, 40, initial_scale=-1),
        ValueError,
        "initial_scale must be > 0, got -1",
    ),
    "weights": (
        lambda: build_autoencoder(NETWORK, 40, weights="mcmc"),
        ValueError,
        "unknown kind of weights 'mcmc'; known: point, ",
    ),
    "a network of tables": (
        lambda: build_autoencoder(Network(input_shape=(6,), output_size=6, likelihood=Bernoulli()), 40),  # type: ignore[arg-type]
        TypeError,
        "network must be an AutoencoderNetwork, got Network",
    ),
    "a network of tables for a comparison": (
        lambda: compare_autoencoders(IMAGES, network=Network(input_shape=(6,), output_size=6, likelihood=Bernoulli())),  # type: ignore[arg-type]
        TypeError,
        "network must be an AutoencoderNetwork, got Network",
    ),
    "a likelihood by name": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), likelihood="bernoulli"),  # type: ignore[arg-type]
        TypeError,
        "likelihood must be a Likelihood such as Normal(), got 'bernoulli'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_supported_is_named_in_one_line(case: str) -> None:
    call, kind, message = BAD[case]
    with pytest.raises(kind, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (IMAGES.x_test[..., None], "x must have shape [N, 6, 3], got [12, 6, 3, 1]"),
        (IMAGES.x_test[0], "x must have shape [N, 6, 3], got [6, 3]"),
        (IMAGES.x_test[:0], "x must have shape [N, 6, 3], got [0, 6, 3]"),
        (IMAGES.x_test * 255, "Bernoulli"),
        (IMAGES.x_test - 0.5, "Bernoulli"),
        (np.where(IMAGES.x_test > 0, np.nan, 0), "x must be finite"),
    ],
)
def test_images_that_a_model_cannot_measure(x: Any, message: str) -> None:
    model = build_variational_autoencoder(NETWORK, 40, seed=0)
    for measure in (measure_bounds, encode):
        with pytest.raises(ValueError, match=re.escape(message)):
            measure(model, x)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (IMAGES.x_train * 255, IMAGES.x_train * 255, "y must be in [0, 1] for Bernoulli, got 255.0"),
        (IMAGES.x_train, tf.constant(IMAGES.x_train * 255), "y must be in [0, 1] for Bernoulli, got 255.0"),
        (IMAGES.x_train * np.nan, IMAGES.x_train, "x must be finite, got nan"),
        (tf.constant(IMAGES.x_train * np.nan), IMAGES.x_train, "x must be finite, got nan"),
        (IMAGES.x_train[:, :5], IMAGES.x_train, "x must have shape [N, 6, 3], got [40, 5, 3]"),
        (IMAGES.x_train.reshape(40, 18), IMAGES.x_train, "x must have shape [N, 6, 3], got [40, 18]"),
        (IMAGES.x_train, IMAGES.x_train.astype(str), "y must hold numbers, got <U"),
    ],
)
def test_images_that_do_not_fit_are_named_before_the_training(x: Any, y: Any, message: str) -> None:
    model = build_variational_autoencoder(NETWORK, 40, seed=0)
    model.compile("adam", loss=negative_log_likelihood)
    before = model.get_weights()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        model.fit(x, y, verbose=0)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(IMAGES.x_train, IMAGES.x_train, validation_data=(x, y), verbose=0)
    for own, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, other)


def test_other_models_are_not_measured_as_autoencoders() -> None:
    head = build_output_variation(Network(input_shape=(6, 3), output_size=18, likelihood=Bernoulli()), 40, seed=0)
    for measure in (measure_bounds, encode):
        with pytest.raises(ValueError, match="model must be an autoencoder of variational_bnn, got"):
            measure(head, IMAGES.x_test)
