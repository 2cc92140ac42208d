"""Likelihoods: from the numbers that a network puts out to a distribution of y."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import entr

from variational_bnn.base import Likelihood
from variational_bnn.base.checks import Array, Floats, is_positive, require, require_all, require_count, require_known
from variational_bnn.models.backend import tf, tfd

Shape = tuple[int, ...]
"""Of one y: `(D,)`, or that of an image of D pixels."""


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
    discrete: ClassVar[bool] = False

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

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., *event_shape]`, batch shape `[...]`."""
        if self.scale is None:
            loc, raw = tf.split(parameters, 2, axis=-1)
            scale = _shaped(self.floor + tf.nn.softplus(raw), event_shape)
        elif self.scale == "learned":
            loc, scale = parameters, _shaped(self.floor + tf.nn.softplus(shared), event_shape)
        else:
            loc, scale = parameters, self.scale
        return _independent(tfd.Normal(_shaped(loc, event_shape), scale), event_shape)

    def require_targets(self, y: Floats) -> None:
        """Refuse targets that are not finite."""
        require_all(np.isfinite(y), y, "Normal wants finite targets")

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


@dataclass(frozen=True, kw_only=True)
class MixtureNormal:
    """y comes from one of K normal components, each with a loc and a scale of its own for every output.

    The head of a mixture density network (Bishop 1994): the network gives each row the components' probabilities, locs
    and scales. The outputs share the component, and are independent given it.

    Attributes:
        num_components: K.
        floor: Lower bound of the scales, without which the likelihood grows without bound where a component settles on
            a repeated target.

    Raises:
        ValueError: If the number is not a whole one >= 1, or the floor is not > 0.
    """

    num_components: int
    floor: float = 1e-3
    discrete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check both fields."""
        require_count("num_components", self.num_components)
        require(is_positive(self.floor), f"floor must be > 0, got {self.floor!r}")

    def num_parameters(self, output_size: int) -> int:
        """A logit of each component, and a loc and a raw scale of each component and output."""
        return self.num_components * (1 + 2 * output_size)

    def num_shared_parameters(self, output_size: int) -> int:
        """None."""
        return 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., *event_shape]`, batch shape `[...]`."""
        count = self.num_components
        logits, rest = parameters[..., :count], parameters[..., count:]
        loc, raw = (_shaped(part, (count, *event_shape)) for part in tf.split(rest, 2, axis=-1))
        components = _independent(tfd.Normal(loc, self.floor + tf.nn.softplus(raw)), event_shape)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)

    def in_units_of(self, scale: Array) -> MixtureNormal:
        """Itself: what is learned will be learned in the units of `y / scale`."""
        return self

    def require_targets(self, y: Floats) -> None:
        """Refuse targets that are not finite."""
        require_all(np.isfinite(y), y, "MixtureNormal wants finite targets")

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "MixtureNormal", "num_components": self.num_components, "floor": self.floor}


