"""Autoencoders: lower bounds on the log density of images, the codes of images, and the images of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from variational_bnn.base.checks import Array, Float32Array, require, require_count, require_seed
from variational_bnn.models.backend import require_model, tf, tf_keras, tfd
from variational_bnn.models.builders.autoencoders import DECODER, ENCODER, LATENTS
from variational_bnn.models.losses import variational_layers
from variational_bnn.models.mean_field import MeanField
from variational_bnn.prediction.function_samples import drawing
from variational_bnn.prediction.predict import predict
from variational_bnn.prediction.rules import Block

WEIGHT_DRAWS = 8
"""Draws of the weights, where these are uncertain, over which a bound is averaged; each draw serves all images."""

LATENTS_TOGETHER = 2**12
"""The largest number of latents that are decoded together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """Lower bounds on the log density of N images under an autoencoder, and their terms; all in nats.

    A plain autoencoder gives no density to images. Its `nll` is that of each image given the image's own code, its
    `kl_latents` is 0, and neither property is a bound.

    Attributes:
        nll: E_q[-log p(x given z)] of each image, `[N]`.
        kl_latents: KL(q(z given x) || N(0, I)) of each image, `[N]`; zeros for a plain autoencoder.
        kl_weights: KL of the weights' posterior from their prior, divided by the number of training images; 0 where the
            weights are points.
        log_importance: The log of the mean over K latents z ~ q(z given x) of p(x given z) p(z) / q(z given x), `[N]`;
            -`nll` for a plain autoencoder.
        num_samples: K, the number of latents that were drawn for each image.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> terms = {"nll": np.array([80.0]), "kl_latents": np.array([5.0]), "log_importance": np.array([-84.0])}
        >>> bounds = vbnn.Bounds(**terms, kl_weights=0.5, num_samples=50)
        >>> bounds.elbo, bounds.importance_weighted
        (array([-85.5]), array([-84.5]))
    """

    nll: Array
    kl_latents: Array
    kl_weights: float
    log_importance: Array
    num_samples: int

    @property
    def elbo(self) -> Array:
        """The evidence lower bound `[N]` in nats: E_q[log p(x given z)] minus both KLs (Kingma & Welling 2014)."""
        return -(self.nll + self.kl_latents + self.kl_weights)

    @property
    def importance_weighted(self) -> Array:
        """The importance-weighted bound `[N]` in nats: `log_importance` minus the weights' KL (Burda et al. 2015).

        In expectation it is the evidence lower bound for K = 1 and rises with K; where the weights are points, to
        log p(x) (arXiv 1509.00519).
        """
        return self.log_importance - self.kl_weights


