"""A model of which both parts of the variance over draws are known: y = w x + z + noise, with weight w and latent z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.models.latents import NormalUnits

SLOPE, SLOPE_SD, LATENT_SD, NOISE = 0.5, 0.8, 0.6, 0.4


def normal(values: tf.Tensor) -> tfd.Distribution:
    return tfd.Independent(tfd.Normal(values, NOISE), 1)


def line_with_latents(
    density: Callable[[tf.Tensor], tfd.Distribution] = normal,
    slope: float = SLOPE,
    slope_sd: float = SLOPE_SD,
    latent_sd: float = LATENT_SD,
) -> Any:
    """w ~ N(slope, slope_sd^2) is the kernel of a layer, and z ~ N(0, latent_sd^2) of `NormalUnits` for every x."""
    constant = tf_keras.initializers.Constant
    kernel = tfp.layers.default_mean_field_normal_fn(
        loc_initializer=constant(slope), untransformed_scale_initializer=constant(np.log(np.expm1(slope_sd)))
    )
    x = tf_keras.Input((1,))
    line = tfp.layers.DenseReparameterization(1, kernel_posterior_fn=kernel, bias_posterior_fn=None)(x)
    z = NormalUnits(initial_scale=latent_sd)(tf_keras.layers.Dense(2, kernel_initializer="zeros")(x))
    return tf_keras.Model(x, tfp.layers.DistributionLambda(density)(tf_keras.layers.Add()([line, z])))
