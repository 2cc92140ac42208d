"""Models that are trained side by side are trained as if each were alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.dense import DenseFlipout
from variational_bnn.models.dropout import SeededDropout
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Categorical, Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.stack import architecture
from variational_bnn.models.together import fit_together
from variational_bnn.models.variational_model import VariationalModel

N, BATCH = 10, 5
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 2)).astype(np.float32), RNG.normal(size=(N, 1)).astype(np.float32)
LONG_X, LONG_Y = (RNG.normal(size=(5 * N, size)).astype(np.float32) for size in (2, 1))
LABELS = RNG.integers(3, size=(5 * N, 1))
WEIGHTS = RNG.uniform(0.5, 1.5, size=N).astype(np.float32)


def _model(kind: str = "flipout", seed: int = 0, optimizer: Any = None, jit_compile: Any = None, **fields: Any) -> Any:
    likelihood: Likelihood = Normal(scale="learned")
    network = Network(**{"input_shape": (2,), "output_size": 1, "hidden_units": (), "likelihood": likelihood, **fields})
    model = by_hand.build(kind, network, N, seed=seed)
    model.compile(optimizer or tf_keras.optimizers.Adam(0.02), negative_log_likelihood, jit_compile=jit_compile)
    return model


def _assert_agree(model: Any, alone: Any, rtol: float = 1e-4) -> None:
    """The same weights, among them the numbers of draws, and the same state of the optimizer."""
    pairs = [*zip(model.weights, alone.weights, strict=True)]
    for own, other in [*pairs, *zip(model.optimizer.variables, alone.optimizer.variables, strict=True)]:
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=rtol, atol=1e-6, err_msg=own.name)


def _hidden(kind: str, seed: int, jit_compile: bool | None = None) -> Any:
    """A model of any kind; that of amortized latents has classes, and an optimizer with a schedule."""
    if kind != "amortized":
        return _model(kind, seed, hidden_units=(4,), jit_compile=jit_compile)
    rate = tf_keras.optimizers.schedules.CosineDecay(0.05, 300)
    optimizer = tf_keras.optimizers.SGD(rate, momentum=0.9, clipvalue=0.5)
    return _model(kind, seed, optimizer, likelihood=Categorical(num_classes=3), hidden_units=(4,))


def _after_200_steps(kind: str, spoil: Callable[[Any], None] = lambda models: None, **settings: Any) -> list[Any]:
    """Three models that were trained together, of which the second has drawn before, and the others have not."""
    models = [_hidden(kind, seed, **settings) for seed in range(3)]
    models[1](LONG_X)
    spoil(models)
    fit_together(models, LONG_X, _targets(kind), batch_size=BATCH, epochs=20, shuffle=False)
    return models


def _targets(kind: str) -> np.ndarray:
    return LABELS if kind == "amortized" else LONG_Y


@pytest.mark.parametrize("kind", [kind for kind in by_hand.KINDS if kind not in ("output", "flipout")])
def test_after_200_steps_each_model_is_what_it_would_be_alone(kind: str) -> None:
    _assert_as_alone(_after_200_steps(kind), kind)


def _assert_as_alone(models: list[Any], kind: str) -> None:
    model, alone = models[1], _hidden(kind, 1)
    alone(LONG_X)
    alone.fit(LONG_X, _targets(kind), BATCH, 20, shuffle=False, verbose=0)
    _assert_agree(model, alone)
    assert set(model.history.history) == set(alone.history.history)
    assert (model.history.epoch, model.history.params) == (alone.history.epoch, alone.history.params)
    for name, values in alone.history.history.items():
        np.testing.assert_allclose(model.history.history[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    assert int(model.optimizer.iterations) == 200
    with pytest.raises(AssertionError):
        _assert_agree(models[0], alone)


def test_models_that_fail_leave_the_others_what_they_are_to_the_bit() -> None:
    models, spoiled = _after_200_steps("output"), _after_200_steps("output", _spoil)
    _assert_as_alone(models, "output")
    _assert_agree(spoiled[1], models[1], 0)
    for failed in (spoiled[0], spoiled[2]):
        assert not np.isfinite(failed.history.history["loss"]).any()


def test_compiled_by_xla_a_model_is_what_it_would_be_alone_also_beside_those_that_fail() -> None:
    _assert_as_alone(_after_200_steps("flipout", _spoil, jit_compile=True), "flipout")


def _spoil(models: list[Any]) -> None:
    for model, value in ((models[0], np.nan), (models[2], 1e30)):
        model.trainable_variables[0].assign(tf.fill(model.trainable_variables[0].shape, value))


@tf_keras.saving.register_keras_serializable("test_together")
class _Dawson(tf_keras.layers.Layer):
    """A layer that XLA cannot compile."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.special.dawsn(inputs)


