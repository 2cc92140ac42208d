"""The last layer of every builder's model: from the numbers that a network puts out to a distribution of y."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from variational_bnn.base import Likelihood
from variational_bnn.base.checks import require
from variational_bnn.models.backend import full_precision, register, tf, tf_keras, tfd, tfp
from variational_bnn.models.likelihoods import likelihood_from_dict


@register
class LikelihoodHead(tfp.layers.DistributionLambda):
    """The last layer of a model: from parameters `[..., P]` to the distribution of y that the likelihood makes of them.

    The output is a `tfp` distribution of batch shape `[...]` and event shape `event_shape`. Where Keras needs a tensor,
    for instance in `model.predict`, it is the mean of the distribution; that of a `Categorical` is the probabilities of
    the classes.

    With a `Normal()` likelihood it is the `IndependentNormal` of TensorFlow Probability, whose scale has a floor here,
    so that noise-free targets do not drive the loss to minus infinity.

    Parameters that all rows share, such as the noise of `Normal(scale="learned")`, are trained in this layer. If the
    inputs have P plus that many columns, the last columns are taken for the shared parameters instead.

    Args:
        likelihood: A likelihood such as `Normal()`, or the plain values of its `to_dict`.
        output_size: D, the number of targets of a row. The inputs must have
            `likelihood.num_parameters(output_size)` columns.
        event_shape: Shape of the targets of one row, if it is an image of D pixels; `(D,)` by default.
        shared_regularizer: Regulariser of the shared parameters, such as a `NormalPrior`; None for none.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        likelihood: The likelihood.
        output_size: D.
        event_shape: Shape of the targets of one row, a tuple.
        shared: Variable of the shared parameters; None if there are none. It exists once the layer is built.

    Raises:
        ValueError: If the event shape does not have D elements.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> likelihood = vbnn.Normal()
        >>> inputs = tf_keras.Input((3,))
        >>> parameters = tf_keras.layers.Dense(likelihood.num_parameters(output_size=2))(inputs)
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(likelihood, output_size=2)(parameters))
        >>> density = model(np.zeros((5, 3)))
        >>> density.batch_shape, density.event_shape
        (TensorShape([5]), TensorShape([2]))
    """

    def __init__(
        self,
        likelihood: Likelihood | dict[str, Any],
        output_size: int,
        event_shape: Sequence[int] | None = None,
        shared_regularizer: tf_keras.regularizers.Regularizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(self._distribution, convert_to_tensor_fn=tfd.Distribution.mean, **full_precision(kwargs))
        self.likelihood = likelihood_from_dict(likelihood) if isinstance(likelihood, dict) else likelihood
        self.output_size = output_size
        self.event_shape = (output_size,) if event_shape is None else tuple(event_shape)
        fits = math.prod(self.event_shape) == output_size
        require(fits, f"event_shape must have {output_size} elements, got {self.event_shape}")
        self.shared_regularizer = tf_keras.regularizers.get(shared_regularizer)
        self.shared: tf.Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Make the variable of the shared parameters, unless there are none or the inputs have them."""
        size = self.likelihood.num_shared_parameters(self.output_size)
        if size and int(input_shape[-1]) == self.likelihood.num_parameters(self.output_size):
            self.shared = self.add_weight(
                name="shared", shape=(size,), initializer="zeros", regularizer=self.shared_regularizer
            )
        super().build(input_shape)

    def _distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        own = self.likelihood.num_parameters(self.output_size)
        shared = parameters[..., own:] if self.shared is None else self.shared
        return self.likelihood.distribution(parameters[..., :own], shared, self.event_shape)

    def get_config(self) -> dict[str, Any]:
        """Plain values for `from_config`; the configuration of TFP's layer would store functions as bytecode."""
        base = tf_keras.layers.Layer.get_config(self)
        return {
            **base,
            "likelihood": self.likelihood.to_dict(),
            "output_size": self.output_size,
            "event_shape": list(self.event_shape),
            "shared_regularizer": tf_keras.regularizers.serialize(self.shared_regularizer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LikelihoodHead:
        """Make the layer from the values of `get_config`."""
        return cls(**config)


@register
class MixtureHead(LikelihoodHead):
    """The last layer of a model that draws K latents for each row: an equal mixture of the K likelihoods.

    From parameters `[..., K, P]` it makes the distribution of y whose density is the mean of the K likelihoods'
    densities. So `negative_log_likelihood` is the bound -log (1/K sum_k p(y given x, z_k)) of `ConditionalUnits`. With
    K = 1 it is the likelihood itself.

    Args:
        likelihood: A likelihood such as `Normal()`, or the plain values of its `to_dict`.
        output_size: D, the number of targets of a row.
        event_shape: Shape of the targets of one row, if it is an image of D pixels; `(D,)` by default.
        shared_regularizer: Regulariser of the shared parameters, such as a `NormalPrior`; None for none.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        likelihood: The likelihood.
        output_size: D.
        event_shape: Shape of the targets of one row, a tuple.
        shared: Variable of the shared parameters; None if there are none. It exists once the layer is built.

    Raises:
        ValueError: If the event shape does not have D elements.

    Example:
        >>> import variational_bnn as vbnn
        >>> head = vbnn.MixtureHead(vbnn.Normal(scale=1.0), output_size=1)
        >>> density = head(np.array([[[-3.0], [3.0]]]))  # One row with the draws -3 and 3.
        >>> density.mean().numpy().tolist(), density.variance().numpy().tolist()
        ([[0.0]], [[10.0]])
    """

    def _distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        count = parameters.shape[-2]
        if count == 1:
            return super()._distribution(parameters[..., 0, :])
        draws = super()._distribution(parameters)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.zeros([count], parameters.dtype)), draws)
