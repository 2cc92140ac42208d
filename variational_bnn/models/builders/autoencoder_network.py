"""The description of an autoencoder, which its builders read."""

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
    """An encoder from images to L latents, and a decoder from latents to a distribution of images.

    The default sizes are those of the VAE in the lecture (CS109B, Harvard, 2021).

    Attributes:
        image_shape: Of one image, `(height, width)` for instance; its D pixels are flattened on their way in.
        latent_size: L.
        encoder_units: Units of the encoder's hidden layers; empty for a linear one.
        decoder_units: Of the decoder's.
        activation: Of the hidden layers, one of `base.ACTIVATIONS`.
        likelihood: Of the pixels, for instance `Bernoulli()` or `MixtureNormal(num_components=5)`.
        prior_scale: Of the weights, where they have a prior: see `Network`.
        scale_prior_by_fan_in: Likewise.

    Raises:
        ValueError: If a size is not a whole number >= 1, the scale is not > 0, the activation is unknown, or the
            likelihood is that of one class.
        TypeError: If the likelihood is none.
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
        require(of_pixels, f"likelihood must be of pixels, such as Bernoulli(), got {self.likelihood!r}")

    @property
    def num_pixels(self) -> int:
        """D."""
        return math.prod(self.image_shape)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for settings files."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "likelihood": self.likelihood.to_dict()}
