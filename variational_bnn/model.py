"""The Keras model of every builder: a functional model that shows its loss in parts."""

from __future__ import annotations

from typing import Any

from variational_bnn._keras import PACKAGE, tf, tf_keras
from variational_bnn.losses import negative_log_likelihood, stochastic_layers

STEPS_PER_EXECUTION = 32
"""Batches a compiled call unless `compile` is told otherwise; per-batch callbacks are called as often."""


@tf_keras.saving.register_keras_serializable(PACKAGE)
class VariationalModel(tf_keras.Model):
    """A functional `tf_keras.Model` whose `fit` and `evaluate` show `loss`, `nll` and `kl`, all in nats per example.

    `loss = nll + kl_weight * kl`, and `kl` is the KL of the weights over the number of examples plus the batch's mean
    KL of the latents. Sample weights multiply each example's nll, as everywhere in Keras.
    """

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        """Take the very arguments of a functional model: by them Keras knows how to save and load the class."""
        super().__init__(inputs, outputs, name=name, trainable=trainable, **kwargs)
        self._nll = tf_keras.metrics.Mean("nll")
        self._kl = tf_keras.metrics.Mean("kl")

    def compile(self, *args: Any, steps_per_execution: int | str | None = None, **kwargs: Any) -> None:
        """As `tf_keras.Model.compile`, with `STEPS_PER_EXECUTION` batches a call: small steps are mostly overhead."""
        super().compile(*args, steps_per_execution=steps_per_execution or STEPS_PER_EXECUTION, **kwargs)
        self.optimizer.build(self.trainable_variables)  # Else the first step would be traced twice.

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as the saved one was: Keras asks this of a class with a `compile` of its own."""
        self.compile(**tf_keras.saving.deserialize_keras_object(config))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The total loss of a batch; its parts go to the metrics `nll` and `kl`."""
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        nll = negative_log_likelihood(y, y_pred)
        kl = [layer.kl for layer in stochastic_layers(self)]
        self._nll.update_state(nll if sample_weight is None else nll * tf.cast(sample_weight, nll.dtype))
        self._kl.update_state(tf.add_n(kl) if kl else 0.0, sample_weight=tf.shape(nll)[0])
        return loss
