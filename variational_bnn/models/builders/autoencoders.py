"""Autoencoders: images through a few latents and back, with point or uncertain weights, in either half.

Plain, the latents are a function of the image. Variational, they are drawn (Kingma & Welling 2014, arXiv 1312.6114):

    log p(x) >= E_q(z given x)[log p(x given z)] - KL(q(z given x) || N(0, I)).

With uncertain weights the loss has their KL, too, over the number of examples (Blundell et al. 2015, arXiv 1505.05424).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from variational_bnn.base.checks import is_positive, require, require_kl_weight, require_known
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.builders.assembly import LayerMaker, chain, dense, layer_seeds
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.weights import ESTIMATORS, mean_field
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.variational_model import VariationalModel

POINT = "point"
"""Weights that are numbers, not distributions."""

ENCODER, LATENTS, DECODER = "encoder", "latents", "decoder"
"""Names of the layers, two of which are models of their own: `model.get_layer("decoder")`."""


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

    With `weights="flipout"` and `decoder_weights="point"` it is the lecture's autoencoder with uncertain weights: a
    probabilistic encoder and a deterministic decoder.

    Args:
        network: What to build.
        num_examples: N, the images that the model will be trained on; the weights' KL is divided by it.
        weights: "point", or how uncertain weights are drawn in training: an estimator of `build_weight_variation`.
        decoder_weights: Likewise, of the decoder alone; as the encoder's by default.
        initial_scale: Of the weights' posterior at the start, relative to the prior's.
        kl_weight: Of the KL in the loss; 1 for the ELBO.
        seed: Of the initial values and the noise; None for fresh ones.

    Returns:
        A model to compile with `negative_log_likelihood` and to fit to `(x, x)`, from images `[N, *image_shape]` to a
        distribution of images. Its layers "encoder" and "decoder" are models.

    Raises:
        TypeError: If the network is none.
        ValueError: If a number is out of its range or the kind of weights is unknown.
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
    """Build a variational autoencoder: normal latents of each image, independent, with prior N(0, I).

    The latents start about as wide as their prior. Their KL is in closed form, and counted once. The lecture's printed
    code, with `activity_regularizer=KLDivergenceRegularizer(prior)`, counts it twice: that is `kl_weight=2` here, a
    beta-VAE (Higgins et al. 2017).

    Args:
        network: What to build.
        num_examples: N, the images that the model will be trained on; the weights' KL is divided by it.
        weights: "point", or how uncertain weights are drawn in training: an estimator of `build_weight_variation`.
        decoder_weights: Likewise, of the decoder alone; as the encoder's by default.
        initial_scale: Of the weights' posterior at the start, relative to the prior's.
        kl_weight: Beta, of the latents' and of the weights' KL; 1 for the ELBO.
        seed: Of the initial values and the noise; None for fresh ones.

    Returns:
        A model to compile with `negative_log_likelihood` and to fit to `(x, x)`, from images `[N, *image_shape]` to a
        distribution of images. Its layers "encoder", whose outputs give the latents' distribution, and "decoder" are
        models.

    Raises:
        TypeError: If the network is none.
        ValueError: If a number is out of its range or the kind of weights is unknown.
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
    """What makes the encoder's layers, and the decoder's."""
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


def _build(
    network: AutoencoderNetwork,
    num_examples: int,
    encoding: LayerMaker,
    decoding: LayerMaker,
    *,
    latents: Callable[..., NormalUnits] | None,
    seed: int | None,
) -> VariationalModel:
    """Encoder, latents if they are random, and decoder."""
    first, second = len(network.encoder_units) + 1, len(network.decoder_units) + 1
    seeds = layer_seeds(num_examples, seed, first + second + 1)
    x = tf_keras.Input(network.image_shape, name="x")
    size = network.latent_size if latents is None else 2 * network.latent_size
    settings = {"hidden": encoding, "output": encoding}
    code = chain(x, network.encoder_units, network.activation, size, seeds[:first], **settings)
    encoder = tf_keras.Model(x, code, name=ENCODER)

    z = tf_keras.Input((network.latent_size,), name="z")
    size = network.likelihood.num_parameters(network.num_pixels)
    settings = {"hidden": decoding, "output": decoding}
    parameters = chain(z, network.decoder_units, network.activation, size, seeds[first:-1], **settings)
    pixels = LikelihoodHead(network.likelihood, network.num_pixels, event_shape=network.image_shape, name="pixels")
    decoder = tf_keras.Model(z, pixels(parameters), name=DECODER)

    images = tf_keras.Input(network.image_shape, name="images")
    code = encoder(images)
    if latents is None:
        return VariationalModel(images, decoder(code), name="autoencoder")
    return VariationalModel(images, decoder(latents(seed=seeds[-1])(code)), name="variational_autoencoder")
