"""Training in compiled calls of many steps: small steps are mostly the overhead of calling them."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator
from typing import Any

from variational_bnn.models.backend import tf, tf_keras
from variational_bnn.models.batches import is_number_known

STEPS_PER_EXECUTION = 32
"""Training steps in one compiled call of `fit`, and batches between two calls of per-batch callbacks, by default."""


class ManyStepsModel(tf_keras.Model, abc.ABC):
    """A Keras model whose `fit` runs many training steps in each compiled call.

    Keras has two kinds of compiled functions, those of one step and those that run as many steps as the variable
    `steps_per_execution` says when they are called; it makes the first kind while that variable is 1. This class always
    makes the second kind, and `fit` sets the variable while it runs. So one function serves every number of steps.
    """

    def fit(
        self, x: Any = None, *args: Any, steps_per_epoch: int | None = None, validation_data: Any = None, **kwargs: Any
    ) -> Any:
        """Train as `tf_keras.Model.fit` does, with `STEPS_PER_EXECUTION` steps in each compiled call.

        A call has one step, as in Keras, if the number of batches is unknown, since data may then end within a call.
        It has as many steps as `compile` was told, if it was given `steps_per_execution`.

        Args:
            x: As of `tf_keras.Model.fit`.
            *args: As of `tf_keras.Model.fit`, from `y` on.
            steps_per_epoch: As of `tf_keras.Model.fit`.
            validation_data: As of `tf_keras.Model.fit`.
            **kwargs: Further arguments of `tf_keras.Model.fit`.

        Returns:
            The history, a `tf_keras.callbacks.History`.
        """
        compiled = self.get_compile_config()
        if compiled and isinstance(self.optimizer, tf_keras.optimizers.Optimizer):  # Legacy ones have no `build`.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)  # Otherwise the first step would be traced twice.
        known = is_number_known(x, steps_per_epoch)
        known &= validation_data is None or is_number_known(validation_data, kwargs.get("validation_steps"))
        many = compiled and compiled["steps_per_execution"] is None and known
        with self._steps_per_call(STEPS_PER_EXECUTION) if many else contextlib.nullcontext():
            return super().fit(x, *args, steps_per_epoch=steps_per_epoch, validation_data=validation_data, **kwargs)

    def train_step(self, data: Any) -> Any:
        """Train on one batch, as `tf_keras.Model.train_step`, and free the step's graph with the model.

        Keras sums the gradients over the replicas, also over one, by a function with a gradient of its own. TensorFlow
        keeps the graph of such a function for as long as the process lives, so on one replica the sum is left out.

        Args:
            data: The batch, as `fit` gives it.
        """
        alone = tf.distribute.get_replica_context().num_replicas_in_sync == 1
        if not alone or not isinstance(self.optimizer, tf_keras.optimizers.Optimizer):
            return super().train_step(data)
        x, y, sample_weight = tf_keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        self._validate_target_and_loss(y, loss)
        gradients = self.optimizer.compute_gradients(loss, self.trainable_variables, tape)
        self.optimizer.apply_gradients(gradients, experimental_aggregate_gradients=False)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Run one training step, as `tf_keras.Model.train_on_batch`, also in a callback of `fit`."""
        with self._steps_per_call(1):
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch, as `tf_keras.Model.test_on_batch`, also in a callback of `fit`."""
        with self._steps_per_call(1):
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """Predict one batch, as `tf_keras.Model.predict_on_batch`, also in a callback of `fit`."""
        with self._steps_per_call(1):
            return super().predict_on_batch(x)

    def make_train_function(self, force: bool = False) -> Any:
        """Make the training function: as many steps as `steps_per_execution` says when it is called.

        Args:
            force: Whether to make it again if there is one.
        """
        with self._steps_per_call(STEPS_PER_EXECUTION):
            return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        """Make the test function: as many steps as `steps_per_execution` says when it is called.

        Args:
            force: Whether to make it again if there is one.
        """
        with self._steps_per_call(STEPS_PER_EXECUTION):
            return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Make the prediction function: as many steps as `steps_per_execution` says when it is called.

        Args:
            force: Whether to make it again if there is one.
        """
        with self._steps_per_call(STEPS_PER_EXECUTION):
            return super().make_predict_function(force)

    @contextlib.contextmanager
    def _steps_per_call(self, steps: int) -> Iterator[None]:
        """Set `steps_per_execution` for a while; a model that is not compiled has none, and Keras will say so."""
        variable = self.steps_per_execution
        if variable is None:
            yield
            return
        before = int(variable.numpy())
        variable.assign(steps)
        try:
            yield
        finally:
            variable.assign(before)