@dataclass(frozen=True, kw_only=True)
class Bernoulli:
    """y is 0 or 1, independent over the outputs; the network gives the logits.

    A target between, such as a grey pixel, stands for a random one of that mean: its log density is the expected one.
    """

    discrete: ClassVar[bool] = True

    def num_parameters(self, output_size: int) -> int:
        """A logit of each output."""
        return output_size

    def num_shared_parameters(self, output_size: int) -> int:
        """None."""
        return 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., *event_shape]`, batch shape `[...]`."""
        return _independent(Bits(_shaped(parameters, event_shape), dtype=parameters.dtype), event_shape)

    def in_units_of(self, scale: Array) -> Bernoulli:
        """Itself: what is 0 or 1 has no units."""
        return self

    def require_targets(self, y: Floats) -> None:
        """Refuse targets outside [0, 1]."""
        require_all((y >= 0) & (y <= 1), y, "Bernoulli wants targets in [0, 1]")

    def entropy(self, mean: Array) -> Array:
        """Of y, of each output apart, in nats, by its mean `[..., D]`."""
        return np.asarray(entr(mean) + entr(1 - mean))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "Bernoulli"}


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """y is the number of a class, 0 to K - 1; the network gives the logits of all K.

    One target a row, `output_size` 1. Its mean is that of the one-hot vectors: the classes' probabilities `[..., K]`.

    Attributes:
        num_classes: K.

    Raises:
        ValueError: If the number is not a whole one >= 2.
    """

    num_classes: int
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the number."""
        require_count("num_classes", self.num_classes)
        require(self.num_classes >= 2, f"num_classes must be at least 2, got {self.num_classes}")

    def num_parameters(self, output_size: int) -> int:
        """A logit of each class.

        Raises:
            ValueError: If there is more than one target.
        """
        require(output_size == 1, f"Categorical wants output_size 1, the one class of a row, got {output_size}")
        return self.num_classes

    def num_shared_parameters(self, output_size: int) -> int:
        """None."""
        return 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., 1]`, batch shape `[...]`."""
        logits = parameters[..., None, :]
        labels = tfd.Categorical(logits, dtype=logits.dtype)  # Of whole numbers, Keras would make sample weights whole.
        return Labels(labels, reinterpreted_batch_ndims=1)

    def in_units_of(self, scale: Array) -> Categorical:
        """Itself: a class has no units."""
        return self

    def require_targets(self, y: Floats) -> None:
        """Refuse what is not the number of a class."""
        known = (y >= 0) & (y < self.num_classes) & (y == np.floor(y))
        require_all(known, y, f"Categorical wants whole numbers from 0 to {self.num_classes - 1}")

    def entropy(self, mean: Array) -> Array:
        """Of y, of each output apart, `[..., D]`, in nats, by the classes' probabilities `[..., D * K]`."""
        return np.asarray(entr(mean).reshape(*mean.shape[:-1], -1, self.num_classes).sum(-1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "Categorical", "num_classes": self.num_classes}


class Bits(tfd.Bernoulli):
    """Zeros and ones, and what is between, with the log density in as few steps as can be: images are many of them."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        logits = self.logits_parameter()
        return tf.cast(y, logits.dtype) * logits - tf.nn.softplus(logits)


class Labels(tfd.Independent):
    """A class for each row, `[..., 1]`; mean and variance are those of its one-hot vector, `[..., K]`."""

    def _mean(self) -> tf.Tensor:
        return self.distribution.probs_parameter()[..., 0, :]

    def _variance(self) -> tf.Tensor:
        probabilities = self.mean()
        return probabilities * (1 - probabilities)

    def _stddev(self) -> tf.Tensor:
        return tf.sqrt(self.variance())


def as_labels(output: Any) -> Any:
    """TFP's own distribution of a class, whose mean is of class numbers, as `Labels`; anything else as it is."""
    inner = getattr(output, "tensor_distribution", output)  # As a model puts it out, it is wrapped.
    if not isinstance(inner, tfd.Categorical):
        return output
    return Labels(tfd.Categorical(logits=inner.logits_parameter()[..., None, :]), reinterpreted_batch_ndims=1)


def of_classes(output: Any) -> Bernoulli | Categorical | None:
    """The likelihood that a model's output is a distribution of, if y is a class; else None."""
    inner = getattr(output, "tensor_distribution", output)
    if isinstance(inner, Labels):
        return Categorical(num_classes=int(inner.distribution.logits.shape[-1]))
    return Bernoulli() if isinstance(getattr(inner, "distribution", inner), tfd.Bernoulli) else None


def _shaped(values: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Values `[..., P]` as `[..., *shape]`."""
    if len(shape) == 1:
        return values
    return tf.reshape(values, tf.concat([tf.shape(values)[:-1], shape], 0))


def _independent(distribution: tfd.Distribution, event_shape: Shape) -> tfd.Distribution:
    return tfd.Independent(distribution, reinterpreted_batch_ndims=len(event_shape))


LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "Normal": Normal,
    "MixtureNormal": MixtureNormal,
    "Bernoulli": Bernoulli,
    "Categorical": Categorical,
}


def likelihood_from_dict(values: dict[str, Any]) -> Likelihood:
    """Make a likelihood from `Likelihood.to_dict`.

    Raises:
        ValueError: If its name is unknown.
    """
    require_known("likelihood", values.get("name"), tuple(LIKELIHOODS))
    return LIKELIHOODS[values["name"]](**{key: value for key, value in values.items() if key != "name"})