def measure_bounds(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 50, seed: int = 0) -> Bounds:
    """Measure the evidence lower bound and the importance-weighted bound of an autoencoder at N images.

    Each image has latents of its own. Where weights are uncertain, both bounds are means over 8 draws of the weights,
    each of which serves all images; the latents are drawn anew for each. The importance-weighted bound is that of Burda
    et al. 2015 (arXiv 1509.00519).

    Args:
        model: A model of `build_autoencoder` or `build_variational_autoencoder`.
        x: Images `[N, *image_shape]`.
        num_samples: K, the number of latents drawn for each image (and each draw of the weights), >= 1.
        seed: Seed of the weights and the latents, >= 0.

    Returns:
        Both bounds of each image and their terms, in nats.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If `model` is not an autoencoder of this package, the images do not fit it or are not finite, the
            likelihood of the pixels has no density at them, num_samples < 1 or seed < 0.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.AutoencoderNetwork(image_shape=(4, 4), encoder_units=(8,), decoder_units=(8,))
        >>> model = vbnn.build_variational_autoencoder(network, num_examples=100, seed=0)
        >>> images = np.random.default_rng(0).integers(2, size=(5, 4, 4))
        >>> bounds = vbnn.measure_bounds(model, images, num_samples=20)
        >>> bounds.elbo.shape, bounds.importance_weighted.shape
        ((5,), (5,))
    """
    images = _require_images(model, x)
    require_count("num_samples", num_samples)
    require_seed(seed)
    weights = [layer for layer in variational_layers(model) if isinstance(layer, MeanField)]
    draws, terms_of = WEIGHT_DRAWS if weights else 1, _compiled_terms(model)
    rows = max(1, LATENTS_TOGETHER // num_samples)
    blocks = np.diff([*range(0, num_samples, LATENTS_TOGETHER), num_samples])
    nll, kl, log_importance = np.zeros((3, len(images)))
    for start in range(0, len(images), rows):
        part = slice(start, start + rows)
        for draw in range(draws):
            log_means = []
            for number, count in enumerate(blocks):
                of_weights = tf.constant([seed, draw], tf.int64)
                of_latents = tf.constant([seed, start, draw, number], tf.int64)
                terms = terms_of(tf.constant(images[part]), tf.constant(count, tf.int32), of_weights, of_latents)
                block_nll, block_kl, log_mean = (term.numpy().astype(np.float64) for term in terms)
                nll[part] += block_nll * count / num_samples / draws
                kl[part] += block_kl / len(blocks) / draws
                log_means.append(log_mean + np.log(count / num_samples))
            log_importance[part] += logsumexp(log_means, axis=0) / draws
    return Bounds(
        nll=nll,
        kl_latents=kl,
        kl_weights=float(sum(layer.weights_kl() / layer.num_examples for layer in weights)),
        log_importance=log_importance,
        num_samples=num_samples,
    )


def _compiled_terms(model: tf_keras.Model) -> Any:
    """A compiled function from images `[R, ...]`, K and two seeds to nll, KL and log importance, `[R]` each.

    The seed of the weights is `[2]`, that of the latents `[4]`. One draw of the weights serves all R images.
    """
    encoder, decoder = model.get_layer(ENCODER), model.get_layer(DECODER)
    latents = model.get_layer(LATENTS) if is_variational(model) else None

    def terms(
        x: tf.Tensor, count: tf.Tensor, weights_seed: tf.Tensor, latents_seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with drawing(model, Block(1, tf.constant(1), weights_seed, tf.constant(0))):
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
    return tf.function(terms, autograph=False).get_concrete_function(images, count, *seeds)


def _folded(numbers: tf.Tensor) -> tf.Tensor:
    """A seed `[2]` made of four numbers; the second number -1 tells it from all seeds of the weights."""
    first, *others = tf.unstack(numbers)
    seed = tf.stack([first, tf.constant(-1, tf.int64)])
    for number in others:
        seed = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.cast(seed, tf.int32)  # TFP takes no other type.


def encode(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 50, seed: int = 0) -> Array:
    """Encode images: the mean of the latents, also over draws of the weights where these are uncertain.

    Args:
        model: A model of `build_autoencoder` or `build_variational_autoencoder`.
        x: Images `[N, *image_shape]`.
        num_samples: Number of draws of the weights, >= 1; without effect where the weights are points.
        seed: Seed of these draws, >= 0.

    Returns:
        Codes `[N, L]`.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If `model` is not an autoencoder of this package, the images do not fit it or are not finite, the
            likelihood of the pixels has no density at them, num_samples < 1 or seed < 0.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.AutoencoderNetwork(image_shape=(4, 4), latent_size=2)
        >>> model = vbnn.build_variational_autoencoder(network, num_examples=100, seed=0)
        >>> vbnn.encode(model, np.zeros((5, 4, 4))).shape
        (5, 2)
    """
    images = _require_images(model, x)
    outputs = predict(model.get_layer(ENCODER), images, num_samples=num_samples, seed=seed).mean
    return outputs[:, : model.get_layer(DECODER).input_shape[-1]]


def decode(model: tf_keras.Model, z: npt.ArrayLike, *, num_samples: int = 50, seed: int = 0) -> Array:
    """Decode codes: the mean image of each, also over draws of the weights where these are uncertain.

    Args:
        model: A model of `build_autoencoder` or `build_variational_autoencoder`.
        z: Codes `[N, L]`.
        num_samples: Number of draws of the weights, >= 1; without effect where the weights are points.
        seed: Seed of these draws, >= 0.

    Returns:
        Mean images `[N, *image_shape]`, in the units of the pixels; probabilities where a pixel is 0 or 1.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If `model` is not an autoencoder of this package, the codes do not fit it or are not finite,
            num_samples < 1 or seed < 0.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.AutoencoderNetwork(image_shape=(4, 4), latent_size=2)
        >>> model = vbnn.build_variational_autoencoder(network, num_examples=100, seed=0)
        >>> vbnn.decode(model, np.zeros((3, 2))).shape
        (3, 4, 4)
    """
    require_autoencoder(model)
    mean = predict(model.get_layer(DECODER), z, num_samples=num_samples, seed=seed).mean
    return mean.reshape(-1, *model.input_shape[1:])


def is_variational(model: tf_keras.Model) -> bool:
    """Whether the latents of an autoencoder are random."""
    return LATENTS in {layer.name for layer in model.layers}


def require_autoencoder(model: Any) -> None:
    """Raise unless `build_autoencoder` or `build_variational_autoencoder` built the model.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If it is not an autoencoder of this package.
    """
    require_model(model)
    names = {layer.name for layer in model.layers}
    require({ENCODER, DECODER} <= names, f"model must be an autoencoder of variational_bnn, got {model.name!r}")


def _require_images(model: Any, x: npt.ArrayLike) -> Float32Array:
    """Return the images as float32 if they fit the autoencoder."""
    require_autoencoder(model)
    images = np.asarray(x, np.float32)
    shape = ", ".join(["N", *map(str, model.input_shape[1:])])
    fits = images.ndim > 0 and len(images) > 0 and images.shape[1:] == model.input_shape[1:]
    require(fits, f"x must have shape [{shape}], got {list(images.shape)}")
    bad = np.count_nonzero(~np.isfinite(images))
    require(bad == 0, f"x must be finite, got {bad} values that are not")
    model.get_layer(DECODER).get_layer("pixels").likelihood.require_targets(images)
    return images
