"""Training in compiled calls of many steps: small steps are mostly the overhead of calling them."""

from __future__ import annotations

import abc
import contextlib
import inspect
import math
from collections.abc import Iterator
from typing import Any

from variational_bnn.models.backend import layers_of, tf, tf_keras
from variational_bnn.models.batches import UNKNOWN_SIZE, Batches, whole_numbers
from variational_bnn.models.blocks import STEPS_PER_EXECUTION, BlockProgram, BlockTraining, block_size
from variational_bnn.models.fit_data import batches_of, is_number_known, split_for_validation
from variational_bnn.models.stochastic import stochastic_layers, unseeded_layers

STEPS_BATCH_BY_BATCH = 32
"""Training steps in one compiled call of `fit` where it cannot run in blocks."""

STEPS_WORTH_XLA = 8000
"""How many small steps make it worth to compile a fit by XLA; larger steps count as several, see `is_for_xla`."""

NUMBERS_OF_OVERHEAD = 50_000
"""XLA saves the overhead of a step, and about as much again for each so many numbers that the step handles."""

_ARGUMENTS = inspect.signature(tf_keras.Model.fit)
_OF_DATA = ("x", "y", "sample_weight", "batch_size", "shuffle", "steps_per_epoch")
with tf.Graph().as_default():  # Outside any strategy in whose scope this module may be imported.
    NO_STRATEGY = type(tf.distribute.get_strategy())


