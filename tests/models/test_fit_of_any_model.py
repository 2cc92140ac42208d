"""`fit` of models with layers of the user's own, and of Keras's, that a block of batches could go wrong with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import variational_bnn as vbnn
from variational_bnn.models import many_steps
from variational_bnn.models.batches import ShuffledBatches
from variational_bnn.models.dense import DenseFlipout
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.many_steps import STEPS_WORTH_XLA, is_for_xla
from variational_bnn.models.variational_model import VariationalModel

N = 6
RNG = np.random.default_rng(0)
X, OTHER, Y = (RNG.normal(size=(N, 1)).astype(np.float32) for _ in range(3))
LONG = 10_000
"""So many steps are compiled by XLA, where nothing speaks against it."""


class _Clipped(tf_keras.layers.Layer):
    """A layer that AutoGraph must translate."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if tf.reduce_max(inputs) > 0.5:
            inputs = tf.minimum(inputs, 0.5)
        for _ in tf.range(2):
            inputs = inputs + 1.0
        return inputs


class _Below(tf_keras.layers.Layer):
    """A layer that checks its inputs; XLA leaves checks out."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.debugging.assert_less(inputs, self.limit, "too large")]):
            return tf.identity(inputs)


class _Inner(tf_keras.layers.Layer):
    """A layer with a stochastic layer in it."""

    def __init__(self) -> None:
        super().__init__()
        self.flipout = DenseFlipout(2, num_examples=N, seed=0)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.flipout(inputs)


class _ByPython(tf_keras.layers.Layer):
    """A layer that XLA cannot compile."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = tf.py_function(lambda x: x + 1.0, [tf.stop_gradient(inputs)], tf.float32)
        return inputs + tf.ensure_shape(outputs, inputs.shape)


def _compiled(inputs: Any, parameters: tf.Tensor, **settings: Any) -> Any:
    model = VariationalModel(inputs, LikelihoodHead(vbnn.Normal(), 1)(parameters))
    model.compile(tf_keras.optimizers.SGD(0.1), loss=vbnn.negative_log_likelihood, **settings)
    return model


def _of_two_inputs(**settings: Any) -> Any:
    inputs = [tf_keras.Input((1,)), tf_keras.Input((1,))]
    tf_keras.utils.set_random_seed(0)
    joined = tf_keras.layers.Dense(3)(_Clipped()(tf_keras.layers.Concatenate()(inputs)))
    return _compiled(inputs, _Inner()(joined), **settings)


def _with(layer: tf_keras.layers.Layer, **settings: Any) -> Any:
    inputs = tf_keras.Input((1,))
    return _compiled(inputs, tf_keras.layers.Dense(2)(layer(inputs)), **settings)


def _losses(model: Any, epochs: int) -> list[float]:
    """Of the first epochs of a long fit."""

    def stop(epoch: int, _: Any) -> None:
        model.stop_training = epoch == epochs - 1

    callback = tf_keras.callbacks.LambdaCallback(on_epoch_end=stop)
    losses: list[float] = model.fit(X, Y, epochs=LONG, verbose=0, callbacks=[callback]).history["loss"]
    return losses


def test_a_list_of_inputs_and_layers_within_layers_and_with_control_flow_of_python() -> None:
    """As in eager execution."""
    block, eager = _of_two_inputs(), _of_two_inputs(run_eagerly=True)
    for model in (block, eager):
        model.fit([X, OTHER], Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for one, other in zip(block.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_predictions_and_audits_of_a_layer_with_control_flow_of_python() -> None:
    model = _with(_Clipped())
    kernel, bias = (weights.numpy() for weights in model.trainable_variables)
    expected = (np.minimum(X, 0.5) + 2) @ kernel[:, :1] + bias[:1]
    np.testing.assert_allclose(vbnn.predict(model, X, num_samples=2).mean, expected, rtol=1e-4)
    assert vbnn.audit_elbo(model, X, Y, num_samples=5).nll > 0


def test_what_xla_cannot_compile_is_an_error_only_if_xla_was_asked_for() -> None:
    inputs = tf_keras.Input((1,))
    flipout = DenseFlipout(2, num_examples=N, seed=0)
    assert np.isfinite(_losses(_compiled(inputs, flipout(_ByPython()(inputs))), 3)).all()
    assert int(flipout.draws) == 3, "what could not be compiled is not counted"
    with pytest.raises(tf.errors.InvalidArgumentError, match="compile"):
        _losses(_with(_ByPython(), jit_compile=True), 1)


@pytest.mark.parametrize(
    ("steps", "numbers", "long"), [(8000, 0, 1), (7999, 0, 0), (800, 450_000, 1), (799, 450_000, 0)]
)
def test_fewer_steps_are_worth_xla_if_each_handles_many_numbers(steps: int, numbers: int, long: bool) -> None:
    assert is_for_xla(_with(tf_keras.layers.ReLU()), steps, numbers, STEPS_WORTH_XLA) == long


@pytest.mark.parametrize(("units", "by_xla"), [(1, False), (20_000, True)])
def test_how_long_a_fit_is_depends_on_its_network(units: int, by_xla: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_steps, "STEPS_WORTH_XLA", 2)
    model = _with(DenseFlipout(units, num_examples=N, seed=0))
    model.fit(X, Y, epochs=1, verbose=0)
    assert list(model._block_programs) == [by_xla]


def test_a_step_that_fails_in_a_long_fit_fails_once() -> None:
    """The others before it are not repeated without XLA, as if it could not compile them."""
    model, alone = (_with(_Below(100.0)) for _ in range(2))
    alone.set_weights(model.get_weights())
    alone.train_on_batch(X[:4], Y[:4])
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        model.fit(np.concatenate([X[:5], [[1000.0]]]), Y, 4, LONG, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], alone.get_weights()[0], rtol=1e-5)


def test_a_long_fit_with_dropout_of_keras_is_reproducible() -> None:
    """XLA would take no seed of its masks."""
    losses = []
    for _ in range(2):
        tf_keras.utils.set_random_seed(0)
        losses.append(_losses(_with(tf_keras.layers.Dropout(0.5)), 3))
    assert losses[0] == losses[1]


def test_sizes_that_are_not_known_before_there_are_data() -> None:
    inputs = tf_keras.Input((None, None, 1))
    hidden = vbnn.Convolution2DFlipout(2, 3, num_examples=N, seed=0)(inputs)
    model = _compiled(inputs, tf_keras.layers.GlobalAveragePooling2D()(hidden))
    assert np.isfinite(model.fit(np.ones((N, 5, 5, 1)), Y, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("settings", [{"steps_per_execution": "auto"}, {"run_eagerly": True}])
def test_batches_of_a_method_train_also_one_by_one(settings: dict[str, Any]) -> None:
    tf_keras.utils.set_random_seed(0)
    model = _with(_Inner(), **settings)
    tf_keras.utils.set_random_seed(0)
    expected = _with(_Inner())
    for one in (model, expected):
        one.fit(ShuffledBatches((X, Y), 4, 0), steps_per_epoch=2, epochs=2, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], expected.get_weights()[0], rtol=1e-5, atol=1e-6)


def test_no_batches_are_an_error_of_keras() -> None:
    with pytest.raises(ValueError, match="data"):
        _with(_Clipped()).fit(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).take(0), verbose=0)
