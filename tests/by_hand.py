"""The networks, computed again in NumPy from their variables alone: nothing here comes from the package's own code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, logsumexp, softmax

from variational_bnn.base import Network
from variational_bnn.models.builders.hidden import build_hidden_variation
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.builders.weights import build_weight_variation

Array = npt.NDArray[np.float64]

POSTERIOR_FLOOR, LIKELIHOOD_FLOOR = 1e-5, 1e-3
QUIET = -30.0  # A raw scale whose softplus is 0, so that the standard deviation is the floor.
LATENT_SHIFT = np.log(np.expm1(0.1))  # So that the latents' scale starts about at 0.1.
ESTIMATORS = ("reparameterization", "flipout", "local_reparameterization")
KINDS = ("output", *ESTIMATORS, "hidden")
ACTIVATIONS = {"linear": lambda a: a, "relu": lambda a: np.maximum(a, 0), "tanh": np.tanh}


def build(kind: str, network: Network, num_examples: int, seed: int = 0, **settings: Any) -> Any:
    """The model of any kind of variation."""
    if kind == "output":
        return build_output_variation(network, num_examples, seed=seed)
    if kind == "hidden":
        return build_hidden_variation(network, num_examples, seed=seed, **settings)
    return build_weight_variation(network, num_examples, estimator=kind, seed=seed, **settings)


def softplus(values: npt.ArrayLike) -> Array:
    return np.logaddexp(0, np.asarray(values, np.float64))


def variables(model: Any, layer: str) -> dict[str, Array]:
    """The layer's variables by the last part of their names."""
    results = model.get_layer(layer).variables
    return {v.name.rsplit("/", 1)[-1].removesuffix(":0"): v.numpy().astype(np.float64) for v in results}


def latent_scale(raw: Array) -> Array:
    """The latents' standard deviation from what the layer below puts out."""
    return POSTERIOR_FLOOR + softplus(raw + LATENT_SHIFT)


def posterior(model: Any, layer: str) -> dict[str, tuple[Array, Array]]:
    """Mean and standard deviation of the layer's kernel and bias."""
    v = variables(model, layer)
    loc, scale = v["posterior_loc"], POSTERIOR_FLOOR + softplus(v["posterior_raw_scale"])
    return {"kernel": (loc[:-1], scale[:-1]), "bias": (loc[-1], scale[-1])}


def normal_kl(loc: Array, scale: Array, prior_scale: float) -> Array:
    """KL(N(loc, scale^2) || N(0, prior_scale^2)) of each element."""
    return np.log(prior_scale / scale) + (scale**2 + loc**2) / (2 * prior_scale**2) - 0.5


def layer_names(network: Network) -> list[str]:
    return [*(f"hidden_{i + 1}" for i in range(len(network.hidden_units))), "parameters"]


def weights_kl(model: Any, network: Network) -> float:
    """KL of all weights and biases from N(0, s^2 / fan-in) and N(0, s^2)."""
    total = 0.0
    for name in layer_names(network):
        kernel, bias = posterior(model, name).values()
        fan_in = kernel[0].shape[0] if network.scale_prior_by_fan_in else 1
        total += normal_kl(*kernel, network.prior_scale / np.sqrt(fan_in)).sum()
        total += normal_kl(*bias, network.prior_scale).sum()
    return total


def likelihood_of(model: Any, network: Network, outputs: Array) -> tuple[Array, Array]:
    """Loc and scale `[N, D]` from what the last layer puts out."""
    size, scale = network.output_size, network.likelihood.scale
    if scale is None:
        return outputs[:, :size], LIKELIHOOD_FLOOR + softplus(outputs[:, size:])
    if scale == "learned":
        scale = LIKELIHOOD_FLOOR + softplus(variables(model, "y")["shared"])
    return outputs, np.broadcast_to(scale, outputs.shape)