class ManyStepsModel(tf_keras.Model, abc.ABC):
    """A Keras model whose `fit` runs many training steps in each compiled call.

    Where it can, `fit` trains on blocks of batches (see `models.blocks`). Otherwise it runs Keras's own loop with many
    steps in each call. Keras has two kinds of compiled functions for that, those of one step and those that run as many
    steps as the variable `steps_per_execution` says when they are called; it makes the first kind while that variable
    is 1. This class always makes the second kind, and `fit` sets the variable while it runs. So one function serves
    every number of steps.
    """

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as `tf_keras.Model.fit` does, with many steps in each compiled call.

        Batches come in blocks, and are trained on in one compiled program a block, if they are arrays or a
        `tf.data.Dataset` of which it is certain how many batches there will be. Each call has as many steps as
        `compile` was told by `steps_per_execution`, or else up to 256. The program is compiled by XLA as `compile` was
        told by `jit_compile`, or else if the fit is long, XLA knows all operations, no layer is a convolution, which
        XLA makes slower on a CPU, and none draws random numbers in a way of its own, for which XLA takes no seed. A fit
        is long if steps x (1 + n / 50,000) >= 8,000, where n numbers are the data, the parameters and the random
        outputs of a step: from there on XLA saves about as much as its compilation takes. An epoch's last batch, if it
        has fewer rows, is trained on in the same call, but never compiled by XLA, which would compile each shape apart.

        Batches come one by one of other data, and with class weights, eager execution, a distribution strategy,
        `steps_per_execution="auto"`, an optimizer of `tf_keras.optimizers.legacy` or a `train_step` of one's own. The
        random numbers are the same.

        Args:
            x: As of `tf_keras.Model.fit`.
            *args: As of `tf_keras.Model.fit`, from `y` on.
            **kwargs: Further arguments of `tf_keras.Model.fit`.

        Returns:
            The history, a `tf_keras.callbacks.History`.
        """
        given = _ARGUMENTS.bind(self, x, *args, **kwargs).arguments
        del given["self"]
        if self.get_compile_config() and isinstance(self.optimizer, tf_keras.optimizers.Optimizer):
            with self.distribute_strategy.scope():  # Legacy ones have no `build`.
                self.optimizer.build(self.trainable_variables)  # Otherwise the first step would be traced twice.
        validation = given.get("validation_data")
        seen_whole = validation is None or is_number_known(validation, given.get("validation_steps"))
        if self._trains_in_blocks and seen_whole and not given.get("class_weight"):
            given = split_for_validation(given)
            if (batches := batches_of(given)) is not None:
                return self._fit_blocks(batches, given)
        known = seen_whole and is_number_known(given.get("x"), given.get("steps_per_epoch"))
        if isinstance(x, Batches):
            given["x"] = x.one_by_one(given["steps_per_epoch"])
        asked = (self.get_compile_config() or {}).get("steps_per_execution")
        steps = self._steps_per_call(asked or (STEPS_BATCH_BY_BATCH if known else 1))
        with contextlib.nullcontext() if asked == "auto" else steps, self._batch_by_batch():
            return super().fit(**given)

    @property
    def _trains_in_blocks(self) -> bool:
        """Whether training steps are those of this class, on one device, and compiled."""
        return (
            self.get_compile_config() is not None
            and isinstance(self.optimizer, tf_keras.optimizers.Optimizer)
            and isinstance(self.distribute_strategy, NO_STRATEGY)
            and not tf.distribute.has_strategy()
            and not self.run_eagerly
            and not self.autotune_steps_per_execution
            and type(self).train_step is ManyStepsModel.train_step
        )

    def _fit_blocks(self, batches: Batches, given: dict[str, Any]) -> Any:
        """Train on blocks of batches."""
        steps = given.get("steps_per_epoch") or batches.steps
        assert steps is not None, "endless batches do not come without a number of steps"
        epochs = given.get("epochs", 1) - given.get("initial_epoch", 0)
        most = self.get_compile_config()["steps_per_execution"] or STEPS_PER_EXECUTION
        numbers = batches.numbers + self.numbers_of_step(batches.batch_size)
        size = block_size(steps, most, numbers)
        jit_compile = is_for_xla(self, steps * epochs, numbers, STEPS_WORTH_XLA)
        required = self.jit_compile is not None
        others = {name: value for name, value in given.items() if name not in _OF_DATA}
        others["validation_batch_size"] = given.get("validation_batch_size") or given.get("batch_size")
        blocks = batches.blocks(steps, size)
        with self._batch_by_batch(), self._steps_per_call(size):
            training = BlockTraining(self, self._block_programs, blocks, jit_compile=jit_compile, required=required)
            self.train_function = training  # Which Keras takes then.
            try:
                # Keras counts the steps; the blocks come from `training`.
                return super().fit(whole_numbers(), steps_per_epoch=steps, **others)
            finally:
                if self.train_function is training:
                    self.train_function = training.batch_by_batch

    def numbers_of_step(self, batch_size: int) -> int:
        """About how many parameters and random outputs a training step handles; it draws at most as many numbers.

        Args:
            batch_size: Rows of the step.
        """
        return self.count_params() + batch_size * sum(map(_numbers_of_row, stochastic_layers(self)))

    def _reset_compile_cache(self) -> None:
        """Forget compiled functions; Keras calls it in `compile`, without which it would not compile loaded models."""
        super()._reset_compile_cache()
        self._forget_programs()

    @tf.__internal__.tracking.no_automatic_dependency_tracking
    def _forget_programs(self) -> None:
        self._block_programs: dict[bool, BlockProgram] = {}

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
        with self._steps_per_call(1), self._batch_by_batch():
            return super().train_on_batch(*args, **kwargs)

    @contextlib.contextmanager
    def _batch_by_batch(self) -> Iterator[None]:
        """Train on batches that come alone, also while a `fit` in blocks, of which this is a callback, goes on."""
        training = self.train_function
        if not isinstance(training, BlockTraining):
            yield
            return
        self.train_function = training.batch_by_batch
        try:
            yield
        finally:
            training.batch_by_batch, self.train_function = self.train_function, training

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
        if force:
            self._forget_programs()
        with self._steps_per_call(STEPS_BATCH_BY_BATCH):
            return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        """Make the test function: as many steps as `steps_per_execution` says when it is called.

        Args:
            force: Whether to make it again if there is one.
        """
        with self._steps_per_call(STEPS_BATCH_BY_BATCH):
            return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Make the prediction function: as many steps as `steps_per_execution` says when it is called.

        Args:
            force: Whether to make it again if there is one.
        """
        with self._steps_per_call(STEPS_BATCH_BY_BATCH):
            return super().make_predict_function(force)

    def reset_metrics(self) -> None:
        """Reset the metrics, as `tf_keras.Model.reset_metrics`, but set means to zero directly, which is faster."""
        for metric in self.metrics:
            if type(metric) is tf_keras.metrics.Mean:
                for variable in metric.variables:
                    variable.assign(0, read_value=False)
            else:
                metric.reset_state()

    def _validate_and_get_metrics_result(self, logs: Any) -> Any:
        """The logs of an epoch; Keras computes them again, since replicas may have gone on after the last step."""
        if isinstance(self.train_function, BlockTraining):
            return logs
        return super()._validate_and_get_metrics_result(logs)

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


def is_for_xla(model: tf_keras.Model, steps: int, numbers: int, steps_worth_xla: int) -> bool:
    """Whether training is to be compiled by XLA: as `compile` was told, or else if it is long and gains by it.

    It is long if steps x (1 + numbers / 50,000) is at least `steps_worth_xla`.

    Args:
        model: A compiled tf_keras model.
        steps: Steps of the training.
        numbers: How many numbers a step handles, about.
        steps_worth_xla: From how many steps on training is long if a step handles few numbers.
    """
    if model.jit_compile is not None:
        return bool(model.jit_compile)
    if steps * (1 + numbers / NUMBERS_OF_OVERHEAD) < steps_worth_xla:
        return False
    convolutions = any(hasattr(layer, "dilation_rate") for layer in layers_of(model))
    return not convolutions and not unseeded_layers(model)


def _numbers_of_row(layer: tf_keras.layers.Layer) -> int:
    """How many numbers a layer puts out for a row; 0 if that is not known, as of a layer within a layer."""
    try:
        shape = layer.output_shape
        return math.prod(size or UNKNOWN_SIZE for size in shape[1:])
    except (AttributeError, TypeError):
        return 0
