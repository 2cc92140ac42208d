"""The description of an autoencoder, from which the builders make it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from variational_bnn.base import ACTIVATIONS, Likelihood, require_likelihood, require_prior
from variational_bnn.base.checks import require, require_count, require_known, require_sizes
from variational_bnn.models.likelihoods import Bernoulli, Categorical


@dataclass(frozen=True, kw_only=True)
class AutoencoderNetwork:
    """The description of an autoencoder: an encoder from images to L latents, a decoder from latents to images.

    The decoder gives a distribution of images. The default sizes are those of the variational autoencoder in the
    lecture (CS109B, Harvard, 2021). The description is immutable.

    Attributes:
        image_shape: Shape of one image, for instance `(height, width)`; its D pixels are flattened by the encoder.
        latent_size: Number of latents L.
        encoder_units: Units of each hidden layer of the encoder; empty for a linear encoder.
        decoder_units: Units of each hidden layer of the decoder; empty for a linear decoder.
        activation: Activation of the hidden layers: "elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus",
            "softsign", "swish" or "tanh".
        likelihood: Likelihood of the pixels, for instance `Bernoulli()` or `MixtureNormal(num_components=5)`.
        prior_scale: s, > 0: uncertain weights have the prior N(0, s^2 / fan-in), uncertain biases N(0, s^2).
        scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.

    Raises:
        ValueError: If a size is not a whole number >= 1, `prior_scale` is not > 0, the activation is unknown, or the
            likelihood is `Categorical`, which is that of one class a row and not of pixels.
        TypeError: If `likelihood` is not a likelihood.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.AutoencoderNetwork(image_shape=(28, 28), latent_size=2)
        >>> network.num_pixels
        784
    """

    image_shape: tuple[int, ...]
    latent_size: int = 2
    encoder_units: tuple[int, ...] = (256,)
    decoder_units: tuple[int, ...] = (32, 128)
    activation: str = "relu"
    likelihood: Likelihood = field(default_factory=Bernoulli)
    prior_scale: float = 1.0
    scale_prior_by_fan_in: bool = True

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("image_shape", "encoder_units", "decoder_units"):
            object.__setattr__(self, name, require_sizes(name, getattr(self, name)))
        require(bool(self.image_shape), "image_shape must have at least one axis, got ()")
        require_count("latent_size", self.latent_size)
        require_known("activation", self.activation, ACTIVATIONS)
        object.__setattr__(self, "prior_scale", require_prior(self.prior_scale, self.scale_prior_by_fan_in))
        require_likelihood(self.likelihood)
        of_pixels = not isinstance(self.likelihood, Categorical)
        require(of_pixels, f"likelihood must be one of pixels, such as Bernoulli(), got {self.likelihood!r}")

    @property
    def num_pixels(self) -> int:
        """Number of pixels D of an image."""
        return math.prod(self.image_shape)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for settings files."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "likelihood": self.likelihood.to_dict()}
