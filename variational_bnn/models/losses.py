"""The loss: -log p(y given x, draw) + kl_weight * KL, in nats per example, and its annealing."""

from __future__ import annotations

from typing import Any

from variational_bnn.base.checks import require, require_count
from variational_bnn.models.backend import PACKAGE, layers_of, tf, tf_keras, tfd
from variational_bnn.models.layers import Stochastic


def _register(function: Any) -> Any:
    return tf_keras.saving.register_keras_serializable(PACKAGE)(function)


@_register
def negative_log_likelihood(y_true: tf.Tensor, y_pred: tfd.Distribution) -> tf.Tensor:
    """-log p(y given x, one draw), in nats: the loss to compile every model with.

    With the KL that the models add themselves, the total is the negative evidence lower bound, per example.

    Args:
        y_true: Targets `[N, D]`, or `[N]` if D = 1.
        y_pred: The model's output, a distribution of event shape `[D]`.

    Returns:
        `[N]`.

    Raises:
        TypeError: If y_pred is not a distribution.
        ValueError: If the targets have another size than the distribution's events.
    """
    if not isinstance(y_pred, tfd.Distribution):
        raise TypeError(
            f"negative_log_likelihood needs a model whose output is a tfp distribution, got {type(y_pred).__name__}"
        )
    y = tf.cast(y_true, y_pred.dtype if y_pred.dtype.is_floating else tf.float32)  # Not to cut grey pixels to 0.
    shape = y_pred.batch_shape.concatenate(y_pred.event_shape)
    if y.shape.rank is None:  # Keras forgets the rank of targets that came as [N] here and as [N, 1] there.
        y = tf.reshape(y, tf.concat([y_pred.batch_shape_tensor(), y_pred.event_shape_tensor()], 0))
    elif y.shape.rank == shape.rank - 1 and shape[-1] == 1:
        y = y[..., None]
    if not shape.is_compatible_with(y.shape):
        wanted, got = ("[" + ", ".join("N" if n is None else str(n) for n in s) + "]" for s in (shape, y.shape))
        raise ValueError(f"targets must have shape {wanted}, got {got}")
    return -y_pred.log_prob(y)


def stochastic_layers(model: tf_keras.Model) -> list[Stochastic]:
    """The model's layers that draw and have a KL, nested ones too."""
    return [layer for layer in layers_of(model) if isinstance(layer, Stochastic)]


class KLAnnealing(tf_keras.callbacks.Callback):
    """Raise the weight of the KL linearly over the first epochs (Bowman et al. 2016, arXiv 1511.06349).

    Args:
        epochs: Epochs until the final weight is reached.
        start: Weight in the first epoch.
        end: Weight from epoch `epochs` on; 1 for the ELBO.

    Raises:
        ValueError: If epochs is not a whole number >= 1, a weight is negative, or the model has no KL.
    """

    def __init__(self, epochs: int, start: float = 0.0, end: float = 1.0) -> None:
        super().__init__()
        require_count("epochs", epochs)
        require(start >= 0 and end >= 0, f"KL weights must be >= 0, got start={start!r}, end={end!r}")
        self.epochs, self.start, self.end = epochs, start, end

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the weight of every stochastic layer."""
        layers = stochastic_layers(self.model)
        require(bool(layers), "KLAnnealing needs a model with stochastic layers of variational_bnn, got none")
        progress = min(epoch / self.epochs, 1.0)
        for layer in layers:
            layer.kl_weight.assign(self.start + (self.end - self.start) * progress)
