"""Likelihoods: from the numbers that a network puts out to a distribution of y."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from variational_bnn._keras import tf, tfd
from variational_bnn.base import Likelihood
from variational_bnn.checks import Array, is_positive, require, require_known


@dataclass(frozen=True, kw_only=True)
class Normal:
    """y ~ N(loc, scale^2), independent over the outputs.

    Three forms: `Normal()` is heteroscedastic, the network gives each row its loc and scale; `Normal(scale="learned")`
    has one trained scale an output; `Normal(scale=0.1)` is known noise.

    A trained scale is `floor + softplus(raw)`. Without a floor, repeated or noise-free targets let the likelihood grow
    without bound as the scale shrinks to zero.

    Attributes:
        scale: None, "learned", or the known standard deviation.
        floor: Lower bound of a trained scale.

    Raises:
        ValueError: If the scale or the floor is not > 0, or the word is another than "learned".
    """

    scale: float | Literal["learned"] | None = None
    floor: float = 1e-3

    def __post_init__(self) -> None:
        """Check both fields."""
        known = self.scale is None or self.scale == "learned" or is_positive(self.scale)
        require(known, f"scale must be None, 'learned' or a number > 0, got {self.scale!r}")
        require(is_positive(self.floor), f"floor must be > 0, got {self.floor!r}")
        if is_positive(self.scale):
            object.__setattr__(self, "scale", float(self.scale))  # type: ignore[arg-type]

    def num_parameters(self, output_size: int) -> int:
        """Loc and raw scale of each output, or loc alone."""
        return 2 * output_size if self.scale is None else output_size

    def num_shared_parameters(self, output_size: int) -> int:
        """The raw scale of each output, if one is learned for all rows."""
        return output_size if self.scale == "learned" else 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None) -> tfd.Distribution:
        """The distribution of `[..., D]` targets, batch shape `[...]`."""
        if self.scale is None:
            loc, raw = tf.split(parameters, 2, axis=-1)
            scale = self.floor + tf.nn.softplus(raw)
        elif self.scale == "learned":
            loc, scale = parameters, self.floor + tf.nn.softplus(shared)
        else:
            loc, scale = parameters, self.scale
        return tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1)

    def in_units_of(self, scale: Array) -> Normal:
        """The likelihood of `y / scale`: known noise is divided by it; what is learned will be learned in its units.

        Raises:
            ValueError: If the noise is known and the scales `[D]` differ, since it would no longer be one number.
        """
        if not isinstance(self.scale, float):
            return self
        same = bool(np.allclose(scale, scale[0]))
        require(same, f"known noise wants outputs of one scale, got standard deviations {scale.tolist()}")
        return dataclasses.replace(self, scale=self.scale / float(scale[0]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "Normal", "scale": self.scale, "floor": self.floor}


LIKELIHOODS = {"Normal": Normal}


def likelihood_from_dict(values: dict[str, Any]) -> Likelihood:
    """Make a likelihood from `Likelihood.to_dict`.

    Raises:
        ValueError: If its name is unknown.
    """
    require_known("likelihood", values.get("name"), tuple(LIKELIHOODS))
    return LIKELIHOODS[values["name"]](**{key: value for key, value in values.items() if key != "name"})
