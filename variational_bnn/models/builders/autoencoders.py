"""Autoencoders: networks from images to a few latents and back, with point or uncertain weights in each half.

In a plain autoencoder the latents are a function of the image. In a variational one they are random, and training
maximises the evidence lower bound (Kingma & Welling 2014, arXiv 1312.6114)

    log p(x) >= E_q(z given x)[log p(x given z)] - KL(q(z given x) || N(0, I)).

With uncertain weights the loss also has their KL, divided by the number of examples (Blundell et al. 2015,
arXiv 1505.05424).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from variational_bnn.base.checks import is_positive, require, require_kl_weight, require_known
from variational_bnn.models.backend import as_written, tf_keras
from variational_bnn.models.builders.assembly import LayerMaker, chain, dense, flat, layer_seeds
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.weights import ESTIMATORS, mean_field
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.variational_model import VariationalModel

POINT = "point"
"""The kind of weights that are numbers, not distributions."""

ENCODER, LATENTS, DECODER = "encoder", "latents", "decoder"
"""Names of the layers of an autoencoder. The encoder and the decoder are models: `model.get_layer("decoder")`."""


def build_autoencoder(
    network: AutoencoderNetwork,
    num_examples: int,
    *,
    weights: str = POINT,
    decoder_weights: str | None = None,
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalModel:
    """Build an autoencoder whose latents are a function of the image.

    With point weights it is an ordinary autoencoder, whose decoder gives a distribution of images. With
    `weights="flipout"` and `decoder_weights="point"` it is the autoencoder with uncertain weights of the lecture
    (CS109B, Harvard, 2021): a probabilistic encoder and a deterministic decoder.

    Args:
        network: The encoder and the decoder to build.
        num_examples: Number of images N that the model will be trained on. The KL of the weights is divided by it.
        weights: "point" for weights that are numbers, or how training draws uncertain weights: an estimator of
            `build_weight_variation`, "reparameterization", "flipout" or "local_reparameterization".
        decoder_weights: The same choice for the decoder alone; None takes that of `weights`.
        initial_scale: Posterior standard deviation of each uncertain weight at the start, divided by that of its
            prior, > 0.
        kl_weight: Weight of the KL of the weights in the loss, >= 0; 1 for the evidence lower bound.
        seed: Seed of the initial values and of the random numbers of training, >= 0; None takes one from the
            entropy of the operating system.

    Returns:
        A model from images `[N, *image_shape]` to a distribution of images, to be compiled with
        `negative_log_likelihood` and fitted to `(x, x)`. Its layer "encoder" is a model from images to latents
        `[N, L]`, and its layer "decoder" a model from latents to a distribution of images.

    Raises:
        TypeError: If `network` is not an `AutoencoderNetwork`.
        ValueError: If `num_examples` is not a whole number >= 1, `initial_scale` is not > 0, `kl_weight` is not >= 0,
            `seed` is not a whole number >= 0, or the kind of weights is unknown.

    Example:
        >>> import variational_bnn as vbnn
        >>> images = np.random.default_rng(0).uniform(size=(20, 4, 4))
        >>> network = vbnn.AutoencoderNetwork(image_shape=(4, 4), encoder_units=(8,), decoder_units=(8,))
        >>> model = vbnn.build_autoencoder(network, num_examples=len(images), weights="flipout", seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(images, images, verbose=0)
        >>> model.get_layer("encoder")(images).shape
        TensorShape([20, 2])
    """
    makers = _makers(network, num_examples, weights, decoder_weights, initial_scale, kl_weight)
    return _build(network, num_examples, *makers, latents=None, seed=seed)


def build_variational_autoencoder(
    network: AutoencoderNetwork,
    num_examples: int,
    *,
    weights: str = POINT,
    decoder_weights: str | None = None,
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalModel:
    """Build a variational autoencoder, in which the latents of each image are random.

    The latents of an image have an independent normal posterior, whose parameters the encoder gives, and the prior
    N(0, I) (Kingma & Welling 2014, arXiv 1312.6114). They start about as wide as their prior. Their KL is in closed
    form and counted once. The printed code of the lecture (CS109B, Harvard, 2021), with
    `activity_regularizer=KLDivergenceRegularizer(prior)`, counts it twice: that is `kl_weight=2` here, a beta-VAE
    (Higgins et al. 2017, beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework).

    Args:
        network: The encoder and the decoder to build.
        num_examples: Number of images N that the model will be trained on. The KL of the weights is divided by it.
        weights: "point" for weights that are numbers, or how training draws uncertain weights: an estimator of
            `build_weight_variation`, "reparameterization", "flipout" or "local_reparameterization".
        decoder_weights: The same choice for the decoder alone; None takes that of `weights`.
        initial_scale: Posterior standard deviation of each uncertain weight at the start, divided by that of its
            prior, > 0.
        kl_weight: Weight of the KL of the latents and of that of the weights in the loss, >= 0: 1 for the evidence
            lower bound; the beta of a beta-VAE.
        seed: Seed of the initial values and of the random numbers of training, >= 0; None takes one from the
            entropy of the operating system.

    Returns:
        A model from images `[N, *image_shape]` to a distribution of images, to be compiled with
        `negative_log_likelihood` and fitted to `(x, x)`. Its layer "encoder" is a model from images to the parameters
        `[N, 2 * L]` of the posterior of the latents, its layer "latents" a `NormalUnits`, and its layer "decoder" a
        model from latents `[N, L]` to a distribution of images.

    Raises:
        TypeError: If `network` is not an `AutoencoderNetwork`.
        ValueError: If `num_examples` is not a whole number >= 1, `initial_scale` is not > 0, `kl_weight` is not >= 0,
            `seed` is not a whole number >= 0, or the kind of weights is unknown.

    Example:
        >>> import variational_bnn as vbnn
        >>> images = np.random.default_rng(0).uniform(size=(20, 4, 4))
        >>> network = vbnn.AutoencoderNetwork(image_shape=(4, 4), encoder_units=(8,), decoder_units=(8,))
        >>> model = vbnn.build_variational_autoencoder(network, num_examples=len(images), weights="flipout", seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(images, images, verbose=0)
        >>> model.get_layer("encoder")(images).shape
        TensorShape([20, 4])
    """
    makers = _makers(network, num_examples, weights, decoder_weights, initial_scale, kl_weight)
    latents = partial(NormalUnits, initial_scale=1.0, kl_weight=kl_weight, name=LATENTS)
    return _build(network, num_examples, *makers, latents=latents, seed=seed)


def _makers(
    network: AutoencoderNetwork,
    num_examples: int,
    weights: str,
    decoder_weights: str | None,
    initial_scale: float,
    kl_weight: float,
) -> tuple[LayerMaker, LayerMaker]:
    """Return the functions that make the layers of the encoder and of the decoder."""
    if not isinstance(network, AutoencoderNetwork):
        raise TypeError(f"network must be an AutoencoderNetwork, got {type(network).__name__}")
    require_kl_weight(kl_weight)
    require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")

    def maker(kind: str) -> LayerMaker:
        require_known("kind of weights", kind, (POINT, *ESTIMATORS))
        if kind == POINT:
            return dense
        return mean_field(
            kind,
            num_examples,
            prior_scale=network.prior_scale,
            scale_prior_by_fan_in=network.scale_prior_by_fan_in,
            initial_scale=initial_scale,
            kl_weight=kl_weight,
        )

    return maker(weights), maker(weights if decoder_weights is None else decoder_weights)


@as_written
def _build(
    network: AutoencoderNetwork,
    num_examples: int,
    encoding: LayerMaker,
    decoding: LayerMaker,
    *,
    latents: Callable[..., NormalUnits] | None,
    seed: int | None,
) -> VariationalModel:
    """Put together the encoder, the latents if they are random (otherwise `latents` is None) and the decoder."""
    first, second = len(network.encoder_units) + 1, len(network.decoder_units) + 1
    seeds = layer_seeds(num_examples, seed, first + second + 1)
    x = tf_keras.Input(network.image_shape, name="x")
    size = network.latent_size if latents is None else 2 * network.latent_size
    encode = partial(chain, hidden=encoding, output=encoding)
    code = encode(flat(x), network.encoder_units, network.activation, size, seeds[:first])
    encoder = tf_keras.Model(x, code, name=ENCODER)

    z = tf_keras.Input((network.latent_size,), name="z")
    size = network.likelihood.num_parameters(network.num_pixels)
    decode = partial(chain, hidden=decoding, output=decoding)
    parameters = decode(z, network.decoder_units, network.activation, size, seeds[first:-1])
    pixels = LikelihoodHead(network.likelihood, network.num_pixels, event_shape=network.image_shape, name="pixels")
    decoder = tf_keras.Model(z, pixels(parameters), name=DECODER)

    images = tf_keras.Input(network.image_shape, name="images")
    code = encoder(images)
    if latents is None:
        return VariationalModel(images, decoder(code), name="autoencoder")
    return VariationalModel(images, decoder(latents(seed=seeds[-1])(code)), name="variational_autoencoder")