def test_xla_compiles_what_it_was_asked_to_and_of_long_fits_what_it_can() -> None:
    long = _of(lambda inputs: _Dawson()(DenseFlipout(2, num_examples=N, seed=0)(inputs)))
    fit_together([long], X, Y, batch_size=BATCH, epochs=2000)
    assert [int(long.optimizer.iterations), int(long.layers[1].draws)] == [4000, 4000]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Dawsn"):
        fit_together([_of(lambda inputs: _Dawson()(_dense(inputs)), jit_compile=True)], X, Y, batch_size=BATCH)


def test_each_model_goes_on_from_its_own_state_with_data_of_its_own() -> None:
    """From what its optimizer has seen, with weights of its rows, and with a last batch of two rows."""
    models, alone = [_in_training(seed) for seed in range(2)], _in_training(1)
    own = X + 1, 2 * Y, WEIGHTS**2
    x, y, weights = ([one, other] for one, other in zip((X, Y, WEIGHTS), own, strict=True))
    fit_together(models, x, y, sample_weight=weights, batch_size=4, epochs=3, shuffle=False)
    alone.fit(*own[:2], 4, 3, sample_weight=own[2], shuffle=False, verbose=0)
    _assert_agree(models[1], alone)


def _in_training(seed: int) -> Any:
    model, rng = _model(seed=seed), np.random.default_rng(seed)
    model.optimizer.build(model.trainable_variables)
    for variable in model.optimizer.variables[2:]:  # The others are the number of steps and the learning rate.
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))
    model.optimizer.iterations.assign(7)
    return model


def test_models_of_several_architectures_and_numbers_of_rows_are_trained_in_one_call() -> None:
    """Each by those like it, in orders of rows of its own, as `fit` has them; a vector of targets is a column."""
    cases: list[tuple[str | None, int]] = [(None, N), ("sgd", N), (None, 8)]
    made = [[_model("output", seed, optimizer) for seed, (optimizer, _) in enumerate(cases)] for _ in range(2)]
    xs, ys = [X[:rows] for _, rows in cases], [Y[:rows, 0] for _, rows in cases]
    tf_keras.utils.set_random_seed(1)
    histories = fit_together(made[0], xs, ys, batch_size=BATCH, epochs=2)
    assert all(model.history is history for model, history in zip(made[0], histories, strict=True))
    tf_keras.utils.set_random_seed(1)
    for model, alone, x, y in zip(*made, xs, ys, strict=True):
        alone.fit(x, y, BATCH, 2, verbose=0)
        _assert_agree(model, alone)


def _of(body: Callable[[Any], Any], optimizer: Any = "sgd", **settings: Any) -> Any:
    """A model of layers between its inputs and its head."""
    inputs = tf_keras.Input((2,))
    model = VariationalModel(inputs, LikelihoodHead(Normal(), 1)(body(inputs)))
    model.compile(optimizer, loss=negative_log_likelihood, **settings)
    return model


@tf_keras.saving.register_keras_serializable("test_together")
class _InList(tf_keras.layers.Layer):
    """A layer with its weights in a list."""

    def build(self, input_shape: Any) -> None:
        self.all = [self.add_weight(name="kernel", shape=(2, 2))]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs @ self.all[0]


@tf_keras.saving.register_keras_serializable("test_together")
class _InListToo(_InList):
    """A layer with its weights as an attribute, which it does not use, and in a list."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.kernel = self.all[0]


@tf_keras.saving.register_keras_serializable("test_together")
class _OtherLoss(VariationalModel):
    """A model with a loss of its own."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        return 2 * super().compute_loss(*args, **kwargs)


def _with_other_loss() -> Any:
    inputs = tf_keras.Input((2,))
    model = _OtherLoss(inputs, LikelihoodHead(Normal(), 1)(tf_keras.layers.Dense(2)(inputs)))
    model.compile("sgd", loss=negative_log_likelihood)
    return model


def _distributed() -> Any:
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        return _of(_dense)


def _dense(inputs: Any, **settings: Any) -> Any:
    return tf_keras.layers.Dense(2, **settings)(inputs)


def _twice(layer: Any) -> Callable[[Any], Any]:
    return lambda inputs: layer(_dense(layer(inputs)))


def _without_decay(**variables: Any) -> Any:
    optimizer = tf_keras.optimizers.AdamW(0.1)
    optimizer.exclude_from_weight_decay(**variables)
    return optimizer


def _compiled(**settings: Any) -> Any:
    model = _model()
    model.compile(**{"optimizer": "sgd", "loss": negative_log_likelihood, **settings})
    return model


def _one_layer() -> list[Any]:
    layer = tf_keras.layers.Dense(2)
    return [_of(layer) for _ in range(2)]


def _one_optimizer() -> list[Any]:
    optimizer = tf_keras.optimizers.SGD()
    return [_model(optimizer=optimizer) for _ in range(2)]


