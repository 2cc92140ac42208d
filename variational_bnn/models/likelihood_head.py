"""The last layer of every builder's model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from variational_bnn.base import Likelihood
from variational_bnn.base.checks import require
from variational_bnn.models.backend import PACKAGE, tf, tf_keras, tfd, tfp
from variational_bnn.models.likelihoods import likelihood_from_dict


@tf_keras.saving.register_keras_serializable(PACKAGE)
class LikelihoodHead(tfp.layers.DistributionLambda):
    """The last layer: parameters `[..., P]` in, the likelihood's distribution out; as a tensor, its mean.

    The mean of a class is the probabilities of all of them.

    Parameters that the rows share are trained here, unless the inputs bring them along, in every row, after the others.

    Args:
        likelihood: Or its `to_dict`.
        output_size: D.
        event_shape: Of one y, if it is an image of D pixels; `(D,)` by default.
        **kwargs: Of `tf_keras.layers.Layer`.

    Raises:
        ValueError: If the event shape is not of D elements.
    """

    def __init__(
        self,
        likelihood: Likelihood | dict[str, Any],
        output_size: int,
        event_shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(self._distribution, convert_to_tensor_fn=tfd.Distribution.mean, **kwargs)
        self.likelihood = likelihood_from_dict(likelihood) if isinstance(likelihood, dict) else likelihood
        self.output_size = output_size
        self.event_shape = (output_size,) if event_shape is None else tuple(event_shape)
        fits = math.prod(self.event_shape) == output_size
        require(fits, f"event_shape must have {output_size} elements, got {self.event_shape}")
        self.shared: tf.Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Make the likelihood's shared parameters, if it has any that do not come in."""
        size = self.likelihood.num_shared_parameters(self.output_size)
        if size and int(input_shape[-1]) == self.likelihood.num_parameters(self.output_size):
            self.shared = self.add_weight(name="shared", shape=(size,), initializer="zeros")
        super().build(input_shape)

    def _distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        own = self.likelihood.num_parameters(self.output_size)
        shared = parameters[..., own:] if self.shared is None else self.shared
        return self.likelihood.distribution(parameters[..., :own], shared, self.event_shape)

    def get_config(self) -> dict[str, Any]:
        """Plain values alone, where TFP's own configuration stores bytecode."""
        base = tf_keras.layers.Layer.get_config(self)
        own = {"output_size": self.output_size, "event_shape": list(self.event_shape)}
        return {**base, "likelihood": self.likelihood.to_dict(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LikelihoodHead:
        """Make the layer from `get_config`."""
        return cls(**config)
