"""The networks, computed again in NumPy from their variables alone: nothing here comes from the package's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import log_softmax, logsumexp, softmax

from variational_bnn.base import Network
from variational_bnn.models.builders.hidden import build_hidden_variation
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.builders.weights import build_weight_variation

Array = npt.NDArray[np.float64]

POSTERIOR_FLOOR, LIKELIHOOD_FLOOR = 1e-5, 1e-3
QUIET = -30.0  # A raw scale whose softplus is 0, so that the standard deviation is the floor.
ESTIMATORS = ("reparameterization", "flipout", "local_reparameterization")
HIDDEN = ("amortized", "shared", "conditional")
KINDS = ("output", *ESTIMATORS, *HIDDEN)
POINT = ("output", *HIDDEN)  # Kinds with point weights, whose prior is a penalty.
WITHOUT_KL = ("output", "conditional")
WEYL, MULTIPLIERS = (0x9E3779B9, 0xBB67AE85), (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))  # Of Philox.
ACTIVATIONS = {"linear": lambda a: a, "relu": lambda a: np.maximum(a, 0), "tanh": np.tanh}


Noise = Callable[[str, tuple[int, ...]], Array]
"""A function `(name of the layer, shape) -> noise`."""


def build(kind: str, network: Network, num_examples: int, seed: int = 0, **settings: Any) -> Any:
    """The model of any kind of variation; "hidden" stands for the default kind of latents."""
    if kind == "output":
        return build_output_variation(network, num_examples, seed=seed, **settings)
    if kind in ("hidden", *HIDDEN):
        kinds = {} if kind == "hidden" else {"latents": kind}
        return build_hidden_variation(network, num_examples, seed=seed, **kinds, **settings)
    return build_weight_variation(network, num_examples, estimator=kind, seed=seed, **settings)


def softplus(values: npt.ArrayLike) -> Array:
    return np.logaddexp(0, np.asarray(values, np.float64))


def variables(model: Any, layer: str) -> dict[str, Array]:
    """The layer's variables by the last part of their names."""
    results = model.get_layer(layer).variables
    return {v.name.rsplit("/", 1)[-1].removesuffix(":0"): v.numpy().astype(np.float64) for v in results}


def latent_scale(raw: Array, initial_scale: float) -> Array:
    """The latents' standard deviation from what the layer below puts out; at 0 it is about the initial one."""
    return POSTERIOR_FLOOR + softplus(raw + np.log(np.expm1(initial_scale)))


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
    """Loc and scale `[..., N, D]` from what the last layer puts out."""
    size, scale = network.output_size, network.likelihood.scale
    if scale is None:
        return outputs[..., :size], LIKELIHOOD_FLOOR + softplus(outputs[..., size:])
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


def factors(model: Any, layer: str) -> tuple[Array, Array]:
    """Mean and standard deviation of the posterior of shared factors."""
    v = variables(model, layer)
    return v["posterior_loc"], POSTERIOR_FLOOR + softplus(v["posterior_raw_scale"])


def no_noise(name: str, shape: tuple[int, ...]) -> Array:
    """Each draw is its mean."""
    return np.zeros(shape)