@pytest.mark.parametrize(
    ("models", "arguments", "message"),
    [
        (list, {}, "at least one model"),
        (lambda: [_compiled(loss="mse")], {}, "negative_log_likelihood"),
        (lambda: [_compiled(metrics=["mse"])], {}, "metrics"),
        (lambda: [_compiled(optimizer=tf_keras.optimizers.Adam(clipnorm=1.0))], {}, "norm"),
        (lambda: [_compiled(optimizer=tf_keras.optimizers.Adam(global_clipnorm=1.0))], {}, "norm"),
        (lambda: [_compiled(optimizer=tf_keras.optimizers.legacy.Adam())], {}, "optimizer"),
        (lambda: [_of(lambda inputs: _dense(tf_keras.layers.Dropout(0.5)(inputs)))], {}, "dropout"),
        (
            lambda: [by_hand.build("flipout", Network(input_shape=(2,), output_size=1, likelihood=Normal()), N)],
            {},
            "compiled",
        ),
        (lambda: [tf_keras.Sequential([tf_keras.layers.Dense(1)])], {}, "VariationalModel, got Sequential"),
        (lambda: [_model()] * 2, {}, "models must be different objects"),
        (_one_optimizer, {}, "optimizers must be different objects"),
        (_one_layer, {}, "variables must be different objects"),
        (lambda: [_of(partial(_dense, kernel_constraint="non_neg"))], {}, "constraint, got dense"),
        (lambda: [_of(_dense, tf_keras.optimizers.SGD(use_ema=True))], {}, "use_ema"),
        (lambda: [_of(_dense, _without_decay(var_names=["bias"]))], {}, "weight decay"),
        (lambda: [_of(_dense, _without_decay(var_list=[tf.Variable(0.0)]))], {}, "weight decay"),
        (lambda: [_with_other_loss()], {}, "compute_loss of its own"),
        (lambda: [_distributed()], {}, "strategy"),
        (lambda: [_of(lambda inputs: _InList()(inputs))], {}, "lists or dicts, got .*kernel"),
        (lambda: [_of(lambda inputs: _InListToo()(inputs))], {}, "depend on .* but not on .*kernel"),
        (lambda: [_of(_twice(SeededDropout(0.5, name="mask")))], {}, "once in a model, but mask is"),
        (lambda: [_model()], {"y": Y[:9]}, "as many rows"),
        (lambda: [_model()], {"x": [X, X]}, "list of 1"),
        (lambda: [_model()], {"x": X[:, :1]}, "x must have shape"),
        (lambda: [_model()], {"x": X * np.nan}, "x must be finite"),
        (lambda: [_model()], {"batch_size": 0}, "batch_size"),
        (lambda: [_model()], {"epochs": 0}, "epochs"),
    ],
)
def test_what_cannot_be_trained_together_is_an_error_of_one_line(
    models: Callable[[], Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as error:
        fit_together(models(), **{"x": X, "y": Y, **arguments})
    assert "\n" not in str(error.value)


def _activation(name: str) -> Any:
    return lambda inputs: tf_keras.layers.Activation(name, name=name)(_dense(inputs))


def _nested(units: int) -> Any:
    inner = tf_keras.Input((2,))
    nested = tf_keras.Model(inner, tf_keras.layers.Dense(2)(tf_keras.layers.Dense(units)(inner)))
    return lambda inputs: nested(tf_keras.Sequential([tf_keras.layers.Dense(2)])(inputs))


def _difference(first: int) -> Any:
    def body(inputs: Any) -> Any:
        parts = [tf_keras.layers.Dense(2)(inputs) for _ in range(2)]
        return tf_keras.layers.Subtract()([parts[first], parts[1 - first]]) + parts[1]

    return body


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (lambda: _model(seed=1), lambda: _model(seed=2), True),
        (lambda: _of(_nested(3)), lambda: _of(_nested(3)), True),
        (lambda: _of(_nested(3)), lambda: _of(_nested(4)), False),
        (lambda: _of(_activation("relu")), lambda: _of(_activation("tanh")), False),
        (lambda: _of(_difference(0)), lambda: _of(_difference(0)), True),
        (lambda: _of(_difference(0)), lambda: _of(_difference(1)), False),
        (lambda: _of(_dense), lambda: _of(_dense, jit_compile=True), False),
        (lambda: _of(_dense), lambda: _of(_dense, tf_keras.optimizers.SGD(0.01, name="mine")), True),
        (lambda: _of(_dense), lambda: _of(_dense, tf_keras.optimizers.SGD(0.02)), False),
    ],
)
def test_models_are_of_one_architecture_whatever_their_layers_are_called(first: Any, second: Any, same: bool) -> None:
    assert (architecture(first()) == architecture(second())) == same
