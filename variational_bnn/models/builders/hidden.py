"""Variation in the hidden units, of three kinds: latents of each row, factors that rows share, and a learned prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import (
    is_positive,
    require,
    require_count,
    require_kl_weight,
    require_known,
    require_sizes,
)
from variational_bnn.models.backend import as_written, tf_keras
from variational_bnn.models.builders.assembly import (
    LayerMaker,
    assemble,
    chain,
    dense,
    flat,
    layer_seeds,
    point_weights,
)
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.likelihood_head import LikelihoodHead, MixtureHead
from variational_bnn.models.shared_units import SharedUnits
from variational_bnn.models.variational_model import VariationalModel

LATENTS = ("amortized", "shared", "conditional")
"""The kinds of random hidden units."""


def build_hidden_variation(
    network: Network,
    num_examples: int,
    *,
    latents: str = "amortized",
    latent_size: int = 2,
    decoder_units: Sequence[int] | None = None,
    num_draws: int = 10,
    latent_prior_scale: float = 1.0,
    initial_scale: float = 0.2,
    kl_weight: float = 1.0,
    point_prior: bool = True,
    seed: int | None = None,
) -> VariationalModel:
    """Build a network with random hidden units and point weights.

    There are three kinds of random hidden units:

    "amortized": a variational autoencoder from x to y (Kingma & Welling 2014, arXiv 1312.6114). An encoder with the
    network's hidden units gives q(z given x) = N(loc, scale^2) of a few latents z, with prior N(0, I), and a decoder
    gives y. The loss is -log p(y given z) + KL(q(z given x) || prior), a bound of -log p(y). **The latents are noise of
    the row, not uncertainty about parameters**: their variance need not shrink with more data, nor grow away from them.
    Since the bound is one of log p(y), without "given x", its best q may be the prior: where the noise can take over
    what z would explain, with a learned noise level or with classes, the latents then ignore x.

    "shared": each hidden unit is multiplied by one random factor, which is the same for all rows, with posterior N(m,
    s^2) and prior N(1, `latent_prior_scale`^2) (Dusenberry et al. 2020, arXiv 2005.07186; Trinh et al. 2022,
    arXiv 2206.02435). The loss has KL / `num_examples`. A draw is one function, and the variance is epistemic, with one
    random number a unit instead of one a weight.

    "conditional": encoder and decoder as for "amortized", but the encoder's N(loc, scale^2) is the prior p(z given x),
    which is learned, and the loss is -log mean_k p(y given z_k) of K draws of it, a bound of -log p(y given x) that has
    no reason to ignore x (Tang & Salakhutdinov 2013; Burda et al. 2015, arXiv 1509.00519). There is no KL. Its latents
    are noise of the row, too. A recognition network q(z given x, y), as in Sohn et al. 2015 (Learning Structured Output
    Representation using Deep Conditional Generative Models), is not built: it would need y as an input, and
    the model, which predicts y from x alone and is trained by the ordinary `fit(x, y)`, has no such input.

    Args:
        network: The network to build, with at least one hidden layer, and its prior of the weights.
        num_examples: Number of rows N that the model will be trained on. The KL of shared factors and the penalty of
            the point weights are divided by it.
        latents: "amortized", "shared" or "conditional".
        latent_size: Number of latents of a row, >= 1; not used by "shared".
        decoder_units: Units of each hidden layer of the decoder; by default those of the network in reverse order. Not
            used by "shared".
        num_draws: K, the number of draws of the latents in the bound of "conditional", >= 1; not used by the others.
        latent_prior_scale: Standard deviation of the prior of the factors of "shared", > 0; not used by the others.
        initial_scale: Standard deviation of the latents at the start, > 0; of "shared" relative to that of their prior.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for an information
            bottleneck (Alemi et al. 2017, arXiv 1612.00410). "conditional" has no KL.
        point_prior: Whether the weights have the network's prior, as a penalty -log p(w) / N in the loss; so has the
            learned noise level of `Normal(scale="learned")`, that of a bias. The encoder of "amortized" has none: it
            is the posterior of the latents, not a part of the model of y.
        seed: Seed of the initial values and of the random numbers of training, >= 0; None takes one from the
            entropy of the operating system.

    Returns:
        A model from inputs `[N, *input_shape]` to a distribution of targets `[N, D]`, to be compiled with
        `negative_log_likelihood`.

    Raises:
        TypeError: If `network` is not a `Network`.
        ValueError: If the network has no hidden units, the kind of latents is unknown, or a number or a size is out of
            its range.

    Example:
        >>> import variational_bnn as vbnn
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(8,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_hidden_variation(network, num_examples=len(x), latents="shared", seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, np.sin(x), epochs=2, verbose=0)
        >>> predictive = vbnn.predict(model, x, num_samples=10, seed=0)
        >>> bool((predictive.epistemic_variance > 0).all()), bool((predictive.latent_variance == 0).all())
        (True, True)
    """
    require_network(network)
    require(bool(network.hidden_units), "hidden_units must not be empty for hidden variation, got ()")
    require_known("kind of hidden units", latents, LATENTS)
    require_kl_weight(kl_weight)
    require(is_positive(latent_prior_scale), f"latent_prior_scale must be > 0, got {latent_prior_scale!r}")
    require_count("latent_size", latent_size)
    require_count("num_draws", num_draws)
    layer, prior = point_weights(network, num_examples, point_prior)
    if latents == "shared":
        factors = partial(SharedUnits, num_examples, latent_prior_scale, initial_scale, kl_weight=kl_weight)
        hidden, name = _with_factors(layer, factors), "hidden_variation_shared"
        return assemble(network, num_examples, seed, name, hidden=hidden, output=layer, shared_prior=prior)
    kinds: dict[str, tuple[Callable[..., Any], type[LikelihoodHead]]] = {
        "amortized": (partial(NormalUnits, kl_weight=kl_weight), LikelihoodHead),
        "conditional": (partial(ConditionalUnits, num_draws), MixtureHead),
    }
    units, head = kinds[latents]
    # The amortized encoder is q(z given x): its weights belong to the posterior, and have no prior.
    encoder = dense if latents == "amortized" else layer
    decoder = network.hidden_units[::-1] if decoder_units is None else require_sizes("decoder_units", decoder_units)
    return _encoder_and_decoder(
        network,
        layer_seeds(num_examples, seed, len(network.hidden_units) + len(decoder) + 3),
        f"hidden_variation_{latents}",
        latent_size=latent_size,
        decoder_units=decoder,
        encoder=encoder,
        decoder=layer,
        latents=partial(units, initial_scale=initial_scale),
        head=partial(head, shared_regularizer=prior),
    )


def _with_factors(layer: LayerMaker, factors: Callable[..., SharedUnits]) -> LayerMaker:
    """The maker of layers whose units are multiplied by random factors after their activation."""

    def hidden(units: int, activation: str | None, seed: int, name: str) -> Any:
        values, multiplied = layer(units, activation, seed, name), factors(seed=seed, name=f"{name}_factors")
        return lambda inputs: multiplied(values(inputs))

    return hidden


@as_written
def _encoder_and_decoder(
    network: Network,
    seeds: list[int],
    name: str,
    *,
    latent_size: int,
    decoder_units: tuple[int, ...],
    encoder: LayerMaker,
    decoder: LayerMaker,
    latents: Callable[..., Any],
    head: Callable[..., LikelihoodHead],
) -> VariationalModel:
    """Build x -> encoder -> latents z -> decoder -> y, with one stochastic layer."""
    *of_encoder, of_latents = seeds[: len(network.hidden_units) + 2]
    of_decoder = seeds[len(network.hidden_units) + 2 :]
    encode = partial(chain, activation=network.activation, hidden=encoder, output=encoder)
    decode = partial(chain, activation=network.activation, hidden=decoder, output=decoder)
    x = tf_keras.Input(network.input_shape, name="x")
    names = "encoder", "latent_parameters"
    code = encode(flat(x), network.hidden_units, output_size=2 * latent_size, seeds=of_encoder, names=names)
    z = latents(seed=of_latents, name="latents")(code)
    size = network.likelihood.num_parameters(network.output_size)
    names = "decoder", "parameters"
    parameters = decode(z, decoder_units, output_size=size, seeds=of_decoder, names=names)
    return VariationalModel(x, head(network.likelihood, network.output_size, name="y")(parameters), name=name)
