"""Likelihoods of real targets: a normal distribution and a mixture of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from variational_bnn.base.checks import Array, Floats, is_positive, require, require_all, require_count
from variational_bnn.models.backend import tf, tfd
from variational_bnn.models.event_shapes import Shape, independent, shaped


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Likelihood of real targets: y is N(loc, scale^2), independently for each output.

    There are three forms. In `Normal()` the noise is heteroscedastic: the network gives a loc and a scale for each row.
    In `Normal(scale="learned")` the network gives loc, and one scale for each output is trained with it. In
    `Normal(scale=0.1)` the network gives loc, and the scale is known.

    A scale that is not known is `floor + softplus(raw)`. Without a floor, the likelihood of repeated or noise-free
    targets would grow without bound as the scale shrinks to zero.

    Attributes:
        scale: None, "learned", or the known standard deviation in the units of y, > 0.
        floor: Lower bound of a scale that is not known, in the units of y, > 0.
        discrete: False.

    Raises:
        ValueError: If `scale` is neither None nor "learned" nor a number > 0, or `floor` is not > 0.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, likelihood=vbnn.Normal(scale=0.1))
        >>> vbnn.Normal().num_parameters(output_size=3), vbnn.Normal(scale="learned").num_parameters(output_size=3)
        (6, 3)
    """

    scale: float | Literal["learned"] | None = None
    floor: float = 1e-3
    discrete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check both fields."""
        known = self.scale is None or self.scale == "learned" or is_positive(self.scale)
        require(known, f"scale must be None, 'learned' or a number > 0, got {self.scale!r}")
        require(is_positive(self.floor), f"floor must be > 0, got {self.floor!r}")
        if is_positive(self.scale):
            object.__setattr__(self, "scale", float(self.scale))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """The form of the noise, such as "Normal()" or "Normal(scale=1)"."""
        scale = f"{self.scale:g}" if isinstance(self.scale, float) else repr(self.scale)
        return "Normal()" if self.scale is None else f"Normal(scale={scale})"

    def num_parameters(self, output_size: int) -> int:
        """Return how many numbers the network puts out for a row: loc and raw scale of each output, or only loc."""
        return 2 * output_size if self.scale is None else output_size

    def num_shared_parameters(self, output_size: int) -> int:
        """Return how many parameters all rows share: a raw scale for each output if it is learned, otherwise none."""
        return output_size if self.scale == "learned" else 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., *event_shape]`, of batch shape `[...]`.

        Args:
            parameters: `[..., P]`, the numbers that the network puts out for each row.
            shared: `[Q]`, the parameters that all rows share, or None if there are none.
            event_shape: Shape of the targets of one row.
        """
        if self.scale is None:
            loc, raw = tf.split(parameters, 2, axis=-1)
            scale = shaped(self.floor + tf.nn.softplus(raw), event_shape)
        elif self.scale == "learned":
            loc, scale = parameters, shaped(self.floor + tf.nn.softplus(shared), event_shape)
        else:
            loc, scale = parameters, self.scale
        return independent(tfd.Normal(shaped(loc, event_shape), scale), event_shape)

    def require_targets(self, y: Floats) -> None:
        """Raise a `ValueError` unless the targets are finite."""
        require_all(np.isfinite(y), y, "y must be finite for Normal")

    def in_units_of(self, scale: Array) -> Normal:
        """Return the likelihood of `y / scale`, in which a known scale is divided too.

        Args:
            scale: `[D]`, a scale for each output.

        Raises:
            ValueError: If the noise is known and the scales differ, since it would no longer be one number.
        """
        if not isinstance(self.scale, float):
            return self
        same = bool(np.allclose(scale, scale[0]))
        require(same, f"standard deviations of y must be equal where Normal has a known scale, got {scale.tolist()}")
        return dataclasses.replace(self, scale=self.scale / float(scale[0]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "Normal", "scale": self.scale, "floor": self.floor}


@dataclass(frozen=True, kw_only=True)
class MixtureNormal:
    """Likelihood of real targets with several modes: y comes from one of K normal components.

    It is that of a mixture density network (Bishop 1994, Mixture Density Networks): for each row, the network gives the
    probabilities of the components, and a loc and a scale of each component and output. The outputs of a row come from
    the same component, and are independent given it.

    Attributes:
        num_components: K, >= 1.
        floor: Lower bound of the scales in the units of y, > 0. Without it, the likelihood would grow without bound
            where a component settles on a repeated target.
        discrete: False.

    Raises:
        ValueError: If `num_components` is not a whole number >= 1, or `floor` is not > 0.

    Example:
        >>> import variational_bnn as vbnn
        >>> likelihood = vbnn.MixtureNormal(num_components=3)
        >>> network = vbnn.Network(input_shape=(1,), output_size=2, likelihood=likelihood)
        >>> likelihood.num_parameters(output_size=2)  # A logit, two locs and two scales of each component.
        15
    """

    num_components: int
    floor: float = 1e-3
    discrete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check both fields."""
        require_count("num_components", self.num_components)
        require(is_positive(self.floor), f"floor must be > 0, got {self.floor!r}")

    def __str__(self) -> str:
        """The number of components, such as "MixtureNormal(num_components=3)"."""
        return f"MixtureNormal(num_components={self.num_components})"

    def num_parameters(self, output_size: int) -> int:
        """Return K (1 + 2 D): a logit of each component, and a loc and a raw scale of each component and output."""
        return self.num_components * (1 + 2 * output_size)

    def num_shared_parameters(self, output_size: int) -> int:
        """Return 0: all parameters depend on the row."""
        return 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., *event_shape]`, of batch shape `[...]`.

        Args:
            parameters: `[..., P]`, the numbers that the network puts out for each row.
            shared: `[Q]`, the parameters that all rows share, or None if there are none.
            event_shape: Shape of the targets of one row.
        """
        count = self.num_components
        logits, rest = parameters[..., :count], parameters[..., count:]
        loc, raw = (shaped(part, (count, *event_shape)) for part in tf.split(rest, 2, axis=-1))
        components = independent(tfd.Normal(loc, self.floor + tf.nn.softplus(raw)), event_shape)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)

    def in_units_of(self, scale: Array) -> MixtureNormal:
        """Return the same likelihood: its parameters are learned in the units of `y / scale`."""
        return self

    def require_targets(self, y: Floats) -> None:
        """Raise a `ValueError` unless the targets are finite."""
        require_all(np.isfinite(y), y, "y must be finite for MixtureNormal")

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "MixtureNormal", "num_components": self.num_components, "floor": self.floor}
