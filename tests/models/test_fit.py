"""Training as Keras users do it: every kind of input, callback and target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.many_steps import STEPS_PER_EXECUTION

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(36, 2)).astype(np.float32), RNG.normal(size=(36, 1)).astype(np.float32)
BATCHES = 8  # Of 5 rows, the last of one.


def _model(kind: str = "flipout", optimizer: Any = "sgd", **settings: Any) -> Any:
    network = Network(input_shape=(2,), output_size=1, hidden_units=(4,), likelihood=Normal())
    model = by_hand.build(kind, network, 36)
    model.compile(optimizer, loss=negative_log_likelihood, **settings)
    return model


def _known() -> Any:
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)


def _rows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, 36, 5):
        yield X[start : start + 5], Y[start : start + 5]


def _from_generator() -> Any:
    signature = (tf.TensorSpec([None, 2]), tf.TensorSpec([None, 1]))
    return tf.data.Dataset.from_generator(_rows, output_signature=signature)


def _filtered() -> Any:
    return _known().filter(lambda x, y: True)


def _table(history: Any) -> np.ndarray:
    return np.array([history.history[name] for name in ("loss", "nll", "kl")])


def _terms(kind: str) -> list[str]:
    """The terms of the loss of a kind."""
    return ["nll", "kl", *(["prior_penalty"] if kind in by_hand.POINT else [])]


def _steps(model: Any) -> int:
    """How many batches the model has drawn for."""
    return next(int(layer.draws.numpy()) for layer in model.layers if hasattr(layer, "draws"))


@pytest.mark.parametrize(
    ("unknown", "epochs", "kind"),
    [
        (_from_generator, 2, "flipout"),
        (_rows, 1, "flipout"),
        (_filtered, 2, "flipout"),
        *((_filtered, 1, kind) for kind in by_hand.HIDDEN),
    ],
)
def test_batches_of_unknown_number_train_as_those_of_known_number_do(
    unknown: Callable[[], Any], epochs: int, kind: str
) -> None:
    model, reference = _model(kind), _model(kind)  # At the end Adam would count one step more.
    expected = reference.fit(_known(), epochs=epochs, verbose=0)
    history = model.fit(unknown(), epochs=epochs, verbose=0)
    assert _steps(model) == _steps(reference) == epochs * BATCHES
    np.testing.assert_allclose(_table(history), _table(expected), rtol=1e-5)
    assert model.evaluate(unknown(), verbose=0) == pytest.approx(reference.evaluate(_known(), verbose=0), rel=1e-5)
    assert int(model.steps_per_execution.numpy()) == 1, "outside fit, Keras's own number"
    model.fit(_known(), verbose=0)
    assert _steps(model) == (epochs + 2) * BATCHES, "afterwards many batches a call run as before"


def test_validation_batches_of_unknown_number_are_all_seen() -> None:
    model = _model("output")
    logs = model.fit(_known(), validation_data=_filtered(), epochs=2, verbose=0).history
    assert len(logs["val_loss"]) == 2
    assert logs["val_nll"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0, return_dict=True)["nll"], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", tf_keras.optimizers.Adam(), tf_keras.optimizers.legacy.Adam()])
def test_any_optimizer_of_keras_trains(optimizer: Any) -> None:
    """The legacy ones too, which tf_keras recommends on a Mac."""
    model = by_hand.build("flipout", Network(input_shape=(2,), output_size=1, likelihood=Normal()), 36)
    model.compile(optimizer, loss=negative_log_likelihood)
    assert np.isfinite(model.fit(X, Y, epochs=2, verbose=0).history["loss"]).all()


def test_known_numbers_of_steps_are_taken_at_the_callers_word() -> None:
    model = _model()
    model.fit(_filtered().repeat(), steps_per_epoch=20, epochs=3, verbose=0)
    model.evaluate(_rows(), steps=4, verbose=0)
    assert _steps(model) == 64


def test_endless_batches_without_a_number_of_steps_are_an_error_of_keras() -> None:
    with pytest.raises(ValueError, match="you must specify the number of steps to run"):
        _model().fit(_known().repeat(), verbose=0)


def test_an_uncompiled_model_is_an_error_of_keras() -> None:
    network = Network(input_shape=(2,), output_size=1, likelihood=Normal())
    with pytest.raises(RuntimeError, match="compile"):
        by_hand.build("flipout", network, 36).fit(_filtered(), verbose=0)


def test_a_number_of_batches_a_call_is_the_callers_to_choose() -> None:
    assert int(_model(steps_per_execution=3).steps_per_execution.numpy()) == 3
    one, two, many = (
        _table(_model(steps_per_execution=n).fit(X, Y, shuffle=False, epochs=2, verbose=0)) for n in (1, 2, 99)
    )
    np.testing.assert_allclose(two, one, rtol=1e-5)
    np.testing.assert_allclose(many, one, rtol=1e-5)


def test_eager_execution_gives_the_same_numbers() -> None:
    eager, graph = (
        _table(_model(run_eagerly=e).fit(X, Y, shuffle=False, batch_size=12, verbose=0)) for e in (True, False)
    )
    np.testing.assert_allclose(eager, graph, rtol=1e-4)


@pytest.mark.parametrize("kind", ["flipout", "output", *by_hand.HIDDEN])
def test_early_stopping_stops_at_what_validation_shows(kind: str) -> None:
    stop = tf_keras.callbacks.EarlyStopping("val_nll", patience=1, min_delta=1e9, restore_best_weights=True)
    logs = _model(kind).fit(X, Y, epochs=50, validation_split=0.25, verbose=0, callbacks=[stop]).history
    names = ["loss", *_terms(kind)]
    assert set(logs) == {*names, *(f"val_{name}" for name in names)}
    assert len(logs["loss"]) == 2


def test_tensorboard_gets_its_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    board = tf_keras.callbacks.TensorBoard(tmp_path)
    _model().fit(X, Y, validation_split=0.25, verbose=0, callbacks=[board])
    for folder in ("train", "validation"):
        assert any(tmp_path.glob(f"{folder}/events*"))


def test_sample_weights_of_zero_take_rows_out() -> None:
    model = _model("output")
    weights = np.repeat([2.0, 0.0], 18)
    other = Y.copy()
    other[18:] = 1e3
    loss = model.evaluate(X, other, sample_weight=weights, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(model.evaluate(X[:18], Y[:18], verbose=0, return_dict=True)["loss"], rel=1e-5)


def test_a_vector_of_targets_is_a_column() -> None:
    column, vector = (_table(_model().fit(X, y, shuffle=False, epochs=2, verbose=0)) for y in (Y, Y[:, 0]))
    np.testing.assert_allclose(vector, column, rtol=1e-6)
    model = _model("output")
    losses = [model.evaluate(X, y, verbose=0, return_dict=True) for y in (Y, Y[:, 0], Y)]
    assert losses[0] == losses[1] == losses[2], "one after the other too, which makes Keras forget the rank"


def test_several_targets_and_inputs_of_several_axes_train() -> None:
    network = Network(input_shape=(2, 3), output_size=2, hidden_units=(4,), likelihood=Normal(scale="learned"))
    x, y = RNG.normal(size=(20, 2, 3)).astype(np.float32), RNG.normal(size=(20, 2)).astype(np.float32)
    for kind in by_hand.KINDS:
        model = by_hand.build(kind, network, 20)
        model.compile("adam", loss=negative_log_likelihood)
        assert np.isfinite(model.fit(x, y, batch_size=8, verbose=0).history["loss"]).all()


def test_zero_rows_and_dead_units_leave_every_kind_finite() -> None:
    """Fact 8 in a whole training: rows of zeros, and units that a large negative start turns off."""
    x = np.vstack([X, np.zeros((8, 2), np.float32)])
    y = np.vstack([Y, np.zeros((8, 1), np.float32)])
    network = Network(input_shape=(2,), output_size=1, hidden_units=(6, 6), activation="relu", likelihood=Normal())
    for estimator in by_hand.ESTIMATORS:
        model = by_hand.build(estimator, network, 44)
        for variable in model.trainable_variables:
            if "hidden_1/posterior_loc" in variable.name:
                variable[-1].assign(tf.fill([6], -50.0))  # The biases.
        model.compile(tf_keras.optimizers.Adam(0.05), loss=negative_log_likelihood)
        assert np.isfinite(model.fit(x, y, epochs=20, verbose=0).history["loss"]).all()
        assert all(np.isfinite(values).all() for values in model.get_weights())


class _Calls(tf_keras.callbacks.Callback):
    """Counts the compiled calls of training."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1


