"""Autoencoders of tiny images, computed again in NumPy from their variables alone."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.autoencoders import build_autoencoder, build_variational_autoencoder
from variational_bnn.models.likelihoods import Bernoulli, MixtureNormal, Normal
from variational_bnn.models.losses import negative_log_likelihood

N, SHAPE = 25, (3, 2)
X = np.random.default_rng(0).choice([0.0, 0.3, 1.0], size=(N, *SHAPE)).astype(np.float32)
LIKELIHOODS = {
    "bernoulli": Bernoulli(),
    "heteroscedastic": Normal(),
    "learned": Normal(scale="learned"),
    "known": Normal(scale=0.7),
    "mixture": MixtureNormal(num_components=3),
}
WEIGHTS = ("point", *by_hand.ESTIMATORS)
BUILDERS = {"ae": build_autoencoder, "vae": build_variational_autoencoder}
LATENT_SHIFT = np.log(np.expm1(1.0))  # So that the latents' scale starts about at 1.
REL = 1e-4  # Posterior standard deviations of 1e-5 leave that much noise in the nll.
Terms = dict[str, float]


def network_of(likelihood: Likelihood | None = None, **fields: Any) -> AutoencoderNetwork:
    settings = {"image_shape": SHAPE, "encoder_units": (5,), "decoder_units": (4, 5), "activation": "tanh"}
    return AutoencoderNetwork(likelihood=likelihood or Bernoulli(), **{**settings, **fields})


def build(
    kind: str, network: AutoencoderNetwork, optimizer: Any = "sgd", *, quiet: bool = False, **settings: Any
) -> Any:
    """A compiled model of scattered variables; if it is quiet, its draws are nearly their means, which NumPy knows."""
    model = BUILDERS[kind](network, N, seed=0, **settings)
    by_hand.widen(model)
    if quiet:
        by_hand.quieten(model)
    model.compile(optimizer, loss=negative_log_likelihood)
    return model


def halves(network: AutoencoderNetwork) -> dict[str, Network]:
    """Encoder and decoder as networks of their own; the likelihood of the encoder has no meaning."""
    common = {name: getattr(network, name) for name in ("activation", "prior_scale", "scale_prior_by_fan_in")}
    size, pixels = network.latent_size, int(np.prod(network.image_shape))
    ends = {"encoder": (pixels, network.encoder_units, size, Bernoulli())}
    ends["decoder"] = (size, network.decoder_units, pixels, network.likelihood)
    return {
        name: Network(input_shape=(first,), hidden_units=units, output_size=last, likelihood=likelihood, **common)
        for name, (first, units, last, likelihood) in ends.items()
    }


def mean_weights(half: Any, layer: str) -> Any:
    """A layer's kernel and bias, or their posterior's means."""
    if "posterior_loc" not in by_hand.variables(half, layer):
        return by_hand.variables(half, layer).values()
    return (loc for loc, _ in by_hand.posterior(half, layer).values())


def through(model: Any, network: AutoencoderNetwork, half: str, values: by_hand.Array, weights: Any) -> by_hand.Array:
    """What the last layer of a half puts out for `[..., N, in]`, by `weights(half, layer)`."""
    names = by_hand.layer_names(halves(network)[half])
    for name in names:
        kernel, bias = weights(model.get_layer(half), name)
        values = np.einsum("...i,...io->...o", values, kernel) + bias
        values = values if name == names[-1] else by_hand.ACTIVATIONS[network.activation](values)
    return values


def latents_of(code: by_hand.Array) -> tuple[by_hand.Array, by_hand.Array]:
    """Mean and standard deviation of the latents."""
    loc, raw = np.split(code, 2, axis=-1)
    return loc, by_hand.POSTERIOR_FLOOR + by_hand.softplus(raw + LATENT_SHIFT)


def pixels_nll(model: Any, network: AutoencoderNetwork, outputs: by_hand.Array, x: by_hand.Array) -> by_hand.Array:
    """-log p(image given what the decoder's last layer puts out) `[..., N]`."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    if getattr(network.likelihood, "scale", None) == "learned":
        raw = by_hand.variables(model.get_layer("decoder"), "pixels")["shared"]
        return by_hand.normal_nll(flat, outputs, by_hand.LIKELIHOOD_FLOOR + by_hand.softplus(raw))
    shape = (*outputs.shape[:-1], flat.shape[-1])
    return by_hand.row_nll(None, halves(network)["decoder"], outputs, np.broadcast_to(flat, shape))


def weights_kl(model: Any, network: AutoencoderNetwork) -> float:
    """KL of all weights that are uncertain."""
    kl = 0.0
    for name, half in halves(network).items():
        if "posterior_loc" in by_hand.variables(model.get_layer(name), "parameters"):
            kl += by_hand.weights_kl(model.get_layer(name), half)
    return kl


def terms_of(kind: str, model: Any, network: AutoencoderNetwork, x: by_hand.Array, noise: Any = 0.0) -> Terms:
    """The mean nll and the KLs, where each weight is its mean and z = mean + sd * noise."""
    code = through(model, network, "encoder", x.reshape(len(x), -1).astype(np.float64), mean_weights)
    terms = {}
    if kind == "vae":
        loc, scale = latents_of(code)
        code, terms["kl_latents"] = loc + scale * noise, by_hand.normal_kl(loc, scale, 1.0).sum(-1).mean()
    if weights := weights_kl(model, network) / N:
        terms["kl_weights"] = weights
    outputs = through(model, network, "decoder", code, mean_weights)
    return {"nll": pixels_nll(model, network, outputs, x).mean(), **terms}


def logs_of(terms: Terms, kl_weight: float = 1.0) -> Terms:
    """What Keras must show: the sum of all, and the KLs apart if there are two kinds."""
    kl = terms.get("kl_latents", 0.0) + terms.get("kl_weights", 0.0)
    shown = terms if len(terms) == 3 else {"nll": terms["nll"]}
    return {"loss": terms["nll"] + kl_weight * kl, **shown, "kl": kl}
