"""The Keras model of every builder: a functional model that shows its loss in parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import require, require_all
from variational_bnn.models import layers
from variational_bnn.models import likelihood_head as heads
from variational_bnn.models.backend import PACKAGE, layers_of, tf, tf_keras
from variational_bnn.models.losses import negative_log_likelihood, stochastic_layers

STEPS_PER_EXECUTION = 32
"""Batches a compiled call of `fit` unless `compile` is told otherwise; per-batch callbacks are called as often."""

NUMBERS = "biuf"
"""Kinds of NumPy's types."""

_LOADED_WITH = (heads, layers)
"""To load a saved model Keras imports this module alone, and finds the layers among those registered by then."""


@tf_keras.saving.register_keras_serializable(PACKAGE)
class VariationalModel(tf_keras.Model):
    """A functional `tf_keras.Model` whose `fit` and `evaluate` show `loss`, `nll` and `kl`, all in nats per example.

    `loss = nll + kl_weight * kl`, and `kl` is the KL of the weights over the number of examples plus the batch's mean
    KL of the latents; a model that has both shows them apart too, as `kl_weights` and `kl_latents`. Sample weights
    multiply each example's nll, as everywhere in Keras.
    """

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        """Take the very arguments of a functional model: by them Keras knows how to save and load the class."""
        super().__init__(inputs, outputs, name=name, trainable=trainable, **kwargs)
        self._make_own_state()

    @tf.__internal__.tracking.no_automatic_dependency_tracking
    def _make_own_state(self) -> None:
        """Make what is untracked, so that the metrics' variables do not pass for weights of the model."""
        kinds = {layer.kind for layer in stochastic_layers(self)}
        self._nll, self._kl = (tf_keras.metrics.Mean(name) for name in ("nll", "kl"))
        self._parts = {kind: tf_keras.metrics.Mean(f"kl_{kind}") for kind in sorted(kinds) if len(kinds) > 1}
        self.train_function: Any = None
        self.test_function: Any = None
        self._loops: tuple[Any, Any] = (None, None)
        self._loops_of: Any = None

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """Those of `compile`, and `nll` and `kl`, and its parts."""
        return [*super().metrics, self._nll, self._kl, *self._parts.values()]

    def fit(
        self, x: Any = None, *args: Any, steps_per_epoch: int | None = None, validation_data: Any = None, **kwargs: Any
    ) -> Any:
        """As `tf_keras.Model.fit`, with `STEPS_PER_EXECUTION` batches a compiled call: small steps are mostly overhead.

        One batch a call, as Keras has it, where `compile` asks for a number of its own, or where data may end within a
        call because nobody knows their number of batches.
        """
        self._check(x, args[0] if args else kwargs.get("y"))
        if isinstance(validation_data, tuple):
            self._check(*validation_data[:2])
        if self._is_compiled and isinstance(self.optimizer, tf_keras.optimizers.Optimizer):  # Legacy ones do it late.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)  # Else the first step would be traced twice.
        known = _is_of_known_size(x, steps_per_epoch)
        known &= validation_data is None or _is_of_known_size(validation_data, kwargs.get("validation_steps"))
        with self._many_batches_a_call() if known else contextlib.nullcontext():
            return super().fit(x, *args, steps_per_epoch=steps_per_epoch, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `tf_keras.Model.evaluate`."""
        self._check(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def _check(self, x: Any, y: Any = None) -> None:
        """Refuse arrays that do not fit, in one line: whatever else `fit` takes is only seen as it comes."""
        x, y = (_as_array(values) for values in (x, y))
        if x is not None and len(self.inputs) == 1 and self.inputs[0].dtype.is_floating:
            require(x.dtype.kind in NUMBERS, f"x must hold numbers, got {x.dtype}")
            came, wanted = x.shape[1:], self.input_shape[1:]
            fits = x.ndim > 0 and _without_ones(came) == _without_ones(wanted)
            known = ", ".join(["N", *map(str, wanted)])
            require(fits or None in wanted, f"x must have shape [{known}], got {list(x.shape)}")
            require_all(np.isfinite(x), x, "x must be finite")
        if y is not None:
            require(y.dtype.kind in NUMBERS, f"y must hold numbers, got {y.dtype}")
            for layer in layers_of(self):
                if isinstance(layer, heads.LikelihoodHead):
                    layer.likelihood.require_targets(y)

    @contextlib.contextmanager
    def _many_batches_a_call(self) -> Iterator[None]:
        """Swap in training and test functions that are loops; outside `fit` Keras's own ones are as they were."""
        if not self._is_compiled or self.get_compile_config()["steps_per_execution"] is not None:
            yield
            return
        if self._loops_of is not self.compiled_loss:  # `compile` was called since.
            self._loops, self._loops_of = (None, None), self.compiled_loss
        single = self.train_function, self.test_function
        self.train_function, self.test_function = self._loops
        self.steps_per_execution.assign(STEPS_PER_EXECUTION)
        try:
            yield
        finally:
            self._loops = self.train_function, self.test_function
            self.train_function, self.test_function = single
            self.steps_per_execution.assign(1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The total loss of a batch; its parts go to the metrics `nll` and `kl`."""
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        nll = negative_log_likelihood(y, y_pred)
        if sample_weight is not None:
            nll *= tf.reshape(tf.cast(sample_weight, nll.dtype), tf.shape(nll))
        self._nll.update_state(nll)
        layers = stochastic_layers(self)
        kls = {self._kl: layers, **{part: [x for x in layers if x.kind == kind] for kind, part in self._parts.items()}}
        for metric, own in kls.items():
            metric.update_state(tf.add_n([x.kl for x in own]) if own else 0.0, sample_weight=tf.shape(nll)[0])
        return loss


def _as_array(values: Any) -> npt.NDArray[Any] | None:
    """Arrays and tensors, those of a float type that NumPy has not as float32; None for whatever else `fit` takes."""
    if isinstance(values, tf.Tensor) and hasattr(values, "numpy"):
        return (tf.cast(values, tf.float32) if values.dtype == tf.bfloat16 else values).numpy()
    return values if isinstance(values, np.ndarray) else None


def _without_ones(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """A shape without last axes of size 1, which Keras adds and drops."""
    return shape if not shape or shape[-1] != 1 else _without_ones(shape[:-1])


def _is_of_known_size(data: Any, steps: int | None) -> bool:
    """Whether it is certain how many batches will come: of arrays, and of datasets without `steps` or without end."""
    if isinstance(data, tf.data.Dataset):
        size = int(data.cardinality())
        return size >= 0 if steps is None else size == tf.data.INFINITE_CARDINALITY
    return steps is None and not hasattr(data, "__next__") and not isinstance(data, tf.distribute.DistributedDataset)


def shuffled_batches(arrays: tuple[npt.NDArray[np.float32], ...], batch_size: int, seed: int) -> tf.data.Dataset:
    """Endless batches of rows, shuffled anew each time round, in an order that the seed alone decides.

    Keras and tf.data shuffle by TensorFlow's global seed too. Where all rows fit into a batch, it is ever the same one.
    """
    count, tensors = len(arrays[0]), [tf.constant(array) for array in arrays]
    if count <= batch_size:
        return tf.data.Dataset.from_tensors(tuple(tensors)).repeat()

    def once(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, number])
        return tf.data.Dataset.from_tensor_slices(order)

    rows = tf.data.Dataset.counter().flat_map(once).batch(batch_size)
    endless = rows.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.map(lambda chosen: tuple(tf.gather(tensor, chosen) for tensor in tensors)).prefetch(4)
