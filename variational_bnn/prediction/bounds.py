"""What an autoencoder says of images: its lower bounds on their log density, their codes, and what it decodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from variational_bnn.base.checks import Array, Float32Array, require, require_count, require_seed
from variational_bnn.models.backend import require_model, tf, tf_keras, tfd
from variational_bnn.models.builders.autoencoders import DECODER, ENCODER, LATENTS
from variational_bnn.models.layers import MeanFieldDense
from variational_bnn.models.losses import stochastic_layers
from variational_bnn.prediction.coherence import drawing, inlined
from variational_bnn.prediction.predict import predict

WEIGHT_DRAWS = 8
"""Over which a bound is averaged where weights are uncertain; each serves all images."""

DECODED = 2**12
"""Latents decoded together, of some images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """Lower bounds on the log density of N images, and their terms, in nats.

    A plain autoencoder gives images no density: its `nll` is that of each image given its own code, and no bound.

    Attributes:
        nll: `[N]`, E_q[-log p(x given z)] of each image.
        kl_latents: `[N]`, KL(q(z given x) || N(0, I)); zeros without latents.
        kl_weights: KL of the weights over the number of training images; 0 where they are points.
        log_importance: `[N]`, log of the mean over K latents z ~ q of p(x given z) p(z) / q(z given x).
        num_samples: K.
    """

    nll: Array
    kl_latents: Array
    kl_weights: float
    log_importance: Array
    num_samples: int

    @property
    def elbo(self) -> Array:
        """The evidence lower bound `[N]`: E_q[log p(x given z)] less both KLs."""
        return -(self.nll + self.kl_latents + self.kl_weights)

    @property
    def importance_weighted(self) -> Array:
        """The importance-weighted bound `[N]` of K latents (Burda et al. 2015, arXiv 1509.00519), less the weights' KL.

        In expectation it is the ELBO for K = 1, and rises with K, to log p(x) where the weights are points.
        """
        return self.log_importance - self.kl_weights