def test_fit_runs_many_batches_a_call_unless_compile_asks_for_a_number() -> None:
    x, y = np.tile(X, (20, 1)), np.tile(Y, (20, 1))
    batches = -(-len(x) // 8)
    for steps, calls in ((None, -(-batches // STEPS_PER_EXECUTION)), (1, batches)):
        counter = _Calls()
        _model(steps_per_execution=steps).fit(x, y, batch_size=8, verbose=0, callbacks=[counter])
        assert counter.count == calls


@pytest.mark.parametrize("kind", ["output", "flipout", *by_hand.HIDDEN])
def test_single_batches_train_test_and_predict_before_and_after_fit(kind: str) -> None:
    model = _model(kind)
    for _ in range(2):
        trained, tested = (f(X, Y, return_dict=True) for f in (model.train_on_batch, model.test_on_batch))
        for logs in (trained, tested):
            assert logs["loss"] == pytest.approx(sum(logs[name] for name in _terms(kind)), rel=1e-6)
        assert model.predict_on_batch(X).shape == Y.shape
        assert model.predict((X[i : i + 6] for i in range(0, 36, 6)), verbose=0).shape == Y.shape
        model.fit(X, Y, epochs=2, verbose=0)


class _Use(tf_keras.callbacks.Callback):
    """Uses the model while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.seen: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.steps.append(int(self.model.steps_per_execution.numpy()))
        self.seen = [self.model.predict(X, batch_size=5, verbose=0), self.model.predict_on_batch(X)]
        self.seen += [self.model.test_on_batch(X, Y, return_dict=True)]
        self.seen += [self.model.evaluate(X, Y, batch_size=5, verbose=0, return_dict=True)]
        self.model.train_on_batch(X, Y)


def test_a_callback_may_predict_evaluate_and_train_while_calls_have_many_steps() -> None:
    """Keras makes some of these of a single batch, for any number of steps of a call."""
    model, use = _model("output"), _Use()
    model.predict(X[:5], verbose=0)
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[use])
    assert use.steps == [BATCHES] * 2, "so many as there are batches, at most"
    assert int(model.optimizer.iterations.numpy()) == 2 * (BATCHES + 1), "train_on_batch is one step"
    predicted, of_one_batch, tested, evaluated = use.seen
    np.testing.assert_allclose(predicted, of_one_batch, rtol=1e-5)
    assert evaluated == pytest.approx(tested, rel=1e-5)
    assert int(model.steps_per_execution.numpy()) == 1


def test_training_is_traced_once_for_all_fits_and_once_more_for_a_last_batch_of_fewer_rows() -> None:
    traces = []

    def loss(y: tf.Tensor, density: Any) -> tf.Tensor:
        traces.append(y.shape)
        return negative_log_likelihood(y, density)

    model = _model()
    model.compile("sgd", loss=loss)
    for epochs in (2, 1):
        model.fit(X, Y, batch_size=5, epochs=epochs, validation_data=(X, Y), verbose=0)
        assert [list(shape) for shape in traces[:2]] == [[5, 1], [1, 1]]
        assert [list(shape) for shape in traces[2:]] == [[None, 1]] * 2, "Keras's validation has its step twice"
    model.evaluate(X, Y, batch_size=5, verbose=0)
    assert len(traces) == 4, "one function serves validation and evaluation"


def test_one_batch_is_one_step_before_and_after_fit() -> None:
    model = _model()
    for steps in (1, 2 + BATCHES):
        model.train_on_batch(X, Y)
        assert _steps(model) == int(model.optimizer.iterations.numpy()) == steps
        model.fit(X, Y, batch_size=5, verbose=0)


def test_an_error_in_fit_leaves_one_step_a_call() -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("in the callback")

    model = _model("output")
    with pytest.raises(RuntimeError, match="in the callback"):
        model.fit(X, Y, verbose=0, callbacks=[tf_keras.callbacks.LambdaCallback(on_epoch_end=fail)])
    assert int(model.steps_per_execution.numpy()) == 1
    model.train_on_batch(X, Y)


def test_training_compiled_by_xla_takes_as_many_steps() -> None:
    model = by_hand.build(
        "reparameterization", Network(input_shape=(2,), output_size=1, hidden_units=(), likelihood=Normal()), 36
    )
    model.compile("sgd", loss=negative_log_likelihood, jit_compile=True)
    assert np.isfinite(model.fit(X, Y, batch_size=5, verbose=0).history["loss"]).all()
    assert _steps(model) == BATCHES


def test_a_dataset_too_short_for_its_steps_ends_as_in_keras() -> None:
    history = _model().fit(_known(), steps_per_epoch=50, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_sample_weights_of_either_shape_weigh_alike() -> None:
    model, weights = _model("output"), np.random.default_rng(0).uniform(size=len(X)).astype(np.float32)
    rows, table = (model.evaluate(X, Y, sample_weight=w, verbose=0) for w in (weights, weights[:, None]))
    assert rows == pytest.approx(table, rel=1e-6)
    loss, nll, _, penalty = rows
    assert loss == pytest.approx(nll + penalty, rel=1e-6), "no row weighs on the penalty"
    assert model.evaluate(X, Y, verbose=0)[1] != pytest.approx(rows[1], rel=1e-2)
