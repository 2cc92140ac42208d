"""`fit` trains as single batches do, one after the other, however many of them it runs in a compiled program."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.batches import ArrayBatches
from variational_bnn.models.blocks import BlockProgram
from variational_bnn.models.dense import DenseFlipout
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import KLAnnealing, negative_log_likelihood
from variational_bnn.models.variational_model import VariationalModel

N, BATCH, EPOCHS = 10, 4, 3
STARTS = range(0, N, BATCH)  # The last batch has two rows.
RNG = np.random.default_rng(0)
X, Y, WEIGHTS = RNG.normal(size=(N, 1)), RNG.integers(2, size=(N, 1)) * 1.0, RNG.uniform(size=N)
X, Y, WEIGHTS = (values.astype(np.float32) for values in (X, Y, WEIGHTS))
NETWORK = Network(input_shape=(1,), output_size=1, hidden_units=(4,), likelihood=Normal())
Table = dict[str, list[float]]


def _compiled(model: Any, optimizer: Any = "sgd", **settings: Any) -> Any:
    model.compile(optimizer, loss=negative_log_likelihood, **settings)
    return model


def _model(**settings: Any) -> Any:
    """Two layers, and an optimizer with a state."""
    return _compiled(by_hand.build("flipout", NETWORK, N), tf_keras.optimizers.Adam(0.05), **settings)


def _linear(*, eager: bool) -> Any:
    settings: Any = {"run_eagerly": True} if eager else {"steps_per_execution": 2}
    return _compiled(by_hand.build("flipout", dataclasses.replace(NETWORK, hidden_units=()), N), **settings)


def _small(*, eager: bool = False) -> Any:
    """A linear model as it began, which keeps its programs from test to test."""
    model = _LINEAR[eager]
    for variable, initial in zip([*model.weights, model.optimizer.iterations], _INITIAL, strict=True):
        variable.assign(initial)
    return model


_LINEAR = [_linear(eager=eager) for eager in (False, True)]
_INITIAL = [variable.numpy() for variable in [*_LINEAR[0].weights, _LINEAR[0].optimizer.iterations]]


def _with_a_step_of_its_own(**settings: Any) -> Any:
    class Own(VariationalModel):
        """A model with a training step of the user's."""

        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    plain = by_hand.build("flipout", NETWORK, N)
    return _compiled(Own(plain.inputs, plain.outputs), tf_keras.optimizers.Adam(0.05), **settings)


def _called_twice(**settings: Any) -> Any:
    inputs = tf_keras.Input((1,))
    twice = DenseFlipout(1, num_examples=N, seed=0)
    parameters = DenseFlipout(2, num_examples=N, seed=1)(twice(tf.tanh(twice(inputs))))
    return _compiled(VariationalModel(inputs, LikelihoodHead(Normal(), 1)(parameters)), **settings)


def _data() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS)).batch(BATCH)


def _batches() -> Iterator[tuple[np.ndarray, ...]]:
    for start in itertools.cycle(STARTS):
        yield tuple(values[start : start + BATCH] for values in (X, Y, WEIGHTS))


def _one_by_one(
    model: Any, rows: int = N, *, validation: Any = None, after: Callable[[Any], Any] = lambda model: None
) -> Table:
    """The history of training on single batches; the model is validated, and `after` called, once an epoch."""
    history = dict[str, list[float]]()
    for epoch in range(EPOCHS):
        model.reset_metrics()
        for layer in model.layers:
            if hasattr(layer, "kl_weight"):
                layer.kl_weight.assign((0.2, 0.4, 0.6)[epoch])
        for start in range(0, rows, BATCH):
            x, y, weights = (values[start : min(start + BATCH, rows)] for values in (X, Y, WEIGHTS))
            logs = model.train_on_batch(x, y, weights, reset_metrics=False, return_dict=True)
        if validation:
            found = model.evaluate(**validation, batch_size=BATCH, verbose=0, return_dict=True)
            logs |= {f"val_{name}": value for name, value in found.items()}
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        after(model)
    return history


def _fit(model: Any, *data: Any, callbacks: tuple[Any, ...] = (), **arguments: Any) -> Table:
    """The history of `fit`, of arrays unless other data are given."""
    data = data or (X, Y, BATCH)
    given = {"shuffle": False, "epochs": EPOCHS, "verbose": 0, **arguments}
    weights = {} if len(data) == 1 else {"sample_weight": WEIGHTS[: len(data[0])]}
    annealing = [KLAnnealing(4, start=0.2)] if any(hasattr(layer, "kl_weight") for layer in model.layers) else []
    return model.fit(*data, callbacks=[*annealing, *callbacks], **weights, **given).history


def _draws(model: Any) -> list[int]:
    return [int(layer.draws.numpy()) for layer in model.layers if hasattr(layer, "draws")]