def measure_bounds(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 50, seed: int = 0) -> Bounds:
    """Measure the evidence lower bound and the importance-weighted one of an autoencoder at images.

    The latents of each image are drawn apart from those of others. Where weights are uncertain, both bounds are means
    over 8 draws of them, each with latents of its own.

    Args:
        model: Of `build_autoencoder` or `build_variational_autoencoder`.
        x: Images `[N, *image_shape]`.
        num_samples: K, latents drawn for each image (and each draw of the weights).
        seed: Of the draws.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the model is no autoencoder of this package, the images do not fit it, or a number is out of
            range.
    """
    images = _images(model, x)
    require_count("num_samples", num_samples)
    require_seed(seed)
    weights = [layer for layer in stochastic_layers(model) if isinstance(layer, MeanFieldDense)]
    draws, passing = WEIGHT_DRAWS if weights else 1, _pass(model)
    rows, blocks = max(1, DECODED // num_samples), np.diff([*range(0, num_samples, DECODED), num_samples])
    nll, kl, log_importance = np.zeros((3, len(images)))
    for start in range(0, len(images), rows):
        part = slice(start, start + rows)
        for draw in range(draws):
            log_means = []
            for number, count in enumerate(blocks):
                first, second = tf.constant([seed, draw], tf.int64), tf.constant([seed, start, draw, number], tf.int64)
                terms = passing(tf.constant(images[part]), tf.constant(count, tf.int32), first, second)
                of_block = [term.numpy().astype(np.float64) for term in terms]
                nll[part] += of_block[0] * count / num_samples / draws
                kl[part] += of_block[1] / len(blocks) / draws
                log_means.append(of_block[2] + np.log(count / num_samples))
            log_importance[part] += logsumexp(log_means, axis=0) / draws
    return Bounds(
        nll=nll,
        kl_latents=kl,
        kl_weights=float(sum(layer.weights_kl() / layer.num_examples for layer in weights)),
        log_importance=log_importance,
        num_samples=num_samples,
    )


def _pass(model: tf_keras.Model) -> Any:
    """Compiled: images `[R, ...]`, K and seeds of weights and latents to nll, KL and log importance `[R]`."""
    encoder, decoder = model.get_layer(ENCODER), model.get_layer(DECODER)
    latents = model.get_layer(LATENTS) if is_variational(model) else None

    def passing(
        x: tf.Tensor, count: tf.Tensor, weights_seed: tf.Tensor, latents_seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with drawing(model, 1, tf.constant(1), weights_seed), inlined():
            code = encoder(x, training=False)
            if latents is None:
                nll = -decoder(code, training=False).log_prob(x)
                return nll, tf.zeros_like(nll), -nll
            q = latents.posterior(code)
            prior = tfd.Independent(tfd.Normal(tf.zeros_like(q.mean()), 1.0), reinterpreted_batch_ndims=1)
            z = q.sample(count, seed=_folded(latents_seed))  # [K, R, L]
            decoded = decoder(tf.reshape(z, [-1, z.shape[-1]]), training=False)
            copies = tf.tile(x, [count] + [1] * (len(x.shape) - 1))
            log_likelihood = tf.reshape(decoded.log_prob(copies), [count, -1])
        log_ratio = log_likelihood + prior.log_prob(z) - q.log_prob(z)
        log_importance = tf.reduce_logsumexp(log_ratio, 0) - tf.math.log(tf.cast(count, x.dtype))
        return -tf.reduce_mean(log_likelihood, 0), tfd.kl_divergence(q, prior), log_importance

    images, count = tf.TensorSpec([None, *model.input_shape[1:]]), tf.TensorSpec([], tf.int32)
    seeds = tf.TensorSpec([2], tf.int64), tf.TensorSpec([4], tf.int64)
    return tf.function(passing, autograph=False).get_concrete_function(images, count, *seeds)


def _folded(numbers: tf.Tensor) -> tf.Tensor:
    """A seed `[2]` by four numbers, which no layer's draw of the weights has."""
    first, *others = tf.unstack(numbers)
    seed = tf.stack([first, tf.constant(-1, tf.int64)])
    for number in others:
        seed = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.cast(seed, tf.int32)  # All that TFP takes.


def encode(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 50, seed: int = 0) -> Array:
    """The codes `[N, L]` of images: the latents' mean, over draws of the weights where these are uncertain.

    Args:
        model: Of `build_autoencoder` or `build_variational_autoencoder`.
        x: Images `[N, *image_shape]`.
        num_samples: Draws of the weights.
        seed: Of the draws.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the model is no autoencoder of this package, or the images do not fit it.
    """
    images = _images(model, x)
    outputs = predict(model.get_layer(ENCODER), images, num_samples=num_samples, seed=seed).mean
    return outputs[:, : model.get_layer(DECODER).input_shape[-1]]


def decode(model: tf_keras.Model, z: npt.ArrayLike, *, num_samples: int = 50, seed: int = 0) -> Array:
    """The mean images `[N, *image_shape]` of codes, over draws of the weights where these are uncertain.

    Args:
        model: Of `build_autoencoder` or `build_variational_autoencoder`.
        z: Codes `[N, L]`.
        num_samples: Draws of the weights.
        seed: Of the draws.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the model is no autoencoder of this package, or the codes do not fit it.
    """
    require_autoencoder(model)
    mean = predict(model.get_layer(DECODER), z, num_samples=num_samples, seed=seed).mean
    return mean.reshape(-1, *model.input_shape[1:])


def is_variational(model: tf_keras.Model) -> bool:
    """Whether an autoencoder's latents are random."""
    return LATENTS in {layer.name for layer in model.layers}


def require_autoencoder(model: Any) -> None:
    """Refuse what `build_autoencoder` and `build_variational_autoencoder` do not build."""
    require_model(model)
    found = {layer.name for layer in model.layers}
    require({ENCODER, DECODER} <= found, f"model must be an autoencoder of variational_bnn, got {model.name!r}")


def _images(model: Any, x: npt.ArrayLike) -> Float32Array:
    require_autoencoder(model)
    images = np.asarray(x, np.float32)
    wanted = ", ".join(["N", *map(str, model.input_shape[1:])])
    fits = images.ndim > 0 and len(images) > 0 and images.shape[1:] == model.input_shape[1:]
    require(fits, f"x must have shape [{wanted}], got {list(images.shape)}")
    require(bool(np.isfinite(images).all()), f"x must be finite, got {np.count_nonzero(~np.isfinite(images))} not")
    model.get_layer(DECODER).get_layer("pixels").likelihood.require_targets(images)
    return images
