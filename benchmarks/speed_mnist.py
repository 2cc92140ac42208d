"""Rows of `speed.py`: the lecture's VAE on MNIST, beside the code that the lecture prints.

`VARIATIONAL_BNN_DATA=DIR`: DIR holds `mnist.npz`; without the variable it is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from races import Row, Setting, race, seconds_of
from speed_fit import seconds_a_step
from tensorflow_probability import distributions as tfd

import variational_bnn as vbnn

BATCH_SIZE, LEARNING_RATE = 100, 1e-3
STEPS = 4_800
"""Of each `fit`: 8 epochs."""


def as_printed(image_shape: tuple[int, int]) -> tf_keras.Model:
    """The lecture's VAE as it prints it, of tfp's layers."""
    shape, size = (*image_shape, 1), 2
    prior = tfd.Independent(tfd.Normal(loc=tf.zeros(size), scale=1), reinterpreted_batch_ndims=1)
    layers, tfpl = tf_keras.layers, tfp.layers
    encoder = tf_keras.Sequential(
        [
            layers.InputLayer(input_shape=shape),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(tfpl.IndependentNormal.params_size(size)),
            tfpl.IndependentNormal(size, activity_regularizer=tfpl.KLDivergenceRegularizer(prior, weight=1.0)),
        ]
    )
    decoder = tf_keras.Sequential(
        [
            layers.InputLayer(input_shape=[size]),
            layers.Dense(32, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(tfpl.IndependentBernoulli.params_size(shape)),
            tfpl.IndependentBernoulli(shape, tfd.Bernoulli.logits),
        ]
    )
    model = tf_keras.Model(inputs=encoder.inputs, outputs=decoder(encoder.outputs[0]))
    model.compile(tf_keras.optimizers.Adam(LEARNING_RATE), loss=lambda x, rv_x: -rv_x.log_prob(x))
    return model


def mnist(setting: Setting) -> Iterator[Row]:
    """A step of `fit` as it comes, against the printed code; and draws against a loop of calls."""
    images = vbnn.mnist().binarised()
    x, network = images.x_train, vbnn.AutoencoderNetwork(image_shape=images.image_shape)
    vae, flipout = (
        vbnn.build_variational_autoencoder(network, len(x), seed=0),
        vbnn.build_autoencoder(network, len(x), weights="flipout", decoder_weights="point", seed=0),
    )
    vae.compile(tf_keras.optimizers.Adam(LEARNING_RATE), loss=vbnn.negative_log_likelihood)
    printed, with_channel = as_printed(images.image_shape), x[..., None]
    runs = {
        "ours": partial(seconds_a_step, vae, x, x, BATCH_SIZE, STEPS),
        "theirs": partial(seconds_a_step, printed, with_channel, with_channel, BATCH_SIZE, STEPS),
    }
    times = race(runs, setting.turns)
    what = "fit, the VAE on MNIST, against the code that the lecture prints"
    yield Row.of(what, times["ours"], times["theirs"], unit="s/step", target=2)
    few = images.x_test[:100]
    for name, model in (("vae", vae), ("flipout-ae", flipout)):

        def loop(model: tf_keras.Model = model) -> None:
            np.var([model(few).mean().numpy() for _ in range(100)], axis=0)

        ours = partial(seconds_of, partial(vbnn.predict, model, few, num_samples=100), 5)
        times = race({"ours": ours, "theirs": partial(seconds_of, loop)}, setting.turns)
        what = f"predictive sd of 100 reconstructions, 100 draws, {name}, against a loop of calls of the same model"
        yield Row.of(what, times["ours"], times["theirs"])