def philox(seed: int, counter: int, stream: int, count: int) -> npt.NDArray[np.uint32]:
    """Words of Philox 4x32-10 (Salmon et al. 2011): four of each value of its counter, whose upper half is a stream."""
    mask = np.uint64(2**32 - 1)
    low, high = counter + np.arange(-(-count // 4), dtype=np.uint64), np.full(-(-count // 4), stream, np.uint64)
    words = [half for part in (low, high) for half in (part & mask, part >> np.uint64(32))]
    for i in range(10):
        keys = [
            np.uint64((part + i * bump) % 2**32) for part, bump in zip((seed % 2**32, seed >> 32), WEYL, strict=True)
        ]
        first, second = words[0] * MULTIPLIERS[0], words[2] * MULTIPLIERS[1]
        of_first, of_second = second >> np.uint64(32) ^ words[1] ^ keys[0], first >> np.uint64(32) ^ words[3] ^ keys[1]
        words = [of_first, second & mask, of_second, first & mask]
    return np.stack(words, axis=-1).astype(np.uint32).reshape(-1)[:count]


def normals(seed: int, call: int, draw: int, shape: tuple[int, ...]) -> Array:
    """The normal numbers that a layer of this seed has in a call of this number and a draw within it, both from 1."""
    count = -(-int(np.prod(shape)) // 4) * 4
    words = philox(seed, call * (count // 4), (count * 2**8 + draw) * 2**16, count)
    middles = ((words.view(np.int32) >> 9) + 2**22 + 0.5) / 2**23
    return stats.norm.ppf(middles)[: int(np.prod(shape))].reshape(shape)


def noise_of_draw(model: Any, draw: int) -> Noise:
    """The noise of each layer of the hidden units in its call of this number, counted from 1."""
    return lambda name, shape: normals(model.get_layer(name).noise_seed, draw, 1, shape)


def dense_layers(kind: str, model: Any, network: Network) -> list[str]:
    """Names of the dense layers, from below."""
    if kind not in ("amortized", "conditional"):
        return layer_names(network)
    encoder = [f"encoder_{i + 1}" for i in range(len(network.hidden_units))]
    decoder = sorted(layer.name for layer in model.layers if layer.name.startswith("decoder_"))
    return [*encoder, "latent_parameters", *decoder, "parameters"]


def put_out(
    kind: str, model: Any, network: Network, x: Array, noise: Noise = no_noise, initial_scale: float | None = None
) -> tuple[Array, float]:
    """What the last layer puts out, `[N, P]` or of K draws `[N, K, P]`, and the mean KL of latents.

    The latents' initial scale is the layer's own unless it is given.
    """
    h, activation, kl = x.reshape(len(x), -1).astype(np.float64), ACTIVATIONS[network.activation], 0.0
    for name in dense_layers(kind, model, network):
        if kind in ESTIMATORS:
            (kernel, _), (bias, _) = posterior(model, name).values()
        else:
            kernel, bias = variables(model, name).values()
        h = h @ kernel + bias
        if name == "latent_parameters":
            loc, raw = np.split(h, 2, axis=-1)
            scale = latent_scale(raw, initial_scale or model.get_layer("latents").get_config()["initial_scale"])
            if kind == "amortized":
                kl = normal_kl(loc, scale, 1.0).sum(-1).mean()
            else:
                draws = model.get_layer("latents").num_draws
                loc, scale = (np.repeat(values[:, None], draws, axis=1) for values in (loc, scale))
            h = loc + scale * noise("latents", loc.shape)
        elif name != "parameters":
            h = activation(h)
            if kind == "shared":
                loc, scale = factors(model, f"{name}_factors")
                h = h * (loc + scale * noise(f"{name}_factors", h.shape))
    return h, kl


def factors_kl(model: Any, network: Network, prior_scale: float = 1.0) -> float:
    """KL of all shared factors from N(1, prior_scale^2)."""
    pairs = [factors(model, f"{name}_factors") for name in layer_names(network)[:-1]]
    return sum(normal_kl(loc - 1.0, scale, prior_scale).sum() for loc, scale in pairs)


def nll_and_kl(
    kind: str,
    model: Any,
    network: Network,
    x: Array,
    y: Array,
    num_examples: int,
    *,
    noise: Noise = no_noise,
    initial_scale: float | None = None,
    latent_prior_scale: float = 1.0,
) -> tuple[Array, float]:
    """Each row's nll `[N]` and the KL per example, by default where every draw is its mean."""
    outputs, kl = put_out(kind, model, network, x, noise, initial_scale)
    if kind in ESTIMATORS:
        kl = weights_kl(model, network) / num_examples
    if kind == "shared":
        kl = factors_kl(model, network, latent_prior_scale) / num_examples
    if kind != "conditional":
        return row_nll(model, network, outputs, y), kl
    nlls = row_nll(model, network, outputs, y[:, None])
    return np.log(nlls.shape[-1]) - logsumexp(-nlls, axis=-1), kl


def prior_penalty(kind: str, model: Any, network: Network, num_examples: int) -> float:
    """-log p(w) / N of the point weights, without its constant; the amortized encoder has no prior."""
    total = (variables(model, "y").get("shared", np.zeros(0)) ** 2).sum()
    for name in dense_layers(kind, model, network):
        if kind != "amortized" or name.startswith(("decoder", "parameters")):
            kernel, bias = variables(model, name).values()
            total += (kernel.shape[0] if network.scale_prior_by_fan_in else 1) * (kernel**2).sum() + (bias**2).sum()
    return total / (2 * network.prior_scale**2 * num_examples)


def logs_of(
    kind: str,
    model: Any,
    network: Network,
    nll: float,
    kl: float,
    num_examples: int,
    *,
    kl_weight: float = 1.0,
    point_prior: bool = True,
) -> dict[str, float]:
    """What Keras must show: the loss and its terms."""
    terms = {"nll": nll, "kl": kl}
    if kind in POINT and point_prior:
        terms["prior_penalty"] = prior_penalty(kind, model, network, num_examples)
    return {"loss": nll + kl_weight * kl + terms.get("prior_penalty", 0.0), **terms}


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
    if "encoder" in names:
        below.append(model.get_layer("encoder").get_layer("parameters"))
    for layer in below:
        *kernel, last = [variable for variable in layer.trainable_variables if "raw_scale" not in variable.name]
        values, half = last.numpy(), last.shape[-1] // 2
        values[..., half:] = 0.0
        values.reshape(-1, 2 * half)[-1, half:] = QUIET  # The bias, or the last row of the posterior's means.
        last.assign(values)
        for variable in kernel:
            variable.assign(variable.numpy() * np.repeat([1.0, 0.0], half))