def _assert_agree(model: Any, history: Table, expected: Any, expected_history: Table, rtol: float = 1e-5) -> None:
    assert set(history) == set(expected_history)
    for name, values in expected_history.items():
        np.testing.assert_allclose(history[name], values, rtol=rtol, atol=1e-6, err_msg=name)
    for own, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, rtol=rtol, atol=1e-6)
    assert int(model.optimizer.iterations) == int(expected.optimizer.iterations)
    assert _draws(model) == _draws(expected)


@pytest.fixture(scope="module")
def reference() -> tuple[Any, Table]:
    model = _model(run_eagerly=True)
    return model, _one_by_one(model)


@pytest.mark.parametrize(
    ("settings", "data", "arguments"),
    [
        ({}, (), {}),
        ({"steps_per_execution": 2}, (), {}),
        ({"steps_per_execution": 7}, (), {}),
        ({"jit_compile": True, "steps_per_execution": 2}, (), {}),
        ({}, (_data,), {}),
        ({}, (lambda: _data().repeat(),), {"steps_per_epoch": len(STARTS)}),
        ({}, (_batches,), {"steps_per_epoch": len(STARTS)}),
        ({"run_eagerly": True}, (), {}),
        ({"model": _with_a_step_of_its_own}, (), {}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_fit_gives_the_weights_and_the_history_of_single_batches(
    reference: tuple[Any, Table], settings: dict[str, Any], data: tuple[Any, ...], arguments: dict[str, Any]
) -> None:
    """In blocks of any size, a last batch of fewer rows included, or batch by batch where there can be no blocks."""
    model = settings.get("model", _model)(**{name: value for name, value in settings.items() if name != "model"})
    history = _fit(model, *(made() for made in data), **arguments)
    _assert_agree(model, history, *reference)
    assert _draws(model) == [EPOCHS * len(STARTS)] * 2


@pytest.mark.parametrize("cuts", [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)], ids=str)
def test_a_block_may_be_cut_anywhere(cuts: tuple[int, ...]) -> None:
    """Two batches of four rows and one of two."""
    batches = ArrayBatches((tf.constant(X), tf.constant(Y)), BATCH, shuffle=False, seed=0)
    block = next(batches.blocks(3, 3))
    assert (block.count, block.num_last) == (2, 1)
    model, expected = _small(), _small(eager=True)
    program = BlockProgram(model, jit_compile=False)
    for start, stop in itertools.pairwise(cuts):
        logs = program(block, start, stop)
    expected.reset_metrics()
    for start in STARTS:
        rows = slice(start, start + BATCH)
        known = expected.train_on_batch(X[rows], Y[rows], reset_metrics=False, return_dict=True)
    found = {name: [float(value)] for name, value in logs.items()}
    _assert_agree(model, found, expected, {name: [value] for name, value in known.items()})


@pytest.mark.parametrize("kind", ["local_reparameterization", "amortized", "shared"])
def test_every_kind_of_layer_draws_the_same_in_a_block(kind: str) -> None:
    model, expected = (_compiled(by_hand.build(kind, NETWORK, N), run_eagerly=eager) for eager in (False, True))
    _assert_agree(model, _fit(model), expected, _one_by_one(expected))


def test_a_layer_that_is_called_twice_draws_twice_in_each_step() -> None:
    model, expected = _called_twice(), _called_twice(run_eagerly=True)
    _assert_agree(model, _fit(model), expected, _one_by_one(expected))
    assert _draws(model) == [2 * EPOCHS * len(STARTS), EPOCHS * len(STARTS)]


def test_validation_is_between_the_epochs() -> None:
    """On the last rows, as Keras splits them, or on the same data, in two batches."""
    expected = _small(eager=True)
    history = _one_by_one(expected, 5, validation={"x": X[5:], "y": Y[5:], "sample_weight": WEIGHTS[5:]})
    splits: list[Any] = [((), {"validation_split": 0.5})]
    splits += [((X[:5], Y[:5], BATCH), {"validation_data": (X[5:], Y[5:], WEIGHTS[5:])})]
    for data, share in splits:
        model = _small()
        _assert_agree(model, _fit(model, *data, **share), expected, history)


def test_class_weights_are_weights_of_rows() -> None:
    model, expected = _small(), _small(eager=True)
    history = model.fit(X, Y, BATCH, 2, shuffle=False, verbose=0, class_weight={0: 0.5, 1: 2.0}).history
    weights = np.where(Y[:, 0] == 1, 2.0, 0.5)
    expected_history = expected.fit(X, Y, BATCH, 2, sample_weight=weights, shuffle=False, verbose=0).history
    _assert_agree(model, history, expected, expected_history)


@pytest.mark.parametrize("how", ["train_on_batch", "fit in a block", "fit batch by batch"])
def test_a_callback_may_train_on_a_batch_between_the_epochs(how: str) -> None:
    def after(model: Any) -> None:
        if how == "train_on_batch":
            model.train_on_batch(X, Y)
        else:
            weights = {} if how == "fit in a block" else {"class_weight": {0: 1.0, 1: 1.0}}
            model.fit(X, Y, N, shuffle=False, verbose=0, **weights)

    model, expected = _small(), _small(eager=True)
    callback = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: after(model))
    _assert_agree(model, _fit(model, callbacks=(callback,)), expected, _one_by_one(expected, after=after))


def test_half_precision_trains_the_same() -> None:
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model, expected = (_linear(eager=eager) for eager in (False, True))
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    _assert_agree(model, _fit(model), expected, _one_by_one(expected), rtol=1e-3)


def test_epochs_may_be_trained_in_several_fits(reference: tuple[Any, Table]) -> None:
    model = _model()
    histories = [_fit(model, initial_epoch=epoch, epochs=epoch + 1) for epoch in range(EPOCHS)]
    _assert_agree(model, {name: [history[name][0] for history in histories] for name in histories[0]}, *reference)


@pytest.mark.parametrize("when", ["on_epoch_end", "on_train_batch_end"])
def test_where_training_is_stopped_no_further_batch_is_trained_on(when: str) -> None:
    model = _small()

    def stop(*_: Any) -> None:
        model.stop_training = True

    _fit(model, callbacks=(tf_keras.callbacks.LambdaCallback(**{when: stop}),))
    steps = len(STARTS) if when == "on_epoch_end" else 2
    assert _draws(model) == [steps]
    assert int(model.optimizer.iterations) == steps
    _fit(model)
    assert _draws(model) == [steps + EPOCHS * len(STARTS)]


def test_the_order_of_the_rows_is_tensorflows_seeds() -> None:
    histories = []
    for seed in (1, 1, 2):
        tf_keras.utils.set_random_seed(seed)
        histories.append(_fit(_small(), shuffle=True)["loss"])
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


def test_dropout_drops_anew_in_each_step_and_each_epoch() -> None:
    """A layer of Keras draws by itself: with weights that stand still, the loss of a single batch changes."""
    inputs = tf_keras.Input((1,))
    dropped = tf_keras.layers.Dropout(0.5, seed=0)(tf_keras.layers.Dense(50)(inputs))
    model = VariationalModel(inputs, LikelihoodHead(Normal(), 1)(tf_keras.layers.Dense(2)(dropped)))
    model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood, steps_per_execution=1)
    losses = list[float]()
    seen = tf_keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(logs["loss"] * (batch + 1))
    )
    endless = tf.data.Dataset.from_tensors((X, Y)).repeat()
    model.fit(endless, steps_per_epoch=4, epochs=2, verbose=0, callbacks=[seen])
    of_steps = np.diff(np.reshape(losses, (2, 4)), axis=1, prepend=0)
    assert len(np.unique(of_steps.round(5))) == 8


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_callback_that_fails_leaves_the_model_as_it_is(error: type[BaseException]) -> None:
    def fail(*_: Any) -> None:
        raise error

    model, expected = _small(), _small(eager=True)
    with pytest.raises(error):
        _fit(model, callbacks=(tf_keras.callbacks.LambdaCallback(on_train_batch_end=fail),), epochs=1)
    _fit(expected, X[: 2 * BATCH], Y[: 2 * BATCH], BATCH, epochs=1)
    for one in (model, expected):
        one.train_on_batch(X, Y)
    _assert_agree(model, _fit(model), expected, _fit(expected))


