"""Likelihoods of targets that are 0 or 1, and of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import entr

from variational_bnn.base.checks import Array, Floats, require, require_all, require_count
from variational_bnn.models.backend import tf, tfd
from variational_bnn.models.event_shapes import Shape, independent, shaped


@dataclass(frozen=True, kw_only=True)
class Bernoulli:
    """Likelihood of targets that are 0 or 1, independently for each output; the network gives the logits.

    A target between 0 and 1, such as a grey pixel, stands for a random one with that mean: its log density is the
    expected log density, `y * log p + (1 - y) * log(1 - p)`.

    Attributes:
        discrete: True.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(4,), output_size=2, likelihood=vbnn.Bernoulli())
        >>> model = vbnn.build_output_variation(network, num_examples=10, seed=0)
        >>> model(np.zeros((3, 4))).mean().shape  # Probabilities of 1.
        TensorShape([3, 2])
    """

    discrete: ClassVar[bool] = True

    def num_parameters(self, output_size: int) -> int:
        """Return D: a logit of each output."""
        return output_size

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
        return independent(Bits(shaped(parameters, event_shape), dtype=parameters.dtype), event_shape)

    def in_units_of(self, scale: Array) -> Bernoulli:
        """Return the same likelihood: targets that are 0 or 1 have no units."""
        return self

    def require_targets(self, y: Floats) -> None:
        """Raise a `ValueError` unless the targets are in [0, 1]."""
        require_all((y >= 0) & (y <= 1), y, "y must be in [0, 1] for Bernoulli")

    def entropy(self, mean: Array) -> Array:
        """Return the entropy of y in nats, `[..., D]`, separately for each output, by the mean of y, `[..., D]`."""
        return np.asarray(entr(mean) + entr(1 - mean))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "Bernoulli"}


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Likelihood of classes: y is the number of a class, from 0 to K - 1; the network gives the logits of all K.

    There is one target a row, so the network has `output_size=1`. The mean of y is that of the one-hot vectors: the
    probabilities of the classes, `[..., K]`.

    Attributes:
        num_classes: K, >= 2.
        discrete: True.

    Raises:
        ValueError: If `num_classes` is not a whole number >= 2.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(4,), output_size=1, likelihood=vbnn.Categorical(num_classes=3))
        >>> model = vbnn.build_output_variation(network, num_examples=10, seed=0)
        >>> model(np.zeros((5, 4))).mean().shape  # Probabilities of the classes.
        TensorShape([5, 3])
    """

    num_classes: int
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the field."""
        require_count("num_classes", self.num_classes)
        require(self.num_classes >= 2, f"num_classes must be at least 2, got {self.num_classes}")

    def num_parameters(self, output_size: int) -> int:
        """Return K: a logit of each class.

        Raises:
            ValueError: If there is more than one target.
        """
        require(output_size == 1, f"output_size must be 1 for Categorical, got {output_size}")
        return self.num_classes

    def num_shared_parameters(self, output_size: int) -> int:
        """Return 0: all parameters depend on the row."""
        return 0

    def distribution(self, parameters: tf.Tensor, shared: tf.Tensor | None, event_shape: Shape) -> tfd.Distribution:
        """The distribution of targets `[..., 1]`, of batch shape `[...]`.

        Args:
            parameters: `[..., K]`, the logits of each row.
            shared: Not used.
            event_shape: Not used: it is always `(1,)`.
        """
        logits = parameters[..., None, :]
        labels = tfd.Categorical(logits, dtype=logits.dtype)  # With an integer type, Keras would cut sample weights.
        return Labels(labels, reinterpreted_batch_ndims=1)

    def in_units_of(self, scale: Array) -> Categorical:
        """Return the same likelihood: a class has no units."""
        return self

    def require_targets(self, y: Floats) -> None:
        """Raise a `ValueError` unless the targets are numbers of classes."""
        known = (y >= 0) & (y < self.num_classes) & (y == np.floor(y))
        require_all(known, y, f"y must be whole numbers from 0 to {self.num_classes - 1} for Categorical")

    def entropy(self, mean: Array) -> Array:
        """Return the entropy of y in nats, `[..., D]`, by the probabilities of the classes, `[..., D * K]`."""
        return np.asarray(entr(mean).reshape(*mean.shape[:-1], -1, self.num_classes).sum(-1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `likelihood_from_dict` makes the same likelihood."""
        return {"name": "Categorical", "num_classes": self.num_classes}


class Bits(tfd.Bernoulli):
    """A Bernoulli distribution that also takes values between 0 and 1, with the log density in few operations."""

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        logits = self.logits_parameter()
        return tf.cast(y, logits.dtype) * logits - tf.nn.softplus(logits)


class Labels(tfd.Independent):
    """A distribution of one class a row, `[..., 1]`; mean and variance are those of the one-hot vector, `[..., K]`."""

    def _mean(self) -> tf.Tensor:
        return self.distribution.probs_parameter()[..., 0, :]

    def _variance(self) -> tf.Tensor:
        probabilities = self.mean()
        return probabilities * (1 - probabilities)

    def _stddev(self) -> tf.Tensor:
        return tf.sqrt(self.variance())


def as_labels(output: Any) -> Any:
    """Return TFP's own distribution of a class, whose mean is one of class numbers, as `Labels`; others unchanged."""
    inner = getattr(output, "tensor_distribution", output)  # The output of a model is wrapped.
    if not isinstance(inner, tfd.Categorical):
        return output
    return Labels(tfd.Categorical(logits=inner.logits_parameter()[..., None, :]), reinterpreted_batch_ndims=1)


def of_classes(output: Any) -> Bernoulli | Categorical | None:
    """Return the discrete likelihood of which a model's output is a distribution, or None if it is another one."""
    inner = getattr(output, "tensor_distribution", output)
    if isinstance(inner, Labels):
        return Categorical(num_classes=int(inner.distribution.logits.shape[-1]))
    return Bernoulli() if isinstance(getattr(inner, "distribution", inner), tfd.Bernoulli) else None
