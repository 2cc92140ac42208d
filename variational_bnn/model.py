"""The Keras model of every builder: a functional model that shows its loss in parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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
        self._make_metrics()

    @tf.__internal__.tracking.no_automatic_dependency_tracking
    def _make_metrics(self) -> None:
        """Untracked, so that the metrics' variables do not pass for weights of the model."""
        self._nll = tf_keras.metrics.Mean("nll")
        self._kl = tf_keras.metrics.Mean("kl")

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """Those of `compile`, and `nll` and `kl`."""
        return [*super().metrics, self._nll, self._kl]

    def compile(self, *args: Any, steps_per_execution: int | str | None = None, **kwargs: Any) -> None:
        """As `tf_keras.Model.compile`, with `STEPS_PER_EXECUTION` batches a call: small steps are mostly overhead."""
        super().compile(*args, steps_per_execution=steps_per_execution or STEPS_PER_EXECUTION, **kwargs)
        if isinstance(self.optimizer, tf_keras.optimizers.Optimizer):  # The legacy ones build themselves.
            self.optimizer.build(self.trainable_variables)  # Else the first step would be traced twice.

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as the saved one was: Keras asks this of a class with a `compile` of its own."""
        self.compile(**tf_keras.saving.deserialize_keras_object(config))

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `tf_keras.Model.fit`; batches of unknown number run one a call, as a call of many could overrun them."""
        training = _is_of_unknown_size(x, kwargs.get("steps_per_epoch"))
        validation = _is_of_unknown_size(kwargs.get("validation_data"), kwargs.get("validation_steps"))
        with self._one_batch_a_call(training or validation):
            return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `tf_keras.Model.evaluate`; batches of unknown number run one a call."""
        with self._one_batch_a_call(_is_of_unknown_size(x, kwargs.get("steps"))):
            return super().evaluate(x, *args, **kwargs)

    @contextlib.contextmanager
    def _one_batch_a_call(self, wanted: bool) -> Iterator[None]:
        if not (wanted and self._is_compiled):
            yield
            return
        self.make_train_function()  # Made now, each is a loop over as many batches as this variable says, and stays so.
        self.make_test_function()
        batches = int(self.steps_per_execution.numpy())
        self.steps_per_execution.assign(1)
        try:
            yield
        finally:
            self.steps_per_execution.assign(batches)

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


def _is_of_unknown_size(data: Any, steps: int | None) -> bool:
    """Whether Keras cannot know how many batches the data has: a generator, a filtered or a distributed dataset."""
    if steps is not None:
        return False
    if isinstance(data, tf.data.Dataset):
        return bool(data.cardinality() < 0)
    return hasattr(data, "__next__") or isinstance(data, tf.distribute.DistributedDataset)