def test_data_that_fail_leave_a_model_that_trains() -> None:
    def fail_at_last(x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor) -> Any:
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x)[0], BATCH)]):
            return tf.identity(x), y, weight

    model = _small()
    with pytest.raises(tf.errors.InvalidArgumentError):
        _fit(model, _data().map(fail_at_last))
    assert _draws(model) == [2], "the steps before"
    model.train_on_batch(X, Y)
    _fit(model)
    assert _draws(model) == [3 + EPOCHS * len(STARTS)]


def test_batches_of_unequal_sizes_of_other_axes_are_not_padded() -> None:
    """Rows of as many values as there happen to be, of which the model takes the mean."""
    signature = (tf.TensorSpec([None, None, 1]), tf.TensorSpec([None, 1]))
    rows = [(np.full((2, size, 1), 3.0, np.float32), np.zeros((2, 1), np.float32)) for size in (1, 5)]
    data = tf.data.Dataset.from_generator(lambda: rows, output_signature=signature)
    inputs = tf_keras.Input((None, 1))
    mean = tf_keras.layers.GlobalAveragePooling1D()(inputs)
    loc = tf_keras.layers.Dense(1, kernel_initializer="ones")(mean)
    model = VariationalModel(inputs, LikelihoodHead(Normal(scale=1.0), 1)(loc))
    model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood)
    known = data.apply(tf.data.experimental.assert_cardinality(2))
    loss = model.fit(known, verbose=0).history["loss"]
    assert loss == pytest.approx([0.5 * np.log(2 * np.pi) + 4.5], rel=1e-5)