def normal_nll(y: Array, loc: Array, scale: Array) -> Array:
    """-log N(y; loc, scale^2), summed over the outputs: `[N]`."""
    return (0.5 * np.log(2 * np.pi) + np.log(scale) + (y - loc) ** 2 / (2 * scale**2)).sum(-1)


def mixture_of(likelihood: Any, outputs: Array, output_size: int) -> tuple[Array, Array, Array]:
    """Weights `[N, K]`, locs and scales `[N, K, D]` of the components, from what the last layer puts out."""
    count = likelihood.num_components
    logits, loc, raw = np.split(outputs, [count, count * (1 + output_size)], axis=-1)
    loc, raw = (part.reshape(*part.shape[:-1], count, output_size) for part in (loc, raw))
    return softmax(logits, axis=-1), loc, likelihood.floor + softplus(raw)


def row_nll(model: Any, network: Network, outputs: Array, y: Array) -> Array:
    """-log p(y given what the last layer puts out) `[N]`, by the likelihood."""
    match type(network.likelihood).__name__:
        case "MixtureNormal":
            weights, loc, scale = mixture_of(network.likelihood, outputs, network.output_size)
            return -logsumexp(np.log(weights) - normal_nll(y[..., None, :], loc, scale), axis=-1)
        case "Bernoulli":
            return (y * softplus(-outputs) + (1 - y) * softplus(outputs)).sum(-1)
        case "Categorical":
            return -np.take_along_axis(log_softmax(outputs, axis=-1), y.astype(int), axis=-1)[..., 0]
    return normal_nll(y, *likelihood_of(model, network, outputs))


def nll_and_kl(kind: str, model: Any, network: Network, x: Array, y: Array, num_examples: int) -> tuple[Array, float]:
    """Each row's nll `[N]` and the KL per example, where every draw is its mean."""
    h, activation, latent_kl = x.reshape(len(x), -1).astype(np.float64), ACTIVATIONS[network.activation], 0.0
    for name in layer_names(network):
        last = name == "parameters"
        if kind in ESTIMATORS:
            (kernel, _), (bias, _) = posterior(model, name).values()
        else:
            kernel, bias = variables(model, name if last or kind == "output" else f"{name}_parameters").values()
        h = h @ kernel + bias
        if kind == "hidden" and not last:
            h, raw = np.split(h, 2, axis=-1)
            latent_kl += normal_kl(h, latent_scale(raw), 1.0).sum(-1).mean()
        h = h if last else activation(h)
    kl = weights_kl(model, network) / num_examples if kind in ESTIMATORS else latent_kl
    return row_nll(model, network, h, y), kl


def widen(model: Any, seed: int = 0) -> None:
    """Give the trained variables other values than the initial ones, so that no error can hide behind zeros."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        centre = -1.0 if "raw_scale" in variable.name else 0.0
        variable.assign(centre + 0.5 * rng.normal(size=variable.shape))


def quieten(model: Any) -> None:
    """Set every posterior standard deviation to its floor of 1e-5: draws are nearly their means, which NumPy knows.

    Latents are quiet where the layer below them gives very negative raw scales, for all inputs.
    """
    for variable in model.trainable_variables:
        if "raw_scale" in variable.name:
            variable.assign(np.full(variable.shape, QUIET))
    names = [layer.name for layer in model.layers]
    below = [model.get_layer(name) for name in names if name.endswith("_parameters")]
    if "latents" in names:
        below.append(model.get_layer("encoder").get_layer("parameters"))
    for layer in below:
        *kernel, last = [variable for variable in layer.trainable_variables if "raw_scale" not in variable.name]
        values, half = last.numpy(), last.shape[-1] // 2
        values[..., half:] = 0.0
        values.reshape(-1, 2 * half)[-1, half:] = QUIET  # The bias, or the last row of the posterior's means.
        last.assign(values)
        for variable in kernel:
            variable.assign(variable.numpy() * np.repeat([1.0, 0.0], half))
